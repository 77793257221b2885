#include "infer/decode.h"

#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

/* Surest first; the rest of the order only makes it the same on every machine. */
static int by_confidence(const void *pa, const void *pb) {
    const struct decode_box *a = pa, *b = pb;
    if (a->confidence != b->confidence) return a->confidence < b->confidence ? 1 : -1;
    if (a->class_id != b->class_id) return a->class_id < b->class_id ? -1 : 1;
    if (a->y != b->y) return a->y < b->y ? -1 : 1;
    return (a->x > b->x) - (a->x < b->x);
}

static double overlap(double center_a, double size_a, double center_b, double size_b) {
    double from = fmax(center_a - size_a / 2, center_b - size_b / 2);
    double to = fmin(center_a + size_a / 2, center_b + size_b / 2);
    return to > from ? to - from : 0;
}

static double iou(const struct decode_box *a, const struct decode_box *b) {
    double common = overlap(a->x, a->width, b->x, b->width) * overlap(a->y, a->height, b->y, b->height);
    double whole = a->width * a->height + b->width * b->height - common;
    return whole > 0 ? common / whole : 0;
}

size_t decode_nms(struct decode_box *boxes, size_t count, const struct decode_options *o) {
    qsort(boxes, count, sizeof *boxes, by_confidence);
    size_t most = o->max_candidates < DECODE_MAX_CANDIDATES ? o->max_candidates : DECODE_MAX_CANDIDATES;
    if (count > most) count = most;
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < o->max_detections; i++) {
        bool keep = true;
        for (size_t j = 0; j < kept && keep; j++)
            keep = (!o->class_agnostic_nms && boxes[i].class_id != boxes[j].class_id) ||
                   iou(&boxes[i], &boxes[j]) <= o->iou_threshold;
        if (keep) boxes[kept++] = boxes[i];
    }
    return kept;
}

/* True when no score of the class in the 3x3 cells around is higher. Beyond the edge there is nothing. */
static bool is_peak(const struct decode_grid *g, size_t row, size_t column, size_t class_id, float score) {
    size_t top = row ? row - 1 : 0, bottom = row + 1 < g->rows ? row + 1 : row;
    size_t left = column ? column - 1 : 0, right = column + 1 < g->columns ? column + 1 : column;
    for (size_t y = top; y <= bottom; y++)
        for (size_t x = left; x <= right; x++)
            if (g->scores[(y * g->columns + x) * g->classes + class_id] > score) return false;
    return true;
}

/* False when nothing of the box is inside the picture, or the network gave something that is no box. */
static bool box_at(const struct decode_grid *g, size_t row, size_t column, const double picture[2],
                   const double scale[2], struct decode_box *out) {
    const float *side = &g->boxes[(row * g->columns + column) * 4];
    double x = (double)column * g->stride, y = (double)row * g->stride;
    double left = fmax((x - (double)side[0]) * scale[0], 0), right = fmin((x + (double)side[2]) * scale[0], picture[0]);
    double top = fmax((y - (double)side[1]) * scale[1], 0), bottom = fmin((y + (double)side[3]) * scale[1], picture[1]);
    /* fmax and fmin pass over NaN, which would make it the whole picture. */
    if (isnan(side[0]) || isnan(side[1]) || isnan(side[2]) || isnan(side[3])) return false;
    if (!(right > left) || !(bottom > top)) return false;
    out->x = (left + right) / 2;
    out->y = (top + bottom) / 2;
    out->width = right - left;
    out->height = bottom - top;
    return true;
}

struct decode_box *decode_centernet(const struct decode_grid *g, const struct decode_options *o, double picture_width,
                                    double picture_height, double scale_x, double scale_y, size_t *count) {
    const double picture[2] = {picture_width, picture_height}, scale[2] = {scale_x, scale_y};
    float least = (float)o->confidence;
    if ((double)least < o->confidence) least = nextafterf(least, INFINITY); /* it was rounded down */
    struct decode_box *boxes = NULL;
    size_t n = 0, room = 0, cells = g->rows * g->columns;
    for (size_t cell = 0; cell < cells; cell++) {
        const float *scores = &g->scores[cell * g->classes];
        for (size_t c = 0; c < g->classes; c++) {
            /* The order of the questions is the order of their prices; nearly every score ends at the first. */
            if (!(scores[c] >= least) || (o->classes && !o->classes[c])) continue;
            if (!is_peak(g, cell / g->columns, cell % g->columns, c, scores[c])) continue;
            if (n == room) boxes = mem_resize(boxes, (room = room ? 2 * room : 64) * sizeof *boxes);
            if (!box_at(g, cell / g->columns, cell % g->columns, picture, scale, &boxes[n])) continue;
            boxes[n].confidence = (double)scores[c];
            boxes[n].class_id = (unsigned)c;
            n++;
        }
    }
    *count = n ? decode_nms(boxes, n, o) : 0;
    return boxes;
}
