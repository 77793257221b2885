/* Erasing ids: segments that have one are written anew without its rows, the logs without its records, and both become
 * true with one manifest. Chunks that hold one are sealed first, so that everything is in segments and logs. It is a
 * step of the keeper, which whoever asks for it does himself; the writer stands still for its last moment. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/guard.h"
#include "store/internal.h"

/* The rows of a segment that go. */
struct marked {
    struct sealed *sealed;
    uint8_t *gone; /* by row */
    struct rewrite *rewrite;
};

struct erasing {
    struct store *s;
    struct workspace *w;
    struct id_set ids;
    uint64_t *hashes;
    bool *there; /* by id */
    struct marked *marked;
    size_t marked_count, written;
    struct sealed_row *found; /* room for those of an id */
    uint64_t inferences;
    struct needs needs;
    bool again; /* an id came into a chunk meanwhile */
    enum committed committed;
    struct err e;
};

/* ---- ids ---- */

static int by_bytes(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

bool id_set_has(const struct id_set *set, struct str id) {
    return set->count && bsearch(&id, set->ids, set->count, sizeof id, by_bytes);
}

static void take_ids(struct erasing *x, const struct str *ids, size_t count) {
    struct str *own = mem_alloc(count * sizeof *own + 1);
    size_t kept = 0;
    if (count) memcpy(own, ids, count * sizeof *own);
    if (count) qsort(own, count, sizeof *own, by_bytes);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !str_eq(own[i], own[kept - 1])) own[kept++] = own[i];
    x->ids = (struct id_set){own, kept};
    x->hashes = mem_alloc(kept * sizeof *x->hashes + 1);
    x->there = mem_zero(kept + 1, sizeof *x->there);
    for (size_t i = 0; i < kept; i++) x->hashes[i] = id_hash(x->s->o.id, own[i]);
}

static bool in_chunk(const struct erasing *x, const struct chunk *c) {
    for (size_t i = 0; i < x->ids.count; i++)
        if (chunk_find(c, x->hashes[i], x->ids.ids[i])) return true;
    return false;
}

/* ---- chunks ---- */

static bool seal_all(struct erasing *x, struct err *e) {
    for (bool more = true; more;)
        if (!seal_oldest(x->s, x->w, &more, e)) return false;
    return true;
}

/* What was frozen is sealed before the open one is looked at: there is room to freeze it then. */
static bool seal_holders(struct erasing *x, struct err *e) {
    struct view *v = workspace_view(x->w);
    bool open = in_chunk(x, v->chunks[0]), frozen = false;
    for (size_t i = 1; i < v->chunk_count; i++) frozen |= in_chunk(x, v->chunks[i]);
    view_release(v);
    if ((open || frozen) && !seal_all(x, e)) return false;
    if (!open) return true;
    freeze_now(x->s, x->w);
    return seal_all(x, e);
}

/* ---- segments ---- */

static struct marked *mark_of(struct erasing *x, struct sealed *s) {
    for (size_t i = 0; i < x->marked_count; i++)
        if (x->marked[i].sealed == s) return &x->marked[i];
    x->marked = mem_resize(x->marked, (x->marked_count + 1) * sizeof *x->marked);
    x->marked[x->marked_count] = (struct marked){.sealed = s, .gone = mem_zero(s->segment->rows, 1)};
    return &x->marked[x->marked_count++];
}

/* Under a guard. */
static void mark_rows(struct erasing *x, const struct sealed_row *first) {
    const struct segment *g = first->sealed->segment;
    struct marked *m = mark_of(x, first->sealed);
    const uint32_t *same = SEG(g, SAME_ID);
    const uint8_t *flags = SEG(g, FLAGS);
    for (uint32_t row = first->row + 1; row; row = same[row - 1]) {
        if (m->gone[row - 1]) continue;
        m->gone[row - 1] = 1;
        x->inferences += !(flags[row - 1] & ROW_PARTIAL);
    }
}

static bool mark_guarded(struct erasing *x, const struct view *v, size_t i) {
    struct guard g;
    if (!guard_enter(&g)) {
        view_set_aside(v, g.what, &g.e);
        return false;
    }
    size_t n = view_find(v, x->hashes[i], x->ids.ids[i], x->found);
    for (size_t k = 0; k < n; k++) mark_rows(x, &x->found[k]);
    x->there[i] |= n > 0;
    guard_leave(&g);
    return true;
}

/* Nobody knows what a segment has that cannot be read. */
static bool all_readable(const struct view *v, struct err *e) {
    for (size_t i = 0; i < v->sealed_count; i++)
        if (v->sealed[i]->set_aside)
            return err_set(e, ERR_BUSY,
                           "segment %" PRIu64 " cannot be read, so nobody knows whether it holds some of these ids; "
                           "`sightglass check --repair` sets it aside for good; nothing was deleted",
                           v->sealed[i]->segment->number);
    return true;
}

static bool mark(struct erasing *x, struct err *e) {
    struct view *v = workspace_view(x->w);
    free(x->found);
    x->found = mem_alloc(v->sealed_count * sizeof *x->found + 1);
    bool ok = all_readable(v, e);
    for (size_t i = 0; ok && i < x->ids.count; i++)
        if (!mark_guarded(x, v, i)) ok = all_readable(v, e);
    view_release(v);
    return ok;
}

static bool write_marked(struct erasing *x, struct err *e) {
    for (; x->written < x->marked_count; x->written++) {
        struct marked *m = &x->marked[x->written];
        m->rewrite = rewrite_without(x->s, x->w, m->sealed, m->gone, e);
        if (!m->rewrite) return false;
        keep_up(x->s);
    }
    return true;
}

/* ---- what waits ---- */

static bool any_waits(const struct erasing *x) {
    struct view *v = workspace_view(x->w); /* what is taken out stays readable */
    bool any = false;
    for (size_t i = 0; i < x->ids.count; i++) any |= pending_find(v->pending, x->hashes[i], x->ids.ids[i]) != NULL;
    view_release(v);
    return any;
}

/* The writer. What has expired, and was not given back yet, was not there. */
static void drop_waiting(struct erasing *x) {
    struct pending *waiting = x->w->pending;
    int64_t now = store_now(x->s);
    if (now < x->s->received_us) now = x->s->received_us;
    for (size_t i = 0; i < x->ids.count; i++) {
        struct pending_id *p = pending_find(waiting, x->hashes[i], x->ids.ids[i]);
        if (!p) continue;
        x->there[i] |= pending_live(waiting, p, now);
        pending_remove(waiting, p, x->w->view->generation);
    }
}

/* ---- the end of it ---- */

/* While the writer stands still: what came since the logs were looked through, the manifest, and the view. */
static void finish(void *ctx) {
    struct erasing *x = ctx;
    struct checkpoint *c = x->s->checkpoint;
    struct workspace *w = x->w;
    x->again = false;
    for (size_t i = 0; i < w->view->chunk_count; i++) x->again |= in_chunk(x, w->view->chunks[i]);
    if (x->again) return;
    x->needs.applied = w->seq;
    for (size_t i = 0; i < x->marked_count; i++) rewrite_enter(x->marked[i].rewrite);
    if (!checkpoint_copy(c, x->s->journal, needs_record_here, &x->needs, &x->e))
        checkpoint_abort(c);
    else
        x->committed = checkpoint_commit(c, x->s->journal, &x->e);
    if (x->committed == COMMIT_FAILED) return;
    struct view *v = view_draft(w);
    for (size_t i = 0; i < x->marked_count; i++) rewrite_publish(x->marked[i].rewrite, v);
    view_publish(w, v);
    drop_waiting(x);
}

static bool commit(struct erasing *x, struct err *e) {
    struct store *s = x->s;
    x->needs = (struct needs){.s = s, .w = x->w, .applied = x->w->seq, .erased = &x->ids};
    x->committed = COMMIT_FAILED;
    checkpoint_begin(s->checkpoint);
    if (!checkpoint_copy(s->checkpoint, s->journal, NULL, NULL, e) ||
        !checkpoint_compact(s->checkpoint, x->w->number, needs_record, &x->needs, e)) {
        checkpoint_abort(s->checkpoint);
        return false;
    }
    pthread_mutex_lock(&s->updating);
    on_writer(s, finish, x);
    pthread_mutex_unlock(&s->updating);
    if (x->again) {
        checkpoint_abort(s->checkpoint);
        return true;
    }
    *e = x->e;
    if (x->committed == COMMIT_FAILED) return false;
    s->shed_before = journal_durable(s->journal).file + 1;
    x->w->compacted_bytes = checkpoint_log_bytes(s->checkpoint, x->w->number);
    /* What counts, but may be undone by a power loss, is made good for by the next. */
    if (x->committed == COMMIT_DONE || keeper_checkpoint(s, e)) return true;
    return err_set(e, ERR_UNKNOWN_OUTCOME,
                   "the disk failed while this was being deleted; the outcome is unknown until the server has been "
                   "restarted, then delete again");
}

/* Who sends an id again as fast as it is erased is told so. */
enum { ERASE_ROUNDS = 8 };

static bool erase(struct erasing *x, struct err *e) {
    for (int round = 0; round < ERASE_ROUNDS; round++) {
        if (!seal_holders(x, e) || !mark(x, e)) return false;
        if (x->written < x->marked_count) {
            if (!write_marked(x, e)) return false;
            continue; /* a chunk may have been sealed meanwhile */
        }
        if (!any_waits(x) && x->marked_count == 0) return true;
        if (!commit(x, e)) return false;
        if (!x->again) return true;
    }
    return err_set(e, ERR_BUSY, "these ids are being sent while they are deleted; nothing was deleted, try again");
}

static void erasing_free(struct erasing *x) {
    for (size_t i = 0; i < x->marked_count; i++) {
        if (x->marked[i].rewrite) rewrite_free(x->marked[i].rewrite);
        free(x->marked[i].gone);
    }
    arena_free(&x->needs.arena);
    free(x->marked);
    free(x->found);
    free(x->there);
    free(x->hashes);
    free((void *)(uintptr_t)x->ids.ids);
}

bool store_erase(struct store *s, uint32_t workspace, const struct str *ids, size_t count, struct erased *out,
                 struct err *e) {
    struct erasing x = {.s = s, .w = workspace_of(s, workspace, false)};
    *out = (struct erased){0};
    if (!store_writable(s, e)) return false;
    take_ids(&x, ids, count);
    pthread_mutex_lock(&s->keeping);
    bool ok = !x.w || x.w->deleted || erase(&x, e);
    for (size_t i = 0; i < x.ids.count; i++) ++*(x.there[i] ? &out->ids : &out->unknown);
    out->inferences = x.inferences;
    erasing_free(&x);
    if (x.w) view_reap(x.w);
    pthread_mutex_unlock(&s->keeping);
    return ok || err_wrap(e, "deleting inferences");
}

void store_update_begin(struct store *s) { pthread_mutex_lock(&s->updating); }

void store_update_end(struct store *s) { pthread_mutex_unlock(&s->updating); }

/* ---- the journal ---- */

static void turn(void *ctx) { writer_turn(ctx); }

void shed_journal(struct store *s) {
    if (s->shed_before == 0 || !keep_journal(s, false)) return;
    if (journal_durable(s->journal).file < s->shed_before) on_writer(s, turn, s);
    if (keep_journal(s, true) && journal_discard(s->journal, s->shed_before)) s->shed_before = 0;
    keep_journal(s, false);
}
