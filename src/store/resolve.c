/* What segments know of a request's ids, found out before the writer takes it: segments are mapped files, and the
 * writer never waits for a disk. What is found holds for the view it was found in; the request keeps that view, and the
 * writer follows what took the place of its parts since (apply.c). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/log.h"
#include "store/internal.h"

/* ---- one record ---- */

static size_t id_count(const struct resolved *r) { return r->type == RECORD_ATTACH ? r->attach.id_count : 1; }
static struct str id_at(const struct resolved *r, size_t i) {
    return r->type == RECORD_ATTACH ? r->attach.ids[i] : r->inf.id;
}

bool resolve_decode(const struct store *s, const struct view *v, struct arena *a, const struct record_header *h,
                    struct str payload, struct resolved *out) {
    out->type = h->type;
    if (h->type == RECORD_INFERENCE ? !inference_decode(payload, a, &out->inf)
                                    : h->type != RECORD_ATTACH || !attach_decode(payload, a, &out->attach))
        return false;
    size_t count = id_count(out);
    out->ids = arena_alloc(a, count * sizeof *out->ids);
    for (size_t i = 0; i < count; i++) {
        out->ids[i].hash = id_hash(s->o.id, id_at(out, i));
        if (!v) continue;
        directory_prefetch(v->directory, out->ids[i].hash);
        for (size_t c = 0; c < v->chunk_count; c++) id_table_prefetch(v->chunks[c]->ids, out->ids[i].hash);
    }
    return true;
}

/* Whether the segment's column, without what lies over it, says this of a row. */
static bool base_is(const struct segment *s, struct str name, const struct value *v, uint32_t row) {
    for (uint32_t f = 0; f < s->field_count; f++) {
        if (!str_eq(segment_field_name(s, f), name)) continue;
        struct value there = segment_value(segment_field(s, f), row);
        return there.type == v->type && (v->type == VALUE_NONE || value_eq(&there, v));
    }
    return v->type == VALUE_NONE;
}

static struct target inference_target(const struct resolved *r, struct str payload, struct sealed *s, uint32_t row) {
    const struct segment *g = s->segment;
    uint32_t model = SEG(g, MODEL)[row];
    struct str text = model == CODE_NULL ? STR("") : segment_dict_text(segment_dict(g, SEG_MODEL), model);
    struct target t = {.sealed = s, .row = row, .index = SEG(g, INDEX)[row], .seq = SEG(g, SEQ)[row]};
    t.same_model = str_eq(text, r->inf.model_id);
    t.partial = SEG(g, FLAGS)[row] & ROW_PARTIAL;
    if (t.same_model) t.same = SEG(g, CONTENT)[row] == content_hash(payload);
    return t;
}

/* All rows of one id: found names the first in each segment. */
static void find_id(const struct resolved *r, struct str payload, const struct sealed_row *found, size_t count,
                    struct arena *a, struct id_state *out) {
    uint32_t rows = 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t row = found[i].row + 1; row; row = SEG(found[i].sealed->segment, SAME_ID)[row - 1]) rows++;
    struct target *targets = arena_alloc(a, rows * sizeof *targets);
    uint32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct sealed *s = found[i].sealed;
        bool same = r->type == RECORD_ATTACH && base_is(s->segment, r->attach.field, &r->attach.value, found[i].row);
        for (uint32_t row = found[i].row + 1; row; row = SEG(s->segment, SAME_ID)[row - 1])
            targets[n++] = r->type == RECORD_ATTACH ? (struct target){.sealed = s, .row = row - 1, .same = same}
                                                    : inference_target(r, payload, s, row - 1);
    }
    if (r->type == RECORD_INFERENCE && count) {
        struct change *history;
        size_t writes = segment_history(found[0].sealed->segment, found[0].row, a, &history);
        /* Its text lies in the mapping, which the writer does not touch. */
        for (size_t k = 0; k < writes; k++) {
            history[k].field.p = arena_copy(a, history[k].field.p, history[k].field.n);
            if (history[k].value.type == VALUE_STRING)
                history[k].value.text.p = arena_copy(a, history[k].value.text.p, history[k].value.text.n);
        }
        out->history = history;
        out->history_count = (uint32_t)writes;
    }
    out->targets = targets;
    out->target_count = n;
}

/* False: a segment could not be read, and is left out from now on. */
static bool find_guarded(const struct view *v, const struct resolved *r, size_t i, struct str payload,
                         struct sealed_row *found, struct arena *a) {
    struct guard g;
    if (!guard_enter(&g)) {
        view_set_aside(v, g.what, &g.e);
        return false;
    }
    size_t n = view_find(v, r->ids[i].hash, id_at(r, i), found);
    if (n) find_id(r, payload, found, n, a, &r->ids[i]);
    guard_leave(&g);
    return true;
}

void resolve_find(const struct view *v, struct arena *a, struct str payload, struct resolved *r) {
    size_t count = id_count(r);
    if (!v || v->sealed_count == 0) return;
    struct sealed_row few[256], *found = few;
    if (v->sealed_count > sizeof few / sizeof *few) found = arena_alloc(a, v->sealed_count * sizeof *found);
    for (size_t i = 0; i < count; i++)
        while (!find_guarded(v, r, i, payload, found, a)) continue;
}

/* ---- requests ---- */

static int by_hash(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

/* Rows that an id has in chunks, as far as the limit. */
static uint32_t chunk_rows_of(const struct view *v, uint64_t hash, struct str id, uint32_t most) {
    uint32_t n = 0;
    for (size_t c = 0; v && c < v->chunk_count; c++) {
        const struct ident *i = chunk_find(v->chunks[c], hash, id);
        bool started = false;
        for (uint32_t row; i && n < most && row_next(v->chunks[c], i, &row, &started);) n++;
    }
    return n;
}

/* Whether the row is there already, so that adding it would make none. */
static bool stands(const struct view *v, const struct resolved *r) {
    if (!v || r->inf.assign_index) return false;
    for (size_t c = 0; c < v->chunk_count; c++) {
        const struct ident *ident = chunk_find(v->chunks[c], r->ids[0].hash, r->inf.id);
        uint32_t row;
        if (ident && chunk_row(v->chunks[c], ident, &r->inf, r->inf.index, &row)) return true;
    }
    for (uint32_t t = 0; t < r->ids[0].target_count; t++) {
        const struct target *x = &r->ids[0].targets[t];
        if (x->same_model && x->index == r->inf.index && x->partial == r->inf.partial) return true;
    }
    return false;
}

/* How many rows of the id the request would add. */
static uint32_t rows_added(const struct store_write *w, uint64_t hash) {
    uint32_t n = 0;
    for (size_t i = 0; i < w->records; i++) {
        const struct resolved *r = &w->resolved[i];
        n += r->type == RECORD_INFERENCE && r->ids[0].hash == hash && !stands(w->view, r);
    }
    return n;
}

/* How often a hash is in a sorted list. */
static uint32_t times_in(const uint64_t *hashes, size_t n, uint64_t hash) {
    const uint64_t *at = bsearch(&hash, hashes, n, sizeof *hashes, by_hash), *end = at + 1;
    while (at > hashes && at[-1] == hash) at--;
    while (end < hashes + n && *end == hash) end++;
    return (uint32_t)(end - at);
}

/* Each further row under an id costs every write to that id; past the limit a request is refused. */
static void check_per_id(const struct store *s, struct store_write *w) {
    uint64_t *hashes = arena_alloc(&w->arena, w->records * sizeof *hashes);
    size_t n = 0;
    uint32_t most = s->o.max_per_id;
    for (size_t i = 0; i < w->records; i++)
        if (w->resolved[i].type == RECORD_INFERENCE) hashes[n++] = w->resolved[i].ids[0].hash;
    if (n > 1) qsort(hashes, n, sizeof *hashes, by_hash);
    for (size_t i = 0; i < w->records; i++) {
        const struct resolved *r = &w->resolved[i];
        if (r->type != RECORD_INFERENCE) continue;
        uint64_t hash = r->ids[0].hash;
        uint32_t more = n > 1 ? times_in(hashes, n, hash) : 1;
        uint32_t there = r->ids[0].target_count + chunk_rows_of(w->view, hash, r->inf.id, most);
        if (there + more <= most) continue;
        more = rows_added(w, hash);
        if (more == 0 || there + more <= most) continue;
        struct str shown = {r->inf.id.p, r->inf.id.n < 80 ? r->inf.id.n : 80};
        err_set(&w->err, ERR_INVALID,
                "the inference id " STR_FMT " has %u inferences already, %u more would pass the limit of %u "
                "(max_per_id); give each capture an id of its own; nothing was stored",
                STR_ARG(shown), there, more, most);
        return;
    }
}

/* A turn is short, so that the writer has something to do while the next is resolved. */
enum { TURN = 256 };

static void begin(struct store *s, struct store_write *w) {
    w->view = store_view(s, w->workspace);
    w->resolved = arena_alloc(&w->arena, w->records * sizeof *w->resolved);
    struct record_header h;
    size_t pos = 0;
    for (size_t i = 0; i < w->records; i++, pos += sizeof h + h.length) {
        memcpy(&h, w->chain.p + pos, sizeof h);
        struct str payload = {w->chain.p + pos + sizeof h, h.length};
        CHECK(resolve_decode(s, w->view, &w->arena, &h, payload, &w->resolved[i])); /* write_* made it */
    }
}

static void find(struct store *s, struct store_write *w) {
    struct record_header h;
    size_t pos = 0;
    for (size_t i = 0; i < w->records; i++, pos += sizeof h + h.length) {
        memcpy(&h, w->chain.p + pos, sizeof h);
        resolve_find(w->view, &w->arena, (struct str){w->chain.p + pos + sizeof h, h.length}, &w->resolved[i]);
    }
    if (w->most.inferences) check_per_id(s, w);
}

void resolve_write(struct store *s, struct store_write *w) {
    begin(s, w);
    find(s, w);
}

void *resolve_loop(void *ctx) {
    struct store *s = ctx;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->submitted && !s->stopping) pthread_cond_wait(&s->resolve, &s->lock);
        struct store_write *list = s->submitted, **end = &s->submitted;
        for (int n = 0; n < TURN && *end; n++) end = &(*end)->next;
        s->submitted = *end;
        if (!s->submitted) s->submitted_end = &s->submitted;
        *end = NULL;
        if (!list) {
            s->resolver_over = true;
            pthread_cond_signal(&s->work);
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        pthread_mutex_unlock(&s->lock);
        /* All ask for their memory before the first needs it. */
        for (struct store_write *w = list; w; w = w->next) begin(s, w);
        for (struct store_write *w = list; w; w = w->next) find(s, w);
        pthread_mutex_lock(&s->lock);
        if (!s->queue) pthread_cond_signal(&s->work);
        *s->queue_end = list;
        s->queue_end = end;
        pthread_mutex_unlock(&s->lock);
    }
}
