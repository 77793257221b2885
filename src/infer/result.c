#include "infer/result.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "infer/decode_detr.h"
#include "infer/decode_mask.h"
#include "infer/decode_pose.h"
#include "infer/decode_yolo.h"

/* ---- shapes ---- */

static size_t size_of(const struct tensor *t) {
    size_t n = 1;
    for (size_t i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}

static const float *slice(const struct tensor *t, size_t pictures, size_t index) {
    return t->data + size_of(t) / pictures * index;
}

static void shape_text(const size_t *shape, size_t rank, char out[160]) {
    size_t n = 0;
    for (size_t i = 0; i < rank && n < 120; i++) n += (size_t)snprintf(out + n, 160 - n, "%s%zu", i ? " x " : "", shape[i]);
}

/* The shape is the wanted one; 0 there stands for any number from 1. */
static bool shape_is(const struct tensor *t, const size_t *wanted, size_t rank) {
    bool same = t->rank == rank;
    for (size_t i = 0; i < rank && same; i++) same = wanted[i] ? t->shape[i] == wanted[i] : t->shape[i] > 0;
    return same;
}

static bool misfit(const struct model *m, const struct outputs *out, size_t which, const char *wanted, struct err *e) {
    char is[160];
    shape_text(out->tensors[which].shape, out->tensors[which].rank, is);
    return err_set(e, ERR_INTERNAL, "%s/model.onnx: output \"%s\" is %s; by model.json %s", m->folder.p,
                   m->outputs[which].p, is, wanted);
}

static bool fits(const struct model *m, const struct outputs *out, size_t which, const size_t *wanted, size_t rank,
                 struct err *e) {
    char text[160];
    if (shape_is(&out->tensors[which], wanted, rank)) return true;
    shape_text(wanted, rank, text);
    return misfit(m, out, which, text, e);
}

static bool centernet_fits(const struct model *m, const struct outputs *out, size_t n, struct err *e) {
    size_t rows = (size_t)(m->input.height / m->stride), columns = (size_t)(m->input.width / m->stride);
    return fits(m, out, 0, (const size_t[]){n, rows, columns, m->class_count}, 4, e) &&
           fits(m, out, 1, (const size_t[]){n, rows, columns, 4}, 4, e);
}

/* How many channels an anchor has beyond box and classes, by what the task needs; 0 for `other` when there is but one
 * form. */
static void yolo_extra(const struct model *m, const struct outputs *out, size_t *extra, size_t *other) {
    *extra = *other = 0;
    if (m->task == MODEL_SEGMENTATION) *extra = out->tensors[1].shape[1];
    if (m->task == MODEL_KEYPOINTS) *extra = 3 * m->keypoint_count, *other = 2 * m->keypoint_count;
}

static bool yolo_fits(const struct model *m, const struct outputs *out, size_t n, struct err *e) {
    const struct tensor *t = &out->tensors[0];
    size_t extra, other, channels = 4 + m->class_count;
    char text[160];
    if (m->task == MODEL_SEGMENTATION && !shape_is(&out->tensors[1], (const size_t[]){n, 0, 0, 0}, 4))
        return misfit(m, out, 1, "pictures x protos x rows x columns", e);
    yolo_extra(m, out, &extra, &other);
    for (int i = 0; i < 2; i++) {
        size_t wanted = channels + (i ? other : extra);
        if (shape_is(t, (const size_t[]){n, wanted, 0}, 3) || shape_is(t, (const size_t[]){n, 0, wanted}, 3)) return true;
    }
    snprintf(text, sizeof text, "%zu x %zu x any number", n, channels + extra);
    return misfit(m, out, 0, text, e);
}

static bool detr_fits(const struct model *m, const struct outputs *out, size_t n, struct err *e) {
    size_t columns = m->class_count + (m->activation == MODEL_SOFTMAX), queries = out->tensors[0].shape[1];
    char text[160];
    if (!shape_is(&out->tensors[0], (const size_t[]){n, 0, columns}, 3)) {
        snprintf(text, sizeof text, "%zu x any number x %zu", n, columns);
        return misfit(m, out, 0, text, e);
    }
    return fits(m, out, 1, (const size_t[]){n, queries, 4}, 3, e);
}

static bool movenet_fits(const struct model *m, const struct outputs *out, size_t n, struct err *e) {
    char text[160];
    if (shape_is(&out->tensors[0], (const size_t[]){n, 1, m->keypoint_count, 3}, 4) ||
        shape_is(&out->tensors[0], (const size_t[]){n, 0, 3 * m->keypoint_count + 5}, 3))
        return true;
    snprintf(text, sizeof text, "%zu x 1 x %zu x 3 or %zu x people x %zu", n, m->keypoint_count, n,
             3 * m->keypoint_count + 5);
    return misfit(m, out, 0, text, e);
}

/* Some exports keep height and width of 1 behind the classes. */
static bool scores_fit(const struct model *m, const struct outputs *out, size_t n, struct err *e) {
    const struct tensor *t = &out->tensors[0];
    char text[160];
    if (t->rank > 1 && t->shape[0] == n && size_of(t) == n * m->class_count) return true;
    snprintf(text, sizeof text, "%zu x %zu", n, m->class_count);
    return misfit(m, out, 0, text, e);
}

bool result_fits(const struct model *m, const struct outputs *out, size_t pictures, struct err *e) {
    switch (m->decoder) {
    case MODEL_CENTERNET: return centernet_fits(m, out, pictures, e);
    case MODEL_YOLO: return yolo_fits(m, out, pictures, e);
    case MODEL_DETR: return detr_fits(m, out, pictures, e);
    case MODEL_MOVENET: return movenet_fits(m, out, pictures, e);
    case MODEL_SCORES: return scores_fit(m, out, pictures, e);
    }
    CHECK(false);
    return false;
}

/* ---- reading ---- */

/* What is read of one picture, and where to. */
struct reading {
    const struct model *m;
    const struct outputs *out;
    size_t pictures, index;
    const struct result_options *o;
    const struct decode_frame *f;
    struct arena *a;
    struct result *r;
};

/* Takes the boxes. */
static void take(const struct reading *rd, struct decode_box *boxes, size_t count) {
    struct result *r = rd->r;
    r->count = count;
    r->detections = arena_alloc(rd->a, count * sizeof *r->detections);
    for (size_t i = 0; i < count; i++) {
        r->detections[i].box = boxes[i];
        r->detections[i].class_name = rd->m->classes[boxes[i].class_id];
        uuid_v4(r->detections[i].id);
    }
    free(boxes);
}

static void take_points(const struct reading *rd, struct result_detection *d, const struct decode_point *points) {
    d->keypoints = arena_alloc(rd->a, rd->m->keypoint_count * sizeof *d->keypoints);
    for (size_t k = 0; k < rd->m->keypoint_count; k++)
        if (points[k].confidence >= rd->o->keypoint_confidence)
            d->keypoints[d->keypoint_count++] = (struct result_keypoint){points[k], k};
}

static void read_centernet(const struct reading *rd) {
    const struct tensor *scores = &rd->out->tensors[0], *boxes = &rd->out->tensors[1];
    const struct decode_grid g = {.rows = scores->shape[1],
                                  .columns = scores->shape[2],
                                  .classes = scores->shape[3],
                                  .scores = slice(scores, rd->pictures, rd->index),
                                  .boxes = slice(boxes, rd->pictures, rd->index),
                                  .stride = rd->m->stride};
    size_t n;
    struct decode_box *found = decode_centernet(&g, &rd->o->decode, rd->f, &n);
    take(rd, found, n);
}

/* The table, whichever way round; the number of values of a keypoint. */
static struct decode_table table_of(const struct reading *rd, size_t *parts) {
    const struct tensor *t = &rd->out->tensors[0];
    size_t extra, other, classes = rd->m->class_count;
    yolo_extra(rd->m, rd->out, &extra, &other);
    bool columns = t->shape[1] == 4 + classes + extra, rows = t->shape[2] == 4 + classes + extra;
    *parts = 3;
    if (!columns && !rows) {
        *parts = 2;
        columns = t->shape[1] == 4 + classes + other;
    }
    size_t channels = t->shape[columns ? 1 : 2], anchors = t->shape[columns ? 2 : 1];
    return (struct decode_table){.data = slice(t, rd->pictures, rd->index),
                                 .anchors = anchors,
                                 .channels = channels,
                                 .classes = classes,
                                 .anchor_step = columns ? 1 : channels,
                                 .channel_step = columns ? anchors : 1};
}

static void read_mask(const struct reading *rd, const struct decode_table *t, struct result_detection *d) {
    const struct tensor *protos = &rd->out->tensors[1];
    const struct decode_protos p = {.data = slice(protos, rd->pictures, rd->index),
                                    .count = protos->shape[1],
                                    .rows = protos->shape[2],
                                    .columns = protos->shape[3],
                                    .input_width = rd->m->input.width,
                                    .input_height = rd->m->input.height};
    float *coefficients = mem_alloc(p.count * sizeof *coefficients);
    for (size_t i = 0; i < p.count; i++) coefficients[i] = decode_at(t, d->box.source, 4 + t->classes + i);
    struct decode_mask mask = decode_mask(&p, coefficients, &d->box, rd->f, rd->o->mask_factor);
    if (rd->o->runs) {
        struct buf text = {0};
        decode_runs(&mask, rd->f, &text);
        d->runs = (struct str){arena_copy(rd->a, text.p, text.n), text.n};
        d->picture_width = (int)rd->f->width;
        d->picture_height = (int)rd->f->height;
        buf_free(&text);
    }
    if (!rd->o->runs || rd->o->outlines) {
        struct decode_point *outline = decode_outline(&mask, rd->f, &d->outline_count);
        d->outline = arena_copy(rd->a, outline, d->outline_count * sizeof *outline);
        free(outline);
    }
    free(mask.cells);
    free(coefficients);
}

static void read_yolo(const struct reading *rd) {
    size_t n, parts;
    const struct decode_table t = table_of(rd, &parts);
    struct decode_box *found = decode_yolo(&t, &rd->o->decode, rd->f, &n);
    take(rd, found, n);
    for (size_t i = 0; i < n; i++) {
        struct result_detection *d = &rd->r->detections[i];
        if (rd->m->task == MODEL_SEGMENTATION) read_mask(rd, &t, d);
        if (rd->m->task != MODEL_KEYPOINTS) continue;
        struct decode_point *points = mem_alloc(rd->m->keypoint_count * sizeof *points);
        decode_yolo_points(&t, rd->f, d->box.source, rd->m->keypoint_count, parts, points);
        take_points(rd, d, points);
        free(points);
    }
}

static void read_detr(const struct reading *rd) {
    const struct tensor *logits = &rd->out->tensors[0], *boxes = &rd->out->tensors[1];
    const struct decode_queries q = {.queries = logits->shape[1],
                                     .classes = rd->m->class_count,
                                     .logits = slice(logits, rd->pictures, rd->index),
                                     .boxes = slice(boxes, rd->pictures, rd->index),
                                     .width = rd->m->input.width,
                                     .height = rd->m->input.height,
                                     .softmax = rd->m->activation == MODEL_SOFTMAX};
    size_t n;
    struct decode_box *found = decode_detr(&q, &rd->o->decode, rd->f, &n);
    take(rd, found, n);
}

static void read_movenet(const struct reading *rd) {
    const struct tensor *t = &rd->out->tensors[0];
    const struct decode_poses p = {.data = slice(t, rd->pictures, rd->index),
                                   .rows = t->rank == 4 ? 1 : t->shape[1],
                                   .keypoints = rd->m->keypoint_count,
                                   .multiple = t->rank == 3,
                                   .width = rd->m->input.width,
                                   .height = rd->m->input.height};
    size_t n;
    struct decode_box *found = decode_movenet(&p, &rd->o->decode, rd->f, &n);
    struct decode_point *points = mem_alloc(p.keypoints * sizeof *points);
    take(rd, found, n);
    for (size_t i = 0; i < n; i++) {
        decode_movenet_points(&p, rd->f, rd->r->detections[i].box.source, points);
        take_points(rd, &rd->r->detections[i], points);
    }
    free(points);
}

/* By the scores, of two alike the first class first. */
static int by_score(const void *pa, const void *pb, void *ctx) {
    const size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    const double *scores = ctx;
    if (scores[a] != scores[b]) return scores[a] < scores[b] ? 1 : -1;
    return (a > b) - (a < b);
}

static void read_scores(const struct reading *rd) {
    const float *values = slice(&rd->out->tensors[0], rd->pictures, rd->index);
    size_t n = rd->m->class_count;
    double *scores = rd->r->scores = arena_alloc(rd->a, n * sizeof *scores);
    size_t *ranks = rd->r->ranks = arena_alloc(rd->a, n * sizeof *ranks);
    switch (rd->m->activation) {
    case MODEL_SIGMOID: decode_sigmoid(values, n, scores); break;
    case MODEL_SOFTMAX: decode_softmax(values, n, scores); break;
    case MODEL_AS_IS:
        for (size_t i = 0; i < n; i++) scores[i] = (double)values[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (!(scores[i] >= 0)) scores[i] = 0; /* not a number, or no score */
        if (scores[i] > 1) scores[i] = 1;
        ranks[i] = i;
    }
    qsort_r(ranks, n, sizeof *ranks, by_score, scores);
}

void result_read(const struct model *m, const struct outputs *out, size_t pictures, size_t index,
                 const struct result_options *o, const struct decode_frame *f, struct arena *a, struct result *r) {
    const struct reading rd = {m, out, pictures, index, o, f, a, r};
    *r = (struct result){0};
    switch (m->decoder) {
    case MODEL_CENTERNET: read_centernet(&rd); break;
    case MODEL_YOLO: read_yolo(&rd); break;
    case MODEL_DETR: read_detr(&rd); break;
    case MODEL_MOVENET: read_movenet(&rd); break;
    case MODEL_SCORES: read_scores(&rd); break;
    }
}
