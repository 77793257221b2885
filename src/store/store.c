#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/describe.h"
#include "store/internal.h"

int64_t store_now(const struct store *s) { return s->o.now_us ? s->o.now_us() : clock_now_us(); }

/* ---- workspaces ---- */

static struct workspace *workspace_new(struct store *s, uint32_t number) {
    struct workspace *w = mem_zero(1, sizeof *w);
    w->number = number;
    w->fields = fields_new(s->o.max_fields);
    w->pending = pending_new(s->o.pending_ttl_us);
    w->directory = directory_new();
    w->slots_used = mem_zero(1, (DIRECTORY_SLOTS + 7) / 8);
    w->next_segment = 1;
    pthread_mutex_init(&w->lock, NULL);
    struct view *v = mem_zero(1, sizeof *v);
    v->generation = 1;
    v->chunks[v->chunk_count++] =
        chunk_new(s->o.chunk_rows ? s->o.chunk_rows : SEGMENT_ROWS, s->o.max_fields + OWN_FIELDS);
    v->chunks[0]->opened_generation = v->generation;
    v->directory = w->directory;
    v->pending = w->pending;
    v->fields = w->fields;
    v->seq = &w->seq;
    v->aside = &w->aside;
    memcpy(v->store_id, s->o.id, sizeof v->store_id);
    view_publish(w, v);
    return w;
}

struct workspace *workspace_of(struct store *s, uint32_t number, bool make) {
    if (number / WORKSPACE_PAGE >= WORKSPACE_PAGE) return NULL;
    struct workspace *_Atomic *page = atomic_load_explicit(&s->pages[number / WORKSPACE_PAGE], memory_order_acquire);
    struct workspace *w = page ? atomic_load_explicit(&page[number % WORKSPACE_PAGE], memory_order_acquire) : NULL;
    if (w || !make) return w;
    if (!page) {
        page = mem_zero(WORKSPACE_PAGE, sizeof *page);
        atomic_store_explicit(&s->pages[number / WORKSPACE_PAGE], page, memory_order_release);
    }
    w = workspace_new(s, number);
    atomic_store_explicit(&page[number % WORKSPACE_PAGE], w, memory_order_release);
    return w;
}

struct workspace *workspace_next(struct store *s, uint32_t *number) {
    for (; *number < WORKSPACE_PAGE * WORKSPACE_PAGE; ++*number) {
        if (!atomic_load_explicit(&s->pages[*number / WORKSPACE_PAGE], memory_order_acquire)) {
            *number |= WORKSPACE_PAGE - 1;
            continue;
        }
        struct workspace *w = workspace_of(s, *number, false);
        if (w) return ++*number, w;
    }
    return NULL;
}

struct store_counts store_counts(struct store *s, uint32_t workspace) {
    struct workspace *w = workspace_of(s, workspace, false);
    return w ? (struct store_counts){w->unchanged, w->conflicts} : (struct store_counts){0};
}

struct store_load store_load(struct store *s) {
    struct store_load load = {.journal = journal_stats(s->journal)};
    pthread_mutex_lock(&s->lock);
    load.queued_bytes = s->queued;
    pthread_mutex_unlock(&s->lock);
    return load;
}

/* ---- submitting ---- */

bool store_submit(struct store *s, struct store_write *w, struct err *e) {
    CHECK(w->records > 0 && w->done);
    if (w->workspace / WORKSPACE_PAGE >= WORKSPACE_PAGE)
        return err_set(e, ERR_INVALID, "workspace number %" PRIu32 " is over %d", w->workspace,
                       WORKSPACE_PAGE * WORKSPACE_PAGE);
    free(w->results); /* of a submission before that was refused */
    w->results = mem_zero(w->records, sizeof *w->results);
    w->next = NULL;
    w->err = (struct err){0};
    w->parked_us = 0;
    pthread_mutex_lock(&s->lock);
    bool full = s->queued > 0 && s->queued + w->chain.n > QUEUE_MOST, stopping = s->stopping;
    if (!full && !stopping) {
        if (!s->submitted) pthread_cond_signal(&s->resolve);
        *s->submitted_end = w;
        s->submitted_end = &w->next;
        s->queued += w->chain.n;
    }
    pthread_mutex_unlock(&s->lock);
    if (stopping) return err_set(e, ERR_BUSY, "the server is stopping; nothing was stored, send again");
    return !full || err_set(e, ERR_BUSY, "too much is waiting to be stored; nothing was stored, send again");
}

struct now {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;
};

static void now_done(struct store_write *w) {
    struct now *n = w->ctx;
    pthread_mutex_lock(&n->lock);
    n->over = true;
    pthread_cond_signal(&n->done);
    pthread_mutex_unlock(&n->lock);
}

bool store_write_now(struct store *s, struct store_write *w, struct err *e) {
    struct now n = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    w->done = now_done;
    w->ctx = &n;
    if (!store_submit(s, w, e)) return false;
    pthread_mutex_lock(&n.lock);
    while (!n.over) pthread_cond_wait(&n.done, &n.lock);
    pthread_mutex_unlock(&n.lock);
    if (w->err.code == ERR_NONE) return true;
    *e = w->err;
    return false;
}

bool store_writable(struct store *s, struct err *e) {
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed, stopping = s->stopping;
    struct err why = s->failure;
    pthread_mutex_unlock(&s->lock);
    if (failed) {
        *e = why;
        return err_wrap(e, "storing has stopped");
    }
    return !stopping || err_set(e, ERR_BUSY, "the server is stopping");
}

/* ---- opening and closing ---- */

static bool replayed(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct store *s = ctx;
    const struct manifest_workspace *m = manifest_find(checkpoint_manifest(s->checkpoint), h->workspace);
    if (h->time_us > s->received_us) s->received_us = h->time_us;
    if (m && m->deleted) return true;
    struct workspace *w = workspace_of(s, h->workspace, true);
    if (!w) return err_set(e, ERR_DAMAGED, "record %" PRIu64 " names workspace %" PRIu32, h->seq, h->workspace);
    const struct view *v = w->view;
    if (v && h->type == RECORD_INFERENCE && v->chunk_count == CHUNKS_MOST && chunk_rows(v->chunks[0]) == v->chunks[0]->capacity)
        return err_set(e, ERR_DAMAGED,
                       "workspace %" PRIu32 " has more inferences in its logs than its segments account for; "
                       "`sightglass check --repair` sets aside what cannot be read", h->workspace);
    struct arena arena = {0};
    struct resolved r = {0};
    struct write_result ignored;
    bool decoded = resolve_decode(s, w->view, &arena, h, payload, &r), fits = true;
    if (decoded && r.type == RECORD_ATTACH && r.attach.value.type != VALUE_NONE)
        fits = fields_fit(w, r.attach.field, e);
    if (decoded && fits) {
        resolve_find(w->view, &arena, payload, &r);
        apply_record(s, w, w->view, h, payload, &r, &ignored);
    }
    arena_free(&arena);
    if (!fits) return false;
    return decoded || err_set(e, ERR_DAMAGED, "record %" PRIu64 " cannot be read", h->seq);
}

/* The workspaces of the manifest, with their segments. */
static bool load_segments(struct store *s, struct err *e) {
    const struct manifest *m = checkpoint_manifest(s->checkpoint);
    for (size_t i = 0; i < m->count; i++)
        if (!workspace_load(s, &m->workspaces[i], e)) return false;
    s->received_us = m->received_us;
    return true;
}

/* How far each workspace is: the logs need not hold its newest record. Between logs and journal, so that a chunk that is
 * frozen on the way does not claim what comes after it. */
static void note_seq(struct store *s) {
    uint32_t number = 0;
    for (struct workspace *w; (w = workspace_next(s, &number));) {
        uint64_t seq = checkpoint_manifest(s->checkpoint)->seq;
        if (w->sealed_through > seq) seq = w->sealed_through;
        if (w->sealed_through > s->known_seq) s->known_seq = w->sealed_through;
        if (w->seq < seq) w->seq = seq;
        w->loosened = true;
        w->compacted_bytes = checkpoint_log_bytes(s->checkpoint, w->number); /* a start is no moment to look through them */
    }
}

/* Replay brings back what waited too long and was taken out. Past the limit it would be in the place of others: a write
 * to it adds no id, and more would wait than may. */
static void drop_expired(struct store *s) {
    uint32_t number = 0;
    for (struct workspace *w; (w = workspace_next(s, &number));)
        if (pending_count(w->pending) > s->o.max_pending) expire_pending(s, w);
}

static bool load(struct store *s, struct err *e) {
    char path[4096];
    int64_t begun = clock_mono_us();
    snprintf(path, sizeof path, "%s/workspaces", s->dir);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "%s", path);
    s->checkpoint = checkpoint_open(s->dir, s->o.id, e);
    if (!s->checkpoint || !load_segments(s, e) || !checkpoint_replay(s->checkpoint, replayed, s, e)) return false;
    note_seq(s);
    int64_t logs = clock_mono_us();
    snprintf(path, sizeof path, "%s/journal", s->dir);
    unsigned most = (unsigned)(s->o.journal_max / s->o.journal_file_size);
    struct journal_options jo = {
        .dir = path, .file_size = s->o.journal_file_size, .max_files = most < 2 ? 2 : most > 100 ? 100 : most};
    memcpy(jo.store_id, s->o.id, 16);
    s->journal = journal_open(&jo, checkpoint_manifest(s->checkpoint)->seq, replayed, s, e);
    if (!s->journal) return false;
    /* Otherwise what comes next would get numbers that segments have already, and be passed over at the next start. */
    if (journal_next_seq(s->journal) <= s->known_seq)
        return err_set(e, ERR_DAMAGED,
                       "%s: the journal ends with record %" PRIu64 ", though segments know of %" PRIu64
                       ": its newest files are missing; put them back, or see `sightglass check --repair`",
                       path, journal_next_seq(s->journal) - 1, s->known_seq);
    /* The names of both folders, and of a manifest that a killed run had just put in place. */
    if (io_sync_dir(s->dir, "store.folder") != 0) return err_errno(e, "%s", s->dir);
    struct err swept = {0};
    char quoted[LOG_QUOTE];
    if (!checkpoint_sweep(s->checkpoint, &swept))
        log_event(LOG_WARN, "sweep_failed", "error=%s", log_quote(quoted, str_of(swept.msg)));
    s->file = journal_durable(s->journal).file;
    s->shed_before = s->file + 1; /* what was erased shortly before the last end may still stand in any of them */
    int64_t end = clock_mono_us();
    log_event(LOG_INFO, "store_open", "checkpoint_seq=%" PRIu64 " seq=%" PRIu64 " ms=%" PRId64 " journal_ms=%" PRId64,
              checkpoint_manifest(s->checkpoint)->seq, journal_next_seq(s->journal) - 1, (end - begun) / 1000,
              (end - logs) / 1000);
    return true;
}

static void store_free(struct store *s) {
    if (s->journal) journal_close(s->journal);
    if (s->checkpoint) checkpoint_close(s->checkpoint);
    uint32_t number = 0;
    for (struct workspace *w; (w = workspace_next(s, &number));) workspace_free(w);
    for (uint32_t p = 0; p < WORKSPACE_PAGE; p++) free(s->pages[p]);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->keeping);
    pthread_mutex_destroy(&s->updating);
    free(s->dir);
    free(s);
}

static void init_threads(struct store *s) {
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->keeping, NULL);
    pthread_mutex_init(&s->updating, NULL);
    pthread_cond_t *conds[] = {&s->resolve, &s->work, &s->keep, &s->room, &s->job};
    for (size_t i = 0; i < sizeof conds / sizeof *conds; i++) pthread_cond_init(conds[i], &mono);
    pthread_condattr_destroy(&mono);
    s->group_end = &s->group;
    s->parked_end = &s->parked;
    s->submitted_end = &s->submitted;
    s->queue_end = &s->queue;
    s->jobs_end = &s->jobs;
}

struct store *store_open(const struct store_options *o, struct err *e) {
    struct store *s = mem_zero(1, sizeof *s);
    s->o = *o;
    s->dir = mem_alloc(strlen(o->dir) + 1);
    memcpy(s->dir, o->dir, strlen(o->dir) + 1);
    init_threads(s);
    if (!load(s, e)) {
        store_free(s);
        return NULL;
    }
    drop_expired(s);
    keep_journal(s, false); /* a full disk is told to each write; reads go on */
    s->writer_runs = true;
    CHECK(pthread_create(&s->writer, NULL, write_loop, s) == 0);
    CHECK(pthread_create(&s->resolver, NULL, resolve_loop, s) == 0);
    CHECK(pthread_create(&s->keeper, NULL, keep_loop, s) == 0);
    pthread_setname_np(s->writer, "writer");
    pthread_setname_np(s->resolver, "resolver");
    pthread_setname_np(s->keeper, "keeper");
    return s;
}

void store_close(struct store *s) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->resolve);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->resolver, NULL);
    pthread_join(s->writer, NULL);
    pthread_mutex_lock(&s->lock);
    s->keeper_stop = true;
    pthread_cond_signal(&s->keep);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->keeper, NULL);
    struct err e = {0};
    char quoted[LOG_QUOTE];
    if (!s->failed && !store_checkpoint(s, &e))
        log_event(LOG_ERROR, "checkpoint_failed", "error=%s", log_quote(quoted, str_of(e.msg)));
    store_free(s);
}
