/* What the store makes of what it takes: rows, metadata and its history, before and after a restart. Its limits are in
 * test_store_limits.c, its files in test_store_files.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_kit.h"

/* Whatever a test wrote: after a kill, a clean end, and both again, just that is there; nothing in it is broken. */
static void stays_the_same(struct store_kit *k) {
    char *before = strdup(show(k));
    assert_null(strstr(before, "BROKEN"));
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    store_kit_close(k); /* checkpoints */
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    free(before);
}

static void adds(struct store_kit *k, const struct inference *inf, enum outcome outcome, uint32_t index) {
    if (!add_inference(k, inf)) fail_msg("%s", k->e.msg);
    assert_int_equal(k->result.outcome, outcome);
    assert_int_equal(k->result.index, index);
}

enum attach_result { APPLIED, PENDING, UNCHANGED };

static void attaches(struct store_kit *k, const char *id, const char *field, struct value v, enum attach_result want) {
    if (!add_value(k, id, field, v)) fail_msg("%s", k->e.msg);
    assert_int_equal(k->result.attach.applied, want == APPLIED);
    assert_int_equal(k->result.attach.pending, want == PENDING);
    assert_int_equal(k->result.attach.unchanged, want == UNCHANGED);
}

static const struct ident *ident(struct store_kit *k, const char *id) {
    const struct ident *i = chunk_find(chunk_of(k), id_hash(k->o.id, str_of(id)), str_of(id));
    assert_non_null(i);
    return i;
}

/* The current value of a field of an id as JSON, "null" when there is none; from its history. */
static const char *current(struct store_kit *k, const char *id, const char *field) {
    static struct buf out;
    const struct chunk *c = chunk_of(k);
    int f = field_of(k, field);
    struct value none = NO_VALUE;
    const struct value *v = &none;
    out.n = 0;
    for (const struct id_field *p = ident(k, id)->fields; p; p = p->next)
        if ((int)p->field == f && p->newest->code) v = dict_value(&chunk_field(c, (uint32_t)f)->dict, p->newest->code);
    value_json(&out, v);
    buf_addc(&out, '\0');
    return out.p;
}

/* All writes of a field of an id, oldest first. */
static const char *history(struct store_kit *k, const char *id, const char *field) {
    static struct buf out;
    const struct chunk *c = chunk_of(k);
    int f = field_of(k, field);
    const struct history *all[100];
    unsigned n = 0;
    out.n = 0;
    for (const struct id_field *p = ident(k, id)->fields; p; p = p->next)
        for (const struct history *h = (int)p->field == f ? p->newest : NULL; h; h = h->older) {
            assert_true(n < 100 && (n == 0 || (h->seq < all[n - 1]->seq && h->time_us <= all[n - 1]->time_us)));
            all[n++] = h;
        }
    while (n-- > 0) {
        struct value none = NO_VALUE;
        struct buf one = {0};
        value_json(&one, all[n]->code ? dict_value(&chunk_field(c, (uint32_t)f)->dict, all[n]->code) : &none);
        buf_printf(&out, STR_FMT " ", STR_ARG(buf_str(&one)));
        buf_free(&one);
    }
    buf_addc(&out, '\0');
    return out.p;
}

/* ---- inferences ---- */

static void the_same_again_is_unchanged(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    inf.device_id = STR("cam");
    adds(k, &inf, OUTCOME_CREATED, 0);
    char *once = strdup(show(k));
    adds(k, &inf, OUTCOME_UNCHANGED, 0);
    assert_string_equal(show(k), once);
    assert_int_equal(store_counts(k->s, STORE_KIT_WORKSPACE).unchanged, 1);
    inf.device_id = STR("another");
    adds(k, &inf, OUTCOME_CONFLICT, 0); /* the first stays */
    inf.device_id = STR("");
    adds(k, &inf, OUTCOME_CONFLICT, 0);
    assert_string_equal(show(k), once);
    assert_int_equal(store_counts(k->s, STORE_KIT_WORKSPACE).conflicts, 2);
    stays_the_same(k);
    assert_string_equal(show(k), once);
    free(once);
}

static void one_id_in_several_models_and_places(void **state) {
    struct store_kit *k = *state;
    static const char *const models[] = {"m/1", "m/2", ""};
    for (uint32_t m = 0; m < 3; m++)
        for (uint32_t index = 3; index-- > 0;) {
            struct inference inf = plain("i", models[m], index);
            adds(k, &inf, OUTCOME_CREATED, index);
            adds(k, &inf, OUTCOME_UNCHANGED, index);
        }
    attaches(k, "i", "line", TEXT_VALUE("L1"), APPLIED);
    const struct chunk *c = chunk_of(k);
    assert_int_equal(chunk_rows(c), 9);
    assert_int_equal(ids_of(k), 1);
    for (uint32_t row = 0; row < 9; row++) assert_int_equal(field_code(chunk_field(c, 0), row), 1);
    struct inference inf = plain("i", "m/3", 0); /* one more later has it too */
    adds(k, &inf, OUTCOME_CREATED, 0);
    assert_int_equal(field_code(chunk_field(c, 0), 9), 1);
    uint32_t row = 0, n = 0;
    bool started = false;
    while (row_next(c, ident(k, "i"), &row, &started)) assert_int_equal(row, n++);
    assert_int_equal(n, 10);
    stays_the_same(k);
}

static void an_assigned_index_is_the_next_free_one(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 2), other = plain("i", "other", 0);
    adds(k, &inf, OUTCOME_CREATED, 2);
    inf.index = 1;
    adds(k, &inf, OUTCOME_CREATED, 1);
    adds(k, &other, OUTCOME_CREATED, 0);
    inf.assign_index = true;
    adds(k, &inf, OUTCOME_CREATED, 3); /* 1 and 2 are taken, in this order of arrival */
    inf.index = 0;
    adds(k, &inf, OUTCOME_CREATED, 0);
    adds(k, &inf, OUTCOME_CREATED, 4); /* the same content twice is two pictures */
    adds(k, &inf, OUTCOME_CREATED, 5);
    inf.index = 7;
    adds(k, &inf, OUTCOME_CREATED, 7);
    inf.index = 6;
    adds(k, &inf, OUTCOME_CREATED, 6);
    stays_the_same(k);
    adds(k, &inf, OUTCOME_CREATED, 8);
}

static bool hidden(struct store_kit *k, uint32_t row) {
    return row_flags(chunk_block(chunk_of(k), row), row % BLOCK_ROWS) & ROW_HIDDEN;
}

static void a_partial_one_is_hidden_by_a_complete_one(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0), partial = inf;
    partial.partial = true;
    adds(k, &partial, OUTCOME_CREATED, 0);
    assert_false(hidden(k, 0));
    struct inference other = plain("i", "m", 1);
    adds(k, &other, OUTCOME_CREATED, 1);
    other = plain("i", "other", 0);
    adds(k, &other, OUTCOME_CREATED, 0);
    other = plain("j", "m", 0);
    adds(k, &other, OUTCOME_CREATED, 0);
    assert_false(hidden(k, 0));
    adds(k, &inf, OUTCOME_CREATED, 0);
    assert_true(hidden(k, 0));
    partial.index = 1; /* comes after the complete one */
    adds(k, &partial, OUTCOME_CREATED, 1);
    assert_true(hidden(k, 5));
    for (uint32_t row = 1; row < 5; row++) assert_false(hidden(k, row));
    partial.index = 0;
    adds(k, &partial, OUTCOME_UNCHANGED, 0);
    stays_the_same(k);
    assert_true(hidden(k, 0) && hidden(k, 5));
}

/* ---- metadata ---- */

static void metadata_before_the_inference(void **state) {
    struct store_kit *k = *state;
    attaches(k, "i", "line", TEXT_VALUE("L0"), PENDING);
    attaches(k, "i", "line", TEXT_VALUE("L1"), PENDING);
    attaches(k, "i", "shift", NUMBER_VALUE(2), PENDING);
    attaches(k, "never", "line", TEXT_VALUE("L1"), PENDING);
    assert_int_equal(waiting_of(k), 2);
    stays_the_same(k);
    struct inference inf = plain("i", "m", 0);
    adds(k, &inf, OUTCOME_CREATED, 0);
    const struct chunk *c = chunk_of(k);
    assert_int_equal(waiting_of(k), 1);
    assert_int_equal(field_code(chunk_field(c, 0), 0), 2);
    assert_int_equal(field_code(chunk_field(c, 1), 0), 1);
    assert_string_equal(history(k, "i", "line"), "\"L0\" \"L1\" ");
    attaches(k, "i", "line", TEXT_VALUE("L2"), APPLIED);
    assert_string_equal(history(k, "i", "line"), "\"L0\" \"L1\" \"L2\" ");
    stays_the_same(k);
}

static void the_last_write_wins_and_all_are_kept(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    adds(k, &inf, OUTCOME_CREATED, 0);
    attaches(k, "i", "f", TEXT_VALUE("a"), APPLIED);
    attaches(k, "i", "f", TEXT_VALUE("b"), APPLIED);
    attaches(k, "i", "g", TEXT_VALUE("other"), APPLIED);
    attaches(k, "i", "f", TEXT_VALUE("b"), UNCHANGED); /* adds nothing */
    attaches(k, "i", "f", TEXT_VALUE("a"), APPLIED);   /* back again is a write like any other */
    assert_string_equal(current(k, "i", "f"), "\"a\"");
    assert_string_equal(history(k, "i", "f"), "\"a\" \"b\" \"a\" ");
    assert_string_equal(history(k, "i", "g"), "\"other\" ");
    stays_the_same(k);
    assert_string_equal(history(k, "i", "f"), "\"a\" \"b\" \"a\" ");
    attaches(k, "i", "f", TEXT_VALUE("a"), UNCHANGED);
}

static void removal(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    adds(k, &inf, OUTCOME_CREATED, 0);
    attaches(k, "i", "f", NO_VALUE, UNCHANGED); /* no such field: none is made */
    attaches(k, "unseen", "f", NO_VALUE, UNCHANGED);
    assert_int_equal(field_count_of(k), 0);
    assert_int_equal(ids_of(k), 1);
    attaches(k, "i", "f", TEXT_VALUE("a"), APPLIED);
    attaches(k, "unseen", "f", NO_VALUE, UNCHANGED); /* no such id: none is waited for */
    assert_int_equal(ids_of(k), 1);
    attaches(k, "i", "f", NO_VALUE, APPLIED);
    attaches(k, "i", "f", NO_VALUE, UNCHANGED);
    assert_string_equal(current(k, "i", "f"), "null");
    assert_int_equal(field_code(chunk_field(chunk_of(k), 0), 0), 0);
    stays_the_same(k);
    attaches(k, "i", "f", TEXT_VALUE("b"), APPLIED);
    attaches(k, "i", "f", NO_VALUE, APPLIED);
    attaches(k, "i", "f", TEXT_VALUE("a"), APPLIED);
    assert_string_equal(history(k, "i", "f"), "\"a\" null \"b\" null \"a\" ");
    attaches(k, "waits", "f", TEXT_VALUE("a"), PENDING);
    attaches(k, "waits", "f", NO_VALUE, PENDING);
    inf = plain("waits", "m", 0);
    adds(k, &inf, OUTCOME_CREATED, 0);
    assert_int_equal(field_code(chunk_field(chunk_of(k), 0), 1), 0);
    stays_the_same(k);
}

static void values_of_another_type_are_other_values(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    adds(k, &inf, OUTCOME_CREATED, 0);
    attaches(k, "i", "f", TEXT_VALUE("1"), APPLIED);
    attaches(k, "i", "f", NUMBER_VALUE(1), APPLIED);
    attaches(k, "i", "f", BOOL_VALUE(true), APPLIED);
    attaches(k, "i", "f", TEXT_VALUE("true"), APPLIED);
    attaches(k, "i", "f", NUMBER_VALUE(0), APPLIED);
    attaches(k, "i", "f", NUMBER_VALUE(-0.0), UNCHANGED);
    attaches(k, "i", "f", BOOL_VALUE(false), APPLIED);
    attaches(k, "i", "f", TEXT_VALUE(""), APPLIED);
    assert_string_equal(history(k, "i", "f"), "\"1\" 1 true \"true\" 0 false \"\" ");
    assert_int_equal(dict_count(&chunk_field(chunk_of(k), 0)->dict), 7);
    stays_the_same(k);
    assert_string_equal(history(k, "i", "f"), "\"1\" 1 true \"true\" 0 false \"\" ");
}

/* ---- requests ---- */

static void one_request_with_everything(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    struct inference inf = plain("i", "m", 0);
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_value(&w, "i", "f", TEXT_VALUE("a"));
    more_inference(&w, &inf);
    more_value(&w, "i", "f", TEXT_VALUE("b"));
    more_value(&w, "i", "f", NO_VALUE);
    more_value(&w, "i", "f", TEXT_VALUE("c"));
    more_inference(&w, &inf);
    assert_true(send_write(k, &w));
    assert_int_equal(k->result.attach.pending, 1);
    assert_string_equal(history(k, "i", "f"), "\"a\" \"b\" null \"c\" ");
    assert_int_equal(chunk_rows(chunk_of(k)), 1);
    stays_the_same(k);
}

/* More ids than one record is to hold: several records, one request. */
static void very_many_ids(void **state) {
    struct store_kit *k = *state;
    enum { COUNT = 5000 };
    struct str *ids = calloc(COUNT, sizeof *ids);
    struct store_write w;
    store_kit_close(k);
    k->o.max_pending = COUNT;
    k->o.journal_file_size = 256 << 10;
    assert_true(store_kit_open(k));
    for (unsigned i = 0; i < COUNT; i++) {
        char *id = malloc(60);
        ids[i] = (struct str){id, (size_t)snprintf(id, 60, "an id of some length, with a number behind it: %u", i)};
    }
    write_begin(&w, STORE_KIT_WORKSPACE);
    struct attach a = {.key_id = 5, .field = STR("f"), .value = TEXT_VALUE("v"), .ids = ids, .id_count = COUNT};
    write_attach(&w, &a);
    assert_in_range(w.records, 3, 6);
    assert_true(store_write_now(k->s, &w, &k->e));
    uint32_t pending = 0;
    for (size_t i = 0; i < w.records; i++) pending += w.results[i].attach.pending;
    assert_int_equal(pending, COUNT);
    write_free(&w);
    assert_int_equal(waiting_of(k), COUNT);
    stays_the_same(k);
    for (unsigned i = 0; i < COUNT; i++) free((void *)(uintptr_t)ids[i].p);
    free(ids);
}

static void workspaces_do_not_meet(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    static const uint32_t numbers[] = {0, STORE_KIT_WORKSPACE, 1023, 1024, 1024 * 1024 - 1};
    for (unsigned i = 0; i < 5; i++) {
        struct store_write w;
        write_begin(&w, numbers[i]);
        more_inference(&w, &inf);
        more_value(&w, "i", "f", NUMBER_VALUE(numbers[i]));
        assert_true(send_write(k, &w));
        assert_int_equal(k->result.outcome, OUTCOME_CREATED);
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5; i++) {
            struct view *v = store_view(k->s, numbers[i]);
            assert_int_equal(chunk_rows(v->chunks[0]), 1);
            assert_true(dict_value(&chunk_field(v->chunks[0], 0)->dict, 1)->number == numbers[i]);
            view_release(v);
        }
        assert_null(store_view(k->s, 1));
        stays_the_same(k);
    }
    struct store_write w;
    write_begin(&w, 1024 * 1024);
    more_inference(&w, &inf);
    assert_false(send_write(k, &w));
    assert_int_equal(k->e.code, ERR_INVALID);
    assert_null(store_view(k->s, 1024 * 1024));
    assert_null(store_view(k->s, UINT32_MAX));
}

/* Many at once, from several groups: each is told its outcome, numbers and times do not go back. */
static atomic_uint dones;

static void count_done(struct store_write *w) { atomic_fetch_add(&dones, w->err.code == ERR_NONE); }

static void submitted_at_once(void **state) {
    struct store_kit *k = *state;
    enum { COUNT = 500 };
    struct store_write *w = calloc(COUNT, sizeof *w);
    char id[20];
    atomic_store(&dones, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "i%u", i % 50);
        write_begin(&w[i], STORE_KIT_WORKSPACE);
        more_value(&w[i], id, "f", NUMBER_VALUE(i));
        w[i].done = count_done;
        assert_true(store_submit(k->s, &w[i], &k->e));
    }
    store_kit_close(k); /* finishes what was submitted */
    assert_int_equal(atomic_load(&dones), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(w[i].results[0].attach.pending, 1);
        assert_true(i == 0 || w[i].received_us >= w[i - 1].received_us);
        write_free(&w[i]);
    }
    free(w);
    assert_true(store_kit_open(k));
    struct inference awaited = plain("i49", "m", 0);
    assert_true(add_inference(k, &awaited));
    assert_string_equal(history(k, "i49", "f"), "49 99 149 199 249 299 349 399 449 499 ");
    stays_the_same(k);
}

static void pictures_in_use(void *ctx, const uint8_t hash[32]) { buf_add(ctx, hash, 1); }

static void pictures_are_named(void **state) {
    struct store_kit *k = *state;
    struct buf seen = {0};
    uint8_t hash[32] = {'0'};
    struct inference inf = plain("i", "m", 0), without = plain("j", "m", 0);
    for (uint32_t n = 0; n < 3; n++) {
        hash[0]++;
        inf.index = n;
        inf.picture = hash;
        adds(k, &inf, OUTCOME_CREATED, n);
    }
    adds(k, &without, OUTCOME_CREATED, 0);
    assert_true(store_each_picture(k->s, STORE_KIT_WORKSPACE, pictures_in_use, &seen));
    assert_true(str_is(buf_str(&seen), "123"));
    buf_free(&seen);
}

#define HASH(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define UPLOADS "\x01pictures"

static int by_byte(const void *x, const void *y) { return *(const unsigned char *)x - *(const unsigned char *)y; }

/* First bytes of all that are named, each once. */
static const char *named_uploads(struct store_kit *k) {
    static char all[64];
    struct buf seen = {0};
    size_t n = 0;
    assert_true(store_each_picture(k->s, STORE_KIT_WORKSPACE, pictures_in_use, &seen));
    if (seen.n) qsort(seen.p, seen.n, 1, by_byte);
    for (size_t i = 0; i < seen.n; i++)
        if (i == 0 || seen.p[i] != seen.p[i - 1]) all[n++] = seen.p[i];
    all[n] = 0;
    buf_free(&seen);
    return all;
}

/* Wherever an id stands: waiting, in the open chunk, in a segment, over one, folded into it. */
static void uploads_are_named(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    assert_true(add_value(k, "i", UPLOADS, TEXT_VALUE(HASH("41"))));
    assert_string_equal(named_uploads(k), "A");
    assert_true(add_value(k, "i", UPLOADS, TEXT_VALUE(HASH("41") ":" HASH("42"))));
    assert_string_equal(named_uploads(k), "AB");
    adds(k, &inf, OUTCOME_CREATED, 0);
    assert_string_equal(named_uploads(k), "AB");
    static const enum store_step steps[] = {STEP_FREEZE, STEP_SEAL, STEP_CHECKPOINT, STEP_COMPACT};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, steps[i], 0, &k->e));
        assert_string_equal(named_uploads(k), "AB");
    }
    assert_true(add_value(k, "i", UPLOADS, TEXT_VALUE(HASH("41") ":" HASH("42") " " HASH("43"))));
    assert_true(add_value(k, "other", UPLOADS, TEXT_VALUE(HASH("44"))));
    assert_string_equal(named_uploads(k), "ABCD");
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_FOLD, 0, &k->e));
    assert_string_equal(named_uploads(k), "ABCD");
    for (int i = 0; i < 2; i++) {
        store_kit_kill(k);
        assert_true(store_kit_open(k));
        assert_string_equal(named_uploads(k), "ABCD");
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_COMPACT, 0, &k->e));
    }
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_RETAIN, INT64_MAX, &k->e));
    assert_string_equal(named_uploads(k), "D"); /* it still waits */
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_kit_setup, store_kit_teardown)
        TEST(the_same_again_is_unchanged),
        TEST(one_id_in_several_models_and_places),
        TEST(an_assigned_index_is_the_next_free_one),
        TEST(a_partial_one_is_hidden_by_a_complete_one),
        TEST(metadata_before_the_inference),
        TEST(the_last_write_wins_and_all_are_kept),
        TEST(removal),
        TEST(values_of_another_type_are_other_values),
        TEST(one_request_with_everything),
        TEST(very_many_ids),
        TEST(workspaces_do_not_meet),
        TEST(submitted_at_once),
        TEST(pictures_are_named),
        TEST(uploads_are_named),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
