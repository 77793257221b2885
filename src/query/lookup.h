/* What is asked of one id, and of what waits for its inference. Results live in the arena given; nothing of the view is
 * in them. Any thread, one for each call; a view of NULL is a workspace that holds nothing. */
#pragma once
#include "query/answer.h"
#include "store/view.h"

/* One write of one field, and what was there before: VALUE_NONE for nothing. */
struct past {
    struct change change;
    struct value previous;
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
    struct past *history; /* of the id, newest first */
    size_t history_count;
    struct sibling *siblings; /* the id's other inferences, in order of arrival */
    size_t sibling_count;
    struct entry *metadata; /* the id's current values in the order of their names, also where no inference came yet */
    size_t metadata_count;
    struct str uploads; /* the pictures that came under the id (record/uploads.h), also where no inference came yet */
    struct gap *gaps; /* segments that may hold more of it and cannot be read */
    size_t gap_count;
};

/* The first to arrive of the id's inferences that `which` allows, complete ones before partial ones. */
bool query_one(const struct view *v, struct str id, const struct which *which, int64_t now_us, struct arena *a,
               struct one *out, struct err *e);

/* The same of a view that was taken a moment ago. An id may have left what waits since then, for a chunk that this view
 * does not have: what it does not know is looked for in the newest one, too. */
bool query_one_now(struct store *s, uint32_t workspace, const struct view *v, struct str id, const struct which *which,
                   int64_t now_us, struct arena *a, struct one *out, struct err *e);

/* The ids with metadata and no inference. */
struct waiting {
    uint64_t ids;
    int64_t oldest_us; /* when the first value of the one waiting longest came */
};
void query_waiting(const struct view *v, int64_t now_us, struct waiting *out);

/* The same, by age, and those that wait longest. */
enum { WAITING_AGES = 6, WAITING_MOST = 1000 };
extern const int64_t waiting_ages_us[WAITING_AGES]; /* the last has no end */

struct waiting_id {
    struct str id;
    int64_t since_us;
    struct entry *metadata; /* its current values in the order of their names */
    size_t metadata_count;
};
struct waiting_list {
    uint64_t ids, ages[WAITING_AGES]; /* ages[i]: younger than waiting_ages_us[i], and not than the one before */
    struct waiting_id *oldest;
    size_t count;
};
/* At most `limit` <= WAITING_MOST of them. */
bool query_waiting_list(const struct view *v, int64_t now_us, size_t limit, struct arena *a, struct waiting_list *out,
                        struct err *e);
