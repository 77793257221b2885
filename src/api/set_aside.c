/* GET /api/v1/:workspace/set-aside: what came in a body that is taken item by item and could not be stored, newest
 * first; with format=ndjson as lines to export. The catalog is on a disk, so it is asked on a query thread. */
#include "catalog/aside.h"

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"

enum { LIMIT = 100, LIMIT_MOST = 10000 };

struct asked {
    uint64_t limit, before;
    bool lines;
};

static void put_aside(struct buf *to, const struct aside *a) {
    put_object(to);
    put_key(to, "id"), put_int(to, a->id);
    put_key(to, "time"), put_time(to, a->time_us);
    put_key(to, "source"), put_str(to, a->source);
    put_key(to, "device_id"), put_str(to, a->device_id);
    put_key(to, "server_id"), put_str(to, a->server_id);
    put_key(to, "reason"), put_str(to, a->reason);
    put_key(to, "item");
    if (a->item.n)
        put_raw(to, a->item);
    else
        put_null(to);
    put_object_end(to);
}

static void put_lines(struct buf *to, const struct aside_list *list) {
    struct buf line = {0};
    for (size_t i = 0; i < list->count; i++) {
        line.n = 0;
        put_aside(&line, &list->items[i]);
        buf_add_str(to, buf_str(&line));
        buf_addc(to, '\n');
    }
    buf_free(&line);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    const struct asked *q = rd->own;
    struct aside_list list;
    if (!aside_read(app_of(r)->catalog, rd->who.workspace_id, (int64_t)q->before, (unsigned)q->limit, &r->arena, &list,
                    e))
        return false;
    if (q->lines) return put_lines(&r->out, &list), true;
    put_object(&r->out);
    put_key(&r->out, "set_aside"), put_array(&r->out);
    for (size_t i = 0; i < list.count; i++) put_aside(&r->out, &list.items[i]);
    put_array_end(&r->out);
    put_key(&r->out, "total"), put_int(&r->out, (int64_t)list.total);
    put_key(&r->out, "kept"), put_int(&r->out, (int64_t)list.kept);
    put_key(&r->out, "next_before");
    if (list.count == q->limit)
        put_int(&r->out, list.items[list.count - 1].id);
    else
        put_null(&r->out);
    put_object_end(&r->out);
    return true;
}

static void answer(struct request *r) {
    const struct asked *q = read_of(r)->own;
    respond(r, 200, q->lines ? "application/x-ndjson" : "application/json");
}

void get_set_aside(struct request *r) {
    static const char *const names[] = {"limit", "before", "format", NULL};
    struct read *rd = read_begin(r);
    struct str format;
    if (!rd || !read_only(rd, names)) return;
    struct asked *q = rd->own = arena_alloc(&r->arena, sizeof *q);
    q->limit = LIMIT;
    if (!read_number(rd, "limit", 1, LIMIT_MOST, &q->limit) || !read_number(rd, "before", 1, INT64_MAX, &q->before))
        return;
    if (read_param(rd, "format", &format) && !str_is(format, "json")) {
        q->lines = str_is(format, "ndjson");
        if (!q->lines) {
            respond_fail(r, ERR_INVALID, "format: expected json or ndjson");
            return;
        }
    }
    read_run(rd, show, answer);
}
