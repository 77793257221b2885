#include "api/members.h"

#include <stdio.h>

#include "api/check_input.h"
#include "base/clock.h"

bool member_text(struct arena *a, const json_t *o, const char *where, const char *name, size_t least, size_t most,
                 struct str *out, struct err *e) {
    const json_t *v = json_object_get(o, name);
    char what[80];
    *out = (struct str){0};
    snprintf(what, sizeof what, "%s%s", where, name);
    if (!v || json_is_null(v)) return true;
    if (!json_is_string(v)) return err_set(e, ERR_INVALID, "%s must be a string", what);
    struct str s = json_text(v);
    if (!check_plain(s, least, most, what, e)) return false;
    *out = (struct str){s.n ? arena_copy(a, s.p, s.n) : "", s.n};
    return true;
}

bool member_needed(struct arena *a, const json_t *o, const char *where, const char *name, size_t most, struct str *out,
                   struct err *e) {
    return member_text(a, o, where, name, 1, most, out, e) &&
           (out->p || err_set(e, ERR_INVALID, "%s%s is missing", where, name));
}

bool member_time(const json_t *o, const char *name, int64_t *us, struct err *e) {
    const json_t *v = json_object_get(o, name);
    if (!v || json_is_null(v)) return true;
    return clock_parse(json_text(v), us) ||
           err_set(e, ERR_INVALID, "%s must be a time such as 2026-11-21T06:00:00Z", name);
}
