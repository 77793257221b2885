#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/catalog.h"

static char dir[64];

static bool reserved(struct str slug) { return str_is(slug, "api"); }

static struct catalog *open_catalog(void) {
    struct err e;
    struct catalog *c = catalog_open(dir, reserved, &e);
    if (!c) fail_msg("%s", e.msg);
    return c;
}

static int make_dir(void **state) {
    (void)state;
    snprintf(dir, sizeof dir, P_tmpdir "/test_catalog.XXXXXX");
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

static uint32_t workspace(struct catalog *c, const char *slug) {
    struct workspace w;
    struct err e;
    if (!catalog_workspace_add(c, str_of(slug), &w, &e)) fail_msg("%s", e.msg);
    return w.id;
}

static void test_slugs(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct workspace w;
    struct err e;
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    static const char *const good[] = {"a", "A-1_b", "9"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(workspace(c, good[i]), i + 1);
    assert_true(catalog_workspace_add(c, (struct str){longest, 64}, &w, &e));
    static const char *const bad[] = {"", "-a", "_a", "a/b", "a b", "..", "\xc3\xa9", "a."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(catalog_workspace_add(c, str_of(bad[i]), &w, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    assert_false(catalog_workspace_add(c, (struct str){longest, 65}, &w, &e));
    assert_false(catalog_workspace_add(c, (struct str){"a\0b", 3}, &w, &e));
    assert_false(catalog_workspace_add(c, STR("api"), &w, &e));
    assert_non_null(strstr(e.msg, "program's own paths"));
    assert_true(catalog_workspace_add(c, STR("a"), &w, &e)); /* there already */
    assert_int_equal(w.id, 1);
    assert_false(catalog_workspace(c, STR("b"), &w));
    catalog_close(c);
}

static void test_keys_open_their_workspace_until_revoked(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct identity who;
    struct err e;
    struct arena a = {0};
    struct key_info *keys;
    size_t count;
    uint32_t one = workspace(c, "one"), two = workspace(c, "two");
    assert_true(catalog_key_add(c, one, STR("fleet-key-1234567890"), STR("fleet"), 0, &e));
    assert_true(catalog_key(c, STR("fleet-key-1234567890"), &who));
    assert_string_equal(who.slug, "one");
    assert_string_equal(who.key_name, "fleet");
    assert_string_equal(who.key_prefix, "fleet"); /* a quarter of it at most */
    assert_int_equal(who.workspace_id, one);
    assert_true(catalog_key_by_id(c, who.key_id, &who));
    assert_false(catalog_key(c, STR("fleet-key-123456789"), &who));
    assert_false(catalog_key(c, STR("fleet-key-12345678900"), &who));
    assert_false(catalog_key(c, STR(""), &who));

    assert_true(catalog_key_add(c, one, STR("fleet-key-1234567890"), STR("again"), 0, &e)); /* the same is no error */
    assert_false(catalog_key_add(c, two, STR("fleet-key-1234567890"), STR(""), 0, &e));
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_null(strstr(e.msg, "one")); /* and does not tell whose it is */

    assert_false(catalog_key_revoke(c, two, STR("fleet"), &e)); /* not that workspace's */
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_true(catalog_key_revoke(c, one, STR("fleet"), &e));
    assert_false(catalog_key(c, STR("fleet-key-1234567890"), &who));
    assert_false(catalog_key_revoke(c, one, STR("fleet"), &e));
    assert_true(catalog_key_add(c, two, STR("fleet-key-1234567890"), STR(""), 0, &e)); /* free again */
    assert_true(catalog_keys(c, one, &a, &keys, &count, &e));
    assert_int_equal(count, 1);
    assert_true(keys[0].revoked_us >= keys[0].created_us && keys[0].created_us > 0);
    arena_free(&a);
    catalog_close(c);
}

static void test_what_is_no_key(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct err e;
    uint32_t one = workspace(c, "one");
    char longest[KEY_MAX + 2];
    memset(longest, 'k', sizeof longest);
    assert_true(catalog_key_add(c, one, STR("12345678"), STR(""), 0, &e));
    assert_false(catalog_key_add(c, one, STR("1234567"), STR(""), 0, &e));
    assert_true(catalog_key_add(c, one, (struct str){longest, KEY_MAX}, STR(""), 0, &e));
    assert_false(catalog_key_add(c, one, (struct str){longest, KEY_MAX + 1}, STR(""), 0, &e));
    assert_false(catalog_key_add(c, one, STR("with space"), STR(""), 0, &e));
    assert_false(catalog_key_add(c, one, STR("caf\xc3\xa9-caf\xc3\xa9"), STR(""), 0, &e));
    assert_false(catalog_key_add(c, one, STR("good-enough"), (struct str){longest, KEY_NAME_SIZE}, 0, &e));
    catalog_close(c);
}

static void test_it_is_all_there_after_closing_and_ids_are_not_used_again(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    struct err e;
    struct identity who;
    char id[UUID_TEXT];
    unsigned char mac[MAC_SIZE], again[MAC_SIZE];
    uint32_t one = workspace(c, "one");
    assert_true(catalog_key_add(c, one, STR("fleet-key-1234567890"), STR("n"), 0, &e));
    snprintf(id, sizeof id, "%s", catalog_store_id(c));
    catalog_sign(c, "text", 4, mac);
    catalog_close(c);

    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "INSERT INTO workspaces (slug, created_us) VALUES ('gone', 0); DELETE FROM workspaces WHERE slug = 'gone'",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);

    c = open_catalog();
    assert_string_equal(catalog_store_id(c), id);
    assert_true(catalog_key(c, STR("fleet-key-1234567890"), &who));
    catalog_sign(c, "text", 4, again);
    assert_memory_equal(mac, again, sizeof mac);
    catalog_sign(c, "texu", 4, again);
    assert_memory_not_equal(mac, again, sizeof mac);
    assert_int_equal(workspace(c, "gone"), 3);
    catalog_close(c);
}

struct reader {
    struct catalog *c;
    atomic_bool stop;
    atomic_int wrong;
};

static void *read_on(void *arg) {
    struct reader *r = arg;
    struct identity who;
    while (!atomic_load(&r->stop))
        if (!catalog_key(r->c, STR("steady-key-1234"), &who) || strcmp(who.slug, "one") != 0)
            atomic_fetch_add(&r->wrong, 1);
    return NULL;
}

static void test_another_process_changes_it_while_lookups_go_on(void **state) {
    (void)state;
    struct catalog *c = open_catalog(), *other = open_catalog();
    struct err e;
    struct identity who;
    uint32_t one = workspace(c, "one");
    assert_true(catalog_key_add(c, one, STR("steady-key-1234"), STR(""), 0, &e));
    struct reader r = {.c = c};
    pthread_t thread;
    pthread_create(&thread, NULL, read_on, &r);
    for (int i = 0; i < 3; i++) {
        int64_t began = clock_mono_us();
        assert_true(catalog_key_add(other, one, STR("later-key-12345"), STR(""), 0, &e));
        while (!catalog_key(c, STR("later-key-12345"), &who)) usleep(1000);
        assert_true(catalog_key_revoke(other, one, STR("lat"), &e));
        while (catalog_key(c, STR("later-key-12345"), &who)) usleep(1000);
        assert_true(clock_mono_us() - began < 2 * 1000 * 1000); /* a second each way */
    }
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(r.wrong, 0);
    catalog_close(c);
    catalog_close(other);
}

static void test_a_file_that_is_no_catalog(void **state) {
    (void)state;
    char path[128];
    struct err e;
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++) fputs("this is no database ", f);
    fclose(f);
    assert_null(catalog_open(dir, NULL, &e));
    assert_non_null(strstr(e.msg, path));
    assert_null(catalog_open("/nowhere/at/all", NULL, &e));
    assert_non_null(strstr(e.msg, "/nowhere/at/all"));
}

static void test_made_keys(void **state) {
    (void)state;
    char one[KEY_TEXT_SIZE], two[KEY_TEXT_SIZE];
    catalog_key_make(one);
    catalog_key_make(two);
    assert_int_equal(strlen(one), 35);
    assert_int_equal(strncmp(one, "sg_", 3), 0);
    assert_string_not_equal(one, two);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_slugs),
        TEST(test_keys_open_their_workspace_until_revoked),
        TEST(test_what_is_no_key),
        TEST(test_it_is_all_there_after_closing_and_ids_are_not_used_again),
        TEST(test_another_process_changes_it_while_lookups_go_on),
        TEST(test_a_file_that_is_no_catalog),
        TEST(test_made_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
