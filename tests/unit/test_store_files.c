/* The store's files: checkpoints, what becomes of damaged ones, a journal that is full, a clock that went back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal/journal.h"
#include "store/checkpoint.h"
#include "store_kit.h"

static const char *manifest(const struct store_kit *k) { return scratch_path(&k->scratch, "MANIFEST"); }
static const char *log_file(const struct store_kit *k) {
    return scratch_path(&k->scratch, "workspaces/%d/log-1", STORE_KIT_WORKSPACE);
}

static void fill(struct store_kit *k, unsigned from, unsigned to) {
    char id[20];
    for (unsigned i = from; i < to; i++) {
        snprintf(id, sizeof id, "i%u", i);
        struct inference inf = plain(id, "m", i);
        assert_true(add_inference(k, &inf));
        assert_true(add_value(k, id, "f", NUMBER_VALUE(i % 3)));
        assert_true(add_value(k, id, "f", NO_VALUE)); /* a record that is replayed twice would show */
        assert_true(add_value(k, id, "g", TEXT_VALUE("v")));
    }
}

static void reopens_with(struct store_kit *k, const char *want) {
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), want);
}

/* ---- checkpoints ---- */

static void checkpoints_between_writes(void **state) {
    struct store_kit *k = *state;
    for (unsigned round = 0; round < 5; round++) {
        fill(k, round * 10, round * 10 + 10);
        assert_true(store_checkpoint(k->s, &k->e));
        if (round == 2) assert_true(store_checkpoint(k->s, &k->e)); /* nothing to do */
        char *before = strdup(show(k));
        struct buf text = scratch_read(manifest(k));
        buf_addc(&text, '\0');
        char want[60];
        snprintf(want, sizeof want, "\nseq %u ", (round + 1) * 40);
        assert_non_null(strstr(text.p, want));
        buf_free(&text);
        store_kit_kill(k);
        /* All of it is in the log now: the journal is not needed. */
        scratch_remove_tree(scratch_path(&k->scratch, "journal"));
        reopens_with(k, before);
        free(before);
    }
}

static void each_checkpoint_begins_on_a_sector(void **state) {
    struct store_kit *k = *state;
    for (unsigned round = 0; round < 4; round++) {
        fill(k, round, round + 1);
        assert_true(store_checkpoint(k->s, &k->e));
        struct buf bytes = scratch_read(log_file(k));
        assert_int_equal(bytes.n % JOURNAL_SECTOR, 0);
        buf_free(&bytes);
    }
}

/* A checkpoint that did not finish left bytes behind what the manifest counts. */
static void bytes_behind_the_log(void **state) {
    struct store_kit *k = *state;
    fill(k, 0, 5);
    assert_true(store_checkpoint(k->s, &k->e));
    fill(k, 5, 8);
    char *before = strdup(show(k));
    store_kit_kill(k);
    struct buf bytes = scratch_read(log_file(k));
    size_t counts = bytes.n;
    buf_reserve(&bytes, 300);
    buf_add(&bytes, bytes.p + 40, 300); /* looks like records, and are none */
    scratch_write(log_file(k), buf_str(&bytes));
    reopens_with(k, before);
    store_kit_close(k);
    struct buf after = scratch_read(log_file(k));
    assert_true(after.n > counts);
    assert_memory_equal(after.p, bytes.p, counts);
    reopens_with(k, before);
    buf_free(&bytes);
    buf_free(&after);
    free(before);
}

static atomic_bool fail_rename, fail_dir_sync;
static atomic_uint renames;
static int failing_rename(const char *from, const char *to) {
    atomic_fetch_add(&renames, 1);
    errno = EIO;
    return atomic_load(&fail_rename) ? -1 : scratch_ops.rename(from, to);
}
static int failing_sync_dir(const char *path, const char *site) {
    (void)path;
    errno = EIO;
    return atomic_load(&fail_dir_sync) && strcmp(site, "checkpoint.manifest.dir") == 0 ? -1 : 0;
}

static void a_checkpoint_that_fails_is_tried_again(void **state) {
    struct store_kit *k = *state;
    struct io_ops ops = scratch_ops;
    ops.rename = failing_rename;
    ops.sync_dir = failing_sync_dir;
    io_use(&ops);
    for (unsigned way = 0; way < 2; way++) {
        atomic_bool *fail = way ? &fail_dir_sync : &fail_rename;
        fill(k, way * 100, way * 100 + 5);
        atomic_store(fail, true);
        assert_false(store_checkpoint(k->s, &k->e));
        assert_false(store_checkpoint(k->s, &k->e)); /* nothing new, and still not done */
        assert_non_null(strstr(k->e.msg, "checkpoint"));
        fill(k, way * 100 + 5, way * 100 + 9);
        assert_false(store_checkpoint(k->s, &k->e));
        char *before = strdup(show(k));
        store_kit_kill(k);
        reopens_with(k, before);
        fill(k, way * 100 + 9, way * 100 + 12);
        free(before);
        before = strdup(show(k));
        assert_false(store_checkpoint(k->s, &k->e));
        atomic_store(fail, false);
        assert_true(store_checkpoint(k->s, &k->e));
        store_kit_kill(k);
        reopens_with(k, before);
        free(before);
    }
    store_kit_close(k);
    io_use(&scratch_ops);
}

/* ---- damage ---- */

static bool ignore(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    (void)ctx, (void)h, (void)payload, (void)e;
    return true;
}

static void files_of_another_store(void **state) {
    struct store_kit *k = *state;
    fill(k, 0, 2);
    char *before = strdup(show(k));
    store_kit_kill(k);
    k->o.id[0] ^= 1;
    assert_false(store_kit_open(k)); /* the journal says so */
    assert_int_equal(k->e.code, ERR_DAMAGED);
    k->o.id[0] ^= 1;
    reopens_with(k, before);
    store_kit_close(k);
    k->o.id[0] ^= 1;
    assert_false(store_kit_open(k)); /* the manifest does */
    assert_non_null(strstr(k->e.msg, "another store"));
    k->o.id[0] ^= 1;
    scratch_remove_tree(scratch_path(&k->scratch, "workspaces"));
    assert_false(store_kit_open(k));
    free(before);
}

/* The manifest is gone, and with it what the journal no longer holds: that is not an empty store. */
static void the_manifest_is_missing(void **state) {
    struct store_kit *k = *state;
    fill(k, 0, 200);
    assert_true(store_checkpoint(k->s, &k->e));
    fill(k, 200, 500);
    store_kit_kill(k);
    unlink(manifest(k));
    assert_false(store_kit_open(k));
    assert_int_equal(k->e.code, ERR_DAMAGED);
    assert_non_null(strstr(k->e.msg, "is missing"));
}

/* ---- records that another program wrote ---- */

static bool journal_with(struct store_kit *k, uint8_t type, uint32_t workspace, struct str payload, int64_t time_us) {
    struct journal_options o = {.dir = scratch_path(&k->scratch, "journal"), .file_size = 64 << 10, .max_files = 8};
    struct record_header h = {.length = (uint32_t)payload.n, .type = type, .workspace = workspace};
    struct buf chain = {0};
    memcpy(o.store_id, k->o.id, 16);
    struct journal *j = journal_open(&o, 0, ignore, NULL, &k->e);
    if (!j) return false;
    buf_add(&chain, &h, sizeof h);
    buf_add_str(&chain, payload);
    bool ok = journal_prepare(j, &k->e) && journal_append(j, &chain, time_us, &k->e) && journal_commit(j, &k->e);
    buf_free(&chain);
    journal_close(j);
    return ok;
}

static void records_that_cannot_be_applied(void **state) {
    struct store_kit *k = *state;
    struct buf payload = {0};
    struct inference inf = plain("i", "m", 0);
    inference_encode(&payload, &inf);
    static const struct {
        uint8_t type;
        uint32_t workspace;
        const char *why;
    } cases[] = {{RECORD_ATTACH, 1, "record 1 cannot be read"},
                 {3, 1, "record 1 cannot be read"},
                 {RECORD_INFERENCE, 1024 * 1024, "record 1 names workspace 1048576"}};
    for (unsigned i = 0; i < 3; i++) {
        store_kit_close(k);
        scratch_remove_tree(scratch_path(&k->scratch, "journal"));
        unlink(manifest(k));
        assert_true(journal_with(k, cases[i].type, cases[i].workspace, buf_str(&payload), 5));
        assert_false(store_kit_open(k));
        assert_int_equal(k->e.code, ERR_DAMAGED);
        assert_string_equal(k->e.msg, cases[i].why);
    }
    buf_free(&payload);
}

/* The clock was ahead in a run before: times of receipt wait for it. */
static void received_never_goes_back(void **state) {
    struct store_kit *k = *state;
    struct buf payload = {0};
    struct inference inf = plain("i", "m", 0);
    inference_encode(&payload, &inf);
    int64_t ahead = clock_now_us() + INT64_C(3600000000);
    store_kit_close(k);
    assert_true(journal_with(k, RECORD_INFERENCE, STORE_KIT_WORKSPACE, buf_str(&payload), ahead));
    for (unsigned round = 0; round < 3; round++) {
        assert_true(store_kit_open(k));
        assert_true(add_value(k, "i", "f", NUMBER_VALUE(round)));
        assert_int_equal(k->received_us, ahead);
        assert_int_equal(chunk_block(chunk_of(k), 0)->received_us[0], ahead);
        if (round) store_kit_kill(k); /* from the log; from log and journal */
        store_kit_close(k);
    }
    assert_true(store_kit_open(k));
    buf_free(&payload);
}

static void received_follows_the_clock(void **state) {
    struct store_kit *k = *state;
    int64_t before = clock_now_us();
    fill(k, 0, 1);
    assert_in_range(k->received_us, before, clock_now_us());
}

/* ---- a full journal ---- */

static struct inference large(char *text, uint32_t index) {
    struct inference inf = plain("i", "m", index);
    inf.error = (struct str){text, 40000};
    return inf;
}

/* Two files, each full after one write: every write waits for a checkpoint, and none is refused. */
static void a_full_journal_waits_for_the_keeper(void **state) {
    struct store_kit *k = *state;
    char *text = calloc(1, 40000);
    store_kit_close(k);
    k->o.manual = false;
    k->o.journal_max = 2 * k->o.journal_file_size;
    assert_true(store_kit_open(k));
    for (uint32_t i = 0; i < 20; i++) {
        struct inference inf = large(text, i);
        if (!add_inference(k, &inf)) fail_msg("%s", k->e.msg);
    }
    char *before = strdup(show(k));
    store_kit_kill(k);
    assert_int_equal(access(scratch_path(&k->scratch, "journal/slot-02.journal"), F_OK), -1);
    reopens_with(k, before);
    free(before);
    free(text);
}

static void a_full_journal_that_nobody_empties(void **state) {
    struct store_kit *k = *state;
    char *text = calloc(1, 40000), *before;
    struct io_ops ops = scratch_ops;
    uint32_t taken = 0;
    store_kit_close(k);
    k->o.manual = false;
    k->o.journal_max = 2 * k->o.journal_file_size;
    assert_true(store_kit_open(k));
    ops.rename = failing_rename;
    io_use(&ops);
    atomic_store(&fail_rename, true);
    atomic_store(&renames, 0);
    for (;; taken++) {
        struct inference inf = large(text, taken);
        if (!add_inference(k, &inf)) break;
        assert_true(taken < 2);
    }
    assert_int_equal(k->e.code, ERR_BUSY);
    assert_non_null(strstr(k->e.msg, "nothing was stored"));
    assert_int_equal(chunk_rows(chunk_of(k)), taken);
    before = strdup(show(k));
    int64_t now = clock_mono_us();
    for (uint32_t i = taken; i < 20; i++) { /* the first has waited for all of them */
        struct inference inf = large(text, i);
        assert_false(add_inference(k, &inf));
        assert_int_equal(k->e.code, ERR_BUSY);
    }
    assert_true(clock_mono_us() - now < 1500000);
    assert_in_range(atomic_load(&renames), 1, 10); /* nor does the keeper try without a pause */
    assert_true(add_value(k, "i", "f", TEXT_VALUE("still fits behind")));
    assert_true(add_value(k, "i", "f", NO_VALUE));
    atomic_store(&fail_rename, false);
    assert_true(store_checkpoint(k->s, &k->e));
    struct inference inf = large(text, taken);
    assert_true(add_inference(k, &inf));
    store_kit_kill(k);
    io_use(&scratch_ops);
    assert_true(store_kit_open(k));
    assert_int_equal(chunk_rows(chunk_of(k)), taken + 1); /* no trace of what was refused */
    assert_null(strstr(show(k), "BROKEN"));
    free(before);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_kit_setup, store_kit_teardown)
        TEST(checkpoints_between_writes),
        TEST(each_checkpoint_begins_on_a_sector),
        TEST(bytes_behind_the_log),
        TEST(a_checkpoint_that_fails_is_tried_again),
        TEST(files_of_another_store),
        TEST(the_manifest_is_missing),
        TEST(records_that_cannot_be_applied),
        TEST(received_never_goes_back),
        TEST(received_follows_the_clock),
        TEST(a_full_journal_waits_for_the_keeper),
        TEST(a_full_journal_that_nobody_empties),
    };
    return cmocka_run_group_tests_name("store, files", tests, NULL, NULL);
}
