/* Threads that help a query along. A query runs on its own thread and is never without it; helpers that are idle join
 * in, so the more queries run the fewer helpers each has. Threads: crew_run from any; crew_free when no query runs. */
#pragma once
#include "base/err.h"

struct crew;

struct crew *crew_new(unsigned helpers, struct err *e);
void crew_free(struct crew *c);

/* At the most how many threads work at the same time for one caller, itself included. c may be NULL: one. */
unsigned crew_size(const struct crew *c);

/* Calls work(ctx, n) on this thread (n is 0) and, meanwhile, on helpers (n from 1, below crew_size, each once); returns
 * when all of them have returned. `work` takes its share from something that all see, and returns when nothing is left.
 */
void crew_run(struct crew *c, void (*work)(void *ctx, unsigned n), void *ctx);
