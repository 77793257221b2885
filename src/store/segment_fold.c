#include "base/check.h"
#include "base/guard.h"
#include "store/segment_finish.h"
#include "store/segment_texts.h"

/* What a fold holds on to: it is given back by segment_fold_write, also when reading the old segment fails midway. */
struct fold {
    const struct segment *from;
    const struct segment_fold *f;
    struct arena a;
    struct arrow_table t;
    struct textset names;        /* of the fields */
    struct textset fresh, other; /* dictionaries at hand */
    uint32_t **by_field;         /* changes of each field, in order of (row, seq) */
    uint32_t *by_field_count;
};

/* ---- dictionaries ---- */

/* One that takes in further texts. Codes above `old->count` are those of `fresh`, the further texts in the order in
 * which they came. Texts that `used` leaves out go. Fills in places by code. */
static struct arrow_dict merge(const struct segment_dict *old, const struct str *fresh, uint32_t fresh_count,
                               const bool *used, struct arena *a, uint32_t *places) {
    struct arrow_dict sorted = textset_sort(fresh, fresh_count, used + old->count, a, places + old->count);
    const struct segment_dict added = {sorted.count - 1, sorted.offsets.p, sorted.bytes.p};
    struct str *list = arena_alloc(a, ((size_t)old->count + added.count) * sizeof *list);
    uint32_t *moved = arena_alloc(a, (added.count + (size_t)1) * sizeof *moved), count = 0;
    places[0] = 0;
    for (uint32_t i = 1, k = 1; i <= old->count || k <= added.count;) {
        bool before = i <= old->count, same = false;
        if (before && k <= added.count) {
            int order = str_cmp(segment_dict_text(old, i), segment_dict_text(&added, k));
            before = order <= 0;
            same = order == 0;
        }
        bool keep = !before || used[i] || same;
        if (keep) list[count++] = before ? segment_dict_text(old, i) : segment_dict_text(&added, k);
        if (before) places[i++] = keep ? count : 0;
        if (!before || same) moved[k++] = count;
    }
    for (uint32_t i = 1; i <= fresh_count; i++) places[old->count + i] = moved[places[old->count + i]];
    return textset_dict(list, count, a);
}

/* The dictionary of a column whose codes are those of `old`, then those of `fresh`; gives the codes their places. */
static void merge_column(struct arrow_column *c, uint32_t *codes, const struct segment_dict *old,
                         const struct textset *fresh, struct arena *a) {
    size_t count = (size_t)old->count + fresh->count + 1;
    bool *used = arena_alloc(a, count * sizeof *used);
    uint32_t *places = arena_alloc(a, count * sizeof *places);
    for (uint64_t i = 0; i < c->length; i++) used[codes[i]] = true;
    c->dict = merge(old, textset_list(fresh, a), fresh->count, used, a, places);
    for (uint64_t i = 0; i < c->length; i++) codes[i] = places[codes[i]];
    c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = codes, .n = c->length * sizeof *codes};
}

/* ---- columns that stay as they are ---- */

static void copy(struct fold *fold, const struct arrow_column *c) {
    for (unsigned i = 0; i < arrow_buffer_count(c); i++) segment_check_sum(fold->from, c, &c->buffers[i]);
    if (c->coded) {
        segment_check_sum(fold->from, c, &c->dict.offsets);
        segment_check_sum(fold->from, c, &c->dict.bytes);
    }
    fold->t.columns[fold->t.column_count++] = *c;
}

static void copy_fixed(struct fold *fold) {
    const struct arrow_table *old = &fold->from->parts->table;
    for (uint32_t i = 0; i < old->column_count && !old->columns[i].field.p; i++) copy(fold, &old->columns[i]);
}

/* Where a column of the old table stands in the new one: those of a segment come first, in the same order. */
static struct arrow_column *same_column(const struct fold *fold, int column) {
    const struct segment_parts *p = fold->from->parts;
    return &fold->t.columns[p->columns[column] - p->table.columns];
}

static void hide(struct fold *fold) {
    const struct segment_fold *f = fold->f;
    if (f->hidden_count == 0) return;
    struct arrow_column *c = same_column(fold, SEG_FLAGS);
    uint8_t *flags = arena_copy(&fold->a, SEG(fold->from, FLAGS), fold->from->rows);
    for (size_t i = 0; i < f->hidden_count; i++) {
        CHECK(f->hidden[i] < fold->from->rows);
        flags[f->hidden[i]] |= ROW_HIDDEN;
    }
    c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = flags, .n = fold->from->rows};
}

/* Nothing that a fold changes is in it. One that is missing or not sound is made of the rows. */
static void keep_summary(struct fold *fold) {
    struct summary is;
    if (segment_summary(fold->from, &is)) {
        fold->t.summary = fold->from->parts->table.summary;
    } else {
        struct summary_rows rows = segment_summary_rows(fold->from);
        struct str bytes = summary_make(&rows, &fold->a);
        fold->t.summary = (struct arrow_buffer){.p = bytes.p, .n = bytes.n};
    }
}

/* ---- fields ---- */

/* The values of a field that something changes in. */
struct cells {
    uint32_t *codes;
    double *numbers;
    uint8_t *truths, *truths_known;
};

static struct cells cells_of(const struct segment_field *old, uint32_t rows, struct arena *a) {
    size_t bits = (rows + (size_t)7) / 8;
    struct cells c = {arena_alloc(a, rows * sizeof *c.codes), arena_alloc(a, rows * sizeof *c.numbers),
                      arena_alloc(a, bits), arena_alloc(a, bits)};
    for (uint32_t i = 0; i < rows; i++) {
        c.codes[i] = old && old->codes ? old->codes[i] : CODE_NULL;
        c.numbers[i] = old && old->numbers ? old->numbers[i] : NAN;
    }
    if (old && old->truths) {
        memcpy(c.truths, old->truths, bits);
        memcpy(c.truths_known, old->truths_known, bits);
    }
    if (rows % 8) c.truths_known[bits - 1] &= (uint8_t)((1 << rows % 8) - 1);
    return c;
}

static void set_cell(struct fold *fold, const struct cells *c, const struct segment_change *change,
                     uint32_t old_texts) {
    uint32_t row = change->row;
    const struct value *v = &change->change.value;
    uint8_t bit = (uint8_t)(1 << row % 8);
    c->codes[row] = v->type == VALUE_STRING ? old_texts + textset_add(&fold->fresh, v->text) : CODE_NULL;
    c->numbers[row] = v->type == VALUE_NUMBER && !isnan(v->number) ? v->number : NAN;
    c->truths[row / 8] &= (uint8_t)~bit;
    c->truths_known[row / 8] &= (uint8_t)~bit;
    if (v->type != VALUE_BOOL) return;
    c->truths_known[row / 8] |= bit;
    if (v->truth) c->truths[row / 8] |= bit;
}

/* Columns are there when there is a value in them. */
static void put_cells(struct fold *fold, const struct cells *cells, const struct segment_dict *old, struct str name) {
    struct arrow_table *t = &fold->t;
    uint32_t rows = fold->from->rows;
    bool text = false, number = false, truth = false;
    for (uint32_t i = 0; i < rows; i++) {
        text |= cells->codes[i] != CODE_NULL;
        number |= !isnan(cells->numbers[i]);
        truth |= cells->truths_known[i / 8] != 0;
    }
    if (text) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_TEXT, rows, &fold->a);
        merge_column(c, cells->codes, old, &fold->fresh, &fold->a);
        segment_null(c, &fold->a);
    }
    if (number) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_NUMBER, rows, &fold->a);
        c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = cells->numbers, .n = rows * sizeof *cells->numbers};
        segment_null(c, &fold->a);
    }
    if (truth) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_BOOL, rows, &fold->a);
        c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = cells->truths, .n = (rows + (uint64_t)7) / 8};
        segment_null_bits(c, cells->truths_known);
    }
}

static const uint32_t no_offsets[2];

static void fold_field(struct fold *fold, uint32_t field, struct segment_part_field *part) {
    const struct segment_field *old = NULL;
    struct segment_dict dict = {.offsets = no_offsets};
    if (part) {
        if (!atomic_load_explicit(&part->checked, memory_order_acquire)) segment_check_field(fold->from, part);
        old = &part->shown;
        if (old->codes) dict = old->dict;
    }
    if (fold->by_field_count[field] == 0) {
        for (int k = 0; part && k < SEGMENT_KIND_COUNT; k++)
            if (part->columns[k]) copy(fold, part->columns[k]);
        return;
    }
    struct cells cells = cells_of(old, fold->from->rows, &fold->a);
    textset_free(&fold->fresh);
    for (uint32_t i = 0; i < fold->by_field_count[field]; i++)
        set_cell(fold, &cells, &fold->f->changes[fold->by_field[field][i]], dict.count);
    put_cells(fold, &cells, &dict, fold->f->fields[field - 1]);
}

static void fold_fields(struct fold *fold) {
    const struct segment *from = fold->from;
    struct segment_part_field **parts =
        arena_alloc(&fold->a, (fold->names.count + (size_t)1) * sizeof(struct segment_part_field *));
    for (uint32_t i = 0; i < from->field_count; i++) {
        uint32_t field = textset_find(&fold->names, segment_field_name(from, i));
        CHECK(field);
        parts[field] = &from->parts->fields[i];
    }
    for (uint32_t i = 1; i <= fold->names.count; i++) fold_field(fold, i, parts[i]);
}

/* Sorts the changes by field. */
static void group(struct fold *fold) {
    const struct segment_fold *f = fold->f;
    uint32_t *fields = arena_alloc(&fold->a, f->change_count * sizeof *fields);
    fold->by_field = arena_alloc(&fold->a, (f->field_count + 1) * sizeof(uint32_t *));
    fold->by_field_count = arena_alloc(&fold->a, (f->field_count + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < f->change_count; i++) {
        const struct segment_change *c = &f->changes[i];
        CHECK(c->row < fold->from->rows && (i == 0 || c[-1].row <= c->row));
        fields[i] = textset_find(&fold->names, c->change.field);
        CHECK(fields[i]);
        fold->by_field_count[fields[i]]++;
    }
    for (size_t i = 1; i <= f->field_count; i++) {
        fold->by_field[i] = arena_alloc(&fold->a, fold->by_field_count[i] * sizeof(uint32_t));
        fold->by_field_count[i] = 0;
    }
    for (size_t i = 0; i < f->change_count; i++)
        fold->by_field[fields[i]][fold->by_field_count[fields[i]]++] = (uint32_t)i;
}

/* ---- history ---- */

/* The columns of the history with more entries: what stood before, copied in runs, and what comes in between. */
struct history_copy {
    const void *old;
    void *to;
    size_t width;
};

/* Which changes go into the history: those of rows that are the first of their id. */
static uint32_t first_rows(struct fold *fold, bool *is_first) {
    const uint32_t *next = SEG(fold->from, SAME_ID);
    uint32_t count = 0;
    for (uint32_t i = 0; i < fold->from->rows; i++) is_first[i] = true;
    for (uint32_t i = 0; i < fold->from->rows; i++)
        if (next[i]) is_first[next[i] - 1] = false;
    for (size_t i = 0; i < fold->f->change_count; i++) count += is_first[fold->f->changes[i].row];
    return count;
}

static uint32_t history_code(struct fold *fold, const struct value *v, uint32_t old_texts) {
    if (v->type == VALUE_NONE) return CODE_NULL;
    return old_texts + textset_add(&fold->other, segment_json(&fold->a, v));
}

static void fold_history(struct fold *fold) {
    static const int columns[] = {SEG_H_FIELD, SEG_H_SEQ, SEG_H_TIME, SEG_H_KEY, SEG_H_VALUE};
    static const size_t widths[] = {4, 8, 8, 4, 4};
    enum { FIELD, SEQ, TIME, KEY, VALUE, ALL };
    const struct segment *from = fold->from;
    const struct segment_dict *names = segment_texts(from, SEG_H_FIELD), *values = segment_texts(from, SEG_H_VALUE);
    bool *is_first = arena_alloc(&fold->a, from->rows * sizeof *is_first);
    uint32_t added = first_rows(fold, is_first);
    if (added == 0) return;
    const uint32_t *old_ends = segment_values(from, SEG_HISTORY);
    uint32_t *ends = arena_copy(&fold->a, old_ends, (from->rows + (size_t)1) * sizeof *ends);
    uint64_t total = (uint64_t)old_ends[from->rows] + added;
    struct history_copy h[ALL];
    for (int i = 0; i < ALL; i++) {
        struct arrow_column *c = same_column(fold, columns[i]);
        h[i] = (struct history_copy){segment_values(from, columns[i]), arena_alloc(&fold->a, total * widths[i]),
                                     widths[i]};
        c->length = total;
        c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = h[i].to, .n = total * widths[i]};
    }
    same_column(fold, SEG_H_FIELD)[-1].length = total;
    textset_free(&fold->fresh);
    uint32_t done = 0, at = 0, row = 0;
    for (size_t k = 0; k <= fold->f->change_count; k++) {
        const struct segment_change *c = k < fold->f->change_count ? &fold->f->changes[k] : NULL;
        if (c && !is_first[c->row]) continue;
        uint32_t until = c ? old_ends[c->row + 1] : old_ends[from->rows], last = c ? c->row : from->rows;
        for (int i = 0; i < ALL; i++)
            memcpy((char *)h[i].to + at * h[i].width, (const char *)h[i].old + done * h[i].width,
                   (until - done) * h[i].width);
        at += until - done;
        for (; row < last; row++) ends[row + 1] = old_ends[row + 1] + (at - until);
        done = until;
        if (!c) break;
        ((uint32_t *)h[FIELD].to)[at] = names->count + textset_add(&fold->fresh, c->change.field);
        ((uint64_t *)h[SEQ].to)[at] = c->change.seq;
        ((int64_t *)h[TIME].to)[at] = c->change.time_us;
        ((uint32_t *)h[KEY].to)[at] = c->change.key_id;
        ((uint32_t *)h[VALUE].to)[at] = history_code(fold, &c->change.value, values->count);
        at++;
    }
    same_column(fold, SEG_HISTORY)->buffers[ARROW_VALUES] =
        (struct arrow_buffer){.p = ends, .n = (from->rows + (uint64_t)1) * sizeof *ends};
    merge_column(same_column(fold, SEG_H_FIELD), h[FIELD].to, names, &fold->fresh, &fold->a);
    merge_column(same_column(fold, SEG_H_VALUE), h[VALUE].to, values, &fold->other, &fold->a);
    segment_null(same_column(fold, SEG_H_VALUE), &fold->a);
}

/* ---- all of it ---- */

static void build(struct fold *fold) {
    const struct segment_fold *f = fold->f;
    for (size_t i = 0; i < f->field_count; i++) CHECK(textset_add(&fold->names, f->fields[i]) == i + 1);
    size_t most = SEGMENT_LAYOUT_MOST + f->field_count * SEGMENT_KIND_COUNT;
    fold->t = (struct arrow_table){.columns = arena_alloc(&fold->a, most * sizeof *fold->t.columns),
                                   .rows = fold->from->rows};
    copy_fixed(fold);
    hide(fold);
    keep_summary(fold);
    group(fold);
    fold_history(fold);
    fold_fields(fold);
    segment_put_pairs(&fold->a, &fold->t, &f->id, (int64_t[]){fold->from->min_time_us, fold->from->max_time_us},
                      (uint64_t[]){fold->from->min_seq, fold->from->max_seq});
}

static bool build_guarded(struct fold *fold, struct err *e) {
    struct guard g;
    if (guard_enter(&g)) {
        guard_blame(fold->from);
        build(fold);
        guard_leave(&g);
        return true;
    }
    *e = g.e;
    return false;
}

bool segment_fold_write(const struct segment *from, const struct segment_fold *f, const char *dir, const char *name,
                        struct err *e) {
    struct fold fold = {.from = from, .f = f};
    bool ok = build_guarded(&fold, e) && segment_write(&fold.t, dir, name, e);
    textset_free(&fold.names);
    textset_free(&fold.fresh);
    textset_free(&fold.other);
    arena_free(&fold.a);
    return ok;
}
