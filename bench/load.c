#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "data.h"
#include "drive.h"
#include "work.h"

enum { SECOND = 1000000 };

struct load {
    const struct options *o;
    struct data data;
    uint64_t next;     /* what is to be taken next: a number, a batch; by all threads, atomically */
    uint64_t attached; /* metadata items acknowledged, atomically */
    uint64_t waiting;  /* unknown ids among those */
};

/* A connection's own. */
struct place {
    uint64_t batch, items;
    unsigned phase;
    bool ingests; /* the request in flight */
    struct work_cursor cursor;
    struct work_item sent[MOST_ITEMS];
};

static struct place *place_of(struct drive_connection *c) {
    if (!c->own) c->own = mem_zero(1, sizeof(struct place));
    return c->own;
}

static uint64_t take(struct load *l, uint64_t n) { return __atomic_fetch_add(&l->next, n, __ATOMIC_RELAXED); }

static void request(const struct load *l, struct drive_connection *c, const char *path) {
    char full[128];
    snprintf(full, sizeof full, path, l->o->workspace);
    c->out.n = 0;
    drive_head(&c->out, "POST", full, l->o->key, c->body.n);
    buf_add_str(&c->out, buf_str(&c->body));
}

static uint64_t occurrences(struct str in, struct str of) {
    uint64_t n = 0;
    const char *p = in.p, *end = p + in.n;
    for (; (p = memmem(p, (size_t)(end - p), of.p, of.n)); p += of.n) n++;
    return n;
}

static bool is_ok(const struct answer *a) {
    return a->status == 200 && str_is(str_trim(a->body), "{\"status\":\"ok\"}");
}

static bool accept_ingest(struct place *p, const struct answer *a, int64_t latency_us, struct tally *t) {
    uint64_t created = occurrences(a->body, STR("\"created\"")), same = occurrences(a->body, STR("\"unchanged\""));
    t->requests++;
    t->items += p->items;
    t->created += created;
    t->unchanged += same;
    tally_latency(t, latency_us);
    return a->status == 200 && created + same == p->items;
}

static void report(const char *what, const struct load *l, const struct tally *t, int64_t started_us, bool ok) {
    struct buf b = {0};
    tally_put(&b, t, started_us);
    printf("{\"work\":\"%s\",\"items_a_request\":%u,\"connections\":%u,\"attached\":%" PRIu64 ",\"waiting\":%" PRIu64
           ",%.*s,\"ok\":%s}\n",
           what, l->o->items, l->o->connections, l->attached, l->waiting, (int)b.n, b.p, ok ? "true" : "false");
    buf_free(&b);
}

/* ---- the data ---- */

enum { LATE_BATCHES = 1000, PHASE_BEFORE = 0, PHASE_INGEST, PHASE_AFTER, PHASE_LATE, PHASE_NEXT };
enum when { BEFORE, AFTER, LATE };

static uint64_t batches(const struct load *l) { return (l->data.events + DATA_BATCH - 1) / DATA_BATCH; }

static enum when metadata_when(const struct load *l, uint64_t batch) {
    uint64_t dice = data_mix(data_mix(l->data.seed + 99) ^ batch) % 100;
    if (dice < 5) return BEFORE;
    return dice < 15 && batch + LATE_BATCHES < batches(l) ? LATE : AFTER;
}

static void entry(struct drive_connection *c, const char id[DATA_ID], const char *field, const char *value,
                  size_t size) {
    struct place *p = c->own;
    buf_addz(&c->body, p->items++ ? ",{\"inference_ids\":[\"" : "{\"inference_ids\":[\"");
    buf_add(&c->body, id, DATA_ID);
    buf_addz(&c->body, "\"],\"field_name\":\"");
    buf_addz(&c->body, field);
    buf_addz(&c->body, "\",\"field_value\":\"");
    buf_add(&c->body, value, size);
    buf_addz(&c->body, "\"}");
}

static void metadata_of(const struct load *l, struct drive_connection *c, uint64_t number, unsigned fields) {
    char id[DATA_ID], value[DATA_VALUE];
    size_t n;
    data_id(l->data.seed, number, id);
    for (unsigned f = 0; f < fields; f++)
        if ((n = data_value(&l->data, number, f, value))) entry(c, id, data_fields[f], value, n);
}

static uint64_t batch_end(const struct load *l, uint64_t batch) {
    uint64_t end = (batch + 1) * DATA_BATCH;
    return end < l->data.events ? end : l->data.events;
}

static bool send_metadata(struct load *l, struct drive_connection *c, uint64_t batch) {
    struct place *p = c->own;
    uint64_t pending;
    c->body.n = p->items = 0;
    buf_addz(&c->body, "{\"data\":[");
    for (uint64_t i = batch * DATA_BATCH; i < batch_end(l, batch); i++) {
        metadata_of(l, c, i, DATA_FIELDS);
        if (data_pending(&l->data, i, &pending)) metadata_of(l, c, pending, 2);
    }
    buf_addz(&c->body, "]}");
    p->ingests = false;
    request(l, c, "/%s/inference-stats/metadata");
    return true;
}

static void add_inference(const struct load *l, struct drive_connection *c, const struct data_event *event) {
    struct place *p = c->own;
    buf_addc(&c->body, p->items++ ? ',' : '[');
    data_json(&c->body, &l->data, event);
}

static bool send_inferences(struct load *l, struct drive_connection *c, uint64_t batch) {
    struct place *p = c->own;
    struct data_event event;
    uint64_t earlier;
    c->body.n = p->items = 0;
    for (uint64_t i = batch * DATA_BATCH; i < batch_end(l, batch); i++) {
        data_event(&l->data, i, &event);
        add_inference(l, c, &event);
        if (!data_resent(&l->data, i, &earlier)) continue;
        data_event(&l->data, earlier, &event);
        add_inference(l, c, &event);
    }
    buf_addc(&c->body, ']');
    p->ingests = true;
    request(l, c, "/api/v1/%s/inferences");
    return true;
}

static bool data_build(void *arg, struct drive_connection *c) {
    struct load *l = arg;
    struct place *p = c->own;
    if (!p) p = place_of(c), p->phase = PHASE_NEXT;
    for (;;) {
        uint64_t b = p->batch;
        switch (p->phase++) {
        case PHASE_BEFORE:
            if (metadata_when(l, b) == BEFORE) return send_metadata(l, c, b);
            break;
        case PHASE_INGEST: return send_inferences(l, c, b);
        case PHASE_AFTER:
            if (metadata_when(l, b) == AFTER) return send_metadata(l, c, b);
            break;
        case PHASE_LATE:
            if (b >= LATE_BATCHES && metadata_when(l, b - LATE_BATCHES) == LATE)
                return send_metadata(l, c, b - LATE_BATCHES);
            break;
        default:
            p->batch = take(l, 1);
            p->phase = PHASE_BEFORE;
            if (p->batch >= batches(l)) return false;
        }
    }
}

static bool data_accept(void *arg, struct drive_connection *c, const struct answer *a, int64_t latency_us,
                        struct tally *t) {
    struct load *l = arg;
    struct place *p = c->own;
    if (p->ingests) return accept_ingest(p, a, latency_us, t);
    __atomic_fetch_add(&l->attached, p->items, __ATOMIC_RELAXED);
    return is_ok(a);
}

static struct load load_of(const struct options *o) {
    return (struct load){.o = o, .data = {o->seed, o->events, o->end_us}};
}

bool load_data(const struct options *o, struct err *e) {
    static const struct drive_kind kind = {.build = data_build, .accept = data_accept, .endless = true};
    struct load l = load_of(o);
    struct tally t;
    uint64_t resent = 0, which;
    int64_t started = 0;
    if (o->end_us == 0) return err_set(e, ERR_INVALID, "--end is missing");
    for (uint64_t i = 0; i < o->events; i++) resent += data_resent(&l.data, i, &which);
    bool ok = drive(o, &kind, &l, &t, &started, e);
    if (ok && (t.created != o->events || t.unchanged != resent))
        ok = err_set(e, ERR_INVALID,
                     "%" PRIu64 " of %" PRIu64 " were created, %" PRIu64 " of %" PRIu64 " the same again", t.created,
                     o->events, t.unchanged, resent);
    report("data", &l, &t, started, ok);
    tally_free(&t);
    return ok;
}

/* ---- one more field over all of it ---- */

enum { REVIEW_ROWS = 500 };

static bool review_build(void *arg, struct drive_connection *c) {
    struct load *l = arg;
    struct place *p = place_of(c);
    char id[DATA_ID], value[DATA_VALUE];
    c->body.n = p->items = 0;
    buf_addz(&c->body, "{\"data\":[");
    while (!p->items) {
        uint64_t first = take(l, REVIEW_ROWS), last = first + REVIEW_ROWS;
        if (first >= l->data.events) return false;
        for (uint64_t i = first; i < last && i < l->data.events; i++) {
            size_t n = data_review(&l->data, i, value);
            if (!n) continue;
            data_id(l->data.seed, i, id);
            entry(c, id, DATA_REVIEW, value, n);
        }
    }
    buf_addz(&c->body, "]}");
    p->ingests = false;
    request(l, c, "/%s/inference-stats/metadata");
    return true;
}

bool load_review(const struct options *o, struct err *e) {
    static const struct drive_kind kind = {.build = review_build, .accept = data_accept, .endless = true};
    struct load l = load_of(o);
    struct tally t;
    int64_t started = 0;
    bool ok = drive(o, &kind, &l, &t, &started, e);
    report("review", &l, &t, started, ok);
    tally_free(&t);
    return ok;
}

/* ---- W1 ---- */

static bool ingest_build(void *arg, struct drive_connection *c) {
    struct load *l = arg;
    struct place *p = place_of(c);
    struct data_event event;
    uint64_t first = DATA_FRESH + l->o->first + take(l, l->o->items);
    c->body.n = p->items = 0;
    for (uint64_t i = first; i < first + l->o->items; i++) {
        data_event(&l->data, i, &event);
        event.time_us = clock_now_us();
        add_inference(l, c, &event);
    }
    buf_addc(&c->body, ']');
    request(l, c, "/api/v1/%s/inferences");
    return true;
}

static bool ingest_accept(void *arg, struct drive_connection *c, const struct answer *a, int64_t latency_us,
                          struct tally *t) {
    (void)arg;
    return accept_ingest(c->own, a, latency_us, t);
}

bool load_ingest(const struct options *o, struct err *e) {
    const struct drive_kind kind = {.build = ingest_build, .accept = ingest_accept, .items = o->items};
    struct load l = load_of(o);
    struct tally t;
    int64_t started = 0;
    bool ok = drive(o, &kind, &l, &t, &started, e);
    if (ok && t.created != t.items) ok = err_set(e, ERR_INVALID, "%" PRIu64 " of them were not new", t.unchanged);
    report("ingest", &l, &t, started, ok);
    tally_free(&t);
    return ok;
}

/* ---- W2 ---- */

struct attach {
    struct work work;
    uint64_t unsure; /* items without an answer */
};

static void attach_body(struct buf *b, const struct work *w, const struct work_item *items) {
    char value[WORK_VALUE], id[DATA_ID];
    buf_addz(b, "{\"data\":[");
    for (unsigned i = 0; i < w->o->items; i++) {
        bool first = i == 0, last = i + 1 == w->o->items, one = w->o->one_entry;
        if (!first && !one) buf_addc(b, ',');
        buf_addz(b, first || !one ? "{\"inference_ids\":[\"" : "\",\"");
        work_id(w, items[i].place, id);
        buf_add(b, id, sizeof id);
        if (one && !last) continue;
        work_value(items[i].value, value);
        buf_addz(b, "\"],\"field_name\":\"");
        buf_addz(b, work_fields[w->o->cell]);
        buf_addz(b, "\",\"field_value\":\"");
        buf_add(b, value, sizeof value);
        buf_addz(b, "\"}");
    }
    buf_addz(b, "]}");
}

static bool attach_build(void *arg, struct drive_connection *c) {
    struct work *w = &((struct attach *)arg)->work;
    struct place *p = place_of(c);
    char path[128];
    p->cursor.connection = c->number;
    work_next(w, &p->cursor, p->sent);
    if (c->out.n == 0) {
        snprintf(path, sizeof path, "/%s/inference-stats/metadata", w->o->workspace);
        attach_body(&c->body, w, p->sent);
        drive_head(&c->out, "POST", path, w->o->key, c->body.n);
        buf_add_str(&c->out, buf_str(&c->body));
        return true;
    }
    /* All requests of a run are equally long, so the head stays. */
    size_t all = c->out.n;
    c->out.n = (size_t)((char *)memmem(c->out.p, all, "\r\n\r\n", 4) + 4 - c->out.p);
    attach_body(&c->out, w, p->sent);
    CHECK(c->out.n == all);
    return true;
}

static bool attach_accept(void *arg, struct drive_connection *c, const struct answer *a, int64_t latency_us,
                          struct tally *t) {
    struct place *p = c->own;
    if (!is_ok(a)) return false;
    work_acknowledged(&((struct attach *)arg)->work, p->sent, t, latency_us);
    return true;
}

static void attach_unanswered(void *arg, struct drive_connection *c) {
    struct attach *at = arg;
    work_unanswered(&at->work, ((struct place *)c->own)->sent);
    __atomic_fetch_add(&at->unsure, at->work.o->items, __ATOMIC_RELAXED);
}

bool load_attach(const struct options *o, struct err *e) {
    const struct drive_kind kind = {attach_build, attach_accept, attach_unanswered, o->items, false};
    struct attach at = {0};
    struct load l = load_of(o);
    struct tally t;
    int64_t started = 0;
    bool ok = work_init(&at.work, o, e);
    if (!ok) return false;
    ok = drive(o, &kind, &at, &t, &started, e);
    uint64_t known = 0, sum = 0;
    l.attached = t.items;
    if (ok) work_written(&at.work, &known, &l.waiting, &sum);
    if (ok && o->state) ok = work_save(&at.work, e);
    report("attach", &l, &t, started, ok);
    tally_free(&t);
    work_free(&at.work);
    return ok;
}

/* ---- many small workspaces ---- */

enum { SMALL_DAYS = 30, SMALL_HOURS = SMALL_DAYS * 24, SMALL_MINUTES = 60 };

static bool small_build(void *arg, struct drive_connection *c) {
    struct load *l = arg;
    struct place *p = place_of(c);
    struct data_event event;
    char path[128], key[32];
    uint64_t at = take(l, 1), hour = at / l->o->workspaces, workspace = at % l->o->workspaces;
    if (hour >= SMALL_HOURS) return false;
    c->body.n = p->items = 0;
    for (uint64_t i = 0; i < SMALL_MINUTES; i++) {
        uint64_t minute = hour * SMALL_MINUTES + i;
        data_event(&l->data, DATA_FRESH + workspace * 1000000 + minute, &event);
        event.time_us = l->data.end_us - SMALL_DAYS * DATA_DAY + (int64_t)(minute * 60 + workspace % 60) * SECOND;
        add_inference(l, c, &event);
    }
    buf_addc(&c->body, ']');
    snprintf(path, sizeof path, "/api/v1/small-%03u/inferences", (unsigned)workspace);
    snprintf(key, sizeof key, "small-key-%03u", (unsigned)workspace);
    c->out.n = 0;
    drive_head(&c->out, "POST", path, key, c->body.n);
    buf_add_str(&c->out, buf_str(&c->body));
    return true;
}

bool load_small(const struct options *o, struct err *e) {
    static const struct drive_kind kind = {.build = small_build, .accept = ingest_accept, .endless = true};
    struct load l = load_of(o);
    struct tally t;
    int64_t started = 0;
    bool ok = drive(o, &kind, &l, &t, &started, e);
    uint64_t want = (uint64_t)o->workspaces * SMALL_HOURS * SMALL_MINUTES;
    if (ok && t.created != want)
        ok = err_set(e, ERR_INVALID, "%" PRIu64 " of %" PRIu64 " were created", t.created, want);
    report("small", &l, &t, started, ok);
    tally_free(&t);
    return ok;
}
