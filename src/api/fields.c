/* The metadata fields of a workspace, and what waits for its inference. */
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"
#include "query/lookup.h"

static void add_field(struct buf *to, const struct field_stats *f) {
    json_object(to);
    json_key(to, "name"), json_str(to, f->name);
    json_key(to, "types"), json_object(to);
    json_key(to, "string"), json_int(to, (int64_t)f->strings);
    json_key(to, "number"), json_int(to, (int64_t)f->numbers);
    json_key(to, "boolean"), json_int(to, (int64_t)f->booleans);
    json_object_end(to);
    json_key(to, "inferences"), json_int(to, (int64_t)f->inferences);
    json_key(to, "values"), json_int(to, (int64_t)f->values);
    json_key(to, "top"), json_array(to);
    for (size_t i = 0; i < f->top_count; i++) {
        json_object(to);
        json_key(to, "value"), json_value(to, &f->top[i].value);
        json_key(to, "count"), json_int(to, (int64_t)f->top[i].count);
        json_object_end(to);
    }
    json_array_end(to);
    json_object_end(to);
}

static bool show_fields(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct buf *to = &r->out;
    struct field_stats *fields;
    struct pending pending;
    size_t count;
    if (!query_fields(v, &rd->plan, &rd->control, &r->arena, &fields, &count, e)) return false;
    query_pending(v, &pending);
    json_object(to);
    json_key(to, "fields"), json_array(to);
    for (size_t i = 0; i < count; i++) add_field(to, &fields[i]);
    json_array_end(to);
    json_key(to, "pending"), json_object(to);
    json_key(to, "ids"), json_int(to, (int64_t)pending.ids);
    json_key(to, "oldest");
    if (pending.ids)
        json_time(to, pending.oldest_us);
    else
        json_null(to);
    json_object_end(to);
    json_object_end(to);
    return true;
}

void get_fields(struct request *r) {
    static const char *const names[] = {NULL};
    struct read *rd = read_begin(r);
    if (rd && read_plan(rd, names)) read_run(rd, show_fields, NULL);
}
