/* The pull parser beside jansson on the same text, for the unit test and for the fuzzer: both accept it or both reject
 * it, and both read the same values out of it. Two differences they may have: depth, 64 levels here; and a NUL byte
 * behind a number or a word, which jansson 2.14 puts back and then loses, so that it accepts it there. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "base/json_pull.h"

enum { TWIN_FLAGS = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL };

/* The value that begins at the current token, as a tree; NULL after an error. */
static json_t *twin_tree(struct json_pull *j) {
    json_t *v = NULL;
    switch (j->token) {
    case PULL_STRING: return json_stringn(j->text.p ? j->text.p : "", j->text.n);
    case PULL_NUMBER: return json_real(j->number);
    case PULL_TRUE: return json_true();
    case PULL_FALSE: return json_false();
    case PULL_NULL: return json_null();
    case PULL_ARRAY:
        v = json_array();
        while (json_next(j) != PULL_ARRAY_END)
            if (json_array_append_new(v, twin_tree(j)) != 0) goto broken;
        return v;
    case PULL_OBJECT:
        v = json_object();
        while (json_next(j) == PULL_KEY) {
            struct str key = j->text;
            json_next(j);
            if (json_object_setn_new(v, key.p ? key.p : "", key.n, twin_tree(j)) != 0) goto broken;
        }
        if (j->token == PULL_OBJECT_END) return v;
        goto broken;
    default: return NULL;
    }
broken:
    json_decref(v);
    return NULL;
}

/* Passing over a value reads as much as taking it: the raw text is all of it but blanks. */
static bool twin_skips_all(struct str text) {
    struct arena arena = {0};
    struct json_pull j;
    struct str raw;
    json_pull_init(&j, text, &arena);
    json_next(&j);
    bool ok = json_skip(&j, &raw) && str_eq(raw, str_trim(text)) && json_next(&j) == PULL_END;
    arena_free(&arena);
    return ok;
}

/* NULL when both agree, else what they disagree on. */
static const char *twin_difference(struct str text) {
    struct arena arena = {0};
    struct json_pull j;
    json_error_t at;
    const char *difference = NULL;
    json_t *theirs = json_loadb(text.p ? text.p : "", text.n, TWIN_FLAGS, &at);
    json_pull_init(&j, text, &arena);
    json_next(&j);
    json_t *ours = twin_tree(&j);
    bool whole = ours && json_next(&j) == PULL_END;
    bool too_deep = j.token == PULL_ERROR && strstr(j.error, "nested too deep");
    if (j.token == PULL_ERROR && (!j.error || j.at > text.n))
        difference = "an error without a text, or beyond the end";
    else if (json_next(&j) != j.token)
        difference = "the last token does not stay";
    else if (too_deep)
        difference = NULL;
    else if (!whole && theirs && text.n && memchr(text.p, '\0', text.n))
        difference = NULL;
    else if (whole != (theirs != NULL))
        difference = whole ? "accepted here, rejected by jansson" : "rejected here, accepted by jansson";
    else if (whole && !json_equal(ours, theirs))
        difference = "other values";
    else if (whole && !twin_skips_all(text))
        difference = "json_skip passes over something else";
    json_decref(ours);
    json_decref(theirs);
    arena_free(&arena);
    return difference;
}
