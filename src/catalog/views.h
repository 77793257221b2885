/* Views of the dashboard that were given a name: a page and the query string of its address. On disk when a call
 * returns, with the entry of who did it. Calls wait for the disk, so not on HTTP workers. Any other thread. */
#pragma once
#include "catalog/catalog.h"

enum { VIEWS_MOST = 1000, VIEW_ID = 8 };

struct saved_view {
    struct str id;     /* VIEW_ID letters and digits; given by the catalog */
    struct str name, page, query;
    int64_t key_id, changed_us; /* who changed it last, and when */
};

/* By name. */
bool saved_views_read(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view **list, size_t *count,
                struct err *e);
/* Fills in id and changed_us. ERR_NO_SPACE: there are VIEWS_MOST. */
bool saved_view_add(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view *v, struct err *e);
/* Replaces the one with v->id; what is {NULL, 0} stays, and is filled in. ERR_NOT_FOUND. */
bool saved_view_change(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view *v, struct err *e);
bool saved_view_remove(struct catalog *c, uint32_t workspace, struct str id, int64_t key_id, struct err *e);
