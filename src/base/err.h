/* What went wrong, for the one who asked. Functions that can fail return bool (or a pointer) and take a struct err
 * last; the caller adds where with err_wrap. The API layer turns code and text into the answer in one place. */
#pragma once
#include <stdbool.h>

/* name, HTTP status, name in answers and logs */
#define ERR_MAP(X)                           \
    X(NONE, 200, "none")                     \
    X(INVALID, 400, "invalid")               \
    X(UNAUTHORIZED, 401, "unauthorized")     \
    X(FORBIDDEN, 403, "forbidden")           \
    X(NOT_FOUND, 404, "not_found")           \
    X(METHOD, 405, "method_not_allowed")     \
    X(CONFLICT, 409, "conflict")             \
    X(TOO_LARGE, 413, "too_large")           \
    X(UNSUPPORTED, 415, "unsupported_type")  \
    X(UNPROCESSABLE, 422, "unprocessable")   \
    X(INTERNAL, 500, "internal")             \
    X(NOT_IMPLEMENTED, 501, "not_implemented") \
    X(UPSTREAM, 502, "upstream")             \
    X(BUSY, 503, "busy")                     \
    X(UPSTREAM_LATE, 504, "upstream_late")   \
    X(LOOP, 508, "loop")                     \
    X(UNKNOWN_OUTCOME, 503, "outcome_unknown") \
    X(NO_SPACE, 507, "no_space")             \
    X(IO, 500, "io")                         \
    X(DAMAGED, 500, "damaged")

enum err_code {
#define X(name, status, text) ERR_##name,
    ERR_MAP(X)
#undef X
};

struct err {
    enum err_code code;
    char msg[400];
};

/* Both return false, so that `return err_set(...)` reads well. err_wrap puts its text and ": " before what is there. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same with the text of errno at its end. ENOSPC and EDQUOT become ERR_NO_SPACE, all else ERR_IO. */
bool err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int err_status(enum err_code code);
const char *err_name(enum err_code code);
