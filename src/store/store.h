/* The store: what the journal acknowledged, in columns.
 *
 * store_submit() takes one request's records, whole. One writer thread takes all that wait, writes them to the journal
 * with one sync, applies them, and calls each one's `done`. Nothing is visible before it is durable, nothing durable is
 * refused afterwards, and whoever got its `done` without an error sees it in the next view.
 *
 * A keeper thread copies what the journal acknowledged into one log a workspace (checkpoint), so that journal files
 * can be used again; it reads the journal's files, never the chunks, so it holds up nobody.
 *
 * Threads: store_submit, views and the counters from any; `done` runs on the writer and must not wait. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "record/record.h"
#include "store/chunk.h"

struct store;

struct store_options {
    const char *dir;
    uint8_t id[16];              /* of this store; files of another one are refused */
    uint64_t journal_file_size;  /* bytes */
    uint64_t journal_max;        /* bytes of all journal files together */
    unsigned checkpoint_interval_s;
    uint32_t open_max;           /* inferences a workspace can hold */
    uint32_t max_fields;         /* metadata fields a workspace */
    uint32_t max_pending;        /* ids a workspace waits for */
};

/* Opens and replays; damage is an error that names file and offset. */
struct store *store_open(const struct store_options *o, struct err *e);
/* Finishes what was submitted, checkpoints, stops the threads. */
void store_close(struct store *s);

/* ---- writing ---- */

struct write_result {
    enum outcome outcome; /* of an inference */
    uint32_t index;
    struct attach_counts attach; /* of an attach */
};

struct additions {
    uint64_t inferences, fields, ids;
};

/* One request. Owner: the caller, until `done` was called. Built by write_*; all of it is applied or nothing. */
struct store_write {
    uint32_t workspace;
    struct buf chain; /* records, as journal.h has them */
    size_t records;
    struct additions most;            /* what it can add to the open chunk, at the most */
    struct str field;                 /* of the last attach: the caller keeps it until submitting */
    struct write_result *results;     /* one a record, made by store_submit; freed by write_free */
    struct err err;                   /* ERR_NONE: it is durable and visible */
    int64_t received_us;
    void (*done)(struct store_write *w);
    void *ctx, *user;                 /* the caller's */
    struct store_write *next; /* the queue's */
};

void write_begin(struct store_write *w, uint32_t workspace);
bool write_inference(struct store_write *w, const struct inference *inf, struct err *e); /* e: too large */
void write_attach(struct store_write *w, const struct attach *a);
void write_free(struct store_write *w);

/* False, and e, when it can't be taken at all: the store has failed or is stopping, or too much waits (ERR_BUSY). Then
 * `done` is not called. */
bool store_submit(struct store *s, struct store_write *w, struct err *e);

/* Submits and waits; for tools, tests, and threads that may wait. */
bool store_write_now(struct store *s, struct store_write *w, struct err *e);

/* Whether writes can be taken now, for /readyz. */
bool store_writable(struct store *s, struct err *e);

/* ---- reading ---- */

/* Everything a query can reach, at one moment, immutable in shape. NULL for a workspace that holds nothing yet.
 * Today that is the open chunk; frozen chunks, segments and overlays join here. */
struct view {
    const struct chunk *open;
    _Atomic uint32_t readers;
};

struct view *store_view(struct store *s, uint32_t workspace);
void view_release(struct view *v);

/* Ids whose pictures are referenced: see image/blobs.h. Calls back with the 32-byte hash of each picture kept. */
void view_each_picture(const struct view *v, void (*call)(void *ctx, const uint8_t hash[32]), void *ctx);

/* For tests: everything submitted so far is in the workspace logs and the manifest. */
bool store_checkpoint(struct store *s, struct err *e);
