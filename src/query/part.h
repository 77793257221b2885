/* The parts of a view, chunks and sealed segments, with one face: rows in slices of BLOCK_ROWS, columns as arrays over
 * a slice, text as codes from 1 (0: none) whichever way a part numbers it.
 *
 * What a segment holds is mapped memory: all but part_list must be called under a guard (base/guard.h) when the part is
 * a segment. One thread at a time for what is written through a pointer; parts themselves are read by any. */
#pragma once
#include "store/view.h"

enum { BLOCK_WORDS = BLOCK_ROWS / 64 };

/* One bit a row of a slice. */
struct bitmap {
    uint64_t words[BLOCK_WORDS];
};

static inline bool bitmap_any(const struct bitmap *b) {
    uint64_t any = 0;
    for (int w = 0; w < BLOCK_WORDS; w++) any |= b->words[w];
    return any;
}
static inline uint32_t bitmap_count(const struct bitmap *b) {
    uint32_t n = 0;
    for (int w = 0; w < BLOCK_WORDS; w++) n += (uint32_t)__builtin_popcountll(b->words[w]);
    return n;
}
/* Its rows as a list, ascending; returns how many. */
uint32_t bitmap_list(const struct bitmap *b, uint32_t rows[BLOCK_ROWS]);

struct part {
    const struct view *view;
    const struct chunk *chunk; /* NULL: it is a segment */
    struct sealed *sealed;     /* NULL: it is a chunk; so are the next two */
    const struct segment *segment;
    const struct overlay *overlay;
    uint32_t rows;     /* there when the query began */
    int64_t latest_us; /* no row is later */
};

/* The parts of a view, those with later rows first; NULL: none. Segments that were set aside are not among them. */
struct part *part_list(const struct view *v, struct arena *a, size_t *count);

/* Rows number * BLOCK_ROWS and on. */
struct slice {
    const struct part *part;
    const struct block *block; /* of a chunk */
    uint32_t number, first, count;
};

static inline uint32_t part_slices(const struct part *p) { return (p->rows + BLOCK_ROWS - 1) / BLOCK_ROWS; }
static inline struct slice part_slice(const struct part *p, uint32_t number) {
    uint32_t first = number * BLOCK_ROWS, left = p->rows - first;
    return (struct slice){p, p->chunk ? p->chunk->blocks[number] : NULL, number, first,
                          left < BLOCK_ROWS ? left : BLOCK_ROWS};
}

/* ---- columns: one value a row of the slice, by place in it ---- */

const int64_t *slice_time(const struct slice *s);
const int64_t *slice_received(const struct slice *s);
const uint64_t *slice_seq(const struct slice *s);
const uint32_t *slice_index(const struct slice *s);
const double *slice_latency(const struct slice *s);
const double *slice_confidence(const struct slice *s); /* of the top detection */

/* Where a column is not stored as asked, it is written to `room` and that is returned. */
const uint8_t *slice_flags(const struct slice *s, uint8_t room[BLOCK_ROWS]); /* ROW_HIDDEN by an overlay included */
const uint32_t *slice_detection_counts(const struct slice *s, uint32_t room[BLOCK_ROWS]);
const uint16_t *slice_latency_bins(const struct slice *s, uint16_t room[BLOCK_ROWS]);
const uint16_t *slice_confidence_bins(const struct slice *s, uint16_t room[BLOCK_ROWS]);

struct str slice_id(const struct slice *s, uint32_t at);
/* Of a row with ROW_ERROR. Text may be copied to the arena. */
struct str slice_error(const struct slice *s, uint32_t at, struct arena *a);

/* ---- text ---- */

/* A dictionary of a part. */
struct texts {
    const struct dict *dict;           /* of a chunk; or */
    const struct segment_dict *sorted; /* of a segment; neither: it knows no text */
};

struct texts part_texts(const struct part *p, enum column c);
static inline uint32_t texts_count(const struct texts *t) {
    return t->dict ? dict_count(t->dict) : t->sorted ? t->sorted->count : 0;
}
static inline struct str texts_at(const struct texts *t, uint32_t code) {
    if (code == 0) return (struct str){"", 0};
    return t->dict ? dict_value(t->dict, code)->text : segment_dict_text(t->sorted, code);
}

/* A text column, but for COLUMN_CLASS. */
const uint32_t *slice_codes(const struct slice *s, enum column c);

/* ---- detections ---- */

/* Those of a slice's row `at` are at first[at] .. first[at + 1]. */
struct detections {
    const uint32_t *first;
    const uint32_t *classes; /* codes in COLUMN_CLASS */
    const double *confidences;
    uint32_t count; /* up to here they can be read */
};

/* A chunk's detections, brought together; zeroed at first, freed by detection_room_free. */
struct detection_room {
    uint32_t first[BLOCK_ROWS + 1];
    uint32_t *classes;
    double *confidences;
    size_t size;
};
void detection_room_free(struct detection_room *room);

/* Rows that are not in `rows` may be without. */
struct detections slice_detections(const struct slice *s, const struct bitmap *rows, struct detection_room *room);

/* ---- metadata ---- */

/* A metadata field in a part: what a chunk says of it, or a segment's columns with an overlay over them. */
struct metadata {
    const struct field *field;
    const struct segment_field *column;
    const struct overlay_field *over;
};

/* False: no row of the part has it. */
bool part_metadata(const struct part *p, struct str name, struct metadata *out);
/* The same of the pictures that came under a row's id (record/uploads.h), which have no name that can be asked for. */
bool part_uploads(const struct part *p, struct metadata *out);
/* By its number in the workspace. */
bool part_metadata_at(const struct part *p, uint32_t field, struct metadata *out);

/* The value in a row of the part. Text points into the view. */
struct value metadata_value(const struct metadata *m, uint32_t row);
/* All values of a row, in the order in which their fields came into being. Names and texts are copied. */
size_t part_row_metadata(const struct part *p, uint32_t row, struct arena *a, struct entry **out);

/* ---- single rows ---- */

uint8_t part_flags(const struct part *p, uint32_t row); /* enum row_flags */

/* The first row of an id in the part, + 1; 0: none. For chunks the first to arrive. The arena is for scratch. */
uint32_t part_find(const struct part *p, uint64_t hash, struct str id, struct arena *a);
/* Whether a segment may hold an id, as far as the directory knows; and the parts that may, chunks first. Both read
 * nothing of segments. */
bool part_may_hold(const struct view *v, const struct sealed *s, uint64_t hash, struct arena *a);
struct part *parts_that_hold(const struct view *v, uint64_t hash, struct arena *a, size_t *count);
/* The next row + 1 of the same id; 0: none. */
uint32_t part_next_same_id(const struct part *p, uint32_t row);
