/* GET and PUT /api/v1/:workspace/retention: after how many days inferences are dropped. Each workspace may have its
 * own, in the catalog; else it is the server's. */
#include "api/retention.h"

#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"
#include "base/log.h"
#include "catalog/settings.h"

#define SETTING "retention_days"
#define DAY INT64_C(86400000000)
enum { DAYS_MOST = 36500, SERVERS = -1 };

static int64_t days_of(struct str kept) {
    unsigned long long days;
    return kept.p && str_to_u64(kept, &days) && days <= DAYS_MOST ? (int64_t)days : SERVERS;
}

int64_t retention_of(void *ctx, uint32_t workspace) {
    const struct app *app = ctx;
    struct arena a = {0};
    struct err e;
    struct str kept;
    char why[LOG_QUOTE];
    bool ok = setting_read(app->catalog, workspace, SETTING, &a, &kept, &e);
    if (!ok) log_event(LOG_ERROR, "retention_unknown", "workspace=%u why=%s", workspace, log_quote(why, str_of(e.msg)));
    int64_t days = ok ? days_of(kept) : 0;
    arena_free(&a);
    return (days == SERVERS ? (int64_t)app->conf->retention_days : days) * DAY;
}

static void put_days(struct request *r, int64_t days) {
    put_object(&r->out);
    put_int_or_null(&r->out, "days", days != SERVERS, days);
    put_key(&r->out, "server_days"), put_int(&r->out, app_of(r)->conf->retention_days);
    put_object_end(&r->out);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct str kept;
    if (!setting_read(app_of(r)->catalog, rd->who.workspace_id, SETTING, &r->arena, &kept, e)) return false;
    put_days(r, days_of(kept));
    return true;
}

void get_retention(struct request *r) { read_plain(r, show, NULL); }

static bool keep(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    int64_t days = *(const int64_t *)rd->own;
    struct activity by = {.key_id = rd->who.key_id, .subject = STR("retention"), .detail = STR("the server's")};
    struct str value = {0};
    if (days != SERVERS) value = str_of(arena_printf(&r->arena, "%lld", (long long)days));
    if (days == 0) by.detail = STR("for ever");
    if (days > 0) by.detail = str_of(arena_printf(&r->arena, "%lld day%s", (long long)days, days == 1 ? "" : "s"));
    put_days(r, days);
    return setting_write(app_of(r)->catalog, rd->who.workspace_id, SETTING, value, &by, e);
}

void put_retention(struct request *r) {
    static const char *const members[] = {"days", NULL};
    struct read *rd = read_object(r, members);
    if (!rd) return;
    const json_t *v = json_object_get(rd->body, "days");
    int64_t *days = rd->own = arena_alloc(&r->arena, sizeof *days);
    *days = json_is_integer(v) ? json_integer_value(v) : SERVERS;
    if (json_is_null(v) || (json_is_integer(v) && *days >= 0 && *days <= DAYS_MOST))
        read_run(rd, keep, NULL);
    else
        respond_fail(r, ERR_INVALID, "days must be a whole number from 0, for ever, to %d, or null for the server's",
                     DAYS_MOST);
}
