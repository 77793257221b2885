/* One element of the `inference_results` of a pingback (protocol 3.2), thin or full, as inferences. Any thread.
 *
 * `response` is a list (an element a picture, its place is the index), an object (one picture), or [] for one picture
 * on which nothing was found. What the full form has beyond the thin one is kept where an inference has a place for it;
 * drawn pictures (`visualization`) are dropped. Members that are null or unknown are as if they were not there. */
#pragma once
#include "base/err.h"
#include "base/json_pull.h"
#include "record/record.h"

struct pingback_item {
    struct str key; /* of this request; {NULL, 0}: that of the whole pingback */
    struct inference *inferences;
    size_t count;
};

/* raw: the element's text, which is JSON. like: what an inference has when the element does not say (device, server).
 * False with ERR_INVALID: what is wrong with it; `key` is set all the same. Everything is in the arena or
 * points into raw. room: for putting texts together; the caller's, who reads mapped text under a guard and frees it. */
bool pingback_item_read(struct str raw, const struct inference *like, struct arena *arena, struct buf *room,
                        struct pingback_item *out, struct err *e);

/* The same text with every "api_key" blotted out, for those who are shown it. */
struct str pingback_item_without_keys(struct str raw, struct arena *arena, struct buf *room);
