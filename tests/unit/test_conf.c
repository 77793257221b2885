#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/conf.h"

static bool load(struct conf *c, struct err *e, const char *a, const char *b) {
    char *args[] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};
    return conf_load(c, a ? b ? 2 : 1 : 0, args, e);
}

static void assert_refused(const char *a, const char *b, const char *names) {
    struct conf c;
    struct err e = {0};
    if (load(&c, &e, a, b)) fail_msg("%s %s was taken", a, b ? b : "");
    if (!strstr(e.msg, names)) fail_msg("%s %s: no '%s' in: %s", a, b ? b : "", names, e.msg);
    assert_null(c.data); /* nothing is left to free */
}

static void test_defaults(void **state) {
    (void)state;
    struct conf c;
    struct err e;
    assert_true(load(&c, &e, NULL, NULL));
    assert_string_equal(c.listen, "127.0.0.1:9001");
    assert_int_equal(c.max_body_metadata, 20 << 20);
    assert_int_equal(c.http_workers, 2);
    assert_int_equal(c.log_level, LOG_INFO);
    conf_free(&c);
}

static void test_numbers_and_sizes_to_their_limits(void **state) {
    (void)state;
    struct conf c;
    struct err e;
    static const struct {
        const char *flag, *value;
        uint64_t want;
    } good[] = {{"--max-body-ingest", "1024", 1024},
                {"--max-body-ingest", "1k", 1024},
                {"--max-body-ingest", "1G", 1 << 30},
                {"--max-body-ingest=64K", NULL, 65536},
                {"--max-body-ingest", "1024M", 1 << 30}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!load(&c, &e, good[i].flag, good[i].value)) fail_msg("%s", e.msg);
        assert_int_equal(c.max_body_ingest, good[i].want);
        conf_free(&c);
    }
    assert_refused("--max-body-ingest", "1023", "from 1024 to 1073741824");
    assert_refused("--max-body-ingest", "1073741825", "'1073741825'");
    assert_refused("--max-body-ingest", "17179869184G", "must be a number");
    assert_refused("--max-body-ingest", "99999999999999999999", "must be a number");
    assert_refused("--max-body-ingest", "", "must be a number");
    assert_refused("--max-body-ingest", "K", "must be a number");
    assert_refused("--max-body-ingest", "-1", "must be a number");
    assert_refused("--http-workers", "65", "from 1 to 64");
    assert_refused("--http-workers", "2K", "from 1 to 64");
    assert_refused("--http-workers", NULL, "needs a value");
    assert_refused("serve", NULL, "is not an option");
    assert_refused("--", NULL, "is not an option");
    assert_refused("--data", "", "1 to 4000 bytes");
    assert_refused("--log-level", "LOUD", "debug, info, warn or error");
}

static void test_listen(void **state) {
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {{"127.0.0.1:0", "127.0.0.1", 0},
                {"[::1]:9001", "::1", 9001},
                {"plant-7.example:65535", "plant-7.example", 65535}};
    struct conf c;
    struct err e;
    char host[CONF_HOST];
    uint16_t port;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!load(&c, &e, "--listen", good[i].text)) fail_msg("%s", e.msg);
        assert_true(conf_listen(&c, host, &port, &e));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
        conf_free(&c);
    }
    static const char *const bad[] = {
        "9001", ":9001", "::1:9001", "host:", "host:65536", "host:-1", "[]:9", "host:80x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_refused("--listen", bad[i], bad[i]);
}

static void test_a_file_is_read_line_by_line(void **state) {
    (void)state;
    char path[] = P_tmpdir "/test_conf.XXXXXX";
    int fd = mkstemp(path);
    static const struct {
        const char *text, *names; /* NULL: good */
    } cases[] = {
        {"", NULL},
        {"# c\n\n  listen =  127.0.0.1:1  \r\nmax_fields=7", NULL},
        {"listen = xyz\n", ":1: listen: 'xyz'"},
        {"\n\nmax_fields = 0\n", ":3: max_fields: '0'"},
        {"max-fields = 3\n", "there is no setting 'max-fields'"},
        {"max_fields\n", "name = value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].text, strlen(cases[i].text), 0), strlen(cases[i].text));
        if (cases[i].names) {
            assert_refused("--config", path, cases[i].names);
            continue;
        }
        struct conf c;
        struct err e;
        if (!load(&c, &e, "--config", path)) fail_msg("%s", e.msg);
        assert_int_equal(c.max_fields, i ? 7 : 1024);
        conf_free(&c);
    }
    close(fd);
    unlink(path);
    assert_refused("--config", path, "No such file");
}

static void test_order_of_the_sources(void **state) {
    (void)state;
    char path[] = P_tmpdir "/test_conf.XXXXXX";
    struct conf c;
    struct err e;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "max_fields = 2\nhttp_workers = 2\nquery_threads = 2\n", 50), 50);
    close(fd);
    setenv("SIGHTGLASS_MAX_FIELDS", "3", 1);
    setenv("SIGHTGLASS_HTTP_WORKERS", "3", 1);
    setenv("SIGHTGLASS_CONFIG", path, 1);
    assert_true(load(&c, &e, "--http-workers", "4"));
    assert_int_equal(c.query_threads, 2);
    assert_int_equal(c.max_fields, 3);
    assert_int_equal(c.http_workers, 4);
    conf_free(&c);
    setenv("SIGHTGLASS_MAX_FIELDS", "none", 1);
    assert_refused("--http-workers", "4", "SIGHTGLASS_MAX_FIELDS: 'none'");
    unsetenv("SIGHTGLASS_MAX_FIELDS");
    unsetenv("SIGHTGLASS_HTTP_WORKERS");
    unsetenv("SIGHTGLASS_CONFIG");
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_numbers_and_sizes_to_their_limits),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_a_file_is_read_line_by_line),
        cmocka_unit_test(test_order_of_the_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
