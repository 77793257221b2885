#include "query/lane.h"

#include <stdlib.h>

#include "base/check.h"
#include "record/bins.h"

uint32_t lane_bins(enum of of) { return of == OF_CONFIDENCE ? CONFIDENCE_BINS : LATENCY_BINS; }

bool lane_same(const struct lane *x, const struct lane *y) {
    return x->kind == y->kind && (x->kind == LANE_COUNTS || x->kind == LANE_TIMES || subject_eq(&x->of, &y->of));
}

/* ---- cells ---- */

static size_t cell_size(const struct lane *l) {
    switch (l->kind) {
    case LANE_COUNTS: return sizeof *l->counts;
    case LANE_NUMBERS: return sizeof *l->numbers;
    case LANE_BINS: return lane_bins(l->of.of) * sizeof *l->bins;
    case LANE_TIMES: return sizeof *l->times;
    case LANE_NEWEST: return sizeof *l->newest;
    case LANE_DISTINCT: return sizeof *l->sets;
    }
    WRONG("a lane of no kind");
}

size_t lane_room(struct lane *l, uint32_t groups, uint32_t room) {
    size_t size = cell_size(l), grown = (room - groups) * size;
    l->cells = mem_resize(l->cells, room * size);
    memset((char *)l->cells + groups * size, 0, grown);
    for (uint32_t g = groups; g < room && l->kind == LANE_TIMES; g++)
        l->times[g] = (struct times){INT64_MAX, INT64_MIN};
    if (l->kind != LANE_NUMBERS) return grown;
    l->totals = mem_resize(l->totals, room * sizeof *l->totals);
    for (uint32_t g = groups; g < room; g++) l->totals[g] = (struct total){{0, 0}, INFINITY, -INFINITY};
    return grown + (room - groups) * sizeof *l->totals;
}

void lane_free(struct lane *l, uint32_t groups) {
    for (uint32_t g = 0; g < groups && l->kind == LANE_DISTINCT; g++) hash_set_free(&l->sets[g]);
    free(l->cells);
    free(l->totals);
    free(l->map);
    arena_free(&l->texts);
    l->cells = l->map = NULL;
    l->totals = NULL;
}

bool lane_of_detections(const struct lane *l) {
    if (l->kind == LANE_NUMBERS) return l->of.of == OF_CONFIDENCE || l->of.of == OF_MONITORING_LATENCY;
    return l->kind == LANE_BINS ? l->of.of == OF_CONFIDENCE : l->kind == LANE_COUNTS && !l->inferences;
}

/* ---- counts ---- */

static void add_counts(struct lane *l, struct batch *b, const struct elements *x) {
    struct counts *cells = l->counts;
    if (!l->others) {
        for (uint32_t i = 0; i < x->count; i++) cells[x->group[i]].inferences++;
        return;
    }
    const uint32_t *counts = batch_counts(b);
    for (uint32_t i = 0; i < x->count; i++) {
        uint32_t at = x->at ? x->at[i] : i;
        struct counts *c = &cells[x->group[i]];
        c->inferences++;
        c->errors += b->failed[at];
        c->empty += !(b->failed[at] | counts[at]);
        c->detections += counts[at];
    }
}

static void add_class_counts(struct lane *l, const struct elements *x) {
    for (uint32_t i = 0; l->inferences && i < x->count; i++) l->counts[x->group[i]].inferences++;
    for (uint32_t i = 0; i < x->detection_count; i++) l->counts[x->detection_group[i]].detections++;
    for (uint32_t i = 0; i < x->empty_count; i++) l->counts[x->empty_group[i]].empty++;
}

/* Groups that lie in a row are added up apart from their cells, which the processor then needn't wait for. */
static void add_count_spans(struct lane *l, struct batch *b, const struct elements *x) {
    const uint32_t *counts = l->others ? batch_counts(b) : NULL;
    for (uint32_t k = 0, i = 0; k < x->span_count; k++) {
        uint32_t end = x->span_end[k], errors = 0, full = 0;
        uint64_t detections = 0;
        struct counts *c = &l->counts[x->group[i]];
        c->inferences += end - i;
        for (uint32_t n = i; counts && n < end; n++) {
            errors += b->failed[n];
            full += counts[n] != 0;
            detections += counts[n];
        }
        if (counts) c->errors += errors, c->empty += end - i - errors - full, c->detections += detections;
        i = end;
    }
}

/* ---- numbers ---- */

static void widen(struct total *t, double v) {
    t->least = v < t->least ? v : t->least;
    t->most = v > t->most ? v : t->most;
}

/* `at`: where in values an element's is; NULL: at its own place. */
static inline __attribute__((always_inline)) void add_at(struct lane *l, const uint32_t *group, const uint32_t *at,
                                                         uint32_t count, const double *values) {
    struct numbers *cells = l->numbers;
    for (uint32_t i = 0; i < count; i++) {
        double v = values[at ? at[i] : i];
        struct numbers *c = &cells[group[i]];
        bool known = !isnan(v);
        c->n += known;
        c->window += known ? v : 0;
    }
    for (uint32_t i = 0; l->range && i < count; i++) widen(&l->totals[group[i]], values[at ? at[i] : i]);
}

static void add_values(struct lane *l, const uint32_t *group, const uint32_t *at, uint32_t count,
                       const double *values) {
    if (at)
        add_at(l, group, at, count, values);
    else
        add_at(l, group, NULL, count, values);
    l->window += count;
}

/* Of metadata, which may be below 0: what two numbers take from each other must not be lost. */
static void add_exactly(struct lane *l, const struct elements *x, const double *values) {
    for (uint32_t i = 0; i < x->count; i++) {
        double v = values[x->at ? x->at[i] : i];
        if (isnan(v)) continue;
        l->numbers[x->group[i]].n++;
        sum_add(&l->totals[x->group[i]].sum, v);
        widen(&l->totals[x->group[i]], v);
    }
}

static void add_value_spans(struct lane *l, const struct elements *x, const double *values) {
    enum { WAYS = 4 };
    for (uint32_t k = 0, i = 0; k < x->span_count; k++) {
        struct numbers *c = &l->numbers[x->group[i]];
        struct total *t = &l->totals[x->group[i]];
        uint32_t end = x->span_end[k], from = i;
        uint64_t n = 0;
        double sums[WAYS] = {0};
        for (; i + WAYS <= end; i += WAYS)
            for (uint32_t way = 0; way < WAYS; way++) {
                double v = values[i + way];
                n += !isnan(v);
                sums[way] += isnan(v) ? 0 : v;
            }
        for (; i < end; i++) n += !isnan(values[i]), sums[0] += isnan(values[i]) ? 0 : values[i];
        c->n += n;
        c->window += (sums[0] + sums[1]) + (sums[2] + sums[3]);
        for (uint32_t r = from; l->range && r < end; r++) widen(t, values[r]);
    }
    l->window += x->count;
}

/* Numbers that strings are, by code; INFINITY: not yet looked at. */
static double number_of_code(struct lane *l, uint32_t code) {
    double *map = l->map, v;
    if (code < l->map_count && map[code] != INFINITY) return map[code];
    struct value value = coded_value(&l->coded, code);
    if (value.type == VALUE_NUMBER)
        v = value.number;
    else if (value.type != VALUE_STRING || !filter_number(value.text, &v))
        v = NAN;
    if (code < l->map_count) map[code] = v;
    return v;
}

static void metadata_numbers(struct lane *l, struct batch *b, double values[BATCH_ROWS]) {
    uint32_t room[BATCH_ROWS];
    const uint32_t *codes = coded_read(&l->coded, b, room);
    for (uint32_t i = 0; i < b->count; i++)
        values[i] = codes[i] == 0              ? NAN
                    : codes[i] == CODED_NUMBER ? coded_number(&l->coded, b, i)
                                               : number_of_code(l, codes[i]);
}

static void detection_numbers(struct batch *b, double values[BATCH_ROWS]) {
    const uint32_t *counts = batch_counts(b);
    for (uint32_t i = 0; i < b->count; i++) values[i] = b->failed[i] ? (double)NAN : counts[i];
}

static void add_class_numbers(struct lane *l, struct batch *b, const struct elements *x) {
    const struct batch_detections *d = batch_each_detection(b, false);
    if (l->of.of == OF_CONFIDENCE) {
        add_values(l, x->detection_group, x->detection_at, x->detection_count, d->confidences);
        return;
    }
    const double *latency = batch_latency(b);
    for (uint32_t i = 0; i < x->detection_count; i++) {
        double v = latency[d->owners[x->detection_at ? x->detection_at[i] : i]];
        l->numbers[x->detection_group[i]].window += isnan(v) ? 0 : v;
    }
    add_values(l, x->empty_group, x->empty_at, x->empty_count, latency);
    l->window += x->detection_count;
}

static void add_numbers(struct lane *l, struct batch *b, const struct elements *x) {
    double room[BATCH_ROWS];
    const double *values = room;
    if (x->by_class && lane_of_detections(l)) {
        add_class_numbers(l, b, x);
        return;
    }
    switch (l->of.of) {
    case OF_CONFIDENCE: values = batch_confidence(b); break;
    case OF_MONITORING_CONFIDENCE: values = batch_row_confidence(b); break;
    case OF_MONITORING_LATENCY: values = batch_row_latency(b); break;
    case OF_LATENCY: values = batch_latency(b); break;
    case OF_DETECTIONS: detection_numbers(b, room); break;
    case OF_METADATA:
        if (l->coded.nothing) return;
        metadata_numbers(l, b, room);
        add_exactly(l, x, room);
        return;
    default: WRONG("a column without numbers");
    }
    if (x->span_count)
        add_value_spans(l, x, values);
    else
        add_values(l, x->group, x->at, x->count, values);
}

enum { WINDOW_LEAST = 65536, WINDOW_MOST = 1 << 22 };

/* Seldom enough to cost nothing, however many groups there are. */
static void close_windows(struct lane *l, uint32_t groups, bool all) {
    uint64_t most = 4 * (uint64_t)groups;
    if (most < WINDOW_LEAST) most = WINDOW_LEAST;
    if (most > WINDOW_MOST) most = WINDOW_MOST;
    if (!all && l->window < most) return;
    for (uint32_t g = 0; g < groups; g++) {
        sum_add(&l->totals[g].sum, l->numbers[g].window);
        l->numbers[g].window = 0;
    }
    l->window = 0;
}

/* ---- bins ---- */

static inline __attribute__((always_inline)) void add_to_bins(struct lane *l, const uint32_t *group, const uint32_t *at,
                                                              uint32_t count, const uint16_t *bins) {
    size_t width = lane_bins(l->of.of);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t bin = bins[at ? at[i] : i];
        if (bin != BIN_NONE) l->bins[group[i] * width + bin]++;
    }
}

static void add_bins(struct lane *l, struct batch *b, const struct elements *x) {
    if (l->of.of == OF_CONFIDENCE && x->by_class) {
        const uint16_t *bins = batch_each_detection(b, true)->bins;
        if (x->detection_at)
            add_to_bins(l, x->detection_group, x->detection_at, x->detection_count, bins);
        else
            add_to_bins(l, x->detection_group, NULL, x->detection_count, bins);
        return;
    }
    const uint16_t *bins = l->of.of == OF_CONFIDENCE ? batch_confidence_bins(b) : batch_latency_bins(b);
    if (x->at)
        add_to_bins(l, x->group, x->at, x->count, bins);
    else
        add_to_bins(l, x->group, NULL, x->count, bins);
}

/* ---- times ---- */

static void add_time_spans(struct lane *l, const struct elements *x, const int64_t *time) {
    for (uint32_t k = 0, i = 0; k < x->span_count; k++) {
        struct times *c = &l->times[x->group[i]];
        int64_t least = c->least, most = c->most;
        for (; i < x->span_end[k]; i++) {
            least = time[i] < least ? time[i] : least;
            most = time[i] > most ? time[i] : most;
        }
        *c = (struct times){least, most};
    }
}

static void add_times(struct lane *l, struct batch *b, const struct elements *x) {
    const int64_t *time = batch_time(b);
    if (x->span_count) {
        add_time_spans(l, x, time);
        return;
    }
    for (uint32_t i = 0; i < x->count; i++) {
        struct times *c = &l->times[x->group[i]];
        int64_t t = time[x->at ? x->at[i] : i];
        if (t < c->least) c->least = t;
        if (t > c->most) c->most = t;
    }
}

/* ---- the newest ---- */

static bool newer(const struct newest *x, int64_t time_us, uint64_t seq) {
    return !x->known || time_us > x->time_us || (time_us == x->time_us && seq > x->seq);
}

static void add_newest(struct lane *l, struct batch *b, const struct elements *x) {
    if (l->coded.nothing) return;
    uint32_t room[BATCH_ROWS];
    const uint32_t *codes = coded_read(&l->coded, b, room);
    const int64_t *time = batch_time(b);
    const uint64_t *seq = slice_seq(b->slice);
    for (uint32_t i = 0; i < x->count; i++) {
        uint32_t at = x->at ? x->at[i] : i;
        struct newest *c = &l->newest[x->group[i]];
        if (codes[at] == 0 || !newer(c, time[at], seq[b->at[at]])) continue;
        *c = (struct newest){time[at], seq[b->at[at]], true, codes[at], c->text};
    }
}

static void resolve_newest(struct lane *l, uint32_t groups) {
    if (l->coded.nothing) return;
    for (uint32_t g = 0; g < groups; g++) {
        struct newest *c = &l->newest[g];
        if (c->code == 0) continue;
        struct str text = coded_value(&l->coded, c->code).text;
        if (!str_eq(c->text, text)) c->text = (struct str){arena_copy(&l->texts, text.p, text.n), text.n};
        c->code = 0;
    }
}

/* ---- distinct values ---- */

/* 0: no value. */
static uint64_t hash_of_code(struct lane *l, uint32_t code) {
    uint64_t *map = l->map, hash;
    if (code < l->map_count && map[code]) return map[code];
    struct value v = coded_value(&l->coded, code);
    hash = v.type == VALUE_NONE ? 0 : value_hash64(&v);
    if (code < l->map_count) map[code] = hash;
    return hash;
}

static size_t add_distinct_classes(struct lane *l, struct batch *b, const struct elements *x) {
    const struct detections *d = batch_detections(b);
    size_t grown = 0;
    for (uint32_t i = 0; i < x->count; i++) {
        uint32_t at = x->at ? x->at[i] : i, row = b->at[at];
        for (uint32_t k = d->first[row]; k < d->first[row + 1] && !b->failed[at]; k++) {
            uint32_t code = d->classes[k];
            if (code) grown += hash_set_add(&l->sets[x->group[i]], hash_of_code(l, code));
        }
    }
    return grown;
}

static uint64_t distinct_hash(struct lane *l, const struct batch *b, const uint32_t *codes, uint32_t at) {
    if (l->of.of == OF_ID) {
        const struct slice *s = b->slice;
        return s->block ? s->block->ident[b->at[at]]->hash : SEG(s->part->segment, ID_HASH)[s->first + b->at[at]];
    }
    if (codes[at] == 0) return 0;
    if (codes[at] != CODED_NUMBER) return hash_of_code(l, codes[at]);
    struct value v = {.type = VALUE_NUMBER, .number = coded_number(&l->coded, b, at)};
    return value_hash64(&v);
}

static size_t add_distinct(struct lane *l, struct batch *b, const struct elements *x) {
    uint32_t room[BATCH_ROWS];
    size_t grown = 0;
    if (l->coded.nothing) return 0;
    if (l->of.of == OF_CLASS) return add_distinct_classes(l, b, x);
    const uint32_t *codes = l->of.of == OF_ID ? NULL : coded_read(&l->coded, b, room);
    for (uint32_t i = 0; i < x->count; i++) {
        uint64_t hash = distinct_hash(l, b, codes, x->at ? x->at[i] : i);
        if (hash) grown += hash_set_add(&l->sets[x->group[i]], hash);
    }
    return grown;
}

/* ---- from summaries ---- */

/* By class the cell's confidence is that of the class's detections, as the lane's is. */
static struct total total_of_cell(const struct lane *l, const struct summary_cell *c, uint32_t *n) {
    *n = 0; /* of the means of Model Monitoring, which go by other counts */
    switch (l->of.of) {
    case OF_CONFIDENCE:
        *n = c->confidences;
        return (struct total){{c->confidence, 0}, c->least_confidence, c->most_confidence};
    case OF_LATENCY: *n = c->latencies; return (struct total){{c->latency, 0}, c->least_latency, c->most_latency};
    case OF_MONITORING_CONFIDENCE: return (struct total){.sum = {c->row_confidence, 0}};
    case OF_MONITORING_LATENCY: return (struct total){.sum = {c->row_latency, 0}};
    default: WRONG("a column that summaries don't have");
    }
}

static void add_cell_numbers(struct lane *l, uint32_t group, const struct summary_cell *c) {
    uint32_t n;
    struct total *to = &l->totals[group], x = total_of_cell(l, c, &n);
    l->numbers[group].n += n;
    sum_add(&to->sum, x.sum.total);
    if (n == 0) return;
    widen(to, x.least);
    widen(to, x.most);
}

void lane_add_cell(struct lane *l, uint32_t group, const struct summary_cell *c) {
    switch (l->kind) {
    case LANE_COUNTS:
        l->counts[group].inferences += c->inferences;
        l->counts[group].errors += c->errors;
        l->counts[group].empty += c->empty;
        l->counts[group].detections += c->detections;
        return;
    case LANE_NUMBERS: add_cell_numbers(l, group, c); return;
    case LANE_TIMES: {
        struct times *to = &l->times[group];
        if (c->first_us < to->least) to->least = c->first_us;
        if (c->last_us > to->most) to->most = c->last_us;
        return;
    }
    case LANE_NEWEST: {
        struct newest *to = &l->newest[group];
        if (c->name && newer(to, c->named_us, c->named_seq))
            *to = (struct newest){c->named_us, c->named_seq, true, c->name, to->text};
        return;
    }
    case LANE_BINS: return; /* lane_add_bins */
    case LANE_DISTINCT: WRONG("a lane that summaries don't have");
    }
}

void lane_add_bins(struct lane *l, uint32_t group, const uint32_t *words, uint32_t count) {
    uint32_t *bins = l->bins + (size_t)group * lane_bins(l->of.of);
    for (uint32_t i = 0; i < count; i++) bins[summary_bin(words[i])] += summary_count(words[i]);
}

/* ---- all ---- */

void lane_begin(struct lane *l, const struct part *p) {
    bool numbers = l->kind == LANE_NUMBERS && l->of.of == OF_METADATA;
    if (!numbers && l->kind != LANE_NEWEST && (l->kind != LANE_DISTINCT || l->of.of == OF_ID)) return;
    coded_begin(&l->coded, &l->of, p);
    l->map_count = 0;
    if (l->coded.nothing || l->kind == LANE_NEWEST) return;
    uint32_t count = coded_count(&l->coded);
    l->map = mem_resize(l->map, count * sizeof(uint64_t));
    l->map_count = count;
    for (uint32_t i = 0; i < count && numbers; i++) ((double *)l->map)[i] = INFINITY;
    if (!numbers) memset(l->map, 0, count * sizeof(uint64_t));
}

size_t lane_add(struct lane *l, struct batch *b, const struct elements *x) {
    switch (l->kind) {
    case LANE_COUNTS:
        if (x->by_class)
            add_class_counts(l, x);
        else if (x->span_count)
            add_count_spans(l, b, x);
        else
            add_counts(l, b, x);
        return 0;
    case LANE_NUMBERS:
        add_numbers(l, b, x);
        close_windows(l, x->groups, false);
        return 0;
    case LANE_BINS: add_bins(l, b, x); return 0;
    case LANE_TIMES: add_times(l, b, x); return 0;
    case LANE_NEWEST: add_newest(l, b, x); return 0;
    case LANE_DISTINCT: return add_distinct(l, b, x);
    }
    WRONG("a lane of no kind");
}

/* A window ends with its part, so that a sum is of the same terms whichever thread took which part, and the same question
 * has the same answer to the last digit. Of more groups than that a part has too few rows to pay for it. */
void lane_end(struct lane *l, uint32_t groups) {
    if (l->kind == LANE_NEWEST) resolve_newest(l, groups);
    if (l->kind == LANE_NUMBERS && groups <= WINDOW_LEAST / 4) close_windows(l, groups, true);
}

void lane_finish(struct lane *l, uint32_t groups) {
    if (l->kind == LANE_NUMBERS) close_windows(l, groups, true);
}

/* ---- two threads' lanes ---- */

static void merge_totals(struct total *to, const struct total *from) {
    sum_add(&to->sum, from->sum.total);
    sum_add(&to->sum, from->sum.rest);
    to->least = fmin(to->least, from->least);
    to->most = fmax(to->most, from->most);
}

size_t lane_merge(struct lane *l, uint32_t group, struct lane *from, uint32_t other) {
    size_t grown = 0;
    switch (l->kind) {
    case LANE_COUNTS:
        l->counts[group].inferences += from->counts[other].inferences;
        l->counts[group].errors += from->counts[other].errors;
        l->counts[group].empty += from->counts[other].empty;
        l->counts[group].detections += from->counts[other].detections;
        break;
    case LANE_NUMBERS:
        l->numbers[group].n += from->numbers[other].n;
        merge_totals(&l->totals[group], &from->totals[other]);
        break;
    case LANE_BINS: {
        uint32_t width = lane_bins(l->of.of), *to = l->bins + (size_t)group * width;
        for (uint32_t i = 0; i < width; i++) to[i] += from->bins[(size_t)other * width + i];
        break;
    }
    case LANE_TIMES: {
        struct times *to = &l->times[group], x = from->times[other];
        if (x.least < to->least) to->least = x.least;
        if (x.most > to->most) to->most = x.most;
        break;
    }
    case LANE_NEWEST: {
        const struct newest *x = &from->newest[other];
        if (!x->known || !newer(&l->newest[group], x->time_us, x->seq)) break;
        l->newest[group] = *x;
        l->newest[group].text.p = arena_copy(&l->texts, x->text.p, x->text.n);
        break;
    }
    case LANE_DISTINCT:
        for (uint32_t i = 0; i < from->sets[other].slot_count; i++)
            if (from->sets[other].slots[i]) grown += hash_set_add(&l->sets[group], from->sets[other].slots[i]);
        break;
    }
    return grown;
}
