/* Filters as JSON: the same tree that the language makes (filter.h).
 *
 *   node  = "a text in the filter language" | {"and": [node, ...]} | {"or": [node, ...]} | {"not": node}
 *         | {"field": name, "any": [match, ...], "confidence": range, "count": range} | {"word": text}
 *   match = value | {"text": text} | {"glob": text} | {"present": true} | range
 *   range = {">": x, ">=": x, "<": x, "<=": x}, one or two of these
 *
 * A field is a built-in name or "metadata.NAME". A value of a metadata field is taken at its type: "5" is not 5;
 * {"text": "5"} is both, as in the language. Times are RFC 3339 text. "confidence" and "count" are a class's only.
 *
 * Any thread. */
#pragma once
#include "base/json_text.h"
#include "query/filter.h"

/* Where JSON stopped making sense. */
struct json_fault {
    char pointer[128]; /* RFC 6901, cut short where it is longer */
    char expected[240];
    bool in_text; /* in a filter given as text: where there */
    size_t position;
};

/* The way to a value, kept on the stack of whoever went it. */
struct json_at {
    const struct json_at *up;
    const char *member; /* NULL: an element */
    size_t index;
};

/* Fills the fault and e; returns false. */
bool json_wrong(const struct json_at *at, struct json_fault *fault, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* *out is NULL for null and for a text that says nothing. Text is copied into the arena. */
bool filter_from_json(struct arena *a, const json_t *json, const struct json_at *at, const struct filter **out,
                      struct json_fault *fault, struct err *e);
void filter_to_json(struct buf *to, const struct filter *f); /* f may be NULL */
