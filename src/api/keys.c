/* /api/v1/:workspace/keys: who may come in. A key is shown once, when it is made; the catalog has only its hash. */
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/members.h"
#include "api/read.h"

static void put_info(struct buf *to, const struct read *rd, const struct key_info *k) {
    put_key(to, "id"), put_int(to, k->id);
    put_key(to, "name"), put_strz(to, k->name);
    put_key(to, "prefix"), put_strz(to, k->prefix);
    put_key(to, "created"), put_time(to, k->created_us);
    put_time_or_null(to, "revoked", k->revoked_us, k->revoked_us);
    put_key(to, "current"), put_bool(to, k->id == rd->who.key_id);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct key_info *keys;
    size_t count;
    if (!catalog_keys(app_of(r)->catalog, rd->who.workspace_id, &r->arena, &keys, &count, e)) return false;
    put_object(&r->out);
    put_key(&r->out, "keys"), put_array(&r->out);
    for (size_t i = 0; i < count; i++) {
        put_object(&r->out);
        put_info(&r->out, rd, &keys[i]);
        put_object_end(&r->out);
    }
    put_array_end(&r->out);
    put_object_end(&r->out);
    return true;
}

void get_keys(struct request *r) { read_plain(r, show, NULL); }

static bool make(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct catalog *c = app_of(r)->catalog;
    const struct str *name = rd->own;
    char key[KEY_TEXT_SIZE];
    struct identity made;
    struct key_info *keys;
    size_t count, i = 0;
    catalog_key_make(key);
    if (!catalog_key_add(c, rd->who.workspace_id, str_of(key), *name, rd->who.key_id, e) ||
        !catalog_keys(c, rd->who.workspace_id, &r->arena, &keys, &count, e))
        return false;
    bool there = catalog_key(c, str_of(key), &made);
    while (there && i < count && keys[i].id != made.key_id) i++;
    if (!there || i == count) return err_set(e, ERR_IO, "catalog: the new key is not there");
    put_object(&r->out);
    put_info(&r->out, rd, &keys[i]);
    put_key(&r->out, "key"), put_strz(&r->out, key);
    put_object_end(&r->out);
    rd->status = 201;
    return true;
}

void post_key(struct request *r) {
    static const char *const members[] = {"name", NULL};
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct str *name = rd->own = arena_alloc(&r->arena, sizeof *name);
    read_run_if(rd, member_needed(&r->arena, rd->body, "", "name", KEY_NAME_SIZE - 1, name, &rd->e), make);
}

static bool revoke(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    unsigned long long id;
    if (!str_to_u64(request_param(r, "id"), &id) || id > INT64_MAX) id = 0; /* that of no key */
    if ((int64_t)id == rd->who.key_id)
        return err_set(e, ERR_CONFLICT, "this is the key that you ask with; revoke it with another one");
    return catalog_key_revoke_id(app_of(r)->catalog, rd->who.workspace_id, (int64_t)id, rd->who.key_id, e);
}

void delete_key(struct request *r) { read_plain(r, revoke, read_nothing); }
