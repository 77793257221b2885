#include "script.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "store_dump.h"

/* ---- the requests ---- */

static struct str text_of(struct request *r, const char *fmt, unsigned n) {
    char *text = arena_printf(&r->arena, fmt, n);
    return str_of(text);
}

struct str script_picture(unsigned number, char bytes[SCRIPT_PICTURE]) {
    for (size_t i = 0; i < SCRIPT_PICTURE; i++) bytes[i] = (char)(number + i * i);
    return (struct str){bytes, SCRIPT_PICTURE};
}

static void with_picture(struct request *r, struct inference *inf, unsigned number) {
    char bytes[SCRIPT_PICTURE];
    struct str picture = script_picture(number, bytes);
    uint8_t *hash = arena_alloc(&r->arena, BLOB_HASH);
    crypto_generichash(hash, BLOB_HASH, (const unsigned char *)picture.p, picture.n, NULL, 0);
    inf->picture = hash;
}

static struct inference *add_inference(struct request *r, unsigned number, struct str id, size_t padding) {
    struct item *item = &r->items[r->count++];
    struct detection *d = arena_alloc(&r->arena, 2 * sizeof *d);
    char *pad = arena_alloc(&r->arena, padding + 1);
    for (size_t i = 0; i < padding; i++) pad[i] = (char)('a' + (i * 7 + number) % 26);
    d[0] = (struct detection){
        .class_name = STR("dog"), .class_id = 1, .confidence = 0.5 + number / 1000.0, .has_box = true, .x = 1, .y = 2};
    d[1] = (struct detection){.class_name = STR("cat"), .class_id = -1, .confidence = 0.25};
    item->inf = (struct inference){.id = id,
                                   .model_id = STR("coco/24"),
                                   .time_us = TIME_UNKNOWN,
                                   .latency_s = 0.01,
                                   .device_id = STR("cam"),
                                   .source_info = text_of(r, "r%u", number),
                                   .server_version = {pad, padding},
                                   .detections = d,
                                   .detection_count = number % 3};
    return &item->inf;
}

static void add_attach(struct request *r, unsigned number, const char *field, struct value v, const struct str *ids,
                       size_t count) {
    struct item *item = &r->items[r->count++];
    *item = (struct item){.is_attach = true};
    item->attach = (struct attach){.key_id = number + 1,
                                   .field = str_of(field),
                                   .value = v,
                                   .id_count = count,
                                   .ids = arena_copy(&r->arena, ids, count * sizeof *ids)};
}

static struct value text_value(struct str text) { return (struct value){.type = VALUE_STRING, .text = text}; }

/* A chain that does not fit into what is left of a journal file, most of the time. */
static void long_chain(struct request *r, unsigned n) {
    struct str ids[16];
    for (unsigned i = 0; i < 16; i++) {
        ids[i] = text_of(r, "many%u", n * 100 + i);
        add_inference(r, n, ids[i], 3400);
    }
    add_attach(r, n, "line", text_value(text_of(r, "L%u", n)), ids, 16);
}

static void repeated(struct request *r, unsigned n) {
    unsigned base = n / 10 * 10;
    struct str id = text_of(r, "i%u", base);
    with_picture(r, add_inference(r, base, id, 1200), base); /* the same again */
    add_inference(r, n, id, 10);                             /* a conflict */
    add_inference(r, n, id, 30)->assign_index = true;
    struct inference *partial = add_inference(r, n, id, 20);
    partial->partial = true;
    partial->index = 5;
    add_inference(r, n, id, 40)->index = 5;
}

void script_build(unsigned n, struct request *r) {
    unsigned base = n / 10 * 10;
    struct str first = text_of(r, "i%u", base), late = text_of(r, "late%u", base), some[30];
    *r = (struct request){.workspace = n % 10 == 2 || n % 10 == 6 ? SCRIPT_WORKSPACE_B : SCRIPT_WORKSPACE_A,
                          .arena = r->arena};
    switch (n % 10) {
    case 0: with_picture(r, add_inference(r, n, first, 1200), n); return;
    case 1: add_attach(r, n, "line", text_value(text_of(r, "L%u", n)), &first, 1); return;
    case 2: add_inference(r, n, text_of(r, "b%u", n), 300)->error = STR("no picture"); return;
    case 3: add_attach(r, n, "verdict", (struct value){.type = VALUE_BOOL, .truth = true}, &late, 1); return;
    case 4:
        add_inference(r, n, late, 900);
        add_attach(r, n, "shift", (struct value){.type = VALUE_NUMBER, .number = n}, &late, 1);
        return;
    case 5: add_attach(r, n, "line", (struct value){.type = VALUE_NUMBER, .number = base}, &first, 1); return;
    case 6: long_chain(r, n); return;
    case 7:
        add_attach(r, n, "line", (struct value){.type = VALUE_NUMBER, .number = base}, &first, 1); /* unchanged */
        add_attach(r, n, "verdict", (struct value){.type = VALUE_NONE}, &late, 1);
        return;
    case 8: repeated(r, n); return;
    default:
        for (unsigned i = 0; i < 30; i++) some[i] = text_of(r, i % 2 ? "many%u" : "unseen%u", i);
        some[0] = first;
        add_attach(r, n, "shift", text_value(text_of(r, "S%u", n % 4)), some, 30);
        for (unsigned i = 0; i < 8; i++) add_inference(r, n, text_of(r, "more%u", n * 10 + i), 3000);
    }
}

/* ---- the model ---- */

struct model_row {
    uint32_t workspace, index;
    unsigned flags;
    struct inference inf;
    struct str payload;
};

struct model_write {
    uint32_t workspace;
    struct str id, field;
    struct value value;
    uint32_t key;
};

struct model {
    struct model_row rows[2048];
    unsigned row_count;
    struct model_write writes[2048];
    unsigned write_count;
    struct request requests[SCRIPT_ALL]; /* own the texts */
};

static void model_inference(struct model *m, uint32_t workspace, const struct inference *inf, struct arena *arena) {
    struct buf payload = {0};
    inference_encode(&payload, inf);
    struct model_row row = {.workspace = workspace,
                            .index = inf->index,
                            .inf = *inf,
                            .payload = {arena_copy(arena, payload.p, payload.n), payload.n},
                            .flags = (inf->error.n ? ROW_ERROR : 0u) | (inf->partial ? ROW_PARTIAL : 0u) |
                                     (inf->picture ? ROW_PICTURE : 0u)};
    buf_free(&payload);
    for (unsigned i = 0; i < m->row_count; i++) {
        const struct model_row *other = &m->rows[i];
        if (other->workspace != workspace || !str_eq(other->inf.id, inf->id) ||
            !str_eq(other->inf.model_id, inf->model_id))
            continue;
        if (other->index != row.index || other->inf.partial != inf->partial) continue;
        if (!inf->assign_index) return;
        row.index++;
        i = UINT32_MAX; /* from the start */
    }
    for (unsigned i = 0; i < m->row_count; i++) {
        struct model_row *other = &m->rows[i];
        if (other->workspace != workspace || !str_eq(other->inf.id, inf->id) ||
            !str_eq(other->inf.model_id, inf->model_id))
            continue;
        if (other->index != row.index) continue;
        if (inf->partial && !other->inf.partial) row.flags |= ROW_HIDDEN;
        if (!inf->partial && other->inf.partial) other->flags |= ROW_HIDDEN;
    }
    CHECK(m->row_count < 2048);
    m->rows[m->row_count++] = row;
}

static const struct model_write *model_newest(const struct model *m, uint32_t workspace, struct str id,
                                              struct str field) {
    for (unsigned i = m->write_count; i-- > 0;) {
        const struct model_write *w = &m->writes[i];
        if (w->workspace == workspace && str_eq(w->id, id) && str_eq(w->field, field)) return w;
    }
    return NULL;
}

static void model_attach(struct model *m, uint32_t workspace, const struct attach *a) {
    static const struct value none = {.type = VALUE_NONE};
    for (size_t i = 0; i < a->id_count; i++) {
        const struct model_write *newest = model_newest(m, workspace, a->ids[i], a->field);
        if (value_eq(newest ? &newest->value : &none, &a->value)) continue;
        CHECK(m->write_count < 2048);
        m->writes[m->write_count++] = (struct model_write){
            .workspace = workspace, .id = a->ids[i], .field = a->field, .value = a->value, .key = a->key_id};
    }
}

static void print_id(const struct model *m, uint32_t workspace, struct str id, struct buf *out, unsigned *pending) {
    bool any = false;
    buf_printf(out, "id " STR_FMT "\n", STR_ARG(id));
    for (unsigned i = 0; i < m->row_count; i++) {
        const struct model_row *r = &m->rows[i];
        if (r->workspace != workspace || !str_eq(r->inf.id, id)) continue;
        any = true;
        buf_printf(out, "  row \"" STR_FMT "\" %" PRIu32 " flags=%u device=" STR_FMT " info=" STR_FMT,
                   STR_ARG(r->inf.model_id), r->index, r->flags, STR_ARG(r->inf.device_id),
                   STR_ARG(r->inf.source_info));
        for (size_t k = 0; k < r->inf.detection_count; k++)
            buf_printf(out, " " STR_FMT ":%g", STR_ARG(r->inf.detections[k].class_name),
                       r->inf.detections[k].confidence);
        buf_printf(out, " crc=%08" PRIx32 "\n", crc32c(0, r->payload.p, r->payload.n));
    }
    *pending += !any;
    for (unsigned f = 0; f < m->write_count; f++) { /* fields in the order of their first use */
        const struct str field = m->writes[f].field;
        bool first = m->writes[f].workspace == workspace, begun = false;
        for (unsigned i = 0; i < f; i++)
            first &= m->writes[i].workspace != workspace || !str_eq(m->writes[i].field, field);
        for (unsigned i = m->write_count; first && i-- > 0;) {
            const struct model_write *w = &m->writes[i];
            if (w->workspace != workspace || !str_eq(w->id, id) || !str_eq(w->field, field)) continue;
            if (begun) buf_addz(out, ", ");
            if (!begun) buf_printf(out, "  field " STR_FMT ": ", STR_ARG(field));
            dump_value(out, &w->value);
            buf_printf(out, " by %" PRIu32, w->key);
            begun = true;
        }
        if (begun) buf_addc(out, '\n');
    }
}

static int by_bytes(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

static void print_workspace(const struct model *m, uint32_t workspace, struct buf *out) {
    struct str *ids = mem_alloc((m->row_count + m->write_count + 1) * sizeof *ids);
    unsigned count = 0, rows = 0, different = 0, pending = 0;
    for (unsigned i = 0; i < m->row_count; i++)
        if (m->rows[i].workspace == workspace) ids[count++] = m->rows[i].inf.id, rows++;
    for (unsigned i = 0; i < m->write_count; i++)
        if (m->writes[i].workspace == workspace) ids[count++] = m->writes[i].id;
    qsort(ids, count, sizeof *ids, by_bytes);
    for (unsigned i = 0; i < count; i++) {
        if (i && str_eq(ids[i], ids[i - 1])) continue;
        different++;
        print_id(m, workspace, ids[i], out, &pending);
    }
    if (count) buf_printf(out, "rows %u ids %u pending %u\n", rows, different, pending);
    free(ids);
}

void script_expect(const unsigned *numbers, unsigned count, struct buf *out) {
    struct model *m = mem_zero(1, sizeof *m);
    CHECK(count <= SCRIPT_ALL);
    for (unsigned n = 0; n < count; n++) {
        struct request *r = &m->requests[n];
        script_build(numbers[n], r);
        for (unsigned i = 0; i < r->count; i++) {
            if (r->items[i].is_attach)
                model_attach(m, r->workspace, &r->items[i].attach);
            else
                model_inference(m, r->workspace, &r->items[i].inf, &r->arena);
        }
    }
    print_workspace(m, SCRIPT_WORKSPACE_A, out);
    print_workspace(m, SCRIPT_WORKSPACE_B, out);
    for (unsigned n = 0; n < count; n++) arena_free(&m->requests[n].arena);
    free(m);
}
