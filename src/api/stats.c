/* Statistics over a time range and what it is compared with, by default the equally long range before it: two plans,
 * and their answers side by side. */
#include <stdlib.h>

#include "api/errors.h"
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
enum { BUCKETS_MOST = 2000, MODELS_MOST = 4096, CLASSES_MOST = 65536 };

/* What is asked of a range, by place in its plan. */
enum { ALL, BY_MODEL, BY_TIME, BY_CLASS, GROUPINGS };
enum { GROUPINGS_BEFORE = BY_MODEL + 1 };

#define KEY_OF(column) {.subject = {.of = column}}

/* Classes stand with their model, the most frequent first. */
static const struct measure detections = {.kind = MEASURE_DETECTIONS};
enum { CLASS_MODEL, CLASS_CLASS, CLASS_DETECTIONS };

/* The series has a width, so these are copied. */
static const struct grouping groupings[GROUPINGS] = {
    [ALL] = {.measures = plan_stats, .measure_count = STATS_ALL, .max_groups = 1},
    [BY_MODEL] = {.keys = {KEY_OF(OF_MODEL)},
                  .key_count = 1,
                  .measures = plan_stats,
                  .measure_count = STATS_ALL,
                  .max_groups = MODELS_MOST},
    [BY_TIME] = {.keys = {KEY_OF(OF_TIME)},
                 .key_count = 1,
                 .measures = plan_stats,
                 .measure_count = STATS_MEANS,
                 .max_groups = BUCKETS_MOST},
    [BY_CLASS] = {.keys = {KEY_OF(OF_MODEL), KEY_OF(OF_CLASS)},
                  .key_count = 2,
                  .measures = &detections,
                  .measure_count = 1,
                  .orders = {{CLASS_MODEL, false}, {CLASS_DETECTIONS, true}},
                  .order_count = 2,
                  .max_groups = CLASSES_MOST},
};

/* ---- totals ---- */

static void add_number(struct buf *to, const char *name, const struct cell *c) {
    put_key(to, name), put_double(to, c && c->known ? c->number : NAN);
}
static void add_count(struct buf *to, const char *name, const struct cell *c) {
    put_key(to, name), put_int(to, c ? (int64_t)c->count : 0);
}

/* Those that were stored, and of all how many servers only counted. */
static void add_errors(struct buf *to, const struct cell *stored, uint64_t counted) {
    put_key(to, "errors"), put_int(to, (int64_t)((stored ? stored->count : 0) + counted));
    put_key(to, "errors_counted"), put_int(to, (int64_t)counted);
}

static void add_totals(struct buf *to, const char *name, const struct group_list *list, uint64_t failures) {
    const struct cell *c = list->groups[0].cells;
    put_key(to, name), put_object(to);
    add_count(to, "inferences", &c[STATS_INFERENCES]);
    add_errors(to, &c[STATS_ERRORS], failures);
    add_count(to, "detections", &c[STATS_DETECTIONS]);
    add_count(to, "empty", &c[STATS_EMPTY]);
    put_key(to, "monitoring"), put_object(to);
    add_number(to, "avg_confidence", &c[STATS_MONITORING_CONFIDENCE]);
    add_number(to, "avg_response_time", &c[STATS_MONITORING_LATENCY]);
    put_object_end(to);
    put_key(to, "per_inference"), put_object(to);
    add_number(to, "avg_confidence", &c[STATS_CONFIDENCE]);
    add_number(to, "avg_latency_s", &c[STATS_LATENCY]);
    put_object_end(to);
    add_number(to, "median_confidence", &c[STATS_CONFIDENCE_P50]);
    add_number(to, "latency_p50_s", &c[STATS_LATENCY_P50]);
    add_number(to, "latency_p95_s", &c[STATS_LATENCY_P95]);
    add_number(to, "latency_p99_s", &c[STATS_LATENCY_P99]);
    put_object_end(to);
}

/* ---- the series ---- */

/* Every bucket that the range touches, those with nothing in them too. */
static void add_series(struct buf *to, const struct plan *p, const struct group_list *list, const struct errors *x) {
    const struct key *k = &p->groupings[BY_TIME].keys[0];
    size_t at = 0;
    put_key(to, "series"), put_array(to);
    for (int64_t t = key_bucket(k, p->from_us); t < p->to_us; t += k->width_us) {
        const struct cell *c = NULL;
        if (at < list->count && list->groups[at].keys[0].time_us == t) c = list->groups[at++].cells;
        put_object(to);
        put_key(to, "time"), put_time(to, t);
        add_count(to, "inferences", c ? &c[STATS_INFERENCES] : NULL);
        add_errors(to, c ? &c[STATS_ERRORS] : NULL, errors_at(x, t / k->width_us));
        add_count(to, "detections", c ? &c[STATS_DETECTIONS] : NULL);
        add_number(to, "avg_confidence", c ? &c[STATS_CONFIDENCE] : NULL);
        add_number(to, "avg_latency_s", c ? &c[STATS_LATENCY] : NULL);
        put_object_end(to);
    }
    put_array_end(to);
}

/* ---- models ---- */

struct model {
    const struct key_value *id;
    const struct cell *now, *before; /* either may be NULL */
    const struct group *classes;
    size_t class_count;
    uint64_t failures; /* that servers told of */
};

/* As groups are ordered: "none" last. */
static int by_model(const struct key_value *x, const struct key_value *y) {
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : value_order(&x->value, &y->value);
}

static uint64_t inferences(const struct cell *c) { return c ? c[STATS_INFERENCES].count : 0; }

static int by_inferences(const void *x, const void *y) {
    const struct model *a = x, *b = y;
    uint64_t n = inferences(a->now), m = inferences(b->now);
    return n != m ? (n < m ? 1 : -1) : by_model(a->id, b->id);
}

/* Merges the groups of both ranges and the classes, all in order of model. */
static struct model *merge_models(struct arena *a, const struct group_list *now, const struct group_list *before,
                                  const struct group_list *classes, size_t more, size_t *count) {
    struct model *models = arena_alloc(a, (now->count + before->count + more) * sizeof *models);
    size_t i = 0, k = 0, c = 0;
    for (*count = 0; i < now->count || k < before->count; ++*count) {
        struct model *m = &models[*count];
        const struct group *x = i < now->count ? &now->groups[i] : NULL;
        const struct group *y = k < before->count ? &before->groups[k] : NULL;
        int order = !x ? 1 : !y ? -1 : by_model(&x->keys[0], &y->keys[0]);
        if (order <= 0) m->now = x->cells, i++;
        if (order >= 0) m->before = y->cells, k++;
        m->id = order <= 0 ? &x->keys[0] : &y->keys[0];
        for (m->classes = classes->groups + c; c < classes->count; c++, m->class_count++)
            if (by_model(&classes->groups[c].keys[CLASS_MODEL], m->id) != 0) break;
    }
    return models;
}

/* What servers said of their failures, beside the model's own; a model may have nothing else. `models` has room. */
static void merge_failures(struct arena *a, struct model *models, size_t *count, const struct errors *x) {
    size_t sorted = *count, i = 0;
    for (size_t k = 0; k < x->model_count; k++) {
        struct key_value *id = arena_alloc(a, sizeof *id);
        *id = (struct key_value){.kind = KEY_VALUE, .value = {.type = VALUE_STRING, .text = x->models[k].text}};
        while (i < sorted && by_model(models[i].id, id) < 0) i++;
        struct model *m = i < sorted && by_model(models[i].id, id) == 0 ? &models[i] : &models[(*count)++];
        m->id = id;
        m->failures = x->models[k].count;
    }
}

static void add_text(struct buf *to, const char *name, bool known, struct str text) {
    put_key(to, name);
    if (known)
        put_str(to, text);
    else
        put_null(to);
}

static void add_classes(struct buf *to, const struct model *m) {
    put_key(to, "classes"), put_array(to);
    for (size_t i = 0; i < m->class_count; i++) {
        const struct group *g = &m->classes[i];
        if (g->cells[0].count == 0) continue;
        const struct key_value *class = &g->keys[CLASS_CLASS];
        put_object(to);
        put_key(to, "class"), put_str(to, class->kind == KEY_VALUE ? class->value.text : STR(""));
        add_count(to, "detections", &g->cells[0]);
        put_object_end(to);
    }
    put_array_end(to);
}

static void add_model(struct buf *to, const struct model *m) {
    static const struct cell nothing[STATS_ALL];
    const struct cell *c = m->now ? m->now : nothing, *named = &c[STATS_MODEL_NAME];
    if (!named->known && m->before) named = &m->before[STATS_MODEL_NAME];
    put_object(to);
    add_text(to, "model_id", m->id->kind == KEY_VALUE, m->id->value.text);
    add_text(to, "model_name", named->known, named->text);
    add_count(to, "inferences", &c[STATS_INFERENCES]);
    put_key(to, "prev_inferences"), put_int(to, (int64_t)inferences(m->before));
    add_errors(to, &c[STATS_ERRORS], m->failures);
    add_count(to, "detections", &c[STATS_DETECTIONS]);
    add_number(to, "avg_confidence", &c[STATS_CONFIDENCE]);
    add_number(to, "median_confidence", &c[STATS_CONFIDENCE_P50]);
    add_number(to, "avg_latency_s", &c[STATS_LATENCY]);
    put_time_or_null(to, "last_seen", c[STATS_LAST_SEEN].known, c[STATS_LAST_SEEN].time_us);
    add_classes(to, m);
    put_object_end(to);
}

static void add_models(struct buf *to, struct arena *a, const struct group_list *now, const struct group_list *before,
                       const struct errors *x) {
    size_t count;
    struct model *models = merge_models(a, &now[BY_MODEL], &before[BY_MODEL], &now[BY_CLASS], x->model_count, &count);
    merge_failures(a, models, &count, x);
    if (count) qsort(models, count, sizeof *models, by_inferences);
    put_key(to, "models"), put_array(to);
    for (size_t i = 0; i < count; i++) add_model(to, &models[i]);
    put_array_end(to);
}

/* ---- the answer ---- */

/* The gaps of both ranges; one that touches both once. */
static void add_incomplete(struct buf *to, struct arena *a, const struct answer *now, const struct answer *before) {
    struct gap *gaps = arena_alloc(a, (now->gap_count + before->gap_count) * sizeof *gaps);
    size_t count = 0;
    for (size_t i = 0; i < now->gap_count; i++) gaps[count++] = now->gaps[i];
    for (size_t i = 0; i < before->gap_count; i++) {
        size_t k = 0;
        while (k < now->gap_count && now->gaps[k].segment != before->gaps[i].segment) k++;
        if (k == now->gap_count) gaps[count++] = before->gaps[i];
    }
    put_incomplete(to, gaps, count);
}

static bool show_stats(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct buf *to = &r->out;
    struct plan *p = &rd->plan, earlier = *(const struct plan *)rd->own;
    struct grouping quick[GROUPINGS_BEFORE] = {groupings[ALL], groupings[BY_MODEL]};
    struct answer now, before;
    quick[BY_MODEL].measure_count = STATS_MEANS; /* of a model's earlier range only its count is shown */
    earlier.kind = PLAN_GROUPS;
    earlier.groupings = quick;
    earlier.grouping_count = GROUPINGS_BEFORE;
    struct errors x;
    int64_t width_us = p->groupings[BY_TIME].keys[0].width_us;
    if (!read_ask(rd, v, p, &now, e) || !read_ask(rd, v, &earlier, &before, e) ||
        !errors_of(rd, &earlier, width_us, &x, e))
        return false;
    put_object(to);
    put_key(to, "from"), put_time(to, p->from_us);
    put_key(to, "to"), put_time(to, p->to_us);
    put_key(to, "previous_from"), put_time(to, earlier.from_us);
    put_key(to, "previous_to"), put_time(to, earlier.to_us);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_key(to, "bucket_s"), put_int(to, width_us / SECOND);
    add_totals(to, "current", &now.lists[ALL], x.all);
    add_totals(to, "previous", &before.lists[ALL], x.before);
    add_series(to, p, &now.lists[BY_TIME], &x);
    add_models(to, &r->arena, now.lists, before.lists, &x);
    add_incomplete(to, &r->arena, &now, &before);
    put_object_end(to);
    return true;
}

/* What the range is compared with. compare_filter stands for the filter and every clause of the request, also when it
 * is empty; without times beside it, it is of the same range. One time alone is an end of an equally long range. */
static bool read_compared(struct read *rd, struct plan *out) {
    const struct plan *p = &rd->plan;
    int64_t length = p->to_us - p->from_us;
    struct str text;
    bool from = read_param(rd, "compare_from", &text), to = read_param(rd, "compare_to", &text);
    bool filter = request_query(rd->request, "compare_filter").p != NULL;
    *out = (struct plan){.workspace = p->workspace, .from_us = p->from_us, .to_us = p->to_us, .filter = p->filter};
    if (!from && !to && !filter) out->from_us -= length, out->to_us -= length;
    if (!read_time(rd, "compare_from", &out->from_us) || !read_time(rd, "compare_to", &out->to_us)) return false;
    if (from && !to) out->to_us = out->from_us + length;
    if (to && !from) out->from_us = out->to_us - length;
    if (out->from_us >= out->to_us) {
        respond_fail(rd->request, ERR_INVALID, "compare_from: must be before compare_to");
        return false;
    }
    if (filter && !read_filter(rd, "compare_filter", &out->filter)) return false;
    out->partial = filter_mentions(out->filter, FIELD_PARTIAL);
    return true;
}

void get_stats(struct request *r) {
    static const char *const names[] = {"bucket", "compare_from", "compare_to", "compare_filter", NULL};
    struct read *rd = read_begin(r);
    struct str from, to;
    uint64_t bucket = 0;
    if (!rd) return;
    struct plan *p = &rd->plan;
    p->to_us = rd->now_us;
    if (!read_plan(rd, names) || !read_number(rd, "bucket", 1, 365 * 86400, &bucket)) return;
    if (!read_param(rd, "from", &from)) p->from_us = p->to_us - 7 * DAY;
    if (p->from_us >= p->to_us) {
        respond_fail(r, ERR_INVALID, "from: must be before to%s", read_param(rd, "to", &to) ? "" : ", which is now");
        return;
    }
    if (!read_compared(rd, rd->own = arena_alloc(&r->arena, sizeof(struct plan)))) return;
    struct grouping *list = arena_alloc(&r->arena, sizeof groupings);
    memcpy(list, groupings, sizeof groupings);
    struct key *k = &list[BY_TIME].keys[0];
    k->width_us = bucket ? (int64_t)bucket * SECOND : read_usual_bucket(p->to_us - p->from_us);
    if ((p->to_us - 1 - key_bucket(k, p->from_us)) / k->width_us >= BUCKETS_MOST) {
        respond_fail(r, ERR_INVALID, "bucket: at most %d buckets, and this range has more; take a longer bucket",
                     BUCKETS_MOST);
        return;
    }
    p->kind = PLAN_GROUPS;
    p->groupings = list;
    p->grouping_count = GROUPINGS;
    read_run(rd, show_stats, NULL);
}
