#include "query/table.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/bins.h"

/* ---- lanes ---- */

static struct lane *lane_of(const struct table *t, enum lane_kind kind, const struct subject *of) {
    struct lane wanted = {.kind = kind};
    if (of) wanted.of = *of;
    /* The sum over a group's detections is that of their confidences either way. */
    if (of && t->by_class && of->of == OF_MONITORING_CONFIDENCE) wanted.of.of = OF_CONFIDENCE;
    for (size_t i = 0; i < t->lane_count; i++)
        if (lane_same(&t->lanes[i], &wanted)) return &t->lanes[i];
    return NULL;
}

static struct lane *need(struct table *t, enum lane_kind kind, const struct subject *of) {
    struct lane *l = lane_of(t, kind, of);
    if (l) return l;
    l = &t->lanes[t->lane_count++];
    l->kind = kind;
    if (of) l->of = *of;
    if (of && t->by_class && of->of == OF_MONITORING_CONFIDENCE) l->of.of = OF_CONFIDENCE;
    return l;
}

static void need_for(struct table *t, const struct measure *m) {
    switch (m->kind) {
    case MEASURE_INFERENCES: need(t, LANE_COUNTS, NULL); break;
    case MEASURE_ERRORS:
    case MEASURE_EMPTY:
    case MEASURE_DETECTIONS: need(t, LANE_COUNTS, NULL)->others = true; break;
    case MEASURE_DISTINCT: need(t, LANE_DISTINCT, &m->of); break;
    case MEASURE_SUM:
    case MEASURE_AVG:
        if (m->of.of == OF_DETECTIONS || m->of.of == OF_MONITORING_CONFIDENCE || m->of.of == OF_MONITORING_LATENCY)
            need(t, LANE_COUNTS, NULL)->others = true;
        if (m->of.of != OF_DETECTIONS) need(t, LANE_NUMBERS, &m->of);
        break;
    case MEASURE_MIN:
    case MEASURE_MAX:
        if (m->of.of == OF_TIME)
            need(t, LANE_TIMES, NULL);
        else
            need(t, LANE_NUMBERS, &m->of)->range = true;
        break;
    case MEASURE_QUANTILE:
        need(t, LANE_BINS, &m->of);
        need(t, LANE_NUMBERS, &m->of)->range = true;
        break;
    case MEASURE_HISTOGRAM: need(t, LANE_BINS, &m->of); break;
    case MEASURE_NEWEST: need(t, LANE_NEWEST, &m->of); break;
    }
}

void table_init(struct table *t, const struct grouping *g, size_t keys, bool by_class, struct arena *a) {
    *t = (struct table){.grouping = g, .key_count = keys, .by_class = by_class, .max_groups = g->max_groups};
    for (size_t i = 0; i < keys; i++) t->keyers[i].key = &g->keys[i];
    t->lanes = arena_alloc(a, (2 * g->measure_count + 1) * sizeof *t->lanes);
    for (size_t i = 0; i < g->measure_count; i++) need_for(t, &g->measures[i]);
    if (t->lane_count == 0) need(t, LANE_COUNTS, NULL);
}

void table_free(struct table *t) {
    for (size_t i = 0; i < t->key_count; i++) keyer_free(&t->keyers[i]);
    for (size_t i = 0; i < t->lane_count; i++) lane_free(&t->lanes[i], t->groups);
    free(t->pairs);
    free(t->grid);
    free(t->slots);
    free(t->stamps);
}

void table_begin(struct table *t, const struct part *p) {
    for (size_t i = 0; i < t->key_count; i++) keyer_begin(&t->keyers[i], p);
    for (size_t i = 0; i < t->lane_count; i++) lane_begin(&t->lanes[i], p);
}

void table_end(struct table *t) {
    for (size_t i = 0; i < t->lane_count; i++) lane_end(&t->lanes[i], t->groups);
}

/* ---- groups ---- */

static void room_for(struct table *t, uint32_t groups) {
    if (groups <= t->room) return;
    uint32_t room = t->room ? t->room * 2 : t->key_count ? 16 : 1;
    while (room < groups) room *= 2;
    for (size_t i = 0; i < t->lane_count; i++) t->bytes += lane_room(&t->lanes[i], t->room, room);
    if (t->key_count == 2) t->pairs = mem_resize(t->pairs, room * sizeof *t->pairs);
    if (t->by_class) {
        t->stamps = mem_resize(t->stamps, room * sizeof *t->stamps);
        memset(t->stamps + t->room, 0, (room - t->room) * sizeof *t->stamps);
    }
    t->bytes += (room - t->room) * (sizeof *t->pairs + sizeof *t->stamps);
    t->room = room;
}

/* Above this many places the grid is given up for a table of those taken. */
enum { GRID_MOST = 1 << 20 };

static uint32_t *slot_at(const struct table *t, struct pair p) {
    uint64_t hash = ((uint64_t)p.first << 32 | p.second) * 0x9e3779b97f4a7c15u;
    uint32_t at = (uint32_t)(hash >> 32) & (t->slot_count - 1);
    for (;; at = (at + 1) & (t->slot_count - 1)) {
        uint32_t group = t->slots[at];
        if (!group || (t->pairs[group - 1].first == p.first && t->pairs[group - 1].second == p.second))
            return &t->slots[at];
    }
}

static void grow_slots(struct table *t) {
    free(t->slots);
    t->bytes -= t->slot_count * sizeof *t->slots;
    t->slot_count = 64;
    while (t->slot_count < 3 * (uint64_t)(t->groups + 1)) t->slot_count *= 2;
    t->slots = mem_zero(t->slot_count, sizeof *t->slots);
    t->bytes += t->slot_count * sizeof *t->slots;
    for (uint32_t g = 0; g < t->groups; g++) *slot_at(t, t->pairs[g]) = g + 1;
}

static void grow_grid(struct table *t, struct pair p) {
    uint64_t width = t->width ? t->width : 16, height = t->height ? t->height : 16;
    while (width <= p.second) width *= 2;
    while (height <= p.first) height *= 2;
    free(t->grid);
    t->grid = NULL;
    if (width * height > GRID_MOST) {
        t->width = t->height = 0;
        grow_slots(t);
        return;
    }
    t->width = (uint32_t)width;
    t->height = (uint32_t)height;
    t->grid = mem_zero(width * height, sizeof *t->grid);
    for (uint32_t g = 0; g < t->groups; g++) t->grid[t->pairs[g].first * t->width + t->pairs[g].second] = g + 1;
}

/* A pair that the grid doesn't know. */
static uint32_t __attribute__((noinline)) find_group(struct table *t, struct pair p) {
    if (!t->slots && (p.first >= t->height || p.second >= t->width)) grow_grid(t, p);
    if (t->slots && 2 * (uint64_t)t->groups >= t->slot_count) grow_slots(t);
    uint32_t *place = t->slots ? slot_at(t, p) : &t->grid[p.first * t->width + p.second];
    if (*place) return *place - 1;
    room_for(t, t->groups + 1);
    t->pairs[t->groups] = p;
    *place = ++t->groups;
    return t->groups - 1;
}

static inline uint32_t group_of(struct table *t, uint32_t first, uint32_t second) {
    if (first < t->height && second < t->width) {
        uint32_t known = t->grid[first * t->width + second];
        if (known) return known - 1;
    }
    return find_group(t, (struct pair){first, second});
}

/* With one key the group is the number. */
static void take_numbers(struct table *t) {
    uint32_t groups = t->key_count == 1 ? t->keyers[0].numbers.count : 1;
    room_for(t, groups);
    t->groups = groups;
}

/* ---- the groups of a batch ---- */

static bool allowed(const struct table *t) { return t->max_groups == 0 || t->groups <= t->max_groups; }

/* Few groups that follow each other, as by time. */
enum { SPAN_LEAST = 16 };

static uint32_t find_spans(const uint32_t *group, uint32_t count, uint32_t *end) {
    uint32_t changes = 0, spans = 0;
    for (uint32_t i = 1; i < count; i++) changes += group[i] != group[i - 1];
    if ((changes + 1) * SPAN_LEAST > count) return 0;
    for (uint32_t i = 1; i < count; i++)
        if (group[i] != group[i - 1]) end[spans++] = i;
    end[spans++] = count;
    return spans;
}

static bool may_drop(const struct table *t) {
    for (size_t i = 0; i < t->key_count; i++)
        if (t->keyers[i].top && t->keyers[i].key->drop) return true;
    return false;
}

/* Takes out what is in no group. */
static void drop_rows(struct elements *x, struct table_room *room, const uint32_t *first, const uint32_t *second) {
    uint32_t kept = 0, count = x->count;
    for (uint32_t i = 0; i < count; i++) {
        if (first[i] == KEYER_DROPPED || (second && second[i] == KEYER_DROPPED)) continue;
        room->at[kept] = i;
        kept++;
    }
    x->at = room->at;
    x->count = kept;
}

static void group_rows(struct table *t, struct batch *b, struct table_room *room, struct elements *x) {
    const uint32_t *first = room->numbers[0], *second = t->key_count == 2 ? room->numbers[1] : NULL;
    x->count = b->count;
    x->group = room->group;
    if (may_drop(t)) drop_rows(x, room, first, second);
    if (second) {
        for (uint32_t i = 0; i < x->count; i++) {
            uint32_t at = x->at ? x->at[i] : i;
            room->group[i] = group_of(t, first[at], second[at]);
        }
    } else {
        take_numbers(t);
        if (t->key_count == 0)
            memset(room->group, 0, x->count * sizeof *room->group);
        else if (x->at)
            for (uint32_t i = 0; i < x->count; i++) room->group[i] = first[x->at[i]];
        else
            x->group = first;
    }
    if (!x->at) x->span_count = find_spans(x->group, x->count, room->span_end);
    x->span_end = room->span_end;
}

/* ---- the groups of a batch's detections ---- */

enum { GROUP, AT, INDEX, SECOND, INFERENCE_GROUP, INFERENCE_AT, EMPTY_GROUP };

static void lists_for(struct table_room *room, size_t n) {
    if (n <= room->size) return;
    room->size = n + n / 2;
    for (size_t i = 0; i < sizeof room->lists / sizeof *room->lists; i++)
        room->lists[i] = mem_resize(room->lists[i], room->size * sizeof **room->lists);
}

void table_room_free(struct table_room *room) {
    for (size_t i = 0; i < sizeof room->lists / sizeof *room->lists; i++) free(room->lists[i]);
}

static bool of_detections(const struct keyer *k) {
    return k->key->subject.of == OF_CLASS || k->key->subject.of == OF_CONFIDENCE;
}

/* The numbers of a key for each detection: its own, or its inference's. */
static void detection_numbers(struct table *t, size_t key, const struct detections *d, const struct table_room *room,
                              uint32_t count, uint32_t *numbers) {
    const uint32_t *rows = room->numbers[key], *at = room->lists[AT];
    if (of_detections(&t->keyers[key])) {
        keyer_detections(&t->keyers[key], d, room->lists[INDEX], count, numbers);
        return;
    }
    for (uint32_t i = 0; i < count; i++) numbers[i] = rows[at[i]];
}

/* Detections and inferences without any, one list after the other in each of room->lists. */
static uint32_t list_detections(struct batch *b, struct table_room *room, const struct detections *d, uint32_t *empty) {
    uint32_t n = 0, none = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->failed[i]) continue;
        uint32_t from = d->first[b->at[i]], to = d->first[b->at[i] + 1];
        for (uint32_t k = from; k < to; k++) {
            room->lists[AT][n] = i;
            room->lists[INDEX][n++] = k;
        }
        if (from == to) room->at[none++] = i;
    }
    *empty = none;
    return n;
}

/* An inference once a group. */
static void count_inferences(struct table *t, struct table_room *room, struct elements *x) {
    uint32_t n = 0, *groups = room->lists[INFERENCE_GROUP], *at = room->lists[INFERENCE_AT];
    for (uint32_t i = 0; i < x->detection_count; i++) {
        uint64_t stamp = room->inferences + x->detection_at[i] + 1;
        uint32_t group = x->detection_group[i];
        groups[n] = group;
        at[n] = x->detection_at[i];
        n += t->stamps[group] != stamp;
        t->stamps[group] = stamp;
    }
    for (uint32_t i = 0; i < x->empty_count; i++, n++) groups[n] = x->empty_group[i], at[n] = x->empty_at[i];
    x->count = n;
    x->group = groups;
    x->at = at;
}

/* Takes dropped ones out of parallel lists; `group` holds KEYER_DROPPED for them. */
static uint32_t drop(uint32_t *group, uint32_t *at, uint32_t *index, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (group[i] == KEYER_DROPPED) continue;
        group[kept] = group[i];
        at[kept] = at[i];
        if (index) index[kept] = index[i];
        kept++;
    }
    return kept;
}

static void join_pairs(struct table *t, uint32_t *first, const uint32_t *second, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        first[i] = first[i] == KEYER_DROPPED || second[i] == KEYER_DROPPED ? KEYER_DROPPED
                                                                          : group_of(t, first[i], second[i]);
}

static void group_detections(struct table *t, struct batch *b, struct table_room *room, struct elements *x) {
    const struct detections *d = batch_detections(b, false);
    lists_for(room, d->first[b->at[b->count - 1] + 1] - d->first[b->at[0]] + BATCH_ROWS);
    uint32_t empty, count = list_detections(b, room, d, &empty), **lists = room->lists;
    detection_numbers(t, 0, d, room, count, lists[GROUP]);
    for (uint32_t i = 0; i < empty; i++)
        lists[EMPTY_GROUP][i] = of_detections(&t->keyers[0]) ? keyer_none(&t->keyers[0]) : room->numbers[0][room->at[i]];
    if (t->key_count == 2) {
        detection_numbers(t, 1, d, room, count, lists[SECOND]);
        join_pairs(t, lists[GROUP], lists[SECOND], count);
        for (uint32_t i = 0; i < empty; i++)
            lists[SECOND][i] =
                of_detections(&t->keyers[1]) ? keyer_none(&t->keyers[1]) : room->numbers[1][room->at[i]];
        join_pairs(t, lists[EMPTY_GROUP], lists[SECOND], empty);
    } else {
        take_numbers(t);
    }
    if (may_drop(t)) {
        count = drop(lists[GROUP], lists[AT], lists[INDEX], count);
        empty = drop(lists[EMPTY_GROUP], room->at, NULL, empty);
    }
    *x = (struct elements){.by_class = true,
                           .detection_count = count,
                           .detection_group = lists[GROUP],
                           .detection_at = lists[AT],
                           .detection_index = lists[INDEX],
                           .empty_count = empty,
                           .empty_group = lists[EMPTY_GROUP],
                           .empty_at = room->at};
    count_inferences(t, room, x);
    room->inferences += b->count;
}

bool table_add(struct table *t, struct batch *b, struct table_room *room) {
    struct elements x = {.count = 0};
    for (size_t i = 0; i < t->key_count; i++)
        if (!t->by_class || !of_detections(&t->keyers[i])) keyer_rows(&t->keyers[i], b, room->numbers[i]);
    if (t->by_class)
        group_detections(t, b, room, &x);
    else
        group_rows(t, b, room, &x);
    x.groups = t->groups;
    for (size_t i = 0; i < t->lane_count; i++) t->bytes += lane_add(&t->lanes[i], b, &x);
    return allowed(t);
}

/* ---- two threads' tables ---- */

void table_finish(struct table *t) {
    if (t->key_count == 0) take_numbers(t); /* the one group is there without any row */
    for (size_t i = 0; i < t->lane_count; i++) lane_finish(&t->lanes[i], t->groups);
}

bool table_merge(struct table *t, struct table *other) {
    uint32_t *numbers[PLAN_KEYS] = {NULL};
    for (size_t k = 0; k < t->key_count; k++) {
        const struct numbering *from = &other->keyers[k].numbers;
        numbers[k] = mem_alloc(from->count * sizeof **numbers);
        for (uint32_t i = 0; i < from->count; i++)
            numbers[k][i] = numbering_of(&t->keyers[k].numbers, &from->values[i]);
    }
    if (t->key_count < 2) take_numbers(t);
    for (uint32_t g = 0; g < other->groups; g++) {
        uint32_t to = t->key_count == 0   ? 0
                      : t->key_count == 1 ? numbers[0][g]
                                          : group_of(t, numbers[0][other->pairs[g].first],
                                                     numbers[1][other->pairs[g].second]);
        for (size_t i = 0; i < t->lane_count; i++) t->bytes += lane_merge(&t->lanes[i], to, &other->lanes[i], g);
    }
    for (size_t k = 0; k < t->key_count; k++) free(numbers[k]);
    return allowed(t);
}

bool table_holds(const struct table *t, const struct table *total) {
    if (t->by_class) return false;
    for (size_t i = 0; i < t->key_count; i++)
        if (t->keyers[i].key->top && t->keyers[i].key->drop) return false;
    for (size_t i = 0; i < total->lane_count; i++) {
        const struct lane *l = &total->lanes[i], *mine = lane_of(t, l->kind, &l->of);
        if (!mine || (l->range && !mine->range) || (l->others && !mine->others)) return false;
    }
    return true;
}

void table_sum(struct table *total, struct table *t) {
    take_numbers(total);
    for (size_t i = 0; i < total->lane_count; i++) {
        struct lane *l = &total->lanes[i], *from = lane_of(t, l->kind, &l->of);
        for (uint32_t g = 0; g < t->groups; g++) total->bytes += lane_merge(l, 0, from, g);
    }
}

/* ---- answers ---- */

struct key_value table_key(const struct table *t, size_t key, uint32_t group, struct arena *a) {
    uint32_t number = t->key_count == 1 ? group : key == 0 ? t->pairs[group].first : t->pairs[group].second;
    struct key_value v = t->keyers[key].numbers.values[number];
    if (v.value.type == VALUE_STRING) v.value.text.p = arena_copy(a, v.value.text.p, v.value.text.n);
    return v;
}

static double bin_middle(enum of of, uint32_t bin) {
    return of == OF_CONFIDENCE ? confidence_of_bin((uint16_t)bin) : latency_of_bin((uint16_t)bin);
}

/* The k-th least, from 0, as its bin has it. */
static double nth(enum of of, const uint32_t *bins, uint64_t k) {
    uint32_t bin = 0;
    for (uint64_t below = bins[0]; below <= k; below += bins[bin]) bin++;
    return bin_middle(of, bin);
}

/* As if sorted and read at q of the way, between two values in proportion. */
static double quantile(const struct table *t, const struct measure *m, uint32_t group, bool *known) {
    enum of of = m->of.of;
    const uint32_t *bins = lane_of(t, LANE_BINS, &m->of)->bins + (size_t)group * lane_bins(of);
    const struct numbers *range = &lane_of(t, LANE_NUMBERS, &m->of)->numbers[group];
    *known = range->n > 0;
    if (!*known) return 0;
    double at = m->at * (double)(range->n - 1);
    uint64_t k = (uint64_t)at;
    double part = at - (double)k, value = fmin(fmax(nth(of, bins, k), range->least), range->most);
    if (!(part > 0)) return value;
    double next = fmin(fmax(nth(of, bins, k + 1), range->least), range->most);
    return value + part * (next - value);
}

static struct cell mean(const struct table *t, const struct measure *m, uint32_t group) {
    const struct lane *counts = lane_of(t, LANE_COUNTS, NULL);
    const struct counts *c = counts ? &counts->counts[group] : NULL;
    if (m->of.of == OF_DETECTIONS) {
        uint64_t n = c->inferences - c->errors;
        return (struct cell){.known = n > 0, .number = n ? (double)c->detections / (double)n : 0};
    }
    const struct numbers *x = &lane_of(t, LANE_NUMBERS, &m->of)->numbers[group];
    bool monitoring = m->of.of == OF_MONITORING_CONFIDENCE || m->of.of == OF_MONITORING_LATENCY;
    uint64_t n = monitoring ? c->detections + c->empty : x->n;
    return (struct cell){.known = n > 0, .number = n ? sum_value(x->sum) / (double)n : 0};
}

static struct cell least_or_most(const struct table *t, const struct measure *m, uint32_t group) {
    bool least = m->kind == MEASURE_MIN;
    if (m->of.of == OF_TIME) {
        const struct times *x = &lane_of(t, LANE_TIMES, NULL)->times[group];
        bool known = x->least <= x->most;
        return (struct cell){.known = known, .time_us = !known ? 0 : least ? x->least : x->most};
    }
    const struct numbers *x = &lane_of(t, LANE_NUMBERS, &m->of)->numbers[group];
    return (struct cell){.known = x->n > 0, .number = x->n == 0 ? 0 : least ? x->least : x->most};
}

struct cell table_cell(const struct table *t, const struct measure *m, uint32_t group, struct arena *a) {
    const struct lane *counts = lane_of(t, LANE_COUNTS, NULL);
    const struct counts *c = counts ? &counts->counts[group] : NULL;
    struct cell cell = {.known = true};
    switch (m->kind) {
    case MEASURE_INFERENCES: cell.count = c->inferences; break;
    case MEASURE_ERRORS: cell.count = c->errors; break;
    case MEASURE_EMPTY: cell.count = c->empty; break;
    case MEASURE_DETECTIONS: cell.count = c->detections; break;
    case MEASURE_DISTINCT: cell.count = lane_of(t, LANE_DISTINCT, &m->of)->sets[group].count; break;
    case MEASURE_SUM:
        cell.number = m->of.of == OF_DETECTIONS ? (double)c->detections
                                                : sum_value(lane_of(t, LANE_NUMBERS, &m->of)->numbers[group].sum);
        break;
    case MEASURE_AVG: cell = mean(t, m, group); break;
    case MEASURE_MIN:
    case MEASURE_MAX: cell = least_or_most(t, m, group); break;
    case MEASURE_QUANTILE: cell.number = quantile(t, m, group, &cell.known); break;
    case MEASURE_HISTOGRAM: {
        uint32_t width = lane_bins(m->of.of);
        const uint32_t *bins = lane_of(t, LANE_BINS, &m->of)->bins + (size_t)group * width;
        uint64_t *to = arena_alloc(a, width * sizeof *to);
        for (uint32_t i = 0; i < width; i++) to[i] = bins[i];
        cell.bins = to;
        break;
    }
    case MEASURE_NEWEST: {
        const struct newest *x = &lane_of(t, LANE_NEWEST, &m->of)->newest[group];
        cell.known = x->known;
        if (x->known) cell.text = (struct str){arena_copy(a, x->text.p, x->text.n), x->text.n};
        break;
    }
    }
    return cell;
}
