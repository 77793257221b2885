/* A model: a folder with `model.onnx` and `model.json` (models/README.md tells every field). Reading the folder checks
 * the JSON and that the network file is there, and costs no memory to speak of; the network itself is loaded when it is
 * first needed (session.h).
 *
 * A folder that does not hold together still becomes a struct model when its ids could be read: `broken` then says
 * what is wrong, and whoever asks for one of its ids is told so.
 *
 * Owner: the service (infer.h), from its start to its end. Immutable after model_read, so any thread may read it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum model_task { MODEL_DETECTION, MODEL_SEGMENTATION, MODEL_KEYPOINTS, MODEL_CLASSIFICATION, MODEL_TASKS };
enum model_decoder { MODEL_CENTERNET, MODEL_YOLO, MODEL_DETR, MODEL_MOVENET, MODEL_SCORES };
enum model_layout { MODEL_NHWC, MODEL_NCHW };
enum model_channels { MODEL_RGB, MODEL_BGR };
enum model_resize { MODEL_STRETCH, MODEL_LETTERBOX, MODEL_CROP };
enum model_activation { MODEL_AS_IS, MODEL_SIGMOID, MODEL_SOFTMAX }; /* what makes scores of the outputs */

enum { MODEL_OUTPUTS = 2 };

struct model_input {
    struct str name;
    int width, height;
    enum model_layout layout;
    enum model_channels channels;
    enum model_resize resize;
    double mean[3], scale[3]; /* value = (pixel - mean) * scale, in the order of `channels` */
    double pad;               /* the pixel where a letterbox has no picture */
};

struct model {
    struct arena arena;
    struct str dir;    /* the folder's path */
    struct str folder; /* its name */
    struct str name;   /* for people: "CenterNet demo" */
    enum model_task task;
    struct str *ids;   /* what it answers to; the first is its own */
    size_t id_count;
    struct str *aliases; /* names it answers to besides */
    size_t alias_count;
    struct str *classes;
    size_t class_count;
    struct str *keypoints; /* of a keypoint model */
    size_t keypoint_count;
    struct model_input input;
    enum model_decoder decoder;
    struct str outputs[MODEL_OUTPUTS]; /* the decoder's, in the order of its table in model.c */
    size_t output_count;
    enum model_activation activation;
    bool multi_label;           /* classification: each class for itself */
    int stride;                 /* centernet: input pixels a cell */
    double confidence;          /* what "best" and "default" stand for; 0.4 when the file does not say */
    int threads, queue;         /* of its own, for its jobs; 0: the service's */
    int runtime_threads;        /* of ONNX Runtime, for a run; 0: the service's */
    struct err broken;          /* code ERR_NONE: it is whole */
};

/* Reads DIR/model.json. NULL when not even its ids could be read; else see `broken`. */
struct model *model_read(const char *dir, struct err *e);
void model_free(struct model *m);

bool model_answers(const struct model *m, struct str id);

const char *model_task_name(enum model_task task); /* "keypoint-detection" */
const char *model_task_path(enum model_task task); /* "keypoints_detection", the last segment of its route */
