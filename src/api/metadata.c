/* POST /:workspace/inference-stats/metadata: attach values to inferences by id (protocol 3.4), and the own API's
 * PUT and DELETE /api/v1/:workspace/inferences/:id/metadata/:field, and PATCH of several fields in one write.
 *
 * The body is read once, by the pull parser, into attaches that point into it; the key may be in it, so who asks is
 * known only after that. The first fault is kept and told once the key has been found good: 401 comes before 400. */
#include "base/json_pull.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/write.h"
#include "catalog/activity.h"

struct entries {
    struct attach *list;
    size_t count, room;
    uint64_t ids;
};

struct body {
    struct str key;
    struct entries entries;
    bool has_data, not_json;
    struct err fault; /* ERR_NONE: none */
};

static void fault_at(struct body *b, size_t entry, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fault_at(struct body *b, size_t entry, const char *fmt, ...) {
    if (b->fault.code != ERR_NONE) return;
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    err_set(&b->fault, ERR_INVALID, "data[%zu]%s", entry, what);
}

/* The array that is the current token, into the arena. */
static void read_ids(struct request *r, struct json_pull *j, struct body *b, size_t entry, struct attach *a) {
    size_t room = 8;
    struct str *ids = arena_alloc(&r->arena, room * sizeof *ids);
    a->ids = ids;
    if (j->token != PULL_ARRAY) {
        fault_at(b, entry, ".inference_ids must be an array of strings");
        json_skip(j, NULL);
        return;
    }
    while (json_next(j) != PULL_ARRAY_END && j->token != PULL_ERROR) {
        struct err e = {0};
        if (j->token != PULL_STRING)
            fault_at(b, entry, ".inference_ids[%zu] must be a string", a->id_count);
        else if (!check_id(j->text, &e))
            fault_at(b, entry, ".inference_ids[%zu]: %s", a->id_count, e.msg);
        if (!json_skip(j, NULL)) return;
        if (b->fault.code != ERR_NONE) continue;
        if (a->id_count == room) {
            struct str *more = arena_alloc(&r->arena, room * 2 * sizeof *more);
            memcpy(more, ids, room * sizeof *ids);
            a->ids = ids = more;
            room *= 2;
        }
        ids[a->id_count++] = j->text;
    }
    if (a->id_count == 0) fault_at(b, entry, ".inference_ids is empty: at least one id is needed");
}

/* A member's string; its kind is checked by the caller. */
static struct str read_string(struct json_pull *j, struct body *b, size_t entry, const char *name) {
    struct str text = {0};
    if (j->token == PULL_STRING)
        text = j->text;
    else
        fault_at(b, entry, ".%s must be a string", name);
    json_skip(j, NULL);
    return text;
}

static void read_entry(struct request *r, struct json_pull *j, struct body *b, size_t entry) {
    struct attach a = {.value.type = VALUE_STRING};
    struct err e = {0};
    unsigned seen = 0;
    if (j->token != PULL_OBJECT) {
        fault_at(b, entry, " must be an object with inference_ids, field_name and field_value");
        json_skip(j, NULL);
        return;
    }
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        unsigned which = str_is(name, "inference_ids") ? 1
                         : str_is(name, "field_name")  ? 2
                         : str_is(name, "field_value") ? 4
                                                       : 0;
        if (seen & which) fault_at(b, entry, "." STR_FMT " stands there twice", STR_ARG(name));
        seen |= which;
        if (json_next(j) == PULL_ERROR) return;
        switch (which) {
        case 1: read_ids(r, j, b, entry, &a); break;
        case 2: a.field = read_string(j, b, entry, "field_name"); break;
        case 4: a.value.text = read_string(j, b, entry, "field_value"); break;
        default: json_skip(j, NULL);
        }
    }
    if (j->token == PULL_ERROR) return;
    if (seen != 7)
        fault_at(b, entry, ".%s is missing",
                 !(seen & 1)   ? "inference_ids"
                 : !(seen & 2) ? "field_name"
                               : "field_value");
    else if (!check_field(a.field, &e))
        fault_at(b, entry, ".field_name: %s", e.msg);
    else if (!check_value(&a.value, &e))
        fault_at(b, entry, ".field_value: %s", e.msg);
    if (b->fault.code != ERR_NONE) return;
    struct entries *all = &b->entries;
    if (all->count == all->room) {
        size_t room = all->room ? all->room * 2 : 4;
        struct attach *more = arena_alloc(&r->arena, room * sizeof *more);
        if (all->count) memcpy(more, all->list, all->count * sizeof *more);
        all->list = more;
        all->room = room;
    }
    all->list[all->count++] = a;
    all->ids += a.id_count;
}

static void read_body(struct request *r, struct body *b) {
    struct json_pull j;
    json_pull_init(&j, r->body, &r->arena);
    if (json_next(&j) != PULL_OBJECT && j.token != PULL_ERROR) {
        err_set(&b->fault, ERR_INVALID, "the body must be a JSON object");
        json_skip(&j, NULL);
    } else if (j.token == PULL_OBJECT) {
        while (json_next(&j) == PULL_KEY) {
            struct str name = j.text;
            if (json_next(&j) == PULL_ERROR) break;
            if (str_is(name, "api_key") && j.token == PULL_STRING) b->key = j.text;
            if (!str_is(name, "data")) {
                json_skip(&j, NULL);
                continue;
            }
            if (b->has_data && b->fault.code == ERR_NONE) err_set(&b->fault, ERR_INVALID, "data stands there twice");
            b->has_data = true;
            if (j.token != PULL_ARRAY) {
                if (b->fault.code == ERR_NONE) err_set(&b->fault, ERR_INVALID, "data must be an array");
                json_skip(&j, NULL);
                continue;
            }
            for (size_t entry = 0; json_next(&j) != PULL_ARRAY_END && j.token != PULL_ERROR; entry++)
                read_entry(r, &j, b, entry);
        }
    }
    if (j.token != PULL_ERROR && json_next(&j) == PULL_END) {
        if (!b->has_data && b->fault.code == ERR_NONE) err_set(&b->fault, ERR_INVALID, "data is missing");
        return;
    }
    b->not_json = true;
    err_set(&b->fault, ERR_INVALID, "the body is not JSON: %s at byte %zu", j.error ? j.error : "text", j.at);
}

/* ---- what the activity list says of it ---- */

struct noted {
    int64_t key_id;
    const struct attach *list;
    size_t count;
};

/* Kept until the write is done. */
static void note_later(struct request *r, const struct noted *n) {
    write_of(r)->user = arena_copy(&r->arena, n, sizeof *n);
}

/* A field with the number of its ids. A review has its value beside it; the fields that come with it are part of it. */
static void note(struct request *r) {
    const struct noted *n = write_of(r)->user;
    struct str reviewer = {0};
    bool review = false;
    for (size_t i = 0; i < n->count; i++) {
        const struct attach *a = &n->list[i];
        if (str_is(a->field, "review")) review = true;
        if (str_is(a->field, "reviewer") && a->value.type == VALUE_STRING) reviewer = a->value.text;
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct attach *a = &n->list[i];
        bool this = str_is(a->field, "review");
        if (review && (str_is(a->field, "reviewer") || str_is(a->field, "review_comment"))) continue;
        struct activity x = {.key_id = n->key_id, .subject = a->field, .count = a->id_count};
        x.action = this ? ACTIVITY_REVIEW : ACTIVITY_ATTACH;
        if (this) x.reviewer = reviewer;
        if (this && a->value.type == VALUE_STRING) x.detail = a->value.text;
        if (a->value.type == VALUE_NONE) x.detail = STR("removed");
        activity_note(app_of(r)->catalog, write_of(r)->workspace, &x);
    }
}

/* The platform's form of a refusal, with what it does not say: where and why. */
static void refuse(struct request *r, const struct err *e) {
    if (e->code != ERR_INVALID) {
        respond_error(r, e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "error"), put_strz(&r->out, "Invalid request");
    put_key(&r->out, "details"), put_strz(&r->out, e->msg);
    put_object_end(&r->out);
    respond_json(r, 400);
}

static void answer_ok(struct request *r) { respond_static(r, 200, "application/json", "{\"status\":\"ok\"}", 15); }

static void attached(struct request *r) {
    const struct store_write *w = write_of(r);
    if (w->err.code == ERR_NONE) {
        note(r);
        answer_ok(r);
    } else {
        refuse(r, &w->err);
    }
}

void post_metadata(struct request *r) {
    struct body b = {0};
    struct identity who;
    struct err e = {0};
    read_body(r, &b);
    if (b.not_json && !auth_has_key(r)) {
        refuse(r, &b.fault);
        return;
    }
    uint64_t most = app_of(r)->conf->max_ids_per_request;
    if (b.fault.code == ERR_NONE && b.entries.ids > most)
        err_set(&b.fault, ERR_INVALID, "data names %llu ids, a request may name %llu",
                (unsigned long long)b.entries.ids, (unsigned long long)most);
    if (!authorize_workspace(r, request_param(r, "workspace"), b.key, &who, &e)) {
        respond_error(r, &e);
    } else if (b.fault.code != ERR_NONE) {
        refuse(r, &b.fault);
    } else if (b.entries.count == 0) {
        answer_ok(r);
    } else {
        struct store_write *w = write_start(r, who.workspace_id);
        for (size_t i = 0; i < b.entries.count; i++) {
            b.entries.list[i].key_id = (uint32_t)who.key_id;
            write_attach(w, &b.entries.list[i]);
        }
        note_later(r, &(struct noted){who.key_id, b.entries.list, b.entries.count});
        write_send(r, attached);
    }
}

/* ---- one field of one inference ---- */

static const char *result_of(const struct attach_counts *n) {
    return n->applied ? "applied" : n->pending ? "pending" : "unchanged";
}

static void attached_one(struct request *r) {
    const struct store_write *w = write_of(r);
    if (w->err.code != ERR_NONE) {
        respond_error(r, &w->err);
        return;
    }
    note(r);
    put_object(&r->out);
    put_key(&r->out, "status"), put_strz(&r->out, "ok");
    put_key(&r->out, "result"), put_strz(&r->out, result_of(&w->results[0].attach));
    put_object_end(&r->out);
    respond_json(r, 200);
}

static void attach_one(struct request *r, struct str body_key, const struct value *v, struct err *fault) {
    struct identity who;
    struct err e = {0};
    struct str id = request_param(r, "id"), field = request_param(r, "field");
    if (!authorize_workspace(r, request_param(r, "workspace"), body_key, &who, &e)) {
        respond_error(r, &e);
    } else if (fault->code != ERR_NONE || !check_id(id, fault) || !check_field(field, fault) ||
               !check_value(v, fault)) {
        respond_error(r, fault);
    } else {
        struct attach a = {.key_id = (uint32_t)who.key_id, .field = field, .value = *v, .ids = &id, .id_count = 1};
        write_attach(write_start(r, who.workspace_id), &a);
        note_later(r, &(struct noted){who.key_id, arena_copy(&r->arena, &a, sizeof a), 1});
        write_send(r, attached_one);
    }
}

/* {"value": string | number | boolean | null}; null removes. */
static void read_value(struct request *r, struct value *v, struct str *key, struct err *fault) {
    struct json_pull j;
    bool found = false;
    json_pull_init(&j, r->body, &r->arena);
    if (json_next(&j) == PULL_OBJECT) {
        while (json_next(&j) == PULL_KEY) {
            struct str name = j.text;
            if (json_next(&j) == PULL_ERROR) break;
            if (str_is(name, "api_key") && j.token == PULL_STRING) *key = j.text;
            if (str_is(name, "value")) {
                found = value_of_token(&j, v);
                if (!found) err_set(fault, ERR_INVALID, "value must be a string, a number, true, false or null");
            }
            json_skip(&j, NULL);
        }
        if (j.token == PULL_OBJECT_END) json_next(&j);
    }
    if (j.token != PULL_END)
        err_set(fault, ERR_INVALID, "the body must be JSON: {\"value\": ...}; %s at byte %zu",
                j.error ? j.error : "an object is due", j.at);
    else if (!found && fault->code == ERR_NONE)
        err_set(fault, ERR_INVALID, "value is missing: {\"value\": ...}");
}

void put_metadata(struct request *r) {
    struct value v = {0};
    struct str key = {0};
    struct err fault = {0};
    read_value(r, &v, &key, &fault);
    attach_one(r, key, &v, &fault);
}

void delete_metadata(struct request *r) {
    struct err fault = {0};
    attach_one(r, (struct str){0}, &(struct value){.type = VALUE_NONE}, &fault);
}

/* ---- several fields of one inference ---- */

enum { PATCH_MOST = 256 };

static void patched(struct request *r) {
    const struct store_write *w = write_of(r);
    const struct noted *n = w->user;
    if (w->err.code != ERR_NONE) {
        respond_error(r, &w->err);
        return;
    }
    note(r);
    put_object(&r->out);
    put_key(&r->out, "status"), put_strz(&r->out, "ok");
    put_key(&r->out, "results"), put_object(&r->out);
    for (size_t i = 0; i < n->count; i++) /* an attach of one id is one record */
        put_key_str(&r->out, n->list[i].field), put_strz(&r->out, result_of(&w->results[i].attach));
    put_object_end(&r->out);
    put_object_end(&r->out);
    respond_json(r, 200);
}

static void patch_fault(struct err *fault, struct str field, const char *what) {
    if (fault->code == ERR_NONE)
        err_set(fault, ERR_INVALID, "\"" STR_FMT "\": %s", field.n > 100 ? 100 : (int)field.n, field.p, what);
}

/* {FIELD: string | number | boolean | null, ...}; null removes. api_key is the key. */
static size_t read_patch(struct request *r, struct attach *list, struct str *key, struct err *fault) {
    struct json_pull j;
    size_t count = 0;
    json_pull_init(&j, r->body, &r->arena);
    if (json_next(&j) == PULL_OBJECT) {
        while (json_next(&j) == PULL_KEY) {
            struct attach a = {.field = j.text};
            struct err e = {0};
            if (json_next(&j) == PULL_ERROR) break;
            if (str_is(a.field, "api_key")) {
                if (j.token == PULL_STRING) *key = j.text;
            } else if (count == PATCH_MOST) {
                patch_fault(fault, a.field, "a request may change 256 fields");
            } else if (!value_of_token(&j, &a.value)) {
                patch_fault(fault, a.field, "must be a string, a number, true, false or null");
            } else if (!check_field(a.field, &e) || !check_value(&a.value, &e)) {
                patch_fault(fault, a.field, e.msg);
            } else {
                for (size_t i = 0; i < count; i++)
                    if (str_eq(list[i].field, a.field)) patch_fault(fault, a.field, "stands there twice");
                list[count++] = a;
            }
            json_skip(&j, NULL);
        }
        if (j.token == PULL_OBJECT_END) json_next(&j);
    }
    if (j.token != PULL_END)
        err_set(fault, ERR_INVALID, "the body must be a JSON object of fields and values; %s at byte %zu",
                j.error ? j.error : "an object is due", j.at);
    else if (count == 0 && fault->code == ERR_NONE)
        err_set(fault, ERR_INVALID, "no field is named: {\"camera_location\": \"canada\"}");
    return count;
}

void patch_metadata(struct request *r) {
    struct identity who;
    struct str key = {0}, *id = arena_alloc(&r->arena, sizeof *id);
    struct err e = {0}, fault = {0};
    struct attach *list = arena_alloc(&r->arena, PATCH_MOST * sizeof *list);
    size_t count = read_patch(r, list, &key, &fault);
    *id = request_param(r, "id");
    if (!authorize_workspace(r, request_param(r, "workspace"), key, &who, &e)) {
        respond_error(r, &e);
    } else if (fault.code != ERR_NONE || !check_id(*id, &fault)) {
        respond_error(r, &fault);
    } else {
        struct store_write *w = write_start(r, who.workspace_id);
        for (size_t i = 0; i < count; i++) {
            list[i].key_id = (uint32_t)who.key_id;
            list[i].ids = id;
            list[i].id_count = 1;
            write_attach(w, &list[i]);
        }
        note_later(r, &(struct noted){who.key_id, list, count});
        write_send(r, patched);
    }
}
