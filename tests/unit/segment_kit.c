#include "segment_kit.h"

#include <string.h>

#include "base/check.h"
#include "record/bins.h"

static const char *const field_names[] = {
    "serial_number",
    "line",
    "verdict",
    "torque",
    "ok",
    "shift:number",
    "shift",
    "x:bool",
    "x:text",
    "x",
    "a \"quoted\" name",
    "\xc3\xa4:number:number",
    "never written",
};
static const char *const texts[] = {"",     "a",  "canada", "1", "true", "say \"hi\"\\\n\t\x7f", "\xe2\x82\xac 5",
                                    "null", "0x1"};

uint64_t segment_kit_random(struct segment_kit *k, uint64_t below) {
    uint64_t z = k->random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

static bool chance(struct segment_kit *k, unsigned percent) { return segment_kit_random(k, 100) < percent; }

static struct str text(struct segment_kit *k, const char *what, uint64_t n) {
    return str_of(arena_printf(&k->arena, "%s%llu", what, (unsigned long long)n));
}

/* Nothing, something common, or something of its own. */
static struct str maybe(struct segment_kit *k, const char *what, unsigned percent, unsigned kinds) {
    return chance(k, percent) ? text(k, what, segment_kit_random(k, kinds)) : (struct str){"", 0};
}

struct value segment_kit_value(struct segment_kit *k) {
    static const double numbers[] = {0, -0.0, 1, -1.5, 1e300, 5e-324, 0.1, 123456789012345678.0};
    switch (segment_kit_random(k, 9)) {
    case 0: return (struct value){.type = VALUE_NONE};
    case 1: return (struct value){.type = VALUE_BOOL, .truth = chance(k, 50)};
    case 2: return (struct value){.type = VALUE_NUMBER, .number = numbers[segment_kit_random(k, 8)]};
    case 3: return (struct value){.type = VALUE_NUMBER, .number = (double)segment_kit_random(k, 1000) / 7};
    case 4: return (struct value){.type = VALUE_STRING, .text = text(k, "SN-2026-", segment_kit_random(k, 1u << 30))};
    default: return (struct value){.type = VALUE_STRING, .text = str_of(texts[segment_kit_random(k, 9)])};
    }
}

struct change *segment_kit_attach(struct segment_kit *k, struct kit_id *id, size_t field, struct value v) {
    if (id->history_count == KIT_CHANGES) return NULL;
    struct change *c = &id->history[id->history_count++];
    k->seq += 1 + segment_kit_random(k, 3);
    *c = (struct change){.field = k->fields[field], .value = v, .seq = k->seq};
    c->time_us = 1700000000000000 + (int64_t)k->seq * 1000;
    c->key_id = (uint32_t)segment_kit_random(k, 5);
    return c;
}

struct change *segment_kit_attach_any(struct segment_kit *k, struct kit_id *id, size_t fields) {
    size_t field = segment_kit_random(k, fields);
    return segment_kit_attach(k, id, field, segment_kit_value(k));
}

/* One draw a statement, here and below: the rows are to be the same whatever the compiler. */
static struct detection detection(struct segment_kit *k) {
    struct detection d = {.class_id = -1, .confidence = NAN};
    d.class_name = maybe(k, "class-", 90, 6);
    if (chance(k, 60)) d.class_id = (int64_t)segment_kit_random(k, 80);
    if (chance(k, 2)) d.class_id = INT64_MAX;
    if (chance(k, 90)) d.confidence = (double)segment_kit_random(k, 1001) / 1000;
    if ((d.has_box = chance(k, 80))) {
        d.x = (double)segment_kit_random(k, 4000) - 100.25;
        d.y = 1e-300;
        d.width = (double)segment_kit_random(k, 100);
        d.height = -0.0;
    }
    d.detection_id = maybe(k, "d-", 30, 1u << 20);
    if (chance(k, 10)) d.other = STR("{\"points\":[{\"x\":1,\"y\":2}]}");
    return d;
}

static struct inference inference(struct segment_kit *k, struct str id, int64_t time_us) {
    struct inference inf = {.id = id, .time_us = time_us, .latency_s = NAN};
    inf.model_id = maybe(k, "line/", 95, 7);
    inf.model_name = maybe(k, "name ", 10, 3);
    inf.model_sha256 = maybe(k, "00ff", 10, 3);
    inf.index = (uint32_t)segment_kit_random(k, 3);
    inf.assign_index = chance(k, 10);
    inf.partial = chance(k, 10);
    if (chance(k, 80)) inf.latency_s = (double)segment_kit_random(k, 100000) / 1e6;
    inf.device_id = maybe(k, "edge-", 80, 20);
    inf.source = maybe(k, "plc", 50, 2);
    inf.source_info = maybe(k, "cam ", 30, 300);
    inf.server_id = maybe(k, "srv-", 70, 4);
    inf.server_version = maybe(k, "1.5.", 60, 3);
    inf.error = maybe(k, "no light ", 5, 100);
    if (chance(k, 70)) inf.width = 1920, inf.height = 1080;
    if (chance(k, 5)) inf.width = 0, inf.height = UINT32_MAX;
    if (chance(k, 20)) {
        uint8_t *p = arena_alloc(&k->arena, 32);
        for (int i = 0; i < 32; i++) p[i] = (uint8_t)segment_kit_random(k, 256);
        inf.picture = p;
    }
    inf.detection_count = chance(k, 25) ? 0 : segment_kit_random(k, 5);
    struct detection *d = arena_alloc(&k->arena, inf.detection_count * sizeof *d);
    for (size_t i = 0; i < inf.detection_count; i++) d[i] = detection(k);
    inf.detections = d;
    return inf;
}

static void make_ids(struct segment_kit *k) {
    k->ids = arena_alloc(&k->arena, k->count * sizeof *k->ids);
    for (size_t i = 0; i < k->id_count; i++) {
        struct kit_id *id = &k->ids[i];
        id->id = text(k, chance(k, 50) ? "5b6c2c0e-0000-4000-8000-" : "x", i);
        id->history = arena_alloc(&k->arena, KIT_CHANGES * sizeof *id->history);
        for (uint64_t n = segment_kit_random(k, 8); n > 0; n--) segment_kit_attach_any(k, id, k->field_count - 1);
    }
}

static uint64_t content_of(const struct inference *inf) {
    struct buf b = {0};
    inference_encode(&b, inf);
    uint64_t h = content_hash(buf_str(&b));
    buf_free(&b);
    return h;
}

void segment_kit_make(struct segment_kit *k, uint64_t seed, size_t rows) {
    *k = (struct segment_kit){.random = seed, .count = rows, .id_count = rows - rows / 8};
    k->id = (struct segment_identity){.workspace = 7, .number = 12, .version = 3};
    memcpy(k->id.store_id, "0123456789abcde", 16);
    k->field_count = sizeof field_names / sizeof *field_names;
    k->fields = arena_alloc(&k->arena, k->field_count * sizeof *k->fields);
    for (size_t i = 0; i < k->field_count; i++) k->fields[i] = str_of(field_names[i]);
    make_ids(k);
    k->rows = arena_alloc(&k->arena, rows * sizeof *k->rows);
    k->of = arena_alloc(&k->arena, rows * sizeof(struct kit_id *));
    int64_t time_us = seed % 2 ? 1795289949145208 : -5000000;
    for (size_t i = 0; i < rows; i++) {
        k->of[i] = i < k->id_count ? &k->ids[i] : &k->ids[segment_kit_random(k, k->id_count)];
        time_us += (int64_t)segment_kit_random(k, 3) * 500000;
        struct segment_row *r = &k->rows[i];
        r->inf = inference(k, k->of[i]->id, time_us);
        r->received_us = time_us + 1000;
        r->seq = k->seq += 1 + segment_kit_random(k, 2);
        r->content = content_of(&r->inf);
        r->flags = chance(k, 5) ? ROW_CLOCK_SUSPECT : 0;
    }
    k->id.applied_through = k->seq;
}

void segment_kit_free(struct segment_kit *k) {
    arena_free(&k->arena);
    arena_free(&k->row);
    buf_free(&k->want);
    buf_free(&k->got);
}

struct segment_row segment_kit_row(const struct segment_kit *k, size_t row, struct arena *a) {
    struct segment_row r = k->rows[row];
    const struct kit_id *id = k->of[row];
    struct entry *entries = arena_alloc(a, k->field_count * sizeof *entries);
    r.history = id->history;
    r.history_count = id->history_count;
    for (size_t f = 0; f < k->field_count; f++) {
        const struct value *v = NULL;
        for (size_t i = 0; i < id->history_count; i++)
            if (str_eq(id->history[i].field, k->fields[f])) v = &id->history[i].value;
        if (v && v->type != VALUE_NONE) entries[r.metadata_count++] = (struct entry){k->fields[f], *v};
    }
    r.metadata = entries;
    return r;
}

bool segment_kit_write(const struct segment_kit *k, const char *dir, const char *name, struct err *e) {
    struct segment_builder *b = segment_builder_new(&k->id, k->fields, k->field_count);
    for (size_t i = 0; i < k->count; i++) {
        struct arena a = {0};
        struct segment_row r = segment_kit_row(k, i, &a);
        segment_builder_add(b, &r);
        arena_free(&a);
    }
    return segment_builder_write(b, dir, name, e);
}

/* ---- comparing ---- */

static void compare_inference(struct segment_kit *k, const struct segment_row *r, const struct segment *s,
                              uint32_t row) {
    struct inference inf;
    k->want.n = k->got.n = 0;
    segment_inference(s, row, &k->row, &inf);
    inference_encode(&k->want, &r->inf);
    inference_encode(&k->got, &inf);
    CHECK(str_eq(buf_str(&k->want), buf_str(&k->got)));
    CHECK(content_hash(buf_str(&k->got)) == SEG(s, CONTENT)[row]);
}

static void compare_columns(const struct segment_row *r, const struct segment *s, uint32_t row) {
    uint8_t flags = SEG(s, FLAGS)[row];
    double confidence = NAN;
    for (size_t i = 0; i < r->inf.detection_count; i++) confidence = fmax(confidence, r->inf.detections[i].confidence);
    CHECK(str_eq(segment_id(s, row), r->inf.id));
    CHECK(SEG(s, TIME)[row] == r->inf.time_us && SEG(s, RECEIVED)[row] == r->received_us && SEG(s, SEQ)[row] == r->seq);
    CHECK((flags & ROW_ERROR) == (r->inf.error.n ? ROW_ERROR : 0));
    CHECK((flags & (ROW_HIDDEN | ROW_CLOCK_SUSPECT)) == (r->flags & (ROW_HIDDEN | ROW_CLOCK_SUSPECT)));
    CHECK(SEG(s, CONFIDENCE_BIN)[row] == confidence_bin(confidence));
    CHECK(SEG(s, LATENCY_BIN)[row] == latency_bin(r->inf.latency_s));
    CHECK(SEG(s, CONFIDENCE)[row] == confidence || (isnan(SEG(s, CONFIDENCE)[row]) && isnan(confidence)));
}

static struct value value_of(const struct segment *s, struct str field, uint32_t row) {
    for (uint32_t f = 0; f < s->field_count; f++)
        if (str_eq(segment_field_name(s, f), field)) return segment_value(segment_field(s, f), row);
    return (struct value){.type = VALUE_NONE};
}

static void compare_metadata(const struct segment_kit *k, const struct segment_row *r, const struct segment *s,
                             uint32_t row) {
    size_t there = 0;
    for (size_t f = 0; f < k->field_count; f++) {
        struct value got = value_of(s, k->fields[f], row), want = {.type = VALUE_NONE};
        for (size_t i = 0; i < r->metadata_count; i++)
            if (str_eq(r->metadata[i].name, k->fields[f])) want = r->metadata[i].value;
        CHECK(value_eq(&got, &want) && (got.type != VALUE_NUMBER || signbit(got.number) == signbit(want.number)));
        there += got.type != VALUE_NONE;
    }
    CHECK(there == r->metadata_count);
}

static void compare_history(const struct segment_row *r, const struct segment *s, uint32_t row, bool first,
                            struct arena *a) {
    struct change *got;
    CHECK(segment_history(s, row, a, &got) == (first ? r->history_count : 0));
    for (size_t i = 0; first && i < r->history_count; i++) {
        const struct change *want = &r->history[i];
        CHECK(str_eq(got[i].field, want->field) && value_eq(&got[i].value, &want->value));
        CHECK(want->value.type != VALUE_NUMBER || signbit(want->value.number) == signbit(got[i].value.number));
        CHECK(got[i].seq == want->seq && got[i].time_us == want->time_us && got[i].key_id == want->key_id);
    }
}

void segment_kit_compare(struct segment_kit *k, const struct segment *s) {
    CHECK(s->rows == k->count && s->number == k->id.number && s->version == k->id.version && s->apart == k->id.apart);
    CHECK(s->applied_through == k->id.applied_through);
    CHECK(s->min_time_us == k->rows[0].inf.time_us && s->max_time_us == k->rows[k->count - 1].inf.time_us);
    CHECK(s->min_seq == k->rows[0].seq && s->max_seq == k->rows[k->count - 1].seq);
    for (uint32_t row = 0; row < s->rows; row++) {
        arena_free(&k->row);
        struct segment_row r = segment_kit_row(k, row, &k->row);
        uint32_t before = row, next = row;
        while (before > 0 && k->of[before - 1] != k->of[row]) before--;
        while (++next < s->rows && k->of[next] != k->of[row]) continue;
        CHECK(SEG(s, SAME_ID)[row] == (next < s->rows ? next + 1 : 0));
        CHECK(SEG(s, ID_HASH)[row] == id_hash(k->id.store_id, k->of[row]->id));
        compare_inference(k, &r, s, row);
        compare_columns(&r, s, row);
        compare_metadata(k, &r, s, row);
        compare_history(&r, s, row, before == 0, &k->row);
    }
}
