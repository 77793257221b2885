/* Lists and counts: what matches, in which order, page by page; what stops them. test_query_mixed.c has what holds for
 * every plan wherever its rows are. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/hash.h"
#include "query/crew.h"
#include "query/lookup.h"
#include "query/run.h"
#include "query_oracle.h"

#define NOON VIEW_KIT_NOON
#define HOUR VIEW_KIT_HOUR

static struct view_kit kit;
static struct arena arena;

static int setup(void **state) { return (void)state, view_kit_setup(&kit); }
static int teardown(void **state) { return (void)state, view_kit_teardown(&kit, &arena); }

static void add(const char *id, int64_t time_us) {
    struct inference inf = at_noon(id);
    inf.time_us = time_us;
    view_kit_row(&kit, &inf);
}

/* The first half in a chunk, the rest in a segment whose overlay has the last metadata. */
static void build_mixed(void) {
    for (size_t i = 0; i < kit.row_count; i++) kit.rows[i].part = i >= kit.row_count / 2;
    view_kit_build(&kit, (struct kit_part[]){{.sealed = false}, {.sealed = true, .applied_through = kit.seq / 2}}, 2);
}

static struct plan plan(enum plan_kind kind, const char *text) {
    struct plan p = {.from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .limit = 1000, .kind = kind};
    struct filter_error where;
    struct err e = {0};
    if (!filter_parse(&arena, str_of(text), &p.filter, &where, &e)) fail_msg("%s: %s", text, e.msg);
    return p;
}

static struct answer run(const struct plan *p) {
    struct answer found;
    struct err e = {0};
    if (!query_run(&kit.view, p, NULL, &arena, &found, &e)) fail_msg("%s", e.msg);
    return found;
}

/* The ids that a filter lists, newest first, with blanks between. */
static const char *ids(const char *text) {
    struct plan p = plan(PLAN_LIST, text);
    p.partial = filter_mentions(p.filter, FIELD_PARTIAL);
    struct answer found = run(&p);
    struct buf b = {0};
    for (size_t i = 0; i < found.hit_count; i++)
        buf_printf(&b, i ? " " STR_FMT : STR_FMT, STR_ARG(found.hits[i].inf.id));
    const char *z = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return z;
}

/* ---- filters ---- */

static void a_value_matches_by_type_and_text(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) add(arena_printf(&arena, "i%d", i), NOON + i);
    view_kit_write(&kit, "i0", "v", S("5"));
    view_kit_write(&kit, "i1", "v", N(5));
    view_kit_write(&kit, "i2", "v", S("five"));
    view_kit_write(&kit, "i3", "v", B(true));
    for (int mixed = 0; mixed < 2; mixed++) {
        if (mixed)
            build_mixed();
        else
            view_kit_one_chunk(&kit);
        assert_string_equal(ids("v:5"), "i1 i0");
        assert_string_equal(ids("-v:5"), "i4 i3 i2");
        assert_string_equal(ids("v>4"), "i1 i0");
        assert_string_equal(ids("v:true"), "i3");
        assert_string_equal(ids("has:v"), "i3 i2 i1 i0");
        assert_string_equal(ids("v:f*"), "i2");
        assert_string_equal(ids("five"), "i2");
        assert_string_equal(ids("i4"), "i4");
    }
    view_kit_write(&kit, "i1", "v", NOTHING);
    build_mixed();
    assert_string_equal(ids("v:5"), "i0");
    assert_string_equal(ids("-has:v"), "i4 i1");
}

static void an_exact_value_matches_its_type_alone(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) add(arena_printf(&arena, "i%d", i), NOON + i);
    view_kit_write(&kit, "i0", "v", S("5"));
    view_kit_write(&kit, "i1", "v", N(5));
    view_kit_write(&kit, "i2", "v", N(-0.0));
    view_kit_write(&kit, "i3", "v", B(true));
    static const struct {
        struct value value;
        const char *id;
    } wanted[] = {{{.type = VALUE_STRING, .text = {"5", 1}}, "i0"},
                  {{.type = VALUE_NUMBER, .number = 5}, "i1"},
                  {{.type = VALUE_NUMBER, .number = 0}, "i2"},
                  {{.type = VALUE_BOOL, .truth = true}, "i3"}};
    for (int sealed = 0; sealed < 3; sealed++) {
        struct kit_part part = {.sealed = sealed > 0, .applied_through = sealed == 2 ? kit.seq : 0};
        view_kit_build(&kit, &part, 1);
        for (size_t i = 0; i < 4; i++) {
            struct match m = {.kind = MATCH_VALUE, .value = wanted[i].value};
            struct filter f = {.kind = FILTER_TEST,
                               .test = {.field = FIELD_METADATA, .name = STR("v"), .matches = &m, .match_count = 1}};
            struct plan p = plan(PLAN_LIST, "");
            p.filter = &f;
            struct answer found = run(&p);
            assert_int_equal(found.hit_count, 1);
            assert_true(str_is(found.hits[0].inf.id, wanted[i].id));
        }
    }
}

/* ---- lists ---- */

static void many_rows(unsigned count) {
    for (unsigned i = 0; i < count; i++)
        add(arena_printf(&arena, "id-%u", i), NOON + (int64_t)(i * 7919 % 1000) * 1000);
}

static void pages_hold_each_row_once_while_others_arrive(void **state) {
    (void)state;
    enum { ROWS = 1500 };
    const struct kit_row *want[ROWS];
    uint64_t seqs[ROWS];
    many_rows(ROWS);
    build_mixed();
    struct plan p = plan(PLAN_LIST, "-index:3");
    p.limit = 130;
    assert_int_equal(oracle_rows(&kit, &p, want), ROWS);
    for (size_t i = 0; i < ROWS; i++) seqs[i] = want[i]->seq;
    size_t seen = 0;
    for (unsigned page = 0;; page++) {
        struct answer found = run(&p);
        for (size_t i = 0; i < found.hit_count; i++, seen++) assert_int_equal(found.hits[i].seq, seqs[seen]);
        if (!found.next.set) break;
        p.after = found.next;
        /* Newer than everything; right where the next page begins; among those still to come. */
        add(arena_printf(&arena, "new-%u", page), NOON + 24 * HOUR);
        add(arena_printf(&arena, "between-%u", page), found.next.time_us);
        add(arena_printf(&arena, "late-%u", page), NOON - 3 * HOUR);
        kit.rows[kit.row_count - 1].part = page % 2;
        view_kit_build(&kit, (struct kit_part[]){{.sealed = false}, {.sealed = true, .applied_through = kit.seq}}, 2);
    }
    assert_int_equal(seen, ROWS);
}

static void a_full_page_with_nothing_behind_it_has_no_cursor(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) add(arena_printf(&arena, "i%d", i), NOON);
    build_mixed();
    struct plan p = plan(PLAN_LIST, "");
    p.limit = 3;
    assert_false(run(&p).next.set);
    p.limit = 2;
    p.after = run(&p).next;
    assert_true(p.after.set);
    struct answer rest = run(&p);
    assert_int_equal(rest.hit_count, 1);
    assert_true(str_is(rest.hits[0].inf.id, "i0"));
    assert_false(rest.next.set);
}

static void a_page_of_large_rows_ends_early(void **state) {
    (void)state;
    enum { LARGE = 20000, COUNT = 20 };
    struct detection *many = calloc(LARGE, sizeof *many);
    for (int i = 0; i < LARGE; i++)
        many[i] = (struct detection){.class_name = STR("dog"), .class_id = -1, .confidence = 0.5};
    for (int i = 0; i < COUNT; i++) {
        struct inference inf = at_noon(arena_printf(&arena, "i%d", i));
        inf.detections = many;
        inf.detection_count = LARGE;
        view_kit_row(&kit, &inf);
    }
    free(many);
    build_mixed();
    struct plan p = plan(PLAN_LIST, "");
    size_t seen = 0, pages = 0;
    do {
        struct answer found = run(&p);
        assert_in_range(found.hit_count, 1, COUNT - 1);
        for (size_t i = 0; i < found.hit_count; i++, seen++)
            assert_true(str_is(found.hits[i].inf.id, arena_printf(&arena, "i%zu", COUNT - 1 - seen)));
        p.after = found.next;
        pages++;
    } while (p.after.set);
    assert_int_equal(seen, COUNT);
    assert_in_range(pages, 2, COUNT - 1);
}

static void times_are_from_included_to_not(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) add(arena_printf(&arena, "i%d", i), NOON + i % 4);
    build_mixed();
    struct plan p = plan(PLAN_LIST, "");
    p.from_us = NOON + 1;
    p.to_us = NOON + 3;
    struct answer found = run(&p);
    assert_int_equal(found.hit_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(str_is(found.hits[i].inf.id, (const char *[]){"i6", "i2", "i5", "i1"}[i]));
}

static void rows_that_came_after_as_of_are_left_out(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) add(arena_printf(&arena, "i%d", i), NOON + i);
    build_mixed();
    struct plan p = plan(PLAN_COUNT, "");
    assert_int_equal(run(&p).count, 10);
    assert_int_equal(run(&p).as_of, 10);
    p.as_of = 7;
    assert_int_equal(run(&p).count, 7);
    assert_int_equal(run(&p).as_of, 7);
    p.as_of = 99;
    assert_int_equal(run(&p).as_of, 10);
    atomic_store(&kit.view_seq, 4); /* the others are being applied at this moment */
    p.as_of = 0;
    assert_int_equal(run(&p).count, 4);
}

static void partial_rows_are_listed_when_asked_for_and_hidden_ones_never(void **state) {
    (void)state;
    struct inference half = at_noon("half"), whole = at_noon("both");
    half.partial = true;
    view_kit_row(&kit, &half);
    struct inference shadow = whole;
    shadow.partial = true;
    shadow.source = STR("aggregator");
    view_kit_row(&kit, &shadow);
    view_kit_row(&kit, &whole);
    for (int i = 0; i < 4; i++) {
        struct kit_part parts[] = {{.sealed = i & 1, .applied_through = i & 2 ? kit.seq : 0}, {.sealed = true}};
        for (size_t k = 0; k < 3; k++) kit.rows[k].part = k == 2;
        view_kit_build(&kit, parts, 2);
        assert_string_equal(ids(""), "both");
        assert_string_equal(ids("partial:true"), "half");
        assert_string_equal(ids("has:partial or partial:false"), "both half");
        struct plan p = plan(PLAN_COUNT, "");
        assert_int_equal(run(&p).count, 1);
        p.partial = true;
        assert_int_equal(run(&p).count, 2);
    }
}

static void a_hit_tells_all(void **state) {
    (void)state;
    struct detection d = {.class_name = STR("dog"),
                          .class_id = 3,
                          .confidence = 0.5,
                          .has_box = true,
                          .x = 1,
                          .y = 2,
                          .width = 3,
                          .height = 4};
    struct inference inf = at_noon("one");
    inf.time_us = TIME_UNKNOWN;
    inf.index = 2;
    inf.detections = &d;
    inf.detection_count = 1;
    view_kit_row(&kit, &inf);
    view_kit_write(&kit, "one", "operator", S("Ann"));
    view_kit_write(&kit, "one", "speed", N(1.5));
    for (int i = 0; i < 3; i++) {
        view_kit_build(&kit, &(struct kit_part){.sealed = i, .applied_through = i == 1 ? kit.seq : 2}, 1);
        struct plan p = plan(PLAN_LIST, "");
        struct hit h = run(&p).hits[0];
        assert_true(h.inf.time_us == NOON + 1 && h.received_us == NOON + 1);
        assert_int_equal(h.inf.index, 2);
        assert_true(h.inf.detections[0].width == 3);
        assert_int_equal(h.metadata_count, 2);
        assert_true(str_is(h.metadata[0].name, "operator") && str_is(h.metadata[0].value.text, "Ann"));
        assert_true(str_is(h.metadata[1].name, "speed") && h.metadata[1].value.number == 1.5);
    }
}

/* Nothing is in an answer but the answer's own: the view may be gone. */
static void answers_outlive_the_view(void **state) {
    (void)state;
    struct detection d = {.class_name = STR("dog"), .class_id = -1, .confidence = 0.5, .other = STR("{\"a\":1}")};
    struct inference inf = at_noon("one");
    inf.detections = &d;
    inf.detection_count = 1;
    inf.error = STR("broken");
    view_kit_row(&kit, &inf);
    view_kit_write(&kit, "one", "operator", S("Ann"));
    view_kit_build(&kit, &(struct kit_part){.sealed = true, .applied_through = 1}, 1);
    struct plan p = plan(PLAN_LIST, "");
    struct hit h = run(&p).hits[0];
    struct one one;
    struct err e;
    assert_true(query_one(&kit.view, STR("one"), &(struct which){0}, NOON, &arena, &one, &e));
    view_kit_build(&kit, NULL, 0);
    for (int i = 0; i < 2; i++, h = one.hit) {
        assert_true(str_is(h.inf.detections[0].class_name, "dog") && str_is(h.inf.detections[0].other, "{\"a\":1}"));
        assert_true(str_is(h.inf.error, "broken") && str_is(h.inf.model_id, "coco/24"));
        assert_true(str_is(h.metadata[0].name, "operator") && str_is(h.metadata[0].value.text, "Ann"));
    }
    assert_true(str_is(one.history[0].change.value.text, "Ann") && str_is(one.history[0].change.field, "operator"));
}

/* ---- what stops a query ---- */

static bool always(void *ctx) { return atomic_fetch_add((atomic_int *)ctx, 1) >= 0; }

static void queries_stop_when_told(void **state) {
    (void)state;
    many_rows(10);
    build_mixed();
    atomic_int asked = 0;
    struct query_control late = {.deadline_us = clock_mono_us() - 1}, gone = {.gone = always, .ctx = &asked};
    for (int kind = PLAN_LIST; kind <= PLAN_FACETS; kind++) {
        struct plan p = plan((enum plan_kind)kind, "");
        struct grouping g = {.measures = &(struct measure){.kind = MEASURE_INFERENCES}, .measure_count = 1};
        struct answer found;
        struct err e = {0};
        p.groupings = &g;
        p.grouping_count = 1;
        p.facets.columns = true;
        assert_false(query_run(&kit.view, &p, &late, &arena, &found, &e));
        assert_int_equal(e.code, ERR_BUSY);
        assert_false(query_run(&kit.view, &p, &gone, &arena, &found, &e));
        assert_int_equal(asked, kind + 1);
    }
}

static void a_workspace_without_anything_answers(void **state) {
    (void)state;
    struct measure measures[] = {{.kind = MEASURE_INFERENCES}, {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}}};
    struct grouping groupings[] = {{.measures = measures, .measure_count = 2},
                                   {.keys = {{.subject = {.of = OF_MODEL}}},
                                    .key_count = 1,
                                    .measures = measures,
                                    .measure_count = 2,
                                    .totals = true}};
    for (int kind = PLAN_LIST; kind <= PLAN_FACETS; kind++) {
        struct plan p = plan((enum plan_kind)kind, "model:coco");
        struct answer a;
        struct err e;
        p.groupings = groupings;
        p.grouping_count = 2;
        p.facets = (struct facets){.columns = true, .fields = true, .limit = 5};
        assert_true(query_run(NULL, &p, NULL, &arena, &a, &e));
        assert_true(a.hit_count == 0 && a.count == 0 && !a.next.set && a.gap_count == 0);
        if (kind == PLAN_GROUPS) {
            assert_int_equal(a.lists[0].count, 1);
            assert_true(a.lists[0].groups[0].cells[0].known && a.lists[0].groups[0].cells[0].count == 0);
            assert_false(a.lists[0].groups[0].cells[1].known);
            assert_int_equal(a.lists[1].count, 0);
            assert_true(a.lists[1].totals[0].known);
        }
        if (kind == PLAN_FACETS) assert_true(a.facet_count > 0 && a.facets[0].inferences == 0);
    }
    struct one one;
    struct waiting waiting;
    struct err e;
    assert_true(query_one(NULL, STR("x"), &(struct which){0}, NOON, &arena, &one, &e) && !one.known);
    query_waiting(NULL, NOON, &waiting);
    assert_int_equal(waiting.ids, 0);
}

/* ---- damage ---- */

static void a_damaged_segment_is_left_out_and_named(void **state) {
    (void)state;
    enum { ROWS = 3000 };
    many_rows(ROWS);
    for (unsigned i = 0; i < ROWS; i++) kit.rows[i].part = i % 3;
    struct kit_part parts[3];
    for (int i = 0; i < 3; i++) parts[i] = (struct kit_part){.sealed = i, .applied_through = kit.seq};
    struct err e;
    struct crew *crew = crew_new(2, &e);
    for (int kind = PLAN_LIST; kind <= PLAN_FACETS; kind++) {
        view_kit_build(&kit, parts, 3);
        const struct segment *g = kit.view.sealed[0]->segment;
        view_kit_damage_column(&kit, 0, SEG_MODEL);
        struct plan p = plan((enum plan_kind)kind, "model:coco");
        struct grouping by_model = {.keys = {{.subject = {.of = OF_MODEL}}},
                                    .key_count = 1,
                                    .measures = &(struct measure){.kind = MEASURE_INFERENCES},
                                    .measure_count = 1};
        struct query_control control = {.crew = crew};
        struct subject model = {.of = OF_MODEL};
        struct answer a;
        p.limit = ROWS;
        p.groupings = &by_model;
        p.grouping_count = 1;
        p.facets = (struct facets){.of = &model, .count = 1, .limit = 5};
        if (!query_run(&kit.view, &p, &control, &arena, &a, &e)) fail_msg("%s", e.msg);
        assert_int_equal(a.gap_count, 1);
        assert_int_equal(a.gaps[0].segment, g->number);
        assert_true(a.gaps[0].from_us == g->min_time_us && a.gaps[0].to_us == g->max_time_us);
        assert_true(atomic_load(&kit.view.sealed[0]->set_aside));
        uint64_t found = kind == PLAN_LIST     ? a.hit_count
                         : kind == PLAN_COUNT  ? a.count
                         : kind == PLAN_GROUPS ? a.lists[0].groups[0].cells[0].count
                                               : a.facets[0].top[0].count;
        assert_int_equal(found, ROWS / 3 * 2);
        /* It is named where its time was asked for, and nowhere else. */
        p.to_us = NOON - HOUR;
        assert_true(query_run(&kit.view, &p, &control, &arena, &a, &e));
        assert_int_equal(a.gap_count, 0);
    }
    crew_free(crew);
}

static void an_id_in_a_damaged_segment_is_told_of(void **state) {
    (void)state;
    add("here", NOON);
    add("there", NOON + 1);
    kit.rows[1].part = 1;
    view_kit_build(&kit, (struct kit_part[]){{.sealed = false}, {.sealed = true}}, 2);
    view_kit_damage_column(&kit, 0, SEG_DEVICE); /* read when the whole row is */
    struct one one;
    struct err e;
    assert_true(query_one(&kit.view, STR("there"), &(struct which){0}, NOON, &arena, &one, &e));
    assert_true(!one.found && one.gap_count == 1);
    assert_true(query_one(&kit.view, STR("here"), &(struct which){0}, NOON, &arena, &one, &e));
    assert_true(one.found && one.gap_count == 0);
    assert_true(query_one(&kit.view, STR("nowhere"), &(struct which){0}, NOON, &arena, &one, &e));
    assert_true(!one.known && one.gap_count == 1);
}

/* ---- sums ---- */

/* One thread adds up what it took of each part by itself, as if others had taken the rest: so a sum does not tell who took
 * what. The million is in the part that is read first; a running sum would keep nothing of what comes after it. */
static void a_sum_is_of_each_part_by_itself(void **state) {
    (void)state;
    struct kit_part parts[VIEW_KIT_PARTS];
    for (unsigned i = 0; i < VIEW_KIT_PARTS; i++) {
        add(arena_printf(&arena, "id-%u", i), i ? NOON : NOON + HOUR);
        kit.rows[i].inf.latency_s = i ? 4e-11 : 1e6;
        kit.rows[i].part = i;
        parts[i] = (struct kit_part){.sealed = true};
    }
    view_kit_build(&kit, parts, VIEW_KIT_PARTS);
    struct measure latency = {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}};
    struct grouping all = {.measures = &latency, .measure_count = 1};
    struct plan p = plan(PLAN_GROUPS, "-class:none"); /* so that no summary answers */
    p.groupings = &all;
    p.grouping_count = 1;
    assert_true(run(&p).lists[0].groups[0].cells[0].number == (1e6 + (VIEW_KIT_PARTS - 1) * 4e-11) / VIEW_KIT_PARTS);
}

/* ---- beside the writer ---- */

enum { WRITTEN = 3 * BLOCK_ROWS };
static atomic_bool written;

static void attach(struct chunk *c, struct ident *i, const char *field, struct value v, uint64_t seq) {
    chunk_write(c, i, fields_of(kit.view.fields, str_of(field)), &v, seq, NOON, 1);
}

static void *write_rows(void *arg) {
    struct detection d = {.class_name = STR("dog"), .class_id = -1, .confidence = 0.5};
    struct chunk *c = arg;
    uint64_t seq = 0;
    for (int i = 0; i < WRITTEN; i++) {
        char id[16], value[16];
        struct str s = {id, (size_t)snprintf(id, sizeof id, "w%d", i)};
        snprintf(value, sizeof value, "v%d", i % 100);
        struct inference inf = at_noon("");
        inf.id = s;
        inf.time_us = NOON + i;
        inf.latency_s = 0.1;
        inf.detections = &d;
        inf.detection_count = 1;
        struct buf payload = {0};
        struct ident *ident = chunk_ident(c, id_hash(kit.view.store_id, s), s);
        inference_encode(&payload, &inf);
        attach(c, ident, "before", S(value), ++seq);
        chunk_add(c, ident, ++seq, inf.time_us, buf_str(&payload), &inf, 0, false);
        attach(c, ident, i < WRITTEN / 2 ? "early" : "late", S(value), ++seq);
        if (i % 7 == 0) attach(c, ident, "before", NOTHING, ++seq);
        atomic_store_explicit(&kit.view_seq, seq, memory_order_release);
        buf_free(&payload);
    }
    atomic_store(&written, true);
    return NULL;
}

static void *overlay_writer(void *arg) {
    struct overlay *o = arg;
    uint32_t field = fields_of(kit.view.fields, STR("before"));
    for (uint32_t i = 0; !atomic_load(&written); i++) {
        char text[16];
        struct value v = {.type = VALUE_STRING, .text = {text, (size_t)snprintf(text, sizeof text, "o%u", i % 5000)}};
        overlay_set(o, i + 1, NOON, 1, i % 100, field, i % 3 ? &v : &NOTHING);
        if (i % 1000 == 0) overlay_hide(o, i + 1, i / 1000 % 50);
    }
    return NULL;
}

static void readers_run_beside_the_writer(void **state) {
    (void)state;
    pthread_t writer, attacher;
    struct err e = {0};
    for (int i = 0; i < 100; i++) add(arena_printf(&arena, "sealed-%d", i), NOON - HOUR);
    kit.rows[0].part = 0;
    for (int i = 0; i < 100; i++) kit.rows[i].part = 1;
    view_kit_build(&kit, (struct kit_part[]){{.sealed = false}, {.sealed = true}}, 2);
    fields_of(kit.view.fields, STR("before"));
    struct crew *crew = crew_new(2, &e);
    struct query_control control = {.crew = crew};
    struct measure measures[] = {{.kind = MEASURE_INFERENCES},
                                 {.kind = MEASURE_AVG, .of = {.of = OF_CONFIDENCE}},
                                 {.kind = MEASURE_NEWEST, .of = {.of = OF_MODEL}},
                                 {.kind = MEASURE_DISTINCT, .of = {OF_METADATA, STR("before")}}};
    struct grouping groupings[] = {{.measures = measures, .measure_count = 4},
                                   {.keys = {{.subject = {OF_METADATA, STR("before")}}, {.subject = {.of = OF_CLASS}}},
                                    .key_count = 2,
                                    .measures = measures,
                                    .measure_count = 4}};
    atomic_store(&written, false);
    assert_int_equal(pthread_create(&writer, NULL, write_rows, kit.view.chunks[0]), 0);
    assert_int_equal(pthread_create(&attacher, NULL, overlay_writer, kit.view.sealed[0]->overlay), 0);
    uint64_t least = 0;
    for (bool last = false; !last;) {
        last = atomic_load(&written);
        struct arena scratch = {0};
        struct answer a;
        struct plan p = plan(PLAN_COUNT, "");
        p.from_us = NOON;
        assert_true(query_run(&kit.view, &p, &control, &scratch, &a, &e));
        assert_true(a.count >= least);
        least = a.count;
        p = plan(PLAN_LIST, "-before:v1 (class:dog or has:before or before:o1*)");
        assert_true(query_run(&kit.view, &p, &control, &scratch, &a, &e));
        for (size_t i = 1; i < a.hit_count; i++) assert_true(a.hits[i].inf.time_us <= a.hits[i - 1].inf.time_us);
        p = plan(PLAN_GROUPS, "");
        p.from_us = NOON;
        p.groupings = groupings;
        p.grouping_count = 2;
        assert_true(query_run(&kit.view, &p, &control, &scratch, &a, &e));
        assert_true(a.lists[0].groups[0].cells[0].count >= least);
        p = plan(PLAN_FACETS, "");
        p.facets = (struct facets){.columns = true, .fields = true, .limit = 5};
        assert_true(query_run(&kit.view, &p, &control, &scratch, &a, &e));
        struct one one;
        struct waiting waiting;
        assert_true(query_one(&kit.view, STR("w100"), &(struct which){0}, NOON, &scratch, &one, &e));
        assert_true(query_one(&kit.view, STR("sealed-7"), &(struct which){0}, NOON, &scratch, &one, &e) && one.known);
        query_waiting(&kit.view, NOON, &waiting);
        arena_free(&scratch);
    }
    pthread_join(writer, NULL);
    pthread_join(attacher, NULL);
    crew_free(crew);
    assert_int_equal(least, WRITTEN);
    struct plan p = plan(PLAN_COUNT, "-has:before");
    p.from_us = NOON;
    assert_int_equal(run(&p).count, (WRITTEN + 6) / 7);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    hash_init();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_value_matches_by_type_and_text),
        TEST(an_exact_value_matches_its_type_alone),
        TEST(pages_hold_each_row_once_while_others_arrive),
        TEST(a_full_page_with_nothing_behind_it_has_no_cursor),
        TEST(a_page_of_large_rows_ends_early),
        TEST(times_are_from_included_to_not),
        TEST(rows_that_came_after_as_of_are_left_out),
        TEST(partial_rows_are_listed_when_asked_for_and_hidden_ones_never),
        TEST(a_hit_tells_all),
        TEST(answers_outlive_the_view),
        TEST(queries_stop_when_told),
        TEST(a_workspace_without_anything_answers),
        TEST(a_damaged_segment_is_left_out_and_named),
        TEST(an_id_in_a_damaged_segment_is_told_of),
        TEST(a_sum_is_of_each_part_by_itself),
        TEST(readers_run_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
