/* Arrow IPC files, metadata version 5, as far as segments need them: one record batch, one dictionary batch a coded
 * column, no compression, little-endian, every buffer aligned to 64 bytes in the file. Source: arrow.apache.org,
 * "Arrow Columnar Format", and the schemas in its format/ folder.
 *
 * A table is the same thing for writer and reader: its columns in pre-order, with pointers to what is in their buffers.
 * What was read can be written again, with some columns replaced.
 *
 * Checksums (CRC-32C) stand in the footer's custom metadata, in hex, 8 digits each: under "checksums" that of every
 * buffer with its padding, in the file's order; under "metadata_checksum" that of all else before the footer; and under
 * "footer_checksum", the last pair, that of the footer and what follows it, with zeros for these 8 digits. So no byte
 * of the file is without one. Where there is a summary, "summary" has its offset, its length and its checksum. Any
 * thread. */
#pragma once
#include <inttypes.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum arrow_type {
    ARROW_U8,
    ARROW_U16,
    ARROW_U32,
    ARROW_U64,
    ARROW_I64,
    ARROW_F64,
    ARROW_TIME, /* timestamp, us, UTC */
    ARROW_UTF8,
    ARROW_BOOL,
    ARROW_BYTES32,
    ARROW_LIST,
    ARROW_STRUCT,
};

struct arrow_buffer {
    const void *p;
    uint64_t n;
    bool in_file; /* it lies in a file, with its padding behind it, and `sum` is what the file says of both */
    uint32_t sum;
};

struct arrow_dict {
    uint32_t count;
    struct arrow_buffer offsets, bytes;
};

/* Places in `buffers`. Offsets are values; what they lead to is the text. */
enum { ARROW_VALID, ARROW_VALUES, ARROW_TEXT, ARROW_BUFFERS };

struct arrow_column {
    struct str name;
    struct str field, kind; /* its own metadata, "sightglass.field" and "sightglass.kind"; p NULL: none */
    enum arrow_type type;
    bool nullable;
    bool coded;        /* text in a dictionary: `type` is ARROW_UTF8, the values are int32 places in `dict` */
    uint32_t parent;   /* column + 1; 0: none */
    uint32_t children; /* they follow; of a list one */
    uint64_t length, nulls;
    struct arrow_buffer buffers[ARROW_BUFFERS];
    struct arrow_dict dict;
};

struct arrow_pair {
    struct str key, value;
};

struct arrow_table {
    struct arrow_column *columns;
    uint32_t column_count;
    struct arrow_pair *pairs; /* the footer's metadata, without the checksums */
    uint32_t pair_count;
    uint64_t rows;
    struct arrow_buffer
        summary; /* behind the end mark, where no Arrow reader looks; n 0: none; else a multiple of 64 */
};

enum { ARROW_COLUMNS_MOST = 1 << 18, ARROW_ALIGN = 64, ARROW_SUM = 8 };
static inline uint64_t arrow_padded(uint64_t n) { return (n + ARROW_ALIGN - 1) / ARROW_ALIGN * ARROW_ALIGN; }

unsigned arrow_buffer_count(const struct arrow_column *c);
/* The size that a buffer has to have; UINT64_MAX: any. */
uint64_t arrow_buffer_size(const struct arrow_column *c, unsigned buffer);
uint32_t arrow_buffer_sum(const struct arrow_buffer *b);             /* of what is there, in a file or to be written */
struct str arrow_pair(const struct arrow_table *t, const char *key); /* absent: p is NULL */

/* Writes the file from its beginning. Buffers of another file are copied with their sums, which are taken to be right;
 * when a mapping cannot be read, the error is ERR_DAMAGED. */
bool arrow_write(int fd, const struct arrow_table *t, struct err *e);

/* Checks the structure of n bytes of a file, every offset and length of it, and the two checksums of the metadata. What
 * is in the buffers is not looked at; but each has the length that its column needs. Text and buffers point into the
 * file, the rest is in the arena. */
bool arrow_read(const void *file, size_t n, struct arena *a, struct arrow_table *t, struct err *e);

/* The first half of it: the structure, and where the checksums stand. */
struct arrow_sums {
    const char *buffers, *metadata, *footer; /* their digits */
    const char *summary;                     /* NULL: there is none */
    uint32_t buffer_count;
    uint32_t metadata_sum, footer_sum; /* what they should say */
};
bool arrow_read_structure(const void *file, size_t n, struct arena *a, struct arrow_table *t, struct arrow_sums *sums,
                          struct err *e);

/* ---- between arrow.c and arrow_read.c ---- */

enum { ARROW_V5 = 4, ARROW_SCHEMA = 1, ARROW_DICTIONARY_BATCH = 2, ARROW_RECORD_BATCH = 3 };
enum { ARROW_FLOAT64 = 2, ARROW_MICROSECONDS = 2 };
enum { ARROW_BLOCK = 24, ARROW_PAIR = 16, ARROW_PREFIX = 8 }; /* bytes of structs, and before each message */
#define ARROW_MAGIC "ARROW1"
enum { ARROW_MAGIC_SIZE = 6, ARROW_HEAD = 8, ARROW_TAIL = 10 };
#define ARROW_CONTINUES 0xffffffffu

struct arrow_kind {
    uint8_t id; /* in the union Type */
    uint8_t bits;
    bool is_signed;
};
extern const struct arrow_kind arrow_kinds[];

/* What "summary" begins with: where it lies, and its length. Its checksum follows. */
#define ARROW_SUMMARY "%" PRIu64 " %" PRIu64 " "

void arrow_sum_text(char to[ARROW_SUM], uint32_t sum);
