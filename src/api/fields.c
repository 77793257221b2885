/* The metadata fields of a workspace, and what waits for its inference. */
#include "api/answer_json.h"
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/near.h"
#include "query/lookup.h"

enum { FIELD_TOP = 10 };

/* The fields of the answer, each with when it was seen and those that it is easily mistaken for. */
static void put_fields(struct buf *to, struct arena *arena, const struct answer *a) {
    struct str *names = arena_alloc(arena, (a->facet_count + 1) * sizeof *names);
    for (size_t i = 0; i < a->facet_count; i++) names[i] = a->facets[i].of.field;
    const struct near *near = near_names(arena, names, a->facet_count);
    put_key(to, "fields"), put_array(to);
    for (size_t i = 0; i < a->facet_count; i++) {
        put_object(to);
        put_facet(to, "name", names[i], &a->facets[i]);
        put_key(to, "first"), put_time(to, a->facets[i].first_us);
        put_key(to, "last"), put_time(to, a->facets[i].last_us);
        put_key(to, "near"), put_array(to);
        for (size_t k = 0; k < near[i].count; k++) put_str(to, near[i].names[k]);
        put_array_end(to);
        put_object_end(to);
    }
    put_array_end(to);
}

static bool show_fields(struct read *rd, const struct view *v, struct err *e) {
    struct buf *to = &rd->request->out;
    struct answer a;
    struct waiting waiting;
    if (!read_ask(rd, v, &rd->plan, &a, e)) return false;
    query_waiting(v, rd->now_us, &waiting);
    put_object(to);
    put_fields(to, &rd->request->arena, &a);
    put_key(to, "pending"), put_object(to);
    put_key(to, "ids"), put_int(to, (int64_t)waiting.ids);
    put_time_or_null(to, "oldest", waiting.ids, waiting.oldest_us);
    put_object_end(to);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_incomplete(to, a.gaps, a.gap_count);
    put_object_end(to);
    return true;
}

void get_fields(struct request *r) {
    static const char *const names[] = {NULL};
    struct read *rd = read_begin(r);
    if (!rd || !read_plan(rd, names)) return;
    rd->plan.kind = PLAN_FACETS;
    rd->plan.facets = (struct facets){.fields = true, .limit = FIELD_TOP};
    read_run(rd, show_fields, NULL);
}
