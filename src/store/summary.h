/* The summary of a segment: what its rows come to by hour, by device and by class, each by model, and how many have
 * which confidence and latency. It stands in the segment's file (docs/segments.md has it to the byte), is made with it
 * and goes with it. A question that takes all rows of a segment, or of whole hours of it, can be answered from here;
 * nothing depends on it to be right.
 *
 * It is of the rows between the first and the last whose clock is not suspect: those before and behind are few, and
 * would make the time that it speaks of a year long. Rows from partial sources are not in it. Only such rows are ever
 * hidden, so it stays true whatever is hidden later; and as there is no metadata in it, it stays true whatever is
 * attached.
 *
 * Any thread; what is read lies in the segment's mapping, and is read under a guard. Times in microseconds since 1970,
 * latencies in seconds. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

#define SUMMARY_HOUR_US INT64_C(3600000000)

/* A kind that would have more is left out, so that no summary is larger than what it spares. */
enum { SUMMARY_CELLS_MOST = 2048, SUMMARY_MODELS_MOST = 64, SUMMARY_BINS_MOST = 32768 };

/* What cells are by, beside the model. */
enum summary_kind { SUMMARY_HOURS, SUMMARY_DEVICES, SUMMARY_CLASSES, SUMMARY_KINDS };

/* Codes are those of the segment's columns, 0 is none. As everywhere failed inferences are counted, and have no
 * confidence, latency and detections. In a cell of a class stands what concerns its detections: these and their
 * confidence; an inference once, whatever number of them it has, in all else but row_latency; of class 0 also
 * inferences without any detection; failed ones nowhere. Least and most are 0 where there is nothing. */
struct summary_cell {
    int64_t by; /* where the hour begins; or a code */
    uint32_t model;
    uint32_t name; /* of the model, of the newest row that has one; 0: none has */
    uint32_t inferences, errors, empty, detections;
    uint32_t confidences, latencies; /* how many are known */
    double confidence, least_confidence, most_confidence;
    double row_confidence; /* as Model Monitoring counts: over detections, unknown is 0; of a class nothing */
    double latency, least_latency, most_latency;
    double row_latency; /* the same: an inference's as often as it has detections, once when it has none */
    int64_t first_us, last_us;
    int64_t named_us; /* the row that `name` is of */
    uint64_t named_seq;
};
_Static_assert(sizeof(struct summary_cell) == 136, "a cell has no padding");

/* How many inferences of a model have which bin (record/bins.h) of top confidence, then of latency; each one word:
 * summary_bin and summary_count. */
struct summary_model {
    uint32_t model, confidences, latencies, unused;
};
static inline uint32_t summary_bin(uint32_t word) { return word >> 20; }
static inline uint32_t summary_count(uint32_t word) { return word & 0xfffff; }

struct summary {
    uint32_t begin, end;                             /* of these rows of the segment, `begin` included */
    int64_t from_us, to_us;                          /* the times of the first and the last of them */
    const struct summary_cell *cells[SUMMARY_KINDS]; /* NULL: left out */
    uint32_t counts[SUMMARY_KINDS];
    const struct summary_model *models; /* NULL: left out, with the bins */
    uint32_t model_count;
    const uint32_t *bins; /* of each model in turn */
    uint32_t bin_count;
};

/* Columns of a segment, sorted as it is, or is to be. */
struct summary_rows {
    uint32_t rows;
    const int64_t *time_us;
    const uint64_t *seq;
    const uint8_t *flags;
    const double *latency, *confidence;
    const uint16_t *latency_bin, *confidence_bin;
    const uint32_t *model, *name, *device;
    const uint32_t *first; /* detection of a row, one more than rows */
    const uint32_t *classes;
    const double *confidences;
};

/* Its bytes, in the arena, a multiple of 64: the same for the same rows. */
struct str summary_make(const struct summary_rows *r, struct arena *a);

/* Whether it is of the form that is made and read here; what is of another one is none. */
bool summary_known(struct str bytes);

/* Finds its parts, which lie in `bytes`. False: it is none. */
bool summary_read(struct str bytes, struct summary *out);

/* Whether codes and bins lie within their dictionaries and ranges. */
struct summary_limits {
    uint32_t rows, models, names, devices, classes; /* rows below, codes up to these */
};
bool summary_fits(const struct summary *s, const struct summary_limits *l);
