/* GET /api/v1/:workspace/errors: failures that inference servers counted, by model, host, type and time. */
#include "api/errors.h"

#include "api/handlers.h"
#include "api/inference_json.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
enum { BUCKETS_MOST = 2000 };

bool errors_of(const struct read *rd, const struct plan *other, int64_t width_us, struct errors *out, struct err *e) {
    struct catalog *c = app_of(rd->request)->catalog;
    struct arena *a = &rd->request->arena;
    const struct plan *p = &rd->plan;
    struct failure_range range = {p->workspace, p->from_us, p->to_us, true};
    struct failure_range before_range = {other->workspace, other->from_us, other->to_us, true};
    struct failure_sum *all, *before;
    size_t n;
    *out = (struct errors){0};
    if (!other->filter) {
        if (!failures_sum(c, &before_range, FAILURE_ALL, 0, a, &before, &n, e)) return false;
        out->before = before->count;
    }
    if (p->filter) return true;
    if (!failures_sum(c, &range, FAILURE_ALL, 0, a, &all, &n, e) ||
        !failures_sum(c, &range, FAILURE_MODEL, 0, a, &out->models, &out->model_count, e) ||
        (width_us && !failures_sum(c, &range, FAILURE_TIME, width_us, a, &out->buckets, &out->bucket_count, e)))
        return false;
    out->all = all->count;
    return true;
}

uint64_t errors_at(const struct errors *x, int64_t bucket) {
    size_t low = 0, high = x->bucket_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (x->buckets[middle].bucket < bucket)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->bucket_count && x->buckets[low].bucket == bucket ? x->buckets[low].count : 0;
}

/* ---- the route ---- */

static bool add_list(struct read *rd, const char *name, const char *key, enum failure_key by, struct err *e) {
    struct buf *to = &rd->request->out;
    const struct plan *p = &rd->plan;
    struct failure_range range = {p->workspace, p->from_us, p->to_us, false};
    struct failure_sum *sums;
    size_t count;
    if (!failures_sum(app_of(rd->request)->catalog, &range, by, 0, &rd->request->arena, &sums, &count, e)) return false;
    put_key(to, name), put_array(to);
    for (size_t i = 0; i < count; i++) {
        put_object(to);
        put_key(to, key), put_str(to, sums[i].text);
        put_key(to, "errors"), put_int(to, (int64_t)sums[i].count);
        put_key(to, "last_seen"), put_time(to, sums[i].last_us);
        put_key(to, "message"), put_str(to, sums[i].message);
        put_object_end(to);
    }
    put_array_end(to);
    return true;
}

static void add_series(struct buf *to, const struct plan *p, const struct errors *x, int64_t width_us) {
    put_key(to, "series"), put_array(to);
    int64_t last = (p->to_us - 1) / width_us;
    for (int64_t bucket = p->from_us / width_us; bucket <= last; bucket++) {
        put_object(to);
        put_key(to, "time"), put_time(to, bucket * width_us);
        put_key(to, "errors"), put_int(to, (int64_t)errors_at(x, bucket));
        put_object_end(to);
    }
    put_array_end(to);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct buf *to = &rd->request->out;
    const struct plan *p = &rd->plan;
    const struct plan earlier = {.workspace = p->workspace, .from_us = 2 * p->from_us - p->to_us, .to_us = p->from_us};
    const int64_t *width_us = rd->own;
    struct errors x;
    if (!errors_of(rd, &earlier, *width_us, &x, e)) return false;
    put_object(to);
    put_key(to, "from"), put_time(to, p->from_us);
    put_key(to, "to"), put_time(to, p->to_us);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_key(to, "bucket_s"), put_int(to, *width_us / SECOND);
    put_key(to, "errors"), put_int(to, (int64_t)x.all);
    put_key(to, "prev_errors"), put_int(to, (int64_t)x.before);
    if (!add_list(rd, "resources", "resource_id", FAILURE_MODEL, e) ||
        !add_list(rd, "hosts", "host", FAILURE_HOST, e) || !add_list(rd, "types", "type", FAILURE_TYPE, e) ||
        !add_list(rd, "categories", "category", FAILURE_CATEGORY, e))
        return false;
    add_series(to, p, &x, *width_us);
    put_object_end(to);
    return true;
}

void get_errors(struct request *r) {
    static const char *const names[] = {"from", "to", "bucket", NULL}, *const own[] = {"bucket", NULL};
    struct read *rd = read_begin(r);
    struct str from;
    uint64_t bucket = 0;
    if (!rd || !read_only(rd, names)) return;
    struct plan *p = &rd->plan;
    p->to_us = rd->now_us;
    if (!read_plan(rd, own) || !read_number(rd, "bucket", 1, 365 * 86400, &bucket)) return;
    if (!read_param(rd, "from", &from)) p->from_us = p->to_us - 7 * DAY;
    if (p->from_us >= p->to_us || p->from_us < 0) {
        respond_fail(r, ERR_INVALID, "from: must be after 1970 and before to");
        return;
    }
    int64_t *width_us = rd->own = arena_alloc(&r->arena, sizeof *width_us);
    *width_us = bucket ? (int64_t)bucket * SECOND : read_usual_bucket(p->to_us - p->from_us);
    if ((p->to_us - p->from_us) / *width_us >= BUCKETS_MOST) {
        respond_fail(r, ERR_INVALID, "bucket: at most %d buckets, and this range has more; take a longer bucket",
                     BUCKETS_MOST);
        return;
    }
    read_run(rd, show, NULL);
}
