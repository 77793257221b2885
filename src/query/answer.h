/* What a plan is answered with, whichever engine runs it. Everything lives in the arena given to the run; nothing of
 * the engine's is in it. Any thread. */
#pragma once
#include "query/plan.h"
#include "record/record.h"

/* A part of the store that could not be read and was left out. */
struct gap {
    uint64_t segment;
    int64_t from_us, to_us; /* the times of its rows, both included; INT64_MIN and INT64_MAX: not known */
    uint64_t rows;          /* how many it has, whether or not the question was of them; 0: not known */
};

/* ---- PLAN_LIST ---- */

/* An inference with what the store knows of it. */
struct hit {
    struct inference inf; /* time_us is known, index the one it was stored under; picture points into the arena */
    int64_t received_us;
    uint64_t seq;
    uint8_t flags;          /* ROW_* */
    struct entry *metadata; /* in the order of the names */
    size_t metadata_count;
    struct str uploads; /* the pictures that came under its id (record/uploads.h) */
};

/* ---- PLAN_GROUPS ---- */

enum key_kind { KEY_VALUE, KEY_NONE, KEY_OTHER }; /* in the order that answers have */

struct key_value {
    enum key_kind kind;
    struct value value; /* text, a number (a bin's beginning, too), a boolean; what metadata has */
    int64_t time_us;    /* instead of value, of OF_TIME: where the bucket begins */
};

/* What one measure came to. */
struct cell {
    bool known;           /* counts, distinct, sums and histograms always are */
    uint64_t count;       /* counts, MEASURE_DISTINCT */
    double number;        /* MEASURE_SUM, _AVG, _MIN, _MAX, _QUANTILE */
    int64_t time_us;      /* _MIN and _MAX of OF_TIME */
    struct str text;      /* _NEWEST */
    const uint64_t *bins; /* _HISTOGRAM: as many as record/bins.h has for it */
};

struct group {
    struct key_value keys[PLAN_KEYS];
    struct cell *cells; /* by place in the grouping's measures */
};

struct group_list {
    struct group *groups;
    size_t count;
    uint64_t all;        /* how many there are without skip and limit */
    struct cell *totals; /* when asked for */
};

/* ---- PLAN_FACETS ---- */

struct facet {
    struct subject of;
    uint64_t inferences;                 /* that have a value */
    uint64_t strings, numbers, booleans; /* of metadata: how many of each type */
    int64_t first_us, last_us;           /* of metadata: times of the first and last inference that has one */
    uint64_t values;                     /* different ones */
    bool estimated; /* too many to hold: `values` is within about 1 %, the counts in `top` may be low */
    struct facet_value {
        struct value value;
        uint64_t count;
    } * top; /* the most frequent first, then in the order of values */
    size_t top_count;
};

/* ---- all ---- */

struct answer {
    struct gap *gaps;
    size_t gap_count;
    uint64_t as_of; /* no row of a later seq is in it */
    size_t summed;  /* how often a summary stood for a segment's rows */

    uint64_t count; /* PLAN_COUNT */

    struct hit *hits; /* PLAN_LIST */
    size_t hit_count;
    struct cursor next; /* set when there are more */

    struct group_list *lists; /* PLAN_GROUPS: one a grouping */

    struct facet *facets; /* PLAN_FACETS: first those asked for by name */
    size_t facet_count;
};

/* The order of values: booleans, numbers, strings by their bytes. Below, at or above 0. */
int value_order(const struct value *a, const struct value *b);

/* The order of two groups as a grouping asks for it: below, at or above 0. Of their cells only those of its order columns
 * are looked at. */
int group_order(const struct grouping *g, const struct group *a, const struct group *b);

/* The last step of every engine: takes all groups of a grouping, puts them in order, skips and limits. */
void group_list_finish(const struct grouping *g, struct group_list *list);
