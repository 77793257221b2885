#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void *mem_alloc(size_t n) {
    void *p = malloc(n ? n : 1);
    CHECK(p && "out of memory");
    return p;
}

void *mem_zero(size_t count, size_t n) {
    void *p = calloc(count ? count : 1, n ? n : 1);
    CHECK(p && "out of memory");
    return p;
}

void *mem_resize(void *p, size_t n) {
    p = realloc(p, n ? n : 1);
    CHECK(p && "out of memory");
    return p;
}

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char bytes[];
};

enum { ARENA_BLOCK = 8192 };

void *arena_alloc(struct arena *a, size_t n) {
    CHECK(n < SIZE_MAX / 2);
    size_t need = (n + 15) & ~(size_t)15;
    struct arena_block *b = a->head;
    if (!b || b->size - b->used < need) {
        size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        b = mem_alloc(sizeof *b + size);
        b->next = a->head;
        b->used = 0;
        b->size = size;
        a->head = b;
    }
    void *p = b->bytes + b->used;
    b->used += need;
    a->total += need;
    return memset(p, 0, n);
}

void *arena_copy(struct arena *a, const void *p, size_t n) {
    void *to = arena_alloc(a, n);
    return n ? memcpy(to, p, n) : to;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *text = arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

void arena_free(struct arena *a) {
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}
