#include "base/json_pull.h"

#include <math.h>
#include <stdlib.h>

void json_pull_init(struct json_pull *j, struct str text, struct arena *arena) {
    *j = (struct json_pull){
        .p = text.p, .start = text.p, .end = text.p + text.n, .arena = arena, .expect = EXPECT_VALUE};
}

static enum json_token fail(struct json_pull *j, const char *error) {
    j->error = error;
    j->at = (size_t)(j->p - j->start);
    return j->token = PULL_ERROR;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool in_object(const struct json_pull *j) { return j->objects >> (j->depth - 1) & 1; }

static void value_ended(struct json_pull *j) { j->expect = j->depth ? EXPECT_COMMA : EXPECT_NOTHING; }

/* ---- strings ---- */

static bool hex4(const char *p, const char *end, unsigned *out) {
    if (end - p < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        unsigned digit = is_digit(c)                          ? (unsigned)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a') + 10
                                                              : 16;
        if (digit == 16) return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static char *put_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* \uXXXX at p (behind the u), with its second half for what lies beyond the BMP. NULL: not one. */
static const char *unicode_escape(const char *p, const char *end, unsigned *code) {
    unsigned low;
    if (!hex4(p, end, code)) return NULL;
    p += 4;
    if (*code < 0xd800 || *code > 0xdfff) return p;
    if (*code > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p + 2, end, &low) || low < 0xdc00 ||
        low > 0xdfff)
        return NULL;
    *code = 0x10000 + ((*code & 0x3ff) << 10 | (low & 0x3ff));
    return p + 6;
}

static const char *unescape(struct json_pull *j, const char *p, char **to) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (p == j->end) return NULL;
    const char *known = *p ? strchr(from, *p) : NULL;
    if (known) {
        *(*to)++ = into[known - from];
        return p + 1;
    }
    unsigned code;
    if (*p != 'u' || !(p = unicode_escape(p + 1, j->end, &code)) || code == 0) return NULL;
    *to = put_utf8(*to, code);
    return p;
}

/* The string whose opening quote is at p. */
static bool string(struct json_pull *j) {
    const char *p = ++j->p, *begin = p;
    bool escapes = false, high = false;
    for (; p < j->end && *p != '"'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20) return j->p = p, fail(j, "a control character in a string"), false;
        if (c >= 0x80) high = true;
        if (c == '\\') {
            escapes = true;
            if (++p == j->end) break;
        }
    }
    if (p >= j->end) return j->p = j->end, fail(j, "a string that does not end"), false;
    j->text = (struct str){begin, (size_t)(p - begin)};
    if (high && !str_is_utf8(j->text)) return fail(j, "a string that is not UTF-8"), false;
    j->p = p + 1;
    if (!escapes) return true;
    char *copy = arena_alloc(j->arena, j->text.n), *to = copy;
    for (const char *from = begin; from < p;) {
        if (*from != '\\') {
            *to++ = *from++;
            continue;
        }
        const char *escape = from;
        if (!(from = unescape(j, from + 1, &to))) return j->p = escape, fail(j, "an escape that is not one"), false;
    }
    j->text = (struct str){copy, (size_t)(to - copy)};
    return true;
}

/* ---- numbers ---- */

static bool number(struct json_pull *j) {
    const char *p = j->p, *begin = p;
    j->is_integer = true;
    if (p < j->end && *p == '-') p++;
    if (p == j->end || !is_digit(*p)) return fail(j, "no JSON value"), false;
    if (*p == '0')
        p++;
    else
        while (p < j->end && is_digit(*p)) p++;
    if (p < j->end && *p == '.') {
        j->is_integer = false;
        if (++p == j->end || !is_digit(*p)) return fail(j, "a number that is not one"), false;
        while (p < j->end && is_digit(*p)) p++;
    }
    if (p < j->end && (*p | 32) == 'e') {
        j->is_integer = false;
        p++;
        if (p < j->end && (*p == '+' || *p == '-')) p++;
        if (p == j->end || !is_digit(*p)) return fail(j, "a number that is not one"), false;
        while (p < j->end && is_digit(*p)) p++;
    }
    j->text = (struct str){begin, (size_t)(p - begin)};
    char small[64], *text = j->text.n < sizeof small ? small : arena_alloc(j->arena, j->text.n + 1);
    memcpy(text, begin, j->text.n);
    text[j->text.n] = '\0';
    j->number = strtod(text, NULL);
    if (!isfinite(j->number)) return fail(j, "a number too large for a double"), false;
    j->p = p;
    return true;
}

/* ---- structure ---- */

static bool word(struct json_pull *j, struct str w) {
    if (!str_starts((struct str){j->p, (size_t)(j->end - j->p)}, w)) return fail(j, "no JSON value"), false;
    j->p += w.n;
    return true;
}

static enum json_token open_level(struct json_pull *j, bool object) {
    if (j->depth == PULL_DEPTH) return fail(j, "nested too deep (64 levels)");
    j->objects = (j->objects & ~(1ULL << j->depth)) | (uint64_t)object << j->depth;
    j->depth++;
    j->p++;
    j->expect = EXPECT_FIRST;
    return j->token = object ? PULL_OBJECT : PULL_ARRAY;
}

static enum json_token close_level(struct json_pull *j) {
    bool object = in_object(j);
    if (*j->p != (object ? '}' : ']')) return fail(j, object ? "no } where one is due" : "no ] where one is due");
    j->p++;
    j->depth--;
    value_ended(j);
    return j->token = object ? PULL_OBJECT_END : PULL_ARRAY_END;
}

static enum json_token key(struct json_pull *j) {
    if (*j->p != '"') return fail(j, "no member name where one is due");
    if (!string(j)) return PULL_ERROR;
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) j->p++;
    if (j->p == j->end || *j->p != ':') return fail(j, "no : after a member name");
    j->p++;
    j->expect = EXPECT_VALUE;
    return j->token = PULL_KEY;
}

static enum json_token value(struct json_pull *j) {
    bool ok;
    switch (*j->p) {
    case '{': return open_level(j, true);
    case '[': return open_level(j, false);
    case '"': ok = string(j), j->token = PULL_STRING; break;
    case 't': ok = word(j, STR("true")), j->token = PULL_TRUE; break;
    case 'f': ok = word(j, STR("false")), j->token = PULL_FALSE; break;
    case 'n': ok = word(j, STR("null")), j->token = PULL_NULL; break;
    default: ok = number(j), j->token = PULL_NUMBER;
    }
    if (!ok) return j->token = PULL_ERROR;
    value_ended(j);
    return j->token;
}

enum json_token json_next(struct json_pull *j) {
    if (j->token == PULL_ERROR) return PULL_ERROR;
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) j->p++;
    j->at = (size_t)(j->p - j->start);
    if (j->expect == EXPECT_NOTHING) return j->p == j->end ? j->token = PULL_END : fail(j, "text behind the end");
    if (j->p == j->end) return fail(j, "the text ends too early");
    if (j->expect == EXPECT_COMMA) {
        if (*j->p != ',') return close_level(j);
        j->p++;
        j->expect = in_object(j) ? EXPECT_KEY : EXPECT_VALUE;
        return json_next(j);
    }
    if (j->expect == EXPECT_FIRST) {
        if (*j->p == '}' || *j->p == ']') return close_level(j);
        j->expect = in_object(j) ? EXPECT_KEY : EXPECT_VALUE;
    }
    return j->expect == EXPECT_KEY ? key(j) : value(j);
}

bool json_skip(struct json_pull *j, struct str *raw) {
    if (j->token == PULL_KEY) json_next(j);
    const char *begin = j->start + j->at;
    unsigned level = j->depth;
    if (j->token == PULL_OBJECT || j->token == PULL_ARRAY)
        while (j->depth >= level && json_next(j) != PULL_ERROR) continue;
    if (j->token == PULL_ERROR) return false;
    if (raw) *raw = (struct str){begin, (size_t)(j->p - begin)};
    return true;
}
