/* Ids and the history of their metadata: the table behind chunks (ids that have rows) and behind what waits (ids that
 * have none).
 *
 * One thread changes a table (the writer), any look things up at the same time, without a lock: an ident is complete
 * before its slot shows it, a history hangs behind its head and never changes. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

/* One write of one field of one id. `code` 0 is a removal. */
struct history {
    const struct history *older;
    uint64_t seq;
    int64_t time_us;
    uint32_t key_id;
    uint32_t code; /* in the dictionary of the table's owner */
};

/* What one id has in one field: the newest write; its code is the current value. */
struct id_field {
    struct id_field *next;
    uint32_t field; /* of the workspace (fields.h) */
    const struct history *_Atomic newest;
};

struct ident {
    uint64_t hash; /* id_hash() */
    struct id_field *_Atomic fields;
    _Atomic uint32_t first_row; /* of a chunk: row + 1; 0: none yet */
    uint32_t last_row;          /* the writer's: row + 1 */
    uint32_t row_count;         /* the writer's */
    bool touched;               /* the writer's: stands in the chunk's list of those */
    uint32_t length;
    char bytes[];
};

static inline struct str ident_str(const struct ident *i) { return (struct str){i->bytes, i->length}; }
static inline const struct history *field_newest(const struct id_field *f) {
    return atomic_load_explicit(&f->newest, memory_order_acquire);
}
static inline const struct id_field *ident_fields(const struct ident *i) {
    return atomic_load_explicit(&i->fields, memory_order_acquire);
}

struct id_table;
struct id_table *id_table_new(void);
void id_table_free(struct id_table *t); /* not the idents */

/* ---- readers ---- */

void id_table_prefetch(const struct id_table *t, uint64_t hash);
struct ident *id_table_find(const struct id_table *t, uint64_t hash, struct str id); /* NULL: not there */
uint32_t id_table_count(const struct id_table *t);
size_t id_table_bytes(const struct id_table *t);
/* Calls back for each id, in no order; those that arrive or go meanwhile may be missed. */
void id_table_each(const struct id_table *t, void (*call)(void *ctx, struct ident *i), void *ctx);

/* The id's entry for a field; NULL: none. */
const struct id_field *ident_field(const struct ident *i, uint32_t field);

/* ---- the writer ---- */

void id_table_add(struct id_table *t, struct ident *i);          /* which is not there */
void id_table_remove(struct id_table *t, const struct ident *i); /* a reader may hold it on */

/* When the table has become too small, too large or too full of what was removed, its inside is replaced, and kept
 * until id_table_free, since a reader may be looking at it. Whose table takes ids in and out for ever takes it from
 * here after each change, and gives it to free() once no reader can hold it. NULL: there is none. */
void *id_table_take_replaced(struct id_table *t);

struct ident *ident_new(struct arena *heap, uint64_t hash, struct str id);

/* Puts a write on top of what the id has in a field; what is older than it is filled in. */
void ident_write(struct ident *i, struct arena *heap, uint32_t field, const struct history *write);
