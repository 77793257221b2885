/* The metadata fields of a workspace, and what waits for its inference. */
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"
#include "query/lookup.h"

static void add_field(struct buf *to, const struct field_stats *f) {
    put_object(to);
    put_key(to, "name"), put_str(to, f->name);
    put_key(to, "types"), put_object(to);
    put_key(to, "string"), put_int(to, (int64_t)f->strings);
    put_key(to, "number"), put_int(to, (int64_t)f->numbers);
    put_key(to, "boolean"), put_int(to, (int64_t)f->booleans);
    put_object_end(to);
    put_key(to, "inferences"), put_int(to, (int64_t)f->inferences);
    put_key(to, "values"), put_int(to, (int64_t)f->values);
    put_key(to, "top"), put_array(to);
    for (size_t i = 0; i < f->top_count; i++) {
        put_object(to);
        put_key(to, "value"), put_value(to, &f->top[i].value);
        put_key(to, "count"), put_int(to, (int64_t)f->top[i].count);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

static bool show_fields(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct buf *to = &r->out;
    struct field_stats *fields;
    struct pending pending;
    size_t count;
    if (!query_fields(v, &rd->plan, &rd->control, &r->arena, &fields, &count, e)) return false;
    query_pending(v, &pending);
    put_object(to);
    put_key(to, "fields"), put_array(to);
    for (size_t i = 0; i < count; i++) add_field(to, &fields[i]);
    put_array_end(to);
    put_key(to, "pending"), put_object(to);
    put_key(to, "ids"), put_int(to, (int64_t)pending.ids);
    put_key(to, "oldest");
    if (pending.ids)
        put_time(to, pending.oldest_us);
    else
        put_null(to);
    put_object_end(to);
    put_object_end(to);
    return true;
}

void get_fields(struct request *r) {
    static const char *const names[] = {NULL};
    struct read *rd = read_begin(r);
    if (rd && read_plan(rd, names)) read_run(rd, show_fields, NULL);
}
