#include "api/inference_json.h"

#include "base/clock.h"
#include "record/uploads.h"
#include "store/row.h"

void put_time(struct buf *to, int64_t us) {
    char text[CLOCK_TEXT];
    put_strz(to, clock_format(us, text));
}

void put_time_or_null(struct buf *to, const char *name, bool known, int64_t us) {
    put_key(to, name);
    if (known)
        put_time(to, us);
    else
        put_null(to);
}

void put_value(struct buf *to, const struct value *v) {
    if (v->type == VALUE_NONE)
        put_null(to);
    else
        value_json(to, v);
}

void put_entries(struct buf *to, const struct entry *entries, size_t count) {
    put_object(to);
    for (size_t i = 0; i < count; i++) put_key_str(to, entries[i].name), put_value(to, &entries[i].value);
    put_object_end(to);
}

/* Percent-encoded, all but the unreserved characters of RFC 3986. */
static void add_encoded(struct buf *to, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (plain)
            buf_addc(to, (char)c);
        else
            buf_printf(to, "%%%02X", c);
    }
}

enum { OWN = -1 }; /* else: the place of an uploaded picture */

static void image_url(struct buf *to, const char *name, struct str workspace, const struct hit *h, const char *last,
                      int upload) {
    struct buf url = {0};
    buf_addz(&url, "/api/v1/"), add_encoded(&url, workspace);
    buf_addz(&url, "/inferences/"), add_encoded(&url, h->inf.id);
    buf_printf(&url, "/%s?index=%u&model=", last, h->inf.index), add_encoded(&url, h->inf.model_id);
    if (upload != OWN) buf_printf(&url, "&upload=%d", upload);
    put_key(to, name), put_str(to, buf_str(&url));
    buf_free(&url);
}

static void picture_urls(struct buf *to, struct str workspace, const struct hit *h, int at) {
    image_url(to, "url", workspace, h, "image", at);
    image_url(to, "thumbnail_url", workspace, h, "thumbnail", at);
}

static void annotation_url(struct buf *to, struct str workspace, const struct hit *h, const struct upload *u, int at) {
    if (u && u->annotated)
        image_url(to, "annotation_url", workspace, h, "annotation", at);
    else
        put_key(to, "annotation_url"), put_null(to);
}

/* The record's own picture, else the one that was uploaded for it. */
static void image(struct buf *to, struct str workspace, const struct hit *h) {
    struct upload all[UPLOADS_MOST];
    size_t count = uploads_read(h->uploads, all);
    const struct upload *mine = uploads_of(all, count, h->inf.index);
    put_key(to, "image"), put_object(to);
    put_int_or_null(to, "width", h->inf.width, h->inf.width);
    put_int_or_null(to, "height", h->inf.height, h->inf.height);
    if (h->flags & ROW_PICTURE || mine) {
        picture_urls(to, workspace, h, h->flags & ROW_PICTURE ? OWN : (int)(mine - all));
    } else {
        put_key(to, "url"), put_null(to);
        put_key(to, "thumbnail_url"), put_null(to);
    }
    annotation_url(to, workspace, h, mine, mine ? (int)(mine - all) : OWN);
    put_key(to, "uploads"), put_array(to);
    for (size_t i = 0; i < count; i++) {
        put_object(to);
        put_int_or_null(to, "index", all[i].placed, all[i].index);
        picture_urls(to, workspace, h, (int)i);
        annotation_url(to, workspace, h, &all[i], (int)i);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

static void prediction(struct buf *to, const struct detection *d) {
    put_object(to);
    put_key(to, "class"), put_str(to, d->class_name);
    put_int_or_null(to, "class_id", d->class_id >= 0, d->class_id);
    put_key(to, "confidence"), put_double(to, d->confidence);
    put_key(to, "x"), put_double(to, d->has_box ? d->x : NAN);
    put_key(to, "y"), put_double(to, d->has_box ? d->y : NAN);
    put_key(to, "width"), put_double(to, d->has_box ? d->width : NAN);
    put_key(to, "height"), put_double(to, d->has_box ? d->height : NAN);
    put_text_or_null(to, "detection_id", d->detection_id);
    /* `other` is the text of an object; its members go on here. */
    struct str other = str_trim(d->other);
    if (other.n > 2) other = str_trim((struct str){other.p + 1, other.n - 2});
    if (other.n > 2) put_raw(to, other);
    put_object_end(to);
}

void put_inference(struct buf *to, struct str workspace, const struct hit *h) {
    const struct inference *inf = &h->inf;
    put_key(to, "inference_id"), put_str(to, inf->id);
    put_text_or_null(to, "model_id", inf->model_id);
    put_text_or_null(to, "model_name", inf->model_name);
    put_key(to, "index"), put_int(to, inf->index);
    put_key(to, "time"), put_time(to, inf->time_us);
    put_key(to, "received"), put_time(to, h->received_us);
    put_key(to, "latency_s"), put_double(to, inf->latency_s);
    put_text_or_null(to, "device_id", inf->device_id);
    put_text_or_null(to, "source", inf->source);
    put_text_or_null(to, "source_info", inf->source_info);
    put_text_or_null(to, "server_id", inf->server_id);
    put_text_or_null(to, "server_version", inf->server_version);
    put_text_or_null(to, "model_sha256", inf->model_sha256);
    put_key(to, "partial"), put_bool(to, h->flags & ROW_PARTIAL);
    put_key(to, "clock_suspect"), put_bool(to, h->flags & ROW_CLOCK_SUSPECT);
    image(to, workspace, h);
    put_key(to, "predictions"), put_array(to);
    for (size_t i = 0; i < inf->detection_count; i++) prediction(to, &inf->detections[i]);
    put_array_end(to);
    put_key(to, "metadata"), put_entries(to, h->metadata, h->metadata_count);
    put_text_or_null(to, "error", inf->error);
}
