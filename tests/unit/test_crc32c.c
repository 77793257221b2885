/* CRC-32C: the published examples, and every length around those where the computation changes its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/crc32c.h"

/* RFC 3720, B.4, and the check value that is common for CRCs. */
static void test_published(void **state) {
    (void)state;
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = 0xff;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(31 - i);
    assert_int_equal(crc32c(0, bytes, sizeof bytes), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static uint32_t bit_by_bit(uint32_t c, const unsigned char *p, size_t n) {
    for (c = ~c; n > 0; n--) {
        c ^= *p++;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    }
    return ~c;
}

static void test_lengths(void **state) {
    (void)state;
    enum { MOST = 20000 };
    unsigned char *p = malloc(MOST);
    uint32_t all = 0;
    for (uint32_t i = 0; i < MOST; i++) p[i] = (unsigned char)(i * 2654435761u >> 13);
    for (size_t n = 0; n <= MOST; n += n % 6144 > 6130 || n % 6144 < 20 ? 1 : 97)
        for (size_t from = 0; from < 9 && from <= n; from += 3)
            assert_int_equal(crc32c((uint32_t)n, p + from, n - from), bit_by_bit((uint32_t)n, p + from, n - from));
    for (size_t at = 0, n = 0; at + n <= MOST; at += n, n = n * 2 + 1) {
        all = crc32c(all, p + at, n);
        assert_int_equal(all, crc32c(0, p, at + n));
    }
    free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published), cmocka_unit_test(test_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
