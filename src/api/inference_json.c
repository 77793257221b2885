#include "api/inference_json.h"

#include "base/clock.h"

void json_time(struct buf *to, int64_t us) {
    char text[CLOCK_TEXT];
    json_strz(to, clock_format(us, text));
}

void json_value(struct buf *to, const struct value *v) {
    if (v->type == VALUE_NONE)
        json_null(to);
    else
        value_json(to, v);
}

void json_entries(struct buf *to, const struct entry *entries, size_t count) {
    json_object(to);
    for (size_t i = 0; i < count; i++) json_key_str(to, entries[i].name), json_value(to, &entries[i].value);
    json_object_end(to);
}

static void text_or_null(struct buf *to, const char *name, struct str text) {
    json_key(to, name);
    if (text.n)
        json_str(to, text);
    else
        json_null(to);
}

static void number_or_null(struct buf *to, const char *name, bool known, int64_t v) {
    json_key(to, name);
    if (known)
        json_int(to, v);
    else
        json_null(to);
}

/* Percent-encoded, all but the unreserved characters of RFC 3986. */
static void add_encoded(struct buf *to, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (plain)
            buf_addc(to, (char)c);
        else
            buf_printf(to, "%%%02X", c);
    }
}

static void image_url(struct buf *to, const char *name, struct str workspace, const struct hit *h, const char *last) {
    json_key(to, name);
    if (!(h->flags & ROW_PICTURE)) {
        json_null(to);
        return;
    }
    struct buf url = {0};
    buf_addz(&url, "/api/v1/"), add_encoded(&url, workspace);
    buf_addz(&url, "/inferences/"), add_encoded(&url, h->inf.id);
    buf_printf(&url, "/%s?index=%u&model=", last, h->inf.index), add_encoded(&url, h->inf.model_id);
    json_str(to, buf_str(&url));
    buf_free(&url);
}

static void prediction(struct buf *to, const struct detection *d) {
    json_object(to);
    json_key(to, "class"), json_str(to, d->class_name);
    number_or_null(to, "class_id", d->class_id >= 0, d->class_id);
    json_key(to, "confidence"), json_double(to, d->confidence);
    json_key(to, "x"), json_double(to, d->has_box ? d->x : NAN);
    json_key(to, "y"), json_double(to, d->has_box ? d->y : NAN);
    json_key(to, "width"), json_double(to, d->has_box ? d->width : NAN);
    json_key(to, "height"), json_double(to, d->has_box ? d->height : NAN);
    text_or_null(to, "detection_id", d->detection_id);
    /* `other` is the text of an object; its members go on here. */
    struct str other = str_trim(d->other);
    if (other.n > 2) other = str_trim((struct str){other.p + 1, other.n - 2});
    if (other.n > 2) json_raw(to, other);
    json_object_end(to);
}

void inference_json(struct buf *to, struct str workspace, const struct hit *h) {
    const struct inference *inf = &h->inf;
    json_key(to, "inference_id"), json_str(to, inf->id);
    text_or_null(to, "model_id", inf->model_id);
    text_or_null(to, "model_name", inf->model_name);
    json_key(to, "index"), json_int(to, inf->index);
    json_key(to, "time"), json_time(to, inf->time_us);
    json_key(to, "received"), json_time(to, h->received_us);
    json_key(to, "latency_s"), json_double(to, inf->latency_s);
    text_or_null(to, "device_id", inf->device_id);
    text_or_null(to, "source", inf->source);
    text_or_null(to, "source_info", inf->source_info);
    text_or_null(to, "server_id", inf->server_id);
    text_or_null(to, "server_version", inf->server_version);
    text_or_null(to, "model_sha256", inf->model_sha256);
    json_key(to, "partial"), json_bool(to, h->flags & ROW_PARTIAL);
    json_key(to, "clock_suspect"), json_bool(to, h->flags & ROW_CLOCK_SUSPECT);
    json_key(to, "image"), json_object(to);
    number_or_null(to, "width", inf->width, inf->width);
    number_or_null(to, "height", inf->height, inf->height);
    image_url(to, "url", workspace, h, "image");
    image_url(to, "thumbnail_url", workspace, h, "thumbnail");
    json_object_end(to);
    json_key(to, "predictions"), json_array(to);
    for (size_t i = 0; i < inf->detection_count; i++) prediction(to, &inf->detections[i]);
    json_array_end(to);
    json_key(to, "metadata"), json_entries(to, h->metadata, h->metadata_count);
    text_or_null(to, "error", inf->error);
}
