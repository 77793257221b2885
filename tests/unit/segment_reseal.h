/* For tests of damaged segments: gives a file that was changed the right checksums again, and reads all there is. */
#pragma once
#include "base/guard.h"
#include "store/arrow.h"
#include "record/bins.h"
#include "store/segment.h"
#include "store/summary.h"

static inline void reseal_digits(const char **digits, const struct arrow_buffer *b) {
    arrow_sum_text((char *)(uintptr_t)*digits, arrow_buffer_sum(b));
    *digits += ARROW_SUM;
}

/* False: the structure is not that of a segment any more. */
static inline bool segment_reseal(char *file, size_t n) {
    struct arena a = {0};
    struct arrow_table t;
    struct arrow_sums sums;
    struct err e;
    bool ok = arrow_read_structure(file, n, &a, &t, &sums, &e);
    if (ok) {
        const char *digits = sums.buffers;
        for (uint32_t i = 0; i < t.column_count; i++) {
            if (!t.columns[i].coded) continue;
            reseal_digits(&digits, &(struct arrow_buffer){0});
            reseal_digits(&digits, &t.columns[i].dict.offsets);
            reseal_digits(&digits, &t.columns[i].dict.bytes);
        }
        for (uint32_t i = 0; i < t.column_count; i++)
            for (unsigned k = 0; k < arrow_buffer_count(&t.columns[i]); k++)
                reseal_digits(&digits, &t.columns[i].buffers[k]);
        if (sums.summary) arrow_sum_text((char *)(uintptr_t)sums.summary, arrow_buffer_sum(&t.summary));
        arrow_sum_text((char *)(uintptr_t)sums.metadata, sums.metadata_sum);
    }
    arena_free(&a);
    ok = ok && arrow_read_structure(file, n, &a, &t, &sums, &e);
    if (ok) arrow_sum_text((char *)(uintptr_t)sums.footer, sums.footer_sum);
    arena_free(&a);
    return ok;
}

/* As one who adds up all of it, looking for texts. */
static inline void segment_read_summary(const struct segment *s, struct buf *all) {
    static const enum segment_column texts[SUMMARY_KINDS] = {
        [SUMMARY_DEVICES] = SEG_DEVICE, [SUMMARY_CLASSES] = SEG_D_CLASS};
    struct summary sum;
    if (!segment_summary(s, &sum)) return;
    uint64_t counts[CONFIDENCE_BINS + LATENCY_BINS] = {0};
    for (int k = 0; k < SUMMARY_KINDS; k++)
        for (uint32_t i = 0; i < sum.counts[k]; i++) {
            const struct summary_cell *c = &sum.cells[k][i];
            if (c->model) buf_add_str(all, segment_dict_text(segment_dict(s, SEG_MODEL), c->model));
            if (c->name) buf_add_str(all, segment_dict_text(segment_dict(s, SEG_MODEL_NAME), c->name));
            if (texts[k] && c->by) buf_add_str(all, segment_dict_text(segment_dict(s, texts[k]), (uint32_t)c->by));
        }
    const uint32_t *words = sum.bins;
    for (uint32_t i = 0; i < sum.model_count; i++) {
        const struct summary_model *m = &sum.models[i];
        if (m->model) buf_add_str(all, segment_dict_text(segment_dict(s, SEG_MODEL), m->model));
        for (uint32_t n = 0; n < m->confidences; n++, words++) counts[summary_bin(*words)] += summary_count(*words);
        for (uint32_t n = 0; n < m->latencies; n++, words++)
            counts[CONFIDENCE_BINS + summary_bin(*words)] += summary_count(*words);
    }
    buf_add(all, counts, sizeof counts);
}

/* Every byte that a reader can come to. Under a guard. */
static inline void segment_read_all(const struct segment *s, struct arena *a, struct buf *all) {
    for (int c = 0; c < SEG_COLUMNS; c++) (void)segment_column(s, (enum segment_column)c);
    for (uint32_t row = 0; row < s->rows; row++) {
        struct inference inf;
        struct change *history;
        segment_inference(s, row, a, &inf);
        all->n = 0;
        inference_encode(all, &inf);
        for (size_t n = segment_history(s, row, a, &history); n > 0; n--) {
            buf_add_str(all, history[n - 1].field);
            value_json(all, &history[n - 1].value);
        }
        for (uint32_t f = 0; f < s->field_count; f++) {
            struct value v = segment_value(segment_field(s, f), row);
            value_json(all, &v);
            buf_add_str(all, segment_field_name(s, f));
        }
    }
    (void)segment_dict_find(segment_dict(s, SEG_MODEL), STR("line/3"));
    segment_read_summary(s, all);
}

/* The same; false: it was given up. `a` and `all` are the caller's to free. */
static inline bool segment_readable(const struct segment *s, struct arena *a, struct buf *all) {
    struct guard g;
    if (!guard_enter(&g)) return false;
    segment_read_all(s, a, all);
    guard_leave(&g);
    return true;
}
