#include "query/batch.h"

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
    READ_DETECTION_BINS = 512,
};

static bool is_read(struct batch *b, unsigned what) {
    bool was = b->read & what;
    b->read |= what;
    return was;
}

void batch_begin(struct batch *b, const struct slice *s, const struct bitmap *selected, struct detection_room *room,
                 const uint32_t *list, uint32_t count) {
    uint8_t flags_room[BLOCK_ROWS];
    const uint8_t *flags = slice_flags(s, flags_room);
    uint8_t any = 0;
    b->slice = s;
    b->selected = selected;
    b->room = room;
    b->count = count;
    b->read = 0;
    memcpy(b->at, list, count * sizeof *list);
    b->whole = list[count - 1] - list[0] == count - 1;
    for (uint32_t i = 0; i < count; i++) any |= b->failed[i] = flags[list[i]] & ROW_ERROR;
    b->any_failed = any;
}

/* A column by place in the batch: in place where that is the same. */
#define PICK(b, column, room, nothing)                                                                                 \
    do {                                                                                                               \
        if ((b)->whole && !(b)->any_failed) return (column) + (b)->at[0];                                              \
        for (uint32_t i = 0; i < (b)->count; i++) (room)[i] = (b)->failed[i] ? (nothing) : (column)[(b)->at[i]];       \
        return (room);                                                                                                 \
    } while (0)

static const double *pick_numbers(const struct batch *b, const double *column, double *room) {
    PICK(b, column, room, NAN);
}
static const uint16_t *pick_bins(const struct batch *b, const uint16_t *column, uint16_t *room) {
    PICK(b, column, room, BIN_NONE);
}

const int64_t *batch_time(struct batch *b) {
    if (is_read(b, READ_TIME)) return b->time;
    const int64_t *column = slice_time(b->slice);
    if (b->whole) return b->time = column + b->at[0];
    for (uint32_t i = 0; i < b->count; i++) b->time_room[i] = column[b->at[i]];
    return b->time = b->time_room;
}

const uint32_t *batch_counts(struct batch *b) {
    if (is_read(b, READ_COUNTS)) return b->count_room;
    const struct block *block = b->slice->block;
    const uint32_t *first = block ? NULL : SEG(b->slice->part->segment, DETECTIONS) + b->slice->first;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t at = b->at[i], n = block ? block->detection_count[at] : first[at + 1] - first[at];
        b->count_room[i] = b->failed[i] ? 0 : n;
    }
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
static const uint16_t *bins(struct batch *b, const double *numbers, uint16_t (*bin)(double), uint16_t *room) {
    for (uint32_t i = 0; i < b->count; i++) room[i] = bin(numbers[i]);
    return room;
}

const uint16_t *batch_latency_bins(struct batch *b) {
    if (is_read(b, READ_LATENCY_BINS)) return b->latency_bins;
    const struct segment *g = b->slice->part->segment;
    b->latency_bins = g ? pick_bins(b, SEG(g, LATENCY_BIN) + b->slice->first, b->latency_bin_room)
                        : bins(b, batch_latency(b), latency_bin, b->latency_bin_room);
    return b->latency_bins;
}

const uint16_t *batch_confidence_bins(struct batch *b) {
    if (is_read(b, READ_CONFIDENCE_BINS)) return b->confidence_bins;
    const struct segment *g = b->slice->part->segment;
    b->confidence_bins = g ? pick_bins(b, SEG(g, CONFIDENCE_BIN) + b->slice->first, b->confidence_bin_room)
                           : bins(b, batch_confidence(b), confidence_bin, b->confidence_bin_room);
    return b->confidence_bins;
}

const struct detections *batch_detections(struct batch *b, bool with_bins) {
    unsigned what = READ_DETECTIONS | (with_bins ? READ_DETECTION_BINS : 0);
    if ((b->read & what) != what)
        b->detections =
            slice_detections(b->slice, b->selected, with_bins || b->read & READ_DETECTION_BINS, b->room);
    b->read |= what;
    return &b->detections;
}

const double *batch_row_confidence(struct batch *b) {
    if (is_read(b, READ_ROW_CONFIDENCE)) return b->row_confidence;
    const struct detections *d = batch_detections(b, false);
    for (uint32_t i = 0; i < b->count; i++) {
        double sum = 0;
        for (uint32_t k = d->first[b->at[i]], end = d->first[b->at[i] + 1]; k < end; k++)
            sum += isnan(d->confidences[k]) ? 0 : d->confidences[k];
        b->row_confidence[i] = b->failed[i] ? 0 : sum;
    }
    return b->row_confidence;
}

const double *batch_row_latency(struct batch *b) {
    if (is_read(b, READ_ROW_LATENCY)) return b->row_latency;
    const double *latency = batch_latency(b);
    const uint32_t *counts = batch_counts(b);
    for (uint32_t i = 0; i < b->count; i++)
        b->row_latency[i] = isnan(latency[i]) ? 0 : latency[i] * (counts[i] ? counts[i] : 1);
    return b->row_latency;
}
