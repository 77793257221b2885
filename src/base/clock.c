#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now_us(void) { return read_clock(CLOCK_REALTIME); }
int64_t clock_mono_us(void) { return read_clock(CLOCK_MONOTONIC); }

const char *clock_format(int64_t us, char out[CLOCK_TEXT]) {
    int64_t sec = us / 1000000, part = us % 1000000;
    if (part < 0) part += 1000000, sec--;
    time_t t = (time_t)sec;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) tm = (struct tm){.tm_mday = 1, .tm_year = 70};
    snprintf(out, CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (int)part);
    return out;
}

/* Exactly `digits` decimal digits at s->p; moves s behind them. */
static bool number(struct str *s, size_t digits, int *out) {
    if (s->n < digits) return false;
    *out = 0;
    for (size_t i = 0; i < digits; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') return false;
        *out = *out * 10 + (s->p[i] - '0');
    }
    *s = str_from(*s, digits);
    return true;
}

static bool skip(struct str *s, const char *any_of) {
    if (s->n == 0 || s->p[0] == '\0' || !strchr(any_of, s->p[0])) return false;
    *s = str_from(*s, 1);
    return true;
}

static int days_in(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool zone(struct str *s, int64_t *offset_s) {
    *offset_s = 0;
    if (s->n == 0 || skip(s, "Zz")) return true;
    bool minus = s->p[0] == '-';
    int h, m = 0;
    if (!skip(s, "+-") || !number(s, 2, &h)) return false;
    if (s->n && (skip(s, ":"), !number(s, 2, &m))) return false;
    if (h > 23 || m > 59) return false;
    *offset_s = (minus ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

bool clock_parse(struct str s, int64_t *us) {
    int year, month, day, h = 0, m = 0, sec = 0;
    int64_t part = 0, offset = 0;
    if (!number(&s, 4, &year) || !skip(&s, "-") || !number(&s, 2, &month) || !skip(&s, "-") || !number(&s, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in(year, month)) return false;
    if (s.n) {
        if (!skip(&s, "Tt ") || !number(&s, 2, &h) || !skip(&s, ":") || !number(&s, 2, &m)) return false;
        if (skip(&s, ":") && !number(&s, 2, &sec)) return false;
        if (h > 23 || m > 59 || sec > 60) return false;
        if (skip(&s, ".")) {
            int64_t unit = 100000;
            size_t digits = 0;
            for (; digits < 9 && s.n && s.p[0] >= '0' && s.p[0] <= '9'; digits++, unit /= 10, s = str_from(s, 1))
                part += unit * (s.p[0] - '0');
            if (digits == 0) return false;
        }
        if (!zone(&s, &offset)) return false;
    }
    if (s.n) return false;
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = h, .tm_min = m, .tm_sec = sec};
    *us = ((int64_t)timegm(&tm) - offset) * 1000000 + part;
    return true;
}
