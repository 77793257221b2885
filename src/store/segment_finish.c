#include "store/segment_finish.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>

#include "base/check.h"
#include "base/io.h"
#include "record/bins.h"

/* ---- columns ---- */

struct arrow_column *segment_add_column(struct arrow_table *t, const struct segment_layout *l, uint64_t rows,
                                        uint64_t detections, uint64_t history) {
    struct arrow_column *c = &t->columns[t->column_count++];
    const struct arrow_column *before = c - 1;
    *c = (struct arrow_column){.name = str_of(l->name),
                               .type = l->type,
                               .nullable = l->is & IS_NULLABLE,
                               .coded = l->is & IS_CODED,
                               .children = l->children,
                               .length = rows};
    bool in_history = l->values >= SEG_H_FIELD && l->values <= SEG_H_VALUE;
    bool in_detections = l->values >= SEG_D_CLASS && l->values <= SEG_D_OTHER;
    if (l->type == ARROW_STRUCT) {
        c->parent = (uint32_t)(before - t->columns) + 1;
        c->length = str_is(before->name, "history") ? history : detections;
    } else if (in_history || in_detections) {
        c->parent = before->type == ARROW_STRUCT ? (uint32_t)(before - t->columns) + 1 : before->parent;
        c->length = in_history ? history : detections;
    }
    return c;
}

struct arrow_column *segment_add_field_column(struct arrow_table *t, struct str field, enum segment_kind kind,
                                              uint64_t rows, struct arena *a) {
    struct arrow_column *c = &t->columns[t->column_count++];
    *c = (struct arrow_column){.name = segment_metadata_name(a, field, kind),
                               .field = field,
                               .kind = str_of(segment_kind_names[kind]),
                               .type = segment_kind_types[kind],
                               .nullable = true,
                               .coded = kind == KIND_TEXT,
                               .length = rows};
    return c;
}

/* ---- nulls ---- */

/* Goes through the values, a byte of bits at a time; `known` says whether value i is one. */
#define SET_BITS(type, known)                                                           \
    do {                                                                                \
        const type *v = c->buffers[ARROW_VALUES].p;                                     \
        uint64_t i = 0;                                                                 \
        for (; i + 8 <= c->length; bits++) {                                            \
            unsigned byte = 0;                                                          \
            for (unsigned k = 0; k < 8; k++, i++) byte |= (unsigned)(known) << k;       \
            *bits = (uint8_t)byte;                                                      \
        }                                                                               \
        for (unsigned k = 0; i < c->length; k++, i++) *bits |= (uint8_t)((known) << k); \
    } while (0)

static void set_bits(const struct arrow_column *c, uint8_t *bits) {
    if (c->coded) {
        SET_BITS(uint32_t, v[i] != CODE_NULL);
        return;
    }
    switch (c->type) {
    case ARROW_U16: SET_BITS(uint16_t, v[i] != BIN_NONE); return;
    case ARROW_U32: SET_BITS(uint32_t, v[i] != 0); return;
    case ARROW_I64: SET_BITS(int64_t, v[i] >= 0); return;
    case ARROW_F64: SET_BITS(double, !isnan(v[i])); return;
    case ARROW_UTF8: SET_BITS(uint32_t, v[i] != v[i + 1]); return;
    case ARROW_U8:
    case ARROW_U64:
    case ARROW_TIME:
    case ARROW_BOOL:
    case ARROW_BYTES32:
    case ARROW_LIST:
    case ARROW_STRUCT: WRONG("a column of this type has no nulls");
    }
}

void segment_null_bits(struct arrow_column *c, const uint8_t *known) {
    uint64_t n = (c->length + 7) / 8, there = 0;
    for (uint64_t i = 0; i < n; i++) there += (uint64_t)__builtin_popcount(known[i]);
    c->nulls = c->length - there;
    c->buffers[ARROW_VALID] = (struct arrow_buffer){0};
    if (c->nulls) c->buffers[ARROW_VALID] = (struct arrow_buffer){.p = known, .n = n};
}

void segment_null(struct arrow_column *c, struct arena *a) {
    if (!c->nullable) return;
    uint8_t *bits = arena_alloc(a, (c->length + 7) / 8);
    set_bits(c, bits);
    segment_null_bits(c, bits);
}

void segment_null_pictures(struct arrow_column *c, const uint8_t *flags, struct arena *a) {
    uint8_t *bits = arena_alloc(a, (c->length + 7) / 8);
    for (uint64_t i = 0; i < c->length; i++) bits[i / 8] |= (uint8_t)((flags[i] & ROW_PICTURE ? 1 : 0) << i % 8);
    segment_null_bits(c, bits);
}

struct str segment_json(struct arena *a, const struct value *v) {
    struct buf b = {0};
    value_json(&b, v);
    struct str json = {arena_copy(a, b.p, b.n), b.n};
    buf_free(&b);
    return json;
}

/* ---- the file ---- */

void segment_put_pairs(struct arena *a, struct arrow_table *t, const struct segment_identity *id,
                       const int64_t times[2], const uint64_t seqs[2]) {
    char store[33];
    sodium_bin2hex(store, sizeof store, id->store_id, 16);
    struct {
        const char *key, *value;
    } list[] = {
        {"format", SEGMENT_FORMAT},
        {"store", arena_printf(a, "%s", store)},
        {"workspace", arena_printf(a, "%u", id->workspace)},
        {"number", arena_printf(a, "%" PRIu64, id->number)},
        {"version", arena_printf(a, "%u", id->version)},
        {"applied_through", arena_printf(a, "%" PRIu64, id->applied_through)},
        {"apart", id->apart ? "1" : "0"},
        {"min_time_us", arena_printf(a, "%" PRId64, times[0])},
        {"max_time_us", arena_printf(a, "%" PRId64, times[1])},
        {"min_seq", arena_printf(a, "%" PRIu64, seqs[0])},
        {"max_seq", arena_printf(a, "%" PRIu64, seqs[1])},
    };
    t->pair_count = sizeof list / sizeof *list;
    t->pairs = arena_alloc(a, t->pair_count * sizeof *t->pairs);
    for (uint32_t i = 0; i < t->pair_count; i++)
        t->pairs[i] = (struct arrow_pair){str_of(list[i].key), str_of(list[i].value)};
}

/* Offsets in the file are 32 bits. */
static bool check_sizes(const struct arrow_table *t, struct err *e) {
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct arrow_column *c = &t->columns[i];
        if (c->buffers[ARROW_TEXT].n > INT32_MAX || c->dict.bytes.n > INT32_MAX || c->length >= INT32_MAX)
            return err_set(e, ERR_TOO_LARGE, "the column " STR_FMT " has over 2 GiB", STR_ARG(c->name));
    }
    return true;
}

bool segment_write(const struct arrow_table *t, const char *dir, const char *name, struct err *e) {
    char path[4096], temp[4096];
    int a = snprintf(path, sizeof path, "%s/%s", dir, name), b = snprintf(temp, sizeof temp, "%s/%s.new", dir, name);
    CHECK(a < (int)sizeof path && b < (int)sizeof temp);
    if (!check_sizes(t, e)) return err_wrap(e, "segment %s", path);
    int fd = io_open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return err_errno(e, "create %s", temp);
    bool ok = arrow_write(fd, t, e);
    if (ok && io_sync(fd, "segment.file") != 0) ok = err_errno(e, "sync");
    if (io_close(fd) != 0 && ok) ok = err_errno(e, "close");
    if (ok && io_rename(temp, path) != 0) ok = err_errno(e, "rename");
    if (!ok) {
        io_unlink(temp);
        return err_wrap(e, "segment %s", path);
    }
    if (io_sync_dir(dir, "segment.dir") == 0) return true;
    err_errno(e, "segment %s: sync of its folder", path);
    io_unlink(path);
    return false;
}
