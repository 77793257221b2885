#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "query/filter.h"
#include "query/match.h"

static struct arena arena;

static int reset(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

/* A tree as text: and(...), or(...), not(...), and tests as field=match,match. */
static void dump_range(struct buf *b, struct range r) {
    if (r.low == r.high)
        buf_printf(b, "%.17g", r.low);
    else
        buf_printf(b, "%.12g..%.12g", r.low, r.high);
}

static void dump_test(struct buf *b, const struct filter_test *t) {
    static const char *const names[] = {
#define X(name, text, kind) [FIELD_##name] = text,
        FILTER_FIELD_MAP(X)
#undef X
    };
    if (t->field == FIELD_METADATA)
        buf_printf(b, "{" STR_FMT "}=", STR_ARG(t->name));
    else
        buf_printf(b, "%s=", t->field == FIELD_ANY ? "any" : names[t->field]);
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        if (i) buf_addc(b, '|');
        if (m->kind == MATCH_PRESENT) buf_addz(b, "present");
        if (m->kind == MATCH_TEXT) buf_printf(b, "'" STR_FMT "'", STR_ARG(m->text));
        if (m->kind == MATCH_GLOB) buf_printf(b, "~" STR_FMT, STR_ARG(m->text));
        if (m->kind == MATCH_RANGE) dump_range(b, m->range);
    }
    if (t->field != FIELD_CLASS) return;
    if (t->by_confidence) buf_addc(b, '['), dump_range(b, t->confidence), buf_addc(b, ']');
    if (t->count.low != 1 || t->count.high != INFINITY) buf_addc(b, '#'), dump_range(b, t->count);
}

static void dump(struct buf *b, const struct filter *f) {
    static const char *const kinds[] = {[FILTER_AND] = "and", [FILTER_OR] = "or", [FILTER_NOT] = "not"};
    if (f->kind == FILTER_TEST) {
        dump_test(b, &f->test);
        return;
    }
    buf_printf(b, "%s(", kinds[f->kind]);
    for (const struct filter *child = f->first; child; child = child->next) {
        if (child != f->first) buf_addc(b, ' ');
        dump(b, child);
    }
    buf_addc(b, ')');
}

static const char *parsed(const struct filter *f) {
    struct buf b = {0};
    if (f) dump(&b, f);
    const char *text = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return text;
}

static const char *parse(const char *text) {
    const struct filter *f;
    struct filter_error where;
    struct err e = {0};
    if (!filter_parse(&arena, str_of(text), &f, &where, &e))
        return arena_printf(&arena, "%zu: %s", where.position, where.expected);
    return parsed(f);
}

#define PARSES(text, tree) assert_string_equal(parse(text), tree)
#define FAILS(text, what) assert_string_equal(parse(text), what)

static void clauses_are_and(void **state) {
    (void)state;
    PARSES("", "");
    PARSES("   ", "");
    PARSES("camera_location:canada", "{camera_location}='canada'");
    PARSES("model:coco  camera_location:canada", "and(model='coco' {camera_location}='canada')");
    PARSES("a:1 and b:2", "and({a}='1' {b}='2')");
    PARSES("-shift:night", "not({shift}='night')");
    PARSES("a:x -a:y", "and({a}='x' not({a}='y'))");
    PARSES("-a:x -a:y", "and(not({a}='x') not({a}='y'))");
}

static void the_same_field_again_is_or(void **state) {
    (void)state;
    PARSES("a:x a:y", "or({a}='x' {a}='y')");
    PARSES("a:x b:z a:y", "and(or({a}='x' {a}='y') {b}='z')");
    PARSES("a:x metadata.a:y", "or({a}='x' {a}='y')");
    PARSES("model:a metadata.model:b", "and(model='a' {model}='b')");
    PARSES("a>1 a<5", "and({a}=1..inf {a}=-inf..5)");
    PARSES("has:a has:b", "and({a}=present {b}=present)");
    PARSES("class:a class:b", "or(class='a' class='b')");
    PARSES("class:a>=2 class:b>=1", "and(class='a'#2..inf class='b')");
    PARSES("x y", "and(any='x' any='y')");
}

static void groups_and_values(void **state) {
    (void)state;
    PARSES("a:(x or y)", "{a}='x'|'y'");
    PARSES("a:(x or \"y z\" or 1..2)", "{a}='x'|'y z'|1..2");
    PARSES("-a:( x or y )", "not({a}='x'|'y')");
    PARSES("(a:x or b:y) c:z", "and(or({a}='x' {b}='y') {c}='z')");
    PARSES("a:x or b:y c:z", "or({a}='x' and({b}='y' {c}='z'))");
    PARSES("-(a:x b:y)", "not(and({a}='x' {b}='y'))");
    PARSES("((a:x))", "{a}='x'");
    PARSES("(class:a) (class:b)", "and(class='a' class='b')");
    PARSES("a:or", "{a}='or'");
    PARSES("or:x", "{or}='x'");
    PARSES("\"or\"", "any='or'");
}

static void built_in_fields(void **state) {
    (void)state;
    PARSES("id:abc device:d source:s source_info:i server:v error:e",
           "and(id='abc' device='d' source='s' source_info='i' server='v' error='e')");
    PARSES("confidence<0.5", "confidence=-inf..0.5");
    PARSES("latency<=0.25 latency>=0.1", "and(latency=-inf..0.25 latency=0.1..inf)");
    PARSES("detections:0 index:3", "and(detections=0 index=3)");
    PARSES("confidence:0.2..0.4", "confidence=0.2..0.4");
    PARSES("partial:true -picture:true", "and(partial=1 not(picture=1))");
    PARSES("has:partial has:picture has:error has:detections",
           "and(partial=1 picture=1 error=present detections=1..inf)");
    PARSES("time>=2026-11-21", "time=1.7952192e+15..inf");
    PARSES("time:2026-11-21..2026-11-22", "time=1.7952192e+15..1.7953056e+15");
    PARSES("time>\"2026-11-21T00:00:00+01:00\"", "time=1.7952156e+15..inf");
}

static void open_ends_are_the_next_number(void **state) {
    (void)state;
    const struct filter *f;
    struct filter_error where;
    struct err e;
    assert_true(filter_parse(&arena, STR("confidence<0.5"), &f, &where, &e));
    assert_true(range_holds(f->test.matches[0].range, 0.49999999999999994));
    assert_false(range_holds(f->test.matches[0].range, 0.5));
    assert_true(filter_parse(&arena, STR("confidence<=0.5"), &f, &where, &e));
    assert_true(range_holds(f->test.matches[0].range, 0.5));
    assert_true(filter_parse(&arena, STR("confidence>0.5"), &f, &where, &e));
    assert_false(range_holds(f->test.matches[0].range, 0.5));
    assert_true(range_holds(f->test.matches[0].range, 0.5000000000000001));
    assert_false(range_holds(f->test.matches[0].range, NAN));
}

static void classes(void **state) {
    (void)state;
    PARSES("class:bottle", "class='bottle'");
    PARSES("class:bottle>=2", "class='bottle'#2..inf");
    PARSES("class:bottle[confidence>=0.5]", "class='bottle'[0.5..inf]");
    PARSES("class:bottle[confidence>=0.5 confidence<=0.75]>=2", "class='bottle'[0.5..0.75]#2..inf");
    PARSES("class:(cup or \"wine glass\")<=3", "class='cup'|'wine glass'#-inf..3");
    PARSES("-class:person", "not(class='person')");
    PARSES("has:class", "class=present");
    FAILS("class:bottle[", "13: confidence and a comparison");
    FAILS("class:bottle[confidence]", "23: '<', '<=', '>' or '>='");
    FAILS("class:bottle[confidence>0.5", "27: ']'");
    FAILS("class:bottle[width>5]", "13: confidence and a comparison");
    FAILS("class>2", "5: ':' (class has no order)");
    FAILS("class:bottle>=many", "14: a number");
}

static void quotes(void **state) {
    (void)state;
    PARSES("metadata.\"any name\":x", "{any name}='x'");
    PARSES("\"any name\":\"a value\"", "{any name}='a value'");
    PARSES("metadata.model:x", "{model}='x'");
    PARSES("\"metadata.x\":y", "{metadata.x}='y'");
    PARSES("metadata.\"metadata.x\":y", "{metadata.x}='y'");
    PARSES("a:\"say \\\"hi\\\" \\\\ C:\\dir\"", "{a}='say \"hi\" \\ C:\\dir'");
    PARSES("a:\"\"", "{a}=''");
    PARSES("a:\"A1*\"", "{a}='A1*'");
    PARSES("a:\"1..2\"", "{a}='1..2'");
    PARSES("\"(x)\"", "any='(x)'");
    PARSES("a:b:c", "{a}='b:c'");
    PARSES("a:-5", "{a}='-5'");
    PARSES("ort:m\xc3\xbcnchen", "{ort}='m\xc3\xbcnchen'");
    FAILS("a:\"open", "7: '\"' to close the quote that opens at byte 2");
    FAILS("a:b\"c\"", "3: a blank, or quotes around the value");
}

static void patterns_and_ranges(void **state) {
    (void)state;
    PARSES("serial:A1*", "{serial}=~A1*");
    PARSES("serial:*A1*", "{serial}=~*A1*");
    PARSES("t:80..120", "{t}=80..120");
    PARSES("t:-5..-1.5", "{t}=-5..-1.5");
    PARSES("t:1e3", "{t}='1e3'");
    PARSES("t:a..b", "{t}='a..b'");
    PARSES("t:..5", "{t}='..5'");
    PARSES("t > 5", "{t}=5..inf");
    FAILS("t:120..80", "2: the smaller end of the range first");
    FAILS("confidence:high", "11: a number");
    FAILS("confidence:A*", "11: a number");
    FAILS("t>night", "2: a number");
    FAILS("time>yesterday", "5: a time such as 2026-11-21 or \"2026-11-21T06:00:00Z\"");
    FAILS("partial:maybe", "8: true or false");
    FAILS("model>5", "5: ':' (model has no order)");
}

static void errors_say_where(void **state) {
    (void)state;
    FAILS("a:", "2: a value");
    FAILS("a: b", "2: a value");
    FAILS(":b", "0: a field name or a value");
    FAILS("-", "1: a field name or a value");
    FAILS("a:x )", "4: nothing behind the last clause, or '(' before it");
    FAILS("(a:x", "4: ')'");
    FAILS("()", "1: a field name or a value");
    FAILS("a:x or", "6: a field name or a value");
    FAILS("a:x and", "7: a field name or a value");
    FAILS("a:(x y)", "5: \"or\" or ')'");
    FAILS("metadata.:x", "9: the name of a metadata field");
    FAILS("metadata.x", "10: ':' or a comparison");
    FAILS("has:", "4: a field name");
    FAILS("a[0]:x", "1: a blank, or quotes around the value");
    FAILS("a:\xff", "2: UTF-8");
    struct filter_error where;
    struct err e = {0};
    const struct filter *f;
    assert_false(filter_parse(&arena, STR("confidence<"), &f, &where, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.msg, "filter: expected a number at byte 11");
}

static char *repeat(const char *head, const char *piece, size_t times, const char *tail) {
    struct buf b = {0};
    buf_addz(&b, head);
    for (size_t i = 0; i < times; i++) buf_addz(&b, piece);
    buf_addz(&b, tail);
    char *text = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(&b)));
    buf_free(&b);
    return text;
}

static bool accepts(const char *text) {
    const struct filter *f;
    struct filter_error where;
    struct err e;
    return filter_parse(&arena, str_of(text), &f, &where, &e);
}

static void limits(void **state) {
    (void)state;
    assert_true(accepts(repeat("a:", "x", FILTER_MAX_BYTES - 2, "")));
    assert_false(accepts(repeat("a:", "x", FILTER_MAX_BYTES - 1, "")));
    assert_true(accepts(repeat("", "a:x ", FILTER_MAX_MATCHES, "")));
    assert_false(accepts(repeat("", "a:x ", FILTER_MAX_MATCHES + 1, "")));
    assert_true(accepts(repeat("a:(", "x or ", FILTER_MAX_MATCHES - 1, "x)")));
    assert_false(accepts(repeat("a:(", "x or ", FILTER_MAX_MATCHES, "x)")));
    assert_true(accepts(repeat(repeat("", "(", FILTER_MAX_DEPTH, "a:x"), ")", FILTER_MAX_DEPTH, "")));
    assert_true(accepts(repeat("", "(a:x) ", FILTER_MAX_DEPTH + 1, "")));
    assert_false(accepts(repeat(repeat("", "(", FILTER_MAX_DEPTH + 1, "a:x"), ")", FILTER_MAX_DEPTH + 1, "")));
}

static void spellings(void **state) {
    (void)state;
    struct filter *x, *y, *z;
    struct err e;
    assert_true(filter_is_name(STR("model")));
    assert_true(filter_is_name(STR("metadata.camera location")));
    assert_false(filter_is_name(STR("metadata.")));
    assert_false(filter_is_name(STR("camera_location")));
    assert_true(filter_equals(&arena, STR("metadata.serial"), STR("A1* 1..2 \"q\""), &x, &e));
    assert_string_equal(parsed(x), "{serial}='A1* 1..2 \"q\"'");
    assert_true(filter_equals(&arena, STR("model"), STR("coco"), &y, &e));
    assert_true(filter_equals(&arena, STR("model"), STR("cards"), &z, &e));
    x->next = y;
    y->next = z;
    assert_string_equal(parsed(filter_join(&arena, x)),
                        "and({serial}='A1* 1..2 \"q\"' or(model='coco' model='cards'))");
    assert_false(filter_equals(&arena, STR("confidence"), STR("high"), &x, &e));
    assert_string_equal(e.msg, "confidence: expected a number");
}

static bool holds(const char *text, struct value v) {
    const struct filter *f;
    struct filter_error where;
    struct err e;
    assert_true(filter_parse(&arena, str_of(arena_printf(&arena, "f:%s", text)), &f, &where, &e));
    return match_value(&f->test.matches[0], &v);
}

#define S(z) ((struct value){.type = VALUE_STRING, .text = STR(z)})
#define N(v) ((struct value){.type = VALUE_NUMBER, .number = (v)})
#define B(v) ((struct value){.type = VALUE_BOOL, .truth = (v)})

static void typed_text_matches_either_type(void **state) {
    (void)state;
    assert_true(holds("5", S("5")));
    assert_true(holds("5", N(5)));
    assert_true(holds("5.0", N(5)));
    assert_false(holds("5.0", S("5")));
    assert_false(holds("+5", N(5)));
    assert_true(holds("true", B(true)));
    assert_true(holds("true", S("true")));
    assert_false(holds("true", B(false)));
    assert_false(holds("1", B(true)));
    assert_false(holds("True", B(true)));
    assert_true(holds("\"\"", S("")));
    assert_false(holds("\"\"", N(0)));
    assert_false(holds("false", (struct value){0}));
}

static void ranges_take_numbers_and_numeric_strings(void **state) {
    (void)state;
    assert_true(holds("80..120", N(80)));
    assert_true(holds("80..120", N(120)));
    assert_false(holds("80..120", N(120.5)));
    assert_true(holds("80..120", S("100")));
    assert_true(holds("80..120", S("1e2")));
    assert_false(holds("80..120", S("100 ")));
    assert_false(holds("80..120", S("0100")));
    assert_false(holds("80..120", S("+100")));
    assert_false(holds("80..120", S("100.")));
    assert_false(holds("0..1", B(true)));
}

static void stars_match_strings(void **state) {
    (void)state;
    assert_true(holds("A1*", S("A1")));
    assert_true(holds("A1*", S("A17")));
    assert_false(holds("A1*", S("xA1")));
    assert_true(holds("*A1*", S("xA1y")));
    assert_true(holds("*A1", S("xA1")));
    assert_false(holds("*A1", S("A1x")));
    assert_true(holds("A*1*Z", S("A--1--1-Z")));
    assert_false(holds("A*1*1Z", S("A-1Z")));
    assert_true(holds("*", S("")));
    assert_false(holds("aa*aa", S("aaa")));
    assert_false(holds("1*", N(12)));
}

int main(void) {
#define TEST(f) cmocka_unit_test_teardown(f, reset)
    const struct CMUnitTest tests[] = {
        TEST(clauses_are_and),
        TEST(the_same_field_again_is_or),
        TEST(groups_and_values),
        TEST(built_in_fields),
        TEST(open_ends_are_the_next_number),
        TEST(classes),
        TEST(quotes),
        TEST(patterns_and_ranges),
        TEST(errors_say_where),
        TEST(limits),
        TEST(spellings),
        TEST(typed_text_matches_either_type),
        TEST(ranges_take_numbers_and_numeric_strings),
        TEST(stars_match_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
