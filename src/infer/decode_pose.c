#include "infer/decode_pose.h"

#include <math.h>

enum { POINT = 3, BOX = 5 };

static const float *row_of(const struct decode_poses *p, size_t row) {
    return &p->data[row * (POINT * p->keypoints + (p->multiple ? BOX : 0))];
}

/* Left, top, right, bottom in input pixels, and the score. False: nobody is there. */
static bool around(const struct decode_poses *p, const float *row, double sides[4], double *score) {
    double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY, sum = 0;
    size_t seen = 0;
    for (size_t k = 0; k < p->keypoints; k++, row += POINT) {
        sum += (double)row[2];
        if (!((double)row[2] >= DECODE_POSE_SEEN)) continue;
        left = fmin(left, (double)row[1]), right = fmax(right, (double)row[1]);
        top = fmin(top, (double)row[0]), bottom = fmax(bottom, (double)row[0]);
        seen++;
    }
    *score = sum / (double)p->keypoints;
    sides[0] = left * p->width, sides[1] = top * p->height;
    sides[2] = right * p->width, sides[3] = bottom * p->height;
    return seen > 1;
}

struct decode_box *decode_movenet(const struct decode_poses *p, const struct decode_options *o,
                                  const struct decode_frame *f, size_t *count) {
    struct decode_list list = {0};
    for (size_t i = 0; i < p->rows; i++) {
        const float *row = row_of(p, i), *box = row + POINT * p->keypoints;
        double sides[4], score;
        if (p->multiple) {
            sides[0] = (double)box[1] * p->width, sides[1] = (double)box[0] * p->height;
            sides[2] = (double)box[3] * p->width, sides[3] = (double)box[2] * p->height;
            score = (double)box[4];
        } else if (!around(p, row, sides, &score)) {
            continue;
        }
        if (score >= o->confidence && (!o->classes || o->classes[0])) decode_add(&list, f, sides, score, 0, i);
    }
    *count = list.count ? decode_nms(list.boxes, list.count, o) : 0;
    return list.boxes;
}

void decode_movenet_points(const struct decode_poses *p, const struct decode_frame *f, size_t row,
                           struct decode_point *out) {
    const float *point = row_of(p, row);
    for (size_t k = 0; k < p->keypoints; k++, point += POINT)
        out[k] = decode_place(f, (double)point[1] * p->width, (double)point[0] * p->height, (double)point[2]);
}
