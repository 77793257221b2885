#include "query/summed.h"

/* ---- what a summary can stand for ---- */

static bool whole_hour(int64_t time_us) { return time_us % SUMMARY_HOUR_US == 0; }

enum summed_cover summed_cover(const struct scan *s, const struct part *p, struct summary *out) {
    const struct plan *plan = s->plan;
    const struct segment *g = p->segment;
    if (!g || plan->filter || plan->partial || plan->after.set || g->max_seq > s->as_of) return SUMMED_NOTHING;
    if (s->control && s->control->rows_only) return SUMMED_NOTHING;
    if (!segment_summary(g, out)) return SUMMED_NOTHING;
    bool from = out->from_us >= plan->from_us, to = out->to_us < plan->to_us;
    if (from && to) return SUMMED_ALL;
    return (from || whole_hour(plan->from_us)) && (to || whole_hour(plan->to_us)) ? SUMMED_HOURS : SUMMED_NOTHING;
}

static bool of_model(const struct key *k) {
    enum of of = k->subject.of;
    return of == OF_MODEL || of == OF_MODEL_BASE || of == OF_MODEL_VERSION;
}

/* The cells that a key needs; SUMMARY_KINDS: there are none. Any will do for a model. */
static enum summary_kind kind_of(const struct keyer *k) {
    switch (k->key->subject.of) {
    case OF_TIME: return whole_hour(k->key->width_us) && whole_hour(k->key->offset_us) ? SUMMARY_HOURS : SUMMARY_KINDS;
    case OF_DEVICE: return SUMMARY_DEVICES;
    /* An inference counts once among "other", but in as many cells as it has classes. */
    case OF_CLASS: return k->top && !k->key->drop ? SUMMARY_KINDS : SUMMARY_CLASSES;
    default: return SUMMARY_KINDS;
    }
}

static bool has_lane(const struct table *t, const struct lane *l) {
    switch (l->kind) {
    case LANE_COUNTS:
    case LANE_TIMES: return true;
    case LANE_NUMBERS:
        return l->of.of == OF_CONFIDENCE || l->of.of == OF_LATENCY || l->of.of == OF_MONITORING_CONFIDENCE ||
               l->of.of == OF_MONITORING_LATENCY;
    case LANE_BINS: return !t->by_class;
    case LANE_NEWEST: return l->of.of == OF_MODEL_NAME;
    case LANE_DISTINCT: return false;
    }
    return false;
}

struct summed summed_of(const struct table *t) {
    struct summed how = {.can = true, .kind = SUMMARY_HOURS};
    bool models_only = true;
    for (size_t i = 0; i < t->key_count; i++) {
        const struct keyer *k = &t->keyers[i];
        if (of_model(k->key)) continue;
        how.can = how.can && models_only && kind_of(k) != SUMMARY_KINDS;
        how.kind = kind_of(k);
        models_only = false;
    }
    how.can = how.can && t->by_class == (how.kind == SUMMARY_CLASSES);
    for (size_t i = 0; i < t->lane_count; i++) {
        how.can = how.can && has_lane(t, &t->lanes[i]);
        how.bins |= t->lanes[i].kind == LANE_BINS;
    }
    how.can = how.can && (!how.bins || models_only);
    return how;
}

/* ---- adding one up ---- */

static uint32_t number_of(struct keyer *k, enum summary_kind kind, int64_t by, uint32_t model) {
    if (of_model(k->key)) return keyer_code(k, model);
    return kind == SUMMARY_HOURS ? keyer_time(k, by) : keyer_code(k, (uint32_t)by);
}

static uint32_t group_of(struct table *t, enum summary_kind kind, int64_t by, uint32_t model) {
    uint32_t numbers[PLAN_KEYS] = {0};
    for (size_t i = 0; i < t->key_count; i++) {
        numbers[i] = number_of(&t->keyers[i], kind, by, model);
        if (numbers[i] == KEYER_DROPPED) return KEYER_DROPPED;
    }
    return table_group(t, numbers);
}

static void add_bins(struct table *t, const struct summary *from) {
    const uint32_t *words = from->bins;
    for (uint32_t i = 0; i < from->model_count; i++) {
        const struct summary_model *m = &from->models[i];
        uint32_t group = group_of(t, SUMMARY_HOURS, 0, m->model);
        for (size_t k = 0; k < t->lane_count && group != KEYER_DROPPED; k++) {
            struct lane *l = &t->lanes[k];
            if (l->kind != LANE_BINS) continue;
            bool latency = l->of.of == OF_LATENCY;
            lane_add_bins(l, group, words + (latency ? m->confidences : 0), latency ? m->latencies : m->confidences);
        }
        words += m->confidences + m->latencies;
    }
}

/* Where the range begins or ends within an hour the segment has no rows beyond. */
static bool in_range(const struct scan *s, const struct summary_cell *c) {
    return c->by > s->plan->from_us - SUMMARY_HOUR_US && c->by < s->plan->to_us;
}

bool summed_add(const struct summed *how, enum summed_cover cover, const struct scan *s, const struct part *p,
                const struct summary *from, struct table *t) {
    bool by_hour = how->kind == SUMMARY_HOURS && !how->bins;
    if (!how->can || !from->cells[how->kind] || (how->bins && !from->models)) return false;
    if (cover == SUMMED_NOTHING || (cover == SUMMED_HOURS && !by_hour)) return false;
    table_begin(t, p);
    for (uint32_t i = 0; i < from->counts[how->kind]; i++) {
        const struct summary_cell *c = &from->cells[how->kind][i];
        if (cover == SUMMED_HOURS && !in_range(s, c)) continue;
        uint32_t group = group_of(t, how->kind, c->by, c->model);
        for (size_t k = 0; k < t->lane_count && group != KEYER_DROPPED; k++) lane_add_cell(&t->lanes[k], group, c);
    }
    if (how->bins) add_bins(t, from);
    table_end(t);
    return true;
}

bool summed_count(enum summed_cover cover, const struct scan *s, const struct summary *from, uint64_t *count) {
    const struct summary_cell *cells = from->cells[SUMMARY_HOURS];
    if (cover == SUMMED_NOTHING || !cells) return false;
    for (uint32_t i = 0; i < from->counts[SUMMARY_HOURS]; i++)
        if (cover == SUMMED_ALL || in_range(s, &cells[i])) *count += cells[i].inferences;
    return true;
}
