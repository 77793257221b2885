/* The bins that confidences and latencies are counted in, for quantiles and charts. A segment stores them beside the
 * numbers, so they are part of the file format and never change. A quantile read from counts is off by at most
 *   0.0005 of confidences, which lie in 0..1: a bin around each thousandth, so that those of three decimals are exact;
 *   1 % of latencies from 1 us to 36 h: each doubling in 64 bins, so at most 1/128 from a bin's middle to its ends.
 * What lies outside counts in the first or last bin. Any thread. */
#pragma once
#include <math.h>
#include <stdint.h>

enum {
    CONFIDENCE_STEPS = 1000,
    CONFIDENCE_BINS = CONFIDENCE_STEPS + 1,
    LATENCY_LEAST = -20, /* powers of two, seconds */
    LATENCY_MOST = 17,
    LATENCY_BINS = (LATENCY_MOST - LATENCY_LEAST) * 64,
    BIN_NONE = UINT16_MAX, /* of NAN */
};

uint16_t confidence_bin(double v);
uint16_t latency_bin(double seconds);

/* The value in the middle of a bin. */
double confidence_of_bin(uint16_t bin);
double latency_of_bin(uint16_t bin);
