/* Rows of a slice that match, up to BATCH_ROWS of them, and their columns by place in the batch: read once, whoever asks
 * for them. Small enough for all of it to stay in the nearest memory. One thread; guards as for part.h. */
#pragma once
#include "query/part.h"

enum { BATCH_ROWS = 1024 };

struct batch {
    const struct slice *slice;
    const struct bitmap *selected;
    struct detection_room *room;
    uint32_t count;
    uint32_t at[BATCH_ROWS]; /* rows of the slice, ascending */
    bool whole;              /* rows that follow each other */
    bool any_failed;
    uint8_t failed[BATCH_ROWS];
    struct detections detections; /* batch_detections first; of failed rows they count for nothing */

    /* Its own: what was read, and where it stands. */
    unsigned read;
    const int64_t *time;
    const double *latency, *confidence;
    const uint16_t *latency_bins, *confidence_bins;
    int64_t time_room[BATCH_ROWS];
    uint32_t count_room[BATCH_ROWS];
    double latency_room[BATCH_ROWS], confidence_room[BATCH_ROWS], row_confidence[BATCH_ROWS], row_latency[BATCH_ROWS];
    uint16_t latency_bin_room[BATCH_ROWS], confidence_bin_room[BATCH_ROWS];
};

/* `list`: some of the rows that `selected` holds, ascending, at least one and at most BATCH_ROWS. */
void batch_begin(struct batch *b, const struct slice *s, const struct bitmap *selected, struct detection_room *room,
                 const uint32_t *list, uint32_t count);

/* By place in the batch. */
const int64_t *batch_time(struct batch *b);
/* What a failed inference has counts for nothing: no detections, NAN, BIN_NONE. */
const uint32_t *batch_counts(struct batch *b); /* detections */
const double *batch_latency(struct batch *b);
const double *batch_confidence(struct batch *b); /* of the top detection */
const uint16_t *batch_latency_bins(struct batch *b);
const uint16_t *batch_confidence_bins(struct batch *b);

/* As Model Monitoring counts, a row a detection and one for none: the sums over an inference's rows, unknown being 0. */
const double *batch_row_confidence(struct batch *b);
const double *batch_row_latency(struct batch *b);

const struct detections *batch_detections(struct batch *b, bool bins);
