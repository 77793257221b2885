#include "store/segment_texts.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- codes ---- */

/* A slot's upper half is the hash's, which also says where to look: growing needs no texts. */
static uint64_t slot_of(uint64_t hash, uint32_t code) { return hash >> 32 << 32 | code; }
static uint32_t slot_home(uint64_t slot, uint32_t mask) { return (uint32_t)(slot >> 32) & mask; }

/* Where the text stands, or will. */
static uint64_t *find_slot(const struct textset *t, struct str text, uint64_t hash) {
    uint32_t mask = t->slot_count - 1;
    for (uint32_t at = slot_home(hash, mask);; at = (at + 1) & mask) {
        uint64_t slot = t->slots[at];
        if (slot == 0 || (slot >> 32 == hash >> 32 && str_eq(textset_at(t, (uint32_t)slot), text)))
            return &t->slots[at];
    }
}

static void grow(struct textset *t) {
    uint32_t count = t->slot_count ? t->slot_count * 2 : 64, mask = count - 1;
    uint64_t *slots = mem_zero(count, sizeof *slots);
    for (uint32_t i = 0; i < t->slot_count; i++) {
        uint32_t at = slot_home(t->slots[i], mask);
        if (t->slots[i] == 0) continue;
        while (slots[at]) at = (at + 1) & mask;
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
}

uint32_t textset_find(const struct textset *t, struct str text) {
    if (t->count && str_eq(textset_at(t, t->last), text)) return t->last;
    return t->slot_count ? (uint32_t)*find_slot(t, text, hash_str(text)) : 0;
}

uint32_t textset_add(struct textset *t, struct str text) {
    if (t->count && str_eq(textset_at(t, t->last), text)) return t->last;
    if (t->count >= t->slot_count / 2) grow(t);
    uint64_t hash = hash_str(text), *slot = find_slot(t, text, hash);
    if (*slot == 0) {
        buf_reserve(&t->bytes, text.n + 1); /* so that there is a place for an empty text, too */
        buf_add_str(&t->bytes, text);
        uint64_t end = t->bytes.n;
        buf_add(&t->ends, &end, sizeof end);
        *slot = slot_of(hash, ++t->count);
    }
    return t->last = (uint32_t)*slot;
}

void textset_free(struct textset *t) {
    buf_free(&t->bytes);
    buf_free(&t->ends);
    free(t->slots);
    *t = (struct textset){0};
}

struct str *textset_list(const struct textset *t, struct arena *a) {
    struct str *list = arena_alloc(a, (t->count + (size_t)1) * sizeof *list);
    for (uint32_t code = 1; code <= t->count; code++) list[code] = textset_at(t, code);
    return list;
}

/* ---- order ---- */

struct item {
    uint64_t key; /* eight bytes of the text, so that most comparisons don't go to it */
    const struct str *text;
};

enum { FEW = 24, KEY = 8, LEVELS_MOST = 16 };

static int by_text(const void *a, const void *b) {
    return str_cmp(*((const struct item *)a)->text, *((const struct item *)b)->text);
}

static uint64_t key_at(struct str s, size_t depth) {
    unsigned char bytes[KEY] = {0};
    size_t n = s.n > depth ? s.n - depth : 0;
    memcpy(bytes, s.p + (n ? depth : 0), n < KEY ? n : KEY);
    uint64_t v;
    memcpy(&v, bytes, sizeof v);
    return __builtin_bswap64(v);
}

static size_t common_prefix(const struct item *v, uint32_t n, size_t depth) {
    struct str first = *v[0].text;
    size_t common = first.n;
    for (uint32_t i = 1; i < n && common > depth; i++) {
        struct str s = *v[i].text;
        size_t most = s.n < common ? s.n : common, k = depth;
        while (k < most && s.p[k] == first.p[k]) k++;
        common = k;
    }
    return common;
}

/* Sorts by key: a pass a byte that isn't the same in all. */
static void by_key(struct item *v, struct item *spare, uint32_t n) {
    static const unsigned bits = 8;
    uint32_t counts[KEY][256] = {0};
    struct item *from = v, *to = spare;
    for (uint32_t i = 0; i < n; i++)
        for (unsigned k = 0; k < KEY; k++) counts[k][v[i].key >> k * bits & 255]++;
    for (unsigned k = 0; k < KEY; k++) {
        if (counts[k][v[0].key >> k * bits & 255] == n) continue;
        for (uint32_t c = 0, at = 0; c < 256; c++) {
            uint32_t here = counts[k][c];
            counts[k][c] = at;
            at += here;
        }
        for (uint32_t i = 0; i < n; i++) to[counts[k][from[i].key >> k * bits & 255]++] = from[i];
        struct item *swap = from;
        from = to;
        to = swap;
    }
    if (from != v) memcpy(v, from, n * sizeof *v);
}

/* Texts that are the same up to `depth`. */
static void sort(struct item *v, struct item *spare, uint32_t n, size_t depth, unsigned level) {
    if (n <= FEW || level > LEVELS_MOST) {
        qsort(v, n, sizeof *v, by_text);
        return;
    }
    depth = common_prefix(v, n, depth);
    for (uint32_t i = 0; i < n; i++) v[i].key = key_at(*v[i].text, depth);
    by_key(v, spare, n);
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && v[end].key == v[i].key;) end++;
        /* Texts that end here stand before longer ones; the zeros that stand in for what they lack do not tell. */
        uint32_t ended = i;
        for (uint32_t k = i; k < end && end - i > 1; k++)
            if (v[k].text->n <= depth + KEY) {
                struct item swap = v[k];
                v[k] = v[ended];
                v[ended++] = swap;
            }
        if (ended - i > 1) qsort(v + i, ended - i, sizeof *v, by_text);
        if (end - ended > 1) sort(v + ended, spare, end - ended, depth + KEY, level + 1);
    }
}

static bool is_zeros(struct str s, size_t n) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i]) return false;
    return s.n == n;
}

struct arrow_dict textset_dict(const struct str *sorted, uint32_t count, struct arena *a) {
    uint64_t size = 0;
    while (size < count && is_zeros(sorted[size], size)) size++; /* of the placeholder */
    uint64_t at = size;
    for (uint32_t i = 0; i < count; i++) size += sorted[i].n;
    uint32_t *offsets = arena_alloc(a, (count + (size_t)2) * sizeof *offsets);
    char *bytes = arena_alloc(a, size);
    struct arrow_dict d = {.count = count + 1,
                           .offsets = {.p = offsets, .n = (count + (uint64_t)2) * sizeof *offsets},
                           .bytes = {.p = bytes, .n = size}};
    if (size > INT32_MAX) return d; /* too large for such offsets: refused before anything is written */
    offsets[1] = (uint32_t)at;
    for (uint32_t i = 0; i < count; i++) {
        if (sorted[i].n) memcpy(bytes + at, sorted[i].p, sorted[i].n);
        offsets[i + 2] = (uint32_t)(at += sorted[i].n);
    }
    return d;
}

struct arrow_dict textset_sort(const struct str *texts, uint32_t count, const bool *used, struct arena *a,
                               uint32_t *places) {
    struct item *v = mem_alloc(2 * (size_t)count * sizeof *v);
    uint32_t n = 0, distinct = 0;
    for (uint32_t code = 1; code <= count; code++) {
        places[code] = 0;
        if (used[code]) v[n++] = (struct item){0, &texts[code]};
    }
    sort(v, v + count, n, 0, 0);
    struct str *sorted = arena_alloc(a, n * sizeof *sorted);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !str_eq(*v[i].text, *v[i - 1].text)) sorted[distinct++] = *v[i].text;
        places[v[i].text - texts] = distinct;
    }
    free(v);
    return textset_dict(sorted, distinct, a);
}
