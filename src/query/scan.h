/* Walks the rows that a plan speaks of, a block at a time, the newest block first. A view is walked part by part; today
 * its one part is the open chunk, and frozen chunks and segments join here. One thread; the view outlives the scan. */
#pragma once
#include "query/match.h"
#include "query/plan.h"
#include "store/store.h"

/* What stops a query before its end. */
struct query_control {
    int64_t deadline_us;     /* monotonic; 0: none */
    bool (*gone)(void *ctx); /* whether nobody waits for the answer any more; NULL: never asked */
    void *ctx;
};

struct scan {
    const struct plan *plan;
    const struct query_control *control;
    struct err *e;
    bool failed;
    bool partial; /* rows from partial sources too */

    const struct chunk *chunk;
    const struct matcher *matcher; /* NULL: no filter */
    uint32_t row_count;            /* published when the scan began */
    uint64_t as_of;
    uint32_t next;    /* blocks left, counted from the first */
    int64_t from_us;  /* a list raises it once it has enough newer rows */

    uint32_t number;  /* of the block at hand */
    const struct block *block;
    struct bitmap rows; /* its rows that match, at least one */
};

/* `partial`: whether rows from partial sources are wanted. The view may be NULL. */
void scan_begin(struct scan *s, const struct view *v, const struct plan *p, bool partial,
                const struct query_control *control, struct arena *a, struct err *e);
/* The next block with rows; false at the end, and when the query was stopped: then `failed`, and e says why. */
bool scan_next(struct scan *s);
