#include "store/flat.h"

#include "base/check.h"

/* ---- writing ---- */

static void put(struct buf *b, uint64_t v, size_t n) { buf_add(b, &v, n); }

/* Zeros until the position is `rest` more than a multiple of `to`. */
static void align(struct buf *b, size_t to, size_t rest) {
    while (b->n % to != rest) buf_addc(b, 0);
}

static void refer(struct buf *b, size_t ref) {
    CHECK(b->n - ref <= UINT32_MAX / 2);
    uint32_t distance = (uint32_t)(b->n - ref);
    memcpy(b->p + ref, &distance, sizeof distance);
}

void flat_begin(struct buf *b) {
    CHECK(b->n == FLAT_ROOT);
    put(b, 0, FLAT_REF);
}

void flat_table(struct buf *b, size_t ref, const struct flat_slot *slots, size_t count, size_t *places) {
    uint16_t offsets[16] = {0};
    CHECK(count <= sizeof offsets / sizeof *offsets);
    align(b, 8, 0);
    refer(b, ref);
    size_t table = b->n;
    put(b, 0, 4);
    for (unsigned size = 8; size; size /= 2)
        for (size_t i = 0; i < count; i++) {
            if (slots[i].size != size) continue;
            align(b, size, 0);
            offsets[i] = (uint16_t)(b->n - table);
            if (places) places[i] = b->n;
            put(b, slots[i].value, size);
        }
    size_t size = b->n - table;
    align(b, 2, 0);
    int32_t back = (int32_t)table - (int32_t)b->n;
    memcpy(b->p + table, &back, sizeof back);
    put(b, 4 + 2 * count, 2);
    put(b, size, 2);
    buf_add(b, offsets, 2 * count);
}

size_t flat_vector(struct buf *b, size_t ref, uint32_t count, size_t element) {
    align(b, element > 4 ? 8 : 4, element > 4 ? 4 : 0);
    refer(b, ref);
    put(b, count, 4);
    size_t at = b->n, size = count * element;
    buf_reserve(b, size);
    if (size) memset(b->p + at, 0, size);
    b->n += size;
    return at;
}

size_t flat_text(struct buf *b, size_t ref, struct str s) {
    align(b, 4, 0);
    refer(b, ref);
    put(b, s.n, 4);
    size_t at = b->n;
    buf_add_str(b, s);
    buf_addc(b, 0);
    return at;
}

/* ---- reading ---- */

static bool fits(struct flat *f, uint64_t at, uint64_t n) {
    if (!f->bad && at <= f->n && n <= f->n - at) return true;
    f->bad = true;
    return false;
}

static uint64_t get(struct flat *f, uint64_t at, size_t n) {
    uint64_t v = 0;
    if (fits(f, at, n)) memcpy(&v, f->p + at, n);
    return v;
}

static struct flat_table table_at(struct flat *f, uint64_t at) {
    struct flat_table none = {.in = f};
    int32_t back = (int32_t)(uint32_t)get(f, at, 4);
    uint64_t vtable = at - (uint64_t)(int64_t)back;
    uint64_t length = get(f, vtable, 2), size = get(f, vtable + 2, 2);
    if (length < 4 || length % 2 || size < 4) f->bad = true;
    if (!fits(f, vtable, length) || !fits(f, at, size)) return none;
    return (struct flat_table){f, at, size, vtable, (length - 4) / 2};
}

struct flat_table flat_root(struct flat *f) {
    return table_at(f, get(f, 0, 4));
}

/* Where the value of a slot stands; 0: absent. */
static uint64_t place(const struct flat_table *t, unsigned slot, size_t n) {
    if (t->in->bad || slot >= t->slots) return 0;
    uint64_t offset = get(t->in, t->vtable + 4 + 2 * (uint64_t)slot, 2);
    if (offset == 0) return 0;
    if (offset < 4 || offset + n > t->size) {
        t->in->bad = true;
        return 0;
    }
    return t->at + offset;
}

/* Where a reference leads; 0: absent. */
static uint64_t follow(const struct flat_table *t, unsigned slot) {
    uint64_t at = place(t, slot, FLAT_REF);
    return at ? at + get(t->in, at, FLAT_REF) : 0;
}

bool flat_has(const struct flat_table *t, unsigned slot) { return place(t, slot, 1) != 0; }

uint64_t flat_number(const struct flat_table *t, unsigned slot, unsigned size, uint64_t absent) {
    uint64_t at = place(t, slot, size);
    return at ? get(t->in, at, size) : absent;
}

static struct flat_vector vector_at(struct flat *f, uint64_t at, size_t element) {
    uint64_t count = get(f, at, 4);
    if (!fits(f, at + 4, count * element)) return (struct flat_vector){0};
    return (struct flat_vector){at + 4, (uint32_t)count};
}

struct flat_vector flat_list(const struct flat_table *t, unsigned slot, size_t element) {
    uint64_t at = follow(t, slot);
    return at ? vector_at(t->in, at, element) : (struct flat_vector){0};
}

struct str flat_string(const struct flat_table *t, unsigned slot) {
    uint64_t at = follow(t, slot);
    if (!at) return (struct str){0};
    struct flat_vector v = vector_at(t->in, at, 1);
    return t->in->bad ? (struct str){0} : (struct str){(const char *)t->in->p + v.at, v.count};
}

struct flat_table flat_child(const struct flat_table *t, unsigned slot) {
    uint64_t at = follow(t, slot);
    if (at) return table_at(t->in, at);
    t->in->bad = true;
    return (struct flat_table){.in = t->in};
}

struct flat_table flat_item(struct flat *f, struct flat_vector v, uint32_t i) {
    uint64_t at = v.at + 4 * (uint64_t)i;
    return table_at(f, at + get(f, at, FLAT_REF));
}

uint64_t flat_word(const struct flat *f, size_t at) {
    uint64_t v;
    CHECK(at + sizeof v <= f->n);
    memcpy(&v, f->p + at, sizeof v);
    return v;
}
