/* What is sent, and what a server that does everything right has of it afterwards: worked out from the world without
 * asking anybody. Counts always; lines a file of --truth, in the order of windows, then containers. One thread. */
#pragma once
#include <stdio.h>

#include "cell.h"

struct counts {
    uint64_t inferences, empty, detections, latencies;
    uint64_t confidence_sum; /* of the detections, in 1/10000 */
    uint64_t latency_sum;    /* in 1/10000 s */
};

enum { NAMES = FIELDS + 2 }; /* fields that have two names */
struct field_count {
    const char *name;
    uint64_t inferences;
};

struct truth {
    const struct world *w;
    struct counts all, *models, *devices, *days;
    int64_t first_day, day_count; /* days since 1970, of the clocks that the inferences were told by */
    int64_t from_us, to_us;       /* the inferences' own times; to_us is past the last */
    struct field_count fields[NAMES];
    uint64_t reports, heartbeats, resent, failures, failure_records, aggregates, partial_kept;
    uint64_t applied, joined, never, never_ids; /* metadata writes; of those that wait for ever the ids too */
    FILE *inferences, *metadata, *failed, *duplicates, *partial;
};

/* Goes through everything; writes what settings.truth asks for. */
bool truth_make(struct truth *t, const struct world *w, struct err *e);
void truth_free(struct truth *t);
