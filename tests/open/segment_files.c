/* Segments for other readers:
 *     segment-files DIR            writes some there, and what is in each as NAME.json, said by the rows they are made
 * of segment-files --open FILE    tells what segment_open and the verifiers say of a file, one line, "sound" or why
 * not */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "record/bins.h"
#include "segment_kit.h"

static void put_word(struct buf *b, const char *key, uint64_t v) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put_key(b, key), put_strz(b, text);
}

static void put_signed(struct buf *b, const char *key, int64_t v) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    put_key(b, key), put_strz(b, text);
}

/* Empty is null. */
static void put_text(struct buf *b, const char *key, struct str s) {
    put_key(b, key);
    if (s.n)
        put_str(b, s);
    else
        put_null(b);
}

static void put_some(struct buf *b, const char *key, uint64_t v, bool there) {
    put_key(b, key);
    if (there)
        put_int(b, (int64_t)v);
    else
        put_null(b);
}

static void put_detection(struct buf *b, const struct detection *d) {
    put_object(b);
    put_text(b, "class", d->class_name);
    if (d->class_id >= 0)
        put_signed(b, "class_id", d->class_id);
    else
        put_key(b, "class_id"), put_null(b);
    put_key(b, "confidence"), put_double(b, d->confidence);
    put_some(b, "confidence_bin", confidence_bin(d->confidence), !isnan(d->confidence));
    put_key(b, "x"), put_double(b, d->has_box ? d->x : NAN);
    put_key(b, "y"), put_double(b, d->has_box ? d->y : NAN);
    put_key(b, "width"), put_double(b, d->has_box ? d->width : NAN);
    put_key(b, "height"), put_double(b, d->has_box ? d->height : NAN);
    put_text(b, "detection_id", d->detection_id);
    put_text(b, "other", d->other);
    put_object_end(b);
}

static void put_change(struct buf *b, const struct change *c) {
    put_object(b);
    put_text(b, "field", c->field);
    put_word(b, "seq", c->seq);
    put_signed(b, "time", c->time_us);
    put_key(b, "key"), put_int(b, c->key_id);
    put_key(b, "value"), value_json(b, &c->value); /* as it is; in the file it is the text of this */
    put_object_end(b);
}

static void put_picture(struct buf *b, const uint8_t *picture) {
    char hex[65] = "";
    for (int i = 0; picture && i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", picture[i]);
    put_text(b, "picture", str_of(hex));
}

static int flags_of(const struct segment_row *r) {
    return r->flags | (r->inf.error.n ? ROW_ERROR : 0) | (r->inf.partial ? ROW_PARTIAL : 0) |
           (r->inf.picture ? ROW_PICTURE : 0) | (r->inf.assign_index ? 32 : 0);
}

static uint32_t next_row(const struct segment_kit *k, size_t row) {
    for (size_t i = row + 1; i < k->count; i++)
        if (k->of[i] == k->of[row]) return (uint32_t)i + 1;
    return 0;
}

static bool is_first(const struct segment_kit *k, size_t row) {
    for (size_t i = 0; i < row; i++)
        if (k->of[i] == k->of[row]) return false;
    return true;
}

static void put_row(struct buf *b, const struct segment_kit *k, size_t row, const struct segment_row *r) {
    const struct inference *inf = &r->inf;
    double top = NAN;
    for (size_t i = 0; i < inf->detection_count; i++) top = fmax(top, inf->detections[i].confidence);
    put_object(b);
    put_key(b, "id"), put_str(b, inf->id);
    put_word(b, "id_hash", id_hash(k->id.store_id, inf->id));
    put_key(b, "same_id"), put_int(b, next_row(k, row));
    put_word(b, "content", r->content);
    put_signed(b, "time", inf->time_us);
    put_signed(b, "received", r->received_us);
    put_word(b, "seq", r->seq);
    put_key(b, "index"), put_int(b, inf->index);
    put_key(b, "flags"), put_int(b, flags_of(r));
    put_key(b, "latency"), put_double(b, inf->latency_s);
    put_some(b, "latency_bin", latency_bin(inf->latency_s), !isnan(inf->latency_s));
    put_key(b, "confidence"), put_double(b, top);
    put_some(b, "confidence_bin", confidence_bin(top), !isnan(top));
    put_text(b, "model", inf->model_id);
    put_text(b, "model_name", inf->model_name);
    put_text(b, "model_sha256", inf->model_sha256);
    put_text(b, "device", inf->device_id);
    put_text(b, "source", inf->source);
    put_text(b, "source_info", inf->source_info);
    put_text(b, "server", inf->server_id);
    put_text(b, "server_version", inf->server_version);
    put_some(b, "width", inf->width, inf->width > 0);
    put_some(b, "height", inf->height, inf->height > 0);
    put_text(b, "error", inf->error);
    put_picture(b, inf->picture);
    put_key(b, "detections"), put_array(b);
    for (size_t i = 0; i < inf->detection_count; i++) put_detection(b, &inf->detections[i]);
    put_array_end(b);
    put_key(b, "history"), put_array(b);
    for (size_t i = 0; is_first(k, row) && i < r->history_count; i++) put_change(b, &r->history[i]);
    put_array_end(b);
    put_key(b, "metadata"), put_object(b);
    for (size_t i = 0; i < r->metadata_count; i++) {
        put_key_str(b, r->metadata[i].name);
        value_json(b, &r->metadata[i].value);
    }
    put_object_end(b);
    put_object_end(b);
}

static void write_text(const char *dir, const char *name, struct str text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.json", dir, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0);
}

static bool write_one(const struct segment_kit *k, const char *dir, const char *name) {
    struct buf b = {0};
    struct err e;
    char file[100];
    snprintf(file, sizeof file, "%s.arrow", name);
    if (!segment_kit_write(k, dir, file, &e)) return fprintf(stderr, "%s\n", e.msg), false;
    put_object(&b);
    put_key(&b, "footer"), put_object(&b);
    put_key(&b, "format"), put_strz(&b, "sightglass segment 1");
    put_key(&b, "store"), put_strz(&b, "30313233343536373839616263646500");
    put_word(&b, "workspace", k->id.workspace);
    put_word(&b, "number", k->id.number);
    put_word(&b, "version", k->id.version);
    put_word(&b, "applied_through", k->id.applied_through);
    put_key(&b, "apart"), put_strz(&b, k->id.apart ? "1" : "0");
    put_signed(&b, "min_time_us", k->rows[0].inf.time_us);
    put_signed(&b, "max_time_us", k->rows[k->count - 1].inf.time_us);
    put_word(&b, "min_seq", k->rows[0].seq);
    put_word(&b, "max_seq", k->rows[k->count - 1].seq);
    put_object_end(&b);
    put_key(&b, "rows"), put_array(&b);
    for (size_t i = 0; i < k->count; i++) {
        struct arena a = {0};
        struct segment_row r = segment_kit_row(k, i, &a);
        put_row(&b, k, i, &r);
        arena_free(&a);
    }
    put_array_end(&b);
    put_object_end(&b);
    write_text(dir, name, buf_str(&b));
    buf_free(&b);
    return true;
}

/* No picture, no metadata, no detection, no text: whatever may be null is. */
static void make_bare(struct segment_kit *k) {
    for (size_t i = 0; i < k->count; i++) {
        k->of[i]->history_count = 0;
        k->rows[i].inf = (struct inference){.id = k->of[i]->id, .time_us = k->rows[i].inf.time_us, .latency_s = NAN};
    }
}

static int write_all(const char *dir) {
    static const struct {
        const char *name;
        uint64_t seed;
        size_t rows;
        bool bare, apart;
    } list[] = {{"one", 1, 1, false, false},     {"few", 2, 9, false, true},   {"before-1970", 4, 257, false, false},
                {"many", 3, 2000, false, false}, {"bare", 6, 70, true, false}, {"bare-one", 7, 1, true, false}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct segment_kit k;
        segment_kit_make(&k, list[i].seed, list[i].rows);
        k.id.apart = list[i].apart;
        if (list[i].bare) make_bare(&k);
        if (!write_one(&k, dir, list[i].name)) return 1;
        segment_kit_free(&k);
    }
    return 0;
}

static int open_one(const char *path) {
    static const uint8_t store_id[16] = "0123456789abcde";
    struct err e;
    struct segment *s = segment_open(path, store_id, 7, &e);
    puts(s && segment_verify(s, &e) && segment_verify_summary(s, &e) ? "sound" : e.msg);
    segment_close(s);
    return 0;
}

int main(int argc, char **argv) {
    hash_init();
    guard_init();
    if (argc == 3 && str_is(str_of(argv[1]), "--open")) return open_one(argv[2]);
    if (argc == 2) return write_all(argv[1]);
    fprintf(stderr, "usage: segment-files DIR | segment-files --open FILE\n");
    return 2;
}
