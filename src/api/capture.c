/* GET and PUT /api/v1/:workspace/picture-capture: which pictures stock inference servers shall send of their
 * inferences. And GET /:workspace/:dataset/active_learning, by which a server asks for it when a model is first used,
 * and again when its copy is 15 minutes old (protocol 3.6): the same rules in the form that it reads, which is that of
 * `ActiveLearningConfiguration.init` and of its samplers (inference/core/active_learning).
 *
 * A server asks by the dataset, which is the model's name without its version, so a rule cannot be of one version. The
 * cap is counted by each server for itself; one whose picture comes all the same has it stored. */
#include <math.h>

#include "api/handlers.h"
#include "api/members.h"
#include "api/read.h"
#include "catalog/settings.h"

#define SETTING "picture-capture"
enum { RULES_MOST = 100, PER_HOUR_MOST = 1000000, JPEG_QUALITY = 95 };

struct rule {
    struct str model; /* empty: those that no other rule is of */
    double share, below; /* below 0: whatever the confidence */
    json_int_t per_hour; /* 0: no cap */
};

struct rules {
    struct rule *list;
    size_t count;
};

/* ---- the rules as JSON ---- */

static bool read_share(const json_t *o, const char *where, const char *name, double least, double *out, struct err *e) {
    const json_t *v = json_object_get(o, name);
    *out = json_number_value(v);
    return (json_is_number(v) && *out >= least && *out <= 1) ||
           err_set(e, ERR_INVALID, "%s%s must be a number from %g to 1", where, name, least);
}

static bool read_cap(const json_t *v, const char *where, json_int_t *out, struct err *e) {
    *out = json_integer_value(v);
    return !v || json_is_null(v) || (json_is_integer(v) && *out >= 1 && *out <= PER_HOUR_MOST) ||
           err_set(e, ERR_INVALID, "%sper_hour must be a whole number from 1 to %d, or null for no cap", where,
                   PER_HOUR_MOST);
}

static bool read_rule(struct arena *a, const json_t *o, const char *where, struct rule *out, struct err *e) {
    static const char *const names[] = {"model", "share", "below_confidence", "per_hour"};
    const char *name;
    json_t *v;
    if (!json_is_object(o)) return err_set(e, ERR_INVALID, "%.*s must be an object", (int)strlen(where) - 1, where);
    json_object_foreach((json_t *)o, name, v) {
        size_t i = 0;
        while (i < 4 && strcmp(name, names[i]) != 0) i++;
        if (i == 4)
            return err_set(e, ERR_INVALID, "%s%.100s: a rule has model, share, below_confidence and per_hour", where,
                           name);
    }
    if (!member_text(a, o, where, "model", 0, NAME_MOST, &out->model, e)) return false;
    if (memchr(out->model.n ? out->model.p : "", '/', out->model.n))
        return err_set(e, ERR_INVALID, "%smodel: a rule is for all versions of a model: servers ask by its name, "
                                       "\"coco\", never by \"coco/3\"", where);
    const json_t *below = json_object_get(o, "below_confidence");
    return read_share(o, where, "share", 0, &out->share, e) &&
           (!below || json_is_null(below) || read_share(o, where, "below_confidence", 0.001, &out->below, e)) &&
           read_cap(json_object_get(o, "per_hour"), where, &out->per_hour, e);
}

static bool read_rules(struct arena *a, const json_t *body, struct rules *out, struct err *e) {
    const json_t *list = json_object_get(body, "rules");
    size_t i;
    json_t *v;
    if (!json_is_array(list)) return err_set(e, ERR_INVALID, "rules must be a list");
    if (json_array_size(list) > RULES_MOST)
        return err_set(e, ERR_INVALID, "rules has %zu rules, the most is %d", json_array_size(list), RULES_MOST);
    out->list = arena_alloc(a, (json_array_size(list) + 1) * sizeof *out->list);
    json_array_foreach(list, i, v) {
        if (!read_rule(a, v, arena_printf(a, "rules[%zu].", i), &out->list[i], e)) return false;
        for (size_t k = 0; k < i; k++)
            if (str_eq(out->list[k].model, out->list[i].model))
                return err_set(e, ERR_INVALID, "rules[%zu].model is that of rules[%zu] too", i, k);
    }
    out->count = json_array_size(list);
    return true;
}

static void put_rules_json(struct buf *to, const struct rules *r) {
    put_object(to);
    put_key(to, "rules"), put_array(to);
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *x = &r->list[i];
        put_object(to);
        put_key(to, "model"), put_str(to, x->model);
        put_key(to, "share"), put_double(to, x->share);
        put_key(to, "below_confidence"), put_double(to, x->below > 0 ? x->below : NAN);
        put_int_or_null(to, "per_hour", x->per_hour, x->per_hour);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

static bool kept_rules(struct read *rd, struct rules *out, struct err *e) {
    struct request *r = rd->request;
    struct str kept;
    *out = (struct rules){0};
    if (!setting_read(app_of(r)->catalog, rd->who.workspace_id, SETTING, &r->arena, &kept, e)) return false;
    if (!kept.p) return true;
    json_t *o = json_loadb(kept.p, kept.n, 0, NULL);
    bool ok = o && read_rules(&r->arena, o, out, e);
    json_decref(o);
    return ok || err_set(e, ERR_DAMAGED, "the setting %s of this workspace cannot be read", SETTING);
}

/* ---- the setting ---- */

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct rules rules;
    if (!kept_rules(rd, &rules, e)) return false;
    put_rules_json(&rd->request->out, &rules);
    return true;
}

void get_picture_capture(struct request *r) { read_plain(r, show, NULL); }

/* For people: "coco 0.1 below 0.5 at most 60 an hour, all others 0.01"; "off" without a rule. */
static struct str in_words(struct arena *a, const struct rules *r) {
    struct buf b = {0};
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *x = &r->list[i];
        buf_printf(&b, "%s" STR_FMT " %g", i ? ", " : "", STR_ARG(x->model.n ? x->model : STR("all others")), x->share);
        if (x->below > 0) buf_printf(&b, " below %g", x->below);
        if (x->per_hour) buf_printf(&b, " at most %lld an hour", (long long)x->per_hour);
    }
    if (r->count == 0) buf_addz(&b, "off");
    struct str out = {arena_copy(a, b.p, b.n), b.n};
    buf_free(&b);
    return out;
}

static bool keep(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    const struct rules *rules = rd->own;
    put_rules_json(&r->out, rules);
    struct activity by = {.key_id = rd->who.key_id, .detail = in_words(&r->arena, rules)};
    return setting_write(app_of(r)->catalog, rd->who.workspace_id, SETTING, buf_str(&r->out), &by, e);
}

void put_picture_capture(struct request *r) {
    static const char *const members[] = {"rules", NULL};
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct rules *rules = rd->own = arena_alloc(&r->arena, sizeof *rules);
    read_run_if(rd, read_rules(&r->arena, rd->body, rules, &rd->e), keep);
}

/* ---- what a server asks for ---- */

static const struct rule *rule_of(const struct rules *rules, struct str dataset) {
    const struct rule *any = NULL;
    for (size_t i = 0; i < rules->count; i++) {
        if (str_eq(rules->list[i].model, dataset)) return &rules->list[i];
        if (rules->list[i].model.n == 0) any = &rules->list[i];
    }
    return any;
}

/* Nearer to 0 than the bound is below it. What shows nothing is near to nothing, and not sent. */
static void put_strategy(struct buf *to, const struct rule *x) {
    put_object(to);
    put_key(to, "name"), put_strz(to, "sightglass");
    put_key(to, "type"), put_strz(to, x->below > 0 ? "close_to_threshold" : "random");
    if (x->below > 0) {
        put_key(to, "threshold"), put_double(to, 0);
        put_key(to, "epsilon"), put_double(to, x->below);
        put_key(to, "minimum_objects_close_to_threshold"), put_int(to, 1);
        put_key(to, "only_top_classes"), put_bool(to, true);
        put_key(to, "probability"), put_double(to, x->share);
    } else {
        put_key(to, "traffic_percentage"), put_double(to, x->share);
    }
    put_key(to, "limits"), put_array(to);
    if (x->per_hour) {
        put_object(to);
        put_key(to, "type"), put_strz(to, "hourly");
        put_key(to, "value"), put_int(to, x->per_hour);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

static bool show_active_learning(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct buf *to = &rd->request->out;
    struct rules rules;
    if (!kept_rules(rd, &rules, e)) return false;
    const struct rule *x = rule_of(&rules, request_param(rd->request, "dataset"));
    bool enabled = x && x->share > 0;
    put_object(to);
    put_key(to, "enabled"), put_bool(to, enabled);
    if (enabled) {
        put_key(to, "persist_predictions"), put_bool(to, true);
        put_key(to, "sampling_strategies"), put_array(to);
        put_strategy(to, x);
        put_array_end(to);
        put_key(to, "batching_strategy"), put_object(to);
        put_key(to, "batches_name_prefix"), put_strz(to, "sightglass");
        put_key(to, "recreation_interval"), put_strz(to, "never");
        put_object_end(to);
        put_key(to, "jpeg_compression_level"), put_int(to, JPEG_QUALITY);
        put_key(to, "tags"), put_array(to), put_array_end(to);
    }
    put_object_end(to);
    return true;
}

void get_active_learning(struct request *r) {
    struct read *rd = read_begin(r);
    if (rd) read_run(rd, show_active_learning, NULL);
}
