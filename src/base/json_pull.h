/* A validating pull parser for JSON (RFC 8259), for bodies that come in bulk: it makes no tree and allocates only for
 * strings with escapes. It accepts and rejects what jansson does with JSON_DECODE_ANY and JSON_DECODE_INT_AS_REAL, but
 * for the depth (64 levels here): UTF-8 only, no NUL in strings (escaped or not), numbers that a double can hold.
 *
 * Use: json_pull_init, then json_next until JSON_END or JSON_ERROR. Between JSON_OBJECT and JSON_OBJECT_END come
 * JSON_KEY and a value in turn. json_skip passes over a whole value. After JSON_ERROR every call gives JSON_ERROR, and
 * error and at say what and where. Strings live as long as the text and the arena do. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

enum json_token {
    JSON_END,
    JSON_ERROR,
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_KEY,    /* text */
    JSON_STRING, /* text */
    JSON_NUMBER, /* number; text as it stood */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

enum { JSON_DEPTH = 64 };

struct json_pull {
    const char *p, *end, *start;
    struct arena *arena; /* for strings with escapes */
    enum json_token token;
    struct str text;
    double number;
    bool is_integer; /* a number without fraction and exponent */
    const char *error;
    size_t at;       /* byte offset of the token, or of the error */
    unsigned depth;
    uint64_t objects; /* a bit a level: 1 object, 0 array */
    enum { EXPECT_VALUE, EXPECT_FIRST, EXPECT_KEY, EXPECT_COMMA, EXPECT_NOTHING } expect;
};

void json_pull_init(struct json_pull *j, struct str text, struct arena *arena);
enum json_token json_next(struct json_pull *j);

/* The value that begins at the current token (or, after JSON_KEY, the next one) is passed over; the text of it, as it
 * stood, is in *raw if raw is not NULL. False: JSON_ERROR. */
bool json_skip(struct json_pull *j, struct str *raw);
