/* POST /api/v1/:workspace/query: any question, as a plan in JSON (docs/query.md); and GET .../facets. */
#include "query/plan_json.h"

#include "api/answer_json.h"
#include "api/handlers.h"

static void refuse(struct request *r, const struct json_fault *fault, const struct err *e) {
    struct buf *to = &r->out;
    put_object(to);
    put_key(to, "error"), put_strz(to, e->msg);
    put_key(to, "pointer"), put_strz(to, fault->pointer);
    if (fault->in_text) put_key(to, "position"), put_int(to, (int64_t)fault->position);
    put_key(to, "expected"), put_strz(to, fault->expected);
    put_object_end(to);
    respond_json(r, 400);
}

static bool parse(struct read *rd) {
    struct request *r = rd->request;
    struct json_fault fault;
    struct err e = {0};
    struct plan *p = &rd->plan;
    if (json_is_object(rd->body)) json_object_del(rd->body, "api_key");
    if (!plan_from_json(&r->arena, rd->body, p, &fault, &e)) {
        refuse(r, &fault, &e);
        return false;
    }
    p->workspace = rd->who.workspace_id;
    return true;
}

void post_query(struct request *r) {
    struct read *rd = read_json(r);
    if (rd && parse(rd)) read_run(rd, show_answer, NULL);
}

/* ---- facets ---- */

enum { FACETS_MOST = 64 };

/* ?fields=model&fields=metadata.shift: these and no others. */
static bool read_facet_names(struct read *rd, struct facets *f) {
    struct request *r = rd->request;
    struct subject *list = arena_alloc(&r->arena, FACETS_MOST * sizeof *list);
    for (size_t i = 0; i < r->query_count; i++) {
        if (!str_is(r->query[i].name, "fields") || r->query[i].value.n == 0) continue;
        if (f->count == FACETS_MOST) {
            respond_fail(r, ERR_INVALID, "fields: at most %d of them", FACETS_MOST);
            return false;
        }
        if (!subject_read(&r->arena, r->query[i].value, USE_FACET, &list[f->count++])) {
            respond_fail(r, ERR_INVALID, "fields: expected a column such as model or class, or metadata.NAME");
            return false;
        }
    }
    f->of = list;
    f->columns = f->fields = f->count == 0;
    return true;
}

void get_facets(struct request *r) {
    static const char *const names[] = {"fields", "limit", NULL};
    struct read *rd = read_begin(r);
    uint64_t limit = PLAN_FACET_DEFAULT;
    if (!rd || !read_plan(rd, names) || !read_number(rd, "limit", 1, PLAN_FACET_MOST, &limit) ||
        !read_facet_names(rd, &rd->plan.facets))
        return;
    rd->plan.kind = PLAN_FACETS;
    rd->plan.facets.limit = (uint32_t)limit;
    rd->plan.partial = plan_speaks_of_partial(&rd->plan);
    read_run(rd, show_answer, NULL);
}
