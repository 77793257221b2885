#include "api/images.h"

#include <sodium.h>
#include <stdlib.h>

#include "api/check_input.h"
#include "base/clock.h"
#include "catalog/activity.h"
#include "query/lookup.h"
#include "store/store.h"

/* ---- image ids: the inference's id in base64url, a dot, the hash's first bytes in hexadecimal ---- */

enum { BASE64URL = sodium_base64_VARIANT_URLSAFE_NO_PADDING, ID_ROOM = 4 * ID_MOST / 3 + 4 };

void image_id_write(struct buf *to, struct str inference_id, const uint8_t *hash) {
    char text[ID_ROOM], hex[2 * IMAGE_ID_HASH + 1];
    sodium_bin2base64(text, sizeof text, (const unsigned char *)inference_id.p, inference_id.n, BASE64URL);
    buf_addz(to, text);
    buf_addc(to, '.');
    buf_addz(to, sodium_bin2hex(hex, sizeof hex, hash, IMAGE_ID_HASH));
}

bool image_id_read(struct str text, struct arena *a, struct image_change *c) {
    struct str id, hex;
    struct err ignored;
    size_t n, hash_n;
    char *inference = arena_alloc(a, ID_MOST);
    uint8_t *hash = arena_alloc(a, IMAGE_ID_HASH);
    if (!str_cut(text, '.', &id, &hex) || hex.n != 2 * IMAGE_ID_HASH ||
        sodium_base642bin((unsigned char *)inference, ID_MOST, id.p, id.n, NULL, &n, NULL, BASE64URL) != 0 ||
        sodium_hex2bin(hash, IMAGE_ID_HASH, hex.p, hex.n, NULL, &hash_n, NULL) != 0 || hash_n != IMAGE_ID_HASH)
        return false;
    c->inference_id = (struct str){inference, n};
    c->image = hash;
    return check_id(c->inference_id, &ignored);
}

bool image_unknown(struct err *e) {
    return err_set(e, ERR_NOT_FOUND, "no picture has this image id here; POST /dataset/PROJECT/upload gives them");
}

/* ---- what is said of a picture ---- */

bool image_change_values(struct json_pull *j, struct arena *a, struct image_change *c, struct err *e) {
    if (j->token != PULL_OBJECT) return err_set(e, ERR_INVALID, "metadata must be an object of fields and values");
    size_t room = 0;
    while (json_next(j) == PULL_KEY) {
        struct attach one = {.field = j->text};
        json_next(j);
        if (j->token == PULL_ERROR) break;
        if (!check_field(one.field, e)) return err_wrap(e, "metadata");
        if (!value_of_token(j, &one.value))
            return err_set(e, ERR_INVALID, "metadata." STR_FMT " must be a string, a number, true, false or null",
                           STR_ARG(one.field));
        if (!check_value(&one.value, e)) return err_wrap(e, "metadata." STR_FMT, STR_ARG(one.field));
        if (c->value_count == room) {
            struct attach *more = arena_alloc(a, (room ? 2 * room : 4) * sizeof *more);
            if (room) memcpy(more, c->values, room * sizeof *more);
            c->values = more;
            room = room ? 2 * room : 4;
        }
        c->values[c->value_count++] = one;
    }
    return j->token == PULL_OBJECT_END ||
           err_set(e, ERR_INVALID, "metadata is not JSON: %s at byte %zu", j->error ? j->error : "text", j->at);
}

bool image_change_tag(struct image_change *c, struct str tag, struct err *e) {
    struct str one;
    for (bool more = tag.n; more;) {
        more = str_cut(tag, ',', &one, &tag);
        one = str_trim(one);
        size_t i = 0;
        while (i < c->tag_count && !str_eq(c->tags[i], one)) i++;
        if (one.n == 0 || i < c->tag_count) continue;
        if (!check_text(one, "a tag", e)) return false;
        if (c->tag_count == TAGS_MOST) return err_set(e, ERR_INVALID, "there are more than %d tags", TAGS_MOST);
        c->tags[c->tag_count++] = one;
    }
    return true;
}

/* ---- storing ---- */

struct found {
    struct upload all[UPLOADS_MOST];
    size_t count;
    struct str tags;
};

static bool look_up(struct app *app, uint32_t workspace, struct str id, struct arena *a, struct found *out,
                    struct err *e) {
    struct view *v = store_view(app->store, workspace);
    struct one one;
    bool ok = query_one(v, id, &(struct which){0}, clock_now_us(), a, &one, e);
    view_release(v);
    *out = (struct found){0};
    if (!ok) return false;
    out->count = uploads_read(one.uploads, out->all);
    for (size_t i = 0; i < one.metadata_count; i++)
        if (str_is(one.metadata[i].name, "tags") && one.metadata[i].value.type == VALUE_STRING)
            out->tags = one.metadata[i].value.text;
    return true;
}

static struct upload *find_upload(struct found *f, const uint8_t *hash, size_t n) {
    for (size_t i = 0; i < f->count; i++)
        if (memcmp(f->all[i].picture, hash, n) == 0) return &f->all[i];
    return NULL;
}

static bool has_tag(struct str tags, struct str tag) {
    struct str one;
    for (bool more = tags.n; more;) {
        more = str_cut(tags, ',', &one, &tags);
        if (str_eq(str_trim(one), tag)) return true;
    }
    return false;
}

static bool add_tags(struct image_change *c, struct str before, struct arena *a, struct err *e) {
    c->tags_now = before;
    for (size_t i = 0; i < c->tag_count; i++) {
        if (has_tag(c->tags_now, c->tags[i])) continue;
        c->tags_now = str_of(arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(c->tags_now), c->tags_now.n ? "," : "",
                                          STR_ARG(c->tags[i])));
    }
    return check_value(&(struct value){.type = VALUE_STRING, .text = c->tags_now}, e) || err_wrap(e, "tags");
}

/* What the id's pictures are with this change; false in *changed: the same. */
static bool change_uploads(struct image_change *c, struct found *f, bool *changed, struct err *e) {
    struct upload *u = c->upload ? find_upload(f, c->upload->picture, UPLOAD_HASH)
                                 : find_upload(f, c->image, IMAGE_ID_HASH);
    *changed = false;
    c->duplicate = c->upload && u;
    if (!u && !c->upload) return image_unknown(e);
    if (!u && f->count == UPLOADS_MOST)
        return err_set(e, ERR_INVALID, "%d pictures were uploaded for this inference_id, and more are not kept",
                       UPLOADS_MOST);
    if (!u) {
        u = &f->all[f->count++];
        *u = *c->upload;
        *changed = true;
    }
    if (!c->annotation) return true;
    if (u->annotated) return err_set(e, ERR_CONFLICT, "the picture has an annotation already");
    u->annotated = *changed = true;
    memcpy(u->annotation, c->annotation, UPLOAD_HASH);
    return true;
}

static void write_value(struct store_write *w, const struct identity *who, const struct str *id, struct attach a) {
    a.key_id = (uint32_t)who->key_id;
    a.ids = id;
    a.id_count = 1;
    write_attach(w, &a);
}

static bool write_change(struct app *app, const struct identity *who, struct image_change *list, size_t n,
                         struct store_write *w, struct arena *a, struct err *e) {
    struct image_change *c = &list[n];
    struct buf text = {0};
    struct found f;
    bool changed;
    if (!look_up(app, who->workspace_id, c->inference_id, a, &f, e) || !change_uploads(c, &f, &changed, e))
        return false;
    for (size_t i = 0; i < n; i++) /* of the same request, and not stored yet */
        if (list[i].tag_count && str_eq(list[i].inference_id, c->inference_id)) f.tags = list[i].tags_now;
    if (!add_tags(c, f.tags, a, e)) return false;
    if (changed) {
        uploads_write(&text, f.all, f.count);
        write_value(w, who, &c->inference_id,
                    (struct attach){.field = FIELD_UPLOADS, .value = {.type = VALUE_STRING, .text = buf_str(&text)}});
        buf_free(&text);
    }
    for (size_t i = 0; i < c->value_count; i++) write_value(w, who, &c->inference_id, c->values[i]);
    if (c->tag_count)
        write_value(w, who, &c->inference_id,
                    (struct attach){.field = STR("tags"), .value = {.type = VALUE_STRING, .text = c->tags_now}});
    return true;
}

/* For the activity list, as of any attach. */
static void note(struct app *app, const struct identity *who, const struct image_change *c) {
    struct activity x = {.key_id = who->key_id, .action = ACTIVITY_ATTACH, .count = 1};
    for (size_t i = 0; i < c->value_count; i++) {
        x.subject = c->values[i].field;
        x.detail = c->values[i].value.type == VALUE_NONE ? STR("removed") : (struct str){0};
        activity_note(app->catalog, who->workspace_id, &x);
    }
    x.subject = STR("tags");
    x.detail = (struct str){0};
    if (c->tag_count) activity_note(app->catalog, who->workspace_id, &x);
}

bool images_change(struct app *app, const struct identity *who, struct image_change *list, size_t count,
                   struct arena *a, size_t *at, struct err *e) {
    struct store_write w;
    bool ok = true;
    write_begin(&w, who->workspace_id);
    store_update_begin(app->store);
    for (*at = 0; ok && *at < count; *at += ok) ok = write_change(app, who, list, *at, &w, a, e);
    ok = ok && (w.records == 0 || store_write_now(app->store, &w, e));
    store_update_end(app->store);
    write_free(&w);
    for (size_t i = 0; ok && i < count; i++) note(app, who, &list[i]);
    return ok;
}
