/* The table of ids and the history behind them: against a plain list, with hashes that collide, and beside readers. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/ids.h"

static struct str name_of(unsigned n, char room[32]) {
    return (struct str){room, (size_t)snprintf(room, 32, "id %u", n)};
}

static struct ident *add(struct id_table *t, struct arena *heap, uint64_t hash, unsigned n) {
    char room[32];
    struct ident *i = ident_new(heap, hash, name_of(n, room));
    id_table_add(t, i);
    return i;
}

static struct ident *find(const struct id_table *t, uint64_t hash, unsigned n) {
    char room[32];
    id_table_prefetch(t, hash);
    return id_table_find(t, hash, name_of(n, room));
}

static void count_one(void *ctx, struct ident *i) {
    assert_true(i->length > 3);
    ++*(unsigned *)ctx;
}

static void test_grows(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    struct id_table *t = id_table_new();
    struct arena heap = {0};
    char room[32];
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t hash = hash_str(name_of(i, room));
        assert_null(find(t, hash, i));
        struct ident *added = add(t, &heap, hash, i);
        assert_ptr_equal(find(t, hash, i), added);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        struct ident *there = find(t, hash_str(name_of(i, room)), i);
        assert_true(there && str_eq(ident_str(there), name_of(i, room)));
    }
    unsigned seen = 0;
    id_table_each(t, count_one, &seen);
    assert_int_equal(seen, COUNT);
    assert_int_equal(id_table_count(t), COUNT);
    id_table_free(t);
    id_table_free(NULL);
    arena_free(&heap);
}

/* What was taken out is gone, the empty id too, which is what a mark looks like. */
static void test_empty_id(void **state) {
    (void)state;
    struct id_table *t = id_table_new();
    struct arena heap = {0};
    struct ident *empty = ident_new(&heap, 3, STR("")), *after = ident_new(&heap, 3, STR("after"));
    id_table_add(t, empty);
    id_table_add(t, after);
    assert_ptr_equal(id_table_find(t, 3, STR("")), empty);
    id_table_remove(t, empty);
    assert_null(id_table_find(t, 3, STR("")));
    assert_ptr_equal(id_table_find(t, 3, STR("after")), after);
    id_table_free(t);
    arena_free(&heap);
}

/* Random changes beside a plain list; few hashes, so that runs are long, wrap around and are full of marks. */
static void against_list(unsigned ids, uint64_t hashes, unsigned steps) {
    struct id_table *t = id_table_new();
    struct arena heap = {0};
    struct ident **list = calloc(ids, sizeof *list);
    unsigned at = 1, there = 0;
    for (unsigned step = 0; step < steps; step++) {
        at = at * 1664525 + 1013904223;
        unsigned n = (at >> 8) % ids;
        uint64_t hash = (n % hashes) - hashes / 2; /* about the end of the table */
        if (!list[n]) {
            list[n] = add(t, &heap, hash, n);
            there++;
        } else if (at >> 31 || there > ids / 2) {
            id_table_remove(t, list[n]);
            list[n] = NULL;
            there--;
        }
        free(id_table_take_replaced(t)); /* no reader here */
        assert_int_equal(id_table_count(t), there);
        if (step % 64 == 0)
            for (unsigned i = 0; i < ids; i++) assert_ptr_equal(find(t, (i % hashes) - hashes / 2, i), list[i]);
    }
    unsigned seen = 0;
    id_table_each(t, count_one, &seen);
    assert_int_equal(seen, there);
    for (unsigned i = 0; i < ids; i++)
        if (list[i]) id_table_remove(t, list[i]);
    assert_int_equal(id_table_count(t), 0);
    free(list);
    id_table_free(t);
    arena_free(&heap);
}

static void test_against_list(void **state) {
    (void)state;
    against_list(100, 1, 20000);
    against_list(300, 7, 20000);
    against_list(600, 600, 50000);
    against_list(1000, 40, 50000);
}

/* A table through which ids come and go stays as small as what is in it; one that was large gets small again. */
static void test_stays_small(void **state) {
    (void)state;
    enum { TOGETHER = 1500, COUNT = 140 * TOGETHER };
    struct id_table *t = id_table_new();
    struct arena heap = {0};
    static struct ident *ring[TOGETHER];
    char room[32];
    unsigned replaced = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        if (ring[i % TOGETHER]) id_table_remove(t, ring[i % TOGETHER]);
        ring[i % TOGETHER] = add(t, &heap, hash_str(name_of(i, room)), i);
        for (void *old; (old = id_table_take_replaced(t)); replaced++) free(old);
    }
    assert_in_range(id_table_bytes(t), TOGETHER * 16, 4096 * 16 + 100);
    assert_in_range(replaced, 10, COUNT / 1000);
    size_t before = id_table_bytes(t);
    struct ident **more = calloc(COUNT, sizeof *more);
    for (unsigned i = 0; i < COUNT; i++) more[i] = add(t, &heap, hash_str(name_of(COUNT + i, room)), COUNT + i);
    assert_true(id_table_bytes(t) > COUNT * 32);
    for (unsigned i = 0; i < COUNT; i++) id_table_remove(t, more[i]);
    assert_in_range(id_table_bytes(t), 0, 4 * before);
    for (unsigned i = 0; i < TOGETHER; i++) assert_ptr_equal(find(t, ring[i]->hash, COUNT - TOGETHER + i), ring[i]);
    free(more);
    id_table_free(t);
    arena_free(&heap);
}

static void test_history(void **state) {
    (void)state;
    struct arena heap = {0};
    struct ident *i = ident_new(&heap, 7, STR("an id"));
    assert_null(ident_fields(i));
    assert_null(ident_field(i, 0));
    for (uint32_t n = 1; n <= 30; n++)
        ident_write(i, &heap, n % 3, &(struct history){.seq = n, .time_us = 100 + n, .key_id = 5, .code = n});
    assert_null(ident_field(i, 3));
    for (uint32_t field = 0; field < 3; field++) {
        const struct history *h = field_newest(ident_field(i, field));
        uint32_t n = field ? 27 + field : 30, count = 0;
        for (; h; h = h->older, n -= 3, count++) {
            assert_int_equal(h->seq, n);
            assert_int_equal(h->time_us, 100 + n);
            assert_int_equal(h->key_id, 5);
            assert_int_equal(h->code, n);
        }
        assert_int_equal(count, 10);
    }
    arena_free(&heap);
}

/* ---- readers ---- */

/* Ids 0 .. STEADY-1 are added one by one and stay; the others come and go. */
enum { READERS = 3, STEADY = 5000, PASSING = 300, ROUNDS = 40000, LOOKS = 40000, FIELDS = 4 };

static struct {
    struct id_table *table;
    atomic_uint steady, wrong;
} world;

static void *read_ids(void *arg) {
    unsigned at = *(unsigned *)arg;
    char room[32];
    for (unsigned look = 0; look < LOOKS; look++) {
        unsigned steady = atomic_load(&world.steady);
        at = at * 1664525 + 1013904223;
        unsigned n = (at >> 8) % (STEADY + PASSING);
        struct str id = name_of(n, room);
        const struct ident *i = id_table_find(world.table, hash_str(id), id);
        if (i ? !str_eq(ident_str(i), id) : n < steady) world.wrong++;
        if (!i) continue;
        for (const struct id_field *f = ident_fields(i); f; f = f->next) {
            uint64_t newer = UINT64_MAX;
            if (f->field >= FIELDS || !field_newest(f)) world.wrong++;
            for (const struct history *h = field_newest(f); h; h = h->older) {
                if (h->seq >= newer || h->code != h->seq + 1) world.wrong++;
                newer = h->seq;
            }
        }
    }
    return NULL;
}

static void test_readers(void **state) {
    (void)state;
    struct arena heap = {0};
    static struct ident *steady[STEADY], *passing[PASSING];
    pthread_t threads[READERS];
    unsigned seeds[READERS];
    char room[32];
    world.table = id_table_new();
    for (unsigned i = 0; i < READERS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_ids, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned n = i % STEADY, p = i % PASSING;
        if (!steady[n]) steady[n] = add(world.table, &heap, hash_str(name_of(n, room)), n);
        if (i < STEADY) atomic_store(&world.steady, i + 1);
        ident_write(steady[n], &heap, i % FIELDS, &(struct history){.seq = i, .code = i + 1});
        if (passing[p]) id_table_remove(world.table, passing[p]);
        passing[p] = passing[p] ? NULL : add(world.table, &heap, hash_str(name_of(STEADY + p, room)), STEADY + p);
    }
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(world.wrong, 0);
    id_table_free(world.table);
    arena_free(&heap);
}

int main(void) {
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_empty_id),
        cmocka_unit_test(test_against_list),
        cmocka_unit_test(test_stays_small),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
