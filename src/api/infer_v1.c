/* The SDK's v1 way (protocol 1.6, 2.2, 2.3): the registry, and POST /infer/object_detection. */
#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/inference.h"
#include "api/options.h"

#define NO_URL "Could not load input image. Cause: Providing images via URL is not enabled on this server."
#define NO_NUMPY \
    "Could not load input image. Cause: NumPy image type is not supported in this configuration of `inference`."
#define NO_TYPE "Could not load input image. Cause: Image declaration contains not recognised image type."

enum { IMAGES_MOST = 256 };

static struct str text_of(const json_t *v) {
    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : (struct str){0};
}

/* FastAPI's form: which field, and what is wrong with it. */
static void unprocessable(struct request *r, const char *field, const char *message) {
    put_object(&r->out);
    put_key(&r->out, "detail"), put_array(&r->out), put_object(&r->out);
    put_key(&r->out, "type"), put_strz(&r->out, "value_error");
    put_key(&r->out, "loc"), put_array(&r->out);
    put_strz(&r->out, "body");
    if (field) put_strz(&r->out, field);
    put_array_end(&r->out);
    put_key(&r->out, "msg"), put_strz(&r->out, message);
    put_object_end(&r->out), put_array_end(&r->out), put_object_end(&r->out);
    respond_json(r, 422);
}

/* The body as an object that goes with the request. NULL: answered. 401 comes before any fault in the body. */
static json_t *read_body(struct request *r, struct identity *who) {
    json_error_t fault;
    struct err e = {0};
    json_t *body = json_loadb(r->body.p ? r->body.p : "", r->body.n, 0, &fault);
    if (!authenticate_inference(r, text_of(json_object_get(body, "api_key")), who, &e)) {
        respond_error(r, &e);
    } else if (!body) {
        unprocessable(r, NULL,
                      arena_printf(&r->arena, "the body is not JSON: %s (byte %d)", fault.text, fault.position));
    } else if (!json_is_object(body)) {
        unprocessable(r, NULL, "the body must be an object");
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
        respond_registry(r);
    else
        respond_error(r, &e);
}

static void added(struct request *r) {
    const struct inference_call *call = r->data;
    if (call->err.code != ERR_NONE || !call->job.ok)
        respond_error(r, call->err.code != ERR_NONE ? &call->err : &call->job.err);
    else
        respond_registry(r);
}

static void loaded(struct infer_job *job) {
    const struct inference_call *call = job->user;
    request_wake(call->r);
}

void post_model_add(struct request *r) {
    struct inference_call *call = inference_call_new(r);
    struct infer_job *job = &call->job;
    if (!(call->body = read_body(r, &call->who))) return;
    job->model_id = text_of(json_object_get(call->body, "model_id"));
    if (job->model_id.n == 0) {
        unprocessable(r, "model_id", "a string is needed");
        return;
    }
    job->done = loaded;
    request_wait(r, added);
    if (!infer_submit(app_of(r)->infer, job, &call->err)) request_wake(r);
}

/* The SDK sends these without a key. The models here serve everyone, so nothing is unloaded; the empty registry is
 * what the caller then expects to see. */
void post_model_remove(struct request *r) { respond_static(r, 200, "application/json", "{\"models\":[]}", 13); }

/* ---- POST /infer/object_detection ---- */

/* One image declaration. False: answered. */
static bool read_image(struct request *r, const json_t *v, struct infer_input *input) {
    const json_t *value = json_object_get(v, "value");
    struct str type = text_of(json_object_get(v, "type"));
    const char *problem = NULL;
    if (str_eq_nocase(type, STR("url")))
        problem = NO_URL;
    else if (str_eq_nocase(type, STR("numpy")) || str_eq_nocase(type, STR("numpy_object")))
        problem = NO_NUMPY;
    else if (!str_eq_nocase(type, STR("base64")))
        problem = NO_TYPE;
    if (problem) return respond_fail(r, ERR_INVALID, "%s", problem), false;
    if (!json_is_string(value)) return unprocessable(r, "image", "value must be a string"), false;
    *input = (struct infer_input){.bytes = text_of(value), .base64 = true};
    return true;
}

static bool read_images(struct request *r, struct inference_call *call, const json_t *image) {
    call->as_list = json_is_array(image);
    size_t count = call->as_list ? json_array_size(image) : 1;
    if (!call->as_list && !json_is_object(image))
        return unprocessable(r, "image", "an object, or a list of objects, is needed"), false;
    if (count == 0 || count > IMAGES_MOST)
        return unprocessable(r, "image", arena_printf(&r->arena, "%zu images; 1 to %d are taken", count, IMAGES_MOST)),
               false;
    struct infer_input *inputs = arena_alloc(&r->arena, count * sizeof *inputs);
    for (size_t i = 0; i < count; i++)
        if (!read_image(r, call->as_list ? json_array_get(image, i) : image, &inputs[i])) return false;
    call->job.inputs = inputs;
    call->job.count = count;
    return true;
}

static bool read_confidence(const json_t *v, struct infer_options *o) {
    struct str text = text_of(v);
    if (str_is(text, "best") || str_is(text, "default")) return o->model_confidence = true;
    return option_number_json(v, &o->confidence) && o->confidence >= 0 && o->confidence <= 1;
}

static bool read_count(const json_t *v, size_t *out) {
    double n;
    if (!option_number_json(v, &n) || n < 1 || n > 1e6 || n != (double)(size_t)n) return false;
    *out = (size_t)n;
    return true;
}

static bool read_classes(struct request *r, const json_t *v, struct infer_options *o) {
    if (!json_is_array(v)) return false;
    struct str *names = arena_alloc(&r->arena, json_array_size(v) * sizeof *names);
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i))) return false;
        names[i] = text_of(json_array_get(v, i));
    }
    o->class_filter = names;
    o->class_filter_count = json_array_size(v);
    return true;
}

static bool read_text(const json_t *v, struct str *out) {
    struct err e;
    *out = text_of(v);
    return json_is_string(v) && check_text(*out, "text", &e);
}

static bool read_id(const json_t *v, struct str *out) {
    struct err e;
    *out = text_of(v);
    return json_is_string(v) && check_id(*out, &e);
}

/* The members that mean something here; null and absent are the default. False: answered. */
static bool read_options(struct request *r, struct inference_call *call) {
    struct infer_options *o = &call->job.options;
    bool unmonitored = false, as_stored = false, visualize = false;
    const char *name, *needed = NULL;
    json_t *v;
    json_object_foreach(call->body, name, v) {
        if (json_is_null(v)) continue;
        if (strcmp(name, "confidence") == 0 && !read_confidence(v, o))
            needed = "a number from 0 to 1, \"best\" or \"default\"";
        if (strcmp(name, "iou_threshold") == 0 &&
            !(option_number_json(v, &o->iou_threshold) && o->iou_threshold >= 0 && o->iou_threshold <= 1))
            needed = "a number from 0 to 1";
        if (strcmp(name, "max_detections") == 0 && !read_count(v, &o->max_detections))
            needed = "a whole number from 1 to 1000000";
        if (strcmp(name, "max_candidates") == 0 && !read_count(v, &o->max_candidates))
            needed = "a whole number from 1 to 1000000";
        if (strcmp(name, "class_filter") == 0 && !read_classes(r, v, o)) needed = "a list of class names";
        if (strcmp(name, "class_agnostic_nms") == 0 && !option_truth_json(v, &o->class_agnostic_nms))
            needed = "a boolean";
        if (strcmp(name, "disable_preproc_auto_orient") == 0 && !option_truth_json(v, &as_stored)) needed = "a boolean";
        if (strcmp(name, "disable_model_monitoring") == 0 && !option_truth_json(v, &unmonitored)) needed = "a boolean";
        if (strcmp(name, "visualize_predictions") == 0 && !option_truth_json(v, &visualize)) needed = "a boolean";
        if (strcmp(name, "source") == 0 && !read_text(v, &call->source))
            needed = "a string of at most 1024 bytes without control characters";
        if (strcmp(name, "source_info") == 0 && !read_text(v, &call->source_info))
            needed = "a string of at most 1024 bytes without control characters";
        if (strcmp(name, "id") == 0 && !read_id(v, &call->id))
            needed = "a string of 1 to 256 bytes without control characters";
        if (strcmp(name, "model_id") == 0 && !(read_text(v, &call->job.model_id) && call->job.model_id.n))
            needed = "a string";
        if (needed) return unprocessable(r, name, arena_printf(&r->arena, "%s is needed", needed)), false;
    }
    if (visualize)
        return respond_fail(r, ERR_NOT_IMPLEMENTED,
                            "visualize_predictions: this server draws no pictures; leave it out"),
               false;
    if (call->job.model_id.n == 0) return unprocessable(r, "model_id", "Field required"), false;
    o->auto_orient = !as_stored;
    call->monitored = !unmonitored;
    return true;
}

void post_object_detection(struct request *r) {
    struct inference_call *call = inference_call_new(r);
    if (!(call->body = read_body(r, &call->who)) || !read_options(r, call)) return;
    const json_t *image = json_object_get(call->body, "image");
    if (!image)
        unprocessable(r, "image", "Field required");
    else if (read_images(r, call, image))
        inference_run(call);
}

/* Other tasks of the inference server. */
void post_other_task(struct request *r) {
    respond_fail(r, ERR_NOT_IMPLEMENTED, "this server runs object detection only (POST /infer/object_detection)");
}
