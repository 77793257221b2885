#include "store_dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"

/* A row, wherever it is. */
struct where {
    struct str id;
    uint64_t seq;
    const struct chunk *chunk; /* or: */
    const struct sealed *sealed;
    uint32_t row, first; /* first: of the id, in its part */
};

struct dump {
    const struct view *v;
    bool receipts;
    struct buf *out;
    struct where *rows;
    size_t count, room;
    const struct pending_id **waiting;
    size_t waiting_count;
    struct arena arena;
};

static void add(struct dump *d, struct where w) {
    if (d->count == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->rows = mem_resize(d->rows, d->room * sizeof *d->rows);
    }
    d->rows[d->count++] = w;
}

static int by_id(const void *x, const void *y) {
    const struct where *a = x, *b = y;
    int order = str_cmp(a->id, b->id);
    return order ? order : a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int by_text(const void *x, const void *y) {
    return str_cmp(ident_str(&(*(const struct pending_id *const *)x)->ident),
                   ident_str(&(*(const struct pending_id *const *)y)->ident));
}

static void collect_waiting(void *ctx, const struct pending_id *i) {
    struct dump *d = ctx;
    d->waiting = mem_resize(d->waiting, (d->waiting_count + 1) * sizeof *d->waiting);
    d->waiting[d->waiting_count++] = i;
}

static void collect(struct dump *d) {
    for (size_t c = 0; c < d->v->chunk_count; c++) {
        const struct chunk *k = d->v->chunks[c];
        for (uint32_t row = 0; row < chunk_rows(k); row++) {
            const struct block *b = chunk_block(k, row);
            const struct ident *i = b->ident[row % BLOCK_ROWS];
            add(d, (struct where){ident_str(i), b->seq[row % BLOCK_ROWS], k, NULL, row, i->first_row - 1});
            if (chunk_find(k, i->hash, ident_str(i)) != i) buf_addz(d->out, "BROKEN chunk_find\n");
        }
    }
    for (size_t s = 0; s < d->v->sealed_count; s++) {
        const struct segment *g = d->v->sealed[s]->segment;
        uint32_t *first = mem_zero(g->rows + 1, sizeof *first);
        for (uint32_t row = 0; row < g->rows; row++) {
            if (!first[row]) first[row] = row + 1;
            uint32_t same = SEG(g, SAME_ID)[row];
            if (same) first[same - 1] = first[row];
            add(d, (struct where){segment_id(g, row), SEG(g, SEQ)[row], NULL, d->v->sealed[s], row, first[row] - 1});
        }
        free(first);
    }
    pending_each(d->v->pending, collect_waiting, d);
    if (d->count) qsort(d->rows, d->count, sizeof *d->rows, by_id);
    if (d->waiting_count) qsort(d->waiting, d->waiting_count, sizeof *d->waiting, by_text);
}

void dump_value(struct buf *out, const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: buf_printf(out, "\"" STR_FMT "\"", STR_ARG(v->text)); return;
    case VALUE_NUMBER: buf_printf(out, "%.17g", v->number); return;
    case VALUE_BOOL: buf_addz(out, v->truth ? "true" : "false"); return;
    case VALUE_NONE: buf_addz(out, "removed"); return;
    }
}

/* ---- rows ---- */

static void dump_row(struct dump *d, const struct where *w) {
    struct inference inf;
    uint64_t content;
    uint32_t index;
    int64_t received;
    uint8_t flags;
    if (w->chunk) {
        const struct block *b = chunk_block(w->chunk, w->row);
        uint32_t at = w->row % BLOCK_ROWS;
        if (!inference_decode(b->payload[at], &d->arena, &inf)) {
            buf_addz(d->out, "BROKEN payload\n");
            return;
        }
        content = content_hash(b->payload[at]);
        index = b->index[at];
        received = b->received_us[at];
        flags = row_flags(b, at);
        if (b->detection_count[at] != inf.detection_count) buf_addz(d->out, "BROKEN detections\n");
    } else {
        const struct segment *g = w->sealed->segment;
        segment_inference(g, w->row, &d->arena, &inf);
        content = SEG(g, CONTENT)[w->row];
        index = SEG(g, INDEX)[w->row];
        received = SEG(g, RECEIVED)[w->row];
        flags = SEG(g, FLAGS)[w->row];
        if (overlay_hidden(w->sealed->overlay, w->row)) flags |= ROW_HIDDEN;
    }
    if (!str_eq(inf.id, w->id)) buf_addz(d->out, "BROKEN id of a row\n");
    buf_printf(d->out, "  row \"" STR_FMT "\" %" PRIu32 " flags=%u device=" STR_FMT " info=" STR_FMT,
               STR_ARG(inf.model_id), index, flags, STR_ARG(inf.device_id), STR_ARG(inf.source_info));
    for (size_t k = 0; k < inf.detection_count; k++)
        buf_printf(d->out, " " STR_FMT ":%g", STR_ARG(inf.detections[k].class_name), inf.detections[k].confidence);
    buf_printf(d->out, " content=%016" PRIx64, content);
    if (d->receipts) buf_printf(d->out, " seq=%" PRIu64 " received=%" PRId64, w->seq, received);
    buf_addc(d->out, '\n');
}

/* ---- history ---- */

/* The writes of the id that a row has, newest first, in the order of the fields. */
static size_t history_of(struct dump *d, const struct where *w, struct change **out) {
    struct change *old = NULL;
    size_t n = 0, more = 0;
    if (w->chunk) {
        const struct ident *i = chunk_block(w->chunk, w->row)->ident[w->row % BLOCK_ROWS];
        for (const struct id_field *f = ident_fields(i); f; f = f->next)
            for (const struct history *h = field_newest(f); h; h = h->older) more++;
        *out = arena_alloc(&d->arena, more * sizeof **out);
        for (const struct id_field *f = ident_fields(i); f; f = f->next)
            for (const struct history *h = field_newest(f); h; h = h->older) {
                struct change c = {d->v->fields->names[f->field], {0}, h->seq, h->time_us, h->key_id};
                if (h->code) c.value = *dict_value(&chunk_field(w->chunk, f->field)->dict, h->code);
                (*out)[n++] = c;
            }
        return n;
    }
    size_t count = segment_history(w->sealed->segment, w->first, &d->arena, &old);
    const struct overlay *o = w->sealed->overlay;
    *out = arena_alloc(&d->arena, (count + overlay_count(o)) * sizeof **out);
    for (; n < count; n++) (*out)[n] = old[n];
    for (uint32_t k = 0; k < overlay_count(o); k++) {
        const struct overlay_entry *e = overlay_entry(o, k);
        if (e->row != w->first) continue;
        struct change c = {d->v->fields->names[e->field], {0}, e->seq, e->time_us, e->key_id};
        if (e->code) c.value = *dict_value(&overlay_field(o, e->field)->dict, e->code);
        (*out)[n++] = c;
    }
    return n;
}

static int newest_first(const void *x, const void *y) {
    const struct change *a = x, *b = y;
    int order = str_cmp(a->field, b->field);
    return order ? order : a->seq > b->seq ? -1 : a->seq < b->seq;
}

static void print_history(struct dump *d, struct change *c, size_t n, struct buf *out) {
    if (n) qsort(c, n, sizeof *c, newest_first);
    for (size_t i = 0; i < n; i++) {
        bool begins = i == 0 || !str_eq(c[i].field, c[i - 1].field);
        if (begins)
            buf_printf(out, "%s  field " STR_FMT ": ", i ? "\n" : "", STR_ARG(c[i].field));
        else
            buf_addz(out, ", ");
        dump_value(out, &c[i].value);
        buf_printf(out, " by %" PRIu32, c[i].key_id);
        if (d->receipts) buf_printf(out, " seq=%" PRIu64 " time=%" PRId64, c[i].seq, c[i].time_us);
    }
    if (n) buf_addc(out, '\n');
}

/* What the row's own column says, with what lies over it. */
static struct value cell_of(struct dump *d, const struct where *w, struct str name) {
    int field = fields_find(d->v->fields, name);
    if (w->chunk) {
        const struct field *f = chunk_field(w->chunk, (uint32_t)field);
        uint32_t code = field_code(f, w->row);
        return code ? *dict_value(&f->dict, code) : (struct value){0};
    }
    const struct overlay_field *f = overlay_field(w->sealed->overlay, (uint32_t)field);
    uint32_t code = f ? overlay_code(f, w->row) : OVERLAY_NONE;
    if (code == OVERLAY_REMOVED) return (struct value){0};
    if (code != OVERLAY_NONE) return *dict_value(&f->dict, code);
    const struct segment *g = w->sealed->segment;
    for (uint32_t n = 0; n < g->field_count; n++)
        if (str_eq(segment_field_name(g, n), name)) return segment_value(segment_field(g, n), w->row);
    return (struct value){0};
}

static void check_cells(struct dump *d, const struct where *w, const struct change *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (i && str_eq(c[i].field, c[i - 1].field)) continue; /* an older one */
        struct value v = cell_of(d, w, c[i].field);
        if (v.type != c[i].value.type || (v.type != VALUE_NONE && !value_eq(&v, &c[i].value)))
            buf_printf(d->out, "BROKEN cell of " STR_FMT "\n", STR_ARG(c[i].field));
    }
}

/* ---- ids ---- */

static size_t dump_id(struct dump *d, size_t at) {
    struct buf told = {0};
    size_t end = at;
    buf_printf(d->out, "id " STR_FMT "\n", STR_ARG(d->rows[at].id));
    for (; end < d->count && str_eq(d->rows[end].id, d->rows[at].id); end++) {
        struct change *c;
        struct buf text = {0};
        dump_row(d, &d->rows[end]);
        size_t n = history_of(d, &d->rows[end], &c);
        print_history(d, c, n, &text);
        check_cells(d, &d->rows[end], c, n);
        if (end == at)
            buf_add(&told, text.p, text.n);
        else if (!str_eq(buf_str(&told), buf_str(&text)))
            buf_printf(d->out, "BROKEN history, one part says otherwise:\n" STR_FMT, STR_ARG(buf_str(&text)));
        buf_free(&text);
        arena_free(&d->arena);
    }
    buf_add_str(d->out, buf_str(&told));
    buf_free(&told);
    return end;
}

static void dump_waiting(struct dump *d, const struct pending_id *i) {
    size_t n = 0;
    for (const struct pending_write *w = pending_newest(i); w; w = w->older) n++;
    struct change *c = arena_alloc(&d->arena, n * sizeof *c);
    n = 0;
    for (const struct pending_write *w = pending_newest(i); w; w = w->older)
        c[n++] = (struct change){d->v->fields->names[w->field], w->value, w->seq, w->time_us, w->key_id};
    buf_printf(d->out, "id " STR_FMT "\n", STR_ARG(ident_str(&i->ident)));
    print_history(d, c, n, d->out);
    arena_free(&d->arena);
}

void store_dump(struct store *s, uint32_t workspace, bool receipts, struct buf *out) {
    struct view *v = store_view(s, workspace);
    if (!v) return;
    struct dump d = {.v = v, .receipts = receipts, .out = out};
    size_t ids = 0, waiting = 0;
    collect(&d);
    for (size_t n = 0; n < d.count || waiting < d.waiting_count; ids++) {
        const struct pending_id *i = waiting < d.waiting_count ? d.waiting[waiting] : NULL;
        int order = n == d.count ? 1 : !i ? -1 : str_cmp(d.rows[n].id, ident_str(&i->ident));
        if (order == 0) buf_addz(out, "BROKEN an id waits that has rows\n");
        if (order < 0) {
            n = dump_id(&d, n);
        } else {
            dump_waiting(&d, i);
            waiting++;
        }
    }
    buf_printf(out, "rows %zu ids %zu pending %zu\n", d.count, ids, d.waiting_count);
    free(d.rows);
    free(d.waiting);
    view_release(v);
}
