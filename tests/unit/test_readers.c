/* Readers beside the writer and the keeper, who take in inferences and metadata, and freeze, seal, fold, merge,
 * compact, drop, erase and delete under them. Readers take no lock, so this is for the thread sanitizer (make
 * SAN=thread) as much as for what it checks by itself: what was acknowledged before a look is seen by it, once, with a
 * value no older.
 */
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
#include "query/crew.h"
#include "query/lookup.h"
#include "query/run.h"
#include "store_kit.h"

enum {
    IDS = 9000,
    DROPPED = 2700, /* ids from the first on that retention drops, some at a time */
    ROUNDS = 3,     /* values an id gets, one after the other */
    TOGETHER = 25,  /* records a request */
    FIELDS = 40,
    MODELS = 400,
    READERS = 3,
    CHUNK = 256,      /* rows */
    SHORT_LIVED = 20, /* the first of some workspaces that come and go */
};
#define SECOND 1000000LL
#define FIRST_TIME 1767225600000000LL /* of id 0; each has one second */

/* What the callers know: of each id whether it is there, and its last acknowledged value. */
static struct {
    struct store *s;
    struct crew *crew;
    atomic_bool there[IDS];
    atomic_uint value[IDS], sent[IDS];
    atomic_uint added, begun; /* inferences of ids from DROPPED on: acknowledged; sent */
    atomic_uint gone;         /* ids up to there may have been dropped */
    atomic_uint short_lived;  /* the workspace that comes and goes now */
    atomic_bool written, over;
    atomic_uint looks, wrong;
    char what[120];
} world;

static void found_wrong(const char *what, long long n) {
    if (atomic_fetch_add(&world.wrong, 1) == 0) snprintf(world.what, sizeof world.what, "%.80s, %lld", what, n);
}

static struct str name_of(const char *fmt, unsigned n, char text[32]) {
    return (struct str){text, (size_t)snprintf(text, 32, fmt, n)};
}

static int64_t time_of(unsigned n) { return FIRST_TIME + n * SECOND; }

/* ---- readers: chunks, with nothing between them and what the writer has just written ---- */

static void look_at_chain(const struct view *v, const struct chunk *c, const struct ident *i) {
    for (const struct id_field *f = ident_fields(i); f; f = f->next) {
        uint64_t newer = UINT64_MAX;
        if (f->field >= fields_count(v->fields)) found_wrong("a field that is not there", f->field);
        for (const struct history *h = field_newest(f); h; h = h->older) {
            if (h->seq >= newer) found_wrong("a chain out of order", f->field);
            if (h->code && dict_value(&chunk_field(c, f->field)->dict, h->code)->type != VALUE_NUMBER)
                found_wrong("a value in a chain", h->code);
            newer = h->seq;
        }
    }
}

static void look_in_chunks(const struct view *v, unsigned n) {
    char text[32];
    struct str id = name_of("id-%u", n, text);
    for (size_t k = 0; k < v->chunk_count; k++) {
        const struct chunk *c = v->chunks[k];
        const struct ident *i = chunk_find(c, id_hash(v->store_id, id), id);
        bool started = false;
        if (!i) continue;
        if (n % 2) look_at_chain(v, c, i); /* before anything else has made the writer's work visible to this thread */
        for (uint32_t row; row_next(c, i, &row, &started);) {
            if (chunk_block(c, row)->ident[row % BLOCK_ROWS] != i) found_wrong("a row of another id", n);
            if (row >= chunk_rows(c)) found_wrong("a row that is not published", row);
        }
        look_at_chain(v, c, i);
    }
}

/* All rows, from the first: numbers grow, codes lead to values. */
static void look_at_chunk(const struct view *v, const struct chunk *c) {
    uint32_t rows = chunk_rows(c), fields = fields_count(v->fields);
    uint64_t seq = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const struct block *b = chunk_block(c, row);
        uint32_t at = row % BLOCK_ROWS;
        if (b->seq[at] <= seq) found_wrong("rows out of order", row);
        seq = b->seq[at];
        if (!b->model[at] || dict_value(&c->columns[COLUMN_MODEL], b->model[at])->text.n == 0)
            found_wrong("no model", row);
        if (b->detection_count[at] != 2 || b->detections[at][1].confidence != 0.25 || row_flags(b, at) != 0)
            found_wrong("a row that was never sent", row);
        const struct field *f = fields ? chunk_field(c, row % fields) : NULL;
        uint32_t code = field_code(f, row);
        if (code && dict_value(&f->dict, code)->type != VALUE_NUMBER) found_wrong("a cell", row);
    }
    if (dict_find(&c->columns[COLUMN_MODEL], &TEXT_VALUE("never sent"))) found_wrong("a model that was never sent", 0);
}

/* ---- readers: one id ---- */

static void check_history(const struct one *one, unsigned n) {
    uint64_t newer = UINT64_MAX;
    for (size_t i = 0; i < one->history_count; i++) {
        const struct past *p = &one->history[i];
        if (p->change.seq >= newer) found_wrong("history out of order", n);
        if (p->change.value.type != VALUE_NUMBER) found_wrong("a value in history", n);
        if (i + 1 < one->history_count && !value_eq(&p->previous, &one->history[i + 1].change.value))
            found_wrong("history with a hole", n);
        newer = p->change.seq;
    }
}

static void look_at_id(const struct view *v, unsigned n, struct arena *a) {
    char text[32];
    struct which which = {0};
    struct one one;
    struct err e;
    bool there = atomic_load(&world.there[n]);
    unsigned least = atomic_load(&world.value[n]);
    bool ok = query_one(v, name_of("id-%u", n, text), &which, 0, a, &one, &e);
    unsigned most = atomic_load(&world.sent[n]);
    if (n < atomic_load(&world.gone)) return; /* half of it may be gone */
    if (!ok || one.gap_count) found_wrong("a look at an id failed", n);
    if (there && !one.found) found_wrong("an acknowledged inference is not found", n);
    if (least && one.metadata_count != 1) found_wrong("an acknowledged value is not found", n);
    if (one.metadata_count) {
        double value = one.metadata[0].value.number;
        if (value < least || value > most) found_wrong("a value older than acknowledged, or never sent", n);
    }
    if (one.found && (one.hit.inf.detection_count != 2 || one.hit.inf.time_us != time_of(n)))
        found_wrong("another inference", n);
    if (one.sibling_count) found_wrong("an inference is there twice", n);
    check_history(&one, n);
}

/* ---- readers: all rows ---- */

static bool ask(const struct view *v, const struct plan *p, struct arena *a, struct answer *out) {
    struct err e;
    struct query_control control = {.crew = world.crew, .memory = 64 << 20};
    if (!query_run(v, p, &control, a, out, &e)) {
        found_wrong(e.msg, 0);
        return false;
    }
    if (out->gap_count) found_wrong("a segment was left out", (long long)out->gaps[0].segment);
    return !out->gap_count;
}

/* The view is taken here, so that what was acknowledged before is in it. */
static void count_rows(struct arena *a) {
    struct measure count = {.kind = MEASURE_INFERENCES}, sum = {.kind = MEASURE_DETECTIONS};
    struct measure measures[] = {count, sum};
    struct grouping groupings[] = {
        {.keys = {{.subject = {.of = OF_MODEL}}},
         .key_count = 1,
         .measures = measures,
         .measure_count = 2,
         .max_groups = 1000},
        {.keys = {{.subject = {.of = OF_METADATA, .field = STR("f1")}}},
         .key_count = 1,
         .measures = measures,
         .measure_count = 2,
         .max_groups = 100000},
    };
    struct plan p = {.workspace = STORE_KIT_WORKSPACE,
                     .from_us = time_of(DROPPED),
                     .to_us = PLAN_LAST_US,
                     .kind = PLAN_GROUPS,
                     .groupings = groupings,
                     .grouping_count = 2};
    struct answer answer;
    unsigned least = atomic_load(&world.added);
    struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
    if (v && ask(v, &p, a, &answer)) {
        for (unsigned g = 0; g < 2; g++) {
            uint64_t rows = 0, detections = 0;
            for (size_t i = 0; i < answer.lists[g].count; i++) {
                rows += answer.lists[g].groups[i].cells[0].count;
                detections += answer.lists[g].groups[i].cells[1].count;
            }
            if (rows < least) found_wrong("acknowledged inferences are not counted", (long long)rows);
            if (rows > atomic_load(&world.begun)) found_wrong("more inferences than were sent", (long long)rows);
            if (detections != 2 * rows) found_wrong("detections", (long long)detections);
        }
    }
    view_release(v);
}

static void list_rows(struct arena *a, unsigned turn) {
    struct plan p = {.workspace = STORE_KIT_WORKSPACE,
                     .from_us = PLAN_FIRST_US,
                     .to_us = time_of(turn % IDS + 1),
                     .kind = PLAN_LIST,
                     .limit = 60};
    struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
    for (unsigned page = 0; page < 2 && v; page++) {
        struct answer answer;
        if (!ask(v, &p, a, &answer)) break;
        for (size_t i = 1; i < answer.hit_count; i++) {
            const struct hit *newer = &answer.hits[i - 1], *h = &answer.hits[i];
            if (h->inf.time_us > newer->inf.time_us) found_wrong("a list out of order", (long long)h->seq);
            if (str_eq(h->inf.id, newer->inf.id)) found_wrong("an inference is listed twice", (long long)h->seq);
        }
        p.after = answer.next;
        if (!answer.next.set) break;
    }
    view_release(v);
}

/* A workspace that is being filled, or being deleted, or gone. */
static void look_at_short_lived(struct arena *a) {
    uint32_t number = atomic_load(&world.short_lived);
    struct view *v = store_view(world.s, number);
    struct plan p = {.workspace = number, .from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US, .kind = PLAN_COUNT};
    struct answer first, again;
    if (v && ask(v, &p, a, &first)) {
        sched_yield();
        if (ask(v, &p, a, &again) && again.count < first.count) found_wrong("rows went from under a view", number);
    }
    view_release(v);
}

static void *reader(void *ctx) {
    unsigned n = *(unsigned *)ctx * 1237;
    while (!atomic_load(&world.over)) {
        struct arena a = {0};
        for (unsigned i = 0; i < 100; i++) {
            n = (n + 1409) % IDS;
            bool known = atomic_load(&world.there[n]) || atomic_load(&world.value[n]);
            struct view *v = store_view(world.s, STORE_KIT_WORKSPACE);
            if (v) {
                look_in_chunks(v, n);
                look_at_id(v, n, &a);
                if (i == 0) look_at_chunk(v, v->chunks[v->chunk_count - 1]);
                if (i == 1) look_at_chunk(v, v->chunks[0]);
            } else if (known) {
                found_wrong("there is no view", n);
            }
            view_release(v);
            arena_free(&a);
        }
        count_rows(&a);
        list_rows(&a, n);
        look_at_short_lived(&a);
        arena_free(&a);
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
    inf.model_id = name_of("model/%u", n % MODELS, model);
    inf.time_us = time_of(n);
    inf.detections = d;
    inf.detection_count = 2;
    more_inference(w, &inf);
}

static void add_number(struct store_write *w, unsigned n, unsigned value) {
    static _Thread_local char fields[FIELDS][32]; /* the store compares a field with the one before */
    char id[32];
    struct str one = name_of("id-%u", n, id);
    struct attach a = {.key_id = 1,
                       .field = name_of("f%u", n % FIELDS, fields[n % FIELDS]),
                       .value = NUMBER_VALUE(value),
                       .ids = &one,
                       .id_count = 1};
    write_attach(w, &a);
}

/* Until there is room: chunks may be full. */
static void send(struct store_write *w) {
    struct err e;
    while (!store_write_now(world.s, w, &e)) {
        CHECK(e.code == ERR_BUSY);
        sched_yield();
    }
    write_free(w);
}

static void *add_inferences(void *ctx) {
    (void)ctx;
    for (unsigned n = 0; n < IDS; n += TOGETHER) {
        struct store_write w;
        write_begin(&w, STORE_KIT_WORKSPACE);
        for (unsigned i = n; i < n + TOGETHER; i++) {
            add_id(&w, i);
            atomic_fetch_add(&world.begun, i >= DROPPED);
        }
        if (n >= TOGETHER && n % 3 == 0) add_id(&w, n - 7); /* sent again: changes nothing, wherever it is by now */
        send(&w);
        for (unsigned i = n; i < n + TOGETHER; i++) {
            atomic_store(&world.there[i], true);
            atomic_fetch_add(&world.added, i >= DROPPED);
        }
    }
    return NULL;
}

/* Values come before an inference, with it or after it, by turns, and long after it, when it is in a segment. */
static void *add_values(void *ctx) {
    (void)ctx;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned n = 0; n < IDS; n += TOGETHER) {
            struct store_write w;
            write_begin(&w, STORE_KIT_WORKSPACE);
            for (unsigned i = n; i < n + TOGETHER; i++) {
                add_number(&w, i, round * IDS + i);
                atomic_store(&world.sent[i], round * IDS + i);
            }
            send(&w);
            for (unsigned i = n; i < n + TOGETHER; i++) atomic_store(&world.value[i], round * IDS + i);
        }
    }
    return NULL;
}

static void *come_and_go(void *ctx) {
    (void)ctx;
    for (uint32_t number = SHORT_LIVED; !atomic_load(&world.written); number++) {
        struct err e;
        atomic_store(&world.short_lived, number);
        for (unsigned n = 0; n < 2 * CHUNK; n += TOGETHER) {
            struct store_write w;
            write_begin(&w, number);
            for (unsigned i = n; i < n + TOGETHER; i++) add_id(&w, i);
            add_number(&w, n, n);
            send(&w);
        }
        CHECK(store_step(world.s, number, STEP_SEAL, 0, &e));
        CHECK(store_delete(world.s, number, &e));
    }
    return NULL;
}

/* A few of those that may be gone: of the open chunk, of segments, of those that wait again. */
static void erase(unsigned turn, unsigned gone) {
    enum { ERASED = 12 };
    char text[ERASED][32];
    struct str ids[ERASED];
    struct erased out;
    struct err e;
    for (unsigned i = 0; i < ERASED; i++) ids[i] = name_of("id-%u", (turn * 31 + i * 7) % gone, text[i]);
    if (!store_erase(world.s, STORE_KIT_WORKSPACE, ids, ERASED, &out, &e)) found_wrong(e.msg, turn);
    if (out.ids + out.unknown > ERASED) found_wrong("more erased than asked for", (long long)out.ids);
}

/* Beside the keeper itself, which seals what is full: everything else. */
static void *keep(void *ctx) {
    static const enum store_step steps[] = {STEP_FOLD,    STEP_CHECKPOINT, STEP_FREEZE, STEP_SEAL,  STEP_FOLD,
                                            STEP_COMPACT, STEP_MERGE,      STEP_EXPIRE, STEP_RETAIN};
    (void)ctx;
    for (unsigned turn = 0, gone = 0; !atomic_load(&world.over); turn++) {
        struct err e;
        enum store_step step = steps[turn % (sizeof steps / sizeof *steps)];
        unsigned added = atomic_load(&world.added);
        if (step == STEP_RETAIN && added) gone = gone + 200 < DROPPED ? gone + 200 : DROPPED;
        atomic_store(&world.gone, gone);
        if (gone && turn % 3 == 0) erase(turn, gone);
        if (!store_step(world.s, STORE_KIT_WORKSPACE, step, time_of(gone), &e)) found_wrong(e.msg, step);
    }
    return NULL;
}

static void readers_beside_writers(void **state) {
    struct store_kit *k = *state;
    pthread_t readers[READERS], writers[2], other, keeper;
    unsigned numbers[READERS] = {0, 1, 2};
    world.s = k->s;
    world.short_lived = SHORT_LIVED;
    assert_non_null(world.crew = crew_new(1, &k->e));
    for (unsigned i = 0; i < READERS; i++) assert_int_equal(pthread_create(&readers[i], NULL, reader, &numbers[i]), 0);
    assert_int_equal(pthread_create(&keeper, NULL, keep, NULL), 0);
    assert_int_equal(pthread_create(&other, NULL, come_and_go, NULL), 0);
    assert_int_equal(pthread_create(&writers[0], NULL, add_inferences, NULL), 0);
    assert_int_equal(pthread_create(&writers[1], NULL, add_values, NULL), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(writers[i], NULL);
    atomic_store(&world.written, true);
    pthread_join(other, NULL);
    unsigned looks = atomic_load(&world.looks);
    while (atomic_load(&world.looks) < looks + 2 * READERS) sched_yield(); /* at the end too */
    atomic_store(&world.over, true);
    pthread_join(keeper, NULL);
    for (unsigned i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    crew_free(world.crew);
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
    k->o.chunk_rows = CHUNK;
    k->o.manual = false;
    return store_kit_open(k) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_beside_writers, setup, store_kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
