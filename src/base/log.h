/* Logging to standard error: one line an event, `time=... level=... event=NAME key=value ...`, written with one
 * write(2), so lines of several threads never mix. Keys and pictures are never logged. Any thread. */
#pragma once
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level least);

/* fmt gives the `key=value` pairs. A value from outside goes through log_quote first. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Text from outside as a quoted value: at most 200 bytes, controls and quotes replaced. `out` is at least 204 bytes. */
enum { LOG_QUOTE = 204 };
const char *log_quote(char out[LOG_QUOTE], struct str text);
