/* Decoder "detr": what DETR and its kin give (DETR, Deformable DETR, RT-DETR, RF-DETR): for each of some hundred queries
 * a logit a class, and a box as centre x, centre y, width, height in parts of the input from 0 to 1.
 *
 * With sigmoid every class of a query stands for itself. With softmax the last logit is "no object", and a query stands
 * for its best class. These networks were trained to say each thing once, so nothing is suppressed.
 *
 * Pure functions, any thread. */
#pragma once
#include "infer/decode.h"

struct decode_queries {
    size_t queries, classes; /* classes without "no object" */
    const float *logits;     /* queries x classes, or queries x (classes + 1) with softmax */
    const float *boxes;      /* queries x 4 */
    double width, height;    /* of the input, pixels */
    bool softmax;
};

/* The boxes, surest first; the caller frees the array. `source` is the query. */
struct decode_box *decode_detr(const struct decode_queries *q, const struct decode_options *o,
                               const struct decode_frame *f, size_t *count);

/* Scores of 0..1 from logits: each for itself, or all together 1. In place or apart. */
void decode_sigmoid(const float *logits, size_t n, double *out);
void decode_softmax(const float *logits, size_t n, double *out);
