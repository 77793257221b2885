/* Which URLs and which addresses pictures may come from. What is fetched over the wire: tests/http/test_infer_urls.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "infer/fetch.h"

static bool is_public(const char *text) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) return fetch_is_public((const struct sockaddr *)(const void *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return fetch_is_public((const struct sockaddr *)(const void *)&six);
}

/* The first and the last address of each range, and their neighbours outside. */
static void only_public_addresses(void **state) {
    (void)state;
    static const char *const not_public[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255",
        "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.1", "192.168.0.0", "192.168.255.255",
        "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.0", "239.255.255.255", "240.0.0.0",
        "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::8.8.8.8", "64:ff9b::808:808", "100::1",
        "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "2001::1", "2001:1ff::1", "2001:db8::1",
        "2002:7f00:1::1", "3fff::1", "3fff:fff::1", "4000::1", "1fff::1"};
    static const char *const yes[] = {
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0",
        "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
        "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "2000::1", "2001:200::1",
        "2001:db7::1", "2001:db9::1", "2003::1", "2606:4700::1", "3ffe::1", "3fff:1000::1"};
    for (size_t i = 0; i < sizeof not_public / sizeof *not_public; i++)
        if (is_public(not_public[i])) fail_msg("%s", not_public[i]);
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!is_public(yes[i])) fail_msg("%s", yes[i]);
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_false(fetch_is_public(&local));
}

static struct fetch *start(const char *hosts, struct err *e) {
    const struct fetch_config c = {.hosts = hosts, .ca_file = "", .timeout_s = 1, .max_bytes = 1000};
    return fetch_new(&c, e);
}

static void allowed_hosts(void **state) {
    (void)state;
    static const char *const yes[] = {
        "https://images.example.com/a.jpg", "https://IMAGES.example.COM/", "https://images.example.com:443/a?b=c#d",
        "HTTPS://images.example.com", "https://a.pictures.test/x", "https://a.b.pictures.test", "https://nas.test:8443/x",
        "https://192.0.2.7/x"};
    static const char *const no[][2] = {
        {"http://images.example.com/a.jpg", "Providing images via non https:// URL is not supported"},
        {"ftp://images.example.com/a.jpg", "Providing images via non https:// URL is not supported"},
        {"file:///etc/passwd", "Providing images via non https:// URL is not supported"},
        {"https://images.example.com.evil.test/", "images.example.com.evil.test:443 is not among the hosts"},
        {"https://example.com/", "example.com:443 is not among the hosts"},
        {"https://evilimages.example.com/", "evilimages.example.com:443 is not among the hosts"},
        {"https://images.example.com:8443/", "images.example.com:8443 is not among the hosts"},
        {"https://images.example.com./", "images.example.com.:443 is not among the hosts"},
        {"https://pictures.test/", "pictures.test:443 is not among the hosts"},
        {"https://evilpictures.test/", "evilpictures.test:443 is not among the hosts"},
        {"https://nas.test/", "nas.test:443 is not among the hosts"},
        {"https://images.example.com@evil.test/", "The URL has a user name in it"},
        {"https://me:secret@images.example.com/", "The URL has a user name in it"},
        {"https://evil.test\\@images.example.com/", "The URL has a user name in it"},
        {"https://127.0.0.1/x", "Providing images via URL without FQDN is not supported"},
        {"https://2130706433/x", "Providing images via URL without FQDN is not supported"},
        {"https://0x7f.1/x", "Providing images via URL without FQDN is not supported"},
        {"https://[::1]/x", "Providing images via URL without FQDN is not supported"},
        {"https://192.0.2.8/x", "Providing images via URL without FQDN is not supported"},
        {"images.example.com/a.jpg", "The URL is none."},
        {"https://", "The URL is none."},
        {"", "The URL is none."},
        {"https://images.example.com/a b", "The URL is none."},
        {"https://images.example.com/\n", "The URL is none."},
    };
    struct err e;
    struct fetch *f = start(" images.example.com, *.pictures.test,nas.test:8443 ,192.0.2.7", &e);
    assert_non_null(f);
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!fetch_allowed(f, str_of(yes[i]), &e)) fail_msg("%s: %s", yes[i], e.msg);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "Could not load input image. Cause: %s", no[i][1]);
        if (fetch_allowed(f, str_of(no[i][0]), &e)) fail_msg("%s", no[i][0]);
        assert_int_equal(e.code, ERR_INVALID);
        if (strncmp(e.msg, expected, strlen(expected)) != 0) fail_msg("%s: %s", no[i][0], e.msg);
    }
    assert_false(fetch_allowed(f, STR("https://images.example.com/\0@evil.test"), &e));
    fetch_free(f);
}

static void no_list_means_none(void **state) {
    (void)state;
    struct err e;
    struct buf out = {0};
    struct fetch *f = start("", &e);
    assert_false(fetch_get(f, STR("https://images.example.com/"), &out, &e));
    assert_string_equal(e.msg, "Could not load input image. Cause: Providing images via URL is not enabled on this "
                               "server (image_url_hosts).");
    assert_null(out.p);
    fetch_free(f);
}

static void lists_that_are_none(void **state) {
    (void)state;
    static const char *const table[] = {"a.test,,b.test", ",", "a.test,", "*", "*.", "a.*.test", "https://a.test",
                                        "a.test/x", "a.test:", "a.test:0", "a.test:65536", "a.test:x", "a test"};
    struct err e;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (start(table[i], &e)) fail_msg("%s", table[i]);
        if (strncmp(e.msg, "image_url_hosts: \"", 18) != 0) fail_msg("%s: %s", table[i], e.msg);
    }
    const struct fetch_config c = {.hosts = "a.test", .ca_file = "/nowhere/at/all.pem", .timeout_s = 1};
    assert_null(fetch_new(&c, &e));
    assert_string_equal(e.msg, "image_url_ca: /nowhere/at/all.pem cannot be read: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_public_addresses),
        cmocka_unit_test(allowed_hosts),
        cmocka_unit_test(no_list_means_none),
        cmocka_unit_test(lists_that_are_none),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
