#include <stdio.h>

#include "base/crc32c.h"
#include "store/arrow.h"
#include "store/flat.h"

/* What one reading knows. The first fault is in `e`. */
struct in {
    const char *file;
    uint64_t n, footer_at;
    struct arena *a;
    struct arrow_table *t;
    struct arrow_sums *sums;
    struct err *e;
    uint32_t dictionaries, buffers; /* so far */
    struct str summary;             /* what the footer says of it; p NULL: nothing */
};

static bool wrong(const struct in *in, const char *what) { return err_set(in->e, ERR_DAMAGED, "%s", what); }

/* ---- the schema ---- */

static bool read_type(struct in *in, const struct flat_table *field, struct arrow_column *c) {
    uint8_t id = (uint8_t)flat_number(field, 2, 1, 0);
    struct flat_table type = flat_child(field, 3);
    for (unsigned i = 0; i <= ARROW_STRUCT; i++) {
        const struct arrow_kind *k = &arrow_kinds[i];
        if (k->id != id) continue;
        c->type = (enum arrow_type)i;
        switch (c->type) {
        case ARROW_U8:
        case ARROW_U16:
        case ARROW_U32:
        case ARROW_U64:
        case ARROW_I64:
            if (flat_number(&type, 0, 4, 0) == k->bits && flat_number(&type, 1, 1, 0) == k->is_signed) return true;
            continue;
        case ARROW_F64: return flat_number(&type, 0, 2, 0) == ARROW_FLOAT64 || wrong(in, "a number is no double");
        case ARROW_TIME:
            return (flat_number(&type, 0, 2, 0) == ARROW_MICROSECONDS && str_is(flat_string(&type, 1), "UTC")) ||
                   wrong(in, "a time is not in microseconds of UTC");
        case ARROW_BYTES32: return flat_number(&type, 0, 4, 0) == 32 || wrong(in, "a hash has not 32 bytes");
        case ARROW_UTF8:
        case ARROW_BOOL:
        case ARROW_LIST:
        case ARROW_STRUCT: return true;
        }
    }
    return wrong(in, "a column is of a type that segments don't have");
}

static bool read_dictionary(struct in *in, const struct flat_table *field, struct arrow_column *c) {
    if (!(c->coded = flat_has(field, 4))) return true;
    struct flat_table d = flat_child(field, 4), index = flat_child(&d, 1);
    bool int32 = flat_number(&index, 0, 4, 0) == 32 && flat_number(&index, 1, 1, 0) == 1;
    return (c->type == ARROW_UTF8 && int32 && flat_number(&d, 0, 8, 0) == in->dictionaries++) ||
           wrong(in, "a dictionary has another number, or is of another type");
}

static bool read_field_metadata(struct in *in, const struct flat_table *field, struct arrow_column *c) {
    struct flat_vector pairs = flat_list(field, 6, FLAT_REF);
    for (uint32_t i = 0; i < pairs.count; i++) {
        struct flat_table pair = flat_item(field->in, pairs, i);
        struct str key = flat_string(&pair, 0), value = flat_string(&pair, 1);
        if (i == 0 && str_is(key, "sightglass.field")) c->field = value;
        if (i == 1 && str_is(key, "sightglass.kind")) c->kind = value;
    }
    return (pairs.count == (c->field.p ? 2 : 0) && !c->field.p == !c->kind.p) ||
           wrong(in, "a column's own metadata is not as we write it");
}

/* The column and what is below it. Without columns to fill they are only counted: there may be as many as a file can
 * name, but not many more, however often it names the same one. */
static bool read_field(struct in *in, struct flat_table field, uint32_t parent, unsigned depth) {
    struct arrow_table *t = in->t;
    struct flat_vector children = flat_list(&field, 5, FLAT_REF);
    uint32_t own = t->column_count + 1;
    if (own > ARROW_COLUMNS_MOST || depth > 3) return wrong(in, "more columns, or deeper, than a segment can have");
    t->column_count = own;
    if (t->columns) {
        struct arrow_column *c = &t->columns[own - 1];
        c->name = flat_string(&field, 0);
        c->nullable = flat_number(&field, 1, 1, 0) != 0;
        c->parent = parent;
        c->children = children.count;
        if (!read_type(in, &field, c) || !read_dictionary(in, &field, c) || !read_field_metadata(in, &field, c))
            return false;
        bool fits = c->type == ARROW_LIST ? children.count == 1 : c->type == ARROW_STRUCT || children.count == 0;
        if (!c->name.p || !fits) return wrong(in, "a column has no name, or not the children that its type has");
    }
    for (uint32_t i = 0; i < children.count && !field.in->bad; i++)
        if (!read_field(in, flat_item(field.in, children, i), own, depth + 1)) return false;
    return !field.in->bad || wrong(in, "the schema leads outside of the footer");
}

static bool read_schema(struct in *in, const struct flat_table *footer) {
    struct flat_table schema = flat_child(footer, 1);
    struct flat_vector fields = flat_list(&schema, 1, FLAT_REF);
    if (flat_number(&schema, 0, 2, 0) != 0) return wrong(in, "the file is big-endian");
    for (int pass = 0; pass < 2; pass++) {
        if (pass) in->t->columns = arena_alloc(in->a, in->t->column_count * sizeof *in->t->columns);
        in->t->column_count = 0;
        for (uint32_t i = 0; i < fields.count && !footer->in->bad; i++)
            if (!read_field(in, flat_item(footer->in, fields, i), 0, 0)) return false;
    }
    return (!footer->in->bad && in->t->column_count) || wrong(in, "there is no schema");
}

/* ---- messages ---- */

struct block {
    uint64_t offset, metadata, body;
};

static struct block read_block(const struct flat *f, struct flat_vector blocks, uint32_t i) {
    size_t at = blocks.at + (size_t)i * ARROW_BLOCK;
    return (struct block){flat_word(f, at), (uint32_t)flat_word(f, at + 8), flat_word(f, at + 16)};
}

/* A message at a place: what the prefix says of its length, 0 if it doesn't lie before the footer. */
static uint64_t message_size(const struct in *in, uint64_t at) {
    uint32_t prefix[2];
    if (at > in->footer_at || in->footer_at - at < sizeof prefix) return 0;
    memcpy(prefix, in->file + at, sizeof prefix);
    if (prefix[0] != ARROW_CONTINUES || prefix[1] > in->footer_at - at - sizeof prefix) return 0;
    return prefix[1] + sizeof prefix;
}

/* Buffers lie one behind the other, each padded, and fill the body. */
struct batch {
    struct flat flat;
    const char *body;
    uint64_t body_size, used;
    struct flat_vector nodes, buffers;
    uint32_t next;
};

static bool begin_batch(struct in *in, const struct block *block, uint64_t *at, unsigned type, struct batch *batch,
                        struct flat_table *header) {
    uint64_t size = message_size(in, *at);
    if (block->offset != *at || size == 0 || size != block->metadata || (*at + size) % ARROW_ALIGN ||
        block->body > in->footer_at - *at - size)
        return wrong(in, "a block is not where the one before it ends, or too long");
    *batch = (struct batch){.body = in->file + *at + size, .body_size = block->body};
    batch->flat = (struct flat){(const unsigned char *)in->file + *at + ARROW_PREFIX, size - ARROW_PREFIX, false};
    struct flat_table message = flat_root(&batch->flat);
    if (flat_number(&message, 0, 2, 0) != ARROW_V5 || flat_number(&message, 1, 1, 0) != type ||
        flat_number(&message, 3, 8, 0) != block->body)
        return wrong(in, "a block is no message of version 5, of the kind and length that the footer says");
    *header = flat_child(&message, 2);
    *at += size + block->body;
    return true;
}

static bool begin_buffers(struct in *in, struct batch *b, const struct flat_table *header) {
    b->nodes = flat_list(header, 1, ARROW_PAIR);
    b->buffers = flat_list(header, 2, ARROW_PAIR);
    if (b->flat.bad || flat_has(header, 3)) return wrong(in, "a record batch is damaged or compressed");
    return true;
}

static bool next_buffer(struct in *in, struct batch *b, uint64_t size, struct arrow_buffer *out) {
    if (b->next == b->buffers.count) return wrong(in, "there are fewer buffers than columns need");
    size_t at = b->buffers.at + (size_t)b->next++ * ARROW_PAIR;
    uint64_t offset = flat_word(&b->flat, at), n = flat_word(&b->flat, at + 8);
    if (offset != b->used || n > INT64_MAX / 2 || arrow_padded(n) > b->body_size - b->used)
        return wrong(in, "a buffer is not where the one before it ends, or too long");
    if (size == UINT64_MAX ? n > INT32_MAX : n != size) return wrong(in, "a buffer is not as long as its column needs");
    *out = (struct arrow_buffer){.p = b->body + offset, .n = n, .in_file = true};
    b->used += arrow_padded(n);
    in->buffers++;
    return true;
}

static bool end_batch(struct in *in, const struct batch *b) {
    return (b->used == b->body_size && b->next == b->buffers.count) || wrong(in, "a block holds more than its buffers");
}

static bool read_dictionary_batch(struct in *in, const struct block *block, uint64_t *at, uint32_t id,
                                  struct arrow_dict *d) {
    struct batch b;
    struct flat_table header;
    struct arrow_buffer validity;
    if (!begin_batch(in, block, at, ARROW_DICTIONARY_BATCH, &b, &header)) return false;
    struct flat_table data = flat_child(&header, 1);
    uint64_t count = flat_number(&data, 0, 8, 0);
    if (flat_number(&header, 0, 8, 0) != id || flat_number(&header, 2, 1, 0) != 0 || count >= INT32_MAX)
        return wrong(in, "a dictionary has another number, or is an addition to one");
    d->count = (uint32_t)count;
    return begin_buffers(in, &b, &data) && next_buffer(in, &b, 0, &validity) &&
           next_buffer(in, &b, (count + 1) * 4, &d->offsets) && next_buffer(in, &b, UINT64_MAX, &d->bytes) &&
           end_batch(in, &b);
}

static bool read_rows(struct in *in, const struct block *block, uint64_t *at) {
    struct arrow_table *t = in->t;
    struct batch b;
    struct flat_table header;
    if (!begin_batch(in, block, at, ARROW_RECORD_BATCH, &b, &header) || !begin_buffers(in, &b, &header)) return false;
    t->rows = flat_number(&header, 0, 8, 0);
    if (t->rows > INT32_MAX || b.nodes.count != t->column_count) return wrong(in, "the rows don't fit the schema");
    for (uint32_t i = 0; i < t->column_count; i++) {
        struct arrow_column *c = &t->columns[i];
        const struct arrow_column *parent = c->parent ? &t->columns[c->parent - 1] : NULL;
        size_t node = b.nodes.at + (size_t)i * ARROW_PAIR;
        c->length = flat_word(&b.flat, node);
        c->nulls = flat_word(&b.flat, node + 8);
        if (c->length >= INT32_MAX || c->nulls > (c->nullable ? c->length : 0))
            return wrong(in, "a column is too long, or has nulls that it must not have");
        if (!parent ? c->length != t->rows : parent->type == ARROW_STRUCT && c->length != parent->length)
            return wrong(in, "a column is not as long as those beside it");
        for (unsigned k = 0; k < arrow_buffer_count(c); k++)
            if (!next_buffer(in, &b, arrow_buffer_size(c, k), &c->buffers[k])) return false;
    }
    return end_batch(in, &b);
}

/* ---- the footer ---- */

static bool read_pairs(struct in *in, const struct flat_table *footer) {
    struct flat_vector pairs = flat_list(footer, 4, FLAT_REF);
    struct arrow_sums *s = in->sums;
    struct str sums = {0}, metadata = {0}, own = {0};
    in->t->pairs = arena_alloc(in->a, pairs.count * sizeof *in->t->pairs);
    for (uint32_t i = 0; i < pairs.count && !footer->in->bad; i++) {
        struct flat_table t = flat_item(footer->in, pairs, i);
        struct arrow_pair pair = {flat_string(&t, 0), flat_string(&t, 1)};
        struct str *sum = str_is(pair.key, "checksums")           ? &sums
                          : str_is(pair.key, "metadata_checksum") ? &metadata
                          : str_is(pair.key, "footer_checksum")   ? &own
                          : str_is(pair.key, "summary")           ? &in->summary
                                                                  : NULL;
        if (sum)
            *sum = pair.value;
        else
            in->t->pairs[in->t->pair_count++] = pair;
    }
    if (footer->in->bad || !sums.p || sums.n % ARROW_SUM || metadata.n != ARROW_SUM || own.n != ARROW_SUM)
        return wrong(in, "the footer has no checksums: this is no file of Sightglass, or it was rewritten");
    *s = (struct arrow_sums){.buffers = sums.p, .metadata = metadata.p, .footer = own.p};
    s->buffer_count = (uint32_t)(sums.n / ARROW_SUM);
    s->footer_sum = crc32c(0, in->file + in->footer_at, (size_t)(own.p - in->file) - in->footer_at);
    s->footer_sum = crc32c(s->footer_sum, "00000000", ARROW_SUM);
    const char *after = own.p + ARROW_SUM;
    s->footer_sum = crc32c(s->footer_sum, after, (size_t)(in->file + in->n - after));
    return true;
}

static bool find_footer(struct in *in, struct flat *f) {
    uint32_t length;
    if (in->n < ARROW_HEAD + ARROW_TAIL || memcmp(in->file, ARROW_MAGIC "\0", ARROW_HEAD) != 0)
        return wrong(in, "this is no Arrow file");
    const char *tail = in->file + in->n - ARROW_TAIL;
    memcpy(&length, tail, sizeof length);
    if (memcmp(tail + sizeof length, ARROW_MAGIC, ARROW_MAGIC_SIZE) != 0) return wrong(in, "the end is missing");
    if (length > in->n - ARROW_HEAD - ARROW_TAIL) return wrong(in, "the footer is longer than the file");
    in->footer_at = in->n - ARROW_TAIL - length;
    *f = (struct flat){(const unsigned char *)in->file + in->footer_at, length, false};
    return true;
}

/* Between the end mark and the footer is nothing, or a summary as the footer says; sets *end to where metadata ends. */
static bool read_summary(struct in *in, uint64_t *end) {
    struct arrow_buffer *b = &in->t->summary;
    char place[64];
    if (!in->summary.p) return *end == in->footer_at || wrong(in, "the footer is not where the rows end");
    *end = arrow_padded(*end);
    if (*end >= in->footer_at || (in->footer_at - *end) % ARROW_ALIGN)
        return wrong(in, "there is no summary before the footer, though the footer speaks of one");
    *b = (struct arrow_buffer){.p = in->file + *end, .n = in->footer_at - *end, .in_file = true};
    size_t n = (size_t)snprintf(place, sizeof place, ARROW_SUMMARY, *end, b->n);
    if (in->summary.n != n + ARROW_SUM || memcmp(in->summary.p, place, n) != 0)
        return wrong(in, "the summary is not where the footer says");
    in->sums->summary = in->summary.p + n;
    return true;
}

/* Everything between the head and the footer, one behind the other. */
static bool read_blocks(struct in *in, const struct flat_table *footer) {
    const struct flat *f = footer->in;
    struct arrow_table *t = in->t;
    struct flat_vector dictionaries = flat_list(footer, 2, ARROW_BLOCK), rows = flat_list(footer, 3, ARROW_BLOCK);
    if (f->bad || rows.count != 1 || dictionaries.count != in->dictionaries)
        return wrong(in, "there is not one record batch, and one dictionary a column");
    uint64_t at = ARROW_HEAD, size = message_size(in, at);
    uint32_t sum = crc32c(0, in->file, ARROW_HEAD + size), next = 0;
    const uint64_t end_mark = 2 * sizeof(uint32_t);
    at += size;
    for (uint32_t i = 0; i < t->column_count; i++) {
        if (!t->columns[i].coded) continue;
        struct block block = read_block(f, dictionaries, next);
        uint64_t from = at;
        if (!read_dictionary_batch(in, &block, &at, next++, &t->columns[i].dict)) return false;
        sum = crc32c(sum, in->file + from, block.metadata);
    }
    struct block block = read_block(f, rows, 0);
    uint64_t from = at;
    if (!read_rows(in, &block, &at)) return false;
    sum = crc32c(sum, in->file + from, block.metadata);
    uint64_t behind = at + end_mark;
    if (behind > in->footer_at) return wrong(in, "the footer is not where the rows end");
    if (!read_summary(in, &behind)) return false;
    in->sums->metadata_sum = crc32c(sum, in->file + at, behind - at);
    return true;
}

bool arrow_read_structure(const void *file, size_t n, struct arena *a, struct arrow_table *t, struct arrow_sums *sums,
                          struct err *e) {
    struct in in = {.file = file, .n = n, .a = a, .t = t, .sums = sums, .e = e};
    struct flat f;
    *t = (struct arrow_table){0};
    if (!find_footer(&in, &f)) return false;
    struct flat_table footer = flat_root(&f);
    if (f.bad || flat_number(&footer, 0, 2, 0) != ARROW_V5) return wrong(&in, "there is no footer of version 5");
    if (!read_pairs(&in, &footer) || !read_schema(&in, &footer) || !read_blocks(&in, &footer)) return false;
    return in.buffers == sums->buffer_count || wrong(&in, "there is not one checksum a buffer");
}

static bool is_sum(const char *digits, uint32_t sum) {
    char text[ARROW_SUM];
    arrow_sum_text(text, sum);
    return memcmp(text, digits, sizeof text) == 0;
}

static bool read_sum(const char **digits, struct arrow_buffer *b) {
    static const char hex[] = "0123456789abcdef";
    uint32_t sum = 0;
    for (int i = 0; i < ARROW_SUM; i++) {
        const char *digit = memchr(hex, *(*digits)++, 16);
        if (!digit) return false;
        sum = sum << 4 | (uint32_t)(digit - hex);
    }
    b->sum = sum;
    return true;
}

static bool read_sums(struct arrow_table *t, const struct arrow_sums *sums) {
    const char *digits = sums->buffers;
    struct arrow_buffer validity;
    bool ok = true;
    for (uint32_t i = 0; i < t->column_count; i++) {
        struct arrow_dict *d = &t->columns[i].dict;
        if (t->columns[i].coded)
            ok = ok && read_sum(&digits, &validity) && read_sum(&digits, &d->offsets) && read_sum(&digits, &d->bytes);
    }
    for (uint32_t i = 0; i < t->column_count; i++)
        for (unsigned k = 0; k < arrow_buffer_count(&t->columns[i]); k++)
            ok = ok && read_sum(&digits, &t->columns[i].buffers[k]);
    digits = sums->summary;
    return ok && (!digits || read_sum(&digits, &t->summary));
}

bool arrow_read(const void *file, size_t n, struct arena *a, struct arrow_table *t, struct err *e) {
    struct arrow_sums sums;
    if (!arrow_read_structure(file, n, a, t, &sums, e)) return false;
    if (!is_sum(sums.footer, sums.footer_sum)) return err_set(e, ERR_DAMAGED, "the footer's checksum is wrong");
    if (!is_sum(sums.metadata, sums.metadata_sum))
        return err_set(e, ERR_DAMAGED, "the checksum of what is before the buffers is wrong");
    return read_sums(t, &sums) || err_set(e, ERR_DAMAGED, "the buffers' checksums are not hexadecimal");
}
