/* GET /api/v1/:workspace/devices: the devices that report here, with their servers as the catalog has them, and with
 * what the store has of them in a range of time (the last day): inferences, errors, models. A device that only inferences
 * name is there too, without servers. */
#include "catalog/devices.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/errors.h"
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/unserved.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
enum { PAIRS_MOST = 65536, HASH_DIGITS = 5, USUAL_INTERVAL_S = 60, INTERVALS = 3 };

enum { INFERENCES, ERRORS, LAST, MEASURES };
static const struct measure measures[MEASURES] = {
    [INFERENCES] = {.kind = MEASURE_INFERENCES},
    [ERRORS] = {.kind = MEASURE_ERRORS},
    [LAST] = {.kind = MEASURE_MAX, .of = {.of = OF_TIME}},
};
static const struct grouping by_device_and_model = {
    .keys = {{.subject = {.of = OF_DEVICE}}, {.subject = {.of = OF_MODEL}}},
    .key_count = 2,
    .measures = measures,
    .measure_count = MEASURES,
    .max_groups = PAIRS_MOST,
};

struct device {
    struct str id; /* empty: inferences and reports that name none */
    const struct server_seen *servers; /* the latest first */
    size_t server_count;
    const struct group *models;
    size_t model_count;
    int64_t last_us;
};

static struct str text_of(const struct key_value *k) { return k->kind == KEY_VALUE ? k->value.text : STR(""); }

/* ---- who there is ---- */

static int by_id(const void *x, const void *y) {
    return str_cmp(((const struct device *)x)->id, ((const struct device *)y)->id);
}

static int by_last(const void *x, const void *y) {
    const struct device *a = x, *b = y;
    return a->last_us != b->last_us ? (a->last_us < b->last_us ? 1 : -1) : by_id(x, y);
}

static size_t add_servers(struct device *list, const struct server_seen *servers, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n == 0 || !str_eq(list[n - 1].id, servers[i].last.device_id))
            list[n++] = (struct device){
                .id = servers[i].last.device_id, .servers = &servers[i], .last_us = servers[i].last.time_us};
        list[n - 1].server_count++;
    }
    return n;
}

static struct device *find_devices(struct arena *a, const struct group_list *groups, const struct server_seen *servers,
                                  size_t server_count, size_t *count) {
    struct device *list = arena_alloc(a, (groups->count + server_count + 1) * sizeof *list);
    size_t sorted = *count = add_servers(list, servers, server_count);
    for (size_t i = 0, n; i < groups->count; i += n) {
        const struct group *g = &groups->groups[i];
        struct device wanted = {.id = text_of(&g->keys[0])};
        for (n = 1; i + n < groups->count && str_eq(text_of(&g[n].keys[0]), wanted.id);) n++;
        struct device *d = sorted ? bsearch(&wanted, list, sorted, sizeof *list, by_id) : NULL;
        if (!d) *(d = &list[(*count)++]) = wanted;
        d->models = g;
        d->model_count = n;
        for (size_t k = 0; k < n && !d->servers; k++)
            if (g[k].cells[LAST].time_us > d->last_us) d->last_us = g[k].cells[LAST].time_us;
    }
    if (*count) qsort(list, *count, sizeof *list, by_last);
    return list;
}

/* ---- how it is ---- */

static int64_t silent_after_us(const struct app *app, const struct server_seen *s) {
    if (app->conf->device_silent_s) return app->conf->device_silent_s * SECOND;
    return INTERVALS * (s->interval_us ? s->interval_us : USUAL_INTERVAL_S * SECOND);
}

static bool is_silent(const struct read *rd, const struct server_seen *s) {
    return rd->now_us - s->last.time_us > silent_after_us(app_of(rd->request), s);
}

/* As servers name a host where they count failures: the first digits of its SHA-256. */
static void hash_host(struct str name, char out[HASH_DIGITS + 1]) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    crypto_hash_sha256(hash, (const unsigned char *)name.p, name.n);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    memcpy(out, hex, HASH_DIGITS);
    out[HASH_DIGITS] = '\0';
}

static bool same_before(const struct server_seen *servers, size_t i, size_t at) {
    const struct str *text = (const struct str *)(const void *)((const char *)&servers[i] + at);
    for (size_t k = 0; k < i; k++)
        if (str_eq(*(const struct str *)(const void *)((const char *)&servers[k] + at), *text)) return true;
    return text->n == 0;
}

static uint64_t failures_of(const struct device *d, const struct failure_sum *hosts, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < d->server_count; i++) {
        char hash[HASH_DIGITS + 1];
        if (same_before(d->servers, i, offsetof(struct server_seen, last.hostname))) continue;
        hash_host(d->servers[i].last.hostname, hash);
        for (size_t k = 0; k < count; k++)
            if (str_is(hosts[k].text, hash)) sum += hosts[k].count;
    }
    return sum;
}

/* ---- the answer ---- */

static void put_seconds(struct buf *to, const char *name, int64_t us) {
    put_key(to, name), put_double(to, us ? (double)us / 1e6 : NAN);
}

static void put_tags(struct buf *to, struct str tags) {
    put_key(to, "tags"), put_raw(to, tags.n ? tags : STR("[]"));
}

static void put_server(struct buf *to, const struct read *rd, const struct server_seen *s) {
    put_object(to);
    put_text_or_null(to, "server_id", s->last.server_id);
    put_text_or_null(to, "version", s->last.version);
    put_text_or_null(to, "hostname", s->last.hostname);
    put_text_or_null(to, "ip_address", s->last.ip_address);
    put_text_or_null(to, "platform", s->last.platform);
    put_text_or_null(to, "platform_release", s->last.platform_release);
    put_text_or_null(to, "architecture", s->last.architecture);
    put_tags(to, s->last.tags);
    put_time_or_null(to, "started", s->last.started_us, s->last.started_us);
    put_key(to, "first_seen"), put_time(to, s->first_us);
    put_key(to, "last_seen"), put_time(to, s->last.time_us);
    put_seconds(to, "interval_s", s->interval_us);
    put_seconds(to, "silent_after_s", silent_after_us(app_of(rd->request), s));
    put_key(to, "silent"), put_bool(to, is_silent(rd, s));
    put_key(to, "reports"), put_int(to, (int64_t)s->reports);
    put_key(to, "inferences"), put_int(to, (int64_t)s->last.inferences);
    put_key(to, "set_aside"), put_int(to, (int64_t)s->last.set_aside);
    put_object_end(to);
}

/* Each text of its servers once, the latest first. */
static void put_distinct(struct buf *to, const char *name, const struct device *d, size_t at) {
    put_key(to, name), put_array(to);
    for (size_t i = 0; i < d->server_count; i++)
        if (!same_before(d->servers, i, at))
            put_str(to, *(const struct str *)(const void *)((const char *)&d->servers[i] + at));
    put_array_end(to);
}

static void put_models(struct buf *to, const struct device *d) {
    put_key(to, "models"), put_array(to);
    for (size_t i = 0; i < d->model_count; i++) {
        const struct cell *c = d->models[i].cells;
        put_object(to);
        put_text_or_null(to, "model_id", text_of(&d->models[i].keys[1]));
        put_key(to, "inferences"), put_int(to, (int64_t)c[INFERENCES].count);
        put_key(to, "errors"), put_int(to, (int64_t)c[ERRORS].count);
        put_key(to, "last_seen"), put_time(to, c[LAST].time_us);
        put_object_end(to);
    }
    put_array_end(to);
}

/* By the addresses that its reports came from. */
static void put_unserved(struct buf *to, const struct read *rd, const struct device *d) {
    put_key(to, "unserved"), put_array(to);
    for (size_t i = 0; i < d->server_count; i++) {
        size_t count;
        if (same_before(d->servers, i, offsetof(struct server_seen, last.peer))) continue;
        const struct unserved_count *list = unserved_from(app_of(rd->request)->unserved, rd->who.workspace_id,
                                                          d->servers[i].last.peer, &rd->request->arena, &count);
        for (size_t k = 0; k < count; k++) {
            put_object(to);
            put_key(to, "method"), put_str(to, list[k].method);
            put_key(to, "path"), put_str(to, list[k].path);
            put_key(to, "user_agent"), put_str(to, list[k].user_agent);
            put_key(to, "status"), put_int(to, list[k].status);
            put_key(to, "count"), put_int(to, (int64_t)list[k].count);
            put_key(to, "last_seen"), put_time(to, list[k].last_us);
            put_object_end(to);
        }
    }
    put_array_end(to);
}

static void put_device(struct buf *to, const struct read *rd, const struct device *d, const struct failure_sum *hosts,
                       size_t host_count) {
    uint64_t inferences = 0, errors = failures_of(d, hosts, host_count);
    for (size_t i = 0; i < d->model_count; i++) {
        inferences += d->models[i].cells[INFERENCES].count;
        errors += d->models[i].cells[ERRORS].count;
    }
    put_object(to);
    put_text_or_null(to, "device_id", d->id);
    put_key(to, "last_seen"), put_time(to, d->last_us);
    put_key(to, "silent");
    if (d->servers)
        put_bool(to, is_silent(rd, d->servers));
    else
        put_null(to);
    put_tags(to, d->servers ? d->servers->last.tags : STR(""));
    put_distinct(to, "versions", d, offsetof(struct server_seen, last.version));
    put_distinct(to, "hosts", d, offsetof(struct server_seen, last.hostname));
    put_key(to, "inferences"), put_int(to, (int64_t)inferences);
    put_key(to, "rate_per_s");
    put_double(to, (double)inferences / ((double)(rd->plan.to_us - rd->plan.from_us) / 1e6));
    put_key(to, "errors"), put_int(to, (int64_t)errors);
    put_models(to, d);
    put_unserved(to, rd, d);
    put_key(to, "servers"), put_array(to);
    for (size_t i = 0; i < d->server_count; i++) put_server(to, rd, &d->servers[i]);
    put_array_end(to);
    put_object_end(to);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    struct catalog *c = app_of(rd->request)->catalog;
    struct arena *a = &rd->request->arena;
    struct buf *to = &rd->request->out;
    const struct plan *p = &rd->plan;
    struct failure_range range = {p->workspace, p->from_us, p->to_us, true};
    struct server_seen *servers;
    struct failure_sum *hosts;
    struct answer answer;
    size_t server_count, host_count, count;
    if (!read_ask(rd, v, p, &answer, e) || !devices_read(c, p->workspace, a, &servers, &server_count, e) ||
        !failures_sum(c, &range, FAILURE_HOST, 0, a, &hosts, &host_count, e))
        return false;
    struct device *list = find_devices(a, &answer.lists[0], servers, server_count, &count);
    put_object(to);
    put_key(to, "from"), put_time(to, p->from_us);
    put_key(to, "to"), put_time(to, p->to_us);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_key(to, "devices"), put_array(to);
    for (size_t i = 0; i < count; i++) put_device(to, rd, &list[i], hosts, host_count);
    put_array_end(to);
    put_incomplete(to, answer.gaps, answer.gap_count);
    put_object_end(to);
    return true;
}

void get_devices(struct request *r) {
    static const char *const names[] = {"from", "to", NULL}, *const own[] = {NULL};
    struct read *rd = read_begin(r);
    if (!rd || !read_only(rd, names)) return;
    struct plan *p = &rd->plan;
    struct str from;
    p->to_us = rd->now_us;
    if (!read_plan(rd, own)) return;
    if (!read_param(rd, "from", &from)) p->from_us = p->to_us - DAY;
    if (p->from_us >= p->to_us) {
        respond_fail(r, ERR_INVALID, "from: must be before to");
        return;
    }
    p->kind = PLAN_GROUPS;
    p->groupings = &by_device_and_model;
    p->grouping_count = 1;
    read_run(rd, show, NULL);
}
