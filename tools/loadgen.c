/* A closed-loop load generator for 127.0.0.1: each connection sends its next request when the last one was answered.
 *
 *   loadgen ingest   --ids inferences through POST /api/v1/:workspace/inferences, --items a request (at most 100)
 *   loadgen w2       attaches through POST /:workspace/inference-stats/metadata, as bench/work.h tells
 *   loadgen check    looks through the server's API for what the w2 run that wrote --state was promised
 *
 * An answer counts when it is a 200 with the body that the route promises. Anything else ends the run as failed. A run
 * stops sending at its time or request limit and then waits for the answers still owed, so that what was acknowledged
 * is known exactly. Prints one JSON line; exit status 0 only when nothing failed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "client.h"
#include "work.h"

enum { ANSWER_LIMIT_S = 30 };

struct connection {
    int fd;
    bool waiting, writable_wanted;
    struct work_cursor cursor;
    struct work_item items[WORK_MAX_ITEMS];
    struct buf out, in;
    size_t sent;
    int64_t sent_us;
};

/* One of the two kinds of run: fills c->out with the next request, false when there is none; and judges an answer. */
struct run;
struct kind {
    bool (*build)(struct run *r, struct connection *c);
    bool (*accept)(struct run *r, struct connection *c, const struct answer *a);
};

struct run {
    struct work *work;
    const struct kind *kind;
    struct sockaddr_in to;
    uint32_t next_id;     /* ingest: taken by all threads, atomically */
    uint64_t left;        /* requests that may still be sent, taken atomically */
    int64_t started_us, stop_us;
    bool failed; /* set by any thread, makes all stop */
};

struct worker {
    struct run *run;
    pthread_t thread;
    unsigned first;
    struct work_tally tally;
    struct connection *connections;
    unsigned count, waiting;
    int epoll;
    struct err error;
};

static bool fail(struct worker *w, const char *what, struct str detail) {
    err_set(&w->error, ERR_IO, "%s: %.*s", what, (int)(detail.n < 200 ? detail.n : 200), detail.p ? detail.p : "");
    __atomic_store_n(&w->run->failed, true, __ATOMIC_RELAXED);
    return false;
}

static void head(struct connection *c, const struct work *w, const char *path, bool bearer, size_t body) {
    buf_printf(&c->out, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n", path);
    if (bearer) buf_printf(&c->out, "Authorization: Bearer %s\r\n", w->o.key);
    buf_printf(&c->out, "Content-Length: %zu\r\n\r\n", body);
}

/* The body of an attach in pieces, between which ids and values are put. */
static const struct str before_ids = STR("{\"inference_ids\":[\""), between_ids = STR("\",\""),
                        before_value = STR("\"],\"field_name\":\"" WORK_FIELD "\",\"field_value\":\""),
                        after_value = STR("\"}");

static void attach_body(struct buf *b, const struct work *w, const struct work_item *items) {
    char value[WORK_VALUE];
    buf_addc(b, '{');
    if (w->o.body_key) buf_printf(b, "\"api_key\":\"%s\",", w->o.key);
    buf_addz(b, "\"data\":[");
    for (unsigned i = 0; i < w->o.items; i++) {
        bool first = i == 0, last = i + 1 == w->o.items, one = w->o.one_entry;
        if (!first && !one) buf_addc(b, ',');
        buf_add_str(b, first || !one ? before_ids : between_ids);
        buf_add(b, w->ids[items[i].number], WORK_ID);
        if (one && !last) continue;
        work_value(items[i].value, value);
        buf_add_str(b, before_value);
        buf_add(b, value, sizeof value);
        buf_add_str(b, after_value);
    }
    buf_addz(b, "]}");
}

static bool w2_build(struct run *r, struct connection *c) {
    const struct work *w = r->work;
    char path[256];
    work_next(w, &c->cursor, c->items);
    if (c->out.n == 0) {
        snprintf(path, sizeof path, "/%s/inference-stats/metadata", w->o.workspace);
        struct buf body = {0};
        attach_body(&body, w, c->items);
        head(c, w, path, !w->o.body_key, body.n);
        buf_add(&c->out, body.p, body.n);
        buf_free(&body);
        return true;
    }
    /* All requests of a run are equally long, so the head stays. */
    size_t all = c->out.n;
    c->out.n = (size_t)((char *)memmem(c->out.p, all, "\r\n\r\n", 4) + 4 - c->out.p);
    attach_body(&c->out, w, c->items);
    CHECK(c->out.n == all);
    return true;
}

static bool w2_accept(struct run *r, struct connection *c, const struct answer *a) {
    (void)r, (void)c;
    struct str body = str_trim(a->body);
    return a->status == 200 && (str_is(body, "{\"status\":\"ok\"}") || str_is(body, "{\"status\": \"ok\"}"));
}

static bool ingest_build(struct run *r, struct connection *c) {
    struct work *w = r->work;
    uint32_t first = __atomic_fetch_add(&r->next_id, w->o.items, __ATOMIC_RELAXED);
    if (first >= w->o.known) return false;
    char path[256];
    struct buf body = {0};
    buf_addc(&body, '[');
    c->cursor.at = 0;
    for (uint32_t i = first; i < w->o.known && i < first + w->o.items; i++, c->cursor.at++)
        work_event(&body, w, i, clock_now_us());
    buf_addc(&body, ']');
    snprintf(path, sizeof path, "/api/v1/%s/inferences", w->o.workspace);
    c->out.n = 0;
    head(c, w, path, true, body.n);
    buf_add(&c->out, body.p, body.n);
    buf_free(&body);
    return true;
}

static bool ingest_accept(struct run *r, struct connection *c, const struct answer *a) {
    (void)r;
    static const struct str created = STR("\"created\"");
    uint64_t seen = 0;
    const char *p = a->body.p, *end = p + a->body.n;
    for (; (p = memmem(p, (size_t)(end - p), created.p, created.n)); p += created.n) seen++;
    return a->status == 200 && seen == c->cursor.at;
}

static const struct kind w2_kind = {w2_build, w2_accept}, ingest_kind = {ingest_build, ingest_accept};

static bool take_one(uint64_t *left) {
    uint64_t had = __atomic_load_n(left, __ATOMIC_RELAXED);
    while (had && !__atomic_compare_exchange_n(left, &had, had - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
    return had > 0;
}

static bool want_writable(struct worker *w, struct connection *c, bool wanted) {
    if (c->writable_wanted == wanted) return true;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) return fail(w, "epoll_ctl", str_of(strerror(errno)));
    c->writable_wanted = wanted;
    return true;
}

static bool send_rest(struct worker *w, struct connection *c) {
    while (c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return want_writable(w, c, true);
        if (n < 0) return fail(w, "not sent", str_of(strerror(errno)));
        c->sent += (size_t)n;
    }
    return want_writable(w, c, false);
}

static bool send_next(struct worker *w, struct connection *c) {
    struct run *r = w->run;
    int64_t now = clock_mono_us();
    c->waiting = false;
    if (now >= r->stop_us || __atomic_load_n(&r->failed, __ATOMIC_RELAXED) || !take_one(&r->left)) return true;
    if (!r->kind->build(r, c)) return true;
    c->sent = 0;
    c->waiting = true;
    c->sent_us = clock_mono_us();
    w->waiting++;
    return send_rest(w, c);
}

static void acknowledged(struct worker *w, struct connection *c) {
    w->tally.ended_us = clock_mono_us();
    int64_t latency = w->tally.ended_us - c->sent_us;
    if (w->run->kind == &w2_kind) {
        work_acknowledged(w->run->work, c->items, &w->tally, latency);
        return;
    }
    w->tally.requests++;
    w->tally.items += c->cursor.at;
    uint32_t us = latency < WORK_LATENCY ? (uint32_t)latency : WORK_LATENCY - 1;
    w->tally.latency[us]++;
    if (us > w->tally.slowest_us) w->tally.slowest_us = us;
}

static bool receive(struct worker *w, struct connection *c) {
    enum { PIECE = 16384 };
    buf_reserve(&c->in, PIECE);
    ssize_t n = recv(c->fd, c->in.p + c->in.n, PIECE, 0);
    if (n < 0 && errno == EAGAIN) return true;
    if (n < 0) return fail(w, "no answer", str_of(strerror(errno)));
    if (n == 0) return fail(w, "the server closed a connection", buf_str(&c->in));
    c->in.n += (size_t)n;
    struct answer a;
    enum client_parsed parsed = client_parse(buf_str(&c->in), &a);
    if (parsed == CLIENT_MORE) return true;
    if (parsed == CLIENT_BROKEN || !c->waiting || a.size != c->in.n) return fail(w, "not an answer", buf_str(&c->in));
    if (!w->run->kind->accept(w->run, c, &a)) return fail(w, "a wrong answer", buf_str(&c->in));
    acknowledged(w, c);
    w->waiting--;
    c->in.n = 0;
    return send_next(w, c);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct epoll_event events[128];
    bool ok = true;
    for (unsigned i = 0; ok && i < w->count; i++) ok = send_next(w, &w->connections[i]);
    while (ok && w->waiting) {
        int n = epoll_wait(w->epoll, events, 128, ANSWER_LIMIT_S * 1000);
        if (n == 0) ok = fail(w, "no answer", STR("for 30 s"));
        for (int i = 0; ok && i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) ok = send_rest(w, c);
            if (ok && events[i].events & ~(uint32_t)EPOLLOUT) ok = receive(w, c);
        }
    }
    return NULL;
}

static bool worker_open(struct worker *w, struct run *r, unsigned first, struct err *e) {
    const struct work_options *o = &r->work->o;
    *w = (struct worker){.run = r, .first = first};
    work_tally_init(&w->tally);
    w->count = (o->connections - first + o->threads - 1) / o->threads;
    w->connections = mem_zero(w->count, sizeof *w->connections);
    for (unsigned i = 0; i < w->count; i++) w->connections[i].fd = -1;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0) return err_errno(e, "epoll_create1");
    for (unsigned i = 0; i < w->count; i++) {
        struct connection *c = &w->connections[i];
        c->cursor.connection = first + i * o->threads;
        if ((c->fd = client_connect(&r->to, e)) < 0) return false;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            return err_errno(e, "epoll_ctl");
    }
    return true;
}

static void worker_close(struct worker *w) {
    for (unsigned i = 0; i < w->count; i++) {
        if (w->connections[i].fd >= 0) close(w->connections[i].fd);
        buf_free(&w->connections[i].in);
        buf_free(&w->connections[i].out);
    }
    if (w->epoll >= 0) close(w->epoll);
    free(w->connections);
    work_tally_free(&w->tally);
}

static bool generate(struct work *work, const struct kind *kind, const char *name, struct err *e) {
    struct run r = {.work = work, .kind = kind, .left = work->o.requests ? work->o.requests : UINT64_MAX};
    unsigned threads = work->o.threads < work->o.connections ? work->o.threads : work->o.connections, opened = 0;
    work->o.threads = threads;
    if (!client_address(work->o.url, &r.to, e)) return false;
    struct worker *workers = mem_zero(threads, sizeof *workers);
    struct work_tally all;
    work_tally_init(&all);
    bool ok = true;
    while (ok && opened < threads) ok = worker_open(&workers[opened], &r, opened, e), opened++;
    if (ok) {
        r.started_us = clock_mono_us();
        r.stop_us = kind == &ingest_kind ? INT64_MAX : r.started_us + (int64_t)(work->o.seconds * 1e6);
        for (unsigned i = 0; i < threads; i++)
            CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
        for (unsigned i = 0; i < threads; i++) {
            CHECK(pthread_join(workers[i].thread, NULL) == 0);
            work_tally_add(&all, &workers[i].tally);
            if (ok && workers[i].error.code) ok = false, *e = workers[i].error;
        }
        if (ok && kind == &ingest_kind && all.items != work->o.known)
            ok = err_set(e, ERR_IO, "%llu of %u were acknowledged", (unsigned long long)all.items, work->o.known);
        work_report(work, name, &all, r.started_us, !ok);
        if (ok && kind == &w2_kind && work->o.state) ok = work_save(work, &all, e);
    }
    for (unsigned i = 0; i < opened; i++) worker_close(&workers[i]);
    free(workers);
    work_tally_free(&all);
    return ok;
}

int main(int argc, char **argv) {
    struct work_options o;
    struct work w = {0};
    struct err e = {0};
    const char *what = argc > 1 ? argv[1] : "";
    bool ok = work_options_read(&o, argc, argv, &e) && work_init(&w, &o, &e);
    if (ok && !strcmp(what, "ingest")) ok = generate(&w, &ingest_kind, what, &e);
    else if (ok && !strcmp(what, "w2")) ok = generate(&w, &w2_kind, what, &e);
    else if (ok && !strcmp(what, "check")) ok = check_server(&w, &e);
    else if (ok) ok = err_set(&e, ERR_INVALID, "want ingest, w2 or check; --help lists the options");
    if (!ok) fprintf(stderr, "loadgen: %s\n", e.msg);
    work_free(&w);
    return ok ? 0 : 1;
}
