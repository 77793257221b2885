/* What is asked of one id, and of the metadata fields. Results live in the arena given; nothing of the view is in
 * them. Any thread, one for each call; a view of NULL is a workspace that holds nothing. */
#pragma once
#include "query/run.h"

/* One write of one field. */
struct change {
    struct str field;
    struct value value, previous; /* VALUE_NONE: removed; there was none */
    int64_t time_us;
    uint64_t seq;
    uint32_t key_id;
};

struct sibling {
    struct str model_id;
    uint32_t index;
};

/* Which of an id's inferences. */
struct which {
    bool by_index, by_model;
    uint32_t index;
    struct str model_id;
};

struct one {
    bool known, pending, found; /* the id was heard of; has metadata and no inference; `hit` is there */
    struct hit hit;
    struct change *history; /* of the id, newest first */
    size_t history_count;
    struct sibling *siblings; /* the id's other inferences */
    size_t sibling_count;
    struct entry *metadata; /* the id's current values, also where no inference came yet */
    size_t metadata_count;
};

/* The first to arrive of the id's inferences that `which` allows, complete ones before partial ones. */
bool query_one(const struct view *v, struct str id, const struct which *which, struct arena *a, struct one *out,
               struct err *e);

enum { FIELD_TOP = 10 };

struct field_stats {
    struct str name;
    uint64_t inferences, strings, numbers, booleans;
    uint64_t values; /* different ones */
    struct field_top {
        struct value value;
        uint64_t count;
    } top[FIELD_TOP];
    size_t top_count;
};

/* The fields that inferences of the plan carry, in the order in which they came into being. */
bool query_fields(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
                  struct field_stats **fields, size_t *count, struct err *e);

/* The ids with metadata and no inference. */
struct pending {
    uint64_t ids;
    int64_t oldest_us; /* when the first value of the one waiting longest came */
};
void query_pending(const struct view *v, struct pending *out);
