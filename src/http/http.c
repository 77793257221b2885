#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/internal.h"

/* A connection's memory holds its request line, headers and parsed query. libmicrohttpd wipes all of it after each
 * request, so it is no larger than it must be. */
enum { CONNECTION_MEMORY = 32 << 10, BACKLOG = 511 };

/* --- callbacks of libmicrohttpd, all on a worker thread --- */

static void *on_request_line(void *arg, const char *target, struct MHD_Connection *connection) {
    struct worker *w = arg;
    struct exchange *x = exchange_new(w->http, w, connection, target);
    pthread_mutex_lock(&w->lock);
    x->next = w->live;
    if (w->live) w->live->prev = x;
    w->live = x;
    pthread_mutex_unlock(&w->lock);
    return x;
}

static enum MHD_Result on_data(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                               const char *version, const char *data, size_t *data_size, void **context) {
    (void)arg, (void)connection, (void)url, (void)version;
    return request_step(*context, method, data, data_size);
}

static void on_over(void *arg, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode how) {
    (void)arg, (void)connection, (void)how;
    struct exchange *x = *context;
    if (!x) return;
    struct worker *w = x->worker;
    pthread_mutex_lock(&w->lock);
    if (x->next) x->next->prev = x->prev;
    if (x->prev)
        x->prev->next = x->next;
    else
        w->live = x->next;
    pthread_mutex_unlock(&w->lock);
    *context = NULL;
    request_over(x);
}

/* The address text of a client is made once a connection. */
static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode how) {
    struct worker *w = arg;
    if (how == MHD_CONNECTION_NOTIFY_CLOSED) {
        atomic_fetch_sub(&w->open, 1);
        free(*context);
        *context = NULL;
        return;
    }
    char *text = mem_zero(1, INET6_ADDRSTRLEN);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (address && address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, INET6_ADDRSTRLEN);
    else if (address && address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, INET6_ADDRSTRLEN);
    *context = text;
}

/* url.c decodes, so that an encoded '/' stays inside its segment. */
static size_t keep_encoded(void *arg, struct MHD_Connection *connection, char *text) {
    (void)arg, (void)connection;
    return strlen(text);
}

static void on_log(void *arg, const char *fmt, va_list ap) {
    (void)arg;
    char text[300], quoted[LOG_QUOTE];
    vsnprintf(text, sizeof text, fmt, ap);
    log_event(LOG_DEBUG, "http", "what=%s", log_quote(quoted, str_trim(str_of(text))));
}

/* --- reading requests --- */

static const char *request_value(const struct request *r, enum MHD_ValueKind kind, const char *name, size_t *n) {
    const char *value = NULL;
    struct MHD_Connection *connection = ((const struct exchange *)r)->connection;
    return MHD_lookup_connection_value_n(connection, kind, name, strlen(name), &value, n) == MHD_YES ? value : NULL;
}

struct str request_header(const struct request *r, const char *name) {
    size_t n = 0;
    const char *value = request_value(r, MHD_HEADER_KIND, name, &n);
    return (struct str){value, value ? n : 0};
}

struct str request_cookie(const struct request *r, const char *name) {
    size_t n = 0;
    const char *value = request_value(r, MHD_COOKIE_KIND, name, &n);
    return (struct str){value, value ? n : 0};
}

struct headers {
    struct request *r;
    struct pair *list;
    size_t count;
};

static enum MHD_Result add_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value) {
    struct headers *all = ctx;
    struct str n = str_of(name), v = str_of(value);
    (void)kind;
    all->list[all->count++] = (struct pair){{arena_copy(&all->r->arena, n.p, n.n), n.n},
                                            {v.n ? arena_copy(&all->r->arena, v.p, v.n) : "", v.n}};
    return MHD_YES;
}

struct pair *request_headers(struct request *r, size_t *count) {
    struct MHD_Connection *connection = ((struct exchange *)r)->connection;
    int n = MHD_get_connection_values(connection, MHD_HEADER_KIND, NULL, NULL);
    struct headers all = {.r = r, .list = arena_alloc(&r->arena, ((size_t)n + 1) * sizeof *all.list)};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, add_header, &all);
    *count = all.count;
    return all.list;
}

/* --- start --- */

static int try_listen(const struct addrinfo *a) {
    int on = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool listen_on(struct http *h, struct err *e) {
    const struct http_config *c = &h->config;
    char port[8];
    snprintf(port, sizeof port, "%u", c->port);
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int failed = getaddrinfo(c->host, port, &want, &found);
    if (failed)
        return err_set(e, ERR_INVALID, "cannot listen on %s:%s: %s (--listen HOST:PORT)", c->host, port,
                       gai_strerror(failed));
    h->listen_fd = -1;
    for (struct addrinfo *a = found; a && h->listen_fd < 0; a = a->ai_next) h->listen_fd = try_listen(a);
    int saved = errno;
    freeaddrinfo(found);
    if (h->listen_fd < 0 && saved == EADDRINUSE)
        return err_set(
            e, ERR_IO,
            "%s:%s is taken by another program; choose another port with --listen %s:PORT, or make run PORT=...",
            c->host, port, c->host);
    errno = saved;
    if (h->listen_fd < 0) return err_errno(e, "cannot listen on %s:%s (--listen HOST:PORT)", c->host, port);
    struct sockaddr_storage got;
    socklen_t size = sizeof got;
    if (getsockname(h->listen_fd, (struct sockaddr *)&got, &size) != 0) return err_errno(e, "asking for the port");
    h->port = ntohs(got.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&got)->sin6_port
                                              : ((struct sockaddr_in *)&got)->sin_port);
    return true;
}

/* --- workers --- */

/* One write a round is enough, however many connections are resumed. */
void bell_ring(struct bell *b) {
    uint64_t one = 1;
    if (!atomic_exchange(&b->rung, true) && write(b->fd, &one, sizeof one) < 0) CHECK(errno == EAGAIN);
}

void bell_unref(struct bell *b) {
    if (atomic_fetch_sub(&b->refs, 1) > 1) return;
    close(b->fd);
    free(b);
}

static struct bell *bell_new(struct err *e) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return err_errno(e, "the HTTP server did not start"), NULL;
    struct bell *b = mem_zero(1, sizeof *b);
    b->refs = 1;
    b->fd = fd;
    return b;
}

/* --- accepting --- */

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL); }

/* The worker with the fewest connections, if it can take one more. Left to themselves the one that is awake takes
 * them all, and serves them alone on its core. */
static struct worker *least_busy(struct http *h) {
    struct worker *least = &h->workers[0];
    for (unsigned i = 1; i < h->config.workers; i++)
        if (atomic_load(&h->workers[i].open) < atomic_load(&least->open)) least = &h->workers[i];
    int share = (int)((h->config.max_connections + h->config.workers - 1) / h->config.workers);
    pthread_mutex_lock(&least->lock);
    bool room = least->arrived < INBOX && atomic_load(&least->open) < share;
    pthread_mutex_unlock(&least->lock);
    return room ? least : NULL;
}

/* What no worker can take waits in the kernel's backlog. */
static void *accept_loop(void *arg) {
    struct http *h = arg;
    struct pollfd ready = {.fd = h->listen_fd, .events = POLLIN};
    while (!atomic_load(&h->closing_soon)) {
        poll(&ready, 1, -1);
        struct worker *w = least_busy(h);
        struct arrival a = {.size = sizeof a.address};
        if (w) a.fd = accept4(h->listen_fd, (struct sockaddr *)&a.address, &a.size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (!w || a.fd < 0) { /* full, out of descriptors, or the client is gone again */
            nap();
            continue;
        }
        atomic_fetch_add(&w->open, 1);
        pthread_mutex_lock(&w->lock);
        w->inbox[w->arrived++] = a;
        pthread_mutex_unlock(&w->lock);
        bell_ring(w->bell);
    }
    return NULL;
}

/* Takes in what the acceptor brought; with no daemon to give it to, closes it. */
static void empty_inbox(struct worker *w, struct MHD_Daemon *daemon) {
    struct arrival list[INBOX];
    pthread_mutex_lock(&w->lock);
    unsigned count = w->arrived;
    memcpy(list, w->inbox, count * sizeof *list);
    w->arrived = 0;
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < count; i++) {
        if (!daemon)
            close(list[i].fd);
        else if (MHD_add_connection(daemon, list[i].fd, (struct sockaddr *)&list[i].address, list[i].size) != MHD_YES)
            atomic_fetch_sub(&w->open, 1); /* it has closed it */
    }
}

enum { TICK_MS = 200 }; /* how long a worker may sleep before it looks whether the server stops */

/* A worker turns its own daemon. libmicrohttpd's own threads would do the same, but its loop (0.9.75) asks for events
 * once more, and sleeps, before it serves a full batch of 128: with that many clients waiting for answers nobody is
 * served until the idle timeout. Turned from outside it never sleeps inside. */
static void *serve(void *arg) {
    struct worker *w = arg;
    struct http *h = w->http;
    uint64_t calls;
    struct pollfd ready[] = {
        {.fd = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN},
        {.fd = w->bell->fd, .events = POLLIN}};
    while (!atomic_load(&h->ended)) {
        MHD_UNSIGNED_LONG_LONG ms = TICK_MS;
        if (MHD_get_timeout(w->daemon, &ms) != MHD_YES || ms > TICK_MS) ms = TICK_MS;
        poll(ready, 2, (int)ms);
        /* Rung from here on means: resumed too late for this round. */
        if (atomic_exchange(&w->bell->rung, false) && read(w->bell->fd, &calls, sizeof calls) < 0)
            CHECK(errno == EAGAIN);
        empty_inbox(w, w->daemon);
        MHD_run(w->daemon);
    }
    return NULL;
}

static bool start_worker(struct http *h, struct worker *w, struct err *e) {
    const struct http_config *c = &h->config;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL}, /* first, so that it hears of the others */
        {MHD_OPTION_CONNECTION_LIMIT, c->max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, c->idle_timeout_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL}, /* HTTP/1.1 without Host is refused (RFC 9112, 3.2) */
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_over, w},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, w},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_request_line, w},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_encoded, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    w->http = h;
    if (!(w->bell = bell_new(e))) return false;
    w->next_id = (uint64_t)(w - h->workers) << 40;
    w->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
                         NULL, NULL, on_data, w, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (w->daemon && pthread_create(&w->thread, NULL, serve, w) == 0) return w->running = true;
    return err_set(e, ERR_INTERNAL, "the HTTP server did not start: out of threads or descriptors?");
}

static void ring_all(struct http *h) {
    for (unsigned i = 0; i < h->config.workers; i++)
        if (h->workers[i].running) bell_ring(h->workers[i].bell);
}

static void stop_accepting(struct http *h) {
    atomic_store(&h->closing_soon, true);
    if (!h->accepting) return;
    shutdown(h->listen_fd, SHUT_RDWR); /* wakes the acceptor */
    pthread_join(h->acceptor, NULL);
    h->accepting = false;
}

/* Ends the workers and frees everything. */
static void release(struct http *h) {
    atomic_store(&h->ended, true);
    stop_accepting(h);
    ring_all(h);
    for (unsigned i = 0; i < h->config.workers; i++) {
        struct worker *w = &h->workers[i];
        if (w->running) pthread_join(w->thread, NULL);
        empty_inbox(w, NULL);
        if (w->daemon) MHD_stop_daemon(w->daemon);
        if (w->bell) bell_unref(w->bell);
        tally_free(w->tally);
        pthread_mutex_destroy(&w->lock);
    }
    closer_free(h->closer);
    if (h->listen_fd >= 0) close(h->listen_fd);
    free(h->workers);
    free(h);
}

struct http *http_listen(const struct http_config *c, struct err *e) {
    struct http *h = mem_zero(1, sizeof *h);
    h->config = *c;
    h->listen_fd = -1;
    if (h->config.workers == 0) h->config.workers = 1;
    h->workers = mem_zero(h->config.workers, sizeof *h->workers);
    for (unsigned i = 0; i < h->config.workers; i++) {
        pthread_mutex_init(&h->workers[i].lock, NULL);
        h->workers[i].tally = tally_new(h->config.route_count);
    }
    uint16_t boot;
    CHECK(getrandom(&boot, sizeof boot, 0) == sizeof boot);
    h->boot = (uint64_t)boot << 48;
    if (listen_on(h, e)) return h;
    release(h);
    return NULL;
}

bool http_serve(struct http *h, struct err *e) {
    bool ok = (h->closer = closer_new(e));
    for (unsigned i = 0; ok && i < h->config.workers; i++) ok = start_worker(h, &h->workers[i], e);
    h->accepting = ok && pthread_create(&h->acceptor, NULL, accept_loop, h) == 0;
    return h->accepting || (ok && err_set(e, ERR_INTERNAL, "the HTTP server did not start: out of threads"));
}

void http_metrics(struct request *r, struct buf *to) {
    const struct http *h = ((struct exchange *)r)->http;
    struct tally **tallies = arena_alloc(&r->arena, h->config.workers * sizeof *tallies);
    for (unsigned i = 0; i < h->config.workers; i++) tallies[i] = h->workers[i].tally;
    tally_write(tallies, h->config.workers, h->config.routes, h->config.route_count, to);
}

uint16_t http_port(const struct http *h) { return h->port; }

/* --- stop --- */

static bool any_live(struct http *h) {
    bool any = false;
    for (unsigned i = 0; i < h->config.workers && !any; i++) {
        pthread_mutex_lock(&h->workers[i].lock);
        any = h->workers[i].live != NULL;
        pthread_mutex_unlock(&h->workers[i].lock);
    }
    return any;
}

/* Takes the connections back from whoever holds their requests; request_wake finds ABANDONED then and only frees. An
 * abandoned request stays in the list until its connection, resumed here, ends it on its worker. */
static void abandon_waiting(struct http *h) {
    for (unsigned i = 0; i < h->config.workers; i++) {
        struct worker *w = &h->workers[i];
        pthread_mutex_lock(&w->lock);
        for (struct exchange *x = w->live; x; x = x->next) {
            enum wait_state was = WAITING;
            if (atomic_compare_exchange_strong(&x->state, &was, ABANDONED))
                MHD_resume_connection(x->connection), bell_ring(w->bell);
        }
        pthread_mutex_unlock(&w->lock);
    }
}

static bool any_busy(struct http *h) {
    for (unsigned i = 0; i < h->config.workers; i++)
        if (atomic_load(&h->workers[i].busy) || atomic_load(&h->workers[i].suspended)) return true;
    return false;
}

void http_stop(struct http *h, unsigned grace_ms) {
    if (!h) return;
    int64_t until = clock_mono_us() + (int64_t)grace_ms * 1000;
    stop_accepting(h);
    while (any_live(h) && clock_mono_us() < until) nap();
    /* libmicrohttpd must not be stopped while a connection is suspended. No handler starts from here on. */
    atomic_store(&h->closing, true);
    do {
        abandon_waiting(h);
        nap();
    } while (any_busy(h));
    release(h);
}
