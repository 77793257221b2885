/* Groups from the summaries of segments (store/summary.h) instead of their rows. What can't be had from there is read
 * from the rows, segment by segment and grouping by grouping: who calls goes on there.
 *
 * A summary has all of its rows but those from partial sources, over all their time or hour by hour. So it answers for
 * a plan without a filter and without partial rows, of a segment of which every row is old enough for the plan's as_of,
 * if its rows lie within the range; if they do only partly, and the range begins and ends with an hour, for groupings
 * that cells by hour suffice for. Rows of the segment that the summary is not of are to be read: reader_around. */
#pragma once
#include "query/scan.h"
#include "query/table.h"
#include "store/summary.h"

/* How much of a part's summary, which is read here, stands for those of its rows that the plan speaks of. Under a
 * guard. */
enum summed_cover { SUMMED_NOTHING, SUMMED_HOURS, SUMMED_ALL };
enum summed_cover summed_cover(const struct scan *s, const struct part *p, struct summary *out);

/* How a table can be had. */
struct summed {
    bool can;
    enum summary_kind kind; /* which cells */
    bool bins;              /* also those of models */
};
struct summed summed_of(const struct table *t);

/* Adds a part's summary to a table, with table_begin and _end. False: its summary has not what the table needs, and
 * nothing was added. Under a guard. */
bool summed_add(const struct summed *how, enum summed_cover cover, const struct scan *s, const struct part *p,
                const struct summary *from, struct table *t);

/* How many of its rows the plan speaks of; false as above. */
bool summed_count(enum summed_cover cover, const struct scan *s, const struct summary *from, uint64_t *count);
