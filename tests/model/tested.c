#include "tested.h"

#include "base/check.h"
#include "base/guard.h"

const char *const step_names[STEPS] = {
    [STEP_FREEZE] = "freeze",   [STEP_SEAL] = "seal",     [STEP_FOLD] = "fold",
    [STEP_MERGE] = "merge",     [STEP_RETAIN] = "retain", [STEP_CHECKPOINT] = "checkpoint",
    [STEP_COMPACT] = "compact", [STEP_EXPIRE] = "expire",
};

static int64_t clock_us;
static int64_t read_clock(void) { return clock_us; }
void tested_clock(int64_t now_us) { clock_us = now_us; }

bool tested_open(struct tested *s, const char *dir, struct err *e) {
    s->o.dir = dir;
    s->o.manual = true;
    s->o.now_us = read_clock;
    s->store = store_open(&s->o, e);
    return s->store != NULL;
}

void tested_close(struct tested *s) {
    if (s->store) store_close(s->store);
    s->store = NULL;
}

static void chunk_rows_of(const struct chunk *c, const struct location *p,
                          void (*call)(void *ctx, const struct location *p, const struct placed_row *r), void *ctx) {
    for (uint32_t row = 0; row < chunk_rows(c); row++) {
        const struct block *b = chunk_block(c, row);
        struct arena arena = {0};
        struct placed_row r = {.seq = b->seq[row % BLOCK_ROWS], .flags = row_flags(b, row % BLOCK_ROWS)};
        CHECK(inference_decode(b->payload[row % BLOCK_ROWS], &arena, &r.inf));
        r.inf.index = b->index[row % BLOCK_ROWS];
        call(ctx, p, &r);
        arena_free(&arena);
    }
}

static void segment_rows_of(const struct sealed *s, const struct location *p,
                            void (*call)(void *ctx, const struct location *p, const struct placed_row *r), void *ctx) {
    struct guard g;
    if (!guard_enter(&g)) check_failed(g.e.msg, __FILE__, __LINE__);
    for (uint32_t row = 0; row < s->segment->rows; row++) {
        struct arena arena = {0};
        struct placed_row r = {.seq = SEG(s->segment, SEQ)[row], .flags = SEG(s->segment, FLAGS)[row]};
        if (overlay_hidden(s->overlay, row)) r.flags |= ROW_HIDDEN;
        segment_inference(s->segment, row, &arena, &r.inf);
        call(ctx, p, &r);
        arena_free(&arena);
    }
    guard_leave(&g);
}

void tested_rows(const struct view *v, void (*call)(void *ctx, const struct location *p, const struct placed_row *r),
                 void *ctx) {
    for (size_t i = 0; v && i < v->chunk_count; i++) {
        struct location p = {.kind = i ? PLACE_FROZEN : PLACE_OPEN};
        if (chunk_rows(v->chunks[i])) p.number = chunk_block(v->chunks[i], 0)->seq[0];
        chunk_rows_of(v->chunks[i], &p, call, ctx);
    }
    for (size_t i = 0; v && i < v->sealed_count; i++) {
        const struct segment *s = v->sealed[i]->segment;
        struct location p = {.kind = PLACE_SEALED,
                             .number = s->number,
                             .version = s->version,
                             .apart = s->apart,
                             .max_time_us = s->max_time_us,
                             .overlay = overlay_count(v->sealed[i]->overlay)};
        segment_rows_of(v->sealed[i], &p, call, ctx);
    }
}

bool tested_verify(const struct view *v, struct err *e) {
    for (size_t i = 0; v && i < v->sealed_count; i++)
        if (!segment_verify(v->sealed[i]->segment, e) || !segment_verify_summary(v->sealed[i]->segment, e))
            return false;
    return true;
}

struct sought {
    struct str id;
    uint64_t last; /* number of the part met last */
    enum place_kind last_kind;
    struct whereabouts *out;
};

static void seek(void *ctx, const struct location *p, const struct placed_row *r) {
    struct sought *s = ctx;
    if (!str_eq(r->inf.id, s->id)) return;
    if (s->out->parts && s->last == p->number && s->last_kind == p->kind) return;
    s->last = p->number;
    s->last_kind = p->kind;
    s->out->parts++;
    ++*(p->kind == PLACE_OPEN ? &s->out->open : p->kind == PLACE_FROZEN ? &s->out->frozen : &s->out->sealed);
    s->out->folded |= p->version > 1;
    s->out->overlaid |= p->overlay > 0;
}

struct whereabouts tested_find(const struct view *v, struct str id) {
    struct whereabouts out = {0};
    struct sought s = {.id = id, .out = &out};
    tested_rows(v, seek, &s);
    return out;
}

bool tested_hidden(const struct view *v) {
    bool hidden = false;
    for (size_t i = 0; v && i < v->sealed_count; i++) hidden |= atomic_load(&v->sealed[i]->overlay->hidden_count) > 0;
    return hidden;
}

unsigned tested_frozen(const struct view *v) { return v && v->chunk_count ? (unsigned)v->chunk_count - 1 : 0; }
