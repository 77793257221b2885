#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "record/bins.h"
#include "store/segment_finish.h"
#include "store/segment_texts.h"

/* Everything here throws at the first fault. What is needed on the way is in an arena that outlives the guard. */
struct verify {
    const struct segment *s;
    struct arena a;
    struct textset names;
};

static const struct arrow_column *column(struct verify *v, int c) { return v->s->parts->columns[c]; }
static void fail(struct verify *v, int c, const char *what) { segment_damaged(v->s, column(v, c), what); }

/* ---- what every column has ---- */

static void sums(struct verify *v) {
    const struct arrow_table *t = &v->s->parts->table;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct arrow_column *c = &t->columns[i];
        for (unsigned k = 0; k < arrow_buffer_count(c); k++) segment_check_sum(v->s, c, &c->buffers[k]);
        if (!c->coded) continue;
        segment_check_sum(v->s, c, &c->dict.offsets);
        segment_check_sum(v->s, c, &c->dict.bytes);
    }
}

/* The bitmap says of each value what the value itself says, and counts as many. Of pictures and truth values only the
 * bitmap knows. */
static void nulls(struct verify *v) {
    const struct arrow_table *t = &v->s->parts->table;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct arrow_column *c = &t->columns[i];
        struct arrow_column again = *c;
        if (!c->nullable) continue;
        if (c->type == ARROW_BYTES32)
            segment_null_pictures(&again, SEG(v->s, FLAGS), &v->a);
        else if (c->type != ARROW_BOOL)
            segment_null(&again, &v->a);
        else if (c->nulls)
            segment_null_bits(&again, c->buffers[ARROW_VALID].p);
        const struct arrow_buffer *got = &c->buffers[ARROW_VALID], *want = &again.buffers[ARROW_VALID];
        if (again.nulls != c->nulls || got->n != want->n || (got->n && memcmp(got->p, want->p, got->n) != 0))
            segment_damaged(v->s, c, "nulls and values contradict each other");
    }
}

/* Sorted, each text once, and used by some row; before them a placeholder that is none of them. */
static void dictionary(struct verify *v, const struct arrow_column *c) {
    struct segment_dict d = {c->dict.count - 1, c->dict.offsets.p, c->dict.bytes.p};
    const uint32_t *codes = c->buffers[ARROW_VALUES].p;
    bool *used = arena_alloc(&v->a, (d.count + (size_t)1) * sizeof *used);
    struct str *list = arena_alloc(&v->a, d.count * sizeof *list);
    for (uint64_t i = 0; i < c->length; i++) used[codes[i]] = true;
    for (uint32_t i = 1; i <= d.count; i++) {
        list[i - 1] = segment_dict_text(&d, i);
        if (i > 1 && str_cmp(list[i - 2], list[i - 1]) >= 0) segment_damaged(v->s, c, "the dictionary is not sorted");
        if (!used[i]) segment_damaged(v->s, c, "the dictionary has a text that no row has");
    }
    struct arrow_dict again = textset_dict(list, d.count, &v->a);
    if (again.bytes.n != c->dict.bytes.n || memcmp(again.bytes.p, c->dict.bytes.p, again.bytes.n) != 0)
        segment_damaged(v->s, c, "the dictionary's placeholder is another");
}

static void contents(struct verify *v) {
    const struct segment_parts *p = v->s->parts;
    for (int c = 0; c < SEG_ALL; c++)
        if (p->columns[c]) segment_check_column(v->s, c);
    for (int c = 0; c < SEG_ALL; c++)
        if (p->columns[c] && p->columns[c]->coded) (void)segment_texts(v->s, c);
    for (uint32_t i = 0; i < v->s->field_count; i++) segment_check_field(v->s, &p->fields[i]);
    for (uint32_t i = 0; i < p->table.column_count; i++)
        if (p->table.columns[i].coded) dictionary(v, &p->table.columns[i]);
}

/* ---- rows ---- */

static void order(struct verify *v) {
    const struct segment *s = v->s;
    const int64_t *time_us = SEG(s, TIME);
    const uint64_t *seq = SEG(s, SEQ);
    uint64_t least = seq[0], most = seq[0];
    for (uint32_t i = 1; i < s->rows; i++) {
        if (time_us[i - 1] > time_us[i] || (time_us[i - 1] == time_us[i] && seq[i - 1] >= seq[i]))
            fail(v, SEG_TIME, "rows are not in order of time and sequence");
        if (seq[i] < least) least = seq[i];
        if (seq[i] > most) most = seq[i];
    }
    if (time_us[0] != s->min_time_us || time_us[s->rows - 1] != s->max_time_us)
        fail(v, SEG_TIME, "the footer says other times");
    if (least != s->min_seq || most != s->max_seq) fail(v, SEG_SEQ, "the footer says other sequence numbers");
}

struct hashed {
    uint64_t hash;
    uint32_t row;
};

static int by_hash(const void *a, const void *b) {
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* Each row's link leads to the next row of the same id, and history stands with the first. */
static void ids(struct verify *v) {
    const struct segment *s = v->s;
    const uint64_t *hash = SEG(s, ID_HASH);
    const uint32_t *next = SEG(s, SAME_ID), *history = segment_values(s, SEG_HISTORY);
    struct hashed *list = arena_alloc(&v->a, s->rows * sizeof *list);
    for (uint32_t i = 0; i < s->rows; i++) {
        if (id_hash(s->parts->store_id, segment_id(s, i)) != hash[i])
            fail(v, SEG_ID_HASH, "a hash is not that of its id");
        list[i] = (struct hashed){hash[i], i};
    }
    qsort(list, s->rows, sizeof *list, by_hash);
    for (uint32_t i = 0; i < s->rows; i++) {
        uint32_t row = list[i].row, want = 0;
        for (uint32_t k = i + 1; k < s->rows && list[k].hash == list[i].hash && !want; k++)
            if (str_eq(segment_id(s, list[k].row), segment_id(s, row))) want = list[k].row + 1;
        if (next[row] != want) fail(v, SEG_SAME_ID, "a row's link does not lead to the next row of its id");
        if (want && history[want] != history[want - 1])
            fail(v, SEG_HISTORY, "history stands with a later row of its id");
    }
}

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static void bins(struct verify *v) {
    const struct segment *s = v->s;
    const uint32_t *first = SEG(s, DETECTIONS);
    const double *confidence = SEG(s, D_CONFIDENCE);
    for (uint32_t i = 0; i < s->detections; i++)
        if (SEG(s, D_CONFIDENCE_BIN)[i] != confidence_bin(confidence[i]))
            fail(v, SEG_D_CONFIDENCE_BIN, "a bin is wrong");
    for (uint32_t i = 0; i < s->rows; i++) {
        double top = NAN;
        for (uint32_t k = first[i]; k < first[i + 1]; k++)
            if (isnan(top) || confidence[k] > top) top = confidence[k];
        if (!same_number(SEG(s, CONFIDENCE)[i], top)) fail(v, SEG_CONFIDENCE, "it is not that of the top detection");
        if (SEG(s, CONFIDENCE_BIN)[i] != confidence_bin(top)) fail(v, SEG_CONFIDENCE_BIN, "a bin is wrong");
        if (SEG(s, LATENCY_BIN)[i] != latency_bin(SEG(s, LATENCY)[i])) fail(v, SEG_LATENCY_BIN, "a bin is wrong");
    }
}

static void flags(struct verify *v) {
    const struct segment *s = v->s;
    const uint32_t *error = SEG(s, ERROR);
    for (uint32_t i = 0; i < s->rows; i++)
        if (!(SEG(s, FLAGS)[i] & ROW_ERROR) != (error[i] == error[i + 1]))
            fail(v, SEG_FLAGS, "an error is flagged wrongly");
}

/* A box has all four numbers, or it is none. */
static void boxes(struct verify *v) {
    const struct segment *s = v->s;
    for (uint32_t i = 0; i < s->detections; i++)
        if (isnan(SEG(s, D_X)[i]) &&
            !(isnan(SEG(s, D_Y)[i]) && isnan(SEG(s, D_WIDTH)[i]) && isnan(SEG(s, D_HEIGHT)[i])))
            fail(v, SEG_D_X, "a box without its centre has a size");
}

/* ---- metadata ---- */

static void history(struct verify *v) {
    const struct segment *s = v->s;
    const uint32_t *first = segment_values(s, SEG_HISTORY);
    const uint64_t *seq = segment_values(s, SEG_H_SEQ);
    uint32_t texts = segment_texts(s, SEG_H_VALUE)->count;
    for (uint32_t row = 0; row < s->rows; row++)
        for (uint32_t i = first[row]; i + 1 < first[row + 1]; i++)
            if (seq[i] > seq[i + 1]) fail(v, SEG_H_SEQ, "writes are not in order");
    for (uint32_t code = 1; code <= texts; code++) (void)segment_history_value(s, code, &v->a);
}

static void fields(struct verify *v) {
    const struct segment *s = v->s;
    for (uint32_t i = 0; i < s->field_count; i++) {
        const struct segment_part_field *part = &s->parts->fields[i];
        const struct segment_field *f = segment_field(s, i);
        const struct arrow_column *c = NULL; /* its first */
        for (int k = SEGMENT_KIND_COUNT - 1; k >= 0; k--) c = part->columns[k] ? part->columns[k] : c;
        if (textset_add(&v->names, segment_field_name(s, i)) != i + 1) segment_damaged(s, c, "the field stands twice");
        for (int k = 0; k < SEGMENT_KIND_COUNT; k++)
            if (part->columns[k] && part->columns[k]->nulls == s->rows)
                segment_damaged(s, c, "a column without a value");
        for (uint32_t row = 0; row < s->rows; row++) {
            int kinds = (f->codes && f->codes[row] != CODE_NULL) + (f->numbers && !isnan(f->numbers[row])) +
                        (f->truths && f->truths_known[row / 8] >> row % 8 & 1);
            if (kinds > 1) segment_damaged(s, c, "a row has two values in one field");
        }
    }
}

static void everything(struct verify *v) {
    sums(v);
    contents(v);
    nulls(v);
    order(v);
    ids(v);
    bins(v);
    flags(v);
    boxes(v);
    history(v);
    fields(v);
}

static bool guarded(struct verify *v, struct err *e) {
    struct guard g;
    if (guard_enter(&g)) {
        guard_blame(v->s);
        everything(v);
        guard_leave(&g);
        return true;
    }
    *e = g.e;
    return false;
}

bool segment_verify(const struct segment *s, struct err *e) {
    struct verify v = {.s = s};
    bool ok = guarded(&v, e);
    textset_free(&v.names);
    arena_free(&v.a);
    return ok;
}
