/* POST /usage/inference and GET /usage/plan: how a stock inference server accounts for itself (protocol 3.7). Of the
 * counts only failures are kept: nothing else tells of them. A sender keeps a list until it is answered 200, and sends it
 * for ever, so every list that can be read is; keys that nobody knows too. It waits a second, so a list without failures,
 * which is the rule, is answered at once; others go by way of an ingest thread to the catalog. */
#include "base/json_pull.h"

#include <stdlib.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/aside.h"
#include "catalog/failures.h"

enum { MESSAGE_MOST = 1000 };

struct found {
    uint32_t workspace;
    bool bad; /* f.message says why, raw is the item */
    struct failure f;
    struct str raw;
};

struct usage {
    struct request *r;
    struct identity who; /* of the header */
    bool known;
    struct found *list;
    size_t count, room;
    struct err e;
};

/* ---- one record ---- */

static struct str text_or_none(struct str text) {
    struct err bad;
    return text.n && check_text(text, "", &bad) ? text : (struct str){0};
}

/* {"billable": true, "error": "...", "error_type": "...", "error_status_code": 500}; true: it tells of a failure. */
static bool read_details(struct str text, struct arena *a, struct failure *f) {
    struct json_pull j;
    bool failed = false;
    json_pull_init(&j, text, a);
    if (json_next(&j) != PULL_OBJECT) return false;
    while (json_next(&j) == PULL_KEY) {
        struct str name = j.text;
        json_next(&j);
        bool says = (j.token == PULL_STRING && j.text.n) || j.token == PULL_TRUE;
        if (str_is(name, "error_status_code") && j.token == PULL_NUMBER && j.number >= 100 && j.number < 1000)
            f->status = (int64_t)j.number;
        if (str_is(name, "error_type") && j.token == PULL_STRING) f->type = text_or_none(j.text);
        if (str_is(name, "error") && j.token == PULL_STRING)
            f->message = (struct str){j.text.p, j.text.n < MESSAGE_MOST ? j.text.n : MESSAGE_MOST};
        failed = failed || (says && (str_is(name, "error") || str_is(name, "error_type")));
        json_skip(&j, NULL);
    }
    return failed;
}

static bool read_record(struct str raw, struct arena *a, struct str *key, struct failure *f) {
    struct json_pull j;
    bool failed = false;
    *f = (struct failure){.count = 1, .start_ns = -1};
    json_pull_init(&j, raw, a);
    if (json_next(&j) != PULL_OBJECT) return false;
    while (json_next(&j) == PULL_KEY) {
        struct str name = j.text, text = {0}, details;
        json_next(&j);
        if (j.token == PULL_STRING) text = j.text;
        if (str_is(name, "api_key")) *key = text;
        if (str_is(name, "exec_session_id")) f->session = text_or_none(text);
        if (str_is(name, "resource_id")) f->resource = text_or_none(text);
        if (str_is(name, "category")) f->category = text_or_none(text);
        if (str_is(name, "hostname")) f->host = text_or_none(text);
        if (str_is(name, "processed_frames") && j.token == PULL_NUMBER && j.number >= 1 && j.number <= 1e9)
            f->count = (uint64_t)j.number;
        if (str_is(name, "timestamp_start") && j.token == PULL_NUMBER && j.number >= 0 && j.number < 9e18)
            f->start_ns = strtoll(arena_copy(a, j.text.p, j.text.n + 1), NULL, 10);
        bool is_details = str_is(name, "resource_details");
        bool inside = is_details && j.token == PULL_STRING;
        if (!json_skip(&j, &details)) return false;
        if (is_details) failed = read_details(inside ? text : details, a, f);
    }
    return failed;
}

static void take(struct usage *u, struct str raw) {
    struct arena *a = &u->r->arena;
    struct str key = {0};
    struct found one = {.raw = raw};
    struct identity who = u->who;
    if (!read_record(raw, a, &key, &one.f)) return;
    bool known = key.n && !str_is(key, "None") ? catalog_key(app_of(u->r)->catalog, key, &who) : u->known;
    if (!known) return;
    one.workspace = who.workspace_id;
    one.f.time_us = one.f.start_ns / 1000;
    one.bad = one.f.session.n == 0 || one.f.resource.n == 0 || one.f.start_ns < 0;
    if (u->count == u->room) {
        size_t room = u->room ? u->room * 2 : 8;
        struct found *more = arena_alloc(a, room * sizeof *more);
        if (u->count) memcpy(more, u->list, u->count * sizeof *more);
        u->list = more;
        u->room = room;
    }
    u->list[u->count++] = one;
}

static bool read_list(struct usage *u, struct err *e) {
    struct json_pull j;
    json_pull_init(&j, u->r->body, &u->r->arena);
    if (json_next(&j) == PULL_ARRAY) {
        struct str raw;
        while (json_next(&j) != PULL_ARRAY_END && j.token != PULL_ERROR)
            if (json_skip(&j, &raw)) take(u, raw);
        if (j.token != PULL_ERROR && json_next(&j) == PULL_END) return true;
    }
    if (j.token == PULL_ERROR) return err_set(e, ERR_INVALID, "the body is not JSON: %s at byte %zu", j.error, j.at);
    return err_set(e, ERR_INVALID, "the body must be a list");
}

/* ---- keeping ---- */

static int by_workspace(const void *x, const void *y) {
    const struct found *a = x, *b = y;
    return a->workspace != b->workspace ? (a->workspace < b->workspace ? -1 : 1) : a->bad - b->bad;
}

/* Those from i on that are of one workspace and of one kind. */
static size_t keep_run(struct usage *u, size_t i) {
    struct app *app = app_of(u->r);
    struct found *list = u->list + i;
    size_t n = 1, added;
    while (i + n < u->count && list[n].workspace == list[0].workspace && list[n].bad == list[0].bad) n++;
    if (!list[0].bad) {
        struct failure *f = arena_alloc(&u->r->arena, n * sizeof *f);
        for (size_t k = 0; k < n; k++) f[k] = list[k].f;
        failures_add(app->catalog, list[0].workspace, f, n, app->conf->failures_most, &added, &u->e);
        return n;
    }
    struct aside *a = arena_alloc(&u->r->arena, n * sizeof *a);
    for (size_t k = 0; k < n; k++)
        a[k] = (struct aside){.time_us = clock_now_us(),
                              .source = STR("usage"),
                              .reason = STR("a failure without exec_session_id, timestamp_start or resource_id")};
    aside_add(app->catalog, list[0].workspace, a, n, n, app->conf->set_aside_most, &u->e);
    return n;
}

static void keep(void *arg) {
    struct usage *u = arg;
    qsort(u->list, u->count, sizeof *u->list, by_workspace);
    for (size_t i = 0; i < u->count && u->e.code == ERR_NONE;) i += keep_run(u, i);
    request_wake(u->r);
}

static void answer_ok(struct request *r) { respond_static(r, 200, "application/json", "{}", 2); }

static void answer(struct request *r) {
    const struct usage *u = r->data;
    if (u->e.code == ERR_NONE)
        answer_ok(r);
    else
        respond_error(r, &u->e);
}

void post_usage(struct request *r) {
    struct usage *u = arena_alloc(&r->arena, sizeof *u);
    struct err e = {0};
    u->r = r;
    u->known = authenticate(r, (struct str){0}, &u->who, &e);
    if (!read_list(u, &e)) {
        respond_error(r, &e);
    } else if (u->count == 0) {
        answer_ok(r);
    } else {
        r->data = u;
        request_wait(r, answer);
        if (pool_submit(app_of(r)->ingest, keep, u)) return;
        err_set(&u->e, ERR_BUSY, "too much waits to be kept; send it again");
        request_wake(r);
    }
}

/* Nothing is sold here. A refusal would make the server think itself over its quota. */
void get_usage_plan(struct request *r) {
    static const char plan[] = "{\"is_enterprise\": false, \"is_pro\": false, \"is_trial\": false, \"is_billed\": false, "
                               "\"over_quota\": false}";
    respond_static(r, 200, "application/json", plan, sizeof plan - 1);
}
