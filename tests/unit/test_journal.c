/* What the journal takes, it gives back: records, chains, groups, files that are used again. What becomes of cut and
 * damaged files is in test_journal_damage.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "journal_kit.h"
#include "record/record.h"

static void nothing_in_nothing_out(void **state) {
    struct kit *k = *state;
    assert_string_equal(kit_reopen(k, 0), "");
    assert_int_equal(journal_next_seq(k->j), 1);
    assert_true(journal_commit(k->j, &k->e));
    assert_string_equal(kit_reopen(k, 0), "");
    assert_string_equal(kit_reopen(k, 41), "");
    assert_int_equal(journal_next_seq(k->j), 42);
}

static void what_is_committed_comes_back(void **state) {
    struct kit *k = *state;
    static const size_t sizes[] = {20, 447, 448, 449, 480, 512, 1000, 4000};
    kit_open(k, 0);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        kit_put(k, (char[]){(char)('a' + i), '\0'}, 1 + i % 2, sizes[i]);
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 b.1 c.0 d.0 d.1 e.0 f.0 f.1 g.0 h.0 h.1 ");
    assert_int_equal(journal_next_seq(k->j), 13);
    kit_put(k, "i", 1, 20);
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 b.1 c.0 d.0 d.1 e.0 f.0 f.1 g.0 h.0 h.1 i.0 ");
    assert_string_equal(kit_reopen(k, 9), "g.0 h.0 h.1 i.0 ");
    assert_string_equal(kit_reopen(k, 13), "");
    assert_int_equal(journal_next_seq(k->j), 14);
}

/* An empty payload, which the kit has no name for. */
static bool count_empty(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    (void)e;
    assert_int_equal(h->length, 0);
    assert_int_equal(payload.n, 0);
    ++*(unsigned *)ctx;
    return true;
}

static void a_record_without_payload(void **state) {
    struct kit *k = *state;
    unsigned count = 0;
    struct buf chain = {0};
    kit_open(k, 0);
    assert_true(journal_prepare(k->j, &k->e));
    buf_add(&chain, &(struct record_header){.type = 1}, sizeof(struct record_header));
    assert_true(journal_append(k->j, &chain, 5, &k->e) && journal_commit(k->j, &k->e));
    buf_free(&chain);
    kit_close(k);
    k->j = journal_open(&k->o, 0, count_empty, &count, &k->e);
    assert_non_null(k->j);
    assert_int_equal(count, 1);
}

/* Numbers, time, flags: the caller finds in its chain what was written. */
static void a_chain_is_filled_in(void **state) {
    struct kit *k = *state;
    struct buf chain = {0};
    struct record_header h[3] = {
        {.type = 2, .workspace = 9}, {.type = 1, .zero = 77, .flags = 255}, {.type = 1, .seq = 99}};
    kit_open(k, 100);
    assert_true(journal_prepare(k->j, &k->e));
    buf_add(&chain, h, sizeof h);
    assert_true(journal_append(k->j, &chain, -5, &k->e));
    memcpy(h, chain.p, sizeof h);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(h[i].seq, 101 + i);
        assert_int_equal(h[i].time_us, -5);
        assert_int_equal(h[i].zero, 0);
        assert_int_equal(h[i].flags, i == 2 ? RECORD_CHAIN_END : i == 0 ? RECORD_GROUP_BEGIN : 0);
    }
    assert_int_equal(h[0].type, 2);
    assert_int_equal(h[0].workspace, 9);
    buf_free(&chain);
}

/* ---- groups ---- */

struct layout {
    unsigned count;
    uint64_t at[16], end[16];
    uint8_t flags[16];
};

static bool note_layout(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    struct layout *l = ctx;
    assert_true(l->count < 16);
    l->at[l->count] = at;
    l->end[l->count] = at + sizeof *h + payload.n;
    l->flags[l->count++] = h->flags;
    return true;
}

static void a_group_begins_on_a_sector(void **state) {
    struct kit *k = *state;
    struct layout l = {0};
    struct journal_file_header h;
    uint64_t end, next;
    kit_open(k, 0);
    assert_true(kit_append(k, "a", 2, 50) && kit_append(k, "b", 1, 60));
    kit_commit(k);
    kit_put(k, "c", 1, 512 - 32); /* exactly a sector */
    kit_put(k, "d", 1, 512 - 31); /* one byte more */
    kit_put(k, "e", 1, 30);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    assert_true(journal_file_header(buf_str(&bytes), &h));
    assert_memory_equal(h.store_id, "the store's own", 16);
    assert_int_equal(h.number, 1);
    assert_int_equal(h.first_seq, 1);
    journal_scan(buf_str(&bytes), &h, note_layout, &l, &end, &next);
    assert_int_equal(l.count, 6);
    static const uint64_t at[] = {4096, 4096 + 82, 4096 + 164, 4608, 5120, 6144};
    static const uint8_t flags[] = {4, 1, 3, 7, 7, 7};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(l.at[i], at[i]);
        assert_int_equal(l.flags[i], flags[i]);
        uint64_t to = i + 1 < 6 ? l.at[i + 1] : end;
        for (uint64_t p = l.end[i]; p < to; p++) assert_int_equal(bytes.p[p], 0);
    }
    assert_int_equal(end, 6656);
    assert_int_equal(next, 7);
    struct journal_position durable = journal_durable(k->j);
    assert_int_equal(durable.file, 1);
    assert_int_equal(durable.at, 6656);
    assert_int_equal(durable.seq, 6);
    buf_free(&bytes);
}

static void what_is_not_committed_is_not_durable(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 50);
    assert_true(kit_append(k, "b", 1, 50));
    assert_int_equal(journal_durable(k->j).seq, 1);
    assert_int_equal(journal_stats(k->j).records, 1);
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
}

static void stats_count(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 3, 50);
    assert_true(kit_append(k, "b", 1, 50) && kit_append(k, "c", 1, 50));
    kit_commit(k);
    assert_true(journal_prepare(k->j, &k->e));
    struct journal_stats s = journal_stats(k->j);
    assert_int_equal(s.groups, 2);
    assert_int_equal(s.records, 5);
    assert_int_equal(s.bytes, 5 * 82);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.free_files, 1);
}

/* ---- files ---- */

static void rotation(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    for (unsigned i = 0; i < 7; i++) kit_put(k, (char[]){(char)('a' + i), '\0'}, 1, 5000); /* two a file */
    for (uint64_t number = 1; number <= 4; number++) {
        const char *path = kit_file(k, number);
        assert_non_null(path);
        struct journal_file_header h;
        struct buf bytes = scratch_read(path);
        assert_int_equal(bytes.n, KIT_FILE);
        assert_true(journal_file_header(buf_str(&bytes), &h));
        assert_int_equal(h.first_seq, 2 * number - 1);
        assert_false(h.after_recovery != (number == 1));
        buf_free(&bytes);
    }
    assert_null(kit_file(k, 5));
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 c.0 d.0 e.0 f.0 g.0 ");
    kit_put(k, "h", 1, 50); /* never behind what another run has written */
    assert_non_null(kit_file(k, 5));
    assert_string_equal(kit_reopen(k, 3), "d.0 e.0 f.0 g.0 h.0 ");
}

static void a_record_as_large_as_a_file(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, KIT_WHOLE);
    kit_put(k, "b", 1, 50);
    kit_put(k, "c", 1, KIT_WHOLE);
    assert_false(kit_append(k, "d", 1, KIT_WHOLE + 1));
    assert_int_equal(k->e.code, ERR_TOO_LARGE);
    kit_put(k, "e", 1, 50);
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 c.0 e.0 ");
}

static void a_group_that_fills_its_file_to_the_last_byte(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 480); /* 512 */
    kit_put(k, "b", 1, KIT_WHOLE - 512 - 100);
    kit_put(k, "c", 1, 50); /* no room for it behind b's sector */
    assert_non_null(kit_file(k, 2));
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 c.0 ");
}

/* A long file is read in pieces of 4 MiB: of records that lie over an edge, and of one that is longer than a piece, both
 * halves are seen. */
static void a_file_of_several_pieces(void **state) {
    struct kit *k = *state;
    enum { PIECE = 4 << 20 };
    k->o.file_size = 4 * PIECE;
    kit_open(k, 0);
    kit_put(k, "a", 3, PIECE / 2); /* the second ends behind the first edge */
    kit_put(k, "b", 1, PIECE + 1000);
    kit_put(k, "c", 1, 2 * PIECE - PIECE / 2 - 3 * 1000);
    kit_put(k, "d", 4, 600 << 10);
    assert_non_null(kit_file(k, 2));
    assert_string_equal(kit_reopen(k, 0), "a.0 a.1 a.2 b.0 c.0 d.0 d.1 d.2 d.3 ");
    assert_string_equal(kit_reopen(k, 4), "c.0 d.0 d.1 d.2 d.3 ");
}

static void a_file_of_no_whole_sectors(void **state) {
    struct kit *k = *state;
    k->o.file_size = KIT_FILE + 100;
    kit_open(k, 0);
    kit_put(k, "a", 1, KIT_WHOLE + 50); /* less than a sector is left to fill up */
    kit_put(k, "b", 1, 50);
    kit_reopen(k, 0);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    assert_int_equal(bytes.n, KIT_FILE + 100);
    buf_free(&bytes);
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 ");
}

static void a_chain_over_several_files(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 3000);
    kit_put(k, "b", 7, 5000); /* one, two, two, two */
    kit_put(k, "c", 1, 3000);
    assert_non_null(kit_file(k, 4));
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 b.1 b.2 b.3 b.4 b.5 b.6 c.0 ");
    assert_string_equal(kit_reopen(k, 3), "b.2 b.3 b.4 b.5 b.6 c.0 ");
}

static void a_chain_larger_than_all_files(void **state) {
    struct kit *k = *state;
    k->o.max_files = 3;
    kit_open(k, 0);
    assert_false(kit_append(k, "a", 4, KIT_WHOLE));
    assert_int_equal(k->e.code, ERR_TOO_LARGE);
    kit_put(k, "b", 3, KIT_WHOLE);
    assert_false(kit_append(k, "c", 3, KIT_WHOLE)); /* the current file does not get free: never possible */
    assert_int_equal(k->e.code, ERR_TOO_LARGE);
    assert_false(kit_append(k, "d", 2, KIT_WHOLE));
    assert_int_equal(k->e.code, ERR_BUSY);
    journal_recycle(k->j, 3);
    kit_put(k, "e", 2, KIT_WHOLE);
    assert_string_equal(kit_reopen(k, 2), "b.2 e.0 e.1 ");
}

static void files_are_used_again(void **state) {
    struct kit *k = *state;
    k->o.max_files = 2;
    kit_open(k, 0);
    kit_put(k, "a", 1, KIT_WHOLE);
    kit_put(k, "b", 1, 9000);
    assert_false(kit_append(k, "c", 1, 9000));
    assert_int_equal(k->e.code, ERR_BUSY);
    journal_recycle(k->j, 0); /* nothing in it is dispensable */
    assert_false(kit_append(k, "c", 1, 9000));
    journal_recycle(k->j, 2); /* the file that is being written stays */
    assert_int_equal(journal_stats(k->j).free_files, 1);
    kit_put(k, "d", 1, 9000);
    assert_int_equal(kit_files(k), 2);
    assert_null(kit_file(k, 1));
    assert_string_equal(kit_reopen(k, 1), "b.0 d.0 ");
    assert_false(kit_append(k, "e", 1, 50));
    journal_recycle(k->j, 3);
    for (unsigned i = 0; i < 20; i++) {
        kit_put(k, "f", 1, KIT_WHOLE);
        journal_recycle(k->j, journal_next_seq(k->j) - 1);
    }
    assert_int_equal(kit_files(k), 2);
    assert_non_null(kit_file(k, 23));
    assert_string_equal(kit_reopen(k, 22), "f.0 ");
}

/* As often as one may erase in the life of a program. */
static void files_are_left_and_removed(void **state) {
    enum { OFTEN = 6000 };
    struct kit *k = *state;
    kit_open(k, 0);
    assert_true(journal_turn(k->j, &k->e)); /* nothing to leave */
    kit_put(k, "a", 1, 50);
    assert_true(journal_turn(k->j, &k->e)); /* nothing to go on in */
    assert_null(kit_file(k, 2));
    assert_true(journal_prepare(k->j, &k->e));
    assert_true(journal_turn(k->j, &k->e));
    assert_non_null(kit_file(k, 2));
    assert_true(journal_prepare(k->j, &k->e) && journal_turn(k->j, &k->e)); /* there is nothing in it yet */
    assert_null(kit_file(k, 3));
    assert_false(journal_discard(k->j, 2)); /* what is in it is needed */
    assert_non_null(kit_file(k, 1));
    journal_recycle(k->j, 1);
    assert_true(journal_discard(k->j, 1));
    assert_non_null(kit_file(k, 1));
    assert_true(journal_discard(k->j, 2));
    assert_null(kit_file(k, 1));
    assert_int_equal(journal_stats(k->j).free_files, 1);
    kit_put(k, "b", 1, 50);
    assert_string_equal(kit_reopen(k, 1), "b.0 ");
    for (unsigned i = 0; i < OFTEN; i++) {
        kit_put(k, "c", 1, 50);
        assert_true(journal_prepare(k->j, &k->e) && journal_turn(k->j, &k->e));
        journal_recycle(k->j, journal_next_seq(k->j) - 1);
        assert_true(journal_discard(k->j, journal_durable(k->j).file + 1));
    }
    assert_int_equal(kit_files(k), 1);
    kit_put(k, "d", 1, 50);
    assert_string_equal(kit_reopen(k, OFTEN + 2), "d.0 ");
}

static void a_setting_of_another_size(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 5000);
    kit_put(k, "b", 1, 9000);
    k->o.file_size = 2 * KIT_FILE;
    assert_string_equal(kit_reopen(k, 0), "a.0 b.0 ");
    kit_put(k, "c", 1, KIT_WHOLE + 1000);
    journal_recycle(k->j, 2);
    assert_null(kit_file(k, 1));
    assert_null(kit_file(k, 2));
    assert_non_null(kit_file(k, 3));
    k->o.file_size = KIT_FILE; /* back to a smaller one */
    assert_string_equal(kit_reopen(k, 2), "c.0 ");
    kit_put(k, "d", 1, 5000);
    kit_put(k, "e", 1, 9000);
    assert_string_equal(kit_reopen(k, 2), "c.0 d.0 e.0 ");
}

static void other_files_are_left_alone(void **state) {
    struct kit *k = *state;
    static const char *const names[] = {"slot-00.journal~", "slot-x.journal", "xslot-00.journal", "slot-00.journal.bak",
                                        "notes"};
    kit_open(k, 0);
    kit_put(k, "a", 1, 50);
    kit_close(k);
    struct buf bytes = scratch_read(kit_slot(k, 0));
    for (unsigned i = 0; i < 5; i++) scratch_write(scratch_path(&k->scratch, "%s", names[i]), buf_str(&bytes));
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    kit_put(k, "b", 1, 50);
    for (unsigned i = 0; i < 5; i++) {
        struct buf same = scratch_read(scratch_path(&k->scratch, "%s", names[i]));
        assert_true(str_eq(buf_str(&same), buf_str(&bytes)));
        buf_free(&same);
    }
    buf_free(&bytes);
}

/* ---- an unfinished chain ---- */

/* The last record of the chain is wiped out, as if the power had gone before it was written. */
static void wipe_last_record(struct kit *k, uint64_t number) {
    uint64_t at[64], end;
    const char *path = kit_file(k, number);
    struct buf bytes = scratch_read(path);
    unsigned count = kit_offsets(buf_str(&bytes), at, 64, &end);
    assert_true(count > 0 && count <= 64);
    memset(bytes.p + at[count - 1], 0, end - at[count - 1]);
    scratch_write(path, buf_str(&bytes));
    buf_free(&bytes);
}

static void a_chain_without_its_end(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 50);
    kit_put(k, "b", 3, 50);
    kit_close(k);
    wipe_last_record(k, 1);
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    assert_int_equal(journal_next_seq(k->j), 4); /* numbers that were given are not given again */
    kit_put(k, "c", 2, 50);
    struct journal_file_header h;
    struct buf bytes = scratch_read(kit_file(k, 2));
    assert_true(journal_file_header(buf_str(&bytes), &h) && h.after_recovery);
    buf_free(&bytes);
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 c.1 "); /* what is left of b does not grow into c */
    assert_string_equal(kit_reopen(k, 1), "c.0 c.1 ");
}

static void a_chain_without_its_end_over_files(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 1, 50);
    kit_put(k, "b", 4, 5000); /* two here, two in the next */
    assert_non_null(kit_file(k, 2));
    kit_close(k);
    wipe_last_record(k, 2);
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    kit_close(k);
    wipe_last_record(k, 2); /* nothing is left in the second file */
    assert_string_equal(kit_reopen(k, 0), "a.0 ");
    kit_put(k, "c", 1, 50);
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 ");
    kit_put(k, "d", 3, 50);
    kit_close(k);
    wipe_last_record(k, 4);
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 "); /* a second time, with the first still there */
    kit_put(k, "e", 1, 50);
    assert_string_equal(kit_reopen(k, 0), "a.0 c.0 e.0 ");
}

/* A recovery that ends before anything was written leaves nothing behind. */
static void recovery_again_and_again(void **state) {
    struct kit *k = *state;
    kit_open(k, 0);
    kit_put(k, "a", 2, 50);
    for (unsigned i = 0; i < 5; i++) assert_string_equal(kit_reopen(k, 0), "a.0 a.1 ");
    assert_int_equal(kit_files(k), 1);
}

/* ---- reading beside the writer ---- */

static void read_between_two_positions(void **state) {
    struct kit *k = *state;
    struct journal_position from = {0}, middle, to;
    kit_open(k, 0);
    kit_put(k, "a", 2, 3000);
    middle = journal_durable(k->j);
    kit_put(k, "b", 3, 5000);
    kit_put(k, "c", 1, 50);
    to = journal_durable(k->j);
    kit_put(k, "d", 1, 50);
    k->seen.n = 0;
    assert_true(journal_read(k->j, &from, middle, kit_visit, k, &k->e));
    assert_string_equal(kit_seen(k), "a.0 a.1 ");
    assert_memory_equal(&from, &middle, sizeof from);
    assert_true(journal_read(k->j, &from, to, kit_visit, k, &k->e));
    assert_string_equal(kit_seen(k), "b.0 b.1 b.2 c.0 ");
    assert_true(journal_read(k->j, &from, to, kit_visit, k, &k->e));
    assert_string_equal(kit_seen(k), "");
    assert_true(journal_read(k->j, &from, journal_durable(k->j), kit_visit, k, &k->e));
    assert_string_equal(kit_seen(k), "d.0 ");
    from = (struct journal_position){.seq = 3}; /* as after a start: by number alone */
    assert_true(journal_read(k->j, &from, to, kit_visit, k, &k->e));
    assert_string_equal(kit_seen(k), "b.1 b.2 c.0 ");
}

static void a_visit_that_fails(void **state) {
    struct kit *k = *state;
    struct journal_position from = {0};
    kit_open(k, 0);
    kit_put(k, "a", 3, 50);
    k->refuse = 2;
    k->count = 0;
    assert_false(journal_read(k->j, &from, journal_durable(k->j), kit_visit, k, &k->e));
    assert_string_equal(k->e.msg, "refused by the visitor");
    assert_int_equal(from.seq, 0); /* it can be read again */
    kit_close(k);
    assert_false(kit_open(k, 0));
    assert_string_equal(k->e.msg, "refused by the visitor");
}

/* ---- docs/journal.md ---- */

/* The file that the page shows: lines of its block ```hex, each an offset and bytes. */
static struct buf documented_file(void) {
    struct buf page = scratch_read("docs/journal.md"), file = {0};
    struct str rest = buf_str(&page), line;
    buf_reserve(&file, 5120);
    memset(file.p, 0, 5120);
    while (str_cut(rest, '\n', &line, &rest) && !str_is(line, "```hex")) continue;
    while (str_cut(rest, '\n', &line, &rest) && !str_is(line, "```")) {
        unsigned at, byte;
        int used;
        char text[200];
        snprintf(text, sizeof text, STR_FMT, STR_ARG(line));
        assert_int_equal(sscanf(text, "%u%n", &at, &used), 1);
        for (const char *p = text + used + 2; sscanf(p, "%2x", &byte) == 1; p += 3) {
            assert_true(at < 5120);
            file.p[at++] = (char)byte;
            if (p[2] != ' ' || p[3] == ' ') break;
        }
    }
    file.n = 5120;
    buf_free(&page);
    return file;
}

static bool documented_record(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    struct arena arena = {0};
    struct inference inf;
    struct attach a;
    struct buf again = {0};
    unsigned n = ++*(unsigned *)ctx;
    assert_int_equal(h->seq, n);
    assert_int_equal(h->workspace, 1);
    assert_int_equal(at, n == 1 ? 4096 : n == 2 ? 4216 : 4608);
    assert_int_equal(h->flags, n == 1 ? 4 : n == 2 ? 3 : 7);
    assert_int_equal(h->type, n == 1 ? RECORD_INFERENCE : RECORD_ATTACH);
    if (n == 1) {
        assert_true(inference_decode(payload, &arena, &inf));
        inference_encode(&again, &inf);
        assert_true(str_eq(buf_str(&again), payload)); /* what is written today is what the page says */
        assert_true(str_is(inf.id, "e7f1") && str_is(inf.model_id, "coco/24") && inf.index == 0);
        assert_true(inf.time_us == INT64_C(1795289949108638) && inf.latency_s == 0.0125);
        assert_int_equal(inf.detection_count, 1);
        assert_true(str_is(inf.detections[0].class_name, "dog") && inf.detections[0].confidence == 0.91);
        assert_true(inf.detections[0].has_box && inf.detections[0].x == 320 && inf.detections[0].height == 80);
    } else {
        assert_true(attach_decode(payload, &arena, &a));
        assert_int_equal(a.id_count, n - 1);
        assert_true(str_is(a.field, n == 2 ? "line" : "verdict") && str_is(a.ids[0], "e7f1"));
        assert_true(value_eq(&a.value, n == 2 ? &(struct value){.type = VALUE_NUMBER, .number = 3}
                                              : &(struct value){.type = VALUE_STRING, .text = STR("ok")}));
    }
    buf_free(&again);
    arena_free(&arena);
    return true;
}

static void the_documented_file(void **state) {
    (void)state;
    struct journal_file_header h;
    struct buf file = documented_file();
    unsigned count = 0;
    uint64_t end, next;
    assert_true(journal_file_header(buf_str(&file), &h));
    assert_true(h.number == 1 && h.first_seq == 1 && h.after_recovery);
    journal_scan(buf_str(&file), &h, documented_record, &count, &end, &next);
    assert_int_equal(count, 3);
    assert_int_equal(end, 5120);
    assert_int_equal(next, 4);
    buf_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
        TEST(nothing_in_nothing_out),
        TEST(what_is_committed_comes_back),
        TEST(a_record_without_payload),
        TEST(a_chain_is_filled_in),
        TEST(a_group_begins_on_a_sector),
        TEST(what_is_not_committed_is_not_durable),
        TEST(stats_count),
        TEST(rotation),
        TEST(a_record_as_large_as_a_file),
        TEST(a_group_that_fills_its_file_to_the_last_byte),
        TEST(a_file_of_several_pieces),
        TEST(a_file_of_no_whole_sectors),
        TEST(a_chain_over_several_files),
        TEST(a_chain_larger_than_all_files),
        TEST(files_are_used_again),
        TEST(files_are_left_and_removed),
        TEST(a_setting_of_another_size),
        TEST(other_files_are_left_alone),
        TEST(a_chain_without_its_end),
        TEST(a_chain_without_its_end_over_files),
        TEST(recovery_again_and_again),
        TEST(read_between_two_positions),
        TEST(a_visit_that_fails),
        TEST(the_documented_file),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
