/* Rows for segments, made from a seed: every optional member there and not there, ids with several rows, metadata of
 * all kinds with its history. What a segment gives back is compared with what it was made of. */
#pragma once
#include "store/segment.h"

struct kit_id {
    struct str id;
    struct change *history; /* room for KIT_CHANGES */
    size_t history_count;
};

enum { KIT_CHANGES = 24 };

struct segment_kit {
    struct arena arena;
    uint64_t random;
    struct segment_identity id;
    struct str *fields;
    size_t field_count;
    struct kit_id *ids;
    size_t id_count;
    struct segment_row *rows; /* their metadata and history are made by segment_kit_row */
    struct kit_id **of;       /* the id of each row */
    size_t count;
    uint64_t seq;     /* the last that was given */
    struct arena row; /* for comparing: here, as a guard may take the way out */
    struct buf want, got;
};

void segment_kit_make(struct segment_kit *k, uint64_t seed, size_t rows);
void segment_kit_free(struct segment_kit *k);
uint64_t segment_kit_random(struct segment_kit *k, uint64_t below);

/* Some value of some type; VALUE_NONE now and then. Texts are in the arena. */
struct value segment_kit_value(struct segment_kit *k);
/* One more write to an id: of a field, by number. */
struct change *segment_kit_attach(struct segment_kit *k, struct kit_id *id, size_t field, struct value v);
struct change *segment_kit_attach_any(struct segment_kit *k, struct kit_id *id, size_t fields); /* one of the first */

/* The row with its id's metadata and history as they are now. */
struct segment_row segment_kit_row(const struct segment_kit *k, size_t row, struct arena *a);
bool segment_kit_write(const struct segment_kit *k, const char *dir, const char *name, struct err *e);
/* Everything of the segment against the rows; ends the test program at the first difference. Under a guard. */
void segment_kit_compare(struct segment_kit *k, const struct segment *s);
