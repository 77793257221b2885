/* What lies over a segment: cells, entries, hidden rows, the memory they take, and readers beside the writer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/overlay.h"

enum { MOST_FIELDS = 16 };

static struct value number(double n) { return (struct value){.type = VALUE_NUMBER, .number = n}; }

static void set(struct overlay *o, uint64_t seq, uint32_t row, uint32_t field, struct value v) {
    overlay_set(o, seq, (int64_t)seq * 1000, 7, row, field, &v);
}

static void test_cells(void **state) {
    (void)state;
    struct overlay *o = overlay_new(MOST_FIELDS);
    assert_true(o->first_seq == UINT64_MAX);
    assert_int_equal(overlay_count(o), 0);
    assert_null(overlay_field(o, 3));
    assert_int_equal(overlay_code(overlay_field(o, 3), 5), OVERLAY_NONE);

    set(o, 50, 5, 3, number(1));
    set(o, 51, 5, 3, (struct value){.type = VALUE_STRING, .text = STR("one")});
    set(o, 52, SEGMENT_ROWS - 1, MOST_FIELDS - 1, number(2));
    set(o, 53, 6, 3, (struct value){.type = VALUE_NONE});
    set(o, 54, 0, 3, number(1));
    const struct overlay_field *f = overlay_field(o, 3);
    assert_true(value_eq(dict_value(&f->dict, overlay_code(f, 5)),
                         &(struct value){.type = VALUE_STRING, .text = STR("one")}));
    assert_true(overlay_code(f, 6) == OVERLAY_REMOVED);
    assert_int_equal(overlay_code(f, 7), OVERLAY_NONE);
    assert_int_equal(overlay_code(f, 0), 1);
    assert_null(overlay_cells(f, 1));
    assert_int_equal(overlay_code(f, SEGMENT_ROWS - 1), OVERLAY_NONE);
    assert_int_equal(overlay_code(overlay_field(o, MOST_FIELDS - 1), SEGMENT_ROWS - 1), 1);
    set(o, 55, 6, 3, number(9)); /* and there again */
    assert_int_equal(overlay_code(f, 6), 3);

    static const struct overlay_entry expected[] = {
        {50, 50000, 7, 5, 3, 1},  {51, 51000, 7, 5, 3, 2}, {52, 52000, 7, SEGMENT_ROWS - 1, MOST_FIELDS - 1, 1},
        {53, 53000, 7, 6, 3, 0},  {54, 54000, 7, 0, 3, 1}, {55, 55000, 7, 6, 3, 3},
    };
    assert_int_equal(overlay_count(o), 6);
    for (uint32_t n = 0; n < 6; n++) assert_memory_equal(overlay_entry(o, n), &expected[n], sizeof expected[n]);
    assert_int_equal(o->first_seq, 50);
    overlay_free(o);
    overlay_free(NULL);
}

static void test_hidden(void **state) {
    (void)state;
    struct overlay *o = overlay_new(MOST_FIELDS);
    assert_false(overlay_hidden(o, 0));
    set(o, 9, 1, 1, number(1));
    overlay_hide(o, 8, SEGMENT_ROWS - 1);
    overlay_hide(o, 10, SEGMENT_ROWS - 1);
    overlay_hide(o, 11, 4);
    assert_true(overlay_hidden(o, SEGMENT_ROWS - 1));
    assert_true(overlay_hidden(o, 4));
    assert_false(overlay_hidden(o, 0));
    assert_int_equal(o->hidden_count, 2);
    assert_int_equal(o->first_seq, 8);
    assert_int_equal(overlay_count(o), 1);
    overlay_free(o);
}

/* Many entries, over several of their blocks, stay where they are; the memory counted is the memory taken. */
static void test_grows(void **state) {
    (void)state;
    enum { COUNT = 60000, STEP = 7919 };
    struct overlay *o = overlay_new(MOST_FIELDS);
    size_t empty = o->bytes;
    const struct overlay_entry *first = NULL;
    for (uint32_t i = 0; i < COUNT; i++) {
        set(o, 100 + i, i * STEP % SEGMENT_ROWS, i % 3, number(i));
        if (i == 0) first = overlay_entry(o, 0);
    }
    assert_ptr_equal(overlay_entry(o, 0), first);
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct overlay_entry *e = overlay_entry(o, i);
        assert_int_equal(e->seq, 100 + i);
        assert_int_equal(e->row, i * STEP % SEGMENT_ROWS);
        const struct overlay_field *f = overlay_field(o, e->field);
        assert_true(dict_value(&f->dict, e->code)->number == i);
        assert_int_equal(overlay_code(f, e->row), e->code);
    }
    /* 3 fields: all cells, a value and its place in an index for each write, an entry for each. */
    size_t least = 3 * SEGMENT_ROWS * 4 + COUNT * (sizeof(struct value) + sizeof(struct overlay_entry) + 16);
    assert_in_range(o->bytes - empty, least, least * 2);
    overlay_free(o);
}

/* ---- readers ---- */

/* A row's values only grow; a write is finished before the reader is told of it. */
enum { READERS = 3, WRITES = 30000, LOOKS = 30000, ROWS = 6000 };

static struct {
    struct overlay *overlay;
    atomic_uint told[ROWS];
    atomic_uint wrong;
} world;

static void *read_cells(void *arg) {
    unsigned at = *(unsigned *)arg;
    const struct overlay *o = world.overlay;
    for (unsigned look = 0; look < LOOKS; look++) {
        at = at * 1664525 + 1013904223;
        uint32_t row = (at >> 8) % ROWS, told = atomic_load(&world.told[row]);
        const struct overlay_field *f = overlay_field(o, row % MOST_FIELDS);
        uint32_t code = overlay_code(f, row), count = overlay_count(o);
        if (code == OVERLAY_NONE ? told != 0 : code != OVERLAY_REMOVED && dict_value(&f->dict, code)->number < told)
            world.wrong++;
        if (count && overlay_entry(o, count - 1)->seq != count) world.wrong++;
        if (count && o->first_seq != 1) world.wrong++;
        if (told && row % 5 == 0 && !overlay_hidden(o, row)) world.wrong++;
    }
    return NULL;
}

static void test_readers(void **state) {
    (void)state;
    pthread_t threads[READERS];
    unsigned seeds[READERS];
    world.overlay = overlay_new(MOST_FIELDS);
    for (unsigned i = 0; i < READERS; i++) {
        seeds[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, read_cells, &seeds[i]), 0);
    }
    for (unsigned i = 1; i <= WRITES; i++) {
        uint32_t row = i * 7919 % ROWS;
        if (row % 5 == 0) overlay_hide(world.overlay, i, row);
        set(world.overlay, i, row, row % MOST_FIELDS, i % 10 ? number(i) : (struct value){.type = VALUE_NONE});
        atomic_store(&world.told[row], i);
    }
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(world.wrong, 0);
    overlay_free(world.overlay);
}

int main(void) {
    hash_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
