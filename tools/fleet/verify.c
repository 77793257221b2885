#include "verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "client_json.h"

static bool same(const char *what, uint64_t is, uint64_t want, struct err *e) {
    return is == want ||
           err_set(e, ERR_INVALID, "verify: %s: %" PRIu64 " on the server, %" PRIu64 " were sent", what, is, want);
}

static bool near(const char *what, const json_t *is, double want, struct err *e) {
    double v = json_number_value(is);
    return fabs(v - want) <= 1e-9 * fabs(want) + 1e-12 ||
           err_set(e, ERR_INVALID, "verify: %s: %.12g on the server, %.12g is right", what, v, want);
}

static uint64_t member(const json_t *object, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static json_t *ask(struct client *c, const struct wire *wire, const char *what, struct err *e) {
    char path[512];
    snprintf(path, sizeof path, "/api/v1/%s/%s", wire->workspace, what);
    return client_json(c, "GET", path, (struct str){0}, e);
}

static bool count_is(struct client *c, const struct wire *wire, const char *filter, uint64_t want, struct err *e) {
    char what[256];
    snprintf(what, sizeof what, "inferences/count?filter=%s", filter);
    json_t *answer = ask(c, wire, what, e);
    if (!answer) return false;
    uint64_t is = member(answer, "count");
    json_decref(answer);
    return same(filter, is, want, e);
}

static bool stats_are(struct client *c, const struct wire *wire, const struct truth *t, struct err *e) {
    char what[256], from[CLOCK_TEXT], to[CLOCK_TEXT];
    const struct counts *all = &t->all;
    snprintf(what, sizeof what, "stats?from=%s&to=%s", clock_format(t->from_us, from), clock_format(t->to_us, to));
    json_t *answer = ask(c, wire, what, e);
    if (!answer) return false;
    const json_t *is = json_object_get(answer, "current");
    const json_t *monitoring = json_object_get(is, "monitoring"), *each = json_object_get(is, "per_inference");
    double rows = (double)(all->detections + all->empty);
    bool ok = same("inferences", member(is, "inferences"), all->inferences, e) &&
              same("detections", member(is, "detections"), all->detections, e) &&
              same("inferences that found nothing", member(is, "empty"), all->empty, e) &&
              same("errors", member(is, "errors"), t->failures, e) &&
              near("average confidence", json_object_get(monitoring, "avg_confidence"),
                   (double)all->confidence_sum / 10000 / rows, e) &&
              near("average latency", json_object_get(each, "avg_latency_s"),
                   (double)all->latency_sum / 10000 / (double)all->latencies, e);
    json_decref(answer);
    return ok;
}

static bool fields_are(struct client *c, const struct wire *wire, const struct truth *t, struct err *e) {
    json_t *answer = ask(c, wire, "fields", e), *one;
    size_t at, known = 0;
    bool ok = answer != NULL;
    if (ok) ok = same("ids that wait", member(json_object_get(answer, "pending"), "ids"), t->never_ids, e);
    json_array_foreach(json_object_get(answer, "fields"), at, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        for (const struct field_count *f = t->fields; ok && name && f < t->fields + NAMES && f->name; f++) {
            if (!str_is(str_of(name), f->name)) continue;
            ok = same(name, member(one, "inferences"), f->inferences, e);
            known++;
        }
    }
    size_t want = 0;
    while (want < NAMES && t->fields[want].name) want++;
    if (ok) ok = same("fields", known, want, e);
    json_decref(answer);
    return ok;
}

bool verify(const struct truth *t, const struct wire *wire, struct err *e) {
    struct client c;
    if (!client_open(&c, wire->w->s->url, wire->key, e)) return false;
    bool ok = count_is(&c, wire, "source:simulated", t->all.inferences, e) &&
              count_is(&c, wire, "partial:true", t->partial_kept, e) && stats_are(&c, wire, t, e) &&
              fields_are(&c, wire, t, e);
    client_close(&c);
    return ok;
}

bool verify_workspace(char out[WORKSPACE_MOST], const struct settings *s, struct err *e) {
    struct client c;
    if (!client_open(&c, s->url, s->key, e)) return false;
    json_t *answer = client_json(&c, "GET", "/api/v1/session", (struct str){0}, e);
    const char *of_key = json_string_value(json_object_get(answer, "workspace"));
    bool ok = of_key != NULL;
    if (answer && !ok) err_set(e, ERR_INVALID, "%s: it does not say which workspace the key is of", s->url);
    if (ok && s->workspace && !str_is(str_of(of_key), s->workspace))
        ok = err_set(e, ERR_INVALID, "the key is of workspace %s, not of %s", of_key, s->workspace);
    if (ok && (size_t)snprintf(out, WORKSPACE_MOST, "%s", of_key) >= WORKSPACE_MOST)
        ok = err_set(e, ERR_INVALID, "the workspace's name is too long");
    json_decref(answer);
    client_close(&c);
    return ok;
}
