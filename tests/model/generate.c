/* What is sent and asked: drawn from few ids, names and values, so that they meet again and again. */
#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "run.h"

uint64_t dice_next(struct dice *d) {
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t roll(struct dice *d, uint32_t below) { return (uint32_t)(dice_next(d) >> 32) % below; }
bool chance(struct dice *d, uint32_t percent) { return roll(d, 100) < percent; }

#define PICK(d, list) ((list)[roll(d, sizeof(list) / sizeof *(list))])

static struct str text(struct run *r, const char *fmt, unsigned n) {
    char *z = arena_printf(&r->arena, fmt, n);
    return str_of(z);
}

/* ---- ids ---- */

struct str new_id(struct run *r, struct space *s) {
    CHECK(s->id_count < IDS_MOST);
    struct str id =
        text(r, chance(&r->dice, 3) ? "an id of some length, with blanks and ä in it: %0200u" : "u%u", r->next_id++);
    return s->ids[s->id_count++] = id;
}

struct str some_id(struct run *r, struct space *s) {
    struct dice *d = &r->dice;
    if (s->dropped_count && chance(d, 8)) return s->dropped[roll(d, s->dropped_count)];
    if (s->erased_count && chance(d, 4)) return s->erased[roll(d, s->erased_count)];
    if (s->id_count == 0 || chance(d, 10)) return new_id(r, s);
    unsigned recent = s->id_count < 30 ? s->id_count : 30;
    if (chance(d, 50)) return s->ids[s->id_count - 1 - roll(d, recent)];
    return s->ids[roll(d, s->id_count)];
}

/* ---- inferences ---- */

static const char *const models[] = {"coco/24", "coco/25", "coco/24", "dogs/1", "plain", "a b/c/2"};
static const char *const classes[] = {"dog", "cat", "dog", "big dog", "äpfel", ""};
static const char *const devices[] = {"", "cam1", "cam2", "cam 3"};
static const double confidences[] = {0, 0.001, 0.25, 0.4995, 0.5, 0.5, 0.8, 0.999, 1};

static const struct detection *random_detections(struct run *r, size_t count) {
    struct dice *d = &r->dice;
    struct detection *list = arena_alloc(&r->arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct detection){
            .class_name = str_of(PICK(d, classes)), .class_id = (int)roll(d, 4) - 1, .confidence = NAN};
        if (chance(d, 60))
            list[i].confidence = PICK(d, confidences);
        else if (chance(d, 80))
            list[i].confidence = roll(d, 100000) / 100000.0;
        list[i].has_box = chance(d, 50);
        if (list[i].has_box)
            list[i].x = roll(d, 640), list[i].y = roll(d, 480), list[i].width = 1 + roll(d, 50) / 3.0,
            list[i].height = 7;
        if (chance(d, 20)) list[i].detection_id = text(r, "d%u", roll(d, 1000));
        if (chance(d, 10)) list[i].other = STR("{\"points\":[[1,2],[3,4]]}");
    }
    return list;
}

/* Mostly about now; late by hours; impossible; and the same as others, to the microsecond. */
static int64_t random_time(struct run *r) {
    static const int64_t second = 1000000, hour = 3600 * INT64_C(1000000);
    struct dice *d = &r->dice;
    uint32_t kind = roll(d, 100);
    if (kind < 40) return TIME_UNKNOWN;
    if (kind < 60) return r->clock_us - roll(d, 5) * second;
    if (kind < 75) return (r->clock_us / hour - 1) * hour;
    if (kind < 85) return r->clock_us - roll(d, 300) * second;
    if (kind < 93) return r->clock_us - (6 + roll(d, 60)) * hour;
    return kind < 97 ? r->clock_us + (25 + roll(d, 1000)) * hour : r->clock_us - (366 + roll(d, 1000)) * 24 * hour;
}

struct inference random_inference(struct run *r, struct space *s, struct str id) {
    struct dice *d = &r->dice;
    (void)s;
    struct inference inf = {.id = id, .model_id = str_of(PICK(d, models)), .time_us = random_time(r), .latency_s = NAN};
    if (chance(d, 20)) inf.index = roll(d, 4);
    if (chance(d, 70)) inf.latency_s = roll(d, 5) ? roll(d, 5000) / 10000.0 : roll(d, 100);
    if (chance(d, 50)) inf.width = 640, inf.height = 480;
    if (chance(d, 40)) inf.model_name = text(r, "Model %u", roll(d, 3));
    if (chance(d, 10)) inf.model_sha256 = STR("c0ffee");
    inf.device_id = str_of(PICK(d, devices));
    if (chance(d, 40)) inf.source = text(r, "source%u", roll(d, 3));
    if (chance(d, 30)) inf.source_info = text(r, "info%u", roll(d, 5));
    if (chance(d, 30)) inf.server_id = text(r, "server%u", roll(d, 2));
    if (chance(d, 30)) inf.server_version = STR("0.52.1");
    if (chance(d, 10)) inf.error = chance(d, 50) ? STR("no picture") : text(r, "error %u", roll(d, 3));
    if (chance(d, 15)) {
        uint8_t *picture = arena_alloc(&r->arena, 32);
        for (int i = 0; i < 4; i++) memcpy(picture + 8 * i, &(uint64_t){dice_next(d)}, 8);
        inf.picture = picture;
    }
    inf.detection_count = inf.error.n && chance(d, 80) ? 0 : roll(d, 5);
    inf.detections = random_detections(r, inf.detection_count);
    return inf;
}

/* ---- metadata ---- */

static const char *const texts[] = {"1",   "1.5",  "x",  "night", "",    "A1",
                                    "A17", "true", "80", "8e1",   "007", "ö \"quoted\" \\ *"};
static const double numbers[] = {0, 1, 1.5, -2, 80, 1e300, 0.1, 5e-324};

struct value random_value(struct run *r) {
    struct dice *d = &r->dice;
    uint32_t kind = roll(d, 100);
    if (kind < 50) return (struct value){.type = VALUE_STRING, .text = str_of(PICK(d, texts))};
    if (kind < 60) return (struct value){.type = VALUE_STRING, .text = text(r, "v%u", roll(d, 1000))};
    if (kind < 62) {
        char *large = arena_alloc(&r->arena, 4097);
        memset(large, 'a' + (int)roll(d, 26), 4096);
        return (struct value){.type = VALUE_STRING, .text = {large, 4096}};
    }
    if (kind < 80) return (struct value){.type = VALUE_NUMBER, .number = PICK(d, numbers)};
    if (kind < 85) return (struct value){.type = VALUE_NUMBER, .number = roll(d, 1000) / 8.0};
    return (struct value){.type = VALUE_BOOL, .truth = chance(d, 50)};
}

struct str random_field(struct run *r, struct space *s) {
    static const char *const names[] = {"serial_number", "shift", "class", "Größe", "a.b \"c\"", "id"};
    struct dice *d = &r->dice;
    unsigned count = s->model.max_fields < 30 ? s->model.max_fields : 30;
    if (chance(d, 4)) count += 2;
    unsigned n = roll(d, count);
    return n < 6 ? str_of(names[n]) : text(r, "field%u", n);
}

/* ---- questions ---- */

static void quote(struct buf *b, struct str s) {
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') buf_addc(b, '\\');
        buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

static void value_text(struct run *r, struct buf *b) {
    static const char *const plain[] = {"1",  "1.5",  "x",  "night", "A1", "A1*",    "*1",
                                        "v*", "true", "80", "8e1",   "*",  "1..100", "-5..1.5"};
    struct value v = random_value(r);
    if (chance(&r->dice, 70))
        buf_addz(b, PICK(&r->dice, plain));
    else
        quote(b, v.type == VALUE_STRING && v.text.n < 100 ? v.text : STR("80"));
}

static void metadata_clause(struct run *r, struct space *s, struct buf *b) {
    struct dice *d = &r->dice;
    bool has = chance(d, 15);
    if (has) buf_addz(b, "has:");
    buf_addz(b, "metadata.");
    quote(b, random_field(r, s));
    if (has) return;
    if (chance(d, 25)) {
        buf_printf(b, "%s%u", chance(d, 50) ? "<" : ">=", roll(d, 100));
    } else if (chance(d, 20)) {
        buf_addz(b, ":(");
        value_text(r, b);
        buf_addz(b, " or ");
        value_text(r, b);
        buf_addz(b, ")");
    } else {
        buf_addc(b, ':');
        value_text(r, b);
    }
}

static void clause(struct run *r, struct space *s, struct buf *b) {
    static const char *const fixed[] = {
        "model:coco",
        "model:coco/24",
        "model:*24",
        "model:(plain or dogs)",
        "has:model",
        "model:\"a b/c\"",
        "device:cam1",
        "device:cam*",
        "has:device",
        "device:\"cam 3\"",
        "source:source1",
        "source:*2",
        "has:source",
        "source_info:info1",
        "has:source_info",
        "server:server0",
        "has:server",
        "error:\"no picture\"",
        "error:error*",
        "has:error",
        "class:dog",
        "class:(cat or \"big dog\")",
        "class:*dog",
        "class:dog>=2",
        "class:dog<1",
        "class:dog[confidence>0.4]",
        "class:*[confidence>=0.5 confidence<0.9]>1",
        "has:class",
        "confidence<0.5",
        "confidence>=0.5",
        "confidence:0.25..0.8",
        "has:confidence",
        "latency>0.1",
        "latency:0..0.05",
        "has:latency",
        "detections:0",
        "detections>=2",
        "has:detections",
        "index:0",
        "index>=1",
        "partial:true",
        "partial:false",
        "has:partial",
        "has:picture",
        "picture:false",
        "has:id",
        "nosuch:thing",
        "1",
        "night",
        "true",
        "80",
    };
    struct dice *d = &r->dice;
    char when[CLOCK_TEXT];
    uint32_t kind = roll(d, 100);
    if (chance(d, 15)) buf_addc(b, '-');
    if (kind < 45) {
        metadata_clause(r, s, b);
    } else if (kind < 53) {
        buf_addz(b, "id:");
        if (chance(d, 50))
            buf_printf(b, "u%u*", roll(d, 30));
        else
            quote(b, some_id(r, s));
    } else if (kind < 57) {
        quote(b, some_id(r, s));
    } else if (kind < 62) {
        clock_format(r->clock_us - (int64_t)roll(d, 20000) * 1000000, when);
        buf_printf(b, "time%s\"%s\"", chance(d, 50) ? "<" : ">=", when);
    } else {
        buf_addz(b, PICK(d, fixed));
    }
}

static void filter_text_of(struct run *r, struct space *s, struct buf *b, unsigned depth) {
    struct dice *d = &r->dice;
    unsigned count = 1 + roll(d, 3);
    for (unsigned i = 0; i < count; i++) {
        if (i) buf_addz(b, chance(d, 35) ? " or " : chance(d, 20) ? " and " : " ");
        if (depth < 2 && chance(d, 15)) {
            buf_addz(b, chance(d, 30) ? "-(" : "(");
            filter_text_of(r, s, b, depth + 1);
            buf_addc(b, ')');
        } else {
            clause(r, s, b);
        }
    }
}

void random_question(struct run *r, struct space *s, struct question *q) {
    struct dice *d = &r->dice;
    *q = (struct question){.from_us = PLAN_FIRST_US,
                           .to_us = PLAN_LAST_US,
                           .partial = chance(d, 30),
                           .limit = 1 + roll(d, 12),
                           .rows_only = r->rows_only};
    if (chance(d, 40)) {
        q->from_us = r->clock_us - (int64_t)roll(d, 100000) * 1000000;
        q->to_us = q->from_us + (int64_t)roll(d, 100000) * 1000000;
        if (s->model.row_count && chance(d, 50))
            q->to_us = s->model.rows[roll(d, (uint32_t)s->model.row_count)].time_us;
        if (q->to_us <= q->from_us) q->from_us = PLAN_FIRST_US;
    }
    if (chance(d, 15)) return;
    struct buf b = {0};
    struct filter_error where;
    struct err e = {0};
    filter_text_of(r, s, &b, 0);
    q->text = (struct str){arena_copy(&r->arena, b.p, b.n), b.n};
    buf_free(&b);
    if (!filter_parse(&r->arena, q->text, &q->filter, &where, &e))
        wrong(r, "a filter that should parse: %.*s: %s", STR_ARG(q->text), e.msg);
}

void plain_question(struct run *r, struct space *s, struct question *q) {
    static const int64_t hour = 3600 * INT64_C(1000000);
    struct dice *d = &r->dice;
    *q = (struct question){.text = STR("(nothing)"),
                           .from_us = PLAN_FIRST_US,
                           .to_us = PLAN_LAST_US,
                           .partial = chance(d, 10),
                           .limit = 1,
                           .rows_only = r->rows_only};
    int64_t ends[2];
    for (int i = 0; i < 2; i++) {
        ends[i] = r->clock_us - (int64_t)roll(d, i ? 20000 : 100000) * 1000000;
        if (s->model.row_count && chance(d, 50)) ends[i] = s->model.rows[roll(d, (uint32_t)s->model.row_count)].time_us;
        if (chance(d, i ? 70 : 40)) ends[i] = ends[i] / hour * hour;
    }
    if (chance(d, 50)) q->from_us = ends[0];
    if (chance(d, 50) && ends[1] > q->from_us) q->to_us = ends[1];
}
