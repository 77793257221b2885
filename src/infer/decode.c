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

float decode_least(double confidence) {
    float least = (float)confidence;
    return (double)least < confidence ? nextafterf(least, INFINITY) : least; /* it was rounded down */
}

void decode_add(struct decode_list *list, const struct decode_frame *f, const double sides[4], double confidence,
                size_t class_id, size_t source) {
    /* fmax and fmin pass over NaN, which would make it the whole picture. */
    if (isnan(sides[0]) || isnan(sides[1]) || isnan(sides[2]) || isnan(sides[3])) return;
    double left = fmax((sides[0] - f->shift_x) * f->scale_x, 0);
    double top = fmax((sides[1] - f->shift_y) * f->scale_y, 0);
    double right = fmin((sides[2] - f->shift_x) * f->scale_x, f->width);
    double bottom = fmin((sides[3] - f->shift_y) * f->scale_y, f->height);
    if (!(right > left) || !(bottom > top)) return;
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->boxes = mem_resize(list->boxes, list->room * sizeof *list->boxes);
    }
    list->boxes[list->count++] = (struct decode_box){.x = (left + right) / 2,
                                                     .y = (top + bottom) / 2,
                                                     .width = right - left,
                                                     .height = bottom - top,
                                                     .confidence = confidence,
                                                     .class_id = (unsigned)class_id,
                                                     .source = (unsigned)source};
}

struct decode_point decode_place(const struct decode_frame *f, double x, double y, double confidence) {
    return (struct decode_point){.x = fmin(fmax((x - f->shift_x) * f->scale_x, 0), f->width),
                                 .y = fmin(fmax((y - f->shift_y) * f->scale_y, 0), f->height),
                                 .confidence = confidence};
}

struct decode_box *decode_centernet(const struct decode_grid *g, const struct decode_options *o,
                                    const struct decode_frame *f, size_t *count) {
    struct decode_list list = {0};
    float least = decode_least(o->confidence);
    size_t cells = g->rows * g->columns;
    for (size_t cell = 0; cell < cells; cell++) {
        const float *scores = &g->scores[cell * g->classes], *side = &g->boxes[cell * 4];
        size_t row = cell / g->columns, column = cell % g->columns;
        for (size_t c = 0; c < g->classes; c++) {
            /* The order of the questions is the order of their prices; nearly every score ends at the first. */
            if (!(scores[c] >= least) || (o->classes && !o->classes[c]) || !is_peak(g, row, column, c, scores[c]))
                continue;
            double x = (double)column * g->stride, y = (double)row * g->stride;
            const double sides[4] = {x - (double)side[0], y - (double)side[1], x + (double)side[2],
                                     y + (double)side[3]};
            decode_add(&list, f, sides, (double)scores[c], c, cell);
        }
    }
    *count = list.count ? decode_nms(list.boxes, list.count, o) : 0;
    return list.boxes;
}
