#include "base/check.h"
#include "base/guard.h"
#include "record/bins.h"
#include "store/segment_parts.h"

/* ---- what is checked when it is first asked for ---- */

void segment_damaged(const struct segment *s, const struct arrow_column *c, const char *what) {
    guard_throw(s, "segment %llu.%u, column " STR_FMT ": %s", (unsigned long long)s->number, s->version,
                STR_ARG(c->name), what);
}

void segment_check_sum(const struct segment *s, const struct arrow_column *c, const struct arrow_buffer *b) {
    if (arrow_buffer_sum(b) != b->sum) segment_damaged(s, c, "the checksum is wrong");
}

/* Offsets begin at 0, never fall, and end where what they lead to ends. */
static bool offsets_fit(const uint32_t *offsets, uint64_t count, uint64_t end) {
    uint32_t fall = offsets[0];
    for (uint64_t i = 0; i < count; i++) fall |= offsets[i + 1] < offsets[i];
    return fall == 0 && offsets[count] == end;
}

static void check_dict(const struct segment *s, const struct arrow_column *c) {
    const struct arrow_dict *d = &c->dict;
    segment_check_sum(s, c, &d->offsets);
    segment_check_sum(s, c, &d->bytes);
    if (!offsets_fit(d->offsets.p, d->count, d->bytes.n))
        segment_damaged(s, c, "the dictionary's offsets don't fit it");
}

static bool codes_fit(const uint32_t *codes, uint64_t count, uint32_t dict) {
    uint32_t most = 0;
    for (uint64_t i = 0; i < count; i++) most = codes[i] > most ? codes[i] : most;
    return most < dict;
}

static bool bins_fit(const uint16_t *bins, uint64_t count, uint32_t most) {
    bool out = false;
    for (uint64_t i = 0; i < count; i++) out |= bins[i] >= most && bins[i] != BIN_NONE;
    return !out;
}

static bool links_fit(const uint32_t *next, uint32_t rows) {
    bool out = false;
    for (uint32_t i = 0; i < rows; i++) out |= next[i] && (next[i] <= i + 1 || next[i] > rows);
    return !out;
}

static bool flags_fit(const uint8_t *flags, uint32_t rows, bool pictures) {
    uint8_t all = 0;
    for (uint32_t i = 0; i < rows; i++) all |= flags[i];
    return !(all & ~ROW_FLAGS_ALL) && (pictures || !(all & ROW_PICTURE));
}

static bool values_fit(const struct segment *s, int column, const struct arrow_column *c) {
    const void *v = c->buffers[ARROW_VALUES].p;
    if (c->coded) return codes_fit(v, c->length, c->dict.count);
    if (c->type == ARROW_UTF8) return offsets_fit(v, c->length, c->buffers[ARROW_TEXT].n);
    if (c->type == ARROW_LIST) return offsets_fit(v, c->length, c[1].length);
    if (column == SEG_LATENCY_BIN) return bins_fit(v, c->length, LATENCY_BINS);
    if (column == SEG_CONFIDENCE_BIN || column == SEG_D_CONFIDENCE_BIN) return bins_fit(v, c->length, CONFIDENCE_BINS);
    if (column == SEG_SAME_ID) return links_fit(v, s->rows);
    if (column == SEG_FLAGS) return flags_fit(v, s->rows, s->parts->columns[SEG_PICTURE] != NULL);
    return true;
}

static bool is_text(int column) {
    return column == SEG_ID_BYTES || column == SEG_ERROR_BYTES || column == SEG_D_ID_BYTES ||
           column == SEG_D_OTHER_BYTES;
}

void segment_check_column(const struct segment *s, int column) {
    const struct arrow_column *c = s->parts->columns[column];
    segment_check_sum(s, c, &c->buffers[is_text(column) ? ARROW_TEXT : ARROW_VALUES]);
    if (!is_text(column) && !values_fit(s, column, c)) segment_damaged(s, c, "values are out of their range");
    atomic_store_explicit(&s->parts->checked[column], true, memory_order_release);
}

void segment_check_field(const struct segment *s, struct segment_part_field *f) {
    for (int k = 0; k < SEGMENT_KIND_COUNT; k++) {
        const struct arrow_column *c = f->columns[k];
        if (!c) continue;
        segment_check_sum(s, c, &c->buffers[ARROW_VALUES]);
        if (k == KIND_BOOL) segment_check_sum(s, c, &c->buffers[ARROW_VALID]);
        if (k != KIND_TEXT) continue;
        check_dict(s, c);
        if (!codes_fit(c->buffers[ARROW_VALUES].p, c->length, c->dict.count))
            segment_damaged(s, c, "values are out of their range");
    }
    atomic_store_explicit(&f->checked, true, memory_order_release);
}

/* ---- columns ---- */

const void *segment_values(const struct segment *s, int column) {
    const struct segment_parts *p = s->parts;
    guard_blame(s);
    if (!p->columns[column]) return NULL;
    if (!atomic_load_explicit(&p->checked[column], memory_order_acquire)) segment_check_column(s, column);
    return p->columns[column]->buffers[is_text(column) ? ARROW_TEXT : ARROW_VALUES].p;
}

const struct segment_dict *segment_texts(const struct segment *s, int column) {
    struct segment_parts *p = s->parts;
    guard_blame(s);
    CHECK(p->columns[column]->coded);
    if (!atomic_load_explicit(&p->dict_checked[column], memory_order_acquire)) {
        check_dict(s, p->columns[column]);
        atomic_store_explicit(&p->dict_checked[column], true, memory_order_release);
    }
    return &p->dicts[column];
}

const void *segment_column(const struct segment *s, enum segment_column c) { return segment_values(s, (int)c); }
const struct segment_dict *segment_dict(const struct segment *s, enum segment_column c) {
    return segment_texts(s, (int)c);
}

uint32_t segment_dict_find(const struct segment_dict *d, struct str text) {
    uint32_t low = 1, high = d->count + 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = str_cmp(segment_dict_text(d, middle), text);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return CODE_NULL;
}

const struct segment_field *segment_field(const struct segment *s, uint32_t field) {
    CHECK(field < s->field_count);
    struct segment_part_field *f = &s->parts->fields[field];
    guard_blame(s);
    if (!atomic_load_explicit(&f->checked, memory_order_acquire)) segment_check_field(s, f);
    return &f->shown;
}

static bool bit(const uint8_t *bits, uint32_t i) { return bits[i / 8] >> i % 8 & 1; }

struct value segment_value(const struct segment_field *f, uint32_t row) {
    if (f->codes && f->codes[row] != CODE_NULL)
        return (struct value){.type = VALUE_STRING, .text = segment_dict_text(&f->dict, f->codes[row])};
    if (f->numbers && !isnan(f->numbers[row])) return (struct value){.type = VALUE_NUMBER, .number = f->numbers[row]};
    if (f->truths && bit(f->truths_known, row)) return (struct value){.type = VALUE_BOOL, .truth = bit(f->truths, row)};
    return (struct value){.type = VALUE_NONE};
}

/* ---- rows ---- */

static struct str text_at(const struct segment *s, int offsets, int bytes, uint32_t i) {
    const uint32_t *o = segment_values(s, offsets);
    return (struct str){(const char *)segment_values(s, bytes) + o[i], o[i + 1] - o[i]};
}

static struct str coded(const struct segment *s, int column, uint32_t i) {
    uint32_t code = ((const uint32_t *)segment_values(s, column))[i];
    return code == CODE_NULL ? (struct str){"", 0} : segment_dict_text(segment_texts(s, column), code);
}

struct str segment_id(const struct segment *s, uint32_t row) {
    return text_at(s, SEG_ID, SEG_ID_BYTES, row);
}

static struct detection detection_at(const struct segment *s, uint32_t i) {
    struct detection d = {
        .class_name = coded(s, SEG_D_CLASS, i),
        .class_id = SEG(s, D_CLASS_ID)[i],
        .confidence = SEG(s, D_CONFIDENCE)[i],
        .detection_id = text_at(s, SEG_D_ID, SEG_D_ID_BYTES, i),
        .other = text_at(s, SEG_D_OTHER, SEG_D_OTHER_BYTES, i),
    };
    double x = SEG(s, D_X)[i];
    if ((d.has_box = !isnan(x))) {
        d.x = x;
        d.y = SEG(s, D_Y)[i];
        d.width = SEG(s, D_WIDTH)[i];
        d.height = SEG(s, D_HEIGHT)[i];
    }
    return d;
}

void segment_inference(const struct segment *s, uint32_t row, struct arena *a, struct inference *out) {
    const uint32_t *first = SEG(s, DETECTIONS);
    uint8_t flags = SEG(s, FLAGS)[row];
    CHECK(row < s->rows);
    *out = (struct inference){
        .id = segment_id(s, row),
        .model_id = coded(s, SEG_MODEL, row),
        .model_name = coded(s, SEG_MODEL_NAME, row),
        .model_sha256 = coded(s, SEG_MODEL_SHA256, row),
        .index = SEG(s, INDEX)[row],
        .assign_index = flags & ROW_INDEX_ASSIGNED,
        .partial = flags & ROW_PARTIAL,
        .time_us = SEG(s, TIME)[row],
        .latency_s = SEG(s, LATENCY)[row],
        .width = SEG(s, WIDTH)[row],
        .height = SEG(s, HEIGHT)[row],
        .device_id = coded(s, SEG_DEVICE, row),
        .source = coded(s, SEG_SOURCE, row),
        .source_info = coded(s, SEG_SOURCE_INFO, row),
        .server_id = coded(s, SEG_SERVER, row),
        .server_version = coded(s, SEG_SERVER_VERSION, row),
        .error = text_at(s, SEG_ERROR, SEG_ERROR_BYTES, row),
    };
    if (flags & ROW_PICTURE) out->picture = arena_copy(a, SEG(s, PICTURE) + (size_t)row * 32, 32);
    out->detection_count = first[row + 1] - first[row];
    struct detection *d = arena_alloc(a, out->detection_count * sizeof *d);
    for (uint32_t i = 0; i < out->detection_count; i++) d[i] = detection_at(s, first[row] + i);
    out->detections = d;
}

/* ---- history ---- */

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* What put_str (base/buf.h) wrote, without the quotes; false: it didn't. */
static bool unescape(struct str in, struct arena *a, struct str *out) {
    *out = in;
    if (!memchr(in.p, '\\', in.n)) return true;
    char *to = arena_alloc(a, in.n);
    *out = (struct str){to, 0};
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\\') {
            if (++i == in.n) return false;
            c = in.p[i] == 'n' ? '\n' : in.p[i];
            if (c == 'u') {
                if (in.n - i < 5 || hex(in.p[i + 3]) < 0 || hex(in.p[i + 4]) < 0) return false;
                c = (char)(hex(in.p[i + 3]) * 16 + hex(in.p[i + 4]));
                i += 4;
            }
        }
        to[out->n++] = c;
    }
    return true;
}

struct value segment_history_value(const struct segment *s, uint32_t code, struct arena *a) {
    struct value v = {.type = VALUE_NONE};
    if (code == CODE_NULL) return v;
    struct str json = segment_dict_text(segment_texts(s, SEG_H_VALUE), code);
    if (json.n >= 2 && json.p[0] == '"' && json.p[json.n - 1] == '"' &&
        unescape((struct str){json.p + 1, json.n - 2}, a, &v.text))
        v.type = VALUE_STRING;
    else if (str_is(json, "true") || str_is(json, "false"))
        v = (struct value){.type = VALUE_BOOL, .truth = json.p[0] == 't'};
    else if (str_to_double(json, &v.number))
        v.type = VALUE_NUMBER;
    else if (!str_is(json, "null"))
        segment_damaged(s, s->parts->columns[SEG_H_VALUE], "a value is no JSON text of ours");
    return v;
}

size_t segment_history(const struct segment *s, uint32_t row, struct arena *a, struct change **out) {
    const uint32_t *first = segment_values(s, SEG_HISTORY), *codes = segment_values(s, SEG_H_VALUE);
    const uint64_t *seq = segment_values(s, SEG_H_SEQ);
    const int64_t *time_us = segment_values(s, SEG_H_TIME);
    const uint32_t *key = segment_values(s, SEG_H_KEY);
    CHECK(row < s->rows);
    size_t count = first[row + 1] - first[row];
    struct change *c = arena_alloc(a, count * sizeof *c);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = first[row] + i;
        c[i] = (struct change){.field = coded(s, SEG_H_FIELD, at),
                               .value = segment_history_value(s, codes[at], a),
                               .seq = seq[at],
                               .time_us = time_us[at],
                               .key_id = key[at]};
    }
    *out = c;
    return count;
}

const struct segment_dict *segment_history_fields(const struct segment *s) { return segment_texts(s, SEG_H_FIELD); }
