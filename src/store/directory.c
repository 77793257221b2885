#include "store/directory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { SHARDS = 64, LINE = 8, FULL = 6, FIRST_LINES = 2, KEY_BITS = 33, AHEAD = 32, CACHE_LINE = 64 };

/* An entry, from the top: a bit that the last one of a line has for the line; key; slot + 1, 0 in a free one; row. */
#define PASSED ((uint64_t)1 << 63) /* an entry of this line, or of one before it, stands in a later one */
#define KEY_MASK ((((uint64_t)1 << KEY_BITS) - 1) << 30)
enum { SLOT_MASK = (1 << 14) - 1 };

struct table {
    _Atomic uint64_t *entries; /* LINE for each of: */
    size_t lines;
    struct table *next; /* of those replaced */
    uint64_t replaced;  /* generation; UINT64_MAX: not known yet */
    void *memory;
};

/* In a cache line of its own, for two threads that build. */
struct shard {
    _Alignas(CACHE_LINE) struct table *_Atomic table;
    size_t count, passed; /* entries; lines with PASSED */
    struct table *replaced;
};

struct directory {
    struct shard shards[SHARDS];
};

static unsigned shard_of(uint64_t hash) { return (unsigned)(hash >> 58); }
/* The bits below those of the shard, at their place in an entry. */
static uint64_t key_of(uint64_t hash) { return hash << 5 & KEY_MASK; }
static uint32_t slot_of(uint64_t entry) { return (uint32_t)(entry >> 16 & SLOT_MASK) - 1; }
static bool is_entry(uint64_t entry) { return (entry >> 16 & SLOT_MASK) != 0; }

static uint64_t load(const _Atomic uint64_t *entry) { return atomic_load_explicit(entry, memory_order_relaxed); }
static void put(_Atomic uint64_t *entry, uint64_t value) { atomic_store_explicit(entry, value, memory_order_relaxed); }

static size_t home_line(const struct table *t, uint64_t key) { return (size_t)((key >> 30) * t->lines >> KEY_BITS); }
static size_t next_line(const struct table *t, size_t line) { return line + 1 == t->lines ? 0 : line + 1; }

static struct table *table_new(size_t lines) {
    struct table *t = mem_zero(1, sizeof *t);
    t->lines = lines;
    t->memory = mem_zero(lines + 1, CACHE_LINE);
    uintptr_t at = ((uintptr_t)t->memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
    t->entries = (void *)at;
    return t;
}

static void table_free(struct table *t) {
    free(t->memory);
    free(t);
}

static struct table *newest_table(const struct shard *s) {
    return atomic_load_explicit(&s->table, memory_order_acquire);
}

struct directory *directory_new(void) {
    struct directory *d = aligned_alloc(CACHE_LINE, sizeof *d);
    CHECK(d);
    memset(d, 0, sizeof *d);
    for (unsigned i = 0; i < SHARDS; i++) atomic_init(&d->shards[i].table, table_new(FIRST_LINES));
    return d;
}

void directory_free(struct directory *d) {
    directory_reap(d, 0, UINT64_MAX);
    for (unsigned i = 0; i < SHARDS; i++) table_free(newest_table(&d->shards[i]));
    free(d);
}

/* ---- readers ---- */

void directory_prefetch(const struct directory *d, uint64_t hash) {
    const struct table *t = newest_table(&d->shards[shard_of(hash)]);
    __builtin_prefetch((const void *)&t->entries[home_line(t, key_of(hash)) * LINE]);
}

/* No branch on what a line holds but the two that go the same way nearly always, so that the processor is on its way to
 * the next line asked for while this one is still coming. */
size_t directory_find(const struct directory *d, uint64_t hash, struct place *places, size_t most) {
    const struct table *t = newest_table(&d->shards[shard_of(hash)]);
    uint64_t key = key_of(hash);
    size_t found = 0, home = home_line(t, key), line = home;
    uint64_t last;
    do {
        const _Atomic uint64_t *entries = &t->entries[line * LINE];
        unsigned same = 0;
        for (unsigned i = 0; i < LINE; i++) same |= (unsigned)(((load(&entries[i]) ^ key) & KEY_MASK) == 0) << i;
        for (; same; same &= same - 1) {
            uint64_t entry = load(&entries[__builtin_ctz(same)]);
            if (!is_entry(entry) || ((entry ^ key) & KEY_MASK) != 0) continue; /* it may have changed since */
            if (found < most) places[found] = (struct place){slot_of(entry), (uint16_t)entry};
            found++;
        }
        last = load(&entries[LINE - 1]);
        line = next_line(t, line);
    } while (last & PASSED && line != home);
    return found;
}

/* ---- changing ---- */

static void shard_place(struct shard *s, struct table *t, uint64_t entry) {
    for (size_t line = home_line(t, entry & KEY_MASK);; line = next_line(t, line)) {
        _Atomic uint64_t *entries = &t->entries[line * LINE];
        for (unsigned i = 0; i < LINE; i++) {
            uint64_t there = load(&entries[i]);
            if (is_entry(there)) continue;
            put(&entries[i], entry | (there & PASSED));
            return;
        }
        uint64_t last = load(&entries[LINE - 1]);
        s->passed += !(last & PASSED);
        put(&entries[LINE - 1], last | PASSED);
    }
}

/* Each gets more room by another part, or all would grow at the same time, and twice the memory be needed then. */
static size_t room_for(const struct directory *d, const struct shard *s, size_t count, unsigned more_512ths) {
    return count + count * (more_512ths + (size_t)(s - d->shards)) / 512;
}

/* A table with room for so many, filled from the one there is. */
static void shard_replace(struct shard *s, size_t room) {
    struct table *old = newest_table(s), *t = table_new(room / FULL + FIRST_LINES);
    s->passed = 0;
    for (size_t i = 0; i < old->lines * LINE; i++) {
        uint64_t entry = load(&old->entries[i]);
        if (is_entry(entry)) shard_place(s, t, entry & ~PASSED);
    }
    old->replaced = UINT64_MAX;
    old->next = s->replaced;
    s->replaced = old;
    atomic_store_explicit(&s->table, t, memory_order_release);
}

static void shard_put(const struct directory *d, struct shard *s, uint64_t entry) {
    const struct table *t = newest_table(s);
    /* PASSED stays where entries were forgotten; a table in which it stands everywhere would be searched as a whole. */
    if (s->count >= t->lines * FULL || s->passed > t->lines / 2) shard_replace(s, room_for(d, s, s->count, 64));
    shard_place(s, newest_table(s), entry);
    s->count++;
}

void directory_reserve(struct directory *d, size_t ids) {
    /* Shares differ by a few times the root of their size; whoever gets more grows. */
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        size_t room = room_for(d, s, ids / SHARDS + 64, 8);
        if (newest_table(s)->lines * FULL < room) shard_replace(s, room);
    }
}

void directory_add_part(struct directory *d, uint32_t slot, const uint64_t *hashes, const uint32_t *first_rows,
                        size_t count, unsigned part, unsigned parts) {
    CHECK(slot < DIRECTORY_SLOTS && parts && SHARDS % parts == 0 && part < parts);
    unsigned first = SHARDS / parts * part, behind = SHARDS / parts * (part + 1);
    uint32_t mine[AHEAD];
    for (size_t i = 0; i < count;) {
        unsigned n = 0;
        for (; i < count && n < AHEAD; i++) {
            if (shard_of(hashes[i]) < first || shard_of(hashes[i]) >= behind) continue;
            directory_prefetch(d, hashes[i]);
            mine[n++] = (uint32_t)i;
        }
        for (unsigned k = 0; k < n; k++) {
            uint64_t hash = hashes[mine[k]];
            uint32_t row = first_rows[mine[k]];
            CHECK(row <= UINT16_MAX);
            shard_put(d, &d->shards[shard_of(hash)], key_of(hash) | (uint64_t)(slot + 1) << 16 | row);
        }
    }
}

void directory_add(struct directory *d, uint32_t slot, const uint64_t *hashes, const uint32_t *first_rows,
                   size_t count) {
    directory_add_part(d, slot, hashes, first_rows, count, 0, 1);
}

/* When less than half of a table is left, it moves to a smaller one. */
void directory_forget(struct directory *d, const uint32_t *slots, size_t count) {
    uint8_t gone[(DIRECTORY_SLOTS + 8) / 8] = {0};
    for (size_t i = 0; i < count; i++) {
        CHECK(slots[i] < DIRECTORY_SLOTS);
        gone[slots[i] / 8] |= (uint8_t)(1 << slots[i] % 8);
    }
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        struct table *t = newest_table(s);
        for (size_t i = 0; i < t->lines * LINE; i++) {
            uint64_t entry = load(&t->entries[i]);
            uint32_t slot = slot_of(entry);
            if (!is_entry(entry) || !(gone[slot / 8] >> slot % 8 & 1)) continue;
            put(&t->entries[i], entry & PASSED);
            s->count--;
        }
        if (s->count < t->lines * FULL / 2 && t->lines > 2 * FIRST_LINES)
            shard_replace(s, room_for(d, s, s->count, 64));
    }
}

void directory_reap(struct directory *d, uint64_t current, uint64_t oldest) {
    for (struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        for (struct table **at = &s->replaced, *t; (t = *at);) {
            if (t->replaced == UINT64_MAX) t->replaced = current;
            if (t->replaced >= oldest) {
                at = &t->next;
                continue;
            }
            *at = t->next;
            table_free(t);
        }
    }
}

static size_t table_bytes(const struct table *t) { return sizeof *t + (t->lines + 1) * CACHE_LINE; }

size_t directory_bytes(const struct directory *d) {
    size_t bytes = sizeof *d;
    for (const struct shard *s = d->shards; s < d->shards + SHARDS; s++) {
        bytes += table_bytes(newest_table(s));
        for (const struct table *t = s->replaced; t; t = t->next) bytes += table_bytes(t);
    }
    return bytes;
}

size_t directory_count(const struct directory *d) {
    size_t count = 0;
    for (const struct shard *s = d->shards; s < d->shards + SHARDS; s++) count += s->count;
    return count;
}
