/* The life of a request, in order: request_step() is called again and again by libmicrohttpd, first when the headers
 * are there, then for each piece of the body, then at its end, and once more whenever a waiting request was woken.
 * headers() routes and refuses, body() collects, handle() runs the handler. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/internal.h"

enum { SLOW_US = 1000 * 1000 };

struct exchange *exchange_new(struct http *h, struct worker *w, struct MHD_Connection *c, const char *target) {
    struct exchange *x = mem_zero(1, sizeof *x);
    x->http = h;
    x->worker = w;
    x->bell = w->bell;
    atomic_fetch_add(&x->bell->refs, 1);
    x->connection = c;
    x->refs = 1;
    x->watched = -1;
    x->r.app = h->config.app;
    x->r.id = h->boot | ++w->next_id;
    x->r.started_us = clock_mono_us();
    struct str text = str_of(target);
    if (text.n > HTTP_MAX_TARGET) {
        x->refused = 414;
        err_set(&x->refusal, ERR_INVALID, "the request target has %zu bytes, the most is %d", text.n, HTTP_MAX_TARGET);
        text.n = 100; /* enough for the log */
    }
    x->r.path = (struct str){arena_copy(&x->r.arena, text.p, text.n), text.n};
    return x;
}

void exchange_unref(struct exchange *x) {
    if (atomic_fetch_sub(&x->refs, 1) > 1) return;
    if (x->r.cleanup) x->r.cleanup(&x->r);
    if (x->watched >= 0) close(x->watched);
    arena_free(&x->r.arena);
    buf_free(&x->r.out);
    body_free(&x->body);
    body_free(&x->unpacked);
    bell_unref(x->bell);
    free(x);
}

void request_counted(struct exchange *x) {
    const struct http_config *c = &x->http->config;
    size_t route = x->r.route ? (size_t)(x->r.route - c->routes) : c->route_count;
    if (x->status < 200 || x->status > 599) return; /* what another server said, passed on */
    tally_count(x->worker->tally, route, x->status, clock_mono_us() - x->r.started_us);
}

static bool refuse(struct exchange *x, int status) {
    if (!x->refused) x->refused = status ? status : err_status(x->refusal.code);
    return false;
}

static bool route(struct exchange *x) {
    struct request *r = &x->r;
    const struct http_config *c = &x->http->config;
    int status;
    r->route = route_find(c->routes, c->route_count, r->method, r->segments, r->segment_count, &status, x->allow,
                          sizeof x->allow);
    if (r->route) {
        x->cors = r->route->cors;
        if (r->route->spool) x->body.spool = x->unpacked.spool = c->spool;
        route_params(r);
        return true;
    }
    if (str_is(r->method, "OPTIONS") && status == 405) {
        struct str wanted = request_header(r, "Access-Control-Request-Method");
        char allow[HTTP_ALLOW_SIZE];
        const struct route *asked = route_find(c->routes, c->route_count, wanted.n ? wanted : STR("GET"), r->segments,
                                               r->segment_count, &status, allow, sizeof allow);
        x->cors = asked ? asked->cors : CORS_NONE;
        return refuse(x, 204);
    }
    if (status == 405)
        err_set(&x->refusal, ERR_METHOD, "this path takes %s", x->allow);
    else
        err_set(&x->refusal, ERR_NOT_FOUND, HTTP_NO_PATH);
    return refuse(x, 0);
}

static void rewrite(struct exchange *x) {
    struct str target;
    bool (*rewriter)(struct request *, struct str *, struct err *) = x->http->config.rewrite;
    x->refusal.code = ERR_NONE;
    if (x->refused || !rewriter) return;
    if (rewriter(&x->r, &target, &x->refusal) ? !url_parse(&x->r, target, &x->refusal) : x->refusal.code != ERR_NONE)
        refuse(x, 0);
}

static size_t body_limit(const struct exchange *x) {
    return x->refused || x->r.route->max_body == 0 ? HTTP_DRAIN : x->r.route->max_body;
}

static bool too_large(struct exchange *x) {
    if (!x->refused) err_set(&x->refusal, ERR_TOO_LARGE, "the body has more than %zu bytes, the most for this path: send it in parts", body_limit(x));
    return refuse(x, 0);
}

static enum MHD_Result count_lengths(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value) {
    (void)kind, (void)value;
    if (str_eq_nocase(str_of(name), STR("Content-Length"))) ++*(unsigned *)ctx;
    return MHD_YES;
}

/* Transfer-Encoding and Content-Length, against the limit. Two lengths, or a length beside chunks, are refused: a proxy
 * in front may have believed the other one (RFC 9112, 6.3). */
static bool framing(struct exchange *x) {
    struct str encoding = request_header(&x->r, "Transfer-Encoding"), length = request_header(&x->r, "Content-Length");
    unsigned long long n = 0;
    unsigned lengths = 0;
    x->chunked = encoding.n > 0;
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, count_lengths, &lengths);
    if (lengths + x->chunked > 1) {
        err_set(&x->refusal, ERR_INVALID, "a request has one Content-Length, or is chunked");
        x->refused = err_status(ERR_INVALID);
        return false;
    }
    if (x->chunked && !str_eq_nocase(encoding, STR("chunked"))) {
        err_set(&x->refusal, ERR_NOT_IMPLEMENTED, "Transfer-Encoding must be chunked");
        return refuse(x, 0);
    }
    if (length.p && !str_to_u64(length, &n)) return too_large(x); /* what is no number was refused before */
    if (n > body_limit(x)) return too_large(x);
    if (!x->refused && x->r.route->max_body) body_expect(&x->body, n);
    return true;
}

/* The body is not read to its end. libmicrohttpd takes no answer in the middle of a body, so it is written here, and
 * the connection is closed in a way that lets the client read it. */
static enum MHD_Result cut(struct exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct buf answer = {0};
    x->stage = STAGE_ANSWERED;
    respond_raw(x, &answer);
    request_counted(x);
    ssize_t n = send(info->connect_fd, answer.p, answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) closer_add(x->http->closer, dup(info->connect_fd));
    buf_free(&answer);
    return MHD_NO;
}

static enum MHD_Result headers(struct exchange *x, const char *method) {
    struct request *r = &x->r;
    struct str target = r->path;
    r->method = (struct str){arena_copy(&r->arena, method, strlen(method)), strlen(method)};
    const union MHD_ConnectionInfo *context =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct str peer = str_of(context->socket_context);
    r->peer = (struct str){arena_copy(&r->arena, peer.p, peer.n), peer.n};
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    x->stage = STAGE_BODY;
    if (!x->refused && size && size->header_size > HTTP_MAX_HEADERS) {
        err_set(&x->refusal, ERR_INVALID, "the headers have %zu bytes, the most is %d", size->header_size,
                HTTP_MAX_HEADERS);
        refuse(x, 431);
    }
    if (!url_parse(r, target, &x->refusal)) refuse(x, 0);
    rewrite(x);
    if (!x->refused) route(x);
    return framing(x) ? MHD_YES : cut(x);
}

static enum MHD_Result body(struct exchange *x, const char *data, size_t *size) {
    size_t n = *size;
    *size = 0;
    bool wanted = !x->refused && x->r.route->max_body;
    if ((wanted ? x->body.n : x->dropped) + n > body_limit(x)) {
        too_large(x);
        return cut(x);
    }
    if (!wanted)
        x->dropped += n;
    else if (!body_add(&x->body, data, n, &x->refusal))
        return refuse(x, 0), cut(x);
    return MHD_YES;
}

static bool unpack(struct exchange *x) {
    struct str encoding = request_header(&x->r, "Content-Encoding");
    if (x->body.n == 0 || encoding.n == 0 || x->r.route->packed || str_eq_nocase(encoding, STR("identity")))
        return body_whole(&x->body, &x->r.body, &x->refusal) || refuse(x, 0);
    if (!str_eq_nocase(encoding, STR("gzip")) && !str_eq_nocase(encoding, STR("x-gzip"))) {
        err_set(&x->refusal, ERR_UNSUPPORTED, "Content-Encoding must be gzip or identity");
        return refuse(x, 0);
    }
    if (!gzip_unpack(&x->body, body_limit(x), &x->unpacked, &x->refusal)) return refuse(x, 0);
    body_free(&x->body);
    return body_whole(&x->unpacked, &x->r.body, &x->refusal) || refuse(x, 0);
}

static void answer_refusal(struct exchange *x) {
    struct request *r = &x->r;
    if (x->refused == 405 || x->refused == 204) respond_header(r, "Allow", x->allow);
    if (x->refused == 415) respond_header(r, "Accept-Encoding", "gzip, identity");
    if (x->refused != 204) {
        respond_refusal(x);
        return;
    }
    if (x->cors == CORS_ANY) {
        respond_header(r, "Access-Control-Allow-Methods", x->allow);
        /* "*" is any other, but never Authorization (Fetch, 4.9). */
        respond_header(r, "Access-Control-Allow-Headers", "*, Authorization, Content-Type, Content-Encoding");
        respond_header(r, "Access-Control-Max-Age", "86400");
    }
    respond_empty(r, 204);
}

/* Runs a handler, or what it left for after its wait. False when the server is closing and nothing starts any more.
 * `busy` goes up before `closing` is looked at, and http_stop does it the other way round: one of them sees the other.
 */
static bool handle(struct exchange *x, request_handler *run) {
    struct worker *w = x->worker;
    atomic_store(&w->busy, true);
    bool start = !atomic_load(&x->http->closing);
    if (start) {
        x->then = NULL;
        run(&x->r);
        CHECK((x->stage == STAGE_ANSWERED) != (x->then != NULL) && "a handler answers or waits, one of them");
    }
    atomic_store(&w->busy, false);
    return start;
}

void request_body_passed(const struct request *r, const char *to) {
    const struct exchange *x = (const struct exchange *)r;
    body_passed(x->unpacked.map ? &x->unpacked : &x->body, to);
}

static bool end_wait(struct exchange *x) {
    bool waited = x->suspended;
    x->suspended = false;
    if (waited) atomic_fetch_sub(&x->worker->suspended, 1);
    return waited;
}

enum MHD_Result request_step(struct exchange *x, const char *method, const char *data, size_t *data_size) {
    switch (x->stage) {
    case STAGE_HEADERS: return headers(x, method);
    case STAGE_BODY:
        if (*data_size) return body(x, data, data_size);
        x->stage = STAGE_HANDLER;
        if (x->refused || !unpack(x)) {
            answer_refusal(x);
            return MHD_YES;
        }
        return handle(x, x->r.route->run) ? MHD_YES : MHD_NO;
    case STAGE_HANDLER:
        if (!end_wait(x)) return MHD_NO;
        if (atomic_load(&x->state) == ABANDONED) return MHD_NO;
        atomic_store(&x->state, RUNNING);
        return handle(x, x->then) ? MHD_YES : MHD_NO;
    case STAGE_ANSWERED: return MHD_YES;
    }
    return MHD_NO;
}

void request_wait(struct request *r, request_handler *then) {
    struct exchange *x = (struct exchange *)r;
    CHECK(x->stage == STAGE_HANDLER && atomic_load(&x->state) == RUNNING && then);
    x->then = then;
    x->suspended = true;
    atomic_fetch_add(&x->worker->suspended, 1);
    atomic_fetch_add(&x->refs, 1);
    MHD_suspend_connection(x->connection);
    atomic_store(&x->state, WAITING);
}

void request_wake(struct request *r) {
    struct exchange *x = (struct exchange *)r;
    enum wait_state was = WAITING;
    struct MHD_Connection *connection = x->connection;
    /* Once the state is WOKEN only resuming brings the connection on, so it is there until then. */
    if (atomic_compare_exchange_strong(&x->state, &was, WOKEN)) {
        MHD_resume_connection(connection);
        bell_ring(x->bell);
    } else {
        CHECK(was == ABANDONED);
    }
    exchange_unref(x);
}

/* libmicrohttpd does not look at a connection that is suspended. */
void request_watch(struct request *r) {
    struct exchange *x = (struct exchange *)r;
    CHECK(x->stage == STAGE_HANDLER && atomic_load(&x->state) == RUNNING);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (x->watched < 0 && info) x->watched = fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0);
}

bool request_gone(const struct request *r) {
    const struct exchange *x = (const struct exchange *)r;
    struct pollfd connection = {.fd = x->watched, .events = POLLRDHUP};
    if (atomic_load(&x->state) == ABANDONED) return true;
    return x->watched >= 0 && poll(&connection, 1, 0) > 0;
}

/* A client that went away while its request waited may be found gone before the handler has its second turn. */
void request_over(struct exchange *x) {
    end_wait(x);
    int64_t took = clock_mono_us() - x->r.started_us;
    char path[LOG_QUOTE];
    /* Until the headers were there it is the whole target, and a key may be in the query. */
    struct str logged, query;
    str_cut(x->r.path, '?', &logged, &query);
    log_event(took >= SLOW_US ? LOG_INFO : LOG_DEBUG, took >= SLOW_US ? "slow_request" : "request",
              "request=%016" PRIx64 " peer=" STR_FMT " method=" STR_FMT " path=%s status=%d sent=%zu ms=%.1f", x->r.id,
              STR_ARG(x->r.peer), STR_ARG(x->r.method), log_quote(path, logged), x->status, x->sent,
              (double)took / 1000);
    exchange_unref(x);
}
