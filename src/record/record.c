#include "record/record.h"

#include "base/check.h"

enum {
    HAS_TIME = 1,
    HAS_LATENCY = 2,
    HAS_SIZE = 4,
    HAS_PICTURE = 8,
    ASSIGN_INDEX = 16,
    PARTIAL = 32,
};
enum { HAS_CLASS_ID = 1, HAS_CONFIDENCE = 2, HAS_BOX = 4 };
enum { PICTURE_SIZE = 32, COUNT_WIDTH = 4 };

static void enc_varint(struct buf *b, uint64_t v) {
    char bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (char)(v | 0x80);
    bytes[n++] = (char)v;
    buf_add(b, bytes, n);
}

static void enc_signed(struct buf *b, int64_t v) { enc_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63)); }
static void enc_double(struct buf *b, double v) { buf_add(b, &v, sizeof v); }

static void enc_str(struct buf *b, struct str s) {
    enc_varint(b, s.n);
    buf_add_str(b, s);
}

/* A cursor over encoded bytes; the first shortage sets `bad`, and everything read after that is zero. */
struct cursor {
    const unsigned char *p, *end;
    bool bad;
};

static const unsigned char *get_bytes(struct cursor *c, size_t n) {
    if (c->bad || (size_t)(c->end - c->p) < n) {
        c->bad = true;
        return NULL;
    }
    const unsigned char *p = c->p;
    c->p += n;
    return p;
}

static uint8_t get_u8(struct cursor *c) {
    const unsigned char *p = get_bytes(c, 1);
    return p ? *p : 0;
}

static uint64_t get_varint(struct cursor *c) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = get_u8(c);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return c->bad ? 0 : v;
    }
    c->bad = true;
    return 0;
}

static int64_t get_signed(struct cursor *c) {
    uint64_t v = get_varint(c);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static double get_double(struct cursor *c) {
    const unsigned char *p = get_bytes(c, sizeof(double));
    double v = 0;
    if (p) memcpy(&v, p, sizeof v);
    return v;
}

static struct str get_str(struct cursor *c) {
    uint64_t n = get_varint(c);
    const unsigned char *p = n <= SIZE_MAX ? get_bytes(c, (size_t)n) : NULL;
    return p ? (struct str){(const char *)p, (size_t)n} : (struct str){"", 0};
}

static uint32_t get_u32(struct cursor *c) {
    uint64_t v = get_varint(c);
    if (v > UINT32_MAX) c->bad = true;
    return (uint32_t)v;
}

static void enc_detection(struct buf *b, const struct detection *d) {
    unsigned flags = (d->class_id >= 0 ? HAS_CLASS_ID : 0) | (isnan(d->confidence) ? 0 : HAS_CONFIDENCE) |
                     (d->has_box ? HAS_BOX : 0);
    buf_addc(b, (char)flags);
    enc_str(b, d->class_name);
    if (flags & HAS_CLASS_ID) enc_signed(b, d->class_id);
    if (flags & HAS_CONFIDENCE) enc_double(b, d->confidence);
    if (flags & HAS_BOX) enc_double(b, d->x), enc_double(b, d->y), enc_double(b, d->width), enc_double(b, d->height);
    enc_str(b, d->detection_id);
    enc_str(b, d->other);
}

void inference_encode(struct buf *b, const struct inference *inf) {
    unsigned flags = (inf->time_us != TIME_UNKNOWN ? HAS_TIME : 0) | (isnan(inf->latency_s) ? 0 : HAS_LATENCY) |
                     (inf->width || inf->height ? HAS_SIZE : 0) | (inf->picture ? HAS_PICTURE : 0) |
                     (inf->assign_index ? ASSIGN_INDEX : 0) | (inf->partial ? PARTIAL : 0);
    buf_addc(b, RECORD_VERSION);
    buf_addc(b, (char)flags);
    enc_varint(b, inf->index);
    if (flags & HAS_TIME) enc_signed(b, inf->time_us);
    if (flags & HAS_LATENCY) enc_double(b, inf->latency_s);
    if (flags & HAS_SIZE) enc_varint(b, inf->width), enc_varint(b, inf->height);
    enc_str(b, inf->id);
    enc_str(b, inf->model_id);
    enc_str(b, inf->model_name);
    enc_str(b, inf->model_sha256);
    enc_str(b, inf->device_id);
    enc_str(b, inf->source);
    enc_str(b, inf->source_info);
    enc_str(b, inf->server_id);
    enc_str(b, inf->server_version);
    enc_str(b, inf->error);
    if (inf->picture) buf_add(b, inf->picture, PICTURE_SIZE);
    enc_varint(b, inf->detection_count);
    for (size_t i = 0; i < inf->detection_count; i++) enc_detection(b, &inf->detections[i]);
}

static void get_detection(struct cursor *c, struct detection *d) {
    uint8_t flags = get_u8(c);
    *d = (struct detection){.class_id = -1, .confidence = NAN};
    d->class_name = get_str(c);
    if (flags & HAS_CLASS_ID) d->class_id = get_signed(c);
    if (flags & HAS_CONFIDENCE) d->confidence = get_double(c);
    if ((d->has_box = flags & HAS_BOX)) {
        d->x = get_double(c), d->y = get_double(c);
        d->width = get_double(c), d->height = get_double(c);
    }
    d->detection_id = get_str(c);
    d->other = get_str(c);
}

bool inference_decode(struct str payload, struct arena *arena, struct inference *out) {
    struct cursor c = {(const unsigned char *)payload.p, (const unsigned char *)payload.p + payload.n, false};
    if (get_u8(&c) != RECORD_VERSION) return false;
    uint8_t flags = get_u8(&c);
    *out = (struct inference){.time_us = TIME_UNKNOWN, .latency_s = NAN};
    out->assign_index = flags & ASSIGN_INDEX;
    out->partial = flags & PARTIAL;
    out->index = get_u32(&c);
    if (flags & HAS_TIME) out->time_us = get_signed(&c);
    if (flags & HAS_LATENCY) out->latency_s = get_double(&c);
    if (flags & HAS_SIZE) out->width = get_u32(&c), out->height = get_u32(&c);
    out->id = get_str(&c);
    out->model_id = get_str(&c);
    out->model_name = get_str(&c);
    out->model_sha256 = get_str(&c);
    out->device_id = get_str(&c);
    out->source = get_str(&c);
    out->source_info = get_str(&c);
    out->server_id = get_str(&c);
    out->server_version = get_str(&c);
    out->error = get_str(&c);
    if (flags & HAS_PICTURE) out->picture = get_bytes(&c, PICTURE_SIZE);
    uint64_t count = get_varint(&c);
    /* The smallest detection takes four bytes: a count that the bytes cannot hold is refused before memory is taken. */
    if (c.bad || count > (size_t)(c.end - c.p) / 4) return false;
    struct detection *d = arena_alloc(arena, (size_t)count * sizeof *d);
    for (size_t i = 0; i < count; i++) get_detection(&c, &d[i]);
    out->detections = d;
    out->detection_count = (size_t)count;
    return !c.bad && c.p == c.end;
}

void attach_encode_begin(struct attach_encoder *e, struct buf *to, uint32_t key_id, struct str field,
                         const struct value *v) {
    buf_addc(to, RECORD_VERSION);
    enc_varint(to, key_id);
    enc_str(to, field);
    buf_addc(to, (char)v->type);
    if (v->type == VALUE_STRING) enc_str(to, v->text);
    if (v->type == VALUE_NUMBER) enc_double(to, v->number);
    if (v->type == VALUE_BOOL) buf_addc(to, v->truth);
    *e = (struct attach_encoder){.to = to, .count_at = to->n};
    buf_add(to, "\0\0\0\0", COUNT_WIDTH);
}

void attach_encode_id(struct attach_encoder *e, struct str id) {
    enc_str(e->to, id);
    e->count++;
}

void attach_encode_end(struct attach_encoder *e) { memcpy(e->to->p + e->count_at, &e->count, COUNT_WIDTH); }

bool attach_decode(struct str payload, struct arena *arena, struct attach *out) {
    struct cursor c = {(const unsigned char *)payload.p, (const unsigned char *)payload.p + payload.n, false};
    if (get_u8(&c) != RECORD_VERSION) return false;
    *out = (struct attach){0};
    out->key_id = get_u32(&c);
    out->field = get_str(&c);
    uint8_t type = get_u8(&c);
    if (type > VALUE_BOOL) return false;
    out->value.type = (enum value_type)type;
    if (type == VALUE_STRING) out->value.text = get_str(&c);
    if (type == VALUE_NUMBER) out->value.number = get_double(&c);
    if (type == VALUE_BOOL) out->value.truth = get_u8(&c) != 0;
    uint32_t count = 0;
    const unsigned char *width = get_bytes(&c, COUNT_WIDTH);
    if (width) memcpy(&count, width, COUNT_WIDTH);
    if (c.bad || count > (size_t)(c.end - c.p)) return false;
    struct str *ids = arena_alloc(arena, count * sizeof *ids);
    for (uint32_t i = 0; i < count; i++) ids[i] = get_str(&c);
    out->ids = ids;
    out->id_count = count;
    return !c.bad && c.p == c.end;
}

bool value_eq(const struct value *a, const struct value *b) {
    if (a->type != b->type) return false;
    switch (a->type) {
    case VALUE_STRING: return str_eq(a->text, b->text);
    case VALUE_NUMBER: return a->number == b->number;
    case VALUE_BOOL: return a->truth == b->truth;
    case VALUE_NONE: return true;
    }
    WRONG("a value of no type");
}

void value_json(struct buf *to, const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: put_str(to, v->text); return;
    case VALUE_NUMBER: put_double(to, v->number); return;
    case VALUE_BOOL: put_bool(to, v->truth); return;
    case VALUE_NONE: put_null(to); return;
    }
}
