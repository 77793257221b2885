/* Masks of instances, as YOLOv8 and YOLO11 segmentation exports give them: `protos` (1 x M x rows x columns) are M
 * pictures that cover the network's input; a detection has M coefficients, and belongs where the sum of coefficient
 * times proto is over 0, within its box.
 *
 * A mask is decided on a grid over the input: as fine as the protos ("fast"), as the input ("accurate", bilinear between
 * the protos' cells), or anything between ("tradeoff"). It leaves as the outline of its largest region in picture
 * pixels, or as run lengths over the whole picture (COCO: column by column, first the zeros, the numbers packed in
 * printable characters of 5 bits each as the COCO API's rleToString does).
 *
 * Pure functions, any thread. */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "infer/decode.h"

struct decode_protos {
    const float *data; /* count x rows x columns */
    size_t count, rows, columns;
    double input_width, input_height; /* pixels */
};

/* A window of the grid; a cell is 0 or 1, rows from the top. The caller frees `cells`. */
struct decode_mask {
    size_t left, top, width, height;
    double cell_width, cell_height; /* input pixels */
    uint8_t *cells;
};

/* `factor` from 0 (the protos' grid) to 1 (the input's). */
struct decode_mask decode_mask(const struct decode_protos *p, const float *coefficients, const struct decode_box *box,
                               const struct decode_frame *f, double factor);

/* The corners of the largest region's outline, clockwise, clipped to the picture; its holes are left out. NULL for an
 * empty mask; else the caller frees it. */
struct decode_point *decode_outline(const struct decode_mask *m, const struct decode_frame *f, size_t *count);

/* Appends the run lengths as text (no JSON: none of its characters is special there but the backslash). */
void decode_runs(const struct decode_mask *m, const struct decode_frame *f, struct buf *out);
