/* Segments: what goes in comes out; what is asked for is found; a file that is not ours is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/hash.h"
#include "record/bins.h"
#include "scratch.h"
#include "segment_kit.h"
#include "segment_reseal.h"
#include "store/segment_finish.h"

static struct scratch scratch;

static int begin(void **state) {
    (void)state;
    hash_init();
    guard_init();
    scratch_make(&scratch);
    return 0;
}

static int end(void **state) {
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

static struct segment *opened(const struct segment_kit *k, const char *name) {
    struct err e = {0};
    if (!segment_kit_write(k, scratch.dir, name, &e)) fail_msg("%s", e.msg);
    struct segment *s = segment_open(scratch_path(&scratch, "%s", name), k->id.store_id, k->id.workspace, &e);
    if (!s) fail_msg("%s", e.msg);
    return s;
}

static void compare(struct segment_kit *k, const struct segment *s) {
    struct guard g;
    if (!guard_enter(&g)) fail_msg("%s", g.e.msg);
    segment_kit_compare(k, s);
    guard_leave(&g);
}

static void verified(const struct segment *s) {
    struct err e = {0};
    if (!segment_verify(s, &e) || !segment_verify_summary(s, &e)) fail_msg("%s", e.msg);
}

/* ---- what goes in comes out ---- */

static void test_rows(void **state) {
    (void)state;
    static const size_t counts[] = {1, 2, 7, 8, 9, 64, 500, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct segment_kit k;
        segment_kit_make(&k, i, counts[i]);
        struct segment *s = opened(&k, "rows.arrow");
        compare(&k, s);
        verified(s);
        segment_close(s);
        segment_kit_free(&k);
    }
}

/* One row with nothing in it, and one with empty text and its like. */
static void test_bare_rows(void **state) {
    (void)state;
    struct segment_kit k;
    segment_kit_make(&k, 1, 2);
    for (size_t i = 0; i < k.count; i++) {
        k.of[i] = &k.ids[i];
        k.ids[i] = (struct kit_id){.id = i ? STR("x") : STR(""), .history = k.ids[i].history};
        k.rows[i].inf = (struct inference){.id = k.ids[i].id, .time_us = (int64_t)i, .latency_s = NAN};
        k.rows[i].content = content_hash(STR(""));
    }
    static const struct detection list[] = {
        {.class_id = -1, .confidence = NAN},
        {.class_id = -7, .confidence = NAN, .has_box = true, .x = NAN, .y = 1},
    };
    k.rows[1].inf.detections = list;
    k.rows[1].inf.detection_count = 2;
    struct segment *s = opened(&k, "bare.arrow");
    verified(s);
    struct arena a = {0};
    struct inference inf;
    struct guard g;
    assert_true(guard_enter(&g));
    segment_inference(s, 1, &a, &inf);
    assert_int_equal(s->field_count, 0);
    assert_null(SEG(s, PICTURE));
    assert_int_equal(inf.detection_count, 2);
    assert_true(inf.detections[1].class_id == -1 && !inf.detections[1].has_box);
    assert_int_equal(SEG(s, LATENCY_BIN)[0], BIN_NONE);
    assert_int_equal(SEG(s, MODEL)[0], CODE_NULL);
    guard_leave(&g);
    arena_free(&a);
    segment_close(s);
    segment_kit_free(&k);
}

/* Names of metadata fields may look like those of the columns that we give them. */
static void test_column_names(void **state) {
    (void)state;
    static const char *const names[] = {"a",           "a:number", "a:bool", "a:text",  "a:number:number",
                                        "a:text:text", ":text",    "text",   ":number", "a:Number",
                                        "a:"};
    enum { COUNT = sizeof names / sizeof *names };
    struct arena a = {0};
    struct str all[COUNT * SEGMENT_KIND_COUNT];
    for (size_t i = 0; i < COUNT * SEGMENT_KIND_COUNT; i++) {
        all[i] = segment_metadata_name(&a, str_of(names[i / 3]), (enum segment_kind)(i % 3));
        for (size_t k = 0; k < i; k++) assert_false(str_eq(all[i], all[k]));
    }
    assert_true(str_is(all[0], "metadata.a") && str_is(all[1], "metadata.a:number") &&
                str_is(all[2], "metadata.a:bool"));
    assert_true(str_is(all[3], "metadata.a:number:text") && str_is(all[4], "metadata.a:number:number"));
    arena_free(&a);
}

static void test_dictionary(void **state) {
    (void)state;
    struct segment_kit k;
    segment_kit_make(&k, 9, 300);
    struct segment *s = opened(&k, "dict.arrow");
    struct guard g;
    assert_true(guard_enter(&g));
    const struct segment_dict *d = segment_dict(s, SEG_DEVICE);
    assert_int_equal(d->count, 20);
    for (uint32_t i = 1; i <= d->count; i++) assert_int_equal(segment_dict_find(d, segment_dict_text(d, i)), i);
    assert_true(segment_dict_find(d, STR("edge-")) == CODE_NULL && segment_dict_find(d, STR("edge-55")) == CODE_NULL);
    assert_true(segment_dict_find(d, STR("")) == CODE_NULL && segment_dict_find(d, STR("zzz")) == CODE_NULL);
    guard_leave(&g);
    segment_close(s);
    segment_kit_free(&k);
}

/* ---- what is refused ---- */

static void refused(const char *path, const struct segment_kit *k, uint32_t workspace, char store, const char *why) {
    struct err e = {0};
    uint8_t id[16];
    memcpy(id, k->id.store_id, sizeof id);
    id[3] ^= (uint8_t)store;
    assert_null(segment_open(path, id, workspace, &e));
    if (!strstr(e.msg, why) || !strstr(e.msg, path)) fail_msg("not \"%s\" but %s", why, e.msg);
}

static void test_refused(void **state) {
    (void)state;
    struct segment_kit k;
    segment_kit_make(&k, 2, 5);
    segment_close(opened(&k, "ours.arrow"));
    const char *path = scratch_path(&scratch, "ours.arrow"), *other = scratch_path(&scratch, "other.arrow");
    refused(path, &k, k.id.workspace, 1, "belongs to another store");
    refused(path, &k, k.id.workspace + 1, 0, "belongs to workspace 7, not to 8");
    refused(scratch_path(&scratch, "none.arrow"), &k, 7, 0, "No such file");
    refused(scratch.dir, &k, 7, 0, "no Arrow file");
    scratch_write(other, STR(""));
    refused(other, &k, 7, 0, "no Arrow file");
    scratch_write(other, STR("PAR1PAR1PAR1PAR1PAR1PAR1"));
    refused(other, &k, 7, 0, "no Arrow file");
    struct buf b = scratch_read(path);
    char *format = memmem(b.p, b.n, SEGMENT_FORMAT, sizeof SEGMENT_FORMAT - 1);
    assert_non_null(format);
    format[sizeof SEGMENT_FORMAT - 2] = '2';
    scratch_write(other, buf_str(&b));
    refused(other, &k, 7, 0, "the footer's checksum is wrong");
    assert_true(segment_reseal(b.p, b.n));
    scratch_write(other, buf_str(&b));
    refused(other, &k, 7, 0, "the format is \"sightglass segment 2\"; this program reads \"sightglass segment 1\"");
    buf_free(&b);
    segment_kit_free(&k);
}

/* ---- a disk that fails ---- */

static int calls, failing;
static char done[20]; /* one letter a step */

static bool fails(char step) {
    size_t n = strlen(done);
    if (++calls == failing) {
        errno = ENOSPC;
        return true;
    }
    if ((n == 0 || done[n - 1] != step) && n + 1 < sizeof done) done[n] = step;
    return false;
}

static int fail_open(const char *path, int flags, unsigned mode) {
    return fails('o') ? -1 : scratch_ops.open(path, flags, mode);
}
static int fail_close(int fd) {
    scratch_ops.close(fd);
    return fails('c') ? -1 : 0;
}
static ssize_t fail_pwrite(int fd, const void *p, size_t n, off_t at) {
    return fails('w') ? -1 : scratch_ops.pwrite(fd, p, n, at);
}
static int fail_sync(int fd, const char *site) {
    assert_string_equal(site, "segment.file");
    return fails('s') ? -1 : scratch_ops.sync(fd, site);
}
static int fail_sync_dir(const char *path, const char *site) {
    assert_string_equal(site, "segment.dir");
    return fails('d') ? -1 : scratch_ops.sync_dir(path, site);
}
static int fail_rename(const char *from, const char *to) { return fails('r') ? -1 : scratch_ops.rename(from, to); }

static void test_failing_disk(void **state) {
    (void)state;
    struct segment_kit k;
    struct io_ops ops = scratch_ops;
    ops.open = fail_open, ops.close = fail_close, ops.pwrite = fail_pwrite, ops.sync = fail_sync;
    ops.sync_dir = fail_sync_dir, ops.rename = fail_rename;
    segment_kit_make(&k, 3, 3000);
    bool ok = false;
    for (failing = 1; !ok; failing++) {
        struct err e = {0};
        calls = 0;
        memset(done, 0, sizeof done);
        io_use(&ops);
        ok = segment_kit_write(&k, scratch.dir, "failing.arrow", &e);
        io_use(&scratch_ops);
        assert_int_equal(access(scratch_path(&scratch, "failing.arrow"), F_OK), ok ? 0 : -1);
        assert_int_not_equal(access(scratch_path(&scratch, "failing.arrow.new"), F_OK), 0);
        if (!ok) assert_int_equal(e.code, ERR_NO_SPACE);
    }
    assert_true(failing > 8);
    assert_string_equal(done, "owscrd"); /* written, synced, named, and the name synced */
    segment_kit_free(&k);
}

/* Offsets have 32 bits: what does not fit is refused before anything is written. */
static void test_too_large(void **state) {
    (void)state;
    struct err e = {0};
    struct arrow_column c = {.name = STR("detections.other"), .type = ARROW_UTF8};
    struct arrow_table t = {.columns = &c, .column_count = 1};
    c.buffers[ARROW_TEXT].n = (uint64_t)INT32_MAX + 1;
    assert_false(segment_write(&t, scratch.dir, "large.arrow", &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    c = (struct arrow_column){.name = STR("model"), .type = ARROW_UTF8, .coded = true};
    c.dict.bytes.n = (uint64_t)INT32_MAX + 1;
    assert_false(segment_write(&t, scratch.dir, "large.arrow", &e));
    assert_non_null(strstr(e.msg, "model has over 2 GiB"));
}

/* ---- several readers at once ---- */

static void *read_it(void *ctx) {
    struct arena a = {0};
    struct buf all = {0};
    void *read = segment_readable(ctx, &a, &all) ? ctx : NULL;
    arena_free(&a);
    buf_free(&all);
    return read;
}

static void test_readers(void **state) {
    (void)state;
    struct segment_kit k;
    segment_kit_make(&k, 6, 200);
    for (int round = 0; round < 10; round++) {
        struct segment *s = opened(&k, "readers.arrow");
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_it, s), 0);
        for (int i = 0; i < 4; i++) {
            void *read;
            assert_int_equal(pthread_join(threads[i], &read), 0);
            assert_ptr_equal(read, s);
        }
        segment_close(s);
    }
    segment_kit_free(&k);
}

/* ---- folds ---- */

/* Some writes to some ids, as the rows of this segment see them: for each row of the id, in order of (row, seq). */
struct changes {
    struct segment_change *list;
    size_t count;
};

static int by_row(const void *a, const void *b) {
    const struct segment_change *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->change.seq < y->change.seq ? -1 : 1;
}

static struct changes attach_some(struct segment_kit *k, size_t writes, size_t fields) {
    struct changes c = {.list = arena_alloc(&k->arena, writes * k->count * sizeof *c.list)};
    for (size_t i = 0; i < writes; i++) {
        struct kit_id *id = &k->ids[segment_kit_random(k, k->id_count)];
        const struct change *made = segment_kit_attach_any(k, id, fields);
        for (uint32_t row = 0; made && row < k->count; row++)
            if (k->of[row] == id) c.list[c.count++] = (struct segment_change){row, *made};
    }
    qsort(c.list, c.count, sizeof *c.list, by_row);
    return c;
}

static void same_file(const char *a, const char *b) {
    struct buf x = scratch_read(scratch_path(&scratch, "%s", a)), y = scratch_read(scratch_path(&scratch, "%s", b));
    size_t at = 0;
    while (at < x.n && at < y.n && x.p[at] == y.p[at]) at++;
    if (x.n != y.n || at < x.n) fail_msg("%s and %s differ at byte %zu of %zu and %zu", a, b, at, x.n, y.n);
    buf_free(&x);
    buf_free(&y);
}

/* What a fold writes is, byte for byte, what the builder makes of the rows as they are then. */
static void fold_once(uint64_t seed, size_t rows, size_t writes, size_t fields) {
    struct segment_kit k;
    struct err e = {0};
    uint32_t hidden[3];
    segment_kit_make(&k, seed, rows);
    struct segment *old = opened(&k, "old.arrow");
    struct changes c = attach_some(&k, writes, fields);
    k.id.version++;
    k.id.applied_through = k.seq;
    for (uint32_t i = 0; i < 3; i++) {
        hidden[i] = i * ((uint32_t)rows / 3);
        k.rows[hidden[i]].flags |= ROW_HIDDEN;
    }
    struct segment_fold f = {.id = k.id,
                             .fields = k.fields,
                             .field_count = k.field_count,
                             .changes = c.list,
                             .change_count = c.count,
                             .hidden = hidden,
                             .hidden_count = 3};
    if (!segment_fold_write(old, &f, scratch.dir, "fold.arrow", &e)) fail_msg("%s", e.msg);
    struct segment *new = opened(&k, "new.arrow");
    compare(&k, new);
    verified(new);
    same_file("fold.arrow", "new.arrow");
    segment_close(new);
    segment_close(old);
    segment_kit_free(&k);
}

static void test_fold(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        fold_once(seed, 3 + seed * 17, seed % 4 == 3 ? 0 : 1 + seed * 9, 1 + seed);
        fold_once(100 + seed, 20, 400, 12);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_bare_rows), cmocka_unit_test(test_column_names),
        cmocka_unit_test(test_dictionary), cmocka_unit_test(test_refused),   cmocka_unit_test(test_failing_disk),
        cmocka_unit_test(test_too_large),  cmocka_unit_test(test_readers),   cmocka_unit_test(test_fold),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
