/* The inference service: the models of a folder, and threads of its own that decode pictures and run networks.
 *
 * A job is one request: a model and its pictures. infer_submit hands it over; a thread of the service loads the
 * model if need be, works the pictures off in order, calls `each` after every picture and `done` at the end. A job
 * without pictures only loads the model, which is what POST /model/add is; that has a thread and a queue of its own.
 * Pictures that are told by URL are fetched first, by threads of their own (fetch.h), so that a slow host keeps nobody's
 * model waiting. When the queue is full, infer_submit says no at once.
 *
 * Owner: the caller makes the job and owns it until infer_submit returns true; then the service does until `done` is
 * called, and the caller again from then on. What the inputs point to must live as long. infer_job_free frees what
 * the service put in.
 *
 * Any thread may call any function here. `each` and `done` run on a thread of the service. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/image.h"
#include "infer/fetch.h"
#include "infer/model.h"
#include "infer/result.h"
#include "infer/show.h"

struct infer;

struct infer_config {
    const char *models_dir;       /* each folder in it is a model; one that is not there means no models */
    unsigned threads;             /* jobs worked on at once; a model may have its own */
    unsigned queue;               /* jobs that wait; one more gets ERR_BUSY */
    unsigned runtime_threads;     /* of ONNX Runtime, for each run */
    struct image_limits limits;
    struct fetch_config fetch;    /* .hosts NULL: as if empty */
};

/* After image_start. A model folder that is broken is logged and answers its ids with an error; the service starts all
 * the same. */
struct infer *infer_new(const struct infer_config *config, struct err *e);
void infer_stop(struct infer *s); /* from now on what is not begun fails with ERR_BUSY, pictures of a job too */
void infer_free(struct infer *s); /* finishes the jobs that were taken, then frees everything */

/* The model that answers to the id. NULL with ERR_NOT_FOUND (nothing does) or ERR_INTERNAL (its folder is broken).
 * Loads nothing, lists nothing, waits for nothing. */
const struct model *infer_find(struct infer *s, struct str id, struct err *e);

/* The folder is whole, its network loads, runs once on nothing, and gives what model.json says. */
bool infer_try(const char *dir, struct err *e);

/* What GET /model/registry shows: every id that a job asked for, literally, in the order of their first time. */
struct infer_listed {
    struct str id; /* lives as long as the service */
    const struct model *model;
    size_t batch; /* pictures a run takes; 0: any number */
};
struct infer_listed *infer_registry(struct infer *s, struct arena *a, size_t *count); /* in the arena */

struct infer_options {
    bool model_confidence; /* "best" and "default": the model's own threshold, not `confidence` */
    double confidence;
    double iou_threshold;
    bool class_agnostic_nms;
    const struct str *class_filter; /* names; none: every class */
    size_t class_filter_count;
    size_t max_detections;
    size_t max_candidates;
    double keypoint_confidence; /* keypoints below are left out */
    double mask_factor;         /* from 0, masks as coarse as the network gives them, to 1, as fine as its input */
    bool runs;                  /* masks as run lengths, not as outlines */
    struct show_options show;
    bool auto_orient; /* boxes, width and height are of the upright picture */
};
#define INFER_OPTIONS_DEFAULT                                                                                       \
    ((struct infer_options){.confidence = 0.4, .iou_threshold = 0.3, .max_detections = 300, .max_candidates = 3000, \
                            .mask_factor = 1, .show = {.stroke = 1}, .auto_orient = true})

struct infer_input {
    struct str bytes; /* the encoded picture, or its base64 text, or its URL */
    bool base64, url;
};

struct infer_result {
    int width, height;       /* of the picture that the boxes are in */
    struct str bytes;        /* the encoded picture; inside the job, or the input itself */
    struct result found;
    struct buf drawing;      /* the service's: a JPEG with what was found, when that was asked for */
    struct buf decoded;      /* the service's: holds `bytes` when the input was base64 or a URL */
};

struct infer_job {
    /* the caller's */
    struct str model_id;
    const enum model_task *task; /* what the model has to be able to; NULL: whatever it is */
    struct infer_options options;
    const struct infer_input *inputs;
    size_t count;
    uint64_t account;   /* whose it is, for infer_meter */
    int64_t started_us; /* clock_mono_us when the request came; 0: when it is submitted */
    /* After each picture, while its pixels are there: for a thumbnail, for keeping it. May be NULL. */
    void (*each)(struct infer_job *job, size_t index, const struct image *pixels);
    void (*done)(struct infer_job *job);
    void *user;

    /* the service's; there when done is called */
    const struct model *model;
    const char *model_sha256;     /* of the network file, hexadecimal; NULL when it could not be loaded */
    struct infer_result *results; /* one a picture; a picture that cannot be loaded fails the whole job */
    double load_s;                /* the network was loaded for this job, in so many seconds; 0: it was there */
    bool ok;
    struct err err;    /* when not ok */
    double elapsed_s;  /* from started_us to the end, the same for all pictures of the job */
    struct arena arena;
    struct infer *service;
};

/* What GET /metrics tells to the account (meter.h). */
void infer_meter(struct infer *s, uint64_t account, struct buf *out);

/* Jobs that wait for a thread. */
size_t infer_waiting(struct infer *s);

/* False with ERR_NOT_FOUND, ERR_INTERNAL (see infer_find), ERR_INVALID (the model is for another task, a URL is
 * not allowed) or ERR_BUSY: then nothing was taken and nothing is called. */
bool infer_submit(struct infer *s, struct infer_job *job, struct err *e);
void infer_job_free(struct infer_job *job); /* what the service put in; the struct itself is the caller's */

/* The threshold that holds for a job. */
static inline double infer_confidence(const struct infer_job *job) {
    return job->options.model_confidence ? job->model->confidence : job->options.confidence;
}
