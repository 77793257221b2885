/* Groups from the summaries of segments (store/summary.h) instead of their rows. What can't be had from there is read
 * from the rows, segment by segment and grouping by grouping: who calls goes on there.
 *
 * A summary has all rows but those from partial sources, over all the segment's time or hour by hour. So it answers for
 * a plan without a filter and without partial rows, of a segment of which every row is old enough for the plan's as_of,
 * and which lies within its range; of one that lies only partly in it, if the range begins and ends with an hour, for
 * groupings that cells by hour suffice for. */
#pragma once
#include "query/scan.h"
#include "query/table.h"
#include "store/summary.h"

/* How much of a part's summary stands for the rows that the plan speaks of. */
enum summed_cover { SUMMED_NOTHING, SUMMED_HOURS, SUMMED_ALL };
enum summed_cover summed_cover(const struct scan *s, const struct part *p);

/* How a table can be had. */
struct summed {
    bool can;
    enum summary_kind kind; /* which cells */
    bool bins;              /* also those of models */
};
struct summed summed_of(const struct table *t);

/* Adds a part to a table, instead of table_begin, _add and _end. False: its summary has not what the table needs, and
 * nothing was added. Under a guard. */
bool summed_add(const struct summed *how, enum summed_cover cover, const struct scan *s, const struct part *p,
                const struct summary *from, struct table *t);

/* How many rows a part has for the plan; false as above. */
bool summed_count(enum summed_cover cover, const struct scan *s, const struct summary *from, uint64_t *count);
