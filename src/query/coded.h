/* A column of a part, or a metadata field, as codes: 0 where a row has nothing, the same code for the same value, and
 * what value a code stands for. One thread; guards as for part.h. */
#pragma once
#include "query/answer.h"
#include "query/batch.h"

/* The value is the number that the row has (coded_number). */
#define CODED_NUMBER UINT32_MAX

struct coded {
    const struct subject *subject;
    const struct part *part;
    struct texts texts;
    struct metadata metadata;
    uint32_t truths, over; /* codes of the segment's booleans, and of the overlay's values, begin behind these */
    bool nothing;          /* no row has a value */
};

void coded_begin(struct coded *c, const struct subject *s, const struct part *p);
/* Codes below this are there; a chunk's or overlay's metadata may get more while the query runs. */
uint32_t coded_count(const struct coded *c);

/* By place in the batch; written to `room` where they don't lie so. */
const uint32_t *coded_read(const struct coded *c, struct batch *b, uint32_t room[BATCH_ROWS]);
/* The value of a code that is neither 0 nor CODED_NUMBER. Text points into the view. VALUE_NONE: of OF_MODEL_VERSION,
 * where a model has none. */
struct value coded_value(const struct coded *c, uint32_t code);
/* The number at a place in a batch. */
double coded_number(const struct coded *c, const struct batch *b, uint32_t i);
