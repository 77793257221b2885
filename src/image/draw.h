/* Drawing on a picture in memory: frames, polygons, discs, lines of text. Places are pixels of the picture, with the
 * corner of the first pixel at 0, 0; what lies outside is left out. Text is set by libvips in whatever sans font the
 * machine has; where it has none, nothing is written and the rest of the drawing stands.
 *
 * The caller owns the picture; one thread at a time. Between image_start and image_stop. */
#pragma once
#include "image/image.h"

struct draw_colour {
    uint8_t red, green, blue;
};
struct draw_point {
    double x, y;
};

/* One of ten, well apart from each other, the same for the same number. */
struct draw_colour draw_palette(size_t number);

/* The line lies on both sides of the frame's edge; at least one pixel wide. */
void draw_frame(struct image *im, double left, double top, double right, double bottom, unsigned stroke,
                struct draw_colour c);
/* Mixes the colour in, `share` of it, where the closed polygon is (even-odd), and draws its edge when stroke is not 0. */
void draw_polygon(struct image *im, const struct draw_point *points, size_t count, double share, unsigned stroke,
                  struct draw_colour c);
void draw_disc(struct image *im, double x, double y, double radius, struct draw_colour c);
/* On a bar of the colour whose lower left corner is at x, bottom; moved inside when it would stand out. `height` is
 * about that of the letters in pixels. */
void draw_label(struct image *im, double x, double bottom, unsigned height, struct str text, struct draw_colour c);
