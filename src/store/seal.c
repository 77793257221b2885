/* From chunks to segments, and segments at start. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/io.h"
#include "base/log.h"
#include "store/describe.h"
#include "store/internal.h"

/* ---- segments, opened ---- */

/* The first row of each id, as the directory wants it. Under a guard. */
static size_t first_rows(const struct segment *s, uint64_t *hashes, uint32_t *rows) {
    const uint32_t *same = SEG(s, SAME_ID);
    const uint64_t *hash = SEG(s, ID_HASH);
    uint8_t *follows = (uint8_t *)memset(rows + s->rows, 0, s->rows); /* the caller's room behind the rows */
    size_t n = 0;
    for (uint32_t row = 0; row < s->rows; row++) {
        if (same[row]) follows[same[row] - 1] = 1;
        if (follows[row]) continue;
        hashes[n] = hash[row];
        rows[n++] = row;
    }
    return n;
}

static bool any_partial(const struct segment *s) {
    const uint8_t *flags = SEG(s, FLAGS);
    for (uint32_t row = 0; row < s->rows; row++)
        if (flags[row] & ROW_PARTIAL) return true;
    return false;
}

/* Every field that a segment knows has its number before anybody writes to it: what is journalled is applied, so the
 * limit cannot be met later. */
bool fields_fit(struct workspace *w, struct str name, struct err *e) {
    if (!field_is_own(name) && fields_find(w->fields, name) < 0 && fields_named(w->fields) == w->fields->most)
        return err_set(e, ERR_NO_SPACE, "workspace %u holds more metadata fields than max_fields (%u)", w->number,
                       w->fields->most);
    fields_of(w->fields, name);
    return true;
}

/* The journal goes on after the newest record; a segment that knows of a later one tells that the journal lost files. */
static void note_known(struct store *s, const struct sealed *x) {
    if (x->segment->applied_through > s->known_seq) s->known_seq = x->segment->applied_through;
}

static bool index_fields(struct workspace *w, const struct segment *s, struct err *e) {
    struct guard g;
    if (!guard_enter(&g)) return true; /* what cannot be read is found again by the ids */
    bool ok = true;
    for (uint32_t f = 0; ok && f < s->field_count; f++) ok = fields_fit(w, segment_field_name(s, f), e);
    const struct segment_dict *more = segment_history_fields(s);
    for (uint32_t f = 1; ok && f <= more->count; f++) ok = fields_fit(w, segment_dict_text(more, f), e);
    guard_leave(&g);
    return ok;
}

static bool index_ids(struct workspace *w, const struct segment *s, uint32_t slot, uint64_t *hashes, uint32_t *rows,
                      struct err *e) {
    struct guard g;
    if (!guard_enter(&g)) {
        *e = g.e;
        return false;
    }
    size_t n = first_rows(s, hashes, rows);
    if (any_partial(s)) w->partials = true;
    guard_leave(&g);
    directory_add(w->directory, slot, hashes, rows, n);
    return true;
}

bool segment_index(struct workspace *w, const struct segment *s, uint32_t slot, struct err *e) {
    uint64_t *hashes = mem_alloc(s->rows * sizeof *hashes + 8);
    uint32_t *rows = mem_alloc(s->rows * (sizeof *rows + 1) + 8);
    bool ok = index_ids(w, s, slot, hashes, rows, e);
    free(hashes);
    free(rows);
    return ok;
}

bool slot_take(struct workspace *w, uint32_t *slot, struct err *e) {
    for (uint32_t n = 0; n < DIRECTORY_SLOTS; n++) {
        if (w->slots_used[n / 8] >> n % 8 & 1) continue;
        w->slots_used[n / 8] |= (uint8_t)(1u << n % 8);
        *slot = n;
        return true;
    }
    return err_set(e, ERR_NO_SPACE, "workspace %u has %d segments, which is the most", w->number, DIRECTORY_SLOTS);
}

void slot_give(struct workspace *w, uint32_t slot) { w->slots_used[slot / 8] &= (uint8_t)~(1u << slot % 8); }

struct sealed *sealed_open(struct store *s, struct workspace *w, struct manifest_segment m, uint32_t slot,
                           struct err *e) {
    char name[64], file[80], path[4096];
    manifest_segment_name(m.number, m.version, name);
    snprintf(file, sizeof file, "segments/%s", name);
    manifest_path(s->dir, w->number, file, path);
    struct segment *segment = segment_open(path, s->o.id, w->number, e);
    if (!segment) return NULL;
    struct sealed *out = sealed_new(segment, slot, s->o.max_fields + OWN_FIELDS);
    if (m.rows) out->received_us = m.max_received_us;
    out->path = mem_alloc(strlen(path) + 1);
    memcpy(out->path, path, strlen(path) + 1);
    return out;
}

bool sealed_describe(struct sealed *s, struct manifest_segment *out, struct err *e) {
    bool ok = segment_describe(s->segment, out, e);
    if (ok) s->received_us = out->max_received_us;
    return ok;
}

/* What stands for a segment that cannot be opened: rows in no answer, and every answer that might have had them says
 * so. If the manifest does not know their times, that is every one. */
static struct sealed *sealed_lost(struct store *s, struct manifest_segment m, uint32_t slot) {
    struct segment *segment = mem_zero(1, sizeof *segment);
    *segment = (struct segment){.number = m.number,
                                .version = m.version,
                                .rows = m.rows,
                                .min_time_us = m.rows ? m.min_time_us : INT64_MIN,
                                .max_time_us = m.rows ? m.max_time_us : INT64_MAX};
    struct sealed *out = sealed_new(segment, slot, s->o.max_fields + OWN_FIELDS);
    if (m.rows) out->received_us = m.max_received_us;
    return out;
}

static void set_aside(const struct workspace *w, struct sealed *x, const struct err *why) {
    char quoted[LOG_QUOTE];
    x->set_aside = true;
    log_event(LOG_ERROR, "segment_set_aside", "workspace=%u segment=%llu error=%s", w->number,
              (unsigned long long)x->segment->number, log_quote(quoted, str_of(why->msg)));
}

static struct sealed *load_segment(struct store *s, struct workspace *w, struct manifest_segment m, uint32_t slot) {
    struct err why;
    struct sealed *x = sealed_open(s, w, m, slot, &why);
    if (x) {
        segment_will_index(x->segment);
        return x;
    }
    x = sealed_lost(s, m, slot);
    set_aside(w, x, &why);
    return x;
}

bool workspace_load(struct store *s, const struct manifest_workspace *m, struct err *e) {
    struct workspace *w = workspace_of(s, m->number, true);
    if (!w) return err_set(e, ERR_DAMAGED, "the manifest names workspace %u", m->number);
    if (m->deleted) {
        workspace_hide(w);
        return true;
    }
    uint32_t slot;
    w->sealed_through = m->sealed_through;
    w->next_segment = m->next_segment;
    struct view *v = view_draft(w);
    struct sealed **sealed = mem_alloc((m->segment_count + 1) * sizeof *sealed);
    size_t rows = 0, opened = 0;
    bool ok = true;
    for (; opened < m->segment_count && (ok = slot_take(w, &slot, e)); opened++) {
        sealed[opened] = load_segment(s, w, m->segments[opened], slot);
        rows += sealed[opened]->segment->rows;
    }
    directory_reserve(w->directory, rows);
    for (size_t i = 0; i < opened; i++) {
        struct err why;
        struct sealed *x = sealed[i];
        if (!x->set_aside && !segment_index(w, x->segment, x->slot, &why)) set_aside(w, x, &why);
        if (x->set_aside) w->aside = true;
        view_add(v, x);
        note_known(s, x);
        ok = ok && (x->set_aside || index_fields(w, x->segment, e));
    }
    free(sealed);
    view_publish(w, v);
    view_reap(w);
    return ok;
}

/* ---- sealing ---- */

enum { NEIGHBOURS = 64 };
#define LATE_US (6 * 3600 * 1000000LL)

struct order {
    int64_t time_us;
    uint64_t seq;
    uint32_t row;
};

static int by_time(const void *x, const void *y) {
    const struct order *a = x, *b = y;
    if (a->time_us != b->time_us) return a->time_us < b->time_us ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int by_number(const void *x, const void *y) {
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

/* Rows that would widen a segment's time range: far from those that arrived with them, and far from their receipt. What
 * is loaded in bulk long after is far from its receipt and near its neighbours; what a quiet line sends is far from its
 * neighbours and near its receipt. */
static void mark_apart(const struct chunk *c, uint32_t rows, uint8_t *apart) {
    int64_t times[NEIGHBOURS];
    for (uint32_t from = 0; from < rows; from += NEIGHBOURS) {
        uint32_t count = rows - from < NEIGHBOURS ? rows - from : NEIGHBOURS;
        const struct block *b = chunk_block(c, from);
        for (uint32_t i = 0; i < count; i++) times[i] = b->time_us[(from + i) % BLOCK_ROWS];
        qsort(times, count, sizeof *times, by_number);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = (from + i) % BLOCK_ROWS;
            int64_t time = b->time_us[at], off = time - times[count / 2], age = b->received_us[at] - time;
            apart[from + i] = (off > LATE_US || off < -LATE_US) && (age > LATE_US || age < -LATE_US);
        }
    }
}

static int by_seq(const void *x, const void *y) {
    const struct change *a = x, *b = y;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* What an id had at some moment: its values, and its writes in order. */
static void load_metadata(const struct chunk *c, const struct fields *names, const struct ident *i, uint64_t seq,
                          struct arena *a, struct segment_row *out) {
    size_t fields = 0, writes = 0, at = 0, value = 0;
    for (const struct id_field *f = ident_fields(i); f; f = f->next, fields++)
        for (const struct history *h = history_at(field_newest(f), seq); h; h = h->older) writes++;
    if (fields == 0) return;
    struct entry *metadata = arena_alloc(a, fields * sizeof *metadata);
    struct change *history = arena_alloc(a, writes * sizeof *history);
    for (const struct id_field *f = ident_fields(i); f; f = f->next) {
        const struct history *h = history_at(field_newest(f), seq);
        const struct dict *d = &chunk_field(c, f->field)->dict;
        struct str name = names->names[f->field];
        if (h && h->code) metadata[value++] = (struct entry){name, *dict_value(d, h->code)};
        for (; h && at < writes; h = h->older)
            history[at++] = (struct change){.field = name,
                                            .value = h->code ? *dict_value(d, h->code) : (struct value){0},
                                            .seq = h->seq,
                                            .time_us = h->time_us,
                                            .key_id = h->key_id};
    }
    if (at > 1) qsort(history, at, sizeof *history, by_seq);
    out->metadata = metadata;
    out->metadata_count = value;
    out->history = history;
    out->history_count = at;
}

struct sealing {
    struct store *s;
    struct workspace *w;
    struct chunk *chunk;
    uint64_t seq; /* the chunk as it was then */
    uint32_t rows;
    struct order *order;
    uint8_t *apart, *hidden; /* by row of the chunk */
    uint32_t *map;
    struct manifest_segment made[2];
    struct sealed *into[2];
};

static void add_row(struct sealing *z, struct segment_builder *b, uint32_t row, struct arena *a) {
    const struct block *block = chunk_block(z->chunk, row);
    uint32_t at = row % BLOCK_ROWS;
    struct segment_row r = {.received_us = block->received_us[at],
                            .seq = block->seq[at],
                            .content = content_hash(block->payload[at]),
                            .flags = row_flags(block, at)};
    CHECK(inference_decode(block->payload[at], a, &r.inf));
    r.inf.time_us = block->time_us[at];
    r.inf.index = block->index[at];
    z->hidden[row] = r.flags & ROW_HIDDEN;
    if (r.flags & ROW_PARTIAL) z->w->partials = true;
    load_metadata(z->chunk, z->w->fields, block->ident[at], z->seq, a, &r);
    segment_builder_add(b, &r);
}

/* Writes the rows that belong together, opens what was written. True too when there are none. */
static bool write_half(struct sealing *z, bool apart, const char *folder, struct err *e) {
    struct segment_identity id = {.workspace = z->w->number, .applied_through = z->seq, .apart = apart, .version = 1};
    struct segment_builder *b = NULL;
    struct arena arena = {0};
    char name[64];
    uint32_t n = 0, slot;
    memcpy(id.store_id, z->s->o.id, sizeof id.store_id);
    for (uint32_t i = 0; i < z->rows; i++) {
        uint32_t row = z->order[i].row;
        if (z->apart[row] != apart) continue;
        if (!b) {
            id.number = z->w->next_segment++;
            b = segment_builder_new(&id, z->w->fields->names, fields_count(z->w->fields));
        }
        add_row(z, b, row, &arena);
        arena_free(&arena);
        z->map[row] = n++ | (apart ? CHUNK_APART : 0);
    }
    if (!b) return true;
    manifest_segment_name(id.number, id.version, name);
    if (!segment_builder_write(b, folder, name, e)) return false;
    z->made[apart] = (struct manifest_segment){.number = id.number, .version = id.version};
    if (!slot_take(z->w, &slot, e)) return false;
    z->into[apart] = sealed_open(z->s, z->w, z->made[apart], slot, e);
    if (z->into[apart] && sealed_describe(z->into[apart], &z->made[apart], e) &&
        segment_index(z->w, z->into[apart]->segment, slot, e))
        return true;
    slot_give(z->w, slot);
    return false;
}

/* The writer: what was attached or hidden since goes over the segments. */
static void carry_touched(struct sealing *z) {
    for (uint32_t n = 0; n < z->chunk->touched_count; n++) {
        const struct ident *i = z->chunk->touched[n];
        struct arena arena = {0};
        struct segment_row now = {0};
        load_metadata(z->chunk, z->w->fields, i, UINT64_MAX, &arena, &now);
        bool started = false;
        for (uint32_t row; row_next(z->chunk, i, &row, &started);) {
            uint32_t to = z->map[row], at = to & ~CHUNK_APART;
            struct overlay *o = z->into[(to & CHUNK_APART) != 0]->overlay;
            for (size_t k = 0; k < now.history_count; k++) {
                const struct change *c = &now.history[k];
                if (c->seq > z->seq)
                    overlay_set(o, c->seq, c->time_us, c->key_id, at, fields_of(z->w->fields, c->field), &c->value);
            }
            bool hidden = row_flags(chunk_block(z->chunk, row), row % BLOCK_ROWS) & ROW_HIDDEN;
            if (hidden && !z->hidden[row]) overlay_hide(o, z->w->seq, at);
        }
        arena_free(&arena);
    }
}

static void publish(void *ctx) {
    struct sealing *z = ctx;
    carry_touched(z);
    struct view *v = view_draft(z->w);
    CHECK(v->chunks[v->chunk_count - 1] == z->chunk);
    v->chunk_count--;
    for (int i = 0; i < 2; i++)
        if (z->into[i]) view_add(v, z->into[i]);
    z->s->chunk_bytes -= chunk_bytes(z->chunk);
    z->chunk->into[0] = z->into[0];
    z->chunk->into[1] = z->into[1];
    z->chunk->map = z->map;
    z->map = NULL;
    view_publish(z->w, v);
    if (z->w->blind_before < z->chunk->opened_generation) z->w->blind_before = z->chunk->opened_generation;
}

static bool seal(struct sealing *z, struct err *e) {
    char folder[4096];
    for (uint32_t row = 0; row < z->rows; row++) {
        const struct block *b = chunk_block(z->chunk, row);
        z->order[row] = (struct order){b->time_us[row % BLOCK_ROWS], b->seq[row % BLOCK_ROWS], row};
    }
    qsort(z->order, z->rows, sizeof *z->order, by_time);
    mark_apart(z->chunk, z->rows, z->apart);
    checkpoint_begin(z->s->checkpoint);
    bool ok = checkpoint_segment_folder(z->s->checkpoint, z->w->number, folder, e) &&
              write_half(z, false, folder, e) && write_half(z, true, folder, e);
    if (!ok) {
        checkpoint_abort(z->s->checkpoint);
        return false;
    }
    struct manifest_segment added[2];
    size_t count = 0;
    for (int i = 0; i < 2; i++)
        if (z->into[i]) added[count++] = z->made[i];
    checkpoint_segments(z->s->checkpoint, z->w->number, NULL, 0, added, count, z->chunk->last_seq);
    if (checkpoint_commit(z->s->checkpoint, z->s->journal, e) == COMMIT_FAILED) return false;
    z->w->sealed_through = z->chunk->last_seq;
    on_writer(z->s, publish, z);
    return true;
}

bool seal_oldest(struct store *s, struct workspace *w, bool *any, struct err *e) {
    struct view *v = workspace_view(w);
    *any = v && v->chunk_count > 1;
    if (!*any) {
        view_release(v);
        return true;
    }
    struct sealing z = {.s = s, .w = w, .chunk = v->chunks[v->chunk_count - 1], .seq = w->seq};
    z.rows = chunk_rows(z.chunk);
    z.order = mem_alloc(z.rows * sizeof *z.order);
    z.map = mem_alloc(z.rows * sizeof *z.map);
    z.apart = mem_zero(z.rows, 1);
    z.hidden = mem_zero(z.rows, 1);
    bool ok = seal(&z, e);
    for (int i = 0; i < 2 && !ok; i++)
        if (z.into[i]) {
            directory_forget(w->directory, &z.into[i]->slot, 1);
            slot_give(w, z.into[i]->slot);
            io_unlink(z.into[i]->path); /* nobody's: the manifest does not name it */
            sealed_free(z.into[i]);
        }
    free(z.order);
    free(z.map);
    free(z.apart);
    free(z.hidden);
    view_release(v);
    view_reap(w);
    w->seal_trouble = ok ? ERR_NONE : (int)e->code;
    return ok || err_wrap(e, "sealing");
}
