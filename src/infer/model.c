#include "infer/model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"

enum { JSON_MOST = 1 << 20, SIDE_MOST = 8192, STRIDE_MOST = 1024, CLASSES_MOST = 65536, THREADS_MOST = 64, QUEUE_MOST = 10000 };

/* Where the reader stands, for errors that name file and field. */
struct reader {
    struct model *m;
    struct err *e;
};

static bool wrong(struct reader *r, const char *field, const char *what) {
    return err_set(r->e, ERR_INTERNAL, "%s/model.json: \"%s\" %s", r->m->folder.p, field, what);
}

static struct str keep(struct reader *r, const char *p, size_t n) {
    char *copy = arena_alloc(&r->m->arena, n + 1);
    memcpy(copy, p, n);
    return (struct str){copy, n};
}

/* "input.mean" is member "mean" of member "input". */
static const json_t *member(const json_t *root, const char *field) {
    struct str head, tail;
    if (!str_cut(str_of(field), '.', &head, &tail)) return json_object_get(root, field);
    return json_object_getn(json_object_getn(root, head.p, head.n), tail.p, tail.n);
}

/* A NUL inside would end the text early where the runtime or a log reads it. */
static bool is_text(const json_t *v) {
    return json_is_string(v) && json_string_length(v) && !memchr(json_string_value(v), 0, json_string_length(v));
}

static bool read_text(struct reader *r, const json_t *root, const char *field, struct str *out) {
    const json_t *v = member(root, field);
    if (!is_text(v)) return wrong(r, field, v ? "must be a text that is not empty" : "is missing; it is a text");
    *out = keep(r, json_string_value(v), json_string_length(v));
    return true;
}

static bool read_texts(struct reader *r, const json_t *root, const char *field, size_t least, struct str **out,
                       size_t *count) {
    const json_t *v = member(root, field);
    if (!json_is_array(v)) return wrong(r, field, v ? "must be a list of texts" : "is missing; it is a list of texts");
    size_t n = json_array_size(v);
    if (n < least) return wrong(r, field, "is an empty list");
    if (n > CLASSES_MOST) return wrong(r, field, "has over 65536 entries");
    *out = arena_alloc(&r->m->arena, n * sizeof **out);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(v, i);
        if (!is_text(entry)) return wrong(r, field, "has an entry that is no text, or an empty one");
        (*out)[i] = keep(r, json_string_value(entry), json_string_length(entry));
    }
    *count = n;
    return true;
}

static bool read_int(struct reader *r, const json_t *root, const char *field, int most, int *out) {
    const json_t *v = member(root, field);
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > most)
        return err_set(r->e, ERR_INTERNAL, "%s/model.json: \"%s\" must be a whole number from 1 to %d", r->m->folder.p,
                       field, most);
    *out = (int)json_integer_value(v);
    return true;
}

static bool read_optional(struct reader *r, const json_t *root, const char *field, int most, int *out) {
    return !member(root, field) || read_int(r, root, field, most, out);
}

static bool read_three(struct reader *r, const json_t *root, const char *field, double out[3]) {
    const json_t *v = member(root, field);
    if (!json_is_array(v) || json_array_size(v) != 3) return wrong(r, field, "must be a list of three numbers");
    for (size_t i = 0; i < 3; i++) {
        const json_t *entry = json_array_get(v, i);
        if (!json_is_number(entry)) return wrong(r, field, "must be a list of three numbers");
        out[i] = json_number_value(entry);
    }
    return true;
}

/* One of the words of the list, which ends with NULL. */
static bool read_choice(struct reader *r, const json_t *root, const char *field, const char *const *words, int *out) {
    struct str text;
    char known[200] = "";
    if (!read_text(r, root, field, &text)) return false;
    for (int i = 0; words[i]; i++) {
        if (str_is(text, words[i])) return *out = i, true;
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " and ", words[i]);
    }
    return err_set(r->e, ERR_INTERNAL, "%s/model.json: \"%s\" is \"" STR_FMT "\"; this version knows %s", r->m->folder.p,
                   field, (int)(text.n < 60 ? text.n : 60), text.p, known);
}

static bool read_input(struct reader *r, const json_t *root) {
    static const char *const layouts[] = {"nhwc", "nchw", NULL}, *const orders[] = {"rgb", "bgr", NULL},
                             *const resizes[] = {"stretch", "letterbox", "crop", NULL};
    struct model_input *in = &r->m->input;
    int layout, channels, resize;
    if (!read_text(r, root, "input.name", &in->name) || !read_int(r, root, "input.width", SIDE_MOST, &in->width) ||
        !read_int(r, root, "input.height", SIDE_MOST, &in->height) ||
        !read_choice(r, root, "input.layout", layouts, &layout) ||
        !read_choice(r, root, "input.channels", orders, &channels) ||
        !read_choice(r, root, "input.resize", resizes, &resize) || !read_three(r, root, "input.mean", in->mean) ||
        !read_three(r, root, "input.scale", in->scale))
        return false;
    const json_t *pad = member(root, "input.pad");
    in->pad = pad ? json_number_value(pad) : 114; /* the grey that YOLO's tools train with */
    if ((pad && !json_is_number(pad)) || in->pad < 0 || in->pad > 255)
        return wrong(r, "input.pad", "must be a number from 0 to 255");
    in->layout = (enum model_layout)layout;
    in->channels = (enum model_channels)channels;
    in->resize = (enum model_resize)resize;
    return true;
}

/* In the order of the enums. */
static const char *const task_names[] = {"object-detection", "instance-segmentation", "keypoint-detection",
                                         "classification", NULL};
static const char *const task_paths[] = {"object_detection", "instance_segmentation", "keypoints_detection",
                                         "classification"};
static const char *const decoder_names[] = {"centernet", "yolov8", "detr", "movenet", "scores", NULL};

#define TASK(t) (1u << MODEL_##t)
static const struct {
    unsigned tasks;
    const char *outputs[MODEL_OUTPUTS];
    bool activation; /* it says how scores are made */
} decoders[] = {
    [MODEL_CENTERNET] = {TASK(DETECTION), {"outputs.scores", "outputs.boxes"}, false},
    /* `masks` only when the task is segmentation. */
    [MODEL_YOLO] = {TASK(DETECTION) | TASK(SEGMENTATION) | TASK(KEYPOINTS), {"outputs.predictions", "outputs.masks"},
                    false},
    [MODEL_DETR] = {TASK(DETECTION), {"outputs.logits", "outputs.boxes"}, true},
    [MODEL_MOVENET] = {TASK(KEYPOINTS), {"outputs.keypoints"}, false},
    [MODEL_SCORES] = {TASK(CLASSIFICATION), {"outputs.scores"}, true},
};

static bool read_decoder(struct reader *r, const json_t *root) {
    static const char *const activations[] = {"none", "sigmoid", "softmax", NULL};
    struct model *m = r->m;
    int decoder, activation = MODEL_AS_IS;
    if (!read_choice(r, root, "decoder", decoder_names, &decoder)) return false;
    m->decoder = (enum model_decoder)decoder;
    if (!(decoders[decoder].tasks & (1u << m->task)))
        return err_set(r->e, ERR_INTERNAL, "%s/model.json: the decoder \"%s\" does not fit the task \"%s\"",
                       m->folder.p, decoder_names[decoder], task_names[m->task]);
    for (size_t i = 0; i < MODEL_OUTPUTS && decoders[decoder].outputs[i]; i++) {
        if (m->decoder == MODEL_YOLO && m->task != MODEL_SEGMENTATION && i == 1) break;
        if (!read_text(r, root, decoders[decoder].outputs[i], &m->outputs[i])) return false;
        m->output_count++;
    }
    if (decoders[decoder].activation && !read_choice(r, root, "activation", activations, &activation)) return false;
    m->activation = (enum model_activation)activation;
    if (m->decoder == MODEL_DETR && m->activation == MODEL_AS_IS)
        return wrong(r, "activation", "must be sigmoid or softmax with this decoder");
    return m->decoder != MODEL_CENTERNET || read_int(r, root, "stride", STRIDE_MOST, &m->stride);
}

static bool read_rest(struct reader *r, const json_t *root) {
    struct model *m = r->m;
    int task;
    if (!read_text(r, root, "name", &m->name) || !read_choice(r, root, "task", task_names, &task)) return false;
    m->task = (enum model_task)task;
    if (!read_texts(r, root, "classes", 1, &m->classes, &m->class_count) || !read_input(r, root) ||
        !read_decoder(r, root))
        return false;
    if (m->task == MODEL_KEYPOINTS && !read_texts(r, root, "keypoints", 1, &m->keypoints, &m->keypoint_count))
        return false;
    const json_t *multi_label = json_object_get(root, "multi_label");
    if (multi_label && !json_is_boolean(multi_label)) return wrong(r, "multi_label", "must be true or false");
    m->multi_label = json_is_true(multi_label);
    if (!read_optional(r, root, "threads", THREADS_MOST, &m->threads) ||
        !read_optional(r, root, "queue", QUEUE_MOST, &m->queue) ||
        !read_optional(r, root, "runtime_threads", THREADS_MOST, &m->runtime_threads))
        return false;
    if (m->queue && !m->threads) return wrong(r, "queue", "is that of its own \"threads\", which are missing");
    const json_t *confidence = json_object_get(root, "confidence");
    m->confidence = confidence ? json_number_value(confidence) : 0.4;
    if ((confidence && !json_is_number(confidence)) || m->confidence < 0 || m->confidence > 1)
        return wrong(r, "confidence", "must be a number from 0 to 1");
    return true;
}

const char *model_task_name(enum model_task task) { return task_names[task]; }
const char *model_task_path(enum model_task task) { return task_paths[task]; }

static bool has_network(struct reader *r) {
    char *path = arena_printf(&r->m->arena, "%s/model.onnx", r->m->dir.p);
    return access(path, R_OK) == 0 || err_errno(r->e, "%s/model.onnx cannot be read", r->m->folder.p);
}

struct model *model_read(const char *dir, struct err *e) {
    struct model *m = mem_zero(1, sizeof *m);
    struct reader r = {m, e};
    const char *slash = strrchr(dir, '/');
    m->dir = keep(&r, dir, strlen(dir));
    m->folder = keep(&r, slash ? slash + 1 : dir, strlen(slash ? slash + 1 : dir));

    char *path = arena_printf(&m->arena, "%s/model.json", dir);
    json_t *root = NULL;
    json_error_t at;
    size_t n;
    bool named = false;
    char *text = io_read_file(path, JSON_MOST, &n);
    if (!text) {
        err_errno(e, "%s/model.json cannot be read", m->folder.p);
        goto out;
    }
    root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &at);
    if (!root) {
        err_set(e, ERR_INTERNAL, "%s/model.json line %d: %s", m->folder.p, at.line, at.text);
        goto out;
    }
    named = read_texts(&r, root, "ids", 1, &m->ids, &m->id_count) &&
            read_texts(&r, root, "aliases", 0, &m->aliases, &m->alias_count);
    r.e = &m->broken;
    if (named && read_rest(&r, root)) has_network(&r);
out:
    if (root) json_decref(root);
    free(text);
    if (named) return m;
    model_free(m);
    return NULL;
}

void model_free(struct model *m) {
    if (!m) return;
    arena_free(&m->arena);
    free(m);
}

bool model_answers(const struct model *m, struct str id) {
    for (size_t i = 0; i < m->id_count; i++)
        if (str_eq(m->ids[i], id)) return true;
    for (size_t i = 0; i < m->alias_count; i++)
        if (str_eq(m->aliases[i], id)) return true;
    return false;
}
