/* The filter language, from text to a tree. One language for the filter bar and `?filter=`:
 *
 *   model:coco camera_location:canada confidence<0.5 -shift:night class:bottle[confidence>0.5]>=2
 *   serial_number:A1* has:operator (source:line1 or device:"cam 7") temperature:80..120 metadata."any name":x
 *
 *   filter  = { clause } , joined by "or" where that is written ("and" may be, and is what blanks mean)
 *   clause  = [ "-" ] ( "(" filter ")" | name ":" values | name compare value | "has:" name | word )
 *   values  = value | "(" value { "or" value } ")"
 *   value   = text | "quoted \" text" | number ".." number | A1* | *A1*
 *   class   = "class:" values [ "[" "confidence" compare number ... "]" ] [ compare count ]
 *   compare = "<" | "<=" | ">" | ">="
 *
 * What the parser decides, so that no executor has to:
 * - Different clauses are and. The same field again with ":" is or; a counted class is a comparison, hence and, and so
 *   is what stands in parentheses: (class:a) (class:b).
 * - "-" is not: `-shift:night` also finds what has no shift.
 * - Built-in names win. Any other name is a metadata field, and `metadata.NAME` or `metadata."NAME"` always is.
 * - Names end at blanks, ":", "<", ">", parentheses, brackets and quotes; values at the same but ":". Quotes keep all
 *   of these, and stars and dots, as they are; in them \" and \\ stand for " and \.
 * - A bare word is an exact match on the inference id or on any metadata value.
 * - Text matches a string by its bytes, and a number or boolean that reads the same. Ranges and comparisons of metadata
 *   hold for numbers and for strings that are JSON numbers in full. Stars match strings only.
 *
 * Trees live in the arena given, text is copied there. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "record/record.h"

/* name in the enum, in the language, and what its values are */
#define FILTER_FIELD_MAP(X)               \
    X(ID, "id", TEXT)                     \
    X(MODEL, "model", TEXT)               \
    X(DEVICE, "device", TEXT)             \
    X(SOURCE, "source", TEXT)             \
    X(SOURCE_INFO, "source_info", TEXT)   \
    X(SERVER, "server", TEXT)             \
    X(ERROR, "error", TEXT)               \
    X(CLASS, "class", CLASS)              \
    X(CONFIDENCE, "confidence", NUMBER)   \
    X(LATENCY, "latency", NUMBER)         \
    X(DETECTIONS, "detections", NUMBER)   \
    X(INDEX, "index", NUMBER)             \
    X(TIME, "time", TIME)                 \
    X(PARTIAL, "partial", BOOL)           \
    X(PICTURE, "picture", BOOL)

enum filter_field {
#define X(name, text, kind) FIELD_##name,
    FILTER_FIELD_MAP(X)
#undef X
        FIELD_METADATA, /* the one that `name` says */
    FIELD_ANY,          /* a bare word: the id, or any metadata value */
};

/* Both ends included; an open end is the next double. Times in microseconds, booleans 0 and 1. */
struct range {
    double low, high;
};
static inline bool range_holds(struct range r, double v) { return v >= r.low && v <= r.high; }

enum match_kind {
    MATCH_PRESENT, /* any value at all; has:partial, has:picture and has:detections are ranges */
    MATCH_TEXT,
    MATCH_GLOB, /* `*` in text stands for any bytes */
    MATCH_RANGE,
    MATCH_VALUE, /* of metadata: type and value are the same; no text says it, JSON does (filter_json.h) */
};

struct match {
    enum match_kind kind;
    struct str text;
    struct range range; /* of MATCH_TEXT: the number that the text is, nothing else */
    struct value value; /* MATCH_VALUE */
};

/* Holds when any of the matches does. FIELD_MODEL: a text also matches the model ids it is all of but "/version".
 * FIELD_CLASS: counts the detections whose class matches and, if `by_confidence`, whose confidence is in range, and
 * holds when that number is within `count`. */
struct filter_test {
    enum filter_field field;
    struct str name;
    struct match *matches;
    size_t match_count;
    bool by_confidence;
    struct range confidence, count;
    bool joins; /* written with ":" and not counted: is or with the same field again */
};

enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TEST };

struct filter {
    enum filter_kind kind;
    struct filter *first; /* child, of all but FILTER_TEST */
    struct filter *next;  /* sibling */
    struct filter_test test;
};

enum {
    FILTER_MAX_BYTES = 4096,
    FILTER_MAX_MATCHES = 256,
    FILTER_MAX_DEPTH = 16,                      /* parentheses in a text */
    FILTER_MAX_TREE = 4 * FILTER_MAX_DEPTH + 4, /* nodes in one another, as a text of that depth can make them */
};

/* Where a filter stopped making sense. */
struct filter_error {
    size_t position; /* byte offset into the text */
    char expected[160];
};

/* *out is NULL for a text that says nothing: everything matches. */
bool filter_parse(struct arena *a, struct str text, const struct filter **out, struct filter_error *where,
                  struct err *e);

/* The spellings in a query string: name=value is the clause `name:"value"`, stars and dots in it mean nothing. */
bool filter_is_name(struct str name); /* a built-in one, or metadata.NAME */
bool filter_equals(struct arena *a, struct str name, struct str value, struct filter **out, struct err *e);
/* Makes one filter of clauses (a list by `next`), as the parser does of those in a text; NULL of none. */
struct filter *filter_join(struct arena *a, struct filter *clauses);
/* Both; either may be NULL. */
const struct filter *filter_and(struct arena *a, const struct filter *x, const struct filter *y);

bool filter_mentions(const struct filter *f, enum filter_field field);

/* A match of text as it is typed. */
struct match filter_text(struct str text);

/* The whole of s as a JSON number. */
bool filter_number(struct str s, double *out);
