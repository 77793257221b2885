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
    case MEASURE_INFERENCES: need(t, LANE_COUNTS, NULL)->inferences = true; break;
    case MEASURE_ERRORS:
    case MEASURE_EMPTY:
    case MEASURE_DETECTIONS: need(t, LANE_COUNTS, NULL)->others = true; break;
    case MEASURE_DISTINCT: need(t, LANE_DISTINCT, &m->of); break;
    case MEASURE_SUM:
    case MEASURE_AVG:
        if (m->of.of == OF_DETECTIONS) need(t, LANE_COUNTS, NULL)->inferences = true;
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
    case MEASURE_HISTOGRAM: need(t, LANE_BINS, &m->of); break;
    case MEASURE_NEWEST: need(t, LANE_NEWEST, &m->of); break;
    }
}

void table_init(struct table *t, const struct grouping *g, size_t keys, bool by_class, struct arena *a) {
    *t = (struct table){.grouping = g, .key_count = keys, .by_class = by_class, .max_groups = g->max_groups};
    for (size_t i = 0; i < keys; i++) t->keyers[i].key = &g->keys[i];
    t->lanes = arena_alloc(a, (2 * g->measure_count + 1) * sizeof *t->lanes); /* a measure needs two at the most */
    for (size_t i = 0; i < g->measure_count; i++) need_for(t, &g->measures[i]);
    if (t->lane_count == 0) need(t, LANE_COUNTS, NULL);
    for (size_t i = 0; i < t->lane_count; i++) t->counts_inferences |= !lane_of_detections(&t->lanes[i]);
}

void table_free(struct table *t) {
    for (size_t i = 0; i < t->key_count; i++) keyer_free(&t->keyers[i]);
    for (size_t i = 0; i < t->lane_count; i++) lane_free(&t->lanes[i], t->groups);
    free(t->pairs);
    free(t->grid);
    free(t->slots);
    free(t->stamps);
    free(t->class_grid);
}

void table_begin(struct table *t, const struct part *p) {
    for (size_t i = 0; i < t->key_count; i++) keyer_begin(&t->keyers[i], p);
    for (size_t i = 0; i < t->lane_count; i++) lane_begin(&t->lanes[i], p);
    t->class_height = 0;
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

bool table_allowed(const struct table *t) { return t->max_groups == 0 || t->groups <= t->max_groups; }

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

enum { GROUP, SECOND, AT, INFERENCE_GROUP, INFERENCE_AT };

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

/* Inferences that did not fail and have none. */
static uint32_t list_empty(struct batch *b, uint32_t at[BATCH_ROWS]) {
    const uint32_t *counts = batch_counts(b);
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        at[n] = i;
        n += !(counts[i] | b->failed[i]);
    }
    return n;
}

/* The usual case, a class alone or beside what the inference has: one look into a grid of the part, by the number of
 * the inference's key and the class's code, tells the group. */
enum { CLASS_GRID_MOST = 1 << 16 };

static int class_key(const struct table *t) {
    int key = t->keyers[0].key->subject.of == OF_CLASS ? 0 : 1;
    if (t->keyers[key].top && t->keyers[key].key->drop) return -1;
    if (t->key_count == 1) return key == 0 ? 0 : -1;
    const struct keyer *other = &t->keyers[!key];
    return of_detections(other) || (other->top && other->key->drop) ? -1 : key;
}

static bool class_grid_for(struct table *t, int key, uint32_t rows) {
    uint32_t width = coded_count(&t->keyers[key].coded);
    if ((uint64_t)rows * width > CLASS_GRID_MOST) return false;
    if (rows <= t->class_height && width == t->class_width) return true;
    if (width != t->class_width) t->class_height = 0;
    if (!t->class_grid) t->class_grid = mem_alloc(CLASS_GRID_MOST * sizeof *t->class_grid);
    memset(t->class_grid + t->class_height * width, 0, (rows - t->class_height) * width * sizeof *t->class_grid);
    t->class_width = width;
    t->class_height = rows;
    return true;
}

static uint32_t __attribute__((noinline)) new_class(struct table *t, int key, uint32_t row, uint32_t code) {
    uint32_t number = keyer_code(&t->keyers[key], code), group = number;
    if (t->key_count == 2) group = key == 0 ? group_of(t, number, row) : group_of(t, row, number);
    t->class_grid[row * t->class_width + code] = group + 1;
    return group;
}

static inline uint32_t group_of_class(struct table *t, int key, uint32_t row, uint32_t code) {
    uint32_t known = t->class_grid[row * t->class_width + code];
    return known ? known - 1 : new_class(t, key, row, code);
}

static void groups_of_classes(struct table *t, int key, const uint32_t *rows, const struct batch_detections *d,
                              struct table_room *room, const struct elements *x) {
    uint32_t *group = room->lists[GROUP];
    for (uint32_t i = 0; i < d->count; i++)
        group[i] = group_of_class(t, key, rows ? rows[d->owners[i]] : 0, d->classes[i]);
    for (uint32_t i = 0; i < x->empty_count; i++)
        room->group[i] = group_of_class(t, key, rows ? rows[x->empty_at[i]] : 0, 0);
}

/* Any other case: numbers of each key, then pairs of them, then what is dropped is taken out. */
static void numbers_of_each(struct table *t, size_t key, const struct batch_detections *d, const uint32_t *rows,
                            uint32_t *numbers) {
    if (of_detections(&t->keyers[key]))
        keyer_detections(&t->keyers[key], d, numbers);
    else
        for (uint32_t i = 0; i < d->count; i++) numbers[i] = rows[d->owners[i]];
}

static void numbers_of_empty(struct table *t, size_t key, const uint32_t *rows, const struct elements *x,
                             uint32_t *numbers) {
    for (uint32_t i = 0; i < x->empty_count; i++)
        numbers[i] = of_detections(&t->keyers[key]) ? keyer_none(&t->keyers[key]) : rows[x->empty_at[i]];
}

static void join_pairs(struct table *t, uint32_t *first, const uint32_t *second, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        first[i] =
            first[i] == KEYER_DROPPED || second[i] == KEYER_DROPPED ? KEYER_DROPPED : group_of(t, first[i], second[i]);
}

/* What is left, with its places. `from` may be `at`. */
static uint32_t drop(uint32_t *group, const uint32_t *from, uint32_t *at, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (group[i] == KEYER_DROPPED) continue;
        group[kept] = group[i];
        at[kept++] = from ? from[i] : i;
    }
    return kept;
}

static void groups_of_pairs(struct table *t, const struct batch_detections *d, struct table_room *room,
                            struct elements *x) {
    uint32_t **lists = room->lists;
    numbers_of_each(t, 0, d, room->numbers[0], lists[GROUP]);
    numbers_of_empty(t, 0, room->numbers[0], x, room->group);
    if (t->key_count == 2) {
        numbers_of_each(t, 1, d, room->numbers[1], lists[SECOND]);
        join_pairs(t, lists[GROUP], lists[SECOND], d->count);
        numbers_of_empty(t, 1, room->numbers[1], x, lists[SECOND]);
        join_pairs(t, room->group, lists[SECOND], x->empty_count);
    }
    if (!may_drop(t)) return;
    x->detection_count = drop(lists[GROUP], NULL, lists[AT], d->count);
    x->detection_at = lists[AT];
    x->empty_count = drop(room->group, room->at, room->at, x->empty_count);
}

/* An inference once a group. */
static void count_inferences(struct table *t, const struct batch_detections *d, struct table_room *room,
                             struct elements *x) {
    uint32_t n = 0, *groups = room->lists[INFERENCE_GROUP], *at = room->lists[INFERENCE_AT];
    for (uint32_t i = 0; i < x->detection_count; i++) {
        uint32_t group = x->detection_group[i], owner = d->owners[x->detection_at ? x->detection_at[i] : i];
        uint64_t stamp = room->inferences + owner + 1;
        groups[n] = group;
        at[n] = owner;
        n += t->stamps[group] != stamp;
        t->stamps[group] = stamp;
    }
    for (uint32_t i = 0; i < x->empty_count; i++, n++) groups[n] = x->empty_group[i], at[n] = x->empty_at[i];
    x->count = n;
    x->group = groups;
    x->at = at;
}

static void group_detections(struct table *t, struct batch *b, struct table_room *room, struct elements *x) {
    const struct batch_detections *d = batch_each_detection(b, false);
    int key = class_key(t);
    lists_for(room, d->count + BATCH_ROWS);
    *x = (struct elements){.by_class = true,
                           .detection_count = d->count,
                           .detection_group = room->lists[GROUP],
                           .empty_count = list_empty(b, room->at),
                           .empty_group = room->group,
                           .empty_at = room->at};
    if (key >= 0 && class_grid_for(t, key, t->key_count == 1 ? 1 : t->keyers[!key].numbers.count)) {
        groups_of_classes(t, key, t->key_count == 1 ? NULL : room->numbers[!key], d, room, x);
    } else {
        groups_of_pairs(t, d, room, x);
    }
    if (t->key_count == 1) take_numbers(t);
    if (t->counts_inferences) count_inferences(t, d, room, x);
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
    return table_allowed(t);
}

uint32_t table_group(struct table *t, const uint32_t numbers[PLAN_KEYS]) {
    if (t->key_count == 2) return group_of(t, numbers[0], numbers[1]);
    take_numbers(t);
    return t->key_count == 0 ? 0 : numbers[0];
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
        uint32_t to = t->key_count == 0 ? 0
                      : t->key_count == 1
                          ? numbers[0][g]
                          : group_of(t, numbers[0][other->pairs[g].first], numbers[1][other->pairs[g].second]);
        for (size_t i = 0; i < t->lane_count; i++) t->bytes += lane_merge(&t->lanes[i], to, &other->lanes[i], g);
    }
    for (size_t k = 0; k < t->key_count; k++) free(numbers[k]);
    return table_allowed(t);
}

bool table_holds(const struct table *t, const struct table *total) {
    if (t->by_class) return false;
    for (size_t i = 0; i < t->key_count; i++)
        if (t->keyers[i].key->top && t->keyers[i].key->drop) return false;
    for (size_t i = 0; i < total->lane_count; i++) {
        const struct lane *l = &total->lanes[i], *mine = lane_of(t, l->kind, &l->of);
        if (!mine || (l->range && !mine->range) || (l->others && !mine->others) || (l->inferences && !mine->inferences))
            return false;
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

struct key_value table_value(const struct table *t, size_t key, uint32_t group) {
    uint32_t number = t->key_count == 1 ? group : key == 0 ? t->pairs[group].first : t->pairs[group].second;
    return t->keyers[key].numbers.values[number];
}

static struct cell mean(const struct table *t, const struct measure *m, uint32_t group) {
    const struct lane *counts = lane_of(t, LANE_COUNTS, NULL);
    const struct counts *c = counts ? &counts->counts[group] : NULL;
    if (m->of.of == OF_DETECTIONS) {
        uint64_t n = c->inferences - c->errors;
        return (struct cell){.known = n > 0, .number = n ? (double)c->detections / (double)n : 0};
    }
    const struct lane *l = lane_of(t, LANE_NUMBERS, &m->of);
    bool monitoring = m->of.of == OF_MONITORING_CONFIDENCE || m->of.of == OF_MONITORING_LATENCY;
    uint64_t n = monitoring ? c->detections + c->empty : l->numbers[group].n;
    return (struct cell){.known = n > 0, .number = n ? sum_value(l->totals[group].sum) / (double)n : 0};
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
static struct cell quantile(const struct table *t, const struct measure *m, uint32_t group) {
    enum of of = m->of.of;
    const uint32_t *bins = lane_of(t, LANE_BINS, &m->of)->bins + (size_t)group * lane_bins(of);
    uint64_t n = 0;
    for (uint32_t i = 0; i < lane_bins(of); i++) n += bins[i];
    if (n == 0) return (struct cell){.known = false};
    double at = m->at * (double)(n - 1);
    uint64_t k = (uint64_t)at;
    double part = at - (double)k, value = nth(of, bins, k);
    if (part > 0) value += part * (nth(of, bins, k + 1) - value);
    return (struct cell){.known = true, .number = value};
}

static struct cell least_or_most(const struct table *t, const struct measure *m, uint32_t group) {
    bool least = m->kind == MEASURE_MIN;
    if (m->of.of == OF_TIME) {
        const struct times *x = &lane_of(t, LANE_TIMES, NULL)->times[group];
        bool known = x->least <= x->most;
        return (struct cell){.known = known, .time_us = !known ? 0 : least ? x->least : x->most};
    }
    const struct lane *l = lane_of(t, LANE_NUMBERS, &m->of);
    bool known = l->numbers[group].n > 0;
    return (struct cell){.known = known, .number = !known ? 0 : least ? l->totals[group].least : l->totals[group].most};
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
                                                : sum_value(lane_of(t, LANE_NUMBERS, &m->of)->totals[group].sum);
        break;
    case MEASURE_AVG: cell = mean(t, m, group); break;
    case MEASURE_MIN:
    case MEASURE_MAX: cell = least_or_most(t, m, group); break;
    case MEASURE_QUANTILE: cell = quantile(t, m, group); break;
    case MEASURE_HISTOGRAM: {
        uint32_t width = lane_bins(m->of.of);
        const uint32_t *bins = lane_of(t, LANE_BINS, &m->of)->bins + (size_t)group * width;
        uint64_t *to = a ? arena_alloc(a, width * sizeof *to) : NULL;
        for (uint32_t i = 0; to && i < width; i++) to[i] = bins[i];
        cell.bins = to;
        break;
    }
    case MEASURE_NEWEST: {
        const struct newest *x = &lane_of(t, LANE_NEWEST, &m->of)->newest[group];
        cell.known = x->known;
        cell.text = x->text;
        break;
    }
    }
    return cell;
}
