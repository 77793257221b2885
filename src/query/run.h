/* Runs plans over the store. Results live in the arena given; nothing of the view is in them. Any thread, one for each
 * call; a view of NULL is a workspace that holds nothing.
 *
 * Errors: ERR_BUSY (deadline, nobody waits), ERR_UNPROCESSABLE (too many groups, too much memory). A damaged segment is
 * none: the answer is of the rest and names the gap. */
#pragma once
#include "query/answer.h"
#include "store/view.h"

/* A list ends before its limit once its hits take this much, with a cursor to go on. */
enum { LIST_MOST_BYTES = 16 << 20 };

bool query_run(const struct view *v, const struct plan *p, const struct query_control *control, struct arena *a,
               struct answer *out, struct err *e);
