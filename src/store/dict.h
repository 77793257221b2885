/* A dictionary that grows: values by code, from 1; code 0 is "none". A zeroed struct dict is an empty one. One thread
 * adds, any read and look up at the same time, without a lock: blocks never move, a value is complete before the count
 * that makes it visible, and counted before the index shows it. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "record/record.h"

/* Block k holds 16 << k values and never moves; 28 blocks hold all 32-bit codes. */
enum { DICT_FIRST_BITS = 4, DICT_FIRST = 1 << DICT_FIRST_BITS, DICT_BLOCKS = 32 - DICT_FIRST_BITS };

struct dict_index;
struct dict {
    struct value *_Atomic blocks[DICT_BLOCKS];
    _Atomic uint32_t count;           /* codes 1..count are there */
    struct dict_index *_Atomic index; /* codes by hash of the value; NULL: empty */
};

static inline uint32_t dict_count(const struct dict *d) { return atomic_load_explicit(&d->count, memory_order_acquire); }

/* Which block a code is in, and where in it. */
static inline unsigned dict_place(uint32_t code, uint32_t *at) {
    uint32_t n = code - 1 + DICT_FIRST;
    unsigned block = 31u - (unsigned)__builtin_clz(n) - DICT_FIRST_BITS;
    *at = n - ((uint32_t)DICT_FIRST << block);
    return block;
}

/* The value of a code that was read from a row, came from dict_find, or lies within dict_count. */
static inline const struct value *dict_value(const struct dict *d, uint32_t code) {
    uint32_t at;
    unsigned block = dict_place(code, &at);
    return &atomic_load_explicit(&d->blocks[block], memory_order_acquire)[at];
}

/* The code of a value; 0: it isn't there. Any thread. */
uint32_t dict_find(const struct dict *d, const struct value *v);

/* ---- the writer ---- */

/* The code of a value, given one if it has none. Text is copied to the heap. */
uint32_t dict_intern(struct dict *d, struct arena *heap, const struct value *v);
size_t dict_bytes(const struct dict *d); /* about what it takes, texts apart */
void dict_free(struct dict *d);
