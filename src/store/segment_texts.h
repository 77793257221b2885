/* Dictionaries being made: distinct texts get codes in the order in which they come, and in the end places in sorted
 * order. For segments. One thread. */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "store/arrow.h"

struct textset {
    struct buf bytes;
    struct buf ends; /* uint64_t: where each text ends */
    uint64_t *slots; /* open addressing: upper half of the hash, code; or 0 */
    uint32_t slot_count, count;
    uint32_t last; /* the code that was given last: a column often says the same again */
};

uint32_t textset_add(struct textset *t, struct str text);        /* its code, from 1; a new one if it has none */
uint32_t textset_find(const struct textset *t, struct str text); /* 0: not there */
static inline struct str textset_at(const struct textset *t, uint32_t code) {
    const uint64_t *ends = (const uint64_t *)(const void *)t->ends.p;
    uint64_t from = code > 1 ? ends[code - 2] : 0;
    return (struct str){t->bytes.p + from, ends[code - 1] - from};
}
void textset_free(struct textset *t);

/* What follows goes by code: element 0 of arrays stands for none. */

struct str *textset_list(const struct textset *t, struct arena *a);
/* A sorted dictionary of those texts, 1 to `count`, that are used, each once, in the arena; places[code] is the text's
 * place in it, 0 for one that is left out. As every dictionary in a segment it has a placeholder at 0, for null slots
 * to point to: there are readers that look at those too. It is the least run of zero bytes that is no text of its own.
 */
struct arrow_dict textset_sort(const struct str *texts, uint32_t count, const bool *used, struct arena *a,
                               uint32_t *places);
/* The same of `count` texts that are sorted, from element 0 on. */
struct arrow_dict textset_dict(const struct str *sorted, uint32_t count, struct arena *a);
