/* A chunk: up to SEGMENT_ROWS inferences of a workspace that no segment holds yet, their metadata cells, the ids they
 * have and the history of each id. The open chunk takes rows; a frozen one only what is attached to its rows, until the
 * keeper has made a segment of it.
 *
 * Owner: the store. One thread writes (the writer); any number read at the same time, without a lock, through a view
 * (view.h). What makes that safe: blocks never move; a row, a dictionary entry, a column is complete before the count or
 * pointer that makes it visible is published with release; readers take it with acquire. A metadata cell is one atomic
 * code. What can change on a published row is only: its cells, its flags, its link to the next row of the same id.
 *
 * A history hangs behind its head and never changes, and every entry has its sequence number: that is how the keeper
 * sees a chunk as it was at some moment, while the writer goes on.
 *
 * A code is a value's place in a dictionary, from 1; code 0 is "none". Times in microseconds, latencies in seconds. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"
#include "record/record.h"
#include "store/dict.h"
#include "store/ids.h"
#include "store/row.h"

/* ---- rows ---- */

struct row_detection {
    double confidence;   /* NAN: unknown */
    uint32_t class_code; /* in dict CLASS */
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
    struct ident *ident[BLOCK_ROWS];
    struct str payload[BLOCK_ROWS]; /* the encoded inference (record.h), for what isn't a column */
    _Atomic uint8_t flags[BLOCK_ROWS];
    _Atomic uint32_t next_same_id[BLOCK_ROWS]; /* row + 1 */
};

struct cells {
    _Atomic uint32_t code[BLOCK_ROWS];
};

/* The column of a metadata field: its dictionary, and cells in blocks that exist once something was written there. */
struct field {
    struct dict dict;
    struct cells *_Atomic *blocks; /* chunk's capacity / BLOCK_ROWS pointers */
};

#define CHUNK_APART 0x80000000u

struct chunk {
    uint32_t capacity; /* rows */
    _Atomic uint32_t rows;
    struct block **blocks;
    struct dict columns[COLUMN_DICTS];
    uint32_t max_fields;
    struct field *_Atomic *fields; /* by the workspace's numbers; NULL: nothing written */
    struct id_table *ids;
    struct arena heap;    /* the writer's: idents, history, payloads */
    size_t column_bytes;  /* of its blocks of rows and cells: the writer's */
    _Atomic size_t bytes; /* about what it takes in all, as of the last record */

    /* The store's. */
    _Atomic int64_t opened_us, last_us; /* when the first and the latest row came, by their receipt */
    uint64_t opened_generation;         /* of the view in which it first appeared */
    uint64_t last_seq;          /* of its newest row; once frozen: of the last record before the next chunk's */
    int64_t min_time_us, max_time_us;
    /* Something in it depends on rows in older parts: a history, a place, what is hidden. The least time of such a row,
     * or of the latest in its segment; INT64_MAX: nothing does. */
    _Atomic int64_t inherits_us;
    bool frozen;
    struct ident **touched; /* once frozen: ids that were attached to or hidden since the keeper looked */
    uint32_t touched_count, touched_room;
    struct sealed *into[2]; /* once sealed: the segments its rows went to */
    uint32_t *map;          /* row -> row there, with CHUNK_APART for into[1] */
    uint32_t users;         /* views that hold it */
};

static inline uint32_t chunk_rows(const struct chunk *c) { return atomic_load_explicit(&c->rows, memory_order_acquire); }
static inline const struct block *chunk_block(const struct chunk *c, uint32_t row) { return c->blocks[row / BLOCK_ROWS]; }
static inline const struct field *chunk_field(const struct chunk *c, uint32_t field) {
    return atomic_load_explicit(&c->fields[field], memory_order_acquire);
}
static inline size_t chunk_bytes(const struct chunk *c) {
    return atomic_load_explicit(&c->bytes, memory_order_relaxed);
}
static inline uint8_t row_flags(const struct block *b, uint32_t at) {
    return atomic_load_explicit(&b->flags[at], memory_order_relaxed);
}

/* The cells of a field in a block of rows; NULL: nothing there. `f` may be NULL. */
static inline const struct cells *field_cells(const struct field *f, uint32_t block) {
    return f ? atomic_load_explicit(&f->blocks[block], memory_order_acquire) : NULL;
}
/* The code in a row's cell of a field; 0: none. */
static inline uint32_t field_code(const struct field *f, uint32_t row) {
    const struct cells *cells = field_cells(f, row / BLOCK_ROWS);
    return cells ? atomic_load_explicit(&cells->code[row % BLOCK_ROWS], memory_order_acquire) : 0;
}

/* ---- readers: any thread ---- */

static inline const struct ident *chunk_find(const struct chunk *c, uint64_t hash, struct str id) {
    return id_table_find(c->ids, hash, id);
}
bool row_next(const struct chunk *c, const struct ident *i, uint32_t *row, bool *started); /* rows of one id, in order of arrival */

/* The row of this model, index and kind; false: none. */
bool chunk_row(const struct chunk *c, const struct ident *i, const struct inference *inf, uint32_t index, uint32_t *row);

/* The newest write of a field up to a sequence number; NULL: none. */
static inline const struct history *history_at(const struct history *h, uint64_t seq) {
    while (h && h->seq > seq) h = h->older;
    return h;
}

/* ---- the writer ---- */

struct chunk *chunk_new(uint32_t capacity, uint32_t max_fields);
void chunk_free(struct chunk *c);

struct ident *chunk_ident(struct chunk *c, uint64_t hash, struct str id); /* made when it isn't there */

/* One write of one field of an id, for all its rows. False: that was the value already, or a later write is there. */
bool chunk_write(struct chunk *c, struct ident *i, uint32_t field, const struct value *v, uint64_t seq, int64_t time_us,
                 uint32_t key_id);

/* A row, behind those that are there; its cells are what the id has. `hidden`: see ROW_HIDDEN. */
void chunk_add(struct chunk *c, struct ident *i, uint64_t seq, int64_t received_us, struct str payload,
               const struct inference *inf, uint32_t index, bool hidden);
void chunk_hide(struct chunk *c, struct ident *i, uint32_t row);
