#include "infer/session.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/io.h"
#include "infer/onnx_file.h"
#include "infer/ort.h"

enum { NETWORK_MOST = 1 << 30 };

struct session {
    const struct model *m;
    struct OrtEnv *env;
    struct OrtSession *session;
    struct OrtMemoryInfo *memory;
    struct session_batch batch;
    char sha256[2 * crypto_hash_sha256_BYTES + 1];
};

static const union ort_api *api(void) { return OrtGetApiBase()->GetApi(ORT_ASKED_VERSION); }

/* Takes the status. */
static bool failed(struct OrtStatus *status, const struct model *m, struct err *e) {
    if (!status) return false;
    err_set(e, ERR_INTERNAL, "%s/model.onnx: %s", m->folder.p, api()->GetErrorMessage(status));
    api()->ReleaseStatus(status);
    return true;
}

/* All that can fail between an empty struct and a session; session_free undoes whatever was done. */
static bool open_session(struct session *s, const char *bytes, size_t n, unsigned threads, struct err *e) {
    const union ort_api *ort = api();
    const struct model *m = s->m;
    struct OrtSessionOptions *options = NULL;
    /* What it would log comes back as a status as well, and standard error is for our log lines. One thread between
     * operators: they run in order. No spinning: it would burn a core after every picture. */
    bool ok = !failed(ort->CreateEnv(ORT_LOG_FATAL, "sightglass", &s->env), m, e) &&
              !failed(ort->DisableTelemetryEvents(s->env), m, e) &&
              !failed(ort->CreateCpuMemoryInfo(ORT_ALLOCATOR_ARENA, ORT_MEMORY_DEFAULT, &s->memory), m, e) &&
              !failed(ort->CreateSessionOptions(&options), m, e) &&
              !failed(ort->SetSessionGraphOptimizationLevel(options, ORT_OPTIMIZE_ALL), m, e) &&
              !failed(ort->SetIntraOpNumThreads(options, (int)threads), m, e) &&
              !failed(ort->SetInterOpNumThreads(options, 1), m, e) &&
              !failed(ort->AddSessionConfigEntry(options, ORT_KEY_SPINNING, "0"), m, e) &&
              !failed(ort->CreateSessionFromArray(s->env, bytes, n, options, &s->session), m, e);
    if (options) ort->ReleaseSessionOptions(options);
    return ok;
}

/* From the first dimensions of the input and of the outputs that are read. A file that cannot be read so is left to the
 * runtime to refuse. */
static struct session_batch batch_of(const struct model *m, struct str bytes) {
    struct session_batch batch = {.most = 1};
    struct arena a = {0};
    struct onnx_file f;
    struct err e;
    int64_t first = 1;
    if (onnx_read(bytes, &a, &f, &e)) {
        for (size_t i = 0; i < f.input_count; i++)
            if (str_eq(f.inputs[i].name, m->input.name) && f.inputs[i].rank == 4) first = f.inputs[i].shape[0];
        for (size_t i = 0; i < f.output_count && first == ONNX_OPEN; i++)
            for (size_t k = 0; k < m->output_count; k++)
                if (str_eq(f.outputs[i].name, m->outputs[k]) && f.outputs[i].rank && f.outputs[i].shape[0] != ONNX_OPEN)
                    first = 1; /* whatever goes in, one comes out */
    }
    if (first == ONNX_OPEN) batch.most = SESSION_BATCH_MOST;
    if (first > 1 && first <= 256) batch = (struct session_batch){(size_t)first, true};
    arena_free(&a);
    return batch;
}

struct session_batch session_batch(const struct session *s) { return s->batch; }

struct session *session_load(const struct model *m, unsigned threads, struct err *e) {
    unsigned char hash[crypto_hash_sha256_BYTES];
    struct arena a = {0};
    struct session *s = NULL;
    size_t n;
    char *bytes = io_read_file(arena_printf(&a, "%s/model.onnx", m->dir.p), NETWORK_MOST, &n);
    if (!bytes) {
        err_errno(e, "%s/model.onnx cannot be read", m->folder.p);
        goto out;
    }
    if (!api()) {
        err_set(e, ERR_INTERNAL, "ONNX Runtime %s is too old, 1.%d or later is needed",
                OrtGetApiBase()->GetVersionString(), ORT_ASKED_VERSION);
        goto out;
    }
    s = mem_zero(1, sizeof *s);
    s->m = m;
    s->batch = batch_of(m, (struct str){bytes, n});
    crypto_hash_sha256(hash, (const unsigned char *)bytes, n);
    sodium_bin2hex(s->sha256, sizeof s->sha256, hash, sizeof hash);
    if (!open_session(s, bytes, n, threads, e)) {
        session_free(s);
        s = NULL;
    }
out:
    free(bytes);
    arena_free(&a);
    return s;
}

void session_free(struct session *s) {
    if (!s) return;
    if (s->session) api()->ReleaseSession(s->session);
    if (s->memory) api()->ReleaseMemoryInfo(s->memory);
    if (s->env) api()->ReleaseEnv(s->env);
    free(s);
}

const char *session_sha256(const struct session *s) { return s->sha256; }

static bool read_tensor(const struct session *s, struct str name, struct tensor *t, struct err *e) {
    const union ort_api *ort = api();
    struct OrtTensorTypeAndShapeInfo *info = NULL;
    int64_t shape[SESSION_DIMENSIONS] = {0};
    unsigned type = 0;
    void *data = NULL;
    if (failed(ort->GetTensorTypeAndShape(t->value, &info), s->m, e)) return false;
    bool ok = !failed(ort->GetTensorElementType(info, &type), s->m, e) &&
              !failed(ort->GetDimensionsCount(info, &t->rank), s->m, e);
    if (ok && (type != ORT_ELEMENT_FLOAT || t->rank == 0 || t->rank > SESSION_DIMENSIONS))
        ok = err_set(e, ERR_INTERNAL, "%s/model.onnx: output \"%s\" must be 1 to %d dimensions of 32-bit floats",
                     s->m->folder.p, name.p, SESSION_DIMENSIONS);
    ok = ok && !failed(ort->GetDimensions(info, shape, t->rank), s->m, e) &&
         !failed(ort->GetTensorMutableData(t->value, &data), s->m, e);
    for (size_t i = 0; i < SESSION_DIMENSIONS; i++) t->shape[i] = shape[i] > 0 ? (size_t)shape[i] : 0;
    t->data = data;
    ort->ReleaseTensorTypeAndShapeInfo(info);
    return ok;
}

bool session_run(struct session *s, float *input, size_t count, struct outputs *out, struct err *e) {
    const union ort_api *ort = api();
    const struct model *m = s->m;
    const struct model_input *in = &m->input;
    const int64_t n = (int64_t)count, nhwc[4] = {n, in->height, in->width, 3}, nchw[4] = {n, 3, in->height, in->width};
    const char *input_name = in->name.p, *names[MODEL_OUTPUTS];
    struct OrtValue *value = NULL, *results[MODEL_OUTPUTS] = {NULL};
    *out = (struct outputs){0};
    for (size_t i = 0; i < m->output_count; i++) names[i] = m->outputs[i].p;
    bool ok = !failed(ort->CreateTensorWithDataAsOrtValue(
                          s->memory, input, count * 3 * sizeof *input * (size_t)in->width * (size_t)in->height,
                          in->layout == MODEL_NHWC ? nhwc : nchw, 4, ORT_ELEMENT_FLOAT, &value),
                      m, e) &&
              !failed(ort->Run(s->session, NULL, &input_name, (const struct OrtValue *const *)&value, 1, names,
                               m->output_count, results),
                      m, e);
    if (value) ort->ReleaseValue(value);
    for (size_t i = 0; i < MODEL_OUTPUTS; i++) out->tensors[i].value = results[i];
    for (size_t i = 0; i < m->output_count && ok; i++) ok = read_tensor(s, m->outputs[i], &out->tensors[i], e);
    if (!ok) outputs_free(out);
    return ok;
}

void outputs_free(struct outputs *out) {
    for (size_t i = 0; i < MODEL_OUTPUTS; i++)
        if (out->tensors[i].value) api()->ReleaseValue(out->tensors[i].value);
    *out = (struct outputs){0};
}
