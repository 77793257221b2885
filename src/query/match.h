/* A filter made ready for one part of a view: texts looked up in its dictionaries once, then columns compared a slice
 * at a time, sixty-four rows to a word. What can hold for no row, or for every one, is known beforehand. A matcher
 * lives in the arena given and belongs to one thread; guards as for part.h. */
#pragma once
#include "query/filter.h"
#include "query/part.h"

struct matcher;
struct matcher *matcher_new(struct arena *a, const struct filter *f, const struct part *p);

/* No row of the part can match: it need not be looked at. */
bool matcher_never(const struct matcher *m);
/* Every row matches. */
bool matcher_always(const struct matcher *m);

/* Leaves in `rows` those of the slice's that match; none beyond the slice's count must be among them. */
void matcher_run(const struct matcher *m, const struct slice *s, struct detection_room *room, struct bitmap *rows);

/* Whether a value satisfies one match. */
bool match_value(const struct match *m, const struct value *v);
