#include "store/pending.h"

#include <stdlib.h>

#include "base/check.h"

/* What a write takes: one piece of memory, its value's text included. */
struct pending_memory {
    struct pending_memory *next; /* in pending_id.current */
    struct pending_write write;
    char text[];
};

/* What a reader may still hold: a table of ids, or writes and maybe the id they were of. */
struct pending_removed {
    struct pending_removed *next;
    uint64_t generation;
    struct pending_id *id;
    const struct pending_write *writes;
    void *table;
};

enum { MALLOC_EXTRA = 8 }; /* what malloc keeps beside a piece of memory */

static size_t id_bytes(const struct pending_id *i) { return sizeof *i + i->ident.length + MALLOC_EXTRA; }
static size_t write_bytes(const struct pending_write *w) {
    return sizeof(struct pending_memory) + (w->value.type == VALUE_STRING ? w->value.text.n : 0) + MALLOC_EXTRA;
}

static void count_bytes(struct pending *p, size_t more, size_t less) {
    atomic_store_explicit(&p->bytes, atomic_load_explicit(&p->bytes, memory_order_relaxed) + more - less,
                          memory_order_relaxed);
}

static struct pending_id *of_ident(const struct ident *i) {
    return i ? (struct pending_id *)((char *)i - offsetof(struct pending_id, ident)) : NULL;
}

struct pending *pending_new(int64_t ttl_us) {
    struct pending *p = mem_zero(1, sizeof *p);
    p->ids = id_table_new();
    p->ttl_us = ttl_us;
    p->bytes = sizeof *p + id_table_bytes(p->ids);
    return p;
}

/* Up to `most` writes; what is left of them. */
static const struct pending_write *free_writes(struct pending *p, const struct pending_write *w, size_t *most) {
    for (const struct pending_write *older; w && *most; w = older, --*most) {
        older = w->older;
        count_bytes(p, 0, write_bytes(w));
        free((char *)w - offsetof(struct pending_memory, write));
    }
    return w;
}

static void free_id(void *ctx, struct ident *i) {
    size_t all = SIZE_MAX;
    free_writes(ctx, pending_newest(of_ident(i)), &all);
    free(of_ident(i));
}

void pending_free(struct pending *p) {
    if (!p) return;
    while (pending_reap(p, UINT64_MAX)) {}
    id_table_each(p->ids, free_id, p);
    id_table_free(p->ids);
    free(p);
}

/* ---- readers ---- */

struct pending_id *pending_find(const struct pending *p, uint64_t hash, struct str id) {
    return of_ident(id_table_find(p->ids, hash, id));
}

static bool live(const struct pending *p, const struct pending_write *last, int64_t now_us) {
    int64_t until;
    return p->ttl_us == 0 || __builtin_add_overflow(last->time_us, p->ttl_us, &until) || until >= now_us;
}

bool pending_live(const struct pending *p, const struct pending_id *i, int64_t now_us) {
    return live(p, pending_newest(i), now_us);
}

struct each {
    void (*call)(void *ctx, const struct pending_id *i);
    void *ctx;
};
static void each_id(void *ctx, struct ident *i) {
    const struct each *e = ctx;
    e->call(e->ctx, of_ident(i));
}
void pending_each(const struct pending *p, void (*call)(void *ctx, const struct pending_id *i), void *ctx) {
    id_table_each(p->ids, each_id, &(struct each){call, ctx});
}

/* ---- the writer ---- */

static void keep(struct pending *p, uint64_t generation, struct pending_removed what) {
    struct pending_removed *r = mem_alloc(sizeof *r);
    what.generation = generation;
    *r = what;
    if (p->removed_last) p->removed_last->next = r;
    else p->removed = r;
    p->removed_last = r;
    atomic_fetch_add_explicit(&p->removed_count, 1, memory_order_relaxed);
}

/* After a change to the table, which took `before`. */
static void keep_tables(struct pending *p, size_t before, uint64_t generation) {
    count_bytes(p, id_table_bytes(p->ids), before);
    for (void *table; (table = id_table_take_replaced(p->ids));) keep(p, generation, (struct pending_removed){.table = table});
}

static struct pending_id *id_new(struct pending *p, uint64_t hash, struct str id) {
    CHECK(id.n <= UINT32_MAX);
    struct pending_id *i = mem_zero(1, sizeof *i + id.n);
    i->ident.hash = hash;
    i->ident.length = (uint32_t)id.n;
    if (id.n) memcpy(i->ident.bytes, id.p, id.n);
    count_bytes(p, id_bytes(i), 0);
    return i;
}

static struct pending_memory *write_new(struct pending *p, const struct pending_write *w,
                                        const struct pending_write *older) {
    struct str text = w->value.type == VALUE_STRING ? w->value.text : (struct str){0};
    struct pending_memory *m = mem_alloc(sizeof *m + text.n);
    m->write = *w;
    m->write.older = older;
    if (text.n) m->write.value.text.p = memcpy(m->text, text.p, text.n);
    count_bytes(p, write_bytes(&m->write), 0);
    return m;
}

bool pending_set(struct pending *p, uint64_t hash, struct str id, const struct pending_write *w, uint64_t generation) {
    struct pending_id *i = pending_find(p, hash, id);
    bool there = i != NULL, anew = there && !pending_live(p, i, w->time_us);
    struct pending_memory *none = NULL, **now = there && !anew ? &i->current : &none;
    while (*now && (*now)->write.field != w->field) now = &(*now)->next;
    if (value_eq(*now ? &(*now)->write.value : &(struct value){.type = VALUE_NONE}, &w->value)) return false;

    if (*now) *now = (*now)->next;
    if (!there) i = id_new(p, hash, id);
    if (anew) {
        keep(p, generation, (struct pending_removed){.writes = pending_newest(i)});
        i->current = NULL;
        atomic_fetch_add_explicit(&p->expired, 1, memory_order_relaxed);
    }
    struct pending_memory *m = write_new(p, w, anew || !there ? NULL : pending_newest(i));
    m->next = i->current;
    i->current = m;
    atomic_store_explicit(&i->newest, &m->write, memory_order_release);
    if (!there) {
        size_t before = id_table_bytes(p->ids);
        id_table_add(p->ids, &i->ident);
        keep_tables(p, before, generation);
    }
    return true;
}

void pending_remove(struct pending *p, struct pending_id *i, uint64_t generation) {
    size_t before = id_table_bytes(p->ids);
    id_table_remove(p->ids, &i->ident);
    keep(p, generation, (struct pending_removed){.id = i, .writes = pending_newest(i)});
    keep_tables(p, before, generation);
}

bool pending_reap(struct pending *p, uint64_t oldest_generation) {
    size_t most = PENDING_REAP_MOST;
    for (struct pending_removed *r; (r = p->removed) && r->generation < oldest_generation;) {
        r->writes = free_writes(p, r->writes, &most);
        if (r->writes) return true;
        if (r->id) count_bytes(p, 0, id_bytes(r->id));
        free(r->id);
        free(r->table);
        p->removed = r->next;
        if (!p->removed) p->removed_last = NULL;
        free(r);
        atomic_fetch_sub_explicit(&p->removed_count, 1, memory_order_relaxed);
    }
    return false;
}
