#include "api/members.h"

#include <stdio.h>

#include "api/check_input.h"

bool member_text(struct arena *a, const json_t *o, const char *where, const char *name, size_t least, size_t most,
                 struct str *out, struct err *e) {
    const json_t *v = json_object_get(o, name);
    char what[80];
    *out = (struct str){0};
    snprintf(what, sizeof what, "%s%s", where, name);
    if (!v || json_is_null(v)) return least == 0 || err_set(e, ERR_INVALID, "%s is missing", what);
    if (!json_is_string(v)) return err_set(e, ERR_INVALID, "%s must be a string", what);
    struct str s = {json_string_value(v), json_string_length(v)};
    if (!check_plain(s, least, most, what, e)) return false;
    *out = (struct str){s.n ? arena_copy(a, s.p, s.n) : "", s.n};
    return true;
}
