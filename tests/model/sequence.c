/* A sequence of steps, and the scripted one for the true limits. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "base/log.h"
#include "run.h"

#define START_US INT64_C(1795262400000000) /* 2026-11-21T12:00:00Z */
#define SECOND INT64_C(1000000)

/* ---- the trail ---- */

/* The linker puts it in place of the log's (-Wl,--wrap): a failing disk is what is wanted here. */
void __wrap_log_event(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void __wrap_log_event(enum log_level level, const char *event, const char *fmt, ...) {
    (void)level, (void)event, (void)fmt;
}

void note(struct run *r, const char *fmt, ...) {
    char *line = r->trail->lines[r->trail->line++ % LINES];
    va_list ap;
    int n = snprintf(line, LINE, "%4u ", r->number);
    va_start(ap, fmt);
    vsnprintf(line + n, LINE - (size_t)n, fmt, ap);
    va_end(ap);
}

void wrong(struct run *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->trail->why, sizeof r->trail->why, fmt, ap);
    va_end(ap);
    disk_end();
    _exit(1);
}

/* ---- a sequence ---- */

static void begin(struct run *r, uint64_t seed, struct board *board, struct trail *trail) {
    hash_init();
    guard_init();
    *r = (struct run){
        .seed = seed, .board = board, .trail = trail, .dice = {seed * 0x9e3779b97f4a7c15u}, .clock_us = START_US};
    *trail = (struct trail){0};
    tested_clock(r->clock_us);
    disk_begin();
}

static void begin_spaces(struct run *r) {
    open_store(r, false);
    for (unsigned i = 0; i < SPACES; i++) begin_space(r, &r->spaces[i]);
}

static void end(struct run *r) {
    r->accidents = 0;
    look_at_everything(r);
    step_restart(r);
    look_at_everything(r);
    tested_close(&r->tested);
    disk_end();
}

/* Small, so that limits are met; each sequence has its own. */
static void choose_options(struct run *r) {
    static const uint32_t chunk_rows[] = {8, 12, 16, 32, 64};
    struct dice *d = &r->dice;
    r->tested.o = (struct store_options){.id = "the store's own",
                                         .journal_file_size = 64 << 10,
                                         .journal_max = 6 << 20,
                                         .checkpoint_interval_s = 3600,
                                         .max_fields = 4 + roll(d, 8),
                                         .max_pending = 3 + roll(d, 25),
                                         .max_per_id = 4 + roll(d, 8),
                                         .pending_ttl_us = chance(d, 10) ? 0 : (1 + roll(d, 100)) * 600 * SECOND,
                                         .fold_share = 25,
                                         .chunk_rows = chunk_rows[roll(d, sizeof chunk_rows / sizeof *chunk_rows)]};
    r->accidents = chance(d, 15) ? 0 : 5 + roll(d, 20);
    r->interruptions = 15 + roll(d, 40);
    r->rows_only = chance(d, 20);
    r->erases = r->seed % 2; /* without rolling: the others are what they would be without */
    r->twins = chance(d, 15);
    if (r->twins) r->tested.o.max_per_id += 20;
}

static void move_clock(struct run *r) {
    struct dice *d = &r->dice;
    uint32_t kind = roll(d, 100);
    if (kind < 70)
        r->clock_us += roll(d, 3000) * 1000;
    else if (kind < 91)
        r->clock_us += roll(d, 1800) * SECOND;
    else if (kind < 96)
        r->clock_us += roll(d, 12 * 3600) * SECOND;
    else if (kind < 97)
        r->clock_us += r->tested.o.pending_ttl_us + SECOND;
    else
        r->clock_us -= roll(d, 7200) * SECOND;
    if (r->clock_us < r->floor_us) r->clock_us = r->floor_us;
    tested_clock(r->clock_us);
}

static void any_step(struct run *r) {
    static const struct {
        unsigned weight;
        void (*step)(struct run *r, struct space *s);
    } steps[] = {{20, step_ingest}, {14, step_attach}, {6, step_attach_known}, {6, step_mixed},
                 {10, step_again},  {18, step_keep},   {10, step_page},        {12, step_ask}};
    struct space *s = &r->spaces[chance(&r->dice, 75) ? 0 : 1];
    if (r->erases && chance(&r->dice, 5)) {
        step_erase(r, s);
        return;
    }
    uint32_t at = roll(&r->dice, 100);
    if (at == 0)
        step_delete(r, s);
    else if (at == 1)
        step_kill(r);
    else if (at < 4)
        step_restart(r);
    if (at < 4) return;
    at -= 4;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (at < steps[i].weight) {
            steps[i].step(r, s);
            return;
        }
        at -= steps[i].weight;
    }
    WRONG("the weights are not 96 together");
}

void run_sequence(uint64_t seed, unsigned count, const bool *left_out, struct board *board, struct trail *trail) {
    struct run *r = mem_zero(1, sizeof *r);
    begin(r, seed, board, trail);
    choose_options(r);
    begin_spaces(r);
    for (r->number = 1; r->number <= count; r->number++) {
        if (left_out && left_out[r->number]) continue;
        trail->step = r->number;
        r->dice.state = (seed + 1) * 0xd1342543de82ef95u + r->number * 0x2545f4914f6cdd1du;
        move_clock(r);
        any_step(r);
        if (r->number % 25 == 0) look_at_everything(r);
        atomic_fetch_add(&board->steps, 1);
    }
    end(r);
}

/* ---- the true limit of fields ---- */

static void attach_fields(struct run *r, unsigned from, unsigned count) {
    struct request q = {0};
    struct str *id = arena_alloc(&r->arena, sizeof *id);
    *id = STR("one");
    for (unsigned i = 0; i < count; i++) {
        char *name = arena_printf(&r->arena, "field %u", from + i);
        q.items[q.count++] = (struct item){.is_attach = true,
                                           .attach = {.key_id = 1,
                                                      .field = str_of(name),
                                                      .value = {.type = VALUE_NUMBER, .number = from + i},
                                                      .ids = id,
                                                      .id_count = 1}};
    }
    send(r, &r->spaces[0], &q, ACCIDENT_NONE);
}

void run_limits(struct board *board, struct trail *trail) {
    enum { FIELDS = 1024, AT_ONCE = 16 };
    static const enum store_step steps[] = {STEP_FREEZE, STEP_SEAL, STEP_FOLD, STEP_CHECKPOINT, STEP_COMPACT};
    struct run *r = mem_zero(1, sizeof *r);
    struct err e = {0};
    begin(r, 0, board, trail);
    choose_options(r);
    r->tested.o.max_fields = FIELDS;
    r->accidents = r->interruptions = 0;
    begin_spaces(r);
    struct space *s = &r->spaces[0];
    struct request q = {1, {{.inf = random_inference(r, s, STR("one"))}}};
    send(r, s, &q, ACCIDENT_NONE);
    for (unsigned i = 0; i < FIELDS; i += AT_ONCE) attach_fields(r, i, AT_ONCE);
    for (size_t i = 0; i <= sizeof steps / sizeof *steps; i++) {
        r->number++;
        attach_fields(r, FIELDS, 1); /* refused */
        attach_fields(r, (unsigned)i, 1);
        if (s->model.field_count != FIELDS) wrong(r, "%zu fields", s->model.field_count);
        if (i < sizeof steps / sizeof *steps && !store_step(r->tested.store, s->number, steps[i], 0, &e))
            wrong(r, "%s failed: %s", step_names[steps[i]], e.msg);
        look_at_everything(r);
        if (i % 2) step_restart(r);
    }
    end(r);
}
