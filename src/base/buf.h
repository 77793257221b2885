/* A growing byte buffer, and JSON written into it. The caller owns the struct and frees it with buf_free, or takes
 * the bytes away with buf_take. One thread at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap;
};

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_addz(struct buf *b, const char *z);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b, size_t *n); /* the caller frees it */
void buf_free(struct buf *b);             /* leaves an empty buffer, ready for use */
static inline struct str buf_str(const struct buf *b) { return (struct str){b->p, b->n}; }

/* JSON. Commas come by themselves: a value after a value gets one. Strings must be UTF-8; bytes that aren't are
 * written as U+FFFD, so that what leaves us always parses. Doubles are written in the shortest form that reads back
 * the same; NaN and infinities as null. */
void put_object(struct buf *b);
void put_object_end(struct buf *b);
void put_array(struct buf *b);
void put_array_end(struct buf *b);
void put_key(struct buf *b, const char *name);
void put_key_str(struct buf *b, struct str name);
void put_str(struct buf *b, struct str s);
void put_strz(struct buf *b, const char *z); /* NULL is null */
void put_int(struct buf *b, int64_t v);
void put_double(struct buf *b, double v);
void put_bool(struct buf *b, bool v);
void put_null(struct buf *b);
/* A member whose value may not be known, which is null: a text that is empty, a number that is not `known`. */
void put_text_or_null(struct buf *b, const char *name, struct str s);
void put_int_or_null(struct buf *b, const char *name, bool known, int64_t v);
void put_raw(struct buf *b, struct str json); /* bytes that are JSON already */
