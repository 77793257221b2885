/* GET and POST /:project/:version (protocol 2.5): the way of the hosted API's clients and of roboflow-python. The body
 * is the picture: base64 text whatever its Content-Type says, or the part `file` of a form. */
#include <math.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/inference.h"
#include "api/options.h"
#include "api/routes.h"

/* An option of the query, in the order in which they are looked at. False: answered. */
static bool number(struct request *r, const char *name, double *out) {
    struct str text = request_query(r, name);
    if (text.n == 0 || str_to_double(text, out)) return true;
    respond_fail(r, ERR_INVALID, "%s must be a number, not '" STR_FMT "'", name, (int)(text.n < 60 ? text.n : 60),
                 text.p);
    return false;
}

static bool truth(struct request *r, const char *name, bool *out) {
    struct str text = request_query(r, name);
    if (text.n == 0 || option_truth(text, out)) return true;
    respond_fail(r, ERR_INVALID, "%s must be true or false, not '" STR_FMT "'", name, (int)(text.n < 60 ? text.n : 60),
                 text.p);
    return false;
}

/* In daily use as a percentage: 40 is 0.4, and so 1 is 0.01. */
static double share(double v) { return v >= 1 ? v / 100 : v; }

static bool read_text(struct request *r, const char *name, struct str *out) {
    struct err e;
    *out = request_query(r, name);
    if (!out->p) *out = STR("external");
    if (check_text(*out, name, &e)) return true;
    respond_error(r, &e);
    return false;
}

static bool read_options(struct request *r, struct inference_call *call) {
    struct infer_options *o = &call->job.options;
    struct str confidence = request_query(r, "confidence"), format = request_query(r, "format");
    bool unmonitored = false, as_stored = false;
    double most = 300, factor = NAN, stroke = o->show.stroke;
    struct str mask_format = request_query(r, "response_mask_format");
    struct err e;
    o->model_confidence = str_is(confidence, "best") || str_is(confidence, "default");
    if (!o->model_confidence && !number(r, "confidence", &o->confidence)) return false;
    if (!number(r, "overlap", &o->iou_threshold) || !number(r, "max_detections", &most) ||
        !number(r, "keypoint_confidence", &o->keypoint_confidence) || !number(r, "tradeoff_factor", &factor))
        return false;
    if (!option_mask(request_query(r, "mask_decode_mode"), factor, &o->mask_factor, &e))
        return respond_error(r, &e), false;
    if (mask_format.n && !option_mask_format(mask_format, &o->runs))
        return respond_fail(r, ERR_INVALID, "response_mask_format must be polygon or rle"), false;
    if (!truth(r, "disable_preproc_auto_orient", &as_stored) || !truth(r, "disable_model_monitoring", &unmonitored))
        return false;
    if (!read_text(r, "source", &call->source) || !read_text(r, "source_info", &call->source_info)) return false;
    if (most < 1 || most > 1e6) return respond_fail(r, ERR_INVALID, "max_detections must be from 1 to 1000000"), false;
    if (o->confidence < 0 || o->iou_threshold < 0 || o->confidence > 100 || o->iou_threshold > 100)
        return respond_fail(r, ERR_INVALID, "confidence and overlap must be from 0 to 100"), false;
    call->as_picture = str_is(format, "image");
    o->show.wanted = call->as_picture || str_is(format, "image_and_json");
    if (!truth(r, "labels", &o->show.labels) || !number(r, "stroke", &stroke)) return false;
    if (stroke < 0 || stroke > SHOW_STROKE_MOST)
        return respond_fail(r, ERR_INVALID, "stroke must be from 0 to %d", SHOW_STROKE_MOST), false;
    o->show.stroke = (unsigned)stroke;
    o->confidence = share(o->confidence);
    if (o->confidence < 0.01) o->confidence = 0.01;
    o->iou_threshold = share(o->iou_threshold);
    o->max_detections = (size_t)most;
    o->auto_orient = !as_stored;
    call->monitored = !unmonitored;
    return true;
}

static bool form_file(struct request *r, struct str *bytes) {
    struct part *parts;
    size_t count;
    struct err e = {0};
    if (!request_multipart(r, &parts, &count, &e)) return respond_error(r, &e), false;
    for (size_t i = 0; i < count; i++) {
        if (!str_is(parts[i].name, "file") || !parts[i].has_filename) continue;
        *bytes = parts[i].bytes;
        return true;
    }
    respond_fail(r, ERR_INVALID,
                 "Invalid Content-Type header provided with request. A form must have the picture as its part `file`, "
                 "with a file name.");
    return false;
}

static bool read_picture(struct request *r, struct inference_call *call) {
    struct infer_input *input = arena_alloc(&r->arena, sizeof *input);
    struct str type = request_header(r, "Content-Type"), image_type = request_query(r, "image_type");
    call->job.inputs = input;
    call->job.count = 1;
    *input = (struct infer_input){.bytes = request_query(r, "image"), .url = true};
    if (input->bytes.n) return true;
    if (type.n == 0) return respond_fail(r, ERR_INVALID, "Content-Type header not provided with request."), false;
    if (image_type.n && !str_eq_nocase(image_type, STR("base64")))
        return respond_fail(r, ERR_INVALID,
                            "Could not load input image. Cause: NumPy image type is not supported in this "
                            "configuration of `inference`."),
               false;
    bool form = type.n >= 19 && str_eq_nocase((struct str){type.p, 19}, STR("multipart/form-data"));
    if (!form) {
        *input = (struct infer_input){.bytes = r->body, .base64 = true};
        if (r->body.n == 0)
            return respond_fail(r, ERR_INVALID, "Could not load input image. Cause: Image not found in request body."),
                   false;
        return true;
    }
    *input = (struct infer_input){0};
    return form_file(r, &input->bytes);
}

static void run_legacy(struct request *r) {
    struct str project = request_param(r, "project"), version = request_param(r, "version");
    struct inference_call *call = inference_call_new(r);
    struct err e = {0};
    /* WORKSPACE/inference-stats is the monitoring API's, whatever the method. */
    if (routes_reserved(project) || str_is(version, "inference-stats")) {
        respond_fail(r, ERR_NOT_FOUND, HTTP_NO_PATH);
    } else if (!authenticate_inference(r, (struct str){0}, &call->who, &e)) {
        respond_error(r, &e);
    } else if (str_is(r->method, "HEAD")) {
        respond_empty(r, 200);
    } else if (str_is(r->method, "GET") && r->body.n == 0 && request_query(r, "image").n == 0 &&
               str_is(project, call->who.slug)) {
        /* The platform's dataset look-up has the same two segments (protocol 3.6). */
        respond_static(r, 200, "application/json", "{\"project\":{\"type\":\"object-detection\"}}", 39);
    } else if (read_options(r, call) && read_picture(r, call)) {
        call->job.model_id = str_of(arena_printf(&r->arena, STR_FMT "/" STR_FMT, STR_ARG(project), STR_ARG(version)));
        if (check_text(call->job.model_id, "the model id", &e))
            inference_run(call);
        else
            respond_fail(r, ERR_INVALID, "Invalid Model ID sent in request. %s", e.msg);
    }
}

void get_legacy(struct request *r) { run_legacy(r); }
void post_legacy(struct request *r) { run_legacy(r); }
