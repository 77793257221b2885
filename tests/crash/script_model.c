/* The naive model of script.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "script.h"
#include "store_dump.h"

enum { MOST = 2048 };

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
    struct model_row rows[MOST]; /* in order of arrival */
    unsigned row_count;
    struct model_write writes[MOST];
    unsigned write_count;
    struct request requests[SCRIPT_ALL]; /* own the texts */
};

static bool same_name(const struct model_row *r, uint32_t workspace, const struct inference *inf, uint32_t index) {
    return r->workspace == workspace && str_eq(r->inf.id, inf->id) && str_eq(r->inf.model_id, inf->model_id) &&
           r->index == index;
}

static void model_inference(struct model *m, uint32_t workspace, const struct inference *inf, struct arena *arena) {
    struct buf payload = {0};
    inference_encode(&payload, inf);
    struct model_row row = {.workspace = workspace,
                            .index = inf->index,
                            .inf = *inf,
                            .payload = {arena_copy(arena, payload.p, payload.n), payload.n},
                            .flags = (inf->error.n ? ROW_ERROR : 0u) | (inf->partial ? ROW_PARTIAL : 0u) |
                                     (inf->picture ? ROW_PICTURE : 0u) | (inf->assign_index ? ROW_INDEX_ASSIGNED : 0u) |
                                     (inf->time_us > SCRIPT_NOW_US + 24 * HOUR_US ? ROW_CLOCK_SUSPECT : 0u)};
    buf_free(&payload);
    for (unsigned i = 0; i < m->row_count; i++) {
        if (!same_name(&m->rows[i], workspace, inf, row.index) || m->rows[i].inf.partial != inf->partial) continue;
        if (!inf->assign_index) return;
        row.index++;
        i = UINT32_MAX; /* from the start */
    }
    for (unsigned i = 0; i < m->row_count; i++) {
        struct model_row *other = &m->rows[i];
        if (!same_name(other, workspace, inf, row.index)) continue;
        if (inf->partial && !other->inf.partial) row.flags |= ROW_HIDDEN;
        if (!inf->partial && other->inf.partial) other->flags |= ROW_HIDDEN;
    }
    CHECK(m->row_count < MOST);
    m->rows[m->row_count++] = row;
}

static void model_attach(struct model *m, uint32_t workspace, const struct attach *a) {
    static const struct value none = {.type = VALUE_NONE};
    for (size_t i = 0; i < a->id_count; i++) {
        const struct value *now = &none;
        for (unsigned n = 0; n < m->write_count; n++) {
            const struct model_write *w = &m->writes[n];
            if (w->workspace == workspace && str_eq(w->id, a->ids[i]) && str_eq(w->field, a->field)) now = &w->value;
        }
        if (value_eq(now, &a->value)) continue;
        CHECK(m->write_count < MOST);
        m->writes[m->write_count++] = (struct model_write){
            .workspace = workspace, .id = a->ids[i], .field = a->field, .value = a->value, .key = a->key_id};
    }
}

static bool has_row(const struct model *m, uint32_t workspace, struct str id) {
    for (unsigned i = 0; i < m->row_count; i++)
        if (m->rows[i].workspace == workspace && str_eq(m->rows[i].inf.id, id)) return true;
    return false;
}

static void forget_writes(struct model *m, uint32_t workspace, const struct str *id) {
    unsigned kept = 0;
    for (unsigned i = 0; i < m->write_count; i++)
        if (m->writes[i].workspace != workspace || (id && !str_eq(m->writes[i].id, *id)))
            m->writes[kept++] = m->writes[i];
    m->write_count = kept;
}

/* Rows from before go; with the last row of an id goes what was attached to it. In this script all rows from before
 * are in segments by then, none of which has later ones. */
static void model_drop(struct model *m, uint32_t workspace, int64_t before_us) {
    struct str gone[MOST];
    unsigned gone_count = 0, kept = 0;
    for (unsigned i = 0; i < m->row_count; i++) {
        if (m->rows[i].workspace == workspace && m->rows[i].inf.time_us < before_us)
            gone[gone_count++] = m->rows[i].inf.id;
        else
            m->rows[kept++] = m->rows[i];
    }
    m->row_count = kept;
    for (unsigned i = 0; i < gone_count; i++)
        if (!has_row(m, workspace, gone[i])) forget_writes(m, workspace, &gone[i]);
}

static void model_erase(struct model *m, unsigned which) {
    struct str ids[SCRIPT_ERASED_MOST];
    for (unsigned k = 0, count = script_erased(which, ids); k < count; k++) {
        unsigned kept = 0;
        for (unsigned i = 0; i < m->row_count; i++)
            if (m->rows[i].workspace != SCRIPT_WORKSPACE_A || !str_eq(m->rows[i].inf.id, ids[k]))
                m->rows[kept++] = m->rows[i];
        m->row_count = kept;
        forget_writes(m, SCRIPT_WORKSPACE_A, &ids[k]);
    }
}

static void model_request(struct model *m, unsigned number) {
    struct request *r = &m->requests[number];
    script_build(number, r);
    for (unsigned i = 0; i < r->count; i++) {
        if (r->items[i].is_attach)
            model_attach(m, r->workspace, &r->items[i].attach);
        else
            model_inference(m, r->workspace, &r->items[i].inf, &r->arena);
    }
}

/* ---- as text, in the words of store_dump ---- */

static int by_name(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

/* Sorts, and takes out what is there twice. */
static unsigned sort_names(struct str *names, unsigned count) {
    unsigned kept = 0;
    if (count) qsort(names, count, sizeof *names, by_name);
    for (unsigned i = 0; i < count; i++)
        if (i == 0 || !str_eq(names[i], names[i - 1])) names[kept++] = names[i];
    return kept;
}

static void print_field(const struct model *m, uint32_t workspace, struct str id, struct str field, struct buf *out) {
    const char *between = "";
    buf_printf(out, "  field " STR_FMT ": ", STR_ARG(field));
    for (unsigned i = m->write_count; i-- > 0;) {
        const struct model_write *w = &m->writes[i];
        if (w->workspace != workspace || !str_eq(w->id, id) || !str_eq(w->field, field)) continue;
        buf_addz(out, between);
        dump_value(out, &w->value);
        buf_printf(out, " by %" PRIu32, w->key);
        between = ", ";
    }
    buf_addc(out, '\n');
}

static void print_id(const struct model *m, uint32_t workspace, struct str id, struct buf *out) {
    struct str fields[MOST];
    unsigned count = 0;
    buf_printf(out, "id " STR_FMT "\n", STR_ARG(id));
    for (unsigned i = 0; i < m->row_count; i++) {
        const struct model_row *r = &m->rows[i];
        if (r->workspace != workspace || !str_eq(r->inf.id, id)) continue;
        buf_printf(out, "  row \"" STR_FMT "\" %" PRIu32 " flags=%u device=" STR_FMT " info=" STR_FMT,
                   STR_ARG(r->inf.model_id), r->index, r->flags, STR_ARG(r->inf.device_id),
                   STR_ARG(r->inf.source_info));
        for (size_t k = 0; k < r->inf.detection_count; k++)
            buf_printf(out, " " STR_FMT ":%g", STR_ARG(r->inf.detections[k].class_name),
                       r->inf.detections[k].confidence);
        buf_printf(out, " content=%016" PRIx64 "\n", content_hash(r->payload));
    }
    for (unsigned i = 0; i < m->write_count; i++)
        if (m->writes[i].workspace == workspace && str_eq(m->writes[i].id, id)) fields[count++] = m->writes[i].field;
    count = sort_names(fields, count);
    for (unsigned i = 0; i < count; i++) print_field(m, workspace, id, fields[i], out);
}

static void print_workspace(const struct model *m, uint32_t workspace, struct buf *out) {
    struct str ids[2 * MOST];
    unsigned count = 0, rows = 0, pending = 0;
    for (unsigned i = 0; i < m->row_count; i++)
        if (m->rows[i].workspace == workspace) ids[count++] = m->rows[i].inf.id, rows++;
    for (unsigned i = 0; i < m->write_count; i++)
        if (m->writes[i].workspace == workspace) ids[count++] = m->writes[i].id;
    count = sort_names(ids, count);
    for (unsigned i = 0; i < count; i++) {
        pending += !has_row(m, workspace, ids[i]);
        print_id(m, workspace, ids[i], out);
    }
    if (count) buf_printf(out, "rows %u ids %u pending %u\n", rows, count, pending);
}

void script_expect(const unsigned *events, unsigned count, struct buf *out) {
    static const uint32_t workspaces[] = {SCRIPT_WORKSPACE_A, SCRIPT_WORKSPACE_B, SCRIPT_WORKSPACE_C};
    struct model *m = mem_zero(1, sizeof *m);
    for (unsigned n = 0; n < count; n++) {
        if (events[n] == SCRIPT_RETAIN)
            model_drop(m, SCRIPT_WORKSPACE_A, SCRIPT_CUT_US);
        else if (events[n] >= SCRIPT_ERASE && events[n] < SCRIPT_DELETE)
            model_erase(m, events[n] - SCRIPT_ERASE);
        else if (events[n] == SCRIPT_DELETE)
            model_drop(m, SCRIPT_WORKSPACE_C, INT64_MAX), forget_writes(m, SCRIPT_WORKSPACE_C, NULL);
        else
            model_request(m, events[n]);
    }
    for (unsigned i = 0; i < 3; i++) print_workspace(m, workspaces[i], out);
    for (unsigned n = 0; n < SCRIPT_ALL; n++) arena_free(&m->requests[n].arena);
    free(m);
}
