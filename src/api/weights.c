/* Models of ours for inference servers to load (protocol 3.6, rows 20 and 21 of its section 5): GET
 * /models/v1/external/stat and weights, /ort/:project/:version, /getWeights, /:owner/:dataset/:version. A model of ours
 * that they can load is answered by us; any other id goes to the upstream.
 *
 * Servers fetch the files without a key, as they do from the platform's storage: each URL is signed, for an hour and
 * for one file, and is made for the host that the request came to. */
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "api/routes.h"
#include "api/upstream.h"
#include "base/clock.h"
#include "base/pool.h"
#include "infer/infer.h"
#include "infer/package.h"

enum { LASTS_S = 3600, MAC_TEXT = 2 * MAC_SIZE + 1 };

enum form { STAT, WEIGHTS, ORT, VERSION, BY_NAME };

struct call {
    struct request *r;
    enum form form;
    struct str id; /* as asked for */
    const struct model *model;
    struct package package;
    bool ok;
    struct err e;
    int fd; /* of the network, for GET /models/v1/files */
    size_t size;
};

/* ---- URLs ---- */

static void sign(const struct request *r, struct str id, struct str file, struct str expires, char out[MAC_TEXT]) {
    struct arena a = {0};
    unsigned char mac[MAC_SIZE];
    const char *text = arena_printf(&a, "model file\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(id), STR_ARG(file),
                                    STR_ARG(expires));
    catalog_sign(app_of(r)->catalog, text, strlen(text), mac);
    sodium_bin2hex(out, MAC_TEXT, mac, sizeof mac);
    arena_free(&a);
}

static bool is_host(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr(".-_:[]", c))) return false;
    }
    return s.n > 0;
}

static const char *escaped(struct arena *a, struct str s) {
    struct buf to = {0};
    for (size_t i = 0; i < s.n; i++) buf_printf(&to, "%%%02X", (unsigned)(unsigned char)s.p[i]);
    const char *text = arena_printf(a, STR_FMT, STR_ARG(buf_str(&to)));
    buf_free(&to);
    return text;
}

/* The host as the caller knows it; behind a proxy that speaks TLS the URL does too. */
static void put_url(const struct call *c, enum package_file file) {
    struct request *r = c->r;
    struct str host = request_header(r, "Host"), name = str_of(package_file_name(file)), id = c->model->ids[0];
    bool tls = str_eq_nocase(request_header(r, "X-Forwarded-Proto"), STR("https"));
    char expires[24], mac[MAC_TEXT];
    if (!is_host(host)) host = str_of(app_of(r)->listen);
    snprintf(expires, sizeof expires, "%" PRId64, clock_now_us() / 1000000 + LASTS_S);
    sign(r, id, name, str_of(expires), mac);
    put_strz(&r->out,
             arena_printf(&r->arena, "%s://" STR_FMT "/models/v1/files?model=%s&file=%s&expires=%s&signature=%s",
                          tls ? "https" : "http", STR_ARG(host), escaped(&r->arena, id), name.p, expires, mac));
}

/* ---- answers ---- */

static void put_stat(const struct call *c) {
    struct buf *to = &c->r->out;
    put_key(to, "modelArchitecture"), put_strz(to, "yolov8");
    put_key(to, "taskType"), put_strz(to, model_task_name(c->model->task));
}

static void put_manifest(const struct call *c) {
    struct buf *to = &c->r->out;
    put_key(to, "packageManifest"), put_object(to);
    put_key(to, "type"), put_strz(to, "onnx-model-package-v1");
    put_key(to, "backendType"), put_strz(to, "onnx");
    put_key(to, "dynamicBatchSize"), put_bool(to, c->package.batch == 0);
    put_int_or_null(to, "staticBatchSize", c->package.batch, c->package.batch);
    put_key(to, "quantization"), put_strz(to, "fp32");
    put_key(to, "opset"), put_int(to, c->package.opset);
    put_key(to, "incompatibleProviders"), put_null(to);
    put_object_end(to);
}

static void put_weights(const struct call *c) {
    struct buf *to = &c->r->out;
    put_key(to, "type"), put_strz(to, "external-model-metadata-v1");
    put_key(to, "modelId"), put_str(to, c->id);
    put_stat(c);
    put_key(to, "modelPackages"), put_array(to), put_object(to);
    put_key(to, "type"), put_strz(to, "external-model-package-v1");
    put_key(to, "packageId"), put_strz(to, c->package.md5[PACKAGE_WEIGHTS]);
    put_manifest(c);
    put_key(to, "packageFiles"), put_array(to);
    for (int i = 0; i < PACKAGE_FILES; i++) {
        if (!c->package.has[i] || i == PACKAGE_ENVIRONMENT) continue;
        put_object(to);
        put_key(to, "fileHandle"), put_strz(to, package_file_name((enum package_file)i));
        put_key(to, "downloadUrl"), put_url(c, (enum package_file)i);
        put_key(to, "md5Hash"), put_strz(to, c->package.md5[i]);
        put_object_end(to);
    }
    put_array_end(to);
    put_key(to, "trustedSource"), put_bool(to, true);
    put_object_end(to), put_array_end(to);
    put_key(to, "nextPage"), put_null(to);
}

static void put_classes(const struct call *c) {
    struct buf *to = &c->r->out;
    put_key(to, "classes"), put_array(to);
    for (size_t i = 0; i < c->model->class_count; i++) put_str(to, c->model->classes[i]);
    put_array_end(to);
}

static void put_ort(const struct call *c) {
    struct buf *to = &c->r->out;
    put_key(to, "type"), put_strz(to, model_task_name(c->model->task));
    put_key(to, "modelType"), put_strz(to, c->package.model_type);
    put_classes(c);
    put_key(to, "model"), put_url(c, PACKAGE_WEIGHTS);
    put_key(to, "environment"), put_url(c, PACKAGE_ENVIRONMENT);
    if (!c->package.has[PACKAGE_KEYPOINTS]) return;
    struct buf points = {0};
    package_put(c->model, PACKAGE_KEYPOINTS, &points);
    put_key(to, "keypoints_metadata"), put_raw(to, buf_str(&points));
    buf_free(&points);
}

static void put_by_name(const struct call *c) {
    struct buf *to = &c->r->out, environment = {0};
    package_put(c->model, PACKAGE_ENVIRONMENT, &environment);
    put_key(to, "taskType"), put_strz(to, model_task_name(c->model->task));
    put_key(to, "modelType"), put_strz(to, c->package.model_type);
    put_key(to, "modelFiles"), put_object(to), put_key(to, "ort"), put_object(to);
    put_key(to, "model"), put_url(c, PACKAGE_WEIGHTS);
    put_object_end(to), put_object_end(to);
    put_key(to, "environment"), put_raw(to, buf_str(&environment));
    put_classes(c);
    buf_free(&environment);
}

/* The upstream may know the id for a model that servers can load. */
static void refuse(struct call *c) {
    if (c->e.code == ERR_NOT_FOUND && app_of(c->r)->upstream)
        relay(c->r);
    else if (c->e.code == ERR_NOT_FOUND)
        respond_fail(c->r, ERR_NOT_FOUND, "%s; and no upstream is set that could be asked (--upstream)", c->e.msg);
    else
        respond_error(c->r, &c->e);
}

static void answer(struct request *r) {
    static const char *const outer[] = {"modelMetadata", "modelMetadata", "ort", "version"};
    struct call *c = r->data;
    struct buf *to = &r->out;
    if (!c->ok) {
        refuse(c);
        return;
    }
    put_object(to);
    if (c->form == BY_NAME) {
        put_by_name(c);
        put_object_end(to);
        respond_json(r, 200);
        return;
    }
    put_key(to, outer[c->form]), put_object(to);
    if (c->form == STAT) put_stat(c);
    if (c->form == WEIGHTS) put_weights(c);
    if (c->form == ORT) put_ort(c);
    if (c->form == VERSION) put_key(to, "modelType"), put_strz(to, c->package.model_type);
    put_object_end(to), put_object_end(to);
    respond_json(r, 200);
}

static void read_package(void *arg) {
    struct call *c = arg;
    c->ok = package_read(c->model, &c->r->arena, &c->package, &c->e);
    request_wake(c->r);
}

/* ---- which model ---- */

static void serve(struct request *r, enum form form, struct str id) {
    struct call *c = arena_alloc(&r->arena, sizeof *c);
    *c = (struct call){.r = r, .form = form, .id = id};
    struct err e;
    if (!relay_allowed(r)) return;
    c->model = id.n ? infer_find(app_of(r)->infer, id, &e) : NULL;
    if (!c->model) {
        relay(r);
        return;
    }
    if (!package_possible(c->model, &c->e)) {
        refuse(c);
        return;
    }
    r->data = c;
    request_wait(r, answer);
    if (pool_submit(app_of(r)->queries, read_package, c)) return;
    err_set(&c->e, ERR_BUSY, "too many requests wait; send it again soon");
    request_wake(r);
}

static void serve_two(struct request *r, enum form form, const char *first, const char *second) {
    struct str a = request_param(r, first), b = request_param(r, second);
    serve(r, form, str_of(arena_printf(&r->arena, STR_FMT "/" STR_FMT, STR_ARG(a), STR_ARG(b))));
}

void get_model_stat(struct request *r) { serve(r, STAT, request_query(r, "modelId")); }
void get_model_weights(struct request *r) { serve(r, WEIGHTS, request_query(r, "modelId")); }
void get_weights_by_name(struct request *r) { serve(r, BY_NAME, request_query(r, "model")); }
void get_ort(struct request *r) { serve_two(r, ORT, "project", "version"); }

void get_version(struct request *r) {
    if (routes_reserved(request_param(r, "owner")))
        respond_fail(r, ERR_NOT_FOUND, HTTP_NO_PATH);
    else
        serve_two(r, VERSION, "dataset", "version");
}

/* ---- GET /models/v1/files ---- */

static void open_network(void *arg) {
    struct call *c = arg;
    struct stat s;
    c->fd = open(arena_printf(&c->r->arena, "%s/model.onnx", c->model->dir.p), O_RDONLY | O_CLOEXEC);
    c->ok = c->fd >= 0 && fstat(c->fd, &s) == 0;
    if (c->ok)
        c->size = (size_t)s.st_size;
    else
        err_errno(&c->e, "%s/model.onnx cannot be read", c->model->folder.p);
    request_wake(c->r);
}

static void close_network(struct request *r) {
    struct call *c = r->data;
    if (c->fd >= 0) close(c->fd);
}

static void answer_network(struct request *r) {
    struct call *c = r->data;
    int fd = c->fd;
    if (!c->ok) {
        respond_error(r, &c->e);
        return;
    }
    c->fd = -1;
    if (!respond_file(r, fd, c->size, "application/octet-stream"))
        respond_fail(r, ERR_INTERNAL, "the file could not be sent");
}

void get_model_file(struct request *r) {
    struct str id = request_query(r, "model"), name = request_query(r, "file"), expires = request_query(r, "expires");
    struct str signature = request_query(r, "signature");
    struct call *c = arena_alloc(&r->arena, sizeof *c);
    char mac[MAC_TEXT];
    unsigned long long until;
    enum package_file file;
    *c = (struct call){.r = r, .id = id, .fd = -1};
    sign(r, id, name, expires, mac);
    if (signature.n != MAC_TEXT - 1 || sodium_memcmp(signature.p, mac, MAC_TEXT - 1) != 0 ||
        !str_to_u64(expires, &until) || until < (unsigned long long)(clock_now_us() / 1000000)) {
        respond_fail(r, ERR_FORBIDDEN, "this URL is not one that was given out here, or its hour is over; ask for "
                                       "the model again");
        return;
    }
    if (!(c->model = infer_find(app_of(r)->infer, id, &c->e)) || !package_file_of(name, &file)) {
        respond_fail(r, ERR_NOT_FOUND, "there is no such model or file here any more");
        return;
    }
    if (file != PACKAGE_WEIGHTS) {
        package_put(c->model, file, &r->out);
        respond(r, 200, file == PACKAGE_CLASSES ? "text/plain; charset=utf-8" : "application/json");
        return;
    }
    r->data = c;
    r->cleanup = close_network;
    request_wait(r, answer_network);
    if (pool_submit(app_of(r)->queries, open_network, c)) return;
    err_set(&c->e, ERR_BUSY, "too many requests wait; send it again soon");
    request_wake(r);
}
