#include "query/lookup.h"

#include <stdlib.h>

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static struct value value_of(struct arena *a, const struct field *f, uint32_t code) {
    if (code == 0) return (struct value){0};
    struct value v = *dict_value(&f->dict, code);
    if (v.type == VALUE_STRING) v.text = copy(a, v.text);
    return v;
}

/* ---- one id ---- */

static int latest_first(const void *x, const void *y) {
    const struct change *a = x, *b = y;
    return a->seq < b->seq ? 1 : a->seq > b->seq ? -1 : 0;
}

static const struct history *newest(const struct id_field *f) {
    return atomic_load_explicit(&f->newest, memory_order_acquire);
}

/* What hangs behind a head once read stays as it is, so each head is read once and kept. */
static void load_history(const struct chunk *c, const struct id_field *fields, struct arena *a, struct one *out) {
    size_t present = 0, writes = 0;
    for (const struct id_field *f = fields; f; f = f->next) present++;
    const struct history **heads = arena_alloc(a, present * sizeof *heads);
    present = 0;
    for (const struct id_field *f = fields; f; f = f->next, present++)
        for (const struct history *h = heads[present] = newest(f); h; h = h->older) writes++;
    out->history = arena_alloc(a, writes * sizeof *out->history);
    out->metadata = arena_alloc(a, present * sizeof *out->metadata);
    present = 0;
    for (const struct id_field *f = fields; f; f = f->next, present++) {
        const struct field *field = c->fields[f->field];
        struct str name = copy(a, field->name);
        const struct history *h = heads[present];
        if (h->code) out->metadata[out->metadata_count++] = (struct entry){name, value_of(a, field, h->code)};
        for (; h; h = h->older)
            out->history[out->history_count++] =
                (struct change){.field = name,
                                .value = value_of(a, field, h->code),
                                .previous = value_of(a, field, h->older ? h->older->code : 0),
                                .time_us = h->time_us,
                                .seq = h->seq,
                                .key_id = h->key_id};
    }
    qsort(out->history, out->history_count, sizeof *out->history, latest_first);
}

static bool allowed(const struct chunk *c, uint32_t row, const struct which *w) {
    const struct block *b = chunk_block(c, row);
    uint32_t at = row % BLOCK_ROWS, model = b->model[at];
    if (w->by_index && b->index[at] != w->index) return false;
    return !w->by_model || str_eq(model ? dict_value(&c->columns[COLUMN_MODEL], model)->text : STR(""), w->model_id);
}

static bool row_has(const struct chunk *c, uint32_t row, uint8_t flag) {
    return row_flags(chunk_block(c, row), row % BLOCK_ROWS) & flag;
}

/* The row to show, false when there is none. */
static bool choose_row(const struct chunk *c, const struct ident *ident, const struct which *w, uint32_t *chosen) {
    bool any = false, started = false;
    for (uint32_t row = 0; row_next(c, ident, &row, &started);) {
        if (row_has(c, row, ROW_HIDDEN) || !allowed(c, row, w)) continue;
        if (!any) *chosen = row;
        any = true;
        if (row_has(c, row, ROW_PARTIAL)) continue;
        *chosen = row;
        return true;
    }
    return any;
}

static void load_siblings(const struct chunk *c, const struct ident *ident, uint32_t chosen, struct arena *a,
                          struct one *out) {
    size_t room = 0;
    bool started = false;
    for (uint32_t row = 0; row_next(c, ident, &row, &started);) room++;
    out->siblings = arena_alloc(a, room * sizeof *out->siblings);
    started = false;
    for (uint32_t row = 0; row_next(c, ident, &row, &started) && out->sibling_count < room;) {
        if (row == chosen || row_has(c, row, ROW_HIDDEN)) continue;
        const struct block *b = chunk_block(c, row);
        uint32_t model = b->model[row % BLOCK_ROWS];
        out->siblings[out->sibling_count++] = (struct sibling){
            model ? copy(a, dict_value(&c->columns[COLUMN_MODEL], model)->text) : STR(""), b->index[row % BLOCK_ROWS]};
    }
}

bool query_one(const struct view *v, struct str id, const struct which *which, struct arena *a, struct one *out,
               struct err *e) {
    *out = (struct one){0};
    const struct chunk *c = v ? v->open : NULL;
    const struct ident *ident = c ? chunk_find(c, id) : NULL;
    if (!ident) return true;
    out->known = true;
    out->pending = !atomic_load_explicit(&ident->first_row, memory_order_acquire);
    load_history(c, atomic_load_explicit(&ident->fields, memory_order_acquire), a, out);
    uint32_t row;
    out->found = choose_row(c, ident, which, &row);
    if (!out->found) return true;
    load_siblings(c, ident, row, a, out);
    return hit_load(c, row, a, &out->hit, e);
}

/* ---- fields ---- */

/* How often each code of a field occurs. Codes that came after the query began are not counted. */
struct tally {
    uint32_t limit;
    uint32_t *counts;
};

static void count_block(const struct scan *s, const struct field *f, struct tally *t) {
    const struct cells *cells = atomic_load_explicit(&f->blocks[s->number], memory_order_acquire);
    if (!cells) return;
    struct bitmap left = s->rows;
    unsigned word = 0;
    for (uint32_t at; bitmap_take(&left, &word, &at);) {
        uint32_t code = atomic_load_explicit(&cells->code[at], memory_order_relaxed);
        if (code && code <= t->limit) t->counts[code]++;
    }
}

static void add_top(struct field_stats *s, uint32_t count, uint32_t code, uint32_t codes[FIELD_TOP]) {
    size_t at = s->top_count;
    while (at > 0 && s->top[at - 1].count < count) at--;
    if (at == FIELD_TOP) return;
    if (s->top_count < FIELD_TOP) s->top_count++;
    for (size_t i = s->top_count - 1; i > at; i--) s->top[i] = s->top[i - 1], codes[i] = codes[i - 1];
    s->top[at].count = count;
    codes[at] = code;
}

static void summarize(const struct field *f, const struct tally *t, struct arena *a, struct field_stats *out) {
    uint32_t top[FIELD_TOP];
    out->name = copy(a, f->name);
    for (uint32_t code = 1; code <= t->limit; code++) {
        uint32_t n = t->counts[code];
        if (n == 0) continue;
        enum value_type type = dict_value(&f->dict, code)->type;
        out->inferences += n;
        out->values++;
        *(type == VALUE_STRING ? &out->strings : type == VALUE_NUMBER ? &out->numbers : &out->booleans) += n;
        add_top(out, n, code, top);
    }
    for (size_t i = 0; i < out->top_count; i++) out->top[i].value = value_of(a, f, top[i]);
}

bool query_fields(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                  struct field_stats **fields, size_t *count, struct err *e) {
    *count = 0;
    *fields = NULL;
    const struct chunk *c = v ? v->open : NULL;
    if (!c) return true;
    struct scan s;
    uint32_t field_count = chunk_field_count(c);
    struct tally *tallies = arena_alloc(a, field_count * sizeof *tallies);
    scan_begin(&s, v, p, filter_mentions(p->filter, FIELD_PARTIAL), control, a, e);
    for (uint32_t i = 0; i < field_count; i++) {
        tallies[i].limit = dict_count(&c->fields[i]->dict);
        tallies[i].counts = arena_alloc(a, ((size_t)tallies[i].limit + 1) * sizeof(uint32_t));
    }
    while (scan_next(&s))
        for (uint32_t i = 0; i < field_count; i++) count_block(&s, c->fields[i], &tallies[i]);
    if (s.failed) return false;
    *fields = arena_alloc(a, field_count * sizeof **fields);
    for (uint32_t i = 0; i < field_count; i++) {
        struct field_stats *to = &(*fields)[*count];
        summarize(c->fields[i], &tallies[i], a, to);
        *count += to->inferences > 0;
    }
    return true;
}

static void count_pending(void *ctx, const struct ident *ident) {
    struct pending *out = ctx;
    if (atomic_load_explicit(&ident->first_row, memory_order_acquire)) return;
    bool waits = false;
    for (const struct id_field *f = atomic_load_explicit(&ident->fields, memory_order_acquire); f; f = f->next) {
        waits = true;
        const struct history *h = newest(f);
        while (h->older) h = h->older;
        if (out->oldest_us == 0 || h->time_us < out->oldest_us) out->oldest_us = h->time_us;
    }
    out->ids += waits;
}

void query_pending(const struct view *v, struct pending *out) {
    *out = (struct pending){0};
    if (v && v->open && atomic_load_explicit(&v->open->pending_count, memory_order_relaxed))
        chunk_each_id(v->open, count_pending, out);
}
