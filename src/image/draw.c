#include "image/draw.h"

#include <math.h>
#include <stdlib.h>
#include <vips/vips.h>

#include "base/mem.h"

struct draw_colour draw_palette(size_t number) {
    static const struct draw_colour colours[10] = {{230, 25, 75},  {60, 180, 75},  {0, 130, 200}, {255, 160, 0},
                                                   {145, 30, 180}, {0, 170, 170},  {240, 50, 230}, {128, 128, 0},
                                                   {170, 110, 40}, {70, 70, 255}};
    return colours[number % 10];
}

/* share 1 covers what is there. */
static void mix(struct image *im, int x, int y, struct draw_colour c, double share) {
    uint8_t *p = &im->rgb[((size_t)y * (size_t)im->width + (size_t)x) * 3];
    const uint8_t to[3] = {c.red, c.green, c.blue};
    for (int i = 0; i < 3; i++) p[i] = (uint8_t)lround(p[i] + share * (to[i] - p[i]));
}

/* The first pixel whose middle is not left of the place; the picture's edges when it is beyond them. */
static int pixel(double place, int most) { return (int)ceil(fmin(fmax(place, 0), most) - 0.5); }

static void fill(struct image *im, double left, double top, double right, double bottom, struct draw_colour c) {
    int x0 = pixel(left, im->width), x1 = pixel(right, im->width);
    int y0 = pixel(top, im->height), y1 = pixel(bottom, im->height);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) mix(im, x, y, c, 1);
}

void draw_frame(struct image *im, double left, double top, double right, double bottom, unsigned stroke,
                struct draw_colour c) {
    double out = (stroke ? stroke : 1) / 2.0, in = out;
    /* On whole pixels, so that a line is as wide as asked for wherever it lies; an odd one more inside. */
    left = round(left), top = round(top), right = round(right), bottom = round(bottom);
    out = floor(out), in = ceil(in);
    fill(im, left - out, top - out, right + out, top + in, c);
    fill(im, left - out, bottom - in, right + out, bottom + out, c);
    fill(im, left - out, top + in, left + in, bottom - in, c);
    fill(im, right - in, top + in, right + out, bottom - in, c);
}

static void line(struct image *im, struct draw_point a, struct draw_point b, unsigned stroke, struct draw_colour c) {
    double steps = ceil(fmax(fabs(b.x - a.x), fabs(b.y - a.y))), half = stroke / 2.0;
    for (double i = 0; i <= steps; i++) {
        double x = a.x + (steps > 0 ? (b.x - a.x) * i / steps : 0), y = a.y + (steps > 0 ? (b.y - a.y) * i / steps : 0);
        fill(im, x - half, y - half, x + half, y + half, c);
    }
}

static int by_value(const void *pa, const void *pb) {
    const double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

void draw_polygon(struct image *im, const struct draw_point *points, size_t count, double share, unsigned stroke,
                  struct draw_colour c) {
    double top = INFINITY, bottom = -INFINITY;
    for (size_t i = 0; i < count; i++) top = fmin(top, points[i].y), bottom = fmax(bottom, points[i].y);
    if (count < 3) return;
    double *crossings = mem_alloc(count * sizeof *crossings);
    for (int y = pixel(top, im->height); y < pixel(bottom, im->height); y++) {
        double at = y + 0.5;
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            struct draw_point a = points[i], b = points[(i + 1) % count];
            if ((a.y <= at) != (b.y <= at)) crossings[n++] = a.x + (at - a.y) / (b.y - a.y) * (b.x - a.x);
        }
        qsort(crossings, n, sizeof *crossings, by_value);
        for (size_t i = 0; i + 1 < n; i += 2)
            for (int x = pixel(crossings[i], im->width); x < pixel(crossings[i + 1], im->width); x++)
                mix(im, x, y, c, share);
    }
    free(crossings);
    for (size_t i = 0; i < count && stroke; i++) line(im, points[i], points[(i + 1) % count], stroke, c);
}

void draw_disc(struct image *im, double x, double y, double radius, struct draw_colour c) {
    for (int v = pixel(y - radius, im->height); v < pixel(y + radius, im->height); v++)
        for (int h = pixel(x - radius, im->width); h < pixel(x + radius, im->width); h++)
            if (hypot(h + 0.5 - x, v + 0.5 - y) <= radius) mix(im, h, v, c, 1);
}

/* The letters as coverage of 0..255, one byte a pixel; NULL where there is no font. The caller frees with g_free. */
static uint8_t *letters(struct str text, unsigned height, int *width, int *rows) {
    char *plain = g_strndup(text.p, text.n), *valid = g_utf8_make_valid(plain, -1);
    char *markup = g_markup_escape_text(valid, -1), font[32];
    VipsImage *at = NULL;
    uint8_t *bytes = NULL;
    size_t size;
    g_snprintf(font, sizeof font, "sans %u", height);
    /* At 72 dots an inch a point is a pixel. */
    if (vips_text(&at, markup, "font", font, "dpi", 72, NULL) == 0 && vips_image_get_bands(at) == 1) {
        *width = vips_image_get_width(at);
        *rows = vips_image_get_height(at);
        bytes = vips_image_write_to_memory(at, &size);
    }
    if (at) g_object_unref(at);
    vips_error_clear();
    vips_thread_shutdown();
    g_free(markup), g_free(valid), g_free(plain);
    return bytes;
}

void draw_label(struct image *im, double x, double bottom, unsigned height, struct str text, struct draw_colour c) {
    static const struct draw_colour white = {255, 255, 255};
    int width, rows, margin = (int)(height / 4) + 1;
    if (text.n == 0) return;
    uint8_t *coverage = letters(text, height, &width, &rows);
    if (!coverage) return;
    double bar = rows + 2 * margin, left = fmax(0, fmin(floor(x), im->width - width - 2 * margin));
    double top = fmax(0, floor(bottom) - bar);
    fill(im, left, top, left + width + 2 * margin, top + bar, c);
    for (int v = 0; v < rows; v++)
        for (int h = 0; h < width; h++) {
            int to_x = (int)left + margin + h, to_y = (int)top + margin + v;
            if (to_x < im->width && to_y < im->height)
                mix(im, to_x, to_y, white, coverage[v * width + h] / 255.0);
        }
    g_free(coverage);
}
