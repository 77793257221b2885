/* The file operations that do more than pass a call on. What durability makes of them is in tests/crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "scratch.h"

static int setup(void **state) {
    static struct scratch s;
    scratch_make(&s);
    *state = &s;
    return 0;
}

static int teardown(void **state) {
    scratch_remove(*state);
    return 0;
}

static void a_mapping_shows_the_file(void **state) {
    const char *path = scratch_path(*state, "file");
    int fd = io_open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(io_write_all(fd, "hello", 5, 10), 0);
    const char *map = io_map(fd, 15);
    assert_non_null(map);
    assert_memory_equal(map, "\0\0\0\0\0\0\0\0\0\0hello", 15);
    assert_int_equal(io_write_all(fd, "H", 1, 10), 0);
    assert_int_equal(map[10], 'H');
    assert_int_equal(io_close(fd), 0);
    assert_int_equal(map[14], 'o'); /* without the descriptor too */
    assert_int_equal(io_unmap(map, 15), 0);
    assert_null(io_map(-1, 15));
    assert_int_equal(errno, EBADF);
}

static void cut_and_lengthened(void **state) {
    const char *path = scratch_path(*state, "file");
    scratch_write(path, STR("hello"));
    int fd = io_open(path, O_RDWR, 0);
    assert_int_equal(io_truncate(fd, 2), 0);
    assert_int_equal(io_truncate(fd, 4), 0);
    assert_int_equal(io_close(fd), 0);
    struct buf b = scratch_read(path);
    assert_int_equal(b.n, 4);
    assert_memory_equal(b.p, "he\0", 4);
    buf_free(&b);
}

static void add_up(void *ctx, const char *name) {
    unsigned *sum = ctx;
    *sum += strcmp(name, "a") == 0 ? 1 : strcmp(name, "b.arrow") == 0 ? 10 : strcmp(name, ".c") == 0 ? 100 : 1000;
}

static void names_in_a_folder(void **state) {
    char *dir = strdup(scratch_path(*state, "folder"));
    unsigned sum = 0;
    assert_int_equal(io_list(dir, add_up, &sum), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(io_mkdir(dir, 0700), 0);
    assert_int_equal(io_list(dir, add_up, &sum), 0);
    assert_int_equal(sum, 0);
    scratch_write(scratch_path(*state, "folder/a"), STR("1"));
    scratch_write(scratch_path(*state, "folder/.c"), STR(""));
    assert_int_equal(io_mkdir(scratch_path(*state, "folder/b.arrow"), 0700), 0);
    assert_int_equal(io_list(dir, add_up, &sum), 0);
    assert_int_equal(sum, 111);
    free(dir);
}

static void a_second_name(void **state) {
    struct stat st;
    const char *one = scratch_path(*state, "one"), *two = scratch_path(*state, "two");
    scratch_write(one, STR("1"));
    assert_int_equal(io_link(one, two), 0);
    assert_int_equal(io_link(one, two), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(io_unlink(one), 0);
    assert_int_equal(stat(two, &st), 0);
    assert_int_equal(st.st_size, 1);
}

static void only_an_empty_folder_goes(void **state) {
    const char *dir = scratch_path(*state, "folder"), *in_it = scratch_path(*state, "folder/file");
    assert_int_equal(io_mkdir(dir, 0700), 0);
    scratch_write(in_it, STR("1"));
    assert_int_equal(io_rmdir(dir), -1);
    assert_int_equal(errno, ENOTEMPTY);
    assert_int_equal(io_unlink(in_it), 0);
    assert_int_equal(io_rmdir(dir), 0);
}

static ssize_t three_bytes(int fd, const void *p, size_t n, off_t at) { return pwrite(fd, p, n < 3 ? n : 3, at); }

/* A table of two calls: the rest is the operating system's. */
static void another_table(void **state) {
    static const struct io_ops few = {.pwrite = three_bytes};
    const char *path = scratch_path(*state, "file");
    io_use(&few);
    int fd = io_open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(io_write_all(fd, "1234567", 7, 0), 0);
    assert_int_equal(io_close(fd), 0);
    io_use(&scratch_ops);
    struct buf b = scratch_read(path);
    assert_int_equal(b.n, 7);
    assert_memory_equal(b.p, "1234567", 7);
    buf_free(&b);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_mapping_shows_the_file),  TEST(cut_and_lengthened), TEST(names_in_a_folder), TEST(a_second_name),
        TEST(only_an_empty_folder_goes), TEST(another_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
