#include "drive.h"

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

enum { ANSWER_LIMIT_S = 60, AGAIN_US = 20000 };

struct run {
    const struct options *o;
    const struct drive_kind *kind;
    void *arg;
    struct sockaddr_in to;
    unsigned threads;
    uint64_t left; /* requests that may still be sent, taken atomically */
    int64_t started_us, stop_us;
    bool ended; /* set by any thread, makes all stop sending */
};

struct worker {
    struct run *run;
    pthread_t thread;
    struct tally tally;
    struct drive_connection *connections;
    unsigned count, waiting;
    struct drive_connection **idle; /* with a rate: those whose turn has not come */
    unsigned idle_count;
    struct drive_connection **refused; /* those told to come again: their request is sent once more */
    unsigned refused_count;
    uint64_t due; /* requests that were due so far */
    bool done;    /* nothing more to send */
    int epoll;
    struct err error;
};

void drive_head(struct buf *to, const char *method, const char *path, const char *key, size_t body) {
    buf_printf(to, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n", method, path, key);
    buf_printf(to, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body);
}

static void end(struct run *r) { __atomic_store_n(&r->ended, true, __ATOMIC_RELAXED); }

static bool fail(struct worker *w, const char *what, struct str detail) {
    err_set(&w->error, ERR_IO, "%s: %.*s", what, (int)(detail.n < 300 ? detail.n : 300), detail.p ? detail.p : "");
    end(w->run);
    return false;
}

/* The server is gone: with until_closed that is how the run ends. */
static bool closed(struct worker *w, struct drive_connection *c, const char *why) {
    if (!w->run->o->until_closed) return fail(w, why, buf_str(&c->in));
    if (c->waiting) {
        w->waiting--;
        if (w->run->kind->unanswered) w->run->kind->unanswered(w->run->arg, c);
    }
    c->waiting = false;
    c->gone = true;
    CHECK(epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL) == 0);
    end(w->run);
    return true;
}

static bool take_one(uint64_t *left) {
    uint64_t had = __atomic_load_n(left, __ATOMIC_RELAXED);
    while (had && !__atomic_compare_exchange_n(left, &had, had - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
    return had > 0;
}

static bool want_writable(struct worker *w, struct drive_connection *c, bool wanted) {
    if (c->writable_wanted == wanted) return true;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) return fail(w, "epoll_ctl", str_of(strerror(errno)));
    c->writable_wanted = wanted;
    return true;
}

static bool send_rest(struct worker *w, struct drive_connection *c) {
    while (c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return want_writable(w, c, true);
        if (n < 0) return closed(w, c, strerror(errno));
        c->sent += (size_t)n;
    }
    return want_writable(w, c, false);
}

static bool may_send(struct worker *w, int64_t now) {
    struct run *r = w->run;
    w->done = w->done || now >= r->stop_us || __atomic_load_n(&r->ended, __ATOMIC_RELAXED) || !take_one(&r->left);
    return !w->done;
}

static bool send_now(struct worker *w, struct drive_connection *c, int64_t due_us) {
    if (!w->run->kind->build(w->run->arg, c)) { /* the server may close it while others have much to send */
        c->gone = true;
        CHECK(epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL) == 0);
        return true;
    }
    c->sent = 0;
    c->waiting = true;
    c->sent_us = due_us ? due_us : clock_mono_us();
    w->tally.bytes += c->out.n;
    w->waiting++;
    return send_rest(w, c);
}

/* When this thread's next request is due. */
static int64_t due_us(const struct worker *w) {
    const struct run *r = w->run;
    double each_us = 1e6 * r->kind->items / r->o->rate * r->threads;
    return r->started_us + (int64_t)(each_us * (double)w->due);
}

static bool send_next(struct worker *w, struct drive_connection *c) {
    if (w->run->o->rate > 0)
        w->idle[w->idle_count++] = c;
    else if (may_send(w, clock_mono_us()))
        return send_now(w, c, 0);
    return true;
}

static bool send_again(struct worker *w, int64_t now, int64_t *wait_us) {
    for (unsigned i = 0; i < w->refused_count;) {
        struct drive_connection *c = w->refused[i];
        if (c->again_us > now) {
            if (c->again_us - now < *wait_us) *wait_us = c->again_us - now;
            i++;
            continue;
        }
        w->refused[i] = w->refused[--w->refused_count];
        c->sent = 0;
        if (!c->gone && !send_rest(w, c)) return false;
    }
    return true;
}

/* Sends what has become due; *wait_us: until when nothing more is. */
static bool send_due(struct worker *w, int64_t *wait_us) {
    int64_t now = clock_mono_us();
    *wait_us = (int64_t)ANSWER_LIMIT_S * 1000000;
    if (!send_again(w, now, wait_us)) return false;
    while (w->run->o->rate > 0 && w->idle_count && !w->done) {
        int64_t due = due_us(w);
        if (due > now && now < w->run->stop_us) {
            if (due - now < *wait_us) *wait_us = due - now;
            break;
        }
        if (!may_send(w, now)) break;
        w->due++;
        if (!send_now(w, w->idle[--w->idle_count], due)) return false;
    }
    return true;
}

static bool receive(struct worker *w, struct drive_connection *c) {
    enum { PIECE = 65536 };
    buf_reserve(&c->in, PIECE);
    ssize_t n = recv(c->fd, c->in.p + c->in.n, PIECE, 0);
    if (n < 0 && errno == EAGAIN) return true;
    if (n < 0) return closed(w, c, strerror(errno));
    if (n == 0) return closed(w, c, "the server closed a connection");
    c->in.n += (size_t)n;
    struct answer a;
    enum client_parsed parsed = client_parse(buf_str(&c->in), &a);
    if (parsed == CLIENT_MORE) return true;
    if (parsed == CLIENT_BROKEN || !c->waiting || a.size != c->in.n) return fail(w, "not an answer", buf_str(&c->in));
    int64_t now = clock_mono_us();
    w->tally.ended_us = now;
    if (a.status == 503) {
        w->tally.refused++;
        c->again_us = now + AGAIN_US;
        c->in.n = 0;
        w->refused[w->refused_count++] = c;
        return true;
    }
    if (!w->run->kind->accept(w->run->arg, c, &a, now - c->sent_us, &w->tally))
        return fail(w, "a wrong answer", buf_str(&c->in));
    c->waiting = false;
    w->waiting--;
    c->in.n = 0;
    return send_next(w, c);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct epoll_event events[128];
    int64_t wait_us;
    bool ok = true;
    for (unsigned i = 0; ok && i < w->count; i++) ok = send_next(w, &w->connections[i]);
    while (ok && (ok = send_due(w, &wait_us)) && (w->waiting || !w->done) && (w->waiting || w->idle_count)) {
        struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
        int n = epoll_pwait2(w->epoll, events, 128, &wait, NULL);
        if (n == 0 && wait_us >= (int64_t)ANSWER_LIMIT_S * 1000000) ok = fail(w, "no answer", STR("for 60 s"));
        for (int i = 0; ok && i < n; i++) {
            struct drive_connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) ok = send_rest(w, c);
            if (ok && !c->gone && events[i].events & ~(uint32_t)EPOLLOUT) ok = receive(w, c);
        }
    }
    return NULL;
}

static bool worker_open(struct worker *w, struct run *r, unsigned first, struct err *e) {
    const struct options *o = r->o;
    *w = (struct worker){.run = r};
    tally_init(&w->tally);
    w->count = (o->connections - first + r->threads - 1) / r->threads;
    w->connections = mem_zero(w->count, sizeof *w->connections);
    w->idle = mem_zero(w->count, sizeof *w->idle);
    w->refused = mem_zero(w->count, sizeof *w->refused);
    for (unsigned i = 0; i < w->count; i++) w->connections[i].fd = -1;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0) return err_errno(e, "epoll_create1");
    for (unsigned i = 0; i < w->count; i++) {
        struct drive_connection *c = &w->connections[i];
        c->number = first + i * r->threads;
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
        buf_free(&w->connections[i].body);
        free(w->connections[i].own);
    }
    if (w->epoll >= 0) close(w->epoll);
    free(w->connections);
    free(w->idle);
    free(w->refused);
    tally_free(&w->tally);
}

bool drive(const struct options *o, const struct drive_kind *kind, void *arg, struct tally *tally, int64_t *started_us,
           struct err *e) {
    struct run r = {.o = o, .kind = kind, .arg = arg, .left = o->requests ? o->requests : UINT64_MAX};
    r.threads = o->threads < o->connections ? o->threads : o->connections;
    tally_init(tally);
    if (!client_address(o->url, &r.to, e)) return false;
    struct worker *workers = mem_zero(r.threads, sizeof *workers);
    unsigned opened = 0;
    bool ok = true;
    while (ok && opened < r.threads) ok = worker_open(&workers[opened], &r, opened, e), opened++;
    if (ok) {
        *started_us = r.started_us = clock_mono_us();
        r.stop_us = kind->endless ? INT64_MAX : r.started_us + (int64_t)(o->seconds * 1e6);
        for (unsigned i = 0; i < r.threads; i++)
            CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
        for (unsigned i = 0; i < r.threads; i++) {
            CHECK(pthread_join(workers[i].thread, NULL) == 0);
            tally_add(tally, &workers[i].tally);
            if (ok && workers[i].error.code) ok = false, *e = workers[i].error;
        }
    }
    for (unsigned i = 0; i < opened; i++) worker_close(&workers[i]);
    free(workers);
    return ok;
}
