#include "http/closer.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

enum { MOST = 64, LONGEST_US = 5 * 1000 * 1000, MOST_BYTES = 1 << 30 };

struct lingering {
    int fd;
    int64_t until_us;
    size_t read;
};

struct closer {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    struct lingering all[MOST];
    size_t count;
    int wake; /* eventfd */
    bool stop;
};

/* Reads what is there. False when the connection is done with. */
static bool drain(struct lingering *c) {
    char waste[16384];
    for (int i = 0; i < 16; i++) {
        ssize_t n = recv(c->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n == 0) return false;
        if (n < 0) return true; /* nothing there; an error shows in the next poll as readable end */
        c->read += (size_t)n;
        if (c->read > MOST_BYTES) return false;
    }
    return true;
}

static void drop(struct closer *l, size_t i) {
    close(l->all[i].fd);
    l->all[i] = l->all[--l->count];
}

static void *run(void *arg) {
    struct closer *l = arg;
    struct pollfd polls[MOST + 1];
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        size_t n = l->count;
        polls[0] = (struct pollfd){.fd = l->wake, .events = POLLIN};
        for (size_t i = 0; i < n; i++) polls[i + 1] = (struct pollfd){.fd = l->all[i].fd, .events = POLLIN};
        pthread_mutex_unlock(&l->lock);
        poll(polls, n + 1, n ? 250 : -1);
        uint64_t count;
        if (polls[0].revents && read(l->wake, &count, sizeof count) < 0) { /* nothing to count: it was taken already */
        }
        pthread_mutex_lock(&l->lock);
        int64_t now = clock_mono_us();
        for (size_t i = n; i-- > 0;) {
            short seen = polls[i + 1].revents;
            bool open = !(seen & (POLLERR | POLLNVAL)) && (!(seen & (POLLIN | POLLHUP)) || drain(&l->all[i]));
            if (!open || now > l->all[i].until_us) drop(l, i);
        }
    }
    while (l->count) drop(l, 0);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct closer *closer_new(struct err *e) {
    struct closer *l = mem_zero(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake < 0 || pthread_create(&l->thread, NULL, run, l) != 0) {
        err_errno(e, "starting the thread that closes connections");
        if (l->wake >= 0) close(l->wake);
        pthread_mutex_destroy(&l->lock);
        free(l);
        return NULL;
    }
    return l;
}

static void wake(struct closer *l) {
    uint64_t one = 1;
    CHECK(write(l->wake, &one, sizeof one) == sizeof one);
}

void closer_add(struct closer *l, int fd) {
    if (fd < 0) return;
    shutdown(fd, SHUT_WR);
    pthread_mutex_lock(&l->lock);
    bool full = l->count == MOST;
    if (!full) l->all[l->count++] = (struct lingering){.fd = fd, .until_us = clock_mono_us() + LONGEST_US};
    pthread_mutex_unlock(&l->lock);
    if (full)
        close(fd);
    else
        wake(l);
}

void closer_free(struct closer *l) {
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_mutex_unlock(&l->lock);
    wake(l);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->lock);
    close(l->wake);
    free(l);
}
