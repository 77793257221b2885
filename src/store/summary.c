#include "store/summary.h"

#include <math.h>
#include <string.h>

#include "record/bins.h"
#include "store/row.h"

/* The head: the form, how many cells of each kind, how many models and words of bins, of which rows. */
enum { FORM = 2, LEFT_OUT = -1, ALIGN = 64 };
struct head {
    uint32_t form, cells[SUMMARY_KINDS], models, bins, begin, end;
    int64_t from_us, to_us;
};
_Static_assert(sizeof(struct head) == 48, "it is as docs/segments.md says");

static size_t padded(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* ---- cells ---- */

enum { SLOTS = 2 * SUMMARY_CELLS_MOST };

struct cells {
    struct summary_cell *list;
    uint32_t *counted; /* row + 1 of the inference that was counted last */
    uint32_t *slots;   /* open addressing: cell + 1 */
    uint32_t count, last;
    bool too_many;
};

static void cells_begin(struct cells *c, struct arena *a) {
    c->list = arena_alloc(a, SUMMARY_CELLS_MOST * sizeof *c->list);
    c->counted = arena_alloc(a, SUMMARY_CELLS_MOST * sizeof *c->counted);
    c->slots = arena_alloc(a, SLOTS * sizeof *c->slots);
}

static bool is_cell(const struct summary_cell *x, int64_t by, uint32_t model) {
    return x->by == by && x->model == model;
}

/* Cells are in the order in which they are first met; NULL: there are too many. */
static struct summary_cell *cell_of(struct cells *c, int64_t by, uint32_t model) {
    if (c->last < c->count && is_cell(&c->list[c->last], by, model)) return &c->list[c->last];
    if (c->too_many) return NULL;
    uint64_t hash = ((uint64_t)by * 0x9e3779b97f4a7c15u ^ model) * 0x9e3779b97f4a7c15u;
    uint32_t at = (uint32_t)(hash >> 32) % SLOTS;
    while (c->slots[at] && !is_cell(&c->list[c->slots[at] - 1], by, model)) at = (at + 1) % SLOTS;
    if (!c->slots[at]) {
        if ((c->too_many = c->count == SUMMARY_CELLS_MOST)) return NULL;
        c->list[c->count] = (struct summary_cell){.by = by, .model = model};
        c->slots[at] = ++c->count;
    }
    c->last = c->slots[at] - 1;
    return &c->list[c->last];
}

/* ---- a row ---- */

/* What a row is to every cell that it is in. */
struct one {
    const struct summary_rows *r;
    uint32_t row, detections;
    bool failed;
    double latency, confidence; /* NAN: unknown */
};

static struct one row_of(const struct summary_rows *r, uint32_t row) {
    bool failed = r->flags[row] & ROW_ERROR;
    return (struct one){.r = r,
                        .row = row,
                        .detections = failed ? 0 : r->first[row + 1] - r->first[row],
                        .failed = failed,
                        .latency = failed ? NAN : r->latency[row],
                        .confidence = failed ? NAN : r->confidence[row]};
}

static void add_number(double v, uint32_t *count, double *sum, double *least, double *most) {
    if (isnan(v)) return;
    if (*count == 0 || v < *least) *least = v;
    if (*count == 0 || v > *most) *most = v;
    ++*count;
    *sum += v;
}

static void add_confidence(struct summary_cell *c, double v) {
    add_number(v, &c->confidences, &c->confidence, &c->least_confidence, &c->most_confidence);
}

/* What an inference counts for once in a cell. Rows come in order of (time, seq). */
static void add_inference(struct summary_cell *c, const struct one *x) {
    int64_t time_us = x->r->time_us[x->row];
    if (c->inferences++ == 0) c->first_us = time_us;
    c->last_us = time_us;
    add_number(x->latency, &c->latencies, &c->latency, &c->least_latency, &c->most_latency);
    if (x->r->name[x->row] == 0) return;
    c->name = x->r->name[x->row];
    c->named_us = time_us;
    c->named_seq = x->r->seq[x->row];
}

static void add_row(struct summary_cell *c, const struct one *x) {
    if (!c) return;
    add_inference(c, x);
    c->errors += x->failed;
    c->empty += !x->failed && x->detections == 0;
    c->detections += x->detections;
    add_confidence(c, x->confidence);
    uint32_t first = x->r->first[x->row];
    for (uint32_t i = 0; i < x->detections; i++)
        c->row_confidence += isnan(x->r->confidences[first + i]) ? 0 : x->r->confidences[first + i];
    if (!isnan(x->latency)) c->row_latency += x->latency * (x->detections ? x->detections : 1);
}

static void add_to_class(struct cells *classes, const struct one *x, uint32_t class, double confidence) {
    struct summary_cell *c = cell_of(classes, class, x->r->model[x->row]);
    if (!c) return;
    uint32_t *counted = &classes->counted[c - classes->list];
    if (*counted != x->row + 1) add_inference(c, x);
    *counted = x->row + 1;
    c->empty += x->detections == 0;
    c->detections += x->detections != 0;
    add_confidence(c, confidence);
    if (!isnan(x->latency)) c->row_latency += x->latency;
}

static void add_to_classes(struct cells *classes, const struct one *x) {
    uint32_t first = x->r->first[x->row];
    if (x->failed) return;
    if (x->detections == 0) add_to_class(classes, x, 0, NAN);
    for (uint32_t i = 0; i < x->detections; i++)
        add_to_class(classes, x, x->r->classes[first + i], x->r->confidences[first + i]);
}

/* ---- bins ---- */

struct counted {
    uint32_t model;
    uint32_t confidences[CONFIDENCE_BINS], latencies[LATENCY_BINS];
};

struct models {
    struct counted *of[SUMMARY_MODELS_MOST]; /* in the order in which they are first met */
    uint32_t count, words, last;
    bool too_many;
};

static struct counted *model_of(struct models *m, uint32_t model, struct arena *a) {
    if (m->last < m->count && m->of[m->last]->model == model) return m->of[m->last];
    for (m->last = 0; m->last < m->count; m->last++)
        if (m->of[m->last]->model == model) return m->of[m->last];
    if ((m->too_many = m->too_many || m->count == SUMMARY_MODELS_MOST)) return NULL;
    struct counted *x = m->of[m->count++] = arena_alloc(a, sizeof *x);
    x->model = model;
    return x;
}

static void add_to_bins(struct models *m, const struct one *x, struct arena *a) {
    struct counted *c = model_of(m, x->r->model[x->row], a);
    if (!c || x->failed) return;
    uint16_t confidence = x->r->confidence_bin[x->row], latency = x->r->latency_bin[x->row];
    if (confidence != BIN_NONE) m->words += c->confidences[confidence]++ == 0;
    if (latency != BIN_NONE) m->words += c->latencies[latency]++ == 0;
}

/* ---- making one ---- */

static int64_t hour_of(int64_t time_us) {
    int64_t rest = time_us % SUMMARY_HOUR_US;
    return (int64_t)((uint64_t)time_us - (uint64_t)(rest < 0 ? rest + SUMMARY_HOUR_US : rest));
}

/* The rows that it is of; all of them, if all are suspect. */
static void choose_rows(const struct summary_rows *r, struct head *h) {
    h->end = r->rows;
    while (h->begin < r->rows && r->flags[h->begin] & ROW_CLOCK_SUSPECT) h->begin++;
    while (h->end > h->begin && r->flags[h->end - 1] & ROW_CLOCK_SUSPECT) h->end--;
    if (h->begin == h->end) h->begin = 0, h->end = r->rows;
    h->from_us = r->time_us[h->begin];
    h->to_us = r->time_us[h->end - 1];
}

static void add_rows(const struct summary_rows *r, const struct head *h, struct cells cells[SUMMARY_KINDS],
                     struct models *models, struct arena *a) {
    int64_t hour = hour_of(h->from_us);
    for (uint32_t row = h->begin; row < h->end; row++) {
        if (r->flags[row] & ROW_PARTIAL) continue;
        struct one x = row_of(r, row);
        if ((uint64_t)r->time_us[row] - (uint64_t)hour >= SUMMARY_HOUR_US) hour = hour_of(r->time_us[row]);
        add_row(cell_of(&cells[SUMMARY_HOURS], hour, r->model[row]), &x);
        add_row(cell_of(&cells[SUMMARY_DEVICES], r->device[row], r->model[row]), &x);
        add_to_classes(&cells[SUMMARY_CLASSES], &x);
        add_to_bins(models, &x, a);
    }
}

static uint32_t *put_bins(uint32_t *to, const uint32_t *counts, uint32_t bins, uint32_t *words) {
    for (uint32_t bin = 0; bin < bins; bin++)
        if (counts[bin]) *to++ = bin << 20 | counts[bin], ++*words;
    return to;
}

static void put_models(char *to, const struct models *m) {
    struct summary_model *list = (struct summary_model *)(void *)to;
    uint32_t *words = (uint32_t *)(void *)(list + m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        list[i].model = m->of[i]->model;
        words = put_bins(words, m->of[i]->confidences, CONFIDENCE_BINS, &list[i].confidences);
        words = put_bins(words, m->of[i]->latencies, LATENCY_BINS, &list[i].latencies);
    }
}

struct str summary_make(const struct summary_rows *r, struct arena *a) {
    struct cells cells[SUMMARY_KINDS] = {0};
    struct models models = {.count = 0};
    struct head head = {.form = FORM};
    size_t size = sizeof head, at = size;
    for (int k = 0; k < SUMMARY_KINDS; k++) cells_begin(&cells[k], a);
    choose_rows(r, &head);
    add_rows(r, &head, cells, &models, a);
    for (int k = 0; k < SUMMARY_KINDS; k++) {
        head.cells[k] = cells[k].too_many ? (uint32_t)LEFT_OUT : cells[k].count;
        if (cells[k].too_many) cells[k].count = 0;
        size += cells[k].count * sizeof *cells[k].list;
    }
    if (models.too_many || models.words > SUMMARY_BINS_MOST) {
        head.models = (uint32_t)LEFT_OUT;
    } else {
        head.models = models.count;
        head.bins = models.words;
        size += models.count * sizeof(struct summary_model) + models.words * sizeof(uint32_t);
    }
    char *bytes = arena_alloc(a, padded(size));
    memcpy(bytes, &head, sizeof head);
    for (int k = 0; k < SUMMARY_KINDS; k++) {
        memcpy(bytes + at, cells[k].list, cells[k].count * sizeof *cells[k].list);
        at += cells[k].count * sizeof *cells[k].list;
    }
    if (head.models != (uint32_t)LEFT_OUT) put_models(bytes + at, &models);
    return (struct str){bytes, padded(size)};
}

/* ---- reading one ---- */

bool summary_known(struct str bytes) {
    uint32_t form;
    memcpy(&form, bytes.p, sizeof form);
    return form == FORM;
}

bool summary_read(struct str bytes, struct summary *out) {
    struct head head;
    size_t at = sizeof head;
    *out = (struct summary){.model_count = 0};
    if (bytes.n < at) return false;
    memcpy(&head, bytes.p, at);
    if (head.form != FORM || head.begin >= head.end) return false;
    out->begin = head.begin;
    out->end = head.end;
    out->from_us = head.from_us;
    out->to_us = head.to_us;
    for (int k = 0; k < SUMMARY_KINDS; k++) {
        if (head.cells[k] == (uint32_t)LEFT_OUT) continue;
        if (head.cells[k] > SUMMARY_CELLS_MOST) return false;
        out->cells[k] = (const struct summary_cell *)(const void *)(bytes.p + at);
        out->counts[k] = head.cells[k];
        at += head.cells[k] * sizeof(struct summary_cell);
    }
    if (head.models != (uint32_t)LEFT_OUT) {
        if (head.models > SUMMARY_MODELS_MOST || head.bins > SUMMARY_BINS_MOST) return false;
        out->models = (const struct summary_model *)(const void *)(bytes.p + at);
        out->model_count = head.models;
        at += head.models * sizeof *out->models;
        out->bins = (const uint32_t *)(const void *)(bytes.p + at);
        out->bin_count = head.bins;
        at += head.bins * sizeof *out->bins;
    } else if (head.bins) {
        return false;
    }
    return padded(at) == bytes.n;
}

static bool bins_fit(const uint32_t *words, uint32_t count, uint32_t bins) {
    bool out = false;
    for (uint32_t i = 0; i < count; i++) out |= summary_bin(words[i]) >= bins;
    return !out;
}

bool summary_fits(const struct summary *s, const struct summary_limits *l) {
    const int64_t most[SUMMARY_KINDS] = {
        [SUMMARY_HOURS] = INT64_MAX, [SUMMARY_DEVICES] = l->devices, [SUMMARY_CLASSES] = l->classes};
    if (s->end > l->rows) return false;
    for (int k = 0; k < SUMMARY_KINDS; k++)
        for (uint32_t i = 0; i < s->counts[k]; i++) {
            const struct summary_cell *c = &s->cells[k][i];
            bool by = k == SUMMARY_HOURS ? c->by % SUMMARY_HOUR_US == 0 : c->by >= 0 && c->by <= most[k];
            if (!by || c->model > l->models || c->name > l->names) return false;
        }
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->model_count; i++) {
        const struct summary_model *m = &s->models[i];
        if (m->model > l->models || m->confidences > CONFIDENCE_BINS || m->latencies > LATENCY_BINS) return false;
        if (m->confidences + m->latencies > s->bin_count - at) return false;
        if (!bins_fit(s->bins + at, m->confidences, CONFIDENCE_BINS)) return false;
        if (!bins_fit(s->bins + at + m->confidences, m->latencies, LATENCY_BINS)) return false;
        at += m->confidences + m->latencies;
    }
    return at == s->bin_count;
}
