#include "api/inference.h"

#include <sodium.h>
#include <stdlib.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "api/result_json.h"
#include "base/clock.h"
#include "base/log.h"
#include "image/blobs.h"
#include "image/keep.h"

static void forget(struct request *r) {
    struct inference_call *call = r->data;
    infer_job_free(&call->job);
    write_free(&call->write);
    json_decref(call->body);
}

struct inference_call *inference_call_new(struct request *r) {
    struct inference_call *call = arena_alloc(&r->arena, sizeof *call);
    call->r = r;
    call->monitored = true;
    call->job.options = INFER_OPTIONS_DEFAULT;
    call->job.user = call;
    call->job.started_us = r->started_us;
    r->data = call;
    r->cleanup = forget;
    return call;
}

/* ---- on a thread of the inference service ---- */

static double top_confidence(const struct result *found) {
    if (found->ranks) return found->scores[found->ranks[0]];
    return found->count ? found->detections[0].box.confidence : 0;
}

/* The picture is on disk before the record that names it is queued. One that cannot be kept is no reason to lose the
 * result: it is logged, and the record names none. */
static void picture_done(struct infer_job *job, size_t i, const struct image *pixels) {
    struct inference_call *call = job->user;
    const struct app *app = app_of(call->r);
    struct infer_result *result = &job->results[i];
    if (!call->monitored || !keep_decide(app->keep, str_of(call->who.slug), call->id, top_confidence(&result->found))) return;
    struct buf thumbnail = {0};
    struct err e = {0};
    char quoted[LOG_QUOTE];
    call->kept[i] =
        image_thumbnail(pixels, &thumbnail, &e) &&
        blob_put(app->blobs, call->who.workspace_id, result->bytes, buf_str(&thumbnail), call->pictures[i], &e);
    if (!call->kept[i])
        log_event(LOG_ERROR, "picture_not_kept", "workspace=%s error=%s", call->who.slug,
                  log_quote(quoted, str_of(e.msg)));
    buf_free(&thumbnail);
}

static void describe(const struct inference_call *call, size_t i, struct inference *inf) {
    const struct infer_job *job = &call->job;
    const struct app *app = app_of(call->r);
    *inf = (struct inference){
        .id = call->id,
        .model_id = job->model_id,
        .model_name = job->model ? job->model->name : (struct str){0},
        .model_sha256 = str_of(job->model_sha256),
        .index = (uint32_t)i,
        .assign_index = true,
        .time_us = clock_now_us(),
        .latency_s = job->elapsed_s,
        .device_id = str_of(app->device_id),
        .source = call->source,
        .source_info = call->source_info,
        .server_id = str_of(catalog_store_id(app->catalog)),
        .server_version = str_of(SIGHTGLASS_VERSION),
    };
}

static bool write_result(struct inference_call *call, size_t i) {
    const struct infer_result *result = &call->job.results[i];
    struct arena arena = {0};
    struct inference inf;
    describe(call, i, &inf);
    inf.width = (uint32_t)result->width;
    inf.height = (uint32_t)result->height;
    inf.picture = call->kept[i] ? call->pictures[i] : NULL;
    inf.detections = stored_detections(&call->job, &result->found, &arena, &inf.detection_count);
    bool ok = write_inference(&call->write, &inf, &call->err);
    arena_free(&arena);
    return ok;
}

static bool write_failure(struct inference_call *call) {
    struct inference inf;
    describe(call, 0, &inf);
    inf.error = str_of(call->job.err.msg);
    return write_inference(&call->write, &inf, &call->err);
}

static void stored(struct store_write *w) {
    struct inference_call *call = w->ctx;
    call->err = w->err;
    request_wake(call->r);
}

static void job_done(struct infer_job *job) {
    struct inference_call *call = job->user;
    bool ok = true;
    /* A model that is not there or is broken fails like a picture that is; a full queue wants the request again. */
    if (call->monitored && (job->ok || job->err.code != ERR_BUSY)) {
        if (!job->ok) ok = write_failure(call);
        for (size_t i = 0; job->ok && ok && i < job->count; i++) ok = write_result(call, i);
        call->write.done = stored;
        call->write.ctx = call;
        if (ok && store_submit(app_of(call->r)->store, &call->write, &call->err)) return;
    }
    request_wake(call->r);
}

/* ---- the answer, on an HTTP worker ---- */

static void put_base64(struct buf *b, struct str bytes) {
    size_t room = sodium_base64_ENCODED_LEN(bytes.n, sodium_base64_VARIANT_ORIGINAL);
    char *text = mem_alloc(room);
    sodium_bin2base64(text, room, (const unsigned char *)bytes.p, bytes.n, sodium_base64_VARIANT_ORIGINAL);
    put_str(b, (struct str){text, room - 1});
    free(text);
}

static void write_json(struct buf *b, const struct inference_call *call, const struct infer_result *result) {
    put_object(b);
    if (result->drawing.n) put_key(b, "visualization"), put_base64(b, buf_str(&result->drawing));
    put_key(b, "inference_id"), put_str(b, call->id);
    put_key(b, "time"), put_double(b, call->job.elapsed_s);
    put_key(b, "image"), put_object(b);
    put_key(b, "width"), put_int(b, result->width);
    put_key(b, "height"), put_int(b, result->height);
    put_object_end(b);
    put_result(b, &call->job, &result->found);
    put_object_end(b);
}

void respond_model_headers(struct request *r, const struct infer_job *job) {
    struct buf details = {0};
    bool loaded = job->load_s > 0;
    respond_header(r, "x-inference-engine", "sightglass");
    respond_header(r, "X-Model-Cold-Start", loaded ? "true" : "false");
    respond_header(r, "X-Model-Cold-Start-Count", loaded ? "1" : "0");
    if (!job->model) return;
    respond_header(r, "X-Model-Id", arena_printf(&r->arena, STR_FMT, STR_ARG(job->model_id)));
    if (!loaded) return;
    put_array(&details), put_object(&details);
    put_key(&details, "m"), put_str(&details, job->model_id);
    put_key(&details, "t"), put_double(&details, job->load_s);
    put_object_end(&details), put_array_end(&details);
    respond_header(r, "X-Model-Load-Time", arena_printf(&r->arena, "%.6f", job->load_s));
    respond_header(r, "X-Model-Load-Details", arena_printf(&r->arena, STR_FMT, (int)details.n, details.p));
    buf_free(&details);
}

static void answer(struct request *r) {
    const struct inference_call *call = r->data;
    const struct infer_job *job = &call->job;
    respond_model_headers(r, job);
    /* A result that could not be stored is not given out: whoever has an id can attach to it. */
    if (call->err.code != ERR_NONE || !job->ok) {
        respond_error(r, call->err.code != ERR_NONE ? &call->err : &job->err);
        return;
    }
    if (call->as_picture) {
        buf_add_str(&r->out, buf_str(&job->results[0].drawing));
        respond(r, 200, "image/jpeg");
        return;
    }
    if (call->as_list) put_array(&r->out);
    for (size_t i = 0; i < job->count; i++) write_json(&r->out, call, &job->results[i]);
    if (call->as_list) put_array_end(&r->out);
    respond_json(r, 200);
}

void inference_run(struct inference_call *call) {
    struct request *r = call->r;
    struct infer_job *job = &call->job;
    if (call->id.n == 0) {
        uuid_v4(call->made_id);
        call->id = str_of(call->made_id);
    }
    call->pictures = arena_alloc(&r->arena, job->count * sizeof *call->pictures);
    call->kept = arena_alloc(&r->arena, job->count * sizeof *call->kept);
    write_begin(&call->write, call->who.workspace_id);
    job->account = (uint64_t)call->who.workspace_id;
    job->each = picture_done;
    job->done = job_done;
    request_wait(r, answer);
    if (infer_submit(app_of(r)->infer, job, &job->err)) return;
    job->elapsed_s = (double)(clock_mono_us() - r->started_us) / 1e6;
    job_done(job);
}

/* ---- the registry (protocol 2.2) ---- */

static void write_listed(struct buf *b, struct arena *a, const struct infer_listed *listed) {
    const struct model *m = listed->model;
    put_object(b);
    put_key(b, "model_id"), put_str(b, listed->id);
    put_key(b, "task_type"), put_strz(b, model_task_name(m->task));
    put_int_or_null(b, "batch_size", listed->batch, (int64_t)listed->batch);
    put_key(b, "input_height"), put_int(b, m->input.height);
    put_key(b, "input_width"), put_int(b, m->input.width);
    put_key(b, "vram_bytes"), put_null(b);
    put_key(b, "request_aliases"), put_array(b);
    if (!str_eq(m->ids[0], listed->id)) put_str(b, m->ids[0]);
    put_array_end(b);
    put_key(b, "request_paths"), put_array(b);
    put_strz(b, arena_printf(a, "/infer/%s", model_task_path(m->task)));
    put_array_end(b);
    put_object_end(b);
}

void respond_registry(struct request *r, bool models) {
    static const char *const unknown[] = {"total_vram_bytes",     "gpu_memory_used",     "gpu_memory_total",
                                          "torch_cuda_allocated", "torch_cuda_reserved", "torch_cuda_allocator_cache",
                                          "non_torch_gpu_memory"};
    size_t count = 0;
    const struct infer_listed *listed = models ? infer_registry(app_of(r)->infer, &r->arena, &count) : NULL;
    put_object(&r->out);
    put_key(&r->out, "models"), put_array(&r->out);
    for (size_t i = 0; i < count; i++) write_listed(&r->out, &r->arena, &listed[i]);
    put_array_end(&r->out);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) put_key(&r->out, unknown[i]), put_null(&r->out);
    put_object_end(&r->out);
    respond_json(r, 200);
}
