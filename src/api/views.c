/* /api/v1/:workspace/views: states of the dashboard's pages under a name, opened by /ui/view/ID. */
#include "catalog/views.h"

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/members.h"
#include "api/read.h"

enum { QUERY_MOST = 4096 };
static const char *const members[] = {"name", "page", "query", NULL};

static void put_view(struct buf *to, struct catalog *c, const struct saved_view *v) {
    struct key_name by;
    put_object(to);
    put_key(to, "id"), put_str(to, v->id);
    put_key(to, "name"), put_str(to, v->name);
    put_key(to, "page"), put_str(to, v->page);
    put_key(to, "query"), put_str(to, v->query);
    put_key(to, "by"), put_strz(to, catalog_key_name(c, v->key_id, &by) ? by.name : NULL);
    put_key(to, "changed"), put_time(to, v->changed_us);
    put_object_end(to);
}

static bool show(struct read *rd, const struct view *unused, struct err *e) {
    (void)unused;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    struct saved_view *list;
    size_t count;
    if (!saved_views_read(c, rd->who.workspace_id, &r->arena, &list, &count, e)) return false;
    put_object(&r->out);
    put_key(&r->out, "views"), put_array(&r->out);
    for (size_t i = 0; i < count; i++) put_view(&r->out, c, &list[i]);
    put_array_end(&r->out);
    put_object_end(&r->out);
    return true;
}

void get_saved_views(struct request *r) { read_plain(r, show, NULL); }

/* ---- changes ---- */

/* A page's path below /ui/ and nothing that leads elsewhere. */
static bool check_page(struct str page, struct err *e) {
    for (size_t i = 0; i < page.n; i++) {
        char c = page.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || !strchr("_-/%.", c) || (c == '.' && page.p[i - 1] == '.')))
            return err_set(e, ERR_INVALID, "page must be the path of a page below /ui/, such as inferences");
    }
    return true;
}

/* whole: a new one, which needs a name and a page. */
static bool read_view(struct arena *a, const json_t *body, bool whole, struct saved_view *v, struct err *e) {
    bool named = whole ? member_needed(a, body, "", "name", NAME_MOST, &v->name, e) &&
                             member_needed(a, body, "", "page", NAME_MOST, &v->page, e)
                       : member_text(a, body, "", "name", 1, NAME_MOST, &v->name, e) &&
                             member_text(a, body, "", "page", 1, NAME_MOST, &v->page, e);
    return named && check_page(v->page, e) && member_text(a, body, "", "query", 0, QUERY_MOST, &v->query, e);
}

static bool add(struct read *rd, const struct view *unused, struct err *e) {
    (void)unused;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    if (!saved_view_add(c, rd->who.workspace_id, &r->arena, rd->own, e)) return false;
    put_view(&r->out, c, rd->own);
    rd->status = 201;
    return true;
}

static bool change(struct read *rd, const struct view *unused, struct err *e) {
    (void)unused;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    if (!saved_view_change(c, rd->who.workspace_id, &r->arena, rd->own, e)) return false;
    put_view(&r->out, c, rd->own);
    return true;
}

static bool drop(struct read *rd, const struct view *unused, struct err *e) {
    (void)unused;
    struct request *r = rd->request;
    return saved_view_remove(app_of(r)->catalog, rd->who.workspace_id, request_param(r, "id"), rd->who.key_id, e);
}

static void take(struct request *r, bool whole, read_work *work) {
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct saved_view *v = rd->own = arena_alloc(&r->arena, sizeof *v);
    v->id = request_param(r, "id");
    v->key_id = rd->who.key_id;
    read_run_if(rd, read_view(&r->arena, rd->body, whole, v, &rd->e), work);
}

void post_saved_view(struct request *r) { take(r, true, add); }
void put_saved_view(struct request *r) { take(r, false, change); }

void delete_saved_view(struct request *r) { read_plain(r, drop, read_nothing); }
