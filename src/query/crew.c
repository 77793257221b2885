#include "query/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

/* A call of crew_run that helpers may still join. */
struct task {
    void (*work)(void *ctx, unsigned n);
    void *ctx;
    unsigned joined, running; /* helpers */
    struct task *next;
};

struct crew {
    pthread_mutex_t lock; /* guards all below but what never changes */
    pthread_cond_t call, left;
    struct task *tasks;
    bool stop;
    unsigned helpers;
    pthread_t threads[];
};

static void *help(void *arg) {
    struct crew *c = arg;
    pthread_setname_np(pthread_self(), "query-helper");
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        struct task *t = c->tasks;
        if (!t) {
            pthread_cond_wait(&c->call, &c->lock);
            continue;
        }
        unsigned n = ++t->joined;
        t->running++;
        if (n == c->helpers) c->tasks = t->next;
        pthread_mutex_unlock(&c->lock);
        t->work(t->ctx, n);
        pthread_mutex_lock(&c->lock);
        /* Where one found nothing left to do, no other needs to look. */
        for (struct task **at = &c->tasks; *at; at = &(*at)->next)
            if (*at == t) {
                *at = t->next;
                break;
            }
        if (--t->running == 0) pthread_cond_broadcast(&c->left);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct crew *crew_new(unsigned helpers, struct err *e) {
    struct crew *c = mem_zero(1, sizeof *c + helpers * sizeof c->threads[0]);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->call, NULL);
    pthread_cond_init(&c->left, NULL);
    for (; c->helpers < helpers; c->helpers++) {
        errno = pthread_create(&c->threads[c->helpers], NULL, help, c);
        if (errno == 0) continue;
        err_errno(e, "starting thread %u of %u that help queries", c->helpers + 1, helpers);
        crew_free(c);
        return NULL;
    }
    return c;
}

void crew_free(struct crew *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->call);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->helpers; i++) pthread_join(c->threads[i], NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->call);
    pthread_cond_destroy(&c->left);
    free(c);
}

unsigned crew_size(const struct crew *c) { return c ? c->helpers + 1 : 1; }

void crew_run(struct crew *c, void (*work)(void *ctx, unsigned n), void *ctx) {
    struct task t = {.work = work, .ctx = ctx};
    if (!c || c->helpers == 0) {
        work(ctx, 0);
        return;
    }
    pthread_mutex_lock(&c->lock);
    struct task **end = &c->tasks;
    while (*end) end = &(*end)->next;
    *end = &t;
    pthread_cond_broadcast(&c->call);
    pthread_mutex_unlock(&c->lock);
    work(ctx, 0);
    pthread_mutex_lock(&c->lock);
    for (struct task **at = &c->tasks; *at; at = &(*at)->next)
        if (*at == &t) {
            *at = t.next;
            break;
        }
    while (t.running) pthread_cond_wait(&c->left, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
