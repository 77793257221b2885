#include "infer/decode_yolo.h"

#include <math.h>

enum { BOX = 4 };

struct decode_box *decode_yolo(const struct decode_table *t, const struct decode_options *o,
                               const struct decode_frame *f, size_t *count) {
    struct decode_list list = {0};
    float least = decode_least(o->confidence);
    for (size_t a = 0; a < t->anchors; a++) {
        size_t best = 0;
        float score = decode_at(t, a, BOX);
        for (size_t c = 1; c < t->classes; c++) {
            float other = decode_at(t, a, BOX + c);
            if (other > score || isnan(score)) score = other, best = c;
        }
        if (!(score >= least) || (o->classes && !o->classes[best])) continue;
        double x = (double)decode_at(t, a, 0), y = (double)decode_at(t, a, 1);
        double width = (double)decode_at(t, a, 2), height = (double)decode_at(t, a, 3);
        const double sides[4] = {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
        decode_add(&list, f, sides, (double)score, best, a);
    }
    *count = list.count ? decode_nms(list.boxes, list.count, o) : 0;
    return list.boxes;
}

void decode_yolo_points(const struct decode_table *t, const struct decode_frame *f, size_t anchor, size_t count,
                        size_t parts, struct decode_point *out) {
    for (size_t k = 0; k < count; k++) {
        size_t at = BOX + t->classes + k * parts;
        double confidence = parts == 3 ? (double)decode_at(t, anchor, at + 2) : 1;
        out[k] = decode_place(f, (double)decode_at(t, anchor, at), (double)decode_at(t, anchor, at + 1), confidence);
    }
}
