/* Aggregates: a plan's groupings over the rows it speaks of, in one pass. Results live in the arena given; nothing of
 * the view is in them. One thread. */
#pragma once
#include "query/histogram.h"
#include "query/scan.h"

/* What is known of a group. Failed inferences are counted, and are in no mean, quantile or detection. */
struct measures {
    uint64_t inferences; /* failed ones included */
    uint64_t errors;
    uint64_t empty;      /* answered, and nothing found */
    uint64_t detections;
    int64_t last_us;       /* time of the newest */
    struct str model_name; /* of the newest that has one */

    /* As Model Monitoring counts: a row a detection, and a row of confidence 0 for an inference without any; what is
     * unknown is 0; latency counts once a row. */
    uint64_t rows;
    struct sum row_confidence, row_latency;

    /* An inference at a time: those with a known top confidence, those with a known latency. By class: the detections
     * with a known confidence, and the inferences that hold one. */
    uint64_t with_confidence, with_latency;
    struct sum confidence, latency;
    struct histogram confidences, latencies; /* when quantiles were asked for */
};

struct group {
    int64_t time_us;   /* KEY_TIME: when the bucket begins */
    struct str keys[2]; /* by place in the grouping; KEY_MODEL and KEY_CLASS */
    struct measures m;
    uint32_t last_row; /* row + 1 counted last, so that an inference counts once a class */
};

/* A grouping's groups, in no order. */
struct group_list {
    struct group **groups;
    size_t count;
};

/* `lists`: one for each grouping. */
bool query_aggregate(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                     struct group_list *lists, struct err *e);

/* total / n, NAN of nothing */
double mean(struct sum total, uint64_t n);
