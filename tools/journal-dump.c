/* Prints what is in journal files and workspace logs (docs/journal.md), one JSON object a line: the file, each record
 * with its offset, and where the records end. It reads only, and needs no other file.
 *
 *   journal-dump FILE...        slot-NN.journal or workspaces/N/log-K, of a running server too
 *
 * Exit code 0; 1 when a file cannot be read, is neither, or ends in bytes that are no record (in a journal file that is
 * written again and again, or in a log behind a checkpoint that did not finish, they are what was there before); 2 for
 * wrong usage. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/io.h"
#include "journal/journal.h"
#include "record/record.h"
#include "store/wlog.h"

enum { MOST = 1 << 30 };

static void put_text(struct buf *b, const char *name, struct str text) {
    if (text.n) put_key(b, name), put_str(b, text);
}

static void put_number(struct buf *b, const char *name, bool known, double v) {
    if (known) put_key(b, name), put_double(b, v);
}

static void put_time(struct buf *b, const char *name, int64_t us) {
    char text[CLOCK_TEXT];
    put_key(b, name), put_strz(b, clock_format(us, text));
}

static void put_hex(struct buf *b, const char *name, const void *bytes, size_t n) {
    struct buf hex = {0};
    for (size_t i = 0; i < n; i++) buf_printf(&hex, "%02x", ((const unsigned char *)bytes)[i]);
    put_key(b, name), put_str(b, buf_str(&hex));
    buf_free(&hex);
}

static void put_detection(struct buf *b, const struct detection *d) {
    put_object(b);
    put_text(b, "class", d->class_name);
    put_number(b, "class_id", d->class_id >= 0, (double)d->class_id);
    put_number(b, "confidence", !isnan(d->confidence), d->confidence);
    put_number(b, "x", d->has_box, d->x), put_number(b, "y", d->has_box, d->y);
    put_number(b, "width", d->has_box, d->width), put_number(b, "height", d->has_box, d->height);
    put_text(b, "detection_id", d->detection_id);
    put_text(b, "other", d->other);
    put_object_end(b);
}

static void put_inference(struct buf *b, const struct inference *inf) {
    put_text(b, "id", inf->id);
    put_text(b, "model_id", inf->model_id);
    put_key(b, "index"), put_int(b, inf->index);
    if (inf->assign_index) put_key(b, "assign_index"), put_bool(b, true);
    if (inf->partial) put_key(b, "partial"), put_bool(b, true);
    if (inf->time_us != TIME_UNKNOWN) put_time(b, "claimed", inf->time_us);
    put_number(b, "latency_s", !isnan(inf->latency_s), inf->latency_s);
    put_number(b, "width", inf->width, inf->width), put_number(b, "height", inf->height, inf->height);
    put_text(b, "model_name", inf->model_name), put_text(b, "model_sha256", inf->model_sha256);
    put_text(b, "device_id", inf->device_id);
    put_text(b, "source", inf->source), put_text(b, "source_info", inf->source_info);
    put_text(b, "server_id", inf->server_id), put_text(b, "server_version", inf->server_version);
    put_text(b, "error", inf->error);
    if (inf->picture) put_hex(b, "picture", inf->picture, 32);
    put_key(b, "detections"), put_array(b);
    for (size_t i = 0; i < inf->detection_count; i++) put_detection(b, &inf->detections[i]);
    put_array_end(b);
}

static void put_attach(struct buf *b, const struct attach *a) {
    put_key(b, "key"), put_int(b, a->key_id);
    put_key(b, "field"), put_str(b, a->field);
    put_key(b, "value"), value_json(b, &a->value);
    put_key(b, "ids"), put_array(b);
    for (size_t i = 0; i < a->id_count; i++) put_str(b, a->ids[i]);
    put_array_end(b);
}

static void print(struct buf *b) {
    buf_addc(b, '\n');
    fwrite(b->p, 1, b->n, stdout);
    buf_free(b);
}

static bool print_record(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    (void)ctx;
    struct buf b = {0};
    struct arena arena = {0};
    struct inference inf;
    struct attach a;
    bool inference = h->type == RECORD_INFERENCE && inference_decode(payload, &arena, &inf);
    bool attach = h->type == RECORD_ATTACH && attach_decode(payload, &arena, &a);
    put_object(&b);
    put_key(&b, "at"), put_int(&b, (int64_t)at);
    put_key(&b, "seq"), put_int(&b, (int64_t)h->seq);
    put_time(&b, "received", h->time_us);
    put_key(&b, "workspace"), put_int(&b, h->workspace);
    put_key(&b, "flags"), put_array(&b);
    if (h->flags & RECORD_GROUP_BEGIN) put_strz(&b, "group_begin");
    if (h->flags & RECORD_CHAIN_END) put_strz(&b, "chain_end");
    if (h->flags & RECORD_GROUP_END) put_strz(&b, "group_end");
    put_array_end(&b);
    put_key(&b, "bytes"), put_int(&b, h->length);
    put_key(&b, "type"), put_int(&b, h->type);
    put_key(&b, inference ? "inference" : attach ? "attach" : "payload");
    put_object(&b);
    if (inference)
        put_inference(&b, &inf);
    else if (attach)
        put_attach(&b, &a);
    else
        put_hex(&b, "hex", payload.p, payload.n);
    put_object_end(&b);
    put_object_end(&b);
    print(&b);
    arena_free(&arena);
    return true;
}

/* Where the records end; true when there is nothing but zeros behind them. */
static bool print_end(struct str bytes, uint64_t end) {
    size_t last = bytes.n;
    struct buf b = {0};
    while (last > end && bytes.p[last - 1] == 0) last--;
    put_object(&b);
    put_key(&b, "end"), put_int(&b, (int64_t)end);
    if (last > end) put_key(&b, "no_record_but_bytes_up_to"), put_int(&b, (int64_t)last);
    put_object_end(&b);
    print(&b);
    return last <= end;
}

static void print_head(const char *path, const char *kind, const void *store_id, uint64_t number,
                       const struct journal_file_header *h, const struct wlog *l) {
    struct buf b = {0};
    put_object(&b);
    put_key(&b, "file"), put_strz(&b, path);
    put_key(&b, "kind"), put_strz(&b, kind);
    put_hex(&b, "store", store_id, 16);
    if (l) put_key(&b, "workspace"), put_int(&b, l->workspace);
    put_key(&b, "number"), put_int(&b, (int64_t)number);
    if (h) put_key(&b, "first_seq"), put_int(&b, (int64_t)h->first_seq);
    if (h) put_key(&b, "after_recovery"), put_bool(&b, h->after_recovery);
    put_object_end(&b);
    print(&b);
}

/* A log says itself what its head has to be. */
static bool is_log(struct str bytes, struct wlog *l) {
    char head[WLOG_HEAD];
    *l = (struct wlog){.length = bytes.n};
    if (bytes.n < WLOG_HEAD) return false;
    memcpy(l->store_id, bytes.p + 8, 16);
    memcpy(&l->number, bytes.p + 24, 8);
    memcpy(&l->workspace, bytes.p + 32, 4);
    wlog_head(l, head);
    return memcmp(head, bytes.p, WLOG_HEAD) == 0;
}

static bool dump_log(struct str bytes, uint32_t workspace) {
    uint64_t at = WLOG_HEAD;
    struct record_header h;
    while (at < bytes.n && bytes.n - at >= sizeof h) {
        memcpy(&h, bytes.p + at, sizeof h);
        const char *payload = bytes.p + at + sizeof h;
        if (h.length > bytes.n - at - sizeof h || h.crc != record_crc(&h, payload, workspace)) break;
        print_record(NULL, &h, (struct str){payload, h.length}, at);
        at += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) at += -at % JOURNAL_SECTOR;
    }
    return print_end(bytes, at < bytes.n ? at : bytes.n);
}

static bool dump(const char *path) {
    size_t n;
    char *p = io_read_file(path, MOST, &n);
    if (!p) {
        fprintf(stderr, "journal-dump: %s: %s\n", path, strerror(errno));
        return false;
    }
    struct str bytes = {p, n};
    struct journal_file_header h;
    struct wlog l;
    uint64_t end, next;
    bool ok = false;
    if (journal_file_header(bytes, &h)) {
        print_head(path, "journal", h.store_id, h.number, &h, NULL);
        journal_scan(bytes, &h, print_record, NULL, &end, &next);
        ok = print_end(bytes, end);
    } else if (is_log(bytes, &l)) {
        print_head(path, "workspace log", l.store_id, l.number, NULL, &l);
        ok = dump_log(bytes, l.workspace);
    } else {
        fprintf(stderr, "journal-dump: %s: no header of a journal file or a workspace log\n", path);
    }
    free(p);
    return ok;
}

int main(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: journal-dump FILE...    (DATA/journal/slot-NN.journal, DATA/workspaces/N/log-K)\n");
        return 2;
    }
    bool ok = true;
    for (int i = 1; i < argc; i++) ok = dump(argv[i]) && ok;
    return fflush(stdout) == 0 && ok ? 0 : 1;
}
