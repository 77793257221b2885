/* The options of the load generator and of the PostgreSQL peer: one table for both. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { MOST_ITEMS = 1000, MOST_CONNECTIONS = 1024 };

struct options {
    const char *url, *workspace, *key; /* of the server */
    const char *conninfo;              /* of PostgreSQL */
    const char *state;                 /* file: what was acknowledged */
    const char *file, *out;
    uint64_t seed, events;
    int64_t end_us;
    uint64_t first, extra, pending;
    uint32_t unknown, recent;
    unsigned cell; /* which attach run on the same store it is: each has a field and unknown ids of its own */
    unsigned open_percent, sealed_percent, unknown_percent, repeat_percent;
    unsigned items; /* a request */
    bool one_entry; /* the ids shape: one entry holding all ids, with one value */
    unsigned connections, threads, workspaces;
    double seconds, rate;
    uint64_t requests; /* at most, 0: as many as the time allows */
    unsigned sample, rounds;
    bool until_closed;
};

/* `--name value` from argv[2] on, what stands before is the caller's; --help prints the table and ends with 0. */
bool options_read(struct options *o, int argc, char **argv, struct err *e);
