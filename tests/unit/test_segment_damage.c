/* Damaged segments: whatever happens to a file, it is refused when it is opened, or given up when the part is first
 * used, or found by segment_verify; nothing of it is ever served, and nothing crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/hash.h"
#include "scratch.h"
#include "segment_kit.h"
#include "segment_reseal.h"
#include "store/segment_parts.h"

static struct scratch scratch;
static struct segment_kit kit;
static struct buf file; /* of its rows */

static int begin(void **state) {
    (void)state;
    struct err e;
    hash_init();
    scratch_make(&scratch);
    segment_kit_make(&kit, 4, 40);
    assert_true(segment_kit_write(&kit, scratch.dir, "good.arrow", &e));
    file = scratch_read(scratch_path(&scratch, "good.arrow"));
    return 0;
}

static int end(void **state) {
    (void)state;
    segment_kit_free(&kit);
    buf_free(&file);
    scratch_remove(&scratch);
    return 0;
}

static struct segment *open_bytes(struct str bytes, struct err *e) {
    const char *path = scratch_path(&scratch, "bad.arrow");
    scratch_write(path, bytes);
    return segment_open(path, kit.id.store_id, kit.id.workspace, e);
}

/* Whether everything it has is served as it was made; anything else that is served ends the program. */
static bool served(const struct segment *s, struct err *e) {
    struct guard g;
    if (guard_enter(&g)) {
        segment_kit_compare(&kit, s);
        guard_leave(&g);
        return true;
    }
    *e = g.e;
    assert_ptr_equal(g.what, s);
    assert_true(strstr(e->msg, "segment 12.3") || strstr(e->msg, "reading at byte"));
    return false;
}

static void read_whatever(const struct segment *s) {
    struct arena a = {0};
    struct buf all = {0};
    (void)segment_readable(s, &a, &all);
    buf_free(&all);
    arena_free(&a);
}

/* ---- bytes ---- */

static void test_cut(void **state) {
    (void)state;
    for (size_t n = 0; n<file.n; n += n + 64> file.n - 64 ? 1 : 64) {
        struct err e = {0};
        assert_null(open_bytes((struct str){file.p, n}, &e));
        assert_int_equal(e.code, ERR_DAMAGED);
        assert_non_null(strstr(e.msg, "bad.arrow: "));
    }
}

static void test_flipped_bit(void **state) {
    (void)state;
    size_t refused = 0, given_up = 0, found = 0;
    for (size_t at = 0; at < file.n; at += at < file.n - 8192 ? 13 : 1) {
        struct err e = {0};
        char bit = (char)(1 << at % 8);
        file.p[at] ^= bit;
        struct segment *s = open_bytes(buf_str(&file), &e);
        if (!s) {
            refused++;
        } else {
            if (!served(s, &e)) given_up++;
            if (segment_verify(s, &e) && segment_verify_summary(s, &e))
                fail_msg("a flipped bit at byte %zu was not found", at);
            found++;
            segment_close(s);
        }
        assert_int_equal(e.code, ERR_DAMAGED);
        file.p[at] ^= bit;
    }
    assert_true(refused > 1000 && found > 1000 && given_up > 500);
}

/* The checksums say nothing then, the structure is all there is: no offset may lead anywhere else. */
static void test_flipped_bit_resealed(void **state) {
    (void)state;
    size_t opened = 0, sound = 0;
    for (size_t at = 0; at < file.n; at += at < file.n - 8192 ? 7 : 1) {
        struct err e = {0};
        struct buf bad = {0};
        buf_add(&bad, file.p, file.n);
        bad.p[at] ^= (char)(1 << segment_kit_random(&kit, 8));
        if (segment_reseal(bad.p, bad.n)) {
            struct segment *s = open_bytes(buf_str(&bad), &e);
            if (s) {
                opened++;
                read_whatever(s);
                sound += segment_verify(s, &e) && segment_verify_summary(s, &e);
                segment_close(s);
            }
        }
        buf_free(&bad);
    }
    assert_true(opened > 1000 && sound > 0);
}

/* ---- content that is wrong though its checksum is right ---- */

enum { DICT_OFFSETS = ARROW_BUFFERS, DICT_BYTES };

static const struct arrow_buffer *buffer_of(const struct arrow_column *c, unsigned buffer) {
    return buffer == DICT_OFFSETS ? &c->dict.offsets : buffer == DICT_BYTES ? &c->dict.bytes : &c->buffers[buffer];
}

/* Changes the good file at a place in a column, and seals it. No bytes: the whole buffer becomes zeros. */
static struct segment *changed_column(const struct arrow_column *(*find)(const struct segment *s, int which), int which,
                                      unsigned buffer, size_t at, const void *bytes, size_t n) {
    struct err e = {0};
    struct segment *good = open_bytes(buf_str(&file), &e);
    assert_non_null(good);
    const struct arrow_buffer *b = buffer_of(find(good, which), buffer);
    if (!bytes) n = b->n;
    assert_true(at + n <= b->n);
    size_t place = (size_t)((const char *)b->p - (const char *)good->parts->map) + at;
    segment_close(good);
    struct buf bad = {0};
    buf_add(&bad, file.p, file.n);
    if (bytes)
        memcpy(bad.p + place, bytes, n);
    else
        memset(bad.p + place, 0, n);
    assert_true(segment_reseal(bad.p, bad.n));
    struct segment *s = open_bytes(buf_str(&bad), &e);
    if (!s) fail_msg("%s", e.msg);
    buf_free(&bad);
    return s;
}

static const struct arrow_column *by_number(const struct segment *s, int column) { return s->parts->columns[column]; }
static const struct arrow_column *of_some_field(const struct segment *s, int kind) {
    uint32_t i = 0;
    while (i < s->field_count && !s->parts->fields[i].columns[kind]) i++;
    assert_true(i < s->field_count);
    return s->parts->fields[i].columns[kind];
}

static struct segment *changed(int column, unsigned buffer, size_t at, const void *bytes, size_t n) {
    return changed_column(by_number, column, buffer, at, bytes, n);
}

static struct segment *changed_field(int kind, unsigned buffer, size_t at, const void *bytes, size_t n) {
    return changed_column(of_some_field, kind, buffer, at, bytes, n);
}

static void finds(struct segment *s, const char *column, const char *what) {
    struct err e = {0};
    char name[100];
    snprintf(name, sizeof name, "column %s%s", column, strchr(column, '.') ? "" : ": ");
    read_whatever(s);
    assert_false(segment_verify(s, &e));
    assert_int_equal(e.code, ERR_DAMAGED);
    if (!strstr(e.msg, name) || !strstr(e.msg, what)) fail_msg("not \"%s\" and \"%s\" but %s", column, what, e.msg);
    segment_close(s);
}

static void test_wrong_values(void **state) {
    (void)state;
    static const uint32_t big = 1u << 30, one = 1;
    static const uint16_t bin = 5000, other_bin = 3;
    static const double half = 0.123456789, nan = NAN;
    static const uint64_t word = 5;
    static const uint8_t flags = 0xff;
    const unsigned V = ARROW_VALUES;
    size_t known = 0; /* a row with a latency */
    while (isnan(kit.rows[known].inf.latency_s)) known++;
    finds(changed(SEG_MODEL, V, 8, &big, 4), "model", "out of their range");
    finds(changed(SEG_D_CLASS, V, 8, &big, 4), "class", "out of their range");
    finds(changed(SEG_H_FIELD, V, 8, &big, 4), "field", "out of their range");
    finds(changed(SEG_H_VALUE, V, 8, &big, 4), "value", "out of their range");
    finds(changed(SEG_ID, V, 8, &big, 4), "id", "out of their range");
    finds(changed(SEG_ERROR, V, 8, &big, 4), "error", "out of their range");
    finds(changed(SEG_DETECTIONS, V, 8, &big, 4), "detections", "out of their range");
    finds(changed(SEG_HISTORY, V, 8, &big, 4), "history", "out of their range");
    finds(changed(SEG_D_ID, V, 8, &big, 4), "detection_id", "out of their range");
    finds(changed(SEG_D_OTHER, V, 0, &one, 4), "other", "out of their range");
    finds(changed(SEG_SAME_ID, V, 8, &one, 4), "same_id", "out of their range");
    finds(changed(SEG_SAME_ID, V, 8, &big, 4), "same_id", "out of their range");
    finds(changed(SEG_FLAGS, V, 0, &flags, 1), "flags", "out of their range");
    finds(changed(SEG_LATENCY_BIN, V, 0, &bin, 2), "latency_bin", "out of their range");
    finds(changed(SEG_CONFIDENCE_BIN, V, 0, &bin, 2), "confidence_bin", "out of their range");
    finds(changed(SEG_D_CONFIDENCE_BIN, V, 2, &bin, 2), "confidence_bin", "out of their range");
    finds(changed(SEG_TIME, V, 0, &(int64_t){INT64_MAX}, 8), "time", "not in order");
    finds(changed(SEG_TIME, V, 0, &(int64_t){INT64_MIN}, 8), "time", "the footer says other times");
    finds(changed(SEG_SEQ, V, 0, &(uint64_t){0}, 8), "seq", "the footer says other");
    finds(changed(SEG_ID_HASH, V, 0, &word, 8), "id_hash", "not that of its id");
    finds(changed(SEG_ID_BYTES, ARROW_TEXT, 0, "?", 1), "id_hash", "not that of its id");
    finds(changed(SEG_D_CONFIDENCE, V, 0, &half, 8), "confidence_bin", "a bin is wrong");
    finds(changed(SEG_LATENCY_BIN, V, known * 2, &other_bin, 2), "latency_bin", "a bin is wrong");
    finds(changed(SEG_LATENCY, V, known * 8, &nan, 8), "latency", "nulls and values contradict");
    finds(changed(SEG_MODEL_NAME, ARROW_VALID, 0, "\xff\xff", 2), "model_name", "nulls and values contradict");
    finds(changed(SEG_PICTURE, ARROW_VALID, 0, "\xff\xff", 2), "picture", "nulls and values contradict");
    finds(changed(SEG_H_SEQ, V, 0, &(uint64_t){UINT64_MAX}, 8), "seq", "not in order");
}

static void test_wrong_dictionaries(void **state) {
    (void)state;
    static const uint32_t big = 1u << 30;
    finds(changed(SEG_MODEL, DICT_OFFSETS, 4, &big, 4), "model", "offsets don't fit");
    finds(changed(SEG_MODEL, DICT_BYTES, 0, "z", 1), "model", "not sorted");
    finds(changed(SEG_H_FIELD, ARROW_VALUES, 0, NULL, 0), "field", "that no row has");
    finds(changed(SEG_H_VALUE, DICT_BYTES, 0, "\"\\u", 4), "value", "not sorted");
    finds(changed(SEG_H_VALUE, DICT_BYTES, 0, "!", 1), "value", "no JSON text of ours");
}

static void test_wrong_metadata(void **state) {
    (void)state;
    static const uint32_t big = 1u << 30;
    finds(changed_field(KIND_TEXT, ARROW_VALUES, 0, &big, 4), "metadata.", "out of their range");
    finds(changed_field(KIND_TEXT, DICT_BYTES, 0, "\xff", 1), "metadata.", "not sorted");
    finds(changed_field(KIND_NUMBER, ARROW_VALUES, 0, NULL, 0), "metadata.", "nulls and values contradict");
    finds(changed_field(KIND_BOOL, ARROW_VALID, 0, NULL, 0), "metadata.", "nulls and values contradict");
}

/* ---- a disk that fails while the segment is open ---- */

static void test_cut_while_open(void **state) {
    (void)state;
    struct err e = {0};
    guard_init(); /* here, as cmocka has put a handler of its own in place */
    struct segment *s = open_bytes(buf_str(&file), &e);
    struct segment_fold f = {.id = kit.id, .fields = kit.fields, .field_count = kit.field_count};
    assert_true(served(s, &e));
    assert_int_equal(truncate(scratch_path(&scratch, "bad.arrow"), 4096), 0);
    assert_false(served(s, &e));
    assert_non_null(strstr(e.msg, "reading at byte"));
    e.msg[0] = '\0';
    assert_false(segment_verify(s, &e));
    assert_non_null(strstr(e.msg, "reading at byte"));
    assert_false(segment_fold_write(s, &f, scratch.dir, "fold.arrow", &e));
    assert_int_equal(e.code, ERR_DAMAGED);
    assert_int_not_equal(access(scratch_path(&scratch, "fold.arrow"), F_OK), 0);
    assert_int_not_equal(access(scratch_path(&scratch, "fold.arrow.new"), F_OK), 0);
    segment_close(s);
}

static bool in_summary(const struct segment *s, size_t at) {
    const struct arrow_buffer *b = &s->parts->table.summary;
    size_t from = (size_t)((const char *)b->p - (const char *)s->parts->map);
    return at >= from && at < from + b->n;
}

/* Its rows are served, and it is told of; a fold makes it anew. */
static void mended_by_fold(struct segment *s, const struct segment_fold *f) {
    struct err e = {0};
    if (!served(s, &e) || !segment_verify(s, &e)) fail_msg("%s", e.msg);
    assert_false(segment_verify_summary(s, &e));
    if (!segment_fold_write(s, f, scratch.dir, "fold.arrow", &e)) fail_msg("%s", e.msg);
    struct segment *mended = segment_open(scratch_path(&scratch, "fold.arrow"), kit.id.store_id, kit.id.workspace, &e);
    if (!mended || !segment_verify(mended, &e) || !segment_verify_summary(mended, &e)) fail_msg("%s", e.msg);
    segment_close(mended);
}

/* What is wrong in the old version must not get into the new one under a good checksum. */
static void test_damage_is_not_folded(void **state) {
    (void)state;
    struct segment_fold f = {.id = kit.id, .fields = kit.fields, .field_count = kit.field_count};
    size_t mended = 0;
    for (size_t at = 10000; at < file.n - 8192; at += 97) {
        struct err e = {0};
        file.p[at] ^= 1;
        struct segment *s = open_bytes(buf_str(&file), &e);
        file.p[at] ^= 1;
        if (s && in_summary(s, at))
            mended_by_fold(s, &f), mended++;
        else if (s)
            assert_false(segment_fold_write(s, &f, scratch.dir, "fold.arrow", &e));
        if (!s || !in_summary(s, at)) assert_int_equal(e.code, ERR_DAMAGED);
        segment_close(s);
    }
    assert_true(mended > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_flipped_bit),
        cmocka_unit_test(test_flipped_bit_resealed),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_wrong_dictionaries),
        cmocka_unit_test(test_wrong_metadata),
        cmocka_unit_test(test_cut_while_open),
        cmocka_unit_test(test_damage_is_not_folded),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
