/* Which pictures the store names: the sweep removes the others. */
#include "base/check.h"
#include "base/guard.h"
#include "record/uploads.h"
#include "store/describe.h"
#include "store/internal.h"

/* Every value that a part has of the uploads, those that were replaced since as well: they name the same pictures. */
static void in_dict(const struct dict *d, picture_call *call, void *ctx) {
    for (uint32_t code = 1, count = dict_count(d); code <= count; code++)
        uploads_each_picture(dict_value(d, code), call, ctx);
}

static void in_chunk(const struct chunk *c, int uploads, picture_call *call, void *ctx) {
    struct arena arena = {0};
    struct inference inf;
    for (uint32_t row = 0, rows = chunk_rows(c); row < rows; row++) {
        const struct block *b = chunk_block(c, row);
        if (!(row_flags(b, row % BLOCK_ROWS) & ROW_PICTURE)) continue;
        CHECK(inference_decode(b->payload[row % BLOCK_ROWS], &arena, &inf));
        call(ctx, inf.picture);
        arena_free(&arena);
    }
    const struct field *f = uploads < 0 ? NULL : chunk_field(c, (uint32_t)uploads);
    if (f) in_dict(&f->dict, call, ctx);
}

static bool in_sealed(const struct view *v, const struct sealed *s, int uploads, picture_call *call, void *ctx) {
    const struct overlay_field *over = uploads < 0 ? NULL : overlay_field(s->overlay, (uint32_t)uploads);
    struct guard g;
    if (over) in_dict(&over->dict, call, ctx);
    if (atomic_load(&s->set_aside)) return false;
    if (!guard_enter(&g)) {
        view_set_aside(v, g.what, &g.e);
        return false;
    }
    segment_each_picture(s->segment, call, ctx);
    guard_leave(&g);
    return true;
}

struct waiting {
    uint32_t uploads;
    picture_call *call;
    void *ctx;
};

static void in_waiting(void *ctx, const struct pending_id *i) {
    const struct waiting *w = ctx;
    for (const struct pending_write *x = pending_newest(i); x; x = x->older)
        if (x->field == w->uploads) {
            uploads_each_picture(&x->value, w->call, w->ctx);
            return; /* the newest has all */
        }
}

/* What waits is looked at before the view is taken that is asked for the rest: an id that stops waiting meanwhile has
 * its row in that one. */
bool store_each_picture(struct store *s, uint32_t workspace, picture_call *call, void *ctx) {
    struct view *v = store_view(s, workspace);
    if (!v) return true;
    int uploads = fields_find(v->fields, FIELD_UPLOADS);
    if (uploads >= 0)
        pending_each(v->pending, in_waiting, &(struct waiting){(uint32_t)uploads, call, ctx});
    struct view *newest = store_view(s, workspace);
    bool all = newest;
    uploads = newest ? fields_find(newest->fields, FIELD_UPLOADS) : -1;
    for (size_t i = 0; all && i < newest->chunk_count; i++) in_chunk(newest->chunks[i], uploads, call, ctx);
    for (size_t i = 0; all && i < newest->sealed_count; i++)
        all = in_sealed(newest, newest->sealed[i], uploads, call, ctx);
    view_release(newest);
    view_release(v);
    return all;
}
