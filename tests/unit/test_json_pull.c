#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "json_twin.h"

static void assert_agreed(struct str text) {
    const char *difference = twin_difference(text);
    if (difference) fail_msg("%s: " STR_FMT, difference, (int)(text.n < 300 ? text.n : 300), text.p);
}

/* ---- tokens ---- */

static void test_tokens_in_order(void **state) {
    (void)state;
    static const struct {
        enum json_token token;
        struct str text;
        size_t at;
    } expected[] = {
        {PULL_OBJECT, {NULL, 0}, 1},
        {PULL_KEY, STR("a"), 3},
        {PULL_ARRAY, {NULL, 0}, 10},
        {PULL_NUMBER, STR("1"), 11},
        {PULL_NUMBER, STR("-2.5e3"), 14},
        {PULL_TRUE, {NULL, 0}, 22},
        {PULL_FALSE, {NULL, 0}, 27},
        {PULL_NULL, {NULL, 0}, 33},
        {PULL_ARRAY_END, {NULL, 0}, 37},
        {PULL_KEY, STR(""), 39},
        {PULL_STRING, STR("x\n/\xe2\x82\xac"), 42},
        {PULL_KEY, STR("o"), 57},
        {PULL_OBJECT, {NULL, 0}, 61},
        {PULL_OBJECT_END, {NULL, 0}, 63},
        {PULL_OBJECT_END, {NULL, 0}, 64},
        {PULL_END, {NULL, 0}, 67},
        {PULL_END, {NULL, 0}, 67},
    };
    struct str text = STR(" { \"a\"\n : [1, -2.5e3 ,true,false,null],\"\":\"x\\n\\/\\u20aC\" ,\"o\":{ }} \t");
    struct arena arena = {0};
    struct json_pull j;
    json_pull_init(&j, text, &arena);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(json_next(&j), expected[i].token);
        assert_int_equal(j.token, expected[i].token);
        assert_int_equal(j.at, expected[i].at);
        if (expected[i].text.p) assert_true(str_eq(j.text, expected[i].text));
    }
    arena_free(&arena);
}

static void test_a_string_without_escapes_costs_nothing(void **state) {
    (void)state;
    struct str text = STR("[\"plain \xc3\xa4\", \"esc\\u0061ped\"]");
    struct arena arena = {0};
    struct json_pull j;
    json_pull_init(&j, text, &arena);
    json_next(&j), json_next(&j);
    assert_ptr_equal(j.text.p, text.p + 2);
    assert_int_equal(arena.total, 0);
    json_next(&j);
    assert_true(str_is(j.text, "escaped"));
    assert_true(arena.total > 0);
    arena_free(&arena);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        struct str text;
        double value;
        bool is_integer;
    } cases[] = {
        {STR("0"), 0, true},
        {STR("-0"), -0.0, true},
        {STR("10"), 10, true},
        {STR("9007199254740993"), 9007199254740992, true},
        {STR("0.1"), 0.1, false},
        {STR("1e0"), 1, false},
        {STR("1E+2"), 100, false},
        {STR("25e-1"), 2.5, false},
        {STR("5e-324"), 5e-324, false},
        {STR("1e-400"), 0, false},
        {STR("1.7976931348623157e308"), 1.7976931348623157e308, false},
        {STR("100000000000000000000000000000000000000000000000000000000000000000000000000000000"), 1e80, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct json_pull j;
        json_pull_init(&j, cases[i].text, &arena);
        assert_int_equal(json_next(&j), PULL_NUMBER);
        assert_true(j.number == cases[i].value && signbit(j.number) == signbit(cases[i].value));
        assert_int_equal(j.is_integer, cases[i].is_integer);
        assert_true(str_eq(j.text, cases[i].text));
        assert_int_equal(json_next(&j), PULL_END);
        arena_free(&arena);
    }
}

static void test_depth_ends_at_64_levels(void **state) {
    (void)state;
    for (int object = 0; object < 2; object++) {
        char text[1024];
        size_t n = 0;
        struct arena arena = {0};
        struct json_pull j;
        for (int level = 0; level < PULL_DEPTH + 1; level++) {
            if (level) n += (size_t)snprintf(text + n, sizeof text - n, "%s", object ? "\"a\":" : "");
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", object ? "{" : "[");
        }
        json_pull_init(&j, (struct str){text, n}, &arena);
        for (int level = 0; level < PULL_DEPTH; level++) {
            assert_int_equal(json_next(&j), object ? PULL_OBJECT : PULL_ARRAY);
            if (object) assert_int_equal(json_next(&j), PULL_KEY);
        }
        assert_int_equal(json_next(&j), PULL_ERROR);
        assert_non_null(strstr(j.error, "nested too deep"));
        arena_free(&arena);
    }
    char whole[2 * PULL_DEPTH];
    memset(whole, '[', PULL_DEPTH);
    memset(whole + PULL_DEPTH, ']', PULL_DEPTH);
    assert_true(twin_skips_all((struct str){whole, sizeof whole}));
}

static void test_an_error_says_what_and_where_and_stays(void **state) {
    (void)state;
    static const struct {
        struct str text;
        const char *error;
        size_t at;
    } cases[] = {
        {STR(""), "ends too early", 0},
        {STR("  "), "ends too early", 2},
        {STR("[1,"), "ends too early", 3},
        {STR("[1 2]"), "no ]", 3},
        {STR("{\"a\":1]"), "no }", 6},
        {STR("{\"a\" 1}"), "no :", 5},
        {STR("{1:2}"), "no member name", 1},
        {STR("[1,]"), "no JSON value", 3},
        {STR("nul"), "no JSON value", 0},
        {STR("1 x"), "text behind the end", 2},
        {STR("\"a\nb\""), "control character", 2},
        {STR("\"abc"), "does not end", 4},
        {STR("\"a\\qb\""), "escape", 2},
        {STR("\"\\ud800x\""), "escape", 1},
        {STR("\"\\u0000\""), "escape", 1},
        {STR("\"\xff\""), "not UTF-8", 1},
        {STR("-"), "no JSON value", 0},
        {STR("01"), "text behind the end", 1},
        {STR("1."), "number", 0},
        {STR("[1e999]"), "too large", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct json_pull j;
        json_pull_init(&j, cases[i].text, &arena);
        while (json_next(&j) != PULL_ERROR) assert_int_not_equal(j.token, PULL_END);
        if (!strstr(j.error, cases[i].error) || j.at != cases[i].at)
            fail_msg(STR_FMT ": \"%s\" at %zu", STR_ARG(cases[i].text), j.error, j.at);
        assert_int_equal(json_next(&j), PULL_ERROR);
        assert_false(json_skip(&j, NULL));
        assert_int_equal(j.at, cases[i].at);
        arena_free(&arena);
    }
}

static void test_skip_gives_the_raw_text(void **state) {
    (void)state;
    struct str text = STR("{\"a\": [1, {\"b\" :\"]\"} ] , \"c\":\"x\\\"y\",\"d\" : 1.50}"), raw;
    struct arena arena = {0};
    struct json_pull j;
    json_pull_init(&j, text, &arena);
    json_next(&j);
    assert_int_equal(json_next(&j), PULL_KEY);
    assert_true(json_skip(&j, &raw)); /* from the key */
    assert_true(str_is(raw, "[1, {\"b\" :\"]\"} ]"));
    assert_int_equal(json_next(&j), PULL_KEY);
    assert_int_equal(json_next(&j), PULL_STRING);
    assert_true(json_skip(&j, &raw)); /* from the value */
    assert_true(str_is(raw, "\"x\\\"y\""));
    assert_int_equal(json_next(&j), PULL_KEY);
    assert_true(json_skip(&j, &raw));
    assert_true(str_is(raw, "1.50"));
    assert_int_equal(json_next(&j), PULL_OBJECT_END);
    assert_int_equal(json_next(&j), PULL_END);
    arena_free(&arena);
}

/* ---- beside jansson ---- */

static void test_agrees_with_jansson_on_cases(void **state) {
    (void)state;
    static const struct str cases[] = {
        STR("null"),
        STR("true"),
        STR("false"),
        STR("0"),
        STR("-0"),
        STR("-0.0e-0"),
        STR("1e308"),
        STR("1e309"),
        STR("-1e309"),
        STR("1e-999"),
        STR("\"\""),
        STR("[]"),
        STR("{}"),
        STR("[[]]"),
        STR("[{}]"),
        STR("{\"a\":{}}"),
        STR("[1,2,3]"),
        STR(" [ 1 , 2 ] "),
        STR("\v1"),
        STR("\f[]"),
        STR("{\"a\":1,\"a\":2}"),
        STR("{\"\":1}"),
        STR("{\"a\":1,}"),
        STR("[,]"),
        STR("[1,]"),
        STR("[1,,2]"),
        STR("{,}"),
        STR("{\"a\"}"),
        STR("{\"a\":}"),
        STR("{a:1}"),
        STR("{'a':1}"),
        STR("'a'"),
        STR("[1 2]"),
        STR("1 2"),
        STR("[1]]"),
        STR("[[1]"),
        STR("]"),
        STR("}"),
        STR(":"),
        STR(","),
        STR("tru"),
        STR("trueX"),
        STR("True"),
        STR("nulll"),
        STR("NaN"),
        STR("Infinity"),
        STR("-Infinity"),
        STR("+1"),
        STR("-"),
        STR("--1"),
        STR("01"),
        STR("-01"),
        STR("1."),
        STR(".1"),
        STR("1.e1"),
        STR("1e"),
        STR("1e+"),
        STR("0x10"),
        STR("1_000"),
        STR("1e5.5"),
        STR("12345678901234567890"),
        STR("\"\\\""),
        STR("\"\\u\""),
        STR("\"\\u12\""),
        STR("\"\\u123g\""),
        STR("\"\\uD83D\\uDE00\""),
        STR("\"\\ud83d\""),
        STR("\"\\ud83dx\""),
        STR("\"\\ud83d\\u0041\""),
        STR("\"\\ude00\\ud83d\""),
        STR("\"\\u0000\""),
        STR("{\"\\u0000\":1}"),
        STR("\"a\\u0000b\""),
        STR("\"\\u0001\""),
        STR("\"\\u007f\\u0080\\u07ff\\u0800\\uffff\""),
        STR("\"\\ud800\\udc00\\udbff\\udfff\""),
        STR("\"\0\""),
        STR("\"\x01\""),
        STR("\"\t\""),
        STR("\"\x7f\""),
        STR("\"\\b\\f\\n\\r\\t\\/\\\\\\\"\""),
        STR("\"\\a\""),
        STR("\"\\'\""),
        STR("\"\xc3\xa4\""),
        STR("\"\xc0\x80\""),
        STR("\"\xed\xa0\x80\""),
        STR("\"\xf4\x8f\xbf\xbf\""),
        STR("\"\xf4\x90\x80\x80\""),
        STR("\"\xc3\""),
        STR("\"\xe2\x82\""),
        STR("\xef\xbb\xbf[]"),
        STR("[]\0"),
        STR("[\0]"),
        STR("/**/[]"),
        STR("[1]//"),
        STR("[1]\xff"),
        STR("\xff"),
        STR("{\"\xff\":1}"),
        STR("\"\\\xff\""),
        STR("\"\xc3\\\xa4\""),
        STR(""),
        STR(" "),
        STR("\n"),
        STR("[0.1000000000000000055511151231257827,4.9406564584124654e-324,2.2250738585072011e-308]"),
        STR("[\"a\",]"),
        STR("{\"a\":1 \"b\":2}"),
        STR("{\"a\":[{\"b\":[{}]}]}"),
        STR("\"unfinished"),
        STR("\"unfinished\\"),
        STR("[\"a\":1]"),
        STR("{\"a\",1}"),
        STR("{\"a\":1:2}"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_agreed(cases[i]);
}

static const struct str whole = STR(
    "{\"api_key\": \"K\\u00e4y\\n\", \"data\": [{\"inference_ids\": [\"a-1\", \"\xf0\x9f\x98\x80\"], \"v\": -12.5e+3},"
    " [true, false, null, {}], 0, \"\\ud83d\\ude00\\\\\"]}");

static void test_agrees_when_cut_or_changed_at_any_byte(void **state) {
    (void)state;
    char *copy = mem_alloc(whole.n);
    assert_agreed(whole);
    for (size_t at = 0; at < whole.n; at++) {
        assert_agreed((struct str){whole.p, at});
        assert_agreed(str_from(whole, at));
        for (int byte = 0; byte < 256; byte++) {
            memcpy(copy, whole.p, whole.n);
            copy[at] = (char)byte;
            assert_agreed((struct str){copy, whole.n});
        }
    }
    free(copy);
}

/* Texts put together from the parts of JSON: most are near to being right. */
static void test_agrees_on_random_texts(void **state) {
    (void)state;
    static const struct str parts[] = {
        STR("{"),           STR("}"),    STR("["),         STR("]"),     STR(","),      STR(":"),       STR("\"a\""),
        STR("\"\\u00e4\""), STR("\"\\"), STR("\""),        STR("1"),     STR("-0.5e1"), STR("0"),       STR("."),
        STR("e9"),          STR("true"), STR("null"),      STR(" "),     STR("\n"),     STR("\\ud83d"), STR("\\ude00"),
        STR("\xc3\xa4"),    STR("\xff"), STR("{\"a\":1}"), STR("[1,2]"), STR("\"b\":"), STR(",\"c\":3")};
    uint64_t seed = 42;
    for (int round = 0; round < 60000; round++) {
        char text[256];
        size_t n = 0;
        seed = seed * 6364136223846793005 + 1442695040888963407;
        for (size_t count = 1 + (seed >> 33) % 12; count; count--) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            struct str part = parts[(seed >> 33) % (sizeof parts / sizeof *parts)];
            memcpy(text + n, part.p, part.n);
            n += part.n;
        }
        assert_agreed((struct str){text, n});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_in_order),
        cmocka_unit_test(test_a_string_without_escapes_costs_nothing),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_depth_ends_at_64_levels),
        cmocka_unit_test(test_an_error_says_what_and_where_and_stays),
        cmocka_unit_test(test_skip_gives_the_raw_text),
        cmocka_unit_test(test_agrees_with_jansson_on_cases),
        cmocka_unit_test(test_agrees_when_cut_or_changed_at_any_byte),
        cmocka_unit_test(test_agrees_on_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
