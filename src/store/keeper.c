/* The keeper: when which step is due. The steps themselves are in seal.c, fold.c, compact.c and checkpoint.c. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "store/internal.h"

enum {
    RESERVE = 1 << 20,          /* bytes set aside for when the disk is full */
    SEAL_ROWS = 4096,           /* a chunk with fewer waits until its workspace is idle */
    FOLD_QUIET = 1024,          /* ... and so many when nothing else happens: memory, and the next start, are smaller */
    FOLD_LEAST = 64,            /* writes; fewer are not worth a file */
    OPEN_MOST = 128 << 20,      /* bytes of all open chunks; past it the largest is sealed */
    OVERLAYS_MOST = 160 << 20,  /* bytes of all overlays; past it the largest is folded */
    OVERLAY_LEAST = 1 << 20,    /* ... but not if it is so small */
    CROWDED_MOST = 16,          /* chunks sealed for that reason before anything else has its turn */
    LOGS_MOST = 64 << 20,       /* bytes of a workspace's logs before they are looked through */
    LOGS_ALL = 256 << 20,       /* ... and of the logs of all, past which that is done where it is worth it */
    LOGS_QUIET = 4 << 20,       /* ... when nothing else happens */
    LOGS_LONG = 48 << 20,       /* bytes of what is still needed of them, past which segments are folded early */
    MERGE_EXTRA = 16,           /* a workspace has at most rows / MERGE_ROWS + this many segments */
    MERGE_ROWS = SEGMENT_ROWS / 2,
    SWEEP_S = 60,
};
#define SEAL_AGE_US (3600 * 1000000LL)

void poke_keeper(struct store *s) {
    pthread_mutex_lock(&s->lock);
    s->keeper_due = true;
    pthread_cond_signal(&s->keep);
    pthread_mutex_unlock(&s->lock);
}

static void log_trouble(const char *event, const struct err *e) {
    char quoted[LOG_QUOTE];
    log_event(LOG_ERROR, event, "error=%s", log_quote(quoted, str_of(e->msg)));
}

/* ---- the journal ---- */

/* A megabyte that is given back when the disk is full, so that a manifest can still be written. */
static void keep_reserve(struct store *s, bool full) {
    char path[4096];
    snprintf(path, sizeof path, "%s/reserve", s->dir);
    if (full && s->reserve_there) io_unlink(path), s->reserve_there = false;
    if (full || s->reserve_there) return;
    int fd = io_open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0) return;
    char last;
    s->reserve_there = io_pread(fd, &last, 1, RESERVE - 1) == 1; /* of a run before */
    if (s->reserve_there) {
        io_close(fd);
        return;
    }
    char *zeros = mem_zero(1, RESERVE);
    s->reserve_there = io_write_all(fd, zeros, RESERVE, 0) == 0;
    free(zeros);
    io_close(fd);
}

/* What is in a segment by now need not go through the logs. */
static enum keep not_sealed(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    (void)payload, (void)less;
    const struct workspace *w = workspace_of(ctx, h->workspace, false);
    bool sealed = w && h->type == RECORD_INFERENCE && h->seq <= w->sealed_through && !w->partials;
    return sealed ? KEEP_NONE : KEEP_ALL;
}

bool keeper_checkpoint(struct store *s, struct err *e) {
    checkpoint_begin(s->checkpoint);
    if (!checkpoint_copy(s->checkpoint, s->journal, not_sealed, s, e)) {
        checkpoint_abort(s->checkpoint);
        return err_wrap(e, "checkpoint");
    }
    return checkpoint_commit(s->checkpoint, s->journal, e) == COMMIT_DONE || err_wrap(e, "checkpoint");
}

/* One round: a checkpoint if one is due, and a journal file in hand. True when all went well. */
bool keep_journal(struct store *s, bool checkpoint_due) {
    struct err e = {0};
    bool ready = journal_prepare(s->journal, &e), copied = true;
    if (checkpoint_due || !ready) {
        copied = keeper_checkpoint(s, &e);
        if (!ready && copied) ready = journal_prepare(s->journal, &e);
    }
    if (!copied)
        log_trouble("checkpoint_failed", &e);
    else if (!ready)
        log_trouble("journal_file_missing", &e);
    bool well = copied && ready;
    if (well || e.code == ERR_NO_SPACE) keep_reserve(s, !well);
    pthread_mutex_lock(&s->lock);
    s->trouble = well ? (struct err){0} : e;
    pthread_cond_signal(&s->room);
    pthread_mutex_unlock(&s->lock);
    return well;
}

/* ---- segments ---- */

struct freezing {
    struct store *s;
    struct workspace *w;
};

static void freeze_job(void *ctx) {
    struct freezing *f = ctx;
    if (chunk_rows(f->w->view->chunks[0]) && f->w->view->chunk_count <= FROZEN_MOST) freeze(f->s, f->w);
}

void freeze_now(struct store *s, struct workspace *w) {
    struct freezing f = {s, w};
    on_writer(s, freeze_job, &f);
}

/* A chunk that is not full is sealed when it is old and large enough, or nothing comes any more. */
static bool seal_due(const struct store *s, const struct chunk *open) {
    int64_t now = store_now(s);
    uint32_t rows = chunk_rows(open);
    if (rows == 0) return false;
    return chunk_bytes(open) > CHUNK_BYTES ||
           (rows >= SEAL_ROWS && now - open->opened_us >= SEAL_AGE_US) ||
           (s->o.seal_idle_us && now - open->last_us >= s->o.seal_idle_us);
}

/* Neighbours in age that fit in one segment, the longest such row of them: of those whose rows stand apart, or of the
 * others. */
static size_t merge_run(const struct store *s, const struct view *v, bool apart, struct sealed **run, size_t most) {
    struct sealed **all = mem_alloc(v->sealed_count * sizeof *all + 1);
    size_t count = 0, best = 0, best_at = 0;
    uint32_t capacity = s->o.chunk_rows && s->o.chunk_rows < SEGMENT_ROWS / 4 ? s->o.chunk_rows * 4 : SEGMENT_ROWS;
    for (size_t i = v->sealed_count; i-- > 0;)
        if (!v->sealed[i]->set_aside && v->sealed[i]->segment->apart == apart) all[count++] = v->sealed[i];
    for (size_t from = 0; from < count; from++) {
        uint64_t rows = 0;
        size_t n = 0;
        while (from + n < count && n < most && rows + all[from + n]->segment->rows <= capacity)
            rows += all[from + n++]->segment->rows;
        if (n > best) best = n, best_at = from;
    }
    if (best > 1) memcpy(run, all + best_at, best * sizeof *run);
    free(all);
    return best > 1 ? best : 0;
}

static bool merge_due(const struct view *v) {
    uint64_t rows = 0;
    for (size_t i = 0; i < v->sealed_count; i++) rows += v->sealed[i]->segment->rows;
    return v->sealed_count > rows / MERGE_ROWS + MERGE_EXTRA;
}

static bool merge_once(struct store *s, struct workspace *w, bool when_due, bool *any, struct err *e) {
    struct sealed *run[64];
    struct view *v = workspace_view(w);
    bool due = v && (!when_due || merge_due(v));
    size_t n = due ? merge_run(s, v, true, run, 64) : 0;
    if (due && !n) n = merge_run(s, v, false, run, 64);
    bool ok = n == 0 || merge_sealed(s, w, run, n, e);
    *any = n > 0;
    view_release(v);
    view_reap(w);
    return ok;
}

static size_t overlay_bytes(const struct sealed *s) { return atomic_load_explicit(&s->overlay->bytes, memory_order_relaxed); }

/* The overlay most worth folding; NULL: none is. */
static struct sealed *fold_due(const struct store *s, const struct workspace *w, const struct view *v) {
    struct sealed *largest = NULL;
    for (size_t i = 0; i < v->sealed_count; i++) {
        struct sealed *x = v->sealed[i];
        if (!x->set_aside && overlay_count(x->overlay) && (!largest || overlay_bytes(x) > overlay_bytes(largest)))
            largest = x;
    }
    if (!largest) return NULL;
    uint32_t writes = overlay_count(largest->overlay);
    bool grown = writes >= FOLD_LEAST && (uint64_t)writes * 100 >= (uint64_t)largest->segment->rows * s->o.fold_share;
    bool crowded = s->overlay_bytes > OVERLAYS_MOST && overlay_bytes(largest) > OVERLAY_LEAST;
    bool quiet = w->quiet && writes >= FOLD_QUIET;
    bool long_logs = w->compacted_bytes > LOGS_LONG && writes >= FOLD_LEAST; /* a restart reads them all */
    return grown || crowded || long_logs || quiet ? largest : NULL;
}

/* The workspace with the largest open chunk, when all of them together take too much. */
static struct workspace *crowding(struct store *s) {
    struct workspace *largest = NULL;
    size_t all = 0, most = 0;
    uint32_t number = 0;
    for (struct workspace *w; (w = workspace_next(s, &number));) {
        struct view *v = workspace_view(w);
        size_t bytes = v ? chunk_bytes(v->chunks[0]) : 0;
        view_release(v);
        all += bytes;
        if (bytes > most) most = bytes, largest = w;
    }
    return all > OPEN_MOST ? largest : NULL;
}

/* What all workspaces have together. */
static void add_up(struct store *s) {
    uint32_t number = 0;
    s->overlay_bytes = s->log_bytes = 0;
    for (struct workspace *w; (w = workspace_next(s, &number));) {
        struct view *v = workspace_view(w);
        for (size_t i = 0; v && i < v->sealed_count; i++) s->overlay_bytes += overlay_bytes(v->sealed[i]);
        view_release(v);
        s->log_bytes += checkpoint_log_bytes(s->checkpoint, number);
    }
}

static bool fold_once(struct store *s, struct workspace *w, bool *any, struct err *e) {
    struct view *v = workspace_view(w);
    struct sealed *x = v ? fold_due(s, w, v) : NULL;
    bool ok = !x || fold_sealed(s, w, x, e);
    *any = x != NULL;
    view_release(v);
    view_reap(w);
    return ok;
}

/* ---- what waits too long ---- */

struct expiring {
    struct store *s;
    struct workspace *w;
    int64_t now_us;
    struct pending_id **ids;
    size_t count, room;
};

static void find_expired(void *ctx, const struct pending_id *i) {
    struct expiring *x = ctx;
    if (pending_live(x->w->pending, i, x->now_us)) return;
    if (x->count == x->room) {
        x->room = x->room ? 2 * x->room : 256;
        x->ids = mem_resize(x->ids, x->room * sizeof *x->ids);
    }
    x->ids[x->count++] = (struct pending_id *)i;
}

enum { EXPIRE_MOST = 4096 };

/* The writer: those that were found may have been written to since, or have gone; only what it finds itself counts. */
static void expire_some(void *ctx) {
    struct expiring *x = ctx;
    struct pending *p = x->w->pending;
    /* By the time of the newest record: those that come are not older, whatever the clock says. */
    int64_t now = x->now_us < x->s->received_us ? x->now_us : x->s->received_us;
    for (size_t n = 0; x->count && n < EXPIRE_MOST; n++) {
        struct pending_id *i = x->ids[--x->count];
        if (pending_find(p, i->ident.hash, ident_str(&i->ident)) != i || pending_live(p, i, now)) continue;
        pending_remove(p, i, x->w->view->generation);
        atomic_fetch_add_explicit(&p->expired, 1, memory_order_relaxed);
    }
}

struct reaping {
    struct workspace *w;
    bool more;
};

/* The writer: gives back what was removed. A view of its own lets the generation move on when nothing else does. */
static void reap_some(void *ctx) {
    struct reaping *r = ctx;
    pthread_mutex_lock(&r->w->lock);
    uint64_t oldest = r->w->oldest->generation;
    bool still = r->w->oldest == r->w->view;
    pthread_mutex_unlock(&r->w->lock);
    r->more = pending_reap(r->w->pending, oldest);
    if (!r->more && still && r->w->pending->removed) view_publish(r->w, view_draft(r->w));
}

static void reap_pending(struct store *s, struct workspace *w) {
    struct reaping r = {.w = w, .more = atomic_load(&w->pending->removed_count) > 0};
    while (r.more) on_writer(s, reap_some, &r);
    view_reap(w);
}

void expire_pending(struct store *s, struct workspace *w) {
    struct expiring x = {.s = s, .w = w, .now_us = store_now(s)};
    struct view *v = workspace_view(w);
    if (!v) return;
    pending_each(w->pending, find_expired, &x);
    while (x.count) on_writer(s, expire_some, &x);
    view_release(v);
    free(x.ids);
    reap_pending(s, w);
}

/* ---- rounds ---- */

/* Old is what is so by its time and by its receipt: what a device sends whose clock says 1970 is not gone in a minute. */
static bool sweep_workspace(struct store *s, struct workspace *w, struct err *e) {
    if (pending_count(w->pending)) expire_pending(s, w);
    int64_t keep_us = s->o.retention_of ? s->o.retention_of(s->o.retention_ctx, w->number) : s->o.retention_us;
    int64_t before_us = store_now(s) - keep_us;
    return !keep_us || retain_after(s, w, before_us, before_us, e);
}

static bool keep_workspace(struct store *s, struct workspace *w, bool sweep, bool *any, struct err *e) {
    struct view *v = workspace_view(w);
    if (!v) return true;
    w->quiet = w->round_seq == w->seq;
    w->round_seq = w->seq;
    bool due = seal_due(s, v->chunks[0]) && v->chunk_count <= FROZEN_MOST, more = false;
    view_release(v);
    if (due) freeze_now(s, w);
    if (!seal_oldest(s, w, &more, e)) return false;
    *any |= more;
    if (!more && !fold_once(s, w, &more, e)) return false;
    *any |= more;
    if (!more && !merge_once(s, w, true, &more, e)) return false;
    *any |= more;
    uint64_t logs = checkpoint_log_bytes(s->checkpoint, w->number);
    bool many = logs > LOGS_MOST || (s->log_bytes > LOGS_ALL && logs > LOGS_QUIET);
    bool doubled = many && logs > 2 * w->compacted_bytes;
    bool at_leisure = logs > LOGS_QUIET && w->quiet && !more && w->loosened;
    if ((doubled || at_leisure) && !compact_logs(s, w, e)) return false;
    reap_pending(s, w);
    return !sweep || sweep_workspace(s, w, e);
}

/* What was freed while it was busy goes back to the system once nothing is written any more. */
static void give_back(struct store *s, bool quiet) {
    if (quiet && !s->given_back) malloc_trim(0);
    s->given_back = quiet;
}

void keep_up(struct store *s) {
    uint32_t number = 0;
    bool any;
    if (s->o.manual) return;
    keep_journal(s, false);
    for (struct workspace *w; (w = workspace_next(s, &number));) {
        struct err e = {0};
        if (!seal_oldest(s, w, &any, &e)) log_trouble("keeping_failed", &e);
    }
}

/* Many workspaces with a little each take as much memory as one with much. True: there may be more of them. */
static bool seal_crowding(struct store *s) {
    struct workspace *w = NULL;
    bool well = true, any;
    for (unsigned n = 0; well && n < CROWDED_MOST && (w = crowding(s)); n++) {
        struct err e = {0};
        freeze_now(s, w);
        well = seal_oldest(s, w, &any, &e);
        view_reap(w);
        if (!well) log_trouble("keeping_failed", &e);
    }
    return well && w;
}

/* One step in each workspace; true when there is more to do at once. */
static bool keep_segments(struct store *s) {
    uint32_t number = 0;
    bool any = false, quiet = true, sweep = clock_mono_us() - s->swept_us >= SWEEP_S * 1000000LL;
    if (sweep) s->swept_us = clock_mono_us();
    pthread_mutex_lock(&s->keeping);
    any = seal_crowding(s);
    add_up(s);
    if (sweep) shed_journal(s);
    pthread_mutex_unlock(&s->keeping);
    for (struct workspace *w; (w = workspace_next(s, &number));) {
        struct err e = {0};
        bool more = false;
        pthread_mutex_lock(&s->keeping);
        bool ok = keep_workspace(s, w, sweep, &more, &e);
        view_reap(w);
        pthread_mutex_unlock(&s->keeping);
        if (!ok) log_trouble("keeping_failed", &e);
        any |= ok && more;
        quiet &= w->quiet;
    }
    give_back(s, quiet && !any);
    return any;
}

void *keep_loop(void *ctx) {
    struct store *s = ctx;
    int64_t last = clock_mono_us(), interval = (int64_t)s->o.checkpoint_interval_s * 1000000;
    bool well = true, more = false;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_mutex_lock(&s->lock);
        /* After a round that failed the next is a second later, however many ask: it will hardly do better at once. */
        while (!more && !s->keeper_stop && !(s->keeper_due && well) &&
               pthread_cond_timedwait(&s->keep, &s->lock, &until) == 0)
            continue;
        bool due = s->keeper_due, stop = s->keeper_stop;
        s->keeper_due = false;
        pthread_mutex_unlock(&s->lock);
        if (stop) return NULL;
        bool file_begun = !s->o.manual && journal_durable(s->journal).file != s->kept_file;
        bool by_time = !s->o.manual && clock_mono_us() - last >= interval;
        if (file_begun || due || by_time || (!well && !s->o.manual)) {
            pthread_mutex_lock(&s->keeping);
            s->kept_file = journal_durable(s->journal).file;
            well = keep_journal(s, file_begun || by_time);
            pthread_mutex_unlock(&s->keeping);
            if (by_time || file_begun) last = clock_mono_us();
        }
        more = !s->o.manual && well && keep_segments(s);
    }
}

/* ---- asked for from outside ---- */

bool store_checkpoint(struct store *s, struct err *e) {
    pthread_mutex_lock(&s->keeping);
    bool ok = keeper_checkpoint(s, e);
    pthread_mutex_unlock(&s->keeping);
    return ok;
}

static bool seal_all(struct store *s, struct workspace *w, struct err *e) {
    for (bool any = true; any;)
        if (!seal_oldest(s, w, &any, e)) return false;
    return true;
}

static bool fold_all(struct store *s, struct workspace *w, struct err *e) {
    struct view *v = workspace_view(w);
    bool ok = true;
    for (size_t i = 0; v && i < v->sealed_count && ok; i++) {
        struct sealed *x = v->sealed[i];
        if (!x->set_aside && (overlay_count(x->overlay) || atomic_load(&x->overlay->hidden_count)))
            ok = fold_sealed(s, w, x, e);
    }
    view_release(v);
    return ok;
}

bool store_step(struct store *s, uint32_t workspace, enum store_step step, int64_t arg_us, struct err *e) {
    struct workspace *w = workspace_of(s, workspace, false);
    bool ok = true, any;
    if (!w || w->deleted) return true;
    pthread_mutex_lock(&s->keeping);
    switch (step) {
    case STEP_FREEZE: freeze_now(s, w); break;
    case STEP_SEAL: ok = seal_all(s, w, e); break;
    case STEP_FOLD: ok = fold_all(s, w, e); break;
    case STEP_MERGE: ok = merge_once(s, w, false, &any, e); break;
    case STEP_RETAIN: ok = retain_after(s, w, arg_us, INT64_MAX, e); break;
    case STEP_CHECKPOINT: ok = keeper_checkpoint(s, e); break;
    case STEP_COMPACT: ok = compact_logs(s, w, e); break;
    case STEP_EXPIRE: expire_pending(s, w); break;
    case STEP_SWEEP:
        ok = sweep_workspace(s, w, e);
        shed_journal(s);
        break;
    }
    if (!ok) w->seal_trouble = (int)e->code; /* what keeps this from being done keeps segments from being made */
    view_reap(w);
    pthread_mutex_unlock(&s->keeping);
    return ok;
}

struct deleting {
    struct store *s;
    uint32_t number;
};

static void delete_job(void *ctx) {
    struct deleting *d = ctx;
    struct workspace *w = workspace_of(d->s, d->number, true);
    for (size_t i = 0; w->view && i < w->view->chunk_count; i++) d->s->chunk_bytes -= chunk_bytes(w->view->chunks[i]);
    workspace_hide(w);
}

bool store_delete(struct store *s, uint32_t workspace, struct err *e) {
    struct deleting d = {s, workspace};
    if (workspace / WORKSPACE_PAGE >= WORKSPACE_PAGE)
        return err_set(e, ERR_INVALID, "there is no workspace %" PRIu32, workspace);
    pthread_mutex_lock(&s->keeping);
    on_writer(s, delete_job, &d);
    checkpoint_begin(s->checkpoint);
    checkpoint_delete(s->checkpoint, workspace);
    bool ok = checkpoint_commit(s->checkpoint, s->journal, e) == COMMIT_DONE;
    pthread_mutex_unlock(&s->keeping);
    return ok || err_wrap(e, "deleting workspace %" PRIu32, workspace);
}

bool store_hold(struct store *s, struct manifest *m, struct err *e) {
    pthread_mutex_lock(&s->keeping);
    checkpoint_hold(s->checkpoint, true);
    bool ok = keeper_checkpoint(s, e) || keeper_checkpoint(s, e);
    if (ok)
        manifest_copy(m, checkpoint_manifest(s->checkpoint));
    else
        checkpoint_hold(s->checkpoint, false);
    pthread_mutex_unlock(&s->keeping);
    return ok;
}

void store_release(struct store *s) {
    pthread_mutex_lock(&s->keeping);
    checkpoint_hold(s->checkpoint, false);
    pthread_mutex_unlock(&s->keeping);
    poke_keeper(s);
}
