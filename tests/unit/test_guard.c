/* Guards around mapped files: what fails under one comes back through it, what doesn't belong to it ends the process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/io.h"
#include "scratch.h"

enum { FILE_SIZE = 5 << 16 };

struct kit {
    struct scratch scratch;
    int fd;
    const char *map;
};

static int setup(void **state) {
    static struct kit k;
    static char zeros[FILE_SIZE];
    scratch_make(&k.scratch);
    const char *path = scratch_path(&k.scratch, "file");
    scratch_write(path, (struct str){zeros, sizeof zeros});
    k.fd = io_open(path, O_RDWR, 0);
    k.map = io_map(k.fd, FILE_SIZE);
    *state = &k;
    return k.map ? 0 : -1;
}

static int teardown(void **state) {
    struct kit *k = *state;
    io_unmap(k->map, FILE_SIZE);
    io_close(k->fd);
    scratch_remove(&k->scratch);
    return 0;
}

/* To be called first in a test: cmocka has put its own handler in place by then. */
static struct kit *begin(void **state) {
    guard_init();
    return *state;
}

static void touch(const char *p) { (void)*(const volatile char *)p; }

static void nothing_fails(void **state) {
    struct kit *k = begin(state);
    struct guard g;
    if (!guard_enter(&g)) fail_msg("%s", g.e.msg);
    guard_blame(k);
    touch(k->map + FILE_SIZE - 1);
    guard_leave(&g);
    assert_null(guard_blamed);
}

static void a_cut_file_says_what_and_where(void **state) {
    struct kit *k = begin(state);
    volatile unsigned caught = 0;
    assert_int_equal(io_truncate(k->fd, 1 << 16), 0);
    for (volatile unsigned i = 0; i < 3; i++) { /* each time anew: the signal is not left blocked */
        struct guard g;
        if (guard_enter(&g)) {
            guard_blame(k);
            touch(k->map + 100);
            touch(k->map + (2 << 16) + 7);
            guard_leave(&g);
        } else {
            assert_ptr_equal(g.what, k);
            assert_int_equal(g.e.code, ERR_DAMAGED);
            assert_non_null(strstr(g.e.msg, "byte 131079 "));
            assert_null(guard_blamed);
            caught++;
        }
    }
    assert_int_equal(caught, 3);
}

static void what_is_thrown(void **state) {
    struct guard g;
    volatile bool caught = false;
    if (guard_enter(&g)) {
        guard_throw(*state, "column %d", 7);
    } else {
        caught = true;
        assert_ptr_equal(g.what, *state);
        assert_int_equal(g.e.code, ERR_DAMAGED);
        assert_string_equal(g.e.msg, "column 7");
    }
    assert_true(caught);
}

static void the_innermost_catches(void **state) {
    struct kit *k = begin(state);
    volatile unsigned inner_caught = 0, outer_caught = 0;
    struct guard outer, inner;
    assert_int_equal(io_truncate(k->fd, 0), 0);
    if (guard_enter(&outer)) {
        guard_blame("outer");
        if (guard_enter(&inner)) {
            guard_blame("inner");
            touch(k->map);
            guard_leave(&inner);
        } else {
            assert_string_equal(inner.what, "inner");
            assert_string_equal(guard_blamed, "outer");
            inner_caught++;
        }
        touch(k->map + (1 << 16));
        guard_leave(&outer);
    } else {
        assert_string_equal(outer.what, "outer");
        assert_non_null(strstr(outer.e.msg, "byte 65536 "));
        outer_caught++;
    }
    assert_int_equal(inner_caught, 1);
    assert_int_equal(outer_caught, 1);
}

/* As reading does that finds out by itself: it leaves the inner guard and passes the failure on. */
static void an_inner_failure_thrown_on(void **state) {
    struct kit *k = begin(state);
    volatile bool caught = false;
    struct guard outer, inner;
    assert_int_equal(io_truncate(k->fd, 0), 0);
    if (guard_enter(&outer)) {
        if (guard_enter(&inner)) {
            guard_blame(k);
            touch(k->map);
            guard_leave(&inner);
        } else {
            guard_throw(inner.what, "segment 5: %s", inner.e.msg);
        }
        guard_leave(&outer);
    } else {
        caught = true;
        assert_ptr_equal(outer.what, k);
        assert_int_equal(strncmp(outer.e.msg, "segment 5: reading at byte 0 ", 29), 0);
    }
    assert_true(caught);
}

static void *fail_often(void *ctx) {
    struct kit *k = ctx;
    static _Atomic unsigned turns;
    char me;
    for (volatile unsigned i = 0; i < 500; i++) {
        struct guard g;
        if (guard_enter(&g)) {
            guard_blame(&me);
            touch(k->map + (i % 5 << 16));
            guard_leave(&g);
        } else if (g.what != &me || i % 5 == 0) {
            return "another thread's failure";
        } else {
            turns++;
        }
        if (guard_blamed) return "something is blamed outside of a guard";
    }
    return turns < 400 ? "no failure" : NULL;
}

static void each_thread_has_its_own(void **state) {
    struct kit *k = begin(state);
    pthread_t threads[4];
    assert_int_equal(io_truncate(k->fd, 1 << 16), 0);
    for (unsigned i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, fail_often, k), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong) fail_msg("%s", (char *)wrong);
    }
}

/* More mappings than one block of the list holds; the places of those that are gone are used again. */
static void many_mappings(void **state) {
    struct kit *k = begin(state);
    enum { MANY = 1100 };
    static const char *maps[MANY];
    volatile unsigned caught = 0;
    for (volatile unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) assert_non_null(maps[i] = io_map(k->fd, FILE_SIZE));
        assert_int_equal(io_truncate(k->fd, 0), 0);
        for (volatile unsigned i = 0; i < MANY; i++) {
            struct guard g;
            if (guard_enter(&g)) {
                touch(maps[i] + FILE_SIZE - 1);
                guard_leave(&g);
            } else {
                caught++;
            }
        }
        for (unsigned i = 0; i < MANY; i++) assert_int_equal(io_unmap(maps[i], FILE_SIZE), 0);
        assert_int_equal(io_truncate(k->fd, FILE_SIZE), 0);
    }
    assert_int_equal(caught, 2 * MANY);
}

/* ---- what must end the process ---- */

static void unguarded(struct kit *k) { touch(k->map); }

static void behind_a_guard(struct kit *k) {
    struct guard g;
    if (guard_enter(&g)) guard_leave(&g);
    touch(k->map);
}

static void not_our_mapping(struct kit *k) {
    struct guard g;
    const char *p = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, k->fd, 0);
    if (guard_enter(&g)) {
        touch(p);
        guard_leave(&g);
    }
}

static void unmapped(struct kit *k) {
    struct guard g;
    io_unmap(k->map, FILE_SIZE);
    if (mmap((void *)(uintptr_t)k->map, FILE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, k->fd, 0) != k->map) _exit(3);
    if (guard_enter(&g)) {
        touch(k->map);
        guard_leave(&g);
    }
}

static void sent(struct kit *k) {
    struct guard g;
    (void)k;
    if (guard_enter(&g)) {
        kill(getpid(), SIGBUS);
        guard_leave(&g);
    }
}

static void the_rest_ends_the_process(void **state) {
    static void (*const ways[])(struct kit *) = {unguarded, behind_a_guard, not_our_mapping, unmapped, sent};
    struct kit *k = begin(state);
    assert_int_equal(io_truncate(k->fd, 0), 0);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            ways[i](k);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS) fail_msg("way %u: status %d", i, status);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(nothing_fails),         TEST(a_cut_file_says_what_and_where), TEST(what_is_thrown),
        TEST(the_innermost_catches), TEST(an_inner_failure_thrown_on),     TEST(each_thread_has_its_own),
        TEST(many_mappings),         TEST(the_rest_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
