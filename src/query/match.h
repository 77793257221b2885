/* A filter made ready for one chunk: texts looked up in its dictionaries once, then columns compared a block at a time,
 * sixty-four rows to a word. A matcher lives in the arena given and belongs to one thread. */
#pragma once
#include "query/filter.h"
#include "store/chunk.h"

enum { BLOCK_WORDS = BLOCK_ROWS / 64 };

/* One bit a row of a block. */
struct bitmap {
    uint64_t words[BLOCK_WORDS];
};

static inline bool bitmap_any(const struct bitmap *b) {
    uint64_t any = 0;
    for (int w = 0; w < BLOCK_WORDS; w++) any |= b->words[w];
    return any;
}

/* The rows of a bitmap: for (uint32_t at; bitmap_take(&b, &word, &at);) with word 0 at first; it empties the bitmap. */
static inline bool bitmap_take(struct bitmap *b, unsigned *word, uint32_t *at) {
    while (*word < BLOCK_WORDS && !b->words[*word]) ++*word;
    if (*word == BLOCK_WORDS) return false;
    *at = *word * 64 + (uint32_t)__builtin_ctzll(b->words[*word]);
    b->words[*word] &= b->words[*word] - 1;
    return true;
}

struct matcher;
struct matcher *matcher_new(struct arena *a, const struct filter *f, const struct chunk *c);

/* Leaves in `rows` those of the block's that match; rows not published must not be among them. */
void matcher_run(const struct matcher *m, uint32_t block, struct bitmap *rows);

/* Whether a value satisfies one match. */
bool match_value(const struct match *m, const struct value *v);
