/* What a grouping adds up: one lane each, with a cell a group. A grouping's measures share lanes: the mean and the
 * greatest of a column come from one. Memory of its own, freed by lane_free. One thread; lane_begin, _add and _end
 * under a guard as for part.h. */
#pragma once
#include "query/coded.h"
#include "query/values.h"
#include "store/summary.h"

enum lane_kind {
    LANE_COUNTS,
    LANE_NUMBERS,
    LANE_BINS,
    LANE_TIMES,
    LANE_NEWEST,
    LANE_DISTINCT,
};

struct counts {
    uint64_t inferences, errors, empty, detections;
};

/* A sum that keeps what rounding takes away (Neumaier 1974): exact to the last digits for any number of terms. */
struct sum {
    double total, rest;
};
static inline void sum_add(struct sum *s, double v) {
    double t = s->total + v;
    s->rest += fabs(s->total) >= fabs(v) ? (s->total - t) + v : (v - t) + s->total;
    s->total = t;
}
static inline double sum_value(struct sum s) { return s.total + s.rest; }

/* How many numbers, and a plain sum of those that came since it was last added to struct total: of so few, none below
 * 0, that rounding stays below 1e-9 of it. Small, so that many groups stay near the processor. */
struct numbers {
    uint64_t n;
    double window;
};
struct total {
    struct sum sum;
    double least, most;
};

struct times {
    int64_t least, most;
};

struct newest {
    int64_t time_us;
    uint64_t seq;
    bool known;
    uint32_t code; /* of the part at hand; 0: text is there */
    struct str text;
};

struct lane {
    enum lane_kind kind;
    struct subject of;
    bool range;              /* LANE_NUMBERS: least and most are wanted */
    bool inferences, others; /* LANE_COUNTS: what is wanted */

    /* By group. */
    union {
        void *cells;
        struct counts *counts;
        struct numbers *numbers;
        uint32_t *bins; /* lane_bins(of) of them */
        struct times *times;
        struct newest *newest;
        struct hash_set *sets;
    };
    struct total *totals; /* LANE_NUMBERS, by group */

    /* Its own. */
    uint64_t window; /* how many numbers at most are in one */
    struct coded coded;
    void *map; /* of the part: by code, what it stands for */
    uint32_t map_count;
    struct arena texts;
};

/* What is to be added: inferences with the group that each is in, once a group; by class also their detections. Places
 * are those in the batch, or in batch_each_detection. */
struct elements {
    uint32_t groups; /* there are, by now */
    bool by_class;

    uint32_t count;
    const uint32_t *group;
    const uint32_t *at;  /* places; NULL: all, in order */
    uint32_t span_count; /* not 0: few groups follow each other, and `at` is NULL; span k ends at span_end[k] */
    const uint32_t *span_end;

    uint32_t detection_count;
    const uint32_t *detection_group, *detection_at; /* the same */
    uint32_t empty_count;                           /* inferences without any */
    const uint32_t *empty_group, *empty_at;
};

uint32_t lane_bins(enum of of);
bool lane_same(const struct lane *x, const struct lane *y); /* what it adds up */
bool lane_of_detections(const struct lane *l);              /* by class it needs no list of inferences */

void lane_free(struct lane *l, uint32_t groups);
/* Makes room for this many groups, the first `groups` being there; returns by how many bytes it has grown. */
size_t lane_room(struct lane *l, uint32_t groups, uint32_t room);

void lane_begin(struct lane *l, const struct part *p);
/* Returns by how many bytes it has grown. */
size_t lane_add(struct lane *l, struct batch *b, const struct elements *x);
/* A cell of the summary of the part at hand; and words of its bins. */
void lane_add_cell(struct lane *l, uint32_t group, const struct summary_cell *c);
void lane_add_bins(struct lane *l, uint32_t group, const uint32_t *words, uint32_t count);
void lane_end(struct lane *l, uint32_t groups);
void lane_finish(struct lane *l, uint32_t groups); /* behind the last part */

/* Adds what another lane of the same kind has in a group, both finished. Returns by how many bytes it has grown. */
size_t lane_merge(struct lane *l, uint32_t group, struct lane *from, uint32_t other);
