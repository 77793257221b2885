/* GET /:workspace/inference-stats: the statistics of Model Monitoring as its callers read them (product.md 1.3 and 1.6,
 * protocol 3.8): a row a model and predicted class, of a range and of the equally long one before it. Means are over
 * detections; an inference without any counts as one of confidence 0, in the row of the class "", and one whose duration
 * is unknown took 0 s. Times are UTC. */
#include <stdio.h>
#include <stdlib.h>

#include "api/errors.h"
#include "api/handlers.h"
#include "base/clock.h"

#define DAY (86400 * INT64_C(1000000))
enum { ROWS_MOST = 65536, NAMES_MOST = 100, PAIRS_MOST = 256 };

/* What is asked of each range, by place in its plan. */
enum { ALL, BY_MODEL, BY_CLASS, BY_SERVER, GROUPINGS };
enum { INFERENCES, ERRORS, EMPTY, DETECTIONS, CONFIDENCE, LATENCY, MEDIAN, MEASURES };

static const struct measure measures[MEASURES] = {
    [INFERENCES] = {.kind = MEASURE_INFERENCES},
    [ERRORS] = {.kind = MEASURE_ERRORS},
    [EMPTY] = {.kind = MEASURE_EMPTY},
    [DETECTIONS] = {.kind = MEASURE_DETECTIONS},
    [CONFIDENCE] = {.kind = MEASURE_AVG, .of = {.of = OF_MONITORING_CONFIDENCE}},
    [LATENCY] = {.kind = MEASURE_AVG, .of = {.of = OF_MONITORING_LATENCY}},
    [MEDIAN] = {.kind = MEASURE_QUANTILE, .of = {.of = OF_CONFIDENCE}, .at = 0.5},
};
#define KEY_OF(column) {.subject = {.of = column}}
static const struct grouping groupings[GROUPINGS] = {
    [ALL] = {.measures = measures, .measure_count = MEDIAN, .max_groups = 1},
    [BY_MODEL] = {.keys = {KEY_OF(OF_MODEL_BASE)},
                  .key_count = 1,
                  .measures = measures,
                  .measure_count = INFERENCES + 1,
                  .max_groups = ROWS_MOST},
    [BY_CLASS] = {.keys = {KEY_OF(OF_MODEL_BASE), KEY_OF(OF_CLASS)},
                  .key_count = 2,
                  .measures = measures,
                  .measure_count = MEASURES,
                  .max_groups = ROWS_MOST},
    [BY_SERVER] = {.keys = {KEY_OF(OF_MODEL_BASE), KEY_OF(OF_SERVER)},
                   .key_count = 2,
                   .measures = measures,
                   .measure_count = INFERENCES + 1,
                   .max_groups = ROWS_MOST},
};

struct period {
    struct plan plan;
    struct answer answer;
    struct str *versions; /* of each model, by place in its list BY_MODEL */
};

static struct str text_of(const struct key_value *k) { return k->kind == KEY_VALUE ? k->value.text : STR(""); }

/* ---- versions of servers ---- */

static int by_text(const void *x, const void *y) { return str_cmp(*(const struct str *)x, *(const struct str *)y); }

/* The version that the newest inference of a model on a server has; empty when it has none. */
static bool version_of(struct read *rd, const struct view *v, const struct period *t, const struct group *g,
                       struct str *out, struct err *e) {
    struct arena *a = &rd->request->arena;
    struct filter *model, *server;
    struct plan p = t->plan;
    struct answer newest;
    *out = (struct str){0};
    if (g->keys[1].kind != KEY_VALUE) return true;
    if (!filter_equals(a, STR("model"), text_of(&g->keys[0]), &model, e) ||
        !filter_equals(a, STR("server"), text_of(&g->keys[1]), &server, e))
        return false;
    p.filter = filter_and(a, filter_join(a, model), filter_join(a, server));
    p.kind = PLAN_LIST;
    p.limit = 1;
    if (!read_ask(rd, v, &p, &newest, e)) return false;
    if (newest.hit_count) *out = newest.hits[0].inf.server_version;
    return true;
}

/* Of each model those of the servers that it ran on, joined by commas. */
static bool find_versions(struct read *rd, const struct view *v, struct period *t, struct err *e) {
    struct arena *a = &rd->request->arena;
    const struct group_list *models = &t->answer.lists[BY_MODEL], *pairs = &t->answer.lists[BY_SERVER];
    struct str all[PAIRS_MOST];
    size_t at = 0, asked = 0;
    t->versions = arena_alloc(a, (models->count + 1) * sizeof *t->versions);
    for (size_t m = 0; m < models->count; m++) {
        struct str name = text_of(&models->groups[m].keys[0]);
        size_t count = 0;
        for (; at < pairs->count && str_eq(text_of(&pairs->groups[at].keys[0]), name); at++) {
            if (++asked > PAIRS_MOST) continue;
            if (!version_of(rd, v, t, &pairs->groups[at], &all[count], e)) return false;
            count += all[count].n > 0;
        }
        if (count) qsort(all, count, sizeof *all, by_text);
        struct buf joined = {0};
        for (size_t i = 0; i < count; i++) {
            if (i && str_eq(all[i], all[i - 1])) continue;
            if (joined.n) buf_addc(&joined, ',');
            buf_add_str(&joined, all[i]);
        }
        t->versions[m] = (struct str){arena_copy(a, joined.p, joined.n), joined.n};
        buf_free(&joined);
    }
    return true;
}

/* ---- the answer ---- */

struct row {
    const struct group *now, *before; /* one may be NULL */
};

static const struct group *model_in(const struct period *t, struct str name, struct str *versions) {
    const struct group_list *models = &t->answer.lists[BY_MODEL];
    for (size_t i = 0; i < models->count; i++) {
        if (!str_eq(text_of(&models->groups[i].keys[0]), name)) continue;
        *versions = t->versions[i];
        return &models->groups[i];
    }
    return NULL;
}

static void put_mean(struct buf *to, const char *prefix, const char *name, const struct cell *c) {
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    put_key(to, key), put_double(to, c && c->known ? c->number : NAN);
}

static void put_count(struct buf *to, const char *prefix, const char *name, bool known, uint64_t n) {
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    put_int_or_null(to, key, known, (int64_t)n);
}

static void add_totals(struct buf *to, const char *prefix, const struct period *t, uint64_t failures) {
    const struct cell *c = t->answer.lists[ALL].groups[0].cells;
    put_count(to, prefix, "num_inferences", true, c[INFERENCES].count);
    put_count(to, prefix, "num_errors", true, c[ERRORS].count + failures);
    put_mean(to, prefix, "avg_confidence", &c[CONFIDENCE]);
    put_mean(to, prefix, "avg_response_time", &c[LATENCY]);
}

/* What a row says of one range; nothing but nulls where it is not there. */
static void add_half(struct buf *to, const char *prefix, const struct group *g) {
    const struct cell *c = g ? g->cells : NULL;
    put_count(to, prefix, "num_inferences", g != NULL, g ? c[INFERENCES].count : 0);
    put_count(to, prefix, "num_errors", false, 0);
    put_mean(to, prefix, "avg_confidence", c ? &c[CONFIDENCE] : NULL);
    put_mean(to, prefix, "avg_response_time", c ? &c[LATENCY] : NULL);
}

static void add_row(struct buf *to, const struct row *row, const struct period *now, const struct period *before) {
    const struct group *g = row->now ? row->now : row->before;
    struct str name = text_of(&g->keys[0]), class = text_of(&g->keys[1]), versions = {0}, earlier = {0};
    const struct group *model = model_in(now, name, &versions), *previous = model_in(before, name, &earlier);
    const struct cell *c = row->now ? row->now->cells : NULL;
    bool empty = class.n == 0;
    put_object(to);
    put_key(to, "model_name"), put_str(to, name);
    put_key(to, "predicted_class"), put_str(to, class);
    add_half(to, "", row->now);
    add_half(to, "prev_", row->before);
    put_key(to, "median_confidence"), put_double(to, !c ? NAN : empty ? 0 : c[MEDIAN].known ? c[MEDIAN].number : NAN);
    put_count(to, "", "class_count", c != NULL, c ? c[DETECTIONS].count + (empty ? c[EMPTY].count : 0) : 0);
    put_key(to, "deployment_types"), put_strz(to, "self-hosted");
    put_key(to, "inference_server_versions"), put_str(to, row->now ? versions : earlier);
    put_count(to, "", "model_num_inferences", c && model, model ? model->cells[INFERENCES].count : 0);
    put_count(to, "prev_", "model_num_inferences", row->before && previous,
              previous ? previous->cells[INFERENCES].count : 0);
    put_object_end(to);
}

static int by_row(const struct group *x, const struct group *y) {
    int order = str_cmp(text_of(&x->keys[0]), text_of(&y->keys[0]));
    return order ? order : str_cmp(text_of(&x->keys[1]), text_of(&y->keys[1]));
}

static int by_group(const void *x, const void *y) { return by_row(x, y); }

static void add_rows(struct buf *to, const struct period *now, const struct period *before) {
    struct group_list *x = &now->answer.lists[BY_CLASS], *y = &before->answer.lists[BY_CLASS];
    if (x->count) qsort(x->groups, x->count, sizeof *x->groups, by_group);
    if (y->count) qsort(y->groups, y->count, sizeof *y->groups, by_group);
    put_key(to, "inference_stats"), put_array(to);
    for (size_t i = 0, k = 0; i < x->count || k < y->count;) {
        int order = i == x->count ? 1 : k == y->count ? -1 : by_row(&x->groups[i], &y->groups[k]);
        struct row row = {order <= 0 ? &x->groups[i] : NULL, order >= 0 ? &y->groups[k] : NULL};
        add_row(to, &row, now, before);
        i += order <= 0;
        k += order >= 0;
    }
    put_array_end(to);
}

/* ---- failures ---- */

/* Of the models that were asked for. */
static bool failures_in(struct read *rd, const struct plan *p, const struct str *names, uint64_t *out, struct err *e) {
    struct failure_range range = {p->workspace, p->from_us, p->to_us, true};
    struct failure_sum *sums;
    size_t count;
    if (!failures_sum(app_of(rd->request)->catalog, &range, FAILURE_MODEL, 0, &rd->request->arena, &sums, &count, e))
        return false;
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        bool wanted = names->p == NULL;
        for (const struct str *n = names; n->p && !wanted; n++)
            wanted = str_eq(*n, model_base(sums[i].text)) || str_eq(*n, sums[i].text);
        if (wanted) *out += sums[i].count;
    }
    return true;
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    struct buf *to = &rd->request->out;
    const struct str *names = rd->own;
    struct period now = {.plan = rd->plan}, before = {.plan = rd->plan};
    uint64_t failures, earlier;
    before.plan.from_us = rd->plan.from_us - (rd->plan.to_us - rd->plan.from_us);
    before.plan.to_us = rd->plan.from_us;
    if (!read_ask(rd, v, &now.plan, &now.answer, e) || !read_ask(rd, v, &before.plan, &before.answer, e) ||
        !find_versions(rd, v, &now, e) || !find_versions(rd, v, &before, e) ||
        !failures_in(rd, &now.plan, names, &failures, e) || !failures_in(rd, &before.plan, names, &earlier, e))
        return false;
    put_object(to);
    add_totals(to, "", &now, failures);
    add_totals(to, "prev_", &before, earlier);
    add_rows(to, &now, &before);
    put_object_end(to);
    return true;
}

/* ---- what is asked ---- */

/* "YYYY-MM-DD HH:mm:ss", and what else is a time; empty is absent. */
static bool read_utc(struct read *rd, const char *name, int64_t *us) {
    struct str text;
    if (!read_param(rd, name, &text) || clock_parse(text, us)) return true;
    respond_fail(rd->request, ERR_INVALID, "%s: expected a time such as 2026-11-21 06:00:00 (UTC)", name);
    return false;
}

/* Names joined by commas, into a list that ends with {NULL, 0}; a name stands for every version of a model. */
static bool read_names(struct read *rd, struct str *names) {
    struct arena *a = &rd->request->arena;
    struct filter *first = NULL, **end = &first;
    struct str rest, name;
    struct err e;
    size_t count = 0;
    if (!read_param(rd, "modelNames", &rest)) return true;
    while (rest.n) {
        str_cut(rest, ',', &name, &rest);
        name = str_trim(name);
        if (name.n == 0) continue;
        if (count == NAMES_MOST) {
            respond_fail(rd->request, ERR_INVALID, "modelNames: at most %d", NAMES_MOST);
            return false;
        }
        names[count++] = name;
        if (!filter_equals(a, STR("model"), name, end, &e)) return respond_error(rd->request, &e), false;
        end = &(*end)->next;
    }
    rd->plan.filter = filter_join(a, first);
    return true;
}

void get_monitoring(struct request *r) {
    struct read *rd = read_begin(r);
    if (!rd) return;
    struct plan *p = &rd->plan;
    struct str *names = rd->own = arena_alloc(&r->arena, (NAMES_MOST + 1) * sizeof *names);
    p->to_us = rd->now_us;
    p->from_us = rd->now_us - DAY;
    if (!read_utc(rd, "startTime", &p->from_us) || !read_utc(rd, "endTime", &p->to_us) || !read_names(rd, names))
        return;
    if (p->from_us >= p->to_us) {
        respond_fail(r, ERR_INVALID, "startTime: must be before endTime");
        return;
    }
    p->kind = PLAN_GROUPS;
    p->groupings = groupings;
    p->grouping_count = GROUPINGS;
    read_run(rd, show, NULL);
}
