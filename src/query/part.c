#include "query/part.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/bins.h"

/* ---- rows ---- */

uint32_t bitmap_list(const struct bitmap *b, uint32_t rows[BLOCK_ROWS]) {
    uint32_t n = 0;
    for (uint32_t w = 0; w < BLOCK_WORDS; w++) {
        uint64_t left = b->words[w];
        if (left == UINT64_MAX) {
            for (uint32_t bit = 0; bit < 64; bit++) rows[n + bit] = w * 64 + bit;
            n += 64;
            continue;
        }
        for (; left; left &= left - 1) rows[n++] = w * 64 + (uint32_t)__builtin_ctzll(left);
    }
    return n;
}

static void add_chunks(const struct view *v, struct part *parts, size_t *count) {
    for (size_t i = 0; i < v->chunk_count; i++) {
        uint32_t rows = chunk_rows(v->chunks[i]);
        if (rows)
            parts[(*count)++] = (struct part){.view = v, .chunk = v->chunks[i], .rows = rows, .latest_us = INT64_MAX};
    }
}

static void add_sealed(const struct view *v, struct sealed *s, struct part *parts, size_t *count) {
    if (atomic_load_explicit(&s->set_aside, memory_order_relaxed)) return;
    parts[(*count)++] = (struct part){.view = v,
                                      .sealed = s,
                                      .segment = s->segment,
                                      .overlay = s->overlay,
                                      .rows = s->segment->rows,
                                      .latest_us = s->segment->max_time_us};
}

struct part *part_list(const struct view *v, struct arena *a, size_t *count) {
    *count = 0;
    if (!v) return NULL;
    struct part *parts = arena_alloc(a, (v->chunk_count + v->sealed_count) * sizeof *parts);
    add_chunks(v, parts, count);
    for (size_t i = 0; i < v->sealed_count; i++) add_sealed(v, v->sealed[i], parts, count);
    return parts;
}

/* ---- columns ---- */

#define COLUMN(s, name, member) ((s)->block ? (s)->block->member : SEG((s)->part->segment, name) + (s)->first)

const int64_t *slice_time(const struct slice *s) { return COLUMN(s, TIME, time_us); }
const int64_t *slice_received(const struct slice *s) { return COLUMN(s, RECEIVED, received_us); }
const uint64_t *slice_seq(const struct slice *s) { return COLUMN(s, SEQ, seq); }
const uint32_t *slice_index(const struct slice *s) { return COLUMN(s, INDEX, index); }
const double *slice_latency(const struct slice *s) { return COLUMN(s, LATENCY, latency_s); }
const double *slice_confidence(const struct slice *s) { return COLUMN(s, CONFIDENCE, confidence); }

const uint8_t *slice_flags(const struct slice *s, uint8_t room[BLOCK_ROWS]) {
    if (s->block) {
        for (uint32_t at = 0; at < s->count; at++) room[at] = row_flags(s->block, at);
        return room;
    }
    const uint8_t *flags = SEG(s->part->segment, FLAGS) + s->first;
    const struct overlay *o = s->part->overlay;
    const _Atomic uint8_t *hidden = o ? atomic_load_explicit(&o->hidden, memory_order_acquire) : NULL;
    if (!hidden) return flags;
    for (uint32_t at = 0; at < s->count; at++)
        room[at] = flags[at] | (atomic_load_explicit(&hidden[s->first + at], memory_order_relaxed) ? ROW_HIDDEN : 0);
    return room;
}

const uint32_t *slice_detection_counts(const struct slice *s, uint32_t room[BLOCK_ROWS]) {
    if (s->block) return s->block->detection_count;
    const uint32_t *first = SEG(s->part->segment, DETECTIONS) + s->first;
    for (uint32_t at = 0; at < s->count; at++) room[at] = first[at + 1] - first[at];
    return room;
}

const uint16_t *slice_latency_bins(const struct slice *s, uint16_t room[BLOCK_ROWS]) {
    if (!s->block) return SEG(s->part->segment, LATENCY_BIN) + s->first;
    for (uint32_t at = 0; at < s->count; at++) room[at] = latency_bin(s->block->latency_s[at]);
    return room;
}

const uint16_t *slice_confidence_bins(const struct slice *s, uint16_t room[BLOCK_ROWS]) {
    if (!s->block) return SEG(s->part->segment, CONFIDENCE_BIN) + s->first;
    for (uint32_t at = 0; at < s->count; at++) room[at] = confidence_bin(s->block->confidence[at]);
    return room;
}

struct str slice_id(const struct slice *s, uint32_t at) {
    return s->block ? ident_str(s->block->ident[at]) : segment_id(s->part->segment, s->first + at);
}

struct str slice_error(const struct slice *s, uint32_t at, struct arena *a) {
    if (s->block) {
        struct inference inf;
        CHECK(inference_decode(s->block->payload[at], a, &inf)); /* it could be when it came */
        return inf.error;
    }
    const uint32_t *ends = SEG(s->part->segment, ERROR) + s->first + at;
    return (struct str){SEG(s->part->segment, ERROR_BYTES) + ends[0], ends[1] - ends[0]};
}

/* ---- text ---- */

/* What a text column is called in a segment. */
static const enum segment_column code_columns[COLUMN_DICTS] = {
    [COLUMN_MODEL] = SEG_MODEL,   [COLUMN_DEVICE] = SEG_DEVICE,
    [COLUMN_SOURCE] = SEG_SOURCE, [COLUMN_SOURCE_INFO] = SEG_SOURCE_INFO,
    [COLUMN_SERVER] = SEG_SERVER, [COLUMN_MODEL_NAME] = SEG_MODEL_NAME,
    [COLUMN_CLASS] = SEG_D_CLASS,
};

struct texts part_texts(const struct part *p, enum column c) {
    if (p->chunk) return (struct texts){.dict = &p->chunk->columns[c]};
    return (struct texts){.sorted = segment_dict(p->segment, code_columns[c])};
}

const uint32_t *slice_codes(const struct slice *s, enum column c) {
    if (!s->block) return (const uint32_t *)segment_column(s->part->segment, code_columns[c]) + s->first;
    switch (c) {
    case COLUMN_MODEL: return s->block->model;
    case COLUMN_DEVICE: return s->block->device;
    case COLUMN_SOURCE: return s->block->source;
    case COLUMN_SOURCE_INFO: return s->block->source_info;
    case COLUMN_SERVER: return s->block->server;
    case COLUMN_MODEL_NAME: return s->block->model_name;
    case COLUMN_CLASS:
    case COLUMN_DICTS: break;
    }
    WRONG("a column of no row");
}

/* ---- detections ---- */

void detection_room_free(struct detection_room *room) {
    free(room->classes);
    free(room->confidences);
    *room = (struct detection_room){0};
}

static void room_for(struct detection_room *room, size_t n) {
    if (n <= room->size) return;
    room->size = n + n / 2;
    room->classes = mem_resize(room->classes, room->size * sizeof *room->classes);
    room->confidences = mem_resize(room->confidences, room->size * sizeof *room->confidences);
}

/* Detections lie all over the chunk's heap: asking for them this many rows ahead hides what memory takes to answer. */
enum { AHEAD = 12 };

struct detections slice_detections(const struct slice *s, const struct bitmap *rows, struct detection_room *room) {
    if (!s->block) {
        const struct segment *g = s->part->segment;
        return (struct detections){SEG(g, DETECTIONS) + s->first, SEG(g, D_CLASS), SEG(g, D_CONFIDENCE), g->detections};
    }
    const struct block *b = s->block;
    uint32_t n = 0;
    for (uint32_t at = 0; at < s->count; at++) {
        room->first[at] = n;
        if (rows->words[at / 64] >> (at % 64) & 1) n += b->detection_count[at];
    }
    room->first[s->count] = n;
    room_for(room, n);
    for (uint32_t at = 0; at < s->count; at++) {
        uint32_t from = room->first[at], count = room->first[at + 1] - from;
        if (at + AHEAD < s->count) __builtin_prefetch(b->detections[at + AHEAD]);
        for (uint32_t i = 0; i < count; i++) {
            const struct row_detection *d = &b->detections[at][i];
            room->classes[from + i] = d->class_code;
            room->confidences[from + i] = d->confidence;
        }
    }
    return (struct detections){room->first, room->classes, room->confidences, n};
}

/* ---- metadata ---- */

bool part_metadata_at(const struct part *p, uint32_t field, struct metadata *out) {
    *out = (struct metadata){0};
    if (p->chunk) {
        out->field = chunk_field(p->chunk, field);
        return out->field;
    }
    /* By its name, since a workspace's fields are numbered anew at each start; mostly it is where it was. */
    for (uint32_t i = 0, count = p->segment->field_count; i < count && !out->column; i++)
        if (str_eq(segment_field_name(p->segment, (field + i) % count), p->view->fields->names[field]))
            out->column = segment_field(p->segment, (field + i) % count);
    if (p->overlay) out->over = overlay_field(p->overlay, field);
    return out->column || out->over;
}

static bool find_metadata(const struct part *p, struct str name, struct metadata *out) {
    int field = fields_find(p->view->fields, name);
    *out = (struct metadata){0};
    return field >= 0 && part_metadata_at(p, (uint32_t)field, out);
}

bool part_metadata(const struct part *p, struct str name, struct metadata *out) {
    *out = (struct metadata){0};
    return !field_is_own(name) && find_metadata(p, name, out);
}

bool part_uploads(const struct part *p, struct metadata *out) { return find_metadata(p, FIELD_UPLOADS, out); }

struct value metadata_value(const struct metadata *m, uint32_t row) {
    if (m->field) {
        uint32_t code = field_code(m->field, row);
        return code ? *dict_value(&m->field->dict, code) : (struct value){0};
    }
    uint32_t over = overlay_code(m->over, row);
    if (over == OVERLAY_REMOVED) return (struct value){0};
    if (over != OVERLAY_NONE) return *dict_value(&m->over->dict, over);
    return m->column ? segment_value(m->column, row) : (struct value){0};
}

size_t part_row_metadata(const struct part *p, uint32_t row, struct arena *a, struct entry **out) {
    size_t count = 0, room = 0;
    *out = NULL;
    for (uint32_t i = 0, n = fields_count(p->view->fields); i < n; i++) {
        struct metadata m;
        if (!part_metadata_at(p, i, &m)) continue;
        struct value v = metadata_value(&m, row);
        if (v.type == VALUE_NONE) continue;
        if (count == room) {
            struct entry *more = arena_alloc(a, (room ? room * 2 : 4) * sizeof *more);
            if (room) memcpy(more, *out, room * sizeof *more);
            *out = more;
            room = room ? room * 2 : 4;
        }
        struct str name = p->view->fields->names[i];
        if (v.type == VALUE_STRING) v.text.p = arena_copy(a, v.text.p, v.text.n);
        (*out)[count++] = (struct entry){{arena_copy(a, name.p, name.n), name.n}, v};
    }
    return count;
}

/* ---- single rows ---- */

uint8_t part_flags(const struct part *p, uint32_t row) {
    if (p->chunk) return row_flags(chunk_block(p->chunk, row), row % BLOCK_ROWS);
    uint8_t hidden = p->overlay && overlay_hidden(p->overlay, row) ? ROW_HIDDEN : 0;
    return SEG(p->segment, FLAGS)[row] | hidden;
}

/* All that the directory has for a hash. */
static const struct place *places_of(const struct view *v, uint64_t hash, struct arena *a, size_t *count) {
    struct place *places = NULL;
    size_t room = 16;
    for (bool all = false; !all; room = *count) { /* it may have got more meanwhile */
        places = arena_alloc(a, room * sizeof *places);
        *count = directory_find(v->directory, hash, places, room);
        all = *count <= room;
    }
    return places;
}

bool part_may_hold(const struct view *v, const struct sealed *s, uint64_t hash, struct arena *a) {
    size_t count;
    const struct place *places = places_of(v, hash, a, &count);
    for (size_t i = 0; i < count; i++)
        if (places[i].slot == s->slot) return true;
    return false;
}

struct part *parts_that_hold(const struct view *v, uint64_t hash, struct arena *a, size_t *count) {
    size_t place_count;
    const struct place *places = places_of(v, hash, a, &place_count);
    struct part *parts = arena_alloc(a, (v->chunk_count + place_count) * sizeof *parts);
    *count = 0;
    add_chunks(v, parts, count);
    for (size_t i = 0; i < place_count; i++) {
        struct sealed *s = places[i].slot < v->slot_count ? v->slots[places[i].slot] : NULL;
        bool there = false;
        for (size_t k = 0; k < *count; k++) there |= parts[k].sealed == s;
        if (s && !there) add_sealed(v, s, parts, count);
    }
    return parts;
}

uint32_t part_find(const struct part *p, uint64_t hash, struct str id, struct arena *a) {
    if (p->chunk) {
        const struct ident *i = chunk_find(p->chunk, hash, id);
        return i ? atomic_load_explicit(&i->first_row, memory_order_acquire) : 0;
    }
    size_t count;
    const struct place *places = places_of(p->view, hash, a, &count);
    for (size_t i = 0; i < count; i++)
        if (places[i].slot == p->sealed->slot && places[i].row < p->rows &&
            str_eq(segment_id(p->segment, places[i].row), id))
            return places[i].row + 1;
    return 0;
}

uint32_t part_next_same_id(const struct part *p, uint32_t row) {
    if (p->segment) return SEG(p->segment, SAME_ID)[row];
    return atomic_load_explicit(&chunk_block(p->chunk, row)->next_same_id[row % BLOCK_ROWS], memory_order_acquire);
}
