#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "query/run.h"
#include "record/bins.h"

/* ---- text ---- */

void print_value(struct buf *out, const struct value *v) {
    switch (v->type) {
    case VALUE_STRING:
        if (v->text.n > 60)
            buf_printf(out, "\"%.*s...%zu\"", 20, v->text.p, v->text.n);
        else
            buf_printf(out, "\"" STR_FMT "\"", STR_ARG(v->text));
        return;
    case VALUE_NUMBER: buf_printf(out, "%.17g", v->number); return;
    case VALUE_BOOL: buf_addz(out, v->truth ? "true" : "false"); return;
    case VALUE_NONE: buf_addz(out, "none"); return;
    }
}

/* All of an inference but what may be said in different ways (whether its index was assigned). */
static void print_inference(struct buf *out, const struct inference *inf, uint32_t index, int64_t time_us) {
    buf_printf(out, "%.*s model=%.*s name=%.*s sha=%.*s index=%" PRIu32 " time=%" PRId64 " latency=%.17g size=%ux%u",
               STR_ARG(inf->id), STR_ARG(inf->model_id), STR_ARG(inf->model_name), STR_ARG(inf->model_sha256), index,
               time_us, inf->latency_s, inf->width, inf->height);
    buf_printf(out, " device=%.*s source=%.*s info=%.*s server=%.*s version=%.*s error=%.*s partial=%d",
               STR_ARG(inf->device_id), STR_ARG(inf->source), STR_ARG(inf->source_info), STR_ARG(inf->server_id),
               STR_ARG(inf->server_version), STR_ARG(inf->error), inf->partial);
    for (int i = 0; inf->picture && i < 32; i++) buf_printf(out, "%s%02x", i ? "" : " picture=", inf->picture[i]);
    for (size_t i = 0; i < inf->detection_count; i++) {
        const struct detection *d = &inf->detections[i];
        buf_printf(out, " [%.*s %" PRId64 " %.17g", STR_ARG(d->class_name), d->class_id, d->confidence);
        if (d->has_box) buf_printf(out, " box %.17g %.17g %.17g %.17g", d->x, d->y, d->width, d->height);
        buf_printf(out, " %.*s %.*s]", STR_ARG(d->detection_id), STR_ARG(d->other));
    }
}

static int by_name(const void *x, const void *y) {
    return str_cmp(((const struct entry *)x)->name, ((const struct entry *)y)->name);
}

static void print_metadata(struct buf *out, struct entry *entries, size_t count) {
    if (count) qsort(entries, count, sizeof *entries, by_name);
    buf_addz(out, " {");
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%.*s: ", i ? ", " : "", STR_ARG(entries[i].name));
        print_value(out, &entries[i].value);
    }
    buf_addz(out, "}");
}

static void print_model_metadata(struct buf *out, const struct model *m, struct str id) {
    struct entry *entries = mem_alloc((m->field_count + 1) * sizeof *entries);
    size_t count = 0;
    for (size_t i = 0; i < m->field_count; i++) {
        entries[count] = (struct entry){m->fields[i], model_value(m, id, m->fields[i])};
        count += entries[count].value.type != VALUE_NONE;
    }
    print_metadata(out, entries, count);
    free(entries);
}

static void print_hit(struct buf *out, struct hit *h) {
    print_inference(out, &h->inf, h->inf.index, h->inf.time_us);
    buf_printf(out, " received=%" PRId64 " flags=%u", h->received_us, h->flags);
    print_metadata(out, h->metadata, h->metadata_count);
    buf_addc(out, '\n');
}

static void print_row(struct buf *out, const struct model *m, const struct model_row *r) {
    print_inference(out, &r->inf, r->index, r->time_us);
    buf_printf(out, " received=%" PRId64 " flags=%u", r->received_us, r->flags);
    print_model_metadata(out, m, r->inf.id);
    buf_addc(out, '\n');
}

bool compare_text(const struct buf *got, const struct buf *want, struct buf *why) {
    struct str g = buf_str(got), w = buf_str(want), got_line, want_line;
    if (str_eq(g, w)) return true;
    for (bool more = true; more;) {
        bool g_more = str_cut(g, '\n', &got_line, &g), w_more = str_cut(w, '\n', &want_line, &w);
        if (!g_more) got_line = STR("(nothing)");
        if (!w_more) want_line = STR("(nothing)");
        more = str_eq(got_line, want_line) && g_more && w_more;
    }
    buf_printf(why, "\n  expected %.*s\n  got      %.*s", STR_ARG(want_line), STR_ARG(got_line));
    return false;
}

/* The engine's answer; false: `why` tells. */
static bool ask(const struct view *v, const struct question *q, const struct plan *p, struct arena *a,
                struct answer *out, struct buf *why) {
    struct err e = {0};
    struct query_control control = {.rows_only = q->rows_only};
    if (!query_run(v, p, &control, a, out, &e)) {
        buf_printf(why, "the query failed: %s", e.msg);
        return false;
    }
    if (q->summed) *q->summed += out->summed;
    if (out->gap_count == 0) return true;
    buf_printf(why, "%zu gaps, the first is segment %" PRIu64, out->gap_count, out->gaps[0].segment);
    return false;
}

static bool in_question(bool same, const char *what, const struct question *q, struct buf *why) {
    if (!same)
        buf_printf(why, "\n  in %s of time=%" PRId64 "..%" PRId64 " partial=%d filter: %.*s", what, q->from_us,
                   q->to_us, q->partial, STR_ARG(q->text));
    return same;
}

static struct plan plan_of(const struct question *q, enum plan_kind kind) {
    return (struct plan){.kind = kind,
                         .from_us = q->from_us,
                         .to_us = q->to_us,
                         .filter = q->filter,
                         .partial = q->partial,
                         .limit = q->limit};
}

/* ---- lists and counts ---- */

static bool same_list(const struct model *m, const struct answer *got, const struct model_row **rows, size_t count,
                      size_t shown, struct buf *why) {
    struct buf g = {0}, w = {0};
    for (size_t i = 0; i < got->hit_count; i++) print_hit(&g, &got->hits[i]);
    for (size_t i = 0; i < shown; i++) print_row(&w, m, rows[i]);
    if (got->next.set) buf_addz(&g, "more\n");
    if (count > shown) buf_addz(&w, "more\n");
    for (size_t i = 1; i < got->hit_count; i++)
        if (got->hits[i].inf.time_us == got->hits[i - 1].inf.time_us && got->hits[i].seq >= got->hits[i - 1].seq)
            buf_printf(&g, "hit %zu does not come behind the one before by seq\n", i);
    bool same = compare_text(&g, &w, why);
    buf_free(&g);
    buf_free(&w);
    return same;
}

bool compare_page(const struct view *v, const struct model *m, struct question *q, struct buf *why) {
    struct arena arena = {0};
    struct answer got;
    struct plan p = plan_of(q, PLAN_LIST), asked = p;
    p.after = q->model;
    asked.after = q->store;
    const struct model_row **rows;
    size_t count = expect_rows(m, &p, &rows), shown = count < q->limit ? count : q->limit;
    bool same = ask(v, q, &asked, &arena, &got, why) && same_list(m, &got, rows, count, shown, why);
    q->more = same && got.next.set;
    if (q->more) {
        uint64_t as_of = q->model.set ? q->model.as_of : m->orders;
        q->model = (struct cursor){true, rows[shown - 1]->time_us, rows[shown - 1]->order, as_of};
        q->store = got.next;
    }
    free(rows);
    arena_free(&arena);
    return in_question(same, q->store.set ? "a further page" : "a list", q, why);
}

bool compare_count(const struct view *v, const struct model *m, const struct question *q, struct buf *why) {
    struct arena arena = {0};
    struct answer got;
    struct plan p = plan_of(q, PLAN_COUNT);
    const struct model_row **rows;
    size_t want = expect_rows(m, &p, &rows);
    bool same = ask(v, q, &p, &arena, &got, why);
    if (same && got.count != want) {
        same = false;
        buf_printf(why, "count: expected %zu, got %" PRIu64, want, got.count);
    }
    free(rows);
    arena_free(&arena);
    return in_question(same, "a count", q, why);
}

/* ---- groups ---- */

static void print_key(struct buf *out, const struct key_value *k) {
    if (k->kind != KEY_VALUE)
        buf_addz(out, k->kind == KEY_NONE ? "(none)" : "(other)");
    else if (k->value.type == VALUE_NONE)
        buf_printf(out, "%" PRId64, k->time_us);
    else
        print_value(out, &k->value);
}

static void print_cell(struct buf *out, const struct measure *m, const struct cell *c) {
    if (!c->known)
        buf_addz(out, "unknown");
    else if (m->kind <= MEASURE_DISTINCT)
        buf_printf(out, "%" PRIu64, c->count);
    else if (m->kind == MEASURE_NEWEST)
        buf_printf(out, "\"%.*s\"", STR_ARG(c->text));
    else if (m->of.of == OF_TIME)
        buf_printf(out, "%" PRId64, c->time_us);
    else
        buf_printf(out, "%.17g", c->number);
}

static bool near(double got, double want, double relative, double absolute) {
    return fabs(got - want) <= relative * fabs(want) + absolute;
}

static bool same_cell(const struct measure *m, const struct cell *got, const struct cell *want) {
    if (got->known != want->known || !got->known) return got->known == want->known;
    bool confidence = m->of.of == OF_CONFIDENCE;
    size_t bins = confidence ? CONFIDENCE_BINS : LATENCY_BINS;
    switch (m->kind) {
    case MEASURE_INFERENCES:
    case MEASURE_ERRORS:
    case MEASURE_EMPTY:
    case MEASURE_DETECTIONS:
    case MEASURE_DISTINCT: return got->count == want->count;
    case MEASURE_HISTOGRAM: return memcmp(got->bins, want->bins, bins * sizeof *got->bins) == 0;
    case MEASURE_NEWEST: return str_eq(got->text, want->text);
    case MEASURE_QUANTILE:
        return confidence ? near(got->number, want->number, 0, 0.0005 + 1e-12)
                          : near(got->number, want->number, 0.01, 1e-6);
    default:
        if (m->of.of == OF_TIME) return got->time_us == want->time_us;
        return m->kind == MEASURE_MIN || m->kind == MEASURE_MAX ? got->number == want->number
                                                                : near(got->number, want->number, 1e-9, 1e-12);
    }
}

static bool same_cells(const struct grouping *g, const struct cell *got, const struct cell *want, struct buf *why) {
    for (size_t i = 0; i < g->measure_count; i++) {
        if (same_cell(&g->measures[i], &got[i], &want[i])) continue;
        buf_addc(why, ' ');
        measure_write(why, &g->measures[i]);
        buf_addz(why, ": expected ");
        print_cell(why, &g->measures[i], &want[i]);
        buf_addz(why, ", got ");
        print_cell(why, &g->measures[i], &got[i]);
        return false;
    }
    return true;
}

static bool same_groups(const struct grouping *g, const struct group_list *got, const struct group_list *want,
                        struct buf *why) {
    bool same = got->count == want->count && got->all == want->all;
    if (!same)
        buf_printf(why, "%zu groups of %" PRIu64 ", expected %zu of %" PRIu64, got->count, got->all, want->count,
                   want->all);
    for (size_t i = 0; i < want->count && i < got->count; i++) {
        bool here = true;
        for (size_t k = 0; k < g->key_count; k++)
            here &= key_value_eq(&got->groups[i].keys[k], &want->groups[i].keys[k]);
        here = here && same_cells(g, got->groups[i].cells, want->groups[i].cells, why);
        if (here) continue;
        buf_printf(why, "; group %zu: expected", i);
        for (size_t k = 0; k < g->key_count; k++) buf_addc(why, ' '), print_key(why, &want->groups[i].keys[k]);
        buf_addz(why, ", got");
        for (size_t k = 0; k < g->key_count; k++) buf_addc(why, ' '), print_key(why, &got->groups[i].keys[k]);
        return false;
    }
    if (!same || !g->totals) return same;
    return same_cells(g, got->totals, want->totals, why) || (buf_addz(why, "; in the totals"), false);
}

bool compare_groups(const struct view *v, const struct model *m, const struct question *q, const struct grouping *g,
                    struct buf *why) {
    struct arena arena = {0};
    struct answer got;
    struct group_list want;
    struct plan p = plan_of(q, PLAN_GROUPS);
    p.groupings = g;
    p.grouping_count = 1;
    bool same = ask(v, q, &p, &arena, &got, why);
    if (same) {
        expect_groups(m, &p, g, &arena, &want);
        same = same_groups(g, &got.lists[0], &want, why);
    }
    if (!same) buf_addz(why, "\n  by");
    for (size_t i = 0; !same && i < g->key_count; i++) {
        buf_addc(why, ' ');
        subject_write(why, &g->keys[i].subject);
        if (g->keys[i].top) buf_printf(why, "(top %" PRIu32 "%s)", g->keys[i].top, g->keys[i].drop ? ", no other" : "");
    }
    arena_free(&arena);
    return in_question(same, "groups", q, why);
}

/* ---- facets ---- */

static void print_facet(struct buf *out, const struct facet *f) {
    subject_write(out, &f->of);
    if (f->of.of == OF_METADATA) buf_printf(out, " from %" PRId64 " to %" PRId64, f->first_us, f->last_us);
    buf_printf(
        out, " inferences=%" PRIu64 " strings=%" PRIu64 " numbers=%" PRIu64 " booleans=%" PRIu64 " values=%" PRIu64 ":",
        f->inferences, f->strings, f->numbers, f->booleans, f->values);
    for (size_t i = 0; i < f->top_count; i++) {
        buf_printf(out, " %" PRIu64 "x", f->top[i].count);
        print_value(out, &f->top[i].value);
    }
    buf_addc(out, '\n');
}

enum { LINES_MOST = 2048 };

static int by_bytes(const void *x, const void *y) { return str_cmp(*(const struct str *)x, *(const struct str *)y); }

static void add_lines(struct buf *to, struct buf *lines) {
    struct str left = buf_str(lines), list[LINES_MOST];
    size_t count = 0;
    while (left.n && count < LINES_MOST) str_cut(left, '\n', &list[count++], &left);
    if (count) qsort(list, count, sizeof *list, by_bytes);
    for (size_t i = 0; i < count; i++) buf_add_str(to, list[i]), buf_addc(to, '\n');
    buf_free(lines);
}

/* Every column that has facets, and every field, whatever order fields have. */
bool compare_facets(const struct view *v, const struct model *m, const struct question *q, struct buf *why) {
    struct arena arena = {0};
    struct answer got;
    struct plan p = plan_of(q, PLAN_FACETS);
    struct facet want;
    struct buf g = {0}, w = {0}, all_got = {0}, all_want = {0};
    p.facets = (struct facets){.columns = true, .fields = true, .limit = q->limit};
    bool same = ask(v, q, &p, &arena, &got, why);
    for (size_t i = 0; same && i < got.facet_count; i++) print_facet(&g, &got.facets[i]);
    for (enum of of = 0; same && of < OF_METADATA; of++) {
        if (!(of_uses(of) & USE_FACET)) continue;
        expect_facet(m, &p, &(struct subject){.of = of}, &arena, &want);
        print_facet(&w, &want);
    }
    for (size_t i = 0; same && i < m->field_count; i++) {
        expect_facet(m, &p, &(struct subject){OF_METADATA, m->fields[i]}, &arena, &want);
        if (want.inferences) print_facet(&w, &want);
    }
    add_lines(&all_got, &g);
    add_lines(&all_want, &w);
    same = same && compare_text(&all_got, &all_want, why);
    buf_free(&all_got);
    buf_free(&all_want);
    arena_free(&arena);
    return in_question(same, "facets", q, why);
}
