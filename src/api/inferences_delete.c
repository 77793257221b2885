/* POST /api/v1/:workspace/inferences/delete {"ids": [...]}: everything that stands under these ids goes for ever, for
 * all of them or none. The store writes files anew meanwhile, so it is done on a thread that may wait. */
#include <inttypes.h>

#include "api/check_input.h"
#include "api/handlers.h"
#include "api/read.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/activity.h"
#include "store/store.h"

enum { IDS_MOST = 1000 };

struct deletion {
    struct str *ids; /* they lie in the body */
    size_t count;
    struct erased erased;
};

static bool read_ids(struct arena *a, const json_t *body, struct deletion *d, struct err *e) {
    const json_t *list = json_object_get(body, "ids"), *each;
    size_t i;
    if (!json_is_array(list))
        return err_set(e, ERR_INVALID, "the body must be {\"ids\": [...]}, an array of inference ids");
    d->count = json_array_size(list);
    if (d->count == 0 || d->count > IDS_MOST)
        return err_set(e, ERR_INVALID, "ids: %zu of them; a request names from 1 to %d", d->count, IDS_MOST);
    d->ids = arena_alloc(a, d->count * sizeof *d->ids);
    json_array_foreach(list, i, each) {
        struct str id = json_text(each);
        if (!json_is_string(each)) return err_set(e, ERR_INVALID, "ids[%zu] must be a string", i);
        if (!check_id(id, e)) return err_wrap(e, "ids[%zu]", i);
        d->ids[i] = id;
    }
    return true;
}

/* How many, but not which: nothing is to be left of them. */
static void note(const struct read *rd) {
    const struct deletion *d = rd->own;
    struct arena arena = {0};
    struct err e = {0};
    char quoted[LOG_QUOTE], *detail = arena_printf(&arena, "%" PRIu64 " ids", d->erased.ids);
    struct activity a = {.key_id = rd->who.key_id,
                         .action = ACTIVITY_DELETE,
                         .subject = STR("inferences"),
                         .detail = str_of(detail),
                         .count = d->erased.inferences};
    log_event(LOG_INFO, "inferences_deleted", "request=%016llx workspace=%s key=%s inferences=%" PRIu64 " ids=%" PRIu64,
              (unsigned long long)rd->request->id, rd->who.slug, rd->who.key_prefix, d->erased.inferences,
              d->erased.ids);
    if (!activity_add(app_of(rd->request)->catalog, rd->who.workspace_id, &a, &e))
        log_event(LOG_WARN, "activity_not_noted", "error=%s", log_quote(quoted, str_of(e.msg)));
    arena_free(&arena);
}

static void run(void *arg) {
    struct read *rd = arg;
    struct deletion *d = rd->own;
    struct store *s = app_of(rd->request)->store;
    if (store_erase(s, rd->who.workspace_id, d->ids, d->count, &d->erased, &rd->e) && d->erased.ids) note(rd);
    request_wake(rd->request);
}

static void answer(struct request *r) {
    const struct read *rd = read_of(r);
    const struct deletion *d = rd->own;
    if (rd->e.code != ERR_NONE) {
        respond_error(r, &rd->e);
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
    static const char *const members[] = {"ids", NULL};
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct deletion *d = rd->own = arena_alloc(&r->arena, sizeof *d);
    if (!read_ids(&r->arena, rd->body, d, &rd->e)) {
        respond_error(r, &rd->e);
        return;
    }
    request_wait(r, answer);
    if (pool_submit(app_of(r)->ingest, run, rd)) return;
    err_set(&rd->e, ERR_BUSY, "too much waits for a thread; nothing was deleted, send it again shortly");
    request_wake(r);
}
