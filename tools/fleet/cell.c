#include "cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    DRAW_EVENT = 1,
    DRAW_TIME,
    DRAW_METADATA,
    DRAW_RESENT,
    DRAW_LATE,
    DRAW_NEVER,
    DRAW_REVIEW,
    DRAW_BEST,
    DRAW_FAILURE
};
#define NEVER (UINT64_C(1) << 62)
#define PIPELINE (UINT64_C(1) << 61)
enum { EVENT_BITS = 24 };

void cell_id(const struct world *w, uint64_t number, char out[DATA_ID]) { data_id(w->s->seed, number, out); }

static uint64_t number_of(const struct world *w, unsigned window, unsigned container) {
    return ((uint64_t)window * w->s->containers + container) << EVENT_BITS;
}

static uint64_t cell_draw(const struct world *w, const struct cell *cell, unsigned what) {
    return world_draw(w, what, number_of(w, cell->window, cell->c->number));
}

/* ---- inferences ---- */

/* What really lies before the camera: the product's own kind most of the time, sometimes a defect. */
static unsigned draw_class(const struct event *e, uint64_t r) {
    static const unsigned share[3] = {60, 25, 8};
    const struct model *m = &world_models[e->model];
    unsigned at = (unsigned)(r % 100), defects = 4 + e->product;
    if (m->classifies) return at < defects * 2;
    if (at < defects) return m->first_defect + (unsigned)(r >> 8) % 3 / 2;
    at = (unsigned)((r >> 16) % 93);
    for (unsigned k = 0; k < 3; k++) {
        if (at < share[(k + e->product) % 3]) return k;
        at -= share[(k + e->product) % 3];
    }
    return 2;
}

static uint16_t clamp(int v, int least) { return (uint16_t)(v < least ? least : v > 9990 ? 9990 : v); }

static void draw_detection(struct detection *d, unsigned code, uint16_t confidence, uint64_t r) {
    *d = (struct detection){.code = (uint8_t)code,
                            .confidence = confidence,
                            .x = (uint16_t)(200 + r % 880),
                            .y = (uint16_t)(150 + (r >> 12) % 420),
                            .width = (uint16_t)(40 + (r >> 24) % 220),
                            .height = (uint16_t)(40 + (r >> 36) % 220)};
}

static void draw_result(struct event *e, unsigned dirt, uint64_t r) {
    const struct model *m = &world_models[e->model];
    unsigned wrong_in_1000 = (e->version ? 25 : 70) + dirt / 6;
    bool wrong = (r >> 8) % 1000 < wrong_in_1000;
    unsigned code = wrong ? (e->expected + 1u) % m->classes : e->expected;
    int top = (e->version ? 9250 : 8850) + (int)((r >> 20) % 1200) - 600 - (wrong ? 1800 : 0) - (int)dirt * 35 / 10;
    e->latency = (uint16_t)(m->latency_ms10 + (r >> 32) % 80 - (e->version ? 20 : 0));
    if (m->classifies) {
        draw_detection(&e->d[0], code, clamp(top, 5100), r);
        draw_detection(&e->d[1], !code, (uint16_t)(10000 - e->d[0].confidence), r);
        e->count = 2;
        return;
    }
    e->count = (r >> 40) % 1000 < 30 + dirt / 8 ? 0 : (uint8_t)(1 + (r >> 52) % DETECTIONS_MOST);
    for (unsigned k = 0; k < e->count; k++) {
        uint64_t q = data_mix(r + k + 1);
        uint16_t less = (uint16_t)(e->d[0].confidence * (60 + q % 39) / 100);
        draw_detection(&e->d[k], k ? draw_class(e, data_mix(q)) : code, k ? less : clamp(top, 500), q);
    }
}

static void draw_event(const struct world *w, const struct cell *cell, size_t i, struct event *e) {
    const struct container *c = cell->c;
    uint64_t number = number_of(w, cell->window, c->number) + i, r = world_draw(w, DRAW_EVENT, number);
    int64_t each = world_length(w, cell->window) / (int64_t)cell->count;
    int64_t us = world_start(w, cell->window) + each * (int64_t)i;
    us += (int64_t)(world_draw(w, DRAW_TIME, number) % (uint64_t)(each > 1 ? each : 1));
    *e = (struct event){.number = number, .time_us = us + c->skew_us, .camera = (uint8_t)(i % w->s->cameras)};
    e->model = (uint8_t)world_model(c, e->camera);
    e->version = (uint8_t)world_version(w, c, e->model, us);
    e->product = (uint8_t)world_product(w, c, us);
    e->shift = (uint8_t)world_shift(us);
    e->staff = (uint8_t)world_operator(w, c, us);
    e->expected = (uint8_t)draw_class(e, data_mix(r));
    draw_result(e, world_dirt(w, c, e->camera, us), r);
    e->tells_latency = c->full || e->count;
    e->with_metadata = world_draw(w, DRAW_METADATA, number) % 100 < w->s->metadata_percent;
}

static size_t count_of(const struct world *w, unsigned window, unsigned container) {
    const uint64_t *before = &w->events_before[(size_t)window * w->s->containers + container];
    return (size_t)(before[1] - before[0]);
}

void cell_make(struct cell *cell, const struct world *w, unsigned window, unsigned container) {
    cell->window = window;
    cell->c = &w->containers[container];
    cell->alive = world_alive(w, cell->c, window);
    cell->count = count_of(w, window, container);
    if (cell->count > cell->room)
        cell->events = mem_resize(cell->events, (cell->room = cell->count * 2) * sizeof *cell->events);
    for (size_t i = 0; i < cell->count; i++) draw_event(w, cell, i, &cell->events[i]);
}

void cell_free(struct cell *cell) {
    free(cell->events);
    *cell = (struct cell){0};
}

const char *cell_class(const struct event *e, unsigned detection) {
    return world_models[e->model].class_names[e->d[detection].code];
}

size_t cell_resent(const struct world *w, const struct cell *cell) {
    uint64_t r = cell_draw(w, cell, DRAW_RESENT);
    if (!cell->alive || cell->window == 0 || r % 4) return 0;
    size_t had = count_of(w, cell->window - 1, cell->c->number), n = 1 + (r >> 8) % 3;
    return n < had ? n : had;
}

/* ---- metadata ---- */

static bool is_late(const struct world *w, const struct cell *cell) {
    return !cell->c->early && cell->window + LATE_WINDOWS < w->history && cell_draw(w, cell, DRAW_LATE) % 16 == 0;
}

static const char *field_name(const struct container *c, enum field f) {
    static const char *const names[FIELDS] = {"serial_number", "expected", "result",  "plant", "line",  "shift",
                                              "operator",      NULL,       "product", NULL,    "review"};
    if (f == FIELD_CAMERA) return c->hostile ? world_hostile : "camera_location";
    if (f == FIELD_LOCATION) return c->number == 2 ? "my_location" : "My_location";
    return names[f];
}

/* The number by which equal values of a field are known; -1: this inference has none. */
static int value_code(const struct container *c, const struct event *e, enum field f) {
    if (!e->with_metadata) return -1;
    switch (f) {
    case FIELD_SERIAL: return c->line == 3 ? -1 : 0;              /* each its own */
    case FIELD_EXPECTED: return e->model * CLASSES + e->expected; /* of any model on this container */
    case FIELD_RESULT: return e->expected >= world_models[e->model].first_defect;
    case FIELD_SHIFT: return e->shift;
    case FIELD_OPERATOR: return e->staff;
    case FIELD_CAMERA: return e->camera;
    case FIELD_PRODUCT: return e->product;
    case FIELD_LOCATION: return c->number == 2 || c->number == 3 ? 0 : -1;
    default: return 0;
    }
}

static void value_text(const struct container *c, const struct event *e, enum field f, char out[NAME]) {
    switch (f) {
    case FIELD_SERIAL: snprintf(out, NAME, "SN%015llu", (unsigned long long)e->number); break;
    case FIELD_EXPECTED: snprintf(out, NAME, "%s", world_models[e->model].class_names[e->expected]); break;
    case FIELD_RESULT: snprintf(out, NAME, "%s", value_code(c, e, f) ? "fail" : "pass"); break;
    case FIELD_LINE: snprintf(out, NAME, "line-%u", c->line); break;
    case FIELD_SHIFT: snprintf(out, NAME, "%s", world_shifts[e->shift]); break;
    case FIELD_OPERATOR: snprintf(out, NAME, "operator-%02u%s", e->staff + 1u, c->hostile ? world_hostile : ""); break;
    case FIELD_CAMERA:
        snprintf(out, NAME, "%s, %s", world_plants[c->plant], e->camera % 2 ? "outfeed" : "infeed");
        break;
    case FIELD_PRODUCT: snprintf(out, NAME, "%s", world_products[e->product]); break;
    case FIELD_REVIEW:
        snprintf(out, NAME, "%s", e->count && e->d[0].code == e->expected ? "correct" : "incorrect");
        break;
    default: snprintf(out, NAME, "%s", world_plants[c->plant]);
    }
}

static struct write *add_write(struct writes *out, uint64_t number, const struct container *c, enum field f) {
    if (out->count == out->room)
        out->list = mem_resize(out->list, (out->room = out->room ? out->room * 2 : 256) * sizeof *out->list);
    struct write *x = &out->list[out->count++];
    *x = (struct write){.number = number, .field = (uint8_t)f, .name = field_name(c, f)};
    return x;
}

/* One value after the other, each with all that have it. */
static void add_field(struct writes *out, const struct cell *cell, enum field f, bool waits) {
    uint64_t told = 0;
    for (size_t first = 0; first < cell->count; first++) {
        int code = value_code(cell->c, &cell->events[first], f);
        char value[NAME];
        if (code < 0 || told & UINT64_C(1) << code) continue;
        value_text(cell->c, &cell->events[first], f, value);
        for (size_t i = first; i < cell->count; i++) {
            const struct event *e = &cell->events[i];
            if (value_code(cell->c, e, f) != code) continue;
            struct write *x = add_write(out, e->number, cell->c, f);
            x->waits = waits;
            if (f == FIELD_SERIAL)
                value_text(cell->c, e, f, x->value);
            else
                memcpy(x->value, value, NAME);
        }
        told |= UINT64_C(1) << code;
    }
}

/* Parts that were given a serial number and never came before a camera. */
static void add_never(struct writes *out, const struct world *w, const struct cell *cell) {
    uint64_t r = cell_draw(w, cell, DRAW_NEVER);
    size_t n = (cell->count + r % 100) / 100;
    if (!w->s->metadata_percent) return;
    for (unsigned f = FIELD_SERIAL; f <= FIELD_RESULT; f += FIELD_RESULT)
        for (size_t i = 0; i < n; i++) {
            uint64_t number = NEVER | (number_of(w, cell->window, cell->c->number) + i);
            struct write *x = add_write(out, number, cell->c, f);
            x->waits = x->never = true;
            if (f == FIELD_SERIAL)
                snprintf(x->value, NAME, "SX%015llu", (unsigned long long)(number ^ NEVER));
            else
                snprintf(x->value, NAME, "fail");
        }
}

/* People look at what the model was least sure of, and at a few others. */
static void add_reviews(struct writes *out, const struct world *w, const struct cell *cell) {
    if (cell_draw(w, cell, DRAW_REVIEW) % 3) return;
    for (unsigned correct = 0; correct < 2; correct++)
        for (size_t i = 0; i < cell->count; i++) {
            const struct event *e = &cell->events[i];
            bool unsure = !e->count || e->d[0].confidence < 6500;
            char value[NAME];
            if (!e->with_metadata || (!unsure && world_draw(w, DRAW_REVIEW, e->number) % 25)) continue;
            value_text(cell->c, e, FIELD_REVIEW, value);
            if ((value[0] == 'c') != correct) continue;
            memcpy(add_write(out, e->number, cell->c, FIELD_REVIEW)->value, value, NAME);
        }
}

void cell_writes(struct writes *out, const struct world *w, const struct cell *cell, enum step step) {
    bool late = is_late(w, cell), early = cell->c->early;
    out->count = 0;
    if (step == STEP_EARLY ? early : step == STEP_AFTER ? !early && !late : late)
        for (unsigned f = 0; f < FIELD_REVIEW; f++) add_field(out, cell, f, step == STEP_EARLY);
    if (step == STEP_AFTER) add_never(out, w, cell);
    if (step == STEP_LATE) add_reviews(out, w, cell);
}

void writes_free(struct writes *out) {
    free(out->list);
    *out = (struct writes){0};
}

/* ---- beside the reports ---- */

size_t cell_best(struct best out[BEST_MOST], const struct world *w, const struct cell *cell) {
    size_t n = 0;
    if (!cell->c->aggregates || !cell->alive) return 0;
    for (size_t i = 0; i < cell->count; i++) {
        const struct event *e = &cell->events[i];
        for (unsigned k = 0; k < e->count && !world_models[e->model].classifies; k++) {
            size_t at = 0;
            while (at < n &&
                   (out[at].model != e->model || out[at].version != e->version || out[at].code != e->d[k].code))
                at++;
            if (at < n && out[at].confidence >= e->d[k].confidence) continue;
            out[at] = (struct best){e->number, e->model, e->version, e->d[k].code, e->d[k].confidence, false};
            n += at == n;
        }
    }
    uint64_t r = cell_draw(w, cell, DRAW_BEST);
    if (cell->count && r % 4 == 0)
        out[n++] = (struct best){PIPELINE | number_of(w, cell->window, cell->c->number),
                                 0,
                                 0,
                                 (unsigned)(r >> 8) % 3,
                                 (uint16_t)(6000 + (r >> 16) % 3500),
                                 true};
    return n;
}

bool cell_failure(struct failure *out, const struct world *w, const struct cell *cell) {
    static const struct failure kinds[] = {
        {.type = "InputImageLoadError", .text = "Could not load input image.", .status = 400},
        {.type = "TimeoutError", .text = "The camera did not answer.", .status = 500},
        {.type = "OutOfMemoryError", .text = "The runtime could not allocate memory.", .status = 500},
    };
    uint64_t r = cell_draw(w, cell, DRAW_FAILURE);
    unsigned share = cell->c->number == 4 ? 12 : 60;
    if (!cell->count || r % share) return false;
    const struct event *e = &cell->events[(r >> 8) % cell->count];
    *out = kinds[(r >> 24) % 7 < 4 ? 0 : (r >> 24) % 7 < 6 ? 1 : 2];
    out->time_us = e->time_us;
    out->count = 1 + (unsigned)(r >> 32) % 4;
    out->model = e->model;
    out->version = e->version;
    out->again = (r >> 40) % 8 == 0;
    if (cell->c->hostile) out->text = world_hostile;
    return true;
}
