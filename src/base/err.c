#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_set(struct err *e, enum err_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return false;
}

bool err_wrap(struct err *e, const char *fmt, ...) {
    char outer[sizeof e->msg], whole[2 * sizeof e->msg + 4];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(outer, sizeof outer, fmt, ap);
    va_end(ap);
    snprintf(whole, sizeof whole, "%s: %s", outer, e->msg);
    snprintf(e->msg, sizeof e->msg, "%.*s", (int)sizeof e->msg - 1, whole);
    return false;
}

bool err_errno(struct err *e, const char *fmt, ...) {
    int saved = errno;
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(e, saved == ENOSPC || saved == EDQUOT ? ERR_NO_SPACE : ERR_IO, "%s: %s", what, strerror(saved));
}

int err_status(enum err_code code) {
    static const int status[] = {
#define X(name, http, text) http,
        ERR_MAP(X)
#undef X
    };
    return status[code];
}

const char *err_name(enum err_code code) {
    static const char *const name[] = {
#define X(n, http, text) text,
        ERR_MAP(X)
#undef X
    };
    return name[code];
}
