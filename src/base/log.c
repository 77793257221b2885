#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static enum log_level least_level = LOG_INFO;

void log_set_level(enum log_level least) { least_level = least; }

void log_event(enum log_level level, const char *event, const char *fmt, ...) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < least_level) return;
    char line[2048], when[CLOCK_TEXT];
    int n = snprintf(line, sizeof line, "time=%s level=%s event=%s ", clock_format(clock_now_us(), when), names[level],
                     event);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)n + (m > 0 ? (size_t)m : 0);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) { /* nowhere left to say it */
    }
}

const char *log_quote(char out[LOG_QUOTE], struct str text) {
    size_t n = text.n < 200 ? text.n : 200, at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        out[at++] = c < 0x20 || c == 0x7f || c == '"' || c == '\\' ? '?' : (char)c;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}
