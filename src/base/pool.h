/* A pool of threads with a bounded queue. Jobs run in the order given, each once, on any of the threads. pool_submit
 * from any thread; pool_free from one, when nobody submits any more: it lets the queued jobs finish. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct pool;
typedef void pool_job(void *arg);

/* name: of its threads, as the debugger shows it (at most 15 bytes). */
struct pool *pool_new(const char *name, unsigned threads, size_t capacity, struct err *e);
bool pool_submit(struct pool *p, pool_job *run, void *arg); /* false: the queue is full */
size_t pool_waiting(struct pool *p);
void pool_free(struct pool *p);
