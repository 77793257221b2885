/* FlatBuffers of ours: what was written is read again, what leads outside is refused. And dictionaries: sorted as
 * str_cmp sorts, whatever the texts are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/hash.h"
#include "record/bins.h"
#include "store/flat.h"
#include "store/segment_texts.h"

static int begin(void **state) {
    (void)state;
    hash_init();
    return 0;
}

static uint64_t next_random;
static uint64_t draw(uint64_t below) {
    uint64_t z = next_random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

/* ---- FlatBuffers ---- */

/* A table with a number of each size, an absent slot, text, a vector of tables and one of words. */
static struct buf sample(void) {
    struct buf b = {0};
    size_t at[8];
    flat_begin(&b);
    flat_table(&b, FLAT_ROOT,
               (struct flat_slot[]){{1, 0xab},
                                    {8, 0x0123456789abcdef},
                                    {0, 0},
                                    {2, 0xbeef},
                                    {FLAT_REF, 0},
                                    {FLAT_REF, 0},
                                    {4, 0xdeadbeef},
                                    {FLAT_REF, 0}},
               8, at);
    flat_text(&b, at[4], STR("text"));
    size_t tables = flat_vector(&b, at[5], 2, FLAT_REF);
    for (unsigned i = 0; i < 2; i++) flat_table(&b, tables + i * FLAT_REF, (struct flat_slot[]){{4, i + 7}}, 1, NULL);
    size_t words = flat_vector(&b, at[7], 3, 16);
    for (unsigned i = 0; i < 6; i++) memcpy(b.p + words + 8 * i, &(uint64_t){i * 1000}, 8);
    assert_int_equal(words % 8, 0);
    return b;
}

/* Reads everything; what it comes to is nothing, once something led outside. */
static uint64_t read_sample(struct flat *f) {
    struct flat_table t = flat_root(f);
    uint64_t sum =
        flat_number(&t, 0, 1, 0) + flat_number(&t, 1, 8, 0) + flat_number(&t, 2, 4, 5) + flat_number(&t, 3, 2, 0);
    struct str text = flat_string(&t, 4);
    for (size_t i = 0; i < text.n; i++) sum += (unsigned char)text.p[i];
    struct flat_vector tables = flat_list(&t, 5, FLAT_REF), words = flat_list(&t, 7, 16);
    for (uint32_t i = 0; i < tables.count && !f->bad; i++) {
        struct flat_table item = flat_item(f, tables, i);
        sum += flat_number(&item, 0, 4, 0);
    }
    for (uint32_t i = 0; i < 2 * words.count; i++) sum += flat_word(f, words.at + 8 * (size_t)i);
    struct flat_table child = flat_child(&t, 7);
    return sum + flat_number(&child, 0, 8, 0);
}

static void test_flat(void **state) {
    (void)state;
    struct buf b = sample();
    struct flat f = {(const unsigned char *)b.p, b.n, false};
    struct flat_table t = flat_root(&f);
    assert_int_equal(flat_number(&t, 0, 1, 0), 0xab);
    assert_true(flat_number(&t, 1, 8, 0) == 0x0123456789abcdef);
    assert_false(flat_has(&t, 2));
    assert_int_equal(flat_number(&t, 2, 4, 99), 99);
    assert_int_equal(flat_number(&t, 3, 2, 0), 0xbeef);
    assert_true(str_is(flat_string(&t, 4), "text"));
    assert_true(flat_number(&t, 6, 4, 0) == 0xdeadbeef);
    assert_int_equal(flat_number(&t, 100, 4, 99), 99);
    struct flat_vector tables = flat_list(&t, 5, FLAT_REF), words = flat_list(&t, 7, 16);
    struct flat_table second = flat_item(&f, tables, 1);
    assert_int_equal(tables.count, 2);
    assert_int_equal(flat_number(&second, 0, 4, 0), 8);
    assert_int_equal(words.count, 3);
    assert_int_equal(flat_word(&f, words.at + 40), 5000);
    assert_false(f.bad);
    (void)flat_child(&t, 2);
    assert_true(f.bad);
    assert_null(flat_string(&t, 4).p);
    buf_free(&b);
}

/* A value has to lie within its table, behind the table's own offset. */
static void test_flat_slots(void **state) {
    (void)state;
    struct buf b = sample();
    struct flat good = {(const unsigned char *)b.p, b.n, false};
    struct flat_table t = flat_root(&good);
    for (uint16_t offset = 0; offset < t.size + 8; offset++) {
        memcpy(b.p + t.vtable + 4 + 2 * 6, &offset, sizeof offset);
        struct flat f = {(const unsigned char *)b.p, b.n, false};
        struct flat_table again = flat_root(&f);
        (void)flat_number(&again, 6, 4, 0);
        assert_int_equal(f.bad, offset != 0 && (offset < 4 || offset + 4u > t.size));
    }
    buf_free(&b);
}

static void test_flat_damaged(void **state) {
    (void)state;
    struct buf b = sample();
    for (size_t n = 0; n < b.n; n++) {
        char *copy = malloc(n ? n : 1); /* of that size, so that a sanitizer sees a step outside */
        memcpy(copy, b.p, n);
        struct flat f = {(const unsigned char *)copy, n, false};
        (void)read_sample(&f);
        free(copy);
    }
    for (int round = 0; round < 20000; round++) {
        char *copy = malloc(b.n);
        memcpy(copy, b.p, b.n);
        for (uint64_t k = draw(4) + 1; k > 0; k--) copy[draw(b.n)] = (char)(draw(2) ? draw(256) : 0xff * draw(2));
        struct flat f = {(const unsigned char *)copy, b.n, false};
        (void)read_sample(&f);
        free(copy);
    }
    buf_free(&b);
}

/* ---- dictionaries ---- */

static int by_text(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

/* `list` and `used` from element 1. */
static void sorts(const struct str *list, uint32_t count, const bool *used) {
    struct arena a = {0};
    struct str *want = malloc((count + 1) * sizeof *want);
    uint32_t *places = malloc((count + 1) * sizeof *places), n = 0, distinct = 0;
    for (uint32_t i = 1; i <= count; i++)
        if (used[i]) want[n++] = list[i];
    qsort(want, n, sizeof *want, by_text);
    struct arrow_dict d = textset_sort(list, count, used, &a, places);
    const uint32_t *offsets = d.offsets.p;
    struct str placeholder = {d.bytes.p, offsets[1]};
    for (uint32_t i = 0; i < n; i++) {
        assert_false(str_eq(want[i], placeholder));
        if (i && str_eq(want[i], want[i - 1])) continue;
        distinct++;
        struct str got = {(const char *)d.bytes.p + offsets[distinct], offsets[distinct + 1] - offsets[distinct]};
        assert_true(str_eq(got, want[i]));
    }
    assert_int_equal(d.count, distinct + 1);
    assert_int_equal(offsets[d.count], d.bytes.n);
    for (uint32_t i = 1; i <= count; i++) {
        assert_true(used[i] ? places[i] > 0 && places[i] < d.count : places[i] == 0);
        uint32_t at = offsets[places[i]];
        struct str got = {(const char *)d.bytes.p + at, offsets[places[i] + 1] - at};
        if (used[i]) assert_true(str_eq(got, list[i]));
    }
    free(want);
    free(places);
    arena_free(&a);
}

/* Texts that begin alike for long, end in zeros, are the beginnings of others, and stand twice. */
static void test_sorted(void **state) {
    (void)state;
    static char bytes[40000];
    static struct str list[600];
    static bool all[600], some[600];
    for (int round = 0; round < 60; round++) {
        uint32_t count = (uint32_t)draw(599);
        for (size_t i = 0; i < sizeof bytes; i++) {
            uint64_t two = draw(2), any = draw(256);
            bytes[i] = (char)(round % 3 == 0 ? two : round % 3 == 1 ? 'a' : any);
        }
        for (uint32_t i = 1; i <= count; i++) {
            const char *from = bytes + draw(round % 2 ? 16 : sizeof bytes - 1000);
            list[i] = (struct str){from, draw(round % 5 == 4 ? 1000 : 40)};
            all[i] = true;
            some[i] = draw(4) > 0;
        }
        sorts(list, count, all);
        sorts(list, count, some);
    }
}

static void test_placeholder(void **state) {
    (void)state;
    static const struct str zeros[] = {STR(""), STR("\0"), STR("\0\0"), STR("\0\0\0\0")};
    static const struct str other[] = {STR("a"), STR("b")};
    struct arena a = {0};
    assert_int_equal(((const uint32_t *)textset_dict(NULL, 0, &a).offsets.p)[1], 0);
    assert_int_equal(((const uint32_t *)textset_dict(other, 2, &a).offsets.p)[1], 0);
    assert_int_equal(((const uint32_t *)textset_dict(zeros, 1, &a).offsets.p)[1], 1);
    assert_int_equal(((const uint32_t *)textset_dict(zeros, 4, &a).offsets.p)[1], 3);
    arena_free(&a);
}

static void test_codes(void **state) {
    (void)state;
    struct textset t = {0};
    char name[20] = {0};
    for (uint32_t i = 1; i <= 5000; i++) {
        memcpy(name, &i, sizeof i);
        assert_int_equal(textset_find(&t, (struct str){name, 5}), 0);
        assert_int_equal(textset_add(&t, (struct str){name, 5}), i);
        assert_int_equal(textset_add(&t, (struct str){name, 5}), i);
    }
    assert_int_equal(textset_add(&t, STR("")), 5001);
    for (uint32_t i = 1; i <= 5000; i++) {
        memcpy(name, &i, sizeof i);
        assert_int_equal(textset_find(&t, (struct str){name, 5}), i);
        assert_true(str_eq(textset_at(&t, i), (struct str){name, 5}));
    }
    assert_int_equal(textset_find(&t, STR("")), 5001);
    textset_free(&t);
}

/* ---- bins ---- */

static void test_bins(void **state) {
    (void)state;
    assert_int_equal(confidence_bin(NAN), BIN_NONE);
    assert_int_equal(latency_bin(NAN), BIN_NONE);
    assert_int_equal(confidence_bin(-1), 0);
    assert_int_equal(confidence_bin(7), CONFIDENCE_BINS - 1);
    assert_int_equal(latency_bin(-1), 0);
    assert_int_equal(latency_bin(0), 0);
    assert_int_equal(latency_bin(1e-12), 0);
    assert_int_equal(latency_bin(INFINITY), LATENCY_BINS - 1);
    assert_int_equal(latency_bin(1e9), LATENCY_BINS - 1);
    for (uint16_t bin = 0; bin < CONFIDENCE_BINS; bin++) assert_int_equal(confidence_bin(confidence_of_bin(bin)), bin);
    for (uint16_t bin = 0; bin < LATENCY_BINS; bin++) assert_int_equal(latency_bin(latency_of_bin(bin)), bin);
    for (double v = 2e-6; v < 1e5; v *= 1.0003)
        assert_true(fabs(latency_of_bin(latency_bin(v)) - v) <= v / 128 + 1e-18);
    for (double v = 0; v <= 1; v += 1.0 / 4096)
        assert_true(fabs(confidence_of_bin(confidence_bin(v)) - v) <= 0.0005 + 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),   cmocka_unit_test(test_flat_slots),  cmocka_unit_test(test_flat_damaged),
        cmocka_unit_test(test_sorted), cmocka_unit_test(test_placeholder), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_bins),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
