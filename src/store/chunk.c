#include "store/chunk.h"

#include <stdlib.h>

#include "base/check.h"

static uint32_t intern_text(struct chunk *c, enum column column, struct str text) {
    if (text.n == 0) return 0;
    return dict_intern(&c->columns[column], &c->heap, &(struct value){.type = VALUE_STRING, .text = text});
}

/* ---- rows of an id ---- */

bool row_next(const struct chunk *c, const struct ident *i, uint32_t *row, bool *started) {
    uint32_t next =
        *started ? atomic_load_explicit(&chunk_block(c, *row)->next_same_id[*row % BLOCK_ROWS], memory_order_acquire)
                 : atomic_load_explicit(&i->first_row, memory_order_acquire);
    *started = true;
    if (next == 0) return false;
    *row = next - 1;
    return true;
}

bool chunk_row(const struct chunk *c, const struct ident *i, const struct inference *inf, uint32_t index,
               uint32_t *row) {
    struct value model = {.type = VALUE_STRING, .text = inf->model_id};
    uint32_t code = inf->model_id.n ? dict_find(&c->columns[COLUMN_MODEL], &model) : 0;
    if (inf->model_id.n && !code) return false;
    bool started = false;
    while (row_next(c, i, row, &started)) {
        const struct block *b = chunk_block(c, *row);
        uint32_t at = *row % BLOCK_ROWS;
        if (b->model[at] == code && b->index[at] == index && !(row_flags(b, at) & ROW_PARTIAL) == !inf->partial)
            return true;
    }
    return false;
}

struct ident *chunk_ident(struct chunk *c, uint64_t hash, struct str id) {
    struct ident *i = id_table_find(c->ids, hash, id);
    if (i) return i;
    i = ident_new(&c->heap, hash, id);
    id_table_add(c->ids, i);
    return i;
}

/* A frozen chunk is being read as it was at some moment; what came after it is found by this list. */
static void touch(struct chunk *c, struct ident *i) {
    if (!c->frozen || i->touched) return;
    if (c->touched_count == c->touched_room) {
        c->touched_room = c->touched_room ? 2 * c->touched_room : 256;
        c->touched = mem_resize(c->touched, c->touched_room * sizeof *c->touched);
    }
    c->touched[c->touched_count++] = i;
    i->touched = true;
}

/* ---- metadata ---- */

static struct field *field_of(struct chunk *c, uint32_t number) {
    struct field *f = atomic_load_explicit(&c->fields[number], memory_order_relaxed);
    if (f) return f;
    f = mem_zero(1, sizeof *f);
    f->blocks = mem_zero((c->capacity + BLOCK_ROWS - 1) / BLOCK_ROWS, sizeof *f->blocks);
    atomic_store_explicit(&c->fields[number], f, memory_order_release);
    return f;
}

static void field_set(struct chunk *c, struct field *f, uint32_t row, uint32_t code) {
    struct cells *cells = atomic_load_explicit(&f->blocks[row / BLOCK_ROWS], memory_order_relaxed);
    if (!cells) {
        if (code == 0) return;
        cells = mem_zero(1, sizeof *cells);
        c->column_bytes += sizeof *cells;
        atomic_store_explicit(&f->blocks[row / BLOCK_ROWS], cells, memory_order_release);
    }
    atomic_store_explicit(&cells->code[row % BLOCK_ROWS], code, memory_order_release);
}

bool chunk_write(struct chunk *c, struct ident *i, uint32_t field, const struct value *v, uint64_t seq,
                 int64_t time_us, uint32_t key_id) {
    const struct id_field *f = ident_field(i, field);
    const struct history *newest = f ? field_newest(f) : NULL;
    bool removal = v->type == VALUE_NONE;
    if (newest ? newest->seq >= seq : removal) return false;
    struct field *to = field_of(c, field);
    uint32_t code = removal ? 0 : dict_intern(&to->dict, &c->heap, v);
    if (newest && newest->code == code) return false;
    ident_write(i, &c->heap, field,
                &(struct history){.seq = seq, .time_us = time_us, .key_id = key_id, .code = code});
    bool started = false;
    for (uint32_t row; row_next(c, i, &row, &started);) field_set(c, to, row, code);
    touch(c, i);
    return true;
}

/* ---- rows ---- */

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
                     (inf->picture ? ROW_PICTURE : 0) | (suspect ? ROW_CLOCK_SUSPECT : 0) |
                     (inf->assign_index ? ROW_INDEX_ASSIGNED : 0));
}

/* Last in the order of arrival. */
static void link_row(struct chunk *c, struct ident *i, uint32_t row) {
    uint32_t last = i->last_row;
    i->last_row = row + 1;
    i->row_count++;
    if (last)
        atomic_store_explicit(&c->blocks[(last - 1) / BLOCK_ROWS]->next_same_id[(last - 1) % BLOCK_ROWS], row + 1,
                              memory_order_release);
    else
        atomic_store_explicit(&i->first_row, row + 1, memory_order_release);
}

static void note_times(struct chunk *c, uint64_t seq, int64_t received_us, int64_t time_us) {
    if (c->rows == 0) c->opened_us = received_us;
    if (c->rows == 0 || time_us < c->min_time_us) c->min_time_us = time_us;
    if (c->rows == 0 || time_us > c->max_time_us) c->max_time_us = time_us;
    c->last_us = received_us;
    c->last_seq = seq;
}

void chunk_add(struct chunk *c, struct ident *i, uint64_t seq, int64_t received_us, struct str payload,
               const struct inference *inf, uint32_t index, bool hidden) {
    uint32_t row = c->rows, at = row % BLOCK_ROWS;
    CHECK(row < c->capacity && !c->frozen); /* a full one is frozen first */
    if (!c->blocks[row / BLOCK_ROWS]) {
        c->blocks[row / BLOCK_ROWS] = mem_zero(1, sizeof(struct block));
        c->column_bytes += sizeof(struct block);
    }
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
    b->index[at] = index;
    b->detection_count[at] = (uint32_t)inf->detection_count;
    b->detections[at] = copy_detections(c, inf, &b->confidence[at]);
    b->ident[at] = i;
    b->payload[at] = (struct str){arena_copy(&c->heap, payload.p, payload.n), payload.n};
    uint8_t flags = flags_of(inf, b->time_us[at], received_us);
    atomic_store_explicit(&b->flags[at], hidden ? flags | ROW_HIDDEN : flags, memory_order_relaxed);
    for (const struct id_field *f = ident_fields(i); f; f = f->next) {
        uint32_t code = field_newest(f)->code;
        if (code) field_set(c, field_of(c, f->field), row, code);
    }
    note_times(c, seq, received_us, b->time_us[at]);
    atomic_store_explicit(&c->rows, row + 1, memory_order_release);
    link_row(c, i, row);
}

void chunk_hide(struct chunk *c, struct ident *i, uint32_t row) {
    atomic_fetch_or_explicit(&c->blocks[row / BLOCK_ROWS]->flags[row % BLOCK_ROWS], ROW_HIDDEN, memory_order_release);
    touch(c, i);
}

struct chunk *chunk_new(uint32_t capacity, uint32_t max_fields) {
    struct chunk *c = mem_zero(1, sizeof *c);
    c->capacity = capacity;
    c->inherits_us = INT64_MAX;
    c->max_fields = max_fields;
    c->blocks = mem_zero((capacity + BLOCK_ROWS - 1) / BLOCK_ROWS, sizeof *c->blocks);
    c->fields = mem_zero(max_fields, sizeof *c->fields);
    c->ids = id_table_new();
    return c;
}

void chunk_free(struct chunk *c) {
    uint32_t blocks = (c->capacity + BLOCK_ROWS - 1) / BLOCK_ROWS;
    for (uint32_t i = 0; i < blocks; i++) free(c->blocks[i]);
    for (uint32_t i = 0; i < c->max_fields; i++) {
        struct field *f = c->fields[i];
        if (!f) continue;
        for (uint32_t k = 0; k < blocks; k++) free(f->blocks[k]);
        free(f->blocks);
        dict_free(&f->dict);
        free(f);
    }
    for (int i = 0; i < COLUMN_DICTS; i++) dict_free(&c->columns[i]);
    id_table_free(c->ids);
    free(c->touched);
    free(c->map);
    free(c->fields);
    free(c->blocks);
    arena_free(&c->heap);
    free(c);
}
