/* From a network's output tensors to boxes. Pure functions: no state, no runtime, any thread. The head of each decoder's
 * header tells the form it reads: this one, decode_yolo.h, decode_detr.h, decode_pose.h, decode_mask.h.
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
    unsigned source; /* the row of the network's output that it came from: an anchor, a query, a cell */
};

struct decode_point {
    double x, y;       /* pixels of the picture */
    double confidence; /* 0..1 */
};

/* How the picture lies in the network's input: picture = (input - shift) * scale, on each axis. */
struct decode_frame {
    double width, height; /* of the picture */
    double shift_x, shift_y;
    double scale_x, scale_y;
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

/* The boxes, surest first, clipped to the picture; the caller frees the array. */
struct decode_box *decode_centernet(const struct decode_grid *g, const struct decode_options *o,
                                    const struct decode_frame *f, size_t *count);

/* Sorts by confidence, keeps the surest max_candidates, suppresses, keeps max_detections. Works in place; returns how
 * many are left at the front. */
size_t decode_nms(struct decode_box *boxes, size_t count, const struct decode_options *o);

/* ---- for the decoders ---- */

/* The least score that is not below the option's confidence: what is asked for may not be a float. */
float decode_least(double confidence);

/* A list of boxes that grows. */
struct decode_list {
    struct decode_box *boxes;
    size_t count, room;
};

/* Adds the box whose sides are given in input pixels, clipped to the picture. Passes over what has nothing inside the
 * picture, and over what is no box: the wrong way round, or not a number. */
void decode_add(struct decode_list *list, const struct decode_frame *f, const double sides[4], double confidence,
                size_t class_id, size_t source);

/* A point given in input pixels, moved to the nearest place in the picture. */
struct decode_point decode_place(const struct decode_frame *f, double x, double y, double confidence);
