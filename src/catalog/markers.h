/* Marks on the time axis: what was done at the line at some moment, put there by hand or by a program. And since when
 * each model was seen, which outlives the inferences that showed it. On disk when a call returns; a change stands there
 * with the entry of who did it. Calls wait for the disk, so not on HTTP workers. Any other thread. */
#pragma once
#include "catalog/catalog.h"

enum { MARKERS_MOST = 10000, MODELS_SEEN_MOST = 10000 };

struct marker {
    int64_t id; /* given by the catalog; 0: none */
    int64_t time_us, key_id;
    struct str text, kind, model_id, device_id; /* the last two may be empty */
};

/* Those in [from_us, to_us), by time. */
bool markers_read(struct catalog *c, uint32_t workspace, int64_t from_us, int64_t to_us, struct arena *a,
                  struct marker **list, size_t *count, struct err *e);
/* Fills in the id. ERR_NO_SPACE: there are MARKERS_MOST. */
bool marker_add(struct catalog *c, uint32_t workspace, struct marker *m, struct err *e);
/* ERR_NOT_FOUND. */
bool marker_read(struct catalog *c, uint32_t workspace, int64_t id, struct arena *a, struct marker *out,
                 struct err *e);
bool marker_change(struct catalog *c, uint32_t workspace, const struct marker *m, struct err *e);
bool marker_remove(struct catalog *c, uint32_t workspace, int64_t id, int64_t key_id, struct err *e);

struct model_seen {
    struct str model_id;
    int64_t first_us;
};
/* Takes what is seen now, keeps what is new or earlier than before, and gives all that were ever seen, by model id. */
bool models_seen(struct catalog *c, uint32_t workspace, const struct model_seen *now, size_t count, struct arena *a,
                 struct model_seen **all, size_t *all_count, struct err *e);
