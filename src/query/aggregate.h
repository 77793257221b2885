/* Groups: a plan's groupings over the rows it speaks of, all in one pass; two where a key is limited to its top values.
 */
#pragma once
#include "query/scan.h"

/* False: stopped, failed, or to be done again: see scan_run. */
bool aggregate_run(struct scan *s, struct answer *out);
