#include "http/tally.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

/* Upper bounds of the histogram: from what an attach takes to what a client still waits for. */
static const struct {
    int64_t us;
    const char *s;
} bounds[] = {{500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
              {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
              {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"}};

enum { BOUNDS = sizeof bounds / sizeof *bounds, STATUSES = 400 };

struct cell {
    _Atomic uint64_t statuses[STATUSES]; /* from 200; pages that no status touches take no memory */
    _Atomic uint64_t times[BOUNDS + 1];
    _Atomic uint64_t sum_us;
};

struct tally {
    size_t routes;
    struct cell cells[]; /* one a route, and one for what is none */
};

struct tally *tally_new(size_t routes) {
    struct tally *t = mem_zero(1, sizeof *t + (routes + 1) * sizeof *t->cells);
    t->routes = routes;
    return t;
}

void tally_free(struct tally *t) { free(t); }

/* There is one who writes, so no more than this. */
static void add(_Atomic uint64_t *to, uint64_t n) {
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void tally_count(struct tally *t, size_t route, int status, int64_t took_us) {
    size_t i = 0;
    CHECK(route <= t->routes && status >= 200 && status < 200 + STATUSES);
    while (i < BOUNDS && took_us > bounds[i].us) i++;
    add(&t->cells[route].statuses[status - 200], 1);
    add(&t->cells[route].times[i], 1);
    add(&t->cells[route].sum_us, (uint64_t)took_us);
}

/* The same number of every worker, added up. */
static uint64_t sum(struct tally *const *tallies, size_t count, size_t route, size_t offset) {
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const char *cell = (const char *)&tallies[i]->cells[route];
        n += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(cell + offset), memory_order_relaxed);
    }
    return n;
}
#define SUM(member) sum(tallies, count, route, offsetof(struct cell, member))

/* As the documents write a pattern: "/:workspace/x" is "/{workspace}/x". */
static void write_labels(const struct route *route, struct buf *to) {
    buf_printf(to, "{method=\"%s\",handler=\"", route ? route->method : "any");
    for (const char *p = route ? route->pattern : "none"; *p; p++) {
        if (*p == ':') {
            buf_addc(to, '{');
            while (p[1] && p[1] != '/') buf_addc(to, *++p);
            buf_addc(to, '}');
        } else if (*p == '*') {
            buf_addz(to, "{path}");
        } else {
            buf_addc(to, *p);
        }
    }
    buf_addc(to, '"');
}

void tally_write(struct tally *const *tallies, size_t count, const struct route *routes, size_t route_count,
                 struct buf *to) {
    struct buf labels = {0};
    buf_addz(to, "# HELP http_requests_total Requests answered\n# TYPE http_requests_total counter\n");
    for (size_t route = 0; route <= route_count; route++) {
        labels.n = 0;
        write_labels(route < route_count ? &routes[route] : NULL, &labels);
        for (size_t s = 0; s < STATUSES; s++) {
            uint64_t n = SUM(statuses[s]);
            if (n)
                buf_printf(to, "http_requests_total" STR_FMT ",status=\"%zu\"} %" PRIu64 "\n",
                           STR_ARG(buf_str(&labels)), 200 + s, n);
        }
    }
    buf_addz(to, "# HELP http_request_duration_seconds From the first line of a request to its answer\n"
                 "# TYPE http_request_duration_seconds histogram\n");
    for (size_t route = 0; route <= route_count; route++) {
        uint64_t all = 0, times[BOUNDS + 1];
        for (size_t i = 0; i <= BOUNDS; i++) all += times[i] = SUM(times[i]);
        if (all == 0) continue;
        labels.n = 0;
        write_labels(route < route_count ? &routes[route] : NULL, &labels);
        uint64_t below = 0;
        for (size_t i = 0; i < BOUNDS; i++)
            buf_printf(to, "http_request_duration_seconds_bucket" STR_FMT ",le=\"%s\"} %" PRIu64 "\n",
                       STR_ARG(buf_str(&labels)), bounds[i].s, below += times[i]);
        buf_printf(to, "http_request_duration_seconds_bucket" STR_FMT ",le=\"+Inf\"} %" PRIu64 "\n",
                   STR_ARG(buf_str(&labels)), all);
        buf_printf(to, "http_request_duration_seconds_sum" STR_FMT "} %.6f\n", STR_ARG(buf_str(&labels)),
                   (double)SUM(sum_us) / 1e6);
        buf_printf(to, "http_request_duration_seconds_count" STR_FMT "} %" PRIu64 "\n", STR_ARG(buf_str(&labels)), all);
    }
    buf_free(&labels);
}
