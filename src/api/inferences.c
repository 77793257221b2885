/* The inferences of a workspace: list, count, one, its picture. */
#include <stdio.h>
#include <unistd.h>

#include "api/answer_json.h"
#include "api/export.h"
#include "api/handlers.h"
#include "api/inference_json.h"
#include "image/blobs.h"
#include "image/image.h"
#include "query/lookup.h"
#include "query/plan_json.h"
#include "record/uploads.h"

/* ---- many ---- */

void get_inferences(struct request *r) {
    static const char *const names[] = {"limit", "cursor", "format", NULL};
    struct read *rd = read_begin(r);
    struct str cursor, format;
    if (!rd || !read_plan(rd, names)) return;
    bool lines = read_param(rd, "format", &format) && !str_is(format, "json");
    uint64_t limit = lines ? EXPORT_MOST : PLAN_LIST_DEFAULT;
    if (lines && !str_is(format, "csv") && !str_is(format, "ndjson")) {
        respond_fail(r, ERR_INVALID, "format: expected json, ndjson or csv");
        return;
    }
    if (!read_number(rd, "limit", 1, lines ? EXPORT_MOST : PLAN_LIST_MOST, &limit)) return;
    rd->plan.kind = PLAN_LIST;
    rd->plan.limit = (uint32_t)limit;
    if (read_param(rd, "cursor", &cursor) && !cursor_read(cursor, &rd->plan.after)) {
        respond_fail(r, ERR_INVALID, "cursor: not one that an earlier answer gave as next_cursor");
        return;
    }
    rd->plan.as_of = rd->plan.after.as_of;
    if (lines) {
        enum export_format *f = rd->own = arena_alloc(&r->arena, sizeof *f);
        *f = str_is(format, "csv") ? EXPORT_CSV : EXPORT_NDJSON;
    }
    read_run(rd, lines ? show_export : show_answer, lines ? answer_export : NULL);
}

void get_inference_count(struct request *r) {
    static const char *const names[] = {NULL};
    struct read *rd = read_begin(r);
    if (!rd || !read_plan(rd, names)) return;
    rd->plan.kind = PLAN_COUNT;
    read_run(rd, show_answer, NULL);
}

/* ---- one ---- */

/* ?index= and ?model=, as rd->own; and a parameter more, or NULL. */
static struct read *begin_one(struct request *r, const char *more) {
    const char *const names[] = {"index", "model", more, NULL};
    struct read *rd = read_begin(r);
    uint64_t index = 0;
    if (!rd || !read_only(rd, names) || !read_number(rd, "index", 0, UINT32_MAX, &index)) return NULL;
    struct which *w = rd->own = arena_alloc(&r->arena, sizeof *w);
    w->by_index = request_query(r, "index").n > 0;
    w->index = (uint32_t)index;
    w->by_model = read_param(rd, "model", &w->model_id);
    return rd;
}

static void add_history(struct read *rd, struct buf *to, const struct one *one) {
    put_key(to, "metadata_history"), put_array(to);
    for (size_t i = 0; i < one->history_count; i++) {
        const struct change *c = &one->history[i].change;
        struct key_name by;
        put_object(to);
        put_key(to, "field"), put_str(to, c->field);
        put_key(to, "value"), put_value(to, &c->value);
        put_key(to, "previous"), put_value(to, &one->history[i].previous);
        put_key(to, "time"), put_time(to, c->time_us);
        put_key(to, "by");
        if (catalog_key_name(app_of(rd->request)->catalog, c->key_id, &by))
            put_strz(to, by.name);
        else
            put_str(to, str_of(arena_printf(&rd->request->arena, "key %u", c->key_id)));
        put_key(to, "removed"), put_bool(to, c->value.type == VALUE_NONE);
        put_object_end(to);
    }
    put_array_end(to);
}

/* Metadata may come before its inference: whoever attached it sees that it waits. */
static void answer_missing(struct read *rd, const struct one *one) {
    struct buf *to = &rd->request->out;
    rd->status = 404;
    put_object(to);
    put_key(to, "error");
    put_strz(to, !one->known    ? "no inference with this id"
                  : one->pending && one->uploads.n && !one->metadata_count
                      ? "no inference with this id yet; a picture waits for it"
                  : one->pending ? "no inference with this id yet; metadata waits for it"
                                 : "this id has inferences, but none of that index and model");
    if (one->pending) {
        put_key(to, "pending"), put_entries(to, one->metadata, one->metadata_count);
        add_history(rd, to, one);
    }
    if (one->gap_count) put_incomplete(to, one->gaps, one->gap_count);
    put_object_end(to);
}

static bool show_one(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct buf *to = &r->out;
    struct one one;
    if (!query_one_now(app_of(r)->store, rd->who.workspace_id, v, request_param(r, "id"), rd->own, rd->now_us,
                       &r->arena, &one, e))
        return false;
    if (!one.found) return answer_missing(rd, &one), true;
    put_object(to);
    put_inference(to, str_of(rd->who.slug), &one.hit);
    add_history(rd, to, &one);
    put_key(to, "siblings"), put_array(to);
    for (size_t i = 0; i < one.sibling_count; i++) {
        put_object(to);
        put_key(to, "model_id"), put_str(to, one.siblings[i].model_id);
        put_key(to, "index"), put_int(to, one.siblings[i].index);
        put_object_end(to);
    }
    put_array_end(to);
    put_incomplete(to, one.gaps, one.gap_count);
    put_object_end(to);
    return true;
}

void get_inference(struct request *r) {
    struct read *rd = begin_one(r, NULL);
    if (rd) read_run(rd, show_one, NULL);
}

/* ---- its picture ---- */

/* A picture, its thumbnail, or what was said of it. */
enum what { IMAGE, THUMBNAIL, ANNOTATION };
enum { SNIFF = 64, ETAG_SIZE = BLOB_HASH * 2 + 16 };

struct picture {
    struct which which; /* first: rd->own is taken for it */
    enum what what;
    bool by_upload, stays; /* one of those uploaded; the URL means no other, but after a deletion */
    size_t upload;
    struct str if_none_match;
    char etag[ETAG_SIZE];
    const char *type;
    int fd; /* -1: closed, or handed on */
    size_t size;
};

static void close_picture(struct request *r) {
    struct picture *p = read_of(r)->own;
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

static void make_etag(struct picture *p, const uint8_t hash[BLOB_HASH]) {
    char *to = p->etag;
    *to++ = '"';
    for (int i = 0; i < BLOB_HASH; i++) to += snprintf(to, 3, "%02x", hash[i]);
    snprintf(to, 4, "%s\"", p->what == THUMBNAIL ? "-t" : "");
}

/* Its kept file: the record's own picture comes before one that was uploaded. */
static const uint8_t *choose(struct picture *p, const struct hit *h, struct arena *a) {
    struct upload *all = arena_alloc(a, UPLOADS_MOST * sizeof *all);
    size_t count = uploads_read(h->uploads, all);
    const struct upload *u = uploads_of(all, count, h->inf.index);
    if (p->by_upload) u = p->upload < count ? &all[p->upload] : NULL;
    bool own = h->inf.picture && !p->by_upload && p->what != ANNOTATION;
    p->stays = own || p->by_upload;
    if (own) return h->inf.picture;
    if (p->what == ANNOTATION) return u && u->annotated ? u->annotation : NULL;
    return u ? u->picture : NULL;
}

static bool find_picture(struct read *rd, const struct view *v, struct err *e) {
    struct request *r = rd->request;
    struct picture *p = rd->own;
    struct one one;
    if (!query_one_now(app_of(r)->store, rd->who.workspace_id, v, request_param(r, "id"), &p->which, rd->now_us,
                       &r->arena, &one, e))
        return false;
    if (!one.found)
        return err_set(e, ERR_NOT_FOUND, "no inference with this id%s", one.known ? ", index and model" : "");
    const uint8_t *hash = choose(p, &one.hit, &r->arena);
    if (!hash)
        return p->what == ANNOTATION
                   ? err_set(e, ERR_NOT_FOUND, "no annotation came with a picture of this inference")
                   : err_set(e, ERR_NOT_FOUND, "no picture of this inference was kept (see the setting keep_images)");
    make_etag(p, hash);
    if (str_is(p->if_none_match, p->etag)) {
        rd->status = 304;
        return true;
    }
    enum blob_kind kind = p->what == THUMBNAIL ? BLOB_THUMBNAIL : BLOB_PICTURE;
    p->fd = blob_open(app_of(r)->blobs, rd->who.workspace_id, hash, kind, &p->size, e);
    if (p->fd < 0) return false;
    p->type = "application/json";
    if (p->what == ANNOTATION) return true;
    char head[SNIFF];
    ssize_t n = pread(p->fd, head, sizeof head, 0);
    p->type = image_media_type((struct str){head, n > 0 ? (size_t)n : 0});
    return true;
}

static void send_picture(struct request *r) {
    struct read *rd = read_of(r);
    struct picture *p = rd->own;
    respond_header(r, "ETag", p->etag);
    /* The first complete record of an id, index and model stays, and so does its picture, until it is deleted; an upload
     * keeps its place. */
    respond_header(r, "Cache-Control", p->stays ? "private, max-age=3600" : "private, no-cache");
    if (rd->status == 304) {
        respond_empty(r, 304);
        return;
    }
    respond_header(r, "X-Content-Type-Options", "nosniff");
    int fd = p->fd;
    p->fd = -1;
    if (!respond_file(r, fd, p->size, p->type)) respond_fail(r, ERR_INTERNAL, "the picture could not be sent");
}

static void get_picture(struct request *r, enum what what) {
    uint64_t upload = 0;
    struct read *rd = begin_one(r, "upload");
    if (!rd || !read_number(rd, "upload", 0, UPLOADS_MOST - 1, &upload)) return;
    struct picture *p = arena_alloc(&r->arena, sizeof *p);
    struct str known = request_header(r, "If-None-Match");
    *p = (struct picture){.which = *(struct which *)rd->own, .what = what, .upload = upload, .fd = -1};
    p->by_upload = request_query(r, "upload").n > 0;
    p->if_none_match = (struct str){arena_copy(&r->arena, known.p, known.n), known.n};
    rd->own = p;
    r->cleanup = close_picture;
    read_run(rd, find_picture, send_picture);
}

void get_inference_image(struct request *r) { get_picture(r, IMAGE); }
void get_inference_thumbnail(struct request *r) { get_picture(r, THUMBNAIL); }
void get_inference_annotation(struct request *r) { get_picture(r, ANNOTATION); }
