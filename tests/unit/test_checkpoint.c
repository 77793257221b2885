/* Checkpoints over a real journal, without a store: what is replayed from logs and journal together is what was
 * written, whatever steps were taken, dropped or failed in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "scratch.h"
#include "store/checkpoint.h"
#include "store/wlog.h"

#define SEGMENT(n, v) {.number = (n), .version = (v)}
#define SEGMENTS(...) ((struct manifest_segment[]){__VA_ARGS__})

enum { RECORDS = 4000, WORKSPACES = 10 };

/* What a record is, and what a replay must give of it. */
struct one {
    uint32_t workspace;
    uint64_t seq;
    size_t size;
    uint32_t sum;
    bool gone;
};

struct kit {
    struct scratch scratch;
    struct journal_options o;
    struct journal *j;
    struct checkpoint *c;
    struct err e;
    int64_t time_us;
    struct one all[RECORDS];
    unsigned count;
    struct one seen[RECORDS];
    unsigned seen_count;
    enum committed outcome; /* of the last commit */
};

static const uint8_t store_id[16] = "the store's own";

static uint32_t sum_of(const char *p, size_t n) {
    uint32_t sum = (uint32_t)n;
    for (size_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)p[i];
    return sum;
}

static bool see(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct kit *k = ctx;
    if (k->seen_count == RECORDS) return err_set(e, ERR_DAMAGED, "too many records");
    k->seen[k->seen_count++] = (struct one){h->workspace, h->seq, payload.n, sum_of(payload.p, payload.n), false};
    assert_int_equal(h->time_us, 1000 * (int64_t)h->seq); /* one record a chain */
    assert_int_equal(h->type, 1 + h->seq % 2);
    return true;
}

static int by_place(const void *a, const void *b) {
    const struct one *x = a, *y = b;
    if (x->workspace != y->workspace) return x->workspace < y->workspace ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void close_all(struct kit *k) {
    if (k->c) checkpoint_close(k->c);
    if (k->j) journal_close(k->j);
    k->c = NULL;
    k->j = NULL;
}

static bool open_all(struct kit *k) {
    char path[300];
    snprintf(path, sizeof path, "%s/workspaces", k->scratch.dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/journal", k->scratch.dir);
    k->o.dir = path;
    k->seen_count = 0;
    k->e = (struct err){0};
    k->c = checkpoint_open(k->scratch.dir, store_id, &k->e);
    bool ok = k->c && checkpoint_replay(k->c, see, k, &k->e) &&
              (k->j = journal_open(&k->o, checkpoint_manifest(k->c)->seq, see, k, &k->e));
    if (!ok) close_all(k);
    return ok;
}

/* What was replayed is what is to be there, in order in each workspace. */
static void is_all_there(struct kit *k) {
    unsigned want = 0;
    qsort(k->all, k->count, sizeof *k->all, by_place);
    for (unsigned i = 1; i < k->seen_count; i++)
        for (unsigned before = i; before-- > 0;)
            if (k->seen[before].workspace == k->seen[i].workspace) {
                assert_true(k->seen[before].seq < k->seen[i].seq);
                break;
            }
    qsort(k->seen, k->seen_count, sizeof *k->seen, by_place);
    for (unsigned i = 0; i < k->count; i++) {
        const struct one *w = &k->all[i];
        if (w->gone) continue;
        if (want == k->seen_count || k->seen[want].seq != w->seq)
            fail_msg("record %" PRIu64 " of workspace %u is missing", w->seq, w->workspace);
        const struct one *s = &k->seen[want++];
        assert_int_equal(s->workspace, w->workspace);
        assert_int_equal(s->size, w->size);
        assert_int_equal(s->sum, w->sum);
    }
    if (want != k->seen_count)
        fail_msg("record %" PRIu64 " of workspace %u should not be there", k->seen[want].seq, k->seen[want].workspace);
}

static void reopens(struct kit *k) {
    close_all(k);
    if (!open_all(k)) fail_msg("%s", k->e.msg);
    is_all_there(k);
}

static int setup(void **state) {
    struct kit *k = mem_zero(1, sizeof *k);
    log_set_level(LOG_ERROR);
    scratch_make(&k->scratch);
    k->o = (struct journal_options){.store_id = "the store's own", .file_size = 64 << 10, .max_files = 8};
    *state = k;
    return open_all(k) ? 0 : -1;
}

static int teardown(void **state) {
    struct kit *k = *state;
    close_all(k);
    scratch_remove(&k->scratch);
    free(k);
    return 0;
}

/* One record, one chain, one commit. */
static void put(struct kit *k, uint32_t workspace, size_t size) {
    struct buf chain = {0};
    struct err e = {0};
    uint64_t seq = journal_next_seq(k->j);
    struct record_header h = {.length = (uint32_t)size, .type = (uint8_t)(1 + seq % 2), .workspace = workspace};
    buf_add(&chain, &h, sizeof h);
    for (size_t i = 0; i < size; i++) buf_addc(&chain, (char)('a' + (seq + i / 7) % 26));
    journal_prepare(k->j, &e);
    if (!journal_fits(k->j, buf_str(&chain), &e)) {
        journal_prepare(k->j, &e);
        assert_true(journal_fits(k->j, buf_str(&chain), &e));
    }
    assert_true(journal_append(k->j, &chain, 1000 * (int64_t)seq, &e) && journal_commit(k->j, &e));
    assert_true(k->count < RECORDS);
    k->all[k->count++] = (struct one){workspace, seq, size, sum_of(chain.p + sizeof h, size), false};
    buf_free(&chain);
}

static void put_some(struct kit *k, unsigned count) {
    for (unsigned i = 0; i < count; i++) put(k, 1 + (uint32_t)(k->count * 7 + i) % 3, 20 + (k->count * 37) % 300);
}

static void begin_copy(struct kit *k) {
    checkpoint_begin(k->c);
    assert_true(checkpoint_copy(k->c, k->j, NULL, NULL, &k->e));
}

static void commit(struct kit *k) { assert_int_equal(checkpoint_commit(k->c, k->j, &k->e), COMMIT_DONE); }

static void copy_all(struct kit *k) {
    begin_copy(k);
    commit(k);
}

/* The journal is not needed any more. */
static void without_journal(struct kit *k) {
    close_all(k);
    scratch_remove_tree(scratch_path(&k->scratch, "journal"));
    reopens(k);
}

static const char *log_file(const struct kit *k, uint32_t workspace, unsigned number) {
    return scratch_path(&k->scratch, "workspaces/%u/log-%u", workspace, number);
}
static bool there(const char *path) { return access(path, F_OK) == 0; }

static unsigned files_in(const struct kit *k, uint32_t workspace) {
    unsigned n = 0;
    for (unsigned i = 1; i < 100; i++) n += there(log_file(k, workspace, i));
    return n;
}

static const struct manifest_workspace *manifest_of(const struct kit *k, uint32_t workspace) {
    return manifest_find(checkpoint_manifest(k->c), workspace);
}

/* ---- copying ---- */

static void copies_and_reopens(void **state) {
    struct kit *k = *state;
    for (unsigned round = 0; round < 6; round++) {
        put_some(k, 40);
        copy_all(k);
        assert_int_equal(checkpoint_manifest(k->c)->seq, k->count);
        assert_int_equal(checkpoint_manifest(k->c)->received_us, 1000 * k->count);
        put_some(k, round);
        reopens(k);
        copy_all(k);
        without_journal(k);
    }
    assert_int_equal(files_in(k, 1), 1);
}

static void no_counted_byte_is_written_again(void **state) {
    struct kit *k = *state;
    struct buf before = {0};
    for (unsigned round = 0; round < 8; round++) {
        put(k, 1, 10 + round * 150);
        begin_copy(k);
        assert_int_equal(checkpoint_log_bytes(k->c, 1) > before.n, true);
        commit(k);
        struct buf after = scratch_read(log_file(k, 1, 1));
        assert_int_equal(after.n % JOURNAL_SECTOR, 0);
        assert_int_equal(after.n, checkpoint_log_bytes(k->c, 1));
        assert_true(after.n > before.n);
        if (before.n) assert_memory_equal(before.p, after.p, before.n);
        buf_free(&before);
        before = after;
    }
    buf_free(&before);
}

static unsigned calls;
static int counting_rename(const char *from, const char *to) { return calls++, scratch_ops.rename(from, to); }
static int counting_open(const char *path, int flags, unsigned mode) {
    return calls++, scratch_ops.open(path, flags, mode);
}
static int counting_sync_dir(const char *path, const char *site) { return (void)path, (void)site, calls++, 0; }

static void nothing_new_costs_nothing(void **state) {
    struct kit *k = *state;
    struct io_ops ops = scratch_ops;
    for (uint32_t w = 1; w <= 200; w++) put(k, w, 30);
    copy_all(k);
    put(k, 77, 30);
    ops.rename = counting_rename;
    ops.open = counting_open;
    ops.sync_dir = counting_sync_dir;
    io_use(&ops);
    calls = 0;
    copy_all(k);
    assert_in_range(calls, 1, 5); /* one log and the manifest, however many workspaces there are */
    calls = 0;
    copy_all(k);
    assert_int_equal(calls, 0);
    io_use(&scratch_ops);
    without_journal(k);
}

static size_t largest_write;
static ssize_t noting_pwrite(int fd, const void *p, size_t n, off_t at) {
    if (n > largest_write) largest_write = n;
    return scratch_ops.pwrite(fd, p, n, at);
}

static void a_full_log_is_left(void **state) {
    struct kit *k = *state;
    struct io_ops ops = scratch_ops;
    ops.pwrite = noting_pwrite;
    close_all(k);
    k->o.file_size = 100 << 20;
    k->o.max_files = 2;
    assert_true(open_all(k));
    put(k, 1, 3 << 20); /* larger than the window that reads it */
    for (unsigned i = 0; i < 62; i++) put(k, 1 + i % 2, (2 << 20) - i);
    io_use(&ops);
    begin_copy(k);
    assert_true(checkpoint_log_bytes(k->c, 1) > 64 << 20);
    commit(k);
    io_use(&scratch_ops);
    assert_in_range(largest_write, 1, 20 << 20); /* it does not all wait in memory */
    assert_int_equal(manifest_of(k, 1)->log_count, 1);
    put(k, 1, 5);
    copy_all(k);
    assert_int_equal(manifest_of(k, 1)->log_count, 2);
    put(k, 1, 6);
    for (unsigned i = 0; i < 3; i++) put(k, 2, 2 << 20);
    copy_all(k);
    assert_int_equal(manifest_of(k, 1)->log_count, 2);
    assert_int_equal(manifest_of(k, 2)->log_count, 2); /* left in the middle of a copy */
    without_journal(k);
}

/* ---- compaction ---- */

static enum keep keep_by_number(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    uint64_t upto = *(const uint64_t *)ctx;
    assert_int_equal(less->n, 0);
    if (h->seq > upto || h->seq % 3 == 0) return KEEP_ALL;
    if (h->seq % 3 == 1) return KEEP_NONE;
    buf_add(less, payload.p, payload.n / 2);
    return KEEP_LESS;
}

static void expect_kept(struct kit *k, uint32_t workspace, uint64_t upto) {
    for (unsigned i = 0; i < k->count; i++) {
        struct one *o = &k->all[i];
        if (o->workspace != workspace || o->seq > upto || o->gone || o->seq % 3 == 0) continue;
        o->gone = o->seq % 3 == 1;
        o->size /= 2;
        char *text = mem_alloc(o->size + 1);
        for (size_t n = 0; n < o->size; n++) text[n] = (char)('a' + (o->seq + n / 7) % 26);
        o->sum = sum_of(text, o->size);
        free(text);
    }
}

static void compacts(void **state) {
    struct kit *k = *state;
    for (unsigned round = 1; round < 5; round++) {
        put_some(k, 60);
        copy_all(k);
        put_some(k, 20);
        begin_copy(k);
        uint64_t upto = k->count - 5;
        unsigned newest = (unsigned)manifest_of(k, 2)->next_log;
        assert_true(checkpoint_compact(k->c, 2, keep_by_number, &upto, &k->e));
        assert_true(there(log_file(k, 2, newest - 1)));
        commit(k);
        expect_kept(k, 2, upto);
        assert_int_equal(manifest_of(k, 2)->log_count, 1);
        assert_int_equal(manifest_of(k, 2)->logs[0].number, newest);
        assert_int_equal(files_in(k, 2), 1);
        without_journal(k);
        put_some(k, 10);
        reopens(k);
    }
}

static enum keep keep_nothing(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    (void)ctx, (void)h, (void)payload, (void)less;
    return KEEP_NONE;
}
static enum keep keep_all(void *ctx, const struct record_header *h, struct str payload, struct buf *less) {
    (void)ctx, (void)h, (void)payload, (void)less;
    return KEEP_ALL;
}

static void compacts_to_nothing_and_goes_on(void **state) {
    struct kit *k = *state;
    put_some(k, 50);
    copy_all(k);
    checkpoint_begin(k->c);
    assert_true(checkpoint_compact(k->c, 1, keep_nothing, NULL, &k->e));
    assert_true(checkpoint_compact(k->c, 9, keep_nothing, NULL, &k->e)); /* there is none */
    assert_int_equal(checkpoint_log_bytes(k->c, 1), 0);
    commit(k);
    for (unsigned i = 0; i < k->count; i++) k->all[i].gone = k->all[i].workspace == 1;
    assert_int_equal(manifest_of(k, 1)->log_count, 0);
    assert_int_equal(files_in(k, 1), 0);
    without_journal(k);
    put_some(k, 20);
    checkpoint_begin(k->c); /* compaction first: what is copied after it stands behind */
    assert_true(checkpoint_compact(k->c, 2, keep_all, NULL, &k->e));
    assert_true(checkpoint_compact(k->c, 2, keep_all, NULL, &k->e));
    assert_true(checkpoint_copy(k->c, k->j, NULL, NULL, &k->e));
    assert_true(checkpoint_copy(k->c, k->j, NULL, NULL, &k->e));
    commit(k);
    assert_int_equal(files_in(k, 2), 1);
    assert_int_equal(files_in(k, 1), 1);
    without_journal(k);
}

static void leaves_out_while_copying(void **state) {
    struct kit *k = *state;
    put_some(k, 60);
    uint64_t upto = 30;
    checkpoint_begin(k->c);
    assert_true(checkpoint_copy(k->c, k->j, keep_by_number, &upto, &k->e));
    commit(k);
    for (uint32_t w = 1; w <= 3; w++) expect_kept(k, w, upto);
    without_journal(k);
}

/* ---- segments, deletion, sweep ---- */

static const char *segment_file(struct kit *k, uint32_t workspace, uint64_t number, uint32_t version) {
    char name[64];
    manifest_segment_name(number, version, name);
    return scratch_path(&k->scratch, "workspaces/%u/segments/%s", workspace, name);
}

static void make_segment(struct kit *k, uint32_t workspace, uint64_t number, uint32_t version) {
    char folder[4096];
    assert_true(checkpoint_segment_folder(k->c, workspace, folder, &k->e));
    scratch_write(segment_file(k, workspace, number, version), STR("columns"));
}

static void segments_come_and_go(void **state) {
    struct kit *k = *state;
    put_some(k, 30);
    for (uint64_t n = 1; n <= 3; n++) make_segment(k, 1, n, 1);
    checkpoint_begin(k->c);
    checkpoint_segments(k->c, 1, NULL, 0, SEGMENTS(SEGMENT(2, 1), SEGMENT(1, 1), SEGMENT(3, 1)), 3, 20);
    commit(k); /* nothing was copied: sealed_through is ahead */
    assert_int_equal(checkpoint_manifest(k->c)->seq, 0);
    reopens(k);
    const struct manifest_workspace *w = manifest_of(k, 1);
    assert_int_equal(w->segment_count, 3);
    assert_int_equal(w->sealed_through, 20);
    assert_int_equal(w->next_segment, 4);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(w->segments[i].number, i + 1);
    make_segment(k, 1, 2, 2); /* a fold, and a merge */
    make_segment(k, 1, 7, 1);
    begin_copy(k);
    checkpoint_segments(k->c, 1, SEGMENTS(SEGMENT(2, 1)), 1, SEGMENTS(SEGMENT(2, 2)), 1, 20);
    checkpoint_segments(k->c, 1, SEGMENTS(SEGMENT(3, 1), SEGMENT(1, 1)), 2, SEGMENTS(SEGMENT(7, 1)), 1,
                        25);
    assert_true(there(segment_file(k, 1, 2, 1)));
    commit(k);
    for (uint64_t n = 1; n <= 3; n++) assert_false(there(segment_file(k, 1, n, 1)));
    assert_true(there(segment_file(k, 1, 2, 2)) && there(segment_file(k, 1, 7, 1)));
    without_journal(k);
    w = manifest_of(k, 1);
    assert_int_equal(w->segment_count, 2);
    assert_int_equal(w->segments[0].version, 2);
    assert_int_equal(w->segments[1].number, 7);
    assert_int_equal(w->next_segment, 8);
    checkpoint_begin(k->c); /* retention */
    checkpoint_segments(k->c, 1, SEGMENTS(SEGMENT(2, 2), SEGMENT(7, 1)), 2, NULL, 0, 25);
    commit(k);
    assert_int_equal(manifest_of(k, 1)->segment_count, 0);
    assert_int_equal(manifest_of(k, 1)->next_segment, 8);
    reopens(k);
}

static void nothing_goes_while_held(void **state) {
    struct kit *k = *state;
    uint64_t all = UINT64_MAX - 1;
    put_some(k, 300);
    make_segment(k, 1, 1, 1);
    make_segment(k, 2, 1, 1);
    begin_copy(k);
    checkpoint_segments(k->c, 1, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 0);
    checkpoint_segments(k->c, 2, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 0);
    commit(k);
    put_some(k, 300);
    uint64_t free_files = journal_stats(k->j).free_files;
    checkpoint_hold(k->c, true);
    begin_copy(k);
    assert_true(checkpoint_compact(k->c, 2, keep_by_number, &all, &k->e));
    checkpoint_segments(k->c, 1, SEGMENTS(SEGMENT(1, 1)), 1, NULL, 0, 0);
    commit(k);
    expect_kept(k, 2, all);
    checkpoint_begin(k->c);
    checkpoint_delete(k->c, 3);
    commit(k);
    for (unsigned i = 0; i < k->count; i++) k->all[i].gone |= k->all[i].workspace == 3;
    assert_int_equal(journal_stats(k->j).free_files, free_files);
    assert_true(there(segment_file(k, 1, 1, 1)) && there(log_file(k, 2, 1)) && there(log_file(k, 3, 1)));
    checkpoint_hold(k->c, false);
    checkpoint_begin(k->c);
    commit(k);
    assert_true(journal_stats(k->j).free_files > free_files);
    assert_false(there(segment_file(k, 1, 1, 1)) || there(log_file(k, 2, 1)) || there(log_file(k, 3, 1)));
    assert_true(there(segment_file(k, 2, 1, 1)));
    without_journal(k);
}

static void deletes_for_good(void **state) {
    struct kit *k = *state;
    put_some(k, 60);
    make_segment(k, 2, 1, 1);
    begin_copy(k);
    checkpoint_segments(k->c, 2, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 0);
    commit(k);
    mkdir(scratch_path(&k->scratch, "workspaces/2/images"), 0700);
    for (unsigned i = 0; i < 1500; i++)
        scratch_write(scratch_path(&k->scratch, "workspaces/2/images/p%u", i), STR("picture"));
    put_some(k, 60);
    begin_copy(k);
    checkpoint_delete(k->c, 2);
    checkpoint_delete(k->c, 8); /* never was in the manifest */
    put_some(k, 10);
    assert_true(checkpoint_copy(k->c, k->j, NULL, NULL, &k->e));
    assert_true(checkpoint_compact(k->c, 2, keep_all, NULL, &k->e));
    commit(k);
    for (unsigned i = 0; i < k->count; i++) k->all[i].gone |= k->all[i].workspace == 2;
    assert_true(manifest_of(k, 2)->deleted && manifest_of(k, 8)->deleted);
    const char *folder = scratch_path(&k->scratch, "workspaces/2");
    assert_true(there(folder)); /* not all at once */
    without_journal(k);
    assert_true(checkpoint_sweep(k->c, &k->e));
    put(k, 2, 50);
    k->all[k->count - 1].gone = true;
    for (unsigned i = 0; i < 2; i++) copy_all(k);
    assert_false(there(folder));
    put(k, 2, 50);
    k->all[k->count - 1].gone = true;
    copy_all(k);
    assert_false(there(folder)); /* nothing is written for it any more */
    without_journal(k);
    assert_true(manifest_of(k, 2)->deleted && manifest_of(k, 8)->deleted);
}

static void sweeps_what_is_known(void **state) {
    struct kit *k = *state;
    put_some(k, 30);
    make_segment(k, 1, 5, 1);
    scratch_write(log_file(k, 1, 1), STR("of a first step that did not finish"));
    assert_true(checkpoint_sweep(k->c, &k->e)); /* there is no manifest yet */
    assert_true(there(log_file(k, 1, 1)));
    begin_copy(k);
    checkpoint_segments(k->c, 1, NULL, 0, SEGMENTS(SEGMENT(5, 1)), 1, 0);
    commit(k);
    static const char *const away[] = {
        "MANIFEST.new",
        "workspaces/1/log-2",
        "workspaces/1/log-18446744073709551615",
        "workspaces/7/log-1",
        "workspaces/1/segments/5.2.arrow",
        "workspaces/1/segments/6.1.arrow",
        "workspaces/1/segments/5.1.arrow.new",
        "workspaces/1/segments/9.1.arrow.tmp",
        "workspaces/7/segments/1.1.arrow",
    };
    static const char *const stay[] = {
        "workspaces/1/log",
        "workspaces/1/log-",
        "workspaces/1/log-2x",
        "workspaces/1/log-02",
        "workspaces/1/notes",
        "workspaces/1/log-18446744073709551616",
        "workspaces/1/segments/5.arrow",
        "workspaces/1/segments/6.1.arrow.bak",
        "workspaces/1/segments/6.4294967296.arrow",
        "workspaces/1/segments/log-2",
        "workspaces/1/images/ab",
        "workspaces/x7/log-1",
        "workspaces/07/log-1",
        "workspaces/log-1",
        "log-1",
        "workspaces/7/images/ab",
    };
    for (unsigned w = 0; w < 4; w++) {
        static const char *const folders[] = {"1", "7", "x7", "07"};
        mkdir(scratch_path(&k->scratch, "workspaces/%s", folders[w]), 0700);
        mkdir(scratch_path(&k->scratch, "workspaces/%s/segments", folders[w]), 0700);
        mkdir(scratch_path(&k->scratch, "workspaces/%s/images", folders[w]), 0700);
    }
    for (unsigned i = 0; i < sizeof away / sizeof *away; i++)
        scratch_write(scratch_path(&k->scratch, "%s", away[i]), STR("x"));
    for (unsigned i = 0; i < sizeof stay / sizeof *stay; i++)
        scratch_write(scratch_path(&k->scratch, "%s", stay[i]), STR("x"));
    assert_true(checkpoint_sweep(k->c, &k->e));
    for (unsigned i = 0; i < sizeof away / sizeof *away; i++)
        if (there(scratch_path(&k->scratch, "%s", away[i]))) fail_msg("%s is still there", away[i]);
    for (unsigned i = 0; i < sizeof stay / sizeof *stay; i++)
        if (!there(scratch_path(&k->scratch, "%s", stay[i]))) fail_msg("%s is gone", stay[i]);
    assert_true(there(log_file(k, 1, 1)) && there(segment_file(k, 1, 5, 1)));
    without_journal(k);
}

/* ---- steps that are dropped, and that fail ---- */

static void step_to(struct kit *k, unsigned stage, uint64_t *upto) {
    checkpoint_begin(k->c);
    if (stage > 0) assert_true(checkpoint_copy(k->c, k->j, NULL, NULL, &k->e));
    if (stage > 1) assert_true(checkpoint_compact(k->c, 1, keep_by_number, upto, &k->e));
    if (stage > 2) checkpoint_segments(k->c, 2, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 10);
    if (stage > 3) checkpoint_delete(k->c, 3);
}

static void dropped_at_each_stage(void **state) {
    struct kit *k = *state;
    uint64_t upto = 1000;
    put_some(k, 40);
    copy_all(k);
    make_segment(k, 2, 1, 1);
    for (unsigned stage = 0; stage < 5; stage++) {
        put_some(k, 20);
        step_to(k, stage, &upto);
        checkpoint_abort(k->c);
        assert_int_equal(checkpoint_manifest(k->c)->seq, 40);
        assert_int_equal(files_in(k, 1), 1);
        step_to(k, stage, &upto); /* and closed in the middle */
        reopens(k);
    }
    step_to(k, 4, &upto);
    commit(k);
    expect_kept(k, 1, upto);
    for (unsigned i = 0; i < k->count; i++) k->all[i].gone |= k->all[i].workspace == 3;
    without_journal(k);
}

/* Every operation of the table fails in turn. */
static struct {
    unsigned count, at, run; /* fail operations at .. at + run - 1 */
    bool unlinked;           /* something was, other than by a step that failed */
} fault;

static bool fails(void) {
    fault.count++;
    errno = EIO;
    return fault.count >= fault.at && fault.count - fault.at < fault.run;
}
static int f_open(const char *path, int flags, unsigned mode) {
    return fails() ? -1 : scratch_ops.open(path, flags, mode);
}
static ssize_t f_pread(int fd, void *p, size_t n, off_t at) { return fails() ? -1 : pread(fd, p, n, at); }
static ssize_t f_pwrite(int fd, const void *p, size_t n, off_t at) {
    if (!fails()) return scratch_ops.pwrite(fd, p, n, at);
    CHECK(pwrite(fd, p, n / 2, at) >= 0);
    errno = EIO;
    return -1;
}
static int f_sync(int fd, const char *site) { return (void)fd, (void)site, fails() ? -1 : 0; }
static int f_sync_dir(const char *path, const char *site) { return (void)path, (void)site, fails() ? -1 : 0; }
static int f_rename(const char *from, const char *to) { return fails() ? -1 : scratch_ops.rename(from, to); }
static int f_mkdir(const char *path, unsigned mode) { return fails() ? -1 : scratch_ops.mkdir(path, mode); }
static int f_unlink(const char *path) {
    fault.unlinked = true;
    return fails() ? -1 : scratch_ops.unlink(path);
}
static int f_close(int fd) {
    bool failed = fails();
    close(fd);
    errno = EIO;
    return failed ? -1 : 0;
}
static const struct io_ops faulty = {.open = f_open,
                                     .close = f_close,
                                     .pread = f_pread,
                                     .pwrite = f_pwrite,
                                     .sync = f_sync,
                                     .sync_dir = f_sync_dir,
                                     .rename = f_rename,
                                     .unlink = f_unlink,
                                     .mkdir = f_mkdir,
                                     .forget = NULL};

/* One step under faults: all four kinds of part. What must be there afterwards is noted. */
static void step_under_fault(struct kit *k, uint64_t upto) {
    struct checkpoint *c = k->c;
    bool has_segment = manifest_of(k, 2)->segment_count;
    checkpoint_begin(c);
    bool ok = checkpoint_copy(c, k->j, NULL, NULL, &k->e) && checkpoint_compact(c, 1, keep_by_number, &upto, &k->e);
    if (!ok) {
        checkpoint_abort(c);
        k->outcome = COMMIT_FAILED;
        return;
    }
    if (has_segment)
        checkpoint_segments(c, 2, SEGMENTS(SEGMENT(1, 1)), 1, SEGMENTS(SEGMENT(1, 2)), 1, 10);
    checkpoint_delete(c, 3);
    k->outcome = checkpoint_commit(c, k->j, &k->e);
    if (k->outcome == COMMIT_FAILED) return;
    expect_kept(k, 1, upto);
    for (unsigned i = 0; i < k->count; i++) k->all[i].gone |= k->all[i].workspace == 3;
}

/* A store as it is on disk now, opened beside the one that goes on. */
static void photo_shows_all(struct kit *k) {
    struct kit *other = mem_zero(1, sizeof *other);
    other->o = k->o;
    snprintf(other->scratch.dir, sizeof other->scratch.dir, "%.180s.photo", k->scratch.dir);
    scratch_copy_tree(k->scratch.dir, other->scratch.dir);
    other->count = k->count;
    memcpy(other->all, k->all, sizeof k->all);
    if (!open_all(other)) fail_msg("operation %u failed: %s", fault.at, other->e.msg);
    is_all_there(other);
    if (!checkpoint_sweep(other->c, &other->e)) fail_msg("%s", other->e.msg);
    reopens(other);
    close_all(other);
    scratch_remove_tree(other->scratch.dir);
    free(other);
}

static void no_log_but_those_named(struct kit *k) {
    for (uint32_t workspace = 1; workspace <= 4; workspace++) {
        const struct manifest_workspace *w = manifest_of(k, workspace);
        assert_int_equal(files_in(k, workspace), w ? w->log_count : 0);
    }
}

static bool fault_round(struct kit *k, unsigned at, unsigned run) {
    put_some(k, 60);
    make_segment(k, 2, 1, 1);
    begin_copy(k);
    checkpoint_segments(k->c, 2, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 5);
    commit(k);
    make_segment(k, 2, 1, 2);
    put_some(k, 30);
    put(k, 4, 100); /* a new one */
    struct buf manifest = scratch_read(scratch_path(&k->scratch, "MANIFEST"));
    fault.count = 0;
    fault.at = at;
    fault.run = run;
    fault.unlinked = false;
    io_use(&faulty);
    step_under_fault(k, 60);
    bool over = fault.count < at;
    io_use(&scratch_ops);
    photo_shows_all(k);
    if (k->outcome == COMMIT_FAILED && run == 1) no_log_but_those_named(k);
    if (k->outcome == COMMIT_COUNTS) { /* the power fails: the old manifest is back, and all that it names is there */
        assert_false(fault.unlinked);
        assert_true(there(segment_file(k, 2, 1, 1)) && there(log_file(k, 1, 1)) && there(log_file(k, 3, 1)));
        char *now = strdup(scratch_path(&k->scratch, "MANIFEST.kept"));
        assert_int_equal(rename(scratch_path(&k->scratch, "MANIFEST"), now), 0);
        scratch_write(scratch_path(&k->scratch, "MANIFEST"), buf_str(&manifest));
        struct checkpoint *c = checkpoint_open(k->scratch.dir, store_id, &k->e);
        assert_true(c && checkpoint_replay(c, see, (k->seen_count = 0, k), &k->e));
        assert_int_equal(k->seen_count, 60);
        checkpoint_close(c);
        assert_int_equal(rename(now, scratch_path(&k->scratch, "MANIFEST")), 0);
        free(now);
    }
    if (k->outcome != COMMIT_DONE) assert_true(k->e.code == ERR_IO);
    buf_free(&manifest);
    put_some(k, 20); /* and it goes on */
    for (unsigned i = 0; k->outcome != COMMIT_FAILED && i < k->count; i++) k->all[i].gone |= k->all[i].workspace == 3;
    copy_all(k);
    photo_shows_all(k);
    if (k->outcome != COMMIT_FAILED) {
        assert_false(there(segment_file(k, 2, 1, 1)) || there(log_file(k, 3, 1)));
        assert_int_equal(files_in(k, 1), 1);
    }
    without_journal(k);
    return over;
}

static void fails_at(unsigned run, unsigned *rounds) {
    void *state;
    bool over = false;
    for (*rounds = 1; !over; ++*rounds) {
        assert_int_equal(setup(&state), 0);
        over = fault_round(state, *rounds, run);
        teardown(&state);
    }
}

static void every_operation_fails(void **state) {
    (void)state;
    unsigned rounds;
    for (unsigned run = 1; run; run = run == 1 ? UINT32_MAX : 0) { /* it alone; and all after it */
        fails_at(run, &rounds);
        assert_in_range(rounds, 30, 200);
    }
}

/* The manifest has its name, but nobody knows whether on disk. */
static bool manifest_dir_fails;
static int f_manifest_dir(const char *path, const char *site) {
    (void)path;
    errno = EIO;
    return manifest_dir_fails && strcmp(site, "checkpoint.manifest.dir") == 0 ? -1 : 0;
}

static void nothing_rests_on_a_name_that_is_not_synced(void **state) {
    struct kit *k = *state;
    struct io_ops ops = scratch_ops;
    put_some(k, 300);
    make_segment(k, 1, 1, 1);
    begin_copy(k);
    checkpoint_segments(k->c, 1, NULL, 0, SEGMENTS(SEGMENT(1, 1)), 1, 0);
    commit(k);
    put_some(k, 300);
    uint64_t free_files = journal_stats(k->j).free_files;
    ops.sync_dir = f_manifest_dir;
    ops.rename = counting_rename;
    io_use(&ops);
    manifest_dir_fails = true;
    begin_copy(k);
    assert_true(checkpoint_compact(k->c, 2, keep_all, NULL, &k->e));
    checkpoint_segments(k->c, 1, SEGMENTS(SEGMENT(1, 1)), 1, NULL, 0, 0);
    for (unsigned i = 0; i < 3; i++) { /* the first time, and as often as it is tried again */
        assert_int_equal(checkpoint_commit(k->c, k->j, &k->e), COMMIT_COUNTS);
        assert_int_equal(k->e.code, ERR_IO);
        assert_int_equal(checkpoint_manifest(k->c)->seq, 600);
        assert_int_equal(journal_stats(k->j).free_files, free_files);
        assert_true(there(segment_file(k, 1, 1, 1)) && there(log_file(k, 2, 1)) && there(log_file(k, 2, 2)));
        checkpoint_begin(k->c);
    }
    manifest_dir_fails = false;
    calls = 0;
    commit(k);
    assert_int_equal(calls, 1); /* a fresh name: that of before may be lost for good */
    io_use(&scratch_ops);
    assert_true(journal_stats(k->j).free_files > free_files);
    assert_false(there(segment_file(k, 1, 1, 1)) || there(log_file(k, 2, 1)));
    without_journal(k);
}

/* ---- damage ---- */

static bool opens(struct kit *k) {
    k->seen_count = 0;
    struct checkpoint *c = checkpoint_open(k->scratch.dir, store_id, &k->e);
    bool ok = c && checkpoint_replay(c, see, k, &k->e);
    if (c) checkpoint_close(c);
    return ok;
}

/* The file, and the offset of the record that byte `at` belongs to. */
static void names_the_place(struct kit *k, struct str bytes, size_t at) {
    char want[80];
    size_t from = 0, next = WLOG_HEAD;
    struct record_header h;
    while (next <= at) {
        from = next;
        memcpy(&h, bytes.p + next, sizeof h);
        next += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) next = (next + 511) / 512 * 512;
    }
    snprintf(want, sizeof want, "/workspaces/1/log-1 is damaged at offset %zu", from);
    assert_int_equal(k->e.code, ERR_DAMAGED);
    const char *tail = strstr(k->e.msg, "/workspaces");
    assert_string_equal(tail ? tail : k->e.msg, want);
}

static bool is_padding(struct str bytes, size_t at) {
    size_t next = WLOG_HEAD, end = 0;
    struct record_header h;
    while (next <= at) {
        memcpy(&h, bytes.p + next, sizeof h);
        end = next += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) next = (next + 511) / 512 * 512;
    }
    return at >= end && end > 0;
}

static void damage_is_named(void **state) {
    struct kit *k = *state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 6; i++) put(k, 1, 10 + i * 60);
        copy_all(k);
    }
    close_all(k);
    struct buf bytes = scratch_read(log_file(k, 1, 1));
    for (size_t n = 0; n < bytes.n; n += 64) {
        scratch_write(log_file(k, 1, 1), (struct str){bytes.p, n});
        if (opens(k)) fail_msg("taken when cut at %zu", n);
        assert_int_equal(k->e.code, ERR_DAMAGED);
        assert_non_null(strstr(k->e.msg, "/workspaces/1/log-1 is damaged at offset "));
    }
    for (size_t at = 0; at < bytes.n; at++) {
        bytes.p[at] ^= (char)(1 << at % 8);
        scratch_write(log_file(k, 1, 1), buf_str(&bytes));
        bytes.p[at] ^= (char)(1 << at % 8);
        bool padding = is_padding(buf_str(&bytes), at);
        if (opens(k) != padding) fail_msg("byte %zu wrong: %s", at, padding ? "nothing rests on it" : "taken");
        if (!padding) names_the_place(k, buf_str(&bytes), at);
    }
    unlink(log_file(k, 1, 1));
    assert_false(opens(k));
    assert_non_null(strstr(k->e.msg, "log-1: No such file"));
    scratch_write(log_file(k, 1, 1), buf_str(&bytes));
    assert_true(opens(k));
    scratch_write(log_file(k, 1, 2), buf_str(&bytes)); /* another log's bytes under this name */
    rename(log_file(k, 1, 2), log_file(k, 1, 1));
    assert_true(opens(k));
    buf_free(&bytes);
}

/* A log of another number or workspace is not taken for this one. */
static void logs_are_not_mixed_up(void **state) {
    struct kit *k = *state;
    put_some(k, 30);
    begin_copy(k);
    assert_true(checkpoint_compact(k->c, 1, keep_all, NULL, &k->e));
    checkpoint_hold(k->c, true);
    commit(k);
    put_some(k, 5);
    copy_all(k);
    close_all(k);
    struct buf one = scratch_read(log_file(k, 1, 1)), two = scratch_read(log_file(k, 1, 2)),
               other = scratch_read(log_file(k, 2, 1));
    scratch_write(log_file(k, 1, 2), buf_str(&one));
    assert_false(opens(k));
    scratch_write(log_file(k, 1, 2), buf_str(&other));
    assert_false(opens(k));
    scratch_write(log_file(k, 1, 2), buf_str(&two));
    assert_true(opens(k));
    buf_free(&one);
    buf_free(&two);
    buf_free(&other);
}

/* Each record is good in itself, but for what is wrong with it. */
static void records_that_do_not_belong(void **state) {
    struct kit *k = *state;
    static const struct {
        uint32_t workspace;
        uint64_t seq[3];
        bool good;
    } cases[] = {{5, {1, 2, 9}, true}, {5, {1, 9, 9}, false}, {5, {1, 9, 8}, false}, {6, {1, 2, 9}, false}};
    for (unsigned i = 0; i < 4; i++) {
        const char *path = log_file(k, 9, 1);
        struct wlog l = {.path = path, .workspace = 5, .number = 3, .length = 512};
        struct buf b = {0};
        uint64_t seq = 0;
        mkdir(scratch_path(&k->scratch, "workspaces/9"), 0700);
        buf_reserve(&b, 512);
        memset(b.p, 0, 512);
        wlog_head(&l, b.p);
        b.n = WLOG_HEAD;
        for (unsigned r = 0; r < 3; r++) {
            struct record_header h = {.length = 1, .workspace = cases[i].workspace, .seq = cases[i].seq[r]};
            h.time_us = 1000 * (int64_t)h.seq;
            h.type = (uint8_t)(1 + h.seq % 2);
            h.crc = record_crc(&h, "x", 5);
            if (r == 2) h.flags = RECORD_GROUP_END, h.crc = record_crc(&h, "x", 5);
            buf_add(&b, &h, sizeof h);
            buf_addc(&b, 'x');
        }
        scratch_write(path, (struct str){b.p, 512});
        assert_int_equal(wlog_read(&l, &seq, see, k, &k->e), cases[i].good);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(copies_and_reopens),
        TEST(no_counted_byte_is_written_again),
        TEST(nothing_new_costs_nothing),
        TEST(a_full_log_is_left),
        TEST(compacts),
        TEST(compacts_to_nothing_and_goes_on),
        TEST(leaves_out_while_copying),
        TEST(segments_come_and_go),
        TEST(nothing_goes_while_held),
        TEST(deletes_for_good),
        TEST(sweeps_what_is_known),
        TEST(dropped_at_each_stage),
        cmocka_unit_test(every_operation_fails),
        TEST(nothing_rests_on_a_name_that_is_not_synced),
        TEST(records_that_do_not_belong),
        TEST(damage_is_named),
        TEST(logs_are_not_mixed_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
