#include "query/aggregate.h"

#include "base/check.h"

/* ---- groups ---- */

/* Of one grouping: groups by a pair of numbers. A model or class is numbered by its code, a time by its bucket. */
struct table {
    const struct grouping *grouping;
    struct group_list list;
    size_t room;
    struct slot {
        uint64_t pair;
        struct group *group;
    } *slots;
    size_t slot_count;
    struct slot recent; /* rows that follow each other are often of one group */
};

struct aggregation {
    struct scan scan;
    struct arena *arena;
    struct table *tables;
    int64_t first_bucket;
};

static int64_t bucket_of(int64_t time_us, int64_t width) {
    int64_t n = time_us / width;
    return time_us % width < 0 ? n - 1 : n;
}

static size_t slot_at(const struct table *t, uint64_t pair) {
    uint64_t hash = pair * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 32) & (t->slot_count - 1);
    while (t->slots[at].group && t->slots[at].pair != pair) at = (at + 1) & (t->slot_count - 1);
    return at;
}

static void table_grow(struct aggregation *g, struct table *t) {
    struct slot *old = t->slots;
    size_t count = t->slot_count;
    t->slot_count = count ? count * 2 : 64;
    t->slots = arena_alloc(g->arena, t->slot_count * sizeof *t->slots);
    for (size_t i = 0; i < count; i++)
        if (old[i].group) t->slots[slot_at(t, old[i].pair)] = old[i];
}

static struct str text_of(struct aggregation *g, enum column column, uint32_t code) {
    if (code == 0) return STR("");
    struct str text = dict_value(&g->scan.chunk->columns[column], code)->text;
    return (struct str){arena_copy(g->arena, text.p, text.n), text.n};
}

static struct group *group_new(struct aggregation *g, struct table *t, uint64_t pair) {
    uint32_t most = t->grouping->max_groups;
    if (t->list.count == most) {
        const char *what = t->grouping->keys[1] == KEY_CLASS  ? "classes"
                           : t->grouping->keys[0] == KEY_TIME ? "buckets"
                                                              : "models";
        g->scan.failed = !err_set(g->scan.e, ERR_UNPROCESSABLE,
                                  "more than %u %s; ask for a shorter time range or a narrower filter", most, what);
        return NULL;
    }
    struct group *group = arena_alloc(g->arena, sizeof *group);
    for (int i = 0; i < 2; i++) {
        uint32_t number = (uint32_t)(i ? pair : pair >> 32);
        switch (t->grouping->keys[i]) {
        case KEY_NONE: break;
        case KEY_TIME: group->time_us = (g->first_bucket + number) * g->scan.plan->bucket_us; break;
        case KEY_MODEL: group->keys[i] = text_of(g, COLUMN_MODEL, number); break;
        case KEY_CLASS: group->keys[i] = text_of(g, COLUMN_CLASS, number); break;
        }
    }
    group->m.last_us = INT64_MIN;
    if (t->grouping->quantiles) {
        histogram_init(&group->m.confidences, SCALE_CONFIDENCE, g->arena);
        histogram_init(&group->m.latencies, SCALE_LATENCY, g->arena);
    }
    if (t->list.count == t->room) {
        struct group **more = arena_alloc(g->arena, (t->room ? t->room * 2 : 16) * sizeof *more);
        if (t->room) memcpy(more, t->list.groups, t->room * sizeof *more);
        t->list.groups = more;
        t->room = t->room ? t->room * 2 : 16;
    }
    return t->list.groups[t->list.count++] = group;
}

/* NULL when there are too many; the scan has failed then. */
static struct group *group_of(struct aggregation *g, struct table *t, uint64_t pair) {
    if (t->recent.group && t->recent.pair == pair) return t->recent.group;
    if (t->list.count + 1 > t->slot_count / 2) table_grow(g, t);
    struct slot *slot = &t->slots[slot_at(t, pair)];
    if (!slot->group) *slot = (struct slot){pair, group_new(g, t, pair)};
    t->recent = *slot;
    return slot->group;
}

/* ---- rows ---- */

/* A row as every table needs it. */
struct row {
    const struct block *block;
    uint32_t at, number; /* number: in the chunk */
    uint32_t bucket;
    bool failed;
    double confidence_sum; /* of its detections; unknown is 0 */
};

static double known(double v) { return isnan(v) ? 0 : v; }

static void count_common(struct aggregation *g, struct measures *m, const struct row *r) {
    m->inferences++;
    m->errors += r->failed;
    int64_t time = r->block->time_us[r->at];
    if (time < m->last_us) return;
    m->last_us = time;
    uint32_t name = r->block->model_name[r->at];
    if (name) m->model_name = dict_value(&g->scan.chunk->columns[COLUMN_MODEL_NAME], name)->text;
}

static void add_latency(struct measures *m, double latency) {
    if (isnan(latency)) return;
    m->with_latency++;
    sum_add(&m->latency, latency);
    if (m->latencies.bins) histogram_add(&m->latencies, latency);
}

static void add_confidence(struct measures *m, double confidence) {
    if (isnan(confidence)) return;
    m->with_confidence++;
    sum_add(&m->confidence, confidence);
    if (m->confidences.bins) histogram_add(&m->confidences, confidence);
}

static void add_row(struct aggregation *g, struct measures *m, const struct row *r) {
    const struct block *b = r->block;
    count_common(g, m, r);
    if (r->failed) return;
    uint32_t count = b->detection_count[r->at], rows = count ? count : 1;
    m->empty += count == 0;
    m->detections += count;
    m->rows += rows;
    sum_add(&m->row_confidence, r->confidence_sum);
    sum_add(&m->row_latency, known(b->latency_s[r->at]) * rows);
    add_confidence(m, b->confidence[r->at]);
    add_latency(m, b->latency_s[r->at]);
}

static uint32_t key_number(const struct row *r, enum plan_key key) {
    return key == KEY_TIME ? r->bucket : key == KEY_MODEL ? r->block->model[r->at] : 0;
}

/* The class is the second key. */
static bool add_classes(struct aggregation *g, struct table *t, const struct row *r) {
    const struct block *b = r->block;
    if (r->failed) return true;
    uint64_t first = (uint64_t)key_number(r, t->grouping->keys[0]) << 32;
    uint32_t count = b->detection_count[r->at];
    for (uint32_t i = 0; i < count || i == 0; i++) {
        const struct row_detection *d = count ? &b->detections[r->at][i] : NULL;
        struct group *group = group_of(g, t, first | (d ? d->class_code : 0));
        if (!group) return false;
        struct measures *m = &group->m;
        if (group->last_row != r->number + 1) {
            group->last_row = r->number + 1;
            count_common(g, m, r);
            m->empty += !d;
            add_latency(m, b->latency_s[r->at]);
        }
        m->detections += d != NULL;
        m->rows++;
        sum_add(&m->row_confidence, d ? known(d->confidence) : 0);
        sum_add(&m->row_latency, known(b->latency_s[r->at]));
        if (d) add_confidence(m, d->confidence);
    }
    return true;
}

static bool add_to_tables(struct aggregation *g, const struct row *r) {
    for (size_t i = 0; i < g->scan.plan->grouping_count; i++) {
        struct table *t = &g->tables[i];
        const enum plan_key *keys = t->grouping->keys;
        if (keys[1] == KEY_CLASS) {
            if (!add_classes(g, t, r)) return false;
            continue;
        }
        struct group *group = group_of(g, t, (uint64_t)key_number(r, keys[0]) << 32 | key_number(r, keys[1]));
        if (!group) return false;
        add_row(g, &group->m, r);
    }
    return true;
}

/* Detections lie all over the chunk's heap: asking for them this many rows ahead hides what memory takes to answer. */
enum { AHEAD = 12 };

static bool add_block(struct aggregation *g, struct bitmap *rows) {
    const struct plan *p = g->scan.plan;
    const struct block *b = g->scan.block;
    struct row r = {.block = b};
    int64_t bucket_end = INT64_MIN, bucket_start = INT64_MAX;
    uint32_t list[BLOCK_ROWS], count = 0;
    unsigned word = 0;
    while (bitmap_take(rows, &word, &list[count])) count++;
    for (uint32_t i = 0; i < count; i++) {
        r.at = list[i];
        r.number = g->scan.number * BLOCK_ROWS + r.at;
        r.failed = row_flags(b, r.at) & ROW_ERROR;
        if (i + AHEAD < count) __builtin_prefetch(b->detections[list[i + AHEAD]]);
        int64_t time = b->time_us[r.at];
        if (p->bucket_us && (time < bucket_start || time >= bucket_end)) {
            int64_t bucket = bucket_of(time, p->bucket_us);
            r.bucket = (uint32_t)(bucket - g->first_bucket);
            bucket_start = bucket * p->bucket_us;
            bucket_end = bucket_start + p->bucket_us;
        }
        r.confidence_sum = 0;
        for (uint32_t k = 0; k < b->detection_count[r.at]; k++)
            r.confidence_sum += known(b->detections[r.at][k].confidence);
        if (!add_to_tables(g, &r)) return false;
    }
    return true;
}

bool query_aggregate(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                     struct group_list *lists, struct err *e) {
    struct aggregation g = {.arena = a};
    g.tables = arena_alloc(a, p->grouping_count * sizeof *g.tables);
    for (size_t i = 0; i < p->grouping_count; i++) {
        CHECK(p->groupings[i].keys[0] != KEY_CLASS);
        g.tables[i].grouping = &p->groupings[i];
    }
    if (p->bucket_us) g.first_bucket = bucket_of(p->from_us, p->bucket_us);
    scan_begin(&g.scan, v, p, false, control, a, e);
    while (scan_next(&g.scan) && add_block(&g, &g.scan.rows)) {}
    if (g.scan.failed) return false;
    for (size_t i = 0; i < p->grouping_count; i++) {
        lists[i] = g.tables[i].list;
        for (size_t k = 0; k < lists[i].count; k++) {
            struct str *name = &lists[i].groups[k]->m.model_name;
            *name = (struct str){arena_copy(a, name->p, name->n), name->n};
        }
    }
    return true;
}

double mean(struct sum total, uint64_t n) { return n ? sum_value(total) / (double)n : NAN; }
