#include "infer/show.h"

#include <stdlib.h>

#include "image/draw.h"

#define MASK_SHARE 0.4

/* Letters in proportion to the picture, and not too small to be read. */
static unsigned letter_height(const struct image *picture) {
    unsigned side = (unsigned)(picture->width < picture->height ? picture->width : picture->height);
    return side / 40 < 11 ? 11 : side / 40;
}

static void label(struct image *picture, double x, double bottom, struct str name, double confidence, size_t class_id) {
    struct buf text = {0};
    buf_add_str(&text, name);
    buf_printf(&text, " %.0f%%", confidence * 100);
    draw_label(picture, x, bottom, letter_height(picture), buf_str(&text), draw_palette(class_id));
    buf_free(&text);
}

static void show_mask(struct image *picture, const struct result_detection *d) {
    struct draw_point *points = mem_alloc(d->outline_count * sizeof *points);
    for (size_t i = 0; i < d->outline_count; i++) points[i] = (struct draw_point){d->outline[i].x, d->outline[i].y};
    draw_polygon(picture, points, d->outline_count, MASK_SHARE, 0, draw_palette(d->box.class_id));
    free(points);
}

static void show_detection(struct image *picture, const struct result_detection *d, const struct show_options *o) {
    double left = d->box.x - d->box.width / 2, top = d->box.y - d->box.height / 2;
    show_mask(picture, d);
    draw_frame(picture, left, top, left + d->box.width, top + d->box.height, o->stroke, draw_palette(d->box.class_id));
    for (size_t k = 0; k < d->keypoint_count; k++)
        draw_disc(picture, d->keypoints[k].at.x, d->keypoints[k].at.y, o->stroke + 2,
                  draw_palette(d->keypoints[k].class_id + 1));
    if (o->labels) label(picture, left, top, d->class_name, d->box.confidence, d->box.class_id);
}

/* The best class, or all that reach the confidence, one below the other. */
static void show_classes(struct image *picture, const struct model *m, const struct result *r, double confidence) {
    double line = letter_height(picture) * 2.0;
    for (size_t i = 0; i < m->class_count; i++) {
        size_t c = r->ranks[i];
        if (m->multi_label ? r->scores[c] < confidence : i > 0) return;
        label(picture, 0, (double)(i + 1) * line, m->classes[c], r->scores[c], c);
    }
}

bool show_result(struct image *picture, const struct model *m, const struct result *r, const struct show_options *o,
                 double confidence, struct buf *jpeg, struct err *e) {
    if (m->task == MODEL_CLASSIFICATION) show_classes(picture, m, r, confidence);
    for (size_t i = r->count; i > 0; i--) show_detection(picture, &r->detections[i - 1], o); /* the surest on top */
    return image_jpeg(picture, jpeg, e);
}
