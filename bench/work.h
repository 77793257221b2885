/* W2: which ids get which values in which order, the same for every engine, and what was acknowledged, so that it is
 * counted back.
 *
 * One field is attached to the data's inferences: a share to the newest ones (those in the open chunk), a
 * share to older ones, a share to ids that are never ingested (for us they are pending), the rest to an id written two
 * requests before. Each connection owns every connections-th id and has one request in flight, so the writes of an id
 * are in order, its last acknowledged value is known exactly, and each write of the `entries` shape is a real change.
 *
 * Owner: the program's main thread makes and frees a struct work. A cursor and the marks of the ids it owns belong to
 * the thread that runs that connection; nothing else in a struct work changes during a run. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data.h"
#include "options.h"
#include "tally.h"

enum { WORK_VALUE = 7, WORK_VALUES = 100, WORK_UNSURE = UINT8_MAX };
extern const char *const work_fields[10]; /* by o.cell, all of one length */

struct work {
    const struct options *o;
    struct data data;
    uint64_t ids; /* of the data, then the unknown ones; an item's place is below this */
    uint64_t value_hash[WORK_VALUES];
    uint8_t *last;     /* by place: the last acknowledged value + 1; 0: never written; WORK_UNSURE: no answer came */
    uint32_t *changes; /* by place: acknowledged writes that changed the value */
};

bool work_init(struct work *w, const struct options *o, struct err *e);
void work_free(struct work *w);

struct work_item {
    uint64_t place;
    uint8_t value; /* 0..WORK_VALUES-1 */
};

struct work_cursor {
    unsigned connection;
    uint64_t at, requests;
    uint64_t taken[3];                      /* open, sealed, unknown */
    struct work_item before[2][MOST_ITEMS]; /* the last two requests */
};

/* The next request's items: o.items of them, with no id twice. */
void work_next(const struct work *w, struct work_cursor *c, struct work_item *items);
void work_acknowledged(struct work *w, const struct work_item *items, struct tally *t, int64_t latency_us);
/* A request was sent and no answer came: nothing is known of its ids any more. */
void work_unanswered(struct work *w, const struct work_item *items);

uint64_t work_unknown(const struct work *w, uint64_t place); /* the number of an unknown id */
void work_id(const struct work *w, uint64_t place, char out[DATA_ID]);
void work_value(uint8_t value, char out[WORK_VALUE]); /* "site-07", no NUL */
uint64_t work_hash(uint64_t id_hash, uint64_t value_hash);
uint64_t work_text_hash(const char *p, size_t n);
/* Ids written, of the data and unknown, and the sum over what each holds; those unsure are left out. */
void work_written(const struct work *w, uint64_t *known, uint64_t *unknown, uint64_t *sum);

/* The marks of a run in o.state; read back into a work of the same seed and sizes. */
bool work_save(const struct work *w, struct err *e);
bool work_load(struct work *w, struct err *e);
