#include "record/bins.h"

#include <string.h>

/* The upper bits of a double are its power of two and, below that, where it lies between that power and the next. */
enum { DOUBLE_BIAS = 1023, DOUBLE_FRACTION = 52, BIN_SHIFT = DOUBLE_FRACTION - 6 };

uint16_t confidence_bin(double v) {
    if (isnan(v)) return BIN_NONE;
    if (!(v > 0)) return 0;
    return v < 1 ? (uint16_t)(v * CONFIDENCE_STEPS + 0.5) : CONFIDENCE_STEPS;
}

uint16_t latency_bin(double seconds) {
    if (isnan(seconds)) return BIN_NONE;
    if (!(seconds > 0)) return 0;
    uint64_t bits, least = (uint64_t)(DOUBLE_BIAS + LATENCY_LEAST) << 6;
    memcpy(&bits, &seconds, sizeof bits);
    bits >>= BIN_SHIFT;
    if (bits < least) return 0;
    return bits - least < LATENCY_BINS ? (uint16_t)(bits - least) : LATENCY_BINS - 1;
}

double confidence_of_bin(uint16_t bin) { return (double)bin / CONFIDENCE_STEPS; }
double latency_of_bin(uint16_t bin) { return ldexp(1 + (bin % 64 + 0.5) / 64, LATENCY_LEAST + (int)(bin / 64)); }
