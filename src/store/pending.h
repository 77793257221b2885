/* Metadata of ids that no inference has yet, in one workspace. When the inference arrives the writer gives it what waits
 * here; what nobody comes for is dropped `ttl` after its last write.
 *
 * Whether an id still waits at some moment depends on that moment and its last write alone, so that replay comes to the
 * same end: pending_live. Taking out what has expired only gives memory back.
 *
 * Owner: the store. One thread changes it (the writer), any look things up at the same time. What was taken out may
 * still be read by whoever found it: it is kept until no reader holds a view of the generation of then, or an older one
 * (pending_reap). */
#pragma once
#include "record/record.h"
#include "store/ids.h"

/* One write of one field; never changes. */
struct pending_write {
    const struct pending_write *older;
    uint64_t seq;
    int64_t time_us;
    uint32_t key_id, field; /* field: of the workspace */
    struct value value;     /* VALUE_NONE: removed */
};

struct pending_id {
    const struct pending_write *_Atomic newest; /* of all fields */
    struct pending_memory *current;             /* the writer's: the newest write of each field */
    struct ident ident;
};

struct pending {
    struct id_table *ids;
    int64_t ttl_us;
    _Atomic size_t bytes;    /* about what it takes, what was taken out included */
    _Atomic uint64_t expired; /* ids dropped since the start */
    struct pending_removed *removed, *removed_last; /* not yet given back, oldest first: the writer's */
    _Atomic uint32_t removed_count;                 /* of them: whether pending_reap has anything to do */
};

struct pending *pending_new(int64_t ttl_us); /* 0: for ever */
void pending_free(struct pending *p);

/* ---- readers ---- */

static inline const struct pending_write *pending_newest(const struct pending_id *i) {
    return atomic_load_explicit(&i->newest, memory_order_acquire);
}
struct pending_id *pending_find(const struct pending *p, uint64_t hash, struct str id); /* expired or not; NULL */
bool pending_live(const struct pending *p, const struct pending_id *i, int64_t now_us);
void pending_each(const struct pending *p, void (*call)(void *ctx, const struct pending_id *i), void *ctx);
static inline uint32_t pending_count(const struct pending *p) { return id_table_count(p->ids); }

/* ---- the writer ---- generation: of the view that readers get at this moment; it never goes down ---- */

/* A write at the moment w->time_us. An id that has expired by then starts anew, without what it had. False: that was
 * the value already. */
bool pending_set(struct pending *p, uint64_t hash, struct str id, const struct pending_write *w, uint64_t generation);
void pending_remove(struct pending *p, struct pending_id *i, uint64_t generation);

/* Gives back what was taken out under generations before the oldest that a reader holds, at most PENDING_REAP_MOST
 * writes, so that a million ids that expire together don't hold up the writer. True: there is more. */
enum { PENDING_REAP_MOST = 4096 };
bool pending_reap(struct pending *p, uint64_t oldest_generation);
