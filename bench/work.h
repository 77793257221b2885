/* The work of the benchmarks, the same for every engine: which ids, which values, in which order, and what was
 * acknowledged, so that it can be counted back.
 *
 * W2 attaches one field. `known` ids were ingested before; `unknown` ones never are (for us they are pending). Each
 * connection owns every connections-th id and has one request in flight, so the writes of an id are in order, its
 * last acknowledged value is known exactly, and each write of the `entries` shape is a real change. A share of the
 * items (`repeat`) goes to an id written two requests before.
 *
 * Owner: the program's main thread makes and frees a struct work. A cursor and the marks of the ids it owns belong to
 * the thread that runs that connection; nothing else in a struct work changes during a run. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { WORK_ID = 36, WORK_VALUE = 7, WORK_VALUES = 100, WORK_MAX_ITEMS = 1000, WORK_MAX_CONNECTIONS = 1024 };
#define WORK_FIELD "camera_location"

struct work_options {
    const char *url, *workspace, *key; /* of the server */
    const char *conninfo;              /* of PostgreSQL */
    const char *state;                 /* file: what was acknowledged */
    uint64_t seed;
    uint32_t known, unknown;
    unsigned unknown_percent, repeat_percent;
    unsigned items; /* a request */
    bool one_entry; /* the ids shape: one entry holding all ids, with one value */
    bool body_key;  /* the key in the body, not in the Authorization header */
    unsigned connections, threads;
    double seconds;
    uint64_t requests; /* at most, 0: as many as the time allows */
    unsigned sample;   /* ids looked up one by one when counting back */
};

/* `--name value` from argv[1] on; prints the table to standard output and ends with 0 for --help. */
bool work_options_read(struct work_options *o, int argc, char **argv, struct err *e);

struct work {
    struct work_options o;
    char (*ids)[WORK_ID]; /* text, no NUL; by number: the known ones, then the unknown ones */
    uint64_t *id_hash;
    uint64_t value_hash[WORK_VALUES];
    uint8_t *last;     /* by number: the last acknowledged value + 1, 0 when never written */
    uint32_t *changes; /* by number: acknowledged writes that changed the value */
};

bool work_init(struct work *w, const struct work_options *o, struct err *e);
void work_free(struct work *w);

struct work_item {
    uint32_t number;
    uint8_t value; /* 0..WORK_VALUES-1 */
};

struct work_cursor {
    unsigned connection;
    uint64_t at, unknown_at, requests;
};

/* What one thread counted. */
struct work_tally {
    uint64_t requests, items, unchanged;
    uint64_t sum; /* of work_hash over every acknowledged item: the same for the same set of writes in any order */
    int64_t ended_us;
    uint32_t *latency; /* requests by microseconds, WORK_LATENCY of them; the last also takes all slower ones */
    uint32_t slowest_us;
};
enum { WORK_LATENCY = 1 << 20 };

/* The next request's items: o.items of them, with no id twice. */
void work_next(const struct work *w, struct work_cursor *c, struct work_item *items);
void work_acknowledged(struct work *w, const struct work_item *items, struct work_tally *t, int64_t latency_us);

void work_value(uint8_t value, char out[WORK_VALUE]); /* "site-07", no NUL */
uint64_t work_hash(uint64_t id_hash, uint64_t value_hash);
uint64_t work_text_hash(const char *p, size_t n);

/* An inference as JSON for the own ingest route: about 330 bytes, 0 to 4 detections. */
void work_event(struct buf *out, const struct work *w, uint32_t number, int64_t time_us);

void work_tally_init(struct work_tally *t);
void work_tally_add(struct work_tally *to, const struct work_tally *from);
void work_tally_free(struct work_tally *t);
/* One JSON line on standard output. */
void work_report(const struct work *w, const char *what, const struct work_tally *t, int64_t started_us,
                 bool failed);

/* The marks of a run, as text of one line an id written; read back into a work of the same seed and sizes. */
bool work_save(const struct work *w, const struct work_tally *t, struct err *e);
bool work_load(struct work *w, struct err *e);
