/* What a run counted: requests, items, latencies. One owner at a time; threads have one each, added up at the end. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { TALLY_LATENCY = 1 << 20 }; /* latencies by whole microseconds; the last place also takes all slower ones */

struct tally {
    uint64_t requests, items;
    uint64_t created, unchanged; /* ingest: as answered; attach: items whose value was there already */
    uint64_t sum;                /* attach: of work_hash over the acknowledged items, the same in any order */
    uint64_t bytes;              /* sent */
    uint64_t refused;            /* answers of 503, after which the request was sent again */
    int64_t ended_us;
    uint32_t *latency, slowest_us;
};

void tally_init(struct tally *t);
void tally_free(struct tally *t);
void tally_latency(struct tally *t, int64_t us);
void tally_add(struct tally *to, const struct tally *from);
/* The latency that `share` of the requests did not exceed, in milliseconds. */
double tally_ms(const struct tally *t, double share);
/* Members of a JSON object: what was counted since started_us. */
void tally_put(struct buf *to, const struct tally *t, int64_t started_us);
