#include "query/lookup.h"

#include <stdlib.h>

#include "query/hit.h"
#include "query/scan.h"
#include "record/uploads.h"

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static struct value copy_value(struct arena *a, struct value v) {
    if (v.type == VALUE_STRING) v.text = copy(a, v.text);
    return v;
}

/* A list that grows in an arena. */
#define APPEND(a, list, count, item)                                                  \
    do {                                                                              \
        if (((count) & ((count)-1)) == 0) {                                           \
            void *more_ = arena_alloc(a, ((count) ? (count)*2 : 1) * sizeof *(list)); \
            if (count) memcpy(more_, list, (count) * sizeof *(list));                 \
            (list) = more_;                                                           \
        }                                                                             \
        (list)[(count)++] = (item);                                                   \
    } while (0)

/* ---- history ---- */

static void add_change(struct arena *a, struct one *out, struct str field, struct value v, uint64_t seq,
                       int64_t time_us, uint32_t key_id) {
    struct past p = {{copy(a, field), copy_value(a, v), seq, time_us, key_id}, {0}};
    APPEND(a, out->history, out->history_count, p);
}

/* What hangs behind a head once read stays as it is. */
static void chunk_history(const struct chunk *c, const struct ident *i, const struct fields *names, struct arena *a,
                          struct one *out) {
    for (const struct id_field *f = ident_fields(i); f; f = f->next) {
        const struct dict *dict = &chunk_field(c, f->field)->dict;
        for (const struct history *h = field_newest(f); h; h = h->older)
            add_change(a, out, names->names[f->field], h->code ? *dict_value(dict, h->code) : (struct value){0}, h->seq,
                       h->time_us, h->key_id);
    }
}

/* The id's first row in the segment has its history; what came since is in the overlay, with every row of the id. */
static void sealed_history(const struct part *p, uint32_t row, struct arena *a, struct one *out) {
    struct change *changes;
    size_t count = segment_history(p->segment, row, a, &changes);
    for (size_t i = 0; i < count; i++)
        add_change(a, out, changes[i].field, changes[i].value, changes[i].seq, changes[i].time_us, changes[i].key_id);
    uint32_t entries = p->overlay ? overlay_count(p->overlay) : 0;
    for (uint32_t i = 0; i < entries; i++) {
        const struct overlay_entry *x = overlay_entry(p->overlay, i);
        if (x->row != row) continue;
        const struct dict *dict = &overlay_field(p->overlay, x->field)->dict;
        add_change(a, out, p->view->fields->names[x->field], x->code ? *dict_value(dict, x->code) : (struct value){0},
                   x->seq, x->time_us, x->key_id);
    }
}

static void pending_history(const struct view *v, const struct pending_id *i, struct arena *a, struct one *out) {
    for (const struct pending_write *w = pending_newest(i); w; w = w->older)
        add_change(a, out, v->fields->names[w->field], w->value, w->seq, w->time_us, w->key_id);
}

static int by_field_and_age(const void *x, const void *y) {
    const struct past *a = x, *b = y;
    int order = str_cmp(a->change.field, b->change.field);
    return order ? order : (a->change.seq > b->change.seq) - (a->change.seq < b->change.seq);
}

static int newest_first(const void *x, const void *y) {
    const struct past *a = x, *b = y;
    if (a->change.seq != b->change.seq) return a->change.seq < b->change.seq ? 1 : -1;
    return str_cmp(a->change.field, b->change.field);
}

/* What is said of uploaded pictures has no place in the history of metadata. */
static void take_uploads(struct one *out) {
    size_t count = 0;
    uint64_t newest = 0;
    for (size_t i = 0; i < out->history_count; i++) {
        const struct change *c = &out->history[i].change;
        if (!field_is_own(c->field)) {
            out->history[count++] = out->history[i];
        } else if (c->seq >= newest) {
            newest = c->seq;
            out->uploads = c->value.text;
        }
    }
    out->history_count = count;
}

/* A write is the past of the next one of its field, and the last one is what holds now. */
static void finish_history(struct arena *a, struct one *out) {
    take_uploads(out);
    if (out->history_count == 0) return;
    qsort(out->history, out->history_count, sizeof *out->history, by_field_and_age);
    out->metadata = arena_alloc(a, out->history_count * sizeof *out->metadata);
    for (size_t i = 0; i < out->history_count; i++) {
        struct past *p = &out->history[i];
        bool first = i == 0 || !str_eq(p[-1].change.field, p->change.field);
        bool last = i + 1 == out->history_count || !str_eq(p[1].change.field, p->change.field);
        if (!first) p->previous = p[-1].change.value;
        if (last && p->change.value.type != VALUE_NONE)
            out->metadata[out->metadata_count++] = (struct entry){p->change.field, p->change.value};
    }
    qsort(out->history, out->history_count, sizeof *out->history, newest_first);
}

/* ---- one id ---- */

/* A row of the id that is not hidden. */
struct candidate {
    const struct part *part;
    uint32_t row, index;
    uint64_t seq;
    bool partial;
    struct str model;
};

struct ask {
    const struct view *view;
    struct str id;
    uint64_t hash;
    const struct which *which;
    int64_t now_us;
    struct arena *arena;
    struct one *out;
    struct err *e;
};

static int first_come(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

static struct candidate candidate(const struct part *p, uint32_t row, uint8_t flags) {
    struct slice s = part_slice(p, row / BLOCK_ROWS);
    uint32_t at = row % BLOCK_ROWS;
    struct texts models = part_texts(p, COLUMN_MODEL);
    return (struct candidate){.part = p,
                              .row = row,
                              .index = slice_index(&s)[at],
                              .seq = slice_seq(&s)[at],
                              .partial = flags & ROW_PARTIAL,
                              .model = texts_at(&models, slice_codes(&s, COLUMN_MODEL)[at])};
}

/* All rows of the id, and its history from the first part that has one. */
static void collect(const struct ask *q, struct candidate **found, size_t *count) {
    size_t part_count;
    const struct part *parts = parts_that_hold(q->view, q->hash, q->arena, &part_count);
    for (size_t i = 0; i < part_count; i++) {
        const struct part *p = &parts[i];
        if (p->segment) guard_blame(p->segment);
        uint32_t first = part_find(p, q->hash, q->id, q->arena);
        if (first == 0) continue;
        if (!q->out->known) {
            q->out->known = true;
            if (p->chunk)
                chunk_history(p->chunk, chunk_find(p->chunk, q->hash, q->id), q->view->fields, q->arena, q->out);
            else
                sealed_history(p, first - 1, q->arena, q->out);
        }
        for (uint32_t row = first; row && row <= p->rows; row = part_next_same_id(p, row - 1)) {
            uint8_t flags = part_flags(p, row - 1);
            if (!(flags & ROW_HIDDEN)) APPEND(q->arena, *found, *count, candidate(p, row - 1, flags));
        }
    }
}

static const struct candidate *choose(const struct ask *q, const struct candidate *found, size_t count) {
    const struct which *w = q->which;
    const struct candidate *chosen = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct candidate *c = &found[i];
        if ((w->by_index && c->index != w->index) || (w->by_model && !str_eq(c->model, w->model_id))) continue;
        if (!c->partial) return c;
        if (!chosen) chosen = c;
    }
    return chosen;
}

/* Segments that the directory names for the id. Those that could not be read when the store was opened it does not
 * know: an id that was found nowhere else may be in them. */
static void find_gaps(const struct ask *q, bool found) {
    struct one *out = q->out;
    for (size_t i = 0; i < q->view->sealed_count; i++) {
        const struct sealed *s = q->view->sealed[i];
        if (!atomic_load(&s->set_aside) || (found && !part_may_hold(q->view, s, q->hash, q->arena))) continue;
        const struct segment *g = s->segment;
        struct gap gap = {g->number, g->min_time_us, g->max_time_us, g->rows};
        APPEND(q->arena, out->gaps, out->gap_count, gap);
    }
}

static bool look_up(const struct ask *q) {
    struct one *out = q->out;
    *out = (struct one){0};
    /* What waits goes to a chunk when its inference comes, never the other way. */
    const struct pending_id *waits = pending_find(q->view->pending, q->hash, q->id);
    struct candidate *found = NULL;
    size_t count = 0;
    collect(q, &found, &count);
    if (!out->known && waits && pending_live(q->view->pending, waits, q->now_us)) {
        out->known = out->pending = true;
        pending_history(q->view, waits, q->arena, out);
    }
    finish_history(q->arena, out);
    find_gaps(q, count > 0);
    if (count == 0) return true;
    qsort(found, count, sizeof *found, first_come);
    const struct candidate *chosen = choose(q, found, count);
    if (!chosen) return true;
    out->found = true;
    out->siblings = arena_alloc(q->arena, count * sizeof *out->siblings);
    for (size_t i = 0; i < count; i++)
        if (&found[i] != chosen)
            out->siblings[out->sibling_count++] = (struct sibling){copy(q->arena, found[i].model), found[i].index};
    if (chosen->part->segment) guard_blame(chosen->part->segment);
    return hit_load(chosen->part, chosen->row, q->arena, &out->hit, q->e);
}

/* False: a segment had to be set aside. */
static bool try_look_up(const struct ask *q, volatile bool *done) {
    struct guard g;
    if (guard_enter(&g)) {
        *done = look_up(q);
        guard_leave(&g);
        return true;
    }
    view_set_aside(q->view, g.what, &g.e);
    return false;
}

bool query_one(const struct view *v, struct str id, const struct which *which, int64_t now_us, struct arena *a,
               struct one *out, struct err *e) {
    volatile bool done = true;
    *out = (struct one){0};
    if (!v) return true;
    struct ask q = {v, id, id_hash(v->store_id, id), which, now_us, a, out, e};
    while (!try_look_up(&q, &done)) {
    }
    return done;
}

/* Once is enough: what waited when the caller began and does not wait any more stood in a chunk before this view is
 * taken, and from a view it is gone only with retention. */
bool query_one_now(struct store *s, uint32_t workspace, const struct view *v, struct str id, const struct which *which,
                   int64_t now_us, struct arena *a, struct one *out, struct err *e) {
    if (!query_one(v, id, which, now_us, a, out, e)) return false;
    if (out->known) return true;
    struct view *newest = store_view(s, workspace);
    bool ok = newest == v || query_one(newest, id, which, now_us, a, out, e);
    view_release(newest);
    return ok;
}

/* ---- what waits ---- */

struct count_waiting {
    const struct pending *pending;
    int64_t now_us;
    struct waiting *out;
};

static int64_t waits_since(const struct pending_id *i) {
    const struct pending_write *w = pending_newest(i);
    while (w->older) w = w->older;
    return w->time_us;
}

static void count_one(void *ctx, const struct pending_id *i) {
    const struct count_waiting *c = ctx;
    if (!pending_live(c->pending, i, c->now_us)) return;
    int64_t since_us = waits_since(i);
    if (c->out->ids++ == 0 || since_us < c->out->oldest_us) c->out->oldest_us = since_us;
}

void query_waiting(const struct view *v, int64_t now_us, struct waiting *out) {
    *out = (struct waiting){0};
    if (!v || pending_count(v->pending) == 0) return;
    struct count_waiting c = {v->pending, now_us, out};
    pending_each(v->pending, count_one, &c);
}

#define SECOND INT64_C(1000000)
const int64_t waiting_ages_us[WAITING_AGES] = {60 * SECOND,    600 * SECOND,    3600 * SECOND,
                                               86400 * SECOND, 604800 * SECOND, INT64_MAX};

struct list_waiting {
    const struct pending *pending;
    int64_t now_us;
    size_t limit;
    struct waiting_list *out;
};

static void list_one(void *ctx, const struct pending_id *i) {
    const struct list_waiting *c = ctx;
    struct waiting_list *out = c->out;
    if (!pending_live(c->pending, i, c->now_us)) return;
    int64_t since_us = waits_since(i);
    size_t age = 0;
    while (c->now_us - since_us >= waiting_ages_us[age]) age++;
    out->ids++;
    out->ages[age]++;
    size_t at = out->count;
    if (at == c->limit && since_us >= out->oldest[at - 1].since_us) return;
    if (at < c->limit)
        out->count++;
    else
        at--;
    for (; at && out->oldest[at - 1].since_us > since_us; at--) out->oldest[at] = out->oldest[at - 1];
    out->oldest[at] = (struct waiting_id){.id = ident_str(&i->ident), .since_us = since_us};
}

bool query_waiting_list(const struct view *v, int64_t now_us, size_t limit, struct arena *a, struct waiting_list *out,
                        struct err *e) {
    *out = (struct waiting_list){.oldest = arena_alloc(a, limit * sizeof *out->oldest)};
    if (!v || pending_count(v->pending) == 0) return true;
    struct list_waiting c = {v->pending, now_us, limit, out};
    pending_each(v->pending, list_one, &c);
    for (size_t i = 0; i < out->count; i++) {
        struct waiting_id *w = &out->oldest[i];
        struct which any = {0};
        struct one one;
        w->id = copy(a, w->id);
        if (!query_one(v, w->id, &any, now_us, a, &one, e)) return false;
        w->metadata = one.metadata;
        w->metadata_count = one.metadata_count;
    }
    return true;
}
