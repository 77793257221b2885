/* POST /inference-stats: what an inference server tells of itself and of what it computed (protocol 3.2). And
 * POST /:workspace/inference-stats, by which a workflow reports (3.3, aggregator.c); servers may, too.
 *
 * The sender gives up after 10 s, never tries again and reads nothing of the answer, so an item is the unit: one that is
 * bad is set aside with the reason, and the others are stored. Only a body that is not JSON, or whose inference_results
 * is no list, is refused; nothing of it is stored.
 *
 * A long body lies in a file (http/body.h). It is read twice on an ingest thread, under a guard: once to see that all of
 * it is JSON and who sends it, once item by item, stored in batches, so that what a body takes of memory doesn't grow
 * with it. */
#include "api/report.h"

#include <time.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/pingback_item.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/aside.h"
#include "catalog/devices.h"
#include "store/store.h"

enum {
    BATCH_BYTES = 1 << 20,   /* of records */
    SCRATCH_MOST = 2 << 20,
    PASS_BYTES = 1 << 20, /* of a body, between two times that memory is given back */
    BUSY_NAP_US = 20 * 1000, /* before a store that is busy is asked again */
    BUSY_MOST_US = 8 * 1000 * 1000,
};

/* ---- who sends it ---- */

static struct str kept(struct report *p, struct str text) {
    struct err bad;
    if (!check_text(text, "", &bad)) return (struct str){0};
    return (struct str){arena_copy(&p->r->arena, text.p, text.n), text.n};
}

static struct {
    const char *name;
    size_t at;
} const texts[] = {
    {"device_id", offsetof(struct report_sender, device_id)},
    {"inference_server_id", offsetof(struct report_sender, server_id)},
    {"inference_server_version", offsetof(struct report_sender, server_version)},
    {"hostname", offsetof(struct report_sender, hostname)},
    {"ip_address", offsetof(struct report_sender, ip_address)},
    {"platform", offsetof(struct report_sender, platform)},
    {"platform_release", offsetof(struct report_sender, platform_release)},
    {"architecture", offsetof(struct report_sender, architecture)},
    {"source", offsetof(struct report_sender, source)},
    {"source_info", offsetof(struct report_sender, source_info)},
};

/* A list of names, those that are empty left out, as JSON. */
static bool read_tags(struct report *p, struct json_pull *j) {
    p->room.n = 0;
    put_array(&p->room);
    while (json_next(j) != PULL_ARRAY_END && j->token != PULL_ERROR) {
        struct err bad;
        if (j->token == PULL_STRING && j->text.n && check_text(j->text, "", &bad) && p->room.n < 4096)
            put_str(&p->room, j->text);
        json_skip(j, NULL);
    }
    put_array_end(&p->room);
    p->from.tags = (struct str){arena_copy(&p->r->arena, p->room.p, p->room.n), p->room.n};
    return j->token != PULL_ERROR;
}

/* Passes over a list as json_skip does, and gives memory back on the way. */
static bool skip_list(struct report *p, struct json_pull *j, struct str *raw) {
    const char *begin = j->start + j->at, *passed = begin;
    unsigned level = j->depth;
    while (j->depth >= level && json_next(j) != PULL_ERROR) {
        if (p->scratch.total > SCRATCH_MOST) arena_free(&p->scratch);
        if ((size_t)(j->p - passed) < PASS_BYTES) continue;
        request_body_passed(p->r, passed = j->p);
    }
    *raw = (struct str){begin, (size_t)(j->p - begin)};
    return j->token != PULL_ERROR;
}

/* Of a server the seconds at which its process began; of a workflow its local time, which says little without a zone. */
static void read_timestamp(struct report *p, struct str text) {
    double start;
    if (str_to_double(text, &start) && start > 0 && start < 1e11) {
        p->from.started_us = (int64_t)(start * 1e6);
    } else if (text.n > 19 && (text.p[text.n - 1] == 'Z' || text.p[text.n - 6] == '+' || text.p[text.n - 6] == '-') &&
               !clock_parse(text, &p->from.time_us)) {
        p->from.time_us = TIME_UNKNOWN;
    }
}

static bool read_member(struct report *p, struct json_pull *j, struct str name) {
    if (str_is(name, "inference_results")) {
        p->results = (struct str){0};
        if (j->token == PULL_NULL) return true;
        if (j->token == PULL_ARRAY) return skip_list(p, j, &p->results);
        if (p->e.code == ERR_NONE) err_set(&p->e, ERR_INVALID, "inference_results must be a list");
    }
    if (j->token == PULL_ARRAY && str_is(name, "tags")) return read_tags(p, j);
    if (j->token == PULL_STRING) {
        if (str_is(name, "api_key")) p->key = kept(p, j->text);
        if (str_is(name, "timestamp")) read_timestamp(p, j->text);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (str_is(name, texts[i].name)) *(struct str *)((char *)&p->from + texts[i].at) = kept(p, j->text);
    }
    return json_skip(j, NULL);
}

/* All of the body, so that nothing of one that breaks off is stored. */
static bool read_outer(struct report *p) {
    struct json_pull j;
    json_pull_init(&j, p->r->body, &p->scratch);
    if (json_next(&j) == PULL_OBJECT) {
        while (json_next(&j) == PULL_KEY) {
            struct str name = j.text;
            if (json_next(&j) == PULL_ERROR || !read_member(p, &j, name)) break;
        }
        if (j.token != PULL_ERROR && json_next(&j) == PULL_END) {
            arena_free(&p->scratch);
            return p->e.code == ERR_NONE;
        }
    }
    if (j.token == PULL_ERROR)
        return err_set(&p->e, ERR_INVALID, "the body is not JSON: %s at byte %zu", j.error, j.at);
    return err_set(&p->e, ERR_INVALID, "the body must be a JSON object");
}

/* ---- where items go ---- */

struct target *report_target(struct report *p, uint32_t workspace) {
    for (struct target *t = p->targets; t; t = t->next)
        if (t->workspace == workspace) return t;
    struct target *t = arena_alloc(&p->r->arena, sizeof *t);
    t->workspace = workspace;
    write_begin(&t->w, workspace);
    t->next = p->targets;
    return p->targets = t;
}

/* The workspace of an item's key; without one that of the pingback's. */
static bool whose(struct report *p, struct str key, struct identity *out) {
    if (key.n == 0 || str_is(key, "None")) {
        *out = p->who;
        return p->known;
    }
    if (key.n > KEY_MAX) return false;
    if (!str_eq(key, (struct str){p->last_key, p->last_key_n})) {
        p->last_known = catalog_key(app_of(p->r)->catalog, key, &p->last_who);
        memcpy(p->last_key, key.p, p->last_key_n = key.n);
    }
    *out = p->last_who;
    return p->last_known;
}

static void *grown(struct report *p, void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    size_t more = *room ? *room * 2 : 32;
    void *to = arena_alloc(&p->scratch, more * size);
    if (count) memcpy(to, list, count * size);
    *room = more;
    return to;
}

void report_aside(struct report *p, struct target *t, struct str raw, const char *reason) {
    p->aside++;
    t->set_aside++;
    t->asides = grown(p, t->asides, t->aside_count, &t->aside_room, sizeof *t->asides);
    struct str item = {0};
    if (raw.n <= 2 * ASIDE_ITEM_MOST) item = pingback_item_without_keys(raw, &p->scratch, &p->room);
    if (item.n > ASIDE_ITEM_MOST) item = (struct str){0};
    t->asides[t->aside_count++] = (struct aside){
        .time_us = clock_now_us(),
        .source = str_is(p->from.source, "workflow") ? STR("workflow") : STR("pingback"),
        .device_id = p->from.device_id,
        .server_id = p->from.server_id,
        .reason = str_of(arena_printf(&p->scratch, "%s", reason)),
        .item = item,
    };
}

/* ---- storing ---- */

bool report_submit(struct report *p, struct store_write *w, struct err *e) {
    while (!store_write_now(app_of(p->r)->store, w, e)) {
        if (e->code != ERR_BUSY || clock_mono_us() - p->r->started_us > BUSY_MOST_US) return false;
        nanosleep(&(struct timespec){.tv_nsec = BUSY_NAP_US * 1000}, NULL);
    }
    struct target *t = report_target(p, w->workspace);
    for (size_t i = 0; i < w->records; i++) {
        bool created = w->results[i].outcome == OUTCOME_CREATED;
        p->created += created;
        t->stored += created;
        p->unchanged += w->results[i].outcome == OUTCOME_UNCHANGED;
        p->conflicts += w->results[i].outcome == OUTCOME_CONFLICT;
    }
    return true;
}

bool report_is_fault(const struct err *e) { return e->code == ERR_INVALID || e->code == ERR_TOO_LARGE; }

static bool encode(struct store_write *w, const struct pingback_item *item, struct err *e) {
    for (size_t i = 0; i < item->count; i++)
        if (!write_inference(w, &item->inferences[i], e)) return false;
    return true;
}

static struct inference like(const struct report *p) {
    return (struct inference){.time_us = TIME_UNKNOWN,
                              .latency_s = NAN,
                              .device_id = p->from.device_id,
                              .server_id = p->from.server_id,
                              .server_version = p->from.server_version};
}

/* A batch that was refused for what is in it: each item by itself, to find the ones. */
static bool store_singly(struct report *p, struct target *t) {
    struct inference with = like(p);
    for (size_t i = 0; i < t->count; i++) {
        struct pingback_item item;
        struct err e = {0};
        write_begin(&p->single, t->workspace);
        bool ok = pingback_item_read(t->items[i], &with, &p->scratch, &p->room, &item, &e) &&
                  encode(&p->single, &item, &e) && report_submit(p, &p->single, &e);
        write_free(&p->single);
        if (!ok && !report_is_fault(&e)) return p->e = e, false;
        if (!ok) report_aside(p, t, t->items[i], e.msg);
    }
    return true;
}

static bool store_target(struct report *p, struct target *t) {
    struct app *app = app_of(p->r);
    struct err e = {0};
    bool ok = t->w.records == 0 || report_submit(p, &t->w, &e);
    if (!ok) ok = report_is_fault(&e) ? store_singly(p, t) : (p->e = e, false);
    if (ok && t->aside_count)
        ok = aside_add(app->catalog, t->workspace, t->asides, t->aside_count, t->aside_count,
                       app->conf->set_aside_most, &p->e);
    write_free(&t->w);
    write_begin(&t->w, t->workspace);
    t->count = t->room = t->aside_count = t->aside_room = 0;
    return ok;
}

bool report_flush(struct report *p, const char *upto) {
    bool ok = true;
    for (struct target *t = p->targets; t && ok; t = t->next) ok = store_target(p, t);
    p->batch = 0;
    arena_free(&p->scratch);
    request_body_passed(p->r, upto);
    return ok;
}

static void take(struct report *p, struct str raw) {
    struct pingback_item item;
    struct identity who;
    struct err e = {0};
    struct inference with = like(p);
    bool ok = pingback_item_read(raw, &with, &p->scratch, &p->room, &item, &e);
    bool known = whose(p, item.key, &who);
    if (!known && !p->known) {
        p->nobodys++;
        return;
    }
    struct target *t = report_target(p, known ? who.workspace_id : p->who.workspace_id);
    size_t at = t->w.chain.n, records = t->w.records;
    uint64_t most = t->w.most.inferences;
    if (!known) {
        report_aside(p, t, raw, "request: api_key is not known here, or was revoked");
    } else if (!ok || !encode(&t->w, &item, &e)) {
        t->w.chain.n = at;
        t->w.records = records;
        t->w.most.inferences = most;
        report_aside(p, t, raw, e.msg);
    } else {
        t->items = grown(p, t->items, t->count, &t->room, sizeof *t->items);
        t->items[t->count++] = raw;
    }
}

static bool take_all(struct report *p) {
    struct json_pull j;
    size_t bytes = 0;
    if (p->results.n == 0) return true;
    json_pull_init(&j, p->results, &p->scratch);
    json_next(&j);
    while (json_next(&j) != PULL_ARRAY_END) {
        struct str raw;
        if (!json_skip(&j, &raw)) return err_set(&p->e, ERR_IO, "the body changed while it was read");
        take(p, raw);
        bytes += raw.n;
        if (++p->batch < BATCH_ITEMS && bytes < BATCH_BYTES && p->scratch.total < SCRATCH_MOST) continue;
        if (!report_flush(p, j.p)) return false;
        bytes = 0;
    }
    return report_flush(p, j.p);
}

/* ---- that it was seen ---- */

/* By each workspace that had something of it, and by the outer key's in any case: a report without items says that the
 * server is alive. */
static void note_sender(struct report *p) {
    const struct report_sender *from = &p->from;
    if (p->known) report_target(p, p->who.workspace_id);
    for (const struct target *t = p->targets; t; t = t->next) {
        struct sighting s = {
            .workspace = t->workspace,
            .time_us = clock_now_us(),
            .device_id = from->device_id,
            .server_id = from->server_id,
            .version = from->server_version,
            .hostname = from->hostname,
            .ip_address = from->ip_address,
            .platform = from->platform,
            .platform_release = from->platform_release,
            .architecture = from->architecture,
            .peer = p->r->peer,
            .tags = from->tags,
            .started_us = from->started_us,
            .inferences = t->stored,
            .set_aside = t->set_aside,
        };
        devices_seen(app_of(p->r)->catalog, &s);
    }
}

/* ---- the route ---- */

static void work(struct report *p) {
    if (!read_outer(p)) return;
    struct str key = str_is(p->key, "None") ? (struct str){0} : p->key;
    if (!p->header && key.n) {
        p->known = catalog_key(app_of(p->r)->catalog, key, &p->who);
        if (!p->known) err_set(&p->no_key, ERR_UNAUTHORIZED, AUTH_UNKNOWN_KEY);
    }
    if (p->slug.n && p->known && !str_is(p->slug, p->who.slug))
        p->known = err_set(&p->no_key, ERR_UNAUTHORIZED, AUTH_OTHER_WORKSPACE, p->who.slug);
    if (p->slug.n && !p->known)
        p->e = p->no_key;
    else if (p->slug.n && str_is(p->from.source, "workflow"))
        aggregate(p, report_target(p, p->who.workspace_id));
    else if (take_all(p) && !p->known && !p->targets)
        p->e = p->no_key;
    if (p->e.code == ERR_NONE) note_sender(p);
}

static void run(void *arg) {
    struct report *p = arg;
    struct guard g;
    if (guard_enter(&g)) {
        work(p);
        guard_leave(&g);
    } else {
        p->e = g.e;
    }
    for (struct target *t = p->targets; t; t = t->next) write_free(&t->w);
    write_free(&p->single);
    arena_free(&p->scratch);
    buf_free(&p->room);
    request_wake(p->r);
}

static void count_member(struct buf *to, const char *name, uint64_t n) {
    put_key(to, name), put_int(to, (int64_t)n);
}

static void answer(struct request *r) {
    const struct report *p = r->data;
    if (p->nobodys)
        log_event(LOG_WARN, "unknown_keys", "request=%016llx items=%llu", (unsigned long long)r->id,
                  (unsigned long long)p->nobodys);
    if (p->e.code != ERR_NONE) {
        respond_error(r, &p->e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "status"), put_strz(&r->out, "ok");
    count_member(&r->out, "created", p->created);
    count_member(&r->out, "unchanged", p->unchanged);
    count_member(&r->out, "conflicts", p->conflicts);
    count_member(&r->out, "set_aside", p->aside);
    put_object_end(&r->out);
    respond_json(r, 200);
}

static void start(struct request *r, struct str slug) {
    struct report *p = arena_alloc(&r->arena, sizeof *p);
    p->r = r;
    p->slug = slug;
    p->from.time_us = TIME_UNKNOWN;
    p->header = auth_has_key(r);
    p->known = authenticate(r, (struct str){0}, &p->who, &p->no_key);
    r->data = p;
    request_wait(r, answer);
    if (pool_submit(app_of(r)->ingest, run, p)) return;
    err_set(&p->e, ERR_BUSY, "too many bodies wait to be read; nothing was stored");
    request_wake(r);
}

void post_pingback(struct request *r) { start(r, (struct str){0}); }

void post_report(struct request *r) { start(r, request_param(r, "workspace")); }
