/* An inference as every answer of the own API shows it. Any thread. */
#pragma once
#include "base/buf.h"
#include "query/run.h"

/* The members, without the braces, so that a route can add its own. */
void inference_json(struct buf *to, struct str workspace, const struct hit *h);

/* RFC 3339, "..." of what is a value, null of what is VALUE_NONE. */
void json_time(struct buf *to, int64_t us);
void json_value(struct buf *to, const struct value *v);
void json_entries(struct buf *to, const struct entry *entries, size_t count); /* an object */
