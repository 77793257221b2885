#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "query/answer.h"
#include "query/plan_json.h"

static struct arena arena;

static int reset(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const char *text(struct buf *b) {
    const char *s = arena_printf(&arena, STR_FMT, STR_ARG(buf_str(b)));
    buf_free(b);
    return s;
}

static bool read_plan(const char *json, struct plan *p, struct json_fault *fault) {
    json_error_t why;
    json_t *tree = json_loads(json, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    struct err e = {0};
    if (!tree) fail_msg("%s: %s at %d", json, why.text, why.position);
    bool ok = plan_from_json(&arena, tree, p, fault, &e);
    json_decref(tree);
    assert_int_equal(e.code, ok ? ERR_NONE : ERR_INVALID);
    if (!ok) assert_non_null(strstr(e.msg, fault->expected));
    return ok;
}

/* A plan as it is written after it was read; or where it was wrong and what was expected. */
static const char *written(const char *json) {
    struct plan p;
    struct json_fault fault;
    struct buf b = {0};
    if (!read_plan(json, &p, &fault)) return arena_printf(&arena, "%s: %s", fault.pointer, fault.expected);
    plan_to_json(&b, &p);
    return text(&b);
}

/* Reads `json`, which is written as `wanted`, which is written as itself. */
static void check(const char *json, const char *wanted) {
    assert_string_equal(written(json), wanted);
    assert_string_equal(written(wanted), wanted);
}
#define SAME(json) check(json, json)
#define FAILS(json, wanted) assert_string_equal(written(json), wanted)

static const char *filter(const char *json) {
    return arena_printf(&arena, "{\"filter\":%s,\"partial\":false,\"count\":{}}", json);
}
#define FILTER_SAME(json) SAME(filter(json))
#define FILTER_FAILS(json, wanted) FAILS(filter(json), wanted)

static const char *by(const char *json) {
    return arena_printf(
        &arena, "{\"partial\":false,\"groups\":[{\"by\":[%s],\"measures\":[\"inferences\"],\"limit\":1000}]}", json);
}
static const char *measures(const char *json) {
    return arena_printf(&arena, "{\"partial\":false,\"groups\":[{\"by\":[],\"measures\":[%s],\"limit\":1000}]}", json);
}

static void test_round_trips(void **state) {
    (void)state;
    SAME("{\"partial\":false,\"count\":{}}");
    SAME("{\"from\":\"2026-11-01T00:00:00.000000Z\",\"to\":\"2026-11-02T00:00:00.000001Z\",\"partial\":true,\"timeout_"
         "s\":0.25,\"count\":{}}");
    check("{\"from\":null,\"to\":null,\"filter\":null,\"list\":{\"cursor\":null}}",
          "{\"partial\":false,\"list\":{\"limit\":100}}");
    SAME("{\"partial\":false,\"list\":{\"limit\":7,\"cursor\":\"1-5f5e100-2a-ff\"}}");
    check("{\"facets\":{}}",
          "{\"partial\":false,\"facets\":{\"of\":[],\"columns\":true,\"fields\":true,\"limit\":10}}");
    check("{\"facets\":{\"of\":[\"model\",\"metadata.a b\"],\"limit\":3}}",
          "{\"partial\":false,\"facets\":{\"of\":[\"model\",\"metadata.a "
          "b\"],\"columns\":false,\"fields\":false,\"limit\":3}}");
    SAME("{\"partial\":false,\"facets\":{\"of\":[\"class\"],\"columns\":false,\"fields\":true,\"limit\":1000}}");
    check("{\"groups\":[{\"measures\":[\"inferences\"]}]}", measures("\"inferences\""));
    SAME("{\"partial\":false,\"groups\":[{\"by\":[\"model\",\"class\"],\"measures\":[\"detections\",\"avg(confidence)"
         "\"],"
         "\"order\":[\"model\",\"-avg(confidence)\",\"class\"],\"limit\":5,\"cursor\":\"2-5-1f\",\"totals\":true}]}");
    SAME("{\"partial\":false,\"groups\":[{\"by\":[],\"measures\":[\"errors\"],\"limit\":1},{\"by\":[\"device\"],"
         "\"measures\":[\"empty\"],\"limit\":10000}]}");
}

static void test_keys(void **state) {
    (void)state;
    for (enum of of = 0; of < OF_METADATA; of++)
        if (of_uses(of) & USE_KEY && of != OF_TIME && of != OF_CONFIDENCE && of != OF_PARTIAL)
            SAME(by(arena_printf(&arena, "\"%s\"", of_name(of))));
    check("{\"groups\":[{\"by\":[\"partial\"],\"measures\":[\"inferences\"]}]}",
          "{\"partial\":true,\"groups\":[{\"by\":[\"partial\"],\"measures\":[\"inferences\"],\"limit\":1000}]}");
    SAME(by("\"metadata.camera (1), left/right\""));
    check(by("\"time\",\"confidence\""),
          by("{\"key\":\"time\",\"width_s\":3600,\"offset_s\":0},{\"key\":\"confidence\",\"width\":0.05}"));
    SAME(by("{\"key\":\"time\",\"width_s\":86400,\"offset_s\":-18000}"));
    SAME(by("{\"key\":\"confidence\",\"width\":0.001}"));
    SAME(by("{\"key\":\"confidence\",\"width\":0.333}"));
    SAME(by("{\"key\":\"metadata.line\",\"top\":5},\"class\""));
    SAME(by("{\"key\":\"device\",\"top\":10000,\"top_by\":\"avg(latency)\",\"other\":false}"));
    FAILS(by("\"colour\""), "/groups/0/by/0: one of time, model, model_base, model_version, model_name, device, "
                            "source, source_info, server, error, partial, picture, "
                            "index, detections, class, confidence, metadata.NAME");
    FAILS(by("3"), "/groups/0/by/0: the name of a column, or an object with \"key\"");
    FAILS(by("\"model\",\"class\",\"server\""), "/groups/0/by: a list of at most 2 keys");
    FAILS(by("\"model\",\"model\""), "/groups/0/by/1: another column than the first key's");
    FAILS(by("\"metadata.a\",\"metadata.a\""), "/groups/0/by/1: another column than the first key's");
    FAILS(by("{\"key\":\"time\",\"width_s\":0}"), "/groups/0/by/0/width_s: a whole number from 1 to 3162240000");
    FAILS(by("{\"key\":\"time\",\"width_s\":1.5}"), "/groups/0/by/0/width_s: a whole number from 1 to 3162240000");
    FAILS(by("{\"key\":\"time\",\"offset_s\":604801}"),
          "/groups/0/by/0/offset_s: a whole number from -604800 to 604800");
    FAILS(by("{\"key\":\"time\",\"width\":1}"), "/groups/0/by/0/width: one of \"key\", \"width_s\", \"offset_s\"");
    FAILS(by("{\"key\":\"confidence\",\"width\":0.0005}"),
          "/groups/0/by/0/width: a width from 0.001 to 1, in whole thousandths");
    FAILS(by("{\"key\":\"confidence\",\"width\":0.0125}"),
          "/groups/0/by/0/width: a width from 0.001 to 1, in whole thousandths");
    FAILS(by("{\"key\":\"device\",\"top\":0}"), "/groups/0/by/0/top: a whole number from 1 to 10000");
    FAILS(by("{\"key\":\"device\",\"other\":false}"), "/groups/0/by/0/other: \"top\" beside it");
    FAILS(by("{\"key\":\"device\",\"top_by\":\"errors\"}"), "/groups/0/by/0/top_by: \"top\" beside it");
    FAILS(by("{\"key\":\"device\",\"top\":1,\"top_by\":\"newest(model)\"}"),
          "/groups/0/by/0/top_by: a measure that is a number");
}

static void test_measures(void **state) {
    (void)state;
    SAME(measures("\"inferences\",\"errors\",\"empty\",\"detections\""));
    SAME(measures("\"distinct(id)\",\"distinct(metadata.serial, "
                  "(old))\",\"sum(metadata.n)\",\"avg(monitoring_latency)\",\"min(time)\",\"max(latency)\""));
    SAME(
        measures("\"quantile(confidence,0.5)\",\"quantile(latency,0.999)\",\"histogram(latency)\",\"newest(server)\""));
    check(measures("\"quantile(latency, 5e-1)\""), measures("\"quantile(latency,0.5)\""));
    check(measures("\"stats\""), measures("\"inferences\",\"errors\",\"empty\",\"detections\",\"avg(monitoring_"
                                          "confidence)\",\"avg(monitoring_latency)\",\"avg(confidence)\","
                                          "\"avg(latency)\",\"max(time)\",\"newest(model_name)\",\"quantile(confidence,"
                                          "0.5)\",\"quantile(latency,0.5)\",\"quantile(latency,0.95)\","
                                          "\"quantile(latency,0.99)\""));
    const char *unknown = "/groups/0/measures/0: a count (inferences, errors, empty, detections), stats, or distinct, "
                          "sum, avg, min, max, quantile, histogram or "
                          "newest of a (column)";
    FAILS(measures("\"count\""), unknown);
    FAILS(measures("5"), unknown);
    FAILS(measures("\"median(latency)\""), unknown);
    FAILS(measures("\"sum(latency\""), unknown);
    FAILS(measures("\"sum(device)\""),
          "/groups/0/measures/0: in sum one of detections, confidence, latency, metadata.NAME");
    FAILS(measures("\"avg(time)\""), "/groups/0/measures/0: in avg one of detections, confidence, latency, "
                                     "monitoring_confidence, monitoring_latency, metadata.NAME");
    FAILS(measures("\"min(metadata.)\""),
          "/groups/0/measures/0: in min one of time, detections, confidence, latency, metadata.NAME");
    FAILS(measures("\"quantile(metadata.n,0.5)\""), "/groups/0/measures/0: in quantile one of confidence, latency");
    FAILS(measures("\"quantile(latency)\""), "/groups/0/measures/0: quantile(column,q) with q from 0 to 1");
    FAILS(measures("\"quantile(latency,1.01)\""), "/groups/0/measures/0: quantile(column,q) with q from 0 to 1");
    FAILS(measures(""), "/groups/0/measures: a list of at least one measure");
    FAILS(measures("\"stats\",\"stats\",\"stats\",\"stats\",\"stats\""), "/groups/0/measures/4: at most 64 measures");
    FAILS("{\"groups\":[{\"by\":[\"class\"],\"measures\":[\"inferences\",\"avg(detections)\"]}]}",
          "/groups/0/measures/1: another measure: beside the key class there is one class, and its detections count");
    FAILS("{\"groups\":[{\"by\":[\"device\",\"class\"],\"measures\":[\"distinct(class)\"]}]}",
          "/groups/0/measures/0: another measure: beside the key class there is one class, and its detections count");
}

static void test_what_is_wrong_is_named(void **state) {
    (void)state;
    FAILS("[]", ": an object");
    FAILS("\"count\"", ": an object");
    FAILS("{}", ": one of \"list\", \"count\", \"groups\" and \"facets\"");
    FAILS("{\"count\":{},\"list\":{}}", ": only one of \"list\", \"count\", \"groups\" and \"facets\"");
    FAILS("{\"count\":{},\"form\":1}", "/form: one of \"from\", \"to\", \"filter\", \"partial\", \"timeout_s\", "
                                       "\"list\", \"count\", \"groups\", \"facets\"");
    FAILS("{\"count\":{\"a/b~\":1}}", "/count/a~1b~0: nothing");
    FAILS("{\"count\":{},\"from\":\"yesterday\"}", "/from: a time such as \"2026-11-21T06:00:00Z\" (RFC 3339)");
    FAILS("{\"count\":{},\"to\":5}", "/to: a time such as \"2026-11-21T06:00:00Z\" (RFC 3339)");
    FAILS("{\"count\":{},\"from\":\"2026-01-02\",\"to\":\"2026-01-01\"}", "/from: a time that is not after \"to\"");
    FAILS("{\"count\":{},\"partial\":1}", "/partial: true or false");
    FAILS("{\"count\":{},\"timeout_s\":0}", "/timeout_s: seconds from 0.001 to 3600");
    FAILS("{\"list\":{\"limit\":0}}", "/list/limit: a whole number from 1 to 1000");
    FAILS("{\"list\":{\"limit\":1001}}", "/list/limit: a whole number from 1 to 1000");
    FAILS("{\"list\":{\"cursor\":\"2-0-1\"}}", "/list/cursor: one that an earlier answer gave as next_cursor");
    FAILS("{\"groups\":{}}", "/groups: a list of 1 to 16 groupings");
    FAILS("{\"groups\":[]}", "/groups: a list of 1 to 16 groupings");
    FAILS("{\"groups\":[5]}", "/groups/0: an object");
    FAILS("{\"groups\":[{\"measures\":[\"errors\"],\"order\":[\"inferences\"]}]}",
          "/groups/0/order/0: a key or measure of this grouping as it is written there, with \"-\" before it for the "
          "greatest first");
    FAILS("{\"groups\":[{\"measures\":[\"histogram(latency)\"],\"order\":[\"histogram(latency)\"]}]}",
          "/groups/0/order/0: a key or measure of this grouping as it is written there, with \"-\" before it for the "
          "greatest first");
    FAILS("{\"groups\":[{\"measures\":[\"errors\"]},{\"measures\":[\"errors\"],\"cursor\":\"2-1-1\"}]}",
          "/groups/1/cursor: no cursor where there are several groupings");
    FAILS("{\"groups\":[{\"measures\":[\"errors\"],\"cursor\":\"1-0-0-0\"}]}",
          "/groups/0/cursor: one that an earlier answer gave as next_cursor");
    FAILS("{\"groups\":[{\"measures\":[\"errors\"],\"limit\":10001}]}",
          "/groups/0/limit: a whole number from 1 to 10000");
    FAILS("{\"facets\":{\"of\":[\"latency\"]}}", "/facets/of/0: one of model, model_name, device, source, source_info, "
                                                 "server, error, partial, picture, class, metadata.NAME");
    FAILS("{\"facets\":{\"of\":\"model\"}}", "/facets/of: a list of at most 64 columns");
}

/* ---- filters ---- */

static void test_filters(void **state) {
    (void)state;
    FILTER_SAME("{\"field\":\"model\",\"any\":[\"coco\",{\"glob\":\"a*\"},{\"present\":true}]}");
    FILTER_SAME("{\"field\":\"metadata.shift\",\"any\":[\"5\",5,true,false,{\"text\":\"5\"},{\"glob\":\"*\"},{"
                "\"present\":true},{\">=\":1,\"<\":2}]}");
    FILTER_SAME("{\"field\":\"class\",\"any\":[\"bottle\"],\"confidence\":{\">\":0.5},\"count\":{\">=\":2}}");
    FILTER_SAME("{\"field\":\"class\",\"any\":[\"bottle\"],\"count\":{\"<\":1}}");
    FILTER_SAME("{\"field\":\"time\",\"any\":[{\">\":\"2026-11-21T00:00:00.000000Z\",\"<=\":\"2026-11-22T00:00:00."
                "000000Z\"}]}");
    FILTER_SAME("{\"field\":\"time\",\"any\":[{\">=\":\"2026-11-21T00:00:00.000000Z\",\"<\":\"2026-11-22T00:00:00."
                "000000Z\"},\"2026-11-22T00:00:00.000001Z\"]}");
    FILTER_SAME("{\"field\":\"error\",\"any\":[{\"present\":true}]}");
    FILTER_SAME("{\"word\":\"a b\"}");
    FILTER_SAME("{\"and\":[{\"not\":{\"or\":[{\"word\":\"a\"},{\"word\":\"b\"}]}},{\"field\":\"latency\",\"any\":[0.25,"
                "{\"present\":true}]}]}");
    check(filter("{\"field\":\"detections\",\"any\":[{\"present\":true}]}"),
          filter("{\"field\":\"detections\",\"any\":[{\">=\":1}]}"));
    check(filter("{\"and\":[\"a:b\",{\"word\":\"c\"}]}"),
          filter("{\"and\":[{\"field\":\"metadata.a\",\"any\":[{\"text\":\"b\"}]},{\"word\":\"c\"}]}"));
    check(filter("\"\""), "{\"partial\":false,\"count\":{}}");
    check("{\"filter\":\"partial:false\",\"count\":{}}",
          "{\"filter\":{\"field\":\"partial\",\"any\":[false]},\"partial\":true,\"count\":{}}");
    check("{\"filter\":\"-has:picture\",\"count\":{}}",
          "{\"filter\":{\"not\":{\"field\":\"picture\",\"any\":[true]}},\"partial\":false,\"count\":{}}");
}

static void test_filters_that_are_wrong(void **state) {
    (void)state;
    const char *node =
        "/filter: text, or an object with \"field\" and \"any\", or with one of \"and\", \"or\", \"not\", \"word\"";
    FILTER_FAILS("5", node);
    FILTER_FAILS("[]", node);
    FILTER_FAILS("{\"and\":[\"a\"],\"or\":[\"b\"]}", node);
    FILTER_FAILS("{\"nand\":[]}", node);
    FILTER_FAILS("{\"and\":[]}", "/filter/and: a list of at least one filter");
    FILTER_FAILS("{\"or\":[{\"word\":\"x\"},{\"not\":{\"word\":1}}]}", "/filter/or/1/not/word: a string");
    FILTER_FAILS("{\"and\":[\"\"]}", "/filter/and/0: a filter that says something");
    FILTER_FAILS("\"a:b c<d\"", "/filter: a number at byte 6 of the text");
    FILTER_FAILS("{\"field\":\"shift\",\"any\":[1]}", "/filter/field: the name of a column, or metadata.NAME");
    FILTER_FAILS("{\"field\":\"metadata.\",\"any\":[1]}", "/filter/field: the name of a column, or metadata.NAME");
    FILTER_FAILS("{\"field\":\"model\"}", "/filter/any: a list of at least one match");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[]}", "/filter/any: a list of at least one match");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[5]}", "/filter/any/0: a string or an object");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[{\">\":5}]}",
                 "/filter/any/0: \"text\", \"glob\" or \"present\" (model has no order)");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[{\"glob\":5}]}", "/filter/any/0/glob: a string");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[{\"glob\":\"a\",\"text\":\"b\"}]}",
                 "/filter/any/0: one of \"text\", \"glob\" and \"present\", and nothing else");
    FILTER_FAILS("{\"field\":\"model\",\"any\":[{\"present\":false}]}",
                 "/filter/any/0/present: true; {\"not\": ...} around it says the opposite");
    FILTER_FAILS("{\"field\":\"latency\",\"any\":[\"5\"]}", "/filter/any/0: a number");
    FILTER_FAILS("{\"field\":\"latency\",\"any\":[{\"text\":\"5\"}]}",
                 "/filter/any/0: a value, a range or \"present\"");
    FILTER_FAILS("{\"field\":\"latency\",\"any\":[{}]}",
                 "/filter/any/0: an object with \">\", \">=\", \"<\" or \"<=\"");
    FILTER_FAILS("{\"field\":\"latency\",\"any\":[{\"=>\":1}]}", "/filter/any/0/=>: \">\", \">=\", \"<\" or \"<=\"");
    FILTER_FAILS("{\"field\":\"latency\",\"any\":[{\">=\":2,\"<=\":1}]}",
                 "/filter/any/0: a range that something can be in");
    FILTER_FAILS("{\"field\":\"time\",\"any\":[5]}", "/filter/any/0: a time such as \"2026-11-21T06:00:00Z\"");
    FILTER_FAILS("{\"field\":\"partial\",\"any\":[1]}", "/filter/any/0: true or false");
    FILTER_FAILS("{\"field\":\"partial\",\"any\":[{\">\":0}]}", "/filter/any/0: true or false");
    FILTER_FAILS("{\"field\":\"metadata.a\",\"any\":[null]}",
                 "/filter/any/0: a string, a number, a boolean or an object");
    FILTER_FAILS("{\"field\":\"metadata.a\",\"any\":[1],\"count\":{\">\":1}}",
                 "/filter/count: only \"field\" and \"any\"; of a class also \"confidence\" and \"count\"");
    FILTER_FAILS("{\"field\":\"class\",\"any\":[\"a\"],\"count\":2}",
                 "/filter/count: an object with \">\", \">=\", \"<\" or \"<=\"");
}

/* What the language says survives JSON: both trees have one JSON. */
static void test_the_language_as_json(void **state) {
    (void)state;
    static const char *const texts[] = {
        "model:coco camera_location:canada confidence<0.5 -shift:night class:bottle[confidence>0.5]>=2",
        "serial_number:A1* has:operator (source:line1 or device:\"cam 7\") temperature:80..120 metadata.\"any name\":x",
        "a b \"c d\" -e -(f or g:h)",
        "has:class has:detections has:partial has:picture has:latency -has:error has:time",
        "time>2026-11-21 time<=\"2026-11-21T06:00:00Z\" time:2026-11-21..2026-11-22",
        "n>0.1 n<0.1 n>=1e300 n<=-5 n:0.1 n>1e-300 latency>0.3 latency:0.30000000000000004",
        "class:(a or b*)[confidence>=0.25 confidence<0.75]<3 partial:true picture:false index:3",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct filter *f;
        struct filter_error where;
        struct err e = {0};
        struct buf b = {0};
        assert_true(filter_parse(&arena, str_of(texts[i]), &f, &where, &e));
        filter_to_json(&b, f);
        const char *tree = filter(text(&b));
        struct plan p;
        struct json_fault fault;
        assert_true(read_plan(tree, &p, &fault));
        struct buf again = {0};
        filter_to_json(&again, p.filter);
        assert_string_equal(filter(text(&again)), tree);
    }
}

static const char *nested(unsigned depth, const char *inner) {
    struct buf b = {0};
    for (unsigned i = 0; i < depth; i++) buf_addz(&b, "{\"not\":");
    buf_addz(&b, inner);
    for (unsigned i = 0; i < depth; i++) buf_addc(&b, '}');
    return filter(text(&b));
}

static const char *words(unsigned count) {
    struct buf b = {0};
    buf_addz(&b, "{\"field\":\"metadata.a\",\"any\":[1");
    for (unsigned i = 1; i < count; i++) buf_addz(&b, ",1");
    buf_addz(&b, "]}");
    return text(&b);
}

static void test_limits_at_and_past(void **state) {
    (void)state;
    SAME(nested(FILTER_MAX_TREE - 1, "{\"word\":\"a\"}"));
    assert_string_equal(strchr(written(nested(FILTER_MAX_TREE, "{\"word\":\"a\"}")), ':'),
                        ": at most 68 filters in one another");
    assert_string_equal(strchr(written(nested(FILTER_MAX_TREE - 1, "\"a:b c:d\"")), ':'),
                        ": at most 68 filters in one another");
    struct buf siblings = {0};
    for (int i = 0; i < 2 * FILTER_MAX_TREE; i++) buf_printf(&siblings, "%s{\"not\":{\"word\":\"a\"}}", i ? "," : "");
    const char *wide = arena_printf(&arena, "{\"or\":[%s]}", text(&siblings));
    FILTER_SAME(wide);
    SAME(filter(words(256)));
    FILTER_FAILS(words(257), "/filter/any: at most 256 values in one filter");
    FILTER_FAILS(arena_printf(&arena, "{\"and\":[%s,{\"word\":\"a\"}]}", words(256)),
                 "/filter/and/1/word: at most 256 values in one filter");
    FILTER_FAILS(arena_printf(&arena, "{\"and\":[%s,\"a\"]}", words(256)),
                 "/filter/and/1: at most 256 values in one filter");
}

/* ---- what the words mean ---- */

static void test_buckets(void **state) {
    (void)state;
    struct key hour = {.subject = {.of = OF_TIME}, .width_us = 3600, .offset_us = 0};
    assert_int_equal(key_bucket(&hour, 7199), 3600);
    assert_int_equal(key_bucket(&hour, 7200), 7200);
    assert_int_equal(key_bucket(&hour, -1), -3600);
    hour.offset_us = 1800;
    assert_int_equal(key_bucket(&hour, 1799), -1800);
    assert_int_equal(key_bucket(&hour, 1800), 1800);
    hour.offset_us = -600;
    assert_int_equal(key_bucket(&hour, 599), -3000);
    assert_int_equal(key_bucket(&hour, 600), 600);
}

static void test_bins_of_confidence(void **state) {
    (void)state;
    for (uint32_t w = 1; w <= 1000; w++) {
        struct key k = {.subject = {.of = OF_CONFIDENCE}, .width_thousandths = w};
        uint32_t count = key_bins(&k);
        assert_true(key_bin_value(&k, count - 1) < 1 && key_bin_value(&k, count) >= 1);
        for (uint32_t i = 0; i < count; i++) {
            double edge = key_bin_value(&k, i);
            assert_int_equal(key_bin(&k, edge), i);
            if (i) assert_int_equal(key_bin(&k, nextafter(edge, 0)), i - 1);
        }
        assert_int_equal(key_bin(&k, 1), count - 1);
        assert_int_equal(key_bin(&k, 1e300), count - 1);
        assert_int_equal(key_bin(&k, -5), 0);
    }
}

static void test_models(void **state) {
    (void)state;
    static const char *const cases[][3] = {{"coco/24", "coco", "24"}, {"a/b/c", "a/b", "c"},
                                           {"yolo", "yolo", ""},      {"", "", ""},
                                           {"x/", "x", ""},           {"/1", "", "1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(str_is(model_base(str_of(cases[i][0])), cases[i][1]));
        assert_true(str_is(model_version(str_of(cases[i][0])), cases[i][2]));
    }
}

static void test_cursors(void **state) {
    (void)state;
    struct plan p;
    struct json_fault fault;
    assert_true(read_plan("{\"list\":{\"cursor\":\"1-5-6-7\"}}", &p, &fault));
    assert_true(p.after.set && p.after.time_us == 5 && p.after.seq == 6 && p.as_of == 7);
    assert_true(read_plan("{\"groups\":[{\"measures\":[\"errors\"],\"cursor\":\"2-5-7\"}]}", &p, &fault));
    assert_true(p.groupings[0].skip == 5 && p.as_of == 7);
    uint32_t skip;
    uint64_t as_of;
    struct buf b = {0};
    group_cursor_write(&b, 4000000000u, UINT64_MAX);
    assert_true(group_cursor_read(buf_str(&b), &skip, &as_of) && skip == 4000000000u && as_of == UINT64_MAX);
    buf_free(&b);
    static const char *const wrong[] = {
        "", "2", "2-1", "2-1-1-1", "1-1-1", "2-100000000-1", "2--1", "2-1-11111111111111111", "2-1-G"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(group_cursor_read(str_of(wrong[i]), &skip, &as_of));
}

/* ---- order ---- */

#define VALUE(...) \
    { KEY_VALUE, {__VA_ARGS__}, 0 }
static struct key_value shuffled[] = {
    {.kind = KEY_OTHER},
    VALUE(.type = VALUE_STRING, .text = STR("b")),
    {.kind = KEY_NONE},
    VALUE(.type = VALUE_NUMBER, .number = 10),
    VALUE(.type = VALUE_BOOL, .truth = true),
    VALUE(.type = VALUE_STRING, .text = STR("a")),
    VALUE(.type = VALUE_NUMBER, .number = -1),
    VALUE(.type = VALUE_BOOL, .truth = false),
};
enum { SHUFFLED = sizeof shuffled / sizeof *shuffled };

static const char *names(const struct group_list *list) {
    struct buf b = {0};
    for (size_t i = 0; i < list->count; i++) {
        const struct key_value *k = &list->groups[i].keys[0];
        if (b.n) buf_addc(&b, ' ');
        if (k->kind == KEY_VALUE)
            buf_add_str(&b, k->value.type == VALUE_STRING
                                ? k->value.text
                                : str_of(k->value.type == VALUE_BOOL ? k->value.truth ? "true" : "false"
                                         : k->value.number > 0       ? "10"
                                                                     : "-1"));
        else
            buf_addz(&b, k->kind == KEY_NONE ? "none" : "other");
    }
    return text(&b);
}

static struct group_list shuffle(struct cell *cells) {
    static struct group groups[SHUFFLED];
    for (size_t i = 0; i < SHUFFLED; i++) groups[i] = (struct group){{shuffled[i]}, &cells[i]};
    return (struct group_list){groups, SHUFFLED, 0, NULL};
}

static void test_order(void **state) {
    (void)state;
    struct measure average = {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}};
    struct grouping g = {.key_count = 1, .measures = &average, .measure_count = 1};
    struct cell cells[SHUFFLED] = {
        {.known = true, .number = 9}, {.known = true, .number = 1}, {.known = true, .number = 1}, {.known = false},
        {.known = true, .number = 3}, {.known = true, .number = 1}, {.known = true, .number = 2}, {.known = false}};
    struct group_list list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_string_equal(names(&list), "false true -1 10 a b none other");
    g.order_count = 1;
    g.orders[0] = (struct order){0, true};
    list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_string_equal(names(&list), "b a 10 -1 true false none other");
    g.orders[0] = (struct order){1, false};
    list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_string_equal(names(&list), "a b none -1 true other false 10");
    g.orders[0].descending = true;
    list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_string_equal(names(&list), "other true -1 a b none false 10");
    g.skip = 2;
    g.limit = 3;
    list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_string_equal(names(&list), "-1 a b");
    assert_int_equal(list.all, SHUFFLED);
    g.skip = 100;
    list = shuffle(cells);
    group_list_finish(&g, &list);
    assert_int_equal(list.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_round_trips, reset),
        cmocka_unit_test_teardown(test_keys, reset),
        cmocka_unit_test_teardown(test_measures, reset),
        cmocka_unit_test_teardown(test_what_is_wrong_is_named, reset),
        cmocka_unit_test_teardown(test_filters, reset),
        cmocka_unit_test_teardown(test_filters_that_are_wrong, reset),
        cmocka_unit_test_teardown(test_the_language_as_json, reset),
        cmocka_unit_test_teardown(test_limits_at_and_past, reset),
        cmocka_unit_test_teardown(test_buckets, reset),
        cmocka_unit_test_teardown(test_bins_of_confidence, reset),
        cmocka_unit_test_teardown(test_models, reset),
        cmocka_unit_test_teardown(test_cursors, reset),
        cmocka_unit_test_teardown(test_order, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
