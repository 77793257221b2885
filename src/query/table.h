/* One thread's groups of a grouping: keys, lanes, and which group a row is in. Memory of its own, freed by table_free.
 * table_begin, _add and _end under a guard as for part.h. */
#pragma once
#include "query/keyer.h"
#include "query/lane.h"

struct pair {
    uint32_t first, second; /* numbers of the keys' values */
};

struct table {
    const struct grouping *grouping; /* whose measures it has */
    size_t key_count;
    struct keyer keyers[PLAN_KEYS];
    bool by_class;
    uint32_t max_groups;
    struct lane *lanes;
    size_t lane_count;

    uint32_t groups, room;
    struct pair *pairs; /* with two keys, by group; with one, the group is the number of its value */
    size_t bytes;       /* about what it takes */

    /* Its own. */
    uint32_t *grid; /* first * width + second -> group + 1; NULL: it would be too large, see slots */
    uint32_t width, height;
    uint32_t *slots; /* open addressing: group + 1 */
    uint32_t slot_count;
    uint64_t *stamps;       /* by class: the inference that was counted last */
    bool counts_inferences; /* by class: some lane wants them */
    uint32_t *class_grid;   /* of the part: number of the other key * class_width + code -> group + 1 */
    uint32_t class_width, class_height;
};

/* `keys`: the grouping's or none. */
void table_init(struct table *t, const struct grouping *g, size_t keys, bool by_class, struct arena *a);
void table_free(struct table *t);

void table_begin(struct table *t, const struct part *p);
void table_end(struct table *t);

/* Where the elements of a batch are put together; zeroed at first, freed by table_room_free. Shared by a thread's
 * tables. */
struct table_room {
    uint64_t inferences; /* by class: looked at so far */
    uint32_t numbers[PLAN_KEYS][BATCH_ROWS], group[BATCH_ROWS], at[BATCH_ROWS], span_end[BATCH_ROWS];
    uint32_t *lists[5]; /* of detections and more */
    size_t size;
};
void table_room_free(struct table_room *room);

/* By numbers of the keys' values: the group, a new one if there is none. For what is added past table_add. */
uint32_t table_group(struct table *t, const uint32_t numbers[PLAN_KEYS]);
bool table_allowed(const struct table *t); /* false: there are more groups than may be */

/* False as table_allowed. */
bool table_add(struct table *t, struct batch *b, struct table_room *room);

void table_finish(struct table *t);                     /* behind the last part; before all below */
bool table_merge(struct table *t, struct table *other); /* of the same grouping, from another thread; false as above */

/* Whether the only group of `total`, which has no keys, is all groups of t together. */
bool table_holds(const struct table *t, const struct table *total);
void table_sum(struct table *total, struct table *t);

/* A group's value in a key; and what a measure came to, with bins in the arena (NULL: without). Text is the table's. */
struct key_value table_value(const struct table *t, size_t key, uint32_t group);
struct cell table_cell(const struct table *t, const struct measure *m, uint32_t group, struct arena *a);
