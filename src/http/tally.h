/* What was answered, by route, status and time, as Prometheus reads it (text format 0.0.4).
 *
 * Each worker has a table of its own that it alone counts in, without a lock; who adds them up, on any thread, may miss
 * answers of this instant. Labels are the table's routes, never a path as it was asked for, so there are no more series
 * than routes times statuses that they gave. A time is from the first line of a request to its answer, the way of its
 * body here included. */
#pragma once
#include "http/http.h"

struct tally;
struct tally *tally_new(size_t routes);
void tally_free(struct tally *t);

/* route: its place in the table, or the number of routes for what none answers. status: 200 to 599. */
void tally_count(struct tally *t, size_t route, int status, int64_t took_us);

void tally_write(struct tally *const *tallies, size_t count, const struct route *routes, size_t route_count,
                 struct buf *to);
