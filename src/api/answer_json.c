#include "api/answer_json.h"

#include "api/inference_json.h"
#include "record/bins.h"

/* ---- a list ---- */

static void put_list(struct buf *to, const struct read *rd, const struct answer *a) {
    struct buf cursor = {0};
    put_key(to, "inferences"), put_array(to);
    for (size_t i = 0; i < a->hit_count; i++) {
        put_object(to);
        put_inference(to, str_of(rd->who.slug), &a->hits[i]);
        put_object_end(to);
    }
    put_array_end(to);
    if (a->next.set) cursor_write(&cursor, &a->next);
    put_text_or_null(to, "next_cursor", buf_str(&cursor));
    buf_free(&cursor);
}

/* ---- groups ---- */

static void put_group_key(struct buf *to, const struct key *k, const struct key_value *v) {
    if (v->kind == KEY_NONE) {
        put_null(to);
    } else if (v->kind == KEY_OTHER) {
        put_object(to), put_key(to, "other"), put_bool(to, true), put_object_end(to);
    } else if (k->subject.of == OF_TIME) {
        put_time(to, v->time_us);
    } else {
        put_value(to, &v->value);
    }
}

static void put_histogram(struct buf *to, const struct measure *m, const struct cell *c) {
    bool confidence = m->of.of == OF_CONFIDENCE;
    uint16_t count = confidence ? CONFIDENCE_BINS : LATENCY_BINS;
    put_array(to);
    for (uint16_t i = 0; c->bins && i < count; i++) {
        if (c->bins[i] == 0) continue;
        put_array(to);
        put_double(to, confidence ? confidence_of_bin(i) : latency_of_bin(i)), put_int(to, (int64_t)c->bins[i]);
        put_array_end(to);
    }
    put_array_end(to);
}

static void put_cell(struct buf *to, const struct measure *m, const struct cell *c) {
    if (!c->known) {
        put_null(to);
        return;
    }
    switch (m->kind) {
    case MEASURE_INFERENCES:
    case MEASURE_ERRORS:
    case MEASURE_EMPTY:
    case MEASURE_DETECTIONS:
    case MEASURE_DISTINCT: put_int(to, (int64_t)c->count); break;
    case MEASURE_SUM:
    case MEASURE_AVG:
    case MEASURE_QUANTILE: put_double(to, c->number); break;
    case MEASURE_MIN:
    case MEASURE_MAX:
        if (m->of.of == OF_TIME)
            put_time(to, c->time_us);
        else
            put_double(to, c->number);
        break;
    case MEASURE_HISTOGRAM: put_histogram(to, m, c); break;
    case MEASURE_NEWEST: put_str(to, c->text); break;
    }
}

static void put_cells(struct buf *to, const struct grouping *g, const struct cell *cells) {
    for (size_t i = 0; i < g->measure_count; i++) put_cell(to, &g->measures[i], &cells[i]);
}

static void put_columns(struct buf *to, const struct grouping *g) {
    struct buf name = {0};
    put_key(to, "columns"), put_array(to);
    for (size_t i = 0; i < g->key_count; i++, name.n = 0)
        subject_write(&name, &g->keys[i].subject), put_str(to, buf_str(&name));
    for (size_t i = 0; i < g->measure_count; i++, name.n = 0)
        measure_write(&name, &g->measures[i]), put_str(to, buf_str(&name));
    put_array_end(to);
    buf_free(&name);
}

static void put_groups(struct buf *to, const struct plan *p, const struct grouping *g, const struct answer *a,
                       const struct group_list *list) {
    struct buf cursor = {0};
    put_object(to);
    put_columns(to, g);
    put_key(to, "rows"), put_array(to);
    for (size_t i = 0; i < list->count; i++) {
        put_array(to);
        for (size_t k = 0; k < g->key_count; k++) put_group_key(to, &g->keys[k], &list->groups[i].keys[k]);
        put_cells(to, g, list->groups[i].cells);
        put_array_end(to);
    }
    put_array_end(to);
    put_key(to, "groups"), put_int(to, (int64_t)list->all);
    if (g->totals) {
        put_key(to, "totals"), put_array(to);
        put_cells(to, g, list->totals);
        put_array_end(to);
    }
    if (p->grouping_count == 1 && g->skip + list->count < list->all)
        group_cursor_write(&cursor, g->skip + (uint32_t)list->count, a->as_of);
    put_text_or_null(to, "next_cursor", buf_str(&cursor));
    put_object_end(to);
    buf_free(&cursor);
}

/* ---- facets ---- */

void put_facet(struct buf *to, const char *name_key, struct str name, const struct facet *f) {
    put_key(to, name_key), put_str(to, name);
    if (f->of.of == OF_METADATA) {
        put_key(to, "types"), put_object(to);
        put_key(to, "string"), put_int(to, (int64_t)f->strings);
        put_key(to, "number"), put_int(to, (int64_t)f->numbers);
        put_key(to, "boolean"), put_int(to, (int64_t)f->booleans);
        put_object_end(to);
    }
    put_key(to, "inferences"), put_int(to, (int64_t)f->inferences);
    put_key(to, "values"), put_int(to, (int64_t)f->values);
    put_key(to, "estimated"), put_bool(to, f->estimated);
    put_key(to, "top"), put_array(to);
    for (size_t i = 0; i < f->top_count; i++) {
        put_object(to);
        put_key(to, "value"), put_value(to, &f->top[i].value);
        put_key(to, "count"), put_int(to, (int64_t)f->top[i].count);
        put_object_end(to);
    }
    put_array_end(to);
}

static void put_facets(struct buf *to, const struct answer *a) {
    struct buf name = {0};
    put_key(to, "facets"), put_array(to);
    for (size_t i = 0; i < a->facet_count; i++, name.n = 0) {
        subject_write(&name, &a->facets[i].of);
        put_object(to);
        put_facet(to, "of", buf_str(&name), &a->facets[i]);
        put_object_end(to);
    }
    put_array_end(to);
    buf_free(&name);
}

/* ---- any ---- */

bool show_answer(struct read *rd, const struct view *v, struct err *e) {
    struct buf *to = &rd->request->out;
    const struct plan *p = &rd->plan;
    struct answer a;
    if (!read_ask(rd, v, p, &a, e)) return false;
    put_object(to);
    switch (p->kind) {
    case PLAN_LIST: put_list(to, rd, &a); break;
    case PLAN_COUNT: put_key(to, "count"), put_int(to, (int64_t)a.count); break;
    case PLAN_GROUPS:
        put_key(to, "answers"), put_array(to);
        for (size_t i = 0; i < p->grouping_count; i++) put_groups(to, p, &p->groupings[i], &a, &a.lists[i]);
        put_array_end(to);
        break;
    case PLAN_FACETS: put_facets(to, &a); break;
    }
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_incomplete(to, a.gaps, a.gap_count);
    put_object_end(to);
    return true;
}
