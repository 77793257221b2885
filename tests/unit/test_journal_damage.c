/* What a journal makes of files that are cut, half overwritten, damaged, missing or of another store: whole chains up
 * to the cut in the newest file; an error with file and place anywhere else; never a record that nobody wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "journal_kit.h"

/* Opens, goes on, and opens again: what is there stays, what is new comes behind it. */
static void goes_on(struct kit *k, const char *want) {
    char both[200];
    assert_string_equal(kit_reopen(k, 0), want);
    kit_put(k, "new", 2, 30);
    snprintf(both, sizeof both, "%snew.0 new.1 ", want);
    assert_string_equal(kit_reopen(k, 0), both);
    kit_close(k);
}

/* The folder as it was, but for one file. */
static void put_back(struct kit *k, const char *path, struct str bytes) {
    for (unsigned n = 0; n < 100; n++) {
        const char *slot = kit_slot(k, n);
        if (strcmp(slot, path) != 0) unlink(slot);
    }
    scratch_write(path, bytes);
}

static uint64_t last_of(const struct buf *bytes, uint64_t *end) {
    uint64_t at[16];
    unsigned count = kit_offsets(buf_str(bytes), at, 16, end);
    assert_in_range(count, 1, 16);
    struct record_header h;
    memcpy(&h, bytes->p + at[count - 1], sizeof h);
    *end = at[count - 1] + sizeof h + h.length; /* without what fills up the sector */
    return at[count - 1];
}

static void cut_anywhere(struct kit *k, bool shorter) {
    uint64_t end;
    kit_open(k, 0);
    kit_put(k, "a", 2, 100);
    kit_put(k, "b", 1, 70);
    kit_close(k);
    const char *path = kit_slot(k, 0);
    struct buf bytes = scratch_read(path), cut = {0};
    for (uint64_t at = last_of(&bytes, &end); at <= end; at++) {
        cut.n = 0;
        buf_add(&cut, bytes.p, at);
        while (!shorter && cut.n < bytes.n) buf_addc(&cut, '\0');
        put_back(k, path, buf_str(&cut));
        goes_on(k, at < end ? "a.0 a.1 " : "a.0 a.1 b.0 ");
    }
    buf_free(&bytes);
    buf_free(&cut);
}

static void cut_at_every_byte_of_the_last_record(void **state) { cut_anywhere(*state, false); }
static void a_file_that_ends_at_every_byte_of_the_last_record(void **state) { cut_anywhere(*state, true); }

/* A chain of three is there only with its last byte. */
static void cut_at_every_byte_of_a_chain(void **state) {
    struct kit *k = *state;
    uint64_t at[8], end;
    kit_open(k, 0);
    kit_put(k, "a", 1, 30);
    kit_put(k, "b", 3, 30);
    kit_close(k);
    const char *path = kit_slot(k, 0);
    struct buf bytes = scratch_read(path), cut = {0};
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 8, &end), 4);
    last_of(&bytes, &end);
    for (uint64_t n = at[1]; n <= end; n++) {
        cut.n = 0;
        buf_add(&cut, bytes.p, n);
        while (cut.n < bytes.n) buf_addc(&cut, '\0');
        put_back(k, path, buf_str(&cut));
        goes_on(k, n < end ? "a.0 " : "a.0 b.0 b.1 b.2 ");
    }
    buf_free(&bytes);
    buf_free(&cut);
}

/* A file that is used again is full of records that were good once, at the same offsets and of the same size as the new
 * ones; what is cut shows them. */
static void old_records_behind_the_cut(void **state) {
    struct kit *k = *state;
    uint64_t end;
    k->o.max_files = 2;
    kit_open(k, 0);
    for (unsigned i = 0; i < 24; i++) /* 512 bytes each fill file 1 */
        kit_put(k, (char[]){(char)('A' + i), '\0'}, 1, 480);
    kit_put(k, "a", 1, 480);
    journal_recycle(k->j, 25);
    const char *path = kit_file(k, 1);
    struct buf old = scratch_read(path), cut = {0};
    kit_put(k, "fill", 1, KIT_WHOLE - 512);
    kit_put(k, "b", 1, 480);
    kit_put(k, "c", 2, 200);
    kit_put(k, "d", 1, 480);
    kit_close(k);
    assert_string_equal(path, kit_file(k, 3));
    const char *other_path = kit_file(k, 2);
    struct buf other = scratch_read(other_path), bytes = scratch_read(path);
    last_of(&bytes, &end);
    for (uint64_t at = JOURNAL_DATA; at <= end; at++) { /* at first none of the new ones */
        cut.n = 0;
        buf_add(&cut, bytes.p, at);
        buf_add(&cut, old.p + at, old.n - at);
        scratch_write(path, buf_str(&cut));
        scratch_write(other_path, buf_str(&other));
        const char *want = at < JOURNAL_DATA + 512 ? "a.0 fill.0 "
                           : at < end - 512 - 48  ? "a.0 fill.0 b.0 "
                           : at < end             ? "a.0 fill.0 b.0 c.0 c.1 "
                                                  : "a.0 fill.0 b.0 c.0 c.1 d.0 ";
        assert_string_equal(kit_reopen(k, 24), want);
    }
    buf_free(&old);
    buf_free(&other);
    buf_free(&bytes);
    buf_free(&cut);
}

/* A record that the recovery did not see, and whose number was given again, has no place beside the one that has it. */
static void a_record_that_comes_back(void **state) {
    struct kit *k = *state;
    uint64_t end;
    kit_open(k, 0);
    kit_put(k, "a", 1, 30);
    kit_put(k, "b", 1, 30);
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 0)), cut = scratch_read(kit_slot(k, 0));
    memset(cut.p + last_of(&cut, &end), 0, 62);
    scratch_write(kit_slot(k, 0), buf_str(&cut));
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    kit_put(k, "c", 1, 30);
    kit_close(k);
    scratch_write(kit_slot(k, 0), buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 ");
    buf_free(&bytes);
    buf_free(&cut);
}

/* ---- damage ---- */

static void write_three_files(struct kit *k) {
    kit_open(k, 0);
    kit_put(k, "a", 1, 100);
    kit_put(k, "b", 2, 100);
    kit_put(k, "c", 1, 11000);
    kit_put(k, "d", 1, 9000);
    kit_put(k, "e", 1, 9000);
    kit_close(k);
    assert_non_null(kit_file(k, 3));
}

static const char *const three_files = "a.0 b.0 b.1 c.0 d.0 e.0 ";

static void damage_in_an_older_file_is_named(void **state) {
    struct kit *k = *state;
    uint64_t at[8], end;
    write_three_files(k);
    const char *path = kit_file(k, 1);
    struct buf bytes = scratch_read(path);
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 8, &end), 4);
    for (unsigned i = 0; i < 4; i++) {
        static const unsigned inside[] = {0, 4, 5, 8, 12, 16, 24, 32, 100};
        for (unsigned n = 0; n < sizeof inside / sizeof *inside; n++) {
            char want[100];
            bytes.p[at[i] + inside[n]] ^= 0x40;
            scratch_write(path, buf_str(&bytes));
            bytes.p[at[i] + inside[n]] ^= 0x40;
            assert_false(kit_open(k, 0));
            assert_int_equal(k->e.code, ERR_DAMAGED);
            snprintf(want, sizeof want, "journal file slot-00.journal is damaged at offset %u: record %u is not there",
                     (unsigned)at[i], i + 1);
            assert_string_equal(k->e.msg, want);
        }
    }
    buf_free(&bytes);
}

/* Behind the checkpoint nobody looks at it any more. */
static void damage_in_a_file_that_is_done_with(void **state) {
    struct kit *k = *state;
    write_three_files(k);
    const char *path = kit_file(k, 1);
    struct buf bytes = scratch_read(path);
    memset(bytes.p + JOURNAL_DATA, 0x55, 500);
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 4), "d.0 e.0 ");
    kit_close(k);
    memset(bytes.p, 0x55, 500);
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 4), "d.0 e.0 ");
    kit_close(k);
    unlink(path);
    assert_string_equal(kit_reopen(k, 4), "d.0 e.0 ");
    buf_free(&bytes);
}

/* Whatever byte is wrong: all of it, an error, or (in the newest file) what comes before; then it goes on. */
static void every_byte_wrong(struct kit *k, uint64_t number, uint64_t to, bool newest) {
    const char *path = kit_file(k, number);
    struct buf bytes = scratch_read(path);
    unsigned errors = 0, less = 0;
    for (uint64_t at = 0; at < to; at = at == 600 ? JOURNAL_DATA : at + 1) {
        bytes.p[at] ^= 1;
        scratch_write(path, buf_str(&bytes));
        bytes.p[at] ^= 1;
        const char *got = kit_reopen(k, 0);
        bool all = k->j && strcmp(got, three_files) == 0, start = k->j && strncmp(got, three_files, strlen(got)) == 0;
        kit_close(k);
        if (k->e.code != ERR_NONE && k->e.code != ERR_DAMAGED) fail_msg("byte %u: %s", (unsigned)at, k->e.msg);
        errors += k->e.code == ERR_DAMAGED;
        less += start && !all;
        if (!all && k->e.code == ERR_NONE && !(newest && start)) fail_msg("byte %u: %s", (unsigned)at, got);
        if (at < 48 && k->e.code == ERR_NONE) fail_msg("a wrong header is taken: byte %u", (unsigned)at);
    }
    assert_true(errors >= 48);
    assert_true(newest ? less > 500 : less == 0);
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 0), three_files);
    buf_free(&bytes);
}

static void every_byte_of_an_older_file_wrong(void **state) {
    write_three_files(*state);
    every_byte_wrong(*state, 1, JOURNAL_DATA + 1536, false);
}

static void every_byte_of_the_newest_file_wrong(void **state) {
    write_three_files(*state);
    every_byte_wrong(*state, 3, JOURNAL_DATA + 600, true);
}

/* In the newest file too it is damage when it is followed by what was written after it was acknowledged. The last group
 * of all may be one that was cut off. */
static void damage_before_a_later_group(void **state) {
    struct kit *k = *state;
    uint64_t at[8], end;
    char want[300];
    kit_open(k, 0);
    kit_put(k, "a", 1, 100);
    assert_true(kit_append(k, "b", 3, 480) && kit_append(k, "c", 1, 30)); /* one group; its records fill a sector each */
    kit_commit(k);
    kit_put(k, "d", 1, 100);
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 8, &end), 6);
    for (unsigned i = 0; i < 6; i++) {
        static const unsigned inside[] = {0, 2, 4, 5, 8, 12, 16, 20, 24, 32, 60};
        for (unsigned n = 0; n < sizeof inside / sizeof *inside; n++) {
            bytes.p[at[i] + inside[n]] ^= 0x40;
            scratch_write(kit_slot(k, 0), buf_str(&bytes));
            bytes.p[at[i] + inside[n]] ^= 0x40;
            bool opened = kit_open(k, 0);
            assert_int_equal(opened, i == 5);
            kit_close(k);
            snprintf(want, sizeof want,
                     "journal file slot-00.journal is damaged at offset %u: record %u is not there, and record %u, which "
                     "was written after that was acknowledged, is; see `sightglass check`",
                     (unsigned)at[i], i + 1, i == 0 ? 2 : 6);
            if (!opened) assert_string_equal(k->e.msg, want);
            unlink(kit_slot(k, 1));
        }
    }
    buf_free(&bytes);
}

/* Of a group that was cut off any sectors may be there, in any order: that is no damage. */
static void any_sectors_of_the_last_group(void **state) {
    struct kit *k = *state;
    enum { SECTORS = 6 };
    uint64_t at[10], end;
    kit_open(k, 0);
    kit_put(k, "a", 1, 100);
    struct buf before = scratch_read(kit_slot(k, 0));
    assert_true(kit_append(k, "b", 1, 480) && kit_append(k, "c", 3, 480) && kit_append(k, "d", 2, 480));
    kit_commit(k);
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 0)), cut = scratch_read(kit_slot(k, 0));
    assert_int_equal(kit_offsets(buf_str(&bytes), at, 10, &end), 1 + SECTORS);
    for (unsigned there = 0; there < 1 << SECTORS; there++) {
        for (unsigned i = 0; i < SECTORS; i++)
            memcpy(cut.p + at[1 + i], (there >> i & 1 ? bytes.p : before.p) + at[1 + i], JOURNAL_SECTOR);
        scratch_write(kit_slot(k, 0), buf_str(&cut));
        bool b = there & 1, c = (there & 15) == 15, d = there == 63;
        assert_string_equal(kit_reopen(k, 0), d   ? "a.0 b.0 c.0 c.1 c.2 d.0 d.1 "
                                              : c ? "a.0 b.0 c.0 c.1 c.2 "
                                              : b ? "a.0 b.0 "
                                                  : "a.0 ");
        kit_close(k);
    }
    buf_free(&before);
    buf_free(&bytes);
    buf_free(&cut);
}

/* A group that goes on in the next file, of which the beginning is missing there: what stands behind is of the same sync. */
static void a_part_of_a_group_in_the_next_file(void **state) {
    struct kit *k = *state;
    uint64_t at[8], end;
    kit_open(k, 0);
    kit_put(k, "a", 1, 11500);
    assert_true(kit_append(k, "b", 6, 480)); /* one of it still fits */
    kit_commit(k);
    kit_close(k);
    const char *path = kit_file(k, 2);
    struct buf bytes = scratch_read(path);
    assert_in_range(kit_offsets(buf_str(&bytes), at, 8, &end), 4, 5);
    memset(bytes.p + at[0], 0, JOURNAL_SECTOR);
    scratch_write(path, buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    kit_put(k, "c", 1, 30);
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 ");
    buf_free(&bytes);
}

static void the_only_header_is_damaged(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 100);
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    memset(bytes.p, 0, JOURNAL_SECTOR);
    scratch_write(kit_slot(k, 0), buf_str(&bytes));
    assert_false(kit_open(k, 0));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    assert_string_equal(k->e.msg, "journal file slot-00.journal: its header is damaged, over records from number 1 on");
    k->o.file_size = 2 * KIT_FILE; /* nor is it taken for a file of another size that was never begun */
    assert_false(kit_open(k, 0));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    buf_free(&bytes);
}

/* The power went while the header was written: no record can be behind it, so that it is a file like an empty one. */
static void a_header_that_was_never_finished(void **state) {
    struct kit *k = *state;
    write_three_files(k);
    assert_string_equal(kit_reopen(k, 0), three_files);
    assert_true(journal_prepare(k->j, &k->e));
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 3));
    memset(bytes.p, 0xaa, JOURNAL_SECTOR);
    scratch_write(kit_slot(k, 3), buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 0), three_files);
    kit_put(k, "f", 1, 50);
    assert_string_equal(kit_slot(k, 3), kit_file(k, 4));
    assert_string_equal(kit_reopen(k, 3), "c.0 d.0 e.0 f.0 ");
    buf_free(&bytes);
}

static void a_number_is_missing(void **state) {
    struct kit *k = *state;
    write_three_files(k);
    struct buf bytes = scratch_read(kit_slot(k, 1));
    unlink(kit_slot(k, 1));
    assert_false(kit_open(k, 0));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    assert_string_equal(k->e.msg, "journal file number 2 is missing");
    scratch_write(kit_slot(k, 1), buf_str(&bytes));
    unlink(kit_slot(k, 0));
    assert_false(kit_open(k, 0));
    assert_string_equal(k->e.msg, "journal file number 1 is missing");
    assert_false(kit_open(k, 3)); /* record 4 was in it */
    assert_string_equal(k->e.msg, "journal file number 1 is missing");
    assert_string_equal(kit_reopen(k, 4), "d.0 e.0 ");
    buf_free(&bytes);
}

static void a_file_of_another_store(void **state) {
    struct kit *k = *state;
    write_three_files(k);
    k->o.store_id[15] ^= 1;
    assert_false(kit_open(k, 0));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    assert_non_null(strstr(k->e.msg, "slot-0"));
    assert_non_null(strstr(k->e.msg, "belongs to another store"));
}

static void short_files(void **state) {
    struct kit *k = *state;
    static const size_t sizes[] = {0, 1, 47, 48, 4095, 4096, 4127};
    write_three_files(k);
    struct buf bytes = scratch_read(kit_slot(k, 2));
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct str never_begun = {"nothing that is a journal", sizes[i] < 25 ? sizes[i] : 25};
        scratch_write(kit_slot(k, 7), never_begun);
        scratch_write(kit_slot(k, 2), (struct str){bytes.p, sizes[i]});
        const char *got = kit_reopen(k, 0);
        assert_string_equal(got, "a.0 b.0 b.1 c.0 d.0 ");
        kit_close(k);
        assert_int_equal(access(kit_slot(k, 7), F_OK), -1);
    }
    buf_free(&bytes);
}

/* ---- while it runs ---- */

static void damage_met_by_the_keeper(void **state) {
    struct kit *k = *state;
    struct journal_position from = {0};
    kit_open(k, 0);
    kit_put(k, "a", 1, 100);
    kit_put(k, "b", 1, 100);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    bytes.p[JOURNAL_DATA + 50] ^= 1;
    scratch_write(kit_slot(k, 0), buf_str(&bytes));
    assert_false(journal_read(k->j, &from, journal_durable(k->j), kit_visit, k, &k->e));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    assert_string_equal(k->e.msg, "journal file slot-00.journal is damaged at offset 4096: record 1 is not there");
    assert_int_equal(from.seq, 0);
    buf_free(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
        TEST(cut_at_every_byte_of_the_last_record),
        TEST(a_file_that_ends_at_every_byte_of_the_last_record),
        TEST(cut_at_every_byte_of_a_chain),
        TEST(old_records_behind_the_cut),
        TEST(a_record_that_comes_back),
        TEST(damage_in_an_older_file_is_named),
        TEST(damage_in_a_file_that_is_done_with),
        TEST(every_byte_of_an_older_file_wrong),
        TEST(every_byte_of_the_newest_file_wrong),
        TEST(damage_before_a_later_group),
        TEST(any_sectors_of_the_last_group),
        TEST(a_part_of_a_group_in_the_next_file),
        TEST(the_only_header_is_damaged),
        TEST(a_header_that_was_never_finished),
        TEST(a_number_is_missing),
        TEST(a_file_of_another_store),
        TEST(short_files),
        TEST(damage_met_by_the_keeper),
    };
    return cmocka_run_group_tests_name("journal, damaged", tests, NULL, NULL);
}
