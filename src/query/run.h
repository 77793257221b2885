/* Lists, counts and single inferences. Results live in the arena given; nothing of the view is in them. Any thread, one
 * for each call; a view of NULL is a workspace that holds nothing. */
#pragma once
#include "query/scan.h"

struct entry {
    struct str name;
    struct value value;
};

/* An inference with what the store knows of it. */
struct hit {
    struct inference inf; /* time_us is known, index the one it was stored under; picture points into the arena */
    int64_t received_us;
    uint64_t seq;
    uint8_t flags; /* ROW_* */
    struct entry *metadata; /* in the order in which the fields came into being */
    size_t metadata_count;
};

/* A list ends before its limit once its hits take this much, with a cursor to go on. */
enum { LIST_MOST_BYTES = 16 << 20 };

struct hit_list {
    struct hit *hits;
    size_t count;
    struct cursor next; /* set when there are more */
};

bool query_list(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                struct hit_list *out, struct err *e);
bool query_count(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                 uint64_t *count, struct err *e);

/* The row of a chunk as a hit. */
bool hit_load(const struct chunk *c, uint32_t row, struct arena *a, struct hit *out, struct err *e);
