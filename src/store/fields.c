#include "store/fields.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

struct fields *fields_new(uint32_t most) {
    CHECK(most < UINT32_MAX / 4);
    uint32_t slots = 16;
    while (slots < 2 * (most + OWN_FIELDS)) slots *= 2;
    struct fields *f = mem_zero(1, sizeof *f);
    f->most = most;
    f->names = mem_zero(most + OWN_FIELDS, sizeof *f->names);
    f->slots = mem_zero(slots, sizeof *f->slots);
    f->mask = slots - 1;
    return f;
}

void fields_free(struct fields *f) {
    if (!f) return;
    free(f->names);
    free(f->slots);
    arena_free(&f->heap);
    free(f);
}

/* Index + 1; 0, and where it would go, if the name isn't there. */
static uint32_t look_up(const struct fields *f, struct str name, uint32_t *at) {
    for (*at = (uint32_t)hash_str(name) & f->mask;; *at = (*at + 1) & f->mask) {
        uint32_t slot = atomic_load_explicit(&f->slots[*at], memory_order_acquire);
        if (!slot || str_eq(f->names[slot - 1], name)) return slot;
    }
}

uint32_t fields_named(const struct fields *f) { return fields_count(f) - (fields_find(f, FIELD_UPLOADS) >= 0); }

int fields_find(const struct fields *f, struct str name) {
    uint32_t at;
    return (int)look_up(f, name, &at) - 1;
}

uint32_t fields_of(struct fields *f, struct str name) {
    uint32_t at, known = look_up(f, name, &at);
    if (known) return known - 1;
    uint32_t i = atomic_load_explicit(&f->count, memory_order_relaxed);
    CHECK(i < f->most + OWN_FIELDS);
    f->names[i] = (struct str){arena_copy(&f->heap, name.p, name.n), name.n};
    atomic_store_explicit(&f->count, i + 1, memory_order_release);
    atomic_store_explicit(&f->slots[at], i + 1, memory_order_release);
    return i;
}
