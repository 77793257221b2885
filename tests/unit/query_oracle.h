/* What the answer to a plan must be, found by looking at each row of a view_kit by itself. */
#pragma once
#include "query/answer.h"
#include "view_kit.h"

/* The rows that a plan speaks of, the newest first; a list's cursor included. */
size_t oracle_rows(const struct view_kit *k, const struct plan *p, const struct kit_row **out);

/* Fails the test, naming `what`, where an answer isn't what it must be: counts to the last, means to 1e-9 of them,
 * quantiles within what record/bins.h states. Gaps are not looked at. */
void oracle_check(const struct view_kit *k, const struct plan *p, const struct answer *found, const char *what);

/* The greatest confidence; NAN. And the order of struct kit_row pointers, for qsort. */
double oracle_top_confidence(const struct inference *inf);
int oracle_newest_first(const void *x, const void *y);
