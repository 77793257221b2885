/* An inference as every answer of the own API shows it. Any thread. */
#pragma once
#include "base/buf.h"
#include "query/answer.h"

/* The members, without the braces, so that a route can add its own. */
void put_inference(struct buf *to, struct str workspace, const struct hit *h);

/* RFC 3339, "..." of what is a value, null of what is VALUE_NONE. */
void put_time(struct buf *to, int64_t us);
void put_time_or_null(struct buf *to, const char *name, bool known, int64_t us); /* a member */
void put_value(struct buf *to, const struct value *v);
void put_entries(struct buf *to, const struct entry *entries, size_t count); /* an object */
