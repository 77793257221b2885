/* A view made by hand: the same inferences and metadata, put into chunks, segments and overlays as a test wants them.
 */
#pragma once
#include "query/values.h"
#include "scratch.h"
#include "store/view.h"

#define VIEW_KIT_NOON INT64_C(1795262400000000) /* 2026-11-21T12:00:00Z */
#define VIEW_KIT_HOUR INT64_C(3600000000)

#define S(z) ((struct value){.type = VALUE_STRING, .text = str_of(z)})
#define N(v) ((struct value){.type = VALUE_NUMBER, .number = (v)})
#define B(v) ((struct value){.type = VALUE_BOOL, .truth = (v)})
#define NOTHING ((struct value){0})

enum { VIEW_KIT_FIELDS = 64, VIEW_KIT_PARTS = 40, VIEW_KIT_KEY = 7 };

struct kit_row {
    struct inference inf;
    int64_t received_us;
    uint64_t seq, hidden_at; /* hidden_at: seq of the complete one; 0: none */
    unsigned part;           /* in which it is to be */
    uint32_t older;          /* row + 1 of the one before with the same id */
};

struct kit_write {
    uint64_t seq;
    int64_t time_us;
    struct str id, field;
    struct value value;
    uint32_t older; /* write + 1 of the one before of the same id */
};

/* What the kit knows of an id. */
struct kit_id {
    uint32_t row, write; /* the last one + 1; 0: none */
};

/* A segment holds the writes up to applied_through, its overlay the rest. */
struct kit_part {
    bool sealed;
    uint64_t applied_through;
};

struct view_kit {
    struct scratch scratch;
    struct arena arena;
    uint64_t seq;
    struct kit_row *rows;
    size_t row_count, row_room;
    struct kit_write *writes;
    size_t write_count, write_room;
    struct numbering ids;
    struct kit_id *of_ids; /* by number */
    uint32_t id_room;

    bool renumbered; /* the view numbers fields otherwise than its segments */
    struct str names[VIEW_KIT_FIELDS];
    size_t name_count;

    struct view view; /* of the last view_kit_build */
    struct sealed *sealed[VIEW_KIT_PARTS], *slots[VIEW_KIT_PARTS];
    _Atomic uint64_t view_seq;
    unsigned files;
};

void view_kit_begin(struct view_kit *k);
void view_kit_end(struct view_kit *k);

/* The same before and after a test of cmocka's, with the arena that it uses. */
int view_kit_setup(struct view_kit *k);
int view_kit_teardown(struct view_kit *k, struct arena *a);

struct inference at_noon(const char *id); /* of coco/24, and nothing else is said of it */

/* Both count seq up by one. What they point to is copied. A row is hidden as the store would hide it; it goes to part 0
 * unless changed. */
struct kit_row *view_kit_row(struct view_kit *k, const struct inference *inf);
void view_kit_write(struct view_kit *k, const char *id, const char *field, struct value v);

/* Makes k->view: chunks first in the order of their parts, at most CHUNKS_MOST. Frees the one before. */
void view_kit_build(struct view_kit *k, const struct kit_part *parts, unsigned count);
void view_kit_one_chunk(struct view_kit *k);

/* The current value of a field of an id; VALUE_NONE. */
struct value view_kit_value(const struct view_kit *k, struct str id, struct str field);

/* Flips a bit in the file of a segment of the view, where a column's first value is. Nobody has asked for it yet. */
void view_kit_damage_column(struct view_kit *k, size_t sealed, enum segment_column column);
