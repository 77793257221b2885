/* `--name value` options by a table. Texts point into argv. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum arg_kind {
    ARG_TEXT,    /* const char * */
    ARG_FLAG,    /* bool, takes no value */
    ARG_COUNT64, /* uint64_t, as the two below from least to most */
    ARG_COUNT32, /* uint32_t */
    ARG_COUNT,   /* unsigned */
    ARG_TIME,    /* int64_t, microseconds since 1970 */
    ARG_WHEN,    /* int64_t of the same, told as RFC 3339 */
    ARG_DECIMAL, /* double, not negative */
    ARG_SHAPE,   /* bool: `ids`, else `entries` */
};

struct arg {
    const char *name;
    enum arg_kind kind;
    size_t at; /* in what is filled */
    uint64_t least, most;
    const char *help;
};

/* Fills `to`, which has the defaults, from argv[first] on. --help prints usage and table, and ends with 0. */
bool args_read(const struct arg *table, size_t count, void *to, int argc, char **argv, int first, const char *usage,
               struct err *e);
