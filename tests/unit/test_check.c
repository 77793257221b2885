/* check finds what is damaged and says where; repair sets it aside and keeps all that can still be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/arrow.h"
#include "store/check.h"
#include "store/checkpoint.h"
#include "store/segment.h"
#include "store/wlog.h"
#include "store_kit.h"

#define SEGMENT(n, v) {.number = (n), .version = (v)}
#define SEGMENTS(...) ((struct manifest_segment[]){__VA_ARGS__})

static struct buf said; /* by the last check */
static struct check last;
static void note(void *ctx, const char *line) { (void)ctx, buf_printf(&said, "%s\n", line); }

static bool look(struct store_kit *k, bool repair) {
    static const struct check fresh = {.report = note};
    said.n = 0;
    last = fresh;
    last.dir = k->scratch.dir;
    last.repair = repair;
    memcpy(last.store_id, k->o.id, 16);
    k->e = (struct err){0};
    bool ok = check_store(&last, &k->e);
    buf_addc(&said, '\0');
    return ok;
}

static void all_is_well(struct store_kit *k) {
    if (!look(k, false)) fail_msg("%s", k->e.msg);
    if (last.problems || said.n > 1) fail_msg("%s", said.p);
}

static void is_found(struct store_kit *k, const char *what) {
    if (!look(k, false)) fail_msg("%s", k->e.msg);
    if (!last.problems || !strstr(said.p, what)) fail_msg("'%s' was not said, but: %s", what, said.p);
}

static void repairs(struct store_kit *k) {
    if (!look(k, true)) fail_msg("%s\n%s", k->e.msg, said.p);
    if (last.problems) fail_msg("%s", said.p);
    char *told = strdup(said.p);
    all_is_well(k);
    said.n = 0;
    buf_addz(&said, told);
    buf_addc(&said, '\0');
    free(told);
}

static void says(const char *what) {
    if (!strstr(said.p, what)) fail_msg("'%s' was not said, but: %s", what, said.p);
}

static void step(struct store_kit *k, enum store_step step) {
    if (!store_step(k->s, STORE_KIT_WORKSPACE, step, 0, &k->e)) fail_msg("%s", k->e.msg);
}

static void fill(struct store_kit *k, unsigned from, unsigned to) {
    char id[20];
    for (unsigned i = from; i < to; i++) {
        snprintf(id, sizeof id, "i%u", i);
        struct inference inf = plain(id, i % 3 ? "m" : "n", i % 2);
        assert_true(add_inference(k, &inf));
        assert_true(add_value(k, id, "f", NUMBER_VALUE(i % 7)));
        assert_true(add_value(k, id, "g", TEXT_VALUE("some value")));
    }
}

/* Two segments, one of them folded; a log; a journal over several files whose newest records are in no log; and killed.
 */
static void make(struct store_kit *k) {
    fill(k, 0, 60);
    step(k, STEP_FREEZE);
    step(k, STEP_SEAL);
    fill(k, 60, 100);
    step(k, STEP_FREEZE);
    step(k, STEP_SEAL);
    for (unsigned i = 0; i < 60; i += 2) {
        char id[20];
        snprintf(id, sizeof id, "i%u", i);
        assert_true(add_value(k, id, "h", NUMBER_VALUE(i)));
    }
    step(k, STEP_FOLD);
    fill(k, 100, 140);
    step(k, STEP_CHECKPOINT);
    fill(k, 140, 700);
    store_kit_kill(k);
}

static void opens_with(struct store_kit *k, const char *want) {
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    const char *got = show(k);
    if (strcmp(got, want) != 0) {
        size_t at = 0;
        while (got[at] == want[at]) at++;
        fail_msg("differs at byte %zu of %zu: %.200s", at, strlen(want), got + at);
    }
}

static char *shown_before(struct store_kit *k) {
    char *copy;
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    copy = strdup(show(k));
    store_kit_kill(k);
    return copy;
}

static unsigned lines_with(const char *text, const char *what) {
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) n++;
    return n;
}

static const char *file(const struct store_kit *k, const char *name) { return scratch_path(&k->scratch, "%s", name); }

/* The log, and the newest version of the n-th segment. */
static const char *log_name(const struct store_kit *k) {
    static char name[100];
    struct manifest m;
    struct err e;
    assert_true(manifest_read(k->scratch.dir, k->o.id, &m, &e));
    const struct manifest_workspace *w = manifest_find(&m, STORE_KIT_WORKSPACE);
    snprintf(name, sizeof name, "workspaces/3/log-%u", (unsigned)w->logs[w->log_count - 1].number);
    manifest_free(&m);
    return name;
}
static const char *segment_name(const struct store_kit *k, unsigned n) {
    static char name[100];
    char file_name[64];
    struct manifest m;
    struct err e;
    assert_true(manifest_read(k->scratch.dir, k->o.id, &m, &e));
    const struct manifest_workspace *w = manifest_find(&m, STORE_KIT_WORKSPACE);
    assert_true(n < w->segment_count);
    manifest_segment_name(w->segments[n].number, w->segments[n].version, file_name);
    snprintf(name, sizeof name, "workspaces/3/segments/%s", file_name);
    manifest_free(&m);
    return name;
}

static void flip(const struct store_kit *k, const char *name, size_t at) {
    struct buf bytes = scratch_read(file(k, name));
    assert_true(at < bytes.n);
    bytes.p[at] ^= 0x10;
    unlink(file(k, name)); /* what was set aside is the same file */
    scratch_write(file(k, name), buf_str(&bytes));
    buf_free(&bytes);
}

static void what_is_whole_is_well(void **state) {
    struct store_kit *k = *state;
    all_is_well(k);
    make(k);
    all_is_well(k);
    assert_int_equal(last.segments, 2);
    assert_int_equal(last.rows, 100);
    assert_int_equal(last.workspaces, 1);
    assert_true(last.records > 600 * 3);
    char *before = shown_before(k);
    assert_int_equal(look(k, true), true);
    assert_int_equal(last.problems, 0);
    assert_int_equal(access(file(k, "set-aside"), F_OK), -1);
    opens_with(k, before);
    store_kit_close(k);
    all_is_well(k);
    free(before);
}

/* ---- logs ---- */

static void a_damaged_log(void **state) {
    struct store_kit *k = *state;
    make(k);
    all_is_well(k);
    uint64_t whole = last.records;
    char *before = shown_before(k), *name = strdup(log_name(k)), want[200];
    struct buf bytes = scratch_read(file(k, name));
    struct scratch copy;
    scratch_make(&copy);
    scratch_remove_tree(copy.dir);
    scratch_copy_tree(k->scratch.dir, copy.dir);
    size_t end = bytes.n;
    while (end && !bytes.p[end - 1]) end--;
    for (size_t at = 3; at < end; at += end / 40) { /* one record, or the head */
        size_t record = 0, next = WLOG_HEAD;
        struct record_header h = {0};
        while (next <= at) {
            record = next;
            memcpy(&h, bytes.p + next, sizeof h);
            next += sizeof h + h.length;
            if (h.flags & RECORD_GROUP_END) next = (next + 511) / 512 * 512;
        }
        if (at >= record + sizeof h + h.length && record) continue; /* between two groups */
        flip(k, name, at);
        if (record)
            snprintf(want, sizeof want, "/%s is damaged at offset %zu: %s", name, record,
                     next < bytes.n ? "of the records " : "what follows record ");
        else
            snprintf(want, sizeof want, "/%s: its head is damaged; all records can be read", name);
        is_found(k, want);
        assert_int_equal(last.problems, 1);
        repairs(k);
        says(want);
        assert_int_equal(last.records, whole - (record != 0)); /* no other is lost with it */
        snprintf(want, sizeof want, "/%s is kept as ", name);
        says(want);
        says("its logs are written anew");
        if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
        assert_true(record || strcmp(show(k), before) == 0);
        store_kit_close(k);
        all_is_well(k);
        scratch_remove_tree(k->scratch.dir);
        scratch_copy_tree(copy.dir, k->scratch.dir);
    }
    for (size_t n = 0; n < end; n += end / 7) { /* cut */
        unlink(file(k, name));
        scratch_write(file(k, name), (struct str){bytes.p, n});
        is_found(k, name);
        repairs(k);
        assert_true(store_kit_open(k));
        store_kit_close(k);
        scratch_remove_tree(k->scratch.dir);
        scratch_copy_tree(copy.dir, k->scratch.dir);
    }
    unlink(file(k, name));
    is_found(k, name);
    repairs(k);
    assert_true(store_kit_open(k));
    scratch_remove_tree(copy.dir);
    buf_free(&bytes);
    free(before);
    free(name);
}

/* ---- segments ---- */

static void a_damaged_segment(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *name = strdup(segment_name(k, 0)), *other = strdup(segment_name(k, 1));
    struct buf bytes = scratch_read(file(k, name));
    for (size_t at = 0; at < bytes.n; at += 1009) {
        flip(k, name, at);
        if (!look(k, false)) fail_msg("%s", k->e.msg);
        if (last.problems && !strstr(said.p, name)) fail_msg("%s", said.p);
        flip(k, name, at); /* what is between two buffers may be anything */
    }
    all_is_well(k);
    flip(k, name, bytes.n / 2);
    is_found(k, name);
    repairs(k);
    says("segment 1 is lost: 60 inferences, from ");
    says("numbered ");
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    assert_null(strstr(show(k), "BROKEN"));
    store_kit_close(k);
    struct stat st;
    assert_int_equal(stat(file(k, "set-aside/1/workspaces_3_segments_1.2.arrow"), &st), 0);
    assert_int_equal(st.st_size, bytes.n);
    assert_int_equal(access(file(k, name), F_OK), -1);
    scratch_write(file(k, other), (struct str){bytes.p, 100}); /* cut, and of another number */
    is_found(k, other);
    repairs(k);
    says("segment 2 is lost: 40 inferences, from "); /* the manifest knows */
    assert_true(store_kit_open(k));
    fill(k, 1000, 1010);
    store_kit_close(k);
    all_is_well(k);
    buf_free(&bytes);
    free(name);
    free(other);
}

/* As arrow.h finds it. */
static size_t summary_at(const struct buf *bytes) {
    struct arena a = {0};
    struct arrow_table t;
    struct err e;
    if (!arrow_read(bytes->p, bytes->n, &a, &t, &e)) fail_msg("%s", e.msg);
    size_t at = (size_t)((const char *)t.summary.p - bytes->p);
    arena_free(&a);
    return at;
}

/* Nothing is lost: its rows are read, and a repair makes it anew of them. */
static void a_damaged_summary(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *name = strdup(segment_name(k, 0)), *before = shown_before(k);
    struct buf bytes = scratch_read(file(k, name));
    flip(k, name, summary_at(&bytes) + 40);
    is_found(k, name);
    says("segment 1.2: its summary is not that of its rows");
    opens_with(k, before);
    store_kit_kill(k);
    repairs(k);
    says("segment 1 is written anew, with a summary of its rows");
    assert_string_equal(segment_name(k, 0), "workspaces/3/segments/1.3.arrow");
    opens_with(k, before);
    store_kit_close(k);
    assert_int_equal(access(file(k, "set-aside/1/workspaces_3_segments_1.2.arrow"), F_OK), 0);
    buf_free(&bytes);
    free(before);
    free(name);
}

/* The manifest's first segment, told otherwise, and as it was the next time; 4: as before version 3, for good. */
static void change_line(struct store_kit *k, int what) {
    struct manifest m;
    assert_true(manifest_read(k->scratch.dir, k->o.id, &m, &k->e));
    struct manifest_segment *s = &manifest_find(&m, STORE_KIT_WORKSPACE)->segments[0];
    s->rows ^= what == 0;
    s->min_time_us ^= what == 1;
    s->max_time_us ^= what == 2;
    s->max_received_us ^= what == 3;
    if (what == 4) s->rows = 0;
    assert_int_equal(manifest_write(k->scratch.dir, &m, &k->e), 0);
    manifest_free(&m);
}

static void segments_that_are_not_what_the_manifest_says(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *one = strdup(segment_name(k, 0)), *two = strdup(segment_name(k, 1));
    struct buf bytes = scratch_read(file(k, one)), second = scratch_read(file(k, two));
    scratch_write(file(k, two), buf_str(&bytes));
    is_found(k, "says that it is another segment");
    scratch_write(file(k, two), buf_str(&second));
    for (int what = 0; what < 4; what++) {
        change_line(k, what);
        is_found(k, what < 3 ? "has other rows than the manifest" : "was received at another time than");
        change_line(k, what);
    }
    change_line(k, 4);
    unlink(file(k, one));
    is_found(k, one);
    repairs(k);
    says("segment 1 is lost; which inferences were in it cannot be read any more");
    free(one);
    free(two);
    buf_free(&bytes);
    buf_free(&second);
}

/* ---- rows ---- */

static void write_segment(struct store_kit *k, uint64_t number, const char *const *ids, unsigned count) {
    struct segment_identity id = {.workspace = 1, .number = number, .version = 1, .applied_through = 5};
    char folder[SCRATCH_PATH + 40], name[64];
    memcpy(id.store_id, k->o.id, 16);
    struct segment_builder *b = segment_builder_new(&id, NULL, 0);
    for (unsigned i = 0; i < count; i++) {
        struct segment_row row = {.inf = plain(ids[i], "m", 0), .seq = number * 10 + i, .received_us = 7};
        row.inf.time_us = 5 + i;
        if (strncmp(ids[i], "partial", 7) == 0) row.flags = ROW_PARTIAL;
        if (strncmp(ids[i], "partial", 7) == 0) row.inf.id = STR("c"), row.inf.partial = true;
        segment_builder_add(b, &row);
    }
    snprintf(folder, sizeof folder, "%s/workspaces/1/segments", k->scratch.dir);
    manifest_segment_name(number, 1, name);
    if (!segment_builder_write(b, folder, name, &k->e)) fail_msg("%s", k->e.msg);
}

static void an_inference_that_stands_twice(void **state) {
    struct store_kit *k = *state;
    char folder[4096];
    store_kit_close(k);
    struct checkpoint *c = checkpoint_open(k->scratch.dir, k->o.id, &k->e);
    assert_true(c && checkpoint_segment_folder(c, 1, folder, &k->e));
    write_segment(k, 1, (const char *[]){"a", "b", "c", "d"}, 4);
    write_segment(k, 2, (const char *[]){"x", "partial", "z"}, 3);
    write_segment(k, 3, (const char *[]){"y", "c"}, 2);
    checkpoint_begin(c);
    checkpoint_segments(c, 1, NULL, 0, SEGMENTS(SEGMENT(1, 1), SEGMENT(2, 1)), 2, 40);
    checkpoint_reach(c, 40, 0);
    assert_int_equal(checkpoint_commit(c, NULL, &k->e), COMMIT_DONE);
    all_is_well(k);
    checkpoint_begin(c);
    checkpoint_segments(c, 1, NULL, 0, SEGMENTS(SEGMENT(3, 1)), 1, 40);
    assert_int_equal(checkpoint_commit(c, NULL, &k->e), COMMIT_DONE);
    is_found(k, "workspace 1: the inference 'c' stands twice, in segment 1, row 2, and in segment 3, row 1");
    assert_int_equal(last.problems, 1);
    checkpoint_begin(c);
    checkpoint_segments(c, 1, SEGMENTS(SEGMENT(3, 1)), 1, NULL, 0, 40);
    assert_int_equal(checkpoint_commit(c, NULL, &k->e), COMMIT_DONE);
    write_segment(k, 4, (const char *[]){"new"}, 1);
    checkpoint_begin(c);
    checkpoint_segments(c, 1, NULL, 0, SEGMENTS(SEGMENT(4, 1)), 1, 40);
    assert_int_equal(checkpoint_commit(c, NULL, &k->e), COMMIT_DONE);
    all_is_well(k);
    write_segment(k, 5, (const char *[]){"newer"}, 1);
    checkpoint_begin(c);
    checkpoint_segments(c, 1, NULL, 0, SEGMENTS(SEGMENT(5, 1)), 1, 40);
    assert_int_equal(checkpoint_commit(c, NULL, &k->e), COMMIT_DONE);
    is_found(k, "5.1.arrow: has rows that the manifest says are in no segment");
    checkpoint_close(c);
}

/* ---- the journal ---- */

/* Path of the journal file with the n-th highest number. */
static const char *slot(const struct store_kit *k, unsigned n) {
    static char name[100];
    uint64_t below = UINT64_MAX, found = 0;
    for (unsigned round = 0; round <= n; round++, below = found) {
        found = 0;
        for (unsigned i = 0; i < 20; i++) {
            struct journal_file_header h;
            const char *path = scratch_path(&k->scratch, "journal/slot-%02u.journal", i);
            if (access(path, F_OK) != 0) continue;
            struct buf bytes = scratch_read(path);
            if (journal_file_header(buf_str(&bytes), &h) && h.number < below && h.number > found) {
                found = h.number;
                snprintf(name, sizeof name, "journal/slot-%02u.journal", i);
            }
            buf_free(&bytes);
        }
    }
    return name;
}

static void a_damaged_journal(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *before = shown_before(k), *name = strdup(slot(k, 1));
    flip(k, name, 20000);
    assert_false(store_kit_open(k)); /* a start says so too */
    is_found(k, name);
    assert_int_equal(last.problems, 1);
    repairs(k);
    says("records, up to number ");
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    unsigned lost = lines_with(before, "\n") - lines_with(show(k), "\n");
    assert_in_range(lost, 0, 3); /* of one record */
    assert_string_not_equal(show(k), before);
    fill(k, 2000, 2100);
    char *after = strdup(show(k));
    store_kit_kill(k);
    all_is_well(k);
    opens_with(k, after);
    free(before);
    free(after);
    free(name);
}

static void a_journal_file_without_its_header(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *before = shown_before(k);
    for (unsigned n = 0; n < 2; n++) {
        char *name = strdup(slot(k, n));
        flip(k, name, 25);
        is_found(k, name);
        repairs(k); /* and nothing is lost */
        free(name);
        opens_with(k, before);
        store_kit_close(k);
        if (n) break;
        assert_true(store_kit_open(k));
        fill(k, 3000, 3400);
        free(before);
        before = strdup(show(k));
        store_kit_kill(k);
    }
    free(before);
}

static void the_newest_journal_files_are_gone(void **state) {
    struct store_kit *k = *state;
    make(k);
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    step(k, STEP_FREEZE); /* segments know of more than the logs do */
    step(k, STEP_SEAL);
    store_kit_kill(k);
    scratch_remove_tree(file(k, "journal"));
    is_found(k, "though records up to ");
    repairs(k);
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    fill(k, 4000, 4010); /* their numbers are over all that is known */
    char *after = strdup(show(k));
    store_kit_kill(k);
    opens_with(k, after);
    assert_int_equal(lines_with(after, "BROKEN"), 0);
    free(after);
}

/* ---- the manifest ---- */

static void a_manifest_made_anew(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *before = shown_before(k);
    struct buf text = scratch_read(file(k, "MANIFEST"));
    for (unsigned way = 0; way < 3; way++) {
        if (way == 0) scratch_write(file(k, "MANIFEST"), (struct str){text.p, text.n / 2});
        if (way == 1) unlink(file(k, "MANIFEST"));
        if (way == 2) { /* the journal is gone too, but everything is in the logs */
            assert_true(store_kit_open(k));
            step(k, STEP_CHECKPOINT);
            store_kit_kill(k);
            unlink(file(k, "MANIFEST"));
            scratch_remove_tree(file(k, "journal"));
        }
        is_found(k, way ? "MANIFEST is missing" : "MANIFEST: line ");
        repairs(k);
        says("MANIFEST is made anew");
        opens_with(k, before);
        store_kit_kill(k);
        all_is_well(k);
    }
    assert_int_equal(access(file(k, "set-aside/1/MANIFEST"), F_OK), 0);
    assert_true(store_kit_open(k));
    fill(k, 5000, 5100);
    step(k, STEP_FREEZE);
    step(k, STEP_SEAL);
    free(before);
    before = strdup(show(k));
    store_kit_kill(k);
    opens_with(k, before);
    buf_free(&text);
    free(before);
}

/* ---- a repair that fails ---- */

static unsigned calls, fails_at;
static bool fails(void) {
    errno = EIO;
    return ++calls == fails_at;
}
static int f_open(const char *path, int flags, unsigned mode) {
    return fails() ? -1 : scratch_ops.open(path, flags, mode);
}
static ssize_t f_pwrite(int fd, const void *p, size_t n, off_t at) { return fails() ? -1 : pwrite(fd, p, n, at); }
static int f_sync(int fd, const char *site) { return (void)fd, (void)site, fails() ? -1 : 0; }
static int f_sync_dir(const char *path, const char *site) { return (void)path, (void)site, fails() ? -1 : 0; }
static int f_rename(const char *from, const char *to) { return fails() ? -1 : rename(from, to); }
static int f_mkdir(const char *path, unsigned mode) { return fails() ? -1 : mkdir(path, mode); }
static int f_link(const char *from, const char *to) { return fails() ? -1 : link(from, to); }
static int f_unlink(const char *path) { return fails() ? -1 : unlink(path); }

/* Reading is left to work: a log that cannot be read at all is lost, and a repair is not to be tried on such a disk. */
static int f_open_to_write(const char *path, int flags, unsigned mode) {
    return flags & (O_WRONLY | O_RDWR) ? f_open(path, flags, mode) : scratch_ops.open(path, flags, mode);
}

static void a_repair_that_fails_is_done_again(void **state) {
    struct store_kit *k = *state;
    make(k);
    char *log = strdup(log_name(k)), *segment = strdup(segment_name(k, 0)), *slot_name = strdup(slot(k, 1)), *want;
    flip(k, log, 1000);
    flip(k, segment, 5000);
    flip(k, slot_name, 20000);
    struct io_ops ops = scratch_ops;
    ops.open = f_open_to_write, ops.pwrite = f_pwrite, ops.sync = f_sync, ops.sync_dir = f_sync_dir;
    ops.rename = f_rename, ops.mkdir = f_mkdir, ops.link = f_link, ops.unlink = f_unlink;
    struct scratch copy;
    scratch_make(&copy);
    scratch_remove_tree(copy.dir);
    scratch_copy_tree(k->scratch.dir, copy.dir);
    repairs(k);
    want = shown_before(k);
    for (fails_at = 1;; fails_at++) {
        scratch_remove_tree(k->scratch.dir);
        scratch_copy_tree(copy.dir, k->scratch.dir);
        calls = 0;
        io_use(&ops);
        bool done = look(k, true);
        io_use(&scratch_ops);
        if (calls < fails_at) break;
        if (!done) assert_true(k->e.code == ERR_IO);
        repairs(k);
        opens_with(k, want);
        store_kit_kill(k);
    }
    assert_true(fails_at > 15);
    scratch_remove_tree(copy.dir);
    free(log);
    free(segment);
    free(slot_name);
    free(want);
}

/* What is set aside is on disk, name and all, before the manifest that does without it. */
static char synced[20][SCRATCH_PATH + 40];
static unsigned synced_count, at_manifest;
static const char *left_out;
static int w_sync_dir(const char *path, const char *site) {
    if (!left_out || strcmp(site, left_out) != 0)
        if (synced_count < 20) snprintf(synced[synced_count++], sizeof synced[0], "%s", path);
    return 0;
}
static int w_rename(const char *from, const char *to) {
    if (strstr(to, "MANIFEST")) at_manifest = synced_count;
    return rename(from, to);
}
static bool was_synced(const char *path) {
    for (unsigned i = 0; i < at_manifest; i++)
        if (strcmp(synced[i], path) == 0) return true;
    return false;
}

static void what_is_set_aside_is_on_disk(void **state) {
    struct store_kit *k = *state;
    static const char *const without[] = {NULL, "repair.folder", "repair.aside"};
    make(k);
    flip(k, log_name(k), 1000);
    struct scratch copy;
    scratch_make(&copy);
    scratch_remove_tree(copy.dir);
    scratch_copy_tree(k->scratch.dir, copy.dir);
    for (unsigned i = 0; i < 3; i++) {
        struct io_ops ops = scratch_ops;
        ops.sync_dir = w_sync_dir, ops.rename = w_rename;
        scratch_remove_tree(k->scratch.dir);
        scratch_copy_tree(copy.dir, k->scratch.dir);
        synced_count = at_manifest = 0;
        left_out = without[i];
        io_use(&ops);
        assert_true(look(k, true));
        io_use(&scratch_ops);
        bool all = was_synced(k->scratch.dir) && was_synced(file(k, "set-aside")) && was_synced(file(k, "set-aside/1"));
        assert_true(all == (without[i] == NULL));
    }
    scratch_remove_tree(copy.dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_kit_setup, store_kit_teardown)
        TEST(what_is_whole_is_well),
        TEST(a_damaged_log),
        TEST(a_damaged_segment),
        TEST(a_damaged_summary),
        TEST(segments_that_are_not_what_the_manifest_says),
        TEST(an_inference_that_stands_twice),
        TEST(a_damaged_journal),
        TEST(a_journal_file_without_its_header),
        TEST(the_newest_journal_files_are_gone),
        TEST(a_manifest_made_anew),
        TEST(a_repair_that_fails_is_done_again),
        TEST(what_is_set_aside_is_on_disk),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&said);
    return failed;
}
