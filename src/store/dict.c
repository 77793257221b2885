#include "store/dict.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* Open addressing, at most half full. A slot holds a code and, above it, 32 bits of its value's hash: a probe meets
 * values only where these agree, and growing meets none. Only the writer inserts. An index that has grown too small is
 * replaced, and kept with the dictionary, since a reader may be looking at it; all that are kept take less than the
 * newest. */
struct dict_index {
    struct dict_index *older;
    uint32_t mask;
    _Atomic uint64_t slots[]; /* 0: empty */
};

enum { INDEX_FIRST = 16 };

static uint32_t value_hash(const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: return (uint32_t)hash_str(v->text);
    case VALUE_NUMBER: {
        double n = v->number + 0.0; /* -0 and 0 are equal, so they must hash alike */
        return (uint32_t)hash_str((struct str){(const char *)&n, sizeof n}) ^ 1;
    }
    case VALUE_BOOL: return v->truth ? 2 : 3;
    case VALUE_NONE: break;
    }
    WRONG("a value of no type in a dictionary");
}

/* The code of a value; 0, and where it would go, if it isn't there. */
static uint32_t look_up(const struct dict *d, const struct dict_index *x, uint32_t hash, const struct value *v,
                        uint32_t *at) {
    for (*at = hash & x->mask;; *at = (*at + 1) & x->mask) {
        uint64_t slot = atomic_load_explicit(&x->slots[*at], memory_order_acquire);
        if (!slot) return 0;
        if (slot >> 32 == hash && value_eq(dict_value(d, (uint32_t)slot), v)) return (uint32_t)slot;
    }
}

uint32_t dict_find(const struct dict *d, const struct value *v) {
    const struct dict_index *x = atomic_load_explicit(&d->index, memory_order_acquire);
    uint32_t at;
    return x ? look_up(d, x, value_hash(v), v, &at) : 0;
}

static struct dict_index *grow(struct dict *d, struct dict_index *old) {
    uint64_t slots = old ? 2 * ((uint64_t)old->mask + 1) : INDEX_FIRST;
    struct dict_index *x = mem_zero(1, sizeof *x + slots * sizeof x->slots[0]);
    x->older = old;
    x->mask = (uint32_t)(slots - 1);
    for (uint64_t i = 0; old && i <= old->mask; i++) {
        uint64_t slot = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (!slot) continue;
        uint32_t at = (uint32_t)(slot >> 32) & x->mask;
        while (atomic_load_explicit(&x->slots[at], memory_order_relaxed)) at = (at + 1) & x->mask;
        atomic_store_explicit(&x->slots[at], slot, memory_order_relaxed);
    }
    atomic_store_explicit(&d->index, x, memory_order_release);
    return x;
}

uint32_t dict_intern(struct dict *d, struct arena *heap, const struct value *v) {
    struct dict_index *x = atomic_load_explicit(&d->index, memory_order_relaxed);
    uint32_t hash = value_hash(v), at, known = x ? look_up(d, x, hash, v, &at) : 0;
    if (known) return known;

    uint32_t count = atomic_load_explicit(&d->count, memory_order_relaxed), code = count + 1, place;
    if (!x || count > x->mask / 2) {
        x = grow(d, x);
        look_up(d, x, hash, v, &at);
    }
    unsigned block = dict_place(code, &place);
    if (place == 0)
        atomic_store_explicit(&d->blocks[block], mem_zero((size_t)DICT_FIRST << block, sizeof(struct value)),
                              memory_order_release);
    struct value *to = &atomic_load_explicit(&d->blocks[block], memory_order_relaxed)[place];
    *to = *v;
    if (v->type == VALUE_STRING) to->text.p = arena_copy(heap, v->text.p, v->text.n);
    atomic_store_explicit(&d->count, code, memory_order_release);
    atomic_store_explicit(&x->slots[at], (uint64_t)hash << 32 | code, memory_order_release);
    return code;
}

size_t dict_bytes(const struct dict *d) {
    const struct dict_index *x = atomic_load_explicit(&d->index, memory_order_relaxed);
    return dict_count(d) * sizeof(struct value) + (x ? 2 * ((size_t)x->mask + 1) * sizeof x->slots[0] : 0);
}

void dict_free(struct dict *d) {
    for (int i = 0; i < DICT_BLOCKS; i++) free(d->blocks[i]);
    for (struct dict_index *x = d->index, *older; x; x = older) {
        older = x->older;
        free(x);
    }
    *d = (struct dict){.count = 0};
}
