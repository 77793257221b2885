/* Time: microseconds since 1970 UTC (`_us`), and RFC 3339 text. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

int64_t clock_now_us(void);  /* wall clock */
int64_t clock_mono_us(void); /* monotonic, for durations and deadlines */

enum { CLOCK_TEXT = 96 };
/* "2026-11-21T19:39:09.108638Z"; returns out. */
const char *clock_format(int64_t us, char out[CLOCK_TEXT]);

/* RFC 3339 with 'T' or a space, 0 to 9 decimals, and 'Z', an offset, or nothing (read as UTC). The date alone is its
 * midnight. False for anything else, dates that do not exist included. */
bool clock_parse(struct str text, int64_t *us);
