/* Requests as stock inference servers and the scripts around them send them (headers, bodies, spacing of the JSON;
 * docs/fleet-simulator.md says where the forms come from). Each fills `out` with head and body; `body` is scratch. */
#pragma once
#include "cell.h"

struct wire {
    const struct world *w;
    const char *key, *workspace;
};

/* The last `resent` inferences of the previous cell, then this one's. Without any it is a heartbeat. */
void wire_report(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                 const struct cell *previous, size_t resent);
void wire_metadata(const struct wire *wire, struct buf *out, struct buf *body, const struct writes *writes, bool block);
void wire_aggregate(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                    const struct best *best, size_t count);
void wire_usage(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                const struct failure *f);
