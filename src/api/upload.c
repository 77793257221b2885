/* POST /dataset/:project/upload and POST /dataset/:project/annotate/:image (protocol 3.6): by these a stock inference
 * server, or a block of a workflow, sends a picture and says of which inference it is. There are no datasets here: the
 * project is not looked at, and a picture of no inference is refused, for nobody could see it again.
 *
 * The picture is decoded, which is what shows that it is one, and written with its thumbnail on an ingest thread; only
 * when its file is on disk is it attached to the id (images.h). */
#include "api/auth.h"
#include "api/check_input.h"
#include "api/handlers.h"
#include "api/images.h"
#include "base/pool.h"
#include "image/blobs.h"
#include "image/image.h"

struct job {
    struct request *r;
    struct identity who;
    struct str bytes; /* the picture, or the annotation */
    struct upload upload;
    struct image_change change;
    struct err e;
};

static void hand_over(struct job *j, pool_job *run, request_handler *then) {
    struct request *r = j->r;
    r->data = j;
    request_wait(r, then);
    if (pool_submit(app_of(r)->ingest, run, j)) return;
    err_set(&j->e, ERR_BUSY, "too much waits to be kept; send it again");
    request_wake(r);
}

static void change(struct job *j) {
    size_t at;
    images_change(app_of(j->r), &j->who, &j->change, 1, &j->r->arena, &at, &j->e);
}

static void put_image_id(struct job *j, const uint8_t *hash) {
    struct buf id = {0};
    image_id_write(&id, j->change.inference_id, hash);
    put_key(&j->r->out, "id"), put_str(&j->r->out, buf_str(&id));
    buf_free(&id);
}

/* ---- upload ---- */

static void keep_picture(void *arg) {
    struct job *j = arg;
    const struct app *app = app_of(j->r);
    struct image_limits limits = {.max_bytes = app->conf->max_body_upload, .max_pixels = app->conf->max_image_pixels};
    struct image pixels = {0};
    struct buf thumbnail = {0};
    if (image_decode(j->bytes, &limits, true, &pixels, &j->e) && image_thumbnail(&pixels, &thumbnail, &j->e) &&
        blob_put(app->blobs, j->who.workspace_id, j->bytes, buf_str(&thumbnail), j->upload.picture, &j->e))
        change(j);
    image_free(&pixels);
    buf_free(&thumbnail);
    request_wake(j->r);
}

static void answer_upload(struct request *r) {
    struct job *j = r->data;
    if (j->e.code != ERR_NONE) {
        respond_error(r, &j->e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, j->change.duplicate ? "duplicate" : "success"), put_bool(&r->out, true);
    put_image_id(j, j->upload.picture);
    put_object_end(&r->out);
    respond_json(r, 200);
}

static bool read_metadata(struct job *j, struct str text, struct err *e) {
    struct json_pull p;
    json_pull_init(&p, text, &j->r->arena);
    json_next(&p);
    if (!image_change_values(&p, &j->r->arena, &j->change, e)) return false;
    return json_next(&p) == PULL_END ||
           err_set(e, ERR_INVALID, "metadata is not JSON: there is more behind it, at byte %zu", p.at);
}

static bool read_form(struct job *j, struct err *e) {
    struct part *parts;
    size_t count;
    if (!request_multipart(j->r, &parts, &count, e)) return false;
    for (size_t i = 0; i < count; i++) {
        if (str_is(parts[i].name, "file")) j->bytes = parts[i].bytes;
        if (str_is(parts[i].name, "metadata") && parts[i].bytes.n && !read_metadata(j, parts[i].bytes, e)) return false;
    }
    return j->bytes.n || err_set(e, ERR_INVALID, "the form has no picture: its part `file` is missing or empty");
}

static bool read_upload(struct job *j, struct err *e) {
    struct request *r = j->r;
    struct str index = request_query(r, "index");
    unsigned long long n = 0;
    j->change.inference_id = request_query(r, "inference_id");
    if (j->change.inference_id.n == 0)
        return err_set(e, ERR_INVALID, "inference_id is missing: pictures are kept here as those of an inference; "
                                       "there are no datasets, so one without inference_id was not stored");
    if (!check_id(j->change.inference_id, e)) return err_wrap(e, "inference_id");
    if (index.n && (!str_to_u64(index, &n) || n > UINT32_MAX))
        return err_set(e, ERR_INVALID, "index must be a whole number: the place of the picture in its request");
    j->upload.placed = index.n > 0;
    j->upload.index = (uint32_t)n;
    j->change.upload = &j->upload;
    for (size_t i = 0; i < r->query_count; i++)
        if (str_is(r->query[i].name, "tag") && !image_change_tag(&j->change, r->query[i].value, e)) return false;
    return read_form(j, e);
}

void post_upload(struct request *r) {
    struct job *j = arena_alloc(&r->arena, sizeof *j);
    struct err e = {0};
    j->r = r;
    if (authenticate(r, (struct str){0}, &j->who, &e) && read_upload(j, &e))
        hand_over(j, keep_picture, answer_upload);
    else
        respond_error(r, &e);
}

/* ---- annotate ---- */

static void keep_annotation(void *arg) {
    struct job *j = arg;
    uint8_t hash[UPLOAD_HASH];
    j->change.annotation = hash;
    if (blob_put(app_of(j->r)->blobs, j->who.workspace_id, j->bytes, (struct str){0}, hash, &j->e)) change(j);
    request_wake(j->r);
}

static void answer_annotate(struct request *r) {
    const struct job *j = r->data;
    if (j->e.code == ERR_NONE)
        respond_static(r, 200, "application/json", "{\"success\":true}", 16);
    else
        respond_error(r, &j->e);
}

/* What a server sends of a classification is the name of the class alone, or those of several labels with commas
 * between, or nothing when none was found; it is kept as its answers have a class. */
static bool read_class(struct job *j, struct err *e) {
    struct str name = str_trim(j->r->body);
    struct buf text = {0};
    if (!check_text(name, "the class", e)) return false;
    put_object(&text), put_key(&text, "top"), put_str(&text, name), put_object_end(&text);
    j->bytes = (struct str){arena_copy(&j->r->arena, text.p, text.n), text.n};
    buf_free(&text);
    return true;
}

static bool read_annotation(struct job *j, struct err *e) {
    struct request *r = j->r;
    struct str name = request_query(r, "name");
    struct json_pull p;
    if (name.n >= 4 && str_eq_nocase(str_from(name, name.n - 4), STR(".txt"))) return read_class(j, e);
    j->bytes = str_trim(r->body);
    json_pull_init(&p, j->bytes, &r->arena);
    if (json_next(&p) == PULL_OBJECT && json_skip(&p, NULL) && json_next(&p) == PULL_END) return true;
    return err_set(e, ERR_INVALID, "an annotation must be a prediction as a JSON object, or, with a name that ends "
                                   "with .txt, a class: %s at byte %zu", p.error ? p.error : "something else", p.at);
}

void post_annotate(struct request *r) {
    struct job *j = arena_alloc(&r->arena, sizeof *j);
    struct err e = {0};
    j->r = r;
    if (!authenticate(r, (struct str){0}, &j->who, &e))
        respond_error(r, &e);
    else if ((image_id_read(request_param(r, "image"), &r->arena, &j->change) || image_unknown(&e)) &&
             read_annotation(j, &e))
        hand_over(j, keep_annotation, answer_annotate);
    else
        respond_error(r, &e);
}
