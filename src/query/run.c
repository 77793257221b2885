#include "query/run.h"

#include <stdlib.h>

#include "query/aggregate.h"
#include "query/facet.h"
#include "query/hit.h"
#include "query/summed.h"

/* ---- counts ---- */

struct tally {
    uint64_t *counts; /* by thread, a cache line apart */
};
enum { LINE = 8 };

static bool count_part(void *ctx, struct reader *r) {
    const struct tally *t = ctx;
    struct summary summary;
    uint64_t n = 0;
    if (summed_count(summed_cover(r->scan, r->part, &summary), r->scan, &summary, &n)) {
        atomic_fetch_add(&r->scan->summed, 1);
        reader_around(r, summary.begin, summary.end);
    }
    while (reader_step(r)) n += bitmap_count(&r->rows);
    t->counts[r->thread * LINE] += n;
    return true;
}

static bool run_count(struct scan *s, struct answer *out) {
    struct tally t = {arena_alloc(s->arena, scan_threads(s) * LINE * sizeof(uint64_t))};
    if (!scan_run(s, count_part, &t)) return false;
    for (unsigned i = 0; i < scan_threads(s); i++) out->count += t.counts[i * LINE];
    return true;
}

/* ---- the newest rows ---- */

struct found {
    int64_t time_us;
    uint64_t seq;
    const struct part *part;
    uint32_t row;
};

static bool older(const struct found *x, const struct found *y) {
    return x->time_us < y->time_us || (x->time_us == y->time_us && x->seq < y->seq);
}

/* A heap with the oldest on top, so that a newer one can take its place. One a thread. */
struct newest_rows {
    struct found *heap;
    size_t count, most;
};

static void swap(struct found *x, struct found *y) {
    struct found kept = *x;
    *x = *y;
    *y = kept;
}

static void sift_up(struct newest_rows *n, size_t at) {
    for (; at && older(&n->heap[at], &n->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&n->heap[at], &n->heap[(at - 1) / 2]);
}

static void sift_down(struct newest_rows *n) {
    for (size_t at = 0, child; (child = 2 * at + 1) < n->count; at = child) {
        if (child + 1 < n->count && older(&n->heap[child + 1], &n->heap[child])) child++;
        if (!older(&n->heap[child], &n->heap[at])) break;
        swap(&n->heap[child], &n->heap[at]);
    }
}

/* False: it is older than all of a full heap. */
static bool newest_add(struct newest_rows *n, const struct found *f) {
    if (n->count < n->most) {
        n->heap[n->count] = *f;
        sift_up(n, n->count++);
        return true;
    }
    if (!older(&n->heap[0], f)) return false;
    n->heap[0] = *f;
    sift_down(n);
    return true;
}

static int newest_first(const void *x, const void *y) { return older(x, y) ? 1 : older(y, x) ? -1 : 0; }

/* No thread looks at what is older than the oldest of a full heap any more. */
static void raise_from(struct scan *s, int64_t time_us) {
    int64_t now = atomic_load_explicit(&s->from_us, memory_order_relaxed);
    while (now < time_us && !atomic_compare_exchange_weak(&s->from_us, &now, time_us)) {
    }
}

/* From the newest on; in a segment, which is in order, what follows one that is too old is too old as well. */
static void add_slice(struct newest_rows *n, const struct reader *r) {
    const struct slice *s = &r->slice;
    const int64_t *times = slice_time(s);
    const uint64_t *seqs = slice_seq(s);
    for (uint32_t w = BLOCK_WORDS; w-- > 0;)
        for (uint64_t left = r->rows.words[w]; left;) {
            uint32_t bit = 63 - (uint32_t)__builtin_clzll(left), at = w * 64 + bit;
            left &= ~(1ULL << bit);
            if (!newest_add(n, &(struct found){times[at], seqs[at], r->part, s->first + at}) && r->part->segment)
                return;
        }
}

static bool find_newest(void *ctx, struct reader *r) {
    struct newest_rows *n = &((struct newest_rows *)ctx)[r->thread];
    while (reader_step(r)) {
        if (!bitmap_any(&r->rows)) continue;
        add_slice(n, r);
        if (n->count == n->most) raise_from(r->scan, n->heap[0].time_us);
    }
    return true;
}

struct list {
    struct scan *scan;
    struct newest_rows *newest;
    struct answer *out;
};

static bool load_hits(void *ctx) {
    struct list *l = ctx;
    struct scan *s = l->scan;
    struct newest_rows *n = l->newest;
    struct answer *out = l->out;
    size_t most = n->count < s->plan->limit ? n->count : s->plan->limit, before = s->arena->total;
    out->hits = arena_alloc(s->arena, most * sizeof *out->hits);
    for (out->hit_count = 0; out->hit_count < most && s->arena->total - before < LIST_MOST_BYTES; out->hit_count++) {
        const struct found *f = &n->heap[out->hit_count];
        if (f->part->segment) guard_blame(f->part->segment);
        struct err e;
        if (!hit_load(f->part, f->row, s->arena, &out->hits[out->hit_count], &e))
            return scan_fail(s, e.code, "%s", e.msg);
    }
    if (n->count > out->hit_count && out->hit_count) {
        const struct found *last = &n->heap[out->hit_count - 1];
        out->next = (struct cursor){true, last->time_us, last->seq, s->as_of};
    }
    return true;
}

static bool run_list(struct scan *s, struct answer *out) {
    /* One more than asked for tells whether there are more. */
    struct newest_rows *n = arena_alloc(s->arena, scan_threads(s) * sizeof *n);
    for (unsigned i = 0; i < scan_threads(s); i++) {
        n[i].most = (size_t)s->plan->limit + 1;
        n[i].heap = arena_alloc(s->arena, n[i].most * sizeof *n[i].heap);
    }
    if (!scan_run(s, find_newest, n)) return false;
    for (unsigned i = 1; i < scan_threads(s); i++)
        for (size_t k = 0; k < n[i].count; k++) newest_add(&n[0], &n[i].heap[k]);
    qsort(n[0].heap, n[0].count, sizeof *n[0].heap, newest_first);
    struct list l = {s, n, out};
    return scan_guarded(s, load_hits, &l);
}

/* ---- plans ---- */

bool query_run(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
               struct answer *out, struct err *e) {
    struct scan s;
    bool done = false;
    do {
        *out = (struct answer){0};
        scan_begin(&s, v, p, control, a, e);
        out->as_of = s.as_of;
        switch (p->kind) {
        case PLAN_LIST: done = run_list(&s, out); break;
        case PLAN_COUNT: done = run_count(&s, out); break;
        case PLAN_GROUPS: done = aggregate_run(&s, out); break;
        case PLAN_FACETS: done = facets_run(&s, out); break;
        }
    } while (!done && atomic_load(&s.again));
    out->summed = atomic_load(&s.summed);
    if (done) gaps_find(v, p->from_us, p->to_us, a, &out->gaps, &out->gap_count);
    return done;
}
