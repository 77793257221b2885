/* The store: what the journal acknowledged, in columns.
 *
 * store_submit() takes one request's records, whole. A resolver thread finds out what segments know of its ids; the
 * writer thread takes all requests that wait, writes them to the journal with one sync, applies them, and calls each
 * one's `done`. Nothing is visible before it is durable, nothing durable is refused afterwards, and whoever got its
 * `done` without an error sees it in the next view.
 *
 * A keeper thread copies what the journal acknowledged into the workspaces' logs, so that journal files can be used
 * again; makes segments of full chunks; folds what was attached to segments into them; merges small ones; drops what is
 * too old. It prepares everything beside the writer, who swaps views.
 *
 * Threads: store_submit, views and the counters from any; `done` runs on the writer and must not wait. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "journal/journal.h"
#include "record/record.h"
#include "record/uploads.h"
#include "store/view.h"

struct store;

struct store_options {
    const char *dir;
    uint8_t id[16];              /* of this store; files of another one are refused */
    uint64_t journal_file_size;  /* bytes */
    uint64_t journal_max;        /* bytes of all journal files together */
    unsigned checkpoint_interval_s;
    uint32_t max_fields;         /* metadata fields a workspace */
    uint32_t max_pending;        /* ids a workspace waits for */
    uint32_t max_per_id;         /* inferences under one id */
    int64_t pending_ttl_us;      /* how long metadata waits for its inference; 0: for ever */
    int64_t retention_us;        /* how long after its time, and its receipt, a row is kept; 0: for ever */
    int64_t (*retention_of)(void *ctx, uint32_t workspace); /* the same of a workspace, asked by the keeper at every
                                                             * sweep; NULL: retention_us is that of all */
    void *retention_ctx;
    int64_t seal_idle_us;        /* a chunk that is not full is sealed when no inference came for so long */
    unsigned fold_share;         /* percent of a segment's rows that may be overlaid before it is folded */
    uint32_t chunk_rows;         /* rows of a full chunk; 0: SEGMENT_ROWS */
    size_t chunk_memory;         /* of the chunks of all workspaces; past it inferences wait for segments to be made; 0:
                                  * 320 MiB */

    /* For tests. */
    bool manual;                 /* the keeper seals, folds, merges and drops only when told by store_step */
    int64_t (*now_us)(void);     /* the time of receipt, instead of the clock */
};

/* Opens and replays; damage is an error that names file and offset. */
struct store *store_open(const struct store_options *o, struct err *e);
/* Finishes what was submitted, checkpoints, stops the threads. */
void store_close(struct store *s);

/* ---- writing ---- */

enum outcome { OUTCOME_NONE, OUTCOME_CREATED, OUTCOME_UNCHANGED, OUTCOME_CONFLICT };

struct attach_counts {
    uint32_t applied, pending, unchanged; /* ids */
};

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
    struct additions most;            /* what it can add to the workspace, at the most */
    struct str field;                 /* of the last attach: the caller keeps it until submitting */
    struct write_result *results;     /* one a record, made by store_submit; freed by write_free */
    struct err err;                   /* ERR_NONE: it is durable and visible */
    int64_t received_us;
    void (*done)(struct store_write *w);
    void *ctx, *user;                 /* the caller's */

    /* The store's. */
    struct store_write *next;
    struct view *view;         /* it was resolved against; held until it was applied */
    struct resolved *resolved; /* one a record, in `arena` */
    struct arena arena;
    int64_t parked_us; /* since when it waits for a chunk to be sealed; monotonic */
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

/* Takes a workspace and all it holds away, for ever: its number is refused from now on. */
bool store_delete(struct store *s, uint32_t workspace, struct err *e);

/* From before a value is looked up until the one made of it is durable: nobody else changes one in between, and no id is
 * erased, so what was read still stands. Any thread that may wait; one at a time, and it must not erase. */
void store_update_begin(struct store *s);
void store_update_end(struct store *s);

/* Takes ids away for ever, all or none of them: every inference under each, its metadata with the history, what waits
 * for it. True: that is so on disk; no file but the journal's has anything of them, and those that do are removed within
 * two minutes. What comes under such an id later is new. ERR_UNKNOWN_OUTCOME: all or none. It waits for the keeper,
 * seals what is open if an id is there, and writes every segment anew that has one: any thread that may wait. */
struct erased {
    uint64_t inferences; /* from partial sources not counted, as everywhere */
    uint64_t ids, unknown; /* of those asked for, each once: with something under it, and without */
};
bool store_erase(struct store *s, uint32_t workspace, const struct str *ids, size_t count, struct erased *out,
                 struct err *e);

/* How the way to the disk is taken. Any thread. */
struct store_load {
    struct journal_stats journal;
    uint64_t queued_bytes; /* of writes that the writer has not taken yet */
};
struct store_load store_load(struct store *s);

/* ---- reading: view.h ---- */

/* Inferences that came again, the same or with other content, since the start. */
struct store_counts {
    uint64_t unchanged, conflicts;
};
struct store_counts store_counts(struct store *s, uint32_t workspace);

/* Calls back with the 32-byte hash of each kept file that an inference names: its picture, those that were uploaded
 * under its id, also when it has not come yet, and their annotations. False: a segment could not be read, so some were
 * not named. Any thread. */
bool store_each_picture(struct store *s, uint32_t workspace, picture_call *call, void *ctx);

/* ---- backups ---- */

/* Copies everything acknowledged so far to the logs, and gives the manifest that says so (the caller frees it). Until
 * store_release no file that it names is changed below its length or removed, and no journal file is given back. One at
 * a time. Any thread. */
struct manifest;
bool store_hold(struct store *s, struct manifest *m, struct err *e);
void store_release(struct store *s);

/* ---- the keeper's work, step by step: for tests and tools ---- */

/* FREEZE: the open chunk. SEAL: all frozen chunks. FOLD: every segment with an overlay. MERGE: neighbours, as many as
 * fit in one. RETAIN: drops segments whose rows all lie before `arg_us`, whenever they were received. CHECKPOINT:
 * everything submitted so far is in the logs and the manifest. COMPACT: the logs keep only what is still needed. EXPIRE:
 * gives back the memory of what waited too long. SWEEP: what is due each minute: EXPIRE, retention by the setting, and
 * journal files that hold what was erased go. */
enum store_step {
    STEP_FREEZE,
    STEP_SEAL,
    STEP_FOLD,
    STEP_MERGE,
    STEP_RETAIN,
    STEP_CHECKPOINT,
    STEP_COMPACT,
    STEP_EXPIRE,
    STEP_SWEEP
};
bool store_step(struct store *s, uint32_t workspace, enum store_step step, int64_t arg_us, struct err *e);
bool store_checkpoint(struct store *s, struct err *e);
