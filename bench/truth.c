#include "truth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "data.h"

/* The filters of the W3 questions; NONE is every inference. */
enum filter { ALL, CANADA, LINE_1, NOT_CANADA, REVIEWED, FILTERS };
static const char *const filter_names[FILTERS] = {"all", "canada", "line-1", "not-canada", "correct"};
enum { CAMERA = 1, LINE = 2, HALVES = 2, NOTHING = DATA_CLASSES, GROUPS = DATA_CLASSES + 1 };
enum { CONFIDENCES = 10001, LATENCIES = 512 };

struct cell {
    uint64_t inferences, detections, confidence, latency; /* sums over the detections */
    uint32_t *confidences, *latencies;                    /* how many detections, inferences have each */
};
struct truth {
    struct arena memory;
    struct cell cells[FILTERS][HALVES][DATA_MODELS][GROUPS];
    uint64_t inferences[FILTERS][HALVES], latency[FILTERS][HALVES];
    uint64_t fields[DATA_FIELDS], review, pending, resent;
};

static bool is(const char *value, size_t n, const char *z) { return n == strlen(z) && !memcmp(value, z, n); }

static void add(struct truth *t, enum filter f, int half, const struct data_event *e) {
    bool seen[DATA_CLASSES] = {false};
    struct cell *cells = t->cells[f][half][e->model];
    t->inferences[f][half]++;
    t->latency[f][half] += e->latency_ms;
    if (!e->count) cells[NOTHING].inferences++;
    for (unsigned k = 0; k < e->count; k++) {
        struct cell *c = &cells[e->d[k].class_code];
        bool first = !seen[e->d[k].class_code];
        seen[e->d[k].class_code] = true;
        c->inferences += first;
        c->detections++;
        c->confidence += e->d[k].confidence;
        c->latency += e->latency_ms;
        if (!c->confidences) {
            c->confidences = arena_alloc(&t->memory, CONFIDENCES * sizeof *c->confidences);
            c->latencies = arena_alloc(&t->memory, LATENCIES * sizeof *c->latencies);
        }
        c->confidences[e->d[k].confidence]++;
        c->latencies[e->latency_ms] += first;
    }
}

static void add_number(struct truth *t, const struct data *d, uint64_t number) {
    char value[DATA_VALUE];
    struct data_event e;
    uint64_t other;
    bool holds[FILTERS] = {[ALL] = true};
    data_event(d, number, &e);
    for (unsigned f = 0; f < DATA_FIELDS; f++) {
        size_t n = data_value(d, number, f, value);
        t->fields[f] += n > 0;
        if (f == CAMERA) holds[CANADA] = is(value, n, "canada"), holds[NOT_CANADA] = !holds[CANADA];
        if (f == LINE) holds[LINE_1] = is(value, n, "line-1");
    }
    size_t n = data_review(d, number, value);
    t->review += n > 0;
    holds[REVIEWED] = is(value, n, "correct");
    t->pending += data_pending(d, number, &other);
    t->resent += data_resent(d, number, &other);
    int64_t half_us = DATA_DAYS * DATA_DAY / 2, before_us = d->end_us - e.time_us;
    if (before_us <= 0 || before_us > 2 * half_us) return;
    for (enum filter f = 0; f < FILTERS; f++)
        if (holds[f]) add(t, f, before_us > half_us, &e);
}

/* The value that this share of `all` does not exceed. */
static uint32_t quantile(const uint32_t *counts, uint32_t most, uint64_t all, double share) {
    uint64_t want = (uint64_t)((double)all * share), seen = 0;
    for (uint32_t v = 0; v < most; v++)
        if (counts && (seen += counts[v]) > want) return v;
    return 0;
}

static void put_half(struct buf *to, const struct truth *t, enum filter f, int half) {
    char model[DATA_NAME];
    put_object(to);
    put_key(to, "inferences"), put_int(to, (int64_t)t->inferences[f][half]);
    put_key(to, "latency"), put_int(to, (int64_t)t->latency[f][half]);
    put_key(to, "groups"), put_array(to);
    for (unsigned m = 0; m < DATA_MODELS; m++)
        for (unsigned g = 0; g < GROUPS; g++) {
            const struct cell *c = &t->cells[f][half][m][g];
            if (!c->inferences) continue;
            put_array(to);
            put_strz(to, data_model(m, model));
            put_strz(to, g == NOTHING ? "" : data_classes[g]);
            put_int(to, (int64_t)c->inferences), put_int(to, (int64_t)c->detections);
            put_int(to, (int64_t)c->confidence), put_int(to, (int64_t)c->latency);
            put_int(to, quantile(c->confidences, CONFIDENCES, c->detections, 0.5));
            put_int(to, quantile(c->latencies, LATENCIES, c->inferences, 0.95));
            put_array_end(to);
        }
    put_array_end(to);
    put_object_end(to);
}

bool truth_print(const struct options *o, struct err *e) {
    struct data d = {o->seed, o->events, o->end_us};
    if (!o->end_us) return err_set(e, ERR_INVALID, "--end is missing");
    struct truth *t = mem_zero(1, sizeof *t);
    for (uint64_t i = 0; i < o->events; i++) add_number(t, &d, i);
    struct buf b = {0};
    put_object(&b);
    put_key(&b, "pending"), put_int(&b, (int64_t)t->pending);
    put_key(&b, "resent"), put_int(&b, (int64_t)t->resent);
    put_key(&b, "fields"), put_object(&b);
    for (unsigned f = 0; f < DATA_FIELDS; f++) put_key(&b, data_fields[f]), put_int(&b, (int64_t)t->fields[f]);
    put_key(&b, DATA_REVIEW), put_int(&b, (int64_t)t->review);
    put_object_end(&b);
    put_key(&b, "models"), put_array(&b);
    for (unsigned m = 0; m < DATA_MODELS; m++) put_strz(&b, data_model(m, (char[DATA_NAME]){0}));
    put_array_end(&b);
    put_key(&b, "classes"), put_array(&b);
    for (unsigned c = 0; c < DATA_CLASSES; c++) put_strz(&b, data_classes[c]);
    put_array_end(&b);
    put_key(&b, "filters"), put_object(&b);
    for (enum filter f = 0; f < FILTERS; f++) {
        put_key(&b, filter_names[f]), put_object(&b);
        put_key(&b, "now"), put_half(&b, t, f, 0);
        put_key(&b, "before"), put_half(&b, t, f, 1);
        put_object_end(&b);
    }
    put_object_end(&b);
    put_object_end(&b);
    printf("%.*s\n", (int)b.n, b.p);
    buf_free(&b);
    arena_free(&t->memory);
    free(t);
    return true;
}

/* ---- rows ---- */

static void put_row(struct buf *to, const struct data *d, uint64_t number) {
    char id[DATA_ID], value[DATA_VALUE];
    struct data_event e;
    data_event(d, number, &e);
    data_id(d->seed, number, id);
    buf_printf(to, "%" PRIu64 ",%.*s,%" PRId64 ",%u,%u,0.%03u,\"[", number, DATA_ID, id, e.time_us, e.model, e.device,
               e.latency_ms);
    for (unsigned k = 0; k < e.count; k++) buf_printf(to, k ? ",%u" : "%u", e.d[k].class_code);
    buf_addz(to, "]\",\"[");
    for (unsigned k = 0; k < e.count; k++) buf_printf(to, k ? ",0.%04u" : "0.%04u", e.d[k].confidence);
    buf_addz(to, "]\"");
    for (unsigned f = 0; f < DATA_FIELDS; f++) {
        size_t n = data_value(d, number, f, value);
        buf_addc(to, ',');
        buf_add(to, value, n);
    }
    buf_addc(to, ',');
    buf_add(to, value, data_review(d, number, value));
    buf_addc(to, '\n');
}

bool truth_rows(const struct options *o, struct err *e) {
    struct data d = {o->seed, o->events, o->end_us};
    struct buf b = {0};
    if (!o->end_us || !o->out) return err_set(e, ERR_INVALID, "--end or --out is missing");
    FILE *f = fopen(o->out, "w");
    bool ok = f != NULL;
    buf_addz(&b, "number,id,time_us,model,device,latency_s,classes,confidences");
    for (unsigned i = 0; i < DATA_FIELDS; i++) buf_printf(&b, ",%s", data_fields[i]);
    buf_addz(&b, "," DATA_REVIEW "\n");
    for (uint64_t i = 0; ok && i < o->events; i++) {
        put_row(&b, &d, i);
        if (b.n < (1 << 20) && i + 1 < o->events) continue;
        ok = fwrite(b.p, 1, b.n, f) == b.n;
        b.n = 0;
    }
    buf_free(&b);
    if (f && fclose(f) != 0) ok = false;
    return ok || err_errno(e, "%s: cannot be written", o->out);
}
