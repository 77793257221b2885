/* Decoder "yolov8": the exports of YOLOv8 and YOLO11 (Ultralytics) to ONNX without suppression inside.
 *
 * `predictions` has a row an anchor: centre x, centre y, width, height in input pixels, a score a class from 0 to 1,
 * and after those, by task, the mask's coefficients (decode_mask.h), or a place and a score a keypoint in input pixels.
 * Exports have the rows as columns (1 x 84 x 8400); both ways round are read. An anchor stands for its best class.
 *
 * Pure functions, any thread. */
#pragma once
#include "infer/decode.h"

/* The table in the two ways it can lie in memory: the value of `channel` of `anchor` is at
 * data[anchor * anchor_step + channel * channel_step]. */
struct decode_table {
    const float *data;
    size_t anchors, channels, classes;
    size_t anchor_step, channel_step;
};

/* The boxes, surest first, suppressed; the caller frees the array. `source` is the anchor. */
struct decode_box *decode_yolo(const struct decode_table *t, const struct decode_options *o,
                               const struct decode_frame *f, size_t *count);

static inline float decode_at(const struct decode_table *t, size_t anchor, size_t channel) {
    return t->data[anchor * t->anchor_step + channel * t->channel_step];
}

/* The keypoints of an anchor; each is x, y and a score, or x and y alone with `parts` 2, which counts as sure. */
void decode_yolo_points(const struct decode_table *t, const struct decode_frame *f, size_t anchor, size_t count,
                        size_t parts, struct decode_point *out);
