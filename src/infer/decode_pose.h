/* Decoder "movenet": keypoints of people as MoveNet gives them. A keypoint is y, x (parts of the input from 0 to 1) and
 * a score. Single pose (1 x 1 x K x 3) is one row of keypoints; multi-pose (1 x P x (3 K + 5)) has behind the keypoints
 * of each row its box (top, left, bottom, right) and its score.
 *
 * Single pose tells neither box nor score of the whole: the score is the mean of the keypoints', the box goes around
 * those of at least DECODE_POSE_SEEN, and with fewer than two of them nobody is there.
 *
 * Pure functions, any thread. */
#pragma once
#include "infer/decode.h"

#define DECODE_POSE_SEEN 0.2

struct decode_poses {
    const float *data;
    size_t rows, keypoints;
    bool multiple;        /* with box and score */
    double width, height; /* of the input, pixels */
};

/* The boxes, surest first; the caller frees the array. `source` is the row. */
struct decode_box *decode_movenet(const struct decode_poses *p, const struct decode_options *o,
                                  const struct decode_frame *f, size_t *count);
void decode_movenet_points(const struct decode_poses *p, const struct decode_frame *f, size_t row,
                           struct decode_point *out);
