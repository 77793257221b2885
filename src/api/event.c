/* POST /v2/events: what workflows and the event writer send to a local event store (protocol 3.5, end). An event
 * becomes inferences under an id of its own, so that it is listed, filtered, shown and kept like any other:
 *
 *   an image            -> an inference; index: its place. Of an event without images one all the same
 *   its two pictures    -> the input is the inference's; an output that differs is that of a partial record, so that no
 *                          statistic counts it, whose index is the number of images further on
 *   its annotations     -> detections
 *   every other member  -> metadata; those of event_data and custom_metadata by their own names, in this order, so
 *                          that of two with one name the later is the value and the earlier its history
 *
 * Handler (HTTP worker): who asks, and a place in the queue; `work` (event thread): reads, keeps the pictures, writes;
 * `answer` (HTTP worker). Clients read `detail` of errors and take 201 alone for success, 529 for "slow down". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/pool.h"
#include "base/uuid.h"
#include "image/blobs.h"
#include "image/image.h"
#include "store/store.h"

enum { IMAGES_MOST = 64, DETECTIONS_MOST = 10000, OVERLOADED = 529 };
#define SOURCE STR("event")

struct event {
    struct request *r;
    struct identity who;
    json_t *body;
    char id[UUID_TEXT];
    struct str model_id;
    int64_t time_us;
    struct store_write write;
    struct err e;
};

/* ---- metadata ---- */

/* null is no value; what is no single value is kept as the text of its JSON. */
static bool read_value(struct event *ev, const json_t *v, struct value *out) {
    *out = (struct value){0};
    if (json_is_null(v)) return true;
    if (json_is_boolean(v)) {
        *out = (struct value){.type = VALUE_BOOL, .truth = json_is_true(v)};
    } else if (json_is_number(v)) {
        *out = (struct value){.type = VALUE_NUMBER, .number = json_number_value(v)};
    } else if (json_is_string(v)) {
        *out = (struct value){.type = VALUE_STRING, .text = json_text(v)};
    } else {
        size_t n = json_dumpb(v, NULL, 0, JSON_COMPACT);
        char *text = arena_alloc(&ev->r->arena, n + 1);
        json_dumpb(v, text, n, JSON_COMPACT);
        *out = (struct value){.type = VALUE_STRING, .text = {text, n}};
    }
    return check_value(out, &ev->e);
}

static bool attach(struct event *ev, const char *name, const json_t *v) {
    const struct str id = str_of(ev->id);
    struct attach a = {.key_id = (uint32_t)ev->who.key_id, .field = str_of(name), .ids = &id, .id_count = 1};
    if (!check_field(a.field, &ev->e)) return false;
    if (!read_value(ev, v, &a.value)) return err_wrap(&ev->e, "%.100s", name);
    if (a.value.type != VALUE_NONE) write_attach(&ev->write, &a);
    return true;
}

static bool listed(const char *name, const char *const *names) {
    while (*names && strcmp(*names, name) != 0) names++;
    return *names;
}

/* The members of an object but the named ones. */
static bool attach_all(struct event *ev, json_t *object, const char *const *but) {
    const char *name;
    json_t *v;
    json_object_foreach(object, name, v) if (!listed(name, but) && !attach(ev, name, v)) return false;
    return true;
}

/* ---- annotations ---- */

/* [[x,y], ...] as inferences have them: [{"x":..,"y":..}, ...]. */
static json_t *outline(const json_t *points) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(points); i++) {
        json_t *p = json_array_get(points, i);
        json_t *x = json_array_get(p, 0), *y = json_array_get(p, 1);
        json_array_append_new(list, json_array_size(p) == 2 ? json_pack("{sOsO}", "x", x, "y", y) : json_incref(p));
    }
    return list;
}

/* What has no place of its own in a detection, as the text of an object. */
static struct str other_of(struct event *ev, json_t *from) {
    static const char *const own[] = {"class", "class_id", "confidence",   "x", "y",
                                      "width", "height",   "detection_id", NULL};
    json_t *rest = json_object(), *v;
    const char *name;
    struct str text = {0};
    json_object_foreach(from, name, v) {
        if (listed(name, own) || json_is_null(v)) continue;
        json_object_set_new(rest, name, strcmp(name, "points") == 0 && json_is_array(v) ? outline(v) : json_incref(v));
    }
    if (json_object_size(rest)) {
        text.n = json_dumpb(rest, NULL, 0, JSON_COMPACT);
        char *to = arena_alloc(&ev->r->arena, text.n);
        text.n = json_dumpb(rest, to, text.n, JSON_COMPACT);
        text.p = to;
    }
    json_decref(rest);
    return text;
}

static bool read_detection(struct event *ev, json_t *v, struct detection *d) {
    static const char *const sides[] = {"x", "y", "width", "height"};
    double *const values[] = {&d->x, &d->y, &d->width, &d->height};
    const json_t *confidence = json_object_get(v, "confidence"), *class_id = json_object_get(v, "class_id");
    *d = (struct detection){.class_name = json_text(json_object_get(v, "class")),
                            .class_id = json_is_integer(class_id) ? json_integer_value(class_id) : -1,
                            .confidence = json_is_number(confidence) ? json_number_value(confidence) : NAN,
                            .has_box = true,
                            .detection_id = json_text(json_object_get(v, "detection_id"))};
    for (unsigned i = 0; i < 4; i++) {
        const json_t *side = json_object_get(v, sides[i]);
        d->has_box = d->has_box && json_is_number(side);
        *values[i] = json_number_value(side);
    }
    if (d->class_name.n == 0) return err_set(&ev->e, ERR_INVALID, "an annotation has no class");
    if (d->confidence < 0 || d->confidence > 1)
        return err_set(&ev->e, ERR_INVALID, "an annotation's confidence must be from 0 to 1");
    if (!check_text(d->class_name, "class", &ev->e) || !check_text(d->detection_id, "detection_id", &ev->e))
        return false;
    d->other = other_of(ev, v);
    return true;
}

static const char *const annotations[] = {"objectDetections", "classifications", "instanceSegmentations", "keypoints",
                                          NULL};

static bool read_annotations(struct event *ev, const json_t *image, struct inference *inf) {
    size_t most = 0;
    for (size_t k = 0; annotations[k]; k++) most += json_array_size(json_object_get(image, annotations[k]));
    if (most > DETECTIONS_MOST)
        return err_set(&ev->e, ERR_INVALID, "%zu annotations of one image; the most is %d", most, DETECTIONS_MOST);
    struct detection *list = arena_alloc(&ev->r->arena, most * sizeof *list);
    inf->detections = list;
    for (size_t k = 0; annotations[k]; k++) {
        const json_t *of = json_object_get(image, annotations[k]);
        if (of && !json_is_null(of) && !json_is_array(of))
            return err_set(&ev->e, ERR_INVALID, "%s must be a list", annotations[k]);
        for (size_t i = 0; i < json_array_size(of); i++)
            if (!read_detection(ev, json_array_get(of, i), &list[inf->detection_count++]))
                return err_wrap(&ev->e, "%s[%zu]", annotations[k], i);
    }
    return true;
}

/* ---- pictures ---- */

/* A picture is on disk before the record that names it is written. False: it cannot be kept, and so the event isn't. */
static bool keep(struct event *ev, const json_t *text, struct inference *inf) {
    const struct app *app = app_of(ev->r);
    const struct image_limits limits = {app->conf->max_body_inference, app->conf->max_image_pixels};
    uint8_t *hash = arena_alloc(&ev->r->arena, BLOB_HASH);
    struct buf bytes = {0}, thumbnail = {0};
    struct image pixels = {0};
    bool ok = image_decode_base64(json_text(text), limits.max_bytes, &bytes, &ev->e) &&
              image_decode(buf_str(&bytes), &limits, true, &pixels, &ev->e) &&
              image_thumbnail(&pixels, &thumbnail, &ev->e) &&
              blob_put(app->blobs, ev->who.workspace_id, buf_str(&bytes), buf_str(&thumbnail), hash, &ev->e);
    inf->picture = hash;
    inf->width = (uint32_t)pixels.width, inf->height = (uint32_t)pixels.height;
    image_free(&pixels);
    buf_free(&thumbnail);
    buf_free(&bytes);
    return ok;
}

/* A member that is a picture; NULL: there is none. */
static bool find_picture(struct event *ev, const json_t *image, const char *name, const json_t **out) {
    const json_t *v = json_object_get(image, name);
    *out = json_string_length(v) ? v : NULL;
    return !v || json_is_null(v) || json_is_string(v) || err_set(&ev->e, ERR_INVALID, "%s must be a string", name);
}

static struct inference record_of(const struct event *ev, size_t index) {
    return (struct inference){.id = str_of(ev->id),
                              .model_id = ev->model_id,
                              .index = (uint32_t)index,
                              .time_us = ev->time_us,
                              .latency_s = NAN,
                              .source = SOURCE};
}

static bool take_image(struct event *ev, json_t *image, size_t i, size_t count) {
    static const char *const own[] = {"base64Image", "inputBase64Image", "label", "objectDetections", "classifications",
                                      "instanceSegmentations", "keypoints", NULL};
    const json_t *output, *input;
    struct inference inf = record_of(ev, i), more = record_of(ev, i + count);
    if (!json_is_object(image)) return err_set(&ev->e, ERR_INVALID, "it must be an object");
    inf.source_info = json_text(json_object_get(image, "label"));
    if (!check_text(inf.source_info, "label", &ev->e) || !read_annotations(ev, image, &inf) ||
        !find_picture(ev, image, "base64Image", &output) || !find_picture(ev, image, "inputBase64Image", &input))
        return false;
    bool two = output && input && !json_equal(output, input);
    if ((input || output) && !keep(ev, input ? input : output, &inf)) return false;
    if (two && !keep(ev, output, &more)) return false;
    two = two && memcmp(inf.picture, more.picture, BLOB_HASH) != 0;
    more.partial = true;
    more.source_info = inf.source_info;
    return write_inference(&ev->write, &inf, &ev->e) && (!two || write_inference(&ev->write, &more, &ev->e)) &&
           attach_all(ev, image, own);
}

/* ---- the event ---- */

/* A time without a zone is some clock's on a wall: kept as it was told, and the time of receipt counts. */
static bool read_time(struct event *ev) {
    const json_t *v = json_object_get(ev->body, "inference_timestamp");
    struct str text = json_text(v);
    const double year_9999 = 253402300800.0;
    ev->time_us = TIME_UNKNOWN;
    if (json_is_number(v) && json_number_value(v) >= 0 && json_number_value(v) < year_9999) {
        ev->time_us = (int64_t)(json_number_value(v) * 1e6);
        return true;
    }
    bool zone = text.n > 19 && (text.p[text.n - 1] == 'Z' || text.p[text.n - 6] == '+' || text.p[text.n - 6] == '-');
    if (zone && clock_parse(text, &ev->time_us)) return true;
    ev->time_us = TIME_UNKNOWN;
    return !v || attach(ev, "inference_timestamp", v);
}

/* The enterprise block names no solution; its schema says what kind of thing was seen. */
static bool read_model(struct event *ev) {
    ev->model_id = json_text(json_object_get(ev->body, "solution"));
    if (ev->model_id.n == 0) ev->model_id = json_text(json_object_get(ev->body, "event_schema"));
    if (ev->model_id.n == 0) return err_set(&ev->e, ERR_INVALID, "solution or event_schema is needed, a text");
    return check_text(ev->model_id, "solution", &ev->e);
}

static bool attach_object(struct event *ev, const char *name) {
    static const char *const none[] = {NULL};
    json_t *v = json_object_get(ev->body, name);
    if (!v || json_is_null(v)) return true;
    if (!json_is_object(v)) return err_set(&ev->e, ERR_INVALID, "%s must be an object", name);
    return attach_all(ev, v, none) || err_wrap(&ev->e, "%s", name);
}

static bool take(struct event *ev) {
    static const char *const own[] = {"inference_timestamp", "solution", "images", "event_data",
                                      "custom_metadata",     "api_key",  NULL};
    json_error_t fault;
    struct str body = ev->r->body;
    ev->body = json_loadb(body.p ? body.p : "", body.n, 0, &fault);
    if (!ev->body)
        return err_set(&ev->e, ERR_INVALID, "the body is not JSON: %s (byte %d)", fault.text, fault.position);
    if (!json_is_object(ev->body)) return err_set(&ev->e, ERR_INVALID, "the body must be an object");
    const json_t *images = json_object_get(ev->body, "images");
    size_t count = json_array_size(images);
    if (images && !json_is_null(images) && !json_is_array(images))
        return err_set(&ev->e, ERR_INVALID, "images must be a list");
    if (count > IMAGES_MOST) return err_set(&ev->e, ERR_INVALID, "%zu images; the most is %d", count, IMAGES_MOST);
    if (!read_model(ev) || !read_time(ev)) return false;
    for (size_t i = 0; i < count; i++)
        if (!take_image(ev, json_array_get(images, i), i, count)) return err_wrap(&ev->e, "images[%zu]", i);
    struct inference bare = record_of(ev, 0);
    if (count == 0 && !write_inference(&ev->write, &bare, &ev->e)) return false;
    return attach_all(ev, ev->body, own) && attach_object(ev, "event_data") && attach_object(ev, "custom_metadata");
}

static void work(void *arg) {
    struct event *ev = arg;
    if (take(ev)) store_write_now(app_of(ev->r)->store, &ev->write, &ev->e);
    json_decref(ev->body); /* before the answer: it may be many megabytes */
    ev->body = NULL;
    request_wake(ev->r);
}

static void forget(struct request *r) {
    struct event *ev = r->data;
    write_free(&ev->write);
}

static void answer(struct request *r) {
    const struct event *ev = r->data;
    bool failed = ev->e.code != ERR_NONE, busy = ev->e.code == ERR_BUSY;
    if (failed && !busy) {
        respond_error(r, &ev->e);
        return;
    }
    if (busy) respond_header(r, "Retry-After", "1");
    put_object(&r->out);
    put_key(&r->out, busy ? "detail" : "id"), put_strz(&r->out, busy ? ev->e.msg : ev->id);
    put_object_end(&r->out);
    respond_json(r, busy ? OVERLOADED : 201);
}

void post_event(struct request *r) {
    struct event *ev = arena_alloc(&r->arena, sizeof *ev);
    ev->r = r;
    if (!authenticate_inference(r, (struct str){0}, &ev->who, &ev->e)) {
        respond_error(r, &ev->e);
        return;
    }
    uuid_v4(ev->id);
    write_begin(&ev->write, ev->who.workspace_id);
    r->data = ev;
    r->cleanup = forget;
    request_wait(r, answer);
    if (pool_submit(app_of(r)->events, work, ev)) return;
    err_set(&ev->e, ERR_BUSY, "%u events wait to be stored (event_queue). Send it again soon.",
            app_of(r)->conf->event_queue);
    request_wake(r);
}
