/* POST /api/v1/:workspace/inferences/delete {"ids": [...]}: everything that stands under these ids goes for ever, for
 * all of them or none. The store writes files anew meanwhile, so it is done on a thread that may wait. */
#include <inttypes.h>
#include <jansson.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/activity.h"
#include "store/store.h"

enum { IDS_MOST = 1000 };

struct deletion {
    struct request *r;
    struct identity who;
    struct str *ids;
    size_t count;
    struct erased erased;
    struct err e; /* ERR_NONE: it is done */
};

/* Into the arena: the body goes before the ids are needed. */
static bool read_ids(struct request *r, const json_t *body, struct deletion *d, struct err *e) {
    const json_t *list = json_object_get(body, "ids"), *each;
    const char *name;
    json_t *value;
    size_t i;
    if (!json_is_object(body) || !json_is_array(list))
        return err_set(e, ERR_INVALID, "the body must be {\"ids\": [...]}, an array of inference ids");
    json_object_foreach((json_t *)(uintptr_t)body, name, value) {
        struct str n = str_of(name);
        if (!str_is(n, "ids") && !str_is(n, "api_key"))
            return err_set(e, ERR_INVALID, "unknown member \"" STR_FMT "\"; the body is {\"ids\": [...]}",
                           n.n > 100 ? 100 : (int)n.n, n.p);
    }
    d->count = json_array_size(list);
    if (d->count == 0 || d->count > IDS_MOST)
        return err_set(e, ERR_INVALID, "ids: %zu of them; a request names from 1 to %d", d->count, IDS_MOST);
    d->ids = arena_alloc(&r->arena, d->count * sizeof *d->ids);
    json_array_foreach(list, i, each) {
        struct str id = {json_string_value(each), json_string_length(each)};
        if (!json_is_string(each)) return err_set(e, ERR_INVALID, "ids[%zu] must be a string", i);
        if (!check_id(id, e)) return err_wrap(e, "ids[%zu]", i);
        d->ids[i] = (struct str){arena_copy(&r->arena, id.p, id.n), id.n};
    }
    return true;
}

/* How many, but not which: nothing is to be left of them. */
static void note(const struct deletion *d) {
    struct arena arena = {0};
    struct err e = {0};
    char quoted[LOG_QUOTE], *detail = arena_printf(&arena, "%" PRIu64 " ids", d->erased.ids);
    struct activity a = {.key_id = d->who.key_id,
                         .action = ACTIVITY_DELETE,
                         .subject = STR("inferences"),
                         .detail = str_of(detail),
                         .count = d->erased.inferences};
    log_event(LOG_INFO, "inferences_deleted", "request=%016llx workspace=%s key=%s inferences=%" PRIu64 " ids=%" PRIu64,
              (unsigned long long)d->r->id, d->who.slug, d->who.key_prefix, d->erased.inferences, d->erased.ids);
    if (!activity_add(app_of(d->r)->catalog, d->who.workspace_id, &a, &e))
        log_event(LOG_WARN, "activity_not_noted", "error=%s", log_quote(quoted, str_of(e.msg)));
    arena_free(&arena);
}

static void run(void *arg) {
    struct deletion *d = arg;
    bool ok = store_erase(app_of(d->r)->store, d->who.workspace_id, d->ids, d->count, &d->erased, &d->e);
    if (ok && d->erased.ids) note(d);
    request_wake(d->r);
}

static void answer(struct request *r) {
    const struct deletion *d = r->data;
    if (d->e.code != ERR_NONE) {
        respond_error(r, &d->e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "deleted"), put_int(&r->out, (int64_t)d->erased.inferences);
    put_key(&r->out, "ids"), put_int(&r->out, (int64_t)d->erased.ids);
    put_key(&r->out, "unknown"), put_int(&r->out, (int64_t)d->erased.unknown);
    put_object_end(&r->out);
    respond_json(r, 200);
}

void post_inference_delete(struct request *r) {
    struct deletion *d = arena_alloc(&r->arena, sizeof *d);
    struct err e = {0};
    json_error_t why;
    json_t *body = json_loadb(r->body.n ? r->body.p : "", r->body.n, JSON_REJECT_DUPLICATES, &why);
    const json_t *key = json_object_get(body, "api_key");
    struct str body_key = {json_string_value(key), json_string_length(key)};
    d->r = r;
    bool good = authorize_workspace(r, request_param(r, "workspace"), body_key, &d->who, &e);
    if (good && !body)
        good = err_set(&e, ERR_INVALID, "the body is not JSON: %s (line %d, column %d)", why.text, why.line,
                       why.column);
    good = good && read_ids(r, body, d, &e);
    json_decref(body);
    if (!good) {
        respond_error(r, &e);
        return;
    }
    r->data = d;
    request_wait(r, answer);
    if (pool_submit(app_of(r)->ingest, run, d)) return;
    err_set(&d->e, ERR_BUSY, "too much waits for a thread; nothing was deleted, send it again shortly");
    request_wake(r);
}
