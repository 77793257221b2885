/* What was attached to a segment's rows since the segment was written: cells over its columns. Until the keeper folds it
 * into a new version of the segment, every reader lays it over the columns: a cell that is not OVERLAY_NONE stands for
 * what the segment says.
 *
 * Owner: the store. One thread writes (the writer), any read at the same time. What makes that safe is what makes a
 * chunk's cells safe: blocks never move, a cell is one atomic code, a dictionary entry is complete before its code is
 * anywhere. Entries are the history of these writes, in order. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "store/dict.h"
#include "store/row.h"

enum { OVERLAY_BLOCKS = SEGMENT_ROWS / BLOCK_ROWS, OVERLAY_ENTRY_BLOCKS = 24 };

/* What a cell holds: nothing; a removal; else a code of the field's dictionary. */
#define OVERLAY_NONE 0
#define OVERLAY_REMOVED UINT32_MAX

struct overlay_cells {
    _Atomic uint32_t code[BLOCK_ROWS];
};

struct overlay_field {
    struct dict dict;
    struct overlay_cells *_Atomic blocks[OVERLAY_BLOCKS];
};

/* One write of one cell. */
struct overlay_entry {
    uint64_t seq;
    int64_t time_us;
    uint32_t key_id, row, field, code; /* code 0: a removal */
};

struct overlay {
    uint32_t max_fields;
    struct overlay_field *_Atomic *fields;        /* by workspace field; NULL: nothing written */
    _Atomic uint8_t *_Atomic hidden;              /* by row; NULL: none. 1: ROW_HIDDEN */
    struct overlay_entry *_Atomic entries[OVERLAY_ENTRY_BLOCKS]; /* block k holds 256 << k */
    _Atomic uint32_t entry_count;
    _Atomic uint32_t hidden_count;
    _Atomic uint64_t first_seq; /* of the oldest write in it, a hiding included; UINT64_MAX: none */
    _Atomic size_t bytes;       /* about what it takes */
    struct arena heap;          /* the writer's */
};

struct overlay *overlay_new(uint32_t max_fields);
void overlay_free(struct overlay *o);

/* ---- readers ---- */

static inline const struct overlay_field *overlay_field(const struct overlay *o, uint32_t field) {
    return atomic_load_explicit(&o->fields[field], memory_order_acquire);
}
/* NULL: nothing in this block. */
static inline const struct overlay_cells *overlay_cells(const struct overlay_field *f, uint32_t block) {
    return f ? atomic_load_explicit(&f->blocks[block], memory_order_acquire) : NULL;
}
static inline uint32_t overlay_code(const struct overlay_field *f, uint32_t row) {
    const struct overlay_cells *c = overlay_cells(f, row / BLOCK_ROWS);
    return c ? atomic_load_explicit(&c->code[row % BLOCK_ROWS], memory_order_acquire) : OVERLAY_NONE;
}
static inline bool overlay_hidden(const struct overlay *o, uint32_t row) {
    const _Atomic uint8_t *h = atomic_load_explicit(&o->hidden, memory_order_acquire);
    return h && atomic_load_explicit(&h[row], memory_order_relaxed);
}
static inline uint32_t overlay_count(const struct overlay *o) {
    return atomic_load_explicit(&o->entry_count, memory_order_acquire);
}
const struct overlay_entry *overlay_entry(const struct overlay *o, uint32_t n); /* n below overlay_count */

/* ---- the writer ---- */

void overlay_set(struct overlay *o, uint64_t seq, int64_t time_us, uint32_t key_id, uint32_t row, uint32_t field,
                 const struct value *v); /* VALUE_NONE: removal */
void overlay_hide(struct overlay *o, uint64_t seq, uint32_t row);
