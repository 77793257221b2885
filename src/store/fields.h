/* The metadata fields of a workspace: names in the order in which they came into being. Chunks, overlays and what waits
 * number their columns by it. It only grows; it is made anew at start from what the files hold.
 *
 * Owner: the store. One thread adds (the writer); any read and look up at the same time: a name is complete before the
 * count that makes it visible. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"
#include "record/uploads.h"

struct fields {
    uint32_t most; /* of those that users name; there is room for our own beside them */
    _Atomic uint32_t count;
    struct str *names;
    _Atomic uint32_t *slots; /* open addressing by hash of the name, index + 1 or 0; at most half full */
    uint32_t mask;
    struct arena heap;
};

struct fields *fields_new(uint32_t most);
void fields_free(struct fields *f);

static inline uint32_t fields_count(const struct fields *f) { return atomic_load_explicit(&f->count, memory_order_acquire); }
uint32_t fields_named(const struct fields *f); /* how many are users'; any thread */
int fields_find(const struct fields *f, struct str name); /* any thread; -1: not there */
uint32_t fields_of(struct fields *f, struct str name);    /* the writer; adds it. The store keeps users' from passing `most` */
