/* From a network's output tensors to boxes. Pure functions: no state, no runtime, any thread.
 *
 * Decoder "centernet" (Zhou et al., Objects as Points, 2019): the picture is a grid of cells, `stride` input pixels
 * apart. `scores` holds a score a cell and class, `boxes` the distances from the cell to the left, top, right and
 * bottom edge in input pixels. A peak is a score that no score of the same class in the 3x3 cells around beats. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct decode_box {
    double x, y, width, height; /* centre and size, pixels of the picture */
    double confidence;          /* 0..1 */
    unsigned class_id;
};

struct decode_options {
    double confidence;       /* boxes below are left out */
    double iou_threshold;    /* of two boxes that overlap more, the surer one stays */
    bool class_agnostic_nms; /* also when their classes differ */
    const bool *classes;     /* one a class, which are wanted; NULL: all */
    size_t max_candidates;   /* the surest so many go into NMS; at most DECODE_MAX_CANDIDATES do */
    size_t max_detections;   /* and so many come out */
};
enum { DECODE_MAX_CANDIDATES = 10000 };

struct decode_grid {
    size_t rows, columns, classes;
    const float *scores; /* rows x columns x classes */
    const float *boxes;  /* rows x columns x 4: left, top, right, bottom */
    int stride;          /* input pixels */
};

/* The boxes, surest first, clipped to the picture; the caller frees the array. scale_x, scale_y: picture pixels an
 * input pixel. */
struct decode_box *decode_centernet(const struct decode_grid *g, const struct decode_options *o, double picture_width,
                                    double picture_height, double scale_x, double scale_y, size_t *count);

/* Sorts by confidence, keeps the surest max_candidates, suppresses, keeps max_detections. Works in place; returns how
 * many are left at the front. */
size_t decode_nms(struct decode_box *boxes, size_t count, const struct decode_options *o);
