/* The text that says which pictures were uploaded under an id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "record/uploads.h"

#define A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"

static struct upload all[UPLOADS_MOST];

static size_t reads(const char *text) { return uploads_read(str_of(text), all); }

static void what_is_written_is_read(void **state) {
    static const char *const texts[] = {"", A, A ":" B, A "@0", A ":" B "@4294967295", A " " B ":" A "@7 " A};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf again = {0};
        uploads_write(&again, all, reads(texts[i]));
        assert_true(str_is(buf_str(&again), texts[i]));
        buf_free(&again);
    }
}

static void what_is_no_entry_ends_the_list(void **state) {
    static const char *const bad[] = {"x",   A "0",       A "@",     A "@4294967296", A "@-1",
                                      A ":", A ":" A "x", A ":12@3", A "  " A};
    (void)state;
    assert_int_equal(reads(A " " B), 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad - 1; i++) assert_int_equal(reads(bad[i]), 0);
    assert_int_equal(reads(A "  " A), 1);
    assert_int_equal(reads(A " x " B), 1);
    struct buf many = {0};
    for (int i = 0; i <= UPLOADS_MOST; i++) buf_addz(&many, A " ");
    assert_int_equal(uploads_read(buf_str(&many), all), UPLOADS_MOST);
    buf_free(&many);
}

static void whose_a_picture_is(void **state) {
    (void)state;
    assert_null(uploads_of(all, reads(""), 0));
    size_t n = reads(A);
    assert_ptr_equal(uploads_of(all, n, 0), &all[0]);
    assert_null(uploads_of(all, n, 1));
    n = reads(A " " B "@1");
    assert_ptr_equal(uploads_of(all, n, 0), &all[0]);
    assert_ptr_equal(uploads_of(all, n, 1), &all[1]);
    n = reads(A " " B);
    assert_null(uploads_of(all, n, 0));
    n = reads(A " " B " " A "@0");
    assert_ptr_equal(uploads_of(all, n, 0), &all[2]);
}

static void count(void *ctx, const uint8_t hash[UPLOAD_HASH]) { buf_add(ctx, &hash[0], 1); }

static void each_file_is_named(void **state) {
    struct buf seen = {0};
    (void)state;
    uploads_each_picture(&(struct value){.type = VALUE_STRING, .text = STR(A " " B ":" A)}, count, &seen);
    assert_true(str_eq(buf_str(&seen), STR("\0\xff\0")));
    uploads_each_picture(&(struct value){.type = VALUE_NUMBER, .number = 1}, count, &seen);
    uploads_each_picture(&(struct value){.type = VALUE_NONE}, count, &seen);
    assert_int_equal(seen.n, 3);
    buf_free(&seen);
}

static void nobody_can_name_the_field(void **state) {
    (void)state;
    assert_true(field_is_own(FIELD_UPLOADS));
    assert_false(field_is_own(STR("pictures")));
    assert_false(field_is_own(STR("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),   cmocka_unit_test(what_is_no_entry_ends_the_list),
        cmocka_unit_test(whose_a_picture_is),        cmocka_unit_test(each_file_is_named),
        cmocka_unit_test(nobody_can_name_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
