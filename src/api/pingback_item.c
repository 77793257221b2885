#include "api/pingback_item.h"

#include "api/check_input.h"

enum { PICTURES_MOST = 1024, DETECTIONS_MOST = 10000 };

struct reading {
    struct json_pull j;
    struct arena *arena;
    struct err *e;
    struct inference inf;     /* what all pictures of the request have in common */
    struct inference *list;   /* one a picture */
    size_t count, room;
    struct detection *detections; /* of the picture that is being read */
    size_t detection_room;
    struct buf *text;         /* where texts are put together */
    bool answered;            /* there is a response */
};

static void *grow(struct reading *g, void *list, size_t count, size_t *room, size_t size) {
    if (count < *room) return list;
    size_t more = *room ? *room * 2 : 4;
    void *to = arena_alloc(g->arena, more * size);
    if (count) memcpy(to, list, count * size);
    *room = more;
    return to;
}

/* ---- values; null is "not there" everywhere ---- */

static bool read_text(struct reading *g, const char *name, struct str *out) {
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_STRING) return err_set(g->e, ERR_INVALID, "%s must be a string", name);
    *out = g->j.text;
    return check_text(*out, name, g->e);
}

static bool read_number(struct reading *g, const char *name, double least, double most, double *out) {
    if (g->j.token == PULL_NULL) return true;
    if (g->j.token != PULL_NUMBER) return err_set(g->e, ERR_INVALID, "%s must be a number", name);
    *out = g->j.number;
    return (*out >= least && *out <= most) ||
           err_set(g->e, ERR_INVALID, "%s must be from %g to %g", name, least, most);
}

static bool read_whole(struct reading *g, const char *name, double most, double *out) {
    return read_number(g, name, 0, most, out) ||
           (g->j.token == PULL_NUMBER && err_set(g->e, ERR_INVALID, "%s must be a whole number up to %g", name, most));
}

/* Seconds since 1970, when the inference ended. */
static bool read_time(struct reading *g) {
    const double year_9999 = 253402300800.0;
    double at = NAN;
    if (!read_number(g, "request_time", 0, year_9999, &at)) return false;
    if (!isnan(at)) g->inf.time_us = (int64_t)llround(at * 1e6);
    return true;
}

/* ---- predictions ---- */

/* A member that has no place of its own goes into the object of others, as it stood. */
static bool keep_other(struct reading *g, struct str name, struct buf *other) {
    struct str raw;
    if (g->j.token == PULL_NULL) return true;
    if (!json_skip(&g->j, &raw)) return false;
    if (other->n == 0) put_object(other);
    put_key_str(other, name);
    put_raw(other, raw);
    return true;
}

static bool detection_member(struct reading *g, struct detection *d, struct str name, unsigned *box,
                             struct buf *other) {
    static const char *const sides[] = {"x", "y", "width", "height"};
    double *const values[] = {&d->x, &d->y, &d->width, &d->height};
    for (unsigned i = 0; i < 4; i++) {
        if (!str_is(name, sides[i])) continue;
        if (g->j.token != PULL_NULL) *box |= 1u << i;
        return read_number(g, "predictions: x, y, width and height", -1e9, 1e9, values[i]);
    }
    if (str_is(name, "class") || str_is(name, "class_name")) return read_text(g, "predictions: class", &d->class_name);
    if (str_is(name, "confidence")) return read_number(g, "predictions: confidence", 0, 1, &d->confidence);
    if (str_is(name, "detection_id")) return read_text(g, "predictions: detection_id", &d->detection_id);
    if (!str_is(name, "class_id")) return keep_other(g, name, other);
    double id = -1;
    if (!read_whole(g, "predictions: class_id", 4294967295.0, &id)) return false;
    d->class_id = (int64_t)id;
    return true;
}

/* The object that is the current token; `name` is its class where the object does not say. */
static bool read_detection(struct reading *g, struct inference *inf, struct str name) {
    struct json_pull *j = &g->j;
    size_t n = inf->detection_count;
    if (n == DETECTIONS_MOST)
        return err_set(g->e, ERR_INVALID, "predictions has more than %d entries", DETECTIONS_MOST);
    g->detections = grow(g, g->detections, n, &g->detection_room, sizeof *g->detections);
    struct detection *d = &g->detections[n];
    struct buf *other = g->text;
    unsigned box = 0;
    bool ok = true;
    other->n = 0;
    *d = (struct detection){.class_name = name, .class_id = -1, .confidence = NAN};
    while (ok && json_next(j) == PULL_KEY) {
        struct str member = j->text;
        json_next(j);
        ok = detection_member(g, d, member, &box, other);
    }
    if (other->n) {
        put_object_end(other);
        d->other = (struct str){arena_copy(g->arena, other->p, other->n), other->n};
    }
    d->has_box = box == 15;
    inf->detection_count++;
    return ok && (d->class_name.n || err_set(g->e, ERR_INVALID, "predictions[%zu].class is missing", n));
}

/* A list; of a multi-label classification in full an object, class by class. */
static bool read_predictions(struct reading *g, struct inference *inf) {
    struct json_pull *j = &g->j;
    if (j->token == PULL_NULL) return true;
    if (j->token == PULL_OBJECT) {
        while (json_next(j) == PULL_KEY) {
            struct err bad;
            struct str name = j->text;
            if (!check_text(name, "predictions: class", &bad)) return *g->e = bad, false;
            if (json_next(j) != PULL_OBJECT)
                return err_set(g->e, ERR_INVALID, "predictions: each class must have an object");
            if (!read_detection(g, inf, name)) return false;
        }
        return true;
    }
    if (j->token != PULL_ARRAY) return err_set(g->e, ERR_INVALID, "predictions must be a list or an object");
    while (json_next(j) == PULL_OBJECT)
        if (!read_detection(g, inf, (struct str){0})) return false;
    return j->token == PULL_ARRAY_END ||
           err_set(g->e, ERR_INVALID, "predictions[%zu] must be an object", inf->detection_count);
}

/* ---- the response ---- */

static bool read_image(struct reading *g, struct inference *inf) {
    struct json_pull *j = &g->j;
    if (j->token != PULL_OBJECT) return json_skip(j, NULL);
    while (json_next(j) == PULL_KEY) {
        double side = 0;
        bool width = str_is(j->text, "width"), height = str_is(j->text, "height");
        json_next(j);
        if ((width || height) && !read_whole(g, "image: width and height", 1e6, &side)) return false;
        if (width) inf->width = (uint32_t)side;
        if (height) inf->height = (uint32_t)side;
        json_skip(j, NULL);
    }
    return true;
}

/* The object that is the current token: what one picture was answered with. */
static bool read_picture(struct reading *g) {
    struct json_pull *j = &g->j;
    if (g->count == PICTURES_MOST)
        return err_set(g->e, ERR_INVALID, "response has more than %d entries", PICTURES_MOST);
    g->list = grow(g, g->list, g->count, &g->room, sizeof *g->list);
    struct inference *inf = &g->list[g->count];
    *inf = (struct inference){.index = (uint32_t)g->count, .latency_s = NAN};
    g->detections = NULL;
    g->detection_room = 0;
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        json_next(j);
        bool ok = str_is(name, "predictions") ? read_predictions(g, inf)
                  : str_is(name, "time")      ? read_number(g, "response: time", 0, 1e6, &inf->latency_s)
                  : str_is(name, "image")     ? read_image(g, inf)
                                              : json_skip(j, NULL);
        if (!ok) return false;
    }
    inf->detections = g->detections;
    g->count++;
    return true;
}

static bool read_response(struct reading *g) {
    struct json_pull *j = &g->j;
    if (j->token == PULL_NULL) return true;
    g->answered = true;
    if (j->token == PULL_OBJECT) return read_picture(g);
    if (j->token != PULL_ARRAY) return err_set(g->e, ERR_INVALID, "response must be a list or an object");
    while (json_next(j) == PULL_OBJECT)
        if (!read_picture(g)) return false;
    return j->token == PULL_ARRAY_END || err_set(g->e, ERR_INVALID, "response[%zu] must be an object", g->count);
}

/* ---- the request and what is around it ---- */

static bool read_request(struct reading *g) {
    struct json_pull *j = &g->j;
    if (j->token != PULL_OBJECT) return err_set(g->e, ERR_INVALID, "request must be an object");
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        json_next(j);
        bool ok = str_is(name, "model_id")      ? read_text(g, "model_id", &g->inf.model_id)
                  : str_is(name, "source")      ? read_text(g, "source", &g->inf.source)
                  : str_is(name, "source_info") ? read_text(g, "source_info", &g->inf.source_info)
                                                : json_skip(j, NULL);
        if (!ok) return false;
    }
    return true;
}

static bool read_inference(struct reading *g) {
    struct json_pull *j = &g->j;
    if (j->token != PULL_OBJECT) return err_set(g->e, ERR_INVALID, "inference must be an object");
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        json_next(j);
        bool ok = str_is(name, "inference_id")          ? read_text(g, "inference_id", &g->inf.id)
                  : str_is(name, "inference_server_id") ? read_text(g, "inference_server_id", &g->inf.server_id)
                  : str_is(name, "inference_server_version")
                      ? read_text(g, "inference_server_version", &g->inf.server_version)
                  : str_is(name, "request")  ? read_request(g)
                  : str_is(name, "response") ? read_response(g)
                                             : json_skip(j, NULL);
        if (!ok) return false;
    }
    return true;
}

static bool read_item(struct reading *g) {
    struct json_pull *j = &g->j;
    bool there = false;
    if (json_next(j) != PULL_OBJECT) return err_set(g->e, ERR_INVALID, "must be an object");
    while (json_next(j) == PULL_KEY) {
        bool inference = str_is(j->text, "inference"), time = str_is(j->text, "request_time");
        json_next(j);
        if (!(inference ? read_inference(g) : time ? read_time(g) : json_skip(j, NULL))) return false;
        there = there || inference;
    }
    if (!there) return err_set(g->e, ERR_INVALID, "inference is missing");
    if (g->inf.id.n == 0) return err_set(g->e, ERR_INVALID, "inference_id is missing");
    if (!check_id(g->inf.id, g->e)) return false;
    if (g->inf.model_id.n == 0) return err_set(g->e, ERR_INVALID, "request: model_id is missing");
    return g->answered || err_set(g->e, ERR_INVALID, "response is missing");
}

/* inference.request.api_key, also of an element with faults: it says whose the element is. */
static struct str find_key(struct str raw, struct arena *arena) {
    static const char *const path[] = {"inference", "request", "api_key"};
    struct json_pull j;
    size_t depth = 0;
    json_pull_init(&j, raw, arena);
    if (json_next(&j) != PULL_OBJECT) return (struct str){0};
    while (json_next(&j) == PULL_KEY) {
        bool on_path = str_is(j.text, path[depth]);
        json_next(&j);
        if (on_path && depth == 2 && j.token == PULL_STRING) return j.text;
        if (on_path && depth < 2 && j.token == PULL_OBJECT)
            depth++;
        else
            json_skip(&j, NULL);
    }
    return (struct str){0};
}

bool pingback_item_read(struct str raw, const struct inference *like, struct arena *arena, struct buf *room,
                        struct pingback_item *out, struct err *e) {
    struct reading g = {.arena = arena, .text = room, .e = e, .inf = *like};
    *out = (struct pingback_item){.key = find_key(raw, arena)};
    json_pull_init(&g.j, raw, arena);
    if (!read_item(&g)) return false;
    if (g.count == 0) {
        g.list = grow(&g, NULL, 0, &g.room, sizeof *g.list);
        g.list[g.count++] = (struct inference){.latency_s = NAN};
    }
    for (size_t i = 0; i < g.count; i++) {
        struct inference one = g.inf, *of = &g.list[i];
        one.index = of->index;
        one.latency_s = of->latency_s;
        one.width = of->width;
        one.height = of->height;
        one.detections = of->detections;
        one.detection_count = of->detection_count;
        *of = one;
    }
    out->inferences = g.list;
    out->count = g.count;
    return true;
}

struct str pingback_item_without_keys(struct str raw, struct arena *arena, struct buf *room) {
    struct json_pull j;
    size_t copied = 0;
    room->n = 0;
    json_pull_init(&j, raw, arena);
    while (json_next(&j) != PULL_END && j.token != PULL_ERROR) {
        if (j.token != PULL_KEY || !str_is(j.text, "api_key")) continue;
        struct str key;
        json_next(&j);
        if (j.token == PULL_NULL || !json_skip(&j, &key)) continue;
        size_t at = (size_t)(key.p - raw.p);
        buf_add(room, raw.p + copied, at - copied);
        buf_addz(room, "\"(removed)\"");
        copied = at + key.n;
    }
    buf_add(room, raw.p + copied, raw.n - copied);
    return (struct str){arena_copy(arena, room->p, room->n), room->n};
}
