/* Items of requests that are taken item by item (pingback, aggregator, usage) and that could not be: the newest of each
 * workspace with the reason, and how many there ever were. On disk when a call returns; a call waits for it, so not on
 * HTTP workers. Any other thread. */
#pragma once
#include "catalog/catalog.h"

/* What is kept of an item at the most; a longer one leaves only its reason. */
enum { ASIDE_ITEM_MOST = 16 << 10 };

struct aside {
    int64_t id; /* grows; given by the catalog */
    int64_t time_us;
    struct str source;    /* "pingback" */
    struct str device_id, server_id;
    struct str reason;
    struct str item; /* JSON without keys; empty: too long to be kept */
};

/* Keeps the `most` newest. `counted` goes into the count, and may be more than are given here. */
bool aside_add(struct catalog *c, uint32_t workspace, const struct aside *list, size_t count, uint64_t counted,
               unsigned most, struct err *e);

struct aside_list {
    struct aside *items; /* newest first */
    size_t count;
    uint64_t total, kept; /* ever, and at hand */
};
/* Those with an id below `before` (0: from the newest on), `limit` of them. */
bool aside_read(struct catalog *c, uint32_t workspace, int64_t before, unsigned limit, struct arena *a,
                struct aside_list *out, struct err *e);
