/* What values a test of a filter holds for, and which codes of a dictionary stand for such values. Sets live in the
 * arena given. One thread; guards as for part.h. */
#pragma once
#include "query/match.h"

/* Whether one of the test's matches holds for a text. */
bool test_holds_text(const struct filter_test *t, struct str text);
/* Whether any value at all will do. */
bool test_is_of_presence(const struct filter_test *t);
/* The numbers that a match holds for; none: low is over high. */
struct range match_numbers(const struct match *m);

/* Codes from 1; none, which is 0, is in no set, and a removal in an overlay neither. What a dictionary gained since the
 * query began is in none but that of all: a cell with such a code was written meanwhile, and may be unseen. */
struct codes {
    uint32_t count; /* 0: empty */
    uint32_t first, last;
    const uint64_t *bits; /* from `first`; NULL: all from first to last */
};

static inline bool codes_has(const struct codes *c, uint32_t code) {
    uint32_t at = code - c->first;
    return at <= c->last - c->first && (!c->bits || (c->bits[at / 64] >> (at % 64) & 1));
}

/* Of a dictionary that grows; of a sorted one; of a text column's. */
struct codes codes_in_dict(struct arena *a, const struct filter_test *t, const struct dict *d);
struct codes codes_in_sorted(struct arena *a, const struct filter_test *t, const struct segment_dict *d);
struct codes codes_in_texts(struct arena *a, const struct filter_test *t, struct texts texts);
