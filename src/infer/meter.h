/* What GET /metrics tells: inferences, their time and failures over the last METER_WINDOW_S seconds, by account (a
 * workspace; nobody is told of another's) and model. Counted in one-second slots under a lock. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { METER_WINDOW_S = 10 };

struct meter;
struct meter *meter_new(void);
void meter_free(struct meter *m);

/* `pictures` inferences that took `seconds` together, or one failure. model empty: counts in the totals alone. */
void meter_done(struct meter *m, uint64_t account, struct str model, size_t pictures, double seconds, int64_t now_us);
void meter_failed(struct meter *m, uint64_t account, struct str model, int64_t now_us);

/* Appends the account's gauges as Prometheus reads them (text format 0.0.4), by the protocol's names (2.1): a model's
 * characters that no name may have are underscores. */
void meter_write(struct meter *m, uint64_t account, int64_t now_us, struct buf *out);
