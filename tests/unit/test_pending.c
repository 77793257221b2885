/* Metadata that waits for its inference: values, history, expiry at the limit, memory that comes back, readers beside
 * the writer. */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/pending.h"

static struct value number(double n) { return (struct value){.type = VALUE_NUMBER, .number = n}; }
static struct value text(const char *z) { return (struct value){.type = VALUE_STRING, .text = str_of(z)}; }
static const struct value removal = {.type = VALUE_NONE};

static struct str name_of(unsigned n, char room[32]) {
    return (struct str){room, (size_t)snprintf(room, 32, "id %u", n)};
}

static bool set(struct pending *p, struct str id, uint64_t seq, int64_t time_us, uint32_t field, struct value v,
                uint64_t generation) {
    return pending_set(p, hash_str(id), id,
                       &(struct pending_write){.seq = seq, .time_us = time_us, .key_id = 5, .field = field, .value = v},
                       generation);
}

static struct pending_id *find(const struct pending *p, struct str id) { return pending_find(p, hash_str(id), id); }

static unsigned writes(const struct pending_id *i) {
    unsigned n = 0;
    for (const struct pending_write *w = pending_newest(i); w; w = w->older) n++;
    return n;
}

static void count_one(void *ctx, const struct pending_id *i) {
    assert_non_null(pending_newest(i));
    ++*(unsigned *)ctx;
}

static void test_set(void **state) {
    (void)state;
    struct pending *p = pending_new(0);
    assert_null(find(p, STR("a")));
    assert_false(set(p, STR("a"), 1, 10, 0, removal, 1)); /* nothing there to remove */
    assert_null(find(p, STR("a")));
    assert_true(set(p, STR("a"), 2, 10, 0, text("x"), 1));
    assert_false(set(p, STR("a"), 3, 11, 0, text("x"), 1));
    assert_true(set(p, STR("a"), 4, 12, 1, text("x"), 1));
    assert_true(set(p, STR("a"), 5, 13, 0, number(1), 1));
    assert_true(set(p, STR("a"), 6, 14, 0, text("1"), 1)); /* the type tells values apart */
    assert_true(set(p, STR("a"), 7, 15, 0, removal, 1));
    assert_false(set(p, STR("a"), 8, 16, 0, removal, 1));
    assert_true(set(p, STR("a"), 9, 17, 0, text(""), 1));
    assert_false(set(p, STR("a"), 10, 18, 1, text("x"), 1)); /* still the current one */
    assert_false(set(p, STR("a"), 11, 18, 2, removal, 1));
    assert_true(set(p, STR(""), 12, 19, 2, number(-0.0), 1));
    assert_false(set(p, STR(""), 13, 19, 2, number(0), 1));

    static const struct {
        uint64_t seq;
        uint32_t field;
    } expected[] = {{9, 0}, {7, 0}, {6, 0}, {5, 0}, {4, 1}, {2, 0}};
    const struct pending_id *a = find(p, STR("a"));
    const struct pending_write *w = pending_newest(a);
    for (size_t n = 0; n < 6; n++, w = w->older) {
        assert_int_equal(w->seq, expected[n].seq);
        assert_int_equal(w->field, expected[n].field);
        assert_int_equal(w->key_id, 5);
    }
    assert_null(w);
    assert_int_equal(pending_newest(a)->value.type, VALUE_STRING);
    assert_int_equal(pending_newest(a)->value.text.n, 0);
    assert_true(str_eq(ident_str(&a->ident), STR("a")));
    unsigned seen = 0;
    pending_each(p, count_one, &seen);
    assert_int_equal(seen, 2);
    assert_int_equal(pending_count(p), 2);
    assert_true(pending_live(p, a, INT64_MAX)); /* without a limit: for ever */
    pending_free(p);
    pending_free(NULL);
}

/* To the last microsecond, and one past it. The clock that counts is the writes' own. */
static void test_expiry(void **state) {
    (void)state;
    enum { TTL = 1000 };
    struct pending *p = pending_new(TTL);
    set(p, STR("a"), 1, 5000, 0, text("x"), 1);
    set(p, STR("a"), 2, 5100, 1, text("y"), 1);
    set(p, STR("a"), 3, 5900, 1, text("y"), 1); /* what is current already does not extend it */
    assert_true(pending_live(p, find(p, STR("a")), 5100 + TTL));
    assert_false(pending_live(p, find(p, STR("a")), 5100 + TTL + 1));
    assert_true(set(p, STR("a"), 4, 5100 + TTL, 0, text("z"), 1)); /* just in time */
    assert_int_equal(writes(find(p, STR("a"))), 3);
    assert_false(set(p, STR("a"), 5, 6100 + TTL, 1, text("y"), 1));

    assert_false(set(p, STR("a"), 6, 6100 + TTL + 1, 1, removal, 1)); /* it has expired: nothing to remove */
    assert_int_equal(p->expired, 0);
    assert_true(set(p, STR("a"), 7, 6100 + TTL + 1, 1, text("y"), 1)); /* the same value, but anew */
    assert_int_equal(writes(find(p, STR("a"))), 1);
    assert_int_equal(pending_newest(find(p, STR("a")))->seq, 7);
    assert_true(set(p, STR("a"), 8, 6100 + TTL + 2, 0, text("z"), 1));
    assert_int_equal(writes(find(p, STR("a"))), 2);
    assert_int_equal(p->expired, 1);
    assert_int_equal(pending_count(p), 1);

    set(p, STR("b"), 9, INT64_MAX - 5, 0, text("x"), 1);
    assert_true(pending_live(p, find(p, STR("b")), INT64_MAX));
    set(p, STR("c"), 10, 5000, 0, text("x"), 1); /* the clock was set back */
    assert_true(pending_live(p, find(p, STR("c")), 100));
    pending_free(p);
}

/* What was taken out stays readable until no reader can hold it: to the generation. */
static void test_reap(void **state) {
    (void)state;
    struct pending *p = pending_new(1000);
    set(p, STR("a"), 1, 10, 0, text("old"), 3);
    const struct pending_write *old = pending_newest(find(p, STR("a")));
    size_t before = p->bytes;
    assert_true(set(p, STR("a"), 2, 5000, 0, text("new"), 4));
    set(p, STR("b"), 3, 5000, 0, text("of b"), 4);
    struct pending_id *b = find(p, STR("b"));
    pending_remove(p, b, 6);
    assert_null(find(p, STR("b")));
    assert_int_equal(pending_count(p), 1);
    assert_int_equal(p->removed_count, 2);
    assert_false(pending_reap(p, 4));
    assert_true(str_is(old->value.text, "old"));
    assert_false(pending_reap(p, 6));
    assert_true(str_is(pending_newest(b)->value.text, "of b"));
    assert_true(p->bytes > before);
    assert_false(pending_reap(p, 7));
    assert_int_equal(p->bytes, before);
    assert_null(p->removed);
    assert_int_equal(p->removed_count, 0);
    set(p, STR("b"), 4, 5000, 0, text("again"), 7);
    assert_int_equal(writes(find(p, STR("b"))), 1);
    pending_remove(p, find(p, STR("b")), 7);
    pending_free(p);
}

/* Whatever was added and taken out, the memory is as before; the work of a call is bounded. */
static void test_memory(void **state) {
    (void)state;
    enum { IDS = 20000, ROUNDS = 3 };
    struct pending *p = pending_new(0);
    char room[32];
    size_t empty = p->bytes, held = 0;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        for (unsigned i = 0; i < IDS; i++)
            for (uint32_t field = 0; field < 3; field++)
                set(p, name_of(i, room), i, 10, field, text("some text that is a value"), round);
        size_t taken = mallinfo2().uordblks + mallinfo2().hblkhd - before;
        if (taken) assert_in_range(p->bytes - empty, taken / 2, taken + taken / 8); /* 0: another malloc (a sanitizer's) */
        for (unsigned i = 0; i < IDS; i++) pending_remove(p, find(p, name_of(i, room)), round);
        assert_int_equal(pending_count(p), 0);
        assert_false(pending_reap(p, round));
        unsigned calls = 1;
        while (pending_reap(p, round + 1)) calls++;
        assert_in_range(calls, IDS * 3 / PENDING_REAP_MOST, IDS * 3 / PENDING_REAP_MOST + 2);
        if (round == 1) held = p->bytes;
        assert_int_equal(p->bytes, held);
    }
    assert_in_range(held, empty, 4 * empty);
    pending_free(p);
}

/* One long history of one field does not make writes of others slow: the current values are at hand. */
static void test_long_history(void **state) {
    (void)state;
    enum { WRITES = 200000 };
    struct pending *p = pending_new(0);
    for (unsigned i = 0; i < WRITES; i++) {
        assert_true(set(p, STR("a"), 2 * i, 10, 0, number(i), 1));
        assert_false(set(p, STR("a"), 2 * i + 1, 10, 1, removal, 1));
    }
    assert_int_equal(writes(find(p, STR("a"))), WRITES);
    pending_free(p);
}

/* ---- readers ---- */

/* Ids come, get values, expire, go; generations move on as readers do, each of which holds the one it took. */
enum { READERS = 3, IDS = 500, STEPS = 60000, LOOKS = 3000 };

static struct {
    struct pending *pending;
    atomic_ullong generation, held[READERS];
    atomic_uint wrong;
} world;

static void check_id(void *ctx, const struct pending_id *i) {
    uint64_t newer = UINT64_MAX;
    (void)ctx;
    for (const struct pending_write *w = pending_newest(i); w; w = w->older) {
        if (w->seq >= newer || !str_starts(w->value.text, ident_str(&i->ident))) world.wrong++;
        newer = w->seq;
    }
}

static void *read_pending(void *arg) {
    atomic_ullong *held = arg;
    unsigned at = (unsigned)(held - world.held);
    char room[32];
    for (unsigned look = 0; look < LOOKS; look++) {
        /* As a view is taken: the generation is held before it is known to be the newest. */
        unsigned long long now;
        do {
            now = atomic_load(&world.generation);
            atomic_store(held, now);
        } while (atomic_load(&world.generation) != now);
        for (unsigned n = 0; n < 20; n++) {
            at = at * 1664525 + 1013904223;
            struct str id = name_of((at >> 8) % IDS, room);
            const struct pending_id *i = find(world.pending, id);
            if (i && !str_eq(ident_str(&i->ident), id)) world.wrong++;
            if (i) check_id(NULL, i);
        }
        if (look % 100 == 0) pending_each(world.pending, check_id, NULL);
        atomic_store(held, UINT64_MAX);
    }
    return NULL;
}

static void test_readers(void **state) {
    (void)state;
    pthread_t threads[READERS];
    world.pending = pending_new(1000);
    world.generation = 1;
    for (unsigned i = 0; i < READERS; i++) world.held[i] = UINT64_MAX;
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_pending, &world.held[i]), 0);
    unsigned at = 1;
    for (unsigned step = 0; step < STEPS; step++) {
        char room[32], value[64];
        at = at * 1664525 + 1013904223;
        struct str id = name_of((at >> 8) % IDS, room);
        struct pending_id *there = find(world.pending, id);
        if (there && at >> 30 == 0) {
            pending_remove(world.pending, there, world.generation);
        } else {
            snprintf(value, sizeof value, "%.*s, value %u", (int)id.n, id.p, step);
            set(world.pending, id, step, step, at >> 29 & 1, text(value), world.generation);
        }
        if (step % 10 == 0) {
            unsigned long long oldest = ++world.generation;
            for (unsigned i = 0; i < READERS; i++) {
                unsigned long long held = atomic_load(&world.held[i]);
                if (held < oldest) oldest = held;
            }
            pending_reap(world.pending, oldest);
        }
    }
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(world.wrong, 0);
    pending_free(world.pending);
}

int main(void) {
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_reap),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_long_history),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
