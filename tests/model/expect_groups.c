/* Groups and facets, from lists of the rows and detections that are in each. */
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "expect.h"
#include "record/bins.h"

/* A row in a group; in a grouping by class, a row by one of its detections, or by none. */
struct member {
    const struct model_row *row;
    const struct detection *detection;
    struct key_value keys[PLAN_KEYS];
    bool out;
};

struct members {
    struct member *list;
    size_t count;
    bool by_class;
};

/* ---- values ---- */

static struct value text_value(struct str s) {
    return (struct value){.type = s.n ? VALUE_STRING : VALUE_NONE, .text = s};
}
static struct value number_value(double v) {
    return (struct value){.type = isnan(v) ? VALUE_NONE : VALUE_NUMBER, .number = v};
}
static struct value truth_value(bool v) { return (struct value){.type = VALUE_BOOL, .truth = v}; }

static double top_confidence(const struct inference *inf) {
    double top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++) top = fmax(top, inf->detections[i].confidence);
    return top;
}

struct value expect_value(const struct model *m, const struct model_row *r, const struct subject *of) {
    const struct inference *inf = &r->inf;
    size_t slash = inf->model_id.n;
    while (slash > 0 && inf->model_id.p[slash - 1] != '/') slash--;
    switch (of->of) {
    case OF_ID: return text_value(inf->id);
    case OF_MODEL: return text_value(inf->model_id);
    case OF_MODEL_BASE: return text_value((struct str){inf->model_id.p, slash ? slash - 1 : inf->model_id.n});
    case OF_MODEL_VERSION: return text_value(slash ? str_from(inf->model_id, slash) : STR(""));
    case OF_MODEL_NAME: return text_value(inf->model_name);
    case OF_DEVICE: return text_value(inf->device_id);
    case OF_SOURCE: return text_value(inf->source);
    case OF_SOURCE_INFO: return text_value(inf->source_info);
    case OF_SERVER: return text_value(inf->server_id);
    case OF_ERROR: return truth_value(inf->error.n > 0);
    case OF_PARTIAL: return truth_value(inf->partial);
    case OF_PICTURE: return truth_value(inf->picture != NULL);
    case OF_INDEX: return number_value(r->index);
    case OF_DETECTIONS: return number_value((double)inf->detection_count);
    case OF_CONFIDENCE: return number_value(top_confidence(inf));
    case OF_LATENCY: return number_value(inf->latency_s);
    case OF_METADATA: return model_value(m, inf->id, of->field);
    default: WRONG("this is not of a row");
    }
}

bool key_value_eq(const struct key_value *x, const struct key_value *y) {
    return x->kind == y->kind && (x->kind != KEY_VALUE || (value_eq(&x->value, &y->value) && x->time_us == y->time_us));
}

static struct key_value key_of(const struct model *m, const struct key *k, const struct member *e, bool by_class) {
    struct key_value out = {.kind = KEY_VALUE};
    const struct detection *d = e->detection;
    if (k->subject.of == OF_TIME) {
        int64_t shifted = e->row->time_us + k->offset_us, start = shifted / k->width_us * k->width_us;
        if (start > shifted) start -= k->width_us;
        out.time_us = start - k->offset_us;
        return out;
    }
    if (k->subject.of == OF_CLASS)
        out.value = text_value(d ? d->class_name : STR(""));
    else if (k->subject.of == OF_CONFIDENCE && by_class)
        out.value = number_value(d ? d->confidence : NAN);
    else
        out.value = expect_value(m, e->row, &k->subject);
    if (k->subject.of == OF_CONFIDENCE && out.value.type == VALUE_NUMBER) {
        unsigned bin = 0;
        while ((bin + 1) * k->width_thousandths < 1000 &&
               (double)((bin + 1) * k->width_thousandths) / 1000 <= out.value.number)
            bin++;
        out.value.number = (double)(bin * k->width_thousandths) / 1000;
    }
    if (out.value.type == VALUE_NONE) out.kind = KEY_NONE;
    return out;
}

/* ---- measures ---- */

static bool first_of_row(const struct members *g, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (g->list[k].row == g->list[i].row) return false;
    return true;
}

struct numbers {
    double *list;
    size_t count;
};

static void add_number(struct numbers *n, double v) {
    if (isnan(v)) return;
    n->list = mem_resize(n->list, (n->count + 1) * sizeof *n->list);
    n->list[n->count++] = v;
}

static void add_monitoring(struct numbers *n, enum of of, const struct model_row *r, const struct detection *d) {
    double v = of == OF_MONITORING_LATENCY ? r->inf.latency_s : d ? d->confidence : 0;
    add_number(n, isnan(v) ? 0 : v);
}

static double metadata_number(struct value v) {
    double number;
    if (v.type == VALUE_NUMBER) return v.number;
    return v.type == VALUE_STRING && filter_number(v.text, &number) ? number : NAN;
}

static struct numbers numbers_of(const struct model *m, const struct subject *of, const struct members *g) {
    struct numbers n = {0};
    for (size_t i = 0; i < g->count; i++) {
        const struct model_row *r = g->list[i].row;
        const struct detection *d = g->list[i].detection;
        bool first = first_of_row(g, i), failed = r->inf.error.n > 0;
        bool monitoring = of->of == OF_MONITORING_CONFIDENCE || of->of == OF_MONITORING_LATENCY;
        if (of->of == OF_METADATA) {
            if (first) add_number(&n, metadata_number(model_value(m, r->inf.id, of->field)));
        } else if (failed) {
            continue;
        } else if (monitoring && g->by_class) {
            add_monitoring(&n, of->of, r, d);
        } else if (monitoring) {
            for (size_t k = 0; k < r->inf.detection_count; k++) add_monitoring(&n, of->of, r, &r->inf.detections[k]);
            if (r->inf.detection_count == 0) add_monitoring(&n, of->of, r, NULL);
        } else if (of->of == OF_CONFIDENCE && g->by_class) {
            if (d) add_number(&n, d->confidence);
        } else if (first) {
            struct value v = expect_value(m, r, of);
            if (v.type == VALUE_NUMBER) add_number(&n, v.number);
        }
    }
    return n;
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

static void number_cell(const struct measure *m, struct numbers *n, struct arena *a, struct cell *out) {
    long double sum = 0;
    for (size_t i = 0; i < n->count; i++) sum += n->list[i];
    if (n->count) qsort(n->list, n->count, sizeof *n->list, ascending);
    out->known = n->count || m->kind == MEASURE_SUM;
    if (m->kind == MEASURE_SUM) out->number = (double)sum;
    if (m->kind == MEASURE_HISTOGRAM) {
        bool confidence = m->of.of == OF_CONFIDENCE;
        uint64_t *bins = arena_alloc(a, (confidence ? CONFIDENCE_BINS : LATENCY_BINS) * sizeof *bins);
        for (size_t i = 0; i < n->count; i++) bins[confidence ? confidence_bin(n->list[i]) : latency_bin(n->list[i])]++;
        out->known = true;
        out->bins = bins;
    }
    if (n->count == 0) return;
    if (m->kind == MEASURE_AVG) out->number = (double)(sum / (long double)n->count);
    if (m->kind == MEASURE_MIN) out->number = n->list[0];
    if (m->kind == MEASURE_MAX) out->number = n->list[n->count - 1];
    if (m->kind != MEASURE_QUANTILE) return;
    double at = m->at * (double)(n->count - 1), part = at - floor(at);
    size_t k = (size_t)at;
    out->number = part > 0 ? n->list[k] + part * (n->list[k + 1] - n->list[k]) : n->list[k];
}

static uint64_t distinct(const struct model *m, const struct subject *of, const struct members *g) {
    struct value *seen = mem_alloc((g->count * 16 + 1) * sizeof *seen);
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct model_row *r = g->list[i].row;
        size_t values = of->of == OF_CLASS ? r->inf.detection_count : 1;
        CHECK(values <= 16);
        for (size_t k = 0; k < values; k++) {
            struct value v = of->of == OF_CLASS ? text_value(r->inf.detections[k].class_name) : expect_value(m, r, of);
            bool known = v.type == VALUE_NONE;
            for (size_t s = 0; s < count && !known; s++) known = value_eq(&seen[s], &v);
            if (!known) seen[count++] = v;
        }
    }
    free(seen);
    return count;
}

static void row_cell(const struct model *m, const struct measure *what, const struct members *g, struct cell *out) {
    const struct model_row *newest = NULL;
    out->known = what->kind <= MEASURE_DETECTIONS;
    for (size_t i = 0; i < g->count; i++) {
        const struct model_row *r = g->list[i].row;
        bool first = first_of_row(g, i), failed = r->inf.error.n > 0;
        switch (what->kind) {
        case MEASURE_INFERENCES: out->count += first; break;
        case MEASURE_ERRORS: out->count += first && failed; break;
        case MEASURE_EMPTY: out->count += first && !failed && r->inf.detection_count == 0; break;
        case MEASURE_DETECTIONS:
            out->count += g->by_class ? g->list[i].detection != NULL : failed ? 0 : r->inf.detection_count;
            break;
        case MEASURE_NEWEST: {
            struct value v = expect_value(m, r, &what->of);
            bool later =
                !newest || r->time_us > newest->time_us || (r->time_us == newest->time_us && r->order > newest->order);
            if (v.type == VALUE_NONE || !later) break;
            newest = r;
            out->text = v.text;
            out->known = true;
            break;
        }
        default: /* MIN and MAX of OF_TIME */
            if (!out->known || (what->kind == MEASURE_MIN ? r->time_us < out->time_us : r->time_us > out->time_us))
                out->time_us = r->time_us;
            out->known = true;
        }
    }
}

static struct cell *cells_of(const struct model *m, const struct grouping *by, const struct members *g,
                             struct arena *a) {
    struct cell *cells = arena_alloc(a, by->measure_count * sizeof *cells);
    for (size_t i = 0; i < by->measure_count; i++) {
        const struct measure *what = &by->measures[i];
        bool of_rows = what->kind < MEASURE_DISTINCT || what->kind == MEASURE_NEWEST || what->of.of == OF_TIME;
        if (what->kind == MEASURE_DISTINCT) {
            cells[i] = (struct cell){.known = true, .count = distinct(m, &what->of, g)};
        } else if (of_rows) {
            row_cell(m, what, g, &cells[i]);
        } else {
            struct numbers n = numbers_of(m, &what->of, g);
            number_cell(what, &n, a, &cells[i]);
            free(n.list);
        }
    }
    return cells;
}

/* ---- groups ---- */

static struct members members_of(const struct model *m, const struct plan *p, const struct grouping *g, bool by_class) {
    struct members out = {.by_class = by_class};
    const struct model_row **rows;
    size_t count = expect_rows(m, p, &rows);
    for (size_t i = 0; i < count; i++) {
        const struct inference *inf = &rows[i]->inf;
        size_t members = by_class && inf->detection_count ? inf->detection_count : 1;
        if (by_class && inf->error.n) continue;
        out.list = mem_resize(out.list, (out.count + members) * sizeof *out.list);
        for (size_t k = 0; k < members; k++) {
            struct member *e = &out.list[out.count++];
            *e = (struct member){.row = rows[i]};
            if (by_class && inf->detection_count) e->detection = &inf->detections[k];
            for (size_t n = 0; g && n < g->key_count; n++) e->keys[n] = key_of(m, &g->keys[n], e, by_class);
        }
    }
    free(rows);
    return out;
}

static const struct measure inferences = {.kind = MEASURE_INFERENCES};

/* Gives the values of a key that are not among its most frequent to "other", or drops them. */
static void keep_top(const struct model *m, const struct plan *p, const struct grouping *g, size_t key,
                     struct members *members, struct arena *a) {
    const struct key *k = &g->keys[key];
    struct grouping alone = {.keys = {*k}, .key_count = 1, .measures = k->by ? k->by : &inferences, .measure_count = 1};
    struct group_list ranked;
    alone.keys[0].top = 0;
    alone.orders[0] = (struct order){1, true};
    alone.order_count = 1;
    expect_groups(m, p, &alone, a, &ranked);
    for (size_t i = 0; i < members->count; i++) {
        struct key_value *value = &members->list[i].keys[key];
        bool kept = value->kind == KEY_NONE;
        for (size_t n = 0, rank = 0; n < ranked.count && rank < k->top && !kept; n++) {
            kept = key_value_eq(&ranked.groups[n].keys[0], value);
            rank += ranked.groups[n].keys[0].kind == KEY_VALUE;
        }
        if (kept) continue;
        *value = (struct key_value){.kind = KEY_OTHER};
        members->list[i].out |= k->drop;
    }
}

static int value_compare(const struct value *x, const struct value *y) {
    static const int ranks[] = {[VALUE_NONE] = 3, [VALUE_BOOL] = 0, [VALUE_NUMBER] = 1, [VALUE_STRING] = 2};
    if (x->type != y->type) return ranks[x->type] < ranks[y->type] ? -1 : 1;
    if (x->type == VALUE_STRING) return str_cmp(x->text, y->text);
    if (x->type == VALUE_NUMBER) return x->number < y->number ? -1 : x->number > y->number;
    return (int)x->truth - (int)y->truth;
}

static int key_compare(const struct key_value *x, const struct key_value *y, bool descending) {
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    int order = x->time_us < y->time_us ? -1 : x->time_us > y->time_us;
    if (order == 0) order = value_compare(&x->value, &y->value);
    return descending ? -order : order;
}

/* Measures to order by are counts here. */
static int group_compare(const void *x, const void *y, void *ctx) {
    const struct grouping *g = ctx;
    const struct group *a = x, *b = y;
    int order = 0;
    for (size_t i = 0; i < g->order_count && order == 0; i++) {
        struct order o = g->orders[i];
        if (o.column < g->key_count) {
            order = key_compare(&a->keys[o.column], &b->keys[o.column], o.descending);
            continue;
        }
        uint64_t n = a->cells[o.column - g->key_count].count, k = b->cells[o.column - g->key_count].count;
        order = n < k ? -1 : n > k;
        if (o.descending) order = -order;
    }
    for (size_t i = 0; i < g->key_count && order == 0; i++) order = key_compare(&a->keys[i], &b->keys[i], false);
    return order;
}

static bool same_keys(const struct grouping *g, const struct member *x, const struct member *y) {
    for (size_t i = 0; i < g->key_count; i++)
        if (!key_value_eq(&x->keys[i], &y->keys[i])) return false;
    return !x->out && !y->out;
}

static void add_group(const struct model *m, const struct grouping *g, const struct members *all, size_t first,
                      struct arena *a, struct group_list *out) {
    struct members group = {.by_class = all->by_class, .list = mem_alloc((all->count + 1) * sizeof *group.list)};
    for (size_t i = first; i < all->count; i++)
        if (same_keys(g, &all->list[first], &all->list[i])) group.list[group.count++] = all->list[i];
    struct group *to = &out->groups[out->count++];
    if (group.count) memcpy(to->keys, group.list[0].keys, sizeof to->keys);
    to->cells = cells_of(m, g, &group, a);
    free(group.list);
}

void expect_groups(const struct model *m, const struct plan *p, const struct grouping *g, struct arena *a,
                   struct group_list *out) {
    bool by_class = grouping_by(g, OF_CLASS);
    struct members all = members_of(m, p, g, by_class);
    for (size_t i = 0; i < g->key_count; i++)
        if (g->keys[i].top) keep_top(m, p, g, i, &all, a);
    *out = (struct group_list){.groups = arena_alloc(a, (all.count + 1) * sizeof *out->groups)};
    for (size_t i = 0; i < all.count; i++) {
        bool first = !all.list[i].out;
        for (size_t k = 0; first && k < i; k++) first = !same_keys(g, &all.list[k], &all.list[i]);
        if (first) add_group(m, g, &all, i, a, out);
    }
    if (g->key_count == 0 && all.count == 0) add_group(m, g, &all, 0, a, out);
    struct grouping order = *g;
    if (out->count) qsort_r(out->groups, out->count, sizeof *out->groups, group_compare, &order);
    out->all = out->count;
    size_t skipped = g->skip < out->count ? g->skip : out->count;
    out->groups += skipped;
    out->count -= skipped;
    if (g->limit && out->count > g->limit) out->count = g->limit;
    free(all.list);
    if (!g->totals) return;
    all = members_of(m, p, NULL, false);
    out->totals = cells_of(m, g, &all, a);
    free(all.list);
}

/* ---- facets ---- */

static int facet_order(const void *x, const void *y) {
    const struct facet_value *a = x, *b = y;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return value_compare(&a->value, &b->value);
}

static void count_value(struct facet *f, struct value v) {
    for (size_t i = 0; i < f->top_count; i++) {
        if (!value_eq(&f->top[i].value, &v)) continue;
        f->top[i].count++;
        return;
    }
    f->top[f->top_count++] = (struct facet_value){v, 1};
}

void expect_facet(const struct model *m, const struct plan *p, const struct subject *of, struct arena *a,
                  struct facet *out) {
    const struct model_row **rows;
    size_t count = expect_rows(m, p, &rows);
    *out = (struct facet){.of = *of, .top = arena_alloc(a, (16 * count + 1) * sizeof *out->top)};
    for (size_t i = 0; i < count; i++) {
        const struct inference *inf = &rows[i]->inf;
        bool any = false;
        for (size_t k = 0; of->of == OF_CLASS && k < inf->detection_count; k++) {
            bool first = inf->detections[k].class_name.n > 0;
            for (size_t n = 0; first && n < k; n++)
                first = !str_eq(inf->detections[n].class_name, inf->detections[k].class_name);
            if (first) count_value(out, text_value(inf->detections[k].class_name));
            any |= first;
        }
        struct value v = of->of == OF_CLASS ? (struct value){0} : expect_value(m, rows[i], of);
        if (v.type != VALUE_NONE) count_value(out, v);
        out->inferences += any || v.type != VALUE_NONE;
        if (of->of != OF_METADATA || v.type == VALUE_NONE) continue;
        if (out->inferences == 1 || rows[i]->time_us < out->first_us) out->first_us = rows[i]->time_us;
        if (out->inferences == 1 || rows[i]->time_us > out->last_us) out->last_us = rows[i]->time_us;
        ++*(v.type == VALUE_STRING ? &out->strings : v.type == VALUE_NUMBER ? &out->numbers : &out->booleans);
    }
    out->values = out->top_count;
    if (out->top_count) qsort(out->top, out->top_count, sizeof *out->top, facet_order);
    if (out->top_count > p->facets.limit) out->top_count = p->facets.limit;
    free(rows);
}
