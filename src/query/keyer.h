/* A grouping's key: which value each row, or each detection, has in it, as numbers that stay the same over all parts
 * that one thread reads. Memory of its own, freed by keyer_free. One thread; guards as for part.h. */
#pragma once
#include "query/coded.h"
#include "query/values.h"

/* The row or detection is in no group. */
#define KEYER_DROPPED (UINT32_MAX - 1)

struct keyer {
    const struct key *key;
    const struct numbering *top; /* the values that have groups of their own; NULL: all */
    struct numbering numbers;

    /* Of the part at hand. */
    struct coded coded;
    uint32_t *map; /* code -> number + 1; 0: not yet known */
    uint32_t map_count, map_room;
    int64_t bucket_from, bucket_to; /* the last one that a row was in */
    uint32_t bucket;
};

void keyer_free(struct keyer *k);
void keyer_begin(struct keyer *k, const struct part *p);

/* By place in the batch. */
void keyer_rows(struct keyer *k, struct batch *b, uint32_t numbers[BATCH_ROWS]);
/* OF_CLASS and OF_CONFIDENCE: of detections. */
void keyer_detections(struct keyer *k, const struct batch_detections *d, uint32_t *numbers);
/* Of a code in the part at hand; OF_TIME: of a time. */
uint32_t keyer_code(struct keyer *k, uint32_t code);
uint32_t keyer_time(struct keyer *k, int64_t time_us);
/* Of what has no value. */
uint32_t keyer_none(struct keyer *k);
