/* What the aggregator block of a workflow reports (protocol 3.3): of each window the best prediction of each class, with
 * the id of the inference that it was found in. So such a record is partial: it is stored apart from complete ones, in no
 * statistic, and hidden once the complete one is there. Predictions of one report under the same id and model are one
 * record. Their time is the report's, where it names a zone; else when it came, which is seconds later. */
#include "api/report.h"

#include <stdlib.h>

#include "api/check_input.h"

struct found {
    struct str id, model;
    struct str raw;
    struct detection detection;
    size_t order;
};

struct window {
    struct report *p;
    struct target *t;
    struct found *list;
    size_t count;
};

static bool read_text(const struct json_pull *j, const char *name, struct str *out, struct err *e) {
    if (j->token != PULL_STRING) return err_set(e, ERR_INVALID, "%s must be a string", name);
    *out = j->text;
    return check_text(*out, name, e);
}

static bool read_found(struct report *p, struct str raw, struct found *f, struct err *e) {
    struct json_pull j;
    *f = (struct found){.raw = raw, .detection = {.class_id = -1, .confidence = NAN}};
    json_pull_init(&j, raw, &p->scratch);
    if (json_next(&j) != PULL_OBJECT) return err_set(e, ERR_INVALID, "must be an object");
    while (json_next(&j) == PULL_KEY) {
        struct str name = j.text;
        bool ok = true;
        json_next(&j);
        if (str_is(name, "inference_id"))
            ok = read_text(&j, "inference_id", &f->id, e);
        else if (str_is(name, "model_id"))
            ok = read_text(&j, "model_id", &f->model, e);
        else if (str_is(name, "class_name"))
            ok = read_text(&j, "class_name", &f->detection.class_name, e);
        else if (str_is(name, "confidence") && j.token == PULL_NUMBER)
            f->detection.confidence = j.number;
        if (!ok) return false;
        json_skip(&j, NULL);
    }
    if (f->model.n == 0) return err_set(e, ERR_INVALID, "model_id is missing");
    if (f->detection.class_name.n == 0) return err_set(e, ERR_INVALID, "class_name is missing");
    if (!(f->detection.confidence >= 0 && f->detection.confidence <= 1))
        return err_set(e, ERR_INVALID, "confidence must be a number from 0 to 1");
    return check_id(f->id, e);
}

static int by_inference(const void *x, const void *y) {
    const struct found *a = x, *b = y;
    int order = str_cmp(a->id, b->id);
    if (order == 0) order = str_cmp(a->model, b->model);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static bool encode(struct window *w, struct store_write *to, const struct found *f, size_t count, struct err *e) {
    const struct report_sender *from = &w->p->from;
    struct detection *detections = arena_alloc(&w->p->scratch, count * sizeof *detections);
    for (size_t i = 0; i < count; i++) detections[i] = f[i].detection;
    struct inference inf = {
        .id = f->id,
        .model_id = f->model,
        .partial = true,
        .time_us = from->time_us,
        .latency_s = NAN,
        .device_id = from->device_id,
        .server_version = from->server_version,
        .source = from->source,
        .source_info = from->source_info,
        .detections = detections,
        .detection_count = count,
    };
    return write_inference(to, &inf, e);
}

/* How many of the list, sorted, from i on belong to one inference. */
static size_t of_one(const struct window *w, size_t i) {
    const struct found *f = &w->list[i];
    size_t n = 1;
    while (i + n < w->count && str_eq(f[n].id, f->id) && str_eq(f[n].model, f->model)) n++;
    return n;
}

/* Each inference of the window by itself, since one of them was refused. */
static bool store_singly(struct window *w) {
    struct report *p = w->p;
    for (size_t i = 0, n; i < w->count; i += n) {
        struct err e = {0};
        n = of_one(w, i);
        write_begin(&p->single, w->t->workspace);
        bool ok = encode(w, &p->single, &w->list[i], n, &e) && report_submit(p, &p->single, &e);
        write_free(&p->single);
        if (!ok && !report_is_fault(&e)) return p->e = e, false;
        for (size_t k = 0; !ok && k < n; k++) report_aside(p, w->t, w->list[i + k].raw, e.msg);
    }
    return true;
}

static bool store_window(struct window *w, const char *upto) {
    struct report *p = w->p;
    struct err e = {0};
    bool ok = true;
    if (w->count) qsort(w->list, w->count, sizeof *w->list, by_inference);
    for (size_t i = 0, n; ok && i < w->count; i += n) {
        n = of_one(w, i);
        ok = encode(w, &w->t->w, &w->list[i], n, &e);
    }
    if (ok && w->t->w.records) ok = report_submit(p, &w->t->w, &e);
    write_free(&w->t->w);
    write_begin(&w->t->w, w->t->workspace);
    if (!ok) ok = report_is_fault(&e) ? store_singly(w) : (p->e = e, false);
    w->count = 0;
    return ok && report_flush(p, upto);
}

bool aggregate(struct report *p, struct target *t) {
    struct window w = {.p = p, .t = t};
    struct json_pull j;
    if (p->results.n == 0) return true;
    w.list = arena_alloc(&p->r->arena, BATCH_ITEMS * sizeof *w.list);
    json_pull_init(&j, p->results, &p->scratch);
    json_next(&j);
    while (json_next(&j) != PULL_ARRAY_END) {
        struct err e = {0};
        struct str raw;
        if (!json_skip(&j, &raw)) return err_set(&p->e, ERR_IO, "the body changed while it was read");
        if (read_found(p, raw, &w.list[w.count], &e))
            w.list[w.count].order = w.count, w.count++;
        else
            report_aside(p, t, raw, e.msg);
        if (++p->batch == BATCH_ITEMS && !store_window(&w, j.p)) return false;
    }
    return store_window(&w, j.p);
}
