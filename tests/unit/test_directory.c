/* The id directory against a plain list, and readers beside the thread that changes it (make SAN=thread).
 *
 *   test_directory --measure IDS       bytes an id, and how long adding and looking up take */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/directory.h"
#include "store/row.h"

enum { MOST = 16 };

static uint64_t mix(uint64_t z) {
    z = (z + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A segment as its slot has it: ids of numbers from `first` on, in rows that skip some. */
struct ids {
    size_t count;
    uint64_t hashes[SEGMENT_ROWS];
    uint32_t rows[SEGMENT_ROWS];
};

static uint32_t row_of(size_t i) { return (uint32_t)(i * 3 % SEGMENT_ROWS); }

static struct ids *ids_make(struct ids *s, uint64_t first, size_t count) {
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->hashes[i] = mix(first + i);
        s->rows[i] = row_of(i);
    }
    return s;
}

static void add(struct directory *d, uint32_t slot, uint64_t first, size_t count) {
    static struct ids s;
    ids_make(&s, first, count);
    directory_add(d, slot, s.hashes, s.rows, s.count);
}

/* Whether a slot is among what is found, and under which row. */
static bool stands(const struct directory *d, uint64_t hash, uint32_t slot, uint32_t row) {
    struct place p[MOST];
    size_t n = directory_find(d, hash, p, MOST);
    for (size_t i = 0; i < n && i < MOST; i++)
        if (p[i].slot == slot && p[i].row == row) return true;
    return false;
}

static void nothing_in_it(void **state) {
    (void)state;
    struct directory *d = directory_new();
    struct place p;
    for (uint64_t n = 0; n < 1000; n++) {
        directory_prefetch(d, mix(n));
        assert_int_equal(directory_find(d, mix(n), &p, 1), 0);
    }
    assert_int_equal(directory_find(d, 0, &p, 1), 0);
    assert_int_equal(directory_find(d, UINT64_MAX, &p, 1), 0);
    assert_int_equal(directory_count(d), 0);
    assert_true(directory_bytes(d) < 32 << 10);
    directory_forget(d, (uint32_t[]){0, DIRECTORY_SLOTS - 1}, 2);
    directory_free(d);
}

static void all_that_was_added(void **state) {
    (void)state;
    struct directory *d = directory_new();
    size_t strangers = 0;
    enum { SEGMENTS = 12 };
    for (uint32_t slot = 0; slot < SEGMENTS; slot++) add(d, slot, slot * SEGMENT_ROWS, SEGMENT_ROWS);
    assert_int_equal(directory_count(d), SEGMENTS * SEGMENT_ROWS);
    for (uint32_t slot = 0; slot < SEGMENTS; slot++)
        for (size_t i = 0; i < SEGMENT_ROWS; i++) assert_true(stands(d, mix(slot * SEGMENT_ROWS + i), slot, row_of(i)));
    for (uint64_t n = 0; n < 1000000; n++) {
        struct place p;
        strangers += directory_find(d, mix(((uint64_t)1 << 40) + n), &p, 1);
    }
    assert_true(strangers < 12); /* expected is 1.4: 786,432 / 2^39 for each of a million */
    directory_reap(d, 5, 6);
    assert_true(directory_bytes(d) < directory_count(d) * 13);
    directory_free(d);
}

/* The least and the greatest of everything an entry is made of. */
static void at_the_limits(void **state) {
    static const uint64_t hashes[] = {0, 1, (uint64_t)1 << 24, ((uint64_t)1 << 58) - 1, (uint64_t)1 << 58, UINT64_MAX};
    static const uint32_t rows[] = {0, 1, 32767, 32768, 65534, 65535}, slots[] = {0, 1, DIRECTORY_SLOTS - 1};
    (void)state;
    struct directory *d = directory_new();
    for (unsigned s = 0; s < 3; s++) directory_add(d, slots[s], hashes, rows, 6);
    for (unsigned s = 0; s < 3; s++)
        for (unsigned i = 0; i < 6; i++) assert_true(stands(d, hashes[i], slots[s], rows[i]));
    /* Two of the hashes differ in bits that an entry does not have. */
    assert_true(stands(d, 0, 0, 1) && stands(d, 1, 0, 0));
    assert_int_equal(directory_count(d), 18);
    directory_forget(d, slots, 2);
    assert_int_equal(directory_count(d), 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(stands(d, hashes[i], slots[2], rows[i]));
        assert_false(stands(d, hashes[i], slots[0], rows[i]));
    }
    directory_free(d);
}

/* An id in many segments: more places than a line holds, and more than the caller has room for. */
static void an_id_in_many_segments(void **state) {
    (void)state;
    struct directory *d = directory_new();
    enum { MANY = 1000 };
    uint64_t hash = mix(1);
    uint32_t row = 7;
    for (uint32_t slot = 0; slot < MANY; slot++) directory_add(d, slot, &hash, &row, 1);
    static struct place p[MANY + 1];
    static bool seen[MANY];
    assert_int_equal(directory_find(d, hash, p, MANY + 1), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(p[i].slot < MANY && !seen[p[i].slot] && p[i].row == 7);
        seen[p[i].slot] = true;
    }
    p[3].slot = UINT32_MAX;
    assert_int_equal(directory_find(d, hash, p, 3), MANY);
    assert_int_equal(p[3].slot, UINT32_MAX);
    assert_int_equal(directory_find(d, hash, NULL, 0), MANY);
    directory_free(d);
}

/* Random adding and forgetting against a list. */
static void against_a_list(void **state) {
    (void)state;
    enum { SLOTS = 40, LARGEST = 3000, ROUNDS = 400 };
    struct directory *d = directory_new();
    static struct ids s[SLOTS];
    uint64_t dice = 1, generation = 0, next = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t slot = (uint32_t)(mix(dice++) % SLOTS), other = (uint32_t)(mix(dice++) % SLOTS);
        if (s[slot].count || round % 200 > 150) {
            directory_forget(d, (uint32_t[]){slot, other}, 2);
            s[slot].count = s[other].count = 0;
        } else {
            size_t count = 1 + mix(dice++) % LARGEST, shared = mix(dice++) % count;
            ids_make(&s[slot], next - (shared < next ? shared : 0), count); /* some ids are in others too */
            next += count - shared;
            directory_add(d, slot, s[slot].hashes, s[slot].rows, count);
        }
        if (round % 3 == 0) generation++, directory_reap(d, generation, generation - 1);
        size_t count = 0;
        for (uint32_t k = 0; k < SLOTS; k++) {
            count += s[k].count;
            for (size_t i = round % 7; i < s[k].count; i += 7) assert_true(stands(d, s[k].hashes[i], k, s[k].rows[i]));
        }
        assert_int_equal(directory_count(d), count);
        for (uint64_t n = 0; n < 200; n++) { /* nothing is found that is not there */
            struct place p[MOST];
            uint64_t hash = mix(mix(dice++) % (next + 1));
            size_t found = directory_find(d, hash, p, MOST), there = 0;
            for (uint32_t k = 0; k < SLOTS; k++)
                for (size_t i = 0; i < s[k].count; i++) there += s[k].hashes[i] == hash;
            assert_int_equal(found, there);
        }
    }
    directory_forget(d, (uint32_t[]){0, 1}, 2);
    directory_free(d);
}

static void memory_comes_back(void **state) {
    (void)state;
    struct directory *d = directory_new();
    uint32_t slots[8];
    for (uint32_t slot = 0; slot < 8; slot++) add(d, slots[slot] = slot, slot * SEGMENT_ROWS, SEGMENT_ROWS);
    directory_reap(d, 1, 2);
    size_t full = directory_bytes(d);
    directory_forget(d, slots, 7);
    assert_true(directory_bytes(d) > full); /* readers may still look at the old tables */
    directory_reap(d, 2, 2);
    assert_true(directory_bytes(d) > full);
    directory_reap(d, 3, 3);
    assert_true(directory_bytes(d) < full / 5);
    for (size_t i = 0; i < SEGMENT_ROWS; i++) assert_true(stands(d, mix(7 * SEGMENT_ROWS + i), 7, row_of(i)));
    for (unsigned turn = 0; turn < 50; turn++) { /* a slot that comes and goes takes no more each time */
        add(d, 0, turn * 1000, 1000);
        directory_forget(d, slots, 1);
        directory_reap(d, 4 + turn, 4 + turn);
    }
    assert_true(directory_bytes(d) < full / 5);
    directory_free(d);
}

/* ---- building in parts ---- */

struct part {
    struct directory *d;
    unsigned number, of;
    size_t segments;
};

static struct ids *segments;

static void *build_part(void *ctx) {
    struct part *p = ctx;
    for (uint32_t i = 0; i < p->segments; i++)
        directory_add_part(p->d, i, segments[i].hashes, segments[i].rows, segments[i].count, p->number, p->of);
    return NULL;
}

static void build(struct directory *d, size_t count, unsigned threads) {
    pthread_t handles[64];
    struct part parts[64];
    for (unsigned i = 0; i < threads; i++) {
        parts[i] = (struct part){d, i, threads, count};
        pthread_create(&handles[i], NULL, build_part, &parts[i]);
    }
    for (unsigned i = 0; i < threads; i++) pthread_join(handles[i], NULL);
}

static void make_segments(size_t count) {
    segments = mem_alloc(count * sizeof *segments);
    for (size_t i = 0; i < count; i++) ids_make(&segments[i], i * SEGMENT_ROWS, SEGMENT_ROWS);
}

static void built_by_two_threads(void **state) {
    (void)state;
    enum { SEGMENTS = 5 };
    make_segments(SEGMENTS);
    for (unsigned reserve = 0; reserve < 2; reserve++) {
        struct directory *d = directory_new();
        if (reserve) directory_reserve(d, SEGMENTS * SEGMENT_ROWS);
        build(d, SEGMENTS, reserve ? 2 : 64);
        assert_int_equal(directory_count(d), SEGMENTS * SEGMENT_ROWS);
        for (uint32_t s = 0; s < SEGMENTS; s++)
            for (size_t i = 0; i < SEGMENT_ROWS; i++) assert_true(stands(d, segments[s].hashes[i], s, row_of(i)));
        directory_free(d);
    }
    free(segments);
}

/* ---- readers beside it ---- */

/* What the changing thread tells: slots up to here are in, slots below that are out. As a view does, with a generation
 * under which a reader says that it is looking. */
static struct {
    struct directory *d;
    _Atomic uint64_t there, gone, generation;
    _Atomic uint64_t held[3]; /* by reader: generation it looks with; UINT64_MAX: none */
    atomic_bool over;
    atomic_uint wrong, looks;
} world;

enum { WORLD_IDS = 700, WORLD_SEGMENTS = 120, WORLD_KEPT = 30 };

static void *reader(void *ctx) {
    _Atomic uint64_t *held = ctx;
    uint64_t dice = (uint64_t)(held - world.held) << 40;
    while (!atomic_load(&world.over)) {
        do {
            atomic_store(held, atomic_load(&world.generation));
        } while (atomic_load(held) != atomic_load(&world.generation));
        uint64_t there = atomic_load(&world.there);
        for (unsigned n = 0; n < 500 && there; n++) {
            uint64_t slot = mix(dice++) % there, i = mix(dice++) % WORLD_IDS, hash = mix(slot * WORLD_IDS + i);
            directory_prefetch(world.d, hash);
            bool stood = stands(world.d, hash, (uint32_t)slot, row_of(i));
            if (!stood && slot >= atomic_load(&world.gone)) atomic_fetch_add(&world.wrong, 1);
            if (stands(world.d, mix(UINT64_MAX / 2 + dice), (uint32_t)slot, row_of(i)))
                atomic_fetch_add(&world.wrong, 1);
        }
        atomic_store(held, UINT64_MAX);
        atomic_fetch_add(&world.looks, 1);
    }
    return NULL;
}

static void readers_beside_changes(void **state) {
    (void)state;
    pthread_t threads[3];
    world.d = directory_new();
    for (unsigned i = 0; i < 3; i++) atomic_init(&world.held[i], UINT64_MAX);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, &world.held[i]), 0);
    for (uint32_t slot = 0; slot < WORLD_SEGMENTS; slot++) {
        add(world.d, slot, slot * WORLD_IDS, WORLD_IDS);
        atomic_store(&world.there, slot + 1);
        if (slot >= WORLD_KEPT && slot % 10 == 0) { /* a few at once */
            uint32_t out[10];
            atomic_store(&world.gone, slot - WORLD_KEPT + 10);
            for (uint32_t i = 0; i < 10; i++) out[i] = slot - WORLD_KEPT + i;
            directory_forget(world.d, out, 10);
        }
        uint64_t current = atomic_fetch_add(&world.generation, 1), oldest = current + 1;
        for (unsigned i = 0; i < 3; i++) {
            uint64_t held = atomic_load(&world.held[i]);
            if (held < oldest) oldest = held;
        }
        directory_reap(world.d, current, oldest);
    }
    unsigned looks = atomic_load(&world.looks);
    while (atomic_load(&world.looks) < looks + 6) sched_yield();
    atomic_store(&world.over, true);
    for (unsigned i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&world.wrong), 0);
    directory_free(world.d);
}

/* ---- measuring ---- */

static double seconds_since(int64_t began) { return (double)(clock_mono_us() - began) / 1e6; }

static void measure_find(const struct directory *d, const char *what, uint64_t first, size_t ids) {
    enum { LOOKS = 2000000 };
    size_t found = 0;
    struct place p[MOST];
    uint64_t *hashes = mem_alloc(LOOKS * sizeof *hashes);
    for (size_t i = 0; i < LOOKS; i++) hashes[i] = mix(first + mix(i) % ids);
    int64_t began = clock_mono_us();
    for (size_t i = 0; i < LOOKS; i++) found += directory_find(d, hashes[i] ^ (found & 0), p, MOST);
    double alone = seconds_since(began) / LOOKS * 1e9;
    began = clock_mono_us();
    for (size_t i = 0; i < LOOKS; i++) { /* each address needs the answer before */
        size_t n = directory_find(d, hashes[i], p, MOST);
        found += n;
        if (i + 1 < LOOKS) hashes[i + 1] = mix(first + (mix(i + 1 + (n > 1)) % ids));
    }
    double chained = seconds_since(began) / LOOKS * 1e9;
    began = clock_mono_us();
    for (size_t i = 0; i < LOOKS; i++) {
        if (i + 16 < LOOKS) directory_prefetch(d, hashes[i + 16]);
        found += directory_find(d, hashes[i], p, MOST);
    }
    printf("%-8s id: %.0f ns each, %.0f ns when each waits for the one before, %.0f ns with prefetch (%zu found)\n",
           what, alone, chained, seconds_since(began) / LOOKS * 1e9, found);
    free(hashes);
}

static int measure(size_t ids) {
    size_t count = ids / SEGMENT_ROWS;
    make_segments(count + 1);
    ids = count * SEGMENT_ROWS;
    for (unsigned threads = 0; threads <= 2; threads++) {
        struct directory *d = directory_new();
        int64_t began = clock_mono_us();
        if (threads) directory_reserve(d, ids);
        if (threads)
            build(d, count, threads);
        else
            for (uint32_t i = 0; i < count; i++) {
                directory_add(d, i, segments[i].hashes, segments[i].rows, segments[i].count);
                directory_reap(d, 0, 1);
            }
        printf("%zu ids in %.3f s, %s\n", ids, seconds_since(began),
               threads == 0   ? "growing"
               : threads == 1 ? "with room reserved"
                              : "with room reserved, two threads");
        began = clock_mono_us();
        directory_add(d, (uint32_t)count, segments[count].hashes, segments[count].rows, SEGMENT_ROWS);
        printf("  one more segment in %.2f ms; %.1f bytes an id, ", seconds_since(began) * 1e3,
               (double)directory_bytes(d) / (double)directory_count(d));
        directory_reap(d, 0, 1);
        printf("%.1f with replaced tables freed\n", (double)directory_bytes(d) / (double)directory_count(d));
        measure_find(d, "known", 0, ids);
        measure_find(d, "unknown", (uint64_t)1 << 40, ids);
        began = clock_mono_us();
        directory_forget(d, (uint32_t[]){1}, 1);
        printf("  one forgotten in %.2f ms\n", seconds_since(began) * 1e3);
        directory_free(d);
    }
    return 0;
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_it),        cmocka_unit_test(all_that_was_added),
        cmocka_unit_test(at_the_limits),        cmocka_unit_test(an_id_in_many_segments),
        cmocka_unit_test(against_a_list),       cmocka_unit_test(memory_comes_back),
        cmocka_unit_test(built_by_two_threads), cmocka_unit_test(readers_beside_changes),
    };
    if (argc == 3 && strcmp(argv[1], "--measure") == 0) return measure(strtoull(argv[2], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
