/* The binary form of inferences and attaches: what goes in comes out; what is cut short, or longer, or of another
 * version is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "record/record.h"

/* ---- inferences ---- */

static const uint8_t hash[32] = {0xff, 1, 2, 3, [31] = 0x80};

static const struct detection detections[] = {
    {.class_name = STR("bottle"),
     .class_id = 3,
     .confidence = 0.910000000000001,
     .has_box = true,
     .x = 320.5,
     .y = -240.25,
     .width = 1e-300,
     .height = 80,
     .detection_id = STR("d-1"),
     .other = STR("{\"points\":[{\"x\":1,\"y\":2}]}")},
    {.class_name = STR(""), .class_id = -1, .confidence = NAN},
    {.class_name = STR("\xc3\xa4"), .class_id = INT64_MAX, .confidence = 0, .has_box = false},
    {.class_name = STR("box at the corner"), .class_id = 0, .confidence = 1, .has_box = true},
};

static struct inference whole(void) {
    return (struct inference){
        .id = STR("5b6c2c0e-0000-4000-8000-000000000001"),
        .model_id = STR("line-3/7"),
        .model_name = STR("A name"),
        .model_sha256 = STR("0011"),
        .index = UINT32_MAX,
        .assign_index = true,
        .partial = true,
        .time_us = 1795289949145208,
        .latency_s = 0.0125,
        .width = 1920,
        .height = 1080,
        .device_id = STR("edge-7"),
        .source = STR("plc"),
        .source_info = STR("cam\0"
                           "1"),
        .server_id = STR("srv"),
        .server_version = STR("1.5.0"),
        .error = STR("no light"),
        .picture = hash,
        .detections = detections,
        .detection_count = 4,
    };
}

static struct inference bare(void) {
    return (struct inference){.id = STR("x"), .model_id = STR("m"), .time_us = TIME_UNKNOWN, .latency_s = NAN};
}

static void same_number(double a, double b) { assert_true(a == b || (isnan(a) && isnan(b))); }

static void same_detection(const struct detection *a, const struct detection *b) {
    assert_true(str_eq(a->class_name, b->class_name));
    assert_true(a->class_id == b->class_id);
    same_number(a->confidence, b->confidence);
    assert_int_equal(a->has_box, b->has_box);
    assert_true(a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height);
    assert_true(str_eq(a->detection_id, b->detection_id));
    assert_true(str_eq(a->other, b->other));
}

static void same_inference(const struct inference *a, const struct inference *b) {
    assert_true(str_eq(a->id, b->id));
    assert_true(str_eq(a->model_id, b->model_id));
    assert_true(str_eq(a->model_name, b->model_name));
    assert_true(str_eq(a->model_sha256, b->model_sha256));
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->assign_index, b->assign_index);
    assert_int_equal(a->partial, b->partial);
    assert_true(a->time_us == b->time_us);
    same_number(a->latency_s, b->latency_s);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_true(str_eq(a->device_id, b->device_id));
    assert_true(str_eq(a->source, b->source));
    assert_true(str_eq(a->source_info, b->source_info));
    assert_true(str_eq(a->server_id, b->server_id));
    assert_true(str_eq(a->server_version, b->server_version));
    assert_true(str_eq(a->error, b->error));
    assert_int_equal(a->picture != NULL, b->picture != NULL);
    if (a->picture) assert_memory_equal(a->picture, b->picture, 32);
    assert_int_equal(a->detection_count, b->detection_count);
    for (size_t i = 0; i < a->detection_count; i++) same_detection(&a->detections[i], &b->detections[i]);
}

/* From a copy of exactly these bytes, so that a sanitizer sees a read behind them. */
static bool decode_copy(struct str bytes, bool attach) {
    struct arena arena = {0};
    char *copy = malloc(bytes.n ? bytes.n : 1);
    if (bytes.n) memcpy(copy, bytes.p, bytes.n);
    struct inference inf;
    struct attach a;
    struct str s = {copy, bytes.n};
    bool ok = attach ? attach_decode(s, &arena, &a) : inference_decode(s, &arena, &inf);
    free(copy);
    arena_free(&arena);
    return ok;
}

static void goes_round(const struct inference *inf) {
    struct buf b = {0};
    struct arena arena = {0};
    struct inference out;
    inference_encode(&b, inf);
    assert_true(inference_decode(buf_str(&b), &arena, &out));
    same_inference(inf, &out);
    for (size_t n = 0; n < b.n; n++)
        if (decode_copy((struct str){b.p, n}, false)) fail_msg("taken although cut at byte %zu of %zu", n, b.n);
    buf_addc(&b, '\0');
    assert_false(decode_copy(buf_str(&b), false));
    buf_free(&b);
    arena_free(&arena);
}

static void an_inference_goes_round(void **state) {
    (void)state;
    struct inference inf = whole();
    goes_round(&inf);
    inf = bare();
    goes_round(&inf);
}

/* What is absent costs a bit, so each member is tried without the others. */
static void each_member_alone(void **state) {
    (void)state;
    const struct inference all = whole();
#define WITH(member)                   \
    do {                               \
        struct inference inf = bare(); \
        inf.member = all.member;       \
        goes_round(&inf);              \
    } while (0)
    WITH(model_name);
    WITH(model_sha256);
    WITH(index);
    WITH(assign_index);
    WITH(partial);
    WITH(time_us);
    WITH(latency_s);
    WITH(width);
    WITH(height);
    WITH(device_id);
    WITH(source);
    WITH(source_info);
    WITH(server_id);
    WITH(server_version);
    WITH(error);
    WITH(picture);
    struct inference inf = bare();
    inf.time_us = -1;
    goes_round(&inf);
    inf.time_us = INT64_MAX;
    goes_round(&inf);
    inf.latency_s = 0;
    goes_round(&inf);
    for (size_t i = 0; i < 4; i++) {
        inf.detections = &detections[i];
        inf.detection_count = 1;
        goes_round(&inf);
    }
}

static void long_texts_and_many_detections(void **state) {
    (void)state;
    struct arena arena = {0};
    struct buf b = {0};
    struct inference inf = bare(), out;
    struct detection *many = calloc(1000, sizeof *many);
    char *text = malloc(70000);
    for (size_t i = 0; i < 70000; i++) text[i] = (char)i;
    for (size_t i = 0; i < 1000; i++)
        many[i] = (struct detection){
            .class_id = (int64_t)i, .confidence = (double)i / 1000, .class_name = {text + i, i % 300}};
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        inf.error = (struct str){text, lengths[i]};
        inf.detections = many;
        inf.detection_count = i * 150;
        b.n = 0;
        inference_encode(&b, &inf);
        assert_true(inference_decode(buf_str(&b), &arena, &out));
        same_inference(&inf, &out);
    }
    buf_free(&b);
    free(text);
    free(many);
    arena_free(&arena);
}

/* Decoding is never a crash or a wild read, whatever bit is wrong; the sanitizers look on. */
static void every_byte_wrong(void **state) {
    (void)state;
    struct inference inf = whole();
    struct buf b = {0};
    inference_encode(&b, &inf);
    for (size_t i = 0; i < b.n; i++) {
        char was = b.p[i];
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(was ^ 1 << bit);
            bool taken = decode_copy(buf_str(&b), false);
            assert_false(i == 0 && taken); /* another version */
        }
        b.p[i] = was;
    }
    buf_free(&b);
}

/* A count that the bytes cannot hold is refused before memory is taken for it. */
static void a_count_that_lies(void **state) {
    (void)state;
    struct inference inf = bare();
    struct buf b = {0};
    struct arena arena = {0};
    struct attach a;
    inference_encode(&b, &inf);
    b.n--;
    buf_addz(&b, "\xff\xff\xff\xff\x0f");
    assert_false(inference_decode(buf_str(&b), &arena, &inf));
    b.n = 0;
    struct attach_encoder enc;
    attach_encode_begin(&enc, &b, 1, STR("f"), &(struct value){.type = VALUE_NONE});
    enc.count = UINT32_MAX;
    attach_encode_end(&enc);
    assert_false(attach_decode(buf_str(&b), &arena, &a));
    assert_int_equal(arena.total, 0);
    buf_free(&b);
    arena_free(&arena);
}

/* ---- attaches ---- */

static void attach_goes_round(const struct value *v, uint32_t key, struct str field, size_t count, size_t cuts) {
    struct buf b = {0};
    struct arena arena = {0};
    struct attach_encoder enc;
    struct attach a;
    char id[40];
    buf_addz(&b, "before"); /* a record begins behind another */
    attach_encode_begin(&enc, &b, key, field, v);
    for (size_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "id %zu", i);
        attach_encode_id(&enc, str_of(id));
    }
    attach_encode_end(&enc);
    struct str bytes = str_from(buf_str(&b), 6);
    assert_true(attach_decode(bytes, &arena, &a));
    assert_int_equal(a.key_id, key);
    assert_true(str_eq(a.field, field));
    assert_true(value_eq(&a.value, v));
    assert_int_equal(a.id_count, count);
    for (size_t i = 0; i < count; i++) {
        snprintf(id, sizeof id, "id %zu", i);
        assert_true(str_is(a.ids[i], id));
    }
    for (size_t n = 0; n < bytes.n && n < cuts; n++)
        if (decode_copy((struct str){bytes.p, n}, true)) fail_msg("taken although cut at byte %zu of %zu", n, bytes.n);
    buf_addc(&b, '\0');
    assert_false(decode_copy(str_from(buf_str(&b), 6), true));
    buf_free(&b);
    arena_free(&arena);
}

static void an_attach_goes_round(void **state) {
    (void)state;
    static const struct value values[] = {
        {.type = VALUE_NONE},
        {.type = VALUE_STRING, .text = STR("")},
        {.type = VALUE_STRING, .text = STR("any \"byte\"\0\xff")},
        {.type = VALUE_NUMBER, .number = 0},
        {.type = VALUE_NUMBER, .number = -1.25e300},
        {.type = VALUE_BOOL, .truth = true},
        {.type = VALUE_BOOL, .truth = false},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        attach_goes_round(&values[i], 1, STR("camera_location"), 3, SIZE_MAX);
        attach_goes_round(&values[i], UINT32_MAX, STR(""), 1, SIZE_MAX);
    }
    attach_goes_round(&values[2], 0, STR("f"), 0, SIZE_MAX);
    attach_goes_round(&values[2], 7, STR("f"), 20000, 100);
}

static void an_attach_with_wrong_bytes(void **state) {
    (void)state;
    struct buf b = {0};
    struct attach_encoder enc;
    attach_encode_begin(&enc, &b, 300, STR("field"), &(struct value){.type = VALUE_STRING, .text = STR("value")});
    attach_encode_id(&enc, STR("one"));
    attach_encode_id(&enc, STR("two"));
    attach_encode_end(&enc);
    size_t type_at = 1 + 2 + 1 + 5;
    assert_int_equal(b.p[type_at], VALUE_STRING);
    for (size_t i = 0; i < b.n; i++) {
        char was = b.p[i];
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(was ^ 1 << bit);
            bool taken = decode_copy(buf_str(&b), true);
            assert_false(taken && i == 0);
            assert_false(taken && i == type_at); /* another type, or a type that there is not */
        }
        b.p[i] = was;
    }
    /* A key that does not fit its 32 bits. */
    b.n = 0;
    buf_add(&b,
            "\x01\x80\x80\x80\x80\x10\x01"
            "f\x00\x00\x00\x00\x00",
            13);
    assert_false(decode_copy(buf_str(&b), true));
    b.p[5] = 0x0f;
    assert_true(decode_copy(buf_str(&b), true));
    b.n = 0;
    buf_add(&b,
            "\x01\x01\x01"
            "f\x00\x00\x00\x00\x00",
            9);
    assert_true(decode_copy(buf_str(&b), true));
    b.p[4] = VALUE_BOOL + 1;
    assert_false(decode_copy(buf_str(&b), true));
    buf_free(&b);
}

/* ---- values ---- */

static void values_of_different_type_differ(void **state) {
    (void)state;
    static const struct value all[] = {
        {.type = VALUE_NONE},
        {.type = VALUE_STRING, .text = STR("1")},
        {.type = VALUE_STRING, .text = STR("true")},
        {.type = VALUE_STRING, .text = STR("")},
        {.type = VALUE_NUMBER, .number = 1},
        {.type = VALUE_NUMBER, .number = 0},
        {.type = VALUE_BOOL, .truth = true},
        {.type = VALUE_BOOL, .truth = false},
    };
    static const char *const json[] = {"null", "\"1\"", "\"true\"", "\"\"", "1", "0", "true", "false"};
    enum { COUNT = sizeof all / sizeof *all };
    for (size_t i = 0; i < COUNT; i++) {
        struct buf b = {0};
        for (size_t k = 0; k < COUNT; k++) assert_int_equal(value_eq(&all[i], &all[k]), i == k);
        value_json(&b, &all[i]);
        assert_true(str_is(buf_str(&b), json[i]));
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inference_goes_round),
        cmocka_unit_test(each_member_alone),
        cmocka_unit_test(long_texts_and_many_detections),
        cmocka_unit_test(every_byte_wrong),
        cmocka_unit_test(a_count_that_lies),
        cmocka_unit_test(an_attach_goes_round),
        cmocka_unit_test(an_attach_with_wrong_bytes),
        cmocka_unit_test(values_of_different_type_differ),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
