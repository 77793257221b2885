#include "store/view.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "store/internal.h"

/* ---- readers ---- */

struct view *workspace_view(struct workspace *w) {
    pthread_mutex_lock(&w->lock);
    struct view *v = w->view;
    if (v) atomic_fetch_add_explicit(&v->readers, 1, memory_order_relaxed);
    pthread_mutex_unlock(&w->lock);
    return v;
}

struct view *store_view(struct store *s, uint32_t workspace) {
    struct workspace *w = workspace_of(s, workspace, false);
    return w ? workspace_view(w) : NULL;
}

void view_release(struct view *v) {
    if (v) atomic_fetch_sub_explicit(&v->readers, 1, memory_order_release);
}

/* Of an id there are at most max_per_id rows, and hardly ever a row of another id under the same bits. */
enum { PLACES = 4096 };

size_t view_find(const struct view *v, uint64_t hash, struct str id, struct sealed_row *found) {
    struct place places[PLACES];
    size_t count = directory_find(v->directory, hash, places, PLACES), n = 0;
    for (size_t i = 0; i < count && i < PLACES; i++) {
        struct sealed *s = places[i].slot < v->slot_count ? v->slots[places[i].slot] : NULL;
        if (!s || atomic_load_explicit(&s->set_aside, memory_order_relaxed) || places[i].row >= s->segment->rows) continue;
        if (str_eq(segment_id(s->segment, places[i].row), id) && n < v->sealed_count)
            found[n++] = (struct sealed_row){s, places[i].row};
    }
    return n;
}

void view_set_aside(const struct view *v, const void *segment, const struct err *e) {
    for (size_t i = 0; i < v->sealed_count; i++) {
        if (v->sealed[i]->segment != segment) continue;
        char quoted[LOG_QUOTE];
        if (v->aside) atomic_store(v->aside, true); /* a view made by hand has none */
        if (!atomic_exchange(&v->sealed[i]->set_aside, true))
            log_event(LOG_ERROR, "segment_set_aside", "file=%s error=%s", v->sealed[i]->path,
                      log_quote(quoted, str_of(e->msg)));
        return;
    }
    WRONG("a guard blamed what is no segment of the view");
}

/* ---- the writer ---- */

struct sealed *sealed_new(struct segment *segment, uint32_t slot, uint32_t max_fields) {
    struct sealed *s = mem_zero(1, sizeof *s);
    s->segment = segment;
    s->overlay = overlay_new(max_fields);
    s->slot = slot;
    s->received_us = INT64_MAX;
    return s;
}

struct view *view_draft(const struct workspace *w) {
    const struct view *now = w->view;
    struct view *v = mem_zero(1, sizeof *v);
    v->generation = now->generation + 1;
    v->chunk_count = now->chunk_count;
    for (size_t i = 0; i < now->chunk_count; i++) v->chunks[i] = now->chunks[i];
    v->sealed_count = now->sealed_count;
    v->slot_count = now->slot_count;
    v->sealed = mem_alloc((v->sealed_count + 2) * sizeof *v->sealed);
    v->slots = mem_alloc(v->slot_count * sizeof *v->slots + 1);
    for (size_t i = 0; i < v->sealed_count; i++) v->sealed[i] = now->sealed[i];
    for (size_t i = 0; i < v->slot_count; i++) v->slots[i] = now->slots[i];
    v->directory = now->directory;
    v->pending = now->pending;
    v->fields = now->fields;
    memcpy(v->store_id, now->store_id, sizeof v->store_id);
    v->seq = now->seq;
    v->aside = now->aside;
    return v;
}

void view_add(struct view *v, struct sealed *s) {
    v->sealed = mem_resize(v->sealed, (v->sealed_count + 1) * sizeof *v->sealed);
    size_t at = v->sealed_count++;
    for (; at > 0 && v->sealed[at - 1]->segment->max_time_us < s->segment->max_time_us; at--)
        v->sealed[at] = v->sealed[at - 1];
    v->sealed[at] = s;
    if (s->slot >= v->slot_count) {
        v->slots = mem_resize(v->slots, (s->slot + 1) * sizeof *v->slots);
        while (v->slot_count <= s->slot) v->slots[v->slot_count++] = NULL;
    }
    v->slots[s->slot] = s;
}

void view_remove(struct view *v, const struct sealed *s) {
    size_t at = 0;
    while (at < v->sealed_count && v->sealed[at] != s) at++;
    CHECK(at < v->sealed_count);
    memmove(&v->sealed[at], &v->sealed[at + 1], (--v->sealed_count - at) * sizeof *v->sealed);
    v->slots[s->slot] = NULL;
}

/* What a view holds is counted, so that it goes with the last one. Under the workspace's lock. */
static void count_users(struct view *v, int by) {
    for (size_t i = 0; i < v->chunk_count; i++) v->chunks[i]->users += (uint32_t)by;
    for (size_t i = 0; i < v->sealed_count; i++) v->sealed[i]->users += (uint32_t)by;
}

void view_publish(struct workspace *w, struct view *v) {
    pthread_mutex_lock(&w->lock);
    count_users(v, 1);
    if (w->view)
        w->view->newer = v;
    else
        w->oldest = v;
    w->view = v;
    pthread_mutex_unlock(&w->lock);
}

void workspace_hide(struct workspace *w) {
    w->deleted = true;
    pthread_mutex_lock(&w->lock);
    w->view = NULL;
    pthread_mutex_unlock(&w->lock);
}

void freeze(struct store *s, struct workspace *w) {
    CHECK(w->view->chunk_count < CHUNKS_MOST);
    struct view *v = view_draft(w);
    memmove(&v->chunks[1], &v->chunks[0], v->chunk_count * sizeof v->chunks[0]);
    v->chunk_count++;
    v->chunks[1]->frozen = true;
    v->chunks[1]->last_seq = w->seq; /* what came since its last row was there already, or in conflict */
    v->chunks[0] = chunk_new(s->o.chunk_rows ? s->o.chunk_rows : SEGMENT_ROWS, s->o.max_fields + OWN_FIELDS);
    v->chunks[0]->opened_generation = v->generation;
    view_publish(w, v);
    if (!s->o.manual) poke_keeper(s);
}

/* ---- the keeper ---- */

void sealed_free(struct sealed *s) {
    if (s->segment->parts)
        segment_close(s->segment); /* its file went with the manifest that named it */
    else
        free(s->segment); /* it could not be opened */
    overlay_free(s->overlay);
    free(s->path);
    free(s->map);
    free(s);
}

/* Takes the oldest view off the list, with those of its parts that nobody else holds; NULL: it is in use, or the newest.
 * In order of age only: a part of an old view may point to what took its place in a younger one. */
static struct view *take_oldest(struct workspace *w, bool newest_too) {
    pthread_mutex_lock(&w->lock);
    struct view *v = w->oldest;
    bool take = v && (v != w->view || newest_too) && atomic_load_explicit(&v->readers, memory_order_acquire) == 0;
    if (take) {
        w->oldest = v->newer;
        if (v == w->view) w->view = NULL;
        count_users(v, -1);
        for (size_t i = 0; i < v->chunk_count; i++)
            if (v->chunks[i]->users) v->chunks[i] = NULL;
        for (size_t i = 0; i < v->sealed_count; i++)
            if (v->sealed[i]->users) v->sealed[i] = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    return take ? v : NULL;
}

static bool slot_in_use(const struct view *newest, uint32_t slot) {
    return newest && slot < newest->slot_count && newest->slots[slot];
}

static void free_view(struct workspace *w, struct view *v) {
    uint32_t *slots = mem_alloc((v->sealed_count + 1) * sizeof *slots);
    size_t free_slots = 0;
    pthread_mutex_lock(&w->lock);
    const struct view *newest = w->view; /* it stays: views are freed here only */
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < v->chunk_count; i++)
        if (v->chunks[i]) chunk_free(v->chunks[i]);
    for (size_t i = 0; i < v->sealed_count; i++) {
        struct sealed *gone = v->sealed[i];
        if (!gone) continue;
        if (!gone->into || gone->into->slot != gone->slot) slots[free_slots++] = gone->slot;
        sealed_free(gone);
    }
    if (newest && free_slots) {
        directory_forget(w->directory, slots, free_slots);
        for (size_t i = 0; i < free_slots; i++) {
            CHECK(!slot_in_use(newest, slots[i]));
            w->slots_used[slots[i] / 8] &= (uint8_t)~(1u << slots[i] % 8);
        }
    }
    free(slots);
    free(v->sealed);
    free(v->slots);
    free(v);
}

void view_reap(struct workspace *w) {
    for (struct view *v; (v = take_oldest(w, false));) free_view(w, v);
    pthread_mutex_lock(&w->lock);
    uint64_t oldest = w->oldest ? w->oldest->generation : 0, newest = w->view ? w->view->generation : 0;
    pthread_mutex_unlock(&w->lock);
    if (newest) directory_reap(w->directory, newest, oldest);
}

void workspace_free(struct workspace *w) {
    for (struct view *v; (v = take_oldest(w, true));) free_view(w, v);
    CHECK(!w->oldest); /* whoever took a view has given it back */
    directory_free(w->directory);
    pending_free(w->pending);
    fields_free(w->fields);
    pthread_mutex_destroy(&w->lock);
    free(w->slots_used);
    free(w);
}
