/* Requests that wait between being resolved and being applied, while chunks become segments; and replay of what had
 * changed nothing. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store_kit.h"

enum { ROWS = 16 };

static int setup(void **state) {
    if (store_kit_setup(state) != 0) return -1;
    struct store_kit *k = *state;
    store_kit_close(k);
    k->o.chunk_rows = ROWS;
    return store_kit_open(k) ? 0 : -1;
}

static void add(struct store_kit *k, const char *prefix, unsigned from, unsigned count, enum outcome expected) {
    for (unsigned i = from; i < from + count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%u", prefix, i);
        struct inference inf = plain(id, "m/1", 0);
        if (!add_inference(k, &inf)) fail_msg("%s", k->e.msg);
        assert_int_equal(k->result.outcome, expected);
    }
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
};

static void done(struct store_write *w) {
    struct waiting *x = w->ctx;
    pthread_mutex_lock(&x->lock);
    x->done = true;
    pthread_cond_signal(&x->over);
    pthread_mutex_unlock(&x->lock);
}

static void until_done(struct waiting *x) {
    pthread_mutex_lock(&x->lock);
    while (!x->done) pthread_cond_wait(&x->over, &x->lock);
    pthread_mutex_unlock(&x->lock);
}

/* A request too large for the room there is waits. Meanwhile chunks are begun, filled and sealed, in which ids of it
 * stand: neither its view nor the newest one has those chunks, and they must be found all the same. */
static void test_chunk_come_and_gone(void **state) {
    struct store_kit *k = *state;
    enum { LARGE = (1 + FROZEN_MOST) * ROWS }; /* as much as all chunks hold */
    store_kit_close(k);
    k->o.manual = false;
    assert_true(store_kit_open(k));
    add(k, "first", 0, 2, OUTCOME_CREATED);
    struct waiting x = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
    struct store_write w;
    write_begin(&w, STORE_KIT_WORKSPACE);
    for (unsigned i = 0; i < LARGE; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%u", i < 10 ? "second" : "large", i);
        struct inference inf = plain(id, "m/1", 0);
        more_inference(&w, &inf);
    }
    w.done = done;
    w.ctx = &x;
    assert_true(store_submit(k->s, &w, &k->e));
    add(k, "fill", 0, ROWS - 2, OUTCOME_CREATED);
    add(k, "second", 0, ROWS, OUTCOME_CREATED);
    for (int i = 0; i < 2; i++)
        if (!store_step(k->s, STORE_KIT_WORKSPACE, i ? STEP_SEAL : STEP_FREEZE, 0, &k->e)) fail_msg("%s", k->e.msg);
    until_done(&x);
    assert_int_equal(w.err.code, ERR_NONE);
    for (unsigned i = 0; i < LARGE; i++)
        assert_int_equal(w.results[i].outcome, i < 10 ? OUTCOME_UNCHANGED : OUTCOME_CREATED);
    write_free(&w);
}

static void test_resent_and_lost(void **state) {
    struct store_kit *k = *state;
    enum { MANY = 12 * ROWS };
    for (unsigned i = 0; i < MANY; i += ROWS) {
        add(k, "a", i, ROWS, OUTCOME_CREATED);
        if (!store_step(k->s, STORE_KIT_WORKSPACE, STEP_SEAL, 0, &k->e)) fail_msg("%s", k->e.msg);
    }
    add(k, "a", 0, MANY - ROWS, OUTCOME_UNCHANGED);
    store_kit_kill(k);
    char path[SCRATCH_PATH + 64];
    for (unsigned n = 1; n < MANY / ROWS; n++) {
        snprintf(path, sizeof path, "%s/workspaces/%d/segments/%u.1.arrow", k->scratch.dir, STORE_KIT_WORKSPACE, n);
        if (remove(path) != 0) fail_msg("%s", path);
    }
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
}

/* ---- everything at the same time ---- */

/* Each thread sends its own ids, once more now and then, with metadata before and after; a further one takes the keeper's
 * steps. Whatever the order, what was said of each answer beforehand comes true. */
enum { SENDERS = 3, IDS = 1500, STEPS = 400 };

struct sender {
    struct store_kit *k;
    unsigned n, wrong;
    char what[100];
};

static void wrong(struct sender *x, const char *what, unsigned id) {
    if (x->wrong++ == 0) snprintf(x->what, sizeof x->what, "%.60s, id %u of sender %u", what, id, x->n);
}

static struct write_result send(struct sender *x, unsigned id, const char *field, unsigned value) {
    char name[32];
    struct store_write w;
    struct err e = {0};
    snprintf(name, sizeof name, "%u of %u", id, x->n);
    for (;;) {
        write_begin(&w, STORE_KIT_WORKSPACE);
        struct inference inf = plain(name, "m/1", 0);
        if (field) more_value(&w, name, field, NUMBER_VALUE(value));
        else more_inference(&w, &inf);
        bool ok = store_write_now(x->k->s, &w, &e);
        struct write_result r = ok ? w.results[0] : (struct write_result){0};
        write_free(&w);
        if (ok) return r;
        if (e.code != ERR_BUSY) wrong(x, e.msg, id);
        if (e.code != ERR_BUSY) return r;
    }
}

static void *send_all(void *arg) {
    struct sender *x = arg;
    for (unsigned id = 0; id < IDS; id++) {
        if (id % 5 == 0 && send(x, id, "early", id).attach.pending != 1) wrong(x, "it should wait", id);
        if (send(x, id, NULL, 0).outcome != OUTCOME_CREATED) wrong(x, "it should be created", id);
        unsigned old = id / 2, older = id / 7;
        if (send(x, old, "late", id).attach.applied != 1) wrong(x, "it should be attached", old);
        if (send(x, old, "late", id).attach.unchanged != 1) wrong(x, "it has this value already", old);
        if (id % 3 == 0 && send(x, older, NULL, 0).outcome != OUTCOME_UNCHANGED) wrong(x, "it is there already", older);
        if (older % 5 == 0 && send(x, older, "early", older).attach.unchanged != 1) wrong(x, "it took this over", older);
    }
    return NULL;
}

static void *take_steps(void *arg) {
    static const enum store_step steps[] = {STEP_FREEZE, STEP_SEAL, STEP_FOLD,    STEP_CHECKPOINT, STEP_SEAL,
                                            STEP_FOLD,   STEP_EXPIRE, STEP_COMPACT, STEP_MERGE};
    struct sender *x = arg;
    struct err e = {0};
    for (unsigned i = 0; i < STEPS; i++) {
        enum store_step step = steps[i % (sizeof steps / sizeof *steps)];
        if (!store_step(x->k->s, STORE_KIT_WORKSPACE, step, 0, &e)) wrong(x, e.msg, i);
    }
    return NULL;
}

static void test_together(void **state) {
    struct store_kit *k = *state;
    struct sender x[SENDERS + 1];
    pthread_t threads[SENDERS + 1];
    store_kit_close(k);
    k->o.manual = false;
    k->o.chunk_rows = 64;
    k->o.journal_file_size = 1 << 20;
    k->o.journal_max = 8 << 20;
    assert_true(store_kit_open(k));
    for (unsigned i = 0; i <= SENDERS; i++) {
        x[i] = (struct sender){.k = k, .n = i};
        assert_int_equal(pthread_create(&threads[i], NULL, i < SENDERS ? send_all : take_steps, &x[i]), 0);
    }
    for (unsigned i = 0; i <= SENDERS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i <= SENDERS; i++)
        if (x[i].wrong) fail_msg("%u times: %s", x[i].wrong, x[i].what);
    assert_int_equal(waiting_of(k), 0);
    char *before = strdup(show(k));
    assert_null(strstr(before, "BROKEN"));
    store_kit_kill(k);
    assert_true(store_kit_open(k));
    assert_string_equal(before, show(k));
    free(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chunk_come_and_gone, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_resent_and_lost, setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(test_together, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
