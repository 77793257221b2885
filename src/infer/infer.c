#include "infer/infer.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "infer/alias.h"
#include "infer/meter.h"
#include "infer/prepare.h"
#include "infer/session.h"

enum { FETCH_THREADS = 4, LOADS_WAITING = 1024 };

/* A model and, once somebody needed it, its session. */
struct entry {
    struct model *model;
    pthread_mutex_t lock; /* over session and failed; held while the network is loaded, so it is loaded once */
    struct session *session;
    struct pool *pool; /* its own threads; NULL: the service's */
    struct err failed; /* loading did; it isn't tried again before a restart, as each try costs a second of a core */
};

struct infer {
    struct infer_config config;
    struct entry *entries;
    size_t entry_count;
    struct pool *pool, *fetchers;
    struct pool *loader; /* jobs without pictures: their clients ask once, so no queue of pictures may turn them away */
    struct fetch *fetch;
    struct meter *meter;
    atomic_bool stopping;
    pthread_mutex_t lock; /* over the three below */
    struct infer_listed *listed;
    size_t listed_count;
    struct arena names; /* what `listed` points to */
};

/* ---- the models ---- */

static int is_shown(const struct dirent *d) { return d->d_name[0] != '.'; }

static struct entry *answering(struct infer *s, struct str id) {
    for (size_t i = 0; i < s->entry_count; i++)
        if (model_answers(s->entries[i].model, id)) return &s->entries[i];
    return NULL;
}

/* A folder's own names go before the public ones. */
static struct entry *entry_of(struct infer *s, struct str id) {
    struct arena a = {0};
    struct entry *entry = answering(s, id);
    if (!entry) entry = answering(s, alias_resolve(id, &a));
    arena_free(&a);
    return entry;
}

static void add_folder(struct infer *s, const char *dir) {
    struct err e;
    struct model *m = model_read(dir, &e);
    if (!m || m->broken.code != ERR_NONE) {
        char why[LOG_QUOTE];
        log_event(LOG_ERROR, "model_broken", "id=%s error=%s", m ? m->ids[0].p : "unknown",
                  log_quote(why, str_of(m ? m->broken.msg : e.msg)));
    }
    if (!m) return;
    for (size_t i = 0; i < m->id_count; i++) {
        const struct entry *other = answering(s, m->ids[i]);
        if (other)
            log_event(LOG_WARN, "model_id_taken", "id=%s folder=%s answered_by=%s", m->ids[i].p, m->folder.p,
                      other->model->folder.p);
    }
    struct entry *entry = &s->entries[s->entry_count++];
    entry->model = m;
    CHECK(pthread_mutex_init(&entry->lock, NULL) == 0);
}

/* In the order of the folders' names, so that of two that claim an id always the same one gets it. */
static bool read_models(struct infer *s, const char *dir, struct err *e) {
    struct dirent **folders;
    int n = scandir(dir, &folders, is_shown, alphasort);
    if (n < 0 && errno != ENOENT) return err_errno(e, "cannot read the models folder %s", dir);
    s->entries = mem_zero(n > 0 ? (size_t)n : 0, sizeof *s->entries);
    struct arena a = {0};
    for (int i = 0; i < n; i++) {
        const char *path = arena_printf(&a, "%s/%s", dir, folders[i]->d_name);
        if (access(arena_printf(&a, "%s/model.json", path), F_OK) == 0) add_folder(s, path);
        free(folders[i]);
    }
    if (n >= 0) free(folders);
    arena_free(&a);
    if (s->entry_count == 0) log_event(LOG_WARN, "no_models", "folder=%s", dir);
    return true;
}

/* Threads of their own for the models that ask for them. */
static bool start_own(struct infer *s, struct err *e) {
    for (size_t i = 0; i < s->entry_count; i++) {
        struct entry *entry = &s->entries[i];
        const struct model *m = entry->model;
        if (!m->threads || m->broken.code != ERR_NONE) continue;
        size_t capacity = m->queue ? (size_t)m->queue : s->config.queue;
        if (!(entry->pool = pool_new("infer-own", (unsigned)m->threads, capacity, e))) return false;
    }
    return true;
}

struct infer *infer_new(const struct infer_config *config, struct err *e) {
    struct infer *s = mem_zero(1, sizeof *s);
    s->config = *config;
    struct fetch_config fetch = config->fetch;
    if (!fetch.hosts) fetch.hosts = "", fetch.ca_file = "";
    fetch.max_bytes = config->limits.max_bytes;
    s->config.models_dir = NULL, s->config.fetch = (struct fetch_config){0}; /* the caller's texts may go */
    CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
    if (read_models(s, config->models_dir, e) && (s->meter = meter_new()) && (s->fetch = fetch_new(&fetch, e)) &&
        (s->pool = pool_new("infer", config->threads, config->queue, e)) &&
        (s->loader = pool_new("load", 1, LOADS_WAITING, e)) &&
        (!*fetch.hosts || (s->fetchers = pool_new("fetch", FETCH_THREADS, config->queue, e))) &&
        start_own(s, e))
        return s;
    infer_free(s);
    return NULL;
}

void infer_stop(struct infer *s) {
    atomic_store(&s->stopping, true);
    fetch_stop(s->fetch);
}

static bool going_on(struct infer *s, struct err *e) {
    return !atomic_load(&s->stopping) || err_set(e, ERR_BUSY, "The server is stopping. Send it again soon.");
}

void infer_free(struct infer *s) {
    if (!s) return;
    if (s->fetchers) pool_free(s->fetchers); /* whose jobs go on to the other */
    if (s->loader) pool_free(s->loader);
    if (s->pool) pool_free(s->pool);
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].pool) pool_free(s->entries[i].pool);
    fetch_free(s->fetch);
    meter_free(s->meter);
    for (size_t i = 0; i < s->entry_count; i++) {
        session_free(s->entries[i].session);
        model_free(s->entries[i].model);
        pthread_mutex_destroy(&s->entries[i].lock);
    }
    free(s->entries);
    free(s->listed);
    arena_free(&s->names);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct entry *find(struct infer *s, struct str id, struct err *e) {
    struct entry *entry = entry_of(s, id);
    if (!entry) {
        char list[160] = "no models at all";
        size_t n = 0;
        for (size_t i = 0; i < s->entry_count && n < sizeof list; i++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", s->entries[i].model->ids[0].p);
        err_set(e, ERR_NOT_FOUND,
                "Requested Roboflow resource not found. No model here answers to \"%.*s\"; there is: %s",
                (int)(id.n < 100 ? id.n : 100), id.p, list);
        return NULL;
    }
    if (entry->model->broken.code == ERR_NONE) return entry;
    err_set(e, ERR_INTERNAL, "Model package is broken. %s", entry->model->broken.msg);
    return NULL;
}

const struct model *infer_find(struct infer *s, struct str id, struct err *e) {
    const struct entry *entry = find(s, id, e);
    return entry ? entry->model : NULL;
}

/* ---- the registry ---- */

static void list(struct infer *s, struct str id, const struct model *m, struct session_batch batch) {
    pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->listed_count && !str_eq(s->listed[i].id, id)) i++;
    if (i == s->listed_count) {
        s->listed = mem_resize(s->listed, (i + 1) * sizeof *s->listed);
        s->listed[s->listed_count++] = (struct infer_listed){
            {arena_copy(&s->names, id.p, id.n), id.n}, m, batch.exactly || batch.most == 1 ? batch.most : 0};
    }
    pthread_mutex_unlock(&s->lock);
}

struct infer_listed *infer_registry(struct infer *s, struct arena *a, size_t *count) {
    pthread_mutex_lock(&s->lock);
    *count = s->listed_count;
    struct infer_listed *copy = arena_copy(a, s->listed, s->listed_count * sizeof *copy);
    pthread_mutex_unlock(&s->lock);
    return copy;
}

/* ---- a job ---- */

static size_t floats_of(const struct model *m) { return 3 * (size_t)m->input.width * (size_t)m->input.height; }

/* Loads the network and runs it once on nothing, so that one that does not fit its model.json is found out here. */
static struct session *load(const struct infer *s, const struct model *m, struct err *e) {
    struct outputs out;
    int64_t start = clock_mono_us();
    struct session *session =
        session_load(m, m->runtime_threads ? (unsigned)m->runtime_threads : s->config.runtime_threads, e);
    if (!session) return NULL;
    size_t pictures = session_batch(session).exactly ? session_batch(session).most : 1;
    float *tensor = mem_zero(pictures * floats_of(m), sizeof *tensor);
    bool ok = session_run(session, tensor, pictures, &out, e);
    if (ok) {
        ok = result_fits(m, &out, pictures, e);
        outputs_free(&out);
    }
    free(tensor);
    if (ok) {
        log_event(LOG_INFO, "model_loaded", "id=%s folder=%s sha256=%s ms=%.0f", m->ids[0].p, m->folder.p,
                  session_sha256(session), (double)(clock_mono_us() - start) / 1000);
        return session;
    }
    session_free(session);
    return NULL;
}

bool infer_try(const char *dir, struct err *e) {
    const struct infer s = {.config = {.runtime_threads = 1}};
    struct model *m = model_read(dir, e);
    struct session *session = NULL;
    if (m && m->broken.code != ERR_NONE)
        *e = m->broken;
    else if (m)
        session = load(&s, m, e);
    bool ok = session != NULL;
    session_free(session);
    model_free(m);
    return ok;
}

static struct session *session_of(struct infer *s, struct entry *entry, double *load_s, struct err *e) {
    char why[LOG_QUOTE];
    pthread_mutex_lock(&entry->lock);
    if (!entry->session && entry->failed.code == ERR_NONE) {
        int64_t start = clock_mono_us();
        entry->session = load(s, entry->model, &entry->failed);
        if (!entry->session)
            log_event(LOG_ERROR, "model_broken", "id=%s error=%s", entry->model->ids[0].p,
                      log_quote(why, str_of(entry->failed.msg)));
        *load_s = (double)(clock_mono_us() - start + 1) / 1e6;
    }
    struct session *session = entry->session;
    if (!session) err_set(e, ERR_INTERNAL, "Model package is broken. %s", entry->failed.msg);
    pthread_mutex_unlock(&entry->lock);
    return session;
}

/* Which classes the filter's names stand for, NULL for no filter. A name the model does not know stands for none. */
static const bool *wanted_classes(struct infer_job *job) {
    const struct infer_options *o = &job->options;
    if (o->class_filter_count == 0) return NULL;
    bool *wanted = arena_alloc(&job->arena, job->model->class_count * sizeof *wanted);
    for (size_t c = 0; c < job->model->class_count; c++)
        for (size_t i = 0; i < o->class_filter_count && !wanted[c]; i++)
            wanted[c] = str_eq(o->class_filter[i], job->model->classes[c]);
    return wanted;
}

/* The picture's pixels. */
static bool load_picture(struct infer_job *job, size_t i, struct image *pixels) {
    const struct image_limits *limits = &job->service->config.limits;
    const struct infer_input *in = &job->inputs[i];
    struct infer_result *r = &job->results[i];
    if (in->base64 && !image_decode_base64(in->bytes, limits->max_bytes, &r->decoded, &job->err)) return false;
    r->bytes = in->base64 || in->url ? buf_str(&r->decoded) : in->bytes;
    if (!image_decode(r->bytes, limits, job->options.auto_orient, pixels, &job->err)) {
        struct str why = str_of(job->err.msg), start = STR("Could not load input image. Cause: ");
        if (in->url && str_starts(why, start)) {
            const struct err decoding = job->err;
            err_set(&job->err, decoding.code, STR_FMT "Data pointed by URL could not be decoded into image. %s",
                    STR_ARG(start), decoding.msg + start.n);
        }
        return false;
    }
    r->width = pixels->width;
    r->height = pixels->height;
    return true;
}

/* What works a job off: pictures are gathered until the network takes no more of them, or their pixels come to what one
 * picture may have. */
struct work {
    struct infer_job *job;
    struct session *session;
    const struct result_options *options;
    struct session_batch batch;
    struct image *pixels; /* of the gathered ones */
    size_t first, count;  /* which they are */
    float *tensor;        /* room for batch.most */
};

static bool show(struct infer_job *job, struct image *pixels, struct infer_result *r) {
    return !job->options.show.wanted || show_result(pixels, job->model, &r->found, &job->options.show,
                                                    infer_confidence(job), &r->drawing, &job->err);
}

static bool run_gathered(struct work *w) {
    struct infer_job *job = w->job;
    const struct model *m = job->model;
    struct outputs out;
    size_t fed = w->batch.exactly ? w->batch.most : w->count;
    if (!session_run(w->session, w->tensor, fed, &out, &job->err)) return false;
    bool ok = result_fits(m, &out, fed, &job->err); /* shapes may depend on what was put in */
    for (size_t k = 0; k < w->count && ok; k++) {
        struct infer_result *r = &job->results[w->first + k];
        struct image *pixels = &w->pixels[k];
        const struct decode_frame frame = prepare_frame(pixels->width, pixels->height, &m->input);
        result_read(m, &out, fed, k, w->options, &frame, &job->arena, &r->found);
        if (job->each) job->each(job, w->first + k, pixels);
        ok = show(job, pixels, r); /* on the pixels, which nobody needs after that */
    }
    outputs_free(&out);
    return ok;
}

static void drop_gathered(struct work *w) {
    for (size_t k = 0; k < w->count; k++) image_free(&w->pixels[k]);
    w->first += w->count;
    w->count = 0;
}

/* The protocol's clients look at how the text begins, so which picture it was stands at its end. */
static bool name_picture(struct err *e, size_t i, size_t count) {
    size_t n = strlen(e->msg);
    if (count > 1) snprintf(e->msg + n, sizeof e->msg - n, " (image %zu of %zu)", i + 1, count);
    return false;
}

static bool work_pictures(struct work *w) {
    struct infer_job *job = w->job;
    const struct model *m = job->model;
    uint64_t gathered = 0;
    bool ok = true;
    for (size_t i = 0; i < job->count && ok; i++) {
        ok = going_on(job->service, &job->err) && load_picture(job, i, &w->pixels[w->count]);
        if (!ok) return name_picture(&job->err, i, job->count);
        const struct image *pixels = &w->pixels[w->count];
        prepare(pixels, &m->input, w->tensor + w->count * floats_of(m));
        w->count++;
        gathered += (uint64_t)pixels->width * (uint64_t)pixels->height;
        if (w->count < w->batch.most && i + 1 < job->count && gathered < job->service->config.limits.max_pixels) continue;
        ok = run_gathered(w);
        if (!ok) return name_picture(&job->err, w->first, job->count);
        drop_gathered(w);
        gathered = 0;
    }
    return ok;
}

static bool work(struct infer_job *job) {
    struct entry *entry = find(job->service, job->model_id, &job->err);
    CHECK(entry); /* infer_submit looked */
    if (!going_on(job->service, &job->err)) return false;
    struct session *session = session_of(job->service, entry, &job->load_s, &job->err);
    if (!session) return false;
    job->model_sha256 = session_sha256(session);
    list(job->service, job->model_id, job->model, session_batch(session));

    const struct infer_options *o = &job->options;
    const struct result_options options = {
        .decode = {.confidence = infer_confidence(job),
                   .iou_threshold = o->iou_threshold,
                   .class_agnostic_nms = o->class_agnostic_nms,
                   .classes = wanted_classes(job),
                   .max_candidates = o->max_candidates,
                   .max_detections = o->max_detections},
        .keypoint_confidence = o->keypoint_confidence,
        .mask_factor = o->mask_factor,
        .runs = o->runs,
        .outlines = o->show.wanted,
    };
    struct work w = {.job = job, .session = session, .options = &options, .batch = session_batch(session)};
    w.pixels = mem_zero(w.batch.most, sizeof *w.pixels);
    size_t room = w.batch.exactly || job->count > w.batch.most ? w.batch.most : job->count;
    w.tensor = mem_zero(room * floats_of(job->model), sizeof *w.tensor);
    bool ok = work_pictures(&w);
    drop_gathered(&w);
    free(w.tensor);
    free(w.pixels);
    return ok;
}

static void finish(struct infer_job *job, bool ok) {
    int64_t now_us = clock_mono_us();
    job->ok = ok;
    job->elapsed_s = (double)(now_us - job->started_us) / 1e6;
    if (!ok)
        meter_failed(job->service->meter, job->account, job->model_id, now_us);
    else if (job->count)
        meter_done(job->service->meter, job->account, job->model_id, job->count, job->elapsed_s, now_us);
    job->done(job);
}

static void run(void *arg) {
    struct infer_job *job = arg;
    finish(job, work(job));
}

static bool queue(struct infer *s, struct pool *pool, pool_job *step, struct infer_job *job, struct err *e) {
    const struct model *m = job->model;
    bool own = pool != s->pool && pool != s->fetchers;
    if (pool_submit(pool, step, job)) return true;
    return err_set(e, ERR_BUSY, "The inference queue is full: %u requests wait (%s). Send it again soon.",
                   own && m->queue ? (unsigned)m->queue : s->config.queue,
                   own && m->queue ? "queue in its model.json" : "inference_queue");
}

static bool queue_run(struct infer *s, struct infer_job *job, struct err *e) {
    const struct entry *entry = entry_of(s, job->model_id);
    if (job->count == 0)
        return pool_submit(s->loader, run, job) ||
               err_set(e, ERR_BUSY, "%d models wait to be loaded. Send it again soon.", LOADS_WAITING);
    return queue(s, entry->pool ? entry->pool : s->pool, run, job, e);
}

/* On a thread for fetching: what is told by URL, then on to the models. */
static void fetch_inputs(void *arg) {
    struct infer_job *job = arg;
    struct infer *s = job->service;
    bool ok = true;
    for (size_t i = 0; i < job->count && ok; i++) {
        if (!job->inputs[i].url) continue;
        ok = going_on(s, &job->err) && fetch_get(s->fetch, job->inputs[i].bytes, &job->results[i].decoded, &job->err);
        if (!ok) name_picture(&job->err, i, job->count);
    }
    if (!ok || !queue_run(s, job, &job->err)) finish(job, false);
}

static bool submit(struct infer *s, struct infer_job *job, struct err *e) {
    bool by_url = false;
    for (size_t i = 0; i < job->count; i++) { /* before the model: the protocol's order */
        if (!job->inputs[i].url) continue;
        by_url = true;
        if (!fetch_allowed(s->fetch, job->inputs[i].bytes, e)) return name_picture(e, i, job->count);
    }
    job->model = infer_find(s, job->model_id, e);
    if (!job->model) return false;
    if (job->task && *job->task != job->model->task)
        return err_set(e, ERR_INVALID, "The model \"%.*s\" is for %s; send it to /infer/%s.",
                       (int)(job->model_id.n < 100 ? job->model_id.n : 100), job->model_id.p,
                       model_task_name(job->model->task), model_task_path(job->model->task));
    job->service = s;
    job->results = arena_alloc(&job->arena, job->count * sizeof *job->results);
    if (job->started_us == 0) job->started_us = clock_mono_us();
    return by_url ? queue(s, s->fetchers, fetch_inputs, job, e) : queue_run(s, job, e);
}

bool infer_submit(struct infer *s, struct infer_job *job, struct err *e) {
    if (submit(s, job, e)) return true;
    /* Whatever a client asks for that nobody answers to gets no gauge of its own. */
    meter_failed(s->meter, job->account, job->model ? job->model_id : (struct str){0}, clock_mono_us());
    infer_job_free(job);
    return false;
}

void infer_meter(struct infer *s, uint64_t account, struct buf *out) {
    meter_write(s->meter, account, clock_mono_us(), out);
}

size_t infer_waiting(struct infer *s) {
    size_t n = pool_waiting(s->pool) + pool_waiting(s->loader) + (s->fetchers ? pool_waiting(s->fetchers) : 0);
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].pool) n += pool_waiting(s->entries[i].pool);
    return n;
}

void infer_job_free(struct infer_job *job) {
    for (size_t i = 0; job->results && i < job->count; i++)
        buf_free(&job->results[i].decoded), buf_free(&job->results[i].drawing);
    job->results = NULL;
    arena_free(&job->arena);
}
