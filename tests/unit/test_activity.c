#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "catalog/activity.h"

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    hash_init();
    snprintf(dir, sizeof dir, P_tmpdir "/test_activity.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    static const char *const names[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static struct catalog *open_catalog(void) {
    struct err e;
    struct catalog *c = catalog_open(dir, NULL, &e);
    if (!c) fail_msg("%s", e.msg);
    return c;
}

static struct activity_list read_all(struct catalog *c, uint32_t workspace, struct arena *a) {
    struct activity_list list;
    struct err e;
    if (!activity_read(c, workspace, 0, 100000, a, &list, &e)) fail_msg("%s", e.msg);
    return list;
}

static uint64_t sum(const struct activity_list *list) {
    uint64_t n = 0;
    for (size_t i = 0; i < list->count; i++) n += list->items[i].count;
    return n;
}

static void test_what_differs_is_an_entry_of_its_own(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct arena a = {0};
    const struct activity one = {
        .key_id = 1, .subject = STR("f"), .reviewer = STR("r"), .detail = STR("d"), .count = 1};
    struct activity other[5] = {one, one, one, one, one};
    other[0].key_id = 2;
    other[1].action = ACTIVITY_REVIEW;
    other[2].subject = STR("g");
    other[3].reviewer = (struct str){0};
    other[4].detail = STR("e");
    for (int i = 0; i < 3; i++) activity_note(c, 1, &one);
    for (size_t i = 0; i < 5; i++) activity_note(c, 1, &other[i]);
    activity_note(c, 2, &one);
    struct activity_list list = read_all(c, 1, &a);
    assert_in_range(list.count, 6, 12); /* twice as many when a minute begins in the middle */
    assert_int_equal(sum(&list), 8);
    for (size_t i = 0; i < list.count; i++) assert_true(list.items[i].time_us > 0 && list.items[i].subject.n == 1);
    list = read_all(c, 2, &a);
    assert_int_equal(sum(&list), 1);
    arena_free(&a);
    catalog_close(c);
}

/* Past the bound the subject is lost first and the count last. */
static void test_too_many_at_once(void **state) {
    (void)state;
    enum { MANY = 5000 };
    struct catalog *c = open_catalog();
    struct arena a = {0};
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        activity_note(c, 1, &(struct activity){.key_id = 1, .subject = str_of(name), .count = 2});
    }
    struct activity_list list = read_all(c, 1, &a);
    uint64_t bare = 0;
    for (size_t i = 0; i < list.count; i++) bare += list.items[i].subject.n ? 0 : list.items[i].count;
    assert_int_equal(sum(&list), 2 * MANY);
    assert_in_range(list.count, 1025, 1027);
    assert_int_equal(bare, 2 * (MANY - 1024));
    arena_free(&a);
    catalog_close(c);
}

static void test_long_texts_are_cut_between_characters(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct arena a = {0};
    struct err e;
    char text[2001];
    for (int i = 0; i < 2000; i += 2) memcpy(text + i, "\xc3\xa9", 2);
    const struct activity x = {
        .subject = {text + 1, 1999}, .reviewer = {text, 2000}, .detail = {text, 2000}, .count = 1};
    activity_note(c, 1, &x);
    assert_true(activity_add(c, 1, &x, &e));
    struct activity_list list = read_all(c, 1, &a);
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(list.items[i].subject.n, 255); /* of one that begins in the middle of a character */
        assert_int_equal(list.items[i].reviewer.n, 256);
        assert_int_equal(list.items[i].detail.n, 1024);
    }
    arena_free(&a);
    catalog_close(c);
}

enum { THREADS = 12, NOTES = 20000 };

static void *note_much(void *ctx) {
    for (int i = 0; i < NOTES; i++) {
        char name[2] = {(char)('a' + i % 7), 0};
        activity_note(ctx, 1, &(struct activity){.key_id = 1, .subject = str_of(name), .count = 1});
    }
    return NULL;
}

/* More threads than places, and one who reads meanwhile: nothing is lost, nothing twice. */
static void test_from_many_threads(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct arena a = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, note_much, c), 0);
    for (int i = 0; i < 20; i++) read_all(c, 1, &a);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    struct activity_list list = read_all(c, 1, &a);
    assert_int_equal(sum(&list), THREADS * NOTES);
    arena_free(&a);
    catalog_close(c);
    c = open_catalog();
    list = read_all(c, 1, &a);
    assert_int_equal(sum(&list), THREADS * NOTES);
    arena_free(&a);
    catalog_close(c);
}

static void test_the_newest_of_each_kind(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct arena a = {0};
    struct err e;
    activity_keep(c, 3);
    for (uint32_t workspace = 1; workspace <= 2; workspace++)
        for (int i = 0; i < 4; i++) {
            char name[2] = {(char)('a' + i), 0};
            const struct activity x = {.key_id = 1, .subject = str_of(name), .count = 1};
            activity_note(c, workspace, &x);
            read_all(c, workspace, &a);
            assert_true(activity_add(c, workspace, &x, &e));
        }
    for (uint32_t workspace = 1; workspace <= 2; workspace++) {
        struct activity_list list = read_all(c, workspace, &a);
        assert_int_equal(list.count, 6);
        for (size_t i = 0; i < list.count; i++) assert_true(list.items[i].subject.p[0] != 'a');
    }
    arena_free(&a);
    catalog_close(c);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_differs_is_an_entry_of_its_own, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_too_many_at_once, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_long_texts_are_cut_between_characters, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_from_many_threads, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_the_newest_of_each_kind, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
