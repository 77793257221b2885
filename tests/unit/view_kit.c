#include "view_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guard.h"
#include "store/segment_parts.h"

static const uint8_t store_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
enum { WORKSPACE = 3 };

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

void view_kit_begin(struct view_kit *k) {
    *k = (struct view_kit){.seq = 0};
    scratch_make(&k->scratch);
}

static struct kit_id *id_of(struct view_kit *k, struct str id) {
    struct key_value v = {.kind = KEY_VALUE, .value = {.type = VALUE_STRING, .text = id}};
    uint32_t n = numbering_of(&k->ids, &v);
    if (k->ids.room > k->id_room) {
        k->of_ids = mem_resize(k->of_ids, k->ids.room * sizeof *k->of_ids);
        memset(k->of_ids + k->id_room, 0, (k->ids.room - k->id_room) * sizeof *k->of_ids);
        k->id_room = k->ids.room;
    }
    return &k->of_ids[n];
}

/* Nothing is known of an id that was never named. */
static struct kit_id known_id(const struct view_kit *k, struct str id) {
    struct key_value v = {.kind = KEY_VALUE, .value = {.type = VALUE_STRING, .text = id}};
    uint32_t n = numbering_find(&k->ids, &v);
    return n == UINT32_MAX ? (struct kit_id){0} : k->of_ids[n];
}

struct kit_row *view_kit_row(struct view_kit *k, const struct inference *inf) {
    if (k->row_count == k->row_room) {
        k->row_room = k->row_room ? 2 * k->row_room : 64;
        k->rows = mem_resize(k->rows, k->row_room * sizeof *k->rows);
    }
    struct buf payload = {0};
    inference_encode(&payload, inf);
    struct kit_row *r = &k->rows[k->row_count++];
    *r = (struct kit_row){.seq = ++k->seq};
    r->received_us = VIEW_KIT_NOON + (int64_t)r->seq;
    CHECK(inference_decode(copy(&k->arena, buf_str(&payload)), &k->arena, &r->inf));
    buf_free(&payload);
    if (r->inf.time_us == TIME_UNKNOWN) r->inf.time_us = r->received_us;
    struct kit_id *id = id_of(k, r->inf.id);
    r->older = id->row;
    id->row = (uint32_t)k->row_count;
    for (uint32_t i = r->older; i; i = k->rows[i - 1].older) {
        struct kit_row *other = &k->rows[i - 1];
        if (other->inf.partial != r->inf.partial && other->inf.index == r->inf.index &&
            str_eq(other->inf.model_id, r->inf.model_id))
            (r->inf.partial ? r : other)->hidden_at = r->seq;
    }
    return r;
}

void view_kit_write(struct view_kit *k, const char *id, const char *field, struct value v) {
    struct value before = view_kit_value(k, str_of(id), str_of(field));
    k->seq++;
    if (before.type == VALUE_NONE ? v.type == VALUE_NONE : value_eq(&before, &v)) return;
    if (k->write_count == k->write_room) {
        k->write_room = k->write_room ? 2 * k->write_room : 64;
        k->writes = mem_resize(k->writes, k->write_room * sizeof *k->writes);
    }
    if (v.type == VALUE_STRING) v.text = copy(&k->arena, v.text);
    struct kit_id *of = id_of(k, str_of(id));
    k->writes[k->write_count++] = (struct kit_write){.seq = k->seq,
                                                     .time_us = VIEW_KIT_NOON + (int64_t)k->seq,
                                                     .id = copy(&k->arena, str_of(id)),
                                                     .field = copy(&k->arena, str_of(field)),
                                                     .value = v,
                                                     .older = of->write};
    of->write = (uint32_t)k->write_count;
}

struct value view_kit_value(const struct view_kit *k, struct str id, struct str field) {
    for (uint32_t i = known_id(k, id).write; i; i = k->writes[i - 1].older)
        if (str_eq(k->writes[i - 1].field, field)) return k->writes[i - 1].value;
    return NOTHING;
}

/* ---- parts ---- */

/* As if all had come at noon. */
static bool is_suspect(int64_t time_us) {
    return time_us > VIEW_KIT_NOON + 24 * VIEW_KIT_HOUR || time_us < VIEW_KIT_NOON - 365 * 24 * VIEW_KIT_HOUR;
}

static uint8_t flags_of(const struct kit_row *r, uint64_t until) {
    const struct inference *inf = &r->inf;
    return (uint8_t)((inf->error.n ? ROW_ERROR : 0) | (inf->partial ? ROW_PARTIAL : 0) |
                     (inf->picture ? ROW_PICTURE : 0) | (is_suspect(inf->time_us) ? ROW_CLOCK_SUSPECT : 0) |
                     (r->hidden_at && r->hidden_at <= until ? ROW_HIDDEN : 0));
}

static void chunk_write_one(struct view_kit *k, struct chunk *c, struct ident *i, const struct kit_write *w) {
    chunk_write(c, i, fields_of(k->view.fields, w->field), &w->value, w->seq, w->time_us, VIEW_KIT_KEY);
}

/* What the id had before its first row came, oldest first. */
static void write_before(struct view_kit *k, struct chunk *c, struct ident *i, uint32_t write, uint64_t seq) {
    if (!write) return;
    const struct kit_write *w = &k->writes[write - 1];
    write_before(k, c, i, w->older, seq);
    if (w->seq < seq) chunk_write_one(k, c, i, w);
}

static struct chunk *make_chunk(struct view_kit *k, unsigned part) {
    struct chunk *c = chunk_new(SEGMENT_ROWS, VIEW_KIT_FIELDS);
    size_t write = 0;
    for (size_t n = 0; n <= k->row_count; n++) {
        const struct kit_row *r = n < k->row_count ? &k->rows[n] : NULL;
        for (; write < k->write_count && (!r || k->writes[write].seq < r->seq); write++) {
            const struct kit_write *w = &k->writes[write];
            struct ident *i = id_table_find(c->ids, id_hash(store_id, w->id), w->id);
            if (i) chunk_write_one(k, c, i, w);
        }
        if (!r || r->part != part) continue;
        uint64_t hash = id_hash(store_id, r->inf.id);
        bool known = id_table_find(c->ids, hash, r->inf.id);
        struct ident *i = chunk_ident(c, hash, r->inf.id);
        if (!known) write_before(k, c, i, known_id(k, r->inf.id).write, r->seq);
        struct buf payload = {0};
        inference_encode(&payload, &r->inf);
        chunk_add(c, i, r->seq, r->received_us, buf_str(&payload), &r->inf, r->inf.index,
                  r->hidden_at && r->hidden_at <= r->seq);
        if (r->hidden_at > r->seq) chunk_hide(c, i, chunk_rows(c) - 1);
        buf_free(&payload);
    }
    return c;
}

static int by_time(const void *x, const void *y) {
    const struct kit_row *a = *(struct kit_row *const *)x, *b = *(struct kit_row *const *)y;
    if (a->inf.time_us != b->inf.time_us) return a->inf.time_us < b->inf.time_us ? -1 : 1;
    return a->seq < b->seq ? -1 : 1;
}

/* What the id has at some moment: its writes until then, and of these the last one of each field. */
static void metadata_until(const struct view_kit *k, struct str id, uint64_t until, struct arena *a,
                           struct segment_row *out) {
    size_t count = 0, at = 0;
    uint32_t last = known_id(k, id).write;
    for (uint32_t i = last; i; i = k->writes[i - 1].older) count += k->writes[i - 1].seq <= until;
    struct change *history = arena_alloc(a, count * sizeof *history);
    struct entry *entries = arena_alloc(a, count * sizeof *entries);
    out->history = history;
    out->history_count = at = count;
    out->metadata = entries;
    for (uint32_t i = last; i; i = k->writes[i - 1].older) {
        const struct kit_write *w = &k->writes[i - 1];
        if (w->seq > until) continue;
        bool newest = true;
        for (size_t n = at; n < count; n++) newest &= !str_eq(history[n].field, w->field);
        history[--at] = (struct change){w->field, w->value, w->seq, w->time_us, VIEW_KIT_KEY};
        if (newest && w->value.type != VALUE_NONE) entries[out->metadata_count++] = (struct entry){w->field, w->value};
    }
}

/* `places`: of each row of the kit, where it is in the segment; UINT32_MAX: elsewhere. */
static void fill_overlay(struct view_kit *k, struct overlay *o, struct kit_row **rows, const uint32_t *places,
                         uint32_t count, uint64_t from) {
    for (uint32_t row = 0; row < count; row++)
        if (rows[row]->hidden_at > from) overlay_hide(o, rows[row]->hidden_at, row);
    for (size_t i = 0; i < k->write_count; i++) {
        const struct kit_write *w = &k->writes[i];
        if (w->seq <= from) continue;
        uint32_t field = fields_of(k->view.fields, w->field);
        for (uint32_t r = known_id(k, w->id).row; r; r = k->rows[r - 1].older)
            if (places[r - 1] != UINT32_MAX)
                overlay_set(o, w->seq, w->time_us, VIEW_KIT_KEY, places[r - 1], field, &w->value);
    }
}

static void add_to_directory(struct view_kit *k, uint32_t slot, struct kit_row **rows, const uint32_t *places,
                             uint32_t count) {
    uint64_t *hashes = mem_alloc(count * sizeof *hashes);
    uint32_t *firsts = mem_alloc(count * sizeof *firsts), n = 0;
    for (uint32_t row = 0; row < count; row++) {
        bool first = true;
        for (uint32_t r = known_id(k, rows[row]->inf.id).row; r; r = k->rows[r - 1].older)
            first &= places[r - 1] == UINT32_MAX || places[r - 1] >= row;
        if (!first) continue;
        hashes[n] = id_hash(store_id, rows[row]->inf.id);
        firsts[n++] = row;
    }
    directory_add(k->view.directory, slot, hashes, firsts, n);
    free(hashes);
    free(firsts);
}

static struct sealed *make_sealed(struct view_kit *k, unsigned part, uint64_t applied, uint32_t slot) {
    struct kit_row **rows = mem_alloc(k->row_count * sizeof *rows);
    struct segment_identity id = {
        .workspace = WORKSPACE, .number = ++k->files, .version = 1, .applied_through = applied};
    uint32_t count = 0;
    memcpy(id.store_id, store_id, sizeof id.store_id);
    for (size_t i = 0; i < k->row_count; i++)
        if (k->rows[i].part == part) rows[count++] = &k->rows[i];
    if (count == 0) {
        free(rows);
        return NULL;
    }
    qsort(rows, count, sizeof *rows, by_time);
    uint32_t *places = mem_alloc(k->row_count * sizeof *places);
    memset(places, 0xff, k->row_count * sizeof *places);
    for (uint32_t i = 0; i < count; i++) places[rows[i] - k->rows] = i;
    struct segment_builder *b = segment_builder_new(&id, k->names, k->name_count);
    for (uint32_t i = 0; i < count; i++) {
        struct arena a = {0};
        struct segment_row row = {.inf = rows[i]->inf,
                                  .received_us = rows[i]->received_us,
                                  .seq = rows[i]->seq,
                                  .content = rows[i]->seq,
                                  .flags = flags_of(rows[i], applied)};
        metadata_until(k, rows[i]->inf.id, applied, &a, &row);
        segment_builder_add(b, &row);
        arena_free(&a);
    }
    struct err e = {0};
    char name[32];
    snprintf(name, sizeof name, "%u.arrow", k->files);
    CHECK(segment_builder_write(b, k->scratch.dir, name, &e));
    struct sealed *s = mem_zero(1, sizeof *s);
    s->segment = segment_open(scratch_path(&k->scratch, "%s", name), store_id, WORKSPACE, &e);
    if (!s->segment) fprintf(stderr, "%s\n", e.msg);
    CHECK(s->segment);
    s->slot = slot;
    s->overlay = overlay_new(VIEW_KIT_FIELDS);
    s->path = mem_alloc(sizeof name);
    memcpy(s->path, name, sizeof name);
    fill_overlay(k, s->overlay, rows, places, count, applied);
    add_to_directory(k, slot, rows, places, count);
    free(places);
    free(rows);
    return s;
}

/* ---- the view ---- */

static void clear(struct view_kit *k) {
    for (size_t i = 0; i < k->view.chunk_count; i++) chunk_free(k->view.chunks[i]);
    for (size_t i = 0; i < k->view.sealed_count; i++) {
        struct sealed *s = k->view.sealed[i];
        segment_close(s->segment);
        overlay_free(s->overlay);
        free(s->path);
        free(s);
    }
    if (k->view.directory) directory_free(k->view.directory);
    if (k->view.pending) pending_free(k->view.pending);
    if (k->view.fields) fields_free(k->view.fields);
    k->view = (struct view){.readers = 0};
}

void view_kit_end(struct view_kit *k) {
    clear(k);
    scratch_remove(&k->scratch);
    arena_free(&k->arena);
    numbering_free(&k->ids);
    free(k->of_ids);
    free(k->rows);
    free(k->writes);
}

/* Segments have them in the order in which they came, the view in another: it is numbered anew at each start. */
static void number_fields(struct view_kit *k) {
    k->name_count = 0;
    for (size_t i = 0; i < k->write_count; i++) {
        size_t at = 0;
        while (at < k->name_count && !str_eq(k->names[at], k->writes[i].field)) at++;
        if (at == k->name_count) k->names[k->name_count++] = k->writes[i].field;
    }
    for (size_t i = 0; i < k->name_count; i++)
        fields_of(k->view.fields, k->names[k->renumbered ? k->name_count - 1 - i : i]);
}

void view_kit_build(struct view_kit *k, const struct kit_part *parts, unsigned count) {
    clear(k);
    struct view *v = &k->view;
    memcpy(v->store_id, store_id, sizeof v->store_id);
    v->fields = fields_new(VIEW_KIT_FIELDS);
    v->pending = pending_new(0);
    v->directory = directory_new();
    v->sealed = k->sealed;
    v->slots = k->slots;
    v->seq = &k->view_seq;
    k->view_seq = k->seq;
    number_fields(k);
    for (unsigned i = 0; i < count; i++) {
        if (!parts[i].sealed) {
            CHECK(v->chunk_count < CHUNKS_MOST);
            v->chunks[v->chunk_count++] = make_chunk(k, i);
            continue;
        }
        struct sealed *s = make_sealed(k, i, parts[i].applied_through, (uint32_t)v->slot_count);
        if (!s) continue;
        k->slots[v->slot_count++] = s;
        size_t at = v->sealed_count++;
        for (; at > 0 && k->sealed[at - 1]->segment->max_time_us < s->segment->max_time_us; at--)
            k->sealed[at] = k->sealed[at - 1];
        k->sealed[at] = s;
    }
    for (size_t i = 0; i < k->write_count; i++) {
        const struct kit_write *w = &k->writes[i];
        if (known_id(k, w->id).row) continue;
        struct pending_write p = {.seq = w->seq,
                                  .time_us = w->time_us,
                                  .key_id = VIEW_KIT_KEY,
                                  .field = fields_of(v->fields, w->field),
                                  .value = w->value};
        pending_set(v->pending, id_hash(store_id, w->id), w->id, &p, 0);
    }
}

void view_kit_one_chunk(struct view_kit *k) {
    for (size_t i = 0; i < k->row_count; i++) k->rows[i].part = 0;
    view_kit_build(k, &(struct kit_part){.sealed = false}, 1);
}

/* What the first value is at is found in a second mapping of the same file, whose columns nobody else sees. */
void view_kit_damage_column(struct view_kit *k, size_t sealed, enum segment_column column) {
    const struct sealed *s = k->view.sealed[sealed];
    const char *path = scratch_path(&k->scratch, "%s", s->path);
    struct err e;
    struct guard g;
    struct segment *twin = segment_open(path, store_id, WORKSPACE, &e);
    CHECK(twin && guard_enter(&g));
    off_t at = (const char *)segment_column(twin, column) - (const char *)twin->parts->map;
    guard_leave(&g);
    segment_close(twin);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x40;
    CHECK(pwrite(fd, &byte, 1, at) == 1);
    close(fd);
}

int view_kit_setup(struct view_kit *k) {
    guard_init();
    view_kit_begin(k);
    return 0;
}

int view_kit_teardown(struct view_kit *k, struct arena *a) {
    view_kit_end(k);
    arena_free(a);
    return 0;
}

struct inference at_noon(const char *id) {
    return (struct inference){
        .id = str_of(id), .model_id = STR("coco/24"), .time_us = VIEW_KIT_NOON, .latency_s = NAN};
}
