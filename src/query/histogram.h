/* Sums and quantiles of many numbers, in little memory. One thread each. */
#pragma once
#include <math.h>
#include <stdint.h>

#include "base/mem.h"

/* A sum that keeps what rounding takes away (Neumaier 1974): exact to the last digits for any number of terms. */
struct sum {
    double total, rest;
};

static inline void sum_add(struct sum *s, double v) {
    double t = s->total + v;
    s->rest += fabs(s->total) >= fabs(v) ? (s->total - t) + v : (v - t) + s->total;
    s->total = t;
}
static inline double sum_value(struct sum s) { return s.total + s.rest; }

/* Counts by value. A quantile is off by at most
 *   0.0005 of confidences, which lie in 0..1: a bin around each thousandth, so that those of three decimals are exact;
 *   1 % of latencies from 1 us to 36 h: each doubling in 64 bins, so at most 1/128 from a bin's middle to its ends.
 * What lies outside counts in the first or last bin. */
enum scale { SCALE_CONFIDENCE, SCALE_LATENCY };
enum {
    CONFIDENCE_STEPS = 1000,
    CONFIDENCE_BINS = CONFIDENCE_STEPS + 1,
    LATENCY_LEAST = -20,
    LATENCY_MOST = 17,
    LATENCY_BINS = (LATENCY_MOST - LATENCY_LEAST) * 64
};

struct histogram {
    enum scale scale;
    uint64_t n;
    double low, high; /* the least and the greatest added */
    uint32_t *bins;
};

void histogram_init(struct histogram *h, enum scale scale, struct arena *a);
void histogram_add(struct histogram *h, double v);

/* As if sorted and read at q of the way, between two values in proportion; NAN when nothing was added. */
double histogram_quantile(const struct histogram *h, double q);
