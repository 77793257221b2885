/* Groups and facets as they are defined, their limits, and what sums and quantiles promise. test_query_mixed.c has what
 * holds for every plan wherever its rows are. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/hash.h"
#include "query/facet.h"
#include "query/lane.h"
#include "query/run.h"
#include "record/bins.h"
#include "view_kit.h"

#define NOON VIEW_KIT_NOON
#define HOUR VIEW_KIT_HOUR

static struct view_kit kit;
static struct arena arena;

static int setup(void **state) { return (void)state, view_kit_setup(&kit); }
static int teardown(void **state) { return (void)state, view_kit_teardown(&kit, &arena); }

static struct grouping grouping(const struct measure *measures, size_t count) {
    return (struct grouping){.measures = measures, .measure_count = count, .max_groups = 1000};
}

static bool run(const struct grouping *g, size_t count, const struct query_control *control, struct answer *out,
                struct err *e) {
    struct plan p = {
        .from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .kind = PLAN_GROUPS, .groupings = g, .grouping_count = count};
    return query_run(&kit.view, &p, control, &arena, out, e);
}

static struct group_list groups(const struct grouping *g) {
    struct answer a;
    struct err e = {0};
    if (!run(g, 1, NULL, &a, &e)) fail_msg("%s", e.msg);
    return a.lists[0];
}

/* The group with these texts as keys; NULL stands for "none". */
static const struct cell *find(const struct group_list *l, const char *first, const char *second) {
    for (size_t i = 0; i < l->count; i++) {
        const struct key_value *k = l->groups[i].keys;
        bool same = first ? k[0].kind == KEY_VALUE && str_is(k[0].value.text, first) : k[0].kind == KEY_NONE;
        same &= second ? k[1].kind == KEY_VALUE && str_is(k[1].value.text, second) : k[1].kind == KEY_NONE;
        if (same) return l->groups[i].cells;
    }
    fail_msg("no group %s, %s", first, second);
    return NULL;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-12 * fabs(b); }

/* ---- statistics ---- */

static void statistics_count_as_defined(void **state) {
    (void)state;
    struct detection two[] = {{.class_name = STR("dog"), .class_id = -1, .confidence = 0.9},
                              {.class_name = STR("cat"), .class_id = -1, .confidence = 0.6}};
    struct inference inf = at_noon("two");
    inf.latency_s = 0.2;
    inf.detections = two;
    inf.detection_count = 2;
    inf.model_name = STR("demo");
    view_kit_row(&kit, &inf);
    struct inference empty = at_noon("empty");
    empty.time_us = NOON + 1;
    view_kit_row(&kit, &empty);
    struct inference failed = at_noon("failed");
    failed.error = STR("broken");
    failed.latency_s = 9;
    view_kit_row(&kit, &failed);
    struct inference partial = at_noon("partial");
    partial.partial = true;
    view_kit_row(&kit, &partial);
    for (int sealed = 0; sealed < 2; sealed++) {
        view_kit_build(&kit, &(struct kit_part){.sealed = sealed}, 1);
        struct grouping all = grouping(plan_stats, STATS_ALL);
        struct group_list l = groups(&all);
        const struct cell *c = l.groups[0].cells;
        assert_int_equal(c[STATS_INFERENCES].count, 3);
        assert_int_equal(c[STATS_ERRORS].count, 1);
        assert_int_equal(c[STATS_EMPTY].count, 1);
        assert_int_equal(c[STATS_DETECTIONS].count, 2);
        assert_true(c[STATS_LAST_SEEN].time_us == NOON + 1);
        assert_true(str_is(c[STATS_MODEL_NAME].text, "demo"));
        assert_true(near(c[STATS_MONITORING_CONFIDENCE].number, (0.9 + 0.6 + 0) / 3));
        assert_true(near(c[STATS_MONITORING_LATENCY].number, (0.2 + 0.2 + 0) / 3));
        assert_true(near(c[STATS_CONFIDENCE].number, 0.9));
        assert_true(near(c[STATS_LATENCY].number, 0.2));
        assert_true(fabs(c[STATS_LATENCY_P99].number - 0.2) <= 0.01 * 0.2);

        struct grouping by_class = all;
        by_class.keys[0].subject.of = OF_MODEL;
        by_class.keys[1].subject.of = OF_CLASS;
        by_class.key_count = 2;
        l = groups(&by_class);
        assert_int_equal(l.count, 3);
        const struct cell *dog = find(&l, "coco/24", "dog"), *none = find(&l, "coco/24", NULL);
        assert_int_equal(dog[STATS_INFERENCES].count, 1);
        assert_int_equal(dog[STATS_DETECTIONS].count, 1);
        assert_true(near(dog[STATS_MONITORING_CONFIDENCE].number, 0.9));
        assert_int_equal(none[STATS_INFERENCES].count, 1);
        assert_int_equal(none[STATS_DETECTIONS].count, 0);
        assert_int_equal(none[STATS_EMPTY].count, 1);
        assert_true(none[STATS_MONITORING_CONFIDENCE].known && none[STATS_MONITORING_CONFIDENCE].number == 0);
        assert_false(none[STATS_CONFIDENCE].known);
    }
}

static void an_inference_counts_once_a_class(void **state) {
    (void)state;
    struct detection three[] = {{.class_name = STR("dog"), .class_id = -1, .confidence = 0.5},
                                {.class_name = STR("cat"), .class_id = -1, .confidence = 0.5},
                                {.class_name = STR("dog"), .class_id = -1, .confidence = 0.7},
                                {.class_name = STR("cow"), .class_id = -1, .confidence = 0.7},
                                {.class_name = STR("emu"), .class_id = -1, .confidence = 0.7}};
    struct inference inf = at_noon("three");
    inf.detections = three;
    inf.detection_count = 5;
    view_kit_row(&kit, &inf);
    view_kit_one_chunk(&kit);
    const struct measure measures[] = {
        {.kind = MEASURE_INFERENCES}, {.kind = MEASURE_DETECTIONS}, {.kind = MEASURE_AVG, .of = {.of = OF_CONFIDENCE}}};
    struct grouping g = grouping(measures, 3);
    g.keys[0].subject.of = OF_CLASS;
    g.key_count = 1;
    struct group_list l = groups(&g);
    const struct cell *dog = l.groups[2].cells; /* cat, cow, dog, emu */
    assert_int_equal(dog[0].count, 1);
    assert_int_equal(dog[1].count, 2);
    assert_true(near(dog[2].number, 0.6));
    /* The others are one value: the inference is in it once, its detections are all there. */
    g.keys[0].top = 1;
    g.keys[0].by = &measures[1];
    l = groups(&g);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.groups[1].keys[0].kind, KEY_OTHER);
    assert_int_equal(l.groups[1].cells[0].count, 1);
    assert_int_equal(l.groups[1].cells[1].count, 3);
    g.keys[0].drop = true;
    assert_int_equal(groups(&g).count, 1);
}

/* Totals, and a grouping without keys, are taken from one that has the same measures, or made by themselves. */
static void totals_are_those_of_all_rows(void **state) {
    (void)state;
    static const char *const models[] = {"a", "b", "c"};
    struct detection d = {.class_name = STR("dog"), .class_id = -1, .confidence = 0.5};
    for (int i = 0; i < 300; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        inf.model_id = str_of(models[i % 3]);
        inf.latency_s = i / 100.0;
        inf.detections = &d;
        inf.detection_count = i % 4 == 0;
        view_kit_row(&kit, &inf);
    }
    view_kit_one_chunk(&kit);
    struct grouping g[4];
    for (int i = 0; i < 4; i++) g[i] = grouping(plan_stats, i == 3 ? STATS_MEANS : STATS_ALL);
    g[0].keys[0].subject.of = OF_MODEL, g[0].key_count = 1, g[0].totals = true;
    g[1].keys[0].subject.of = OF_CLASS, g[1].key_count = 1, g[1].totals = true;
    g[2].keys[0] = (struct key){.subject = {.of = OF_MODEL}, .top = 1, .drop = true}, g[2].key_count = 1,
    g[2].totals = true;
    for (size_t first = 0; first < 3; first++) { /* by each of them alone, too */
        struct answer a;
        struct err e;
        assert_true(run(g + first, 4 - first, NULL, &a, &e));
        for (size_t i = first; i < 4; i++) {
            const struct cell *c = i == 3 ? a.lists[i - first].groups[0].cells : a.lists[i - first].totals;
            assert_int_equal(c[STATS_INFERENCES].count, 300);
            assert_int_equal(c[STATS_DETECTIONS].count, 75);
            assert_true(near(c[STATS_LATENCY].number, 1.495));
        }
    }
}

/* ---- limits ---- */

static void too_many_groups_are_an_error(void **state) {
    (void)state;
    struct measure inferences = {.kind = MEASURE_INFERENCES};
    struct grouping by_time = grouping(&inferences, 1);
    by_time.keys[0] = (struct key){.subject = {.of = OF_TIME}, .width_us = HOUR};
    by_time.key_count = 1;
    by_time.max_groups = 3;
    for (int i = 0; i < 4; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        struct answer a;
        struct err e = {0};
        inf.time_us = NOON + i * HOUR;
        view_kit_row(&kit, &inf);
        view_kit_one_chunk(&kit);
        assert_int_equal(run(&by_time, 1, NULL, &a, &e), i < 3);
        assert_int_equal(e.code, i < 3 ? ERR_NONE : ERR_UNPROCESSABLE);
    }
    by_time.keys[0].top = 2; /* with "other", three are enough */
    assert_int_equal(groups(&by_time).count, 3);
}

static void memory_has_a_bound(void **state) {
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        view_kit_row(&kit, &inf);
        view_kit_write(&kit, inf.id.p, "serial", S(arena_printf(&arena, "SN%d", i)));
    }
    view_kit_one_chunk(&kit);
    struct measure inferences = {.kind = MEASURE_INFERENCES},
                   distinct = {.kind = MEASURE_DISTINCT, .of = {.of = OF_ID}};
    struct grouping by_serial = grouping(&inferences, 1), all = grouping(&distinct, 1);
    by_serial.keys[0].subject = (struct subject){OF_METADATA, STR("serial")};
    by_serial.key_count = 1;
    by_serial.max_groups = 0;
    struct query_control least = {.memory = 1 << 15}, enough = {.memory = 1 << 20};
    struct answer a;
    struct err e = {0};
    assert_true(run(&by_serial, 1, &enough, &a, &e) && a.lists[0].count == 3000);
    assert_true(run(&all, 1, &enough, &a, &e) && a.lists[0].groups[0].cells[0].count == 3000);
    assert_false(run(&by_serial, 1, &least, &a, &e));
    assert_int_equal(e.code, ERR_UNPROCESSABLE);
    e.code = ERR_NONE;
    assert_false(run(&all, 1, &least, &a, &e));
    assert_int_equal(e.code, ERR_UNPROCESSABLE);
    by_serial.keys[0].top = 10; /* few groups, and yet all values are counted first */
    assert_true(run(&by_serial, 1, &enough, &a, &e) && a.lists[0].count == 11);
    e.code = ERR_NONE;
    assert_false(run(&by_serial, 1, &least, &a, &e));
    assert_int_equal(e.code, ERR_UNPROCESSABLE);
    assert_non_null(strstr(e.msg, "to find the top 10 all different values are counted"));
}

/* ---- sums and quantiles ---- */

static void sums_lose_nothing(void **state) {
    (void)state;
    struct sum s = {0};
    sum_add(&s, 1e16);
    for (int i = 0; i < 100000; i++) sum_add(&s, 0.1);
    sum_add(&s, -1e16);
    assert_true(fabs(sum_value(s) - 10000) < 1e-6);

    /* So for metadata, which may be below 0. */
    double values[] = {1e16, 0.1, 0.2, 0.3, -1e16};
    for (int i = 0; i < 5; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        view_kit_row(&kit, &inf);
        view_kit_write(&kit, inf.id.p, "v", N(values[i]));
    }
    view_kit_one_chunk(&kit);
    struct measure sum = {.kind = MEASURE_SUM, .of = {OF_METADATA, STR("v")}};
    struct grouping g = grouping(&sum, 1);
    struct group_list l = groups(&g);
    assert_true(near(l.groups[0].cells[0].number, 0.6));
}

/* Latencies of 0.1 s, which no double is exactly: the mean of many is off by less than one in 1e9. */
static void a_mean_of_many_is_exact(void **state) {
    (void)state;
    struct lane l = {.kind = LANE_NUMBERS, .of = {.of = OF_LATENCY}};
    static struct batch b;
    static uint32_t zeros[BATCH_ROWS];
    static double values[BATCH_ROWS];
    enum { TIMES = 20000 };
    b.count = BATCH_ROWS;
    for (int i = 0; i < BATCH_ROWS; i++) values[i] = i % 2 ? 0.1 : 1e-7;
    b.read = UINT_MAX; /* everything has been read: */
    b.latency = values;
    lane_room(&l, 0, 1);
    for (int spans = 0; spans < 2; spans++) {
        struct elements x = {.groups = 1,
                             .count = BATCH_ROWS,
                             .group = zeros,
                             .span_count = (uint32_t)spans,
                             .span_end = &(uint32_t){BATCH_ROWS}};
        for (int i = 0; i < TIMES; i++) lane_add(&l, &b, &x);
    }
    lane_finish(&l, 1);
    assert_int_equal(l.numbers[0].n, 2 * TIMES * (uint64_t)BATCH_ROWS);
    double mean = sum_value(l.totals[0].sum) / (double)l.numbers[0].n;
    assert_true(fabs(mean - (0.1 + 1e-7) / 2) < 1e-12);
    lane_free(&l, 1);
}

static void quantiles_keep_their_bounds(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        /* Between neighbours that widen the range, so that the answer is a bin's, not the least or greatest. */
        for (int k = -1; k <= 1; k++) {
            struct detection d = {.class_name = STR("dog"), .class_id = -1, .confidence = (i * 37 % 997) / 997.0 + k};
            struct inference inf = at_noon(arena_printf(&arena, "i%d %d", i, k));
            inf.model_id = str_of(arena_printf(&arena, "m%02d", i));
            inf.latency_s = ldexp(1 + (i * 131 % 1000) / 1000.0, i % 30 - 17 + k);
            inf.detections = &d;
            inf.detection_count = 1;
            view_kit_row(&kit, &inf);
        }
    }
    const struct measure measures[] = {{.kind = MEASURE_QUANTILE, .of = {.of = OF_CONFIDENCE}, .at = 0.5},
                                       {.kind = MEASURE_QUANTILE, .of = {.of = OF_LATENCY}, .at = 0.5}};
    struct grouping g = grouping(measures, 2);
    g.keys[0].subject.of = OF_MODEL;
    g.key_count = 1;
    for (int sealed = 0; sealed < 2; sealed++) {
        view_kit_build(&kit, &(struct kit_part){.sealed = sealed}, 1);
        struct group_list l = groups(&g);
        for (int i = 0; i < 60; i++) {
            double latency = ldexp(1 + (i * 131 % 1000) / 1000.0, i % 30 - 17);
            assert_true(fabs(l.groups[i].cells[0].number - (i * 37 % 997) / 997.0) <= 0.0005 + 1e-12);
            assert_true(fabs(l.groups[i].cells[1].number - latency) <= 0.01 * latency);
        }
    }
}

/* ---- facets ---- */

static struct facet *facets(struct facets asked, size_t *count) {
    struct plan p = {.from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .kind = PLAN_FACETS, .facets = asked};
    struct answer a;
    struct err e = {0};
    if (!query_run(&kit.view, &p, NULL, &arena, &a, &e)) fail_msg("%s", e.msg);
    *count = a.facet_count;
    return a.facets;
}

static void fields_are_counted_by_inference(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        inf.partial = i == 39;
        view_kit_row(&kit, &inf);
        view_kit_write(&kit, inf.id.p, "n", i % 4 ? N(i % 13) : S("text"));
        if (i < 3) view_kit_write(&kit, inf.id.p, "ok", B(i > 0));
    }
    view_kit_write(&kit, "waiting", "unseen", S("x"));
    for (int sealed = 0; sealed < 3; sealed++) {
        view_kit_build(&kit, &(struct kit_part){.sealed = sealed, .applied_through = sealed == 1 ? kit.seq : 30}, 1);
        size_t count;
        struct facet *f = facets((struct facets){.fields = true, .limit = 10}, &count);
        assert_int_equal(count, 2);
        assert_true(str_is(f[0].of.field, "n") && !f[0].estimated);
        assert_int_equal(f[0].inferences, 39);
        assert_int_equal(f[0].strings, 10);
        assert_int_equal(f[0].numbers, 29);
        assert_int_equal(f[0].values, 14);
        assert_int_equal(f[0].top_count, 10);
        assert_true(str_is(f[0].top[0].value.text, "text"));
        assert_int_equal(f[0].top[0].count, 10);
        assert_int_equal(f[1].booleans, 3);
        assert_int_equal(f[1].top[0].count, 2);
        assert_true(f[1].top[0].value.truth);
    }
}

/* Three values that are frequent, and more others than are counted one by one. */
static void a_field_with_too_many_values_is_estimated(void **state) {
    (void)state;
    enum { OTHERS = 3 * FACET_VALUES, FREQUENT = 3, EACH = 4000 };
    static const char *const frequent[FREQUENT] = {"often", "oftener", "oftenest"};
    struct fields *names = fields_new(4);
    struct chunk *chunks[4];
    _Atomic uint64_t seq = UINT64_MAX;
    struct view v = {.chunk_count = 4, .fields = names, .pending = pending_new(0), .seq = &seq};
    uint32_t field = fields_of(names, STR("serial"));
    unsigned made = 0;
    for (int n = 0; n < 4; n++) {
        v.chunks[n] = chunks[n] = chunk_new(SEGMENT_ROWS, 4);
        for (int i = 0; i < SEGMENT_ROWS; i++) {
            char id[32], value[32];
            struct str s = {id, (size_t)snprintf(id, sizeof id, "%d-%d", n, i)};
            int which = i % 16;
            if (which < FREQUENT)
                snprintf(value, sizeof value, "%s", frequent[which]);
            else
                snprintf(value, sizeof value, "SN%08u", made++);
            struct ident *ident = chunk_ident(chunks[n], (uint64_t)n << 32 | (unsigned)i * 2654435761u, s);
            struct inference inf = {.id = s, .time_us = NOON, .latency_s = NAN};
            chunk_write(chunks[n], ident, field, &S(value), 1, NOON, 1);
            chunk_add(chunks[n], ident, (uint64_t)i + 1, NOON, STR(""), &inf, 0, false);
        }
    }
    assert_true(made > OTHERS);
    struct plan p = {
        .from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .kind = PLAN_FACETS, .facets = {.fields = true, .limit = 3}};
    struct answer a;
    struct err e;
    assert_true(query_run(&v, &p, NULL, &arena, &a, &e));
    assert_int_equal(a.facet_count, 1);
    assert_true(a.facets[0].estimated);
    assert_int_equal(a.facets[0].inferences, 4 * SEGMENT_ROWS);
    assert_true(fabs((double)a.facets[0].values - (made + FREQUENT)) < 0.02 * made);
    assert_int_equal(a.facets[0].top_count, FREQUENT);
    for (int i = 0; i < FREQUENT; i++) assert_int_equal(a.facets[0].top[i].count, 4 * SEGMENT_ROWS / 16);
    for (int n = 0; n < 4; n++) chunk_free(chunks[n]);
    pending_free(v.pending);
    fields_free(names);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    hash_init();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(statistics_count_as_defined),
        TEST(an_inference_counts_once_a_class),
        TEST(totals_are_those_of_all_rows),
        TEST(too_many_groups_are_an_error),
        TEST(memory_has_a_bound),
        TEST(sums_lose_nothing),
        TEST(a_mean_of_many_is_exact),
        TEST(quantiles_keep_their_bounds),
        TEST(fields_are_counted_by_inference),
        TEST(a_field_with_too_many_values_is_estimated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
