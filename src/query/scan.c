#include "query/scan.h"

#include "base/clock.h"

void scan_begin(struct scan *s, const struct view *v, const struct plan *p, bool partial,
                const struct query_control *control, struct arena *a, struct err *e) {
    *s = (struct scan){.plan = p, .control = control, .e = e, .partial = partial, .from_us = p->from_us};
    if (!v || !v->open) return;
    s->chunk = v->open;
    s->row_count = chunk_rows(s->chunk);
    /* Read after the rows: every row seen has a seq up to this one, so a cursor made now misses none of them. */
    s->as_of = atomic_load_explicit(&s->chunk->seq, memory_order_acquire);
    s->next = (s->row_count + BLOCK_ROWS - 1) / BLOCK_ROWS;
    if (p->filter) s->matcher = matcher_new(a, p->filter, s->chunk);
}

static bool stopped(struct scan *s) {
    const struct query_control *c = s->control;
    if (c && c->deadline_us && clock_mono_us() > c->deadline_us)
        s->failed =
            !err_set(s->e, ERR_BUSY, "the query took too long; ask for a shorter time range or a narrower filter");
    else if (c && c->gone && c->gone(c->ctx))
        s->failed = !err_set(s->e, ERR_BUSY, "the client is gone");
    return s->failed;
}

/* The rows of the block that are in time and not kept from sight. */
static void visible_rows(const struct scan *s, struct bitmap *rows) {
    const struct cursor *after = &s->plan->after;
    const struct block *b = s->block;
    int64_t from = s->from_us, to = s->plan->to_us;
    if (after->set && after->time_us < to) to = after->time_us + 1;
    uint8_t unwanted = s->partial ? ROW_HIDDEN : ROW_HIDDEN | ROW_PARTIAL;
    uint32_t count = s->row_count - s->number * BLOCK_ROWS;
    if (count > BLOCK_ROWS) count = BLOCK_ROWS;
    for (uint32_t w = 0; w < BLOCK_WORDS; w++) {
        uint64_t word = 0;
        uint32_t end = w * 64 < count ? count - w * 64 : 0;
        if (end > 64) end = 64;
        for (uint32_t bit = 0; bit < end; bit++) {
            uint32_t at = w * 64 + bit;
            word |= (uint64_t)((b->time_us[at] >= from) & (b->time_us[at] < to) & !(row_flags(b, at) & unwanted))
                    << bit;
        }
        rows->words[w] = word;
    }
}

/* Of those, what an earlier page has shown, or came after its first. */
static void drop_seen(const struct scan *s, struct bitmap *rows) {
    const struct cursor *after = &s->plan->after;
    const struct block *b = s->block;
    struct bitmap left = *rows;
    unsigned word = 0;
    for (uint32_t at; bitmap_take(&left, &word, &at);)
        if (b->seq[at] > after->as_of || (b->time_us[at] == after->time_us && b->seq[at] >= after->seq))
            rows->words[at / 64] &= ~(1ULL << (at % 64));
}

bool scan_next(struct scan *s) {
    while (s->next > 0) {
        if (stopped(s)) return false;
        s->number = --s->next;
        s->block = s->chunk->blocks[s->number];
        visible_rows(s, &s->rows);
        if (s->plan->after.set) drop_seen(s, &s->rows);
        if (s->matcher && bitmap_any(&s->rows)) matcher_run(s->matcher, s->number, &s->rows);
        if (bitmap_any(&s->rows)) return true;
    }
    return false;
}
