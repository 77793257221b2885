#include "api/unserved.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/auth.h"
#include "api/upstream.h"
#include "base/clock.h"

enum { ENTRIES_MOST = 1024, TEXT = 160, ADDRESS = 64, METHOD = 16 };

/* Texts are cut to fit; all of an entry but its counts never changes. */
struct entry {
    uint32_t workspace;
    int status;
    char peer[ADDRESS], method[METHOD], path[TEXT], agent[TEXT];
    uint64_t count;
    int64_t last_us;
};

struct unserved {
    pthread_mutex_t lock; /* innermost; guards the list */
    struct entry *list;
    size_t count;
};

struct unserved *unserved_new(void) {
    struct unserved *u = mem_zero(1, sizeof *u);
    pthread_mutex_init(&u->lock, NULL);
    u->list = mem_zero(ENTRIES_MOST, sizeof *u->list);
    return u;
}

void unserved_free(struct unserved *u) {
    if (!u) return;
    pthread_mutex_destroy(&u->lock);
    free(u->list);
    free(u);
}

/* The rest of the entry is zeros, so that entries can be compared as bytes. */
static void fill(char *to, size_t size, struct str text) {
    if (text.n) memcpy(to, text.p, text.n < size - 1 ? text.n : size - 1);
}

static bool same(const struct entry *x, const struct entry *y) {
    return memcmp(x, y, offsetof(struct entry, count)) == 0;
}

/* A full list counts what is in it and takes nothing new. */
static void count_up(struct unserved *u, const struct entry *e) {
    pthread_mutex_lock(&u->lock);
    size_t i = 0;
    while (i < u->count && !same(&u->list[i], e)) i++;
    if (i == u->count && i < ENTRIES_MOST) u->list[u->count++] = *e;
    if (i < u->count) {
        u->list[i].count++;
        u->list[i].last_us = e->last_us;
    }
    pthread_mutex_unlock(&u->lock);
}

/* Whose it is: as the routes look for the key; without one, the workspace that inferences without a key go to. */
static bool owner(struct request *r, uint32_t *workspace) {
    const struct app *app = app_of(r);
    struct identity who;
    struct workspace open;
    struct str key = {0};
    struct err e;
    if (auth_given(r, &who)) return *workspace = who.workspace_id, true;
    if (auth_has_key(r)) return false;
    if (r->body.n && body_text(r, "api_key", &key, &e) && key.n && !str_is(key, "None"))
        return catalog_key(app->catalog, key, &who) && (*workspace = who.workspace_id, true);
    if (!*app->conf->open_inference || !catalog_workspace(app->catalog, str_of(app->conf->open_inference), &open))
        return false;
    return *workspace = open.id, true;
}

void unserved_note(struct request *r, int status) {
    uint32_t workspace;
    if (status != 404 && status != 405 && status != 410 && status != 501) return;
    if (!app_of(r)->unserved || relayed(r)) return;
    /* An id that is not there is an answer, not a lack. */
    if (status == 404 && r->route && str_starts(str_of(r->route->pattern), STR("/api/"))) return;
    if (!owner(r, &workspace)) return;
    struct entry e;
    memset(&e, 0, sizeof e);
    e.workspace = workspace;
    e.status = status;
    fill(e.peer, sizeof e.peer, r->peer);
    fill(e.method, sizeof e.method, r->method);
    fill(e.path, sizeof e.path, r->path);
    fill(e.agent, sizeof e.agent, request_header(r, "User-Agent"));
    e.last_us = clock_now_us();
    count_up(app_of(r)->unserved, &e);
}

static struct str text_of(const char *text, struct arena *a) {
    size_t n = strlen(text);
    return (struct str){arena_copy(a, text, n), n};
}

struct unserved_count *unserved_from(struct unserved *u, uint32_t workspace, struct str peer, struct arena *a,
                                     size_t *count) {
    char address[ADDRESS] = "";
    fill(address, sizeof address, peer);
    *count = 0;
    pthread_mutex_lock(&u->lock);
    struct unserved_count *list = arena_alloc(a, (u->count + 1) * sizeof *list);
    for (size_t i = 0; i < u->count; i++) {
        const struct entry *e = &u->list[i];
        if (e->workspace != workspace || strcmp(e->peer, address) != 0) continue;
        list[(*count)++] = (struct unserved_count){.method = text_of(e->method, a),
                                                   .path = text_of(e->path, a),
                                                   .user_agent = text_of(e->agent, a),
                                                   .status = e->status,
                                                   .count = e->count,
                                                   .last_us = e->last_us};
    }
    pthread_mutex_unlock(&u->lock);
    return list;
}
