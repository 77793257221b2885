#include "infer/describe.h"

#include <inttypes.h>
#include <stdio.h>

#include "infer/model.h"

/* What is found out, and where it goes. */
struct sketch {
    const struct onnx_file *f;
    const struct describe_options *o;
    struct buf *notes;
    json_t *root, *input, *outputs;
    enum model_task task;
    int64_t classes; /* how many; 0: not known */
};

static void note(struct sketch *s, const char *fmt, const char *field) { buf_printf(s->notes, fmt, field), buf_addc(s->notes, '\n'); }

static json_t *text_json(struct str s) { return json_stringn(s.p, s.n); }

/* ---- Python's way to write dictionaries and lists, as metadata has them ---- */

static struct str skip_blanks(struct str at) {
    while (at.n && (at.p[0] == ' ' || at.p[0] == '\n' || at.p[0] == '\t')) at = str_from(at, 1);
    return at;
}

/* A quoted text off the front. */
static bool take_quoted(struct str *at, struct buf *out) {
    if (at->n < 2 || (at->p[0] != '\'' && at->p[0] != '"')) return false;
    char quote = at->p[0];
    for (*at = str_from(*at, 1); at->n && at->p[0] != quote; *at = str_from(*at, 1)) {
        if (at->p[0] == '\\' && at->n > 1) *at = str_from(*at, 1);
        buf_addc(out, at->p[0]);
    }
    if (at->n == 0) return false;
    *at = str_from(*at, 1);
    return true;
}

static bool take_number(struct str *at, unsigned long long *out) {
    size_t n = 0;
    while (n < at->n && at->p[n] >= '0' && at->p[n] <= '9') n++;
    if (!str_to_u64((struct str){at->p, n}, out)) return false;
    *at = str_from(*at, n);
    return true;
}

/* {0: 'person', 1: 'car'} or ['person', 'car']: the names in their order. NULL: it is neither. */
static json_t *names_of(struct str text) {
    json_t *list = json_array();
    struct str at = skip_blanks(text);
    struct buf name = {0};
    bool dictionary = at.n && at.p[0] == '{', ok = at.n && (dictionary || at.p[0] == '[');
    char end = dictionary ? '}' : ']';
    if (ok) at = skip_blanks(str_from(at, 1));
    while (ok && at.n && at.p[0] != end) {
        unsigned long long number = json_array_size(list);
        if (dictionary) {
            ok = take_number(&at, &number) && number == json_array_size(list);
            at = skip_blanks(at);
            ok = ok && at.n && at.p[0] == ':';
            if (ok) at = skip_blanks(str_from(at, 1));
        }
        name.n = 0;
        ok = ok && take_quoted(&at, &name) && json_array_append_new(list, text_json(buf_str(&name))) == 0;
        at = skip_blanks(at);
        if (ok && at.n && at.p[0] == ',') at = skip_blanks(str_from(at, 1));
    }
    buf_free(&name);
    if (ok && at.n && json_array_size(list)) return list;
    json_decref(list);
    return NULL;
}

/* [640, 480]: two numbers. */
static bool pair_of(struct str text, unsigned long long out[2]) {
    struct str at = skip_blanks(text);
    if (at.n == 0 || at.p[0] != '[') return false;
    at = skip_blanks(str_from(at, 1));
    if (!take_number(&at, &out[0])) return false;
    at = skip_blanks(at);
    if (at.n == 0 || at.p[0] != ',') return false;
    at = skip_blanks(str_from(at, 1));
    return take_number(&at, &out[1]);
}

/* ---- the parts of a description ---- */

static void set_output(struct sketch *s, const char *role, const struct onnx_tensor *t) {
    json_object_set_new(s->outputs, role, text_json(t->name));
}

static void set_pixels(struct sketch *s, const char *resize, double scale) {
    json_object_set_new(s->input, "channels", json_string("rgb"));
    json_object_set_new(s->input, "resize", json_string(resize));
    json_object_set_new(s->input, "mean", json_pack("[iii]", 0, 0, 0));
    json_object_set_new(s->input, "scale", json_pack("[fff]", scale, scale, scale));
}

/* Name, layout and size. */
static bool set_input(struct sketch *s, struct err *e) {
    const struct onnx_tensor *t = &s->f->inputs[0];
    if (s->f->input_count != 1)
        return err_set(e, ERR_INVALID, "the network has %zu inputs; one, the picture, is what this version feeds",
                       s->f->input_count);
    if (t->type != ONNX_FLOAT || t->rank != 4)
        return err_set(e, ERR_INVALID, "the input \"" STR_FMT "\" must be 4 dimensions of 32-bit floats", STR_ARG(t->name));
    bool last = t->shape[3] == 3 && t->shape[1] != 3;
    if (!last && t->shape[1] != 3)
        return err_set(e, ERR_INVALID, "the input \"" STR_FMT "\" must have 3 channels", STR_ARG(t->name));
    int64_t height = t->shape[last ? 1 : 2], width = t->shape[last ? 2 : 3];
    unsigned long long told[2];
    if ((height == ONNX_OPEN || width == ONNX_OPEN) && pair_of(onnx_metadata(s->f, "imgsz"), told)) {
        height = (int64_t)told[0], width = (int64_t)told[1];
    } else if (height == ONNX_OPEN || width == ONNX_OPEN) {
        if (s->o->size == 0)
            note(s, "the size of the input is open (%s): 640 x 640 is assumed; --size sets another", "input.width, input.height");
        height = width = s->o->size ? s->o->size : 640;
    }
    json_object_set_new(s->input, "name", text_json(t->name));
    json_object_set_new(s->input, "width", json_integer(width));
    json_object_set_new(s->input, "height", json_integer(height));
    json_object_set_new(s->input, "layout", json_string(last ? "nhwc" : "nchw"));
    return true;
}

/* From the operator, the metadata, or numbered. */
static bool set_classes(struct sketch *s, struct err *e) {
    json_t *list = NULL;
    if (!s->o->class_count && json_object_get(s->root, "classes")) return true; /* the kind of network says it */
    if (s->o->class_count) {
        list = json_array();
        for (size_t i = 0; i < s->o->class_count; i++) json_array_append_new(list, text_json(s->o->classes[i]));
    } else if (!(list = names_of(onnx_metadata(s->f, "names")))) {
        if (s->classes < 1)
            return err_set(e, ERR_INVALID, "neither names nor number of the classes can be told from the file; --classes "
                                           "FILE gives them, a name a line");
        list = json_array();
        char name[40];
        for (int64_t i = 0; i < s->classes && i < 65536; i++) {
            snprintf(name, sizeof name, "class %" PRId64, i);
            json_array_append_new(list, json_string(name));
        }
        note(s, "the names of the classes (%s): they are numbered; --classes FILE gives them, a name a line", "classes");
    }
    json_object_set_new(s->root, "classes", list);
    if (s->classes > 0 && (int64_t)json_array_size(list) != s->classes)
        return err_set(e, ERR_INVALID, "there are %zu names of classes, and the network has %" PRId64 " classes",
                       json_array_size(list), s->classes);
    return true;
}

static void set_keypoints(struct sketch *s, int64_t count) {
    static const char *const coco[17] = {"nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
                                         "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
                                         "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"};
    json_t *list = json_array();
    char name[40];
    for (int64_t i = 0; i < count && i < 65536; i++) {
        snprintf(name, sizeof name, "%" PRId64, i);
        json_array_append_new(list, json_string(count == 17 ? coco[i] : name));
    }
    json_object_set_new(s->root, "keypoints", list);
    note(s, count == 17 ? "the names of the keypoints (%s): those of the COCO person are assumed, as there are 17"
                        : "the names of the keypoints (%s): they are numbered",
         "keypoints");
}

static void set_head(struct sketch *s, enum model_task task, const char *decoder) {
    s->task = task;
    json_object_set_new(s->root, "task", json_string(model_task_name(task)));
    json_object_set_new(s->root, "decoder", json_string(decoder));
}

/* ---- what kind of network it is ---- */

static const struct onnx_tensor *output_of_rank(const struct onnx_file *f, size_t rank) {
    for (size_t i = 0; i < f->output_count; i++)
        if (f->outputs[i].rank == rank) return &f->outputs[i];
    return NULL;
}

static bool no_decoder(const struct sketch *s, struct err *e) {
    struct buf list = {0};
    for (size_t i = 0; i < s->f->output_count; i++) {
        const struct onnx_tensor *t = &s->f->outputs[i];
        buf_printf(&list, "%s\"" STR_FMT "\" (", i ? ", " : "", (int)(t->name.n < 40 ? t->name.n : 40), t->name.p);
        for (size_t k = 0; k < t->rank; k++) {
            if (t->shape[k] == ONNX_OPEN)
                buf_printf(&list, "%s?", k ? " x " : "");
            else
                buf_printf(&list, "%s%" PRId64, k ? " x " : "", t->shape[k]);
        }
        buf_addc(&list, ')');
    }
    err_set(e, ERR_INVALID, "no decoder here fits the outputs: %.*s. models/README.md tells what each reads, and what a "
                            "model.json by hand says",
            (int)(list.n < 200 ? list.n : 200), list.p);
    buf_free(&list);
    return false;
}

/* The channels of a YOLO table: the smaller of the two numbers, as anchors are many. */
static int64_t channels_of(const struct onnx_tensor *t) {
    if (t->shape[1] == ONNX_OPEN || t->shape[2] == ONNX_OPEN) return t->shape[1] == ONNX_OPEN ? t->shape[2] : t->shape[1];
    return t->shape[1] < t->shape[2] ? t->shape[1] : t->shape[2];
}

static bool ultralytics(struct sketch *s, struct str task, struct err *e) {
    const struct onnx_tensor *table = output_of_rank(s->f, 3), *protos = output_of_rank(s->f, 4);
    unsigned long long points[2];
    if (str_is(task, "classify") && output_of_rank(s->f, 2)) {
        const struct onnx_tensor *scores = output_of_rank(s->f, 2);
        set_head(s, MODEL_CLASSIFICATION, "scores");
        set_pixels(s, "crop", 1.0 / 255);
        set_output(s, "scores", scores);
        json_object_set_new(s->root, "activation", json_string("none"));
        s->classes = scores->shape[1];
        return true;
    }
    if (!table) return no_decoder(s, e);
    int64_t channels = channels_of(table);
    if (str_is(onnx_metadata(s->f, "end2end"), "True") || (table->shape[1] == 300 && table->shape[2] < 60))
        return err_set(e, ERR_INVALID, "this export has the suppression of overlaps inside; export it again with nms=False");
    set_pixels(s, "letterbox", 1.0 / 255);
    set_output(s, "predictions", table);
    if (str_is(task, "detect")) {
        set_head(s, MODEL_DETECTION, "yolov8");
        s->classes = channels - 4;
    } else if (str_is(task, "segment") && protos) {
        set_head(s, MODEL_SEGMENTATION, "yolov8");
        set_output(s, "masks", protos);
        s->classes = channels - 4 - protos->shape[1];
    } else if (str_is(task, "pose") && pair_of(onnx_metadata(s->f, "kpt_shape"), points) && points[0] < 65536) {
        set_head(s, MODEL_KEYPOINTS, "yolov8");
        set_keypoints(s, (int64_t)points[0]);
        s->classes = channels - 4 - (int64_t)(points[0] * points[1]);
    } else {
        return err_set(e, ERR_INVALID, "the metadata says task \"%.*s\", which this version does not run, or the outputs "
                                       "are not that task's",
                       (int)(task.n < 40 ? task.n : 40), task.p);
    }
    return true;
}

/* Two outputs, one of them boxes: what transformers give. */
static bool detr(struct sketch *s) {
    const struct onnx_tensor *a = &s->f->outputs[0], *b = &s->f->outputs[1];
    if (s->f->output_count < 2 || a->rank != 3 || b->rank != 3) return false;
    if (a->shape[2] == 4 && b->shape[2] != 4) {
        const struct onnx_tensor *first = a;
        a = b, b = first;
    }
    if (b->shape[2] != 4 || a->shape[2] == ONNX_OPEN || a->shape[1] != b->shape[1]) return false;
    set_head(s, MODEL_DETECTION, "detr");
    set_output(s, "logits", a);
    set_output(s, "boxes", b);
    set_pixels(s, "stretch", 1.0 / 255);
    s->classes = a->shape[2];
    /* One logit more than names is the one for "no object". */
    bool softmax = s->o->class_count && (int64_t)s->o->class_count + 1 == s->classes;
    if (softmax) s->classes--;
    json_object_set_new(s->root, "activation", json_string(softmax ? "softmax" : "sigmoid"));
    if (!softmax)
        note(s, "whether logits stand each for itself (%s): sigmoid is assumed, as RT-DETR and RF-DETR have it", "activation");
    return true;
}

/* By the shapes of the outputs. */
static bool by_shape(struct sketch *s, struct err *e) {
    const struct onnx_tensor *scores = output_of_rank(s->f, 2), *table = output_of_rank(s->f, 3);
    const struct onnx_tensor *four = output_of_rank(s->f, 4);
    bool one = s->f->output_count == 1;
    if (detr(s)) {
    } else if (one && scores && scores->shape[1] != ONNX_OPEN) {
        set_head(s, MODEL_CLASSIFICATION, "scores");
        set_output(s, "scores", scores);
        set_pixels(s, "crop", 1.0 / 255);
        s->classes = scores->shape[1];
        json_object_set_new(s->root, "activation", json_string("softmax"));
        note(s, "what makes scores of the outputs (%s): softmax is assumed, one label", "activation, multi_label");
    } else if (one && four && four->shape[1] == 1 && four->shape[3] == 3 && four->shape[2] > 0) {
        set_head(s, MODEL_KEYPOINTS, "movenet");
        set_output(s, "keypoints", four);
        set_pixels(s, "letterbox", 1);
        json_object_set_new(s->root, "classes", json_pack("[s]", "person"));
        set_keypoints(s, four->shape[2]);
    } else if (table && channels_of(table) > 4 && (one || (four && s->f->output_count == 2 && four->shape[1] > 0))) {
        set_head(s, one ? MODEL_DETECTION : MODEL_SEGMENTATION, "yolov8");
        set_output(s, "predictions", table);
        if (!one) set_output(s, "masks", four);
        set_pixels(s, "letterbox", 1.0 / 255);
        s->classes = channels_of(table) - 4 - (one ? 0 : four->shape[1]);
    } else {
        return no_decoder(s, e);
    }
    note(s, "how pixels go in (%s): red first; the scale that is usual for this kind is assumed", "input.channels, mean, scale, resize");
    return true;
}

json_t *describe(const struct onnx_file *f, const struct describe_options *o, struct buf *notes, struct err *e) {
    struct sketch s = {.f = f, .o = o, .notes = notes, .root = json_object(), .input = json_object(), .outputs = json_object()};
    struct str task = onnx_metadata(f, "task");
    json_object_set_new(s.root, "name", text_json(o->name));
    json_object_set_new(s.root, "ids", json_pack("[o]", text_json(o->id)));
    json_object_set_new(s.root, "aliases", json_array());
    bool ok = set_input(&s, e) && (task.n ? ultralytics(&s, task, e) : by_shape(&s, e)) && set_classes(&s, e);
    json_object_set_new(s.root, "input", s.input);
    json_object_set_new(s.root, "outputs", s.outputs);
    if (ok) return s.root;
    json_decref(s.root);
    return NULL;
}
