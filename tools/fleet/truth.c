#include "truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"

static void put_share(struct buf *b, const char *name, uint64_t v) {
    put_key(b, name);
    put_double(b, (double)v / 10000);
}

static void put_text(struct buf *b, const char *name, const char *value) {
    put_key(b, name);
    put_strz(b, value && *value ? value : NULL);
}

static void put_count(struct buf *b, const char *name, uint64_t v) {
    put_key(b, name);
    put_int(b, (int64_t)v);
}

static void put_time(struct buf *b, const char *name, int64_t us) {
    char when[CLOCK_TEXT];
    put_text(b, name, clock_format(us, when));
}

static void put_id(struct buf *b, const struct world *w, uint64_t number) {
    char id[DATA_ID];
    cell_id(w, number, id);
    put_key(b, "inference_id");
    put_str(b, (struct str){id, DATA_ID});
}

static void line(FILE *to, struct buf *b) {
    put_object_end(b);
    buf_addc(b, '\n');
    fwrite(b->p, 1, b->n, to);
    b->n = 0;
}

/* ---- counting ---- */

static void count(struct counts *c, const struct event *e) {
    c->inferences++;
    c->empty += !e->count;
    c->detections += e->count;
    for (unsigned k = 0; k < e->count; k++) c->confidence_sum += e->d[k].confidence;
    if (e->tells_latency) c->latencies++, c->latency_sum += e->latency;
}

static void count_event(struct truth *t, const struct container *c, const struct event *e) {
    int64_t day = e->time_us / DAY - t->first_day;
    count(&t->all, e);
    count(&t->models[e->model * VERSIONS + e->version], e);
    count(&t->devices[c->number], e);
    if (day >= 0 && day < t->day_count) count(&t->days[day], e);
    if (e->time_us < t->from_us) t->from_us = e->time_us;
    if (e->time_us >= t->to_us) t->to_us = e->time_us + 1;
}

static void count_write(struct truth *t, const struct write *x) {
    if (x->never) {
        t->never++;
        t->never_ids += x->field == FIELD_SERIAL;
        return;
    }
    *(x->waits ? &t->joined : &t->applied) += 1;
    struct field_count *f = t->fields;
    while (f->name && strcmp(f->name, x->name)) f++;
    f->name = x->name;
    f->inferences++;
}

/* ---- lines ---- */

static void put_event(struct truth *t, struct buf *b, const struct container *c, const struct event *e) {
    char name[NAME];
    put_object(b);
    put_id(b, t->w, e->number);
    put_time(b, "time", e->time_us);
    world_model_id(e->model, e->version, name);
    put_text(b, "model_id", name);
    put_count(b, "index", 0);
    put_text(b, "device_id", c->device_id);
    put_text(b, "server_id", c->server_id);
    put_text(b, "server_version", c->version);
    put_text(b, "source", "simulated");
    world_camera(c, e->camera, name);
    put_text(b, "source_info", name);
    put_key(b, "latency_s");
    if (e->tells_latency)
        put_double(b, e->latency / 10000.0);
    else
        put_null(b);
    put_key(b, "predictions"), put_array(b);
    for (unsigned k = 0; k < e->count; k++) {
        put_object(b);
        put_text(b, "class", cell_class(e, k));
        put_share(b, "confidence", e->d[k].confidence);
        put_object_end(b);
    }
    put_array_end(b);
    put_text(b, "error", NULL);
    put_text(b, "form", c->full ? "full" : "thin");
    line(t->inferences, b);
}

static void writes(struct truth *t, struct buf *b, const struct cell *cell, enum step step, struct writes *scratch) {
    cell_writes(scratch, t->w, cell, step);
    for (size_t i = 0; i < scratch->count; i++) {
        const struct write *x = &scratch->list[i];
        count_write(t, x);
        if (!t->metadata) continue;
        put_object(b);
        put_id(b, t->w, x->number);
        put_text(b, "field", x->name);
        put_text(b, "value", x->value);
        put_text(b, "result", x->waits ? "pending" : "applied");
        put_key(b, "joins"), put_bool(b, x->waits && !x->never);
        line(t->metadata, b);
    }
}

static void report(struct truth *t, struct buf *b, const struct cell *cell, struct cell *previous) {
    size_t resent = cell_resent(t->w, cell);
    if (!cell->alive) return;
    t->reports++;
    t->heartbeats += !cell->count && !resent;
    t->resent += resent;
    if (resent) cell_make(previous, t->w, cell->window - 1, cell->c->number);
    for (size_t i = 0; t->duplicates && i < resent; i++) {
        put_object(b);
        put_id(b, t->w, previous->events[previous->count - resent + i].number);
        put_text(b, "device_id", cell->c->device_id);
        line(t->duplicates, b);
    }
    for (size_t i = 0; i < cell->count; i++) {
        count_event(t, cell->c, &cell->events[i]);
        if (t->inferences) put_event(t, b, cell->c, &cell->events[i]);
    }
}

static void aggregate(struct truth *t, struct buf *b, const struct cell *cell) {
    struct best best[BEST_MOST];
    char name[NAME];
    size_t n = cell_best(best, t->w, cell);
    t->aggregates += n > 0;
    for (size_t i = 0; i < n; i++) {
        t->partial_kept += best[i].stays;
        if (!t->partial) continue;
        put_object(b);
        put_id(b, t->w, best[i].number);
        world_model_id(best[i].model, best[i].version, name);
        put_text(b, "model_id", name);
        put_text(b, "device_id", cell->c->device_id);
        put_text(b, "class", world_models[best[i].model].class_names[best[i].code]);
        put_share(b, "confidence", best[i].confidence);
        put_key(b, "hidden"), put_bool(b, !best[i].stays);
        line(t->partial, b);
    }
}

static void failure(struct truth *t, struct buf *b, const struct cell *cell) {
    struct failure f;
    char name[NAME];
    if (!cell_failure(&f, t->w, cell)) return;
    t->failure_records++;
    t->failures += f.count;
    if (!t->failed) return;
    put_object(b);
    put_time(b, "time", f.time_us);
    world_model_id(f.model, f.version, name);
    put_text(b, "model_id", name);
    put_text(b, "device_id", cell->c->device_id);
    put_text(b, "host", cell->c->host_hash);
    put_text(b, "type", f.type);
    put_text(b, "category", "model");
    put_count(b, "count", f.count);
    put_key(b, "sent_again"), put_bool(b, f.again);
    line(t->failed, b);
}

/* ---- files ---- */

static FILE *create(const struct settings *s, const char *name, struct err *e) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", s->truth, name);
    FILE *f = fopen(path, "w");
    if (!f) err_errno(e, "%s: cannot be written", path);
    return f;
}

static bool close_file(FILE **f, struct err *e) {
    bool bad = *f && ferror(*f);
    bad = (*f && fclose(*f)) || bad;
    *f = NULL;
    return !bad || err_set(e, ERR_IO, "the truth cannot be written: no space?");
}

static void put_counts(struct buf *b, const struct counts *c) {
    put_object(b);
    put_count(b, "inferences", c->inferences);
    put_count(b, "empty", c->empty);
    put_count(b, "detections", c->detections);
    put_share(b, "confidence_sum", c->confidence_sum);
    put_count(b, "with_latency", c->latencies);
    put_share(b, "latency_sum_s", c->latency_sum);
    put_object_end(b);
}

static void put_markers(struct buf *b, const struct world *w) {
    static const char *const kinds[] = {"model", "changeover", "lens", "silent"};
    put_key(b, "markers"), put_array(b);
    for (size_t i = 0; i < w->marker_count; i++) {
        const struct marker *m = &w->markers[i];
        put_object(b);
        put_time(b, "time", m->time_us);
        put_text(b, "kind", kinds[m->kind]);
        put_text(b, "text", m->text);
        put_text(b, "model_id", m->model_id);
        put_text(b, "device_id", m->device_id);
        put_object_end(b);
    }
    put_array_end(b);
}

static void put_groups(struct buf *b, const struct truth *t) {
    const struct world *w = t->w;
    char name[CLOCK_TEXT];
    put_key(b, "models"), put_object(b);
    for (unsigned i = 0; i < MODELS * VERSIONS; i++) {
        if (!t->models[i].inferences) continue;
        world_model_id(i / VERSIONS, i % VERSIONS, name);
        put_key(b, name), put_counts(b, &t->models[i]);
    }
    put_object_end(b);
    put_key(b, "days"), put_object(b);
    for (int64_t i = 0; i < t->day_count; i++) {
        if (!t->days[i].inferences) continue;
        clock_format((t->first_day + i) * DAY, name);
        put_key_str(b, (struct str){name, 10}), put_counts(b, &t->days[i]);
    }
    put_object_end(b);
    put_key(b, "devices"), put_object(b);
    for (unsigned i = 0; i < w->s->containers; i++)
        put_key(b, w->containers[i].device_id), put_counts(b, &t->devices[i]);
    put_object_end(b);
    put_key(b, "fields"), put_object(b);
    for (const struct field_count *f = t->fields; f < t->fields + NAMES && f->name; f++)
        put_count(b, f->name, f->inferences);
    put_object_end(b);
}

static bool write_summary(const struct truth *t, struct err *e) {
    const struct settings *s = t->w->s;
    struct buf b = {0};
    FILE *f = create(s, "summary.json", e);
    if (!f) return false;
    put_object(&b);
    put_key(&b, "simulated"), put_bool(&b, true);
    put_count(&b, "seed", s->seed);
    put_time(&b, "begin", t->w->begin_us);
    put_time(&b, "now", s->now_us);
    put_time(&b, "from", t->from_us);
    put_time(&b, "to", t->to_us);
    put_count(&b, "containers", s->containers);
    put_count(&b, "cameras", s->cameras);
    put_count(&b, "window_s", (uint64_t)(t->w->window_us / SECOND));
    put_key(&b, "totals"), put_counts(&b, &t->all);
    put_count(&b, "reports", t->reports);
    put_count(&b, "heartbeats", t->heartbeats);
    put_count(&b, "sent_again", t->resent);
    put_count(&b, "failures", t->failures);
    put_count(&b, "failure_records", t->failure_records);
    put_count(&b, "aggregates", t->aggregates);
    put_count(&b, "partial_kept", t->partial_kept);
    put_count(&b, "metadata_applied", t->applied);
    put_count(&b, "metadata_joined", t->joined);
    put_count(&b, "metadata_waiting", t->never);
    put_count(&b, "ids_waiting", t->never_ids);
    put_groups(&b, t);
    put_markers(&b, t->w);
    put_object_end(&b);
    buf_addc(&b, '\n');
    fwrite(b.p, 1, b.n, f);
    buf_free(&b);
    return close_file(&f, e);
}

static bool open_files(struct truth *t, struct err *e) {
    const struct settings *s = t->w->s;
    if (!s->truth) return true;
    if (mkdir(s->truth, 0777) != 0 && errno != EEXIST) return err_errno(e, "%s: cannot be made", s->truth);
    return !s->truth_events ||
           ((t->inferences = create(s, "inferences.ndjson", e)) && (t->metadata = create(s, "metadata.ndjson", e)) &&
            (t->failed = create(s, "failures.ndjson", e)) && (t->duplicates = create(s, "duplicates.ndjson", e)) &&
            (t->partial = create(s, "partial.ndjson", e)));
}

static void make_cells(struct truth *t) {
    const struct world *w = t->w;
    struct cell cell = {0}, other = {0};
    struct writes scratch = {0};
    struct buf b = {0};
    for (unsigned window = 0; window < w->windows; window++)
        for (unsigned c = 0; c < w->s->containers; c++) {
            cell_make(&cell, w, window, c);
            writes(t, &b, &cell, STEP_EARLY, &scratch);
            aggregate(t, &b, &cell);
            report(t, &b, &cell, &other);
            writes(t, &b, &cell, STEP_AFTER, &scratch);
            failure(t, &b, &cell);
            if (window < LATE_WINDOWS) continue;
            cell_make(&other, w, window - LATE_WINDOWS, c);
            writes(t, &b, &other, STEP_LATE, &scratch);
        }
    cell_free(&cell);
    cell_free(&other);
    writes_free(&scratch);
    buf_free(&b);
}

bool truth_make(struct truth *t, const struct world *w, struct err *e) {
    *t = (struct truth){.w = w, .from_us = INT64_MAX, .first_day = w->begin_us / DAY - 1};
    t->day_count = world_start(w, w->windows) / DAY + 3 - t->first_day;
    t->models = mem_zero(MODELS * VERSIONS, sizeof *t->models);
    t->devices = mem_zero(w->s->containers, sizeof *t->devices);
    t->days = mem_zero((size_t)t->day_count, sizeof *t->days);
    bool ok = open_files(t, e);
    if (ok) make_cells(t);
    FILE **files[] = {&t->inferences, &t->metadata, &t->failed, &t->duplicates, &t->partial};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) ok = close_file(files[i], e) && ok;
    return ok && (!w->s->truth || write_summary(t, e));
}

void truth_free(struct truth *t) {
    free(t->models);
    free(t->devices);
    free(t->days);
    *t = (struct truth){0};
}
