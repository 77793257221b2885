#include "query_oracle.h"

#include <math.h>
#include <stdlib.h>

#include "query/match.h"

/* ---- filters ---- */

static bool text_holds(const struct filter_test *t, struct str text) {
    struct value v = {.type = text.n ? VALUE_STRING : VALUE_NONE, .text = text};
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        if (match_value(m, &v)) return true;
        if (t->field == FIELD_MODEL && m->kind == MATCH_TEXT && text.n > m->text.n && str_starts(text, m->text) &&
            text.p[m->text.n] == '/' && !memchr(text.p + m->text.n + 1, '/', text.n - m->text.n - 1))
            return true;
    }
    return false;
}

static bool number_holds(const struct filter_test *t, double v) {
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        if (m->kind == MATCH_PRESENT ? !isnan(v) : v >= m->range.low && v <= m->range.high) return true;
    }
    return false;
}

static bool value_holds(const struct filter_test *t, struct value v) {
    for (size_t i = 0; i < t->match_count; i++)
        if (v.type != VALUE_NONE && match_value(&t->matches[i], &v)) return true;
    return false;
}

double oracle_top_confidence(const struct inference *inf) {
    double most = NAN;
    for (size_t i = 0; i < inf->detection_count; i++)
        if (isnan(most) || inf->detections[i].confidence > most) most = inf->detections[i].confidence;
    return most;
}

static bool class_holds(const struct filter_test *t, const struct inference *inf) {
    unsigned n = 0;
    for (size_t i = 0; i < inf->detection_count; i++) {
        double c = inf->detections[i].confidence;
        n += text_holds(t, inf->detections[i].class_name) &&
             (!t->by_confidence || (c >= t->confidence.low && c <= t->confidence.high));
    }
    return n >= t->count.low && n <= t->count.high;
}

static bool any_holds(const struct view_kit *k, const struct filter_test *t, const struct kit_row *r) {
    if (text_holds(t, r->inf.id)) return true;
    for (uint32_t f = 0; f < fields_count(k->view.fields); f++)
        if (value_holds(t, view_kit_value(k, r->inf.id, k->view.fields->names[f]))) return true;
    return false;
}

static bool test_holds(const struct view_kit *k, const struct filter_test *t, const struct kit_row *r) {
    const struct inference *inf = &r->inf;
    switch (t->field) {
    case FIELD_ID: return text_holds(t, inf->id);
    case FIELD_MODEL: return text_holds(t, inf->model_id);
    case FIELD_DEVICE: return text_holds(t, inf->device_id);
    case FIELD_SOURCE: return text_holds(t, inf->source);
    case FIELD_SOURCE_INFO: return text_holds(t, inf->source_info);
    case FIELD_SERVER: return text_holds(t, inf->server_id);
    case FIELD_ERROR: return text_holds(t, inf->error);
    case FIELD_CLASS: return class_holds(t, inf);
    case FIELD_CONFIDENCE: return number_holds(t, oracle_top_confidence(inf));
    case FIELD_LATENCY: return number_holds(t, inf->latency_s);
    case FIELD_DETECTIONS: return number_holds(t, (double)inf->detection_count);
    case FIELD_INDEX: return number_holds(t, inf->index);
    case FIELD_TIME: return number_holds(t, (double)inf->time_us);
    case FIELD_PARTIAL: return number_holds(t, inf->partial);
    case FIELD_PICTURE: return number_holds(t, inf->picture != NULL);
    case FIELD_METADATA: return value_holds(t, view_kit_value(k, inf->id, t->name));
    case FIELD_ANY: return any_holds(k, t, r);
    }
    return false;
}

static bool holds(const struct view_kit *k, const struct filter *f, const struct kit_row *r) {
    if (!f) return true;
    if (f->kind == FILTER_TEST) return test_holds(k, &f->test, r);
    if (f->kind == FILTER_NOT) return !holds(k, f->first, r);
    for (const struct filter *child = f->first; child; child = child->next)
        if (holds(k, child, r) != (f->kind == FILTER_AND)) return f->kind == FILTER_OR;
    return f->kind == FILTER_AND;
}

int oracle_newest_first(const void *x, const void *y) {
    const struct kit_row *a = *(struct kit_row *const *)x, *b = *(struct kit_row *const *)y;
    if (a->inf.time_us != b->inf.time_us) return a->inf.time_us < b->inf.time_us ? 1 : -1;
    return a->seq < b->seq ? 1 : -1;
}

size_t oracle_rows(const struct view_kit *k, const struct plan *p, const struct kit_row **out) {
    size_t n = 0;
    for (size_t i = 0; i < k->row_count; i++) {
        const struct kit_row *r = &k->rows[i];
        const struct cursor *after = &p->after;
        int64_t t = r->inf.time_us;
        if (t < p->from_us || t >= p->to_us || r->hidden_at || (r->inf.partial && !p->partial)) continue;
        if (p->as_of && r->seq > p->as_of) continue;
        if (after->set &&
            (r->seq > after->as_of || t > after->time_us || (t == after->time_us && r->seq >= after->seq)))
            continue;
        if (holds(k, p->filter, r)) out[n++] = r;
    }
    qsort(out, n, sizeof *out, oracle_newest_first);
    return n;
}
