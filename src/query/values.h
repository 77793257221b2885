/* Values by number, in the order in which they were first seen, and sets of values. In memory of their own, freed by
 * _free. One thread each. */
#pragma once
#include "query/answer.h"

struct numbering {
    struct arena texts;
    struct key_value *values;
    uint32_t count, room;
    uint32_t *slots; /* open addressing: number + 1 or 0 */
    uint32_t slot_count;
    size_t bytes; /* about what it takes */
};

void numbering_free(struct numbering *n);
/* The number of a value, from 0, given one if it has none. Text is copied. */
uint32_t numbering_of(struct numbering *n, const struct key_value *v);
/* UINT32_MAX: it has none. */
uint32_t numbering_find(const struct numbering *n, const struct key_value *v);

/* Of a value of metadata or a column, under a key drawn at start: what two values share with a chance of 2^-64. */
uint64_t value_hash64(const struct value *v);

/* A set of such hashes. */
struct hash_set {
    uint64_t *slots; /* open addressing; 0: free */
    uint32_t count, slot_count;
};

void hash_set_free(struct hash_set *s);
/* Returns by how many bytes the set has grown. */
size_t hash_set_add(struct hash_set *s, uint64_t hash);
