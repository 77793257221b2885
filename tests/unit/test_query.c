/* Plans run over a chunk, against the same questions answered row by row over plain structs. */
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
#include "query/aggregate.h"
#include "query/lookup.h"

/* ---- a chunk to ask ---- */

#define NOON INT64_C(1795262400000000) /* 2026-11-21T12:00:00Z */
#define HOUR INT64_C(3600000000)

static struct chunk *chunk;
static struct view view;
static struct arena arena;
static uint64_t seq;
static uint32_t rnd_state;

static int setup(void **state) {
    (void)state;
    chunk = chunk_new(5 * BLOCK_ROWS, 16);
    view = (struct view){.open = chunk};
    seq = 0;
    rnd_state = 12345;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    chunk_free(chunk);
    arena_free(&arena);
    return 0;
}

static uint32_t rnd(uint32_t below) {
    rnd_state = rnd_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)(rnd_state >> 8) * below) >> 24);
}

static void add(const struct inference *inf) {
    struct buf payload = {0};
    uint32_t index;
    inference_encode(&payload, inf);
    seq++;
    assert_int_equal(chunk_add(chunk, seq, NOON + (int64_t)seq, buf_str(&payload), inf, &index), OUTCOME_CREATED);
    buf_free(&payload);
}

static void attach(const char *id, const char *field, struct value v) {
    struct str ids = str_of(id);
    struct attach_counts counts;
    struct attach a = {.key_id = 7, .field = str_of(field), .value = v, .ids = &ids, .id_count = 1};
    seq++;
    chunk_attach(chunk, seq, NOON + (int64_t)seq, &a, &counts);
}

#define S(z) ((struct value){.type = VALUE_STRING, .text = str_of(z)})
#define N(v) ((struct value){.type = VALUE_NUMBER, .number = (v)})
#define B(v) ((struct value){.type = VALUE_BOOL, .truth = (v)})

static struct inference inference(const char *id) {
    return (struct inference){.id = str_of(id), .model_id = STR("coco/24"), .time_us = NOON, .latency_s = NAN};
}

static const struct filter *filter(const char *text) {
    const struct filter *f;
    struct filter_error where;
    struct err e = {0};
    if (!filter_parse(&arena, str_of(text), &f, &where, &e)) fail_msg("%s: %s", text, e.msg);
    return f;
}

static struct plan plan(const char *text) {
    return (struct plan){.from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .filter = filter(text), .limit = 1000};
}

static uint64_t count(const char *text) {
    struct plan p = plan(text);
    struct err e = {0};
    uint64_t n;
    assert_true(query_count(&view, &p, NULL, &arena, &n, &e));
    return n;
}

static struct hit_list list(const struct plan *p) {
    struct hit_list found;
    struct err e = {0};
    assert_true(query_list(&view, p, NULL, &arena, &found, &e));
    return found;
}

/* The ids that a filter lists, newest first, with blanks between. */
static const char *ids(const char *text) {
    struct plan p = plan(text);
    struct hit_list found = list(&p);
    struct buf b = {0};
    for (size_t i = 0; i < found.count; i++) buf_printf(&b, i ? " " STR_FMT : STR_FMT, STR_ARG(found.hits[i].inf.id));
    const char *z = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return z;
}

/* ---- the same rows, plainly ---- */

enum { ROWS = 3 * BLOCK_ROWS + 100, MOST_DETECTIONS = 4, FIELDS = 3 };

static const char *const models[] = {"coco/24", "coco/25", "cards/1", ""};
static const char *const devices[] = {"cam 1", "cam-2", ""};
static const char *const classes[] = {"bottle", "cap", "wine glass", "dog"};
static const char *const fields[FIELDS] = {"shift", "temperature", "serial number"};

struct plain {
    char id[16];
    struct inference inf;
    struct detection detections[MOST_DETECTIONS];
    struct value metadata[FIELDS];
    char serial[16];
    uint64_t seq;
};

static struct value random_value(struct plain *r, int field) {
    static const char *const shifts[] = {"night", "day", "5", "true"};
    switch (field) {
    case 0: return rnd(5) ? S(shifts[rnd(4)]) : rnd(2) ? N(5) : B(rnd(2));
    case 1: return rnd(3) ? N(rnd(100) / 4.0) : S(rnd(2) ? "12.5" : "warm");
    default: snprintf(r->serial, sizeof r->serial, "A%u", rnd(3000)); return S(r->serial);
    }
}

static void random_row(struct plain *r, uint32_t number) {
    *r = (struct plain){0};
    snprintf(r->id, sizeof r->id, "id-%u", number);
    r->inf = (struct inference){
        .id = str_of(r->id),
        .model_id = str_of(models[rnd(4)]),
        .index = rnd(3),
        .partial = rnd(20) == 0,
        .time_us = NOON + (int64_t)rnd(4000) * 1000000 - (int64_t)rnd(3) * HOUR, /* many are equal, none in order */
        .latency_s = rnd(5) ? rnd(1000) / 1000.0 : NAN,
        .device_id = str_of(devices[rnd(3)]),
        .source = rnd(2) ? STR("line") : STR(""),
        .error = rnd(10) ? STR("") : rnd(2) ? STR("timeout: no frame") : STR("broken"),
        .picture = rnd(4) ? NULL : (const uint8_t *)"0123456789abcdef0123456789abcdef",
        .detections = r->detections,
    };
    r->inf.detection_count = r->inf.error.n ? 0 : rnd(MOST_DETECTIONS + 1);
    for (size_t i = 0; i < r->inf.detection_count; i++)
        r->detections[i] = (struct detection){
            .class_name = str_of(classes[rnd(4)]), .class_id = -1, .confidence = rnd(10) ? rnd(1001) / 1000.0 : NAN};
}

static struct plain *random_rows(void) {
    struct plain *rows = calloc(ROWS, sizeof *rows);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct plain *r = &rows[i];
        random_row(r, i);
        add(&r->inf);
        r->seq = seq;
        for (int f = 0; f < FIELDS; f++) {
            if (rnd(3)) continue;
            r->metadata[f] = random_value(r, f);
            attach(r->id, fields[f], r->metadata[f]);
        }
    }
    return rows;
}

static double top(const struct plain *r) {
    double most = NAN;
    for (size_t i = 0; i < r->inf.detection_count; i++)
        if (isnan(most) || r->detections[i].confidence > most) most = r->detections[i].confidence;
    return most;
}

static bool text_holds(const struct filter_test *t, struct str text) {
    struct value v = {.type = text.n ? VALUE_STRING : VALUE_NONE, .text = text};
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        if (match_value(m, &v)) return true;
        if (t->field == FIELD_MODEL && m->kind == MATCH_TEXT && text.n > m->text.n && str_starts(text, m->text) &&
            text.p[m->text.n] == '/' && !memchr(text.p + m->text.n + 1, '/', text.n - m->text.n - 1))
            return true;
    }
    return false;
}

static bool number_holds(const struct filter_test *t, double v) {
    for (size_t i = 0; i < t->match_count; i++)
        if (t->matches[i].kind == MATCH_PRESENT ? !isnan(v)
                                                : v >= t->matches[i].range.low && v <= t->matches[i].range.high)
            return true;
    return false;
}

static bool value_holds(const struct filter_test *t, const struct value *v) {
    for (size_t i = 0; i < t->match_count; i++)
        if (v->type != VALUE_NONE && match_value(&t->matches[i], v)) return true;
    return false;
}

static bool any_holds(const struct filter_test *t, const struct plain *r) {
    bool holds = str_eq(r->inf.id, t->matches[0].text);
    for (int f = 0; f < FIELDS; f++) holds |= value_holds(t, &r->metadata[f]);
    return holds;
}

static bool class_holds(const struct filter_test *t, const struct plain *r) {
    unsigned n = 0;
    for (size_t i = 0; i < r->inf.detection_count; i++) {
        double c = r->detections[i].confidence;
        n += text_holds(t, r->detections[i].class_name) &&
             (!t->by_confidence || (c >= t->confidence.low && c <= t->confidence.high));
    }
    return n >= t->count.low && n <= t->count.high;
}

static bool test_holds(const struct filter_test *t, const struct plain *r) {
    switch (t->field) {
    case FIELD_ID: return text_holds(t, r->inf.id);
    case FIELD_MODEL: return text_holds(t, r->inf.model_id);
    case FIELD_DEVICE: return text_holds(t, r->inf.device_id);
    case FIELD_SOURCE: return text_holds(t, r->inf.source);
    case FIELD_SOURCE_INFO:
    case FIELD_SERVER: return false;
    case FIELD_ERROR: return text_holds(t, r->inf.error);
    case FIELD_CLASS: return class_holds(t, r);
    case FIELD_CONFIDENCE: return number_holds(t, top(r));
    case FIELD_LATENCY: return number_holds(t, r->inf.latency_s);
    case FIELD_DETECTIONS: return number_holds(t, (double)r->inf.detection_count);
    case FIELD_INDEX: return number_holds(t, r->inf.index);
    case FIELD_TIME: return number_holds(t, (double)r->inf.time_us);
    case FIELD_PARTIAL: return number_holds(t, r->inf.partial);
    case FIELD_PICTURE: return number_holds(t, r->inf.picture != NULL);
    case FIELD_METADATA:
        for (int f = 0; f < FIELDS; f++)
            if (str_is(t->name, fields[f])) return value_holds(t, &r->metadata[f]);
        return false;
    case FIELD_ANY: return any_holds(t, r);
    }
    return false;
}

static bool holds(const struct filter *f, const struct plain *r) {
    if (!f) return true;
    if (f->kind == FILTER_TEST) return test_holds(&f->test, r);
    if (f->kind == FILTER_NOT) return !holds(f->first, r);
    for (const struct filter *child = f->first; child; child = child->next)
        if (holds(child, r) != (f->kind == FILTER_AND)) return f->kind == FILTER_OR;
    return f->kind == FILTER_AND;
}

static int plain_newest_first(const void *x, const void *y) {
    const struct plain *a = *(struct plain *const *)x, *b = *(struct plain *const *)y;
    if (a->inf.time_us != b->inf.time_us) return a->inf.time_us < b->inf.time_us ? 1 : -1;
    return a->seq < b->seq ? 1 : -1;
}

static size_t expected(struct plain *rows, const struct plan *p, bool partial, struct plain **out) {
    size_t n = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        struct plain *r = &rows[i];
        if (r->inf.time_us < p->from_us || r->inf.time_us >= p->to_us || (r->inf.partial && !partial) ||
            !holds(p->filter, r))
            continue;
        out[n++] = r;
    }
    qsort(out, n, sizeof *out, plain_newest_first);
    return n;
}

/* ---- filters ---- */

static const char *const clauses[] = {
    "model:coco",
    "model:coco/24",
    "-model:cards",
    "has:model",
    "device:\"cam 1\"",
    "device:cam*",
    "-has:device",
    "source:line",
    "id:id-17",
    "id:id-1*",
    "id:(id-3 or id-99)",
    "id:nobody",
    "confidence<0.5",
    "confidence>=0.9",
    "-confidence<0.5",
    "has:confidence",
    "latency:0.1..0.2",
    "-has:latency",
    "detections:0",
    "detections>2",
    "has:detections",
    "index:1",
    "index:(0 or 2)",
    "time>=\"2026-11-21T12:30:00Z\"",
    "partial:true",
    "-has:partial",
    "has:picture",
    "-picture:true",
    "has:error",
    "error:*frame*",
    "error:broken",
    "-has:error",
    "class:bottle",
    "class:bottle>=2",
    "class:bottle[confidence>0.5]",
    "class:cap[confidence>0.3 confidence<0.8]>=2",
    "class:(dog or cap)<=1",
    "-class:bottle",
    "class:w*",
    "has:class",
    "class:zebra",
    "shift:night",
    "shift:5",
    "shift:true",
    "-shift:night",
    "has:shift",
    "-has:shift",
    "temperature>12",
    "temperature:12.5",
    "temperature:5..15",
    "temperature<0",
    "metadata.\"serial number\":A17",
    "metadata.\"serial number\":A1*",
    "has:nothing",
    "nothing:x",
    "-nothing:x",
    "night",
    "id-44",
    "A17",
    "nobody",
};
enum { CLAUSES = sizeof clauses / sizeof *clauses };

static const char *random_filter(int depth) {
    switch (rnd(depth > 0 ? 8 : 4)) {
    case 4: return arena_printf(&arena, "(%s) %s", random_filter(depth - 1), random_filter(depth - 1));
    case 5: return arena_printf(&arena, "%s or %s", random_filter(depth - 1), random_filter(depth - 1));
    case 6: return arena_printf(&arena, "-(%s)", random_filter(depth - 1));
    case 7:
        return arena_printf(&arena, "%s (%s or %s)", random_filter(depth - 1), random_filter(depth - 1),
                            random_filter(depth - 1));
    default: return clauses[rnd(CLAUSES)];
    }
}

static void check_filter(struct plain *rows, const char *text) {
    static struct plain *want[ROWS];
    struct plan p = plan(text);
    if (rnd(3) == 0) p.from_us = NOON - HOUR, p.to_us = NOON + HOUR / 2;
    p.limit = 100;
    size_t n = expected(rows, &p, filter_mentions(p.filter, FIELD_PARTIAL), want);
    struct err e = {0};
    uint64_t counted;
    assert_true(query_count(&view, &p, NULL, &arena, &counted, &e));
    if (counted != n) fail_msg("%s: %llu rows, expected %zu", text, (unsigned long long)counted, n);
    struct hit_list found = list(&p);
    assert_int_equal(found.count, n < 100 ? n : 100);
    assert_int_equal(found.next.set, n > 100);
    for (size_t i = 0; i < found.count; i++)
        if (!str_eq(found.hits[i].inf.id, want[i]->inf.id)) fail_msg("%s: another row at %zu", text, i);
}

static void filters_find_what_a_look_at_each_row_finds(void **state) {
    (void)state;
    struct plain *rows = random_rows();
    for (size_t i = 0; i < CLAUSES; i++) check_filter(rows, clauses[i]);
    for (int i = 0; i < 200; i++) check_filter(rows, random_filter(3));
    free(rows);
}

static void a_value_matches_by_type_and_text(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        inf.time_us = NOON + i;
        add(&inf);
    }
    attach("i0", "v", S("5"));
    attach("i1", "v", N(5));
    attach("i2", "v", S("five"));
    attach("i3", "v", B(true));
    assert_string_equal(ids("v:5"), "i1 i0");
    assert_string_equal(ids("-v:5"), "i4 i3 i2");
    assert_string_equal(ids("v>4"), "i1 i0");
    assert_string_equal(ids("v:true"), "i3");
    assert_string_equal(ids("has:v"), "i3 i2 i1 i0");
    assert_string_equal(ids("five"), "i2");
    assert_string_equal(ids("i4"), "i4");
    attach("i1", "v", (struct value){0});
    assert_string_equal(ids("v:5"), "i0");
    assert_string_equal(ids("-has:v"), "i4 i1");
}

/* ---- lists ---- */

static void pages_hold_each_row_once_while_others_arrive(void **state) {
    (void)state;
    static struct plain *want[ROWS];
    struct plain *rows = random_rows();
    struct plan p = plan("-shift:night");
    p.limit = 700;
    size_t n = expected(rows, &p, false, want), seen = 0;
    for (unsigned page = 0;; page++) {
        struct hit_list found = list(&p);
        for (size_t i = 0; i < found.count; i++, seen++) assert_true(str_eq(found.hits[i].inf.id, want[seen]->inf.id));
        if (!found.next.set) break;
        p.after = found.next;
        /* Newer than everything; right where the next page begins; among those still to come. */
        struct inference inf = inference(arena_printf(&arena, "new-%u", page));
        inf.time_us = NOON + 24 * HOUR;
        add(&inf);
        inf = inference(arena_printf(&arena, "between-%u", page));
        inf.time_us = found.next.time_us;
        add(&inf);
        inf = inference(arena_printf(&arena, "late-%u", page));
        inf.time_us = NOON - 3 * HOUR;
        add(&inf);
    }
    assert_int_equal(seen, n);
    free(rows);
}

static void a_full_page_with_nothing_behind_it_has_no_cursor(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        add(&inf);
    }
    struct plan p = plan("");
    p.limit = 3;
    assert_false(list(&p).next.set);
    p.limit = 2;
    p.after = list(&p).next;
    assert_true(p.after.set);
    struct hit_list rest = list(&p);
    assert_int_equal(rest.count, 1);
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
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        inf.detections = many;
        inf.detection_count = LARGE;
        add(&inf);
    }
    free(many);
    struct plan p = plan("");
    size_t seen = 0, pages = 0;
    do {
        struct hit_list found = list(&p);
        assert_in_range(found.count, 1, COUNT - 1);
        for (size_t i = 0; i < found.count; i++, seen++)
            assert_true(str_is(found.hits[i].inf.id, arena_printf(&arena, "i%zu", COUNT - 1 - seen)));
        p.after = found.next;
        pages++;
    } while (p.after.set);
    assert_int_equal(seen, COUNT);
    assert_in_range(pages, 2, COUNT - 1);
}

static void times_are_from_included_to_not(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        inf.time_us = NOON + i;
        add(&inf);
    }
    struct plan p = plan("");
    p.from_us = NOON + 1;
    p.to_us = NOON + 3;
    struct hit_list found = list(&p);
    assert_int_equal(found.count, 2);
    assert_true(str_is(found.hits[0].inf.id, "i2"));
    assert_true(str_is(found.hits[1].inf.id, "i1"));
}

static void partial_rows_are_listed_when_asked_for_and_hidden_ones_never(void **state) {
    (void)state;
    struct inference half = inference("half"), whole = inference("both");
    half.partial = true;
    add(&half);
    struct inference shadow = whole;
    shadow.partial = true;
    shadow.source = STR("aggregator");
    add(&shadow);
    add(&whole);
    assert_string_equal(ids(""), "both");
    assert_string_equal(ids("partial:true"), "half");
    assert_string_equal(ids("has:partial or partial:false"), "both half");
    assert_int_equal(count(""), 1);
    assert_int_equal(count("source:aggregator"), 0);
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
    struct inference inf = inference("one");
    inf.time_us = TIME_UNKNOWN;
    inf.index = 2;
    inf.detections = &d;
    inf.detection_count = 1;
    add(&inf);
    attach("one", "operator", S("Ann"));
    attach("one", "speed", N(1.5));
    struct plan p = plan("");
    struct hit h = list(&p).hits[0];
    assert_true(h.inf.time_us == NOON + 1 && h.received_us == NOON + 1);
    assert_int_equal(h.inf.index, 2);
    assert_true(h.inf.detections[0].width == 3);
    assert_int_equal(h.metadata_count, 2);
    assert_true(str_is(h.metadata[0].name, "operator") && str_is(h.metadata[0].value.text, "Ann"));
    assert_true(str_is(h.metadata[1].name, "speed") && h.metadata[1].value.number == 1.5);
}

static void cursors_read_back(void **state) {
    (void)state;
    struct cursor c = {true, -5, 77, UINT64_MAX}, back;
    struct buf b = {0};
    cursor_write(&b, &c);
    assert_true(cursor_read(buf_str(&b), &back));
    assert_true(back.set && back.time_us == -5 && back.seq == 77 && back.as_of == UINT64_MAX);
    buf_free(&b);
    assert_false(cursor_read(STR(""), &back));
    assert_false(cursor_read(STR("1-2-3"), &back));
    assert_false(cursor_read(STR("1-2-3-4-5"), &back));
    assert_false(cursor_read(STR("2-2-3-4"), &back));
    assert_false(cursor_read(STR("1-2-x-4"), &back));
    assert_false(cursor_read(STR("1-2-11112222333344445-4"), &back));
}

/* ---- aggregates ---- */

enum { ALL, BY_TIME, BY_MODEL, BY_CLASS, GROUPINGS };
static const struct grouping groupings[GROUPINGS] = {
    [ALL] = {{KEY_NONE, KEY_NONE}, true, 1},
    [BY_TIME] = {{KEY_TIME, KEY_NONE}, false, 100},
    [BY_MODEL] = {{KEY_MODEL, KEY_NONE}, true, 10},
    [BY_CLASS] = {{KEY_MODEL, KEY_CLASS}, true, 50},
};

static void aggregate(struct plan *p, struct group_list lists[GROUPINGS]) {
    struct err e = {0};
    p->groupings = groupings;
    p->grouping_count = GROUPINGS;
    p->bucket_us = HOUR;
    assert_true(query_aggregate(&view, p, NULL, &arena, lists, &e));
}

static const struct measures *group(const struct group_list *l, const char *model, const char *class) {
    for (size_t i = 0; i < l->count; i++)
        if (str_is(l->groups[i]->keys[0], model) && str_is(l->groups[i]->keys[1], class)) return &l->groups[i]->m;
    return NULL;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-12 * fabs(b); }

static void statistics_count_as_defined(void **state) {
    (void)state;
    struct detection two[] = {{.class_name = STR("dog"), .class_id = -1, .confidence = 0.9},
                              {.class_name = STR("cat"), .class_id = -1, .confidence = 0.6}};
    struct inference inf = inference("two");
    inf.latency_s = 0.2;
    inf.detections = two;
    inf.detection_count = 2;
    inf.model_name = STR("demo");
    add(&inf);
    struct inference empty = inference("empty");
    empty.time_us = NOON + 1;
    add(&empty);
    struct inference failed = inference("failed");
    failed.error = STR("broken");
    failed.latency_s = 9;
    add(&failed);
    struct inference partial = inference("partial");
    partial.partial = true;
    add(&partial);

    struct group_list lists[GROUPINGS];
    struct plan p = plan("");
    aggregate(&p, lists);
    const struct measures *m = &lists[ALL].groups[0]->m;
    assert_int_equal(m->inferences, 3);
    assert_int_equal(m->errors, 1);
    assert_int_equal(m->empty, 1);
    assert_int_equal(m->detections, 2);
    assert_true(m->last_us == NOON + 1);
    assert_true(str_is(m->model_name, "demo"));
    assert_true(near(mean(m->row_confidence, m->rows), (0.9 + 0.6 + 0) / 3));
    assert_true(near(mean(m->row_latency, m->rows), (0.2 + 0.2 + 0) / 3));
    assert_true(near(mean(m->confidence, m->with_confidence), 0.9));
    assert_true(near(mean(m->latency, m->with_latency), 0.2));

    assert_int_equal(lists[BY_CLASS].count, 3);
    const struct measures *dog = group(&lists[BY_CLASS], "coco/24", "dog"),
                          *none = group(&lists[BY_CLASS], "coco/24", "");
    assert_int_equal(dog->inferences, 1);
    assert_int_equal(dog->detections, 1);
    assert_true(near(mean(dog->row_confidence, dog->rows), 0.9));
    assert_int_equal(none->inferences, 1);
    assert_int_equal(none->detections, 0);
    assert_int_equal(none->rows, 1);
}

static void an_inference_counts_once_a_class(void **state) {
    (void)state;
    struct detection three[] = {{.class_name = STR("dog"), .class_id = -1, .confidence = 0.5},
                                {.class_name = STR("cat"), .class_id = -1, .confidence = 0.5},
                                {.class_name = STR("dog"), .class_id = -1, .confidence = 0.7}};
    struct inference inf = inference("three");
    inf.detections = three;
    inf.detection_count = 3;
    add(&inf);
    struct group_list lists[GROUPINGS];
    struct plan p = plan("");
    aggregate(&p, lists);
    const struct measures *dog = group(&lists[BY_CLASS], "coco/24", "dog");
    assert_int_equal(dog->inferences, 1);
    assert_int_equal(dog->detections, 2);
    assert_true(near(mean(dog->confidence, dog->with_confidence), 0.6));
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Read between the values of a sorted array, as histogram_quantile promises. */
static double exact_quantile(double *v, size_t n, double q) {
    qsort(v, n, sizeof *v, ascending);
    double at = q * (double)(n - 1);
    size_t k = (size_t)at;
    return k + 1 < n ? v[k] + (at - (double)k) * (v[k + 1] - v[k]) : v[k];
}

static void statistics_agree_with_sums_over_rows(void **state) {
    (void)state;
    static struct plain *want[ROWS];
    static double tops[ROWS], latencies[ROWS];
    struct plain *rows = random_rows();
    struct plan p = plan("has:shift or model:coco");
    p.from_us = NOON - HOUR - HOUR / 2;
    p.to_us = NOON + HOUR / 2;
    size_t n = expected(rows, &p, false, want), with_top = 0, with_latency = 0;
    uint64_t errors = 0, detections = 0, empty = 0, row_count = 0, buckets[4] = {0};
    long double row_confidence = 0, row_latency = 0, top_sum = 0, latency_sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct inference *inf = &want[i]->inf;
        buckets[(inf->time_us - (NOON - 2 * HOUR)) / HOUR]++;
        if (inf->error.n) {
            errors++;
            continue;
        }
        detections += inf->detection_count;
        empty += inf->detection_count == 0;
        size_t here = inf->detection_count ? inf->detection_count : 1;
        row_count += here;
        for (size_t k = 0; k < inf->detection_count; k++)
            row_confidence += isnan(inf->detections[k].confidence) ? 0 : inf->detections[k].confidence;
        row_latency += isnan(inf->latency_s) ? 0 : inf->latency_s * (double)here;
        double most = top(want[i]);
        if (!isnan(most)) top_sum += tops[with_top++] = most;
        if (!isnan(inf->latency_s)) latency_sum += latencies[with_latency++] = inf->latency_s;
    }

    struct group_list lists[GROUPINGS];
    aggregate(&p, lists);
    const struct measures *m = &lists[ALL].groups[0]->m;
    assert_int_equal(m->inferences, n);
    assert_int_equal(m->errors, errors);
    assert_int_equal(m->detections, detections);
    assert_int_equal(m->empty, empty);
    assert_int_equal(m->rows, row_count);
    assert_true(near(mean(m->row_confidence, m->rows), (double)(row_confidence / row_count)));
    assert_true(near(mean(m->row_latency, m->rows), (double)(row_latency / row_count)));
    assert_true(near(mean(m->confidence, m->with_confidence), (double)(top_sum / with_top)));
    assert_true(near(mean(m->latency, m->with_latency), (double)(latency_sum / with_latency)));
    assert_true(fabs(histogram_quantile(&m->confidences, 0.5) - exact_quantile(tops, with_top, 0.5)) <= 1e-12);
    for (double q = 0; q <= 1; q += 0.05) {
        double exact = exact_quantile(latencies, with_latency, q);
        assert_true(fabs(histogram_quantile(&m->latencies, q) - exact) <= 0.01 * exact + 1e-6);
    }

    assert_int_equal(lists[BY_TIME].count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct group *g = lists[BY_TIME].groups[i];
        assert_true(g->time_us % HOUR == 0);
        assert_int_equal(g->m.inferences, buckets[(g->time_us - (NOON - 2 * HOUR)) / HOUR]);
    }
    uint64_t by_model = 0, by_class = 0;
    for (size_t i = 0; i < lists[BY_MODEL].count; i++) by_model += lists[BY_MODEL].groups[i]->m.inferences;
    for (size_t i = 0; i < lists[BY_CLASS].count; i++) by_class += lists[BY_CLASS].groups[i]->m.detections;
    assert_int_equal(by_model, n);
    assert_int_equal(by_class, detections);
    free(rows);
}

static void too_many_groups_are_an_error(void **state) {
    (void)state;
    struct grouping by_time = {{KEY_TIME, KEY_NONE}, false, 3};
    struct plan p = plan("");
    struct group_list found;
    struct err e = {0};
    p.groupings = &by_time;
    p.grouping_count = 1;
    p.from_us = NOON;
    p.bucket_us = HOUR;
    for (int i = 0; i < 4; i++) {
        assert_true(query_aggregate(&view, &p, NULL, &arena, &found, &e));
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        inf.time_us = NOON + i * HOUR;
        add(&inf);
    }
    assert_false(query_aggregate(&view, &p, NULL, &arena, &found, &e));
    assert_int_equal(e.code, ERR_UNPROCESSABLE);
}

static void histograms_keep_their_bounds(void **state) {
    (void)state;
    struct histogram c, l;
    for (int i = 0; i < 2000; i++) {
        double confidence = rnd(1 << 20) / (double)(1 << 20),
               latency = ldexp(1 + rnd(1000) / 1000.0, (int)rnd(34) - 19);
        histogram_init(&c, SCALE_CONFIDENCE, &arena);
        histogram_init(&l, SCALE_LATENCY, &arena);
        /* Between neighbours that widen the range, so that the answer is a bin's, not the least or greatest. */
        for (int k = -1; k <= 1; k++) histogram_add(&c, confidence + k), histogram_add(&l, latency * pow(2, k));
        assert_true(fabs(histogram_quantile(&c, 0.5) - confidence) <= 0.0005 + 1e-15);
        assert_true(fabs(histogram_quantile(&l, 0.5) - latency) <= 0.01 * latency);
    }
    histogram_init(&c, SCALE_CONFIDENCE, &arena);
    assert_true(isnan(histogram_quantile(&c, 0.5)));
    histogram_add(&c, 1);
    assert_true(histogram_quantile(&c, 0.99) == 1);
    histogram_init(&l, SCALE_LATENCY, &arena);
    histogram_add(&l, 0), histogram_add(&l, 1e9), histogram_add(&l, -1);
    assert_true(histogram_quantile(&l, 0) == -1 || histogram_quantile(&l, 0) <= 1e-6);
}

static void sums_lose_nothing(void **state) {
    (void)state;
    struct sum s = {0};
    sum_add(&s, 1e16);
    for (int i = 0; i < 100000; i++) sum_add(&s, 0.1);
    sum_add(&s, -1e16);
    assert_true(fabs(sum_value(s) - 10000) < 1e-6);
}

/* ---- what stops a query ---- */

static bool always(void *ctx) { return ++*(int *)ctx > 0; }

static void queries_stop_when_told(void **state) {
    (void)state;
    struct inference inf = inference("one");
    add(&inf);
    struct plan p = plan("");
    struct hit_list found;
    struct err e = {0};
    uint64_t n;
    int asked = 0;
    struct query_control late = {.deadline_us = clock_mono_us() - 1}, gone = {.gone = always, .ctx = &asked};
    assert_false(query_list(&view, &p, &late, &arena, &found, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_false(query_count(&view, &p, &gone, &arena, &n, &e));
    assert_int_equal(asked, 1);
}

static void a_workspace_without_anything_answers(void **state) {
    (void)state;
    struct plan p = plan("model:coco");
    struct hit_list found;
    struct group_list lists[GROUPINGS];
    struct field_stats *stats;
    struct one one;
    struct pending pending;
    struct err e = {0};
    uint64_t n;
    size_t field_count;
    p.groupings = groupings;
    p.grouping_count = GROUPINGS;
    assert_true(query_list(NULL, &p, NULL, &arena, &found, &e) && found.count == 0 && !found.next.set);
    assert_true(query_count(NULL, &p, NULL, &arena, &n, &e) && n == 0);
    assert_true(query_aggregate(NULL, &p, NULL, &arena, lists, &e) && lists[ALL].count == 0);
    assert_true(query_fields(NULL, &p, NULL, &arena, &stats, &field_count, &e) && field_count == 0);
    assert_true(query_one(NULL, STR("x"), &(struct which){0}, &arena, &one, &e) && !one.known);
    query_pending(NULL, &pending);
    assert_int_equal(pending.ids, 0);
}

/* ---- beside the writer ---- */

enum { WRITTEN = 3 * BLOCK_ROWS };
static atomic_bool written;

static void *write_rows(void *arg) {
    struct detection d = {.class_name = STR("dog"), .class_id = -1, .confidence = 0.5};
    char id[16], value[16];
    (void)arg;
    for (int i = 0; i < WRITTEN; i++) {
        snprintf(id, sizeof id, "w%d", i);
        snprintf(value, sizeof value, "v%d", i % 100);
        struct inference inf = {.id = str_of(id),
                                .model_id = STR("coco/24"),
                                .time_us = NOON + i,
                                .latency_s = 0.1,
                                .detections = &d,
                                .detection_count = 1};
        attach(id, "before", S(value));
        add(&inf);
        attach(id, i < WRITTEN / 2 ? "early" : "late", S(value));
        if (i % 7 == 0) attach(id, "before", (struct value){0});
    }
    atomic_store(&written, true);
    return NULL;
}

static void readers_run_beside_the_writer(void **state) {
    (void)state;
    pthread_t writer;
    struct plan p = plan("-before:v1 (class:dog or has:before)"), all = plan("");
    struct err e = {0};
    uint64_t least = 0, n;
    atomic_store(&written, false);
    assert_int_equal(pthread_create(&writer, NULL, write_rows, NULL), 0);
    for (bool last = false; !last;) {
        last = atomic_load(&written);
        struct arena scratch = {0};
        struct group_list lists[GROUPINGS];
        struct hit_list found;
        struct field_stats *stats;
        struct one one;
        struct pending pending;
        size_t field_count;
        p.groupings = all.groupings = groupings;
        p.grouping_count = all.grouping_count = GROUPINGS;
        p.bucket_us = all.bucket_us = HOUR;
        p.from_us = all.from_us = NOON;
        assert_true(query_count(&view, &all, NULL, &scratch, &n, &e));
        assert_true(n >= least);
        least = n;
        assert_true(query_list(&view, &p, NULL, &scratch, &found, &e));
        for (size_t i = 1; i < found.count; i++) assert_true(found.hits[i].inf.time_us < found.hits[i - 1].inf.time_us);
        assert_true(query_aggregate(&view, &all, NULL, &scratch, lists, &e));
        if (lists[ALL].count) assert_true(lists[ALL].groups[0]->m.inferences >= least);
        assert_true(query_fields(&view, &p, NULL, &scratch, &stats, &field_count, &e));
        assert_true(query_one(&view, STR("w100"), &(struct which){0}, &scratch, &one, &e));
        query_pending(&view, &pending);
        arena_free(&scratch);
    }
    pthread_join(writer, NULL);
    assert_int_equal(least, WRITTEN);
    assert_int_equal(count("-has:before"), (WRITTEN + 6) / 7);
}

/* ---- one id, fields ---- */

static struct one ask(const char *id, struct which w) {
    struct one one;
    struct err e = {0};
    assert_true(query_one(&view, str_of(id), &w, &arena, &one, &e));
    return one;
}

static void one_id_with_history_and_siblings(void **state) {
    (void)state;
    struct inference first = inference("id"), second = inference("id"), other = inference("id"), half = inference("id");
    second.index = 1;
    other.model_id = STR("cards/1");
    half.partial = true;
    half.index = 2;
    add(&half);
    add(&first);
    add(&second);
    add(&other);
    attach("id", "shift", S("day"));
    attach("id", "shift", S("night"));
    attach("id", "speed", N(2));
    attach("id", "shift", (struct value){0});

    struct one one = ask("id", (struct which){0});
    assert_true(one.known && one.found && !one.pending);
    assert_int_equal(one.hit.inf.index, 0); /* the complete one that came first, not the partial one before it */
    assert_true(str_is(one.hit.inf.model_id, "coco/24"));
    assert_int_equal(one.sibling_count, 3);
    assert_int_equal(one.history_count, 4);
    assert_true(str_is(one.history[0].field, "shift") && one.history[0].value.type == VALUE_NONE);
    assert_true(str_is(one.history[0].previous.text, "night"));
    assert_true(str_is(one.history[1].field, "speed") && one.history[1].previous.type == VALUE_NONE);
    assert_true(str_is(one.history[2].value.text, "night") && str_is(one.history[2].previous.text, "day"));
    assert_true(str_is(one.history[3].value.text, "day") && one.history[3].previous.type == VALUE_NONE);
    assert_int_equal(one.history[3].key_id, 7);
    assert_int_equal(one.metadata_count, 1);

    assert_int_equal(ask("id", (struct which){.by_index = true, .index = 1}).hit.inf.index, 1);
    assert_true(
        str_is(ask("id", (struct which){.by_model = true, .model_id = STR("cards/1")}).hit.inf.model_id, "cards/1"));
    assert_true(ask("id", (struct which){.by_index = true, .index = 2}).hit.flags & ROW_PARTIAL);
    one = ask("id", (struct which){.by_index = true, .index = 9});
    assert_true(one.known && !one.found && !one.pending);
    assert_false(ask("nobody", (struct which){0}).known);
}

static void an_id_without_inference_is_pending(void **state) {
    (void)state;
    attach("later", "shift", S("day"));
    attach("later still", "shift", S("day"));
    attach("later", "speed", N(2));
    attach("later", "shift", S("night"));
    struct one one = ask("later", (struct which){0});
    assert_true(one.known && one.pending && !one.found);
    assert_int_equal(one.metadata_count, 2);
    struct pending pending;
    query_pending(&view, &pending);
    assert_int_equal(pending.ids, 2);
    assert_true(pending.oldest_us == NOON + 1);
    struct inference inf = inference("later");
    add(&inf);
    query_pending(&view, &pending);
    assert_int_equal(pending.ids, 1);
    assert_true(pending.oldest_us == NOON + 2);
    assert_string_equal(ids("shift:night"), "later");
}

static void fields_are_counted_by_inference(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct inference inf = inference(arena_printf(&arena, "i%d", i));
        inf.partial = i == 39;
        add(&inf);
        attach(inf.id.p, "n", i % 4 ? N(i % 13) : S("text"));
        if (i < 3) attach(inf.id.p, "ok", B(i > 0));
    }
    attach("waiting", "unseen", S("x"));
    struct plan p = plan("");
    struct field_stats *stats;
    struct err e = {0};
    size_t n;
    assert_true(query_fields(&view, &p, NULL, &arena, &stats, &n, &e));
    assert_int_equal(n, 2);
    assert_true(str_is(stats[0].name, "n"));
    assert_int_equal(stats[0].inferences, 39);
    assert_int_equal(stats[0].strings, 10);
    assert_int_equal(stats[0].numbers, 29);
    assert_int_equal(stats[0].values, 14);
    assert_int_equal(stats[0].top_count, FIELD_TOP);
    assert_true(str_is(stats[0].top[0].value.text, "text"));
    assert_int_equal(stats[0].top[0].count, 10);
    for (size_t i = 1; i < FIELD_TOP; i++) assert_true(stats[0].top[i].count <= stats[0].top[i - 1].count);
    assert_int_equal(stats[1].booleans, 3);
    assert_int_equal(stats[1].top[0].count, 2);
    assert_true(stats[1].top[0].value.truth);
    p.filter = filter("n:text");
    assert_true(query_fields(&view, &p, NULL, &arena, &stats, &n, &e));
    assert_int_equal(stats[0].inferences, 10);
    assert_int_equal(stats[0].values, 1);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    hash_init();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(filters_find_what_a_look_at_each_row_finds),
        TEST(a_value_matches_by_type_and_text),
        TEST(pages_hold_each_row_once_while_others_arrive),
        TEST(a_full_page_with_nothing_behind_it_has_no_cursor),
        TEST(a_page_of_large_rows_ends_early),
        TEST(times_are_from_included_to_not),
        TEST(partial_rows_are_listed_when_asked_for_and_hidden_ones_never),
        TEST(a_hit_tells_all),
        TEST(cursors_read_back),
        TEST(statistics_count_as_defined),
        TEST(an_inference_counts_once_a_class),
        TEST(statistics_agree_with_sums_over_rows),
        TEST(too_many_groups_are_an_error),
        TEST(histograms_keep_their_bounds),
        TEST(sums_lose_nothing),
        TEST(queries_stop_when_told),
        TEST(a_workspace_without_anything_answers),
        TEST(readers_run_beside_the_writer),
        TEST(one_id_with_history_and_siblings),
        TEST(an_id_without_inference_is_pending),
        TEST(fields_are_counted_by_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
