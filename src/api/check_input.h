/* What ids, field names and values may be (the law, 4), for every route that takes them. Any thread. */
#pragma once
#include "base/err.h"
#include "base/json_pull.h"
#include "record/record.h"

enum { ID_MOST = 256, FIELD_MOST = 256, VALUE_MOST = 4096, TEXT_MOST = 1024 };

bool check_id(struct str id, struct err *e);       /* 1..256 bytes, no control characters */
bool check_field(struct str name, struct err *e);  /* the same */
/* `least` to `most` bytes of UTF-8 without control characters; `what` begins the error's text. */
bool check_plain(struct str s, size_t least, size_t most, const char *what, struct err *e);
bool check_value(const struct value *v, struct err *e); /* text up to 4 KiB */
bool check_text(struct str text, const char *name, struct err *e); /* model, device, source: up to 1 KiB, no control characters */

/* The parser's current token as a value, null as VALUE_NONE; false when it is an object or an array. */
bool value_of_token(const struct json_pull *j, struct value *v);
