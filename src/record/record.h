/* What is stored: an inference, and a metadata value attached to ids; and their binary form, which is the payload of
 * a journal record. Encoded once, by the thread that parsed the request; the writer only copies.
 *
 * Binary form, version 1. Integers are LEB128 varints, doubles 8 bytes little-endian, text is a varint length and
 * bytes. An inference:
 *   version u8 | flags u8 (INFERENCE_*) | index | time (zigzag, us; only with HAS_TIME) | latency f64 (HAS_LATENCY)
 *   | width, height (HAS_SIZE) | id | model id | model name | model sha256 (hex) | device | source | source info
 *   | server id | server version | error | picture, 32 bytes (HAS_PICTURE) | count
 *   | count x { flags u8 (DETECTION_*) | class | class id (zigzag; HAS_CLASS_ID) | confidence f64 (HAS_CONFIDENCE)
 *     | x y w h f64 (HAS_BOX) | detection id | other members, as a JSON object's text }
 * An attach:
 *   version u8 | key id | field | value type u8 | text, f64 or u8 | count, 4 bytes | count x id
 *
 * Strings point into what was decoded; nothing here owns memory but the arena given to decode. Any thread. */
#pragma once
#include <math.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum record_type { RECORD_INFERENCE = 1, RECORD_ATTACH = 2 };

enum { RECORD_VERSION = 1 };
#define TIME_UNKNOWN INT64_MIN

struct detection {
    struct str class_name;
    int64_t class_id; /* -1: unknown */
    double confidence; /* NAN: unknown */
    bool has_box;
    double x, y, width, height; /* centre and size, pixels of the upright picture */
    struct str detection_id;
    struct str other; /* further members (points, keypoints, ...) as the text of a JSON object; empty: none */
};

struct inference {
    struct str id;
    struct str model_id;
    struct str model_name, model_sha256; /* of the model file that ran here; empty otherwise */
    uint32_t index;      /* place in its request */
    bool assign_index;   /* computed here: when the index is taken the store gives the next free one */
    bool partial;        /* from a partial source: in no statistic, hidden once a complete one exists */
    int64_t time_us;     /* as claimed; TIME_UNKNOWN: the time it was received */
    double latency_s;    /* NAN: unknown */
    uint32_t width, height; /* 0: unknown */
    struct str device_id, source, source_info, server_id, server_version;
    struct str error;    /* empty: none */
    const uint8_t *picture; /* BLAKE2b-256 of the kept picture, or NULL */
    const struct detection *detections;
    size_t detection_count;
};

enum value_type { VALUE_NONE, VALUE_STRING, VALUE_NUMBER, VALUE_BOOL };

/* A metadata value. VALUE_NONE stands for "removed" in an attach and for "absent" in answers. */
struct value {
    enum value_type type;
    struct str text;
    double number;
    bool truth;
};

/* A value under its field's name; and one write of a field of an id. */
struct entry {
    struct str name;
    struct value value;
};
struct change {
    struct str field;
    struct value value; /* VALUE_NONE: removed */
    uint64_t seq;
    int64_t time_us;
    uint32_t key_id;
};

struct attach {
    uint32_t key_id; /* who */
    struct str field;
    struct value value;
    const struct str *ids;
    size_t id_count;
};

void inference_encode(struct buf *to, const struct inference *inf);
bool inference_decode(struct str payload, struct arena *arena, struct inference *out);

/* One attach of many ids may be written as several records: begin, any number of ids, end. */
struct attach_encoder {
    struct buf *to;
    size_t count_at; /* where the fixed-width count stands */
    uint32_t count;
};
void attach_encode_begin(struct attach_encoder *e, struct buf *to, uint32_t key_id, struct str field, const struct value *v);
void attach_encode_id(struct attach_encoder *e, struct str id);
void attach_encode_end(struct attach_encoder *e);
bool attach_decode(struct str payload, struct arena *arena, struct attach *out);

bool value_eq(const struct value *a, const struct value *b); /* type and value */
void value_json(struct buf *to, const struct value *v);
