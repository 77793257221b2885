/* Statistics over a time range and the equally long one before it. */
#include <stdlib.h>

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"
#include "query/aggregate.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
enum { BUCKETS_MOST = 2000, BUCKETS_WANTED = 170, MODELS_MOST = 4096, CLASSES_MOST = 65536 };

/* What is asked of a range, by place in the plan. */
enum { ALL, BY_MODEL, BY_TIME, BY_CLASS, GROUPINGS };
static const struct grouping groupings[GROUPINGS] = {
    [ALL] = {{KEY_NONE, KEY_NONE}, true, 1},
    [BY_MODEL] = {{KEY_MODEL, KEY_NONE}, true, MODELS_MOST},
    [BY_TIME] = {{KEY_TIME, KEY_NONE}, false, BUCKETS_MOST},
    [BY_CLASS] = {{KEY_MODEL, KEY_CLASS}, false, CLASSES_MOST},
};
static const struct grouping groupings_before[] = {
    [ALL] = {{KEY_NONE, KEY_NONE}, true, 1},
    [BY_MODEL] = {{KEY_MODEL, KEY_NONE}, false, MODELS_MOST},
};
enum { GROUPINGS_BEFORE = sizeof groupings_before / sizeof *groupings_before };

/* ---- totals ---- */

static void add_number(struct buf *to, const char *name, double v) { put_key(to, name), put_double(to, v); }
static void add_count(struct buf *to, const char *name, uint64_t n) { put_key(to, name), put_int(to, (int64_t)n); }

static double quantile(const struct histogram *h, double q) { return h->n ? histogram_quantile(h, q) : NAN; }

static void add_totals(struct buf *to, const char *name, const struct group_list *list) {
    static const struct measures nothing;
    const struct measures *m = list->count ? &list->groups[0]->m : &nothing;
    put_key(to, name), put_object(to);
    add_count(to, "inferences", m->inferences);
    add_count(to, "errors", m->errors);
    add_count(to, "detections", m->detections);
    add_count(to, "empty", m->empty);
    put_key(to, "monitoring"), put_object(to);
    add_number(to, "avg_confidence", mean(m->row_confidence, m->rows));
    add_number(to, "avg_response_time", mean(m->row_latency, m->rows));
    put_object_end(to);
    put_key(to, "per_inference"), put_object(to);
    add_number(to, "avg_confidence", mean(m->confidence, m->with_confidence));
    add_number(to, "avg_latency_s", mean(m->latency, m->with_latency));
    put_object_end(to);
    add_number(to, "median_confidence", quantile(&m->confidences, 0.5));
    add_number(to, "latency_p50_s", quantile(&m->latencies, 0.5));
    add_number(to, "latency_p95_s", quantile(&m->latencies, 0.95));
    add_number(to, "latency_p99_s", quantile(&m->latencies, 0.99));
    put_object_end(to);
}

/* ---- the series ---- */

static int64_t floor_to(int64_t us, int64_t width) {
    int64_t rest = us % width;
    return us - (rest < 0 ? rest + width : rest);
}

static int by_time(const void *x, const void *y) {
    const struct group *a = *(struct group *const *)x, *b = *(struct group *const *)y;
    return (a->time_us > b->time_us) - (a->time_us < b->time_us);
}

/* Every bucket that the range touches, those with nothing in them too. */
static void add_series(struct buf *to, const struct plan *p, const struct group_list *list) {
    static const struct measures nothing;
    size_t at = 0;
    if (list->count) qsort(list->groups, list->count, sizeof *list->groups, by_time);
    put_key(to, "series"), put_array(to);
    for (int64_t t = floor_to(p->from_us, p->bucket_us); t < p->to_us; t += p->bucket_us) {
        const struct measures *m = &nothing;
        if (at < list->count && list->groups[at]->time_us == t) m = &list->groups[at++]->m;
        put_object(to);
        put_key(to, "time"), put_time(to, t);
        add_count(to, "inferences", m->inferences);
        add_count(to, "errors", m->errors);
        add_count(to, "detections", m->detections);
        add_number(to, "avg_confidence", mean(m->confidence, m->with_confidence));
        add_number(to, "avg_latency_s", mean(m->latency, m->with_latency));
        put_object_end(to);
    }
    put_array_end(to);
}

/* ---- models ---- */

struct model {
    struct str id;
    const struct group *now, *before; /* either may be NULL */
    struct group *const *classes;
    size_t class_count;
};

static int by_model(const void *x, const void *y) {
    const struct group *a = *(struct group *const *)x, *b = *(struct group *const *)y;
    return str_cmp(a->keys[0], b->keys[0]);
}

static int by_model_and_detections(const void *x, const void *y) {
    const struct group *a = *(struct group *const *)x, *b = *(struct group *const *)y;
    int order = str_cmp(a->keys[0], b->keys[0]);
    if (order) return order;
    if (a->m.detections != b->m.detections) return a->m.detections < b->m.detections ? 1 : -1;
    return str_cmp(a->keys[1], b->keys[1]);
}

static uint64_t inferences(const struct group *g) { return g ? g->m.inferences : 0; }

static int by_inferences(const void *x, const void *y) {
    const struct model *a = x, *b = y;
    uint64_t n = inferences(a->now), m = inferences(b->now);
    return n != m ? (n < m ? 1 : -1) : str_cmp(a->id, b->id);
}

/* Merges the groups of both ranges and the classes, all in order of model. */
static struct model *merge_models(struct arena *a, const struct group_list *now, const struct group_list *before,
                                  const struct group_list *classes, size_t *count) {
    struct model *models = arena_alloc(a, (now->count + before->count) * sizeof *models);
    size_t i = 0, k = 0, c = 0;
    for (*count = 0; i < now->count || k < before->count; ++*count) {
        struct model *m = &models[*count];
        int order = i == now->count ? 1 : k == before->count ? -1 : by_model(&now->groups[i], &before->groups[k]);
        if (order <= 0) m->now = now->groups[i++];
        if (order >= 0) m->before = before->groups[k++];
        m->id = m->now ? m->now->keys[0] : m->before->keys[0];
        m->classes = classes->groups + c;
        while (c < classes->count && str_eq(classes->groups[c]->keys[0], m->id)) m->class_count++, c++;
    }
    return models;
}

static void sort_groups(const struct group_list *list, int (*order)(const void *, const void *)) {
    if (list->count) qsort(list->groups, list->count, sizeof *list->groups, order);
}

static void add_text(struct buf *to, const char *name, struct str text) {
    put_key(to, name);
    if (text.n)
        put_str(to, text);
    else
        put_null(to);
}

static void add_model(struct buf *to, const struct model *model) {
    static const struct measures nothing;
    const struct measures *m = model->now ? &model->now->m : &nothing;
    put_object(to);
    add_text(to, "model_id", model->id);
    add_text(to, "model_name", m->model_name.n || !model->before ? m->model_name : model->before->m.model_name);
    add_count(to, "inferences", m->inferences);
    add_count(to, "prev_inferences", inferences(model->before));
    add_count(to, "errors", m->errors);
    add_count(to, "detections", m->detections);
    add_number(to, "avg_confidence", mean(m->confidence, m->with_confidence));
    add_number(to, "median_confidence", quantile(&m->confidences, 0.5));
    add_number(to, "avg_latency_s", mean(m->latency, m->with_latency));
    put_key(to, "last_seen");
    if (model->now)
        put_time(to, m->last_us);
    else
        put_null(to);
    put_key(to, "classes"), put_array(to);
    for (size_t i = 0; i < model->class_count; i++) {
        const struct group *g = model->classes[i];
        if (g->m.detections == 0) continue;
        put_object(to);
        put_key(to, "class"), put_str(to, g->keys[1]);
        add_count(to, "detections", g->m.detections);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

static void add_models(struct buf *to, struct arena *a, const struct group_list *now, const struct group_list *before) {
    sort_groups(&now[BY_MODEL], by_model);
    sort_groups(&before[BY_MODEL], by_model);
    sort_groups(&now[BY_CLASS], by_model_and_detections);
    size_t count;
    struct model *models = merge_models(a, &now[BY_MODEL], &before[BY_MODEL], &now[BY_CLASS], &count);
    if (count) qsort(models, count, sizeof *models, by_inferences);
    put_key(to, "models"), put_array(to);
    for (size_t i = 0; i < count; i++) add_model(to, &models[i]);
    put_array_end(to);
}

/* ---- the answer ---- */

static bool show_stats(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct buf *to = &r->out;
    struct plan *p = &rd->plan, before = *p;
    struct group_list now_lists[GROUPINGS], before_lists[GROUPINGS_BEFORE];
    before.from_us = p->from_us - (p->to_us - p->from_us);
    before.to_us = p->from_us;
    before.groupings = groupings_before;
    before.grouping_count = GROUPINGS_BEFORE;
    if (!query_aggregate(v, p, &rd->control, &r->arena, now_lists, e) ||
        !query_aggregate(v, &before, &rd->control, &r->arena, before_lists, e))
        return false;
    put_object(to);
    put_key(to, "from"), put_time(to, p->from_us);
    put_key(to, "to"), put_time(to, p->to_us);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_key(to, "bucket_s"), put_int(to, p->bucket_us / SECOND);
    add_totals(to, "current", &now_lists[ALL]);
    add_totals(to, "previous", &before_lists[ALL]);
    add_series(to, p, &now_lists[BY_TIME]);
    add_models(to, &r->arena, now_lists, before_lists);
    put_object_end(to);
    return true;
}

/* The shortest of the usual lengths that makes no more buckets than a chart can show. */
static int64_t usual_bucket(int64_t range_us) {
    static const int64_t seconds[] = {60,    120,   300,   600,   900,    1800,    3600,        7200,
                                      10800, 21600, 43200, 86400, 604800, 2592000, 365 * 86400, INT64_C(36500) * 86400};
    enum { LAST = sizeof seconds / sizeof *seconds - 1 };
    int i = 0;
    while (i < LAST && range_us / (seconds[i] * SECOND) > BUCKETS_WANTED) i++;
    return seconds[i] * SECOND;
}

void get_stats(struct request *r) {
    static const char *const names[] = {"bucket", NULL};
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
    p->bucket_us = bucket ? (int64_t)bucket * SECOND : usual_bucket(p->to_us - p->from_us);
    if ((p->to_us - 1 - floor_to(p->from_us, p->bucket_us)) / p->bucket_us >= BUCKETS_MOST) {
        respond_fail(r, ERR_INVALID, "bucket: at most %d buckets, and this range has more; take a longer bucket",
                     BUCKETS_MOST);
        return;
    }
    p->groupings = groupings;
    p->grouping_count = GROUPINGS;
    read_run(rd, show_stats, NULL);
}
