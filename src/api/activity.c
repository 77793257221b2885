/* GET /api/v1/:workspace/activity: who attached, reviewed, deleted, changed a setting, and when; newest first. */
#include "catalog/activity.h"

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"

enum { LIMIT = 100, LIMIT_MOST = 1000 };

struct asked {
    uint64_t limit, before;
};

static void put_entry(struct buf *to, struct catalog *c, const struct activity *x) {
    struct key_name by;
    put_object(to);
    put_key(to, "id"), put_int(to, x->id);
    put_key(to, "time"), put_time(to, x->time_us);
    put_key(to, "by"), put_strz(to, catalog_key_name(c, x->key_id, &by) ? by.name : NULL);
    put_text_or_null(to, "reviewer", x->reviewer);
    put_key(to, "action"), put_strz(to, activity_name(x->action));
    put_key(to, "subject"), put_str(to, x->subject);
    put_key(to, "count"), put_int(to, (int64_t)x->count);
    put_text_or_null(to, "detail", x->detail);
    put_object_end(to);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    const struct asked *q = rd->own;
    struct activity_list list;
    if (!activity_read(c, rd->who.workspace_id, (int64_t)q->before, (unsigned)q->limit, &r->arena, &list, e))
        return false;
    put_object(&r->out);
    put_key(&r->out, "activity"), put_array(&r->out);
    for (size_t i = 0; i < list.count; i++) put_entry(&r->out, c, &list.items[i]);
    put_array_end(&r->out);
    put_key(&r->out, "next");
    if (list.count == q->limit)
        put_int(&r->out, list.items[list.count - 1].id);
    else
        put_null(&r->out);
    put_object_end(&r->out);
    return true;
}

void get_activity(struct request *r) {
    static const char *const names[] = {"limit", "before", NULL};
    struct read *rd = read_begin(r);
    if (!rd || !read_only(rd, names)) return;
    struct asked *q = rd->own = arena_alloc(&r->arena, sizeof *q);
    q->limit = LIMIT;
    if (read_number(rd, "limit", 1, LIMIT_MOST, &q->limit) && read_number(rd, "before", 1, INT64_MAX, &q->before))
        read_run(rd, show, NULL);
}
