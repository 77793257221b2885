#include "query/coded.h"

#include "base/check.h"

static enum column text_column(enum of of) {
    switch (of) {
    case OF_MODEL:
    case OF_MODEL_BASE:
    case OF_MODEL_VERSION: return COLUMN_MODEL;
    case OF_MODEL_NAME: return COLUMN_MODEL_NAME;
    case OF_DEVICE: return COLUMN_DEVICE;
    case OF_SOURCE: return COLUMN_SOURCE;
    case OF_SOURCE_INFO: return COLUMN_SOURCE_INFO;
    case OF_SERVER: return COLUMN_SERVER;
    case OF_CLASS: return COLUMN_CLASS;
    default: return COLUMN_DICTS;
    }
}

void coded_begin(struct coded *c, const struct subject *s, const struct part *p) {
    *c = (struct coded){.subject = s, .part = p};
    if (s->of == OF_METADATA) {
        c->nothing = !part_metadata(p, s->field, &c->metadata);
        c->truths = c->metadata.column ? c->metadata.column->dict.count : 0;
        c->over = c->truths + 2;
    } else if (s->of == OF_PICTURE) {
        part_uploads(p, &c->metadata);
    } else if (text_column(s->of) != COLUMN_DICTS) {
        c->texts = part_texts(p, text_column(s->of));
        c->nothing = texts_count(&c->texts) == 0;
    }
}

uint32_t coded_count(const struct coded *c) {
    const struct metadata *m = &c->metadata;
    if (c->subject->of == OF_PICTURE) return 3;
    if (m->field) return dict_count(&m->field->dict) + 1;
    if (m->column || m->over) return c->over + (m->over ? dict_count(&m->over->dict) : 0) + 1;
    return text_column(c->subject->of) != COLUMN_DICTS ? texts_count(&c->texts) + 1 : 3;
}

/* ---- metadata ---- */

static bool bit(const uint8_t *bits, uint32_t at) { return bits[at / 8] >> (at % 8) & 1; }

static const uint32_t *read_chunk_field(const struct coded *c, const struct batch *b, uint32_t *room) {
    const struct cells *cells = field_cells(c->metadata.field, b->slice->number);
    if (!cells) return memset(room, 0, b->count * sizeof *room);
    for (uint32_t i = 0; i < b->count; i++)
        room[i] = atomic_load_explicit(&cells->code[b->at[i]], memory_order_acquire);
    return room;
}

static const uint32_t *read_field(const struct coded *c, const struct batch *b, uint32_t *codes) {
    const struct segment_field *f = c->metadata.column;
    const struct overlay_cells *over = overlay_cells(c->metadata.over, b->slice->number);
    uint32_t first = b->slice->first;
    bool texts = f && f->codes;
    if (texts && !f->numbers && !f->truths && !over) return batch_codes(b, f->codes + first, codes);
    for (uint32_t i = 0; texts && i < b->count; i++) codes[i] = f->codes[first + b->at[i]];
    if (!texts) memset(codes, 0, b->count * sizeof *codes);
    for (uint32_t i = 0; f && f->numbers && i < b->count; i++)
        if (!isnan(f->numbers[first + b->at[i]])) codes[i] = CODED_NUMBER;
    for (uint32_t i = 0; f && f->truths && i < b->count; i++) {
        uint32_t row = first + b->at[i];
        if (bit(f->truths_known, row)) codes[i] = c->truths + 1 + bit(f->truths, row);
    }
    for (uint32_t i = 0; over && i < b->count; i++) {
        uint32_t code = atomic_load_explicit(&over->code[b->at[i]], memory_order_acquire);
        if (code != OVERLAY_NONE) codes[i] = code == OVERLAY_REMOVED ? 0 : c->over + code;
    }
    return codes;
}

/* ---- columns ---- */

static const uint32_t *read_flags(const struct batch *b, uint8_t flag, uint32_t *room) {
    uint8_t flags_room[BLOCK_ROWS];
    const uint8_t *flags = slice_flags(b->slice, flags_room);
    for (uint32_t i = 0; i < b->count; i++) room[i] = 1 + ((flags[b->at[i]] & flag) != 0);
    return room;
}

static const uint32_t *read_pictures(const struct coded *c, const struct batch *b, uint32_t *room) {
    const struct metadata *m = &c->metadata;
    read_flags(b, ROW_PICTURE, room);
    for (uint32_t i = 0; (m->field || m->column || m->over) && i < b->count; i++)
        if (metadata_value(m, b->slice->first + b->at[i]).type != VALUE_NONE) room[i] = 2;
    return room;
}

const uint32_t *coded_read(const struct coded *c, struct batch *b, uint32_t room[BATCH_ROWS]) {
    if (c->nothing) return memset(room, 0, b->count * sizeof *room);
    switch (c->subject->of) {
    case OF_METADATA:
        if (c->metadata.field) return read_chunk_field(c, b, room);
        return read_field(c, b, room);
    case OF_ERROR: return read_flags(b, ROW_ERROR, room);
    case OF_PARTIAL: return read_flags(b, ROW_PARTIAL, room);
    case OF_PICTURE: return read_pictures(c, b, room);
    case OF_INDEX:
    case OF_DETECTIONS:
        for (uint32_t i = 0; i < b->count; i++) room[i] = CODED_NUMBER;
        return room;
    default: return batch_codes(b, slice_codes(b->slice, text_column(c->subject->of)), room);
    }
}

static struct value text(struct str s) { return (struct value){.type = VALUE_STRING, .text = s}; }
static struct value truth(bool v) { return (struct value){.type = VALUE_BOOL, .truth = v}; }

static struct value metadata_of_code(const struct coded *c, uint32_t code) {
    const struct metadata *m = &c->metadata;
    if (m->field) return *dict_value(&m->field->dict, code);
    if (code > c->over) return *dict_value(&m->over->dict, code - c->over);
    if (code > c->truths) return truth(code - c->truths == 2);
    return text(segment_dict_text(&m->column->dict, code));
}

struct value coded_value(const struct coded *c, uint32_t code) {
    struct str s;
    switch (c->subject->of) {
    case OF_METADATA: return metadata_of_code(c, code);
    case OF_ERROR:
    case OF_PARTIAL:
    case OF_PICTURE: return truth(code == 2);
    case OF_MODEL_BASE: return text(model_base(texts_at(&c->texts, code)));
    case OF_MODEL_VERSION: s = model_version(texts_at(&c->texts, code)); return s.p ? text(s) : (struct value){0};
    default: return text(texts_at(&c->texts, code));
    }
}

double coded_number(const struct coded *c, const struct batch *b, uint32_t i) {
    uint32_t at = b->at[i];
    switch (c->subject->of) {
    case OF_METADATA: return c->metadata.column->numbers[b->slice->first + at];
    case OF_INDEX: return slice_index(b->slice)[at];
    case OF_DETECTIONS: {
        const struct block *block = b->slice->block;
        const uint32_t *first = block ? NULL : SEG(c->part->segment, DETECTIONS) + b->slice->first;
        return block ? block->detection_count[at] : first[at + 1] - first[at];
    }
    default: WRONG("a column without numbers");
    }
}
