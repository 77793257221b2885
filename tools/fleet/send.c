#include "send.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "drive.h"

enum { TAKEN = INT_MAX };

/* Where a connection is, and what it waits for the answer of. */
struct place {
    unsigned window, container;
    enum step next, step; /* the one to come; that of the request in flight */
    bool holds, repeated;
    uint64_t items, resent;
    struct cell cell, other;
    struct writes writes;
};

struct run {
    const struct wire *wire;
    unsigned end;   /* the window to stop before */
    unsigned *next; /* by container: the window it comes to, or TAKEN by a connection */
    struct place *places;
    struct sent *sent;
};

/* ---- what comes next ---- */

static bool build_writes(struct run *r, struct place *p, struct drive_connection *c, const struct cell *cell) {
    cell_writes(&p->writes, r->wire->w, cell, p->step);
    if (!p->writes.count) return false;
    p->items = p->writes.count;
    wire_metadata(r->wire, &c->out, &c->body, &p->writes, p->step == STEP_EARLY);
    r->sent->writes += p->items;
    return true;
}

static bool build_report(struct run *r, struct place *p, struct drive_connection *c) {
    const struct world *w = r->wire->w;
    if (!p->cell.alive) return false;
    p->resent = cell_resent(w, &p->cell);
    if (p->resent) cell_make(&p->other, w, p->window - 1, p->container);
    p->items = p->cell.count + p->resent;
    wire_report(r->wire, &c->out, &c->body, &p->cell, &p->other, p->resent);
    r->sent->inferences += p->cell.count;
    r->sent->resent += p->resent;
    return true;
}

static bool build_usage(struct run *r, struct place *p, struct drive_connection *c) {
    struct failure f;
    if (!cell_failure(&f, r->wire->w, &p->cell)) return false;
    if (f.again && !p->repeated)
        p->repeated = true, p->next = STEP_USAGE;
    else
        r->sent->failures += f.count;
    wire_usage(r->wire, &c->out, &c->body, &p->cell, &f);
    return true;
}

static bool build_step(struct run *r, struct place *p, struct drive_connection *c) {
    struct best best[BEST_MOST];
    size_t n;
    switch (p->step) {
    case STEP_AGGREGATE:
        if ((n = cell_best(best, r->wire->w, &p->cell))) wire_aggregate(r->wire, &c->out, &c->body, &p->cell, best, n);
        return n > 0;
    case STEP_REPORT: return build_report(r, p, c);
    case STEP_USAGE: return build_usage(r, p, c);
    case STEP_LATE:
        if (p->window < LATE_WINDOWS) return false;
        cell_make(&p->other, r->wire->w, p->window - LATE_WINDOWS, p->container);
        return build_writes(r, p, c, &p->other);
    default: return build_writes(r, p, c, &p->cell);
    }
}

/* Leaves its container to others, and takes the one that is farthest behind. */
static bool take_cell(struct run *r, struct place *p) {
    const struct world *w = r->wire->w;
    unsigned best = p->container;
    if (p->holds) r->next[p->container] = p->window + 1;
    for (unsigned c = 0; c < w->s->containers; c++)
        if (r->next[c] < r->next[best]) best = c;
    p->holds = r->next[best] < r->end;
    if (!p->holds) return false;
    p->container = best;
    p->window = r->next[best];
    r->next[best] = TAKEN;
    p->next = STEP_EARLY;
    p->repeated = false;
    cell_make(&p->cell, w, p->window, p->container);
    return true;
}

static bool build(void *arg, struct drive_connection *c) {
    struct run *r = arg;
    struct place *p = &r->places[c->number];
    for (;;) {
        if (p->next == STEPS && !take_cell(r, p)) return false;
        p->step = p->next++;
        if (build_step(r, p, c)) break;
    }
    r->sent->requests++;
    return true;
}

/* ---- what was answered ---- */

static uint64_t number_after(struct str body, const char *name) {
    const char *p = memmem(body.p, body.n, name, strlen(name));
    uint64_t v = 0;
    for (p = p ? p + strlen(name) : body.p + body.n; p < body.p + body.n && *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return v;
}

static bool take_report(struct run *r, const struct place *p, struct str body) {
    uint64_t had = number_after(body, "\"created\":") + number_after(body, "\"unchanged\":");
    r->sent->acknowledged += had < p->resent ? 0 : had - p->resent;
    return had == p->items;
}

static bool take_answer(void *arg, struct drive_connection *c, const struct answer *a, int64_t latency_us,
                        struct tally *t) {
    struct run *r = arg;
    const struct place *p = &r->places[c->number];
    bool ok = a->status == 200;
    t->requests++;
    tally_latency(t, latency_us);
    if (a->status == 401 || a->status == 403 || a->status == 404) return false; /* as will be all others */
    if (ok && p->step == STEP_REPORT) ok = take_report(r, p, a->body);
    if (ok && p->step == STEP_AGGREGATE) ok = number_after(a->body, "\"set_aside\":") == 0;
    if (p->step == STEP_EARLY || p->step == STEP_AFTER || p->step == STEP_LATE) {
        ok = ok && str_is(str_trim(a->body), "{\"status\":\"ok\"}");
        if (ok) r->sent->attached += p->items;
    }
    if (ok) return true;
    if (!r->sent->refused++)
        snprintf(r->sent->first_refusal, sizeof r->sent->first_refusal, "%d %.*s", a->status,
                 (int)(a->body.n < 250 ? a->body.n : 250), a->body.p);
    return true;
}

/* ---- windows ---- */

/* Windows first to end - 1; everything a window's cells send comes after what the same containers sent before. */
static bool run_windows(struct sent *sent, const struct wire *wire, unsigned first, unsigned end, struct err *e) {
    static const struct drive_kind kind = {.build = build, .accept = take_answer, .endless = true};
    const struct settings *s = wire->w->s;
    struct options o = {.url = s->url, .connections = s->connections, .threads = 1};
    struct run r = {wire, end, mem_zero(s->containers, sizeof(unsigned)),
                    mem_zero(s->connections, sizeof(struct place)), sent};
    struct tally t;
    int64_t started = 0;
    for (unsigned i = 0; i < s->containers; i++) r.next[i] = first;
    for (unsigned i = 0; i < s->connections; i++) r.places[i].next = STEPS;
    bool ok = drive(&o, &kind, &r, &t, &started, e);
    if (started && t.ended_us > started) sent->seconds += (double)(t.ended_us - started) / 1e6;
    sent->again += t.refused;
    for (unsigned i = 0; i < s->connections; i++) {
        cell_free(&r.places[i].cell);
        cell_free(&r.places[i].other);
        writes_free(&r.places[i].writes);
    }
    free(r.places);
    free(r.next);
    tally_free(&t);
    return ok;
}

bool send_all(struct sent *out, const struct wire *wire, struct err *e) {
    const struct world *w = wire->w;
    *out = (struct sent){0};
    bool ok = run_windows(out, wire, 0, w->history + 1, e);
    for (unsigned window = w->history + 1; ok && window < w->windows; window++) {
        int64_t over = world_start(w, window) + world_length(w, window);
        struct timespec at = {over / SECOND, over % SECOND * 1000};
        while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR) continue;
        ok = run_windows(out, wire, window, window + 1, e);
    }
    return ok;
}
