/* Rows of a slice that match, up to BATCH_ROWS of them, and their columns by place in the batch: read once, whoever
 * asks for them. Small enough for all of it to stay in the nearest memory. One thread; guards as for part.h. */
#pragma once
#include "query/part.h"

enum { BATCH_ROWS = 1024, BATCH_RUNS = BATCH_ROWS / 8 };

/* Rows that follow each other. */
struct batch_run {
    uint32_t from, count; /* from: row of the slice */
};

/* All detections of a batch's rows that did not fail, one after the other. */
struct batch_detections {
    uint32_t count;
    const uint16_t *owners; /* places in the batch of what they belong to */
    const uint32_t *classes;
    const double *confidences;
    const uint16_t *bins; /* where they were asked for */
};

struct batch {
    const struct slice *slice;
    const struct bitmap *selected;
    struct detection_room *room;
    uint32_t count;
    uint32_t at[BATCH_ROWS]; /* rows of the slice, ascending */
    struct batch_run runs[BATCH_RUNS + 1];
    uint32_t run_count; /* 0: more than pay */
    uint8_t failed[BATCH_ROWS];
    uint32_t failed_count;
    uint16_t failed_list[BATCH_ROWS];

    /* Its own: what was read, and where it stands. */
    unsigned read;
    const int64_t *time;
    const double *latency, *confidence;
    const uint16_t *latency_bins, *confidence_bins;
    struct detections detections;
    struct batch_detections each;
    uint32_t each_runs; /* as run_count, for their detections */
    struct batch_lists {
        uint16_t *owners;
        uint32_t *places, *classes;
        double *confidences;
        uint16_t *bins;
        size_t size;
    } lists;
    int64_t time_room[BATCH_ROWS];
    uint32_t count_room[BATCH_ROWS];
    double latency_room[BATCH_ROWS], confidence_room[BATCH_ROWS], row_confidence[BATCH_ROWS], row_latency[BATCH_ROWS];
    uint16_t latency_bin_room[BATCH_ROWS], confidence_bin_room[BATCH_ROWS];
};

/* `list`: some of the rows that `selected` holds, ascending, at least one and at most BATCH_ROWS. */
void batch_begin(struct batch *b, const struct slice *s, const struct bitmap *selected, struct detection_room *room,
                 const uint32_t *list, uint32_t count);

/* A column of the slice by place in the batch: where it lies, or brought together in `room`. */
const uint32_t *batch_codes(const struct batch *b, const uint32_t *column, uint32_t room[BATCH_ROWS]);

/* By place in the batch. */
const int64_t *batch_time(struct batch *b);
/* What a failed inference has counts for nothing: no detections, NAN, BIN_NONE. */
const uint32_t *batch_counts(struct batch *b); /* detections */
const double *batch_latency(struct batch *b);
const double *batch_confidence(struct batch *b); /* of the top detection */
const uint16_t *batch_latency_bins(struct batch *b);
const uint16_t *batch_confidence_bins(struct batch *b);

/* As Model Monitoring counts, a row a detection and one for none: the sums over an inference's rows, unknown being 0.
 */
const double *batch_row_confidence(struct batch *b);
const double *batch_row_latency(struct batch *b);

/* By row of the slice; those of failed inferences among them. */
const struct detections *batch_detections(struct batch *b);
/* One after the other. */
const struct batch_detections *batch_each_detection(struct batch *b, bool bins);

void batch_free(struct batch *b); /* what it has grown, behind the last one */
