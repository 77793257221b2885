#include "infer/onnx_file.h"

/* One field of a protobuf message. */
struct field {
    unsigned number;
    uint64_t value;   /* of a varint */
    struct str bytes; /* of what has a length */
    bool has_bytes;
};

static bool read_varint(struct str *at, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (at->n == 0) return false;
        unsigned char c = (unsigned char)at->p[0];
        *at = str_from(*at, 1);
        *out |= (uint64_t)(c & 127) << shift;
        if (c < 128) return true;
    }
    return false;
}

static bool skip(struct str *at, size_t n) {
    if (at->n < n) return false;
    *at = str_from(*at, n);
    return true;
}

/* Takes the next field off the front; false where the message is damaged. */
static bool read_field(struct str *at, struct field *f) {
    uint64_t key, length;
    *f = (struct field){0};
    if (!read_varint(at, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) return false;
    f->number = (unsigned)(key >> 3);
    switch (key & 7) {
    case 0: return read_varint(at, &f->value);
    case 1: return skip(at, 8);
    case 2:
        if (!read_varint(at, &length) || length > at->n) return false;
        f->bytes = (struct str){at->p, (size_t)length};
        f->has_bytes = true;
        return skip(at, (size_t)length);
    case 5: return skip(at, 4);
    default: return false; /* groups are no part of ONNX */
    }
}

/* Reads a message field by field. `each` is false where the message is no such thing. */
static bool read_message(struct str at, bool (*each)(const struct field *f, void *ctx), void *ctx) {
    struct field f;
    while (at.n)
        if (!read_field(&at, &f) || !each(&f, ctx)) return false;
    return true;
}

/* ---- tensors: ValueInfoProto { name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 }}}}} ---- */

static bool dimension_field(const struct field *f, void *ctx) {
    int64_t *value = ctx;
    if (f->number == 1 && !f->has_bytes) *value = (int64_t)f->value > 0 ? (int64_t)f->value : ONNX_OPEN;
    return true;
}

static bool shape_field(const struct field *f, void *ctx) {
    struct onnx_tensor *t = ctx;
    if (f->number != 1 || !f->has_bytes) return true;
    if (t->rank == ONNX_RANK_MOST) return false;
    t->shape[t->rank] = ONNX_OPEN;
    return read_message(f->bytes, dimension_field, &t->shape[t->rank++]);
}

static bool tensor_field(const struct field *f, void *ctx) {
    struct onnx_tensor *t = ctx;
    if (f->number == 1 && !f->has_bytes) t->type = f->value;
    return f->number != 2 || !f->has_bytes || read_message(f->bytes, shape_field, t);
}

static bool type_field(const struct field *f, void *ctx) {
    return f->number != 1 || !f->has_bytes || read_message(f->bytes, tensor_field, ctx);
}

static bool value_field(const struct field *f, void *ctx) {
    struct onnx_tensor *t = ctx;
    if (f->number == 1 && f->has_bytes) t->name = f->bytes;
    return f->number != 2 || !f->has_bytes || read_message(f->bytes, type_field, t);
}

/* ---- the graph and the model ---- */

struct counts {
    size_t inputs, outputs, weights, metadata;
};
struct reading {
    struct onnx_file *out;
    struct str *weights; /* their names */
    struct counts n;
};

static bool count_graph(const struct field *f, void *ctx) {
    struct counts *n = ctx;
    n->inputs += f->number == 11, n->outputs += f->number == 12, n->weights += f->number == 5;
    return true;
}

static bool count_model(const struct field *f, void *ctx) {
    struct counts *n = ctx;
    n->metadata += f->number == 14;
    return f->number != 7 || !f->has_bytes || read_message(f->bytes, count_graph, n);
}

static bool weight_name(const struct field *f, void *ctx) {
    struct str *name = ctx;
    if (f->number == 8 && f->has_bytes) *name = f->bytes;
    return true;
}

static bool graph_field(const struct field *f, void *ctx) {
    struct reading *r = ctx;
    if (!f->has_bytes) return true;
    if (f->number == 5) return read_message(f->bytes, weight_name, &r->weights[r->n.weights++]);
    if (f->number == 11) return read_message(f->bytes, value_field, &r->out->inputs[r->n.inputs++]);
    if (f->number == 12) return read_message(f->bytes, value_field, &r->out->outputs[r->n.outputs++]);
    return true;
}

static bool entry_field(const struct field *f, void *ctx) {
    struct onnx_entry *entry = ctx;
    if (f->number == 1 && f->has_bytes) entry->key = f->bytes;
    if (f->number == 2 && f->has_bytes) entry->value = f->bytes;
    return true;
}

struct opset {
    bool other; /* of a domain that is not the standard's */
    int64_t version;
};

static bool opset_field(const struct field *f, void *ctx) {
    struct opset *o = ctx;
    if (f->number == 1 && f->has_bytes) o->other = f->bytes.n && !str_is(f->bytes, "ai.onnx");
    if (f->number == 2 && !f->has_bytes) o->version = (int64_t)f->value;
    return true;
}

static bool model_field(const struct field *f, void *ctx) {
    struct reading *r = ctx;
    if (!f->has_bytes) return true;
    if (f->number == 2) r->out->producer = f->bytes;
    if (f->number == 7) return read_message(f->bytes, graph_field, r);
    if (f->number == 8) {
        struct opset o = {0};
        if (!read_message(f->bytes, opset_field, &o)) return false;
        if (!o.other) r->out->opset = o.version;
    }
    if (f->number == 14) return read_message(f->bytes, entry_field, &r->out->metadata[r->n.metadata++]);
    return true;
}

/* Files of old list their weights among the inputs. */
static size_t without_weights(struct onnx_tensor *inputs, size_t count, const struct str *weights, size_t weight_count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < weight_count && !str_eq(inputs[i].name, weights[k])) k++;
        if (k == weight_count) inputs[kept++] = inputs[i];
    }
    return kept;
}

bool onnx_read(struct str bytes, struct arena *a, struct onnx_file *out, struct err *e) {
    struct reading r = {.out = out};
    struct counts n = {0};
    *out = (struct onnx_file){0};
    if (!read_message(bytes, count_model, &n) || n.outputs == 0 || n.inputs == 0)
        return err_set(e, ERR_INVALID, "this is no ONNX file: it holds no graph with inputs and outputs");
    out->inputs = arena_alloc(a, n.inputs * sizeof *out->inputs);
    out->outputs = arena_alloc(a, n.outputs * sizeof *out->outputs);
    out->metadata = arena_alloc(a, n.metadata * sizeof *out->metadata);
    r.weights = arena_alloc(a, n.weights * sizeof *r.weights);
    if (!read_message(bytes, model_field, &r)) return err_set(e, ERR_INVALID, "the ONNX file is damaged");
    out->input_count = without_weights(out->inputs, r.n.inputs, r.weights, r.n.weights);
    out->output_count = r.n.outputs;
    out->metadata_count = r.n.metadata;
    return true;
}

struct str onnx_metadata(const struct onnx_file *f, const char *key) {
    for (size_t i = 0; i < f->metadata_count; i++)
        if (str_is(f->metadata[i].key, key)) return f->metadata[i].value;
    return (struct str){0};
}
