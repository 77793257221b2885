/* Ids that are taken away for ever: those of rows wherever they stand, those that wait, and some that are not there. */
#include <inttypes.h>

#include "run.h"

enum { MOST = 80 };

struct erasing {
    struct run *r;
    struct space *s;
    struct str ids[MOST];
    unsigned count;
};

/* ---- which ---- */

struct segment_ids {
    struct erasing *x;
    uint64_t number;
};

static void add_of_segment(void *ctx, const struct location *p, const struct placed_row *row) {
    struct segment_ids *k = ctx;
    struct run *r = k->x->r;
    if (p->kind != PLACE_SEALED || (k->number && p->number != k->number) || k->x->count == MOST) return;
    k->number = p->number;
    if (among(row->inf.id, k->x->ids, k->x->count)) return;
    char *id = arena_printf(&r->arena, STR_FMT, STR_ARG(row->inf.id));
    k->x->ids[k->x->count++] = str_of(id);
}

static void choose(struct erasing *x, const struct view *v) {
    struct dice *d = &x->r->dice;
    const struct model *m = &x->s->model;
    unsigned count = 1 + (chance(d, 60) ? 0 : roll(d, 6));
    if (chance(d, 15)) {
        tested_rows(v, add_of_segment, &(struct segment_ids){x, 0});
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct str *to = &x->ids[x->count++];
        if (m->row_count && chance(d, 60))
            *to = m->rows[m->row_count - 1 - roll(d, (uint32_t)m->row_count)].inf.id;
        else if (m->write_count && chance(d, 40))
            *to = m->writes[roll(d, (uint32_t)m->write_count)].id;
        else
            *to = some_id(x->r, x->s);
    }
}

static void cover_ids(const struct erasing *x, const struct view *v) {
    struct run *r = x->r;
    for (unsigned i = 0; i < x->count; i++) {
        struct whereabouts w = tested_find(v, x->ids[i]);
        if (w.open) cover(r, COVER_ERASED_OPEN);
        if (w.frozen) cover(r, COVER_ERASED_FROZEN);
        if (w.sealed) cover(r, COVER_ERASED_SEALED);
        if (w.overlaid) cover(r, COVER_ERASED_OVERLAID);
        if (w.parts > 1) cover(r, COVER_ERASED_PARTS);
        if (model_waits(&x->s->model, x->ids[i], now_of(r))) cover(r, COVER_ERASED_WAITING);
    }
}

static bool begin(struct erasing *x) {
    struct view *v = store_view(x->r->tested.store, x->s->number);
    size_t sealed = v ? v->sealed_count : 0;
    if (v) choose(x, v);
    if (v) cover_ids(x, v);
    view_release(v);
    struct buf names = {0};
    for (unsigned i = 0; i < x->count; i++) buf_printf(&names, " %.20s", x->ids[i].p);
    note(x->r, "%sws %" PRIu32 " erase, beside %zu segments:%.*s",
         x->r->nested ? "  between resolving and writing: " : "", x->s->number, sealed, (int)names.n, names.p);
    buf_free(&names);
    return x->count > 0;
}

/* ---- what comes of it ---- */

static void taken(struct erasing *x, const struct erased *got) {
    struct run *r = x->r;
    struct erased want;
    model_erase(&x->s->model, x->ids, x->count, now_of(r), &want);
    if (got->inferences != want.inferences || got->ids != want.ids || got->unknown != want.unknown)
        wrong(r,
              "erased: expected %" PRIu64 " inferences, %" PRIu64 " ids, %" PRIu64 " unknown, got %" PRIu64 " %" PRIu64
              " %" PRIu64,
              want.inferences, want.ids, want.unknown, got->inferences, got->ids, got->unknown);
    if (want.ids == 0) cover(r, COVER_ERASED_NOTHING);
    for (unsigned i = 0; i < x->count; i++) remember(&x->s->erased, &x->s->erased_count, x->ids[i]);
}

void erase_now(struct run *r, struct space *s) {
    struct erasing x = {.r = r, .s = s};
    struct erased got;
    struct err e = {0};
    bool nested = r->nested;
    r->nested = true;
    if (begin(&x)) {
        if (!store_erase(r->tested.store, s->number, x.ids, x.count, &got, &e)) wrong(r, "erase failed: %s", e.msg);
        taken(&x, &got);
    }
    r->nested = nested;
}

/* ---- in the middle of it ---- */

static void write_meanwhile(void *ctx) {
    struct erasing *x = ctx;
    struct run *r = x->r;
    r->nested = true;
    if (chance(&r->dice, 50)) {
        struct str *id = arena_alloc(&r->arena, sizeof *id);
        struct request q = {.count = 1};
        *id = x->ids[roll(&r->dice, x->count)];
        if (chance(&r->dice, 60))
            q.items[0].inf = random_inference(r, x->s, *id);
        else
            q.items[0] = (struct item){.is_attach = true,
                                       .attach = {.key_id = 1,
                                                  .field = random_field(r, x->s),
                                                  .value = random_value(r),
                                                  .ids = id,
                                                  .id_count = 1}};
        send(r, x->s, &q, ACCIDENT_NONE);
        cover(r, COVER_DURING_ERASE_SAME);
    } else {
        write_some(r, x->s);
    }
    cover(r, COVER_DURING_ERASE);
    r->nested = false;
}

static size_t segments(struct run *r, const struct space *s) {
    struct view *v = store_view(r->tested.store, s->number);
    size_t count = v ? v->sealed_count : 0;
    view_release(v);
    return count;
}

static void look_at_held(struct erasing *x, struct view *held, struct model *before) {
    struct run *r = x->r;
    struct buf why = {0};
    model_erase_waiting(before, x->ids, x->count); /* what waits is not the view's */
    if (!compare_all(held, before, now_of(r), &why)) wrong(r, "a view held across an erasing: %.*s", (int)why.n, why.p);
    cover(r, COVER_HELD_ERASE);
}

void step_erase(struct run *r, struct space *s) {
    struct erasing x = {.r = r, .s = s};
    struct erased got;
    struct err e = {0};
    enum accident accident = random_accident(r);
    struct model before = {0};
    looked(r, s);
    if (!begin(&x)) return;
    unsigned at = !accident && chance(&r->dice, r->interruptions) ? 1 + roll(&r->dice, 6) : 0;
    struct view *held = !accident && !at && chance(&r->dice, 30) ? store_view(r->tested.store, s->number) : NULL;
    size_t sealed = segments(r, s);
    if (held) model_copy(&before, &s->model);
    disk_interrupt(at, at ? write_meanwhile : NULL, &x);
    begin_accident(r, OP_ERASE, accident);
    bool ok = store_erase(r->tested.store, s->number, x.ids, x.count, &got, &e), struck = disk_struck() != NULL;
    disk_interrupt(0, NULL, NULL);
    if (!ok && !struck) wrong(r, "erase failed: %s", e.msg);
    if (!ok) note(r, "    failed: %s", e.msg);
    if (ok) taken(&x, &got);
    if (ok && segments(r, s) < sealed) cover(r, COVER_ERASED_ALL);
    bool unknown = !ok && (disk_dead() || e.code == ERR_UNKNOWN_OUTCOME);
    if (unknown) {
        struct erased ignored;
        model_copy(&s->other, &s->model);
        model_erase(&s->other, x.ids, x.count, now_of(r), &ignored);
        s->in_doubt = s->doubt_erased = true;
        r->other_received_us = r->received_us;
    }
    atomic_fetch_add(&r->board->operations[OP_ERASE], ok);
    end_accident(r, OP_ERASE, accident, unknown);
    looked(r, s);
    for (unsigned i = 0; i < PAGERS; i++) s->pagers[i].met |= 1u << (STEPS + 1);
    if (held) look_at_held(&x, held, &before);
    view_release(held);
    model_free(&before);
    look_at_space(r, s);
}
