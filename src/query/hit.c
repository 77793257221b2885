#include "query/hit.h"

#include <stdlib.h>

#include "record/uploads.h"

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static void copy_texts(struct inference *inf, struct arena *a) {
    struct str *texts[] = {&inf->id,     &inf->model_id,    &inf->model_name, &inf->model_sha256,   &inf->device_id,
                           &inf->source, &inf->source_info, &inf->server_id,  &inf->server_version, &inf->error};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = copy(a, *texts[i]);
    struct detection *d = arena_alloc(a, inf->detection_count * sizeof *d);
    for (size_t i = 0; i < inf->detection_count; i++) {
        d[i] = inf->detections[i];
        d[i].class_name = copy(a, d[i].class_name);
        d[i].detection_id = copy(a, d[i].detection_id);
        d[i].other = copy(a, d[i].other);
    }
    inf->detections = d;
    if (inf->picture) inf->picture = arena_copy(a, inf->picture, 32);
}

/* The numbers of fields, and with them the order in a part, are others after a restart. */
static int by_name(const void *x, const void *y) {
    return str_cmp(((const struct entry *)x)->name, ((const struct entry *)y)->name);
}

bool hit_load(const struct part *p, uint32_t row, struct arena *a, struct hit *out, struct err *e) {
    struct slice s = part_slice(p, row / BLOCK_ROWS);
    uint32_t at = row % BLOCK_ROWS;
    *out = (struct hit){.received_us = slice_received(&s)[at], .seq = slice_seq(&s)[at], .flags = part_flags(p, row)};
    if (p->segment) {
        segment_inference(p->segment, row, a, &out->inf);
        copy_texts(&out->inf, a);
    } else if (!inference_decode(copy(a, s.block->payload[at]), a, &out->inf)) {
        return err_set(e, ERR_DAMAGED, "the stored record of sequence %llu cannot be read",
                       (unsigned long long)out->seq);
    }
    out->inf.time_us = slice_time(&s)[at];
    out->inf.index = slice_index(&s)[at];
    out->metadata_count = part_row_metadata(p, row, a, &out->metadata);
    for (size_t i = out->metadata_count; i-- > 0;) {
        if (!field_is_own(out->metadata[i].name)) continue;
        out->uploads = out->metadata[i].value.text;
        out->metadata[i] = out->metadata[--out->metadata_count];
    }
    if (out->metadata_count > 1) qsort(out->metadata, out->metadata_count, sizeof *out->metadata, by_name);
    return true;
}
