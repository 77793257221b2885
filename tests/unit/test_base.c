#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

static void test_utf8(void **state) {
    (void)state;
    static const struct {
        struct str text;
        bool good;
    } cases[] = {
        {STR(""), true},
        {STR("a\0b"), true},
        {STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true},
        {STR("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), true}, /* around the surrogates; the last code point */
        {STR("\xc0\x80"), false},                                /* overlong */
        {STR("\xe0\x9f\xbf"), false},
        {STR("\xf0\x8f\xbf\xbf"), false},
        {STR("\xed\xa0\x80"), false},     /* a surrogate */
        {STR("\xf4\x90\x80\x80"), false}, /* past U+10FFFF */
        {STR("\x80"), false},
        {STR("\xc3"), false}, /* cut */
        {STR("\xe2\x82"), false},
        {STR("\xff"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (str_is_utf8(cases[i].text) != cases[i].good) fail_msg("case %zu", i);
}

static void test_numbers_in_text(void **state) {
    (void)state;
    double d;
    unsigned long long u;
    assert_true(str_to_double(STR("-1.5e3"), &d) && fabs(d + 1500) < 1e-9);
    static const char *const no_double[] = {"", "1x", "nan", "inf", "1e999", "0x10", " 1", "1 ", "--1", "e5"};
    for (size_t i = 0; i < sizeof no_double / sizeof *no_double; i++)
        assert_false(str_to_double(str_of(no_double[i]), &d));
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    static const char *const no_u64[] = {"", "-1", "+1", "18446744073709551616", "1.0", " 1"};
    for (size_t i = 0; i < sizeof no_u64 / sizeof *no_u64; i++) assert_false(str_to_u64(str_of(no_u64[i]), &u));
}

static void test_cut_and_trim(void **state) {
    (void)state;
    struct str head, tail;
    assert_true(str_cut(STR("a=b=c"), '=', &head, &tail) && str_is(head, "a") && str_is(tail, "b=c"));
    assert_false(str_cut(STR("abc"), '=', &head, &tail));
    assert_true(str_is(head, "abc") && tail.n == 0);
    assert_false(str_cut((struct str){0}, '=', &head, &tail));
    assert_true(str_is(str_trim(STR(" \t a b\r\n")), "a b"));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("b"), STR("ab")) > 0 &&
                str_cmp(STR("a"), STR("a")) == 0);
}

static void test_times(void **state) {
    (void)state;
    char text[CLOCK_TEXT];
    int64_t us;
    static const struct {
        const char *text, *same;
    } good[] = {
        {"2026-11-21T19:39:09.108638Z", "2026-11-21T19:39:09.108638Z"},
        {"2026-11-21 19:39:09+02:00", "2026-11-21T17:39:09.000000Z"},
        {"2026-11-21t19:39-0130", "2026-11-21T21:09:00.000000Z"},
        {"2024-02-29", "2024-02-29T00:00:00.000000Z"},
        {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"},
        {"2026-01-01T00:00:00.1234567891Z", NULL},
        {"2026-02-29", NULL},
        {"2026-13-01", NULL},
        {"2026-01-01T24:00Z", NULL},
        {"2026-01-01T00:00:00.Z", NULL},
        {"2026-1-1", NULL},
        {"", NULL},
        {"2026-01-01T00:00Zx", NULL},
        {"2026-01-01T00:00+25:00", NULL},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        bool ok = clock_parse(str_of(good[i].text), &us);
        if (ok != (good[i].same != NULL)) fail_msg("%s", good[i].text);
        if (ok) assert_string_equal(clock_format(us, text), good[i].same);
    }
}

static void test_arena_gives_zeroed_aligned_memory_of_any_size(void **state) {
    (void)state;
    struct arena a = {0};
    for (size_t n = 0; n < 50000; n = n * 2 + 1) {
        unsigned char *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    arena_free(&a);
    assert_string_equal(arena_copy(&a, "again", 6), "again");
    arena_free(&a);
}

static void test_errors_wrap_and_map(void **state) {
    (void)state;
    struct err e;
    assert_false(err_set(&e, ERR_NOT_FOUND, "no %s", "file"));
    assert_false(err_wrap(&e, "opening %d", 3));
    assert_string_equal(e.msg, "opening 3: no file");
    assert_int_equal(err_status(e.code), 404);
    for (int i = 0; i < 100; i++) err_wrap(&e, "a long way around"); /* cut, not overrun */
    assert_true(strlen(e.msg) < sizeof e.msg);
    errno = ENOSPC;
    err_errno(&e, "writing");
    assert_int_equal(err_status(e.code), 507);
    errno = EIO;
    err_errno(&e, "writing");
    assert_int_equal(e.code, ERR_IO);
}

static void test_log_quotes_what_comes_from_outside(void **state) {
    (void)state;
    char out[LOG_QUOTE], longest[300];
    assert_string_equal(log_quote(out, STR("a\n\"b\\\x7f\0c")), "\"a??b???c\"");
    memset(longest, 'x', sizeof longest);
    assert_int_equal(strlen(log_quote(out, (struct str){longest, sizeof longest})), 202);
}

static void test_json_is_written_with_its_commas_and_always_parses(void **state) {
    (void)state;
    struct buf b = {0};
    put_object(&b);
    put_key(&b, "a"), put_array(&b), put_int(&b, -1), put_double(&b, 0.1), put_double(&b, NAN), put_bool(&b, true),
        put_null(&b);
    put_object(&b), put_object_end(&b), put_array(&b), put_array_end(&b), put_array_end(&b);
    put_key_str(&b, STR("b\"\n")), put_str(&b, STR("\x01\\\xc3\xa9\xff\xe2\x82z\0"));
    put_key(&b, "c"), put_raw(&b, STR("[1]"));
    put_key(&b, "d"), put_strz(&b, NULL);
    put_object_end(&b);
    static const char want[] = "{\"a\":[-1,0.1,null,true,null,{},[]],\"b\\\"\\n\":"
                               "\"\\u0001\\\\\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\\u0000\","
                               "\"c\":[1],\"d\":null}";
    buf_addc(&b, '\0');
    assert_string_equal(b.p, want);
    buf_free(&b);
}

static void test_doubles_read_back_the_same(void **state) {
    (void)state;
    static const double numbers[] = {0, 1, -1.5, 0.1, 1.0 / 3, 1e300, 5e-324, 123456789.123456789, 9007199254740993.0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct buf b = {0};
        double back;
        put_double(&b, numbers[i]);
        assert_true(str_to_double(buf_str(&b), &back));
        assert_memory_equal(&back, &numbers[i], sizeof back);
        buf_free(&b);
    }
}

struct gate {
    pthread_mutex_t lock;
    atomic_int ran;
};

static void through_gate(void *arg) {
    struct gate *g = arg;
    pthread_mutex_lock(&g->lock);
    pthread_mutex_unlock(&g->lock);
    atomic_fetch_add(&g->ran, 1);
}

static void test_pool_is_bounded_and_finishes_what_it_took(void **state) {
    (void)state;
    struct err e;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct pool *p = pool_new("test", 1, 3, &e);
    pthread_mutex_lock(&g.lock);
    int taken = 0;
    assert_true(pool_submit(p, through_gate, &g));
    while (pool_waiting(p)) usleep(100); /* the thread holds the first one now */
    while (pool_submit(p, through_gate, &g)) taken++;
    assert_int_equal(taken, 3);
    assert_int_equal(pool_waiting(p), 3);
    pthread_mutex_unlock(&g.lock);
    pool_free(p);
    assert_int_equal(g.ran, 4);
    pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_numbers_in_text),
        cmocka_unit_test(test_cut_and_trim),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_arena_gives_zeroed_aligned_memory_of_any_size),
        cmocka_unit_test(test_errors_wrap_and_map),
        cmocka_unit_test(test_log_quotes_what_comes_from_outside),
        cmocka_unit_test(test_json_is_written_with_its_commas_and_always_parses),
        cmocka_unit_test(test_doubles_read_back_the_same),
        cmocka_unit_test(test_pool_is_bounded_and_finishes_what_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
