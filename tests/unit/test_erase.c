/* Ids that are erased: nothing of them is left, in no part and in no file, nothing else is any different, and both stay
 * so over a kill. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "store/manifest.h"
#include "store_kit.h"

static int setup(void **state) {
    if (store_kit_setup(state) != 0) return -1;
    struct store_kit *k = *state;
    store_kit_close(k);
    k->o.chunk_rows = 8;
    return store_kit_open(k) ? 0 : -1;
}

static void step(struct store_kit *k, enum store_step s, int64_t arg_us) {
    if (!store_step(k->s, STORE_KIT_WORKSPACE, s, arg_us, &k->e)) fail_msg("step %d: %s", (int)s, k->e.msg);
}

static void add_at(struct store_kit *k, const char *id, const char *model, int64_t time_us) {
    struct inference inf = plain(id, model, 0);
    inf.time_us = time_us;
    if (!add_inference(k, &inf)) fail_msg("%s: %s", id, k->e.msg);
}

static void add(struct store_kit *k, const char *id) { add_at(k, id, "m/1", TIME_UNKNOWN); }

static void value(struct store_kit *k, const char *id, const char *field, const char *text) {
    if (!add_value(k, id, field, TEXT_VALUE(text))) fail_msg("%s: %s", id, k->e.msg);
}

static struct erased erase(struct store_kit *k, const char *const *ids) {
    struct str list[16];
    struct erased out;
    size_t n = 0;
    while (ids[n]) list[n] = str_of(ids[n]), n++;
    if (!store_erase(k->s, STORE_KIT_WORKSPACE, list, n, &out, &k->e)) fail_msg("%s", k->e.msg);
    return out;
}
#define ERASE(k, ...) erase(k, (const char *const[]){__VA_ARGS__, NULL})

static void expect(struct erased e, uint64_t inferences, uint64_t ids, uint64_t unknown) {
    assert_int_equal(e.inferences, inferences);
    assert_int_equal(e.ids, ids);
    assert_int_equal(e.unknown, unknown);
}

/* What is shown does not have this, now and after a kill. */
static void not_there(struct store_kit *k, const char *text) {
    char *before = strdup(show(k));
    if (strstr(before, text)) fail_msg("%s is there:\n%s", text, before);
    store_kit_kill(k);
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    assert_string_equal(before, show(k));
    free(before);
}

/* ---- files ---- */

static unsigned look_in(const char *folder, const char *text, const char *but) {
    unsigned found = 0;
    DIR *d = opendir(folder);
    CHECK(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[8192];
        struct stat st;
        if (entry->d_name[0] == '.' || (but && strcmp(entry->d_name, but) == 0)) continue;
        snprintf(path, sizeof path, "%.4000s/%s", folder, entry->d_name);
        CHECK(stat(path, &st) == 0);
        if (S_ISDIR(st.st_mode)) {
            found += look_in(path, text, but);
            continue;
        }
        struct buf bytes = scratch_read(path);
        found += bytes.n && memmem(bytes.p, bytes.n, text, strlen(text));
        buf_free(&bytes);
    }
    closedir(d);
    return found;
}

static unsigned files_with(struct store_kit *k, const char *text) { return look_in(k->scratch.dir, text, NULL); }

/* ---- */

static void everywhere(void **state) {
    struct store_kit *k = *state;
    const char *const sealed[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};
    for (unsigned i = 0; i < 8; i++) add(k, sealed[i]);
    value(k, "s1", "line", "in the chunk");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    value(k, "s1", "line", "over the segment");
    value(k, "s2", "line", "another's");
    add_at(k, "s1", "m/2", TIME_UNKNOWN); /* and in a chunk that will be frozen */
    add(k, "f0");
    step(k, STEP_FREEZE, 0);
    add(k, "o0");
    add(k, "o1");
    value(k, "w0", "line", "waits");
    value(k, "w1", "line", "waits too");
    expect(ERASE(k, "s1", "f0", "o0", "w0", "nobody", "s1"), 4, 4, 1);
    not_there(k, "id s1");
    not_there(k, "id f0");
    not_there(k, "id o0");
    not_there(k, "id w0");
    not_there(k, "over the segment");
    assert_non_null(strstr(show(k), "another's"));
    assert_non_null(strstr(show(k), "waits too"));
    assert_non_null(strstr(show(k), "id o1"));
    assert_int_equal(waiting_of(k), 1);
    expect(ERASE(k, "s1", "f0", "o0", "w0"), 0, 0, 4);
}

static void a_whole_segment(void **state) {
    struct store_kit *k = *state;
    add(k, "a0");
    add(k, "a1");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    value(k, "a1", "line", "over it");
    expect(ERASE(k, "a0", "a1"), 2, 2, 0);
    assert_int_equal(files_with(k, "ARROW1"), 0);
    not_there(k, "id a");
    add(k, "a1");
    assert_int_equal(k->result.outcome, OUTCOME_CREATED);
    assert_null(strstr(show(k), "over it"));
}

static void what_comes_later_is_new(void **state) {
    struct store_kit *k = *state;
    add(k, "a0");
    value(k, "a0", "line", "old");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    expect(ERASE(k, "a0"), 1, 1, 0);
    value(k, "a0", "line", "new");
    assert_int_equal(k->result.attach.pending, 1);
    add(k, "a0");
    assert_int_equal(k->result.outcome, OUTCOME_CREATED);
    assert_non_null(strstr(show(k), "field line: \"new\""));
    not_there(k, "old");
}

/* The complete record of a partial one stays in the logs until the segment of the partial one is folded. */
static void no_file_has_it(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("the partial one", "m/1", 0);
    inf.partial = true;
    assert_true(add_inference(k, &inf));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    inf.partial = false;
    inf.source_info = STR("a secret of the complete one");
    assert_true(add_inference(k, &inf));
    value(k, "the partial one", "line", "a secret of the line");
    value(k, "waits for ever", "line", "a secret of one that waits");
    add(k, "beside it");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    step(k, STEP_CHECKPOINT, 0);
    assert_true(files_with(k, "a secret of the complete one") > 2);
    expect(ERASE(k, "the partial one", "waits for ever"), 1, 2, 0);
    assert_int_equal(look_in(k->scratch.dir, "a secret", "journal"), 0);
    assert_int_equal(look_in(k->scratch.dir, "the partial one", "journal"), 0);
    step(k, STEP_SWEEP, 0);
    assert_int_equal(files_with(k, "a secret"), 0);
    assert_int_equal(files_with(k, "the partial one"), 0);
    assert_int_equal(files_with(k, "waits for ever"), 0);
    assert_true(files_with(k, "beside it") > 0);
    for (unsigned i = 0; i < 40; i++) { /* and the journal goes on, however often it is made anew */
        char id[32];
        snprintf(id, sizeof id, "later %u", i);
        add(k, id);
        step(k, STEP_FREEZE, 0);
        step(k, STEP_SEAL, 0);
        expect(ERASE(k, id), 1, 1, 0);
        step(k, STEP_SWEEP, 0);
        assert_int_equal(files_with(k, id), 0);
    }
    not_there(k, "later");
}

/* What was erased just before a kill goes with the first sweep after it. */
static void no_file_has_it_after_a_kill(void **state) {
    struct store_kit *k = *state;
    add(k, "the one");
    expect(ERASE(k, "the one"), 1, 1, 0);
    assert_int_equal(files_with(k, "the one"), 1);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    add(k, "another");
    step(k, STEP_SWEEP, 0);
    assert_int_equal(files_with(k, "the one"), 0);
    not_there(k, "the one");
}

/* A chunk's row has its index since another stands in a segment, and the chunk has noted until when that is kept. The
 * latest row of the segment goes, and it is dropped sooner: the index must stay. */
static void what_a_chunk_depends_on(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("early", "m/1", 0);
    add_at(k, "early", "m/1", 1000);
    add_at(k, "late", "m/1", 9000);
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    inf.time_us = 50000;
    inf.assign_index = true;
    assert_true(add_inference(k, &inf));
    assert_int_equal(k->result.index, 1);
    expect(ERASE(k, "late"), 1, 1, 0);
    step(k, STEP_RETAIN, 2000);
    assert_null(strstr(show(k), "row \"m/1\" 0"));
    assert_non_null(strstr(show(k), "row \"m/1\" 1"));
    not_there(k, "row \"m/1\" 0");
}

static void what_cannot_be_read(void **state) {
    struct store_kit *k = *state;
    struct str ids[] = {STR("a0"), STR("b0")};
    struct erased out;
    add(k, "a0");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    add(k, "b0");
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    v->sealed[0]->set_aside = true;
    view_release(v);
    assert_false(store_erase(k->s, STORE_KIT_WORKSPACE, ids, 2, &out, &k->e));
    assert_int_equal(k->e.code, ERR_BUSY);
    assert_non_null(strstr(k->e.msg, "cannot be read"));
    assert_non_null(strstr(show(k), "id b0"));
}

/* What a backup copies stays until it is through. */
static void beside_a_backup(void **state) {
    struct store_kit *k = *state;
    struct manifest m;
    add(k, "the one");
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    assert_true(store_hold(k->s, &m, &k->e));
    expect(ERASE(k, "the one"), 1, 1, 0);
    assert_null(strstr(show(k), "the one"));
    assert_int_equal(files_with(k, "ARROW1"), 1);
    step(k, STEP_SWEEP, 0);
    assert_true(files_with(k, "the one") > 1);
    store_release(k->s);
    manifest_free(&m);
    step(k, STEP_SWEEP, 0);
    assert_int_equal(files_with(k, "the one"), 0);
    not_there(k, "the one");
}

static void nothing_to_erase(void **state) {
    struct store_kit *k = *state;
    struct erased out;
    expect(ERASE(k, "nobody"), 0, 0, 1);
    assert_true(store_erase(k->s, STORE_KIT_WORKSPACE, NULL, 0, &out, &k->e));
    expect(out, 0, 0, 0);
    add(k, "a0");
    assert_true(store_delete(k->s, STORE_KIT_WORKSPACE, &k->e));
    expect(ERASE(k, "a0"), 0, 0, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everywhere, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(a_whole_segment, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_comes_later_is_new, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(no_file_has_it, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(no_file_has_it_after_a_kill, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_a_chunk_depends_on, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(beside_a_backup, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(nothing_to_erase, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
