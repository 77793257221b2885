/* A query as a value: what is asked, with no word of how or from which files. Another engine can turn the same plan
 * into its own language.
 *
 * Rows that a complete record has hidden are in no answer. Records from partial sources are in no statistic, and in a
 * list or count only when the filter speaks of `partial`.
 *
 * Owner: whoever made it; it and what it points to outlive the run. Times in microseconds. */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "query/filter.h"

/* Where a list goes on: behind the row of this time and seq, among those that were there at `as_of`. */
struct cursor {
    bool set;
    int64_t time_us;
    uint64_t seq, as_of;
};

/* What rows are grouped by. KEY_CLASS makes each detection count for its class; an inference without any counts for the
 * class "", a failed one for none. */
enum plan_key { KEY_NONE, KEY_TIME, KEY_MODEL, KEY_CLASS };

struct grouping {
    enum plan_key keys[2]; /* both KEY_NONE: everything is one group */
    bool quantiles;
    uint32_t max_groups; /* more is an error */
};

struct plan {
    uint32_t workspace;
    int64_t from_us, to_us;      /* from included, to not */
    const struct filter *filter; /* NULL: everything */

    /* A list is newest first, by (time, seq). */
    uint32_t limit;
    struct cursor after;

    /* Aggregates over the same rows, read once. */
    const struct grouping *groupings;
    size_t grouping_count;
    int64_t bucket_us; /* KEY_TIME: buckets begin at its multiples */
};

/* All time. */
#define PLAN_FIRST_US (INT64_MIN / 2)
#define PLAN_LAST_US (INT64_MAX / 2)

/* A cursor as text that only we read; false for what isn't one. */
void cursor_write(struct buf *to, const struct cursor *c);
bool cursor_read(struct str text, struct cursor *out);
