/* From segments and what lies over them to new segments: a fold writes one anew with its overlay in it, a merge makes one
 * of several, a rewrite leaves rows out. All take everything up to one sequence number; what comes after it is carried
 * over by the writer when the new one takes its place. */
#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/io.h"
#include "store/internal.h"

/* An overlay up to a sequence number, in order of (row, seq). */
struct folded {
    struct segment_change *changes;
    size_t count;
    uint32_t entries; /* of the overlay, that are in it */
    uint32_t *hidden;
    size_t hidden_count;
};

static int by_row(const void *x, const void *y) {
    const struct segment_change *a = x, *b = y;
    if (a->row != b->row) return a->row < b->row ? -1 : 1;
    return a->change.seq < b->change.seq ? -1 : a->change.seq > b->change.seq;
}

static void fold_take(const struct workspace *w, const struct sealed *s, uint64_t seq, struct arena *a,
                      struct folded *out) {
    const struct overlay *o = s->overlay;
    uint32_t count = overlay_count(o);
    while (count && overlay_entry(o, count - 1)->seq > seq) count--;
    *out = (struct folded){.entries = count};
    out->changes = arena_alloc(a, count * sizeof *out->changes);
    for (; out->count < count; out->count++) {
        const struct overlay_entry *e = overlay_entry(o, (uint32_t)out->count);
        struct change c = {w->fields->names[e->field], {0}, e->seq, e->time_us, e->key_id};
        if (e->code) c.value = *dict_value(&overlay_field(o, e->field)->dict, e->code);
        out->changes[out->count] = (struct segment_change){e->row, c};
    }
    qsort(out->changes, out->count, sizeof *out->changes, by_row);
    out->hidden = arena_alloc(a, s->segment->rows * sizeof *out->hidden);
    for (uint32_t row = 0; row < s->segment->rows; row++)
        if (overlay_hidden(o, row)) out->hidden[out->hidden_count++] = row;
}

static uint32_t row_after(const struct sealed *from, uint32_t row) { return from->map ? from->map[row] : row; }

/* The writer: what came after the fold, over what took the segment's place. */
static void carry(struct workspace *w, struct sealed *from, const struct folded *f) {
    for (uint32_t n = f->entries, count = overlay_count(from->overlay); n < count; n++) {
        const struct overlay_entry *e = overlay_entry(from->overlay, n);
        uint32_t row = row_after(from, e->row);
        struct value v = e->code ? *dict_value(&overlay_field(from->overlay, e->field)->dict, e->code) : (struct value){0};
        if (row != ROW_GONE) overlay_set(from->into->overlay, e->seq, e->time_us, e->key_id, row, e->field, &v);
    }
    if (atomic_load(&from->overlay->hidden_count) == f->hidden_count) return;
    size_t at = 0;
    for (uint32_t row = 0; row < from->segment->rows; row++) {
        if (!overlay_hidden(from->overlay, row)) continue;
        while (at < f->hidden_count && f->hidden[at] < row) at++;
        if (at < f->hidden_count && f->hidden[at] == row) continue;
        if (row_after(from, row) != ROW_GONE) overlay_hide(from->into->overlay, w->seq, row_after(from, row));
    }
}

enum { PARTS_MOST = 64 };

/* One step: these segments are replaced by that one. */
struct replacing {
    struct store *s;
    struct workspace *w;
    uint64_t seq;
    struct sealed *from[PARTS_MOST];
    struct folded folded[PARTS_MOST];
    uint32_t *maps[PARTS_MOST]; /* NULL: a fold */
    const uint8_t *gone;        /* rows of the first that are left out; NULL: none are */
    size_t count;
    struct segment_identity id;
    struct sealed *into;
    struct arena arena, scratch; /* scratch: here, so that a guard can leave in the middle of it */
};

static void publish(void *ctx) {
    struct replacing *r = ctx;
    struct view *v = view_draft(r->w);
    for (size_t i = 0; i < r->count; i++) {
        r->from[i]->map = r->maps[i];
        r->from[i]->into = r->into;
        carry(r->w, r->from[i], &r->folded[i]);
        view_remove(v, r->from[i]);
    }
    view_add(v, r->into);
    view_publish(r->w, v);
}

static void begin(struct replacing *r, struct store *s, struct workspace *w, struct sealed **from, size_t count) {
    *r = (struct replacing){.s = s, .w = w, .seq = w->seq, .count = count};
    for (size_t i = 0; i < count; i++) {
        r->from[i] = from[i];
        fold_take(w, from[i], r->seq, &r->arena, &r->folded[i]);
    }
    r->id = (struct segment_identity){.workspace = w->number,
                                      .number = from[0]->segment->number,
                                      .version = from[0]->segment->version + 1,
                                      .applied_through = r->seq,
                                      .apart = from[0]->segment->apart};
    memcpy(r->id.store_id, s->o.id, sizeof r->id.store_id);
}

static struct manifest_segment name_of(const struct sealed *s) {
    return (struct manifest_segment){.number = s->segment->number, .version = s->segment->version};
}

/* The file that was written, as a segment of its own. */
static bool open_into(struct replacing *r, uint32_t slot, bool index, struct manifest_segment *made, struct err *e) {
    *made = (struct manifest_segment){.number = r->id.number, .version = r->id.version};
    r->into = sealed_open(r->s, r->w, *made, slot, e);
    return r->into && sealed_describe(r->into, made, e) &&
           (!index || segment_index(r->w, r->into->segment, slot, e));
}

static void discard_into(struct replacing *r, uint32_t slot, bool index) {
    if (!r->into) return;
    if (index) directory_forget(r->w->directory, &slot, 1);
    io_unlink(r->into->path); /* nobody's: the manifest does not name it */
    sealed_free(r->into);
}

/* The file is written: from here on as with every other step. */
static bool replace(struct replacing *r, uint32_t slot, bool index, struct err *e) {
    struct manifest_segment removed[PARTS_MOST], added;
    for (size_t i = 0; i < r->count; i++) removed[i] = name_of(r->from[i]);
    bool ok = open_into(r, slot, index, &added, e);
    if (!ok) {
        checkpoint_abort(r->s->checkpoint);
    } else {
        checkpoint_segments(r->s->checkpoint, r->w->number, removed, r->count, &added, 1, r->w->sealed_through);
        ok = checkpoint_commit(r->s->checkpoint, r->s->journal, e) != COMMIT_FAILED;
    }
    if (ok)
        on_writer(r->s, publish, r);
    else
        discard_into(r, slot, index);
    return ok;
}

/* ---- fold ---- */

static bool fold_guarded(struct replacing *r, const char *folder, const char *name, struct err *e) {
    struct segment_fold f = {.id = r->id,
                             .fields = r->w->fields->names,
                             .field_count = fields_count(r->w->fields),
                             .changes = r->folded[0].changes,
                             .change_count = r->folded[0].count,
                             .hidden = r->folded[0].hidden,
                             .hidden_count = r->folded[0].hidden_count};
    struct guard g;
    if (!guard_enter(&g)) {
        r->from[0]->set_aside = r->w->aside = true;
        *e = g.e;
        return false;
    }
    bool ok = segment_fold_write(r->from[0]->segment, &f, folder, name, e);
    guard_leave(&g);
    return ok;
}

bool fold_sealed(struct store *s, struct workspace *w, struct sealed *from, struct err *e) {
    struct replacing r;
    char folder[4096], name[64];
    begin(&r, s, w, &from, 1);
    manifest_segment_name(r.id.number, r.id.version, name);
    checkpoint_begin(s->checkpoint);
    bool ok = checkpoint_segment_folder(s->checkpoint, w->number, folder, e) && fold_guarded(&r, folder, name, e);
    if (ok)
        ok = replace(&r, from->slot, false, e);
    else
        checkpoint_abort(s->checkpoint);
    arena_free(&r.arena);
    arena_free(&r.scratch);
    w->loosened |= ok;
    return ok || err_wrap(e, "folding segment %llu", (unsigned long long)from->segment->number);
}

/* ---- merge ---- */

struct merge_row {
    int64_t time_us;
    uint64_t seq;
    uint32_t part, row;
};

static int by_time(const void *x, const void *y) {
    const struct merge_row *a = x, *b = y;
    if (a->time_us != b->time_us) return a->time_us < b->time_us ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* The changes of one row of a fold. */
static struct segment_change *changes_of(const struct folded *f, uint32_t row, size_t *count) {
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->changes[middle].row < row) low = middle + 1;
        else high = middle;
    }
    *count = 0;
    while (low + *count < f->count && f->changes[low + *count].row == row) ++*count;
    return &f->changes[low];
}

static void set_entry(struct entry *entries, size_t *count, const struct change *c) {
    size_t at = 0;
    while (at < *count && !str_eq(entries[at].name, c->field)) at++;
    if (c->value.type == VALUE_NONE) {
        if (at < *count) entries[at] = entries[--*count];
        return;
    }
    if (at == *count) ++*count;
    entries[at] = (struct entry){c->field, c->value};
}

/* A row as it is with what lies over it. `first`: the first row of its id in its segment, which has the history. */
static void load_row(const struct sealed *s, const struct folded *f, uint32_t row, uint32_t first, struct arena *a,
                     struct segment_row *out) {
    const struct segment *g = s->segment;
    size_t change_count, value_count = 0;
    const struct segment_change *changes = changes_of(f, row, &change_count);
    struct entry *entries = arena_alloc(a, (g->field_count + change_count + 1) * sizeof *entries);
    for (uint32_t n = 0; n < g->field_count; n++) {
        struct value v = segment_value(segment_field(g, n), row);
        if (v.type != VALUE_NONE) entries[value_count++] = (struct entry){segment_field_name(g, n), v};
    }
    for (size_t n = 0; n < change_count; n++) set_entry(entries, &value_count, &changes[n].change);
    struct change *old, *history;
    size_t old_count = segment_history(g, first, a, &old);
    changes = changes_of(f, first, &change_count);
    history = arena_alloc(a, (old_count + change_count) * sizeof *history);
    memcpy(history, old, old_count * sizeof *history);
    for (size_t n = 0; n < change_count; n++) history[old_count + n] = changes[n].change;
    *out = (struct segment_row){.received_us = SEG(g, RECEIVED)[row],
                                .seq = SEG(g, SEQ)[row],
                                .content = SEG(g, CONTENT)[row],
                                .flags = SEG(g, FLAGS)[row],
                                .metadata = entries,
                                .metadata_count = value_count,
                                .history = history,
                                .history_count = old_count + change_count};
    if (overlay_hidden(s->overlay, row)) out->flags |= ROW_HIDDEN;
    segment_inference(g, row, a, &out->inf);
}

static uint32_t *first_of(const struct segment *g, struct arena *a) {
    const uint32_t *same = SEG(g, SAME_ID);
    uint32_t *first = arena_alloc(a, g->rows * sizeof *first); /* row + 1 */
    for (uint32_t row = 0; row < g->rows; row++) {
        if (!first[row]) first[row] = row + 1;
        if (same[row]) first[same[row] - 1] = first[row];
    }
    return first;
}

static void merge_rows(struct replacing *r, struct segment_builder *b) {
    size_t total = 0, n = 0;
    uint32_t *firsts[PARTS_MOST];
    for (size_t i = 0; i < r->count; i++) total += r->from[i]->segment->rows;
    struct merge_row *rows = arena_alloc(&r->arena, total * sizeof *rows);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct segment *g = r->from[i]->segment;
        const int64_t *times = SEG(g, TIME);
        const uint64_t *seqs = SEG(g, SEQ);
        firsts[i] = first_of(g, &r->arena);
        for (uint32_t row = 0; row < g->rows; row++) {
            r->maps[i][row] = ROW_GONE;
            if (!r->gone || !r->gone[row]) rows[n++] = (struct merge_row){times[row], seqs[row], i, row};
        }
    }
    qsort(rows, n, sizeof *rows, by_time);
    for (uint32_t to = 0; to < n; to++) {
        struct segment_row row;
        uint32_t part = rows[to].part;
        load_row(r->from[part], &r->folded[part], rows[to].row, firsts[part][rows[to].row] - 1, &r->scratch,
                 &row);
        segment_builder_add(b, &row);
        arena_free(&r->scratch);
        r->maps[part][rows[to].row] = to;
    }
}

static bool merge_guarded(struct replacing *r, struct segment_builder *b, struct err *e) {
    struct guard g;
    if (!guard_enter(&g)) {
        for (size_t i = 0; i < r->count; i++)
            if (r->from[i]->segment == g.what) r->from[i]->set_aside = r->w->aside = true;
        *e = g.e;
        return false;
    }
    merge_rows(r, b);
    guard_leave(&g);
    return true;
}

bool merge_sealed(struct store *s, struct workspace *w, struct sealed **from, size_t count, struct err *e) {
    struct replacing r;
    char folder[4096], name[64];
    uint32_t slot;
    CHECK(count <= PARTS_MOST);
    if (!slot_take(w, &slot, e)) return false;
    begin(&r, s, w, from, count);
    r.id.number = w->next_segment++;
    r.id.version = 1;
    for (size_t i = 0; i < count; i++) r.maps[i] = mem_alloc(from[i]->segment->rows * sizeof *r.maps[i]);
    manifest_segment_name(r.id.number, r.id.version, name);
    checkpoint_begin(s->checkpoint);
    struct segment_builder *b = segment_builder_new(&r.id, w->fields->names, fields_count(w->fields));
    bool ok = checkpoint_segment_folder(s->checkpoint, w->number, folder, e) && merge_guarded(&r, b, e);
    if (ok)
        ok = segment_builder_write(b, folder, name, e);
    else
        segment_builder_free(b);
    if (ok)
        ok = replace(&r, slot, true, e);
    else
        checkpoint_abort(s->checkpoint);
    if (!ok) {
        slot_give(w, slot);
        for (size_t i = 0; i < count; i++) free(r.maps[i]);
    }
    arena_free(&r.arena);
    arena_free(&r.scratch);
    return ok || err_wrap(e, "merging segments");
}

/* ---- without some rows ---- */

struct rewrite {
    struct replacing r;
    uint32_t slot;
    struct manifest_segment made; /* number 0: no row is left */
    bool published;
};

static bool write_rest(struct rewrite *x, struct err *e) {
    struct replacing *r = &x->r;
    char folder[4096], name[64];
    manifest_segment_name(r->id.number, r->id.version, name);
    struct segment_builder *b = segment_builder_new(&r->id, r->w->fields->names, fields_count(r->w->fields));
    if (checkpoint_segment_folder(r->s->checkpoint, r->w->number, folder, e) && merge_guarded(r, b, e))
        return segment_builder_write(b, folder, name, e);
    segment_builder_free(b);
    return false;
}

/* Many may stand prepared: of what a rewrite was made with, only that is kept which its publishing asks for. */
static void keep_little(struct replacing *r) {
    struct folded *f = &r->folded[0];
    struct arena small = {0};
    f->hidden = arena_copy(&small, f->hidden, f->hidden_count * sizeof *f->hidden);
    f->changes = NULL;
    arena_free(&r->arena);
    arena_free(&r->scratch);
    r->arena = small;
}

struct rewrite *rewrite_without(struct store *s, struct workspace *w, struct sealed *from, const uint8_t *gone,
                                struct err *e) {
    uint32_t slot, left = 0;
    for (uint32_t row = 0; row < from->segment->rows; row++) left += !gone[row];
    if (left && !slot_take(w, &slot, e)) return NULL;
    struct rewrite *x = mem_zero(1, sizeof *x);
    begin(&x->r, s, w, &from, 1);
    x->slot = left ? slot : 0;
    if (!left) return x;
    x->r.gone = gone;
    x->r.id.number = w->next_segment++;
    x->r.id.version = 1;
    x->r.maps[0] = mem_alloc(from->segment->rows * sizeof *x->r.maps[0]);
    bool ok = write_rest(x, e) && open_into(&x->r, slot, true, &x->made, e);
    x->r.gone = NULL;
    keep_little(&x->r);
    if (ok) return x;
    x->made.number = x->r.id.number;
    rewrite_free(x);
    err_wrap(e, "writing segment %llu without what is erased", (unsigned long long)from->segment->number);
    return NULL;
}

const struct sealed *rewrite_from(const struct rewrite *x) { return x->r.from[0]; }

void rewrite_enter(const struct rewrite *x) {
    struct manifest_segment removed = name_of(x->r.from[0]);
    checkpoint_segments(x->r.s->checkpoint, x->r.w->number, &removed, 1, &x->made, x->made.number != 0,
                        x->r.w->sealed_through);
}

/* A chunk may depend on rows that are in the segment until its latest time; that may have been an erased row's. */
static void end_earlier(const struct view *v, int64_t max_time_us) {
    for (size_t i = 0; i < v->chunk_count; i++)
        if (v->chunks[i]->inherits_us != INT64_MAX && v->chunks[i]->inherits_us > max_time_us)
            v->chunks[i]->inherits_us = max_time_us;
}

void rewrite_publish(struct rewrite *x, struct view *v) {
    struct sealed *from = x->r.from[0];
    view_remove(v, from);
    x->published = true;
    from->dropped = !x->r.into;
    if (!x->r.into) return;
    end_earlier(v, x->r.into->segment->max_time_us);
    from->map = x->r.maps[0];
    from->into = x->r.into;
    carry(x->r.w, from, &x->r.folded[0]);
    view_add(v, x->r.into);
}

void rewrite_free(struct rewrite *x) {
    if (!x->published) {
        discard_into(&x->r, x->slot, true);
        if (x->made.number) slot_give(x->r.w, x->slot);
        free(x->r.maps[0]);
    }
    arena_free(&x->r.arena);
    free(x);
}
