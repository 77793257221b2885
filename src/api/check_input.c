#include "api/check_input.h"

bool check_plain(struct str s, size_t least, size_t most, const char *what, struct err *e) {
    if (s.n < least) return err_set(e, ERR_INVALID, "%s is empty", what);
    if (s.n > most) return err_set(e, ERR_INVALID, "%s has %zu bytes, the most is %zu", what, s.n, most);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return err_set(e, ERR_INVALID, "%s has a control character at byte %zu", what, i);
    return str_is_utf8(s) || err_set(e, ERR_INVALID, "%s is not UTF-8", what);
}

bool check_id(struct str id, struct err *e) { return check_plain(id, 1, ID_MOST, "an inference id", e); }
bool check_field(struct str name, struct err *e) { return check_plain(name, 1, FIELD_MOST, "a field name", e); }
bool check_text(struct str text, const char *name, struct err *e) { return check_plain(text, 0, TEXT_MOST, name, e); }

bool check_value(const struct value *v, struct err *e) {
    return v->type != VALUE_STRING || v->text.n <= VALUE_MOST ||
           err_set(e, ERR_INVALID, "a value has %zu bytes, the most is %d", v->text.n, VALUE_MOST);
}

bool value_of_token(const struct json_pull *j, struct value *v) {
    *v = (struct value){0};
    switch (j->token) {
    case PULL_STRING: *v = (struct value){.type = VALUE_STRING, .text = j->text}; return true;
    case PULL_NUMBER: *v = (struct value){.type = VALUE_NUMBER, .number = j->number}; return true;
    case PULL_TRUE:
    case PULL_FALSE: *v = (struct value){.type = VALUE_BOOL, .truth = j->token == PULL_TRUE}; return true;
    case PULL_NULL: return true;
    default: return false;
    }
}
