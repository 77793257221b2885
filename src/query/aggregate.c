#include "query/aggregate.h"

#include <stdlib.h>

#include "query/summed.h"

/* One thread's. */
struct worker {
    struct table *tables;
    bool *had, *left_out; /* by table: from the summary of the part at hand; not to be read now */
    struct batch batch;
    struct table_room room;
    size_t held; /* bytes that the scan knows of */
};

struct aggregation {
    struct scan *scan;
    size_t table_count;
    bool *derived;      /* by table: it is a sum of another one */
    struct summed *how; /* by table: from summaries */
    bool any_summed;    /* one can be had from them */
    struct worker *workers;
    unsigned worker_count;
};

static size_t bytes_of(const struct aggregation *g, const struct worker *w) {
    size_t bytes = 0;
    for (size_t i = 0; i < g->table_count; i++) {
        bytes += w->tables[i].bytes;
        for (size_t k = 0; k < w->tables[i].key_count; k++) bytes += w->tables[i].keyers[k].numbers.bytes;
    }
    return bytes;
}

static bool too_many(struct scan *s, uint32_t most) {
    return scan_fail(s, ERR_UNPROCESSABLE,
                     "more than %u groups; ask for a shorter time range, a narrower filter or the top values", most);
}

static bool hold(struct aggregation *g, struct worker *w) {
    size_t bytes = bytes_of(g, w), more = bytes - w->held;
    w->held = bytes;
    return more == 0 || scan_hold(g->scan, more);
}

static bool add_slice(struct aggregation *g, struct worker *w, struct reader *r) {
    uint32_t list[BLOCK_ROWS], count = bitmap_list(&r->rows, list);
    for (uint32_t from = 0; from < count; from += BATCH_ROWS) {
        uint32_t n = count - from < BATCH_ROWS ? count - from : BATCH_ROWS;
        batch_begin(&w->batch, &r->slice, &r->rows, r->room, list + from, n);
        for (size_t i = 0; i < g->table_count; i++)
            if (!w->left_out[i] && !table_add(&w->tables[i], &w->batch, &w->room))
                return too_many(g->scan, w->tables[i].max_groups);
    }
    return hold(g, w);
}

/* What can be had from the part's summary. */
static bool add_summary(struct aggregation *g, struct worker *w, const struct part *p, struct summary *summary,
                        bool *any) {
    enum summed_cover cover = g->any_summed ? summed_cover(g->scan, p, summary) : SUMMED_NOTHING;
    for (size_t i = 0; i < g->table_count; i++) {
        struct table *t = &w->tables[i];
        w->had[i] = !g->derived[i] && summed_add(&g->how[i], cover, g->scan, p, summary, t);
        if (!w->had[i]) continue;
        *any = true;
        atomic_fetch_add(&g->scan->summed, 1);
        if (!table_allowed(t)) return too_many(g->scan, t->max_groups);
    }
    return !*any || hold(g, w);
}

/* Reads rows for the tables that are not left out; true when there are none. */
static bool add_slices(struct aggregation *g, struct worker *w, struct reader *r) {
    bool begun = false, all = true;
    for (size_t i = 0; i < g->table_count; i++) all &= w->left_out[i];
    while (!all && reader_step(r)) {
        if (!bitmap_any(&r->rows)) continue;
        for (size_t i = 0; i < g->table_count && !begun; i++)
            if (!w->left_out[i]) table_begin(&w->tables[i], r->part);
        begun = true;
        if (!add_slice(g, w, r)) return false;
    }
    for (size_t i = 0; i < g->table_count && begun; i++)
        if (!w->left_out[i]) table_end(&w->tables[i]);
    return true;
}

static bool add_part(void *ctx, struct reader *r) {
    struct aggregation *g = ctx;
    struct worker *w = &g->workers[r->thread];
    struct summary summary;
    bool any = false;
    if (!add_summary(g, w, r->part, &summary, &any)) return false;
    for (size_t i = 0; i < g->table_count; i++) w->left_out[i] = g->derived[i] || w->had[i];
    if (!add_slices(g, w, r)) return false;
    if (!any) return true;
    for (size_t i = 0; i < g->table_count; i++) w->left_out[i] = !w->had[i];
    reader_around(r, summary.begin, summary.end);
    return add_slices(g, w, r);
}

/* ---- tables ---- */

/* What a table is made from. */
struct source {
    const struct grouping *grouping;
    size_t keys;
    bool by_class;
    const struct numbering *top[PLAN_KEYS];
    uint32_t max_groups;
};

static void aggregation_begin(struct aggregation *g, struct scan *s, const struct source *sources, size_t count) {
    *g = (struct aggregation){.scan = s, .table_count = count, .worker_count = scan_threads(s)};
    g->derived = arena_alloc(s->arena, count * sizeof *g->derived);
    g->how = arena_alloc(s->arena, count * sizeof *g->how);
    g->workers = mem_zero(g->worker_count, sizeof *g->workers);
    for (unsigned n = 0; n < g->worker_count; n++) {
        struct worker *w = &g->workers[n];
        w->tables = arena_alloc(s->arena, count * sizeof *w->tables);
        w->had = arena_alloc(s->arena, count * sizeof *w->had);
        w->left_out = arena_alloc(s->arena, count * sizeof *w->left_out);
        for (size_t i = 0; i < count; i++) {
            table_init(&w->tables[i], sources[i].grouping, sources[i].keys, sources[i].by_class, s->arena);
            w->tables[i].max_groups = sources[i].max_groups;
            for (size_t k = 0; k < sources[i].keys; k++) w->tables[i].keyers[k].top = sources[i].top[k];
        }
    }
}

/* A table whose groups a table without keys is the sum of; NULL: none. */
static struct table *holder(const struct aggregation *g, size_t total) {
    struct table *tables = g->workers[0].tables;
    for (size_t i = 0; i < g->table_count; i++)
        if (i != total && !g->derived[i] && table_holds(&tables[i], &tables[total])) return &tables[i];
    return NULL;
}

static bool aggregation_run(struct aggregation *g) {
    struct table *tables = g->workers[0].tables;
    for (size_t i = 0; i < g->table_count; i++) g->derived[i] = tables[i].key_count == 0 && holder(g, i);
    for (size_t i = 0; i < g->table_count; i++) {
        g->how[i] = summed_of(&tables[i]);
        g->any_summed |= !g->derived[i] && g->how[i].can;
    }
    if (!scan_run(g->scan, add_part, g)) return false;
    for (size_t i = 0; i < g->table_count; i++) {
        if (g->derived[i]) continue;
        for (unsigned n = 0; n < g->worker_count; n++) table_finish(&g->workers[n].tables[i]);
        for (unsigned n = 1; n < g->worker_count; n++)
            if (!table_merge(&tables[i], &g->workers[n].tables[i])) return too_many(g->scan, tables[i].max_groups);
    }
    for (size_t i = 0; i < g->table_count; i++)
        if (g->derived[i]) table_sum(&tables[i], holder(g, i));
    return true;
}

static void aggregation_end(struct aggregation *g) {
    for (unsigned n = 0; n < g->worker_count; n++) {
        for (size_t i = 0; i < g->table_count; i++) table_free(&g->workers[n].tables[i]);
        table_room_free(&g->workers[n].room);
        batch_free(&g->workers[n].batch);
        atomic_fetch_sub(&g->scan->held, g->workers[n].held);
    }
    free(g->workers);
}

/* ---- the top values of a key ---- */

struct ranked {
    struct key_value key;
    struct cell cell;
};

/* Whether x is to be taken before y. */
static bool before(const struct measure *by, const struct ranked *x, const struct ranked *y) {
    if (x->cell.known != y->cell.known) return x->cell.known;
    bool counted = by->kind <= MEASURE_DISTINCT, timed = by->of.of == OF_TIME && !counted;
    if (counted && x->cell.count != y->cell.count) return x->cell.count > y->cell.count;
    if (timed && x->cell.time_us != y->cell.time_us) return x->cell.time_us > y->cell.time_us;
    if (!counted && !timed && x->cell.number != y->cell.number) return x->cell.number > y->cell.number;
    if (x->key.value.type == VALUE_NONE) return x->key.time_us < y->key.time_us;
    return value_order(&x->key.value, &y->key.value) < 0;
}

static void take_top(const struct table *t, const struct measure *by, uint32_t most, struct arena *a,
                     struct numbering *top) {
    struct ranked *best = arena_alloc(a, ((size_t)most + 1) * sizeof *best);
    uint32_t count = 0;
    for (uint32_t g = 0; g < t->groups; g++) {
        struct ranked x = {t->keyers[0].numbers.values[g], table_cell(t, by, g, a)};
        if (x.key.kind != KEY_VALUE) continue;
        if (count == most && !before(by, &x, &best[most - 1])) continue;
        uint32_t low = 0, high = count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (before(by, &best[middle], &x))
                low = middle + 1;
            else
                high = middle;
        }
        memmove(best + low + 1, best + low, (count - low) * sizeof *best);
        best[low] = x;
        if (count < most) count++;
    }
    for (uint32_t i = 0; i < count; i++) numbering_of(top, &best[i].key);
}

/* By a pass of its own, so that no more groups are held than values of this key. */
static bool find_top(struct scan *s, const struct grouping *g, const struct key *key, struct numbering *top) {
    static const struct measure inferences = {.kind = MEASURE_INFERENCES};
    const struct measure *by = key->by ? key->by : &inferences;
    struct grouping alone = {.keys = {*key}, .key_count = 1, .measures = by, .measure_count = 1};
    enum of of = key->subject.of;
    bool by_class = of == OF_CLASS || (of == OF_CONFIDENCE && grouping_by(g, OF_CLASS));
    struct source source = {.grouping = &alone, .keys = 1, .by_class = by_class};
    struct aggregation sub;
    alone.keys[0].top = 0;
    aggregation_begin(&sub, s, &source, 1);
    bool done = aggregation_run(&sub);
    if (done) take_top(&sub.workers[0].tables[0], by, key->top, s->arena, top);
    aggregation_end(&sub);
    if (!done && atomic_load(&s->failed) && s->e->code == ERR_UNPROCESSABLE)
        err_set(s->e, ERR_UNPROCESSABLE,
                "to find the top %u all different values are counted, and they are too many for the %zu MiB of memory a "
                "query may have; ask for a shorter time range or a narrower filter, or for facets, which estimate",
                key->top, s->control->memory >> 20);
    return done;
}

/* ---- answers ---- */

static struct cell *cells_of(const struct table *t, uint32_t group, struct arena *a) {
    const struct grouping *g = t->grouping;
    struct cell *cells = arena_alloc(a, g->measure_count * sizeof *cells);
    for (size_t i = 0; i < g->measure_count; i++) {
        cells[i] = table_cell(t, &g->measures[i], group, a);
        if (cells[i].text.n) cells[i].text.p = arena_copy(a, cells[i].text.p, cells[i].text.n);
    }
    return cells;
}

/* The groups of which only the first few are asked for: as many, with the last of them on top. */
struct best {
    const struct table *table;
    uint32_t *heap; /* groups */
    size_t count;
};

/* What their order takes: keys, and the cells that it goes by. */
static void glance(const struct table *t, uint32_t group, struct group *out, struct cell cells[PLAN_MEASURES]) {
    const struct grouping *g = t->grouping;
    out->cells = cells;
    for (size_t k = 0; k < t->key_count; k++) out->keys[k] = table_value(t, k, group);
    for (size_t i = 0; i < g->order_count; i++)
        if (g->orders[i].column >= g->key_count) {
            size_t measure = g->orders[i].column - g->key_count;
            cells[measure] = table_cell(t, &g->measures[measure], group, NULL);
        }
}

static bool is_before(const struct best *b, uint32_t x, uint32_t y) {
    struct cell x_cells[PLAN_MEASURES], y_cells[PLAN_MEASURES];
    struct group x_group, y_group;
    glance(b->table, x, &x_group, x_cells);
    glance(b->table, y, &y_group, y_cells);
    return group_order(b->table->grouping, &x_group, &y_group) < 0;
}

static void sink(const struct best *b, size_t at) {
    for (size_t child; (child = 2 * at + 1) < b->count; at = child) {
        if (child + 1 < b->count && is_before(b, b->heap[child], b->heap[child + 1])) child++;
        if (!is_before(b, b->heap[at], b->heap[child])) break;
        uint32_t kept = b->heap[at];
        b->heap[at] = b->heap[child];
        b->heap[child] = kept;
    }
}

/* All groups, or the first ones where fewer are asked for. */
static struct best choose(const struct table *t, struct arena *a) {
    const struct grouping *g = t->grouping;
    uint64_t most = g->limit ? (uint64_t)g->skip + g->limit : t->groups;
    struct best b = {.table = t, .count = most < t->groups ? (size_t)most : t->groups};
    b.heap = arena_alloc(a, b.count * sizeof *b.heap);
    for (uint32_t i = 0; i < b.count; i++) b.heap[i] = i;
    if (b.count == t->groups) return b;
    for (size_t i = b.count / 2; i-- > 0;) sink(&b, i);
    for (uint32_t i = (uint32_t)b.count; i < t->groups; i++) {
        if (!is_before(&b, i, b.heap[0])) continue;
        b.heap[0] = i;
        sink(&b, 0);
    }
    return b;
}

static bool show(struct scan *s, const struct table *t, struct group_list *out) {
    struct arena *a = s->arena;
    struct best b = choose(t, a);
    if (!scan_hold(s, b.count * (sizeof *out->groups + t->grouping->measure_count * sizeof *out->groups->cells)))
        return false;
    out->count = b.count;
    out->groups = arena_alloc(a, b.count * sizeof *out->groups);
    for (size_t i = 0; i < b.count; i++) {
        for (size_t k = 0; k < t->key_count; k++) {
            struct key_value *v = &out->groups[i].keys[k];
            *v = table_value(t, k, b.heap[i]);
            if (v->value.type == VALUE_STRING) v->value.text.p = arena_copy(a, v->value.text.p, v->value.text.n);
        }
        out->groups[i].cells = cells_of(t, b.heap[i], a);
    }
    group_list_finish(t->grouping, out);
    out->all = t->groups;
    return true;
}

static bool run(struct scan *s, struct answer *out, struct source *sources, struct numbering (*tops)[PLAN_KEYS]) {
    const struct plan *p = s->plan;
    size_t count = 0;
    for (size_t i = 0; i < p->grouping_count; i++) {
        const struct grouping *g = &p->groupings[i];
        struct source *x = &sources[count++];
        *x = (struct source){
            .grouping = g, .keys = g->key_count, .by_class = grouping_by(g, OF_CLASS), .max_groups = g->max_groups};
        for (size_t k = 0; k < g->key_count; k++) {
            if (g->keys[k].top == 0) continue;
            if (!find_top(s, g, &g->keys[k], &tops[i][k])) return false;
            x->top[k] = &tops[i][k];
        }
    }
    for (size_t i = 0; i < p->grouping_count; i++)
        if (p->groupings[i].totals) sources[count++] = (struct source){.grouping = &p->groupings[i]};

    struct aggregation g;
    aggregation_begin(&g, s, sources, count);
    bool done = aggregation_run(&g);
    struct table *tables = g.workers[0].tables;
    if (done) out->lists = arena_alloc(s->arena, p->grouping_count * sizeof *out->lists);
    for (size_t i = 0, total = p->grouping_count; i < p->grouping_count && done; i++) {
        if (p->groupings[i].totals) out->lists[i].totals = cells_of(&tables[total++], 0, s->arena);
        done = show(s, &tables[i], &out->lists[i]);
    }
    aggregation_end(&g);
    return done;
}

bool aggregate_run(struct scan *s, struct answer *out) {
    size_t count = s->plan->grouping_count;
    struct source *sources = arena_alloc(s->arena, 2 * count * sizeof *sources);
    struct numbering(*tops)[PLAN_KEYS] = arena_alloc(s->arena, count * sizeof *tops);
    bool done = run(s, out, sources, tops);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < PLAN_KEYS; k++) numbering_free(&tops[i][k]);
    return done;
}
