#include "check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "client.h"

enum { JOINED = 50 };

/* The answer's JSON; the caller releases it. */
static json_t *call(struct client *c, const char *method, const char *path, struct str body, int *status,
                    struct err *e) {
    struct answer a;
    json_error_t at;
    if (!client_call(c, method, path, body, &a, e)) return NULL;
    *status = a.status;
    json_t *json = json_loadb(a.body.p, a.body.n, 0, &at);
    if (!json) err_set(e, ERR_INVALID, "%s %s: status %d, not JSON", method, path, a.status);
    return json;
}

static json_int_t count_of(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

static bool check_counts(struct client *c, const struct work *w, struct err *e) {
    char path[512];
    uint32_t known = 0, unknown = 0;
    int status;
    for (uint32_t i = 0; i < w->o.known + w->o.unknown; i++)
        if (w->last[i]) *(i < w->o.known ? &known : &unknown) += 1;
    snprintf(path, sizeof path, "/api/v1/%s/fields", w->o.workspace);
    json_t *answer = call(c, "GET", path, (struct str){0}, &status, e), *entry, *field = NULL;
    if (!answer) return false;
    size_t at;
    json_array_foreach(json_object_get(answer, "fields"), at, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && !strcmp(name, WORK_FIELD)) field = entry;
    }
    json_int_t inferences = count_of(field, "inferences"),
               pending = count_of(json_object_get(answer, "pending"), "ids");
    json_decref(answer);
    if (status != 200 || inferences != known || pending != unknown)
        return err_set(e, ERR_INVALID,
                       "GET %s: status %d, %" JSON_INTEGER_FORMAT " inferences with the field and %" JSON_INTEGER_FORMAT
                       " pending ids, but %u and %u were acknowledged",
                       path, status, inferences, pending, known, unknown);
    snprintf(path, sizeof path, "/api/v1/%s/inferences/count", w->o.workspace);
    if (!(answer = call(c, "GET", path, (struct str){0}, &status, e))) return false;
    json_int_t count = count_of(answer, "count");
    json_decref(answer);
    if (status != 200 || count != w->o.known)
        return err_set(e, ERR_INVALID, "GET %s: status %d, %" JSON_INTEGER_FORMAT " inferences of %u", path, status,
                       count, w->o.known);
    return true;
}

/* The id's value and, when its inference was there from the start, how often it changed. */
static bool check_id(struct client *c, const struct work *w, uint32_t number, struct err *e) {
    char path[512], want[WORK_VALUE + 1] = "";
    int status;
    snprintf(path, sizeof path, "/api/v1/%s/inferences/%.*s", w->o.workspace, WORK_ID, w->ids[number]);
    json_t *answer = call(c, "GET", path, (struct str){0}, &status, e), *change;
    if (!answer) return false;
    const char *has = json_string_value(json_object_get(json_object_get(answer, "metadata"), WORK_FIELD));
    if (w->last[number]) work_value((uint8_t)(w->last[number] - 1), want);
    bool same = status == 200 && !strcmp(has ? has : "", want);
    size_t at, changes = 0;
    json_array_foreach(json_object_get(answer, "metadata_history"), at, change) {
        const char *field = json_string_value(json_object_get(change, "field"));
        changes += field && !strcmp(field, WORK_FIELD);
    }
    if (!same)
        err_set(e, ERR_INVALID, "GET %s: status %d, value '%s', but '%s' was acknowledged last", path, status,
                has ? has : "", want);
    else if (changes != w->changes[number])
        same = err_set(e, ERR_INVALID, "GET %s: %zu changes in the history, but %u were acknowledged", path, changes,
                       w->changes[number]);
    json_decref(answer);
    return same;
}

/* Brings the inference of a pending id: its metadata must be there at once. */
static bool join(struct client *c, const struct work *w, uint32_t number, struct err *e) {
    char path[512];
    int status;
    struct buf body = {0};
    work_event(&body, w, number, clock_now_us());
    snprintf(path, sizeof path, "/api/v1/%s/inferences", w->o.workspace);
    json_t *answer = call(c, "POST", path, buf_str(&body), &status, e);
    buf_free(&body);
    if (!answer) return false;
    json_decref(answer);
    if (status != 200) return err_set(e, ERR_INVALID, "POST %s: status %d", path, status);
    return check_id(c, w, number, e);
}

bool check_server(struct work *w, struct err *e) {
    struct client c;
    unsigned looked = 0, joined = 0;
    bool ok = work_load(w, e) && client_open(&c, w->o.url, w->o.key, e);
    if (!ok) return false;
    ok = check_counts(&c, w, e);
    /* Evenly spread over all ids, the never written ones among them. */
    uint32_t step = w->o.sample ? w->o.known / w->o.sample : 0;
    for (uint32_t i = 0; ok && w->o.sample && i < w->o.known; i += step ? step : 1, looked++)
        ok = check_id(&c, w, i, e);
    for (uint32_t i = w->o.known; ok && w->o.sample && i < w->o.known + w->o.unknown && joined < JOINED; i++)
        if (w->last[i]) ok = join(&c, w, i, e), joined++;
    printf("{\"work\":\"check\",\"ok\":%s,\"looked_up\":%u,\"joined\":%u}\n", ok ? "true" : "false", looked, joined);
    client_close(&c);
    return ok;
}
