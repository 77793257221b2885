/* Who did what in a workspace, and when: what was attached and reviewed, deleted, set, marked, saved.
 *
 * What comes by the thousand (attaches) is noted in memory and added up: the same by the same key in one minute is one
 * entry with the sum of the counts, on disk within two seconds; a crash loses those. What is rare is written at once,
 * in the transaction of the change where the catalog makes it. Of each workspace the newest are kept, the two kinds
 * apart, so that no flood of attaches washes away who changed a setting. */
#pragma once
#include "catalog/catalog.h"

/* name in the enum, in answers */
#define ACTIVITY_MAP(X)    \
    X(ATTACH, "attach")    \
    X(REVIEW, "review")    \
    X(DELETE, "delete")    \
    X(SETTING, "setting")  \
    X(MARKER, "marker")    \
    X(VIEW, "view")        \
    X(KEY, "key")

enum activity_action {
#define X(name, text) ACTIVITY_##name,
    ACTIVITY_MAP(X)
#undef X
        ACTIVITY_ACTIONS,
};
const char *activity_name(enum activity_action action);

enum { ACTIVITY_SUBJECT = 256, ACTIVITY_DETAIL = 1024 }; /* bytes; longer texts are cut */

struct activity {
    int64_t id, time_us; /* given by the catalog; the time is that of the first that was added up */
    int64_t key_id;      /* whose key; 0: the command line */
    enum activity_action action;
    struct str reviewer; /* as typed; empty: not said */
    struct str subject;  /* of an attach the field; empty: too many different ones at once to tell apart */
    struct str detail;
    uint64_t count; /* of what; 1 for a setting, a marker, a view, a key */
};

/* In memory, added up. Any thread; does not wait, takes a lock that its own thread's notes rarely share. */
void activity_note(struct catalog *c, uint32_t workspace, const struct activity *a);

/* On disk when it returns. Any thread but an HTTP worker. */
bool activity_add(struct catalog *c, uint32_t workspace, const struct activity *a, struct err *e);

struct activity_list {
    struct activity *items; /* newest first */
    size_t count;
};
/* Those with an id below `before` (0: from the newest on), `limit` of them; what was noted before the call is there.
 * Any thread but an HTTP worker. */
bool activity_read(struct catalog *c, uint32_t workspace, int64_t before, unsigned limit, struct arena *a,
                   struct activity_list *out, struct err *e);

/* How many of each kind are kept of a workspace; before any other thread uses the catalog. */
void activity_keep(struct catalog *c, unsigned most);
