/* Queries of every kind. */
#include <inttypes.h>

#include "run.h"

#define PICK(d, list) ((list)[roll(d, sizeof(list) / sizeof *(list))])

static void answered(struct run *r, const struct space *s, bool same, const struct buf *why) {
    atomic_fetch_add(&r->board->queries, 1);
    if (!same) wrong(r, "workspace %" PRIu32 ": %.*s", s->number, (int)why->n, why->p);
}

/* ---- lists, a page at a time, whatever happens in between ---- */

static void cover_pager(struct run *r, const struct pager *p) {
    static const struct {
        unsigned bit;
        enum cover cover;
    } met[] = {{STEP_SEAL, COVER_PAGES_SEAL},
               {STEP_FOLD, COVER_PAGES_FOLD},
               {STEP_MERGE, COVER_PAGES_MERGE},
               {STEP_RETAIN, COVER_PAGES_RETAIN},
               {STEPS, COVER_PAGES_RESTART},
               {STEPS + 1, COVER_PAGES_ERASE}};
    for (size_t i = 0; i < sizeof met / sizeof *met; i++)
        if (p->met & 1u << met[i].bit) cover(r, met[i].cover);
    cover(r, COVER_QUERY_FURTHER);
}

void step_page(struct run *r, struct space *s) {
    struct pager *p = &s->pagers[roll(&r->dice, PAGERS)];
    struct buf why = {0};
    if (p->open)
        cover_pager(r, p);
    else
        random_question(r, s, &p->question);
    note(r, "ws %" PRIu32 " %s %" PRIu32 " of %.*s", s->number, p->open ? "a further" : "a list of", p->question.limit,
         STR_ARG(p->question.text));
    struct view *v = store_view(r->tested.store, s->number);
    answered(r, s, compare_page(v, &s->model, &p->question, &why), &why);
    view_release(v);
    cover(r, COVER_QUERY_PAGE);
    p->open = p->question.more;
    p->met = 0;
}

/* ---- groups ---- */

static struct subject random_metadata(struct run *r, struct space *s) {
    return (struct subject){OF_METADATA, random_field(r, s)};
}

static struct measure random_measure(struct run *r, struct space *s, bool by_class) {
    static const enum measure_kind counts[] = {MEASURE_INFERENCES, MEASURE_ERRORS, MEASURE_EMPTY, MEASURE_DETECTIONS};
    static const enum measure_kind ofs[] = {MEASURE_SUM, MEASURE_AVG, MEASURE_MIN, MEASURE_MAX};
    static const enum of distincts[] = {OF_ID,     OF_MODEL,  OF_MODEL_BASE, OF_MODEL_VERSION,
                                        OF_DEVICE, OF_SOURCE, OF_INDEX,      OF_METADATA};
    static const enum of newest[] = {OF_MODEL, OF_MODEL_NAME, OF_DEVICE, OF_SOURCE_INFO, OF_SERVER};
    static const enum of numbers[] = {OF_CONFIDENCE, OF_LATENCY, OF_METADATA, OF_DETECTIONS};
    static const double quantiles[] = {0, 0.5, 0.95, 0.99, 1};
    struct dice *d = &r->dice;
    struct measure m = {.kind = PICK(d, counts)};
    switch (roll(d, 8)) {
    case 0: m = (struct measure){.kind = MEASURE_DISTINCT, .of = {.of = PICK(d, distincts)}}; break;
    case 1: m = (struct measure){.kind = chance(d, 50) ? MEASURE_MIN : MEASURE_MAX, .of = {.of = OF_TIME}}; break;
    case 2:
        m = (struct measure){.kind = MEASURE_AVG,
                             .of = {.of = chance(d, 50) ? OF_MONITORING_CONFIDENCE : OF_MONITORING_LATENCY}};
        break;
    case 3:
    case 4: m = (struct measure){.kind = PICK(d, ofs), .of = {.of = numbers[roll(d, by_class ? 3 : 4)]}}; break;
    case 5:
        m = (struct measure){.kind = chance(d, 70) ? MEASURE_QUANTILE : MEASURE_HISTOGRAM,
                             .of = {.of = chance(d, 50) ? OF_CONFIDENCE : OF_LATENCY},
                             .at = PICK(d, quantiles)};
        break;
    case 6: m = (struct measure){.kind = MEASURE_NEWEST, .of = {.of = PICK(d, newest)}}; break;
    }
    if (m.kind >= MEASURE_DISTINCT && m.of.of == OF_METADATA) m.of = random_metadata(r, s);
    return m;
}

static struct key random_key(struct run *r, struct space *s) {
    static const enum of ofs[] = {OF_TIME,       OF_MODEL,    OF_MODEL_BASE, OF_MODEL_VERSION, OF_MODEL_NAME,
                                  OF_DEVICE,     OF_SOURCE,   OF_SERVER,     OF_ERROR,         OF_PARTIAL,
                                  OF_PICTURE,    OF_INDEX,    OF_DETECTIONS, OF_CLASS,         OF_CLASS,
                                  OF_CONFIDENCE, OF_METADATA, OF_METADATA,   OF_METADATA};
    static const uint32_t widths[] = {1, 50, 100, 300, 1000};
    struct dice *d = &r->dice;
    struct key k = {.subject = {.of = PICK(d, ofs)}};
    if (k.subject.of == OF_METADATA) k.subject = random_metadata(r, s);
    if (k.subject.of == OF_TIME) {
        k.width_us = (chance(d, 50) ? 3600 : 86400) * INT64_C(1000000);
        k.offset_us = chance(d, 30) ? 5400 * INT64_C(1000000) : 0;
    }
    if (k.subject.of == OF_CONFIDENCE)
        k.width_thousandths = PICK(d, widths);
    else if (k.subject.of != OF_TIME && chance(d, 25)) {
        k.top = 1 + roll(d, 3);
        k.drop = chance(d, 30);
    }
    return k;
}

static void random_grouping(struct run *r, struct space *s, struct grouping *g) {
    struct dice *d = &r->dice;
    *g = (struct grouping){.key_count = roll(d, PLAN_KEYS + 1), .max_groups = 100000, .totals = chance(d, 30)};
    for (size_t i = 0; i < g->key_count; i++) {
        do g->keys[i] = random_key(r, s);
        while (i && subject_eq(&g->keys[i].subject, &g->keys[0].subject));
    }
    bool by_class = grouping_by(g, OF_CLASS);
    g->measure_count = 1 + roll(d, 5);
    struct measure *measures = arena_alloc(&r->arena, g->measure_count * sizeof *measures);
    for (size_t i = 0; i < g->measure_count; i++) measures[i] = random_measure(r, s, by_class);
    g->measures = measures;
    if (g->key_count && chance(d, 50))
        g->orders[g->order_count++] = (struct order){roll(d, (uint32_t)g->key_count), chance(d, 50)};
    if (chance(d, 50) && measures[0].kind < MEASURE_DISTINCT) {
        g->orders[0] = (struct order){(uint32_t)g->key_count, chance(d, 50)};
        g->order_count = 1;
    }
    if (chance(d, 30)) g->limit = 1 + roll(d, 4), g->skip = roll(d, 3);
}

/* What dashboards ask for, which summaries may tell. */
static void plain_grouping(struct run *r, struct grouping *g) {
    static const enum of models[] = {OF_MODEL, OF_MODEL, OF_MODEL_BASE, OF_MODEL_VERSION};
    static const enum of others[] = {OF_TIME, OF_TIME, OF_DEVICE, OF_CLASS, OF_CLASS};
    static const struct measure all[] = {
        {.kind = MEASURE_INFERENCES},
        {.kind = MEASURE_DETECTIONS},
        {.kind = MEASURE_AVG, .of = {.of = OF_CONFIDENCE}},
        {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}},
        {.kind = MEASURE_AVG, .of = {.of = OF_MONITORING_CONFIDENCE}},
        {.kind = MEASURE_AVG, .of = {.of = OF_MONITORING_LATENCY}},
        {.kind = MEASURE_ERRORS},
        {.kind = MEASURE_EMPTY},
        {.kind = MEASURE_MIN, .of = {.of = OF_LATENCY}},
        {.kind = MEASURE_MAX, .of = {.of = OF_CONFIDENCE}},
        {.kind = MEASURE_MIN, .of = {.of = OF_TIME}},
        {.kind = MEASURE_MAX, .of = {.of = OF_TIME}},
        {.kind = MEASURE_NEWEST, .of = {.of = OF_MODEL_NAME}},
        {.kind = MEASURE_QUANTILE, .of = {.of = OF_CONFIDENCE}, .at = 0.5},
        {.kind = MEASURE_HISTOGRAM, .of = {.of = OF_LATENCY}},
    };
    enum { ALL = sizeof all / sizeof *all, WITH_QUANTILES = 2 };
    struct dice *d = &r->dice;
    *g = (struct grouping){.max_groups = 100000, .measures = all, .totals = chance(d, 30)};
    if (chance(d, 70)) g->keys[g->key_count++].subject.of = PICK(d, models);
    if (chance(d, 70)) g->keys[g->key_count++].subject.of = PICK(d, others);
    for (size_t i = 0; i < g->key_count; i++) {
        struct key *k = &g->keys[i];
        if (k->subject.of == OF_TIME) {
            k->width_us = (chance(d, 50) ? 3600 : 86400) * INT64_C(1000000);
            k->offset_us = chance(d, 20) ? 5400 * INT64_C(1000000) : chance(d, 30) ? 7200 * INT64_C(1000000) : 0;
        } else if (chance(d, 15)) {
            k->top = 1 + roll(d, 3);
            k->drop = chance(d, 50);
        }
    }
    g->measure_count = chance(d, 30) ? ALL : 2 + roll(d, ALL - 1 - WITH_QUANTILES);
}

void ask_plain(struct run *r, struct space *s, const struct view *v) {
    struct buf why = {0};
    struct question q;
    struct grouping g;
    size_t summed = 0;
    plain_question(r, s, &q);
    plain_grouping(r, &g);
    q.summed = &summed;
    answered(r, s, compare_groups(v, &s->model, &q, &g, &why), &why);
    if (summed) cover(r, COVER_SUMMED);
    if (summed && tested_hidden(v)) cover(r, COVER_SUMMED_HIDDEN);
    if (r->rows_only) cover(r, COVER_SUMMED_OFF);
    if (q.partial) cover(r, COVER_SUMMED_PARTIAL);
    if (r->rows_only && summed) wrong(r, "summaries are off, and used");
    summed = 0;
    answered(r, s, compare_count(v, &s->model, &q, &why), &why);
    if (summed) cover(r, COVER_SUMMED_COUNT);
    buf_free(&why);
}

/* ---- anything ---- */

static void ask_one(struct run *r, struct space *s, const struct view *v, struct buf *why) {
    struct dice *d = &r->dice;
    struct str id = some_id(r, s);
    const struct model_row *which = NULL;
    if (s->model.row_count && chance(d, 60)) {
        const struct model_row *row = &s->model.rows[roll(d, (uint32_t)s->model.row_count)];
        id = row->inf.id;
        if (chance(d, 60)) which = row;
    }
    note(r, "ws %" PRIu32 " the id %.*s", s->number, STR_ARG(id));
    answered(r, s, compare_one(v, &s->model, id, which, now_of(r), why), why);
    cover(r, COVER_QUERY_ONE);
}

void step_ask(struct run *r, struct space *s) {
    struct buf why = {0};
    struct question q;
    struct grouping g;
    struct view *v = store_view(r->tested.store, s->number);
    uint32_t kind = roll(&r->dice, 10);
    bool plain = chance(&r->dice, 20);
    if (plain) {
        note(r, "ws %" PRIu32 " groups of all", s->number);
        ask_plain(r, s, v);
        kind = 0;
    } else if (kind < 3) {
        ask_one(r, s, v, &why);
    } else {
        random_question(r, s, &q);
        note(r, "ws %" PRIu32 " %s of %.*s", s->number,
             kind < 5   ? "count"
             : kind < 9 ? "groups"
                        : "facets",
             STR_ARG(q.text));
    }
    if (kind >= 3 && kind < 5) {
        answered(r, s, compare_count(v, &s->model, &q, &why), &why);
        size_t found = 0;
        for (size_t i = 0; i < s->model.row_count; i++) found += expect_matches(&s->model, &s->model.rows[i], q.filter);
        if (q.filter && s->model.row_count) cover(r, found ? COVER_QUERY_SOME : COVER_QUERY_EMPTY);
        cover(r, COVER_QUERY_COUNT);
    } else if (kind >= 5 && kind < 9) {
        random_grouping(r, s, &g);
        answered(r, s, compare_groups(v, &s->model, &q, &g, &why), &why);
        cover(r, COVER_QUERY_GROUPS);
    } else if (kind == 9) {
        answered(r, s, compare_facets(v, &s->model, &q, &why), &why);
        cover(r, COVER_QUERY_FACETS);
    }
    view_release(v);
    buf_free(&why);
}
