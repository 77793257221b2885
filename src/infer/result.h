/* What a network says of one picture: its output tensors, read by the model's decoder. The only place that knows which
 * decoder belongs to which tensors, and that looks whether tensors have the shapes which model.json says.
 *
 * Any thread. What a result points to is in the arena that was given. */
#pragma once
#include "base/mem.h"
#include "base/uuid.h"
#include "infer/decode.h"
#include "infer/model.h"
#include "infer/session.h"

struct result_options {
    struct decode_options decode;
    double keypoint_confidence; /* keypoints below are left out */
    double mask_factor;         /* decode_mask.h: 0 fast, 1 accurate */
    bool runs;                  /* masks as run lengths, not as outlines */
    bool outlines;              /* as outlines too */
};

struct result_keypoint {
    struct decode_point at;
    size_t class_id; /* its place in model.keypoints */
};

struct result_detection {
    struct decode_box box;
    struct str class_name; /* the model's */
    char id[UUID_TEXT];    /* detection_id */
    struct result_keypoint *keypoints;
    size_t keypoint_count;
    struct decode_point *outline; /* of its mask */
    size_t outline_count;
    struct str runs; /* of its mask; empty: not asked for */
    int picture_width, picture_height; /* that the runs go over */
};

/* A classification has scores and no detections. */
struct result {
    struct result_detection *detections; /* surest first */
    size_t count;
    double *scores; /* one a class */
    size_t *ranks;  /* the classes, surest first */
};

/* The outputs of a run over `pictures` pictures are what model.json says; the error names the output otherwise. */
bool result_fits(const struct model *m, const struct outputs *out, size_t pictures, struct err *e);

/* Of picture `index` of a run that fits. */
void result_read(const struct model *m, const struct outputs *out, size_t pictures, size_t index,
                 const struct result_options *o, const struct decode_frame *f, struct arena *a, struct result *r);
