#include "store/overlay.h"

#include <stdlib.h>

#include "base/check.h"

enum { ENTRIES_FIRST_BITS = 8 };

struct overlay *overlay_new(uint32_t max_fields) {
    struct overlay *o = mem_zero(1, sizeof *o);
    o->max_fields = max_fields;
    o->fields = mem_zero(max_fields, sizeof *o->fields);
    o->first_seq = UINT64_MAX;
    o->bytes = sizeof *o + max_fields * sizeof *o->fields;
    return o;
}

void overlay_free(struct overlay *o) {
    if (!o) return;
    for (uint32_t i = 0; i < o->max_fields; i++) {
        struct overlay_field *f = o->fields[i];
        if (!f) continue;
        for (int k = 0; k < OVERLAY_BLOCKS; k++) free(f->blocks[k]);
        dict_free(&f->dict);
        free(f);
    }
    for (int i = 0; i < OVERLAY_ENTRY_BLOCKS; i++) free(o->entries[i]);
    free((void *)o->hidden);
    free(o->fields);
    arena_free(&o->heap);
    free(o);
}

/* As dict_place. */
static unsigned place_entry(uint32_t n, uint32_t *at) {
    unsigned block = 31u - (unsigned)__builtin_clz(n + (1u << ENTRIES_FIRST_BITS)) - ENTRIES_FIRST_BITS;
    *at = n + (1u << ENTRIES_FIRST_BITS) - (1u << ENTRIES_FIRST_BITS << block);
    return block;
}

const struct overlay_entry *overlay_entry(const struct overlay *o, uint32_t n) {
    uint32_t at;
    unsigned block = place_entry(n, &at);
    return &atomic_load_explicit(&o->entries[block], memory_order_acquire)[at];
}

static void grew(struct overlay *o, size_t bytes) {
    atomic_store_explicit(&o->bytes, atomic_load_explicit(&o->bytes, memory_order_relaxed) + bytes, memory_order_relaxed);
}

static void saw(struct overlay *o, uint64_t seq) {
    if (seq < atomic_load_explicit(&o->first_seq, memory_order_relaxed))
        atomic_store_explicit(&o->first_seq, seq, memory_order_release);
}

static struct overlay_field *field_of(struct overlay *o, uint32_t field) {
    CHECK(field < o->max_fields);
    struct overlay_field *f = atomic_load_explicit(&o->fields[field], memory_order_relaxed);
    if (f) return f;
    f = mem_zero(1, sizeof *f);
    grew(o, sizeof *f);
    atomic_store_explicit(&o->fields[field], f, memory_order_release);
    return f;
}

static uint32_t code_of(struct overlay *o, struct overlay_field *f, const struct value *v) {
    if (v->type == VALUE_NONE) return 0;
    size_t before = dict_bytes(&f->dict) + o->heap.total;
    uint32_t code = dict_intern(&f->dict, &o->heap, v);
    grew(o, dict_bytes(&f->dict) + o->heap.total - before);
    return code;
}

static void append(struct overlay *o, const struct overlay_entry *e) {
    uint32_t n = atomic_load_explicit(&o->entry_count, memory_order_relaxed), at;
    unsigned block = place_entry(n, &at);
    if (at == 0)
        atomic_store_explicit(&o->entries[block], mem_zero((size_t)1 << ENTRIES_FIRST_BITS << block, sizeof *e),
                              memory_order_release);
    atomic_load_explicit(&o->entries[block], memory_order_relaxed)[at] = *e;
    grew(o, sizeof *e);
    atomic_store_explicit(&o->entry_count, n + 1, memory_order_release);
}

void overlay_set(struct overlay *o, uint64_t seq, int64_t time_us, uint32_t key_id, uint32_t row, uint32_t field,
                 const struct value *v) {
    CHECK(row < SEGMENT_ROWS);
    struct overlay_field *f = field_of(o, field);
    uint32_t code = code_of(o, f, v);
    saw(o, seq);
    append(o, &(struct overlay_entry){
                  .seq = seq, .time_us = time_us, .key_id = key_id, .row = row, .field = field, .code = code});
    struct overlay_cells *cells = atomic_load_explicit(&f->blocks[row / BLOCK_ROWS], memory_order_relaxed);
    if (!cells) {
        cells = mem_zero(1, sizeof *cells);
        grew(o, sizeof *cells);
        atomic_store_explicit(&f->blocks[row / BLOCK_ROWS], cells, memory_order_release);
    }
    atomic_store_explicit(&cells->code[row % BLOCK_ROWS], code ? code : OVERLAY_REMOVED, memory_order_release);
}

void overlay_hide(struct overlay *o, uint64_t seq, uint32_t row) {
    CHECK(row < SEGMENT_ROWS);
    saw(o, seq);
    _Atomic uint8_t *hidden = atomic_load_explicit(&o->hidden, memory_order_relaxed);
    if (!hidden) {
        hidden = mem_zero(SEGMENT_ROWS, sizeof *hidden);
        grew(o, SEGMENT_ROWS * sizeof *hidden);
        atomic_store_explicit(&o->hidden, hidden, memory_order_release);
    }
    if (atomic_exchange_explicit(&hidden[row], 1, memory_order_release) == 0)
        atomic_fetch_add_explicit(&o->hidden_count, 1, memory_order_release);
}
