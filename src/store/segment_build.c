#include <stdlib.h>

#include "base/check.h"
#include "record/bins.h"
#include "store/segment_finish.h"
#include "store/segment_texts.h"

struct field_build {
    struct textset dict;            /* of the column, and of the history */
    struct buf codes, numbers;      /* uint32_t, double; by row, as far as there was a value */
    uint8_t *truths, *truths_known; /* SEGMENT_ROWS bits */
};

/* Names come in the same order in most rows: where the one at each place was the last time. */
enum { HINTS = 64 };

struct segment_builder {
    struct segment_identity id;
    uint32_t rows;
    int64_t times[2]; /* least, most */
    uint64_t seqs[2];
    struct buf columns[SEG_ALL];   /* values or text, as enum segment_column says */
    struct textset dicts[SEG_ALL]; /* of coded columns, but those of the history */
    struct textset others;         /* values in the history that are not text: 8 bytes a number, 1 byte a truth value */
    struct textset names;          /* of the fields */
    struct field_build *fields;    /* by code; none has code 0 */
    uint32_t hints[2][HINTS];
    uint32_t *by_id; /* open addressing: row + 1 of the last row of an id, or 0 */
    uint32_t by_id_count;
};

struct segment_builder *segment_builder_new(const struct segment_identity *id, struct str const *fields,
                                            size_t field_count) {
    struct segment_builder *b = mem_zero(1, sizeof *b);
    b->id = *id;
    b->fields = mem_zero(field_count + 1, sizeof *b->fields);
    for (size_t i = 0; i < field_count; i++) CHECK(textset_add(&b->names, fields[i]) == i + 1);
    buf_reserve(&b->columns[SEG_ID_BYTES], 1);
    buf_add(&b->columns[SEG_ID], &(uint32_t){0}, 4);
    buf_add(&b->columns[SEG_ERROR], &(uint32_t){0}, 4);
    buf_add(&b->columns[SEG_DETECTIONS], &(uint32_t){0}, 4);
    buf_add(&b->columns[SEG_D_ID], &(uint32_t){0}, 4);
    buf_add(&b->columns[SEG_D_OTHER], &(uint32_t){0}, 4);
    buf_add(&b->columns[SEG_HISTORY], &(uint32_t){0}, 4);
    return b;
}

void segment_builder_free(struct segment_builder *b) {
    if (!b) return;
    for (uint32_t i = 1; i <= b->names.count; i++) {
        textset_free(&b->fields[i].dict);
        buf_free(&b->fields[i].codes);
        buf_free(&b->fields[i].numbers);
        free(b->fields[i].truths);
        free(b->fields[i].truths_known);
    }
    for (int i = 0; i < SEG_ALL; i++) {
        buf_free(&b->columns[i]);
        textset_free(&b->dicts[i]);
    }
    textset_free(&b->others);
    textset_free(&b->names);
    free(b->fields);
    free(b->by_id);
    free(b);
}

size_t segment_builder_bytes(const struct segment_builder *b) {
    size_t n = b->others.bytes.n;
    for (int i = 0; i < SEG_ALL; i++) n += b->columns[i].n + b->dicts[i].bytes.n;
    for (uint32_t i = 1; i <= b->names.count; i++)
        n += b->fields[i].dict.bytes.n + b->fields[i].codes.n + b->fields[i].numbers.n;
    return n;
}

/* ---- adding ---- */

/* Twice the room each time, and some to begin with. */
enum { GROWS_BY = 4096 };

static inline void *more(struct buf *b, size_t n) {
    if (b->cap - b->n < n) buf_reserve(b, n + b->n + GROWS_BY);
    void *p = b->p + b->n;
    b->n += n;
    return p;
}

#define PUT(b, column, type, v) (*(type *)more(&(b)->columns[column], sizeof(type)) = (v))

static void put_text(struct segment_builder *b, int offsets, int bytes, struct str s) {
    if (s.n) memcpy(more(&b->columns[bytes], s.n), s.p, s.n);
    PUT(b, offsets, uint32_t, (uint32_t)b->columns[bytes].n);
}

static void put_code(struct segment_builder *b, int column, struct str s) {
    PUT(b, column, uint32_t, s.n ? textset_add(&b->dicts[column], s) : CODE_NULL);
}

static double number(double v) { return isnan(v) ? NAN : v; }

/* A number may be NAN, but with one pattern of bits, so that equal rows make equal files. */
static void put_number(struct segment_builder *b, int column, double v) { PUT(b, column, double, number(v)); }

static bool has_id(const struct segment_builder *b, uint32_t row, uint64_t hash, struct str id) {
    const uint32_t *ends = (const uint32_t *)(const void *)b->columns[SEG_ID].p;
    const uint64_t *hashes = (const uint64_t *)(const void *)b->columns[SEG_ID_HASH].p;
    return hashes[row] == hash &&
           str_eq((struct str){b->columns[SEG_ID_BYTES].p + ends[row], ends[row + 1] - ends[row]}, id);
}

/* Where the id's last row stands, or will. */
static uint32_t *find_id(const struct segment_builder *b, uint64_t hash, struct str id) {
    uint32_t mask = b->by_id_count - 1, at = (uint32_t)hash & mask;
    while (b->by_id[at] && !has_id(b, b->by_id[at] - 1, hash, id)) at = (at + 1) & mask;
    return &b->by_id[at];
}

static void grow_ids(struct segment_builder *b) {
    const uint32_t *old = b->by_id;
    const uint64_t *hashes = (const uint64_t *)(const void *)b->columns[SEG_ID_HASH].p;
    uint32_t count = b->by_id_count, mask;
    b->by_id_count = count ? count * 2 : 1024;
    b->by_id = mem_zero(b->by_id_count, sizeof *b->by_id);
    mask = b->by_id_count - 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!old[i]) continue;
        uint32_t at = (uint32_t)hashes[old[i] - 1] & mask;
        while (b->by_id[at]) at = (at + 1) & mask;
        b->by_id[at] = old[i];
    }
    free((void *)(uintptr_t)old);
}

/* True: the first row of its id. */
static bool put_id(struct segment_builder *b, struct str id) {
    uint64_t hash = id_hash(b->id.store_id, id);
    if (b->rows >= b->by_id_count / 2) grow_ids(b);
    uint32_t *last = find_id(b, hash, id);
    bool first = *last == 0;
    if (!first) ((uint32_t *)(void *)b->columns[SEG_SAME_ID].p)[*last - 1] = b->rows + 1;
    put_text(b, SEG_ID, SEG_ID_BYTES, id);
    PUT(b, SEG_ID_HASH, uint64_t, hash);
    PUT(b, SEG_SAME_ID, uint32_t, 0);
    *last = b->rows + 1;
    return first;
}

static void put_detection(struct segment_builder *b, const struct detection *d) {
    bool box = d->has_box && !isnan(d->x);
    put_code(b, SEG_D_CLASS, d->class_name);
    PUT(b, SEG_D_CLASS_ID, int64_t, d->class_id < 0 ? -1 : d->class_id);
    put_number(b, SEG_D_CONFIDENCE, d->confidence);
    PUT(b, SEG_D_CONFIDENCE_BIN, uint16_t, confidence_bin(d->confidence));
    put_number(b, SEG_D_X, box ? d->x : NAN);
    put_number(b, SEG_D_Y, box ? d->y : NAN);
    put_number(b, SEG_D_WIDTH, box ? d->width : NAN);
    put_number(b, SEG_D_HEIGHT, box ? d->height : NAN);
    put_text(b, SEG_D_ID, SEG_D_ID_BYTES, d->detection_id);
    put_text(b, SEG_D_OTHER, SEG_D_OTHER_BYTES, d->other);
}

static void put_detections(struct segment_builder *b, const struct inference *inf) {
    double top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++) {
        double c = inf->detections[i].confidence;
        if (isnan(top) || c > top) top = c;
        put_detection(b, &inf->detections[i]);
    }
    put_number(b, SEG_CONFIDENCE, top);
    PUT(b, SEG_CONFIDENCE_BIN, uint16_t, confidence_bin(top));
    PUT(b, SEG_DETECTIONS, uint32_t, (uint32_t)(b->columns[SEG_D_CLASS].n / 4));
}

static void put_picture(struct segment_builder *b, const uint8_t *picture) {
    struct buf *p = &b->columns[SEG_PICTURE];
    size_t before = (size_t)b->rows * 32 - p->n;
    if (before) memset(more(p, before), 0, before);
    memcpy(more(p, 32), picture, 32);
}

static void fill(struct buf *b, size_t n, const void *with, size_t width) {
    while (b->n < n * width) memcpy(more(b, width), with, width);
}

static uint32_t field_of(struct segment_builder *b, struct str name, uint32_t *hint) {
    if (*hint && str_eq(textset_at(&b->names, *hint), name)) return *hint;
    *hint = textset_find(&b->names, name);
    CHECK(*hint);
    return *hint;
}

static void put_metadata(struct segment_builder *b, const struct entry *entry, uint32_t *hint) {
    static const uint32_t none = CODE_NULL;
    static const double nan = NAN;
    struct field_build *f = &b->fields[field_of(b, entry->name, hint)];
    const struct value *v = &entry->value;
    uint32_t row = b->rows;
    if (v->type == VALUE_STRING) {
        fill(&f->codes, row, &none, sizeof none);
        CHECK(f->codes.n == row * sizeof none);
        *(uint32_t *)more(&f->codes, 4) = textset_add(&f->dict, v->text);
    } else if (v->type == VALUE_NUMBER) {
        fill(&f->numbers, row, &nan, sizeof nan);
        CHECK(f->numbers.n == row * sizeof nan);
        *(double *)more(&f->numbers, 8) = number(v->number);
    } else if (v->type == VALUE_BOOL) {
        if (!f->truths) f->truths = mem_zero(SEGMENT_ROWS / 8, 1);
        if (!f->truths_known) f->truths_known = mem_zero(SEGMENT_ROWS / 8, 1);
        f->truths[row / 8] |= (uint8_t)(v->truth << row % 8);
        f->truths_known[row / 8] |= (uint8_t)(1 << row % 8);
    }
}

/* What a code in the history's values means until the end: a text of the field's dictionary, or one of `others`. */
static uint32_t history_value(struct segment_builder *b, struct field_build *f, const struct value *v) {
    if (v->type == VALUE_NONE) return CODE_NULL;
    if (v->type == VALUE_STRING) return textset_add(&f->dict, v->text) * 2;
    struct str bytes = v->type == VALUE_NUMBER ? (struct str){(const char *)&v->number, sizeof v->number}
                                               : (struct str){v->truth ? "t" : "f", 1};
    return textset_add(&b->others, bytes) * 2 + 1;
}

static void put_history(struct segment_builder *b, const struct change *changes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t field = field_of(b, changes[i].field, &b->hints[1][i % HINTS]);
        PUT(b, SEG_H_FIELD, uint32_t, field);
        PUT(b, SEG_H_SEQ, uint64_t, changes[i].seq);
        PUT(b, SEG_H_TIME, int64_t, changes[i].time_us);
        PUT(b, SEG_H_KEY, uint32_t, changes[i].key_id);
        PUT(b, SEG_H_VALUE, uint32_t, history_value(b, &b->fields[field], &changes[i].value));
    }
    PUT(b, SEG_HISTORY, uint32_t, (uint32_t)(b->columns[SEG_H_FIELD].n / 4));
}

static uint8_t flags_of(const struct segment_row *r) {
    unsigned own = (r->inf.error.n ? ROW_ERROR : 0) | (r->inf.partial ? ROW_PARTIAL : 0) |
                   (r->inf.picture ? ROW_PICTURE : 0) | (r->inf.assign_index ? ROW_INDEX_ASSIGNED : 0);
    return (uint8_t)((r->flags & (ROW_HIDDEN | ROW_CLOCK_SUSPECT)) | own);
}

static void span(struct segment_builder *b, int64_t time_us, uint64_t seq) {
    if (b->rows == 0) {
        b->times[0] = b->times[1] = time_us;
        b->seqs[0] = b->seqs[1] = seq;
    }
    const int64_t *times = (const int64_t *)(const void *)b->columns[SEG_TIME].p;
    const uint64_t *seqs = (const uint64_t *)(const void *)b->columns[SEG_SEQ].p;
    CHECK(b->rows == 0 || times[b->rows - 1] < time_us || (times[b->rows - 1] == time_us && seqs[b->rows - 1] < seq));
    b->times[1] = time_us;
    if (seq < b->seqs[0]) b->seqs[0] = seq;
    if (seq > b->seqs[1]) b->seqs[1] = seq;
}

void segment_builder_add(struct segment_builder *b, const struct segment_row *r) {
    const struct inference *inf = &r->inf;
    CHECK(b->rows < SEGMENT_ROWS);
    span(b, inf->time_us, r->seq);
    bool first = put_id(b, inf->id);
    PUT(b, SEG_CONTENT, uint64_t, r->content);
    PUT(b, SEG_TIME, int64_t, inf->time_us);
    PUT(b, SEG_RECEIVED, int64_t, r->received_us);
    PUT(b, SEG_SEQ, uint64_t, r->seq);
    PUT(b, SEG_INDEX, uint32_t, inf->index);
    PUT(b, SEG_FLAGS, uint8_t, flags_of(r));
    put_number(b, SEG_LATENCY, inf->latency_s);
    PUT(b, SEG_LATENCY_BIN, uint16_t, latency_bin(inf->latency_s));
    put_code(b, SEG_MODEL, inf->model_id);
    put_code(b, SEG_MODEL_NAME, inf->model_name);
    put_code(b, SEG_MODEL_SHA256, inf->model_sha256);
    put_code(b, SEG_DEVICE, inf->device_id);
    put_code(b, SEG_SOURCE, inf->source);
    put_code(b, SEG_SOURCE_INFO, inf->source_info);
    put_code(b, SEG_SERVER, inf->server_id);
    put_code(b, SEG_SERVER_VERSION, inf->server_version);
    PUT(b, SEG_WIDTH, uint32_t, inf->width);
    PUT(b, SEG_HEIGHT, uint32_t, inf->height);
    put_text(b, SEG_ERROR, SEG_ERROR_BYTES, inf->error);
    if (inf->picture) put_picture(b, inf->picture);
    put_detections(b, inf);
    for (size_t i = 0; i < r->metadata_count; i++) put_metadata(b, &r->metadata[i], &b->hints[0][i % HINTS]);
    put_history(b, r->history, first ? r->history_count : 0);
    b->rows++;
}

/* ---- writing ---- */

static struct arrow_buffer bytes_of(const struct buf *b) { return (struct arrow_buffer){.p = b->p, .n = b->n}; }

/* A dictionary of the texts that are in use, and codes that are places in it. */
static void finish_codes(struct arrow_column *c, uint32_t *codes, const struct str *list, uint32_t count,
                         struct arena *a) {
    uint32_t *places = arena_alloc(a, (count + (size_t)1) * sizeof *places);
    bool *used = arena_alloc(a, (count + (size_t)1) * sizeof *used);
    for (uint64_t i = 0; i < c->length; i++) used[codes[i]] = true;
    c->dict = textset_sort(list, count, used, a, places);
    for (uint64_t i = 0; i < c->length; i++) codes[i] = places[codes[i]];
}

static void finish_texts(struct arrow_column *c, struct buf *codes, const struct textset *t, struct arena *a) {
    finish_codes(c, (uint32_t *)(void *)codes->p, textset_list(t, a), t->count, a);
}

static struct value other_value(const struct textset *others, uint32_t code) {
    struct str bytes = textset_at(others, code);
    struct value v = {.type = bytes.n == 1 ? VALUE_BOOL : VALUE_NUMBER};
    if (v.type == VALUE_BOOL)
        v.truth = bytes.p[0] == 't';
    else
        memcpy(&v.number, bytes.p, sizeof v.number);
    return v;
}

/* The history's values become JSON: the texts of each field, then the others. Fields are still as the builder has
 * them. */
static void finish_history_values(struct segment_builder *b, struct arrow_column *c, struct arena *a) {
    uint32_t *codes = (uint32_t *)(void *)b->columns[SEG_H_VALUE].p, count = b->others.count;
    const uint32_t *fields = (const uint32_t *)(const void *)b->columns[SEG_H_FIELD].p;
    uint32_t *behind = arena_alloc(a, (b->names.count + (size_t)1) * sizeof *behind); /* which code; [0]: others */
    for (uint32_t f = 1; f <= b->names.count; f++) {
        behind[f] = count;
        count += b->fields[f].dict.count;
    }
    struct str *list = arena_alloc(a, (count + (size_t)1) * sizeof *list);
    for (uint64_t i = 0; i < c->length; i++) {
        if (codes[i] == CODE_NULL) continue;
        bool text = codes[i] % 2 == 0;
        uint32_t code = codes[i] / 2, f = text ? fields[i] : 0;
        struct str *json = &list[codes[i] = behind[f] + code];
        if (json->p) continue;
        struct value v = {.type = VALUE_STRING};
        if (text)
            v.text = textset_at(&b->fields[f].dict, code);
        else
            v = other_value(&b->others, code);
        *json = segment_json(a, &v);
    }
    finish_codes(c, codes, list, count, a);
}

static void finish_columns(struct segment_builder *b, struct arrow_table *t, struct arena *a) {
    if (b->columns[SEG_PICTURE].n) {
        size_t behind = (size_t)b->rows * 32 - b->columns[SEG_PICTURE].n;
        if (behind) memset(more(&b->columns[SEG_PICTURE], behind), 0, behind);
    }
    struct arrow_column *fields = NULL;
    const uint64_t rows = b->rows, detections = b->columns[SEG_D_CLASS].n / 4, history = b->columns[SEG_H_FIELD].n / 4;
    for (int i = 0; i < SEGMENT_LAYOUT_MOST; i++) {
        const struct segment_layout *l = &segment_layout[i];
        if (l->is & IS_OPTIONAL && b->columns[l->values].n == 0) continue;
        struct arrow_column *c = segment_add_column(t, l, rows, detections, history);
        if (l->values == SEG_NO) continue;
        c->buffers[ARROW_VALUES] = bytes_of(&b->columns[l->values]);
        if (l->text != SEG_NO) c->buffers[ARROW_TEXT] = bytes_of(&b->columns[l->text]);
        if (l->values == SEG_H_FIELD)
            fields = c; /* the values need them as they are */
        else if (l->values == SEG_H_VALUE)
            finish_history_values(b, c, a);
        else if (c->coded)
            finish_texts(c, &b->columns[l->values], &b->dicts[l->values], a);
        if (l->values == SEG_PICTURE)
            segment_null_pictures(c, (const uint8_t *)b->columns[SEG_FLAGS].p, a);
        else
            segment_null(c, a);
    }
    finish_texts(fields, &b->columns[SEG_H_FIELD], &b->names, a);
}

/* Of columns that are finished: codes are places. */
static struct arrow_buffer finish_summary(const struct segment_builder *b, struct arena *a) {
#define COLUMN(name) ((const SEG_TYPE_##name *)(const void *)b->columns[SEG_##name].p)
    const struct summary_rows rows = {.rows = b->rows,
                                      .time_us = COLUMN(TIME),
                                      .seq = COLUMN(SEQ),
                                      .flags = COLUMN(FLAGS),
                                      .latency = COLUMN(LATENCY),
                                      .confidence = COLUMN(CONFIDENCE),
                                      .latency_bin = COLUMN(LATENCY_BIN),
                                      .confidence_bin = COLUMN(CONFIDENCE_BIN),
                                      .model = COLUMN(MODEL),
                                      .name = COLUMN(MODEL_NAME),
                                      .device = COLUMN(DEVICE),
                                      .first = COLUMN(DETECTIONS),
                                      .classes = COLUMN(D_CLASS),
                                      .confidences = COLUMN(D_CONFIDENCE)};
#undef COLUMN
    struct str bytes = summary_make(&rows, a);
    return (struct arrow_buffer){.p = bytes.p, .n = bytes.n};
}

static void finish_field(struct segment_builder *b, uint32_t field, struct arrow_table *t, struct arena *a) {
    static const uint32_t none = CODE_NULL;
    static const double nan = NAN;
    struct field_build *f = &b->fields[field];
    struct str name = textset_at(&b->names, field);
    if (f->codes.n) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_TEXT, b->rows, a);
        fill(&f->codes, b->rows, &none, sizeof none);
        c->buffers[ARROW_VALUES] = bytes_of(&f->codes);
        finish_texts(c, &f->codes, &f->dict, a);
        segment_null(c, a);
    }
    if (f->numbers.n) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_NUMBER, b->rows, a);
        fill(&f->numbers, b->rows, &nan, sizeof nan);
        c->buffers[ARROW_VALUES] = bytes_of(&f->numbers);
        segment_null(c, a);
    }
    if (f->truths) {
        struct arrow_column *c = segment_add_field_column(t, name, KIND_BOOL, b->rows, a);
        c->buffers[ARROW_VALUES] = (struct arrow_buffer){.p = f->truths, .n = (b->rows + (uint64_t)7) / 8};
        segment_null_bits(c, f->truths_known);
    }
}

bool segment_builder_write(struct segment_builder *b, const char *dir, const char *name, struct err *e) {
    struct arena a = {0};
    CHECK(b->rows);
    size_t most = SEGMENT_LAYOUT_MOST + (size_t)b->names.count * SEGMENT_KIND_COUNT;
    struct arrow_table t = {.columns = arena_alloc(&a, most * sizeof *t.columns), .rows = b->rows};
    finish_columns(b, &t, &a);
    for (uint32_t i = 1; i <= b->names.count; i++) finish_field(b, i, &t, &a);
    t.summary = finish_summary(b, &a);
    segment_put_pairs(&a, &t, &b->id, b->times, b->seqs);
    bool ok = segment_write(&t, dir, name, e);
    arena_free(&a);
    segment_builder_free(b);
    return ok;
}
