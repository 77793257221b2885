#include "expect.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

static bool glob(struct str pattern, struct str s) {
    if (pattern.n == 0) return s.n == 0;
    if (pattern.p[0] != '*') return s.n && s.p[0] == pattern.p[0] && glob(str_from(pattern, 1), str_from(s, 1));
    for (size_t skipped = 0; skipped <= s.n; skipped++)
        if (glob(str_from(pattern, 1), str_from(s, skipped))) return true;
    return false;
}

static bool value_matches(const struct match *m, const struct value *v) {
    double number;
    bool text = v->type == VALUE_STRING, numeric = v->type == VALUE_NUMBER;
    switch (m->kind) {
    case MATCH_PRESENT: return v->type != VALUE_NONE;
    case MATCH_VALUE: return value_eq(v, &m->value);
    case MATCH_GLOB: return text && glob(m->text, v->text);
    case MATCH_RANGE:
        if (text) return filter_number(v->text, &number) && range_holds(m->range, number);
        return numeric && range_holds(m->range, v->number);
    case MATCH_TEXT:
        if (text) return str_eq(m->text, v->text);
        if (numeric) return range_holds(m->range, v->number);
        return v->type == VALUE_BOOL && str_is(m->text, v->truth ? "true" : "false");
    }
    WRONG("a match the checker does not know");
}

static bool any_value(const struct filter_test *t, struct value v) {
    for (size_t i = 0; i < t->match_count; i++)
        if (value_matches(&t->matches[i], &v)) return true;
    return false;
}

/* An empty text is none. */
static bool any_text(const struct filter_test *t, struct str s) {
    return s.n && any_value(t, (struct value){.type = VALUE_STRING, .text = s});
}

static bool any_number(const struct filter_test *t, double v) {
    return !isnan(v) && any_value(t, (struct value){.type = VALUE_NUMBER, .number = v});
}

static bool model_id_matches(const struct filter_test *t, struct str model) {
    if (any_text(t, model)) return true;
    size_t n = model.n;
    while (n > 0 && model.p[n - 1] != '/') n--;
    for (size_t i = 0; n && i < t->match_count; i++)
        if (t->matches[i].kind == MATCH_TEXT && str_eq(t->matches[i].text, (struct str){model.p, n - 1})) return true;
    return false;
}

static bool classes_match(const struct filter_test *t, const struct inference *inf) {
    unsigned count = 0;
    for (size_t i = 0; i < inf->detection_count; i++) {
        const struct detection *d = &inf->detections[i];
        count += any_text(t, d->class_name) && (!t->by_confidence || range_holds(t->confidence, d->confidence));
    }
    return range_holds(t->count, count);
}

static double top_confidence(const struct inference *inf) {
    double top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++) top = fmax(top, inf->detections[i].confidence);
    return top;
}

static bool test_holds(const struct model *m, const struct model_row *r, const struct filter_test *t) {
    const struct inference *inf = &r->inf;
    switch (t->field) {
    case FIELD_ID: return any_text(t, inf->id);
    case FIELD_MODEL: return model_id_matches(t, inf->model_id);
    case FIELD_DEVICE: return any_text(t, inf->device_id);
    case FIELD_SOURCE: return any_text(t, inf->source);
    case FIELD_SOURCE_INFO: return any_text(t, inf->source_info);
    case FIELD_SERVER: return any_text(t, inf->server_id);
    case FIELD_ERROR: return any_text(t, inf->error);
    case FIELD_CLASS: return classes_match(t, inf);
    case FIELD_CONFIDENCE: return any_number(t, top_confidence(inf));
    case FIELD_LATENCY: return any_number(t, inf->latency_s);
    case FIELD_DETECTIONS: return any_number(t, (double)inf->detection_count);
    case FIELD_INDEX: return any_number(t, r->index);
    case FIELD_TIME: return any_number(t, (double)r->time_us);
    case FIELD_PARTIAL: return any_number(t, inf->partial);
    case FIELD_PICTURE: return any_number(t, inf->picture != NULL);
    case FIELD_METADATA: return any_value(t, model_value(m, inf->id, t->name));
    case FIELD_ANY:
        if (any_text(t, inf->id)) return true;
        for (size_t i = 0; i < m->field_count; i++)
            if (any_value(t, model_value(m, inf->id, m->fields[i]))) return true;
        return false;
    }
    WRONG("a field the checker does not know");
}

bool expect_matches(const struct model *m, const struct model_row *r, const struct filter *f) {
    if (!f) return true;
    if (f->kind == FILTER_TEST) return test_holds(m, r, &f->test);
    if (f->kind == FILTER_NOT) return !expect_matches(m, r, f->first);
    for (const struct filter *child = f->first; child; child = child->next)
        if (expect_matches(m, r, child) != (f->kind == FILTER_AND)) return f->kind == FILTER_OR;
    return f->kind == FILTER_AND;
}

static int newest_first(const void *x, const void *y) {
    const struct model_row *a = *(const struct model_row *const *)x, *b = *(const struct model_row *const *)y;
    if (a->time_us != b->time_us) return a->time_us < b->time_us ? 1 : -1;
    return a->order < b->order ? 1 : -1;
}

size_t expect_rows(const struct model *m, const struct plan *p, const struct model_row ***rows) {
    size_t count = 0;
    *rows = mem_alloc((m->row_count + 1) * sizeof **rows);
    const struct cursor *after = &p->after;
    for (size_t i = 0; i < m->row_count; i++) {
        const struct model_row *r = &m->rows[i];
        if (r->gone || r->flags & ROW_HIDDEN || (!p->partial && r->inf.partial)) continue;
        if (r->time_us < p->from_us || r->time_us >= p->to_us) continue;
        if (p->as_of && r->order > p->as_of) continue;
        if (after->set && r->order > after->as_of) continue;
        if (after->set && r->time_us > after->time_us) continue;
        if (after->set && r->time_us == after->time_us && r->order >= after->seq) continue;
        if (expect_matches(m, r, p->filter)) (*rows)[count++] = r;
    }
    if (count) qsort(*rows, count, sizeof **rows, newest_first);
    return count;
}
