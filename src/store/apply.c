/* What a durable record changes. The writer applies records in order; replay does the same, so everything here is a
 * function of what is there and the record alone.
 *
 * An id may have rows in several parts: chunks, and segments. Each part holds the id's whole history, so any one tells
 * its current values; a write goes to all. At replay a part may be ahead of the record (a segment that was folded
 * since, a chunk whose id took its history from one): such a part skips it by its sequence number. */
#include "base/check.h"
#include "store/internal.h"

struct applying {
    struct store *store;
    struct workspace *w;
    struct view *now;
    uint64_t seq;
    int64_t time_us;
    struct str payload;
    const struct resolved *r;
    /* Chunks of the view that the request was resolved in which segments have taken the place of since: what the
     * resolver could not find in segments yet. */
    const struct chunk **since;
    size_t since_count;
    struct ident **idents; /* an inference: its id in each chunk of the newest view */
    struct arena scratch;
};

static struct target chunk_target(const struct chunk *c, uint32_t row) {
    uint32_t to = c->map[row];
    return (struct target){.sealed = c->into[(to & CHUNK_APART) != 0], .row = to & ~CHUNK_APART};
}

/* Where a row is now; false: it was dropped or erased. */
static bool follow(struct target *t) {
    while (t->sealed && t->sealed->into) {
        if (t->sealed->map) t->row = t->sealed->map[t->row];
        if (t->row == ROW_GONE) return false;
        t->sealed = t->sealed->into;
    }
    return t->sealed && !t->sealed->dropped;
}

/* ---- metadata ---- */

/* What overlays say of a cell over what the segment says (`same`), from the part that was found to the one that stands
 * for it now. */
static bool is_current(struct target t, uint32_t field, const struct value *v) {
    for (;;) {
        const struct overlay_field *f = overlay_field(t.sealed->overlay, field);
        uint32_t code = f ? overlay_code(f, t.row) : OVERLAY_NONE;
        if (code == OVERLAY_REMOVED) t.same = v->type == VALUE_NONE;
        else if (code != OVERLAY_NONE) t.same = v->type != VALUE_NONE && value_eq(dict_value(&f->dict, code), v);
        if (!t.sealed->into) return t.same;
        if (t.sealed->map) t.row = t.sealed->map[t.row];
        t.sealed = t.sealed->into;
    }
}

struct written {
    bool known, changed;
};

static void write_target(const struct applying *a, uint32_t field, struct target t, struct written *out) {
    struct target now = t;
    if (!follow(&now)) return;
    out->known = true;
    if (a->seq <= now.sealed->segment->applied_through || is_current(t, field, &a->r->attach.value)) return;
    overlay_set(now.sealed->overlay, a->seq, a->time_us, a->r->attach.key_id, now.row, field, &a->r->attach.value);
    out->changed = true;
}

/* An id that a chunk held when the request was resolved: what the chunk said last is what the segment began with. */
static void write_sealed_since(const struct applying *a, uint32_t field, const struct chunk *c, const struct ident *i,
                               struct written *out) {
    const struct id_field *f = ident_field(i, field);
    uint32_t code = f ? field_newest(f)->code : 0;
    const struct value *v = &a->r->attach.value;
    bool same = code ? v->type != VALUE_NONE && value_eq(dict_value(&chunk_field(c, field)->dict, code), v)
                     : v->type == VALUE_NONE;
    bool started = false;
    for (uint32_t row; row_next(c, i, &row, &started);) {
        struct target t = chunk_target(c, row);
        t.same = same;
        write_target(a, field, t, out);
    }
}

static void attach_one(const struct applying *a, uint32_t field, size_t n, struct attach_counts *counts) {
    const struct attach *attach = &a->r->attach;
    const struct id_state *id = &a->r->ids[n];
    struct written out = {0};
    for (size_t k = 0; k < a->now->chunk_count; k++) {
        struct chunk *c = a->now->chunks[k];
        struct ident *i = id_table_find(c->ids, id->hash, attach->ids[n]);
        if (!i) continue;
        out.known = true;
        out.changed |= chunk_write(c, i, field, &attach->value, a->seq, a->time_us, attach->key_id);
    }
    for (size_t k = 0; k < a->since_count; k++) {
        const struct ident *i = chunk_find(a->since[k], id->hash, attach->ids[n]);
        if (i) write_sealed_since(a, field, a->since[k], i, &out);
    }
    for (uint32_t t = 0; t < id->target_count; t++) write_target(a, field, id->targets[t], &out);
    if (!out.known)
        out.changed = pending_set(a->w->pending, id->hash, attach->ids[n],
                                  &(struct pending_write){.seq = a->seq, .time_us = a->time_us, .key_id = attach->key_id,
                                                          .field = field, .value = attach->value},
                                  a->now->generation);
    (*(!out.changed ? &counts->unchanged : out.known ? &counts->applied : &counts->pending))++;
}

static void apply_attach(const struct applying *a, struct attach_counts *counts) {
    const struct attach *attach = &a->r->attach;
    if (attach->value.type == VALUE_NONE && fields_find(a->w->fields, attach->field) < 0) {
        counts->unchanged = (uint32_t)attach->id_count;
        return;
    }
    uint32_t field = fields_of(a->w->fields, attach->field);
    for (size_t n = 0; n < attach->id_count; n++) attach_one(a, field, n, counts);
}

/* ---- inferences ---- */

static struct str payload_of(const struct chunk *c, uint32_t row) {
    return chunk_block(c, row)->payload[row % BLOCK_ROWS];
}

/* A row with the id of an inference, and the same model. */
struct twin {
    struct chunk *chunk; /* or: */
    struct ident *ident;
    uint32_t row;
    struct target target;
};

/* The row of this index and kind, in any part. */
static bool find_twin(const struct applying *a, uint32_t index, bool partial, struct twin *out) {
    const struct id_state *id = &a->r->ids[0];
    struct inference key = a->r->inf;
    key.partial = partial;
    *out = (struct twin){0};
    for (size_t k = 0; k < a->now->chunk_count; k++) {
        if (!a->idents[k] || !chunk_row(a->now->chunks[k], a->idents[k], &key, index, &out->row)) continue;
        out->chunk = a->now->chunks[k];
        out->ident = a->idents[k];
        return true;
    }
    for (size_t k = 0; k < a->since_count; k++) {
        const struct ident *i = chunk_find(a->since[k], id->hash, key.id);
        if (!i || !chunk_row(a->since[k], i, &key, index, &out->row)) continue;
        out->target = chunk_target(a->since[k], out->row);
        out->target.same = str_eq(payload_of(a->since[k], out->row), a->payload);
        if (follow(&out->target)) return true;
    }
    for (uint32_t t = 0; t < id->target_count; t++) {
        out->target = id->targets[t];
        if (out->target.same_model && out->target.index == index && out->target.partial == partial &&
            follow(&out->target))
            return true;
    }
    return false;
}

static bool same_content(const struct applying *a, const struct twin *t) {
    if (!t->chunk) return t->target.same;
    return str_eq(payload_of(t->chunk, t->row), a->payload);
}

static void hide(const struct applying *a, const struct twin *t) {
    if (t->chunk)
        chunk_hide(t->chunk, t->ident, t->row);
    else if (a->seq > t->target.sealed->segment->applied_through)
        overlay_hide(t->target.sealed->overlay, a->seq, t->target.row);
}

/* The open chunk has something from a row of this time, and must not outlive what it is from by replay alone. */
static void depend(const struct applying *a, int64_t time_us) {
    struct chunk *open = a->now->chunks[0];
    if (time_us < open->inherits_us) open->inherits_us = time_us;
}

static int64_t row_time(const struct chunk *c, uint32_t row) { return chunk_block(c, row)->time_us[row % BLOCK_ROWS]; }

static void depend_on_twin(const struct applying *a, const struct twin *t) {
    if (!t->chunk)
        depend(a, t->target.sealed->segment->max_time_us);
    else if (t->chunk != a->now->chunks[0])
        depend(a, row_time(t->chunk, t->row));
}

/* ---- what an inference takes over from the rows or the metadata that its id has already ---- */

static void inherit(const struct applying *a, struct ident *i, struct str field, const struct change *c) {
    struct chunk *open = a->now->chunks[0];
    chunk_write(open, i, fields_of(a->w->fields, field), &c->value, c->seq, c->time_us, c->key_id);
}

static void inherit_overlays(const struct applying *a, struct ident *i, struct target t) {
    for (;;) {
        const struct overlay *o = t.sealed->overlay;
        for (uint32_t n = 0, count = overlay_count(o); n < count; n++) {
            const struct overlay_entry *e = overlay_entry(o, n);
            if (e->row != t.row) continue;
            struct change c = {.seq = e->seq, .time_us = e->time_us, .key_id = e->key_id};
            if (e->code) c.value = *dict_value(&overlay_field(o, e->field)->dict, e->code);
            inherit(a, i, a->w->fields->names[e->field], &c);
        }
        if (!t.sealed->into) return;
        if (t.sealed->map) t.row = t.sealed->map[t.row];
        if (t.row == ROW_GONE) return;
        t.sealed = t.sealed->into;
    }
}

/* Chains go from the newest to the oldest; they are written the other way. */
static void inherit_chunk(struct applying *a, struct ident *i, const struct chunk *c, const struct ident *from) {
    for (const struct id_field *f = ident_fields(from); f; f = f->next) {
        const struct field *field = chunk_field(c, f->field);
        size_t n = 0;
        for (const struct history *h = field_newest(f); h; h = h->older) n++;
        const struct history **writes = arena_alloc(&a->scratch, n * sizeof *writes);
        size_t at = n;
        for (const struct history *h = field_newest(f); h; h = h->older) writes[--at] = h;
        for (; at < n; at++) {
            struct value v = writes[at]->code ? *dict_value(&field->dict, writes[at]->code) : (struct value){0};
            chunk_write(a->now->chunks[0], i, f->field, &v, writes[at]->seq, writes[at]->time_us, writes[at]->key_id);
        }
    }
}

static void inherit_pending(struct applying *a, struct ident *i, const struct pending_write *newest) {
    size_t n = 0;
    for (const struct pending_write *w = newest; w; w = w->older) n++;
    const struct pending_write **writes = arena_alloc(&a->scratch, n * sizeof *writes);
    size_t at = n;
    for (const struct pending_write *w = newest; w; w = w->older) writes[--at] = w;
    for (; at < n; at++)
        chunk_write(a->now->chunks[0], i, writes[at]->field, &writes[at]->value, writes[at]->seq, writes[at]->time_us,
                    writes[at]->key_id);
}

static void inherit_sealed(const struct applying *a, struct ident *i) {
    const struct id_state *id = &a->r->ids[0];
    bool stands = false;
    for (uint32_t t = 0; t < id->target_count; t++) {
        struct target now = id->targets[t];
        if (!follow(&now)) continue;
        stands = true;
        depend(a, now.sealed->segment->max_time_us);
    }
    if (!stands) return; /* dropped since, and what it said with it */
    for (uint32_t k = 0; k < id->history_count; k++) inherit(a, i, id->history[k].field, &id->history[k]);
    for (uint32_t t = 0; t < id->target_count; t++) inherit_overlays(a, i, id->targets[t]);
}

/* From a chunk that became segments after the request was resolved: by the first of the id's rows that still stands. */
static void inherit_since(struct applying *a, struct ident *i, const struct chunk *c, const struct ident *from) {
    bool started = false;
    for (uint32_t row; row_next(c, from, &row, &started);) {
        struct target first = chunk_target(c, row), now = first;
        if (!follow(&now)) continue;
        inherit_chunk(a, i, c, from);
        inherit_overlays(a, i, first);
        depend(a, now.sealed->segment->max_time_us);
        return;
    }
}

/* The id's entry in the open chunk. A new one takes over all that is known of the id; where several parts tell, each
 * tells the same, and what stands already is not written again. */
static struct ident *open_ident(struct applying *a) {
    struct chunk *open = a->now->chunks[0];
    const struct id_state *id = &a->r->ids[0];
    struct str text = a->r->inf.id;
    if (a->idents[0]) return a->idents[0];
    struct ident *i = chunk_ident(open, id->hash, text);
    inherit_sealed(a, i);
    for (size_t k = 0; k < a->since_count; k++) {
        const struct ident *from = chunk_find(a->since[k], id->hash, text);
        if (from) inherit_since(a, i, a->since[k], from);
    }
    for (size_t k = 1; k < a->now->chunk_count; k++)
        if (a->idents[k]) {
            inherit_chunk(a, i, a->now->chunks[k], a->idents[k]);
            depend(a, row_time(a->now->chunks[k], a->idents[k]->first_row - 1));
        }
    struct pending_id *waiting = pending_find(a->w->pending, id->hash, text);
    if (waiting && pending_live(a->w->pending, waiting, a->time_us)) inherit_pending(a, i, pending_newest(waiting));
    return i;
}

/* Hides partial rows, or tells whether this one is hidden. */
static bool settle_partial(const struct applying *a, uint32_t index) {
    struct twin twin;
    if (!find_twin(a, index, !a->r->inf.partial, &twin)) return false;
    if (!a->r->inf.partial) {
        hide(a, &twin);
        return false;
    }
    depend_on_twin(a, &twin);
    return true;
}

static void find_idents(struct applying *a) {
    for (size_t k = 0; k < a->now->chunk_count; k++)
        a->idents[k] = id_table_find(a->now->chunks[k]->ids, a->r->ids[0].hash, a->r->inf.id);
}

/* A full chunk makes place for another before it is looked where the inference stands. */
static void open_chunk(struct applying *a) {
    const struct chunk *open = a->now->chunks[0];
    bool large = chunk_rows(open) && open->heap.total > CHUNK_BYTES && a->now->chunk_count <= FROZEN_MOST;
    if (large || chunk_rows(open) == open->capacity) freeze(a->store, a->w);
    a->now = a->w->view;
    find_idents(a);
}

static void apply_inference(struct applying *a, struct write_result *result) {
    const struct inference *inf = &a->r->inf;
    struct twin twin;
    uint32_t index = inf->index;
    open_chunk(a);
    for (; find_twin(a, index, inf->partial, &twin); index++) {
        if (inf->assign_index) {
            depend_on_twin(a, &twin);
            continue;
        }
        bool same = same_content(a, &twin);
        atomic_fetch_add_explicit(same ? &a->w->unchanged : &a->w->conflicts, 1, memory_order_relaxed);
        *result = (struct write_result){.outcome = same ? OUTCOME_UNCHANGED : OUTCOME_CONFLICT, .index = index};
        return;
    }
    bool hidden = settle_partial(a, index);
    struct ident *i = open_ident(a);
    chunk_add(a->now->chunks[0], i, a->seq, a->time_us, a->payload, inf, index, hidden);
    /* It stands in the chunk; only now may it leave what waits. */
    struct pending_id *waiting = pending_find(a->w->pending, a->r->ids[0].hash, inf->id);
    if (waiting) pending_remove(a->w->pending, waiting, a->now->generation);
    *result = (struct write_result){.outcome = OUTCOME_CREATED, .index = index};
}

/* The index that a row of a segment has. One that was assigned is asked of the row: others may have come and gone since. */
static bool index_of_row(const struct applying *a, uint32_t *index) {
    const struct id_state *id = &a->r->ids[0];
    *index = a->r->inf.index;
    for (uint32_t t = 0; t < id->target_count && a->r->inf.assign_index; t++) {
        if (id->targets[t].seq != a->seq) continue;
        *index = id->targets[t].index;
        return true;
    }
    return !a->r->inf.assign_index;
}

/* At replay: the row is in a segment, or gone with it. What it hid may be in a segment that is not folded. */
static void hide_again(struct applying *a) {
    struct twin twin;
    uint32_t index;
    if (a->r->inf.partial || !index_of_row(a, &index)) return;
    find_idents(a);
    if (find_twin(a, index, true, &twin)) hide(a, &twin);
}

static void measure(struct store *s, struct chunk *open) {
    size_t bytes = open->heap.total + open->column_bytes + id_table_bytes(open->ids);
    s->chunk_bytes += bytes - chunk_bytes(open);
    atomic_store_explicit(&open->bytes, bytes, memory_order_relaxed);
}

void apply_record(struct store *s, struct workspace *w, const struct view *seen, const struct record_header *h,
                  struct str payload, const struct resolved *r, struct write_result *result) {
    struct applying a = {
        .store = s, .w = w, .now = w->view, .seq = h->seq, .time_us = h->time_us, .payload = payload, .r = r,
        .since = w->since, .idents = w->idents};
    for (size_t k = 0; seen && seen != w->view && k < seen->chunk_count; k++)
        if (seen->chunks[k]->map) a.since[a.since_count++] = seen->chunks[k];
    *result = (struct write_result){0};
    if (r->type == RECORD_ATTACH)
        apply_attach(&a, &result->attach);
    else if (h->seq > w->sealed_through)
        apply_inference(&a, result);
    else
        hide_again(&a);
    arena_free(&a.scratch);
    measure(s, w->view->chunks[0]);
    if (h->seq > w->seq) atomic_store_explicit(&w->seq, h->seq, memory_order_release);
}
