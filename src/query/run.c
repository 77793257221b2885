#include "query/run.h"

#include <stdlib.h>

/* ---- the newest rows ---- */

struct found {
    int64_t time_us;
    uint64_t seq;
    uint32_t row;
};

static bool older(const struct found *x, const struct found *y) {
    return x->time_us < y->time_us || (x->time_us == y->time_us && x->seq < y->seq);
}

/* A heap with the oldest on top, so that a newer one can take its place. */
struct newest {
    struct found *heap;
    size_t count, most;
};

static void swap(struct found *x, struct found *y) {
    struct found kept = *x;
    *x = *y;
    *y = kept;
}

static void sift_up(struct newest *n, size_t at) {
    for (; at && older(&n->heap[at], &n->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&n->heap[at], &n->heap[(at - 1) / 2]);
}

static void sift_down(struct newest *n) {
    for (size_t at = 0, child; (child = 2 * at + 1) < n->count; at = child) {
        if (child + 1 < n->count && older(&n->heap[child + 1], &n->heap[child])) child++;
        if (!older(&n->heap[child], &n->heap[at])) break;
        swap(&n->heap[child], &n->heap[at]);
    }
}

static void newest_add(struct newest *n, const struct found *f) {
    if (n->count < n->most) {
        n->heap[n->count] = *f;
        sift_up(n, n->count++);
    } else if (older(&n->heap[0], f)) {
        n->heap[0] = *f;
        sift_down(n);
    }
}

static int newest_first(const void *x, const void *y) {
    return older(x, y) ? 1 : older(y, x) ? -1 : 0;
}

/* ---- hits ---- */

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static void load_metadata(const struct chunk *c, uint32_t row, struct arena *a, struct hit *out) {
    uint32_t count = chunk_field_count(c);
    size_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct field *f = c->fields[i];
        uint32_t code = field_code(f, row);
        if (code == 0) continue;
        if (out->metadata_count == room) {
            struct entry *more = arena_alloc(a, (room ? room * 2 : 4) * sizeof *more);
            if (room) memcpy(more, out->metadata, room * sizeof *more);
            out->metadata = more;
            room = room ? room * 2 : 4;
        }
        struct entry *entry = &out->metadata[out->metadata_count++];
        *entry = (struct entry){copy(a, f->name), *dict_value(&f->dict, code)};
        if (entry->value.type == VALUE_STRING) entry->value.text = copy(a, entry->value.text);
    }
}

bool hit_load(const struct chunk *c, uint32_t row, struct arena *a, struct hit *out, struct err *e) {
    const struct block *b = chunk_block(c, row);
    uint32_t at = row % BLOCK_ROWS;
    *out = (struct hit){.received_us = b->received_us[at], .seq = b->seq[at], .flags = row_flags(b, at)};
    if (!inference_decode(copy(a, b->payload[at]), a, &out->inf))
        return err_set(e, ERR_DAMAGED, "the stored record of sequence %llu cannot be read",
                       (unsigned long long)out->seq);
    out->inf.time_us = b->time_us[at];
    out->inf.index = b->index[at];
    load_metadata(c, row, a, out);
    return true;
}

/* ---- plans ---- */

static void find_newest(struct scan *s, struct newest *n) {
    while (scan_next(s)) {
        unsigned word = 0;
        for (uint32_t at; bitmap_take(&s->rows, &word, &at);)
            newest_add(n, &(struct found){s->block->time_us[at], s->block->seq[at], s->number * BLOCK_ROWS + at});
        if (n->count == n->most) s->from_us = n->heap[0].time_us;
    }
}

bool query_list(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                struct hit_list *out, struct err *e) {
    struct scan s;
    *out = (struct hit_list){0};
    scan_begin(&s, v, p, filter_mentions(p->filter, FIELD_PARTIAL), control, a, e);
    /* One more than asked for tells whether there are more. */
    struct newest n = {.most = (size_t)p->limit + 1};
    n.heap = arena_alloc(a, n.most * sizeof *n.heap);
    find_newest(&s, &n);
    if (s.failed) return false;
    qsort(n.heap, n.count, sizeof *n.heap, newest_first);
    size_t most = n.count < p->limit ? n.count : p->limit, before = a->total;
    out->hits = arena_alloc(a, most * sizeof *out->hits);
    for (; out->count < most && a->total - before < LIST_MOST_BYTES; out->count++)
        if (!hit_load(s.chunk, n.heap[out->count].row, a, &out->hits[out->count], e)) return false;
    if (n.count > out->count && out->count) {
        const struct found *last = &n.heap[out->count - 1];
        out->next = (struct cursor){true, last->time_us, last->seq, p->after.set ? p->after.as_of : s.as_of};
    }
    return true;
}

bool query_count(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                 uint64_t *count, struct err *e) {
    struct scan s;
    *count = 0;
    scan_begin(&s, v, p, filter_mentions(p->filter, FIELD_PARTIAL), control, a, e);
    while (scan_next(&s))
        for (int w = 0; w < BLOCK_WORDS; w++) *count += (uint64_t)__builtin_popcountll(s.rows.words[w]);
    return !s.failed;
}
