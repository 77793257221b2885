/* Walks the rows that a plan speaks of. A view is walked part by part, those with later rows first, by one thread or
 * several, each with a part at a time; a part is walked a slice at a time from its end.
 *
 * Damage: what reads a segment stands under a guard. A segment that cannot be read is set aside for all queries from
 * then on, and the query starts anew without it; its answer names the gap.
 *
 * Owner: the query's thread. The view outlives the scan. */
#pragma once
#include "base/guard.h"
#include "query/answer.h"
#include "query/match.h"

struct scan {
    const struct view *view; /* NULL: a workspace that holds nothing */
    const struct plan *plan;
    const struct query_control *control; /* NULL: nothing stops it, nobody helps */
    struct err *e;
    struct arena *arena; /* the query's */

    struct part *parts;
    size_t part_count;
    int64_t to_us;
    uint64_t as_of;          /* rows of a later seq are left out */
    _Atomic int64_t from_us; /* a list raises it once it has enough newer rows */

    _Atomic size_t taken;  /* parts */
    _Atomic size_t held;   /* bytes, see scan_hold */
    _Atomic size_t summed; /* how often a summary stood for a part's rows */
    _Atomic bool stop, failed, again;
};

void scan_begin(struct scan *s, const struct view *v, const struct plan *p, const struct query_control *control,
                struct arena *a, struct err *e);

/* How many threads scan_run can call back on. */
unsigned scan_threads(const struct scan *s);

/* One thread's way through one part. */
struct reader {
    struct scan *scan;
    unsigned thread; /* from 0 */
    const struct part *part;
    struct slice slice; /* at hand */
    struct bitmap rows; /* of it, those that match: maybe none */

    /* The scan's own. */
    struct arena arena; /* of the part */
    const struct matcher *matcher;
    uint32_t first, end;             /* rows that time allows */
    uint32_t next;                   /* slices left, counted from the first */
    uint32_t known_first, known_end; /* rows that are left out */
    uint32_t read;                   /* slices of the part so far */
    unsigned steps;
    struct detection_room *room;
};

/* The next slice; false at the end, and when the query was stopped. */
bool reader_step(struct reader *r);

/* Goes through the part again from its end, leaving out rows first .. end - 1, of which all is known. */
void reader_around(struct reader *r, uint32_t first, uint32_t end);

/* Calls back for each part that may have rows, under a guard, at most once for each thread at a time. What `part` does
 * it can do again from the beginning: that is what happens after damage, when scan_run returns false and `again` is
 * set. False without it: the query has failed or was stopped, and e says why. */
bool scan_run(struct scan *s, bool (*part)(void *ctx, struct reader *r), void *ctx);

/* Does what is to be done under a guard outside of scan_run, on the query's thread. False as for scan_run. */
bool scan_guarded(struct scan *s, bool (*run)(void *ctx), void *ctx);

/* Ends the query. Any thread; the first error is kept. False. */
bool scan_fail(struct scan *s, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Counts memory that grows with what is found; false, and the query has failed, when it is more than allowed. */
bool scan_hold(struct scan *s, size_t bytes);

/* The segments of a view that were left out, of those that had rows in the time. */
void gaps_find(const struct view *v, int64_t from_us, int64_t to_us, struct arena *a, struct gap **gaps, size_t *count);
