/* What the data must answer, computed from the generator alone, and the data as text for engines that load files. */
#pragma once
#include "base/err.h"
#include "options.h"

/* One JSON object: how often each field stands there, and for each filter of the W3 questions and each of the two
 * halves of the 90 days, per model and class: inferences, detections, sums, median confidence, 95th percentile of
 * latency. Confidences are in 1/10000, latencies in ms, so that the sums are exact. */
bool truth_print(const struct options *o, struct err *e);

/* CSV with a head line; classes (as numbers) and confidences as lists, metadata as columns. No boxes. */
bool truth_rows(const struct options *o, struct err *e);
