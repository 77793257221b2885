#include "base/buf.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void buf_reserve(struct buf *b, size_t more) {
    size_t need;
    CHECK(!__builtin_add_overflow(b->n, more, &need));
    if (need <= b->cap) return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < need) cap += cap / 2;
    b->p = mem_resize(b->p, cap);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n) {
    if (n == 0) return;
    buf_reserve(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_add_str(struct buf *b, struct str s) { buf_add(b, s.p, s.n); }
void buf_addz(struct buf *b, const char *z) { buf_add(b, z, strlen(z)); }
void buf_addc(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    buf_reserve(b, (size_t)n + 1);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

char *buf_take(struct buf *b, size_t *n) {
    char *p = b->p ? b->p : mem_alloc(1);
    if (n) *n = b->n;
    *b = (struct buf){0};
    return p;
}

void buf_free(struct buf *b) {
    free(b->p);
    *b = (struct buf){0};
}

/* A comma is due unless the last byte opened something, named something, or is a comma or line end. */
static void comma(struct buf *b) {
    if (b->n && !strchr("{[:,\n", b->p[b->n - 1])) buf_addc(b, ',');
}

void put_object(struct buf *b) { comma(b), buf_addc(b, '{'); }
void put_object_end(struct buf *b) { buf_addc(b, '}'); }
void put_array(struct buf *b) { comma(b), buf_addc(b, '['); }
void put_array_end(struct buf *b) { buf_addc(b, ']'); }
void put_null(struct buf *b) { comma(b), buf_addz(b, "null"); }
void put_bool(struct buf *b, bool v) { comma(b), buf_addz(b, v ? "true" : "false"); }
void put_int(struct buf *b, int64_t v) { comma(b), buf_printf(b, "%" PRId64, v); }
void put_raw(struct buf *b, struct str json) { comma(b), buf_add_str(b, json); }
void put_key(struct buf *b, const char *name) { put_key_str(b, str_of(name)); }
void put_key_str(struct buf *b, struct str name) { put_str(b, name), buf_addc(b, ':'); }

void put_double(struct buf *b, double v) {
    if (!isfinite(v)) {
        put_null(b);
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    comma(b);
    buf_addz(b, text);
}

/* Length of the UTF-8 sequence at p, 0 if it isn't one. */
static size_t utf8_len(const char *p, size_t n) {
    for (size_t len = 1; len <= 4 && len <= n; len++)
        if (str_is_utf8((struct str){p, len})) return len;
    return 0;
}

void put_str(struct buf *b, struct str s) {
    comma(b);
    buf_reserve(b, s.n + 2);
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n;) {
        size_t run = i;
        while (run < s.n && (unsigned char)s.p[run] >= 0x20 && (unsigned char)s.p[run] < 0x7f && s.p[run] != '"' &&
               s.p[run] != '\\')
            run++;
        buf_add(b, s.p + i, run - i);
        if ((i = run) == s.n) break;
        unsigned char c = (unsigned char)s.p[i];
        size_t len = c < 0x80 ? 1 : utf8_len(s.p + i, s.n - i);
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n')
            buf_addz(b, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\u%04x", c);
        else if (len == 0)
            buf_addz(b, "\xef\xbf\xbd");
        else
            buf_add(b, s.p + i, len);
        i += len ? len : 1;
    }
    buf_addc(b, '"');
}

void put_strz(struct buf *b, const char *z) {
    if (z)
        put_str(b, str_of(z));
    else
        put_null(b);
}

void put_text_or_null(struct buf *b, const char *name, struct str s) {
    put_key(b, name);
    if (s.n)
        put_str(b, s);
    else
        put_null(b);
}

void put_int_or_null(struct buf *b, const char *name, bool known, int64_t v) {
    put_key(b, name);
    if (known)
        put_int(b, v);
    else
        put_null(b);
}
