/* Dictionaries: codes, equality, growth, and readers beside the writer (make SAN=thread). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/dict.h"

static struct value text_value(const char *fmt, unsigned n, char room[32]) {
    return (struct value){.type = VALUE_STRING, .text = {room, (size_t)snprintf(room, 32, fmt, n)}};
}
#define NUMBER(x) (&(struct value){.type = VALUE_NUMBER, .number = (x)})
#define TRUTH(x) (&(struct value){.type = VALUE_BOOL, .truth = (x)})
#define TEXT(x) (&(struct value){.type = VALUE_STRING, .text = STR(x)})

static void test_values(void **state) {
    (void)state;
    struct dict d = {.count = 0};
    struct arena heap = {0};
    assert_int_equal(dict_find(&d, TEXT("1")), 0);
    assert_int_equal(dict_bytes(&d), 0);
    assert_int_equal(dict_intern(&d, &heap, TEXT("1")), 1);
    assert_int_equal(dict_intern(&d, &heap, NUMBER(1)), 2); /* the type tells values apart */
    assert_int_equal(dict_intern(&d, &heap, TRUTH(true)), 3);
    assert_int_equal(dict_intern(&d, &heap, TRUTH(false)), 4);
    assert_int_equal(dict_intern(&d, &heap, TEXT("")), 5);
    assert_int_equal(dict_intern(&d, &heap, NUMBER(-0.0)), 6);
    assert_int_equal(dict_intern(&d, &heap, NUMBER(0)), 6);
    assert_int_equal(dict_find(&d, NUMBER(0)), 6);
    assert_int_equal(dict_find(&d, NUMBER(-0.0)), 6);
    assert_int_equal(dict_find(&d, NUMBER(2)), 0);
    assert_int_equal(dict_find(&d, TEXT("a\0b")), 0);
    assert_int_equal(dict_intern(&d, &heap, TEXT("a\0b")), 7);
    assert_int_equal(dict_find(&d, TEXT("a\0c")), 0);
    assert_int_equal(dict_find(&d, TEXT("a\0b")), 7);
    assert_int_equal(dict_count(&d), 7);
    dict_free(&d);
    assert_int_equal(dict_count(&d), 0);
    arena_free(&heap);
}

/* Codes count up from 1 without a gap, over many blocks; nothing moves; the text is a copy. */
static void test_grows(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    struct dict d = {.count = 0};
    struct arena heap = {0};
    char room[32];
    const struct value *first = NULL;
    for (unsigned i = 0; i < COUNT; i++) {
        struct value v = text_value("value %u", i, room);
        assert_int_equal(dict_find(&d, &v), 0);
        assert_int_equal(dict_intern(&d, &heap, &v), i + 1);
        if (i == 0) first = dict_value(&d, 1);
    }
    assert_ptr_equal(dict_value(&d, 1), first);
    for (unsigned i = 0; i < COUNT; i++) {
        struct value v = text_value("value %u", i, room);
        assert_int_equal(dict_find(&d, &v), i + 1);
        assert_int_equal(dict_intern(&d, &heap, &v), i + 1);
        assert_true(value_eq(dict_value(&d, i + 1), &v));
    }
    assert_int_equal(dict_count(&d), COUNT);
    assert_in_range(dict_bytes(&d), COUNT * sizeof(struct value), COUNT * (sizeof(struct value) + 4 * 16));
    dict_free(&d);
    arena_free(&heap);
}

/* Every code has a place of its own, and the first and last codes there are lie in the first and last block. */
static void test_places(void **state) {
    (void)state;
    uint32_t at, before = UINT32_MAX;
    unsigned block = 0;
    for (uint32_t code = 1; code < 100000; code++) {
        unsigned b = dict_place(code, &at);
        assert_true(b == block ? at == before + 1 : b == block + 1 && at == 0);
        assert_true(at < (uint32_t)DICT_FIRST << b);
        block = b;
        before = at;
    }
    assert_int_equal(dict_place(UINT32_MAX - DICT_FIRST + 1, &at), DICT_BLOCKS - 1);
    assert_int_equal(at, ((uint32_t)DICT_FIRST << (DICT_BLOCKS - 1)) - 1);
}

/* ---- readers ---- */

enum { READERS = 3, VALUES = 20000, LOOKS = 40000 };

static struct {
    struct dict dict;
    atomic_uint added, wrong;
} world;

static void *read_values(void *arg) {
    unsigned at = *(unsigned *)arg;
    char room[32];
    for (unsigned look = 0; look < LOOKS; look++) {
        unsigned added = atomic_load(&world.added);
        at = at * 1664525 + 1013904223;
        unsigned n = (at >> 8) % VALUES;
        struct value v = text_value("serial %u", n, room);
        uint32_t code = dict_find(&world.dict, &v);
        if (code != 0 && (code != n + 1 || code > dict_count(&world.dict))) world.wrong++;
        if (code == 0 && n < added) world.wrong++; /* what was there before the look is found */
        uint32_t count = dict_count(&world.dict);
        if (count && dict_value(&world.dict, count)->text.n < 8) world.wrong++;
    }
    return NULL;
}

static void test_readers(void **state) {
    (void)state;
    struct arena heap = {0};
    char room[32];
    pthread_t threads[READERS];
    unsigned seeds[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_values, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < VALUES; i++) {
        struct value v = text_value("serial %u", i, room);
        dict_intern(&world.dict, &heap, &v);
        atomic_store(&world.added, i + 1);
    }
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(world.wrong, 0);
    dict_free(&world.dict);
    arena_free(&heap);
}

int main(void) {
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
