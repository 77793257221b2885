/* Summaries: every number against a look at each row by itself; what is left out; what is no sound one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/hash.h"
#include "base/log.h"
#include "scratch.h"
#include "segment_kit.h"
#include "segment_reseal.h"
#include "store/segment_parts.h"

static struct scratch scratch;

static int begin(void **state) {
    (void)state;
    hash_init();
    guard_init();
    log_set_level(LOG_ERROR);
    scratch_make(&scratch);
    return 0;
}

static int end(void **state) {
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

static struct segment *opened(const struct segment_kit *k, const char *name) {
    struct err e = {0};
    if (!segment_kit_write(k, scratch.dir, name, &e)) fail_msg("%s", e.msg);
    struct segment *s = segment_open(scratch_path(&scratch, "%s", name), k->id.store_id, k->id.workspace, &e);
    if (!s || !segment_verify(s, &e) || !segment_verify_summary(s, &e)) fail_msg("%s", e.msg);
    return s;
}

static struct summary summary_of(const struct segment *s) {
    struct summary out;
    assert_true(segment_summary(s, &out));
    return out;
}

/* Rows that lie over some hours. */
static void stretch(struct segment_kit *k, int64_t step_us) {
    for (size_t i = 0; i < k->count; i++) k->rows[i].inf.time_us += (int64_t)i * step_us;
}

/* ---- a cell, from the rows ---- */

static struct str text_of(const struct segment *s, enum segment_column c, int64_t code) {
    return code ? segment_dict_text(segment_dict(s, c), (uint32_t)code) : STR("");
}

static bool in_hour(const struct inference *inf, int64_t hour_us) {
    return inf->time_us >= hour_us && inf->time_us - hour_us < SUMMARY_HOUR_US;
}

/* How many of its detections count in a cell; -1: it is not in it. */
static int counts_in(const struct segment *s, enum summary_kind kind, const struct summary_cell *c,
                     const struct inference *inf) {
    int n = 0;
    if (inf->partial || !str_eq(inf->model_id, text_of(s, SEG_MODEL, c->model))) return -1;
    if (kind == SUMMARY_HOURS && !in_hour(inf, c->by)) return -1;
    if (kind == SUMMARY_DEVICES && !str_eq(inf->device_id, text_of(s, SEG_DEVICE, c->by))) return -1;
    if (kind != SUMMARY_CLASSES) return inf->error.n ? 0 : (int)inf->detection_count;
    if (inf->error.n) return -1;
    for (size_t i = 0; i < inf->detection_count; i++)
        n += str_eq(inf->detections[i].class_name, text_of(s, SEG_D_CLASS, c->by));
    return n || (c->by == 0 && inf->detection_count == 0) ? n : -1;
}

static void take(double v, uint32_t *n, double *sum, double *least, double *most) {
    if (isnan(v)) return;
    *least = *n ? fmin(*least, v) : v;
    *most = *n ? fmax(*most, v) : v;
    *sum += v;
    ++*n;
}

static void take_row(const struct segment *s, enum summary_kind kind, const struct segment_row *r, int n,
                     struct summary_cell *c, struct str *name) {
    const struct inference *inf = &r->inf;
    bool failed = inf->error.n > 0, by_class = kind == SUMMARY_CLASSES;
    double top = NAN;
    if (c->inferences++ == 0) c->first_us = inf->time_us;
    c->last_us = inf->time_us;
    c->errors += failed;
    c->empty += !failed && inf->detection_count == 0;
    c->detections += (uint32_t)n;
    if (inf->model_name.n) *name = inf->model_name, c->named_us = inf->time_us, c->named_seq = r->seq;
    if (failed) return;
    take(inf->latency_s, &c->latencies, &c->latency, &c->least_latency, &c->most_latency);
    c->row_latency += isnan(inf->latency_s) ? 0 : inf->latency_s * (n ? n : 1);
    for (size_t i = 0; i < inf->detection_count; i++) {
        double v = inf->detections[i].confidence;
        if (by_class && !str_eq(inf->detections[i].class_name, text_of(s, SEG_D_CLASS, c->by))) continue;
        if (by_class) take(v, &c->confidences, &c->confidence, &c->least_confidence, &c->most_confidence);
        if (!by_class) c->row_confidence += isnan(v) ? 0 : v;
        top = isnan(top) || v > top ? v : top;
    }
    if (!by_class) take(top, &c->confidences, &c->confidence, &c->least_confidence, &c->most_confidence);
}

static void close_to(double got, double want) { assert_true(fabs(got - want) <= 1e-12 * fabs(want)); }

/* Returns how many rows are in the cell. */
static uint32_t check_cell(const struct segment_kit *k, const struct segment *s, const struct summary *sum,
                           enum summary_kind kind, const struct summary_cell *got) {
    struct summary_cell want = {.by = got->by, .model = got->model};
    struct str name = STR("");
    for (size_t i = sum->begin; i < sum->end; i++) {
        int n = counts_in(s, kind, got, &k->rows[i].inf);
        if (n >= 0) take_row(s, kind, &k->rows[i], n, &want, &name);
    }
    assert_int_equal(got->inferences, want.inferences);
    assert_int_equal(got->errors, want.errors);
    assert_int_equal(got->empty, want.empty);
    assert_int_equal(got->detections, want.detections);
    assert_int_equal(got->confidences, want.confidences);
    assert_int_equal(got->latencies, want.latencies);
    assert_true(got->least_confidence == want.least_confidence && got->most_confidence == want.most_confidence);
    assert_true(got->least_latency == want.least_latency && got->most_latency == want.most_latency);
    assert_true(got->first_us == want.first_us && got->last_us == want.last_us);
    assert_true(got->named_us == want.named_us && got->named_seq == want.named_seq);
    assert_true(str_eq(text_of(s, SEG_MODEL_NAME, got->name), name));
    close_to(got->confidence, want.confidence);
    close_to(got->row_confidence, want.row_confidence);
    close_to(got->latency, want.latency);
    close_to(got->row_latency, want.row_latency);
    return want.inferences;
}

static void check_bins(const struct segment_kit *k, const struct segment *s, const struct summary *sum) {
    const uint32_t *word = sum->bins;
    for (uint32_t i = 0; i < sum->model_count; i++) {
        const struct summary_model *m = &sum->models[i];
        static uint32_t want[CONFIDENCE_BINS + LATENCY_BINS];
        memset(want, 0, sizeof want);
        for (size_t n = sum->begin; n < sum->end; n++) {
            const struct inference *inf = &k->rows[n].inf;
            double top = NAN;
            if (inf->partial || inf->error.n || !str_eq(inf->model_id, text_of(s, SEG_MODEL, m->model))) continue;
            for (size_t d = 0; d < inf->detection_count; d++)
                if (isnan(top) || inf->detections[d].confidence > top) top = inf->detections[d].confidence;
            if (!isnan(top)) want[confidence_bin(top)]++;
            if (!isnan(inf->latency_s)) want[CONFIDENCE_BINS + latency_bin(inf->latency_s)]++;
        }
        for (uint32_t n = 0; n < m->confidences + m->latencies; n++, word++) {
            uint32_t *at = &want[summary_bin(*word) + (n < m->confidences ? 0 : CONFIDENCE_BINS)];
            assert_int_equal(summary_count(*word), *at);
            *at = 0;
        }
        for (size_t n = 0; n < CONFIDENCE_BINS + LATENCY_BINS; n++) assert_int_equal(want[n], 0);
    }
    assert_ptr_equal(word, sum->bins + sum->bin_count);
}

static void check_numbers(uint64_t seed, size_t count, int64_t step_us) {
    struct segment_kit k;
    struct guard g;
    segment_kit_make(&k, seed, count);
    stretch(&k, step_us);
    struct segment *s = opened(&k, "rows.arrow");
    if (!guard_enter(&g)) fail_msg("%s", g.e.msg);
    struct summary sum = summary_of(s);
    uint32_t all = 0, rows[SUMMARY_KINDS] = {0};
    for (size_t n = sum.begin; n < sum.end; n++) all += !k.rows[n].inf.partial;
    for (enum summary_kind kind = 0; kind < SUMMARY_KINDS; kind++)
        for (uint32_t n = 0; n < sum.counts[kind]; n++)
            rows[kind] += check_cell(&k, s, &sum, kind, &sum.cells[kind][n]);
    assert_int_equal(rows[SUMMARY_HOURS], all);
    assert_int_equal(rows[SUMMARY_DEVICES], all);
    check_bins(&k, s, &sum);
    guard_leave(&g);
    segment_close(s);
    segment_kit_free(&k);
}

static void test_numbers(void **state) {
    (void)state;
    check_numbers(1, 1, 0);
    check_numbers(2, 12, 0);
    check_numbers(3, 300, 90000000);
    check_numbers(4, 700, 60000000);
    check_numbers(5, 900, 0);
}

/* Rows that are all partial have an empty one. */
static void test_partial(void **state) {
    (void)state;
    struct segment_kit k;
    segment_kit_make(&k, 8, 40);
    for (size_t i = 0; i < k.count; i++) k.rows[i].inf.partial = true;
    struct segment *s = opened(&k, "partial.arrow");
    struct summary sum = summary_of(s);
    for (int kind = 0; kind < SUMMARY_KINDS; kind++) assert_true(sum.cells[kind] && sum.counts[kind] == 0);
    assert_true(sum.models && sum.model_count == 0);
    segment_close(s);
    segment_kit_free(&k);
}

/* Rows with suspect clocks at both ends are not in it; of those in the middle nobody speaks. */
static void test_ends(void **state) {
    (void)state;
    static const struct {
        const char *suspect; /* a row a letter */
        uint32_t begin, end;
    } list[] = {{"........", 0, 8}, {"x.......", 1, 8}, {".....xxx", 0, 5},
                {"xx.x..xx", 2, 6}, {"xxxxxxxx", 0, 8}, {"xxxxxxx.", 7, 8}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct segment_kit k;
        segment_kit_make(&k, 1, 8);
        for (size_t n = 0; n < 8; n++) k.rows[n].flags = list[i].suspect[n] == 'x' ? ROW_CLOCK_SUSPECT : 0;
        struct segment *s = opened(&k, "ends.arrow");
        struct summary sum = summary_of(s);
        assert_int_equal(sum.begin, list[i].begin);
        assert_int_equal(sum.end, list[i].end);
        assert_true(sum.from_us == k.rows[sum.begin].inf.time_us && sum.to_us == k.rows[sum.end - 1].inf.time_us);
        segment_close(s);
        segment_kit_free(&k);
    }
}

/* ---- what is left out ---- */

static void test_too_many(void **state) {
    (void)state;
    enum { ROWS = SUMMARY_CELLS_MOST + 1 };
    static const struct {
        size_t rows, models;
        bool hours, models_too;
    } list[] = {{ROWS - 1, SUMMARY_MODELS_MOST, true, true}, {ROWS, SUMMARY_MODELS_MOST + 1, false, false}};
    for (size_t i = 0; i < 2; i++) {
        struct segment_kit k;
        segment_kit_make(&k, 1, list[i].rows);
        stretch(&k, SUMMARY_HOUR_US);
        for (size_t n = 0; n < k.count; n++) {
            char *name = arena_printf(&k.arena, "m%zu", n % list[i].models);
            k.rows[n].inf.model_id = str_of(name);
            k.rows[n].inf.partial = false;
        }
        struct segment *s = opened(&k, "many.arrow");
        struct summary sum = summary_of(s);
        assert_int_equal(sum.cells[SUMMARY_HOURS] != NULL, list[i].hours);
        assert_int_equal(sum.counts[SUMMARY_HOURS], list[i].hours ? list[i].rows : 0);
        assert_int_equal(sum.models != NULL, list[i].models_too);
        assert_int_equal(sum.bin_count > 0, list[i].models_too);
        assert_true(sum.cells[SUMMARY_DEVICES] && sum.counts[SUMMARY_DEVICES] > 100);
        segment_close(s);
        segment_kit_free(&k);
    }
}

/* ---- what is no sound one ---- */

/* The file with n bytes of its summary changed, its checksums right again. */
static struct segment *changed(const struct segment_kit *k, size_t at, const void *bytes, size_t n) {
    struct err e = {0};
    struct segment *s = opened(k, "good.arrow");
    const struct arrow_buffer *b = &s->parts->table.summary;
    size_t place = (size_t)((const char *)b->p - (const char *)s->parts->map) + at;
    assert_true(at + n <= b->n);
    segment_close(s);
    struct buf file = scratch_read(scratch_path(&scratch, "good.arrow"));
    memcpy(file.p + place, bytes, n);
    assert_true(segment_reseal(file.p, file.n));
    scratch_write(scratch_path(&scratch, "bad.arrow"), buf_str(&file));
    buf_free(&file);
    if (!(s = segment_open(scratch_path(&scratch, "bad.arrow"), k->id.store_id, k->id.workspace, &e)))
        fail_msg("%s", e.msg);
    return s;
}

static void test_unsound(void **state) {
    (void)state;
    const size_t head = 48, by = 0, model = 8, name = 12, inferences = 16;
    static const uint32_t big = 1u << 20, rows = 101, left_out = UINT32_MAX;
    struct segment_kit k;
    segment_kit_make(&k, 3, 100);
    struct segment *s = opened(&k, "good.arrow");
    struct summary sum = summary_of(s);
    const char *from = s->parts->table.summary.p;
    size_t classes = (size_t)((const char *)sum.cells[SUMMARY_CLASSES] - from);
    size_t models = (size_t)((const char *)sum.models - from), bins = (size_t)((const char *)sum.bins - from);
    segment_close(s);
    const struct {
        size_t at;
        const void *bytes;
        size_t n;
        bool wrong_only; /* a reader can't see it, the verifier does */
    } list[] = {
        {4, &big, 4, false},
        {4, &left_out, 4, false},
        {16, &left_out, 4, false},
        {20, &big, 4, false},
        {24, &rows, 4, false},
        {28, &rows, 4, false},
        {head + by, "\x01", 1, false},
        {head + model, &big, 4, false},
        {head + name, &big, 4, false},
        {classes + by, &big, 4, false},
        {classes + by + 7, "\xff", 1, false},
        {models, &big, 4, false},
        {models + 4, &big, 4, false},
        {models + 8, "\0", 1, false},
        {bins, "\0\0\0\xff", 4, false},
        {head + inferences, &big, 4, true},
        {bins, "\xff", 1, true},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct err e = {0};
        s = changed(&k, list[i].at, list[i].bytes, list[i].n);
        bool sound = segment_summary(s, &sum);
        if (sound != list[i].wrong_only) fail_msg("change %zu: sound: %d", i, sound);
        assert_true(segment_verify(s, &e));
        assert_false(segment_verify_summary(s, &e));
        assert_non_null(strstr(e.msg, "segment 12.3: its summary"));
        segment_close(s);
    }
    segment_kit_free(&k);
}

/* One of another form is none, and nothing is wrong. */
static void test_other_form(void **state) {
    (void)state;
    struct segment_kit k;
    struct summary sum;
    struct err e = {0};
    segment_kit_make(&k, 3, 100);
    struct segment *s = changed(&k, 0, "\x01", 1);
    assert_false(segment_summary(s, &sum));
    assert_true(segment_verify_summary(s, &e));
    segment_close(s);
    segment_kit_free(&k);
}

/* A disk that fails under it. */
static void test_cut_while_open(void **state) {
    (void)state;
    struct segment_kit k;
    struct err e = {0};
    struct summary sum;
    guard_init(); /* here, as cmocka has put a handler of its own in place */
    segment_kit_make(&k, 3, 2000);
    struct segment *s = opened(&k, "cut.arrow");
    segment_close(s);
    s = segment_open(scratch_path(&scratch, "cut.arrow"), k.id.store_id, k.id.workspace, &e);
    assert_int_equal(truncate(scratch_path(&scratch, "cut.arrow"), 4096), 0);
    assert_false(segment_summary(s, &sum));
    assert_false(segment_verify_summary(s, &e));
    segment_close(s);
    segment_kit_free(&k);
}

/* What was written before there were summaries has none; the next version has. tests/fuzz/segment/9-rows-resealed is
 * such a file, behind a byte. */
static void test_older_file(void **state) {
    (void)state;
    struct buf file = scratch_read("tests/fuzz/segment/9-rows-resealed");
    struct err e = {0};
    struct summary sum;
    struct str fields[64];
    scratch_write(scratch_path(&scratch, "older.arrow"), str_from(buf_str(&file), 1));
    struct segment_identity id = {.workspace = 7, .number = 12, .version = 4};
    memcpy(id.store_id, "0123456789abcde", 16);
    struct segment *s = segment_open(scratch_path(&scratch, "older.arrow"), id.store_id, 7, &e);
    if (!s || !segment_verify(s, &e) || !segment_verify_summary(s, &e)) fail_msg("%s", e.msg);
    assert_int_equal(s->rows, 9);
    assert_false(segment_summary(s, &sum));
    for (uint32_t i = 0; i < s->field_count; i++) fields[i] = segment_field_name(s, i);
    struct segment_fold f = {.id = id, .fields = fields, .field_count = s->field_count};
    if (!segment_fold_write(s, &f, scratch.dir, "newer.arrow", &e)) fail_msg("%s", e.msg);
    struct segment *newer = segment_open(scratch_path(&scratch, "newer.arrow"), id.store_id, 7, &e);
    if (!newer || !segment_verify_summary(newer, &e)) fail_msg("%s", e.msg);
    assert_true(segment_summary(newer, &sum) && sum.counts[SUMMARY_HOURS] > 0);
    segment_close(newer);
    segment_close(s);
    buf_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_partial),    cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_unsound),        cmocka_unit_test(test_other_form), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_cut_while_open), cmocka_unit_test(test_older_file),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
