#include "query/scan.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "query/crew.h"
#include "query/words.h"

void scan_begin(struct scan *s, const struct view *v, const struct plan *p, const struct query_control *control,
                struct arena *a, struct err *e) {
    *s = (struct scan){.view = v, .plan = p, .control = control, .arena = a, .e = e, .to_us = p->to_us};
    atomic_init(&s->from_us, p->from_us);
    if (!v) return;
    /* Before the rows: what was acknowledged before this moment is there, what comes later is left out. */
    s->as_of = atomic_load_explicit(v->seq, memory_order_acquire);
    if (p->as_of && p->as_of < s->as_of) s->as_of = p->as_of;
    if (p->after.set && p->after.as_of < s->as_of) s->as_of = p->after.as_of;
    if (p->after.set && p->after.time_us < s->to_us) s->to_us = p->after.time_us + 1;
    s->parts = part_list(v, a, &s->part_count);
}

unsigned scan_threads(const struct scan *s) { return crew_size(s->control ? s->control->crew : NULL); }

/* ---- how it ends ---- */

bool scan_fail(struct scan *s, enum err_code code, const char *fmt, ...) {
    if (!atomic_exchange(&s->failed, true)) {
        char text[sizeof s->e->msg];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        err_set(s->e, code, "%s", text);
    }
    atomic_store(&s->stop, true);
    return false;
}

bool scan_hold(struct scan *s, size_t bytes) {
    size_t held = atomic_fetch_add_explicit(&s->held, bytes, memory_order_relaxed) + bytes;
    if (!s->control || !s->control->memory || held <= s->control->memory) return true;
    return scan_fail(s, ERR_UNPROCESSABLE,
                     "the query needs more than %zu MiB of memory; ask for fewer groups, a shorter time range or a "
                     "narrower filter",
                     s->control->memory >> 20);
}

/* Asking whether the client is gone may be a system call. */
enum { STEPS_A_LOOK = 16 };

static bool stopped(struct reader *r) {
    struct scan *s = r->scan;
    const struct query_control *c = s->control;
    if (atomic_load_explicit(&s->stop, memory_order_relaxed)) return true;
    if (!c) return false;
    if (c->deadline_us && clock_mono_us() > c->deadline_us)
        return !scan_fail(s, ERR_BUSY, "the query took too long; ask for a shorter time range or a narrower filter");
    if (c->gone && r->steps++ % STEPS_A_LOOK == 0 && c->gone(c->ctx))
        return !scan_fail(s, ERR_BUSY, "the client is gone");
    return false;
}

void gaps_find(const struct view *v, int64_t from_us, int64_t to_us, struct arena *a, struct gap **gaps,
               size_t *count) {
    *gaps = NULL;
    *count = 0;
    for (size_t i = 0; v && i < v->sealed_count; i++) {
        const struct segment *g = v->sealed[i]->segment;
        if (!atomic_load(&v->sealed[i]->set_aside) || g->max_time_us < from_us || g->min_time_us >= to_us) continue;
        if (!*gaps) *gaps = arena_alloc(a, v->sealed_count * sizeof **gaps);
        (*gaps)[(*count)++] = (struct gap){g->number, g->min_time_us, g->max_time_us, g->rows};
    }
}

/* ---- a part ---- */

/* How many of a segment's rows are before this place in their order. */
static uint32_t rows_before(const struct segment *g, int64_t time_us, uint64_t seq) {
    const int64_t *times = SEG(g, TIME);
    const uint64_t *seqs = seq ? SEG(g, SEQ) : NULL;
    uint32_t low = 0, high = g->rows;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (times[middle] < time_us || (seqs && times[middle] == time_us && seqs[middle] < seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False: it has no rows for the plan. */
static bool reader_open(struct reader *r, const struct part *p) {
    const struct scan *s = r->scan;
    const struct plan *plan = s->plan;
    int64_t from = atomic_load_explicit(&s->from_us, memory_order_relaxed);
    const struct segment *g = p->segment;
    r->part = p;
    r->read = 0;
    r->first = 0;
    r->end = p->rows;
    r->next = part_slices(p);
    r->matcher = NULL;
    r->known_first = r->known_end = 0;
    if (g) {
        if (g->max_time_us < from || g->min_time_us >= s->to_us) return false;
        guard_blame(g);
        if (g->min_time_us < from) r->first = rows_before(g, from, 0);
        if (plan->after.set) r->end = rows_before(g, plan->after.time_us, plan->after.seq);
        if (g->max_time_us >= plan->to_us) {
            uint32_t end = rows_before(g, plan->to_us, 0);
            if (end < r->end) r->end = end;
        }
        if (r->first >= r->end) return false;
    }
    if (plan->filter) {
        const struct matcher *m = matcher_new(&r->arena, plan->filter, p);
        if (matcher_never(m)) return false;
        if (!matcher_always(m)) r->matcher = m;
    }
    r->next = (r->end + BLOCK_ROWS - 1) / BLOCK_ROWS;
    return true;
}

void reader_around(struct reader *r, uint32_t first, uint32_t end) {
    r->known_first = first;
    r->known_end = end;
    r->next = (r->end + BLOCK_ROWS - 1) / BLOCK_ROWS;
}

/* Those of rows from .. to of a slice that are in a word. */
static uint64_t between(uint32_t word, uint32_t from, uint32_t to) {
    uint32_t low = from > word * 64 ? from - word * 64 : 0, high = to > word * 64 ? to - word * 64 : 0;
    uint64_t above = low < 64 ? UINT64_MAX << low : 0, below = high < 64 ? (1ULL << high) - 1 : UINT64_MAX;
    return above & below;
}

static void fill(struct bitmap *rows, uint32_t from, uint32_t to) {
    for (uint32_t w = 0; w < BLOCK_WORDS; w++) rows->words[w] = between(w, from, to);
}

static void leave_out_known(const struct reader *r, struct bitmap *rows) {
    uint32_t first = r->slice.first;
    if (r->known_end <= first) return;
    for (uint32_t w = 0; w < BLOCK_WORDS; w++)
        rows->words[w] &= ~between(w, r->known_first > first ? r->known_first - first : 0, r->known_end - first);
}

/* Whether all rows of the next slice that are to be read are known. */
static bool next_is_known(const struct reader *r) {
    uint32_t from = (r->next - 1) * BLOCK_ROWS, to = r->next * BLOCK_ROWS;
    if (from < r->first) from = r->first;
    if (to > r->end) to = r->end;
    return from >= r->known_first && to <= r->known_end;
}

static void keep_in_time(const struct reader *r, struct bitmap *rows) {
    const struct slice *s = &r->slice;
    const struct cursor *after = &r->scan->plan->after;
    const int64_t *times = slice_time(s);
    int64_t from = atomic_load_explicit(&r->scan->from_us, memory_order_relaxed), to = r->scan->to_us;
    KEEP(rows, s->count, (times[at] >= from) & (times[at] < to));
    if (!after->set) return;
    const uint64_t *seqs = slice_seq(s);
    KEEP(rows, s->count, (times[at] != after->time_us) | (seqs[at] < after->seq));
}

static void keep_visible(const struct reader *r, struct bitmap *rows) {
    const struct slice *s = &r->slice;
    uint8_t room[BLOCK_ROWS], unwanted = r->scan->plan->partial ? ROW_HIDDEN : ROW_HIDDEN | ROW_PARTIAL;
    const uint8_t *flags = slice_flags(s, room);
    KEEP(rows, s->count, (flags[at] & unwanted) == 0);
    uint64_t as_of = r->scan->as_of;
    if (r->part->segment && r->part->segment->max_seq <= as_of) return;
    const uint64_t *seqs = slice_seq(s);
    KEEP(rows, s->count, seqs[at] <= as_of);
}

bool reader_step(struct reader *r) {
    while (r->next && next_is_known(r)) r->next--;
    if (r->next == 0 || r->next * BLOCK_ROWS <= r->first || stopped(r)) return false;
    r->slice = part_slice(r->part, --r->next);
    r->read++;
    const struct slice *s = &r->slice;
    uint32_t from = r->first > s->first ? r->first - s->first : 0;
    uint32_t to = r->end - s->first < s->count ? r->end - s->first : s->count;
    fill(&r->rows, from, to);
    leave_out_known(r, &r->rows);
    if (r->part->chunk)
        keep_in_time(r, &r->rows);
    else if (slice_time(s)[to - 1] < atomic_load_explicit(&r->scan->from_us, memory_order_relaxed))
        return false;
    keep_visible(r, &r->rows);
    if (r->matcher && bitmap_any(&r->rows)) matcher_run(r->matcher, s, r->room, &r->rows);
    return true;
}

/* ---- all parts ---- */

struct run {
    struct scan *scan;
    bool (*part)(void *ctx, struct reader *r);
    void *ctx;
    size_t slices; /* after so many no further part is begun; 0: all are */
};

static bool read_part(struct run *run, struct reader *r, const struct part *p) {
    return !reader_open(r, p) || run->part(run->ctx, r);
}

static void read_guarded(struct run *run, struct reader *r, const struct part *p) {
    struct scan *s = run->scan;
    struct guard g;
    if (guard_enter(&g)) {
        if (!read_part(run, r, p)) atomic_store(&s->stop, true);
        guard_leave(&g);
    } else {
        view_set_aside(s->view, g.what, &g.e);
        atomic_store(&s->again, true);
        atomic_store(&s->stop, true);
    }
    arena_free(&r->arena);
}

static void read_parts(void *ctx, unsigned thread) {
    struct run *run = ctx;
    struct scan *s = run->scan;
    struct detection_room room = {.size = 0};
    struct reader r = {.scan = s, .thread = thread, .room = &room};
    for (size_t slices = 0; !atomic_load(&s->stop) && (run->slices == 0 || slices < run->slices);) {
        size_t n = atomic_fetch_add(&s->taken, 1);
        if (n >= s->part_count) break;
        const struct part *p = &s->parts[n];
        if (p->latest_us < atomic_load_explicit(&s->from_us, memory_order_relaxed)) continue;
        read_guarded(run, &r, p);
        slices += r.read ? r.read : 1;
    }
    detection_room_free(&room);
}

/* What one thread does before it asks for help: less than calling a thread costs. */
enum { ALONE_SLICES = 24 };

bool scan_run(struct scan *s, bool (*part)(void *ctx, struct reader *r), void *ctx) {
    struct run run = {s, part, ctx, ALONE_SLICES};
    atomic_store(&s->taken, 0);
    read_parts(&run, 0);
    run.slices = 0;
    if (atomic_load(&s->taken) < s->part_count && !atomic_load(&s->stop))
        crew_run(s->control ? s->control->crew : NULL, read_parts, &run);
    if (atomic_load(&s->failed)) atomic_store(&s->again, false);
    return !atomic_load(&s->failed) && !atomic_load(&s->again);
}

bool scan_guarded(struct scan *s, bool (*run)(void *ctx), void *ctx) {
    struct guard g;
    volatile bool done = false;
    if (guard_enter(&g)) {
        done = run(ctx);
        guard_leave(&g);
        return done;
    }
    view_set_aside(s->view, g.what, &g.e);
    atomic_store(&s->again, true);
    return false;
}
