#include "query_oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "record/bins.h"

/* ---- groups ---- */

/* What belongs to a group: its rows, its detections, and how many rows have none. */
struct bag {
    struct key_value keys[PLAN_KEYS];
    const struct kit_row **rows;
    size_t row_count, row_room;
    const struct detection **detections;
    const struct kit_row **detection_rows;
    size_t detection_count, detection_room, empty;
};

struct bags {
    const struct view_kit *k;
    bool by_class, failed_too; /* failed_too: by class, they are in groups */
    struct numbering keys;
    struct bag *list;
    size_t count, room;
};

static void bags_free(struct bags *b) {
    for (size_t i = 0; i < b->count; i++) {
        free(b->list[i].rows);
        free(b->list[i].detections);
        free(b->list[i].detection_rows);
    }
    free(b->list);
    numbering_free(&b->keys);
}

static struct key_value none(void) { return (struct key_value){.kind = KEY_NONE}; }
static struct key_value text_key(struct str s) {
    if (s.n == 0) return none();
    return (struct key_value){.kind = KEY_VALUE, .value = {.type = VALUE_STRING, .text = s}};
}
static struct key_value number_key(double v) {
    return (struct key_value){.kind = KEY_VALUE, .value = {.type = VALUE_NUMBER, .number = v}};
}
static struct key_value bool_key(bool v) {
    return (struct key_value){.kind = KEY_VALUE, .value = {.type = VALUE_BOOL, .truth = v}};
}

/* The bin of a confidence by its definition: the last edge that is not above it. */
static struct key_value bin_key(const struct key *key, double v) {
    if (isnan(v)) return none();
    double edge = 0;
    for (uint32_t bin = 0; bin * key->width_thousandths < 1000; bin++)
        if ((double)(bin * key->width_thousandths) / 1000 <= v) edge = (double)(bin * key->width_thousandths) / 1000;
    return number_key(edge);
}

static struct key_value key_of(const struct bags *b, const struct key *key, const struct kit_row *r,
                               const struct detection *d) {
    const struct inference *inf = &r->inf;
    struct str version;
    switch (key->subject.of) {
    case OF_TIME: {
        int64_t t = inf->time_us + key->offset_us, rest = t % key->width_us;
        return (struct key_value){.kind = KEY_VALUE,
                                  .time_us = inf->time_us - (rest < 0 ? rest + key->width_us : rest)};
    }
    case OF_MODEL: return text_key(inf->model_id);
    case OF_MODEL_BASE: return text_key(model_base(inf->model_id));
    case OF_MODEL_VERSION: version = model_version(inf->model_id); return version.p ? text_key(version) : none();
    case OF_MODEL_NAME: return text_key(inf->model_name);
    case OF_DEVICE: return text_key(inf->device_id);
    case OF_SOURCE: return text_key(inf->source);
    case OF_SOURCE_INFO: return text_key(inf->source_info);
    case OF_SERVER: return text_key(inf->server_id);
    case OF_ERROR: return bool_key(inf->error.n > 0);
    case OF_PARTIAL: return bool_key(inf->partial);
    case OF_PICTURE: return bool_key(inf->picture != NULL);
    case OF_INDEX: return number_key(inf->index);
    case OF_DETECTIONS: return number_key((double)inf->detection_count);
    case OF_CLASS: return d ? text_key(d->class_name) : none();
    case OF_CONFIDENCE: return bin_key(key, !b->by_class ? oracle_top_confidence(inf) : d ? d->confidence : NAN);
    case OF_METADATA: {
        struct value v = view_kit_value(b->k, inf->id, key->subject.field);
        return v.type == VALUE_NONE ? none() : (struct key_value){.kind = KEY_VALUE, .value = v};
    }
    default: fail_msg("no key");
    }
    return none();
}

static void write_key(struct buf *to, const struct key_value *v) {
    buf_printf(to, "%d %d %lld ", v->kind, v->value.type, (long long)v->time_us);
    if (v->kind == KEY_VALUE && v->value.type != VALUE_NONE) value_json(to, &v->value);
    buf_addc(to, '|');
}

static struct bag *bag_of(struct bags *b, const struct key_value *keys, size_t count) {
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) write_key(&text, &keys[i]);
    struct key_value name = {.kind = KEY_VALUE, .value = {.type = VALUE_STRING, .text = buf_str(&text)}};
    size_t at = numbering_of(&b->keys, &name);
    buf_free(&text);
    if (at == b->count) {
        if (b->count == b->room) {
            b->room = b->room ? 2 * b->room : 16;
            b->list = mem_resize(b->list, b->room * sizeof *b->list);
        }
        b->list[b->count++] = (struct bag){.row_count = 0};
        for (size_t i = 0; i < count; i++) b->list[at].keys[i] = keys[i];
    }
    return &b->list[at];
}

static void put_row(struct bag *g, const struct kit_row *r) {
    if (g->row_count && g->rows[g->row_count - 1] == r) return;
    if (g->row_count == g->row_room) {
        g->row_room = g->row_room ? 2 * g->row_room : 8;
        g->rows = mem_resize(g->rows, g->row_room * sizeof *g->rows);
    }
    g->rows[g->row_count++] = r;
}

static void put_detection(struct bag *g, const struct kit_row *r, const struct detection *d) {
    if (g->detection_count == g->detection_room) {
        g->detection_room = g->detection_room ? 2 * g->detection_room : 8;
        g->detections = mem_resize(g->detections, g->detection_room * sizeof *g->detections);
        g->detection_rows = mem_resize(g->detection_rows, g->detection_room * sizeof *g->detection_rows);
    }
    g->detections[g->detection_count] = d;
    g->detection_rows[g->detection_count++] = r;
}

/* The values with groups of their own, of each key; NULL: all. */
static void fill(struct bags *b, const struct grouping *g, size_t key_count, const struct numbering *const *tops,
                 const struct kit_row **rows, size_t count) {
    struct key_value keys[PLAN_KEYS];
    for (size_t i = 0; i < count; i++) {
        const struct inference *inf = &rows[i]->inf;
        bool failed = inf->error.n && !b->failed_too;
        size_t elements = !b->by_class ? 1 : failed ? 0 : inf->detection_count ? inf->detection_count : 1;
        for (size_t n = 0; n < elements; n++) {
            const struct detection *d = b->by_class && inf->detection_count ? &inf->detections[n] : NULL;
            bool dropped = false;
            for (size_t key = 0; key < key_count; key++) {
                keys[key] = key_of(b, &g->keys[key], rows[i], d);
                if (!tops || !tops[key] || keys[key].kind != KEY_VALUE ||
                    numbering_find(tops[key], &keys[key]) != UINT32_MAX)
                    continue;
                keys[key] = (struct key_value){.kind = KEY_OTHER};
                dropped |= g->keys[key].drop;
            }
            if (dropped) continue;
            struct bag *bag = bag_of(b, keys, key_count);
            put_row(bag, rows[i]);
            if (d) put_detection(bag, rows[i], d);
            for (size_t x = 0; !b->by_class && !failed && x < inf->detection_count; x++)
                put_detection(bag, rows[i], &inf->detections[x]);
            bag->empty += !failed && inf->detection_count == 0;
        }
    }
    if (key_count == 0 && b->count == 0) bag_of(b, keys, 0);
}

/* ---- measures ---- */

struct values {
    double *list;
    size_t count;
};

static void put_value(struct values *v, double x) {
    if (isnan(x)) return;
    if ((v->count & (v->count - 1)) == 0)
        v->list = mem_resize(v->list, (v->count ? 2 * v->count : 1) * sizeof *v->list);
    v->list[v->count++] = x;
}

static double known(double v) { return isnan(v) ? 0 : v; }

static void collect(const struct bags *b, const struct bag *g, const struct subject *of, struct values *out) {
    for (size_t i = 0; i < g->row_count; i++) {
        const struct inference *inf = &g->rows[i]->inf;
        bool failed = inf->error.n;
        struct value v;
        double number;
        switch (of->of) {
        case OF_LATENCY:
            if (!failed) put_value(out, inf->latency_s);
            break;
        case OF_DETECTIONS:
            if (!failed && !b->by_class) put_value(out, (double)inf->detection_count);
            break;
        case OF_CONFIDENCE:
            if (!failed && !b->by_class) put_value(out, oracle_top_confidence(inf));
            break;
        case OF_MONITORING_CONFIDENCE:
            if (!failed && inf->detection_count == 0) put_value(out, 0);
            break;
        case OF_MONITORING_LATENCY:
            if (!failed && inf->detection_count == 0) put_value(out, known(inf->latency_s));
            break;
        case OF_METADATA:
            v = view_kit_value(b->k, inf->id, of->field);
            if (v.type == VALUE_NUMBER) put_value(out, v.number);
            if (v.type == VALUE_STRING && filter_number(v.text, &number)) put_value(out, number);
            break;
        default: break;
        }
    }
    for (size_t i = 0; i < g->detection_count; i++) {
        double c = g->detections[i]->confidence;
        if (of->of == OF_CONFIDENCE && b->by_class) put_value(out, c);
        if (of->of == OF_MONITORING_CONFIDENCE) put_value(out, known(c));
        if (of->of == OF_MONITORING_LATENCY) put_value(out, known(g->detection_rows[i]->inf.latency_s));
    }
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static uint64_t distinct(const struct bags *b, const struct bag *g, const struct subject *of) {
    struct numbering all = {.count = 0};
    struct key key = {.subject = *of};
    for (size_t i = 0; i < g->row_count; i++) {
        const struct inference *inf = &g->rows[i]->inf;
        size_t n = of->of != OF_CLASS ? 1 : inf->error.n ? 0 : inf->detection_count;
        for (size_t d = 0; d < n; d++) {
            struct key_value v = of->of == OF_ID
                                     ? text_key(inf->id)
                                     : key_of(b, &key, g->rows[i], of->of == OF_CLASS ? &inf->detections[d] : NULL);
            if (v.kind == KEY_VALUE) numbering_of(&all, &v);
        }
    }
    uint64_t count = all.count;
    numbering_free(&all);
    return count;
}

static bool near(double found, double want, double bound) {
    return found == want || fabs(found - want) <= bound * fmax(fabs(want), 1e-300);
}

/* What is expected: with quantiles to the exact value. */
static struct cell cell_of(const struct bags *b, const struct bag *g, const struct measure *m, struct arena *a) {
    struct cell c = {.known = true};
    struct values v = {NULL, 0};
    long double sum = 0;
    size_t failed = 0;
    for (size_t i = 0; i < g->row_count; i++) failed += g->rows[i]->inf.error.n > 0;
    if (m->kind >= MEASURE_SUM) collect(b, g, &m->of, &v);
    for (size_t i = 0; i < v.count; i++) sum += v.list[i];
    if (v.count) qsort(v.list, v.count, sizeof *v.list, ascending);
    switch (m->kind) {
    case MEASURE_INFERENCES: c.count = g->row_count; break;
    case MEASURE_ERRORS: c.count = failed; break;
    case MEASURE_EMPTY: c.count = g->empty; break;
    case MEASURE_DETECTIONS: c.count = g->detection_count; break;
    case MEASURE_DISTINCT: c.count = distinct(b, g, &m->of); break;
    case MEASURE_SUM: c.number = m->of.of == OF_DETECTIONS ? (double)g->detection_count : (double)sum; break;
    case MEASURE_AVG:
        c.known = m->of.of == OF_DETECTIONS ? g->row_count > failed : v.count > 0;
        if (c.known)
            c.number = m->of.of == OF_DETECTIONS ? (double)g->detection_count / (double)(g->row_count - failed)
                                                 : (double)(sum / v.count);
        break;
    case MEASURE_MIN:
    case MEASURE_MAX:
        if (m->of.of == OF_TIME) {
            c.known = g->row_count > 0;
            for (size_t i = 0; i < g->row_count; i++) {
                int64_t t = g->rows[i]->inf.time_us;
                if (i == 0 || (m->kind == MEASURE_MIN ? t < c.time_us : t > c.time_us)) c.time_us = t;
            }
        } else {
            c.known = v.count > 0;
            if (c.known) c.number = v.list[m->kind == MEASURE_MIN ? 0 : v.count - 1];
        }
        break;
    case MEASURE_QUANTILE:
        c.known = v.count > 0;
        if (c.known) {
            double at = m->at * (double)(v.count - 1);
            size_t i = (size_t)at;
            c.number = i + 1 < v.count ? v.list[i] + (at - (double)i) * (v.list[i + 1] - v.list[i]) : v.list[i];
        }
        break;
    case MEASURE_HISTOGRAM: {
        bool confidence = m->of.of == OF_CONFIDENCE;
        uint64_t *bins = arena_alloc(a, (confidence ? CONFIDENCE_BINS : LATENCY_BINS) * sizeof *bins);
        for (size_t i = 0; i < v.count; i++) bins[confidence ? confidence_bin(v.list[i]) : latency_bin(v.list[i])]++;
        c.bins = bins;
        break;
    }
    case MEASURE_NEWEST: {
        const struct kit_row *newest = NULL;
        struct key key = {.subject = m->of};
        for (size_t i = 0; i < g->row_count; i++)
            if (key_of(b, &key, g->rows[i], NULL).kind == KEY_VALUE &&
                (!newest || oracle_newest_first(&g->rows[i], &newest) < 0))
                newest = g->rows[i];
        c.known = newest;
        if (newest) c.text = key_of(b, &key, newest, NULL).value.text;
        break;
    }
    }
    free(v.list);
    return c;
}

static void check_cell(const struct measure *m, const struct cell *found, const struct cell *want, const char *what) {
    static const char *const names[] = {"inferences", "errors", "empty", "detections", "distinct",  "sum",
                                        "avg",        "min",    "max",   "quantile",   "histogram", "newest"};
    const char *name = names[m->kind];
    if (found->known != want->known) fail_msg("%s: %s is known: %d", what, name, found->known);
    if (!want->known) return;
    if (found->count != want->count)
        fail_msg("%s: %s is %llu, not %llu", what, name, (unsigned long long)found->count,
                 (unsigned long long)want->count);
    double off = fabs(found->number - want->number), bound = 1e-9 * fabs(want->number);
    if (m->kind == MEASURE_QUANTILE) /* what record/bins.h states, and the first bin, which holds all below 1 us */
        bound = m->of.of == OF_LATENCY ? 0.01 * want->number + 1e-6 : 0.0005 + 1e-12;
    bool right = off <= bound;
    if (!right) fail_msg("%s: %s is %.17g, not %.17g", what, name, found->number, want->number);
    if (found->time_us != want->time_us) fail_msg("%s: %s is another time", what, name);
    if (!str_eq(found->text, want->text)) fail_msg("%s: %s is " STR_FMT, what, name, STR_ARG(found->text));
    for (int i = 0; want->bins && i < (m->of.of == OF_CONFIDENCE ? CONFIDENCE_BINS : LATENCY_BINS); i++)
        if (found->bins[i] != want->bins[i]) fail_msg("%s: bin %d holds another number", what, i);
}

/* The top values of a key, as if it stood alone. */
static bool better(const struct measure *by, const struct cell *x, const struct key_value *kx, const struct cell *y,
                   const struct key_value *ky) {
    if (x->known != y->known) return x->known;
    double a = by->kind <= MEASURE_DISTINCT ? (double)x->count : x->number;
    double b = by->kind <= MEASURE_DISTINCT ? (double)y->count : y->number;
    if (!near(a, b, 1e-12)) return a > b;
    if (kx->value.type == VALUE_NONE) return kx->time_us < ky->time_us;
    return value_order(&kx->value, &ky->value) < 0;
}

static void take_top(const struct view_kit *k, const struct grouping *g, const struct key *key,
                     const struct kit_row **rows, size_t count, struct arena *a, struct numbering *top) {
    static const struct measure inferences = {.kind = MEASURE_INFERENCES};
    const struct measure *by = key->by ? key->by : &inferences;
    struct grouping alone = {.keys = {*key}, .key_count = 1};
    struct bags b = {.k = k};
    b.by_class = key->subject.of == OF_CLASS || (key->subject.of == OF_CONFIDENCE && grouping_by(g, OF_CLASS));
    fill(&b, &alone, 1, NULL, rows, count);
    for (uint32_t n = 0; n < key->top; n++) {
        const struct bag *best = NULL;
        struct cell best_cell = {0};
        for (size_t i = 0; i < b.count; i++) {
            if (b.list[i].keys[0].kind != KEY_VALUE || numbering_find(top, &b.list[i].keys[0]) != UINT32_MAX) continue;
            struct cell c = cell_of(&b, &b.list[i], by, a);
            if (best && !better(by, &c, &b.list[i].keys[0], &best_cell, &best->keys[0])) continue;
            best = &b.list[i];
            best_cell = c;
        }
        if (best) numbering_of(top, &best->keys[0]);
    }
    bags_free(&b);
}

static void check_groups(const struct view_kit *k, const struct grouping *g, const struct group_list *found,
                         const struct kit_row **rows, size_t count, const char *what) {
    struct arena a = {0};
    struct numbering tops[PLAN_KEYS] = {{.count = 0}};
    const struct numbering *given[PLAN_KEYS] = {NULL};
    struct bags b = {.k = k, .by_class = grouping_by(g, OF_CLASS)}, all = {.k = k};
    for (size_t i = 0; i < g->key_count; i++)
        if (g->keys[i].top) {
            take_top(k, g, &g->keys[i], rows, count, &a, &tops[i]);
            given[i] = &tops[i];
        }
    fill(&b, g, g->key_count, given, rows, count);
    struct group_list want = {.count = b.count};
    want.groups = arena_alloc(&a, b.count * sizeof *want.groups);
    for (size_t i = 0; i < b.count; i++) {
        struct group *to = &want.groups[i];
        for (size_t n = 0; n < g->key_count; n++) to->keys[n] = b.list[i].keys[n];
        to->cells = arena_alloc(&a, g->measure_count * sizeof *to->cells);
        for (size_t n = 0; n < g->measure_count; n++) to->cells[n] = cell_of(&b, &b.list[i], &g->measures[n], &a);
    }
    group_list_finish(g, &want);
    if (found->all != want.all || found->count != want.count)
        fail_msg("%s: %zu groups of %llu, not %zu of %llu", what, found->count, (unsigned long long)found->all,
                 want.count, (unsigned long long)want.all);
    for (size_t i = 0; i < want.count; i++) {
        struct buf x = {0}, y = {0};
        for (size_t n = 0; n < g->key_count; n++) {
            write_key(&x, &found->groups[i].keys[n]);
            write_key(&y, &want.groups[i].keys[n]);
        }
        if (!str_eq(buf_str(&x), buf_str(&y)))
            fail_msg("%s: group %zu is " STR_FMT ", not " STR_FMT, what, i, STR_ARG(buf_str(&x)), STR_ARG(buf_str(&y)));
        for (size_t n = 0; n < g->measure_count; n++)
            check_cell(&g->measures[n], &found->groups[i].cells[n], &want.groups[i].cells[n],
                       arena_printf(&a, "%s: group %zu (" STR_FMT "), measure %zu", what, i, STR_ARG(buf_str(&x)), n));
        buf_free(&x);
        buf_free(&y);
    }
    if (g->totals) {
        fill(&all, g, 0, NULL, rows, count);
        for (size_t n = 0; n < g->measure_count; n++) {
            struct cell c = cell_of(&all, &all.list[0], &g->measures[n], &a);
            check_cell(&g->measures[n], &found->totals[n], &c, arena_printf(&a, "%s: totals, measure %zu", what, n));
        }
    }
    bags_free(&b);
    bags_free(&all);
    for (size_t i = 0; i < g->key_count; i++) numbering_free(&tops[i]);
    arena_free(&a);
}

/* ---- facets ---- */

static bool has_class(const struct inference *inf) {
    for (size_t i = 0; i < inf->detection_count; i++)
        if (inf->detections[i].class_name.n) return true;
    return false;
}

static void check_facet(const struct view_kit *k, const struct facet *found, uint32_t limit,
                        const struct kit_row **rows, size_t count, const char *what) {
    struct arena a = {0};
    struct bags b = {.k = k, .by_class = found->of.of == OF_CLASS, .failed_too = true};
    struct grouping g = {.keys = {{.subject = found->of}}, .key_count = 1};
    uint64_t inferences = 0, types[4] = {0};
    size_t values = 0;
    fill(&b, &g, 1, NULL, rows, count);
    for (size_t i = 0; i < b.count; i++) {
        if (b.list[i].keys[0].kind != KEY_VALUE) continue;
        inferences += b.by_class ? 0 : b.list[i].row_count;
        types[b.list[i].keys[0].value.type] += found->of.of == OF_METADATA ? b.list[i].row_count : 0;
        values++;
    }
    for (size_t i = 0; i < count && b.by_class; i++) inferences += has_class(&rows[i]->inf);
    what = arena_printf(&a, "%s: facet %s" STR_FMT, what, of_name(found->of.of), STR_ARG(found->of.field));
    if (found->inferences != inferences || found->values != values || found->strings != types[VALUE_STRING] ||
        found->numbers != types[VALUE_NUMBER] || found->booleans != types[VALUE_BOOL])
        fail_msg("%s: %llu inferences with %llu values, not %llu with %zu", what, (unsigned long long)found->inferences,
                 (unsigned long long)found->values, (unsigned long long)inferences, values);
    if (found->top_count != (values < limit ? values : limit)) fail_msg("%s: %zu top values", what, found->top_count);
    for (size_t i = 0; i < found->top_count; i++) {
        const struct facet_value *x = &found->top[i];
        size_t at = 0;
        while (at < b.count &&
               !(b.list[at].keys[0].kind == KEY_VALUE && value_eq(&b.list[at].keys[0].value, &x->value)))
            at++;
        if (at == b.count || b.list[at].row_count != x->count) fail_msg("%s: top value %zu", what, i);
        if (i && (x[-1].count < x->count || (x[-1].count == x->count && value_order(&x[-1].value, &x->value) >= 0)))
            fail_msg("%s: order of top value %zu", what, i);
    }
    /* What was left out is not more frequent than what is there. */
    for (size_t i = 0; i < b.count && found->top_count; i++) {
        const struct bag *g_ = &b.list[i];
        const struct facet_value *last = &found->top[found->top_count - 1];
        if (g_->keys[0].kind != KEY_VALUE || found->top_count == values) continue;
        bool there = false;
        for (size_t n = 0; n < found->top_count; n++) there |= value_eq(&found->top[n].value, &g_->keys[0].value);
        if (!there && g_->row_count > last->count) fail_msg("%s: a frequent value is missing", what);
    }
    bags_free(&b);
    arena_free(&a);
}

/* ---- all ---- */

void oracle_check(const struct view_kit *k, const struct plan *p, const struct answer *found, const char *what) {
    const struct kit_row **rows = mem_alloc(k->row_count * sizeof *rows);
    size_t count = oracle_rows(k, p, rows);
    switch (p->kind) {
    case PLAN_COUNT:
        if (found->count != count) fail_msg("%s: %llu rows, not %zu", what, (unsigned long long)found->count, count);
        break;
    case PLAN_LIST:
        if (found->hit_count != (count < p->limit ? count : p->limit)) fail_msg("%s: %zu hits", what, found->hit_count);
        if (found->next.set != (count > p->limit)) fail_msg("%s: the cursor", what);
        for (size_t i = 0; i < found->hit_count; i++)
            if (found->hits[i].seq != rows[i]->seq) fail_msg("%s: another row at %zu", what, i);
        break;
    case PLAN_GROUPS:
        for (size_t i = 0; i < p->grouping_count; i++)
            check_groups(k, &p->groupings[i], &found->lists[i], rows, count, what);
        break;
    case PLAN_FACETS:
        for (size_t i = 0; i < found->facet_count; i++)
            check_facet(k, &found->facets[i], p->facets.limit, rows, count, what);
        break;
    }
    free(rows);
}
