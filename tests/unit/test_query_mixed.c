/* The same inferences in chunks, segments and overlays, split at random: every answer is what a look at each row by
 * itself comes to, whether or not it may come from summaries. QUERY_SEED and QUERY_PLANS in the environment begin
 * elsewhere and go on longer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/guard.h"
#include "base/hash.h"
#include "query/crew.h"
#include "query/lookup.h"
#include "query/run.h"
#include "query_oracle.h"

#define NOON VIEW_KIT_NOON
#define HOUR VIEW_KIT_HOUR

static struct view_kit kit;
static struct crew *crew;
static struct arena arena;
static uint64_t seed, rnd_state;
static size_t summed; /* how often a summary stood for a segment */

static uint32_t rnd(uint32_t below) {
    rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((rnd_state >> 32) * below >> 32);
}

static unsigned long long setting(const char *name, unsigned long long otherwise) {
    unsigned long long v;
    const char *text = getenv(name);
    return text && str_to_u64(str_of(text), &v) ? v : otherwise;
}

#define PICK(list) (list)[rnd(sizeof(list) / sizeof *(list))]

/* ---- inferences and metadata ---- */

static const char *const models[] = {"coco/24", "coco/25", "cards/1", "lines/a/3", "bare", ""};
static const char *const devices[] = {"cam 1", "cam-2", "cam-3", ""};
static const char *const classes[] = {"bottle", "cap", "wine glass", "dog", ""};
static const char *const fields[] = {"shift", "temperature", "serial number", "ok", "rare", "class"};
enum { MOST_DETECTIONS = 6, ROWS = 6000 };

static struct value random_value(unsigned field) {
    static const char *const shifts[] = {"night", "day", "5", "true", "-7", ""};
    switch (field) {
    case 0: return rnd(5) ? S(PICK(shifts)) : rnd(2) ? N(5) : B(rnd(2));
    case 1: return rnd(3) ? N(rnd(400) / 4.0 - 20) : S(rnd(3) == 0 ? "12.5" : rnd(2) ? "warm" : "1e2");
    case 2: return S(arena_printf(&arena, "A%u", rnd(100000)));
    case 3: return B(rnd(2));
    default: return N(-0.0 + rnd(3));
    }
}

/* Many are equal, none in order, and a few can't be. */
static int64_t random_time(void) {
    int64_t time_us = NOON + (int64_t)rnd(3000) * 1000000 - (int64_t)rnd(5) * HOUR;
    return rnd(60) ? time_us : time_us + (rnd(2) ? 300 : -20000) * 24 * HOUR;
}

static void add_row(const char *id, uint32_t index, bool partial) {
    struct detection d[MOST_DETECTIONS];
    struct inference inf = {
        .id = str_of(id),
        .model_id = str_of(PICK(models)),
        .model_name = rnd(3)   ? STR("")
                      : rnd(2) ? STR("CenterNet")
                               : STR("Faster"),
        .index = index,
        .partial = partial,
        .time_us = random_time(),
        .latency_s = rnd(6) ? rnd(1000) / 1000.0 : NAN,
        .device_id = str_of(PICK(devices)),
        .source = rnd(2) ? STR("line") : STR(""),
        .source_info = rnd(8) ? STR("") : STR("kiosk"),
        .server_id = rnd(8) ? STR("server/1") : STR(""),
        .error = rnd(12)  ? STR("")
                 : rnd(2) ? STR("timeout: no frame")
                          : STR("broken"),
        .picture = rnd(4) ? NULL : (const uint8_t *)"0123456789abcdef0123456789abcdef",
        .detections = d,
        .detection_count = rnd(3) ? rnd(MOST_DETECTIONS + 1) : rnd(2),
    };
    for (size_t i = 0; i < inf.detection_count; i++)
        d[i] = (struct detection){
            .class_name = str_of(PICK(classes)), .class_id = -1, .confidence = rnd(10) ? rnd(1001) / 1000.0 : NAN};
    view_kit_row(&kit, &inf);
}

static void fill(void) {
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t number = rnd(8) ? i : rnd(i + 1);
        const char *id = arena_printf(&arena, "id-%u", number);
        while (rnd(5) == 0) {
            unsigned field = rnd(6);
            view_kit_write(&kit, id, fields[field], random_value(field));
        }
        if (rnd(50)) add_row(id, i, rnd(20) == 0);
        if (rnd(60) == 0) { /* a complete one and a partial one of the same inference, either first */
            struct inference inf = kit.rows[kit.row_count - 1].inf;
            inf.partial = !inf.partial;
            view_kit_row(&kit, &inf);
        }
        while (rnd(2)) {
            unsigned field = rnd(6);
            const char *to = rnd(3) ? id : arena_printf(&arena, "id-%u", rnd(ROWS));
            view_kit_write(&kit, to, fields[field], rnd(6) ? random_value(field) : NOTHING);
        }
    }
}

/* ---- places ---- */

static void place(unsigned chunks, unsigned segments, bool by_time) {
    struct kit_part parts[VIEW_KIT_PARTS] = {{.sealed = false}};
    unsigned count = chunks + segments;
    for (unsigned i = chunks; i < count; i++) {
        parts[i].sealed = true;
        parts[i].applied_through = rnd(3) ? rnd((uint32_t)kit.seq + 1) : rnd(2) ? kit.seq : 0;
    }
    for (size_t i = 0; i < kit.row_count; i++) {
        int64_t age = kit.rows[i].inf.time_us - (NOON - 4 * HOUR);
        bool in_order = age >= 0 && age < 5 * HOUR;
        kit.rows[i].part = by_time && in_order && rnd(30) ? (unsigned)(age * count / (5 * HOUR)) : rnd(count);
    }
    view_kit_build(&kit, parts, count);
}

/* ---- plans ---- */

static const char *const clauses[] = {
    "model:coco",
    "model:coco/24",
    "-model:cards",
    "has:model",
    "model:lines",
    "model:*a*",
    "device:\"cam 1\"",
    "device:cam*",
    "device:(cam-2 or cam-3)",
    "-has:device",
    "source:line",
    "source_info:kiosk",
    "server:server/1",
    "id:id-17",
    "id:id-1*",
    "id:(id-3 or id-99 or id-500)",
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
    "index>3000",
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
    "class:zebra<1",
    "shift:night",
    "shift:5",
    "shift:true",
    "-shift:night",
    "has:shift",
    "-has:shift",
    "shift:(day or night)",
    "shift:*",
    "shift<6",
    "temperature>12",
    "temperature:12.5",
    "temperature:5..15",
    "temperature<0",
    "temperature>=100",
    "metadata.\"serial number\":A17",
    "metadata.\"serial number\":A1*",
    "metadata.\"serial number\":A*7",
    "metadata.\"serial number\":A*",
    "has:nothing",
    "nothing:x",
    "-nothing:x",
    "ok:true",
    "ok:false",
    "rare:0",
    "rare:(1 or 2)",
    "metadata.class>0",
    "night",
    "id-44",
    "A17",
    "5",
    "nobody",
};

static const char *random_filter(int depth) {
    switch (rnd(depth > 0 ? 8 : 4)) {
    case 4: return arena_printf(&arena, "(%s) %s", random_filter(depth - 1), random_filter(depth - 1));
    case 5: return arena_printf(&arena, "%s or %s", random_filter(depth - 1), random_filter(depth - 1));
    case 6: return arena_printf(&arena, "-(%s)", random_filter(depth - 1));
    case 7:
        return arena_printf(&arena, "%s (%s or %s)", random_filter(depth - 1), random_filter(depth - 1),
                            random_filter(depth - 1));
    default: return PICK(clauses);
    }
}

/* Of what summaries tell, in plans that ask for nothing else. */
static bool plain;
static const enum of plain_subjects[] = {
    OF_TIME,  OF_TIME,   OF_MODEL,      OF_MODEL_BASE, OF_MODEL_VERSION,         OF_MODEL_NAME,
    OF_CLASS, OF_DEVICE, OF_CONFIDENCE, OF_LATENCY,    OF_MONITORING_CONFIDENCE, OF_MONITORING_LATENCY};

static struct subject random_subject(unsigned uses) {
    for (;;) {
        struct subject s = {.of = (enum of)rnd(OF_COUNT)};
        if (plain) s.of = PICK(plain_subjects);
        if (!(of_uses(s.of) & uses)) continue;
        if (s.of == OF_METADATA) s.field = rnd(20) ? str_of(PICK(fields)) : STR("nowhere");
        return s;
    }
}

static struct measure random_measure(bool by_class) {
    for (;;) {
        struct measure m = {.kind = (enum measure_kind)rnd(MEASURE_NEWEST + 1)};
        switch (m.kind) {
        case MEASURE_DISTINCT:
            if (plain) continue;
            m.of = random_subject(USE_DISTINCT);
            break;
        case MEASURE_SUM: m.of = random_subject(USE_NUMBER); break;
        case MEASURE_AVG: m.of = random_subject(USE_NUMBER | USE_AVG); break;
        case MEASURE_MIN:
        case MEASURE_MAX:
            m.of = random_subject(USE_NUMBER | USE_RANGE);
            if (by_class && m.of.of == OF_DETECTIONS) continue;
            break;
        case MEASURE_QUANTILE:
            m.at = rnd(101) / 100.0;
            m.of = random_subject(USE_BINS);
            break;
        case MEASURE_HISTOGRAM: m.of = random_subject(USE_BINS); break;
        case MEASURE_NEWEST: m.of = random_subject(USE_NEWEST); break;
        default: break;
        }
        return m;
    }
}

static struct key random_key(void) {
    static const int64_t widths[] = {60000000, 600000000, INT64_C(3600000000), INT64_C(86400000000)};
    static const uint32_t bins[] = {1, 10, 50, 125, 300, 1000};
    static const struct measure bys[] = {
        {.kind = MEASURE_DETECTIONS}, {.kind = MEASURE_ERRORS}, {.kind = MEASURE_SUM, .of = {.of = OF_LATENCY}}};
    struct key k = {.subject = random_subject(USE_KEY)};
    k.width_us = PICK(widths);
    k.offset_us = rnd(2) ? 0 : INT64_C(5400000000);
    k.width_thousandths = PICK(bins);
    if (rnd(4)) return k;
    k.top = 1 + rnd(5);
    k.drop = rnd(3) == 0;
    if (rnd(2)) k.by = &PICK(bys);
    return k;
}

static struct grouping random_grouping(void) {
    struct grouping g = {.key_count = rnd(PLAN_KEYS + 1), .max_groups = 100000};
    for (size_t i = 0; i < g.key_count; i++) g.keys[i] = random_key();
    struct measure *m = arena_alloc(&arena, 8 * sizeof *m);
    g.measures = m;
    g.measure_count = 1 + rnd(6);
    for (size_t i = 0; i < g.measure_count; i++) m[i] = random_measure(grouping_by(&g, OF_CLASS));
    g.totals = rnd(3) == 0;
    if (rnd(2)) g.limit = 1 + rnd(10);
    if (rnd(4) == 0) g.skip = rnd(5);
    while (g.order_count < 2 && rnd(2)) {
        uint32_t column = rnd((uint32_t)(g.key_count + g.measure_count));
        bool exact = column < g.key_count || m[column - g.key_count].kind <= MEASURE_DISTINCT;
        if (exact) g.orders[g.order_count++] = (struct order){column, rnd(2)};
    }
    return g;
}

static struct plan random_plan(void) {
    struct plan p = {
        .from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .partial = rnd(4) == 0, .kind = (enum plan_kind)rnd(4)};
    if (rnd(3) == 0) p.from_us = NOON - HOUR * rnd(5) + (rnd(2) ? rnd(1000) * 1000000 : 0);
    if (rnd(3) == 0) p.to_us = NOON + (rnd(2) ? HOUR / 2 : 0) - HOUR * rnd(4);
    if (rnd(6) == 0) p.as_of = 1 + rnd((uint32_t)kit.seq);
    if (plain) p.partial = rnd(20) == 0;
    if (plain) p.kind = rnd(10) ? PLAN_GROUPS : PLAN_COUNT;
    p.limit = 1 + rnd(300);
    if (rnd(3) == 0) {
        const struct kit_row *r = &kit.rows[rnd((uint32_t)kit.row_count)];
        p.after = (struct cursor){true, r->inf.time_us, r->seq, kit.seq};
        p.kind = PLAN_LIST;
    }
    struct grouping *g = arena_alloc(&arena, 3 * sizeof *g);
    p.groupings = g;
    p.grouping_count = 1 + rnd(3);
    for (size_t i = 0; i < p.grouping_count; i++) g[i] = random_grouping();
    struct subject *of = arena_alloc(&arena, 2 * sizeof *of);
    p.facets = (struct facets){.of = of, .count = rnd(3), .columns = rnd(2), .fields = rnd(2), .limit = rnd(20)};
    for (size_t i = 0; i < p.facets.count; i++) of[i] = random_subject(USE_FACET);
    return p;
}

static const char *name_of(const struct plan *p, const char *filter, unsigned number) {
    static const char *const kinds[] = {"list", "count", "groups", "facets"};
    struct buf b = {0};
    buf_printf(&b, "seed %llu, plan %u: %s of \"%s\"", (unsigned long long)seed, number, kinds[p->kind], filter);
    for (size_t i = 0; p->kind == PLAN_GROUPS && i < p->grouping_count; i++) {
        const struct grouping *g = &p->groupings[i];
        buf_addz(&b, " | by");
        for (size_t k = 0; k < g->key_count; k++) {
            buf_addc(&b, ' '), subject_write(&b, &g->keys[k].subject);
            if (g->keys[k].top) buf_printf(&b, " top %u%s", g->keys[k].top, g->keys[k].drop ? " drop" : "");
        }
        buf_addc(&b, ':');
        for (size_t k = 0; k < g->measure_count; k++) buf_addc(&b, ' '), measure_write(&b, &g->measures[k]);
    }
    const char *z = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return z;
}

static void run_plan(unsigned number) {
    struct arena a = {0};
    plain = rnd(3) == 0;
    struct plan p = random_plan();
    const char *filter = !plain && rnd(4) ? random_filter(3) : "";
    struct filter_error where;
    struct err e = {0};
    if (!filter_parse(&a, str_of(filter), &p.filter, &where, &e)) fail_msg("%s: %s", filter, e.msg);
    struct query_control control = {.crew = rnd(2) ? crew : NULL};
    const char *what = name_of(&p, filter, number);
    for (int rows_only = 0; rows_only < 2; rows_only++) {
        struct answer found;
        control.rows_only = rows_only;
        if (!query_run(&kit.view, &p, &control, &a, &found, &e)) fail_msg("%s: %s", what, e.msg);
        assert_int_equal(found.gap_count, 0);
        oracle_check(&kit, &p, &found,
                     found.summed == 0 ? what : arena_printf(&a, "%s, from %zu summaries", what, found.summed));
        if (found.summed == 0) break;
        assert_false(rows_only);
        summed += found.summed;
    }
    arena_free(&a);
}

/* ---- one id ---- */

static int by_seq(const void *x, const void *y) {
    const struct past *a = x, *b = y;
    return (a->change.seq < b->change.seq) - (a->change.seq > b->change.seq);
}

static void check_history(const char *what, struct str id, const struct one *one) {
    struct past *want = mem_zero(kit.write_count, sizeof *want);
    size_t count = 0, fields_there = 0;
    for (size_t i = 0; i < kit.write_count; i++) {
        const struct kit_write *w = &kit.writes[i];
        if (!str_eq(w->id, id)) continue;
        want[count] = (struct past){{w->field, w->value, w->seq, w->time_us, VIEW_KIT_KEY}, NOTHING};
        for (size_t n = 0; n < count; n++)
            if (str_eq(want[n].change.field, w->field)) want[count].previous = want[n].change.value;
        count++;
    }
    if (count) qsort(want, count, sizeof *want, by_seq);
    if (one->history_count != count) fail_msg("%s: %zu writes, not %zu", what, one->history_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct past *x = &one->history[i], *y = &want[i];
        bool same = str_eq(x->change.field, y->change.field) && x->change.seq == y->change.seq &&
                    x->change.time_us == y->change.time_us && x->change.key_id == y->change.key_id &&
                    value_eq(&x->change.value, &y->change.value) && value_eq(&x->previous, &y->previous);
        if (!same) fail_msg("%s: write %zu", what, i);
    }
    free(want);
    for (uint32_t f = 0; f < fields_count(kit.view.fields); f++) {
        struct value v = view_kit_value(&kit, id, kit.view.fields->names[f]);
        if (v.type == VALUE_NONE) continue;
        size_t at = 0;
        while (at < one->metadata_count && !str_eq(one->metadata[at].name, kit.view.fields->names[f])) at++;
        if (at == one->metadata_count || !value_eq(&one->metadata[at].value, &v)) fail_msg("%s: metadata", what);
        fields_there++;
    }
    assert_int_equal(fields_there, one->metadata_count);
    for (size_t i = 1; i < fields_there; i++)
        assert_true(str_cmp(one->metadata[i - 1].name, one->metadata[i].name) < 0);
}

static void check_hit(const char *what, const struct hit *h, const struct kit_row *r) {
    const struct inference *x = &h->inf, *y = &r->inf;
    bool same = h->seq == r->seq && h->received_us == r->received_us && x->time_us == y->time_us &&
                str_eq(x->id, y->id) && str_eq(x->model_id, y->model_id) && str_eq(x->device_id, y->device_id) &&
                str_eq(x->error, y->error) && x->index == y->index && !x->picture == !y->picture &&
                x->detection_count == y->detection_count && (h->flags & ROW_PARTIAL) == (y->partial ? ROW_PARTIAL : 0);
    for (size_t i = 0; same && i < x->detection_count; i++)
        same = str_eq(x->detections[i].class_name, y->detections[i].class_name);
    if (!same) fail_msg("%s: another inference", what);
}

static void look_up(uint32_t number) {
    struct arena a = {0};
    const char *what = arena_printf(&a, "seed %llu: id-%u", (unsigned long long)seed, number);
    struct str id = str_of(arena_printf(&a, "id-%u", number));
    const struct kit_row *first = NULL, *first_partial = NULL, *chosen;
    size_t rows = 0;
    bool known = false;
    for (size_t i = 0; i < kit.row_count; i++) {
        const struct kit_row *r = &kit.rows[i];
        if (!str_eq(r->inf.id, id)) continue;
        known = true;
        if (r->hidden_at) continue;
        rows++;
        if (!r->inf.partial && !first) first = r;
        if (r->inf.partial && !first_partial) first_partial = r;
    }
    chosen = first ? first : first_partial;
    struct one one;
    struct err e;
    if (!query_one(&kit.view, id, &(struct which){0}, NOON, &a, &one, &e)) fail_msg("%s: %s", what, e.msg);
    bool written = one.history_count > 0;
    if (one.found != (chosen != NULL) || one.known != (known || written) || one.pending != (!known && written))
        fail_msg("%s: known %d, pending %d, found %d", what, one.known, one.pending, one.found);
    if (chosen) {
        check_hit(what, &one.hit, chosen);
        assert_int_equal(one.sibling_count, rows - 1);
        assert_int_equal(one.hit.metadata_count, one.metadata_count);
        for (size_t i = 0; i < one.metadata_count; i++)
            assert_true(value_eq(&one.hit.metadata[i].value, &one.metadata[i].value));
    }
    check_history(what, id, &one);
    arena_free(&a);
}

/* ---- tests ---- */

static void answers_are_the_same_wherever_rows_are(void **state) {
    (void)state;
    static const struct {
        unsigned chunks, segments;
        bool by_time;
    } places[] = {{1, 0, false}, {0, 1, false}, {2, 3, true}, {5, 34, false},
                  {1, 34, true}, {3, 2, false}, {0, 12, true}};
    unsigned plans = (unsigned)setting("QUERY_PLANS", 1400), number = 0;
    fill();
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        kit.renumbered = i % 2;
        place(places[i].chunks, places[i].segments, places[i].by_time);
        for (unsigned n = 0; n < plans / 7; n++) run_plan(number++);
        for (unsigned n = 0; n < 300; n++) look_up(rnd(ROWS));
    }
    assert_true(summed > plans);
}

static int setup(void **state) {
    (void)state;
    struct err e;
    guard_init();
    seed = rnd_state = setting("QUERY_SEED", 20261121);
    view_kit_begin(&kit);
    crew = crew_new(3, &e);
    return crew ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    crew_free(crew);
    view_kit_end(&kit);
    arena_free(&arena);
    return 0;
}

int main(void) {
    if (sodium_init() < 0) return 1;
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_the_same_wherever_rows_are, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
