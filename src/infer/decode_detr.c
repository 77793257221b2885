#include "infer/decode_detr.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

void decode_sigmoid(const float *logits, size_t n, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = 1 / (1 + exp(-(double)logits[i]));
}

void decode_softmax(const float *logits, size_t n, double *out) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < n; i++) sum += out[i] = exp((double)logits[i] - most);
    for (size_t i = 0; i < n; i++) out[i] /= sum;
}

static void add(struct decode_list *list, const struct decode_queries *q, const struct decode_options *o,
                const struct decode_frame *f, size_t query, size_t class_id, double score) {
    const float *b = &q->boxes[query * 4];
    if (!(score >= o->confidence) || (o->classes && !o->classes[class_id])) return;
    double x = (double)b[0] * q->width, y = (double)b[1] * q->height;
    double width = (double)b[2] * q->width, height = (double)b[3] * q->height;
    const double sides[4] = {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
    decode_add(list, f, sides, score, class_id, query);
}

struct decode_box *decode_detr(const struct decode_queries *q, const struct decode_options *o,
                               const struct decode_frame *f, size_t *count) {
    struct decode_list list = {0};
    struct decode_options all = *o;
    size_t columns = q->classes + q->softmax;
    double *scores = mem_alloc(columns * sizeof *scores);
    for (size_t i = 0; i < q->queries; i++) {
        if (q->softmax) {
            size_t best = 0;
            decode_softmax(&q->logits[i * columns], columns, scores);
            for (size_t c = 1; c < q->classes; c++)
                if (scores[c] > scores[best]) best = c;
            add(&list, q, o, f, i, best, scores[best]);
        } else {
            decode_sigmoid(&q->logits[i * columns], columns, scores);
            for (size_t c = 0; c < q->classes; c++) add(&list, q, o, f, i, c, scores[c]);
        }
    }
    free(scores);
    all.iou_threshold = INFINITY;
    *count = list.count ? decode_nms(list.boxes, list.count, &all) : 0;
    return list.boxes;
}
