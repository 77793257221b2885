#include "infer/decode_mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- the grid ---- */

/* Cells whose middles lie in [from, to), input pixels. */
static void window(double from, double to, double cell, size_t cells, size_t *first, size_t *count) {
    double low = ceil(from / cell - 0.5), high = ceil(to / cell - 0.5);
    low = fmin(fmax(low, 0), (double)cells);
    high = fmin(fmax(high, low), (double)cells);
    *first = (size_t)low;
    *count = (size_t)(high - low);
}

/* Between which two proto cells a place lies, and how near the second. */
struct between {
    size_t first, second;
    double part;
};

static struct between between(double place, size_t cells) {
    double low = floor(place), most = (double)(cells - 1);
    return (struct between){(size_t)fmin(fmax(low, 0), most), (size_t)fmin(fmax(low + 1, 0), most), place - low};
}

/* The sums of coefficient times proto, for every proto cell: a detection's box is seldom small, and the code is. */
static float *sums(const struct decode_protos *p, const float *coefficients) {
    size_t cells = p->rows * p->columns;
    float *out = mem_zero(cells, sizeof *out);
    for (size_t m = 0; m < p->count; m++) {
        const float *proto = &p->data[m * cells];
        for (size_t i = 0; i < cells; i++) out[i] += coefficients[m] * proto[i];
    }
    return out;
}

struct decode_mask decode_mask(const struct decode_protos *p, const float *coefficients, const struct decode_box *box,
                               const struct decode_frame *f, double factor) {
    size_t columns = (size_t)lround((double)p->columns * (1 - factor) + p->input_width * factor);
    size_t rows = (size_t)lround((double)p->rows * (1 - factor) + p->input_height * factor);
    struct decode_mask m = {.cell_width = p->input_width / (double)columns,
                            .cell_height = p->input_height / (double)rows};
    double left = (box->x - box->width / 2) / f->scale_x + f->shift_x, width = box->width / f->scale_x;
    double top = (box->y - box->height / 2) / f->scale_y + f->shift_y, height = box->height / f->scale_y;
    window(left, left + width, m.cell_width, columns, &m.left, &m.width);
    window(top, top + height, m.cell_height, rows, &m.top, &m.height);
    m.cells = mem_alloc(m.width * m.height);
    float *sum = sums(p, coefficients);
    double per_column = (double)p->columns / (double)columns, per_row = (double)p->rows / (double)rows;
    for (size_t y = 0; y < m.height; y++) {
        struct between v = between(((double)(m.top + y) + 0.5) * per_row - 0.5, p->rows);
        for (size_t x = 0; x < m.width; x++) {
            struct between h = between(((double)(m.left + x) + 0.5) * per_column - 0.5, p->columns);
            const float *upper = &sum[v.first * p->columns], *lower = &sum[v.second * p->columns];
            double above = (double)upper[h.first] + h.part * (double)(upper[h.second] - upper[h.first]);
            double below = (double)lower[h.first] + h.part * (double)(lower[h.second] - lower[h.first]);
            m.cells[y * m.width + x] = above + v.part * (below - above) > 0;
        }
    }
    free(sum);
    return m;
}

/* ---- the outline ---- */

/* Marks the region of cell `start` (those that share a side) with `mark`; returns its size. */
static size_t fill(const struct decode_mask *m, uint8_t *marks, size_t *stack, size_t start, uint8_t mark) {
    size_t depth = 0, size = 0;
    marks[start] = mark;
    stack[depth++] = start;
    while (depth) {
        size_t at = stack[--depth], x = at % m->width, y = at / m->width;
        const size_t next[4] = {x ? at - 1 : at, x + 1 < m->width ? at + 1 : at, y ? at - m->width : at,
                                y + 1 < m->height ? at + m->width : at};
        size++;
        for (size_t i = 0; i < 4; i++)
            if (m->cells[next[i]] && marks[next[i]] != mark) marks[next[i]] = mark, stack[depth++] = next[i];
    }
    return size;
}

/* Leaves 1 in `marks` where the largest region is; of two alike the upper. Returns its first cell, SIZE_MAX for none. */
static size_t largest(const struct decode_mask *m, uint8_t *marks) {
    enum { SEEN = 2 };
    size_t cells = m->width * m->height, best = SIZE_MAX, most = 0;
    size_t *stack = mem_alloc(cells * sizeof *stack);
    for (size_t i = 0; i < cells; i++) {
        if (!m->cells[i] || marks[i]) continue;
        size_t size = fill(m, marks, stack, i, SEEN);
        if (size > most) most = size, best = i;
    }
    if (best != SIZE_MAX) fill(m, marks, stack, best, 1);
    free(stack);
    return best;
}

struct walk {
    const struct decode_mask *m;
    const uint8_t *marks;
};

static bool inside(const struct walk *w, ptrdiff_t x, ptrdiff_t y) {
    return x >= 0 && y >= 0 && x < (ptrdiff_t)w->m->width && y < (ptrdiff_t)w->m->height &&
           w->marks[(size_t)y * w->m->width + (size_t)x] == 1;
}

/* Along the edges between cells, the region on the right hand: at each corner right if the way ahead leaves the region,
 * never across a corner where two cells only touch. Corners are kept where the direction changes. */
static struct decode_point *follow(const struct walk *w, size_t start, const struct decode_frame *f, size_t *count) {
    static const int dx[4] = {1, 0, -1, 0}, dy[4] = {0, 1, 0, -1}; /* east, south, west, north */
    struct decode_point *out = NULL;
    size_t n = 0, room = 0;
    ptrdiff_t x0 = (ptrdiff_t)(start % w->m->width), y0 = (ptrdiff_t)(start / w->m->width), x = x0, y = y0;
    int way = 0, before = 3;
    do {
        if (way != before) {
            if (n == room) out = mem_resize(out, (room = room ? 2 * room : 32) * sizeof *out);
            out[n++] = decode_place(f, (double)(w->m->left + (size_t)x) * w->m->cell_width,
                                    (double)(w->m->top + (size_t)y) * w->m->cell_height, 1);
        }
        before = way;
        x += dx[way], y += dy[way];
        /* The two cells ahead of this corner: to the right and to the left of the way. */
        ptrdiff_t right_x = x + (way == 2 || way == 1 ? -1 : 0), right_y = y + (way == 2 || way == 3 ? -1 : 0);
        ptrdiff_t left_x = x + (way == 2 || way == 3 ? -1 : 0), left_y = y + (way == 0 || way == 3 ? -1 : 0);
        if (!inside(w, right_x, right_y))
            way = (way + 1) % 4;
        else if (inside(w, left_x, left_y))
            way = (way + 3) % 4;
    } while (x != x0 || y != y0 || way != 0);
    *count = n;
    return out;
}

struct decode_point *decode_outline(const struct decode_mask *m, const struct decode_frame *f, size_t *count) {
    uint8_t *marks = mem_zero(m->width * m->height, 1);
    struct walk w = {m, marks};
    size_t start = largest(m, marks);
    *count = 0;
    struct decode_point *out = start == SIZE_MAX ? NULL : follow(&w, start, f, count);
    free(marks);
    return out;
}

/* ---- run lengths ---- */

static bool covers(const struct decode_mask *m, const struct decode_frame *f, size_t x, size_t y) {
    double column = floor((((double)x + 0.5) / f->scale_x + f->shift_x) / m->cell_width) - (double)m->left;
    double row = floor((((double)y + 0.5) / f->scale_y + f->shift_y) / m->cell_height) - (double)m->top;
    return column >= 0 && row >= 0 && column < (double)m->width && row < (double)m->height &&
           m->cells[(size_t)row * m->width + (size_t)column];
}

/* A signed number in groups of 5 bits, the lowest first, bit 6 for "more follow", 48 added. */
static void pack(int64_t v, struct buf *out) {
    bool more;
    do {
        int64_t bits = v & 31;
        v >>= 5;
        more = bits & 16 ? v != -1 : v != 0;
        buf_addc(out, (char)(bits + (more ? 32 : 0) + 48));
    } while (more);
}

void decode_runs(const struct decode_mask *m, const struct decode_frame *f, struct buf *out) {
    int64_t before[2] = {0, 0}; /* from the third on a number is told as the difference to the last but one */
    size_t width = (size_t)f->width, height = (size_t)f->height, runs = 0;
    int64_t length = 0;
    bool value = false;
    for (size_t x = 0; x <= width; x++) {
        for (size_t y = 0; y < height; y++) {
            bool now = x < width ? covers(m, f, x, y) : !value; /* the last run is closed behind the last column */
            if (now == value) {
                length++;
                continue;
            }
            pack(runs > 2 ? length - before[runs % 2] : length, out);
            before[runs % 2] = length;
            runs++;
            length = 1;
            value = now;
            if (x == width) return;
        }
    }
}
