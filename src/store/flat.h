/* FlatBuffers, as far as Arrow's metadata needs it: tables, vectors, text. Source: flatbuffers.dev, "FlatBuffers
 * internals". All little-endian, as all of our files.
 *
 * Writing goes from the front: a table is written with its references empty, and each is filled in when what it refers
 * to is written behind it. Reading trusts nothing: every offset is checked against the bytes there are; the first that
 * leads elsewhere sets `bad`, and everything read after that is absent. Any thread. */
#pragma once
#include "base/buf.h"

/* ---- writing: into a buffer that begins with the FlatBuffer ---- */

enum { FLAT_REF = 4, FLAT_ROOT = 0 };

/* What stands in a slot of a table: so many bytes (1, 2, 4, 8; 0: nothing), and their value. A reference is FLAT_REF
 * bytes that are filled in later. */
struct flat_slot {
    unsigned size;
    uint64_t value;
};

/* Makes room for the root's reference, which is FLAT_ROOT. */
void flat_begin(struct buf *b);
/* `ref` is where the reference to it stands. places[i]: where the value of slot i stands; may be NULL. */
void flat_table(struct buf *b, size_t ref, const struct flat_slot *slots, size_t count, size_t *places);
/* A vector of `count` zeroed elements; returns where the first stands. Elements of references have FLAT_REF bytes,
 * structs of more are aligned to 8. */
size_t flat_vector(struct buf *b, size_t ref, uint32_t count, size_t element);
size_t flat_text(struct buf *b, size_t ref, struct str s); /* returns where its bytes stand */

/* ---- reading ---- */

struct flat {
    const unsigned char *p;
    size_t n;
    bool bad;
};

struct flat_table {
    struct flat *in;
    size_t at, size; /* the table's own bytes */
    size_t vtable, slots;
};

struct flat_vector {
    size_t at; /* of the first element */
    uint32_t count;
};

struct flat_table flat_root(struct flat *f);
bool flat_has(const struct flat_table *t, unsigned slot);
/* A number of `size` bytes, not sign-extended. */
uint64_t flat_number(const struct flat_table *t, unsigned slot, unsigned size, uint64_t absent);
struct str flat_string(const struct flat_table *t, unsigned slot);                       /* absent: p is NULL */
struct flat_table flat_child(const struct flat_table *t, unsigned slot);                 /* absent is bad */
struct flat_vector flat_list(const struct flat_table *t, unsigned slot, size_t element); /* absent: none */
struct flat_table flat_item(struct flat *f, struct flat_vector v, uint32_t i);           /* of a vector of tables */
uint64_t flat_word(const struct flat *f, size_t at); /* 8 bytes of a vector's element */
