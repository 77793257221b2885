#include "store/chunk.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- dictionaries ---- */

static uint64_t value_hash(const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: return hash_str(v->text);
    case VALUE_NUMBER: {
        double n = v->number + 0.0; /* -0 and 0 are equal, so they must hash alike */
        return hash_str((struct str){(const char *)&n, sizeof n}) ^ 1;
    }
    case VALUE_BOOL: return v->truth ? 2 : 3;
    case VALUE_NONE: break;
    }
    WRONG("a value of no type in a dictionary");
}

uint32_t dict_find(const struct dict *d, const struct value *v) {
    uint32_t count = dict_count(d);
    for (uint32_t code = 1; code <= count; code++)
        if (value_eq(dict_value(d, code), v)) return code;
    return 0;
}

static void dict_grow(struct dict *d) {
    uint32_t count = dict_count(d), slots = d->slot_count ? d->slot_count * 2 : 64;
    free(d->slots);
    d->slots = mem_zero(slots, sizeof *d->slots);
    d->slot_count = slots;
    for (uint32_t code = 1; code <= count; code++) {
        uint64_t at = value_hash(dict_value(d, code)) & (slots - 1);
        while (d->slots[at]) at = (at + 1) & (slots - 1);
        d->slots[at] = code;
    }
}

/* The code of a value, given one if it has none. Text is copied to the heap. */
static uint32_t dict_intern(struct dict *d, struct arena *heap, const struct value *v) {
    uint32_t count = dict_count(d);
    if (count + 1 > d->slot_count / 2) dict_grow(d);
    uint64_t at = value_hash(v) & (d->slot_count - 1);
    for (; d->slots[at]; at = (at + 1) & (d->slot_count - 1))
        if (value_eq(dict_value(d, d->slots[at]), v)) return d->slots[at];

    uint32_t code = count + 1, place;
    unsigned block = dict_place(code, &place);
    if (!atomic_load_explicit(&d->blocks[block], memory_order_relaxed))
        atomic_store_explicit(&d->blocks[block], mem_zero((size_t)DICT_FIRST << block, sizeof(struct value)),
                              memory_order_release);
    struct value *to = &atomic_load_explicit(&d->blocks[block], memory_order_relaxed)[place];
    *to = *v;
    if (v->type == VALUE_STRING) to->text.p = arena_copy(heap, v->text.p, v->text.n);
    d->slots[at] = code;
    atomic_store_explicit(&d->count, code, memory_order_release);
    return code;
}

static uint32_t intern_text(struct chunk *c, enum column column, struct str text) {
    if (text.n == 0) return 0;
    return dict_intern(&c->columns[column], &c->heap, &(struct value){.type = VALUE_STRING, .text = text});
}

static void dict_free(struct dict *d) {
    for (int i = 0; i < DICT_BLOCKS; i++) free(d->blocks[i]);
    free(d->slots);
}

/* ---- ids ---- */

/* Open addressing over the ids' hashes. Only the writer inserts; nothing is ever taken out. A table that has grown too
 * small is replaced, and kept until the chunk goes, since a reader may be looking at it. */
struct id_table {
    struct id_table *retired;
    uint64_t mask;
    struct id_slot {
        uint64_t hash;
        struct ident *_Atomic ident; /* published last */
    } slots[];
};

static struct id_table *id_table_new(uint64_t slots) {
    struct id_table *t = mem_zero(1, sizeof *t + slots * sizeof t->slots[0]);
    t->mask = slots - 1;
    return t;
}

static struct id_slot *id_slot_find(struct id_table *t, uint64_t hash, struct str id) {
    for (uint64_t at = hash & t->mask;; at = (at + 1) & t->mask) {
        struct id_slot *s = &t->slots[at];
        const struct ident *i = atomic_load_explicit(&s->ident, memory_order_acquire);
        if (!i || (s->hash == hash && str_eq(ident_str(i), id))) return s;
    }
}

static void id_table_grow(struct chunk *c) {
    struct id_table *old = c->ids, *t = id_table_new((old->mask + 1) * 2);
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct ident *ident = atomic_load_explicit(&old->slots[i].ident, memory_order_relaxed);
        if (!ident) continue;
        uint64_t at = old->slots[i].hash & t->mask;
        while (atomic_load_explicit(&t->slots[at].ident, memory_order_relaxed)) at = (at + 1) & t->mask;
        t->slots[at].hash = old->slots[i].hash;
        atomic_store_explicit(&t->slots[at].ident, ident, memory_order_relaxed);
    }
    old->retired = c->retired;
    c->retired = old;
    atomic_store_explicit(&c->ids, t, memory_order_release);
}

const struct ident *chunk_find(const struct chunk *c, struct str id) {
    struct id_table *t = atomic_load_explicit(&c->ids, memory_order_acquire);
    return atomic_load_explicit(&id_slot_find(t, hash_str(id), id)->ident, memory_order_acquire);
}

static struct ident *ident_of(struct chunk *c, struct str id, bool make) {
    if (c->id_count + 1 > (c->ids->mask + 1) / 2) id_table_grow(c);
    uint64_t hash = hash_str(id);
    struct id_slot *s = id_slot_find(c->ids, hash, id);
    struct ident *i = atomic_load_explicit(&s->ident, memory_order_relaxed);
    if (i || !make) return i;
    i = arena_alloc(&c->heap, sizeof *i + id.n);
    i->length = (uint32_t)id.n;
    memcpy(i->bytes, id.p, id.n);
    s->hash = hash;
    atomic_store_explicit(&s->ident, i, memory_order_release);
    c->id_count++;
    c->pending_count++; /* until it has a row */
    return i;
}

void chunk_each_id(const struct chunk *c, void (*call)(void *ctx, const struct ident *i), void *ctx) {
    struct id_table *t = atomic_load_explicit(&c->ids, memory_order_acquire);
    for (uint64_t i = 0; i <= t->mask; i++) {
        const struct ident *ident = atomic_load_explicit(&t->slots[i].ident, memory_order_acquire);
        if (ident) call(ctx, ident);
    }
}

bool row_next(const struct chunk *c, const struct ident *i, uint32_t *row, bool *started) {
    uint32_t next =
        *started ? atomic_load_explicit(&chunk_block(c, *row)->next_same_id[*row % BLOCK_ROWS], memory_order_acquire)
                 : atomic_load_explicit(&i->first_row, memory_order_acquire);
    *started = true;
    if (next == 0) return false;
    *row = next - 1;
    return true;
}

/* ---- fields ---- */

int chunk_field_index(const struct chunk *c, struct str name) {
    uint32_t count = chunk_field_count(c);
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(c->fields[i]->name, name)) return (int)i;
    return -1;
}

static uint32_t field_of(struct chunk *c, struct str name) {
    int known = chunk_field_index(c, name);
    if (known >= 0) return (uint32_t)known;
    uint32_t i = c->field_count;
    CHECK(i < c->max_fields); /* store.c refuses the write that would pass it */
    struct field *f = mem_zero(1, sizeof *f);
    f->name = (struct str){arena_copy(&c->heap, name.p, name.n), name.n};
    f->blocks = mem_zero(c->capacity / BLOCK_ROWS, sizeof *f->blocks);
    c->fields[i] = f;
    atomic_store_explicit(&c->field_count, i + 1, memory_order_release);
    return i;
}

static void field_set(struct field *f, uint32_t row, uint32_t code) {
    struct cells *cells = atomic_load_explicit(&f->blocks[row / BLOCK_ROWS], memory_order_relaxed);
    if (!cells) {
        if (code == 0) return;
        cells = mem_zero(1, sizeof *cells);
        atomic_store_explicit(&f->blocks[row / BLOCK_ROWS], cells, memory_order_release);
    }
    atomic_store_explicit(&cells->code[row % BLOCK_ROWS], code, memory_order_release);
}

static struct id_field *id_field_of(struct chunk *c, struct ident *i, uint32_t field, bool make) {
    struct id_field *head = atomic_load_explicit(&i->fields, memory_order_relaxed);
    for (struct id_field *f = head; f; f = f->next)
        if (f->field == field) return f;
    if (!make) return NULL;
    struct id_field *f = arena_alloc(&c->heap, sizeof *f);
    f->field = field;
    f->next = head;
    return f; /* the caller links it once it has a history */
}

/* ---- rows ---- */

/* The place of a row for this inference: OUTCOME_CREATED and the index it gets, or why it gets none. */
static enum outcome place_row(struct chunk *c, const struct ident *i, struct str payload, const struct inference *inf,
                              uint32_t *index) {
    uint32_t model = intern_text(c, COLUMN_MODEL, inf->model_id), row = 0;
    *index = inf->index;
    for (bool moved = true; moved;) { /* rows need not be in order of index: until a round finds nothing */
        moved = false;
        bool started = false;
        while (row_next(c, i, &row, &started)) {
            const struct block *b = chunk_block(c, row);
            uint32_t at = row % BLOCK_ROWS;
            if (b->model[at] != model || b->index[at] != *index || !(row_flags(b, at) & ROW_PARTIAL) != !inf->partial)
                continue;
            if (!inf->assign_index) return str_eq(b->payload[at], payload) ? OUTCOME_UNCHANGED : OUTCOME_CONFLICT;
            (*index)++;
            moved = true;
        }
    }
    return OUTCOME_CREATED;
}

bool chunk_holds(const struct chunk *c, const struct inference *inf) {
    const struct ident *i = inf->assign_index ? NULL : chunk_find(c, inf->id);
    uint32_t model =
                 i ? dict_find(&c->columns[COLUMN_MODEL], &(struct value){.type = VALUE_STRING, .text = inf->model_id})
                   : 0,
             row = 0;
    bool started = false;
    while (model && row_next(c, i, &row, &started)) {
        const struct block *b = chunk_block(c, row);
        uint32_t at = row % BLOCK_ROWS;
        if (b->model[at] == model && b->index[at] == inf->index && !(row_flags(b, at) & ROW_PARTIAL) == !inf->partial)
            return true;
    }
    return false;
}

/* A complete record hides the partial ones of its id, model and index; a partial one that comes after it is hidden. */
static bool hide_partial(struct chunk *c, const struct ident *i, uint32_t model, uint32_t index, bool partial) {
    uint32_t row = 0;
    bool started = false, hidden = false;
    while (row_next(c, i, &row, &started)) {
        struct block *b = c->blocks[row / BLOCK_ROWS];
        uint32_t at = row % BLOCK_ROWS;
        if (b->model[at] != model || b->index[at] != index) continue;
        if (partial)
            hidden |= !(row_flags(b, at) & ROW_PARTIAL);
        else if (row_flags(b, at) & ROW_PARTIAL)
            atomic_fetch_or_explicit(&b->flags[at], ROW_HIDDEN, memory_order_release);
    }
    return hidden;
}

/* Last in the order of arrival. */
static void link_row(struct chunk *c, struct ident *i, uint32_t row) {
    uint32_t last = i->last_row;
    i->last_row = row + 1;
    if (last) {
        atomic_store_explicit(&c->blocks[(last - 1) / BLOCK_ROWS]->next_same_id[(last - 1) % BLOCK_ROWS], row + 1,
                              memory_order_release);
    } else {
        c->pending_count--;
        atomic_store_explicit(&i->first_row, row + 1, memory_order_release);
    }
}

static const struct row_detection *copy_detections(struct chunk *c, const struct inference *inf, double *top) {
    struct row_detection *d = arena_alloc(&c->heap, inf->detection_count * sizeof *d);
    *top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++) {
        d[i].confidence = inf->detections[i].confidence;
        d[i].class_code = intern_text(c, COLUMN_CLASS, inf->detections[i].class_name);
        if (isnan(*top) || d[i].confidence > *top) *top = d[i].confidence;
    }
    return d;
}

enum { DAY_S = 86400 };

static uint8_t flags_of(const struct inference *inf, int64_t time_us, int64_t received_us) {
    bool suspect =
        time_us > received_us + (int64_t)DAY_S * 1000000 || time_us < received_us - (int64_t)DAY_S * 365 * 1000000;
    return (uint8_t)((inf->error.n ? ROW_ERROR : 0) | (inf->partial ? ROW_PARTIAL : 0) |
                     (inf->picture ? ROW_PICTURE : 0) | (suspect ? ROW_CLOCK_SUSPECT : 0));
}

enum outcome chunk_add(struct chunk *c, uint64_t seq, int64_t received_us, struct str payload,
                       const struct inference *inf, uint32_t *index) {
    atomic_store_explicit(&c->seq, seq, memory_order_release);
    struct ident *ident = ident_of(c, inf->id, true);
    enum outcome outcome = place_row(c, ident, payload, inf, index);
    if (outcome != OUTCOME_CREATED) {
        *(outcome == OUTCOME_CONFLICT ? &c->conflicts : &c->unchanged) += 1;
        return outcome;
    }
    uint32_t row = c->rows, at = row % BLOCK_ROWS;
    CHECK(row < c->capacity); /* store.c refuses the write that would pass it */
    if (!c->blocks[row / BLOCK_ROWS]) c->blocks[row / BLOCK_ROWS] = mem_zero(1, sizeof(struct block));
    struct block *b = c->blocks[row / BLOCK_ROWS];
    b->received_us[at] = received_us;
    b->time_us[at] = inf->time_us == TIME_UNKNOWN ? received_us : inf->time_us;
    b->seq[at] = seq;
    b->latency_s[at] = inf->latency_s;
    b->model[at] = intern_text(c, COLUMN_MODEL, inf->model_id);
    b->model_name[at] = intern_text(c, COLUMN_MODEL_NAME, inf->model_name);
    b->device[at] = intern_text(c, COLUMN_DEVICE, inf->device_id);
    b->source[at] = intern_text(c, COLUMN_SOURCE, inf->source);
    b->source_info[at] = intern_text(c, COLUMN_SOURCE_INFO, inf->source_info);
    b->server[at] = intern_text(c, COLUMN_SERVER, inf->server_id);
    b->index[at] = *index;
    b->detection_count[at] = (uint32_t)inf->detection_count;
    b->detections[at] = copy_detections(c, inf, &b->confidence[at]);
    b->ident[at] = ident;
    b->payload[at] = (struct str){arena_copy(&c->heap, payload.p, payload.n), payload.n};
    uint8_t flags = flags_of(inf, b->time_us[at], received_us);
    if (hide_partial(c, ident, b->model[at], *index, inf->partial)) flags |= ROW_HIDDEN;
    atomic_store_explicit(&b->flags[at], flags, memory_order_relaxed);
    for (struct id_field *f = ident->fields; f; f = f->next) field_set(c->fields[f->field], row, f->newest->code);
    atomic_store_explicit(&c->rows, row + 1, memory_order_release);
    link_row(c, ident, row);
    return OUTCOME_CREATED;
}

/* ---- metadata ---- */

void chunk_attach(struct chunk *c, uint64_t seq, int64_t time_us, const struct attach *a,
                  struct attach_counts *counts) {
    atomic_store_explicit(&c->seq, seq, memory_order_release);
    *counts = (struct attach_counts){0};
    bool removal = a->value.type == VALUE_NONE;
    int known = chunk_field_index(c, a->field);
    if (removal && known < 0) {
        counts->unchanged = (uint32_t)a->id_count;
        return;
    }
    uint32_t field = known >= 0 ? (uint32_t)known : field_of(c, a->field);
    uint32_t code = removal ? 0 : dict_intern(&c->fields[field]->dict, &c->heap, &a->value);
    for (size_t n = 0; n < a->id_count; n++) {
        struct ident *ident = ident_of(c, a->ids[n], !removal);
        struct id_field *f = ident ? id_field_of(c, ident, field, !removal) : NULL;
        const struct history *newest = f ? f->newest : NULL;
        if (code == (newest ? newest->code : 0)) {
            counts->unchanged++;
            continue;
        }
        struct history *h = arena_alloc(&c->heap, sizeof *h);
        *h = (struct history){.older = newest, .seq = seq, .time_us = time_us, .key_id = a->key_id, .code = code};
        atomic_store_explicit(&f->newest, h, memory_order_release);
        if (!newest) atomic_store_explicit(&ident->fields, f, memory_order_release);
        uint32_t row = 0;
        bool started = false;
        while (row_next(c, ident, &row, &started)) field_set(c->fields[field], row, code);
        (*(ident->first_row ? &counts->applied : &counts->pending))++;
    }
}

struct chunk *chunk_new(uint32_t capacity, uint32_t max_fields) {
    struct chunk *c = mem_zero(1, sizeof *c);
    c->capacity = (capacity + BLOCK_ROWS - 1) / BLOCK_ROWS * BLOCK_ROWS;
    c->max_fields = max_fields;
    c->blocks = mem_zero(c->capacity / BLOCK_ROWS, sizeof *c->blocks);
    c->fields = mem_zero(max_fields, sizeof *c->fields);
    c->ids = id_table_new(1024);
    return c;
}

void chunk_free(struct chunk *c) {
    for (uint32_t i = 0; i < c->capacity / BLOCK_ROWS; i++) free(c->blocks[i]);
    for (uint32_t i = 0; i < c->field_count; i++) {
        struct field *f = c->fields[i];
        for (uint32_t k = 0; k < c->capacity / BLOCK_ROWS; k++) free(f->blocks[k]);
        free(f->blocks);
        dict_free(&f->dict);
        free(f);
    }
    for (int i = 0; i < COLUMN_DICTS; i++) dict_free(&c->columns[i]);
    for (struct id_table *t = c->retired, *next; t; t = next) {
        next = t->retired;
        free(t);
    }
    free(c->ids);
    free(c->fields);
    free(c->blocks);
    arena_free(&c->heap);
    free(c);
}
