/* The part of ONNX Runtime's C interface that we use, release 1.26.0.
 *
 * The runtime exports one function, OrtGetApiBase; what it leads to is a table of function pointers that only ever
 * grows at its end, so a function is its place in it. The published header (onnxruntime_c_api.h) isn't in the package
 * that the library comes in, hence these declarations of ours; tests/ort-header proves each place, type and value
 * against it.
 *
 * Every function that returns a struct OrtStatus * returns NULL when it went well; else the status is the caller's. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct OrtEnv;
struct OrtMemoryInfo;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorTypeAndShapeInfo;
struct OrtValue;

#define ORT_STATUS struct OrtStatus *

/* place, returns, name, parameters */
#define ORT_FUNCTIONS(X)                                                                                              \
    X(2, const char *, GetErrorMessage, (const struct OrtStatus *))                                                   \
    X(3, ORT_STATUS, CreateEnv, (unsigned log_level, const char *log_id, struct OrtEnv **))                           \
    X(6, ORT_STATUS, DisableTelemetryEvents, (const struct OrtEnv *))                                                 \
    X(8, ORT_STATUS, CreateSessionFromArray,                                                                          \
      (const struct OrtEnv *, const void *model, size_t n, const struct OrtSessionOptions *, struct OrtSession **))   \
    X(9, ORT_STATUS, Run,                                                                                             \
      (struct OrtSession *, const struct OrtRunOptions *, const char *const *input_names,                             \
       const struct OrtValue *const *inputs, size_t input_count, const char *const *output_names,                     \
       size_t output_count, struct OrtValue **outputs))                                                               \
    X(10, ORT_STATUS, CreateSessionOptions, (struct OrtSessionOptions **))                                            \
    X(23, ORT_STATUS, SetSessionGraphOptimizationLevel, (struct OrtSessionOptions *, unsigned level))                 \
    X(24, ORT_STATUS, SetIntraOpNumThreads, (struct OrtSessionOptions *, int threads))                                \
    X(25, ORT_STATUS, SetInterOpNumThreads, (struct OrtSessionOptions *, int threads))                                \
    X(49, ORT_STATUS, CreateTensorWithDataAsOrtValue,                                                                 \
      (const struct OrtMemoryInfo *, void *data, size_t bytes, const int64_t *shape, size_t dimensions,               \
       unsigned element_type, struct OrtValue **))                                                                    \
    X(51, ORT_STATUS, GetTensorMutableData, (struct OrtValue *, void **data))                                         \
    X(60, ORT_STATUS, GetTensorElementType, (const struct OrtTensorTypeAndShapeInfo *, unsigned *element_type))       \
    X(61, ORT_STATUS, GetDimensionsCount, (const struct OrtTensorTypeAndShapeInfo *, size_t *dimensions))             \
    X(62, ORT_STATUS, GetDimensions, (const struct OrtTensorTypeAndShapeInfo *, int64_t *shape, size_t dimensions))   \
    X(65, ORT_STATUS, GetTensorTypeAndShape, (const struct OrtValue *, struct OrtTensorTypeAndShapeInfo **))          \
    X(69, ORT_STATUS, CreateCpuMemoryInfo, (int allocator_type, int memory_type, struct OrtMemoryInfo **))            \
    X(92, void, ReleaseEnv, (struct OrtEnv *))                                                                        \
    X(93, void, ReleaseStatus, (struct OrtStatus *))                                                                  \
    X(94, void, ReleaseMemoryInfo, (struct OrtMemoryInfo *))                                                          \
    X(95, void, ReleaseSession, (struct OrtSession *))                                                                \
    X(96, void, ReleaseValue, (struct OrtValue *))                                                                    \
    X(99, void, ReleaseTensorTypeAndShapeInfo, (struct OrtTensorTypeAndShapeInfo *))                                  \
    X(100, void, ReleaseSessionOptions, (struct OrtSessionOptions *))                                                 \
    X(130, ORT_STATUS, AddSessionConfigEntry, (struct OrtSessionOptions *, const char *key, const char *value))

/* Each function at its place: as many pointers before it as its number says. */
union ort_api {
#define X(place, returns, name, parameters) \
    struct {                                \
        void *before_##name[place];         \
        returns(*name) parameters;          \
    };
    ORT_FUNCTIONS(X)
#undef X
};

struct ort_api_base {
    const union ort_api *(*GetApi)(uint32_t version); /* NULL when the library is older than that version */
    const char *(*GetVersionString)(void);
};

const struct ort_api_base *OrtGetApiBase(void);

/* The table's version we ask for: the oldest that every release we name (1.21 in Debian 13, 1.26) has. */
#define ORT_ASKED_VERSION 21

/* name here, value, name there */
#define ORT_VALUES(X)                                              \
    X(ORT_LOG_FATAL, 4, ORT_LOGGING_LEVEL_FATAL)                   \
    X(ORT_OPTIMIZE_ALL, 99, ORT_ENABLE_ALL)                        \
    X(ORT_ELEMENT_FLOAT, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)   \
    X(ORT_ALLOCATOR_ARENA, 1, OrtArenaAllocator)                   \
    X(ORT_MEMORY_DEFAULT, 0, OrtMemTypeDefault)

enum {
#define X(ours, value, published) ours = value,
    ORT_VALUES(X)
#undef X
};

/* "0": a thread that has nothing to do sleeps at once instead of asking again and again. */
#define ORT_KEY_SPINNING "session.intra_op.allow_spinning"
