#include "query/histogram.h"

#include <string.h>

static uint32_t bin_count(enum scale scale) { return scale == SCALE_CONFIDENCE ? CONFIDENCE_BINS : LATENCY_BINS; }

void histogram_init(struct histogram *h, enum scale scale, struct arena *a) {
    *h = (struct histogram){.scale = scale, .low = INFINITY, .high = -INFINITY};
    h->bins = arena_alloc(a, bin_count(scale) * sizeof *h->bins);
}

/* The upper bits of a double are its power of two and, below that, where it lies between that power and the next. */
enum { DOUBLE_BIAS = 1023, DOUBLE_FRACTION = 52, BIN_SHIFT = DOUBLE_FRACTION - 6 };

static uint32_t bin_of(enum scale scale, double v) {
    if (!(v > 0)) return 0;
    if (scale == SCALE_CONFIDENCE) return v < 1 ? (uint32_t)(v * CONFIDENCE_STEPS + 0.5) : CONFIDENCE_STEPS;
    uint64_t bits, least = (uint64_t)(DOUBLE_BIAS + LATENCY_LEAST) << 6;
    memcpy(&bits, &v, sizeof bits);
    bits >>= BIN_SHIFT;
    if (bits < least) return 0;
    return bits - least < LATENCY_BINS ? (uint32_t)(bits - least) : LATENCY_BINS - 1;
}

static double middle_of(enum scale scale, uint32_t bin) {
    if (scale == SCALE_CONFIDENCE) return (double)bin / CONFIDENCE_STEPS;
    return ldexp(1 + (bin % 64 + 0.5) / 64, LATENCY_LEAST + (int)(bin / 64));
}

void histogram_add(struct histogram *h, double v) {
    h->n++;
    h->bins[bin_of(h->scale, v)]++;
    if (v < h->low) h->low = v;
    if (v > h->high) h->high = v;
}

/* The k-th least of what was added, from 0. */
static double nth(const struct histogram *h, uint64_t k) {
    uint32_t bin = 0;
    for (uint64_t below = h->bins[0]; below <= k; below += h->bins[bin]) bin++;
    return fmin(fmax(middle_of(h->scale, bin), h->low), h->high);
}

double histogram_quantile(const struct histogram *h, double q) {
    if (h->n == 0) return NAN;
    double at = q * (double)(h->n - 1);
    uint64_t k = (uint64_t)at;
    double value = nth(h, k), part = at - (double)k;
    return part > 0 ? value + part * (nth(h, k + 1) - value) : value;
}
