#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client_json.h"

enum { JOINED = 50 };

static uint64_t count_of(const json_t *object, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static bool within(const char *what, uint64_t is, uint64_t least, uint64_t most, struct err *e) {
    if (is >= least && is <= most) return true;
    return err_set(e, ERR_INVALID, "%s: %" PRIu64 " are there, %" PRIu64 " to %" PRIu64 " were acknowledged", what, is,
                   least, most);
}

static bool check_counts(struct client *c, const struct work *w, struct err *e) {
    char path[256];
    uint64_t known = 0, unknown = 0, unsure_known = 0, unsure_unknown = 0;
    for (uint64_t i = 0; i < w->ids; i++) {
        bool unsure = w->last[i] == WORK_UNSURE, data = i < w->data.events;
        if (unsure)
            *(data ? &unsure_known : &unsure_unknown) += 1;
        else if (w->last[i])
            *(data ? &known : &unknown) += 1;
    }
    snprintf(path, sizeof path, "/api/v1/%s/fields", w->o->workspace);
    json_t *answer = client_json(c, "GET", path, (struct str){0}, e), *entry, *field = NULL;
    if (!answer) return false;
    size_t at;
    json_array_foreach(json_object_get(answer, "fields"), at, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && !strcmp(name, work_fields[w->o->cell])) field = entry;
    }
    uint64_t with = count_of(field, "inferences"), waiting = count_of(json_object_get(answer, "pending"), "ids");
    json_decref(answer);
    unknown += w->o->pending;
    if (!within("inferences with the field", with, known, known + unsure_known, e) ||
        !within("pending ids", waiting, unknown, unknown + unsure_unknown, e))
        return false;
    snprintf(path, sizeof path, "/api/v1/%s/inferences/count", w->o->workspace);
    if (!(answer = client_json(c, "GET", path, (struct str){0}, e))) return false;
    uint64_t count = count_of(answer, "count"), want = w->data.events + w->o->extra;
    json_decref(answer);
    return within("inferences", count, want, want, e);
}

/* The id's value and, when its inference was there from the start, how often it changed. */
static bool check_id(struct client *c, const struct work *w, uint64_t place, struct err *e) {
    char path[256], want[WORK_VALUE + 1] = "", id[DATA_ID];
    if (w->last[place] == WORK_UNSURE) return true;
    work_id(w, place, id);
    snprintf(path, sizeof path, "/api/v1/%s/inferences/%.*s", w->o->workspace, DATA_ID, id);
    json_t *answer = client_json(c, "GET", path, (struct str){0}, e), *change;
    if (!answer) return false;
    const char *has = json_string_value(json_object_get(json_object_get(answer, "metadata"), work_fields[w->o->cell]));
    if (w->last[place]) work_value((uint8_t)(w->last[place] - 1), want);
    bool same = !strcmp(has ? has : "", want);
    size_t at, changes = 0;
    json_array_foreach(json_object_get(answer, "metadata_history"), at, change) {
        const char *field = json_string_value(json_object_get(change, "field"));
        changes += field && !strcmp(field, work_fields[w->o->cell]);
    }
    if (!same)
        err_set(e, ERR_INVALID, "GET %s: value '%s', but '%s' was acknowledged", path, has ? has : "", want);
    else if (changes != w->changes[place])
        same = err_set(e, ERR_INVALID, "GET %s: %zu changes in the history, but %u were acknowledged", path, changes,
                       w->changes[place]);
    json_decref(answer);
    return same;
}

/* Brings the inference of a pending id: its metadata must be there at once. */
static bool join(struct client *c, const struct work *w, uint64_t place, struct err *e) {
    char path[256];
    struct buf body = {0};
    struct data_event event;
    data_event(&w->data, work_unknown(w, place), &event);
    event.time_us = clock_now_us();
    data_json(&body, &w->data, &event);
    snprintf(path, sizeof path, "/api/v1/%s/inferences", w->o->workspace);
    json_t *answer = client_json(c, "POST", path, buf_str(&body), e);
    buf_free(&body);
    if (!answer) return false;
    json_decref(answer);
    return check_id(c, w, place, e);
}

static bool check(struct client *c, const struct work *w, uint64_t *looked, uint64_t *joined, struct err *e) {
    uint64_t events = w->data.events, step = w->o->sample ? events / w->o->sample + 1 : events;
    bool ok = check_counts(c, w, e);
    for (uint64_t i = 0; ok && w->o->sample && i < events; i += step, ++*looked) ok = check_id(c, w, i, e);
    for (uint64_t i = events - w->o->recent; ok && i < events; i += w->o->recent / 500 + 1, ++*looked)
        ok = check_id(c, w, i, e);
    for (uint64_t i = events; ok && w->o->sample && i < w->ids && *joined < JOINED; i++)
        if (w->last[i] && w->last[i] != WORK_UNSURE) ok = join(c, w, i, e), ++*joined;
    return ok;
}

bool check_server(const struct options *o, struct err *e) {
    struct client c;
    struct work w;
    uint64_t looked = 0, joined = 0;
    if (!work_init(&w, o, e)) return false;
    bool ok = work_load(&w, e) && client_open(&c, o->url, o->key, e);
    if (ok) {
        ok = check(&c, &w, &looked, &joined, e);
        client_close(&c);
        printf("{\"work\":\"check\",\"ok\":%s,\"looked_up\":%" PRIu64 ",\"joined\":%" PRIu64 "}\n",
               ok ? "true" : "false", looked, joined);
    }
    work_free(&w);
    return ok;
}
