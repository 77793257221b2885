/* Readers of views beside the writer and the keeper: they take no lock, so this is for the thread sanitizer
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
#include "base/guard.h"
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

/* What one place says of an id. */
struct said {
    unsigned rows;
    double value;
};

static void look_at_history(const struct view *v, const struct chunk *c, const struct ident *i) {
    for (const struct id_field *f = ident_fields(i); f; f = f->next) {
        uint64_t newer = UINT64_MAX;
        if (f->field >= fields_count(v->fields)) found_wrong("a field that is not there", f->field);
        for (const struct history *h = field_newest(f); h; h = h->older) {
            if (h->seq >= newer) found_wrong("history out of order", f->field);
            if (h->code && dict_value(&chunk_field(c, f->field)->dict, h->code)->type != VALUE_NUMBER)
                found_wrong("a value in history", h->code);
            newer = h->seq;
        }
    }
}

static void look_in_chunk(const struct view *v, const struct chunk *c, uint64_t hash, struct str id, int field,
                          struct said *out) {
    const struct ident *i = chunk_find(c, hash, id);
    if (!i) return;
    look_at_history(v, c, i);
    bool started = false;
    for (uint32_t row; row_next(c, i, &row, &started);) {
        if (row >= chunk_rows(c)) found_wrong("a row that is not published", row);
        if (chunk_block(c, row)->ident[row % BLOCK_ROWS] != i) found_wrong("a row of another id", row);
        const struct field *f = field < 0 ? NULL : chunk_field(c, (uint32_t)field);
        uint32_t code = field_code(f, row);
        out->rows++;
        out->value = code ? dict_value(&f->dict, code)->number : 0;
    }
}

static void look_in_segment(const struct view *v, const struct sealed_row *at, int field, struct said *out) {
    const struct segment *g = at->sealed->segment;
    out->rows++;
    if (SEG(g, DETECTIONS)[at->row + 1] - SEG(g, DETECTIONS)[at->row] != 2) found_wrong("a row that was never sent", at->row);
    if (field < 0) return;
    const struct overlay_field *f = overlay_field(at->sealed->overlay, (uint32_t)field);
    uint32_t code = f ? overlay_code(f, at->row) : OVERLAY_NONE;
    if (code != OVERLAY_NONE) {
        out->value = dict_value(&f->dict, code)->number;
        return;
    }
    for (uint32_t n = 0; n < g->field_count; n++) {
        if (!str_eq(segment_field_name(g, n), v->fields->names[field])) continue;
        struct value there = segment_value(segment_field(g, n), at->row);
        if (there.type == VALUE_NUMBER) out->value = there.number;
    }
}

/* What waits is looked at first, then a view that is younger than that: an id stands in the new place before it leaves
 * the old one. */
static void look_at_id(unsigned n) {
    char text[32], name[32];
    bool there = atomic_load(&world.there[n]);
    unsigned least = atomic_load(&world.value[n]);
    struct view *first = store_view(world.s, STORE_KIT_WORKSPACE);
    if (!first) return;
    struct str id = name_of("id-%u", n, text);
    uint64_t hash = id_hash(first->store_id, id);
    struct pending_id *waiting = pending_find(first->pending, hash, id);
    struct said said = {0};
    bool waits = waiting != NULL;
    if (waiting)
        for (const struct pending_write *w = pending_newest(waiting); w; w = w->older)
            if (w->value.number > said.value) said.value = w->value.number;
    struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
    int field = fields_find(v->fields, name_of("f%u", n % FIELDS, name));
    struct said row = {0};
    for (size_t c = 0; c < v->chunk_count; c++) look_in_chunk(v, v->chunks[c], hash, id, field, &row);
    struct sealed_row *found = mem_alloc(v->sealed_count * sizeof *found + 1);
    struct guard g;
    if (guard_enter(&g)) {
        size_t count = view_find(v, hash, id, found);
        for (size_t i = 0; i < count; i++) look_in_segment(v, &found[i], field, &row);
        guard_leave(&g);
    } else {
        found_wrong("a segment that cannot be read", n);
    }
    free(found);
    unsigned most = atomic_load(&world.sent[n]);
    if (row.rows > 1 || (there && row.rows == 0)) found_wrong("rows of an id", n);
    if (row.rows) said = row;
    if ((there || least) && !waits && !row.rows) found_wrong("an acknowledged id is not found", n);
    if (said.value < least || said.value > most) found_wrong("a value older than acknowledged, or never sent", n);
    view_release(v);
    view_release(first);
}

/* All rows of a chunk, from the first: numbers grow, codes lead to values. */
static void look_at_rows(const struct view *v, const struct chunk *c) {
    uint32_t rows = chunk_rows(c), fields = fields_count(v->fields);
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
        const struct field *f = fields ? chunk_field(c, row % fields) : NULL;
        uint32_t code = field_code(f, row);
        if (code) sum += dict_value(&f->dict, code)->number;
    }
    if (isnan(sum)) found_wrong("a sum", rows);
    if (dict_find(&c->columns[COLUMN_MODEL], &TEXT_VALUE("never sent"))) found_wrong("a model that was never sent", 0);
}

/* Rows are never twice in a view, and never gone from a later one. */
static uint64_t rows_of(const struct view *v) {
    uint64_t rows = 0;
    for (size_t c = 0; c < v->chunk_count; c++) rows += chunk_rows(v->chunks[c]);
    for (size_t i = 0; i < v->sealed_count; i++) rows += v->sealed[i]->segment->rows;
    return rows;
}

static void *reader(void *ctx) {
    unsigned n = *(unsigned *)ctx * 1237;
    uint64_t known = 0;
    while (!atomic_load(&world.over)) {
        for (unsigned i = 0; i < 300; i++) look_at_id(n = (n + 1409) % IDS);
        struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
        if (!v) continue;
        for (size_t c = 0; c < v->chunk_count; c++) look_at_rows(v, v->chunks[c]);
        uint64_t rows = rows_of(v);
        if (rows < known || rows > IDS) found_wrong("rows came or went", (unsigned)rows);
        known = rows;
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
            while (!store_write_now(world.s, &w, &e)) CHECK(e.code == ERR_BUSY); /* a journal of 512 KiB, and the keeper in our way */
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

/* Everything the keeper does, over and over, on a thread of its own. */
static void *steps(void *ctx) {
    static const enum store_step all[] = {STEP_SEAL, STEP_FOLD, STEP_CHECKPOINT, STEP_MERGE, STEP_COMPACT, STEP_EXPIRE};
    struct err e;
    (void)ctx;
    for (unsigned n = 0; !atomic_load(&world.over); n++) {
        if (n % 5 == 0) CHECK(store_step(world.s, STORE_KIT_WORKSPACE, STEP_FREEZE, 0, &e));
        CHECK(store_step(world.s, STORE_KIT_WORKSPACE, all[n % (sizeof all / sizeof *all)], 0, &e));
    }
    return NULL;
}

/* Another workspace comes and goes. */
static void *passing(void *ctx) {
    struct err e;
    (void)ctx;
    for (uint32_t number = 100; !atomic_load(&world.over) && number < 400; number++) {
        struct store_write w;
        write_begin(&w, number);
        for (unsigned i = 0; i < 2 * TOGETHER; i++) add_id(&w, i);
        while (!store_write_now(world.s, &w, &e)) CHECK(e.code == ERR_BUSY);
        write_free(&w);
        struct view *v = store_view(world.s, number);
        CHECK(store_step(world.s, number, STEP_FREEZE, 0, &e) && store_step(world.s, number, STEP_SEAL, 0, &e));
        CHECK(number % 2 || store_step(world.s, number, STEP_RETAIN, INT64_MAX / 4, &e));
        CHECK(store_delete(world.s, number, &e));
        if (chunk_rows(v->chunks[0]) != 2 * TOGETHER) found_wrong("a view that was held", number);
        view_release(v);
    }
    return NULL;
}

static void readers_beside_writers(void **state) {
    struct store_kit *k = *state;
    pthread_t threads[READERS], writers[2], keeper, other;
    unsigned numbers[READERS] = {0, 1, 2};
    world.s = k->s;
    for (unsigned i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, &numbers[i]), 0);
    assert_int_equal(pthread_create(&keeper, NULL, steps, NULL), 0);
    assert_int_equal(pthread_create(&other, NULL, passing, NULL), 0);
    for (unsigned i = 0; i < 2; i++) assert_int_equal(pthread_create(&writers[i], NULL, writer, &numbers[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(writers[i], NULL);
    unsigned looks = atomic_load(&world.looks);
    while (atomic_load(&world.looks) < looks + 2 * READERS) sched_yield(); /* at the end too */
    atomic_store(&world.over, true);
    pthread_join(keeper, NULL);
    pthread_join(other, NULL);
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
    k->o.chunk_rows = 512;
    k->o.manual = false;
    return store_kit_open(k) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_beside_writers, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
