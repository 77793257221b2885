#include "store_dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"

struct dump {
    const struct chunk *c;
    bool receipts;
    struct buf *out;
    const struct ident **ids;
    size_t count, room;
    uint32_t pending, rows;
};

static void collect(void *ctx, const struct ident *i) {
    struct dump *d = ctx;
    if (d->count == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->ids = mem_resize(d->ids, d->room * sizeof *d->ids);
    }
    d->ids[d->count++] = i;
}

static int by_id(const void *a, const void *b) {
    return str_cmp(ident_str(*(const struct ident *const *)a), ident_str(*(const struct ident *const *)b));
}

void dump_value(struct buf *out, const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: buf_printf(out, "\"" STR_FMT "\"", STR_ARG(v->text)); return;
    case VALUE_NUMBER: buf_printf(out, "%.17g", v->number); return;
    case VALUE_BOOL: buf_addz(out, v->truth ? "true" : "false"); return;
    case VALUE_NONE: buf_addz(out, "removed"); return;
    }
}

static void add_code(struct dump *d, uint32_t field, uint32_t code) {
    dump_value(d->out, code ? dict_value(&d->c->fields[field]->dict, code) : &(struct value){.type = VALUE_NONE});
}

static void check_text(struct dump *d, enum column column, uint32_t code, struct str want) {
    struct str got = code ? dict_value(&d->c->columns[column], code)->text : (struct str){"", 0};
    if (!str_eq(got, want)) buf_printf(d->out, "BROKEN column %d: \"" STR_FMT "\"\n", column, STR_ARG(got));
}

static void dump_row(struct dump *d, const struct ident *i, uint32_t row, struct arena *arena) {
    const struct block *b = chunk_block(d->c, row);
    uint32_t at = row % BLOCK_ROWS;
    struct inference inf;
    if (!inference_decode(b->payload[at], arena, &inf)) {
        buf_addz(d->out, "BROKEN payload\n");
        return;
    }
    buf_printf(d->out, "  row \"" STR_FMT "\" %" PRIu32 " flags=%u device=" STR_FMT " info=" STR_FMT,
               STR_ARG(inf.model_id), b->index[at], row_flags(b, at), STR_ARG(inf.device_id), STR_ARG(inf.source_info));
    for (size_t k = 0; k < inf.detection_count; k++)
        buf_printf(d->out, " " STR_FMT ":%g", STR_ARG(inf.detections[k].class_name), inf.detections[k].confidence);
    buf_printf(d->out, " crc=%08" PRIx32, crc32c(0, b->payload[at].p, b->payload[at].n));
    if (d->receipts) buf_printf(d->out, " seq=%" PRIu64 " received=%" PRId64, b->seq[at], b->received_us[at]);
    buf_addc(d->out, '\n');
    check_text(d, COLUMN_MODEL, b->model[at], inf.model_id);
    check_text(d, COLUMN_DEVICE, b->device[at], inf.device_id);
    check_text(d, COLUMN_SOURCE, b->source[at], inf.source);
    check_text(d, COLUMN_SOURCE_INFO, b->source_info[at], inf.source_info);
    check_text(d, COLUMN_SERVER, b->server[at], inf.server_id);
    check_text(d, COLUMN_MODEL_NAME, b->model_name[at], inf.model_name);
    if (b->ident[at] != i || !str_eq(inf.id, ident_str(i))) buf_addz(d->out, "BROKEN id of a row\n");
    if (b->detection_count[at] != inf.detection_count) buf_addz(d->out, "BROKEN detections\n");
    uint32_t fields = chunk_field_count(d->c);
    for (uint32_t f = 0; f < fields; f++) {
        uint32_t want = 0;
        for (const struct id_field *p = i->fields; p; p = p->next)
            if (p->field == f) want = p->newest->code;
        if (field_code(d->c->fields[f], row) != want) buf_addz(d->out, "BROKEN cell\n");
    }
}

static void dump_fields(struct dump *d, const struct ident *i) {
    uint32_t fields = chunk_field_count(d->c);
    /* Fields stand in the order they were first used; ids show them in that order too. */
    for (uint32_t f = 0; f < fields; f++) {
        for (const struct id_field *p = i->fields; p; p = p->next) {
            if (p->field != f) continue;
            buf_printf(d->out, "  field " STR_FMT ":", STR_ARG(d->c->fields[f]->name));
            for (const struct history *h = p->newest; h; h = h->older) {
                buf_addz(d->out, " ");
                add_code(d, f, h->code);
                buf_printf(d->out, " by %" PRIu32, h->key_id);
                if (d->receipts) buf_printf(d->out, " seq=%" PRIu64 " time=%" PRId64, h->seq, h->time_us);
                if (h->older) buf_addc(d->out, ',');
            }
            buf_addc(d->out, '\n');
        }
    }
}

void store_dump(struct store *s, uint32_t workspace, bool receipts, struct buf *out) {
    struct view *v = store_view(s, workspace);
    if (!v) return;
    struct dump d = {.c = v->open, .receipts = receipts, .out = out};
    struct arena arena = {0};
    chunk_each_id(v->open, collect, &d);
    if (d.count) qsort(d.ids, d.count, sizeof *d.ids, by_id);
    for (size_t n = 0; n < d.count; n++) {
        const struct ident *i = d.ids[n];
        buf_printf(out, "id " STR_FMT "\n", STR_ARG(ident_str(i)));
        uint32_t row = 0;
        bool started = false;
        d.pending += !i->first_row;
        while (row_next(v->open, i, &row, &started)) {
            dump_row(&d, i, row, &arena);
            arena_free(&arena);
            d.rows++;
        }
        dump_fields(&d, i);
        if (chunk_find(v->open, ident_str(i)) != i) buf_addz(out, "BROKEN chunk_find\n");
    }
    buf_printf(out, "rows %" PRIu32 " ids %" PRIu32 " pending %" PRIu32 "\n", chunk_rows(v->open), v->open->id_count,
               v->open->pending_count);
    if (d.rows != chunk_rows(v->open) || d.count != v->open->id_count || d.pending != v->open->pending_count)
        buf_addz(out, "BROKEN counts\n");
    free(d.ids);
    view_release(v);
}
