/* Accidents, and what must be there when the store is opened again. */
#include <inttypes.h>

#include "run.h"

enum accident random_accident(struct run *r) {
    if (r->nested || !chance(&r->dice, r->accidents)) return ACCIDENT_NONE;
    return (enum accident)(1 + roll(&r->dice, ACCIDENTS - 1));
}

static const char *const operation_names[OPERATIONS] = {
#define X(name, text) text,
    OPERATION_MAP(X)
#undef X
};

void begin_accident(struct run *r, enum operation op, enum accident accident) {
    uint64_t last = r->operations[op] ? r->operations[op] : 2;
    disk_arm(accident, accident ? 1 + dice_next(&r->dice) % last : 0, dice_next(&r->dice));
}

/* Whether it came. */
static bool count_accident(struct run *r, enum operation op, enum accident accident) {
    if (!disk_struck()) {
        if (disk_operations()) r->operations[op] = disk_operations();
        return false;
    }
    note(r, "    %s in %s, at %s", accident_names[accident], operation_names[op], disk_struck());
    atomic_fetch_add(&r->board->accidents[op][accident], 1);
    return true;
}

/* ---- opening ---- */

/* What is there is what was there before, with what was in doubt or without it. */
static void settle(struct run *r, struct space *s) {
    struct buf why = {0}, why_not = {0};
    struct view *v = store_view(r->tested.store, s->number);
    if (s->doubt_deleted && !v) {
        deleted(r, s);
        return;
    }
    if (s->doubt_retained_us) take_retention(r, s, s->doubt_retained_us);
    if (compare_all(v, &s->model, now_of(r), &why)) {
        if (s->in_doubt) cover(r, COVER_DOUBT_GONE);
        if (s->in_doubt && r->other_received_us > r->doubt_received_us) r->doubt_received_us = r->other_received_us;
        if (s->in_doubt) model_free(&s->other);
    } else if (s->in_doubt && compare_all(v, &s->other, now_of(r), &why_not)) {
        cover(r, COVER_DOUBT_THERE);
        model_free(&s->model);
        s->model = s->other;
        s->other = (struct model){0};
        r->received_us = r->other_received_us;
    } else {
        wrong(r, "workspace %" PRIu32 " opened again: %.*s%s%.*s", s->number, (int)why.n, why.p,
              s->in_doubt ? "\n  and with the request of unknown outcome: " : "", (int)why_not.n, why_not.p);
    }
    view_release(v);
    buf_free(&why);
    s->in_doubt = s->doubt_deleted = s->doubt_erased = false;
    s->doubt_retained_us = 0;
    looked(r, s);
    for (unsigned i = 0; i < PAGERS; i++) s->pagers[i].met |= 1u << STEPS;
}

void open_store(struct run *r, bool accidents) {
    for (;; accidents = false) {
        struct err e = {0};
        enum accident accident = accidents ? random_accident(r) : ACCIDENT_NONE;
        begin_accident(r, OP_OPEN, accident);
        bool ok = tested_open(&r->tested, disk_folder(), &e), struck = count_accident(r, OP_OPEN, accident);
        atomic_fetch_add(&r->board->operations[OP_OPEN], ok && !struck);
        if (!ok && !struck) wrong(r, "the store does not open: %s", e.msg);
        if (ok && !disk_dead()) break;
        tested_close(&r->tested);
        disk_recover();
    }
    disk_arm(ACCIDENT_NONE, 0, 0);
    for (unsigned i = 0; i < SPACES; i++)
        if (r->spaces[i].number) settle(r, &r->spaces[i]);
}

bool end_accident(struct run *r, enum operation op, enum accident accident, bool failed) {
    bool struck = count_accident(r, op, accident), dead = disk_dead();
    if (failed && !dead) { /* what is in memory is without what is in doubt */
        for (unsigned i = 0; i < SPACES; i++)
            if (!r->spaces[i].doubt_retained_us && !r->spaces[i].doubt_deleted && !r->spaces[i].doubt_erased)
                look_at_space(r, &r->spaces[i]);
    }
    disk_arm(ACCIDENT_NONE, 0, 0);
    if (!dead && !failed) return struck;
    tested_close(&r->tested);
    disk_recover();
    open_store(r, true);
    return struck;
}

void step_restart(struct run *r) {
    enum accident accident = random_accident(r);
    note(r, "restart");
    begin_accident(r, OP_CLOSE, accident);
    tested_close(&r->tested);
    bool struck = count_accident(r, OP_CLOSE, accident);
    atomic_fetch_add(&r->board->operations[OP_CLOSE], !struck);
    disk_recover();
    open_store(r, true);
    if (!struck) cover(r, COVER_RESTARTED);
}

/* In the middle of nothing. */
void step_kill(struct run *r) {
    enum accident accident = chance(&r->dice, 50) ? ACCIDENT_KILL : ACCIDENT_POWER;
    note(r, "%s", accident_names[accident]);
    disk_die(accident, dice_next(&r->dice));
    tested_close(&r->tested);
    disk_recover();
    open_store(r, true);
    cover(r, COVER_KILLED);
}

/* ---- looking ---- */

void look_at(struct run *r, struct space *s, const struct view *v) {
    struct buf why = {0};
    if (!compare_all(v, &s->model, now_of(r), &why))
        wrong(r, "workspace %" PRIu32 ": %.*s", s->number, (int)why.n, why.p);
    buf_free(&why);
    ask_plain(r, s, v);
    atomic_fetch_add(&r->board->queries, s->model.row_count + 5);
}

void look_at_space(struct run *r, struct space *s) {
    struct view *v = store_view(r->tested.store, s->number);
    look_at(r, s, v);
    view_release(v);
}

void look_at_everything(struct run *r) {
    for (unsigned i = 0; i < SPACES; i++) look_at_space(r, &r->spaces[i]);
}
