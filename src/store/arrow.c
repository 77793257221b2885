#include "store/arrow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/guard.h"
#include "base/io.h"
#include "store/flat.h"

const struct arrow_kind arrow_kinds[] = {
    [ARROW_U8] = {2, 8, false},       [ARROW_U16] = {2, 16, false},  [ARROW_U32] = {2, 32, false},
    [ARROW_U64] = {2, 64, false},     [ARROW_I64] = {2, 64, true},   [ARROW_F64] = {3, 64, true},
    [ARROW_TIME] = {10, 64, true},    [ARROW_UTF8] = {5, 32, true},  [ARROW_BOOL] = {6, 1, false},
    [ARROW_BYTES32] = {15, 0, false}, [ARROW_LIST] = {12, 32, true}, [ARROW_STRUCT] = {13, 0, false},
};

unsigned arrow_buffer_count(const struct arrow_column *c) {
    if (c->type == ARROW_STRUCT) return 1;
    return c->type == ARROW_UTF8 && !c->coded ? 3 : 2;
}

uint64_t arrow_buffer_size(const struct arrow_column *c, unsigned buffer) {
    if (buffer == ARROW_VALID) return c->nulls ? (c->length + 7) / 8 : 0;
    if (buffer == ARROW_TEXT) return UINT64_MAX;
    if (c->coded) return c->length * 4;
    if (c->type == ARROW_UTF8 || c->type == ARROW_LIST) return (c->length + 1) * 4;
    if (c->type == ARROW_BYTES32) return c->length * 32;
    return (c->length * arrow_kinds[c->type].bits + 7) / 8;
}

static const char zeros[ARROW_ALIGN];

uint32_t arrow_buffer_sum(const struct arrow_buffer *b) {
    if (b->in_file) return crc32c(0, b->p, arrow_padded(b->n));
    return crc32c(crc32c(0, b->p, b->n), zeros, arrow_padded(b->n) - b->n);
}

struct str arrow_pair(const struct arrow_table *t, const char *key) {
    for (uint32_t i = 0; i < t->pair_count; i++)
        if (str_is(t->pairs[i].key, key)) return t->pairs[i].value;
    return (struct str){0};
}

void arrow_sum_text(char to[ARROW_SUM], uint32_t sum) {
    for (int i = 0; i < ARROW_SUM; i++) to[i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
}

/* ---- the metadata ---- */

#define REF \
    { FLAT_REF, 0 }
#define BYTE(v) \
    { 1, (v) }
#define SHORT(v) \
    { 2, (v) }
#define INT(v) \
    { 4, (v) }
#define LONG(v) \
    { 8, (v) }
#define NOTHING \
    { 0, 0 }
#define TABLE(b, ref, places, ...)                              \
    flat_table(b, ref, (const struct flat_slot[]){__VA_ARGS__}, \
               sizeof(struct flat_slot[]){__VA_ARGS__} / sizeof(struct flat_slot), places)

static void put_at(struct buf *b, size_t at, uint64_t v) { memcpy(b->p + at, &v, sizeof v); }

static void put_type(struct buf *b, size_t ref, enum arrow_type type) {
    const struct arrow_kind *k = &arrow_kinds[type];
    size_t at[2];
    switch (type) {
    case ARROW_U8:
    case ARROW_U16:
    case ARROW_U32:
    case ARROW_U64:
    case ARROW_I64: TABLE(b, ref, NULL, INT(k->bits), BYTE(k->is_signed)); return;
    case ARROW_F64: TABLE(b, ref, NULL, SHORT(ARROW_FLOAT64)); return;
    case ARROW_TIME:
        TABLE(b, ref, at, SHORT(ARROW_MICROSECONDS), REF);
        flat_text(b, at[1], STR("UTC"));
        return;
    case ARROW_BYTES32: TABLE(b, ref, NULL, INT(32)); return;
    case ARROW_UTF8:
    case ARROW_BOOL:
    case ARROW_LIST:
    case ARROW_STRUCT: flat_table(b, ref, NULL, 0, NULL); return;
    }
}

/* Returns where the value's bytes stand. */
static size_t put_pair(struct buf *b, size_t ref, struct str key, struct str value) {
    size_t at[2];
    TABLE(b, ref, at, REF, REF);
    flat_text(b, at[0], key);
    return flat_text(b, at[1], value);
}

/* The column and what is below it; returns the column that follows. */
static uint32_t put_field(struct buf *b, size_t ref, const struct arrow_table *t, uint32_t i, uint32_t *dictionaries) {
    const struct arrow_column *c = &t->columns[i];
    size_t at[7], inner[2];
    bool own = c->field.p != NULL;
    TABLE(b, ref, at, REF, BYTE(c->nullable), BYTE(arrow_kinds[c->type].id), REF, {c->coded ? FLAT_REF : 0, 0}, REF,
          {own ? FLAT_REF : 0, 0});
    flat_text(b, at[0], c->name);
    put_type(b, at[3], c->type);
    if (c->coded) {
        TABLE(b, at[4], inner, LONG((*dictionaries)++), REF);
        TABLE(b, inner[1], NULL, INT(32), BYTE(true));
    }
    size_t children = flat_vector(b, at[5], c->children, FLAT_REF);
    if (own) {
        size_t pairs = flat_vector(b, at[6], 2, FLAT_REF);
        put_pair(b, pairs, STR("sightglass.field"), c->field);
        put_pair(b, pairs + FLAT_REF, STR("sightglass.kind"), c->kind);
    }
    uint32_t next = i + 1;
    for (uint32_t k = 0; k < c->children; k++) next = put_field(b, children + k * FLAT_REF, t, next, dictionaries);
    return next;
}

static void put_schema(struct buf *b, size_t ref, const struct arrow_table *t) {
    size_t at[2];
    uint32_t top = 0, dictionaries = 0;
    for (uint32_t i = 0; i < t->column_count; i++) top += t->columns[i].parent == 0;
    TABLE(b, ref, at, SHORT(0), REF);
    size_t fields = flat_vector(b, at[1], top, FLAT_REF);
    for (uint32_t i = 0, k = 0; i < t->column_count; k++) i = put_field(b, fields + k * FLAT_REF, t, i, &dictionaries);
}

struct node {
    uint64_t length, nulls;
};

static void put_batch(struct buf *b, size_t ref, const struct node *nodes, uint32_t node_count,
                      const struct arrow_buffer *const *buffers, uint32_t buffer_count) {
    size_t at[3];
    TABLE(b, ref, at, LONG(nodes[0].length), REF, REF);
    size_t p = flat_vector(b, at[1], node_count, ARROW_PAIR);
    for (uint32_t i = 0; i < node_count; i++, p += ARROW_PAIR)
        put_at(b, p, nodes[i].length), put_at(b, p + 8, nodes[i].nulls);
    p = flat_vector(b, at[2], buffer_count, ARROW_PAIR);
    uint64_t offset = 0;
    for (uint32_t i = 0; i < buffer_count; i++, p += ARROW_PAIR) {
        put_at(b, p, offset), put_at(b, p + 8, buffers[i]->n);
        offset += arrow_padded(buffers[i]->n);
    }
}

static size_t put_message(struct buf *b, unsigned type, uint64_t body) {
    size_t at[4];
    flat_begin(b);
    TABLE(b, FLAT_ROOT, at, SHORT(ARROW_V5), BYTE(type), REF, LONG(body));
    return at[2];
}

/* ---- the file ---- */

enum { STAGE = 1 << 18 };

struct block {
    uint64_t offset, metadata, body;
};

/* What is written goes by way of `stage`, so that small pieces don't each take a call. */
struct out {
    int fd;
    uint64_t at; /* with what is staged */
    char *stage;
    size_t staged;
    uint32_t sum; /* of the metadata */
    bool failed;
    struct err *e;
    struct buf sums; /* of the buffers, in hex */
};

static void send(struct out *o, const void *p, size_t n, uint64_t at) {
    if (o->failed || io_write_all(o->fd, p, n, (off_t)at) == 0) return;
    o->failed = true;
    if (errno == EFAULT)
        err_set(o->e, ERR_DAMAGED,
                "reading what is to be copied failed: the disk has failed there, or the file was cut");
    else
        err_errno(o->e, "write at byte %llu", (unsigned long long)at);
}

static void flush(struct out *o) {
    if (o->staged) send(o, o->stage, o->staged, o->at - o->staged);
    o->staged = 0;
}

static void put(struct out *o, const void *p, size_t n) {
    if (n > STAGE - o->staged) flush(o);
    if (n > STAGE / 4) {
        flush(o);
        send(o, p, n, o->at);
    } else if (n) {
        memcpy(o->stage + o->staged, p, n);
        o->staged += n;
    }
    o->at += n;
}

/* What is in memory that may be a mapping, and fail to be read. */
static void put_mapped(struct out *o, const void *p, size_t n) {
    struct guard g;
    if (guard_enter(&g)) {
        put(o, p, n);
        guard_leave(&g);
    } else {
        o->failed = true;
        *o->e = g.e;
    }
}

static void put_metadata(struct out *o, const void *p, size_t n) {
    o->sum = crc32c(o->sum, p, n);
    put(o, p, n);
}

/* A message and the buffers that are its body. */
static struct block put_block(struct out *o, struct buf *message, const struct arrow_buffer *const *buffers,
                              uint32_t count) {
    struct block block = {.offset = o->at};
    while ((o->at + ARROW_PREFIX + message->n) % ARROW_ALIGN) buf_addc(message, 0);
    uint32_t prefix[2] = {ARROW_CONTINUES, (uint32_t)message->n};
    put_metadata(o, prefix, sizeof prefix);
    put_metadata(o, message->p, message->n);
    block.metadata = o->at - block.offset;
    for (uint32_t i = 0; i < count; i++) {
        const struct arrow_buffer *b = buffers[i];
        char text[ARROW_SUM];
        arrow_sum_text(text, b->in_file ? b->sum : arrow_buffer_sum(b));
        buf_add(&o->sums, text, sizeof text);
        put_mapped(o, b->p, b->n);
        put(o, zeros, arrow_padded(b->n) - b->n);
    }
    block.body = o->at - block.offset - block.metadata;
    buf_free(message);
    return block;
}

static uint64_t body_size(const struct arrow_buffer *const *buffers, uint32_t count) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < count; i++) n += arrow_padded(buffers[i]->n);
    return n;
}

static struct block put_dictionary(struct out *o, uint32_t id, const struct arrow_dict *d) {
    const struct arrow_buffer none = {0}, *const buffers[] = {&none, &d->offsets, &d->bytes};
    struct buf b = {0};
    size_t at[2];
    size_t header = put_message(&b, ARROW_DICTIONARY_BATCH, body_size(buffers, 3));
    TABLE(&b, header, at, LONG(id), REF);
    put_batch(&b, at[1], &(struct node){.length = d->count}, 1, buffers, 3);
    return put_block(o, &b, buffers, 3);
}

static struct block put_rows(struct out *o, const struct arrow_table *t) {
    struct node *nodes = mem_alloc(t->column_count * sizeof *nodes);
    const struct arrow_buffer **buffers = mem_alloc(t->column_count * ARROW_BUFFERS * sizeof(struct arrow_buffer *));
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct arrow_column *c = &t->columns[i];
        nodes[i] = (struct node){c->length, c->nulls};
        for (unsigned k = 0; k < arrow_buffer_count(c); k++) {
            uint64_t size = arrow_buffer_size(c, k);
            CHECK(size == UINT64_MAX || size == c->buffers[k].n);
            buffers[count++] = &c->buffers[k];
        }
    }
    struct buf b = {0};
    size_t header = put_message(&b, ARROW_RECORD_BATCH, body_size(buffers, count));
    put_batch(&b, header, nodes, t->column_count, buffers, count);
    struct block block = put_block(o, &b, buffers, count);
    free(buffers);
    free(nodes);
    return block;
}

static void put_blocks(struct buf *b, size_t ref, const struct block *blocks, uint32_t count) {
    size_t at = flat_vector(b, ref, count, ARROW_BLOCK);
    for (uint32_t i = 0; i < count; i++, at += ARROW_BLOCK) {
        put_at(b, at, blocks[i].offset);
        put_at(b, at + 8, blocks[i].metadata);
        put_at(b, at + 16, blocks[i].body);
    }
}

/* What Arrow readers pass over: they find blocks by the footer, and read streams to the end mark. Returns where. */
static uint64_t put_summary(struct out *o, const struct arrow_buffer *b) {
    if (b->n == 0) return 0;
    put_metadata(o, zeros, arrow_padded(o->at) - o->at);
    uint64_t at = o->at;
    CHECK(b->n % ARROW_ALIGN == 0);
    put_mapped(o, b->p, b->n);
    return at;
}

static void put_summary_pair(struct buf *b, size_t ref, const struct arrow_buffer *summary, uint64_t at) {
    char text[64];
    int n = snprintf(text, sizeof text - ARROW_SUM, ARROW_SUMMARY, at, summary->n);
    arrow_sum_text(text + n, summary->in_file ? summary->sum : arrow_buffer_sum(summary));
    put_pair(b, ref, STR("summary"), (struct str){text, (size_t)n + ARROW_SUM});
}

static void put_footer(struct out *o, const struct arrow_table *t, const struct block *dictionaries, uint32_t count,
                       const struct block *rows, uint64_t summary_at) {
    struct buf b = {0};
    size_t at[5];
    char sum[ARROW_SUM];
    const bool summary = t->summary.n > 0;
    flat_begin(&b);
    TABLE(&b, FLAT_ROOT, at, SHORT(ARROW_V5), REF, REF, REF, REF);
    put_schema(&b, at[1], t);
    put_blocks(&b, at[2], dictionaries, count);
    put_blocks(&b, at[3], rows, 1);
    size_t pairs = flat_vector(&b, at[4], t->pair_count + summary + 3, FLAT_REF);
    for (uint32_t i = 0; i < t->pair_count; i++, pairs += FLAT_REF)
        put_pair(&b, pairs, t->pairs[i].key, t->pairs[i].value);
    if (summary) {
        put_summary_pair(&b, pairs, &t->summary, summary_at);
        pairs += FLAT_REF;
    }
    put_pair(&b, pairs, STR("checksums"), buf_str(&o->sums));
    arrow_sum_text(sum, o->sum);
    put_pair(&b, pairs + FLAT_REF, STR("metadata_checksum"), (struct str){sum, sizeof sum});
    size_t own = put_pair(&b, pairs + 2 * FLAT_REF, STR("footer_checksum"), STR("00000000"));
    while (b.n % 8) buf_addc(&b, 0);
    uint32_t length = (uint32_t)b.n;
    buf_add(&b, &length, sizeof length);
    buf_add(&b, ARROW_MAGIC, ARROW_MAGIC_SIZE);
    arrow_sum_text(b.p + own, crc32c(0, b.p, b.n));
    put(o, b.p, b.n);
    buf_free(&b);
}

bool arrow_write(int fd, const struct arrow_table *t, struct err *e) {
    struct out o = {.fd = fd, .e = e, .stage = mem_alloc(STAGE)};
    uint32_t dictionaries = 0, end[2] = {ARROW_CONTINUES, 0};
    struct block *blocks = mem_alloc(t->column_count * sizeof *blocks);
    struct buf b = {0};
    put_metadata(&o, ARROW_MAGIC "\0", ARROW_HEAD);
    put_schema(&b, put_message(&b, ARROW_SCHEMA, 0), t);
    put_block(&o, &b, NULL, 0);
    for (uint32_t i = 0; i < t->column_count; i++)
        if (t->columns[i].coded) {
            blocks[dictionaries] = put_dictionary(&o, dictionaries, &t->columns[i].dict);
            dictionaries++;
        }
    struct block rows = put_rows(&o, t);
    put_metadata(&o, end, sizeof end);
    uint64_t summary_at = put_summary(&o, &t->summary);
    put_footer(&o, t, blocks, dictionaries, &rows, summary_at);
    flush(&o);
    free(blocks);
    free(o.stage);
    buf_free(&o.sums);
    return !o.failed;
}
