/* From columns of values to a file: nulls, names, the footer's metadata, the writing itself. What the builder and the
 * fold have in common; for them alone. */
#pragma once
#include "store/segment_parts.h"

/* The next column of a table that has room for it. `rows`, `detections` and `history` are the lengths there are. */
struct arrow_column *segment_add_column(struct arrow_table *t, const struct segment_layout *l, uint64_t rows,
                                        uint64_t detections, uint64_t history);
struct arrow_column *segment_add_field_column(struct arrow_table *t, struct str field, enum segment_kind kind,
                                              uint64_t rows, struct arena *a);

/* Counts the nulls of a column whose values are there, and makes its bitmap if there are any. */
void segment_null(struct arrow_column *c, struct arena *a);
void segment_null_pictures(struct arrow_column *c, const uint8_t *flags, struct arena *a);
void segment_null_bits(struct arrow_column *c, const uint8_t *known); /* whose bitmap is there */

struct str segment_json(struct arena *a, const struct value *v);

/* The footer's metadata, from which segment_open knows what it has. */
void segment_put_pairs(struct arena *a, struct arrow_table *t, const struct segment_identity *id,
                       const int64_t times[2], const uint64_t seqs[2]);
bool segment_write(const struct arrow_table *t, const char *dir, const char *name, struct err *e);
