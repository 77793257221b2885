/* Facets: how often each value of a column or metadata field occurs. */
#pragma once
#include "query/scan.h"

/* So many different values are counted one by one in each field; where there are more, their number is estimated and
 * only frequent ones are kept. */
enum { FACET_VALUES = 65536 };

/* False: stopped, failed, or to be done again: see scan_run. */
bool facets_run(struct scan *s, struct answer *out);
