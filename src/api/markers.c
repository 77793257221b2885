/* /api/v1/:workspace/markers: what was done at the line and when, set by hand or by a program; and among them, by
 * themselves, the versions of models: the first time that an id of a model is seen of which another version was seen
 * before. The store says since when each model is there, the catalog remembers it past the retention. */
#include "catalog/markers.h"

#include <stdlib.h>

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/members.h"
#include "api/read.h"

#define HOUR INT64_C(3600000000)
#define DAY (24 * HOUR)
enum { MARKER_TEXT = 1024, MODELS_MOST = 65536 };
static const char *const members[] = {"time", "text", "kind", "model_id", "device_id", NULL};
static const char *const kinds[] = {"changeover", "cleaned", "model", "other"};
enum { KINDS = sizeof kinds / sizeof *kinds, KIND_OTHER = KINDS - 1 };

static void put_one(struct buf *to, struct catalog *c, const struct marker *m) {
    struct key_name by;
    bool automatic = m->id == 0;
    put_object(to);
    put_int_or_null(to, "id", !automatic, m->id);
    put_key(to, "time"), put_time(to, m->time_us);
    put_key(to, "text"), put_str(to, m->text);
    put_key(to, "kind"), put_str(to, m->kind);
    put_text_or_null(to, "model_id", m->model_id);
    put_text_or_null(to, "device_id", m->device_id);
    put_key(to, "by"), put_strz(to, catalog_key_name(c, m->key_id, &by) ? by.name : NULL);
    put_key(to, "automatic"), put_bool(to, automatic);
    put_object_end(to);
}

/* ---- versions of models ---- */

static const struct measure first_seen = {.kind = MEASURE_MIN, .of = {.of = OF_TIME}};
static const struct grouping by_model = {.keys = {{.subject = {.of = OF_MODEL}}},
                                         .key_count = 1,
                                         .measures = &first_seen,
                                         .measure_count = 1,
                                         .max_groups = MODELS_MOST};

/* Of the last year, by whole hours, so that summaries answer it: what is told to be older, or to come, a wrong clock
 * says. */
static bool ask_models(struct read *rd, const struct view *v, struct model_seen **out, size_t *count, struct err *e) {
    const struct plan p = {.workspace = rd->who.workspace_id,
                           .from_us = rd->now_us / HOUR * HOUR - 366 * DAY,
                           .to_us = rd->now_us / HOUR * HOUR + DAY,
                           .kind = PLAN_GROUPS,
                           .groupings = &by_model,
                           .grouping_count = 1};
    struct answer a;
    if (!read_ask(rd, v, &p, &a, e)) return false;
    const struct group_list *list = &a.lists[0];
    struct model_seen *seen = *out = arena_alloc(&rd->request->arena, (list->count + 1) * sizeof *seen);
    *count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct group *g = &list->groups[i];
        if (g->keys[0].kind != KEY_VALUE || !g->cells[0].known) continue;
        seen[(*count)++] = (struct model_seen){g->keys[0].value.text, g->cells[0].time_us};
    }
    return true;
}

static int by_base_and_time(const void *x, const void *y) {
    const struct model_seen *a = x, *b = y;
    int order = str_cmp(model_base(a->model_id), model_base(b->model_id));
    if (order) return order;
    if (a->first_us != b->first_us) return a->first_us < b->first_us ? -1 : 1;
    return str_cmp(a->model_id, b->model_id);
}

/* Those of them that are in the range, behind the `count` that `list` has; it has room. */
static void add_versions(struct read *rd, struct model_seen *all, size_t all_count, struct marker *list,
                         size_t *count) {
    if (all_count) qsort(all, all_count, sizeof *all, by_base_and_time);
    for (size_t i = 1; i < all_count; i++) {
        struct str base = model_base(all[i].model_id);
        bool later = base.n && str_eq(base, model_base(all[i - 1].model_id));
        if (!later || all[i].first_us < rd->plan.from_us || all[i].first_us >= rd->plan.to_us) continue;
        list[(*count)++] = (struct marker){
            .time_us = all[i].first_us,
            .text = str_of(arena_printf(&rd->request->arena, STR_FMT " seen for the first time",
                                        STR_ARG(all[i].model_id))),
            .kind = STR("model"),
            .model_id = all[i].model_id,
        };
    }
}

static int by_time(const void *x, const void *y) {
    const struct marker *a = x, *b = y;
    if (a->time_us != b->time_us) return a->time_us < b->time_us ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return str_cmp(a->model_id, b->model_id);
}

/* ---- the routes ---- */

static bool show(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    struct model_seen *now, *all;
    struct marker *kept;
    size_t now_count, all_count, count;
    if (!ask_models(rd, v, &now, &now_count, e) ||
        !models_seen(c, rd->who.workspace_id, now, now_count, &r->arena, &all, &all_count, e) ||
        !markers_read(c, rd->who.workspace_id, rd->plan.from_us, rd->plan.to_us, &r->arena, &kept, &count, e))
        return false;
    struct marker *list = arena_alloc(&r->arena, (count + all_count + 1) * sizeof *list);
    if (count) memcpy(list, kept, count * sizeof *list);
    add_versions(rd, all, all_count, list, &count);
    if (count) qsort(list, count, sizeof *list, by_time);
    put_object(&r->out);
    put_key(&r->out, "markers"), put_array(&r->out);
    for (size_t i = 0; i < count; i++) put_one(&r->out, c, &list[i]);
    put_array_end(&r->out);
    put_object_end(&r->out);
    return true;
}

void get_markers(struct request *r) {
    static const char *const names[] = {"from", "to", NULL};
    struct read *rd = read_begin(r);
    if (rd && read_only(rd, names) && read_time(rd, "from", &rd->plan.from_us) &&
        read_time(rd, "to", &rd->plan.to_us))
        read_run(rd, show, NULL);
}

/* What a body says of a marker, over what *m holds. */
static bool read_marker(struct arena *a, const json_t *body, struct marker *m, struct err *e) {
    struct str text, kind, model_id, device_id;
    size_t k = 0;
    if (!member_time(body, "time", &m->time_us, e) ||
        !member_text(a, body, "", "text", 1, MARKER_TEXT, &text, e) ||
        !member_text(a, body, "", "kind", 1, NAME_MOST, &kind, e) ||
        !member_text(a, body, "", "model_id", 0, MARKER_TEXT, &model_id, e) ||
        !member_text(a, body, "", "device_id", 0, MARKER_TEXT, &device_id, e))
        return false;
    while (kind.p && k < KINDS && !str_is(kind, kinds[k])) k++;
    if (k == KINDS) return err_set(e, ERR_INVALID, "kind must be changeover, cleaned, model or other");
    if (text.p) m->text = text;
    if (kind.p) m->kind = kind;
    if (json_object_get(body, "model_id")) m->model_id = model_id;
    if (json_object_get(body, "device_id")) m->device_id = device_id;
    return true;
}

static bool add(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    if (!marker_add(c, rd->who.workspace_id, rd->own, e)) return false;
    put_one(&r->out, c, rd->own);
    rd->status = 201;
    return true;
}

void post_marker(struct request *r) {
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct marker *m = rd->own = arena_alloc(&r->arena, sizeof *m);
    *m = (struct marker){.time_us = rd->now_us, .key_id = rd->who.key_id, .kind = str_of(kinds[KIND_OTHER])};
    bool good = read_marker(&r->arena, rd->body, m, &rd->e);
    read_run_if(rd, good && (m->text.p || err_set(&rd->e, ERR_INVALID, "text is missing")), add);
}

/* Ids that are no number are those of no marker. */
static int64_t id_of(const struct request *r) {
    unsigned long long id;
    return str_to_u64(request_param(r, "id"), &id) && id <= INT64_MAX ? (int64_t)id : 0;
}

static bool change(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    struct marker m;
    if (!marker_read(c, rd->who.workspace_id, id_of(r), &r->arena, &m, e) || !read_marker(&r->arena, rd->body, &m, e))
        return false;
    m.key_id = rd->who.key_id;
    if (!marker_change(c, rd->who.workspace_id, &m, e)) return false;
    put_one(&r->out, c, &m);
    return true;
}

void put_marker(struct request *r) {
    struct read *rd = read_object(r, members);
    if (rd) read_run(rd, change, NULL);
}

static bool drop(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    return marker_remove(app_of(r)->catalog, rd->who.workspace_id, id_of(r), rd->who.key_id, e);
}

void delete_marker(struct request *r) { read_plain(r, drop, read_nothing); }
