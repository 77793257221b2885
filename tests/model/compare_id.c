/* What is asked of one id, what waits, and where rows stand. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "compare.h"
#include "query/lookup.h"
#include "tested.h"

/* ---- one id ---- */

static bool is_of(const struct model_row *r, struct str id) { return !r->gone && str_eq(r->inf.id, id); }

/* The first to arrive of those allowed, complete ones before partial ones; NULL. */
static const struct model_row *choose(const struct model *m, struct str id, const struct model_row *which) {
    for (int partial = 0; partial < 2; partial++)
        for (size_t i = 0; i < m->row_count; i++) {
            const struct model_row *r = &m->rows[i];
            if (!is_of(r, id) || r->flags & ROW_HIDDEN || r->inf.partial != partial) continue;
            if (!which || (r->index == which->index && str_eq(r->inf.model_id, which->inf.model_id))) return r;
        }
    return NULL;
}

static void print_change(struct buf *out, struct str field, const struct value *v, const struct value *previous,
                         int64_t time_us, uint32_t key_id) {
    buf_printf(out, "change %.*s: ", STR_ARG(field));
    print_value(out, v);
    buf_addz(out, " was ");
    print_value(out, previous);
    buf_printf(out, " at %" PRId64 " by %" PRIu32 "\n", time_us, key_id);
}

static int by_bytes(const void *x, const void *y) { return str_cmp(*(const struct str *)x, *(const struct str *)y); }

static void print_lines(struct buf *out, struct str *lines, size_t count) {
    if (count) qsort(lines, count, sizeof *lines, by_bytes);
    for (size_t i = 0; i < count; i++) buf_add_str(out, lines[i]);
}

static void print_metadata_line(struct buf *out, struct entry *entries, size_t count, struct arena *a) {
    struct str *lines = arena_alloc(a, (count + 1) * sizeof *lines);
    for (size_t i = 0; i < count; i++) {
        struct buf line = {0};
        buf_printf(&line, "metadata %.*s ", STR_ARG(entries[i].name));
        print_value(&line, &entries[i].value);
        buf_addc(&line, '\n');
        lines[i] = (struct str){arena_copy(a, line.p, line.n), line.n};
        buf_free(&line);
    }
    print_lines(out, lines, count);
}

static void print_row_key(struct buf *out, const char *what, struct str model_id, uint32_t index) {
    buf_printf(out, "%s %.*s %" PRIu32 "\n", what, STR_ARG(model_id), index);
}

static void print_one(struct buf *out, struct one *one, struct arena *a) {
    buf_printf(out, "known=%d pending=%d found=%d\n", one->known, one->pending, one->found);
    if (one->found) print_row_key(out, "row", one->hit.inf.model_id, one->hit.inf.index);
    if (one->found)
        buf_printf(out, "received=%" PRId64 " flags=%u detections=%zu\n", one->hit.received_us, one->hit.flags,
                   one->hit.inf.detection_count);
    for (size_t i = 0; i < one->history_count; i++)
        print_change(out, one->history[i].change.field, &one->history[i].change.value, &one->history[i].previous,
                     one->history[i].change.time_us, one->history[i].change.key_id);
    print_metadata_line(out, one->metadata, one->metadata_count, a);
    if (one->found) print_metadata_line(out, one->hit.metadata, one->hit.metadata_count, a);
    struct str *lines = arena_alloc(a, (one->sibling_count + 1) * sizeof *lines);
    for (size_t i = 0; i < one->sibling_count; i++) {
        char *line =
            arena_printf(a, "sibling %.*s %" PRIu32 "\n", STR_ARG(one->siblings[i].model_id), one->siblings[i].index);
        lines[i] = str_of(line);
    }
    print_lines(out, lines, one->sibling_count);
}

static void print_expected(struct buf *out, const struct model *m, struct str id, const struct model_row *which,
                           int64_t now_us, struct arena *a) {
    bool rows = model_has_rows(m, id), waits = model_waits(m, id, now_us);
    const struct model_row *chosen = choose(m, id, which);
    buf_printf(out, "known=%d pending=%d found=%d\n", rows || waits, waits, chosen != NULL);
    if (!rows && !waits) return;
    if (chosen) print_row_key(out, "row", chosen->inf.model_id, chosen->index);
    if (chosen)
        buf_printf(out, "received=%" PRId64 " flags=%u detections=%zu\n", chosen->received_us, chosen->flags,
                   chosen->inf.detection_count);
    for (size_t i = m->write_count; i-- > 0;) {
        const struct model_write *w = &m->writes[i];
        if (!w->gone && str_eq(w->id, id)) print_change(out, w->field, &w->value, &w->previous, w->time_us, w->key_id);
    }
    struct entry *entries = arena_alloc(a, (m->field_count + 1) * sizeof *entries);
    size_t count = 0;
    for (size_t i = 0; i < m->field_count; i++) {
        entries[count] = (struct entry){m->fields[i], model_value(m, id, m->fields[i])};
        count += entries[count].value.type != VALUE_NONE;
    }
    print_metadata_line(out, entries, count, a);
    if (chosen) print_metadata_line(out, entries, count, a);
    struct str *lines = arena_alloc(a, (m->row_count + 1) * sizeof *lines);
    count = 0;
    for (size_t i = 0; chosen && i < m->row_count; i++) {
        const struct model_row *r = &m->rows[i];
        if (!is_of(r, id) || r == chosen || r->flags & ROW_HIDDEN) continue;
        char *line = arena_printf(a, "sibling %.*s %" PRIu32 "\n", STR_ARG(r->inf.model_id), r->index);
        lines[count++] = str_of(line);
    }
    print_lines(out, lines, count);
}

bool compare_one(const struct view *v, const struct model *m, struct str id, const struct model_row *which,
                 int64_t now_us, struct buf *why) {
    struct arena arena = {0};
    struct err e = {0};
    struct one one;
    struct which w = {0};
    struct buf got = {0}, want = {0};
    if (which) w = (struct which){true, true, which->index, which->inf.model_id};
    bool same = query_one(v, id, &w, now_us, &arena, &one, &e);
    if (!same) buf_printf(why, "query_one failed: %s", e.msg);
    if (same && one.gap_count) {
        same = false;
        buf_printf(why, "%zu gaps, the first is segment %" PRIu64, one.gap_count, one.gaps[0].segment);
    }
    if (same) {
        print_one(&got, &one, &arena);
        print_expected(&want, m, id, which, now_us, &arena);
        same = compare_text(&got, &want, why);
        if (!same) buf_printf(why, "\n  of id \"%.*s\"", STR_ARG(id));
    }
    buf_free(&got);
    buf_free(&want);
    arena_free(&arena);
    return same;
}

bool compare_waiting(const struct view *v, const struct model *m, int64_t now_us, struct buf *why) {
    struct waiting got;
    uint64_t ids = 0;
    int64_t oldest_us = 0;
    for (size_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        bool first = !w->gone && model_waits(m, w->id, now_us);
        for (size_t k = 0; first && k < i; k++) first = m->writes[k].gone || !str_eq(m->writes[k].id, w->id);
        if (!first) continue;
        ids++;
        if (oldest_us == 0 || w->time_us < oldest_us) oldest_us = w->time_us;
    }
    query_waiting(v, now_us, &got);
    if (got.ids == ids && got.oldest_us == oldest_us) return true;
    buf_printf(why, "waiting: expected %" PRIu64 " ids since %" PRId64 ", got %" PRIu64 " since %" PRId64, ids,
               oldest_us, got.ids, got.oldest_us);
    return false;
}

/* ---- parts ---- */

struct rows_seen {
    const struct model *m;
    uint64_t *seqs; /* by place in the model's rows; 0: not met */
    size_t count;
    struct buf *why;
};

static void see_row(void *ctx, const struct location *p, const struct placed_row *r) {
    struct rows_seen *s = ctx;
    const struct model *m = s->m;
    s->count++;
    for (size_t i = 0; i < m->row_count; i++) {
        const struct model_row *row = &m->rows[i];
        if (!is_of(row, r->inf.id) || row->index != r->inf.index || !str_eq(row->inf.model_id, r->inf.model_id) ||
            row->inf.partial != !!(r->flags & ROW_PARTIAL))
            continue;
        if (s->seqs[i]) buf_printf(s->why, "%.*s stands in two places;", STR_ARG(r->inf.id));
        if (row->flags != r->flags)
            buf_printf(s->why, "%.*s %.*s %" PRIu32 ": expected flags %u, got %u (part %d, number %" PRIu64 ");",
                       STR_ARG(r->inf.id), STR_ARG(r->inf.model_id), r->inf.index, row->flags, r->flags, p->kind,
                       p->number);
        s->seqs[i] = r->seq;
        return;
    }
    buf_printf(
        s->why, "a row that was never acknowledged: %.*s %.*s %" PRIu32 " partial=%d (part %d, number %" PRIu64 ");",
        STR_ARG(r->inf.id), STR_ARG(r->inf.model_id), r->inf.index, !!(r->flags & ROW_PARTIAL), p->kind, p->number);
}

bool compare_parts(const struct view *v, const struct model *m, struct buf *why) {
    struct rows_seen s = {.m = m, .why = why, .seqs = mem_zero(m->row_count + 1, sizeof *s.seqs)};
    struct err e = {0};
    size_t before = why->n;
    uint64_t last = 0;
    tested_rows(v, see_row, &s);
    for (size_t i = 0; i < m->row_count && why->n == before; i++) {
        if (!s.seqs[i])
            buf_printf(why, "row %.*s %.*s %" PRIu32 " is in no part", STR_ARG(m->rows[i].inf.id),
                       STR_ARG(m->rows[i].inf.model_id), m->rows[i].index);
        else if (s.seqs[i] <= last)
            buf_printf(why, "row %.*s came later than another, but its seq is not greater", STR_ARG(m->rows[i].inf.id));
        last = s.seqs[i];
    }
    if (why->n == before && !tested_verify(v, &e)) buf_printf(why, "segment_verify: %s", e.msg);
    free(s.seqs);
    return why->n == before;
}

/* ---- all of it ---- */

static bool compare_ids(const struct view *v, const struct model *m, int64_t now_us, struct buf *why) {
    bool same = true;
    for (size_t i = 0; same && i < m->row_count; i++) {
        bool first = true;
        for (size_t k = 0; first && k < i; k++) first = !str_eq(m->rows[k].inf.id, m->rows[i].inf.id);
        if (first) same = compare_one(v, m, m->rows[i].inf.id, NULL, now_us, why);
    }
    for (size_t i = 0; same && i < m->write_count; i++) {
        bool first = !model_has_rows(m, m->writes[i].id);
        for (size_t k = 0; first && k < i; k++) first = !str_eq(m->writes[k].id, m->writes[i].id);
        if (first) same = compare_one(v, m, m->writes[i].id, NULL, now_us, why);
    }
    return same;
}

bool compare_all(const struct view *v, const struct model *m, int64_t now_us, struct buf *why) {
    struct question q = {.text = STR("(everything)"),
                         .partial = true,
                         .from_us = PLAN_FIRST_US,
                         .to_us = PLAN_LAST_US,
                         .limit = (uint32_t)m->row_count + 1};
    return compare_parts(v, m, why) && compare_page(v, m, &q, why) && compare_count(v, m, &q, why) &&
           compare_facets(v, m, &q, why) && compare_ids(v, m, now_us, why) && compare_waiting(v, m, now_us, why);
}
