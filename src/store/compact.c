/* What the workspace logs must still hold: everything that no segment has. A record that is kept although it is not
 * needed costs a little; replay knows it by its sequence number. */
#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "store/internal.h"

/* The row that a record made, in a segment. */
struct made {
    bool there;
    uint32_t index;
};

static void find_made(const struct sealed_row *found, size_t count, uint64_t seq, struct made *out) {
    for (size_t i = 0; i < count; i++) {
        const struct segment *g = found[i].sealed->segment;
        for (uint32_t row = found[i].row + 1; row; row = SEG(g, SAME_ID)[row - 1])
            if (SEG(g, SEQ)[row - 1] == seq) *out = (struct made){true, SEG(g, INDEX)[row - 1]};
    }
}

static bool lacks_guarded(const struct view *v, uint64_t hash, struct str id, uint64_t seq, struct sealed_row *found,
                          struct made *made) {
    struct guard g;
    if (!guard_enter(&g)) {
        view_set_aside(v, g.what, &g.e);
        return true;
    }
    bool lacks = false;
    size_t n = view_find(v, hash, id, found);
    for (size_t i = 0; i < n; i++)
        lacks |= !found[i].sealed->going && found[i].sealed->segment->applied_through < seq;
    if (made) find_made(found, n, seq, made);
    guard_leave(&g);
    return lacks;
}

/* Whether a segment lacks a write of the id, or may. *made, if asked for: the row of this number. */
static bool segment_lacks(const struct view *v, uint64_t hash, struct str id, uint64_t seq, struct made *made) {
    struct sealed_row few[256], *many = NULL;
    if (v->sealed_count > sizeof few / sizeof *few) many = mem_alloc(v->sealed_count * sizeof *many);
    bool lacks = lacks_guarded(v, hash, id, seq, many ? many : few, made);
    free(many);
    return lacks;
}

static bool any_set_aside(const struct view *v) { return atomic_load_explicit(v->aside, memory_order_relaxed); }

/* In this order: the writer moves an id from what waits to a chunk, and from a chunk to segments, and it stands in the
 * new place before it leaves the old. Hence a view of its own for each. */
static bool id_needs(struct needs *n, struct str id, uint64_t seq) {
    if (n->erased && id_set_has(n->erased, id)) return false;
    if (seq > n->applied) return true;
    uint64_t hash = id_hash(n->s->o.id, id);
    if (pending_find(n->w->pending, hash, id)) return true;
    struct view *v = workspace_view(n->w);
    if (!v) return false;
    bool needed = any_set_aside(v);
    for (size_t c = 0; c < v->chunk_count && !needed; c++) needed = chunk_find(v->chunks[c], hash, id) != NULL;
    if (!needed) needed = segment_lacks(v, hash, id, seq, NULL);
    view_release(v);
    return needed;
}

static enum keep keep_attach(struct needs *n, const struct record_header *h, struct str payload, struct buf *less) {
    struct attach a;
    if (!attach_decode(payload, &n->arena, &a)) return KEEP_ALL;
    struct str *ids = arena_alloc(&n->arena, a.id_count * sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < a.id_count; i++)
        if (id_needs(n, a.ids[i], h->seq)) ids[count++] = a.ids[i];
    if (count == 0 || count == a.id_count) return count ? KEEP_ALL : KEEP_NONE;
    struct attach_encoder enc;
    attach_encode_begin(&enc, less, a.key_id, a.field, &a.value);
    for (size_t i = 0; i < count; i++) attach_encode_id(&enc, ids[i]);
    attach_encode_end(&enc);
    return KEEP_LESS;
}

/* The row of a complete record is in a segment. What it hid may be in one that is not folded. An index that was
 * assigned is written down: the row may be dropped before what it hid, and then nobody else knows. */
static enum keep keep_sealed(struct needs *n, const struct record_header *h, struct str payload, struct buf *less) {
    struct inference inf;
    struct made made = {0};
    if (!n->w->partials) return KEEP_NONE;
    if (!inference_decode(payload, &n->arena, &inf)) return KEEP_ALL;
    if (inf.partial) return KEEP_NONE;
    struct view *v = workspace_view(n->w);
    bool lacks = v && segment_lacks(v, id_hash(n->s->o.id, inf.id), inf.id, h->seq, &made);
    lacks |= v && any_set_aside(v);
    view_release(v);
    if (!lacks || !inf.assign_index || !made.there) return lacks ? KEEP_ALL : KEEP_NONE;
    inf.index = made.index;
    inf.assign_index = false;
    inference_encode(less, &inf);
    return KEEP_LESS;
}

/* An inference that came again, or in conflict, made no row. It must not make one when the row it met is dropped. */
static enum keep keep_open(struct needs *n, const struct record_header *h, struct str payload) {
    struct inference inf;
    if (!inference_decode(payload, &n->arena, &inf)) return KEEP_ALL;
    struct view *v = workspace_view(n->w);
    bool made = false;
    for (size_t c = 0; v && c < v->chunk_count && !made; c++) {
        const struct ident *i = chunk_find(v->chunks[c], id_hash(n->s->o.id, inf.id), inf.id);
        bool started = false;
        for (uint32_t row; i && !made && row_next(v->chunks[c], i, &row, &started);)
            made = chunk_block(v->chunks[c], row)->seq[row % BLOCK_ROWS] == h->seq;
    }
    view_release(v);
    return made ? KEEP_ALL : KEEP_NONE;
}

/* Whatever an erased id has said so far, nothing of it may come back with a restart: not even one that came again and
 * made no row. */
static bool is_erased(struct needs *n, struct str payload) {
    struct inference inf;
    return n->erased && inference_decode(payload, &n->arena, &inf) && id_set_has(n->erased, inf.id);
}

enum keep needs_record(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    struct needs *n = ctx;
    enum keep keep = KEEP_ALL;
    bool later = h->seq > n->applied;
    if (h->type == RECORD_ATTACH && (n->erased || !later))
        keep = keep_attach(n, h, payload, less);
    else if (h->type == RECORD_INFERENCE && is_erased(n, payload))
        keep = KEEP_NONE;
    else if (h->type == RECORD_INFERENCE && !later && h->seq <= n->w->sealed_through)
        keep = keep_sealed(n, h, payload, less);
    else if (h->type == RECORD_INFERENCE && !later)
        keep = keep_open(n, h, payload);
    arena_free(&n->arena);
    return keep;
}

enum keep needs_record_here(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    struct needs *n = ctx;
    return h->workspace == n->w->number ? needs_record(ctx, h, payload, less) : KEEP_ALL;
}

static bool compact(struct needs *n, struct err *e) {
    return checkpoint_compact(n->s->checkpoint, n->w->number, needs_record, n, e);
}

bool compact_logs(struct store *s, struct workspace *w, struct err *e) {
    struct needs n = {.s = s, .w = w, .applied = w->seq};
    checkpoint_begin(s->checkpoint);
    if (!compact(&n, e)) {
        checkpoint_abort(s->checkpoint);
        return err_wrap(e, "compacting logs");
    }
    if (checkpoint_commit(s->checkpoint, s->journal, e) == COMMIT_FAILED) return err_wrap(e, "compacting logs");
    w->loosened = false;
    w->compacted_bytes = checkpoint_log_bytes(s->checkpoint, w->number);
    return true;
}

/* ---- retention ---- */

struct dropping {
    struct needs needs;
    struct manifest_segment *gone;
    size_t count;
    int64_t before_us;
    bool heirs; /* a chunk depends on what is to go */
    enum committed committed;
    struct err e;
};

/* A program of before left no note of receipts: they are read once, and only of a segment that might go. One that cannot
 * be read is not known to be old. */
static int64_t latest_receipt(struct sealed *s) {
    struct manifest_segment known;
    struct err e;
    if (s->received_us == INT64_MAX && !s->set_aside) (void)sealed_describe(s, &known, &e);
    return s->received_us;
}

/* The segments that lie wholly before, marked. */
static void find_gone(struct dropping *d, int64_t received_before_us) {
    struct view *v = workspace_view(d->needs.w);
    d->gone = mem_alloc((v ? v->sealed_count : 0) * sizeof *d->gone + 1);
    for (size_t i = 0; v && i < v->sealed_count; i++) {
        struct sealed *s = v->sealed[i];
        s->going = s->segment->max_time_us < d->before_us &&
                   (received_before_us == INT64_MAX || latest_receipt(s) < received_before_us);
        if (s->going)
            d->gone[d->count++] =
                (struct manifest_segment){.number = s->segment->number, .version = s->segment->version};
    }
    view_release(v);
}

/* While the writer stands still: what the logs got since they were looked through, the manifest, and the view, so that
 * nobody was told anything in between that a restart would tell otherwise. */
static void drop(void *ctx) {
    struct dropping *d = ctx;
    struct workspace *w = d->needs.w;
    struct checkpoint *c = d->needs.s->checkpoint;
    d->heirs = false;
    for (size_t n = 0; n < w->view->chunk_count; n++) d->heirs |= w->view->chunks[n]->inherits_us < d->before_us;
    if (d->heirs) return;
    d->needs.applied = w->seq;
    checkpoint_segments(c, w->number, d->gone, d->count, NULL, 0, w->sealed_through);
    d->committed = COMMIT_FAILED;
    if (!checkpoint_copy(c, d->needs.s->journal, needs_record_here, &d->needs, &d->e))
        checkpoint_abort(c);
    else
        d->committed = checkpoint_commit(c, d->needs.s->journal, &d->e);
    if (d->committed == COMMIT_FAILED) return;
    struct view *old = w->view, *v = view_draft(w);
    for (size_t i = 0; i < old->sealed_count; i++) {
        if (!old->sealed[i]->going) continue;
        old->sealed[i]->dropped = true;
        view_remove(v, old->sealed[i]);
    }
    view_publish(w, v);
}

static bool seal_heirs(struct store *s, struct workspace *w, struct err *e) {
    freeze_now(s, w);
    for (bool more = true; more;)
        if (!seal_oldest(s, w, &more, e)) return false;
    return true;
}

/* Heirs may come as fast as they are sealed: what is not dropped now is dropped at the next sweep. */
enum { RETAIN_ROUNDS = 3 };

/* An id in a chunk may have its history from a segment that is to go, and the logs no longer have it: such a chunk
 * becomes a segment first, with a history of its own. */
bool retain_after(struct store *s, struct workspace *w, int64_t before_us, int64_t received_before_us, struct err *e) {
    bool ok = true;
    int rounds = 0;
    for (bool again = true; again && ok && rounds < RETAIN_ROUNDS; rounds++) {
        struct dropping d = {.needs = {.s = s, .w = w}, .before_us = before_us};
        find_gone(&d, received_before_us);
        again = d.count > 0;
        if (d.count) {
            d.needs.applied = w->seq;
            checkpoint_begin(s->checkpoint);
            ok = checkpoint_copy(s->checkpoint, s->journal, NULL, NULL, e) && compact(&d.needs, e);
            if (ok)
                on_writer(s, drop, &d);
            else
                checkpoint_abort(s->checkpoint);
            if (ok && d.heirs) {
                checkpoint_abort(s->checkpoint);
                ok = seal_heirs(s, w, e);
            } else if (ok) {
                again = false;
                ok = d.committed != COMMIT_FAILED;
                if (!ok) *e = d.e;
            }
        }
        free(d.gone);
    }
    return ok || err_wrap(e, "retention");
}
