#include "api/export.h"

#include <math.h>
#include <stdlib.h>

#include "api/inference_json.h"
#include "query/plan_json.h"
#include "store/row.h"

/* ---- CSV: RFC 4180, UTF-8 ---- */

static void csv_text(struct buf *to, struct str s) {
    bool plain = true;
    for (size_t i = 0; i < s.n && plain; i++) plain = !strchr(",\"\r\n", s.p[i]) || !s.p[i];
    if (plain) {
        buf_add_str(to, s);
        return;
    }
    buf_addc(to, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') buf_addc(to, '"');
        buf_addc(to, s.p[i]);
    }
    buf_addc(to, '"');
}

static void csv_value(struct buf *to, const struct value *v) {
    struct buf text = {0};
    if (v->type == VALUE_STRING) csv_text(to, v->text);
    if (v->type == VALUE_NUMBER || v->type == VALUE_BOOL) put_value(&text, v), buf_add_str(to, buf_str(&text));
    buf_free(&text);
}

static void csv_number(struct buf *to, double number) {
    if (!isnan(number)) csv_value(to, &(struct value){.type = VALUE_NUMBER, .number = number});
}

static void csv_time(struct buf *to, int64_t us) {
    struct buf text = {0};
    put_time(&text, us);
    buf_add(to, text.p + 1, text.n - 2); /* without its quotes */
    buf_free(&text);
}

static int by_bytes(const void *x, const void *y) { return str_cmp(*(const struct str *)x, *(const struct str *)y); }

/* The names of all fields that a hit has, in order. */
static struct str *names_of(struct arena *arena, const struct answer *a, size_t *count) {
    size_t all = 0, kept = 0;
    for (size_t i = 0; i < a->hit_count; i++) all += a->hits[i].metadata_count;
    struct str *names = arena_alloc(arena, (all + 1) * sizeof *names);
    all = 0;
    for (size_t i = 0; i < a->hit_count; i++)
        for (size_t k = 0; k < a->hits[i].metadata_count; k++) names[all++] = a->hits[i].metadata[k].name;
    if (all) qsort(names, all, sizeof *names, by_bytes);
    for (size_t i = 0; i < all; i++)
        if (kept == 0 || !str_eq(names[kept - 1], names[i])) names[kept++] = names[i];
    *count = kept;
    return names;
}

static double top_confidence(const struct inference *inf) {
    double top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++)
        if (isnan(top) || inf->detections[i].confidence > top) top = inf->detections[i].confidence;
    return top;
}

static void csv_classes(struct buf *to, const struct inference *inf) {
    struct buf text = {0};
    for (size_t i = 0; i < inf->detection_count; i++) {
        if (i) buf_addz(&text, "; ");
        buf_add_str(&text, inf->detections[i].class_name);
    }
    csv_text(to, text.n ? buf_str(&text) : (struct str){"", 0});
    buf_free(&text);
}

/* The columns in the order of the head line. */
static void csv_row(struct buf *to, const struct hit *h, const struct str *names, size_t count) {
    const struct inference *inf = &h->inf;
    const struct str texts[] = {inf->device_id, inf->source, inf->source_info, inf->server_id};
    csv_text(to, inf->id), buf_addc(to, ',');
    csv_text(to, inf->model_id);
    buf_printf(to, ",%u,", inf->index);
    csv_time(to, inf->time_us), buf_addc(to, ',');
    csv_time(to, h->received_us), buf_addc(to, ',');
    csv_number(to, inf->latency_s), buf_addc(to, ',');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) csv_text(to, texts[i]), buf_addc(to, ',');
    buf_addz(to, h->flags & ROW_PARTIAL ? "true," : "false,");
    csv_text(to, inf->error);
    buf_printf(to, ",%zu,", inf->detection_count);
    csv_number(to, top_confidence(inf)), buf_addc(to, ',');
    csv_classes(to, inf);
    for (size_t i = 0, k = 0; i < count; i++) { /* both in order */
        buf_addc(to, ',');
        if (k < h->metadata_count && str_eq(h->metadata[k].name, names[i])) csv_value(to, &h->metadata[k++].value);
    }
    buf_addz(to, "\r\n");
}

static void write_csv(struct buf *to, struct arena *arena, const struct answer *a) {
    size_t count;
    const struct str *names = names_of(arena, a, &count);
    buf_addz(to, "inference_id,model_id,index,time,received,latency_s,device_id,source,source_info,server_id,partial,"
                 "error,detections,top_confidence,classes");
    for (size_t i = 0; i < count; i++) {
        buf_addc(to, ',');
        csv_text(to, str_of(arena_printf(arena, "metadata." STR_FMT, STR_ARG(names[i]))));
    }
    buf_addz(to, "\r\n");
    for (size_t i = 0; i < a->hit_count; i++) csv_row(to, &a->hits[i], names, count);
}

/* ---- either ---- */

struct exported {
    enum export_format format;
    const char *cursor; /* NULL: there is no more */
    size_t gaps;
};

static void write_lines(struct buf *to, const struct read *rd, const struct answer *a) {
    struct buf line = {0};
    for (size_t i = 0; i < a->hit_count; i++, line.n = 0) {
        put_object(&line);
        put_inference(&line, str_of(rd->who.slug), &a->hits[i]);
        put_object_end(&line);
        buf_add_str(to, buf_str(&line));
        buf_addc(to, '\n');
    }
    buf_free(&line);
}

bool show_export(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct exported *x = arena_alloc(&r->arena, sizeof *x);
    struct answer a;
    if (!read_ask(rd, v, &rd->plan, &a, e)) return false;
    x->format = *(const enum export_format *)rd->own;
    x->gaps = a.gap_count;
    if (a.next.set) {
        struct buf cursor = {0};
        cursor_write(&cursor, &a.next);
        x->cursor = arena_printf(&r->arena, STR_FMT, STR_ARG(buf_str(&cursor)));
        buf_free(&cursor);
    }
    if (x->format == EXPORT_CSV)
        write_csv(&r->out, &r->arena, &a);
    else
        write_lines(&r->out, rd, &a);
    rd->own = x;
    return true;
}

void answer_export(struct request *r) {
    const struct exported *x = read_of(r)->own;
    if (x->cursor) respond_header(r, "X-Next-Cursor", x->cursor);
    if (x->gaps) respond_header(r, "X-Incomplete", arena_printf(&r->arena, "%zu", x->gaps));
    respond(r, 200, x->format == EXPORT_CSV ? "text/csv; charset=utf-8" : "application/x-ndjson");
}
