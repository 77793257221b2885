#include "query/batch.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/bins.h"

enum {
    READ_TIME = 1,
    READ_COUNTS = 2,
    READ_LATENCY = 4,
    READ_CONFIDENCE = 8,
    READ_LATENCY_BINS = 16,
    READ_CONFIDENCE_BINS = 32,
    READ_ROW_CONFIDENCE = 64,
    READ_ROW_LATENCY = 128,
    READ_DETECTIONS = 256,
    READ_EACH = 512,
    READ_EACH_BINS = 1024,
};

static bool is_read(struct batch *b, unsigned what) {
    bool was = b->read & what;
    b->read |= what;
    return was;
}

/* As few as pay: a filter that most rows pass leaves long ones. */
static void find_runs(struct batch *b) {
    uint32_t count = 0, breaks = 0;
    for (uint32_t i = 1; i < b->count; i++) breaks += b->at[i] != b->at[i - 1] + 1;
    b->run_count = breaks < BATCH_RUNS ? breaks + 1 : 0;
    for (uint32_t i = 1, from = 0; b->run_count && i <= b->count; i++)
        if (i == b->count || b->at[i] != b->at[i - 1] + 1) {
            b->runs[count++] = (struct batch_run){b->at[from], i - from};
            from = i;
        }
}

/* Values of `size` bytes from the places in `at`. */
static void gather(void *to, const void *from, const uint32_t *at, uint32_t count, size_t size) {
#define GATHER(type) \
    for (uint32_t i = 0; i < count; i++) ((type *)to)[i] = ((const type *)from)[at[i]]
    switch (size) {
    case sizeof(uint8_t): GATHER(uint8_t); break;
    case sizeof(uint16_t): GATHER(uint16_t); break;
    case sizeof(uint32_t): GATHER(uint32_t); break;
    case sizeof(uint64_t): GATHER(uint64_t); break;
    default: WRONG("a column of no such size");
    }
#undef GATHER
}

static void bring(const struct batch *b, const void *column, void *room, size_t size) {
    const char *from = column;
    char *to = room;
    for (uint32_t i = 0; i < b->run_count; i++) {
        memcpy(to, from + b->runs[i].from * size, b->runs[i].count * size);
        to += b->runs[i].count * size;
    }
    if (b->run_count == 0) gather(room, column, b->at, b->count, size);
}

void batch_begin(struct batch *b, const struct slice *s, const struct bitmap *selected, struct detection_room *room,
                 const uint32_t *list, uint32_t count) {
    uint8_t flags_room[BLOCK_ROWS], any = 0;
    b->slice = s;
    b->selected = selected;
    b->room = room;
    b->count = count;
    b->read = 0;
    b->failed_count = 0;
    memcpy(b->at, list, count * sizeof *list);
    find_runs(b);
    bring(b, slice_flags(s, flags_room), b->failed, 1);
    for (uint32_t i = 0; i < count; i++) any |= b->failed[i] &= ROW_ERROR;
    for (uint32_t i = 0; any && i < count; i++) {
        b->failed_list[b->failed_count] = (uint16_t)i;
        b->failed_count += b->failed[i];
    }
}

void batch_free(struct batch *b) {
    free(b->lists.owners);
    free(b->lists.places);
    free(b->lists.classes);
    free(b->lists.confidences);
    free(b->lists.bins);
    b->lists = (struct batch_lists){0};
}

/* ---- columns: where they lie, or brought together ---- */

const uint32_t *batch_codes(const struct batch *b, const uint32_t *column, uint32_t room[BATCH_ROWS]) {
    if (b->run_count == 1) return column + b->at[0];
    bring(b, column, room, sizeof *room);
    return room;
}

const int64_t *batch_time(struct batch *b) {
    if (is_read(b, READ_TIME)) return b->time;
    const int64_t *column = slice_time(b->slice);
    if (b->run_count == 1) return b->time = column + b->at[0];
    bring(b, column, b->time_room, sizeof *column);
    return b->time = b->time_room;
}

static const double *pick_numbers(const struct batch *b, const double *column, double *room) {
    if (b->run_count == 1 && b->failed_count == 0) return column + b->at[0];
    bring(b, column, room, sizeof *room);
    for (uint32_t i = 0; i < b->failed_count; i++) room[b->failed_list[i]] = NAN;
    return room;
}

static const uint16_t *pick_bins(const struct batch *b, const uint16_t *column, uint16_t *room) {
    if (b->run_count == 1 && b->failed_count == 0) return column + b->at[0];
    bring(b, column, room, sizeof *room);
    for (uint32_t i = 0; i < b->failed_count; i++) room[b->failed_list[i]] = BIN_NONE;
    return room;
}

const uint32_t *batch_counts(struct batch *b) {
    if (is_read(b, READ_COUNTS)) return b->count_room;
    const struct block *block = b->slice->block;
    const uint32_t *first = block ? NULL : SEG(b->slice->part->segment, DETECTIONS) + b->slice->first;
    if (block)
        bring(b, block->detection_count, b->count_room, sizeof *b->count_room);
    else if (b->run_count == 1)
        for (uint32_t i = 0, at = b->at[0]; i < b->count; i++) b->count_room[i] = first[at + i + 1] - first[at + i];
    else
        for (uint32_t i = 0; i < b->count; i++) b->count_room[i] = first[b->at[i] + 1] - first[b->at[i]];
    for (uint32_t i = 0; i < b->failed_count; i++) b->count_room[b->failed_list[i]] = 0;
    return b->count_room;
}

const double *batch_latency(struct batch *b) {
    if (!is_read(b, READ_LATENCY)) b->latency = pick_numbers(b, slice_latency(b->slice), b->latency_room);
    return b->latency;
}

const double *batch_confidence(struct batch *b) {
    if (!is_read(b, READ_CONFIDENCE)) b->confidence = pick_numbers(b, slice_confidence(b->slice), b->confidence_room);
    return b->confidence;
}

/* A chunk has no bins. */
static const uint16_t *bins_of(const struct batch *b, const double *numbers, uint16_t (*bin)(double), uint16_t *room) {
    for (uint32_t i = 0; i < b->count; i++) room[i] = bin(numbers[i]);
    return room;
}

const uint16_t *batch_latency_bins(struct batch *b) {
    if (is_read(b, READ_LATENCY_BINS)) return b->latency_bins;
    const struct segment *g = b->slice->part->segment;
    b->latency_bins = g ? pick_bins(b, SEG(g, LATENCY_BIN) + b->slice->first, b->latency_bin_room)
                        : bins_of(b, batch_latency(b), latency_bin, b->latency_bin_room);
    return b->latency_bins;
}

const uint16_t *batch_confidence_bins(struct batch *b) {
    if (is_read(b, READ_CONFIDENCE_BINS)) return b->confidence_bins;
    const struct segment *g = b->slice->part->segment;
    b->confidence_bins = g ? pick_bins(b, SEG(g, CONFIDENCE_BIN) + b->slice->first, b->confidence_bin_room)
                           : bins_of(b, batch_confidence(b), confidence_bin, b->confidence_bin_room);
    return b->confidence_bins;
}

/* ---- detections ---- */

const struct detections *batch_detections(struct batch *b) {
    if (!is_read(b, READ_DETECTIONS)) b->detections = slice_detections(b->slice, b->selected, b->room);
    return &b->detections;
}

/* Rows have few detections, and how many nobody can foresee: so many owners are written for each without a look at its
 * number, which would be guessed wrong most of the time. What is too much is written over by the next. */
enum { USUAL_MOST = 8 };

static void lists_for(struct batch_lists *l, size_t count) {
    if (count + USUAL_MOST <= l->size) return;
    l->size = count + count / 2 + USUAL_MOST;
    l->owners = mem_resize(l->owners, l->size * sizeof *l->owners);
    l->places = mem_resize(l->places, l->size * sizeof *l->places);
    l->classes = mem_resize(l->classes, l->size * sizeof *l->classes);
    l->confidences = mem_resize(l->confidences, l->size * sizeof *l->confidences);
    l->bins = mem_resize(l->bins, l->size * sizeof *l->bins);
}

static uint32_t list_owners(struct batch *b, const uint32_t *counts) {
    uint16_t *owners = b->lists.owners;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        for (uint32_t k = 0; k < USUAL_MOST; k++) owners[n + k] = (uint16_t)i;
        for (uint32_t k = USUAL_MOST; k < counts[i]; k++) owners[n + k] = (uint16_t)i;
        n += counts[i];
    }
    return n;
}

/* Where in the part's detections each one is. */
static void list_places(struct batch *b, const struct detections *d, const uint32_t *counts) {
    uint32_t *places = b->lists.places, n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t first = d->first[b->at[i]];
        for (uint32_t k = 0; k < USUAL_MOST; k++) places[n + k] = first + k;
        for (uint32_t k = USUAL_MOST; k < counts[i]; k++) places[n + k] = first + k;
        n += counts[i];
    }
}

/* Of a column of detections, those of the batch: where they lie, by runs, or one by one. */
static const void *pick_each(const struct batch *b, const struct detections *d, const void *column, void *room,
                             size_t size) {
    const char *from = column;
    if (b->each_runs == 1) return from + d->first[b->at[0]] * size;
    char *to = room;
    for (uint32_t i = 0; i < b->each_runs; i++) {
        const uint32_t *first = d->first + b->runs[i].from;
        size_t bytes = (first[b->runs[i].count] - first[0]) * size;
        if (!bytes) continue; /* a segment without detections has no column */
        memcpy(to, from + first[0] * size, bytes);
        to += bytes;
    }
    if (b->each_runs == 0) gather(room, column, b->lists.places, b->each.count, size);
    return room;
}

static void read_each(struct batch *b, const struct detections *d) {
    const uint32_t *counts = batch_counts(b);
    struct batch_lists *l = &b->lists;
    lists_for(l, d->first[b->at[b->count - 1] + 1] - d->first[b->at[0]]);
    uint32_t n = list_owners(b, counts), in_runs = 0;
    for (uint32_t i = 0; i < b->run_count; i++)
        in_runs += d->first[b->runs[i].from + b->runs[i].count] - d->first[b->runs[i].from];
    b->each_runs = n == in_runs ? b->run_count : 0; /* failed ones with detections are between them */
    if (b->each_runs == 0) list_places(b, d, counts);
    b->each = (struct batch_detections){.count = n, .owners = l->owners};
    b->each.classes = pick_each(b, d, d->classes, l->classes, sizeof *l->classes);
    b->each.confidences = pick_each(b, d, d->confidences, l->confidences, sizeof *l->confidences);
}

const struct batch_detections *batch_each_detection(struct batch *b, bool bins) {
    const struct detections *d = batch_detections(b);
    const struct segment *g = b->slice->part->segment;
    if (!is_read(b, READ_EACH)) read_each(b, d);
    if (!bins || is_read(b, READ_EACH_BINS)) return &b->each;
    b->each.bins = b->lists.bins;
    if (g)
        b->each.bins = pick_each(b, d, SEG(g, D_CONFIDENCE_BIN), b->lists.bins, sizeof *b->lists.bins);
    else
        for (uint32_t i = 0; i < b->each.count; i++) b->lists.bins[i] = confidence_bin(b->each.confidences[i]);
    return &b->each;
}

/* ---- as Model Monitoring counts ---- */

/* The sum of up to FEW numbers from `at` on: without a branch, for the same reason as above. */
enum { FEW = 4 };

static double sum_of_few(const double *at, uint32_t count) {
    static const uint64_t masks[FEW + 1][FEW] = {{0},
                                                 {UINT64_MAX},
                                                 {UINT64_MAX, UINT64_MAX},
                                                 {UINT64_MAX, UINT64_MAX, UINT64_MAX},
                                                 {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    const uint64_t *mask = masks[count < FEW ? count : FEW];
    uint64_t bits[FEW];
    double v[FEW];
    memcpy(bits, at, sizeof bits);
    for (int k = 0; k < FEW; k++) bits[k] &= mask[k];
    memcpy(v, bits, sizeof v);
    for (int k = 0; k < FEW; k++) v[k] = isnan(v[k]) ? 0 : v[k];
    return (v[0] + v[1]) + (v[2] + v[3]);
}

const double *batch_row_confidence(struct batch *b) {
    if (is_read(b, READ_ROW_CONFIDENCE)) return b->row_confidence;
    const struct detections *d = batch_detections(b);
    const uint32_t *counts = batch_counts(b);
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t first = d->first[b->at[i]], k = 0;
        double sum = 0;
        if (first + FEW <= d->count) sum = sum_of_few(d->confidences + first, counts[i]), k = FEW;
        for (; k < counts[i]; k++) sum += isnan(d->confidences[first + k]) ? 0 : d->confidences[first + k];
        b->row_confidence[i] = sum;
    }
    return b->row_confidence;
}

const double *batch_row_latency(struct batch *b) {
    if (is_read(b, READ_ROW_LATENCY)) return b->row_latency;
    const double *latency = batch_latency(b);
    const uint32_t *counts = batch_counts(b);
    for (uint32_t i = 0; i < b->count; i++)
        b->row_latency[i] = isnan(latency[i]) ? 0 : latency[i] * (int)(counts[i] ? counts[i] : 1);
    return b->row_latency;
}
