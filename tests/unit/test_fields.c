/* The fields of a workspace: numbers, the most there may be, readers beside the writer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/fields.h"

enum { MOST = 1024, READERS = 3, LOOKS = 20000 };

static struct str name_of(unsigned n, char room[32]) {
    return (struct str){room, (size_t)snprintf(room, 32, "field %u", n)};
}

static void test_numbers(void **state) {
    (void)state;
    struct fields *f = fields_new(MOST);
    char room[32];
    assert_int_equal(fields_find(f, STR("")), -1);
    for (unsigned i = 0; i < MOST; i++) {
        assert_int_equal(fields_find(f, name_of(i, room)), -1);
        assert_int_equal(fields_of(f, name_of(i, room)), i);
        assert_int_equal(fields_count(f), i + 1);
    }
    for (unsigned i = 0; i < MOST; i++) {
        assert_int_equal(fields_of(f, name_of(i, room)), i);
        assert_int_equal(fields_find(f, name_of(i, room)), i);
        assert_true(str_eq(f->names[i], name_of(i, room)));
    }
    assert_int_equal(fields_find(f, STR("Field 1")), -1); /* case tells them apart */
    assert_int_equal(fields_find(f, STR("field 1\0")), -1);
    assert_int_equal(fields_count(f), MOST);
    fields_free(f);
    fields_free(NULL);
}

static void test_small(void **state) {
    (void)state;
    for (uint32_t most = 0; most < 40; most++) {
        struct fields *f = fields_new(most);
        char room[32];
        for (uint32_t i = 0; i < most; i++) assert_int_equal(fields_of(f, name_of(i, room)), i);
        assert_int_equal(fields_find(f, STR("another")), -1);
        fields_free(f);
    }
}

static struct {
    struct fields *fields;
    atomic_uint added, wrong;
} world;

static void *read_names(void *arg) {
    unsigned at = *(unsigned *)arg;
    char room[32];
    for (unsigned look = 0; look < LOOKS; look++) {
        unsigned added = atomic_load(&world.added);
        at = at * 1664525 + 1013904223;
        unsigned n = (at >> 8) % MOST;
        int found = fields_find(world.fields, name_of(n, room));
        if (found >= 0 ? (unsigned)found != n || n >= fields_count(world.fields) : n < added) world.wrong++;
        uint32_t count = fields_count(world.fields);
        if (count && !str_eq(world.fields->names[count - 1], name_of(count - 1, room))) world.wrong++;
    }
    return NULL;
}

static void test_readers(void **state) {
    (void)state;
    world.fields = fields_new(MOST);
    pthread_t threads[READERS];
    unsigned seeds[READERS];
    char room[32];
    for (unsigned i = 0; i < READERS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_names, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < MOST; i++) {
        fields_of(world.fields, name_of(i, room));
        atomic_store(&world.added, i + 1);
    }
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(world.wrong, 0);
    fields_free(world.fields);
}

int main(void) {
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
