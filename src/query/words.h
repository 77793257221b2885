/* Conditions over the rows of a slice, sixty-four to a word: compared side by side into bytes, then packed to bits,
 * which compilers turn into vector code on every processor. `at` in an expression is the row. Nothing is read beyond
 * the rows there are: what lies there may be about to be written, or be behind the end of a file. */
#pragma once
#include "query/part.h"

/* Eight bytes of 0 or 1 to eight bits. */
static inline uint64_t pack8(const uint8_t bytes[8]) {
    uint64_t v;
    memcpy(&v, bytes, sizeof v);
    return v * 0x0102040810204080u >> 56;
}

static inline uint64_t pack64(const uint8_t bytes[64]) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= pack8(bytes + 8 * i) << (8 * i);
    return word;
}

/* The word of rows first .. first + 63, as far as they are below `count`, for which the expression holds. */
#define WORD(word, first, count, expression)                                                     \
    do {                                                                                         \
        uint8_t holds_[64];                                                                      \
        if ((first) + 64 <= (count)) {                                                           \
            for (uint32_t i_ = 0; i_ < 64; i_++) {                                               \
                uint32_t at = (first) + i_;                                                      \
                holds_[i_] = (expression);                                                       \
            }                                                                                    \
        } else {                                                                                 \
            memset(holds_, 0, sizeof holds_);                                                    \
            for (uint32_t at = (first); at < (count); at++) holds_[at - (first)] = (expression); \
        }                                                                                        \
        (word) = pack64(holds_);                                                                 \
    } while (0)

/* Keeps the rows for which the expression holds. Words with no row left are passed over. */
#define KEEP(rows, count, expression)               \
    for (uint32_t w_ = 0; w_ < BLOCK_WORDS; w_++) { \
        uint64_t found_;                            \
        if (!(rows)->words[w_]) continue;           \
        WORD(found_, w_ * 64, count, expression);   \
        (rows)->words[w_] &= found_;                \
    }

/* The same where looking costs more than counting: only at the rows that are left. */
#define KEEP_SPARSE(rows, expression)                                         \
    for (uint32_t w_ = 0; w_ < BLOCK_WORDS; w_++)                             \
        for (uint64_t left_ = (rows)->words[w_]; left_; left_ &= left_ - 1) { \
            uint32_t at = w_ * 64 + (uint32_t)__builtin_ctzll(left_);         \
            if (!(expression)) (rows)->words[w_] &= ~(left_ & -left_);        \
        }
