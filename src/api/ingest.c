/* POST /api/v1/:workspace/inferences: results that were computed elsewhere. The body is one object, a list of them, or
 * one after the other (NDJSON). All of it is stored or, at the first fault, nothing.
 *
 * Read by the pull parser straight into records: what a member is called and how it is read stands in one table. A
 * member that nobody knows is a fault, so that a misspelt one isn't lost in silence; members that only answers have are
 * passed over, so that an answer can be sent back as it came. */
#include "base/json_pull.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/write.h"
#include "base/clock.h"
#include "base/uuid.h"

enum { ITEMS_MOST = 100000, DETECTIONS_MOST = 10000, METADATA_MOST = 1024 };

struct ingest {
    struct request *r;
    struct json_pull j;
    struct store_write *w;
    uint32_t key_id;
    size_t items;
    size_t *record_of; /* where in the write's records each item's inference stands */
    size_t room;
    struct str *ids, *models; /* of each item, for the answer */
    struct err fault;

    /* of the item that is being read */
    struct inference inf;
    struct detection *detections;
    size_t detection_room;
    bool detecting; /* the next of them is being read */
    struct attach *metadata;
    size_t metadata_count, metadata_room;
};

static bool fault(struct ingest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fault(struct ingest *g, const char *fmt, ...) {
    char what[300], at[40] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (g->detecting) snprintf(at, sizeof at, "predictions[%zu].", g->inf.detection_count);
    if (g->fault.code == ERR_NONE) err_set(&g->fault, ERR_INVALID, "inferences[%zu].%s%s", g->items, at, what);
    return false;
}

/* Twice the room in the arena, what was there copied. */
static void *grow(struct ingest *g, void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    size_t more = *room ? *room * 2 : 8;
    void *to = arena_alloc(&g->r->arena, more * size);
    if (count) memcpy(to, list, count * size);
    *room = more;
    return to;
}

/* ---- values; null is "unknown" everywhere ---- */

static bool read_text(struct ingest *g, const char *name, struct str *out) {
    struct err e;
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_STRING) return fault(g, "%s must be a string", name);
    *out = g->j.text;
    return check_text(*out, name, &e) || fault(g, "%s", e.msg);
}

static bool read_number(struct ingest *g, const char *name, double least, double most, double *out) {
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_NUMBER) return fault(g, "%s must be a number", name);
    *out = g->j.number;
    return (*out >= least && *out <= most) || fault(g, "%s must be from %g to %g", name, least, most);
}

static bool read_whole(struct ingest *g, const char *name, double most, uint32_t *out) {
    double v = 0;
    if (!read_number(g, name, 0, most, &v)) return false;
    if (v != floor(v)) return fault(g, "%s must be a whole number", name);
    *out = (uint32_t)v;
    return true;
}

static bool read_truth(struct ingest *g, const char *name, bool *out) {
    *out = g->j.token == PULL_TRUE;
    return *out || g->j.token == PULL_FALSE || g->j.token == PULL_NULL || fault(g, "%s must be true or false", name);
}

static bool read_id(struct ingest *g, const char *name) {
    struct err e;
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_STRING) return fault(g, "%s must be a string", name);
    g->inf.id = g->j.text;
    return check_id(g->inf.id, &e) || fault(g, "%s: %s", name, e.msg);
}

/* RFC 3339, or seconds since 1970. */
static bool read_time(struct ingest *g) {
    const double year_9999 = 253402300800.0;
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token == PULL_NUMBER && g->j.number >= 0 && g->j.number < year_9999) {
        g->inf.time_us = (int64_t)(g->j.number * 1e6);
        return true;
    }
    return (g->j.token == PULL_STRING && clock_parse(g->j.text, &g->inf.time_us)) ||
           fault(g, "time must be RFC 3339 (2026-11-21T19:39:09Z) or seconds since 1970");
}

static bool read_error(struct ingest *g) {
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_STRING) return fault(g, "error must be a string");
    g->inf.error = g->j.text;
    return g->inf.error.n <= VALUE_MOST || fault(g, "error has %zu bytes, the most is %d", g->inf.error.n, VALUE_MOST);
}

static bool read_image(struct ingest *g) {
    struct json_pull *j = &g->j;
    if (j->token == PULL_NULL) return true;
    if (j->token != PULL_OBJECT) return fault(g, "image must be an object with width and height");
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        if (json_next(j) == PULL_ERROR) return false;
        bool ok = true;
        if (str_is(name, "width"))
            ok = read_whole(g, "image.width", 1e6, &g->inf.width);
        else if (str_is(name, "height"))
            ok = read_whole(g, "image.height", 1e6, &g->inf.height);
        else if (!str_is(name, "url") && !str_is(name, "thumbnail_url") && !str_is(name, "annotation_url") &&
                 !str_is(name, "uploads"))
            ok = fault(g, "image has only width and height");
        if (!ok || !json_skip(j, NULL)) return false;
    }
    return j->token == PULL_OBJECT_END;
}

/* ---- predictions ---- */

static bool read_detection_member(struct ingest *g, struct detection *d, struct str name, unsigned *box,
                                  struct buf *other) {
    static const char *const sides[] = {"x", "y", "width", "height"};
    double *const values[] = {&d->x, &d->y, &d->width, &d->height};
    for (unsigned i = 0; i < 4; i++) {
        if (!str_is(name, sides[i])) continue;
        if (g->j.token != PULL_NULL) *box |= 1u << i;
        return read_number(g, sides[i], -1e9, 1e9, values[i]);
    }
    if (str_is(name, "class")) return read_text(g, "class", &d->class_name);
    if (str_is(name, "confidence")) return read_number(g, "confidence", 0, 1, &d->confidence);
    if (str_is(name, "detection_id")) return read_text(g, "detection_id", &d->detection_id);
    if (str_is(name, "class_id")) {
        double v = -1;
        if (!read_number(g, "class_id", 0, 4294967295.0, &v)) return false;
        d->class_id = (int64_t)v;
        return v == floor(v) || fault(g, "class_id must be a whole number");
    }
    struct str raw;
    if (!json_skip(&g->j, &raw)) return false;
    if (other->n == 0) put_object(other);
    put_key_str(other, name);
    put_raw(other, raw);
    return true;
}

static bool read_detection(struct ingest *g, struct detection *d) {
    struct json_pull *j = &g->j;
    struct buf other = {0};
    unsigned box = 0;
    bool ok = true;
    *d = (struct detection){.class_id = -1, .confidence = NAN};
    while (ok && json_next(j) == PULL_KEY) {
        struct str name = j->text;
        ok = json_next(j) != PULL_ERROR && read_detection_member(g, d, name, &box, &other);
    }
    if (other.n) {
        put_object_end(&other);
        d->other = (struct str){arena_copy(&g->r->arena, other.p, other.n), other.n};
    }
    buf_free(&other);
    d->has_box = box == 15;
    if (!ok || j->token != PULL_OBJECT_END) return false;
    if (d->class_name.n == 0) return fault(g, "class is missing");
    return box == 0 || box == 15 ||
           fault(g, "x, y, width and height: some are there, but not all");
}

static bool read_predictions(struct ingest *g) {
    struct json_pull *j = &g->j;
    if (j->token == PULL_NULL) return true;
    if (j->token != PULL_ARRAY) return fault(g, "predictions must be an array");
    while (json_next(j) == PULL_OBJECT) {
        size_t n = g->inf.detection_count;
        if (n == DETECTIONS_MOST) return fault(g, "predictions has more than %d entries", DETECTIONS_MOST);
        g->detections = grow(g, g->detections, n, &g->detection_room, sizeof *g->detections);
        g->detecting = true;
        if (!read_detection(g, &g->detections[n])) return false;
        g->detecting = false;
        g->inf.detection_count++;
    }
    return j->token == PULL_ARRAY_END ||
           (j->token != PULL_ERROR && fault(g, "predictions[%zu] must be an object", g->inf.detection_count));
}

/* ---- metadata ---- */

static bool read_metadata(struct ingest *g) {
    struct json_pull *j = &g->j;
    struct err e;
    if (j->token == PULL_NULL) return true;
    if (j->token != PULL_OBJECT) return fault(g, "metadata must be an object of names and values");
    while (json_next(j) == PULL_KEY) {
        if (g->metadata_count == METADATA_MOST) return fault(g, "metadata has more than %d fields", METADATA_MOST);
        g->metadata = grow(g, g->metadata, g->metadata_count, &g->metadata_room, sizeof *g->metadata);
        struct attach *a = &g->metadata[g->metadata_count];
        *a = (struct attach){.field = j->text, .key_id = g->key_id, .id_count = 1};
        if (!check_field(a->field, &e)) return fault(g, "metadata: %s", e.msg);
        if (json_next(j) == PULL_ERROR) return false;
        if (!value_of_token(j, &a->value))
            return fault(g, "metadata." STR_FMT ": a value must be a string, a number, true, false or null",
                         STR_ARG(a->field));
        if (!check_value(&a->value, &e)) return fault(g, "metadata." STR_FMT ": %s", STR_ARG(a->field), e.msg);
        if (a->value.type != VALUE_NONE) g->metadata_count++;
    }
    return j->token == PULL_OBJECT_END;
}

/* ---- items ---- */

static bool read_member(struct ingest *g, struct str name) {
    static const char *const answers_only[] = {"received", "clock_suspect", "metadata_history",
                                               "siblings", "incomplete",    "api_key"};
    struct inference *inf = &g->inf;
    if (str_is(name, "inference_id")) return read_id(g, "inference_id");
    if (str_is(name, "model_id")) return read_text(g, "model_id", &inf->model_id);
    if (str_is(name, "index")) return read_whole(g, "index", UINT32_MAX, &inf->index);
    if (str_is(name, "time")) return read_time(g);
    if (str_is(name, "latency_s")) return read_number(g, "latency_s", 0, 1e6, &inf->latency_s);
    if (str_is(name, "device_id")) return read_text(g, "device_id", &inf->device_id);
    if (str_is(name, "source")) return read_text(g, "source", &inf->source);
    if (str_is(name, "source_info")) return read_text(g, "source_info", &inf->source_info);
    if (str_is(name, "model_name")) return read_text(g, "model_name", &inf->model_name);
    if (str_is(name, "model_sha256")) return read_text(g, "model_sha256", &inf->model_sha256);
    if (str_is(name, "server_id")) return read_text(g, "server_id", &inf->server_id);
    if (str_is(name, "server_version")) return read_text(g, "server_version", &inf->server_version);
    if (str_is(name, "partial")) return read_truth(g, "partial", &inf->partial);
    if (str_is(name, "image")) return read_image(g);
    if (str_is(name, "predictions")) return read_predictions(g);
    if (str_is(name, "metadata")) return read_metadata(g);
    if (str_is(name, "error")) return read_error(g);
    for (size_t i = 0; i < sizeof answers_only / sizeof *answers_only; i++)
        if (str_is(name, answers_only[i])) return json_skip(&g->j, NULL);
    return fault(g, STR_FMT " is not a member of an inference", (int)(name.n < 60 ? name.n : 60), name.p);
}

static bool take_item(struct ingest *g) {
    struct inference *inf = &g->inf;
    struct err e;
    if (inf->model_id.n == 0) return fault(g, "model_id is missing");
    if (inf->id.n == 0) {
        char *made = arena_alloc(&g->r->arena, UUID_TEXT);
        inf->id = str_of(uuid_v4(made));
    }
    size_t room = g->room;
    g->record_of = grow(g, g->record_of, g->items, &room, sizeof *g->record_of);
    room = g->room;
    g->ids = grow(g, g->ids, g->items, &room, sizeof *g->ids);
    g->models = grow(g, g->models, g->items, &g->room, sizeof *g->models);
    g->record_of[g->items] = g->w->records;
    g->ids[g->items] = inf->id;
    g->models[g->items] = inf->model_id;
    inf->detections = g->detections;
    if (!write_inference(g->w, inf, &e)) return fault(g, "%s", e.msg);
    for (size_t i = 0; i < g->metadata_count; i++) {
        g->metadata[i].ids = &inf->id;
        write_attach(g->w, &g->metadata[i]);
    }
    g->items++;
    return true;
}

static bool read_item(struct ingest *g) {
    if (g->items == ITEMS_MOST) return fault(g, "is one too many: a request may have %d inferences", ITEMS_MOST);
    g->inf = (struct inference){.time_us = TIME_UNKNOWN, .latency_s = NAN};
    g->metadata_count = 0;
    while (json_next(&g->j) == PULL_KEY) {
        struct str name = g->j.text;
        if (json_next(&g->j) == PULL_ERROR || !read_member(g, name)) return false;
    }
    return g->j.token == PULL_OBJECT_END && take_item(g);
}

/* An object, a list of objects, or several of either one after the other. */
static bool read_items(struct ingest *g) {
    struct str rest = g->r->body;
    do {
        json_pull_init(&g->j, rest, &g->r->arena);
        bool list = json_next(&g->j) == PULL_ARRAY;
        if (list) json_next(&g->j);
        for (; g->j.token == PULL_OBJECT; json_next(&g->j)) {
            if (!read_item(g)) return false;
            if (!list) break;
        }
        if (g->j.token != (list ? PULL_ARRAY_END : PULL_OBJECT_END))
            return g->j.token != PULL_ERROR && fault(g, "must be an object");
        rest = str_trim((struct str){g->j.p, (size_t)(g->j.end - g->j.p)});
    } while (rest.n);
    return true;
}

static void write_results(struct request *r, const struct ingest *g) {
    static const char *const outcomes[] = {
        [OUTCOME_CREATED] = "created", [OUTCOME_UNCHANGED] = "unchanged", [OUTCOME_CONFLICT] = "conflict"};
    put_object(&r->out);
    put_key(&r->out, "results"), put_array(&r->out);
    for (size_t i = 0; i < g->items; i++) {
        const struct write_result *result = &g->w->results[g->record_of[i]];
        put_object(&r->out);
        put_key(&r->out, "inference_id"), put_str(&r->out, g->ids[i]);
        put_key(&r->out, "model_id"), put_str(&r->out, g->models[i]);
        put_key(&r->out, "index"), put_int(&r->out, result->index);
        put_key(&r->out, "status"), put_strz(&r->out, outcomes[result->outcome]);
        put_object_end(&r->out);
    }
    put_array_end(&r->out);
    put_object_end(&r->out);
    respond_json(r, 200);
}

static void answer(struct request *r) {
    const struct store_write *w = write_of(r);
    if (w->err.code == ERR_NONE)
        write_results(r, w->user);
    else
        respond_error(r, &w->err);
}

void post_inferences(struct request *r) {
    struct identity who;
    struct err e = {0};
    struct str key = {0};
    if (!auth_has_key(r)) body_text(r, "api_key", &key, &e);
    if (!authorize_workspace(r, request_param(r, "workspace"), key, &who, &e)) {
        respond_error(r, &e);
        return;
    }
    struct ingest *g = arena_alloc(&r->arena, sizeof *g);
    g->r = r;
    g->key_id = (uint32_t)who.key_id;
    g->w = write_start(r, who.workspace_id);
    g->w->user = g;
    if (!read_items(g)) {
        if (g->fault.code == ERR_NONE)
            err_set(&g->fault, ERR_INVALID, "the body is not JSON: %s at byte %zu", g->j.error ? g->j.error : "text",
                    (size_t)(g->j.start - r->body.p) + g->j.at);
        respond_error(r, &g->fault);
    } else if (g->items == 0) {
        write_results(r, g);
    } else {
        write_send(r, answer);
    }
}
