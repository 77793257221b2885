#include "store/ids.h"

#include <stdlib.h>

#include "base/check.h"

/* Open addressing, at most half full. A slot that was emptied where others come after it keeps a mark, which look-ups
 * pass over and the next id takes; marks at the end of a run are cleared. The hash beside the pointer spares the cache
 * miss of a look at the ident.
 *
 * A slot can change hands while a reader looks at it. It loads the pointer first: a hash that is newer than the pointer
 * can only make it compare an id that was removed, or pass over it. */
struct id_slot {
    _Atomic uint64_t hash;
    struct ident *_Atomic ident; /* published last; NULL: the end of a run */
};

struct id_slots {
    struct id_slots *older;
    uint64_t mask;
    struct id_slot slot[];
};

struct id_table {
    struct id_slots *_Atomic now;
    _Atomic uint32_t count;
    uint64_t used; /* the count, and the marks */
};

enum { SLOTS_FIRST = 256 };

static struct ident mark;

static struct ident *slot_ident(const struct id_slot *s) { return atomic_load_explicit(&s->ident, memory_order_acquire); }

static struct id_slots *slots_new(uint64_t count) {
    struct id_slots *s = mem_zero(1, sizeof *s + count * sizeof s->slot[0]);
    s->mask = count - 1;
    return s;
}

static const struct id_slots *slots_now(const struct id_table *t) {
    return atomic_load_explicit(&t->now, memory_order_acquire);
}

static void put(struct id_slot *s, uint64_t hash, struct ident *i, memory_order order) {
    atomic_store_explicit(&s->hash, hash, memory_order_relaxed);
    atomic_store_explicit(&s->ident, i, order);
}

struct id_table *id_table_new(void) {
    struct id_table *t = mem_zero(1, sizeof *t);
    t->now = slots_new(SLOTS_FIRST);
    return t;
}

void id_table_free(struct id_table *t) {
    if (!t) return;
    for (struct id_slots *s = t->now, *older; s; s = older) {
        older = s->older;
        free(s);
    }
    free(t);
}

/* ---- readers ---- */

void id_table_prefetch(const struct id_table *t, uint64_t hash) {
    const struct id_slots *s = slots_now(t);
    __builtin_prefetch(&s->slot[hash & s->mask]);
}

struct ident *id_table_find(const struct id_table *t, uint64_t hash, struct str id) {
    const struct id_slots *s = slots_now(t);
    for (uint64_t at = hash & s->mask;; at = (at + 1) & s->mask) {
        struct ident *i = slot_ident(&s->slot[at]);
        if (!i) return NULL;
        if (atomic_load_explicit(&s->slot[at].hash, memory_order_relaxed) == hash && i != &mark &&
            str_eq(ident_str(i), id))
            return i;
    }
}

uint32_t id_table_count(const struct id_table *t) { return atomic_load_explicit(&t->count, memory_order_relaxed); }

size_t id_table_bytes(const struct id_table *t) {
    const struct id_slots *s = slots_now(t);
    return sizeof *t + sizeof *s + (s->mask + 1) * sizeof s->slot[0];
}

void id_table_each(const struct id_table *t, void (*call)(void *ctx, struct ident *i), void *ctx) {
    const struct id_slots *s = slots_now(t);
    for (uint64_t at = 0; at <= s->mask; at++) {
        struct ident *i = slot_ident(&s->slot[at]);
        if (i && i != &mark) call(ctx, i);
    }
}

const struct id_field *ident_field(const struct ident *i, uint32_t field) {
    for (const struct id_field *f = ident_fields(i); f; f = f->next)
        if (f->field == field) return f;
    return NULL;
}

/* ---- the writer ---- */

/* By one that is at most three eighths full, without marks. */
static void replace(struct id_table *t) {
    struct id_slots *old = t->now;
    uint64_t count = id_table_count(t), size = SLOTS_FIRST;
    while (count + 1 > size / 8 * 3) size *= 2;
    struct id_slots *s = slots_new(size);
    for (uint64_t from = 0; from <= old->mask; from++) {
        struct ident *i = slot_ident(&old->slot[from]);
        if (!i || i == &mark) continue;
        uint64_t hash = atomic_load_explicit(&old->slot[from].hash, memory_order_relaxed), at = hash & s->mask;
        while (slot_ident(&s->slot[at])) at = (at + 1) & s->mask;
        put(&s->slot[at], hash, i, memory_order_relaxed);
    }
    s->older = old;
    t->used = count;
    atomic_store_explicit(&t->now, s, memory_order_release);
}

void id_table_add(struct id_table *t, struct ident *i) {
    if (t->used + 1 > (t->now->mask + 1) / 2) replace(t);
    struct id_slots *s = t->now;
    uint64_t at = i->hash & s->mask;
    struct ident *there;
    while ((there = slot_ident(&s->slot[at])) && there != &mark) at = (at + 1) & s->mask;
    if (!there) t->used++;
    put(&s->slot[at], i->hash, i, memory_order_release);
    atomic_store_explicit(&t->count, id_table_count(t) + 1, memory_order_relaxed);
}

void id_table_remove(struct id_table *t, const struct ident *i) {
    struct id_slots *s = t->now;
    uint64_t at = i->hash & s->mask;
    for (const struct ident *there; (there = slot_ident(&s->slot[at])) != i; at = (at + 1) & s->mask)
        CHECK(there && "an id that is in the table");
    atomic_store_explicit(&s->slot[at].ident, &mark, memory_order_release);
    atomic_store_explicit(&t->count, id_table_count(t) - 1, memory_order_relaxed);
    if (!slot_ident(&s->slot[(at + 1) & s->mask]))
        for (; slot_ident(&s->slot[at]) == &mark; at = (at - 1) & s->mask) {
            atomic_store_explicit(&s->slot[at].ident, NULL, memory_order_release);
            t->used--;
        }
    if (s->mask >= SLOTS_FIRST && id_table_count(t) < s->mask / 16) replace(t);
}

void *id_table_take_replaced(struct id_table *t) {
    struct id_slots *old = t->now->older;
    if (old) t->now->older = old->older;
    return old;
}

struct ident *ident_new(struct arena *heap, uint64_t hash, struct str id) {
    CHECK(id.n <= UINT32_MAX);
    struct ident *i = arena_alloc(heap, sizeof *i + id.n);
    i->hash = hash;
    i->length = (uint32_t)id.n;
    if (id.n) memcpy(i->bytes, id.p, id.n);
    return i;
}

void ident_write(struct ident *i, struct arena *heap, uint32_t field, const struct history *write) {
    struct id_field *head = atomic_load_explicit(&i->fields, memory_order_relaxed), *f = head;
    while (f && f->field != field) f = f->next;
    struct history *h = arena_alloc(heap, sizeof *h);
    *h = *write;
    h->older = f ? field_newest(f) : NULL;
    if (!f) {
        f = arena_alloc(heap, sizeof *f);
        f->next = head;
        f->field = field;
    }
    atomic_store_explicit(&f->newest, h, memory_order_release);
    if (!h->older) atomic_store_explicit(&i->fields, f, memory_order_release);
}
