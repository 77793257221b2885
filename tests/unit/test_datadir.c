#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "cmd/datadir.h"

static struct {
    bool made;            /* the folder was there when the sync came */
    ino_t synced;         /* what was synced */
    int fails_with;
    char dir[256];
} seen;

static int make(const char *path, unsigned mode) { return mkdir(path, mode); }

static int watch_sync(const char *path, const char *site) {
    struct stat st;
    (void)site;
    seen.made = stat(seen.dir, &st) == 0;
    seen.synced = stat(path, &st) == 0 ? st.st_ino : 0;
    errno = seen.fails_with;
    return seen.fails_with ? -1 : 0;
}

static char parent[] = "/tmp/sightglass-datadir-XXXXXX";

static int set_up(void **state) {
    (void)state;
    static const struct io_ops ops = {.mkdir = make, .sync_dir = watch_sync};
    snprintf(parent, sizeof parent, "/tmp/sightglass-datadir-XXXXXX");
    assert_non_null(mkdtemp(parent));
    snprintf(seen.dir, sizeof seen.dir, "%s/data", parent);
    seen.fails_with = 0;
    io_use(&ops);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char lock[300];
    io_use(NULL);
    snprintf(lock, sizeof lock, "%s/lock", seen.dir);
    unlink(lock);
    rmdir(seen.dir);
    return rmdir(parent);
}

static void test_the_name_of_a_new_data_folder_is_synced(void **state) {
    (void)state;
    struct err e = {0};
    struct stat above;
    int fd = datadir_lock(seen.dir, &e);
    assert_true(fd >= 0);
    assert_int_equal(stat(parent, &above), 0);
    assert_true(seen.made);
    assert_int_equal(seen.synced, above.st_ino);
    close(fd);
}

static void test_a_failing_sync_is_an_error(void **state) {
    (void)state;
    struct err e = {0};
    seen.fails_with = EIO;
    assert_int_equal(datadir_lock(seen.dir, &e), -1);
    assert_int_equal(e.code, ERR_IO);
}

static void test_a_parent_that_may_not_be_read_is_none(void **state) {
    (void)state;
    struct err e = {0};
    seen.fails_with = EACCES;
    int fd = datadir_lock(seen.dir, &e);
    assert_true(fd >= 0);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_name_of_a_new_data_folder_is_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_sync_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_parent_that_may_not_be_read_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
