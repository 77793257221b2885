/* The ceiling that we measure ourselves against: the bare group-commit server. It does what no durable JSON service on
 * these libraries can leave out, and nothing else: libmicrohttpd (epoll, 2 threads) reads the request, jansson parses
 * it, one writer thread takes all that wait, writes them to a preallocated, written log with one pwrite and one
 * fdatasync, and resumes their connections, which answer {"status":"ok"}. No keys, no routes, no store, no checksums.
 *
 *   bare serve LOG MIB     prints `listening on http://127.0.0.1:PORT`; the log begins anew, its blocks are kept
 *   bare count LOG         JSON: requests and items in the log, and their sum as bench/work.h defines it
 *   bare fsync FILE S      JSON: overwrites of 4 KiB, each with an fdatasync, a second
 *
 * The log: 16 bytes of magic and nonce, then records of length (4 bytes), the low half of the nonce (4), number (8)
 * and the body, all little-endian. A record of another nonce is left over from an earlier run and ends the log. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "work.h"

enum { LOG_HEAD = 16, RECORD_HEAD = 16, HTTP_THREADS = 2, THREAD_CONNECTIONS = 120, MIB = 1 << 20 };
static const uint64_t log_magic = 0x31676f6c65726162; /* "barelog1" */

struct pending {
    struct MHD_Connection *connection;
    struct buf body;
    unsigned status; /* 0: not decided yet */
    struct pending *next;
};

struct bare {
    int log;
    uint64_t nonce, records, groups;
    int64_t at, size;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t filled;
    struct pending *waiting;
    bool stop;
    struct MHD_Response *ok, *bad, *broken;
};

/* Calls each for every (id, value) of an attach; false when the body is not one. */
static bool read_attach(const char *p, size_t n, void (*each)(void *, const char *, size_t, const char *, size_t),
                        void *arg) {
    json_t *root = json_loadb(p, n, 0, NULL), *data = json_object_get(root, "data"), *entry, *id;
    bool ok = json_is_array(data);
    size_t i, k;
    json_array_foreach(data, i, entry) {
        json_t *ids = json_object_get(entry, "inference_ids"), *value = json_object_get(entry, "field_value");
        ok = ok && json_is_array(ids) && json_is_string(value) && json_is_string(json_object_get(entry, "field_name"));
        json_array_foreach(ids, k, id) {
            ok = ok && json_is_string(id);
            if (ok && each)
                each(arg, json_string_value(id), json_string_length(id), json_string_value(value),
                     json_string_length(value));
        }
    }
    json_decref(root);
    return ok;
}

static void enqueue(struct bare *b, struct pending *p) {
    CHECK(pthread_mutex_lock(&b->lock) == 0);
    bool was_empty = !b->waiting;
    p->next = b->waiting;
    b->waiting = p;
    CHECK(pthread_mutex_unlock(&b->lock) == 0);
    if (was_empty) CHECK(pthread_cond_signal(&b->filled) == 0);
}

static void log_record(struct bare *b, struct buf *group, const struct pending *p) {
    uint32_t words[2] = {(uint32_t)p->body.n, (uint32_t)b->nonce};
    uint64_t number = b->records++;
    buf_add(group, words, sizeof words);
    buf_add(group, &number, sizeof number);
    buf_add_str(group, buf_str(&p->body));
}

static bool log_write(struct bare *b, const struct buf *group) {
    if (b->at + (int64_t)group->n > b->size) return false;
    if (pwrite(b->log, group->p, group->n, b->at) != (ssize_t)group->n || fdatasync(b->log) != 0) return false;
    b->at += (int64_t)group->n;
    b->groups++;
    return true;
}

static void *writer_main(void *arg) {
    struct bare *b = arg;
    struct buf group = {0};
    for (;;) {
        CHECK(pthread_mutex_lock(&b->lock) == 0);
        while (!b->waiting && !b->stop) CHECK(pthread_cond_wait(&b->filled, &b->lock) == 0);
        struct pending *list = b->waiting;
        b->waiting = NULL;
        CHECK(pthread_mutex_unlock(&b->lock) == 0);
        if (!list) break;
        group.n = 0;
        for (struct pending *p = list; p; p = p->next) log_record(b, &group, p);
        bool written = log_write(b, &group);
        for (struct pending *p = list, *next; p; p = next) {
            next = p->next;
            p->status = written ? 200 : 507;
            MHD_resume_connection(p->connection);
        }
    }
    buf_free(&group);
    return NULL;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
    struct bare *b = arg;
    struct pending *p = *state;
    (void)url, (void)method, (void)version;
    if (!p) {
        p = *state = mem_zero(1, sizeof *p);
        p->connection = connection;
        return MHD_YES;
    }
    if (*size) {
        buf_add(&p->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!p->status && read_attach(p->body.p, p->body.n, NULL, NULL)) {
        MHD_suspend_connection(connection);
        enqueue(b, p);
        return MHD_YES;
    }
    if (!p->status) p->status = 400;
    struct MHD_Response *answer = p->status == 200 ? b->ok : p->status == 400 ? b->bad : b->broken;
    return MHD_queue_response(connection, p->status, answer);
}

static void completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why) {
    (void)arg, (void)connection, (void)why;
    struct pending *p = *state;
    if (p) buf_free(&p->body);
    free(p);
    *state = NULL;
}

static struct MHD_Response *answer(const char *text) {
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    CHECK(r && MHD_add_response_header(r, "Content-Type", "application/json") == MHD_YES);
    return r;
}

/* Writes what is missing of the log, so that a run only ever overwrites blocks; then the new head. */
static bool log_open(struct bare *b, const char *path, int64_t size, struct err *e) {
    static char zeros[MIB];
    struct stat st;
    b->log = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (b->log < 0 || fstat(b->log, &st) != 0) return err_errno(e, "%s: cannot be opened", path);
    for (int64_t at = st.st_size / MIB * MIB; at < size; at += MIB)
        if (pwrite(b->log, zeros, MIB, at) != MIB) return err_errno(e, "%s: cannot be filled", path);
    b->size = size;
    b->nonce = (uint64_t)clock_now_us();
    b->at = LOG_HEAD;
    uint64_t head[2] = {log_magic, b->nonce};
    if (pwrite(b->log, head, sizeof head, 0) != sizeof head || fsync(b->log) != 0)
        return err_errno(e, "%s: no head", path);
    return true;
}

/* Hands out connections: left to themselves, the pool's threads race for them, and one often gets nearly all. */
struct acceptor {
    int fd;
    struct MHD_Daemon *daemon;
};

static void *acceptor_main(void *arg) {
    const struct acceptor *a = arg;
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    for (int fd; (fd = accept4(a->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        MHD_add_connection(a->daemon, fd, (struct sockaddr *)&from, size); /* closes fd when it fails */
        size = sizeof from;
    }
    return NULL;
}

static int listen_anywhere(uint16_t *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&to, &size) != 0)
        return -1;
    *port = ntohs(to.sin_port);
    return fd;
}

static bool serve(const char *path, const char *mib, struct err *e) {
    struct bare b = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};
    unsigned long long size;
    pthread_t writer, accepting;
    uint16_t port = 0;
    sigset_t ends;
    int which;
    if (!str_to_u64(str_of(mib), &size) || size < 1 || size > 65536)
        return err_set(e, ERR_INVALID, "%s: want MiB from 1 to 65536", mib);
    if (!log_open(&b, path, (int64_t)size * MIB, e)) return false;
    CHECK(sigemptyset(&ends) == 0 && sigaddset(&ends, SIGTERM) == 0 && sigaddset(&ends, SIGINT) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &ends, NULL) == 0);
    b.ok = answer("{\"status\":\"ok\"}");
    b.bad = answer("{\"error\":\"Invalid request\"}");
    b.broken = answer("{\"error\":\"the log is full or cannot be written\"}");
    CHECK(pthread_create(&writer, NULL, writer_main, &b) == 0);
    /* libmicrohttpd 0.9.75 waits again, without a limit, before it serves a batch of exactly 128 events; a closed-loop
     * client then waits for ever. So no thread may have that many connections. */
    struct acceptor acceptor = {.fd = listen_anywhere(&port)};
    acceptor.daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handle, &b,
        MHD_OPTION_THREAD_POOL_SIZE, HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, HTTP_THREADS * THREAD_CONNECTIONS,
        MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    if (acceptor.fd < 0 || !acceptor.daemon) return err_errno(e, "the HTTP server does not start");
    CHECK(pthread_create(&accepting, NULL, acceptor_main, &acceptor) == 0);
    printf("listening on http://127.0.0.1:%u\n", port);
    CHECK(fflush(stdout) == 0 && sigwait(&ends, &which) == 0);
    CHECK(shutdown(acceptor.fd, SHUT_RDWR) == 0 && pthread_join(accepting, NULL) == 0);
    CHECK(pthread_mutex_lock(&b.lock) == 0);
    b.stop = true;
    CHECK(pthread_mutex_unlock(&b.lock) == 0 && pthread_cond_signal(&b.filled) == 0 && pthread_join(writer, NULL) == 0);
    MHD_stop_daemon(acceptor.daemon);
    close(acceptor.fd);
    fprintf(stderr, "%" PRIu64 " requests in %" PRIu64 " groups\n", b.records, b.groups);
    MHD_destroy_response(b.ok), MHD_destroy_response(b.bad), MHD_destroy_response(b.broken);
    close(b.log);
    return true;
}

struct count {
    uint64_t requests, items, sum;
};

static void count_item(void *arg, const char *id, size_t id_size, const char *value, size_t value_size) {
    struct count *c = arg;
    c->items++;
    c->sum += work_hash(work_text_hash(id, id_size), work_text_hash(value, value_size));
}

static bool count(const char *path, struct err *e) {
    struct count c = {0};
    struct stat st;
    uint64_t head[2] = {0}, number;
    uint32_t words[2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) return err_errno(e, "%s: cannot be opened", path);
    size_t size = (size_t)st.st_size, at = LOG_HEAD;
    const char *p = size < LOG_HEAD ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (p == MAP_FAILED) return err_errno(e, "%s: cannot be mapped", path);
    memcpy(head, p, sizeof head);
    while (head[0] == log_magic && size - at >= RECORD_HEAD) {
        memcpy(words, p + at, sizeof words);
        memcpy(&number, p + at + sizeof words, sizeof number);
        if (words[1] != (uint32_t)head[1] || number != c.requests || words[0] > size - at - RECORD_HEAD) break;
        if (!read_attach(p + at + RECORD_HEAD, words[0], count_item, &c)) break;
        c.requests++;
        at += RECORD_HEAD + words[0];
    }
    CHECK(munmap((void *)(uintptr_t)p, size) == 0);
    printf("{\"requests\":%" PRIu64 ",\"items\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\"}\n", c.requests, c.items, c.sum);
    return true;
}

static bool fsync_rate(const char *path, const char *seconds, struct err *e) {
    enum { BLOCK = 4096, FILE_SIZE = 64 * MIB };
    struct bare b = {0};
    static char block[BLOCK];
    double limit;
    if (!str_to_double(str_of(seconds), &limit)) return err_set(e, ERR_INVALID, "%s: want seconds", seconds);
    if (!log_open(&b, path, FILE_SIZE, e)) return false;
    uint64_t syncs = 0;
    int64_t started = clock_mono_us(), now = started;
    for (; (double)(now - started) < limit * 1e6; now = clock_mono_us(), syncs++) {
        memset(block, (int)(syncs & 0xff), sizeof block);
        if (pwrite(b.log, block, BLOCK, (int64_t)(syncs * BLOCK % FILE_SIZE)) != BLOCK || fdatasync(b.log) != 0)
            return err_errno(e, "%s: not written", path);
    }
    close(b.log);
    printf("{\"fsync_s\":%.0f}\n", (double)syncs * 1e6 / (double)(now - started));
    return true;
}

int main(int argc, char **argv) {
    struct err e = {0};
    bool ok = false;
    if (argc == 4 && !strcmp(argv[1], "serve")) ok = serve(argv[2], argv[3], &e);
    else if (argc == 3 && !strcmp(argv[1], "count")) ok = count(argv[2], &e);
    else if (argc == 4 && !strcmp(argv[1], "fsync")) ok = fsync_rate(argv[2], argv[3], &e);
    else err_set(&e, ERR_INVALID, "want serve LOG MIB, count LOG or fsync FILE SECONDS");
    if (!ok) fprintf(stderr, "bare: %s\n", e.msg);
    return ok ? 0 : 1;
}
