#include "world.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data.h"

const struct model world_models[MODELS] = {
    {"bottle-inspection", false, 5, 3, {"bottle-clear", "bottle-green", "bottle-brown", "scratch", "missing-cap"}, 140},
    {"seal-check", true, 2, 1, {"ok", "defect"}, 60},
    {"screw-count", false, 5, 3, {"screw-m3", "screw-m4", "screw-m5", "bent", "no-thread"}, 230},
    {"carton-label", false, 5, 3, {"label-a", "label-b", "label-c", "torn", "unreadable"}, 180},
};
const char *const world_products[PRODUCTS] = {"P-100", "P-200", "P-310", "P-320"};
const char *const world_shifts[SHIFTS] = {"early", "late", "night"};
const char *const world_plants[PLANTS] = {"north", "south", "west"};
const char world_hostile[] = "<img src=x onerror=alert(1)>";

/* What draws are for, so that no two things follow the same one. */
enum { DRAW_OUTAGE = 100, DRAW_PRODUCT, DRAW_OPERATOR, DRAW_SERVER, DRAW_ROLLOUT };
enum { PRODUCT_HOURS = 12, MOST_CELLS = 20000000, REPORT_ITEMS = 50 };

uint64_t world_draw(const struct world *w, unsigned what, uint64_t number) {
    return data_mix(data_mix(w->s->seed * 128 + what) ^ number);
}

void world_model_id(unsigned model, unsigned version, char out[NAME]) {
    snprintf(out, NAME, "%s/%u", world_models[model].name, version + 1);
}

void world_camera(const struct container *c, unsigned camera, char out[NAME]) {
    snprintf(out, NAME, "line-%u/cam-%u%s", c->line, camera + 1, c->hostile ? world_hostile : "");
}

/* ---- what is when ---- */

int64_t world_start(const struct world *w, unsigned window) {
    if (window <= w->history) return w->begin_us + window * w->window_us;
    return w->s->now_us + (window - w->history - 1) * w->live_us;
}

int64_t world_length(const struct world *w, unsigned window) {
    return window < w->history ? w->window_us : window == w->history ? 0 : w->live_us;
}

unsigned world_shift(int64_t us) {
    int64_t hour = us % DAY / HOUR;
    return hour >= 6 && hour < 14 ? 0 : hour >= 14 && hour < 22 ? 1 : 2;
}

unsigned world_model(const struct container *c, unsigned camera) { return (c->number / 2 + camera) % MODELS; }

unsigned world_version(const struct world *w, const struct container *c, unsigned model, int64_t us) {
    return c->number % 2 == 0 && us >= w->rollout_us[model];
}

static uint64_t line_of(const struct container *c) { return c->plant * LINES + c->line; }

/* Each line changes its product at an hour of its own. */
static int64_t product_block(uint64_t line, int64_t us) { return (us / HOUR + (int64_t)(line * 5)) / PRODUCT_HOURS; }

unsigned world_product(const struct world *w, const struct container *c, int64_t us) {
    uint64_t line = line_of(c);
    return (unsigned)(world_draw(w, DRAW_PRODUCT, line << 32 ^ (uint64_t)product_block(line, us)) % PRODUCTS);
}

unsigned world_operator(const struct world *w, const struct container *c, int64_t us) {
    uint64_t shift = (uint64_t)((us - 6 * HOUR) / (8 * HOUR));
    return (unsigned)(world_draw(w, DRAW_OPERATOR, line_of(c) << 32 ^ shift) % OPERATORS);
}

unsigned world_dirt(const struct world *w, const struct container *c, unsigned camera, int64_t us) {
    if (c->number != 1 || camera != 0 || us < w->lens_us) return 0;
    int64_t so_far = us - w->lens_us, whole = w->s->now_us - w->lens_us;
    return so_far >= whole ? 1000 : (unsigned)(so_far * 1000 / whole);
}

static bool out_of_order(const struct world *w, const struct container *c, int64_t us) {
    int64_t day = us / DAY, hour = us % DAY / HOUR;
    uint64_t r = world_draw(w, DRAW_OUTAGE, (uint64_t)c->number << 32 ^ (uint64_t)day);
    int64_t from = (int64_t)(r >> 8) % 22, hours = 1 + (int64_t)(r >> 16) % 3;
    return r % 12 == 0 && hour >= from && hour < from + hours;
}

bool world_alive(const struct world *w, const struct container *c, unsigned window) {
    int64_t us = world_start(w, window);
    return us + world_length(w, window) <= c->silent_from_us && (window == w->history || !out_of_order(w, c, us));
}

/* How much is done, per second, in units of no meaning. */
static uint64_t pace(const struct container *c, int64_t us) {
    static const uint64_t of_shift[SHIFTS] = {100, 90, 45};
    unsigned weekday = (unsigned)((us / DAY + 3) % 7); /* 0 is Monday: 1 January 1970 was a Thursday */
    uint64_t at = of_shift[world_shift(us)];
    if (weekday == 6) at = c->plant == 2 ? 0 : at / 2;
    return at * (10 + c->number % 4);
}

/* ---- making ---- */

static void make_container(const struct world *w, struct container *c, unsigned number) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    const struct settings *s = w->s;
    unsigned char hash[crypto_hash_sha256_BYTES];
    uint64_t r = world_draw(w, DRAW_SERVER, number);
    char id[7] = "";
    *c = (struct container){.number = number, .plant = number % PLANTS, .line = number / PLANTS % LINES + 1};
    c->hostile = s->hostile && number == 0;
    c->version = number % 4 == 3 ? "1.4.2" : "1.5.0";
    c->full = number % 3 == 2;
    c->early = number % 4 == 1;
    c->aggregates = number % 6 == 5;
    c->skew_us = number % 5 == 2 ? 3 * MINUTE : number % 5 == 4 ? -130 * SECOND : 0;
    c->silent_from_us = INT64_MAX;
    if (s->containers > 2 && number == s->containers - 1) {
        c->silent_from_us = s->now_us / DAY * DAY - 2 * HOUR;
        c->skew_us = 0;
    }
    if (s->containers > 3 && number == s->containers - 2) c->skew_us = DAY;
    for (unsigned i = 0; i < 6; i++, r /= 36) id[i] = letters[r % 36];
    snprintf(c->device_id, NAME, "sim-%s-%02u%s", world_plants[c->plant], number, c->hostile ? world_hostile : "");
    snprintf(c->server_id, NAME, "sim-%s", id);
    snprintf(c->host, NAME, "sim-host-%02u", number);
    crypto_hash_sha256(hash, (const unsigned char *)c->host, strlen(c->host));
    snprintf(c->host_hash, sizeof c->host_hash, "%02x%02x%x", hash[0], hash[1], hash[2] >> 4);
}

/* Shares the events among the cells, as much to each as its pace and length ask for; what rounding leaves goes on to
 * the next, so that those before now are exactly as many as wanted. */
static bool share_events(struct world *w, struct err *e) {
    const struct settings *s = w->s;
    size_t cells = (size_t)w->windows * s->containers, old = (size_t)w->history * s->containers, i = 0;
    uint64_t sum = 0;
    w->events_before = mem_alloc((cells + 1) * sizeof *w->events_before);
    for (unsigned window = 0; window < w->windows; window++)
        for (unsigned c = 0; c < s->containers; c++) {
            w->events_before[i++] = sum;
            if (world_alive(w, &w->containers[c], window))
                sum += pace(&w->containers[c], world_start(w, window)) * (uint64_t)(world_length(w, window) / SECOND);
        }
    w->events_before[cells] = sum;
    uint64_t whole = w->events_before[old];
    if (!whole) return err_set(e, ERR_INVALID, "nobody works in that time: want more --days or --containers");
    for (i = 0; i <= cells; i++)
        w->events_before[i] = (uint64_t)((unsigned __int128)w->events_before[i] * s->events / whole);
    return true;
}

static void mark(struct world *w, const struct marker *m) {
    if (m->time_us < w->begin_us || m->time_us >= world_start(w, w->windows)) return;
    w->markers = mem_resize(w->markers, (w->marker_count + 1) * sizeof *w->markers);
    w->markers[w->marker_count++] = *m;
}

static int by_time(const void *a, const void *b) {
    const struct marker *x = a, *y = b;
    if (x->time_us != y->time_us) return x->time_us < y->time_us ? -1 : 1;
    return strcmp(x->text, y->text);
}

static void make_markers(struct world *w) {
    const struct settings *s = w->s;
    for (unsigned m = 0; m < MODELS; m++) {
        struct marker one = {.kind = MARKER_MODEL, .time_us = w->rollout_us[m]};
        world_model_id(m, 1, one.model_id);
        snprintf(one.text, sizeof one.text, "%s on half of the fleet", one.model_id);
        mark(w, &one);
    }
    struct marker lens = {MARKER_LENS, w->lens_us, "the lens begins to get dirty", "", ""};
    if (s->containers > 1) {
        memcpy(lens.device_id, w->containers[1].device_id, NAME);
        mark(w, &lens);
    }
    for (unsigned i = 0; i < s->containers && i < PLANTS * LINES; i++) {
        const struct container *c = &w->containers[i];
        uint64_t line = line_of(c);
        for (int64_t us = w->begin_us / HOUR * HOUR; us < world_start(w, w->windows); us += HOUR) {
            unsigned product = world_product(w, c, us);
            if (product_block(line, us) == product_block(line, us - HOUR) || product == world_product(w, c, us - HOUR))
                continue;
            struct marker one = {.kind = MARKER_CHANGEOVER, .time_us = us};
            snprintf(one.text, sizeof one.text, "%s, line-%u: %s", world_plants[c->plant], c->line,
                     world_products[product]);
            mark(w, &one);
        }
    }
    const struct container *last = &w->containers[s->containers - 1];
    if (last->silent_from_us != INT64_MAX) {
        struct marker one = {MARKER_SILENT, last->silent_from_us, "its last report", "", ""};
        memcpy(one.device_id, last->device_id, NAME);
        mark(w, &one);
    }
    if (w->marker_count) qsort(w->markers, w->marker_count, sizeof *w->markers, by_time);
}

bool world_make(struct world *w, const struct settings *s, struct err *e) {
    int64_t span = s->days * DAY,
            fair = (int64_t)((double)REPORT_ITEMS * s->containers * s->days * 86400 / (double)s->events);
    *w = (struct world){.s = s, .begin_us = s->now_us - span};
    fair = fair < 60 ? 60 : fair > 3600 ? 3600 : fair / 60 * 60;
    while (86400 % fair) fair -= 60; /* windows fill a day */
    w->window_us = fair * SECOND;
    w->live_us = s->interval_s * SECOND;
    w->history = (unsigned)(span / w->window_us);
    w->begin_us = s->now_us - w->history * w->window_us;
    w->windows = w->history + 1;
    if (s->realtime) w->windows += (unsigned)((s->seconds * SECOND + w->live_us - 1) / w->live_us);
    if ((uint64_t)w->windows * s->containers > MOST_CELLS)
        return err_set(e, ERR_INVALID, "more than %d reports: want fewer --days or --containers", MOST_CELLS);
    w->lens_us = w->begin_us + span / 10 * 4;
    for (unsigned m = 0; m < MODELS; m++) w->rollout_us[m] = (w->begin_us + span / 10 * (4 + m)) / HOUR * HOUR;
    w->containers = mem_zero(s->containers, sizeof *w->containers);
    for (unsigned i = 0; i < s->containers; i++) make_container(w, &w->containers[i], i);
    if (!share_events(w, e)) return false;
    make_markers(w);
    return true;
}

void world_free(struct world *w) {
    free(w->containers);
    free(w->events_before);
    free(w->markers);
    *w = (struct world){0};
}
