/* Everything a query can reach in one workspace, at one moment. Immutable in shape: a chunk's rows and cells and an
 * overlay's cells go on being written, everything else stays as it is while the view is held. A row is in exactly one
 * part of a view.
 *
 * What is asked by id: what waits first (pending_find), then chunks, then segments. The writer moves an id the other
 * way only after it stands in the new place.
 *
 * Owner: the store; whoever got it from store_view gives it back with view_release. Any thread. */
#pragma once
#include <stdatomic.h>

#include "store/chunk.h"
#include "store/directory.h"
#include "store/fields.h"
#include "store/overlay.h"
#include "store/pending.h"
#include "store/segment.h"

/* Frozen chunks that may wait for the keeper before inferences are refused; replay may need more. */
enum { FROZEN_MOST = 2, CHUNKS_MOST = 32 };

/* In a map: the row was erased. */
#define ROW_GONE UINT32_MAX

/* A segment with what was attached since. */
struct sealed {
    struct segment *segment;
    struct overlay *overlay;
    uint32_t slot; /* in the directory */
    int64_t received_us; /* the latest receipt of its rows; INT64_MAX: not known. The keeper's */

    /* The store's own: what took its place. */
    struct sealed *into;
    uint32_t *map; /* row -> row there, or ROW_GONE; NULL: the same */
    uint32_t users; /* views that hold it */
    char *path;     /* of its file, which goes with it when `into` or `dropped` says so */
    bool dropped; /* by retention; set by the writer */
    bool going;   /* about to be: the keeper's */
    _Atomic bool set_aside; /* damaged: queries leave it out and say so */
};

struct view {
    _Atomic uint32_t readers;
    uint64_t generation;
    struct view *newer; /* the store's list of those not yet freed */

    struct chunk *chunks[CHUNKS_MOST]; /* the open one first, then the frozen ones, newest first */
    size_t chunk_count;
    struct sealed **sealed; /* the one with the latest row first */
    size_t sealed_count;
    struct sealed **slots; /* by directory slot, up to slot_count; NULL: not in this view */
    size_t slot_count;

    struct directory *directory;
    struct pending *pending;
    struct fields *fields;
    uint8_t store_id[16];
    _Atomic bool *aside;         /* whether a segment of the workspace was ever set aside since the start */
    const _Atomic uint64_t *seq; /* of the newest record applied in the workspace */
};

struct store;
/* NULL for a workspace that holds nothing yet. */
struct view *store_view(struct store *s, uint32_t workspace);
void view_release(struct view *v); /* v may be NULL */

/* The rows of an id in segments, each segment's first; `found` has room for the view's sealed_count. Under a guard. */
struct sealed_row {
    struct sealed *sealed;
    uint32_t row;
};
size_t view_find(const struct view *v, uint64_t hash, struct str id, struct sealed_row *found);

/* Leaves a segment out of everything from now on, because it cannot be read. `segment` is what a guard blamed; anything
 * else than a segment of the view is a bug of ours. Any thread. */
void view_set_aside(const struct view *v, const void *segment, const struct err *e);
