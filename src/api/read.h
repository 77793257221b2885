/* A handler's way to a question: begin, make the plan, run it on a query thread, answer.
 *
 *   struct read *rd = read_begin(r);                          answers 401 itself and returns NULL
 *   if (rd && read_plan(rd, own_parameters)) read_run(rd, work, answer);
 *
 * `work` runs on a query thread with the view of the workspace, and writes the body into r->out; what it allocates is
 * in r->arena. Everything else runs on the HTTP worker. A question ends early when its time is over or its client has
 * gone. */
#pragma once
#include "api/app.h"
#include "base/json_text.h"
#include "query/run.h"

struct read;
typedef bool read_work(struct read *rd, const struct view *v, struct err *e);

struct read {
    struct request *request;
    struct identity who;
    int64_t now_us;
    struct plan plan;
    struct query_control control;
    read_work *work;
    request_handler *answer;
    struct err e;  /* ERR_NONE: work was done */
    int status;    /* of the answer, 200 unless work says otherwise */
    void *own;     /* the route's own */
    json_t *body;  /* of read_json and read_object; goes with the request */
};

/* In r->data. NULL: the answer has been given. */
struct read *read_begin(struct request *r);
/* The same for a small JSON body, which may hold the key, and a query string that holds nothing else. */
struct read *read_json(struct request *r);
/* The same for an object with these members (the list ends with NULL) and api_key. */
struct read *read_object(struct request *r, const char *const *members);
static inline struct read *read_of(const struct request *r) { return r->data; }

/* A parameter of the query string; false when it is absent or empty, which are the same. */
bool read_param(const struct read *rd, const char *name, struct str *value);
/* The same as a whole number from `least` to `most`; `value` stays as it is when absent. False: the answer has been
 * given. */
bool read_number(struct read *rd, const char *name, uint64_t least, uint64_t most, uint64_t *value);

/* The same as a time, and as a filter (NULL when absent: everything). */
bool read_time(struct read *rd, const char *name, int64_t *us);
bool read_filter(struct read *rd, const char *name, const struct filter **out);

/* True when the query string holds no parameter but these and api_key; false: the answer has been given. `names` ends
 * with NULL. Parameters that begin with '_' are nobody's. */
bool read_only(struct read *rd, const char *const *names);

/* Fills the plan's time range, filter and `partial` from `from`, `to`, `filter` and the spellings (model=,
 * metadata.NAME=). `names` are the route's own parameters; any other answers 400. from_us and to_us hold their defaults
 * before. */
bool read_plan(struct read *rd, const char *const *names);

/* The shortest of the usual lengths that makes no more buckets of a range than a chart can show. */
int64_t read_usual_bucket(int64_t range_us);

/* `answer` runs on the HTTP worker when `work` was done; NULL: r->out as JSON. An error of `work` is answered here. */
void read_run(struct read *rd, read_work *work, request_handler *answer);
/* For what a body says: when that is not good, the answer is rd->e. */
void read_run_if(struct read *rd, bool good, read_work *work);
/* The whole of a route without parameters. */
void read_plain(struct request *r, read_work *work, request_handler *answer);

/* For `work`: runs a plan; one that takes long is logged, with the plan. */
bool read_ask(struct read *rd, const struct view *v, const struct plan *p, struct answer *out, struct err *e);

/* `answer` for what answers 204. */
request_handler read_nothing;

/* The member "incomplete": what was left out of an answer made of these gaps. */
void put_incomplete(struct buf *to, const struct gap *gaps, size_t count);
