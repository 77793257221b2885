/* The SDK's v1 way (protocol 1.6, 2.2, 2.3): the registry, and POST /infer/<task>. */
#include <math.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/inference.h"
#include "api/options.h"

#define NO_NUMPY \
    "Could not load input image. Cause: NumPy image type is not supported in this configuration of `inference`."
#define NO_TYPE "Could not load input image. Cause: Image declaration contains not recognised image type."

enum { IMAGES_MOST = 256 };

/* Of what a 422 shows of the input; a picture is longer. */
enum { SHOWN_MOST = 256 };
#define MISSING "Field required"

static void put_input(struct buf *to, const json_t *input) {
    char text[SHOWN_MOST];
    size_t n = input ? json_dumpb(input, text, sizeof text, JSON_ENCODE_ANY | JSON_COMPACT) : 0;
    if (n && n <= sizeof text)
        put_raw(to, (struct str){text, n});
    else
        put_null(to);
}

/* FastAPI's form: which field, what is wrong with it, and what came (null when that is long, or nothing). */
static void unprocessable(struct request *r, const char *field, const json_t *input, const char *message) {
    put_object(&r->out);
    put_key(&r->out, "detail"), put_array(&r->out), put_object(&r->out);
    put_key(&r->out, "type"), put_strz(&r->out, strcmp(message, MISSING) == 0 ? "missing" : "value_error");
    put_key(&r->out, "loc"), put_array(&r->out);
    put_strz(&r->out, "body");
    if (field) put_strz(&r->out, field);
    put_array_end(&r->out);
    put_key(&r->out, "msg"), put_strz(&r->out, message);
    put_key(&r->out, "input"), put_input(&r->out, input);
    put_object_end(&r->out), put_array_end(&r->out), put_object_end(&r->out);
    respond_json(r, 422);
}

/* The body as an object that goes with the request. NULL: answered. 401 comes before any fault in the body. */
static json_t *read_body(struct request *r, struct identity *who) {
    json_error_t fault;
    struct err e = {0};
    json_t *body = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, &fault);
    if (!authenticate_inference(r, json_text(json_object_get(body, "api_key")), who, &e)) {
        respond_error(r, &e);
    } else if (!body) {
        unprocessable(r, NULL, NULL,
                      arena_printf(&r->arena, "the body is not JSON: %s (byte %d)", fault.text, fault.position));
    } else if (!json_is_object(body)) {
        unprocessable(r, NULL, body, "the body must be an object");
    } else {
        return body;
    }
    json_decref(body);
    return NULL;
}

/* ---- the registry ---- */

void get_registry(struct request *r) {
    struct identity who;
    struct err e = {0};
    if (authenticate_inference(r, (struct str){0}, &who, &e))
        respond_registry(r, true);
    else
        respond_error(r, &e);
}

static void added(struct request *r) {
    const struct inference_call *call = r->data;
    respond_model_headers(r, &call->job);
    if (call->err.code != ERR_NONE || !call->job.ok)
        respond_error(r, call->err.code != ERR_NONE ? &call->err : &call->job.err);
    else
        respond_registry(r, true);
}

static void loaded(struct infer_job *job) {
    const struct inference_call *call = job->user;
    request_wake(call->r);
}

void post_model_add(struct request *r) {
    struct inference_call *call = inference_call_new(r);
    struct infer_job *job = &call->job;
    if (!(call->body = read_body(r, &call->who))) return;
    const json_t *id = json_object_get(call->body, "model_id");
    job->model_id = json_text(id);
    if (job->model_id.n == 0) {
        unprocessable(r, "model_id", id, id ? "a string is needed" : MISSING);
        return;
    }
    job->done = loaded;
    job->account = (uint64_t)call->who.workspace_id;
    request_wait(r, added);
    if (!infer_submit(app_of(r)->infer, job, &call->err)) request_wake(r);
}

static void started(struct request *r) {
    const struct inference_call *call = r->data;
    static const char done[] = "{\"status\":200,\"message\":\"inference session started from local memory.\"}";
    if (call->err.code != ERR_NONE || !call->job.ok)
        respond_error(r, call->err.code != ERR_NONE ? &call->err : &call->job.err);
    else
        respond_static(r, 200, "application/json", done, sizeof done - 1);
}

void get_start(struct request *r) {
    struct inference_call *call = inference_call_new(r);
    struct infer_job *job = &call->job;
    struct str project = request_param(r, "project"), version = request_param(r, "version");
    struct err e = {0};
    if (!authenticate_inference(r, (struct str){0}, &call->who, &e)) {
        respond_error(r, &e);
        return;
    }
    job->model_id = str_of(arena_printf(&r->arena, STR_FMT "/" STR_FMT, STR_ARG(project), STR_ARG(version)));
    job->done = loaded;
    job->account = (uint64_t)call->who.workspace_id;
    request_wait(r, started);
    if (!infer_submit(app_of(r)->infer, job, &call->err)) request_wake(r);
}

/* The SDK sends these without a key. The models here serve everyone, so nothing is unloaded; the empty registry is
 * what the caller then expects to see. */
void post_model_remove(struct request *r) { respond_registry(r, false); }

/* ---- POST /infer/<task> ---- */

/* One image declaration. False: answered. */
static bool read_image(struct request *r, const json_t *v, struct infer_input *input) {
    const json_t *value = json_object_get(v, "value");
    struct str type = json_text(json_object_get(v, "type"));
    const char *problem = NULL;
    bool url = str_eq_nocase(type, STR("url"));
    if (str_eq_nocase(type, STR("numpy")) || str_eq_nocase(type, STR("numpy_object")))
        problem = NO_NUMPY;
    else if (!url && !str_eq_nocase(type, STR("base64")))
        problem = NO_TYPE;
    if (problem) return respond_fail(r, ERR_INVALID, "%s", problem), false;
    if (!json_is_string(value)) return unprocessable(r, "image", v, "value must be a string"), false;
    *input = (struct infer_input){.bytes = json_text(value), .base64 = !url, .url = url};
    return true;
}

static bool read_images(struct request *r, struct inference_call *call, const json_t *image) {
    call->as_list = json_is_array(image);
    size_t count = call->as_list ? json_array_size(image) : 1;
    if (!call->as_list && !json_is_object(image))
        return unprocessable(r, "image", image, "an object, or a list of objects, is needed"), false;
    if (count == 0 || count > IMAGES_MOST)
        return unprocessable(r, "image", image,
                             arena_printf(&r->arena, "%zu images; 1 to %d are taken", count, IMAGES_MOST)),
               false;
    struct infer_input *inputs = arena_alloc(&r->arena, count * sizeof *inputs);
    for (size_t i = 0; i < count; i++)
        if (!read_image(r, call->as_list ? json_array_get(image, i) : image, &inputs[i])) return false;
    call->job.inputs = inputs;
    call->job.count = count;
    return true;
}

/* ---- its options ---- */

/* What the options of one body come to; some hang together. */
struct reading {
    struct request *r;
    struct inference_call *call;
    bool unmonitored, as_stored;
    struct str mask_mode;
    double mask_factor;
};
#define OPTIONS(rd) (&(rd)->call->job.options)

static bool read_confidence(struct reading *rd, const json_t *v) {
    struct infer_options *o = OPTIONS(rd);
    struct str text = json_text(v);
    bool best = str_is(text, "best") && *rd->call->job.task != MODEL_KEYPOINTS;
    if (best || str_is(text, "default")) return o->model_confidence = true;
    return option_number_json(v, &o->confidence) && o->confidence >= 0 && o->confidence <= 1;
}

static bool read_share(const json_t *v, double *out) {
    return option_number_json(v, out) && *out >= 0 && *out <= 1;
}

static bool read_iou(struct reading *rd, const json_t *v) { return read_share(v, &OPTIONS(rd)->iou_threshold); }

static bool read_keypoint_confidence(struct reading *rd, const json_t *v) {
    return read_share(v, &OPTIONS(rd)->keypoint_confidence);
}

static bool read_count(const json_t *v, size_t *out) {
    double n;
    if (!option_number_json(v, &n) || n < 1 || n > 1e6 || n != (double)(size_t)n) return false;
    *out = (size_t)n;
    return true;
}

static bool read_detections(struct reading *rd, const json_t *v) { return read_count(v, &OPTIONS(rd)->max_detections); }
static bool read_candidates(struct reading *rd, const json_t *v) { return read_count(v, &OPTIONS(rd)->max_candidates); }

static bool read_classes(struct reading *rd, const json_t *v) {
    struct infer_options *o = OPTIONS(rd);
    if (!json_is_array(v)) return false;
    struct str *names = arena_alloc(&rd->r->arena, json_array_size(v) * sizeof *names);
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i))) return false;
        names[i] = json_text(json_array_get(v, i));
    }
    o->class_filter = names;
    o->class_filter_count = json_array_size(v);
    return true;
}

static bool read_agnostic(struct reading *rd, const json_t *v) {
    return option_truth_json(v, &OPTIONS(rd)->class_agnostic_nms);
}

static bool read_orient(struct reading *rd, const json_t *v) { return option_truth_json(v, &rd->as_stored); }
static bool read_unmonitored(struct reading *rd, const json_t *v) { return option_truth_json(v, &rd->unmonitored); }

static bool read_visualize(struct reading *rd, const json_t *v) {
    return option_truth_json(v, &OPTIONS(rd)->show.wanted);
}

static bool read_labels(struct reading *rd, const json_t *v) { return option_truth_json(v, &OPTIONS(rd)->show.labels); }

static bool read_stroke(struct reading *rd, const json_t *v) {
    double n;
    if (!option_number_json(v, &n) || n < 0 || n > SHOW_STROKE_MOST) return false;
    OPTIONS(rd)->show.stroke = (unsigned)n;
    return true;
}

static bool read_mask_mode(struct reading *rd, const json_t *v) {
    rd->mask_mode = json_text(v);
    return rd->mask_mode.n > 0;
}

static bool read_mask_factor(struct reading *rd, const json_t *v) { return option_number_json(v, &rd->mask_factor); }

static bool read_mask_format(struct reading *rd, const json_t *v) {
    return option_mask_format(json_text(v), &OPTIONS(rd)->runs);
}

static bool read_text(const json_t *v, struct str *out) {
    struct err e;
    *out = json_text(v);
    return json_is_string(v) && check_text(*out, "text", &e);
}

static bool read_source(struct reading *rd, const json_t *v) { return read_text(v, &rd->call->source); }
static bool read_source_info(struct reading *rd, const json_t *v) { return read_text(v, &rd->call->source_info); }

static bool read_model_id(struct reading *rd, const json_t *v) {
    return read_text(v, &rd->call->job.model_id) && rd->call->job.model_id.n;
}

static bool read_id(struct reading *rd, const json_t *v) {
    struct err e;
    rd->call->id = json_text(v);
    return json_is_string(v) && check_id(rd->call->id, &e);
}

#define TASK(t) (1u << MODEL_##t)
#define OBJECTS (TASK(DETECTION) | TASK(SEGMENTATION) | TASK(KEYPOINTS))
#define ALL (OBJECTS | TASK(CLASSIFICATION))
#define TRUTH "a boolean is needed"
#define COUNT "a whole number from 1 to 1000000 is needed"
#define TEXT "a string of at most 1024 bytes without control characters is needed"

/* The members that mean something here, and for which tasks; elsewhere they are unknown, and ignored. */
static const struct {
    const char *name;
    unsigned tasks;
    bool (*read)(struct reading *rd, const json_t *v);
    const char *needed;
} members[] = {
    {"model_id", ALL, read_model_id, "a string is needed"},
    {"id", ALL, read_id, "a string of 1 to 256 bytes without control characters is needed"},
    {"confidence", ALL, read_confidence,
     "a number from 0 to 1, \"best\" (not for keypoints) or \"default\" is needed"},
    {"iou_threshold", OBJECTS, read_iou, "a number from 0 to 1 is needed"},
    {"max_detections", OBJECTS, read_detections, COUNT},
    {"max_candidates", OBJECTS, read_candidates, COUNT},
    {"class_filter", OBJECTS, read_classes, "a list of class names is needed"},
    {"class_agnostic_nms", OBJECTS, read_agnostic, TRUTH},
    {"keypoint_confidence", TASK(KEYPOINTS), read_keypoint_confidence, "a number from 0 to 1 is needed"},
    {"mask_decode_mode", TASK(SEGMENTATION), read_mask_mode, "a string is needed"},
    {"tradeoff_factor", TASK(SEGMENTATION), read_mask_factor, "a number is needed"},
    {"response_mask_format", TASK(SEGMENTATION), read_mask_format, "\"polygon\" or \"rle\" is needed"},
    {"disable_preproc_auto_orient", ALL, read_orient, TRUTH},
    {"disable_model_monitoring", ALL, read_unmonitored, TRUTH},
    {"visualize_predictions", ALL, read_visualize, TRUTH},
    {"visualization_labels", OBJECTS, read_labels, TRUTH},
    {"visualization_stroke_width", ALL, read_stroke, "a number from 0 to 100 is needed"},
    {"source", ALL, read_source, TEXT},
    {"source_info", ALL, read_source_info, TEXT},
};

/* null and absent are the default. False: answered. */
static bool read_options(struct request *r, struct inference_call *call) {
    struct infer_options *o = &call->job.options;
    struct reading rd = {.r = r, .call = call, .mask_factor = NAN};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *v = json_object_get(call->body, members[i].name);
        if (!v || json_is_null(v) || !(members[i].tasks & (1u << *call->job.task))) continue;
        if (!members[i].read(&rd, v)) return unprocessable(r, members[i].name, v, members[i].needed), false;
    }
    if (!option_mask(rd.mask_mode, rd.mask_factor, &o->mask_factor, &call->err))
        return respond_error(r, &call->err), false;
    if (call->job.model_id.n == 0)
        return unprocessable(r, "model_id", json_object_get(call->body, "model_id"), MISSING), false;
    o->auto_orient = !rd.as_stored;
    call->monitored = !rd.unmonitored;
    return true;
}

void post_infer(struct request *r) {
    static const enum model_task tasks[] = {MODEL_DETECTION, MODEL_SEGMENTATION, MODEL_KEYPOINTS, MODEL_CLASSIFICATION};
    struct inference_call *call = inference_call_new(r);
    for (size_t i = 0; i < MODEL_TASKS; i++)
        if (str_is(r->segments[1], model_task_path(tasks[i]))) call->job.task = &tasks[i];
    if (!call->job.task) {
        respond_fail(r, ERR_NOT_IMPLEMENTED,
                     "this server runs object_detection, instance_segmentation, keypoints_detection and "
                     "classification, not " STR_FMT,
                     (int)(r->segments[1].n < 60 ? r->segments[1].n : 60), r->segments[1].p);
        return;
    }
    if (!(call->body = read_body(r, &call->who)) || !read_options(r, call)) return;
    const json_t *image = json_object_get(call->body, "image");
    if (!image)
        unprocessable(r, "image", NULL, MISSING);
    else if (read_images(r, call, image))
        inference_run(call);
}
