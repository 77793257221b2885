/* Chunks become segments, segments are folded, merged and dropped, and nothing that was acknowledged looks any different:
 * every test compares all that the workspace holds before and after. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "query/run.h"
#include "store/manifest.h"
#include "store_kit.h"

static int setup(void **state) {
    if (store_kit_setup(state) != 0) return -1;
    struct store_kit *k = *state;
    store_kit_close(k);
    k->o.chunk_rows = 16;
    return store_kit_open(k) ? 0 : -1;
}

static void step(struct store_kit *k, enum store_step s, int64_t arg_us) {
    if (!store_step(k->s, STORE_KIT_WORKSPACE, s, arg_us, &k->e)) fail_msg("step %d: %s", (int)s, k->e.msg);
}

static void add(struct store_kit *k, const char *id, const char *model) {
    struct inference inf = plain(id, model, 0);
    struct detection d = {.class_name = STR("bottle"), .class_id = -1, .confidence = 0.5};
    inf.detections = &d;
    inf.detection_count = 1;
    assert_true(add_inference(k, &inf));
}

static void add_many(struct store_kit *k, const char *prefix, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%u", prefix, i);
        add(k, id, "m/1");
    }
}

static size_t parts(struct store_kit *k, size_t *chunks) {
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    size_t n = v->sealed_count;
    *chunks = v->chunk_count;
    view_release(v);
    return n;
}

/* All that is there, before and after; it stays the same over a kill too. */
static void same_after_kill(struct store_kit *k) {
    char *before = strdup(show(k));
    assert_null(strstr(before, "BROKEN"));
    store_kit_kill(k);
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
    assert_string_equal(before, show(k));
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(before, show(k));
    free(before);
}

static void same_over(struct store_kit *k, enum store_step s) {
    char *before = strdup(show(k));
    step(k, s, 0);
    if (getenv("SHOW")) printf("STEP %d\n%s-----\n%s", s, before, show(k));
    assert_string_equal(before, show(k));
    free(before);
    same_after_kill(k);
}

static void test_seal(void **state) {
    struct store_kit *k = *state;
    size_t chunks;
    add_value(k, "a3", "early", TEXT_VALUE("waits"));
    add_many(k, "a", 40);
    add_value(k, "a0", "camera", TEXT_VALUE("canada"));
    add_value(k, "a20", "camera", NUMBER_VALUE(4));
    add_value(k, "nobody", "camera", BOOL_VALUE(true));
    assert_int_equal(parts(k, &chunks), 0);
    assert_int_equal(chunks, 3);
    same_over(k, STEP_SEAL);
    assert_int_equal(parts(k, &chunks), 2);
    assert_int_equal(chunks, 1);
    same_over(k, STEP_CHECKPOINT);
    same_over(k, STEP_COMPACT);
    step(k, STEP_FREEZE, 0);
    same_over(k, STEP_SEAL);
    assert_int_equal(parts(k, &chunks), 3);
}

static void test_attach_to_sealed(void **state) {
    struct store_kit *k = *state;
    add_many(k, "a", 40);
    step(k, STEP_SEAL, 0);
    assert_true(add_value(k, "a1", "camera", TEXT_VALUE("canada")));
    assert_int_equal(k->result.attach.applied, 1);
    assert_true(add_value(k, "a1", "camera", TEXT_VALUE("canada")));
    assert_int_equal(k->result.attach.unchanged, 1);
    assert_true(add_value(k, "a1", "camera", TEXT_VALUE("mexico")));
    assert_true(add_value(k, "a2", "camera", NUMBER_VALUE(3)));
    assert_true(add_value(k, "a1", "camera", NO_VALUE));
    assert_int_equal(k->result.attach.applied, 1);
    assert_true(add_value(k, "a1", "camera", NO_VALUE));
    assert_int_equal(k->result.attach.unchanged, 1);
    same_over(k, STEP_FOLD);
    assert_true(add_value(k, "a2", "camera", NUMBER_VALUE(3)));
    assert_int_equal(k->result.attach.unchanged, 1);
    assert_true(add_value(k, "a1", "camera", NO_VALUE));
    assert_int_equal(k->result.attach.unchanged, 1);
    assert_true(add_value(k, "a1", "camera", TEXT_VALUE("canada")));
    assert_true(add_value(k, "a3", "line", TEXT_VALUE("7")));
    same_over(k, STEP_COMPACT);
    same_over(k, STEP_FOLD);
    same_over(k, STEP_CHECKPOINT);
    same_over(k, STEP_COMPACT);
}

static void test_known_ids_in_segments(void **state) {
    struct store_kit *k = *state;
    add_value(k, "a1", "camera", TEXT_VALUE("canada"));
    add_many(k, "a", 16);
    add_value(k, "a1", "camera", TEXT_VALUE("mexico"));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    add(k, "a1", "m/1");
    assert_int_equal(k->result.outcome, OUTCOME_UNCHANGED);
    struct inference other = plain("a1", "m/1", 0);
    assert_true(add_inference(k, &other));
    assert_int_equal(k->result.outcome, OUTCOME_CONFLICT);
    other.assign_index = true;
    assert_true(add_inference(k, &other));
    assert_int_equal(k->result.outcome, OUTCOME_CREATED);
    assert_int_equal(k->result.index, 1);
    add_value(k, "a1", "camera", TEXT_VALUE("peru"));
    add(k, "a1", "m/2");
    assert_non_null(strstr(show(k), "rows 18"));
    same_after_kill(k);
    step(k, STEP_FREEZE, 0);
    same_over(k, STEP_SEAL);
    add_value(k, "a1", "camera", TEXT_VALUE("chile"));
    same_over(k, STEP_MERGE);
    size_t chunks;
    assert_int_equal(parts(k, &chunks), 1);
    add_value(k, "a1", "camera", TEXT_VALUE("brazil"));
    same_over(k, STEP_FOLD);
    same_over(k, STEP_COMPACT);
}

static void test_hidden(void **state) {
    struct store_kit *k = *state;
    struct inference partial = plain("p", "m/1", 0);
    partial.partial = true;
    add_many(k, "a", 15);
    assert_true(add_inference(k, &partial));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    add(k, "p", "m/1");
    same_after_kill(k);
    step(k, STEP_FREEZE, 0);
    same_over(k, STEP_SEAL);
    same_over(k, STEP_COMPACT);
    same_over(k, STEP_FOLD);
    same_over(k, STEP_COMPACT);
}

/* An index that the store assigned: what the record hid, and nothing else, is hidden after a restart, even when the rows
 * that had taken the indexes before it are dropped, and when its own is. */
static void test_hidden_by_assigned(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("p", "m/1", 0);
    inf.time_us = 1000;
    assert_true(add_inference(k, &inf));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    inf = plain("p", "m/1", 1);
    for (inf.partial = true; inf.index < 4; inf.index++) assert_true(add_inference(k, &inf));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    for (uint32_t index = 1; index < 3; index++) {
        inf = plain("p", "m/1", 0);
        inf.assign_index = true;
        inf.time_us = index == 1 ? 3000 : TIME_UNKNOWN;
        assert_true(add_inference(k, &inf));
        assert_int_equal(k->result.index, index);
        step(k, STEP_FREEZE, 0);
        same_over(k, STEP_SEAL);
    }
    for (int64_t before_us = 2000; before_us <= 4000; before_us += 2000) { /* index 0; index 1, which hid one that stays */
        size_t chunks, had = parts(k, &chunks);
        step(k, STEP_RETAIN, before_us);
        assert_int_equal(parts(k, &chunks), had - 1);
        same_after_kill(k);
    }
    same_over(k, STEP_COMPACT);
    while (parts(k, &(size_t){0}) > 1) same_over(k, STEP_MERGE);
    same_over(k, STEP_COMPACT);
}

static void test_retention(void **state) {
    struct store_kit *k = *state;
    size_t chunks;
    struct inference old = plain("both", "m/1", 0);
    old.time_us = 1000;
    add_value(k, "both", "camera", TEXT_VALUE("canada"));
    assert_true(add_inference(k, &old));
    old.id = STR("gone");
    assert_true(add_inference(k, &old));
    add_value(k, "gone", "camera", TEXT_VALUE("canada"));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    step(k, STEP_CHECKPOINT, 0);
    step(k, STEP_COMPACT, 0);
    add(k, "both", "m/2");
    step(k, STEP_RETAIN, 2000);
    assert_int_equal(parts(k, &chunks), 1);
    assert_null(strstr(show(k), "gone"));
    assert_non_null(strstr(show(k), "canada"));
    same_after_kill(k);
    assert_true(add_value(k, "gone", "camera", TEXT_VALUE("canada")));
    assert_int_equal(k->result.attach.pending, 1);
    same_after_kill(k);
}

static uint64_t count_between(struct store_kit *k, int64_t from_us, int64_t to_us, struct gap *gap) {
    struct plan p = {.from_us = from_us, .to_us = to_us, .kind = PLAN_COUNT};
    struct arena a = {0};
    struct answer answer;
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    *gap = (struct gap){0};
    if (!query_run(v, &p, NULL, &a, &answer, &k->e)) fail_msg("%s", k->e.msg);
    view_release(v);
    if (answer.gap_count) *gap = answer.gaps[0];
    uint64_t count = answer.count;
    arena_free(&a);
    return count;
}

/* What is missing is told though its file is not there any more: the manifest knows; and a question that is not of its
 * time is answered in full. The folded one says it too. */
static void test_lost(void **state) {
    struct store_kit *k = *state;
    struct gap gap;
    struct inference inf = plain("", "m/1", 0);
    for (unsigned i = 0; i < 20; i++) {
        char id[32];
        inf.id = (struct str){id, (size_t)snprintf(id, sizeof id, "a%u", i)};
        inf.time_us = 1000 + i * 100;
        assert_true(add_inference(k, &inf));
        if (i != 9) continue;
        step(k, STEP_FREEZE, 0);
        step(k, STEP_SEAL, 0);
    }
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
    for (unsigned version = 1; version < 3; version++) {
        char name[64];
        snprintf(name, sizeof name, "workspaces/%d/segments/1.%u.arrow", STORE_KIT_WORKSPACE, version);
        if (version == 2) {
            add_value(k, "a3", "camera", TEXT_VALUE("mexico"));
            step(k, STEP_FOLD, 0);
        }
        store_kit_kill(k);
        struct buf bytes = scratch_read(scratch_path(&k->scratch, "%s", name));
        unlink(scratch_path(&k->scratch, "%s", name));
        assert_true(store_kit_open(k));
        assert_int_equal(count_between(k, PLAN_FIRST_US, PLAN_LAST_US, &gap), 10);
        assert_true(gap.segment == 1 && gap.rows == 10 && gap.from_us == 1000 && gap.to_us == 1900);
        assert_int_equal(count_between(k, 1900, 2500, &gap), 5);
        assert_int_equal(gap.rows, 10);
        assert_int_equal(count_between(k, 1901, PLAN_LAST_US, &gap), 10);
        assert_int_equal(gap.rows, 0);
        assert_int_equal(count_between(k, PLAN_FIRST_US, 1000, &gap), 0);
        assert_int_equal(gap.rows, 0);
        store_kit_kill(k);
        scratch_write(scratch_path(&k->scratch, "%s", name), buf_str(&bytes));
        assert_true(store_kit_open(k));
        assert_int_equal(count_between(k, PLAN_FIRST_US, PLAN_LAST_US, &gap), 20);
        buf_free(&bytes);
    }
}

static int64_t clock_us;
static int64_t the_clock(void) { return clock_us; }

static void reopen_with_clock(struct store_kit *k) {
    store_kit_close(k);
    k->o.now_us = the_clock;
    k->o.retention_us = 1000;
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
}

static void add_at(struct store_kit *k, const char *id, int64_t time_us) {
    struct inference inf = plain(id, "m/1", 0);
    inf.time_us = time_us;
    assert_true(add_inference(k, &inf));
    step(k, STEP_FREEZE, 0);
    step(k, STEP_SEAL, 0);
}

static size_t swept(struct store_kit *k, int64_t us) {
    size_t chunks;
    clock_us = us;
    step(k, STEP_SWEEP, 0);
    return parts(k, &chunks);
}

/* A segment goes when it is old by the times in it and by their receipts. The manifest may not know of the latter (`from`
 * an earlier version, or after a fold): then the segment does. */
static void test_retention_and_wrong_clocks(void **state) {
    struct store_kit *k = *state;
    enum { NOW = 1000000000 };
    clock_us = NOW;
    reopen_with_clock(k);
    add_at(k, "epoch", 0);
    add_at(k, "ahead", NOW + 5000);
    add_at(k, "right", NOW);
    assert_int_equal(swept(k, NOW + 500), 3);
    assert_int_equal(swept(k, NOW + 1000), 3);
    for (int version = 2; version < 4; version++) {
        struct manifest m;
        store_kit_kill(k);
        assert_true(manifest_read(k->scratch.dir, k->o.id, &m, &k->e));
        assert_int_equal(m.workspaces[0].segments[0].max_received_us, version == 2 ? NOW : 0);
        for (size_t i = 0; i < 3 && version == 2; i++)
            m.workspaces[0].segments[i] = (struct manifest_segment){.number = i + 1, .version = 1};
        assert_int_equal(manifest_write(k->scratch.dir, &m, &k->e), 0);
        manifest_free(&m);
        if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
        assert_int_equal(swept(k, NOW + 1000), 3);
    }
    assert_true(add_value(k, "epoch", "camera", TEXT_VALUE("mexico")));
    step(k, STEP_FOLD, 0);
    assert_int_equal(swept(k, NOW + 1000), 3);
    assert_int_equal(swept(k, NOW + 1001), 1);
    assert_non_null(strstr(show(k), "ahead"));
    assert_int_equal(swept(k, NOW + 6000), 1);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_int_equal(swept(k, NOW + 6001), 0);
}

/* Of a segment that cannot be read retention believes the manifest. One that it knows nothing of stays. */
static void test_retention_of_what_is_lost(void **state) {
    struct store_kit *k = *state;
    enum { NOW = 1000000000 };
    clock_us = NOW;
    reopen_with_clock(k);
    add_at(k, "known", 0);
    add_at(k, "unknown", 0);
    store_kit_kill(k);
    struct manifest m;
    assert_true(manifest_read(k->scratch.dir, k->o.id, &m, &k->e));
    m.workspaces[0].segments[1].rows = 0;
    assert_int_equal(manifest_write(k->scratch.dir, &m, &k->e), 0);
    manifest_free(&m);
    for (unsigned n = 1; n < 3; n++) {
        char name[64];
        snprintf(name, sizeof name, "workspaces/%d/segments/%u.1.arrow", STORE_KIT_WORKSPACE, n);
        scratch_write(scratch_path(&k->scratch, "%s", name), STR("no segment"));
    }
    assert_true(store_kit_open(k));
    assert_int_equal(swept(k, NOW + 1000), 2);
    assert_int_equal(swept(k, NOW + 1001), 1);
    struct gap gap;
    count_between(k, 5, 6, &gap);
    assert_int_equal(gap.segment, 2);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_int_equal(swept(k, INT64_C(1000000000000)), 1);
}

static void test_delete(void **state) {
    struct store_kit *k = *state;
    add_many(k, "a", 40);
    step(k, STEP_SEAL, 0);
    assert_true(store_delete(k->s, STORE_KIT_WORKSPACE, &k->e));
    assert_null(store_view(k->s, STORE_KIT_WORKSPACE));
    struct inference inf = plain("x", "m", 0);
    assert_false(add_inference(k, &inf));
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_null(store_view(k->s, STORE_KIT_WORKSPACE));
    assert_false(add_inference(k, &inf));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_seal, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_attach_to_sealed, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_known_ids_in_segments, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_hidden, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_hidden_by_assigned, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_and_wrong_clocks, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_of_what_is_lost, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_delete, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
