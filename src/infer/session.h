/* A loaded network: ONNX Runtime behind five functions; the only file pair that knows the runtime.
 *
 * Owner: the service. session_run may be called by several threads at once on one session. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "infer/model.h"

struct session;

/* Reads the model's network file and makes it ready; takes memory (about 4 times the file) and a moment. */
struct session *session_load(const struct model *m, unsigned threads, struct err *e);
void session_free(struct session *s);
const char *session_sha256(const struct session *s); /* of the file that was loaded, 64 hexadecimal digits */

/* How many pictures a run takes. Many exports take one, or a number that was decided then; an open one takes any, up to
 * SESSION_BATCH_MOST here. */
struct session_batch {
    size_t most;
    bool exactly; /* what is missing is fed as nothing */
};
enum { SESSION_BATCH_MOST = 16 };
struct session_batch session_batch(const struct session *s);

enum { SESSION_DIMENSIONS = 5 };

struct tensor {
    const float *data;
    size_t rank, shape[SESSION_DIMENSIONS];
    struct OrtValue *value;
};

/* The model's outputs, in the order of model.outputs; they live until outputs_free. */
struct outputs {
    struct tensor tensors[MODEL_OUTPUTS];
};

/* As many as session_batch says. `input` has `count` pictures of 3 * input.width * input.height floats each, one behind the other. */
bool session_run(struct session *s, float *input, size_t count, struct outputs *out, struct err *e);
void outputs_free(struct outputs *out);
