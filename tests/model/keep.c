/* The keeper's steps, writes in the middle of them, and where they leave the rows. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "run.h"

/* ---- where rows are ---- */

static const struct model_row *find_row(const struct model *m, const struct placed_row *p) {
    for (size_t i = 0; i < m->row_count; i++) {
        const struct model_row *row = &m->rows[i];
        if (row->index == p->inf.index && row->inf.partial == !!(p->flags & ROW_PARTIAL) &&
            str_eq(row->inf.id, p->inf.id) && str_eq(row->inf.model_id, p->inf.model_id))
            return row;
    }
    return NULL;
}

struct looking {
    struct run *r;
    struct space *s;
};

static void moved(struct run *r, struct life *l, const struct location *p) {
    bool was_chunk = l->kind != PLACE_SEALED;
    if (l->kind == PLACE_OPEN && p->kind == PLACE_FROZEN) cover(r, COVER_FROZEN);
    if (was_chunk && p->kind == PLACE_SEALED) cover(r, p->apart ? COVER_SEALED_APART : COVER_SEALED);
    if (was_chunk && p->kind == PLACE_SEALED) l->removed_sealed = l->removed;
    if (was_chunk || p->kind != PLACE_SEALED) return;
    if (l->number != p->number) cover(r, COVER_MERGED);
    if (l->number != p->number || l->version == p->version) return;
    cover(r, COVER_FOLDED);
    if (l->removed_sealed) cover(r, COVER_REMOVED_SEALED_FOLDED);
}

static void look_at_row(void *ctx, const struct location *p, const struct placed_row *placed) {
    struct looking *k = ctx;
    const struct model_row *row = find_row(&k->s->model, placed);
    if (!row) return; /* compare_parts will say so */
    struct life *l = &k->s->lives[row->order];
    if (l->seen) moved(k->r, l, p);
    l->seen = true;
    l->kind = p->kind;
    l->number = p->number;
    l->version = p->version;
}

void looked(struct run *r, struct space *s) {
    if (s->model.orders >= s->life_count) {
        s->lives = mem_resize(s->lives, (s->model.orders + 64) * sizeof *s->lives);
        memset(s->lives + s->life_count, 0, (s->model.orders + 64 - s->life_count) * sizeof *s->lives);
        s->life_count = s->model.orders + 64;
    }
    struct view *v = store_view(r->tested.store, s->number);
    tested_rows(v, look_at_row, &(struct looking){r, s});
    view_release(v);
}

/* ---- retention ---- */

struct present {
    const struct model *m;
    bool *rows;
    int64_t least_us; /* the latest time of the segment that ends first */
};

static void see_present(void *ctx, const struct location *p, const struct placed_row *placed) {
    struct present *k = ctx;
    const struct model_row *row = find_row(k->m, placed);
    if (row) k->rows[row - k->m->rows] = true;
    if (p->kind == PLACE_SEALED && p->max_time_us < k->least_us) k->least_us = p->max_time_us;
}

void take_retention(struct run *r, struct space *s, int64_t before_us) {
    struct model *m = &s->model;
    struct present k = {.m = m, .rows = mem_zero(m->row_count + 1, sizeof(bool)), .least_us = INT64_MAX};
    struct view *v = store_view(r->tested.store, s->number);
    size_t gone = 0;
    tested_rows(v, see_present, &k);
    view_release(v);
    for (size_t i = 0; i < m->row_count; i++) {
        struct model_row *row = &m->rows[i];
        if (k.rows[i]) continue;
        if (row->time_us >= before_us)
            wrong(r, "retention before %" PRId64 " took %.*s of %" PRId64, before_us, STR_ARG(row->inf.id),
                  row->time_us);
        row->gone = true;
        gone++;
    }
    if (gone && k.least_us < before_us)
        wrong(r, "retention before %" PRId64 " left a segment that ends at %" PRId64, before_us, k.least_us);
    for (size_t i = 0; i < m->row_count; i++) {
        if (!m->rows[i].gone) continue;
        cover(r, COVER_RETAINED);
        if (model_has_rows(m, m->rows[i].inf.id)) {
            cover(r, COVER_RETAINED_HALF);
            continue;
        }
        s->dropped = mem_resize(s->dropped, (s->dropped_count + 1) * sizeof *s->dropped);
        s->dropped[s->dropped_count++] = m->rows[i].inf.id;
    }
    model_retained(m);
    free(k.rows);
}

struct ends {
    int64_t list[256];
    unsigned count;
};

static void note_end(void *ctx, const struct location *p, const struct placed_row *row) {
    struct ends *e = ctx;
    (void)row;
    if (p->kind != PLACE_SEALED || e->count == 256 || (e->count && e->list[e->count - 1] == p->max_time_us)) return;
    e->list[e->count++] = p->max_time_us;
}

static int ascending(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

/* Mostly such that a segment or two go. */
static int64_t retain_before(struct run *r, struct space *s) {
    struct ends e = {0};
    struct view *v = store_view(r->tested.store, s->number);
    tested_rows(v, note_end, &e);
    view_release(v);
    if (e.count == 0) return r->clock_us - 86400 * INT64_C(1000000);
    qsort(e.list, e.count, sizeof *e.list, ascending);
    return e.list[roll(&r->dice, e.count < 3 ? e.count : 3)] + (chance(&r->dice, 80) ? 1 : 0);
}

/* ---- writes in the middle of a step ---- */

struct meanwhile {
    struct run *r;
    struct space *s;
    enum store_step step;
    int64_t arg_us;
    bool came;
};

void write_some(struct run *r, struct space *s) {
    unsigned count = 1 + roll(&r->dice, 3);
    for (unsigned i = 0; i < count; i++) {
        uint32_t kind = roll(&r->dice, 10);
        if (kind < 5)
            step_attach_known(r, s);
        else if (kind < 7)
            step_again(r, s);
        else if (kind < 9)
            step_ingest(r, s);
        else
            step_mixed(r, s);
    }
}

static void write_meanwhile(void *ctx) {
    static const enum cover covers[STEPS] = {[STEP_SEAL] = COVER_DURING_SEAL,
                                             [STEP_FOLD] = COVER_DURING_FOLD,
                                             [STEP_MERGE] = COVER_DURING_MERGE,
                                             [STEP_RETAIN] = COVER_DURING_RETAIN,
                                             [STEP_CHECKPOINT] = COVER_DURING_CHECKPOINT,
                                             [STEP_COMPACT] = COVER_DURING_COMPACT};
    struct meanwhile *m = ctx;
    struct run *r = m->r;
    r->nested = m->came = true;
    if (m->step == STEP_RETAIN) take_retention(r, m->s, m->arg_us);
    write_some(r, m->s);
    cover(r, covers[m->step]);
    r->nested = false;
}

/* ---- a step between resolving and writing ---- */

struct view;
size_t __real_view_find(const struct view *v, uint64_t hash, struct str id, struct sealed_row *found);
size_t __wrap_view_find(const struct view *v, uint64_t hash, struct str id, struct sealed_row *found);

static struct {
    struct run *r; /* NULL: not armed */
    struct space *s;
    unsigned step; /* or STEPS: ids are erased */
    int64_t arg_us;
    bool came;
} resolver;

/* On the resolver's thread; the checker's own waits for the write meanwhile. */
size_t __wrap_view_find(const struct view *v, uint64_t hash, struct str id, struct sealed_row *found) {
    size_t n = __real_view_find(v, hash, id, found);
    struct run *r = resolver.r;
    struct err e = {0};
    if (!r) return n;
    resolver.r = NULL;
    resolver.came = true;
    if (resolver.step == STEPS) {
        erase_now(r, resolver.s);
        return n;
    }
    note(r, "  between resolving and writing: %s", step_names[resolver.step]);
    if (resolver.step == STEP_SEAL) CHECK(store_step(r->tested.store, resolver.s->number, STEP_FREEZE, 0, &e));
    if (!store_step(r->tested.store, resolver.s->number, resolver.step, resolver.arg_us, &e))
        wrong(r, "%s failed: %s", step_names[resolver.step], e.msg);
    if (resolver.step == STEP_RETAIN) take_retention(r, resolver.s, resolver.arg_us);
    return n;
}

void arm_resolver(struct run *r, struct space *s) {
    static const unsigned steps[] = {STEP_SEAL, STEP_FOLD, STEP_FOLD, STEP_MERGE, STEP_RETAIN, STEPS};
    resolver.came = false;
    resolver.r = NULL;
    if (r->nested || disk_armed() || !chance(&r->dice, r->interruptions / 3)) return;
    resolver.step = steps[roll(&r->dice, sizeof steps / sizeof *steps - !r->erases)];
    resolver.arg_us = resolver.step == STEP_RETAIN ? retain_before(r, s) : 0;
    resolver.s = s;
    resolver.r = r;
}

bool disarm_resolver(struct run *r) {
    static const enum cover covers[] = {[STEP_SEAL] = COVER_SEALED_RESOLVED,
                                        [STEP_FOLD] = COVER_FOLDED_RESOLVED,
                                        [STEP_MERGE] = COVER_MERGED_RESOLVED,
                                        [STEP_RETAIN] = COVER_RETAINED_RESOLVED,
                                        [STEPS] = COVER_ERASED_RESOLVED};
    resolver.r = NULL;
    if (!resolver.came) return false;
    cover(r, covers[resolver.step]);
    return true;
}

/* ---- a step ---- */

static enum store_step random_step(struct run *r, const struct space *s) {
    static const unsigned weights[STEPS] = {
        [STEP_FREEZE] = 18, [STEP_SEAL] = 24,       [STEP_FOLD] = 18,   [STEP_MERGE] = 8,
        [STEP_RETAIN] = 7,  [STEP_CHECKPOINT] = 12, [STEP_COMPACT] = 8, [STEP_EXPIRE] = 5};
    (void)s;
    uint32_t at = roll(&r->dice, 100);
    enum store_step step = 0;
    while (at >= weights[step]) at -= weights[step++];
    return step;
}

static void met_by_pagers(struct space *s, unsigned bit) {
    for (unsigned i = 0; i < PAGERS; i++) s->pagers[i].met |= 1u << bit;
}

/* What a step gives back once it is through. */
static void expired(struct run *r, struct space *s) {
    size_t before = 0, after = 0;
    int64_t now_us = r->floor_us = r->clock_us;
    for (size_t i = 0; i < s->model.write_count; i++) before += !s->model.writes[i].gone;
    model_expire(&s->model, now_us);
    for (size_t i = 0; i < s->model.write_count; i++) after += !s->model.writes[i].gone;
    if (after < before) cover(r, COVER_EXPIRED);
}

static void look_at_held(struct run *r, struct space *s, struct view *held, struct model *before,
                         enum store_step step) {
    static const enum cover covers[STEPS] = {[STEP_SEAL] = COVER_HELD_SEAL,
                                             [STEP_FOLD] = COVER_HELD_FOLD,
                                             [STEP_MERGE] = COVER_HELD_MERGE,
                                             [STEP_RETAIN] = COVER_HELD_RETAIN};
    struct buf why = {0};
    if (!compare_all(held, before, now_of(r), &why))
        wrong(r, "a view held across %s of workspace %" PRIu32 ": %.*s", step_names[step], s->number, (int)why.n,
              why.p);
    if (covers[step]) cover(r, covers[step]);
}

void step_keep(struct run *r, struct space *s) {
    static const enum operation operations[STEPS] = {OP_FREEZE, OP_SEAL,       OP_FOLD,    OP_MERGE,
                                                     OP_RETAIN, OP_CHECKPOINT, OP_COMPACT, OP_EXPIRE};
    struct err e = {0};
    enum store_step step = random_step(r, s);
    enum accident accident = random_accident(r);
    struct meanwhile m = {.r = r, .s = s, .step = step, .arg_us = step == STEP_RETAIN ? retain_before(r, s) : 0};
    bool interrupted = !accident && r->syncs[step] && chance(&r->dice, r->interruptions);
    struct view *held =
        !accident && !interrupted && chance(&r->dice, 30) ? store_view(r->tested.store, s->number) : NULL;
    struct model before = {0};
    looked(r, s);
    if (held) model_copy(&before, &s->model);
    note(r, "ws %" PRIu32 " %s%s", s->number, step_names[step],
         interrupted ? ", interrupted"
         : held      ? ", a view held"
                     : "");
    disk_interrupt(interrupted ? 1 + roll(&r->dice, r->syncs[step]) : 0, interrupted ? write_meanwhile : NULL, &m);
    begin_accident(r, operations[step], accident);
    bool ok = store_step(r->tested.store, s->number, step, m.arg_us, &e);
    bool struck = disk_struck() != NULL;
    unsigned syncs = disk_interrupt(0, NULL, NULL);
    if (!struck && !interrupted) r->syncs[step] = syncs;
    if (!ok && !struck) wrong(r, "%s failed: %s", step_names[step], e.msg);
    if (!ok) note(r, "    failed: %s", e.msg);
    if (struck && step == STEP_RETAIN) s->doubt_retained_us = m.arg_us;
    atomic_fetch_add(&r->board->operations[operations[step]], ok);
    end_accident(r, operations[step], accident, struck && step == STEP_RETAIN);
    if (ok && !struck && step == STEP_RETAIN) take_retention(r, s, m.arg_us);
    if (ok && !struck && step == STEP_EXPIRE) expired(r, s);
    looked(r, s);
    met_by_pagers(s, step);
    if (held) look_at_held(r, s, held, &before, step);
    view_release(held);
    model_free(&before);
    struct view *v = store_view(r->tested.store, s->number);
    look_at(r, s, v);
    view_release(v);
}

/* ---- deletion ---- */

void begin_space(struct run *r, struct space *s) {
    model_free(&s->model);
    free(s->lives);
    free(s->dropped);
    free(s->erased);
    free(s->joined);
    *s = (struct space){.number = ++r->next_space,
                        .model = {.arena = &r->arena,
                                  .max_fields = r->tested.o.max_fields,
                                  .max_pending = r->tested.o.max_pending,
                                  .max_per_id = r->tested.o.max_per_id,
                                  .ttl_us = r->tested.o.pending_ttl_us}};
    looked(r, s);
}

void deleted(struct run *r, struct space *s) {
    struct err e = {0};
    struct store_write w;
    struct str id = STR("late");
    struct view *v = store_view(r->tested.store, s->number);
    if (v) wrong(r, "workspace %" PRIu32 " was deleted, and there it is", s->number);
    write_begin(&w, s->number);
    write_attach(&w, &(struct attach){.field = STR("f"), .value = {.type = VALUE_BOOL}, .ids = &id, .id_count = 1});
    if (store_write_now(r->tested.store, &w, &e))
        wrong(r, "workspace %" PRIu32 " was deleted, and takes metadata", s->number);
    if (e.code != ERR_NOT_FOUND) wrong(r, "writing to a deleted workspace: %s", e.msg);
    write_free(&w);
    cover(r, COVER_DELETED);
    begin_space(r, s);
}

void step_delete(struct run *r, struct space *s) {
    struct err e = {0};
    enum accident accident = random_accident(r);
    if (s->model.row_count < 20) return;
    note(r, "delete ws %" PRIu32, s->number);
    begin_accident(r, OP_DELETE, accident);
    bool ok = store_delete(r->tested.store, s->number, &e), struck = disk_struck() != NULL;
    if (!ok && !struck) wrong(r, "store_delete failed: %s", e.msg);
    atomic_fetch_add(&r->board->operations[OP_DELETE], ok);
    s->doubt_deleted = struck;
    end_accident(r, OP_DELETE, accident, struck);
    if (!struck) deleted(r, s);
}
