/* Readers of the open chunk beside the writer and the keeper: they take no lock, so this is for the thread sanitizer
 * (make SAN=thread) as much as for what it checks by itself: what was acknowledged before a look is seen by it. */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/check.h"
#include "store_kit.h"

enum {
    IDS = 5000,    /* over one block of rows, and several sizes of the table of ids */
    ROUNDS = 3,    /* values an id gets, one after the other */
    TOGETHER = 25, /* records a request */
    FIELDS = 40,
    READERS = 3,
};

/* What the callers know: of each id whether it is there, and its last acknowledged value. */
static struct {
    struct store *s;
    atomic_bool there[IDS];
    atomic_uint value[IDS], sent[IDS];
    atomic_bool over;
    atomic_uint looks, wrong;
    char what[100];
} world;

static void found_wrong(const char *what, unsigned n) {
    if (atomic_fetch_add(&world.wrong, 1) == 0) snprintf(world.what, sizeof world.what, "%.80s, %u", what, n);
}

static struct str name_of(const char *fmt, unsigned n, char text[32]) {
    return (struct str){text, (size_t)snprintf(text, 32, fmt, n)};
}

/* ---- readers ---- */

static const struct field *field_named(const struct chunk *c, unsigned n) {
    char text[32];
    int at = chunk_field_index(c, name_of("f%u", n, text));
    return at < 0 ? NULL : c->fields[at];
}

static void look_at_history(const struct chunk *c, const struct ident *i) {
    for (const struct id_field *f = atomic_load(&i->fields); f; f = f->next) {
        uint64_t newer = UINT64_MAX;
        if (f->field >= chunk_field_count(c)) found_wrong("a field that is not there", f->field);
        for (const struct history *h = atomic_load(&f->newest); h; h = h->older) {
            if (h->seq >= newer) found_wrong("history out of order", f->field);
            if (h->code && dict_value(&c->fields[f->field]->dict, h->code)->type != VALUE_NUMBER)
                found_wrong("a value in history", h->code);
            newer = h->seq;
        }
    }
}

static void look_at_id(const struct chunk *c, unsigned n) {
    char text[32];
    bool there = atomic_load(&world.there[n]);
    unsigned least = atomic_load(&world.value[n]);
    const struct ident *i = chunk_find(c, name_of("id-%u", n, text));
    uint32_t row = 0, rows = 0;
    bool started = false;
    if (!i) {
        if (there || least) found_wrong("an acknowledged id is not found", n);
        return;
    }
    if (n % 2) look_at_history(c, i); /* before anything else has made the writer's work visible to this thread */
    while (row_next(c, i, &row, &started)) {
        rows++;
        if (row >= chunk_rows(c)) found_wrong("a row that is not published", row);
        if (chunk_block(c, row)->ident[row % BLOCK_ROWS] != i) found_wrong("a row of another id", n);
        const struct field *f = field_named(c, n % FIELDS);
        uint32_t code = f ? field_code(f, row) : 0;
        double value = code ? dict_value(&f->dict, code)->number : 0;
        unsigned most = atomic_load(&world.sent[n]);
        if (there && (value < least || value > most)) found_wrong("a value older than acknowledged, or never sent", n);
    }
    if (rows > 1 || (there && rows == 0)) found_wrong("rows of an id", n);
    look_at_history(c, i);
}

/* All rows there are, from the first: numbers grow, codes lead to values. */
static void look_at_rows(const struct chunk *c) {
    uint32_t rows = chunk_rows(c), fields = chunk_field_count(c);
    uint64_t seq = 0;
    double sum = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const struct block *b = chunk_block(c, row);
        uint32_t at = row % BLOCK_ROWS;
        if (b->seq[at] <= seq) found_wrong("rows out of order", row);
        seq = b->seq[at];
        if (!b->model[at] || dict_value(&c->columns[COLUMN_MODEL], b->model[at])->text.n == 0)
            found_wrong("no model", row);
        for (uint32_t k = 0; k < b->detection_count[at]; k++) sum += b->detections[at][k].confidence;
        if (b->detection_count[at] != 2 || row_flags(b, at) != 0) found_wrong("a row that was never sent", row);
        uint32_t code = fields ? field_code(c->fields[row % fields], row) : 0;
        if (code) sum += dict_value(&c->fields[row % fields]->dict, code)->number;
    }
    if (isnan(sum)) found_wrong("a sum", rows);
}

/* Names and dictionaries by their counts alone. */
static void look_at_names(const struct chunk *c) {
    for (uint32_t i = chunk_field_count(c); i-- > 0;) {
        const struct field *f = c->fields[i];
        if (f->name.n < 2 || f->name.p[0] != 'f') found_wrong("a field's name", i);
        uint32_t count = dict_count(&f->dict);
        if (count && dict_value(&f->dict, count)->type != VALUE_NUMBER) found_wrong("a field's newest value", i);
    }
    if (dict_find(&c->columns[COLUMN_MODEL], &TEXT_VALUE("never sent"))) found_wrong("a model that was never sent", 0);
}

static void count_id(void *ctx, const struct ident *i) { *(unsigned *)ctx += ident_str(i).n > 3; }

static void *reader(void *ctx) {
    unsigned n = *(unsigned *)ctx * 1237, known = 0;
    while (!atomic_load(&world.over)) {
        struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
        if (!v) continue;
        look_at_names(v->open);
        for (unsigned i = 0; i < 500; i++) look_at_id(v->open, n = (n + 1409) % IDS);
        look_at_rows(v->open);
        unsigned count = 0;
        chunk_each_id(v->open, count_id, &count);
        if (count < known) found_wrong("an id went away", count);
        known = count;
        view_release(v);
        atomic_fetch_add(&world.looks, 1);
    }
    return NULL;
}

/* ---- writers ---- */

static void add_id(struct store_write *w, unsigned n) {
    char id[32], model[32];
    struct detection d[2] = {{.class_name = STR("dog"), .class_id = -1, .confidence = 0.5},
                             {.class_name = STR("cat"), .class_id = -1, .confidence = 0.25}};
    struct inference inf = plain("", "", 0);
    inf.id = name_of("id-%u", n, id);
    inf.model_id = name_of("model/%u", n % 400, model);
    inf.detections = d;
    inf.detection_count = 2;
    more_inference(w, &inf);
}

static void add_number(struct store_write *w, unsigned n, unsigned value) {
    char id[32], field[32];
    struct str one = name_of("id-%u", n, id);
    struct attach a = {.key_id = 1,
                       .field = name_of("f%u", n % FIELDS, field),
                       .value = NUMBER_VALUE(value),
                       .ids = &one,
                       .id_count = 1};
    atomic_store(&world.sent[n], value);
    write_attach(w, &a);
}

/* Inferences in order; each id's first value comes before it, with it, or after it, by turns. */
static void *writer(void *ctx) {
    struct err e;
    bool inferences = *(unsigned *)ctx == 0;
    for (unsigned round = 1; round <= (inferences ? 1 : ROUNDS); round++) {
        for (unsigned n = 0; n < IDS; n += TOGETHER) {
            struct store_write w;
            write_begin(&w, STORE_KIT_WORKSPACE);
            for (unsigned i = n; i < n + TOGETHER; i++) {
                if (inferences)
                    add_id(&w, i);
                else
                    add_number(&w, i, round * IDS + i);
            }
            CHECK(store_write_now(world.s, &w, &e));
            write_free(&w);
            for (unsigned i = n; i < n + TOGETHER; i++) {
                if (inferences)
                    atomic_store(&world.there[i], true);
                else
                    atomic_store(&world.value[i], round * IDS + i);
            }
        }
    }
    return NULL;
}

static void *checkpoints(void *ctx) {
    struct err e;
    (void)ctx;
    while (!atomic_load(&world.over)) CHECK(store_checkpoint(world.s, &e));
    return NULL;
}

static void readers_beside_writers(void **state) {
    struct store_kit *k = *state;
    pthread_t threads[READERS], writers[2], keeper;
    unsigned numbers[READERS] = {0, 1, 2};
    world.s = k->s;
    for (unsigned i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, &numbers[i]), 0);
    assert_int_equal(pthread_create(&keeper, NULL, checkpoints, NULL), 0);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&writers[i], NULL, writer, &numbers[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(writers[i], NULL);
    unsigned looks = atomic_load(&world.looks);
    while (atomic_load(&world.looks) < looks + 2 * READERS) sched_yield(); /* at the end too */
    atomic_store(&world.over, true);
    pthread_join(keeper, NULL);
    for (unsigned i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    if (atomic_load(&world.wrong))
        fail_msg("%u looks were wrong, the first: %s", atomic_load(&world.wrong), world.what);

    /* And a start from what they wrote shows the same. */
    char *before = strdup(show(k));
    assert_null(strstr(before, "BROKEN"));
    store_kit_close(k);
    assert_true(store_kit_open(k));
    assert_string_equal(show(k), before);
    free(before);
}

static int setup(void **state) {
    if (store_kit_setup(state) != 0) return -1;
    struct store_kit *k = *state;
    store_kit_close(k);
    k->o.max_pending = 2 * IDS;
    return store_kit_open(k) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_beside_writers, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
