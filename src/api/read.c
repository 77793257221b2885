#include "api/read.h"

#include "api/auth.h"
#include "api/inference_json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "query/plan_json.h"

#define SECOND INT64_C(1000000)
enum { SLOW_PLAN = 1500 /* bytes of it that are logged */, BUCKETS_WANTED = 170 };
static const char *const none[] = {NULL};

static bool gone(void *request) { return request_gone(request); }

static struct read *begin(struct request *r, struct str body_key) {
    struct err e = {0};
    struct read *rd = arena_alloc(&r->arena, sizeof *rd);
    if (!authorize_workspace(r, request_param(r, "workspace"), body_key, &rd->who, &e)) {
        respond_error(r, &e);
        return NULL;
    }
    rd->request = r;
    rd->now_us = clock_now_us();
    rd->status = 200;
    rd->plan = (struct plan){.workspace = rd->who.workspace_id, .from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US};
    rd->control = (struct query_control){
        .deadline_us = clock_mono_us() + (int64_t)app_of(r)->conf->query_timeout_s * 1000000,
        .memory = app_of(r)->conf->query_memory,
        .gone = gone,
        .ctx = r,
        .crew = app_of(r)->crew,
        .rows_only = !app_of(r)->conf->summaries,
    };
    r->data = rd;
    return rd;
}

struct read *read_begin(struct request *r) { return begin(r, (struct str){0}); }

static bool is_one_of(struct str name, const char *const *names) {
    for (; *names; names++)
        if (str_is(name, *names)) return true;
    return false;
}

static void drop_body(struct request *r) { json_decref(read_of(r)->body); }

struct read *read_json(struct request *r) {
    json_error_t why;
    json_t *body = json_loadb(r->body.n ? r->body.p : "", r->body.n, JSON_REJECT_DUPLICATES, &why);
    struct read *rd = begin(r, json_text(json_object_get(body, "api_key")));
    if (!rd) {
        json_decref(body);
        return NULL;
    }
    rd->body = body;
    r->cleanup = drop_body;
    if (!read_only(rd, none)) return NULL;
    if (body) return rd;
    respond_fail(r, ERR_INVALID, "the body is not JSON: %s (line %d, column %d)", why.text, why.line, why.column);
    return NULL;
}

static bool check_object(struct request *r, json_t *body, const char *const *members) {
    const char *name;
    json_t *value;
    if (!json_is_object(body)) {
        respond_fail(r, ERR_INVALID, "the body must be a JSON object");
        return false;
    }
    json_object_foreach(body, name, value) {
        if (str_is(STR("api_key"), name) || is_one_of(str_of(name), members)) continue;
        respond_fail(r, ERR_INVALID, "unknown member \"%.100s\"", name);
        return false;
    }
    return true;
}

struct read *read_object(struct request *r, const char *const *members) {
    struct read *rd = read_json(r);
    return rd && check_object(r, rd->body, members) ? rd : NULL;
}

void read_nothing(struct request *r) { respond_empty(r, 204); }

/* ---- parameters ---- */

bool read_param(const struct read *rd, const char *name, struct str *value) {
    *value = request_query(rd->request, name);
    return value->n > 0;
}

bool read_number(struct read *rd, const char *name, uint64_t least, uint64_t most, uint64_t *value) {
    struct str text;
    unsigned long long v;
    if (!read_param(rd, name, &text)) return true;
    if (!str_to_u64(text, &v) || v < least || v > most) {
        respond_fail(rd->request, ERR_INVALID, "%s: expected a whole number from %llu to %llu", name,
                     (unsigned long long)least, (unsigned long long)most);
        return false;
    }
    *value = v;
    return true;
}

static bool is_common(struct str name) { return str_is(name, "api_key") || (name.n && name.p[0] == '_'); }

static bool unknown(struct read *rd, struct str name, const char *hint) {
    respond_fail(rd->request, ERR_INVALID, "unknown parameter \"" STR_FMT "\"%s", name.n > 100 ? 100 : (int)name.n,
                 name.p, hint);
    return false;
}

bool read_only(struct read *rd, const char *const *names) {
    for (size_t i = 0; i < rd->request->query_count; i++) {
        struct str name = rd->request->query[i].name;
        if (!is_common(name) && !is_one_of(name, names)) return unknown(rd, name, "");
    }
    return true;
}

bool read_time(struct read *rd, const char *name, int64_t *us) {
    struct str text;
    if (!read_param(rd, name, &text) || clock_parse(text, us)) return true;
    respond_fail(rd->request, ERR_INVALID,
                 "%s: expected a time such as 2026-11-21T06:00:00Z (RFC 3339; write + as %%2B)", name);
    return false;
}

static void refuse_filter(struct request *r, const struct filter_error *where, const struct err *e) {
    put_object(&r->out);
    put_key(&r->out, "error"), put_strz(&r->out, e->msg);
    put_key(&r->out, "position"), put_int(&r->out, (int64_t)where->position);
    put_key(&r->out, "expected"), put_strz(&r->out, where->expected);
    put_object_end(&r->out);
    respond_json(r, 400);
}

/* The parameters that spell clauses of a filter, as one filter. */
static bool read_spellings(struct read *rd, const char *const *names, const struct filter **out) {
    static const char *const plan_names[] = {"from", "to", "filter", NULL};
    struct request *r = rd->request;
    struct filter *first = NULL, **end = &first;
    struct err e = {0};
    for (size_t i = 0; i < r->query_count; i++) {
        struct pair q = r->query[i];
        if (is_common(q.name) || is_one_of(q.name, names) || is_one_of(q.name, plan_names)) continue;
        if (!filter_is_name(q.name)) return unknown(rd, q.name, "; a metadata field is metadata.NAME");
        if (q.value.n == 0) continue;
        if (!filter_equals(&r->arena, q.name, q.value, end, &e)) return respond_error(r, &e), false;
        end = &(*end)->next;
    }
    *out = filter_join(&r->arena, first);
    return true;
}

bool read_filter(struct read *rd, const char *name, const struct filter **out) {
    struct request *r = rd->request;
    struct filter_error where;
    struct err e = {0};
    if (filter_parse(&r->arena, request_query(r, name), out, &where, &e)) return true;
    refuse_filter(r, &where, &e);
    return false;
}

bool read_plan(struct read *rd, const char *const *names) {
    struct plan *p = &rd->plan;
    const struct filter *written, *spelled;
    if (!read_time(rd, "from", &p->from_us) || !read_time(rd, "to", &p->to_us) ||
        !read_spellings(rd, names, &spelled) || !read_filter(rd, "filter", &written))
        return false;
    p->filter = filter_and(&rd->request->arena, written, spelled);
    p->partial = filter_mentions(p->filter, FIELD_PARTIAL);
    return true;
}

int64_t read_usual_bucket(int64_t range_us) {
    static const int64_t seconds[] = {60,    120,   300,   600,   900,    1800,    3600,        7200,
                                      10800, 21600, 43200, 86400, 604800, 2592000, 365 * 86400, INT64_C(36500) * 86400};
    enum { LAST = sizeof seconds / sizeof *seconds - 1 };
    int i = 0;
    while (i < LAST && range_us / (seconds[i] * SECOND) > BUCKETS_WANTED) i++;
    return seconds[i] * SECOND;
}

/* ---- the query thread ---- */

static void run(void *arg) {
    struct read *rd = arg;
    struct request *r = rd->request;
    if (request_gone(r)) {
        err_set(&rd->e, ERR_BUSY, "the client is gone");
    } else {
        struct view *v = store_view(app_of(r)->store, rd->who.workspace_id);
        rd->work(rd, v, &rd->e);
        view_release(v);
    }
    request_wake(r);
}

enum { STATUS_GONE = 499 }; /* read by nobody, for the log */

static void answered(struct request *r) {
    struct read *rd = r->data;
    if (rd->e.code == ERR_BUSY && request_gone(r))
        respond_empty(r, STATUS_GONE);
    else if (rd->e.code != ERR_NONE)
        respond_error(r, &rd->e);
    else if (rd->answer)
        rd->answer(r);
    else
        respond_json(r, rd->status);
}

void read_run(struct read *rd, read_work *work, request_handler *answer) {
    struct request *r = rd->request;
    rd->work = work;
    rd->answer = answer;
    request_watch(r);
    request_wait(r, answered);
    if (pool_submit(app_of(r)->queries, run, rd)) return;
    err_set(&rd->e, ERR_BUSY, "too many questions wait for a thread; ask again shortly");
    request_wake(r);
}

void read_run_if(struct read *rd, bool good, read_work *work) {
    if (good)
        read_run(rd, work, NULL);
    else
        respond_error(rd->request, &rd->e);
}

void read_plain(struct request *r, read_work *work, request_handler *answer) {
    struct read *rd = read_begin(r);
    if (rd && read_only(rd, none)) read_run(rd, work, answer);
}

static void log_slow(const struct read *rd, const struct plan *p, int64_t took_us, bool ok, const struct err *e) {
    struct buf plan = {0}, quoted = {0};
    char why[LOG_QUOTE];
    plan_to_json(&plan, p);
    put_str(&quoted, (struct str){plan.p, plan.n < SLOW_PLAN ? plan.n : SLOW_PLAN});
    log_event(LOG_INFO, "slow_query", "request=%016llx workspace=%s ms=%.1f error=%s plan=" STR_FMT,
              (unsigned long long)rd->request->id, rd->who.slug, (double)took_us / 1000,
              log_quote(why, str_of(ok ? "" : e->msg)), STR_ARG(buf_str(&quoted)));
    buf_free(&plan);
    buf_free(&quoted);
}

bool read_ask(struct read *rd, const struct view *v, const struct plan *p, struct answer *out, struct err *e) {
    struct query_control control = rd->control;
    int64_t began_us = clock_mono_us(), until_us = began_us + (int64_t)p->timeout_ms * 1000;
    if (p->timeout_ms && until_us < control.deadline_us) control.deadline_us = until_us;
    *out = (struct answer){0};
    bool ok = query_run(v, p, &control, &rd->request->arena, out, e);
    int64_t took_us = clock_mono_us() - began_us;
    if (took_us >= (int64_t)app_of(rd->request)->conf->slow_query_ms * 1000) log_slow(rd, p, took_us, ok, e);
    return ok;
}

/* Of a segment that a program before this one made, and that cannot be opened, nobody knows the range. */
static void put_end(struct buf *to, const char *name, int64_t us) {
    put_time_or_null(to, name, us > PLAN_FIRST_US && us < PLAN_LAST_US, us);
}

void put_incomplete(struct buf *to, const struct gap *gaps, size_t count) {
    put_key(to, "incomplete"), put_array(to);
    for (size_t i = 0; i < count; i++) {
        put_object(to);
        put_key(to, "segment"), put_int(to, (int64_t)gaps[i].segment);
        put_end(to, "from", gaps[i].from_us);
        put_end(to, "to", gaps[i].to_us);
        put_int_or_null(to, "inferences", gaps[i].rows, (int64_t)gaps[i].rows);
        put_object_end(to);
    }
    put_array_end(to);
}
