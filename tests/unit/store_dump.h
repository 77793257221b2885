/* Everything a workspace holds as text, ids in order, so that two stores can be compared; and the chunk's own promises
 * checked on the way: columns agree with the payload, cells with the newest history, counts with what is there. What
 * breaks a promise is written as a line that begins with "BROKEN". */
#pragma once
#include "base/buf.h"
#include "store/store.h"

void dump_value(struct buf *out, const struct value *v);

/* `receipts`: with sequence numbers and times of receipt. */
void store_dump(struct store *s, uint32_t workspace, bool receipts, struct buf *out);
