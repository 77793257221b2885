/* A validating pull parser for JSON (RFC 8259), for bodies that come in bulk: it makes no tree and allocates only for
 * strings with escapes. It accepts and rejects what jansson does with JSON_DECODE_ANY and JSON_DECODE_INT_AS_REAL, but
 * for the depth (64 levels here) and a NUL byte behind a number or a word, which jansson overlooks: UTF-8 only, no NUL
 * in strings (escaped or not), numbers that a double can hold.
 *
 * Use: json_pull_init, then json_next until PULL_END or PULL_ERROR. Between PULL_OBJECT and PULL_OBJECT_END come
 * PULL_KEY and a value in turn. json_skip passes over a whole value. After PULL_ERROR every call gives PULL_ERROR, and
 * error and at say what and where. Strings live as long as the text and the arena do. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

enum json_token {
    PULL_END,
    PULL_ERROR,
    PULL_OBJECT,
    PULL_OBJECT_END,
    PULL_ARRAY,
    PULL_ARRAY_END,
    PULL_KEY,    /* text */
    PULL_STRING, /* text */
    PULL_NUMBER, /* number; text as it stood */
    PULL_TRUE,
    PULL_FALSE,
    PULL_NULL,
};

enum { PULL_DEPTH = 64 };

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

/* The value that begins at the current token (or, after PULL_KEY, the next one) is passed over; the text of it, as it
 * stood, is in *raw if raw is not NULL. False: PULL_ERROR. */
bool json_skip(struct json_pull *j, struct str *raw);
