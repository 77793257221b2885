/* A query as a value: what is asked, with no word of how or from which files. Another engine can turn the same plan
 * into its own language; what any engine answers is in answer.h. docs/query.md says what each part means.
 *
 * Rows that a complete record has hidden are in no answer. Rows from partial sources are there only when the plan says
 * `partial`.
 *
 * Owner: whoever made it; it and what it points to outlive the run. Any thread. Times in microseconds. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "query/filter.h"

/* ---- what is spoken of: the columns of an inference, and its metadata ---- */

/* Where a column may stand. */
enum use {
    USE_KEY = 1,
    USE_DISTINCT = 2,
    USE_NUMBER = 4, /* sum, avg, min, max */
    USE_AVG = 8,
    USE_RANGE = 16, /* min, max */
    USE_BINS = 32,  /* quantile, histogram */
    USE_NEWEST = 64,
    USE_FACET = 128,
};

/* name in the enum, in text, what may be done with it */
#define PLAN_OF_MAP(X)                                                                                                 \
    X(TIME, "time", USE_KEY | USE_RANGE)                                                                               \
    X(ID, "id", USE_DISTINCT)                                                                                          \
    X(MODEL, "model", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                                 \
    X(MODEL_BASE, "model_base", USE_KEY | USE_DISTINCT)       /* the model id up to its last '/' */                    \
    X(MODEL_VERSION, "model_version", USE_KEY | USE_DISTINCT) /* what stands behind it; none without a '/' */          \
    X(MODEL_NAME, "model_name", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                       \
    X(DEVICE, "device", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                               \
    X(SOURCE, "source", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                               \
    X(SOURCE_INFO, "source_info", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                     \
    X(SERVER, "server", USE_KEY | USE_DISTINCT | USE_NEWEST | USE_FACET)                                               \
    X(ERROR, "error", USE_KEY | USE_FACET) /* whether it failed: a boolean, as the next two are */                     \
    X(PARTIAL, "partial", USE_KEY | USE_FACET)                                                                         \
    X(PICTURE, "picture", USE_KEY | USE_FACET)                                                                         \
    X(INDEX, "index", USE_KEY | USE_DISTINCT)                                                                          \
    X(DETECTIONS, "detections", USE_KEY | USE_NUMBER)                                                                  \
    X(CLASS, "class", USE_KEY | USE_DISTINCT | USE_FACET)                                                              \
    X(CONFIDENCE, "confidence", USE_KEY | USE_NUMBER | USE_BINS)                                                       \
    X(LATENCY, "latency", USE_NUMBER | USE_BINS)                                                                       \
    X(MONITORING_CONFIDENCE, "monitoring_confidence", USE_AVG) /* as Model Monitoring counts: a row a detection, */    \
    X(MONITORING_LATENCY, "monitoring_latency", USE_AVG)       /* one of confidence 0 for none; unknown is 0 */        \
    X(METADATA, "metadata.", USE_KEY | USE_DISTINCT | USE_NUMBER | USE_FACET)

enum of {
#define X(name, text, uses) OF_##name,
    PLAN_OF_MAP(X)
#undef X
        OF_COUNT,
};

struct subject {
    enum of of;
    struct str field; /* OF_METADATA: its name */
};

/* ---- what rows are grouped by ----
 *
 * A row without a value in the key's column is in the group of "none". A key's value is that of the record as it is, so
 * that a filter on it finds the same rows: metadata tells "5" from 5, OF_CONFIDENCE is that of the top detection.
 *
 * OF_CLASS makes each detection count for its class, and a key OF_CONFIDENCE beside it is the detection's. An inference
 * without detections has the class "none"; so has a detection without a class; a failed inference is in no group by
 * class.
 *
 * OF_TIME: a bucket begins where time + offset is a multiple of the width; its value is its beginning.
 * OF_CONFIDENCE: bin k holds k * w / 1000 <= confidence < (k + 1) * w / 1000, both computed as doubles, and its value
 * is the first of them; the first bin also holds all below, the last that begins below 1 all above. */
struct key {
    struct subject subject;
    int64_t width_us, offset_us; /* OF_TIME */
    uint32_t width_thousandths;  /* OF_CONFIDENCE: 1 to 1000 */

    /* Only the `top` values with the most of `by`, ties by the values' order; 0: all. The others are one group,
     * "other", counted as if they were one value; with `drop` they are in no group. "None" is neither: it keeps its
     * group. */
    uint32_t top;
    const struct measure *by; /* a number; NULL: inferences */
    bool drop;
};

/* ---- what is asked of a group ----
 *
 * Failed inferences are counted, and are in no mean, quantile, detection or class; metadata, time and what else is
 * distinct or newest are taken of all. Metadata numbers are numbers and strings that are JSON numbers in full.
 *
 * In a grouping by class an inference counts once a group for everything but detections, confidence and the two means
 * of Model Monitoring, which are those of the group's detections. */
enum measure_kind {
    MEASURE_INFERENCES, /* failed ones included */
    MEASURE_ERRORS,
    MEASURE_EMPTY, /* answered, and nothing found */
    MEASURE_DETECTIONS,
    MEASURE_DISTINCT, /* different values; "none" is not one */
    MEASURE_SUM,      /* 0 of nothing */
    MEASURE_AVG,
    MEASURE_MIN,
    MEASURE_MAX,
    MEASURE_QUANTILE,  /* from bins, see record/bins.h */
    MEASURE_HISTOGRAM, /* the counts of those bins */
    MEASURE_NEWEST,    /* the value of the newest row, by (time, seq), of those that have one */
};

struct measure {
    enum measure_kind kind;
    struct subject of; /* from MEASURE_DISTINCT on */
    double at;         /* MEASURE_QUANTILE: 0 to 1 */
};

/* ---- groupings ---- */

/* By a column of the answer: first the keys, then the measures. Booleans before numbers before text; "none" (and what
 * is unknown) behind all values, "other" behind that, in both directions. What is equal is in the order of its keys. */
struct order {
    uint32_t column;
    bool descending;
};

enum { PLAN_KEYS = 2, PLAN_ORDERS = 4, PLAN_MEASURES = 64, PLAN_GROUPINGS = 16 };

struct grouping {
    struct key keys[PLAN_KEYS];
    size_t key_count; /* 0: everything is one group, which is there also when nothing is in it */
    const struct measure *measures;
    size_t measure_count;
    struct order orders[PLAN_ORDERS];
    size_t order_count;
    uint32_t limit, skip; /* of the groups in order; limit 0: all */
    bool totals;          /* the measures of all rows, as without keys, are wanted too */
    uint32_t max_groups;  /* more of them, before skip and limit, are an error */
};

/* ---- facets: the most frequent values of columns and fields, with the number of inferences that have them ---- */
struct facets {
    const struct subject *of;
    size_t count;
    bool columns; /* also every column of USE_FACET */
    bool fields;  /* also every metadata field that a row has, those that most have first, then by their names */
    uint32_t limit; /* values each */
};

/* ---- the plan ---- */

enum plan_kind { PLAN_LIST, PLAN_COUNT, PLAN_GROUPS, PLAN_FACETS };

/* Where a list goes on: behind the row of this time and seq, among those that were there at `as_of`. */
struct cursor {
    bool set;
    int64_t time_us;
    uint64_t seq, as_of;
};

struct plan {
    uint32_t workspace;
    int64_t from_us, to_us;      /* from included, to not */
    const struct filter *filter; /* NULL: everything */
    bool partial;                /* rows from partial sources too */
    uint64_t as_of;              /* rows of a later seq are left out; 0: none */
    uint32_t timeout_ms;         /* 0: as long as the server lets it run */
    enum plan_kind kind;

    /* PLAN_LIST: newest first, by (time, seq). */
    uint32_t limit;
    struct cursor after;

    /* PLAN_GROUPS: all over the same rows, which are read once. */
    const struct grouping *groupings;
    size_t grouping_count;

    struct facets facets; /* PLAN_FACETS */
};

/* All time. */
#define PLAN_FIRST_US (INT64_MIN / 2)
#define PLAN_LAST_US (INT64_MAX / 2)

/* How a run goes: what ends it early, and who helps. */
struct crew;
struct query_control {
    int64_t deadline_us;     /* monotonic; 0: none */
    size_t memory;           /* bytes that groups, sets and lists may take together; 0: no bound */
    bool (*gone)(void *ctx); /* whether nobody waits for the answer any more; called on any thread; NULL: never asked */
    void *ctx;
    struct crew *crew; /* threads that may help; NULL: none */
    bool rows_only;    /* summaries are not asked */
};

/* What statistics ask of a range or a model, by place: those up to STATS_MEANS cost little, quantiles more. */
#define PLAN_STATS_MAP(X)                                                                                              \
    X(INFERENCES, MEASURE_INFERENCES, OF_TIME, 0)                                                                      \
    X(ERRORS, MEASURE_ERRORS, OF_TIME, 0)                                                                              \
    X(EMPTY, MEASURE_EMPTY, OF_TIME, 0)                                                                                \
    X(DETECTIONS, MEASURE_DETECTIONS, OF_TIME, 0)                                                                      \
    X(MONITORING_CONFIDENCE, MEASURE_AVG, OF_MONITORING_CONFIDENCE, 0)                                                 \
    X(MONITORING_LATENCY, MEASURE_AVG, OF_MONITORING_LATENCY, 0)                                                       \
    X(CONFIDENCE, MEASURE_AVG, OF_CONFIDENCE, 0)                                                                       \
    X(LATENCY, MEASURE_AVG, OF_LATENCY, 0)                                                                             \
    X(LAST_SEEN, MEASURE_MAX, OF_TIME, 0)                                                                              \
    X(MODEL_NAME, MEASURE_NEWEST, OF_MODEL_NAME, 0)                                                                    \
    X(CONFIDENCE_P50, MEASURE_QUANTILE, OF_CONFIDENCE, 0.5)                                                            \
    X(LATENCY_P50, MEASURE_QUANTILE, OF_LATENCY, 0.5)                                                                  \
    X(LATENCY_P95, MEASURE_QUANTILE, OF_LATENCY, 0.95)                                                                 \
    X(LATENCY_P99, MEASURE_QUANTILE, OF_LATENCY, 0.99)
enum stats_measure {
#define X(name, kind, of, at) STATS_##name,
    PLAN_STATS_MAP(X)
#undef X
        STATS_ALL,
    STATS_MEANS = STATS_CONFIDENCE_P50,
};
extern const struct measure plan_stats[STATS_ALL];

/* ---- what a plan's words mean, for every engine ---- */

const char *of_name(enum of of);
unsigned of_uses(enum of of);
static inline bool subject_eq(const struct subject *x, const struct subject *y) {
    return x->of == y->of && (x->of != OF_METADATA || str_eq(x->field, y->field));
}
bool grouping_by(const struct grouping *g, enum of of); /* whether a key is */

int64_t key_bucket(const struct key *k, int64_t time_us); /* where the bucket begins that a time is in */
uint32_t key_bins(const struct key *k);                   /* how many bins of confidence there are */
uint32_t key_bin(const struct key *k, double confidence); /* the one that it is in */
double key_bin_value(const struct key *k, uint32_t bin);

/* The two parts of a model id; {NULL, 0} where there is none. */
struct str model_base(struct str model);
struct str model_version(struct str model);

/* As they stand in JSON and over the columns of an answer: "metadata.shift", "quantile(latency,0.95)". */
void subject_write(struct buf *to, const struct subject *s);
void measure_write(struct buf *to, const struct measure *m);

/* Cursors as text that only we read; false for what isn't one. A page of groups goes on behind `skip` of them, among
 * the rows up to `as_of`. */
void cursor_write(struct buf *to, const struct cursor *c);
bool cursor_read(struct str text, struct cursor *out);
void group_cursor_write(struct buf *to, uint32_t skip, uint64_t as_of);
bool group_cursor_read(struct str text, uint32_t *skip, uint64_t *as_of);
