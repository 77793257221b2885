/* Names that people take for one another: what differs only in case, or in spaces, '_', '-' and '.', there or not. */
#pragma once
#include <stddef.h>

#include "base/mem.h"
#include "base/str.h"

enum { NEAR_MOST = 16 };

struct near {
    struct str names[NEAR_MOST]; /* in order; those beyond are left out */
    size_t count;
};

/* near[i]: the others of `names` that are near names[i]. In the arena; the names stay the caller's. */
struct near *near_names(struct arena *a, const struct str *names, size_t count);
