#include "cmd/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/app.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/backup.h"
#include "cmd/sweep.h"
#include "store/store.h"

enum { REQUEST = 8192, ASK_MS = 5000 };
static const char socket_name[] = "control.sock";

struct control {
    const struct app *app;
    struct sweep *sweep;
    int socket, stop; /* stop: an eventfd that wakes the thread */
    atomic_bool stopping;
    pthread_t thread;
};

/* A socket's path has 108 bytes at the most, a data folder's may have thousands: it is named by way of an open
 * descriptor of the folder. -1 and errno, or that descriptor. */
static int socket_address(const char *dir, struct sockaddr_un *address) {
    int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", folder, socket_name);
    return folder;
}

/* ---- a backup ---- */

static bool make_backup(struct control *c, const char *to, struct backup_totals *totals, struct err *e) {
    const char *data = c->app->conf->data;
    struct backup *b = backup_begin(data, to, &c->stopping, e);
    if (!b) return false;
    struct manifest m = {0};
    sweep_hold(c->sweep, true);
    bool held = store_hold(c->app->store, &m, e);
    bool ok = held && backup_all(b, data, to, &m, c->app->conf, totals, e);
    if (held) store_release(c->app->store);
    sweep_hold(c->sweep, false);
    manifest_free(&m);
    backup_free(b);
    return ok;
}

static void answer(struct control *c, const char *request, char out[CONTROL_ANSWER]) {
    struct backup_totals t = {0};
    struct err e = {0};
    char quoted[LOG_QUOTE];
    if (strncmp(request, "backup /", 8) != 0) {
        snprintf(out, CONTROL_ANSWER, "failed the server does not know this request\n");
        return;
    }
    const char *to = request + 7;
    int64_t begun = clock_mono_us();
    log_event(LOG_INFO, "backup_begins", "to=%s", log_quote(quoted, str_of(to)));
    if (make_backup(c, to, &t, &e)) {
        log_event(LOG_INFO, "backup_done", "to=%s seq=%" PRIu64 " files=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRId64,
                  log_quote(quoted, str_of(to)), t.seq, t.files, t.bytes, (clock_mono_us() - begun) / 1000);
        snprintf(out, CONTROL_ANSWER, "done %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", t.seq, t.files, t.bytes,
                 t.linked);
        return;
    }
    log_event(LOG_ERROR, "backup_failed", "error=%s", log_quote(quoted, str_of(e.msg)));
    snprintf(out, CONTROL_ANSWER, "failed %s\n", e.msg);
}

/* ---- the thread ---- */

/* One line, without its end; false when it doesn't come, or is too long. */
static bool read_line(int fd, char line[REQUEST]) {
    size_t n = 0;
    while (n < REQUEST - 1) {
        ssize_t got = recv(fd, line + n, REQUEST - 1 - n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        n += (size_t)got;
        line[n] = '\0';
        char *end = memchr(line, '\n', n);
        if (!end) continue;
        *end = '\0';
        return strlen(line) == (size_t)(end - line);
    }
    return false;
}

static void serve_one(struct control *c, int fd) {
    char request[REQUEST], out[CONTROL_ANSWER];
    struct timeval limit = {.tv_sec = ASK_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!read_line(fd, request)) return;
    answer(c, request, out);
    (void)!send(fd, out, strlen(out), MSG_NOSIGNAL); /* whoever asked may have gone */
}

static void *control_loop(void *arg) {
    struct control *c = arg;
    pthread_setname_np(pthread_self(), "control");
    while (!atomic_load(&c->stopping)) {
        struct pollfd fds[2] = {{.fd = c->socket, .events = POLLIN}, {.fd = c->stop, .events = POLLIN}};
        if (poll(fds, 2, -1) <= 0 || !(fds[0].revents & POLLIN)) continue;
        int fd = accept4(c->socket, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        serve_one(c, fd);
        close(fd);
    }
    return NULL;
}

static bool listen_in(struct control *c, struct err *e) {
    const char *dir = c->app->conf->data;
    struct sockaddr_un address;
    int folder = socket_address(dir, &address);
    c->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->stop = eventfd(0, EFD_CLOEXEC);
    if (folder >= 0) unlink(address.sun_path); /* of a run before; the folder is locked */
    /* Nobody can connect before listen, so nobody finds it with other rights. */
    bool ok = folder >= 0 && c->socket >= 0 && c->stop >= 0 &&
              bind(c->socket, (struct sockaddr *)&address, sizeof address) == 0 && chmod(address.sun_path, 0600) == 0 &&
              listen(c->socket, 4) == 0;
    if (!ok) err_errno(e, "listening on %s/%s", dir, socket_name);
    if (folder >= 0) close(folder);
    return ok;
}

static void control_free(struct control *c) {
    if (c->socket >= 0) close(c->socket);
    if (c->stop >= 0) close(c->stop);
    free(c);
}

struct control *control_start(const struct app *app, struct sweep *sweep, struct err *e) {
    struct control *c = mem_zero(1, sizeof *c);
    c->app = app;
    c->sweep = sweep;
    c->socket = c->stop = -1;
    if (!listen_in(c, e)) {
        control_free(c);
        return NULL;
    }
    CHECK(pthread_create(&c->thread, NULL, control_loop, c) == 0);
    return c;
}

void control_stop(struct control *c) {
    struct sockaddr_un address;
    atomic_store(&c->stopping, true);
    CHECK(eventfd_write(c->stop, 1) == 0);
    pthread_join(c->thread, NULL);
    int folder = socket_address(c->app->conf->data, &address);
    if (folder >= 0) unlink(address.sun_path), close(folder);
    control_free(c);
}

/* ---- the other side ---- */

bool control_ask(const char *dir, const char *request, char out[CONTROL_ANSWER], struct err *e) {
    struct sockaddr_un address;
    int folder = socket_address(dir, &address), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = 0;
    bool ok = folder >= 0 && fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (!ok && (errno == ENOENT || errno == ECONNREFUSED))
        err_set(e, ERR_NOT_FOUND, "no server listens on %s/%s", dir, socket_name);
    else if (!ok)
        err_errno(e, "asking the server on %s/%s", dir, socket_name);
    if (ok)
        ok = (send(fd, request, strlen(request), MSG_NOSIGNAL) >= 0 && send(fd, "\n", 1, MSG_NOSIGNAL) == 1) ||
             err_errno(e, "asking the server");
    while (ok && n < CONTROL_ANSWER - 1) {
        ssize_t got = recv(fd, out + n, CONTROL_ANSWER - 1 - n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    out[n] = '\0';
    if (n && out[n - 1] == '\n') out[n - 1] = '\0';
    if (folder >= 0) close(folder);
    if (fd >= 0) close(fd);
    return ok;
}
