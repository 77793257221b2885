/* A result drawn on its picture: boxes, masks, keypoints, names. Any thread. */
#pragma once
#include "base/buf.h"
#include "image/image.h"
#include "infer/result.h"

struct show_options {
    bool wanted;
    bool labels;     /* class and confidence at each box; a classification is always told */
    unsigned stroke; /* of the lines, pixels */
};
enum { SHOW_STROKE_MOST = 100 };

/* Draws on the picture itself and appends it as a JPEG. `confidence`: of the labels of a multi-label model. */
bool show_result(struct image *picture, const struct model *m, const struct result *r, const struct show_options *o,
                 double confidence, struct buf *jpeg, struct err *e);
