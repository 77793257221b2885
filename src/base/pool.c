#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct job {
    pool_job *run;
    void *arg;
};

struct pool {
    pthread_mutex_t lock; /* guards all below but what never changes */
    pthread_cond_t work;
    struct job *ring;
    size_t capacity, first, count;
    bool stop;
    pthread_t *threads;
    unsigned thread_count;
    char name[16];
};

static void *run(void *arg) {
    struct pool *p = arg;
    pthread_setname_np(pthread_self(), p->name);
    pthread_mutex_lock(&p->lock);
    while (true) {
        while (p->count == 0 && !p->stop) pthread_cond_wait(&p->work, &p->lock);
        if (p->count == 0) break;
        struct job job = p->ring[p->first];
        p->first = (p->first + 1) % p->capacity;
        p->count--;
        pthread_mutex_unlock(&p->lock);
        job.run(job.arg);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(const char *name, unsigned threads, size_t capacity, struct err *e) {
    struct pool *p = mem_zero(1, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", name);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->capacity = capacity;
    p->ring = mem_zero(capacity, sizeof *p->ring);
    p->threads = mem_zero(threads, sizeof *p->threads);
    for (; p->thread_count < threads; p->thread_count++) {
        int failed = pthread_create(&p->threads[p->thread_count], NULL, run, p);
        if (!failed) continue;
        errno = failed;
        err_errno(e, "starting thread %u of %u of the pool %s", p->thread_count + 1, threads, name);
        pool_free(p);
        return NULL;
    }
    return p;
}

bool pool_submit(struct pool *p, pool_job *run_job, void *arg) {
    pthread_mutex_lock(&p->lock);
    bool room = p->count < p->capacity;
    if (room) {
        p->ring[(p->first + p->count++) % p->capacity] = (struct job){run_job, arg};
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

size_t pool_waiting(struct pool *p) {
    pthread_mutex_lock(&p->lock);
    size_t n = p->count;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_free(struct pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->thread_count; i++) pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p->threads);
    free(p->ring);
    free(p);
}
