#include <inttypes.h>
#include <stdlib.h>

#include "base/guard.h"
#include "base/mem.h"
#include "store/check.h"
#include "store/segment.h"

enum { REPORT_MOST = 20 };

/* A row by what must be its own: id, model, index, and whether it is from a partial source. */
struct row {
    uint64_t hash;
    uint32_t segment, row;
};

static int by_hash(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->segment != y->segment) return x->segment < y->segment ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static uint64_t mix(uint64_t a, uint64_t b) {
    a = (a ^ b) * 0x9e3779b97f4a7c15u;
    return a ^ a >> 32;
}

static struct str model_of(const struct segment *s, uint32_t row) {
    uint32_t code = SEG(s, MODEL)[row];
    return code == CODE_NULL ? STR("") : segment_dict_text(segment_dict(s, SEG_MODEL), code);
}

/* Under a guard. */
static void collect(const struct check *c, const struct segment *s, uint32_t number, struct row *out) {
    const uint64_t *ids = SEG(s, ID_HASH);
    const uint32_t *indexes = SEG(s, INDEX), *models = SEG(s, MODEL);
    const uint8_t *flags = SEG(s, FLAGS);
    uint32_t last = 0;
    uint64_t model = 0;
    for (uint32_t row = 0; row < s->rows; row++) {
        if (row == 0 || models[row] != last) model = id_hash(c->store_id, model_of(s, row));
        last = models[row];
        out[row] = (struct row){
            mix(mix(ids[row], model), (uint64_t)indexes[row] << 1 | (flags[row] & ROW_PARTIAL ? 1 : 0)), number, row};
    }
}

/* Under a guard. */
static bool same(const struct segment *a, uint32_t x, const struct segment *b, uint32_t y) {
    return str_eq(segment_id(a, x), segment_id(b, y)) && str_eq(model_of(a, x), model_of(b, y)) &&
           SEG(a, INDEX)[x] == SEG(b, INDEX)[y] && (SEG(a, FLAGS)[x] & ROW_PARTIAL) == (SEG(b, FLAGS)[y] & ROW_PARTIAL);
}

static void compare(struct check *c, uint32_t workspace, struct segment *const *segments, const struct row *rows,
                    size_t count) {
    uint64_t twice = 0;
    for (size_t i = 1; i < count; i++) {
        const struct row *x = &rows[i - 1], *y = &rows[i];
        if (x->hash != y->hash || !same(segments[x->segment], x->row, segments[y->segment], y->row)) continue;
        if (twice++ >= REPORT_MOST) continue;
        struct str id = segment_id(segments[x->segment], x->row);
        check_problem(c,
                      "workspace %" PRIu32 ": the inference '%.*s' stands twice, in segment %" PRIu64 ", row %" PRIu32
                      ", and in segment %" PRIu64 ", row %" PRIu32,
                      workspace, (int)(id.n < 200 ? id.n : 200), id.p, segments[x->segment]->number, x->row,
                      segments[y->segment]->number, y->row);
    }
    if (twice > REPORT_MOST)
        check_problem(c, "workspace %" PRIu32 ": %" PRIu64 " inferences stand twice", workspace, twice);
}

/* Under a guard. */
static void compare_all(struct check *c, uint32_t workspace, struct segment *const *segments, size_t count,
                        struct row *rows) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (!segments[i]) continue;
        collect(c, segments[i], (uint32_t)i, rows + at);
        at += segments[i]->rows;
    }
    qsort(rows, at, sizeof *rows, by_hash);
    compare(c, workspace, segments, rows, at);
}

static void compare_guarded(struct check *c, uint32_t workspace, struct segment *const *segments, size_t count,
                            struct row *rows) {
    struct guard g;
    if (!guard_enter(&g)) {
        check_problem(c, "workspace %" PRIu32 ": its segments could not be compared: %s", workspace, g.e.msg);
        return;
    }
    compare_all(c, workspace, segments, count, rows);
    guard_leave(&g);
}

void check_rows(struct check *c, uint32_t workspace, struct segment *const *segments, size_t count) {
    size_t all = 0;
    for (size_t i = 0; i < count; i++) all += segments[i] ? segments[i]->rows : 0;
    struct row *rows = mem_alloc(all * sizeof *rows + 1);
    compare_guarded(c, workspace, segments, count, rows);
    free(rows);
}
