/* One id: its inferences, its history, its metadata, and what waits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/hash.h"
#include "query/lookup.h"
#include "store_kit.h"
#include "view_kit.h"

#define NOON VIEW_KIT_NOON

static struct view_kit kit;
static struct arena arena;

static int setup(void **state) { return (void)state, view_kit_setup(&kit); }
static int teardown(void **state) { return (void)state, view_kit_teardown(&kit, &arena); }

static void add(const char *id, const char *model, uint32_t index, bool partial) {
    struct inference inf = {.id = str_of(id),
                            .model_id = str_of(model),
                            .index = index,
                            .partial = partial,
                            .time_us = NOON,
                            .latency_s = NAN};
    view_kit_row(&kit, &inf);
}

static struct one ask(const char *id, struct which w) {
    struct one one;
    struct err e = {0};
    if (!query_one(&kit.view, str_of(id), &w, NOON, &arena, &one, &e)) fail_msg("%s", e.msg);
    return one;
}

static void one_id_with_history_and_siblings(void **state) {
    (void)state;
    add("id", "coco/24", 2, true);
    add("id", "coco/24", 0, false);
    add("id", "coco/24", 1, false);
    add("id", "cards/1", 0, false);
    view_kit_write(&kit, "id", "shift", S("day"));
    view_kit_write(&kit, "id", "shift", S("night"));
    view_kit_write(&kit, "id", "speed", N(2));
    view_kit_write(&kit, "id", "shift", NOTHING);
    for (unsigned places = 0; places < 16; places++) {
        struct kit_part parts[2] = {{.sealed = places & 1, .applied_through = places & 2 ? 0 : 6}, {.sealed = true}};
        for (size_t i = 0; i < 4; i++) kit.rows[i].part = places & 4 ? i % 2 : places & 8 ? i < 2 : 0;
        view_kit_build(&kit, parts, 2);
        struct one one = ask("id", (struct which){0});
        assert_true(one.known && one.found && !one.pending);
        assert_int_equal(one.hit.inf.index, 0); /* the complete one that came first, not the partial one before it */
        assert_true(str_is(one.hit.inf.model_id, "coco/24"));
        assert_int_equal(one.sibling_count, 3);
        assert_int_equal(one.siblings[0].index, 2); /* in order of arrival */
        assert_true(str_is(one.siblings[2].model_id, "cards/1"));
        assert_int_equal(one.history_count, 4);
        assert_true(str_is(one.history[0].change.field, "shift") && one.history[0].change.value.type == VALUE_NONE);
        assert_true(str_is(one.history[0].previous.text, "night"));
        assert_true(str_is(one.history[1].change.field, "speed") && one.history[1].previous.type == VALUE_NONE);
        assert_true(str_is(one.history[2].change.value.text, "night") && str_is(one.history[2].previous.text, "day"));
        assert_true(str_is(one.history[3].change.value.text, "day") && one.history[3].previous.type == VALUE_NONE);
        assert_int_equal(one.history[3].change.key_id, VIEW_KIT_KEY);
        assert_int_equal(one.metadata_count, 1);
        assert_true(str_is(one.metadata[0].name, "speed"));

        assert_int_equal(ask("id", (struct which){.by_index = true, .index = 1}).hit.inf.index, 1);
        one = ask("id", (struct which){.by_model = true, .model_id = STR("cards/1")});
        assert_true(str_is(one.hit.inf.model_id, "cards/1"));
        assert_true(ask("id", (struct which){.by_index = true, .index = 2}).hit.flags & ROW_PARTIAL);
        one = ask("id", (struct which){.by_index = true, .index = 9});
        assert_true(one.known && !one.found && !one.pending && one.metadata_count == 1);
        assert_false(ask("nobody", (struct which){0}).known);
    }
}

static void an_id_without_inference_is_pending(void **state) {
    (void)state;
    view_kit_write(&kit, "later", "shift", S("day"));
    view_kit_write(&kit, "later still", "shift", S("day"));
    view_kit_write(&kit, "later", "speed", N(2));
    view_kit_write(&kit, "later", "shift", S("night"));
    view_kit_one_chunk(&kit);
    struct one one = ask("later", (struct which){0});
    assert_true(one.known && one.pending && !one.found);
    assert_int_equal(one.history_count, 3);
    assert_int_equal(one.metadata_count, 2);
    assert_true(str_is(one.metadata[0].value.text, "night"));
    struct waiting waiting;
    query_waiting(&kit.view, NOON, &waiting);
    assert_int_equal(waiting.ids, 2);
    assert_true(waiting.oldest_us == NOON + 1);
    add("later", "coco/24", 0, false);
    view_kit_one_chunk(&kit);
    query_waiting(&kit.view, NOON, &waiting);
    assert_int_equal(waiting.ids, 1);
    assert_true(waiting.oldest_us == NOON + 2);
    assert_true(ask("later", (struct which){0}).found);
}

/* view_kit gives each write its own microsecond, from NOON + 1 on. */
static void what_waits_by_age(void **state) {
    (void)state;
    enum { MANY = 50 };
    for (int i = MANY; i > 0; i--) {
        char id[16];
        snprintf(id, sizeof id, "later %02d", i);
        view_kit_write(&kit, id, "n", N(i));
    }
    view_kit_one_chunk(&kit);
    struct waiting_list list;
    struct err e;
    for (size_t limit = 1; limit <= WAITING_MOST; limit *= 10) {
        assert_true(query_waiting_list(&kit.view, NOON + MANY, limit, &arena, &list, &e));
        assert_int_equal(list.count, limit < MANY ? limit : MANY);
        for (size_t i = 0; i < list.count; i++) {
            assert_true(list.oldest[i].since_us == NOON + 1 + (int64_t)i);
            assert_int_equal(list.oldest[i].metadata_count, 1);
            assert_true(list.oldest[i].metadata[0].value.number == (double)(MANY - i));
        }
    }
    for (size_t age = 0; age < WAITING_AGES - 1; age++) {
        int64_t now = NOON + 10 + waiting_ages_us[age]; /* ten of them are older than that */
        assert_true(query_waiting_list(&kit.view, now, 1, &arena, &list, &e));
        for (size_t i = 0; i < WAITING_AGES; i++)
            assert_int_equal(list.ages[i], i == age ? MANY - 10 : i == age + 1 ? 10 : 0);
        assert_int_equal(list.ids, MANY);
    }
    assert_true(query_waiting_list(NULL, NOON, 1, &arena, &list, &e));
    assert_int_equal(list.count + list.ids, 0);
}

static void what_waited_too_long_is_not_there(void **state) {
    (void)state;
    view_kit_write(&kit, "later", "shift", S("day"));
    view_kit_one_chunk(&kit);
    kit.view.pending->ttl_us = 1000;
    struct waiting waiting;
    struct one one;
    struct err e;
    for (int expired = 0; expired < 2; expired++) {
        int64_t now = NOON + (expired ? 5000 : 10);
        query_waiting(&kit.view, now, &waiting);
        assert_int_equal(waiting.ids, !expired);
        assert_true(query_one(&kit.view, STR("later"), &(struct which){0}, now, &arena, &one, &e));
        assert_int_equal(one.known, !expired);
    }
}

/* The same id in more segments than the directory's answer is expected to have. */
static void an_id_in_many_segments(void **state) {
    (void)state;
    enum { SEGMENTS = VIEW_KIT_PARTS };
    struct kit_part parts[SEGMENTS];
    for (unsigned i = 0; i < SEGMENTS; i++) {
        parts[i] = (struct kit_part){.sealed = true};
        add("id", "coco/24", i, false);
        kit.rows[i].part = i;
    }
    view_kit_write(&kit, "id", "shift", S("day"));
    view_kit_build(&kit, parts, SEGMENTS);
    struct one one = ask("id", (struct which){.by_index = true, .index = 33});
    assert_true(one.found && one.hit.inf.index == 33);
    assert_int_equal(one.sibling_count, SEGMENTS - 1);
    assert_int_equal(one.history_count, 1);
}

/* Between the moment a reader takes its view and its look, the inference comes that an id waited for, and goes to a
 * chunk that the view does not have. What was attached was acknowledged before: the id is known all the time. */
static void an_id_that_stops_waiting_meanwhile(void **state) {
    struct store_kit *k = *state;
    struct one one;
    struct err e;
    struct inference first = plain("first", "coco/24", 0), later = plain("later", "coco/24", 0);
    assert_true(add_inference(k, &first));
    assert_true(add_value(k, "later", "shift", TEXT_VALUE("day")));
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    assert_true(query_one_now(k->s, STORE_KIT_WORKSPACE, v, STR("later"), &(struct which){0}, 0, &arena, &one, &e));
    assert_true(one.pending);
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_FREEZE, 0, &e));
    assert_true(add_inference(k, &later));
    for (int sealed = 0; sealed < 2; sealed++) {
        assert_true(query_one(v, STR("later"), &(struct which){0}, 0, &arena, &one, &e) && !one.known);
        assert_true(query_one_now(k->s, STORE_KIT_WORKSPACE, v, STR("later"), &(struct which){0}, 0, &arena, &one, &e));
        assert_true(one.found && one.metadata_count == 1);
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_FREEZE, 0, &e));
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_SEAL, 0, &e));
    }
    assert_true(query_one_now(k->s, STORE_KIT_WORKSPACE, v, STR("never"), &(struct which){0}, 0, &arena, &one, &e));
    assert_false(one.known);
    view_release(v);
}

static int teardown_store(void **state) {
    arena_free(&arena);
    return store_kit_teardown(state);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    hash_init();
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_id_with_history_and_siblings),
        TEST(an_id_without_inference_is_pending),
        TEST(what_waits_by_age),
        TEST(what_waited_too_long_is_not_there),
        TEST(an_id_in_many_segments),
        cmocka_unit_test_setup_teardown(an_id_that_stops_waiting_meanwhile, store_kit_setup, teardown_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
