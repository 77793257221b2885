/* Failed inferences that inference servers count for the platform (protocol 3.7), which is the only place where a stock
 * server tells of them: how many of which model, on which host, of which type, in which span of time. A count is known
 * by its (session, start, resource) and stands once, however often it is sent. The newest of each workspace are kept.
 *
 * On disk when failures_add returns; calls wait, so not on HTTP workers. Any other thread. */
#pragma once
#include "catalog/catalog.h"

struct failure {
    struct str session, resource; /* resource: the model's id, or what the category counts */
    struct str category;          /* model, request, workflows, modal */
    int64_t start_ns, time_us;    /* where its span begins, twice: as sent, and in our unit */
    struct str host;              /* the first five hex digits of the SHA-256 of a host's name */
    struct str type, message;
    int64_t status; /* HTTP's; 0: not said */
    uint64_t count;
};

/* added: how many of them are new. */
bool failures_add(struct catalog *c, uint32_t workspace, const struct failure *list, size_t count, unsigned most,
                  size_t *added, struct err *e);

/* What failures are added up by. */
enum failure_key { FAILURE_ALL, FAILURE_MODEL, FAILURE_HOST, FAILURE_TYPE, FAILURE_CATEGORY, FAILURE_TIME };

/* Which: in [from_us, to_us), and of models only where `models` is set: a model that fails also fails the request or
 * the workflow around it, so that all categories together would count it twice. */
struct failure_range {
    uint32_t workspace;
    int64_t from_us, to_us;
    bool models;
};

struct failure_sum {
    struct str text;    /* of FAILURE_MODEL to FAILURE_CATEGORY */
    int64_t bucket;     /* FAILURE_TIME: floor(time_us / width_us) */
    struct str message; /* of the newest */
    uint64_t count;
    int64_t last_us;
};

/* In the order of the key; FAILURE_ALL gives one sum, its count 0 when there is nothing. */
bool failures_sum(struct catalog *c, const struct failure_range *r, enum failure_key by, int64_t width_us,
                  struct arena *a, struct failure_sum **sums, size_t *count, struct err *e);
