#include "cmd/sweep.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "image/blobs.h"
#include "store/store.h"

/* A picture is older than its record by less than this, however slow the disk. */
enum { EVERY_S = 3600, MIN_AGE_S = 3600 };

struct sweep {
    const struct app *app;
    pthread_t thread;
    pthread_mutex_t working; /* while a workspace is swept, and while sweeping is held */
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
};

struct hashes {
    uint8_t (*list)[BLOB_HASH];
    size_t count, room;
};

static void collect(void *ctx, const uint8_t hash[32]) {
    struct hashes *h = ctx;
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 1024;
        h->list = mem_resize(h->list, h->room * sizeof *h->list);
    }
    memcpy(h->list[h->count++], hash, BLOB_HASH);
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, BLOB_HASH); }

static bool referenced(void *ctx, const uint8_t hash[BLOB_HASH]) {
    const struct hashes *h = ctx;
    return h->count && bsearch(hash, h->list, h->count, sizeof *h->list, by_bytes);
}

static void sweep_workspace(const struct app *app, uint32_t workspace) {
    struct hashes h = {0};
    struct err e = {0};
    char quoted[LOG_QUOTE];
    size_t removed = 0;
    bool all = store_each_picture(app->store, workspace, collect, &h);
    if (h.count) qsort(h.list, h.count, sizeof *h.list, by_bytes);
    /* With a segment that cannot be read nobody knows which pictures it names. */
    if (all && !blob_sweep(app->blobs, workspace, MIN_AGE_S, referenced, &h, &removed, &e))
        log_event(LOG_WARN, "pictures_not_swept", "workspace=%u error=%s", workspace, log_quote(quoted, str_of(e.msg)));
    else if (removed)
        log_event(LOG_INFO, "pictures_swept", "workspace=%u removed=%zu", workspace, removed);
    free(h.list);
}

static void *sweep_loop(void *arg) {
    struct sweep *s = arg;
    bool stopping = false;
    while (!stopping) {
        struct arena arena = {0};
        size_t count;
        struct workspace *list = catalog_workspaces(s->app->catalog, &arena, &count);
        for (size_t i = 0; i < count; i++) {
            pthread_mutex_lock(&s->working);
            sweep_workspace(s->app, list[i].id);
            pthread_mutex_unlock(&s->working);
        }
        arena_free(&arena);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += EVERY_S;
        pthread_mutex_lock(&s->lock);
        while (!s->stopping && pthread_cond_timedwait(&s->stop, &s->lock, &until) == 0) continue;
        stopping = s->stopping;
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

struct sweep *sweep_start(const struct app *app) {
    struct sweep *s = mem_zero(1, sizeof *s);
    s->app = app;
    pthread_mutex_init(&s->working, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->stop, NULL);
    CHECK(pthread_create(&s->thread, NULL, sweep_loop, s) == 0);
    return s;
}

void sweep_hold(struct sweep *s, bool hold) {
    if (hold)
        pthread_mutex_lock(&s->working);
    else
        pthread_mutex_unlock(&s->working);
}

void sweep_stop(struct sweep *s) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->stop);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->working);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->stop);
    free(s);
}
