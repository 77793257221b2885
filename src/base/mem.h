/* Memory. A process of ours that cannot get memory cannot keep its promises either: it says so and ends, and the
 * journal brings everything acknowledged back. So no caller checks for NULL. Any thread. */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t n);             /* uninitialised */
void *mem_zero(size_t count, size_t n); /* zeroed, overflow-checked */
void *mem_resize(void *p, size_t n);

/* An arena: what is allocated from it is freed all at once. One owner, one thread at a time. */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t total; /* bytes handed out */
};

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned to 16 */
void *arena_copy(struct arena *a, const void *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a); /* leaves an empty arena, ready for use */
