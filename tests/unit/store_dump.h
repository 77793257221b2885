/* Everything a workspace holds as text, ids in order, so that two stores can be compared, in whatever parts each has its
 * rows; and the store's own promises checked on the way: every part with an id tells the same history, cells are what
 * the newest history says. What breaks a promise is written as a line that begins with "BROKEN". */
#pragma once
#include "base/buf.h"
#include "store/store.h"

void dump_value(struct buf *out, const struct value *v);

/* `receipts`: with sequence numbers and times of receipt. */
void store_dump(struct store *s, uint32_t workspace, bool receipts, struct buf *out);
