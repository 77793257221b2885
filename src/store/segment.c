#include "store/segment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/guard.h"
#include "base/io.h"
#include "store/segment_parts.h"

uint64_t id_hash(const uint8_t store_id[16], struct str id) {
    uint64_t h;
    unsigned char out[crypto_shorthash_BYTES];
    crypto_shorthash(out, (const unsigned char *)id.p, id.n, store_id);
    memcpy(&h, out, sizeof h);
    return h;
}

uint64_t content_hash(struct str payload) {
    static const uint8_t key[crypto_shorthash_KEYBYTES];
    return id_hash(key, payload);
}

/* ---- the columns ---- */

const struct segment_layout segment_layout[] = {
#define X(name, type, is, children, values, text) {name, ARROW_##type, is, children, values, text},
    SEGMENT_LAYOUT(X)
#undef X
};

const char *const segment_kind_names[] = {
#define X(kind, name, type) name,
    SEGMENT_KINDS(X)
#undef X
};

const enum arrow_type segment_kind_types[] = {
#define X(kind, name, type) type,
    SEGMENT_KINDS(X)
#undef X
};

static bool ends_like_a_kind(struct str name) {
    for (int k = 0; k < SEGMENT_KIND_COUNT; k++) {
        struct str end = str_of(segment_kind_names[k]);
        if (name.n > end.n && name.p[name.n - end.n - 1] == ':' && str_eq(str_from(name, name.n - end.n), end))
            return true;
    }
    return false;
}

struct str segment_metadata_name(struct arena *a, struct str field, enum segment_kind kind) {
    bool plain = kind == KIND_TEXT && !ends_like_a_kind(field);
    return str_of(arena_printf(a, "metadata." STR_FMT "%s%s", STR_ARG(field), plain ? "" : ":",
                               plain ? "" : segment_kind_names[kind]));
}

/* ---- opening ---- */

#define wrong(e, ...) err_set((e), ERR_DAMAGED, __VA_ARGS__)

/* Every dictionary has its placeholder. */
static bool has_placeholder(const struct arrow_column *c) { return !c->coded || c->dict.count > 0; }

static bool match(const struct arrow_column *c, const struct segment_layout *l) {
    return str_is(c->name, l->name) && c->type == l->type && c->nullable == !!(l->is & IS_NULLABLE) &&
           c->coded == !!(l->is & IS_CODED) && c->children == l->children && !c->field.p && has_placeholder(c);
}

static struct segment_dict dict_of(const struct arrow_column *c) {
    return (struct segment_dict){c->dict.count - 1, c->dict.offsets.p, c->dict.bytes.p};
}

static bool read_layout(struct segment *s, uint32_t *next, struct err *e) {
    struct segment_parts *p = s->parts;
    for (int i = 0; i < SEGMENT_LAYOUT_MOST; i++) {
        const struct segment_layout *l = &segment_layout[i];
        struct arrow_column *c = *next < p->table.column_count ? &p->table.columns[*next] : NULL;
        bool is = c && match(c, l);
        if (!is && l->is & IS_OPTIONAL) continue;
        if (!is) return wrong(e, "column %u is not \"%s\" as it should be", *next, l->name);
        ++*next;
        if (l->values != SEG_NO) p->columns[l->values] = c;
        if (l->text != SEG_NO) p->columns[l->text] = c;
        if (l->is & IS_CODED) p->dicts[l->values] = dict_of(c);
    }
    return true;
}

/* Fills in what a reader sees of a field, but checks nothing of what is in it. */
static void show(struct segment_part_field *f, enum segment_kind kind, struct arrow_column *c) {
    static const uint8_t all[SEGMENT_ROWS / 8] = {[0 ... SEGMENT_ROWS / 8 - 1] = 0xff};
    f->columns[kind] = c;
    if (kind == KIND_TEXT) {
        f->shown.codes = c->buffers[ARROW_VALUES].p;
        f->shown.dict = dict_of(c);
    } else if (kind == KIND_NUMBER) {
        f->shown.numbers = c->buffers[ARROW_VALUES].p;
    } else {
        f->shown.truths = c->buffers[ARROW_VALUES].p;
        f->shown.truths_known = c->nulls ? c->buffers[ARROW_VALID].p : all;
    }
}

static int kind_of(struct str name) {
    for (int k = 0; k < SEGMENT_KIND_COUNT; k++)
        if (str_is(name, segment_kind_names[k])) return k;
    return -1;
}

static bool read_fields(struct segment *s, uint32_t next, struct err *e) {
    struct segment_parts *p = s->parts;
    p->fields = arena_alloc(&p->arena, (p->table.column_count - next) * sizeof *p->fields);
    for (int before = 0; next < p->table.column_count; next++) {
        struct arrow_column *c = &p->table.columns[next];
        struct segment_part_field *f = s->field_count ? &p->fields[s->field_count - 1] : NULL;
        int kind = c->kind.p ? kind_of(c->kind) : -1;
        if (kind < 0 || c->type != segment_kind_types[kind] || c->coded != (kind == KIND_TEXT) || !c->nullable ||
            !has_placeholder(c) ||
            !str_eq(c->name, segment_metadata_name(&p->arena, c->field, (enum segment_kind)kind)))
            return wrong(e, "column %u is none of a metadata field, where one should be", next);
        if (!f || !str_eq(f->shown.name, c->field)) {
            f = &p->fields[s->field_count++];
            f->shown.name = (struct str){arena_copy(&p->arena, c->field.p, c->field.n), c->field.n};
        } else if (kind <= before) {
            return wrong(e, "column %u stands twice, or in the wrong place", next);
        }
        show(f, (enum segment_kind)kind, c);
        before = kind;
    }
    return true;
}

static bool read_number(const struct arrow_table *t, const char *key, bool negative, uint64_t most, uint64_t *out,
                        struct err *e) {
    struct str text = arrow_pair(t, key);
    unsigned long long v = 0;
    bool minus = negative && text.n && text.p[0] == '-';
    if (!text.p || !str_to_u64(minus ? str_from(text, 1) : text, &v) || v > most)
        return wrong(e, "the footer's \"%s\" is missing or no such number", key);
    *out = minus ? -(uint64_t)v : v;
    return true;
}

static bool read_identity(struct segment *s, const uint8_t store_id[16], uint32_t workspace, struct err *e) {
    struct segment_parts *p = s->parts;
    const struct arrow_table *t = &p->table;
    char id[33];
    uint64_t of, version, apart, times[2];
    struct str format = arrow_pair(t, "format");
    if (!str_is(format, SEGMENT_FORMAT))
        return wrong(e, "the format is \"%.*s\"; this program reads \"" SEGMENT_FORMAT "\"",
                     (int)(format.n < 40 ? format.n : 40), format.p ? format.p : "");
    sodium_bin2hex(id, sizeof id, store_id, 16);
    if (!str_is(arrow_pair(t, "store"), id)) return wrong(e, "it belongs to another store, not to %s", id);
    if (!read_number(t, "workspace", false, UINT32_MAX, &of, e) ||
        !read_number(t, "number", false, UINT64_MAX, &s->number, e) ||
        !read_number(t, "version", false, UINT32_MAX, &version, e) ||
        !read_number(t, "applied_through", false, UINT64_MAX, &s->applied_through, e) ||
        !read_number(t, "apart", false, 1, &apart, e) ||
        !read_number(t, "min_time_us", true, INT64_MAX, &times[0], e) ||
        !read_number(t, "max_time_us", true, INT64_MAX, &times[1], e) ||
        !read_number(t, "min_seq", false, UINT64_MAX, &s->min_seq, e) ||
        !read_number(t, "max_seq", false, UINT64_MAX, &s->max_seq, e))
        return false;
    if (of != workspace) return wrong(e, "it belongs to workspace %" PRIu64 ", not to %u", of, workspace);
    s->version = (uint32_t)version;
    s->apart = apart;
    s->min_time_us = (int64_t)times[0];
    s->max_time_us = (int64_t)times[1];
    memcpy(p->store_id, store_id, 16);
    p->workspace = workspace;
    return true;
}

static bool read_file(struct segment *s, const uint8_t store_id[16], uint32_t workspace, struct err *e) {
    struct segment_parts *p = s->parts;
    uint32_t next = 0;
    if (!arrow_read(p->map, s->bytes, &p->arena, &p->table, e) || !read_identity(s, store_id, workspace, e))
        return false;
    if (p->table.rows == 0 || p->table.rows > SEGMENT_ROWS)
        return wrong(e, "it has %" PRIu64 " rows; 1 to %d are possible", p->table.rows, SEGMENT_ROWS);
    s->rows = (uint32_t)p->table.rows;
    if (!read_layout(s, &next, e) || !read_fields(s, next, e)) return false;
    s->detections = (uint32_t)p->columns[SEG_D_CLASS]->length;
    return true;
}

static bool read_guarded(struct segment *s, const uint8_t store_id[16], uint32_t workspace, struct err *e) {
    struct guard g;
    bool ok = false;
    if (guard_enter(&g)) {
        guard_blame(s);
        ok = read_file(s, store_id, workspace, e);
        guard_leave(&g);
        return ok;
    }
    *e = g.e;
    return false;
}

/* A mapping of the file, and its size. */
static const void *map_file(const char *path, uint64_t *size, struct err *e) {
    struct stat st;
    const void *map = NULL;
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) {
        err_errno(e, "open");
        return NULL;
    }
    if (fstat(fd, &st) != 0)
        err_errno(e, "fstat");
    else if (!S_ISREG(st.st_mode) || st.st_size < ARROW_HEAD + ARROW_TAIL)
        err_set(e, ERR_DAMAGED, "this is no Arrow file");
    else if (!(map = io_map(fd, (size_t)st.st_size)))
        err_errno(e, "mmap");
    io_close(fd);
    *size = map ? (uint64_t)st.st_size : 0;
    return map;
}

struct segment *segment_open(const char *path, const uint8_t store_id[16], uint32_t workspace, struct err *e) {
    uint64_t size;
    const void *map = map_file(path, &size, e);
    if (!map) {
        err_wrap(e, "segment %s", path);
        return NULL;
    }
    struct segment *s = mem_zero(1, sizeof *s);
    s->parts = mem_zero(1, sizeof *s->parts);
    s->parts->map = map;
    s->bytes = size;
    if (read_guarded(s, store_id, workspace, e)) return s;
    err_wrap(e, "segment %s", path);
    segment_close(s);
    return NULL;
}

void segment_close(struct segment *s) {
    if (!s) return;
    io_unmap(s->parts->map, s->bytes);
    arena_free(&s->parts->arena);
    free(s->parts);
    free(s);
}

void segment_will_index(const struct segment *s) {
    static const enum segment_column needed[] = {SEG_ID_HASH, SEG_SAME_ID, SEG_FLAGS};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const struct arrow_buffer *b = &s->parts->columns[needed[i]]->buffers[ARROW_VALUES];
        if (b->n) io_ahead(b->p, b->n);
    }
}

struct str segment_field_name(const struct segment *s, uint32_t field) {
    return s->parts->fields[field].shown.name;
}
