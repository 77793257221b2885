/* Each limit of the store at its edge and one past it: what passes is refused as a whole, says so, and leaves no trace,
 * after a restart neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_kit.h"

static void reopen_with(struct store_kit *k, uint32_t max_per_id, uint32_t max_fields, uint32_t max_pending) {
    store_kit_close(k);
    k->o.max_per_id = max_per_id;
    k->o.max_fields = max_fields;
    k->o.max_pending = max_pending;
    assert_true(store_kit_open(k));
}

/* A write that was sent must have been refused for this reason, and the store must hold `before`, now and later. */
static void refused(struct store_kit *k, bool taken, enum err_code code, const char *why, const char *before) {
    assert_false(taken);
    assert_int_equal(k->e.code, code);
    if (!strstr(k->e.msg, why) || !strstr(k->e.msg, "nothing was stored")) fail_msg("%s", k->e.msg);
    assert_string_equal(show(k), before);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
}

static void more_fields(struct store_write *w, unsigned from, unsigned to) {
    static char names[2000][8];
    for (unsigned i = from; i < to; i++) {
        struct str id = STR("i");
        size_t n = (size_t)snprintf(names[i], sizeof names[i], "f%u", i % 2000);
        write_attach(w, &(struct attach){.field = {names[i], n}, .value = TEXT_VALUE("v"), .ids = &id, .id_count = 1});
    }
}

static bool add_fields(struct store_kit *k, unsigned from, unsigned to) {
    struct store_write w;
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_fields(&w, from, to);
    return send_write(k, &w);
}

static void fields_at_the_limit_and_one_past(void **state) {
    struct store_kit *k = *state; /* max_fields is 1024, as it is by default */
    assert_true(add_fields(k, 0, 1000));
    char *before = strdup(show(k));
    refused(k, add_fields(k, 1000, 1025), ERR_INVALID, "1024 (max_fields)", before);
    refused(k, add_fields(k, 990, 1025), ERR_INVALID, "1024 (max_fields)", before); /* known ones do not help */
    assert_true(add_fields(k, 990, 1024));
    assert_int_equal(field_count_of(k), 1024);
    free(before);
    before = strdup(show(k));
    refused(k, add_value(k, "i", "one more", TEXT_VALUE("v")), ERR_INVALID, "1024 (max_fields)", before);
    struct store_write w;
    struct inference inf = plain("j", "m", 0);
    write_begin(&w, STORE_KIT_WORKSPACE); /* what is good in a request goes with what is not */
    more_inference(&w, &inf);
    more_value(&w, "j", "f1", TEXT_VALUE("other"));
    more_value(&w, "j", "one more", TEXT_VALUE("v"));
    refused(k, send_write(k, &w), ERR_INVALID, "(max_fields)", before);
    assert_true(add_value(k, "i", "one more", NO_VALUE)); /* makes no field */
    assert_true(add_value(k, "i", "f1023", TEXT_VALUE("other")));
    assert_true(add_fields(k, 0, 1024)); /* 1024 records, no new field */
    assert_int_equal(field_count_of(k), 1024);
    free(before);
}

/* Where the pictures of ids are noted counts to no limit, and there is room for it when all others are taken. */
static void a_field_of_our_own(void **state) {
    struct store_kit *k = *state;
    assert_true(add_fields(k, 0, 1024));
    assert_true(add_value(k, "i", "\x01pictures", TEXT_VALUE("a")));
    assert_false(add_value(k, "i", "one more", TEXT_VALUE("v")));
    assert_true(add_value(k, "j", "\x01pictures", TEXT_VALUE("b")));
    for (int i = 0; i < 2; i++) {
        store_kit_close(k);
        assert_true(store_kit_open(k));
        assert_false(add_value(k, "i", "one more", TEXT_VALUE("v")));
        assert_true(add_value(k, "i", "\x01pictures", TEXT_VALUE(i ? "c" : "d")));
        struct inference inf = plain(i ? "i" : "j", "m", 0);
        assert_true(add_inference(k, &inf));
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_FREEZE, 0, &k->e));
        assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_SEAL, 0, &k->e));
    }
    assert_int_equal(field_count_of(k), 1025);
}

static void a_new_field_named_twice_is_one(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    reopen_with(k, 10, 2, 10);
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_value(&w, "i", "a", TEXT_VALUE("1"));
    more_value(&w, "i", "b", TEXT_VALUE("1"));
    more_value(&w, "i", "a", TEXT_VALUE("2"));
    more_value(&w, "i", "gone", NO_VALUE);
    more_value(&w, "i", "b", TEXT_VALUE("2"));
    assert_true(send_write(k, &w));
    assert_int_equal(field_count_of(k), 2);
}

static bool add_waiting(struct store_kit *k, const char *const *ids, size_t count) {
    struct store_write w;
    struct str list[20];
    for (size_t i = 0; i < count; i++) list[i] = str_of(ids[i]);
    write_begin(&w, STORE_KIT_WORKSPACE);
    write_attach(&w, &(struct attach){.field = STR("f"), .value = TEXT_VALUE("v"), .ids = list, .id_count = count});
    return send_write(k, &w);
}

static void pending_at_the_limit_and_one_past(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    struct inference inf = plain("i", "m", 0);
    reopen_with(k, 100, 10, 3);
    assert_true(add_inference(k, &inf));
    assert_true(add_waiting(k, (const char *const[]){"a", "b"}, 2));
    char *before = strdup(show(k));
    refused(k, add_waiting(k, (const char *const[]){"a", "i", "c", "d"}, 4), ERR_NO_SPACE, "3 (max_pending)", before);
    free(before);
    assert_true(add_waiting(k, (const char *const[]){"a", "i", "c", "c", "b"}, 5)); /* one that is new */
    assert_int_equal(waiting_of(k), 3);
    before = strdup(show(k));
    refused(k, add_value(k, "d", "f", TEXT_VALUE("v")), ERR_NO_SPACE, "3 (max_pending)", before);
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_value(&w, "i", "f", TEXT_VALUE("other"));
    more_value(&w, "d", "f", TEXT_VALUE("v"));
    refused(k, send_write(k, &w), ERR_NO_SPACE, "(max_pending)", before);
    free(before);
    assert_true(add_value(k, "i", "f", TEXT_VALUE("known")));
    assert_true(add_value(k, "a", "f", TEXT_VALUE("waited for already")));
    assert_true(add_value(k, "d", "f", NO_VALUE)); /* waits for nothing */
    assert_true(add_value(k, "a", "f", NO_VALUE));
    /* An id whose inference comes with it is not waited for, whichever is first. */
    write_begin(&w, STORE_KIT_WORKSPACE);
    inf = plain("e", "m", 0);
    more_inference(&w, &inf);
    more_value(&w, "e", "f", TEXT_VALUE("v"));
    more_value(&w, "d", "f", TEXT_VALUE("v"));
    inf = plain("d", "m", 0);
    more_inference(&w, &inf);
    assert_true(send_write(k, &w));
    assert_int_equal(waiting_of(k), 3);
    inf = plain("a", "m", 0);
    assert_true(add_inference(k, &inf)); /* makes room for one */
    assert_true(add_value(k, "z", "f", TEXT_VALUE("v")));
    assert_false(add_value(k, "y", "f", TEXT_VALUE("v")));
}

static void inferences_at_the_limit_and_one_past(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    struct inference inf = plain("a", "m", 0);
    reopen_with(k, 3, 10, 3);
    assert_true(add_inference(k, &inf));
    write_begin(&w, STORE_KIT_WORKSPACE);
    inf.index = 1;
    more_inference(&w, &inf);
    inf.index = 2;
    more_inference(&w, &inf);
    inf.index = 3;
    more_inference(&w, &inf);
    char *before = strdup(show(k));
    refused(k, send_write(k, &w), ERR_INVALID, "3 (max_per_id)", before);
    free(before);
    write_begin(&w, STORE_KIT_WORKSPACE);
    for (inf.index = 0; inf.index < 3; inf.index++) more_inference(&w, &inf); /* the first is there */
    assert_true(send_write(k, &w));
    assert_int_equal(chunk_rows(chunk_of(k)), 3);
    before = strdup(show(k));
    inf = plain("a", "m", 0);
    inf.assign_index = true; /* always one more */
    refused(k, add_inference(k, &inf), ERR_INVALID, "3 (max_per_id)", before);
    inf = plain("a", "m", 1);
    inf.partial = true; /* a row beside the complete one */
    refused(k, add_inference(k, &inf), ERR_INVALID, "3 (max_per_id)", before);
    inf = plain("a", "m", 2);
    assert_true(add_inference(k, &inf)); /* the same again adds nothing */
    assert_int_equal(k->result.outcome, OUTCOME_UNCHANGED);
    inf.device_id = STR("x");
    assert_true(add_inference(k, &inf));
    assert_int_equal(k->result.outcome, OUTCOME_CONFLICT);
    assert_string_equal(show(k), before);
    assert_true(add_value(k, "a", "f", TEXT_VALUE("v")));
    assert_true(add_value(k, "b", "f", TEXT_VALUE("waits")));
    free(before);
}

/* All chunks are full and the keeper makes no segment: inferences are refused, metadata is not. */
static void all_chunks_full(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    store_kit_close(k);
    k->o.chunk_rows = 16;
    assert_true(store_kit_open(k));
    write_begin(&w, STORE_KIT_WORKSPACE);
    struct inference inf = plain("i", "m", 0);
    for (; inf.index < 16 * (1 + FROZEN_MOST); inf.index++) more_inference(&w, &inf);
    assert_true(send_write(k, &w));
    char *before = strdup(show(k));
    refused(k, add_inference(k, &inf), ERR_BUSY, "send again", before);
    assert_true(add_value(k, "i", "f", TEXT_VALUE("v")));
    free(before);
    before = strdup(show(k));
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_SEAL, 0, &k->e));
    assert_string_equal(show(k), before);
    assert_true(add_inference(k, &inf));
    free(before);
    before = strdup(show(k));
    write_begin(&w, STORE_KIT_WORKSPACE);
    inf = plain("j", "m", 0);
    for (; inf.index <= 16 * (1 + FROZEN_MOST); inf.index++) more_inference(&w, &inf);
    refused(k, send_write(k, &w), ERR_TOO_LARGE, "one request may bring", before);
    free(before);
}

/* ---- limits of one group ---- */

/* A gate in the way of every sync of a group: while it is closed, requests wait and make one group. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool closed, waiting;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

static int gated_sync(int fd, const char *site) {
    (void)fd;
    pthread_mutex_lock(&gate.lock);
    if (strcmp(site, "journal.group") == 0 && gate.closed) {
        gate.waiting = true;
        pthread_cond_broadcast(&gate.moved);
        while (gate.closed) pthread_cond_wait(&gate.moved, &gate.lock);
        gate.waiting = false;
    }
    pthread_mutex_unlock(&gate.lock);
    return 0;
}

static atomic_uint done_count;
static void note_done(struct store_write *w) { atomic_fetch_add(&done_count, 1), (void)w; }

/* The writes go to the store as one group, behind one that fills the writer's hands. */
static void send_as_one_group(struct store_kit *k, struct store_write *w, unsigned count) {
    struct io_ops ops = scratch_ops;
    struct store_write first;
    ops.sync = gated_sync;
    io_use(&ops);
    gate.closed = true;
    atomic_store(&done_count, 0);
    write_begin(&first, STORE_KIT_WORKSPACE + 1);
    more_value(&first, "x", "f", TEXT_VALUE("v"));
    first.done = note_done;
    assert_true(store_submit(k->s, &first, &k->e));
    pthread_mutex_lock(&gate.lock);
    while (!gate.waiting) pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    for (unsigned i = 0; i < count; i++) {
        w[i].done = note_done;
        assert_true(store_submit(k->s, &w[i], &k->e));
    }
    pthread_mutex_lock(&gate.lock);
    gate.closed = false;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
    store_kit_close(k);
    io_use(&scratch_ops);
    assert_int_equal(atomic_load(&done_count), count + 1);
    write_free(&first);
    assert_true(store_kit_open(k));
}

/* Three in one group, room for two: the third is refused, though nothing of the others was there yet. */
static void a_group_passes_no_limit(void **state) {
    struct store_kit *k = *state;
    struct store_write w[3];
    reopen_with(k, 2, 3, 10);
    for (unsigned i = 0; i < 3; i++) {
        write_begin(&w[i], STORE_KIT_WORKSPACE);
        more_fields(&w[i], i, i + 2);
    }
    send_as_one_group(k, w, 3); /* f0 f1, f1 f2, f2 f3: the second fits since it shares one, the third does not */
    assert_int_equal(field_count_of(k), 3);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(w[i].err.code, i < 2 ? ERR_NONE : ERR_INVALID);
    for (unsigned i = 0; i < 3; i++) write_free(&w[i]);

    reopen_with(k, 2, 3, 3); /* "i" waits already */
    for (unsigned i = 0; i < 3; i++) {
        write_begin(&w[i], STORE_KIT_WORKSPACE);
        more_value(&w[i], (const char *const[]){"p", "q", "r"}[i], "f0", TEXT_VALUE("v"));
    }
    send_as_one_group(k, w, 3);
    assert_int_equal(waiting_of(k), 3);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(w[i].err.code, i < 2 ? ERR_NONE : ERR_NO_SPACE);
    for (unsigned i = 0; i < 3; i++) write_free(&w[i]);
}

/* ---- a store that is opened again ---- */

static int64_t clock_us;
static int64_t the_clock(void) { return clock_us; }

/* What had waited too long comes back with a replay. It makes no room for more than the limit. */
static void expired_ones_are_not_in_the_way(void **state) {
    struct store_kit *k = *state;
    clock_us = 1000;
    k->o.now_us = the_clock;
    k->o.pending_ttl_us = 1000;
    reopen_with(k, 10, 10, 2);
    assert_true(add_waiting(k, (const char *const[]){"a", "b"}, 2));
    clock_us = 5000;
    struct inference inf = plain("i", "m", 0);
    assert_true(add_inference(k, &inf));
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_EXPIRE, 0, &k->e));
    assert_true(add_waiting(k, (const char *const[]){"c", "d"}, 2));
    char *before = strdup(show(k));
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    refused(k, add_waiting(k, (const char *const[]){"a"}, 1), ERR_NO_SPACE, "2 (max_pending)", before);
    assert_int_equal(waiting_of(k), 2);
    free(before);
}

static void opened_with_lower_limits(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    for (; inf.index < 5; inf.index++) assert_true(add_inference(k, &inf));
    assert_true(add_fields(k, 0, 5));
    assert_true(add_waiting(k, (const char *const[]){"a", "b", "c"}, 3));
    char *before = strdup(show(k));
    reopen_with(k, 2, 20, 1); /* more rows and ids than allowed are served; there will be no more of them */
    assert_string_equal(show(k), before);
    refused(k, add_inference(k, &inf), ERR_INVALID, "(max_per_id)", before);
    refused(k, add_value(k, "d", "f", TEXT_VALUE("v")), ERR_NO_SPACE, "(max_pending)", before);
    assert_true(add_value(k, "i", "f", TEXT_VALUE("v")));
    struct inference awaited = plain("i", "m", 4);
    assert_true(add_inference(k, &awaited));
    assert_int_equal(k->result.outcome, OUTCOME_UNCHANGED);
    reopen_with(k, 20, 20, 1);
    awaited = plain("a", "m", 0);
    assert_true(add_inference(k, &awaited)); /* the way back under the limit */
    assert_int_equal(waiting_of(k), 2);
    store_kit_close(k);
    k->o.max_fields = 3;
    assert_false(store_kit_open(k));
    assert_int_equal(k->e.code, ERR_NO_SPACE);
    assert_non_null(strstr(k->e.msg, "max_fields (3)"));
    free(before);
}

/* ---- sizes ---- */

static void an_inference_that_is_too_large(void **state) {
    struct store_kit *k = *state;
    struct store_write w;
    struct inference inf = plain("i", "m", 0);
    char *text = calloc(1, 9 << 20);
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_inference(&w, &inf);
    size_t before = w.chain.n;
    inf.index = 1;
    inf.error = (struct str){text, 9 << 20};
    assert_false(write_inference(&w, &inf, &k->e));
    assert_int_equal(k->e.code, ERR_TOO_LARGE);
    assert_int_equal(w.chain.n, before);
    assert_int_equal(w.records, 1);
    assert_true(send_write(k, &w));
    assert_int_equal(chunk_rows(chunk_of(k)), 1);
    free(text);
}

static void a_record_larger_than_a_journal_file(void **state) {
    struct store_kit *k = *state;
    struct inference inf = plain("i", "m", 0);
    char *text = calloc(1, 64 << 10), *before;
    inf.error = (struct str){text, 60 << 10};
    inf.error.n -= 200;
    assert_true(add_inference(k, &inf)); /* 64 KiB less the header of 4096 */
    before = strdup(show(k));
    inf.index = 1;
    inf.error.n += 200;
    assert_false(add_inference(k, &inf));
    assert_int_equal(k->e.code, ERR_TOO_LARGE);
    assert_string_equal(show(k), before);
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    free(text);
    free(before);
}

/* Workspace `number` gets an inference of 60 KB. */
static bool add_large(struct store_kit *k, uint32_t number, unsigned n) {
    static char text[60000];
    char id[16];
    struct store_write w;
    memset(text, 'x', sizeof text);
    snprintf(id, sizeof id, "large-%u", n);
    struct inference inf = plain(id, "m", 0);
    inf.error = (struct str){text, sizeof text};
    write_begin(&w, number);
    more_inference(&w, &inf);
    return send_write(k, &w);
}

static void step(struct store_kit *k, uint32_t number, enum store_step what) {
    if (!store_step(k->s, number, what, 0, &k->e)) fail_msg("%s", k->e.msg);
}

static void chunks_of_all_workspaces_together(void **state) {
    struct store_kit *k = *state;
    enum { OTHER = STORE_KIT_WORKSPACE + 1 };
    store_kit_close(k);
    k->o.chunk_memory = 4 << 20;
    k->o.manual = true;
    assert_true(store_kit_open(k));
    unsigned taken = 0;
    while (taken < 200 && add_large(k, OTHER, taken)) taken++;
    assert_true(taken > 40 && taken < 70);
    assert_int_equal(k->e.code, ERR_BUSY);
    for (int i = 0; i < 2; i++) {
        refused(k, add_inference(k, &(struct inference){.id = STR("a"), .model_id = STR("m"), .time_us = 1}), ERR_BUSY,
                "faster than they can be put into segments", show(k));
        assert_true(add_value(k, "a", "f", NUMBER_VALUE(i))); /* goes on */
    }
    step(k, OTHER, STEP_FREEZE);
    assert_false(add_large(k, OTHER, taken)); /* frozen it takes as much as before */
    step(k, OTHER, STEP_SEAL);
    assert_true(add_inference(k, &(struct inference){.id = STR("a"), .model_id = STR("m"), .time_us = 1}));
    while (taken < 200 && add_large(k, OTHER, taken)) taken++;
    assert_true(taken > 80);
    assert_true(store_delete(k->s, OTHER, &k->e));
    assert_true(add_inference(k, &(struct inference){.id = STR("b"), .model_id = STR("m"), .time_us = 1}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, store_kit_setup, store_kit_teardown)
        TEST(fields_at_the_limit_and_one_past),
        TEST(a_field_of_our_own),
        TEST(a_new_field_named_twice_is_one),
        TEST(pending_at_the_limit_and_one_past),
        TEST(inferences_at_the_limit_and_one_past),
        TEST(all_chunks_full),
        TEST(chunks_of_all_workspaces_together),
        TEST(a_group_passes_no_limit),
        TEST(expired_ones_are_not_in_the_way),
        TEST(opened_with_lower_limits),
        TEST(an_inference_that_is_too_large),
        TEST(a_record_larger_than_a_journal_file),
    };
    return cmocka_run_group_tests_name("store, limits", tests, NULL, NULL);
}
