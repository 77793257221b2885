/* Reading a damaged journal: what is whole is given as a start would give it, what is damaged is named, and nothing
 * else is lost with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal_kit.h"
#include "store/salvage.h"

static struct buf gaps;

static void note_gap(void *ctx, const char *path, uint64_t at, uint64_t first, uint64_t last) {
    (void)ctx;
    buf_printf(&gaps, "%s@%" PRIu64 ":%" PRIu64 "-%" PRIu64 " ", strrchr(path, '/') + 1, at, first, last);
}

/* What is given, as the kit notes it. */
static const char *salvaged(struct kit *k, uint64_t after, uint64_t *seq) {
    struct salvage to = {kit_visit, note_gap, k};
    gaps.n = k->seen.n = 0;
    k->next_seq = 0;
    if (!salvage_journal(k->scratch.dir, k->o.store_id, after, seq, &to, &k->e)) fail_msg("%s", k->e.msg);
    buf_addc(&gaps, '\0');
    return kit_seen(k);
}

static void gives_what_a_start_gives(void **state) {
    struct kit *k = *state;
    uint64_t seq;
    assert_string_equal(salvaged(k, 5, &seq), ""); /* nothing there yet */
    assert_int_equal(seq, 5);
    k->o.max_files = 50;
    assert_true(kit_open(k, 0));
    for (unsigned i = 0; i < 40; i++) {
        char name[10];
        snprintf(name, sizeof name, "c%u", i);
        kit_put(k, name, 1 + i % 4, 100 + i * 37 % 3000);
    }
    uint64_t last = journal_next_seq(k->j) - 1;
    kit_close(k);
    for (uint64_t after = 0; after <= last; after += 7) {
        assert_true(kit_open(k, after));
        char *want = strdup(kit_seen(k));
        kit_close(k);
        assert_string_equal(salvaged(k, after, &seq), want);
        assert_string_equal(gaps.p, "");
        assert_int_equal(seq, last);
        free(want);
    }
}

/* One of several records of one group: the others stay, before and behind it. */
static void one_record_of_a_group(void **state) {
    struct kit *k = *state;
    uint64_t at[10], end, seq;
    char want[100];
    assert_true(kit_open(k, 0));
    kit_put(k, "aa", 1, 100);
    kit_put(k, "bb", 6, 150);
    kit_put(k, "cc", 1, 100);
    kit_put(k, "dd", 1, 10000); /* the next file */
    kit_close(k);
    const char *path = kit_file(k, 1);
    struct buf bytes = scratch_read(path);
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 10, &end), 8);
    bytes.p[at[3] + 100] ^= 1;
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(salvaged(k, 0, &seq), "aa.0 bb.0 bb.1 bb.3 bb.4 bb.5 cc.0 dd.0 ");
    snprintf(want, sizeof want, "%s@%" PRIu64 ":4-4 ", strrchr(path, '/') + 1, at[3]);
    assert_string_equal(gaps.p, want);
    assert_string_equal(salvaged(k, 4, &seq), "bb.3 bb.4 bb.5 cc.0 dd.0 ");
    bytes.p[at[3] + 2] ^= 1; /* and its length: then the group's end goes with it */
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(salvaged(k, 0, &seq), "aa.0 bb.0 bb.1 cc.0 dd.0 ");
    snprintf(want, sizeof want, "%s@%" PRIu64 ":4-7 ", strrchr(path, '/') + 1, at[3]);
    assert_string_equal(gaps.p, want);
    bytes.p[at[6] + 2] ^= 1; /* the last of the group is what a chain ends with */
    bytes.p[at[3] + 2] ^= 1;
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(salvaged(k, 0, &seq), "aa.0 bb.0 bb.1 bb.3 bb.4 cc.0 dd.0 ");
    assert_int_equal(seq, 9);
    buf_free(&bytes);
}

/* The newest file has no number at which it ends; what was written later tells that something was there. */
static void the_middle_of_the_newest_file(void **state) {
    struct kit *k = *state;
    uint64_t at[10], end, seq;
    char want[100];
    assert_true(kit_open(k, 0));
    kit_put(k, "aa", 1, 100);
    kit_put(k, "bb", 4, 150);
    kit_put(k, "cc", 1, 100);
    kit_put(k, "dd", 1, 100);
    kit_close(k);
    const char *path = kit_file(k, 1);
    struct buf bytes = scratch_read(path);
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 10, &end), 7);
    for (int last = 0; last < 2; last++) { /* then with the very last one damaged, too, which may have been cut off */
        bytes.p[at[2] + 100] ^= (char)!last;
        bytes.p[at[6] + 100] ^= (char)last;
        scratch_write(path, buf_str(&bytes));
        assert_string_equal(salvaged(k, 0, &seq), last ? "aa.0 bb.0 bb.2 bb.3 cc.0 " : "aa.0 bb.0 bb.2 bb.3 cc.0 dd.0 ");
        snprintf(want, sizeof want, "%s@%" PRIu64 ":3-3 ", strrchr(path, '/') + 1, at[2]);
        assert_string_equal(gaps.p, want);
        assert_int_equal(seq, last ? 6 : 7);
    }
    buf_free(&bytes);
}

/* What was never acknowledged is not given, however whole its records are. */
static void a_chain_without_its_end(void **state) {
    struct kit *k = *state;
    uint64_t seq;
    assert_true(kit_open(k, 0));
    kit_put(k, "aa", 1, 100);
    assert_true(kit_append(k, "bb", 2, 7000)); /* the first of them is written, since the file is full then */
    kit_close(k);
    assert_string_equal(salvaged(k, 0, &seq), "aa.0 ");
    assert_int_equal(seq, 1);
    assert_true(kit_open(k, 0));
    kit_put(k, "cc", 1, 100);
    kit_close(k);
    assert_string_equal(salvaged(k, 0, &seq), "aa.0 cc.0 ");
    assert_string_equal(gaps.p, "");
}

static void a_file_is_missing(void **state) {
    struct kit *k = *state;
    uint64_t seq;
    assert_true(kit_open(k, 0));
    for (unsigned i = 0; i < 4; i++) kit_put(k, (char[]){(char)('a' + i), 'x', '\0'}, 1, 10000);
    kit_close(k);
    unlink(kit_file(k, 2));
    assert_string_equal(salvaged(k, 0, &seq), "ax.0 cx.0 dx.0 ");
    assert_non_null(strstr(gaps.p, ":2-2 "));
    assert_string_equal(salvaged(k, 2, &seq), "cx.0 dx.0 "); /* nothing of it is needed */
    assert_string_equal(gaps.p, "");
    unlink(kit_file(k, 1));
    assert_string_equal(salvaged(k, 0, &seq), "cx.0 dx.0 ");
    assert_non_null(strstr(gaps.p, ":1-2 "));
}

/* The files' heads say which store they are of. */
static void another_store(void **state) {
    struct kit *k = *state;
    uint64_t seq;
    assert_true(kit_open(k, 0));
    kit_put(k, "aa", 1, 100);
    kit_close(k);
    k->o.store_id[3] ^= 1;
    assert_string_equal(salvaged(k, 0, &seq), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
        TEST(gives_what_a_start_gives), TEST(one_record_of_a_group), TEST(a_chain_without_its_end),
        TEST(a_file_is_missing),        TEST(another_store),     TEST(the_middle_of_the_newest_file),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&gaps);
    return failed;
}
