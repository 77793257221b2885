#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static void request(struct buf *out, const char *path, const char *more, const struct buf *body) {
    out->n = 0;
    buf_printf(out, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: python-requests/2.28.1\r\n", path);
    buf_addz(out, "Accept-Encoding: gzip, deflate, br\r\nAccept: */*\r\nConnection: keep-alive\r\n");
    buf_printf(out, "%sContent-Length: %zu\r\nContent-Type: application/json\r\n\r\n", more, body->n);
    buf_add_str(out, buf_str(body));
}

#define SDK "X-Roboflow-Inference-Version: 1.5.0\r\nX-Allow-Chunked: true\r\n"

/* What put_str writes, without its commas. */
static void text(struct buf *b, const char *name, const char *value) {
    buf_addc(b, '"');
    buf_addz(b, name);
    buf_addz(b, "\": \"");
    buf_addz(b, value);
    buf_addc(b, '"');
}

static void number(struct buf *b, uint64_t v) {
    buf_reserve(b, 20);
    b->n += data_decimal(b->p + b->n, v);
}

/* A share in 1/10000, as a decimal. */
static void share(struct buf *b, unsigned v) {
    char digits[6] = "0.0000";
    for (unsigned i = 5; i > 1; i--, v /= 10) digits[i] = (char)('0' + v % 10);
    digits[0] = (char)('0' + v);
    buf_add(b, digits, sizeof digits);
}

static void seconds(struct buf *b, int64_t us) {
    char part[7] = ".000000";
    int64_t rest = us % SECOND;
    for (unsigned i = 6; i > 0; i--, rest /= 10) part[i] = (char)('0' + rest % 10);
    number(b, (uint64_t)(us / SECOND));
    buf_add(b, part, sizeof part);
}

static void id(struct buf *b, const struct world *w, uint64_t of) {
    buf_reserve(b, DATA_ID);
    cell_id(w, of, b->p + b->n);
    b->n += DATA_ID;
}

static void system_members(struct buf *b, const struct container *c) {
    text(b, "platform", "Linux");
    buf_addz(b, ", \"platform_release\": \"6.1.0\", \"platform_version\": \"#1 SMP\", \"architecture\": \"x86_64\", ");
    text(b, "hostname", c->host);
    buf_printf(b, ", \"ip_address\": \"10.0.%u.%u\", \"mac_address\": \"02:fc:00:00:%02x:%02x\", \"processor\": \"\"",
               c->number / 250, c->number % 250 + 1, c->number / 256, c->number % 256);
}

/* ---- the report ---- */

static void detections(struct buf *b, const struct world *w, const struct container *c, const struct event *e) {
    buf_addz(b, "\"predictions\": [");
    for (unsigned k = 0; k < e->count; k++) {
        const struct detection *d = &e->d[k];
        if (k) buf_addz(b, ", ");
        buf_addc(b, '{');
        if (c->full && !world_models[e->model].classifies) {
            buf_printf(b, "\"x\": %u.5, \"y\": %u.5, \"width\": %u.0, \"height\": %u.0, ", d->x, d->y, d->width,
                       d->height);
            buf_addz(b, "\"detection_id\": \"");
            id(b, w, data_mix(e->number * DETECTIONS_MOST + k));
            buf_addz(b, "\", \"class_confidence\": null, \"tracker_id\": null, \"parent_id\": null, ");
        }
        text(b, "class", cell_class(e, k));
        if (c->full) buf_addz(b, ", \"class_id\": "), number(b, d->code);
        buf_addz(b, ", \"confidence\": ");
        share(b, d->confidence);
        buf_addc(b, '}');
    }
    buf_addz(b, "], \"time\": ");
    share(b, e->latency);
    buf_addc(b, '}');
}

static void response(struct buf *b, const struct world *w, const struct container *c, const struct event *e) {
    if (c->full) {
        buf_addz(b, "{\"visualization\": null, \"inference_id\": \"");
        id(b, w, e->number);
        buf_addz(b, "\", \"frame_id\": null, ");
        if (world_models[e->model].classifies) {
            text(b, "top", cell_class(e, 0));
            buf_addz(b, ", \"confidence\": ");
            share(b, e->d[0].confidence);
            buf_addz(b, ", ");
        }
        detections(b, w, c, e);
    } else if (e->count) {
        buf_addz(b, "[{");
        detections(b, w, c, e);
        buf_addc(b, ']');
    } else {
        buf_addz(b, "[]");
    }
}

static void item(const struct wire *wire, struct buf *b, const struct container *c, const struct event *e) {
    char name[NAME];
    buf_addz(b, "{\"request_time\": ");
    seconds(b, e->time_us);
    buf_addz(b, ", \"inference\": {\"inference_id\": \"");
    id(b, wire->w, e->number);
    buf_addz(b, "\", ");
    text(b, "inference_server_version", c->version);
    buf_addz(b, ", ");
    text(b, "inference_server_id", c->server_id);
    buf_addz(b, ", \"request\": {");
    if (c->full) {
        buf_addz(b, "\"id\": \"");
        id(b, wire->w, e->number);
        buf_addz(b, "\", \"usage_billable\": true, \"start\": null, \"disable_model_monitoring\": false, ");
    }
    text(b, "api_key", wire->key);
    buf_addz(b, ", \"source\": \"simulated\", ");
    world_camera(c, e->camera, name);
    text(b, "source_info", name);
    buf_addz(b, ", ");
    world_model_id(e->model, e->version, name);
    text(b, "model_id", name);
    buf_addz(b, world_models[e->model].classifies ? ", \"model_type\": \"classification\"" : ", \"model_type\": null");
    buf_addz(b, ", \"confidence\": 0.4}, \"response\": ");
    response(b, wire->w, c, e);
    buf_addz(b, "}}");
}

/* Containers are begun anew each night, and when the simulation goes live. */
static int64_t process_start(const struct world *w, unsigned window) {
    if (window >= w->history) return w->s->now_us;
    int64_t day = world_start(w, window) / DAY * DAY;
    return day < w->begin_us ? w->begin_us : day;
}

/* An item if it is of that model and version: reports have one model after the other. Returns what goes between. */
static const char *item_of(const struct wire *wire, struct buf *b, const struct container *c, const struct event *e,
                           unsigned of, const char *between) {
    if (e->model != of / VERSIONS || e->version != of % VERSIONS) return between;
    buf_addz(b, between);
    item(wire, b, c, e);
    return ", ";
}

void wire_report(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                 const struct cell *previous, size_t resent) {
    const struct container *c = cell->c;
    body->n = 0;
    buf_addc(body, '{');
    text(body, "api_key", wire->key);
    buf_printf(body, ", \"timestamp\": \"%" PRId64 "\", ",
               (process_start(wire->w, cell->window) + c->skew_us) / SECOND + c->number % 60);
    text(body, "device_id", c->device_id);
    buf_addz(body, ", ");
    text(body, "inference_server_id", c->server_id);
    buf_addz(body, ", ");
    text(body, "inference_server_version", c->version);
    buf_printf(body, ", \"tags\": [\"simulated\", \"plant-%s\", \"line-%u\"], ", world_plants[c->plant], c->line);
    system_members(body, c);
    buf_addz(body, ", \"inference_results\": [");
    const char *between = "";
    for (unsigned of = 0; of < MODELS * VERSIONS; of++) {
        for (size_t i = previous->count - resent; i < previous->count; i++)
            between = item_of(wire, body, c, &previous->events[i], of, between);
        for (size_t i = 0; i < cell->count; i++) between = item_of(wire, body, c, &cell->events[i], of, between);
    }
    buf_addz(body, "]}");
    request(out, "/inference-stats", "", body);
}

/* ---- what is beside it ---- */

void wire_metadata(const struct wire *wire, struct buf *out, struct buf *body, const struct writes *writes,
                   bool block) {
    char path[512];
    body->n = 0;
    buf_addc(body, '{');
    if (!block) text(body, "api_key", wire->key), buf_addz(body, ", ");
    buf_addz(body, "\"data\": [");
    for (size_t i = 0; i < writes->count;) {
        const struct write *first = &writes->list[i];
        buf_addz(body, i ? ", {\"inference_ids\": [" : "{\"inference_ids\": [");
        for (bool more = false; i < writes->count; i++, more = true) {
            const struct write *x = &writes->list[i];
            if (x->name != first->name || strcmp(x->value, first->value)) break;
            buf_addz(body, more ? ", \"" : "\"");
            id(body, wire->w, x->number);
            buf_addc(body, '"');
        }
        buf_addz(body, "], ");
        text(body, "field_name", first->name);
        buf_addz(body, ", ");
        text(body, "field_value", first->value);
        buf_addc(body, '}');
    }
    buf_addz(body, "]}");
    if (block)
        snprintf(path, sizeof path, "/%s/inference-stats/metadata?api_key=%s&nocache=true", wire->workspace, wire->key);
    else
        snprintf(path, sizeof path, "/%s/inference-stats/metadata", wire->workspace);
    request(out, path, block ? SDK : "", body);
}

void wire_aggregate(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                    const struct best *best, size_t count) {
    const struct world *w = wire->w;
    char path[512], when[CLOCK_TEXT], name[NAME];
    int64_t us = world_start(w, cell->window) + world_length(w, cell->window) + cell->c->skew_us;
    clock_format(us, when);
    when[strlen(when) - 1] = '\0'; /* local time, without a zone */
    body->n = 0;
    buf_addc(body, '{');
    text(body, "timestamp", when);
    buf_addz(body, ", \"source\": \"workflow\", \"source_info\": \"ModelMonitoringInferenceAggregatorBlockV1\", ");
    buf_addz(body, "\"inference_results\": [");
    for (size_t i = 0; i < count; i++) {
        world_model_id(best[i].model, best[i].version, name);
        buf_addz(body, i ? ", {" : "{");
        text(body, "model_id", name);
        buf_addz(body, ", ");
        text(body, "class_name", world_models[best[i].model].class_names[best[i].code]);
        buf_addz(body, ", \"confidence\": ");
        share(body, best[i].confidence);
        buf_addz(body, ", \"inference_id\": \"");
        id(body, w, best[i].number);
        buf_addz(body, "\", \"model_type\": \"object-detection\"}");
    }
    buf_addz(body, "], ");
    text(body, "device_id", cell->c->device_id);
    buf_addz(body, ", ");
    text(body, "inference_server_version", cell->c->version);
    buf_addz(body, ", ");
    system_members(body, cell->c);
    buf_addc(body, '}');
    snprintf(path, sizeof path, "/%s/inference-stats?api_key=%s", wire->workspace, wire->key);
    request(out, path, SDK, body);
}

/* One record as they come all the time, and the failure. */
void wire_usage(const struct wire *wire, struct buf *out, struct buf *body, const struct cell *cell,
                const struct failure *f) {
    char name[NAME];
    const struct container *c = cell->c;
    world_model_id(f->model, f->version, name);
    body->n = 0;
    buf_addc(body, '[');
    for (unsigned failed = 0; failed < 2; failed++) {
        int64_t ns = f->time_us * 1000 + failed;
        buf_printf(body, "%s{\"timestamp_start\": %" PRId64 ", \"timestamp_stop\": %" PRId64 ", ", failed ? ", " : "",
                   ns, ns + 457);
        buf_printf(body, "\"exec_session_id\": \"%" PRId64 "_%s\", ", process_start(wire->w, cell->window) * 1000,
                   c->host_hash);
        text(body, "hostname", c->host_hash);
        buf_printf(body, ", \"ip_address_hash\": \"12ca1\", \"processed_frames\": %u, \"fps\": 0, ",
                   failed ? f->count : (unsigned)cell->count);
        buf_addz(body, "\"source_duration\": 0, \"category\": \"model\", ");
        text(body, "resource_id", name);
        if (failed)
            buf_printf(
                body,
                ", \"resource_details\": \"{\\\"billable\\\": true, \\\"error\\\": \\\"%s\\\", \\\"error_type\\\": "
                "\\\"%s\\\", \\\"error_status_code\\\": %u}\"",
                f->text, f->type, f->status);
        else
            buf_addz(body, ", \"resource_details\": \"{\\\"billable\\\": true}\"");
        buf_addz(body, ", \"hosted\": false, \"is_gpu_available\": false, \"python_version\": \"3.11.2\", ");
        text(body, "inference_version", c->version);
        buf_addz(body, ", \"enterprise\": false, \"execution_duration\": 0.5, \"megapixel_buckets\": {}, ");
        text(body, "api_key", wire->key);
        buf_addc(body, '}');
    }
    buf_addc(body, ']');
    char bearer[KEY_MOST + 32];
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s\r\n", wire->key);
    request(out, "/usage/inference", bearer, body);
}
