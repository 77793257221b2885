/* The open chunk of a workspace: the inferences that no segment holds yet, their metadata cells, every id seen or
 * waited for, and the history of each id.
 *
 * Owner: the store. One thread writes (the writer); any number read at the same time, without a lock, through a view
 * (store.h). What makes that safe: blocks never move; a row, a dictionary entry, a field is complete before the count
 * that makes it visible is published with release; readers take the count with acquire. A metadata cell is one atomic
 * code. What can change on a published row is only: its cells, its flags, its link to the next row of the same id.
 *
 * A code is a value's place in a dictionary, from 1; code 0 is "none". Times in microseconds, latencies in seconds. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"
#include "record/record.h"

enum { BLOCK_ROWS = 4096 };

/* ---- dictionaries ---- */

/* Block k holds 256 << k values and never moves; 24 blocks hold all 32-bit codes. */
enum { DICT_FIRST = 256, DICT_BLOCKS = 24 };

struct dict {
    struct value *_Atomic blocks[DICT_BLOCKS];
    _Atomic uint32_t count; /* codes 1..count are there */
    uint32_t *slots;        /* the writer's: open addressing, code or 0 */
    uint32_t slot_count;
};

static inline uint32_t dict_count(const struct dict *d) { return atomic_load_explicit(&d->count, memory_order_acquire); }

/* Which block a code is in, and where in it. */
static inline unsigned dict_place(uint32_t code, uint32_t *at) {
    uint32_t n = code - 1 + DICT_FIRST;
    unsigned block = 31u - (unsigned)__builtin_clz(n) - 8u;
    *at = n - ((uint32_t)DICT_FIRST << block);
    return block;
}

/* The value of a code that was read from a row or lies within dict_count. */
static inline const struct value *dict_value(const struct dict *d, uint32_t code) {
    uint32_t at;
    unsigned block = dict_place(code, &at);
    return &atomic_load_explicit(&d->blocks[block], memory_order_acquire)[at];
}

/* The code of a value, 0 if it isn't there; by scan, so that readers need no lock. */
uint32_t dict_find(const struct dict *d, const struct value *v);

/* ---- ids, history ---- */

/* One write of one field of one id. `code` 0 is a removal. */
struct history {
    const struct history *older;
    uint64_t seq;
    int64_t time_us;
    uint32_t key_id;
    uint32_t code;
};

/* What one id has in one field: the newest write; its code is the current value. */
struct id_field {
    struct id_field *next;
    uint32_t field; /* index into the chunk's fields */
    const struct history *_Atomic newest;
};

/* An id that has rows, metadata, or both. One with metadata and no row is pending. */
struct ident {
    struct id_field *_Atomic fields;
    _Atomic uint32_t first_row; /* row + 1; 0: pending */
    uint32_t last_row;          /* the writer's: row + 1 */
    uint32_t length;
    char bytes[];
};

static inline struct str ident_str(const struct ident *i) { return (struct str){i->bytes, i->length}; }

/* ---- rows ---- */

struct row_detection {
    double confidence; /* NAN: unknown */
    uint32_t class_code; /* in dict CLASS */
};

enum row_flags {
    ROW_ERROR = 1,
    ROW_PARTIAL = 2,
    ROW_HIDDEN = 4, /* partial, and a complete one of the same id, model and index exists */
    ROW_PICTURE = 8,
    ROW_CLOCK_SUSPECT = 16, /* its time is over a day ahead of when it was received, or over a year behind */
};

struct block {
    int64_t time_us[BLOCK_ROWS];
    int64_t received_us[BLOCK_ROWS];
    uint64_t seq[BLOCK_ROWS];
    double latency_s[BLOCK_ROWS];  /* NAN: unknown */
    double confidence[BLOCK_ROWS]; /* the top detection's; NAN: no detection */
    uint32_t model[BLOCK_ROWS], device[BLOCK_ROWS], source[BLOCK_ROWS], source_info[BLOCK_ROWS], server[BLOCK_ROWS],
        model_name[BLOCK_ROWS]; /* codes */
    uint32_t index[BLOCK_ROWS];
    uint32_t detection_count[BLOCK_ROWS];
    const struct row_detection *detections[BLOCK_ROWS];
    const struct ident *ident[BLOCK_ROWS];
    struct str payload[BLOCK_ROWS]; /* the encoded inference (record.h), for what isn't a column */
    _Atomic uint8_t flags[BLOCK_ROWS];
    _Atomic uint32_t next_same_id[BLOCK_ROWS]; /* row + 1 */
};

/* The dictionaries of the text columns. */
enum column { COLUMN_MODEL, COLUMN_DEVICE, COLUMN_SOURCE, COLUMN_SOURCE_INFO, COLUMN_SERVER, COLUMN_MODEL_NAME, COLUMN_CLASS, COLUMN_DICTS };

struct cells {
    _Atomic uint32_t code[BLOCK_ROWS];
};

/* A metadata field: its dictionary, and a column of cells in blocks that exist once something was written there. */
struct field {
    struct str name;
    struct dict dict;
    struct cells *_Atomic *blocks; /* chunk's capacity / BLOCK_ROWS pointers */
};

struct chunk {
    uint32_t capacity; /* rows */
    _Atomic uint32_t rows;
    struct block **blocks;
    struct dict columns[COLUMN_DICTS];

    uint32_t max_fields;
    struct field **fields;
    _Atomic uint32_t field_count;

    struct id_table *_Atomic ids;
    _Atomic uint32_t id_count, pending_count;
    _Atomic uint64_t seq; /* of the newest record applied */

    struct arena heap;              /* the writer's: idents, history, payloads */
    struct id_table *retired;       /* smaller tables that a reader may still be looking at */
    _Atomic uint64_t conflicts;     /* different content under a known (id, model, index), since the start */
    _Atomic uint64_t unchanged;     /* the same again */
};

static inline uint32_t chunk_rows(const struct chunk *c) { return atomic_load_explicit(&c->rows, memory_order_acquire); }
static inline const struct block *chunk_block(const struct chunk *c, uint32_t row) { return c->blocks[row / BLOCK_ROWS]; }
static inline uint32_t chunk_field_count(const struct chunk *c) {
    return atomic_load_explicit(&c->field_count, memory_order_acquire);
}
static inline uint8_t row_flags(const struct block *b, uint32_t at) {
    return atomic_load_explicit(&b->flags[at], memory_order_relaxed);
}

/* The code in a row's cell of a field; 0: none. */
static inline uint32_t field_code(const struct field *f, uint32_t row) {
    const struct cells *cells = atomic_load_explicit(&f->blocks[row / BLOCK_ROWS], memory_order_acquire);
    return cells ? atomic_load_explicit(&cells->code[row % BLOCK_ROWS], memory_order_acquire) : 0;
}

/* ---- readers: any thread ---- */

const struct ident *chunk_find(const struct chunk *c, struct str id);                       /* NULL: never heard of */
int chunk_field_index(const struct chunk *c, struct str name);                              /* -1: no such field */
bool row_next(const struct chunk *c, const struct ident *i, uint32_t *row, bool *started); /* rows of one id, in order of arrival */

/* Whether there is a row of this id, model and index already, so that adding it would make none. */
bool chunk_holds(const struct chunk *c, const struct inference *inf);

/* Calls back for each id, in no order; those that arrive meanwhile may be missed. */
void chunk_each_id(const struct chunk *c, void (*call)(void *ctx, const struct ident *i), void *ctx);

/* ---- the writer ---- */

enum outcome { OUTCOME_NONE, OUTCOME_CREATED, OUTCOME_UNCHANGED, OUTCOME_CONFLICT };

struct chunk *chunk_new(uint32_t capacity, uint32_t max_fields);
void chunk_free(struct chunk *c);

/* Applies a record that the journal holds. Both are functions of the chunk and the record alone, so that replay comes
 * to the same end. `index` is where the inference stands, which an assigned index may have moved. */
enum outcome chunk_add(struct chunk *c, uint64_t seq, int64_t received_us, struct str payload, const struct inference *inf,
                       uint32_t *index);

struct attach_counts {
    uint32_t applied, pending, unchanged; /* ids */
};
void chunk_attach(struct chunk *c, uint64_t seq, int64_t time_us, const struct attach *a, struct attach_counts *counts);
