/* The catalog's table in memory: filled by one thread, then never changed, then read by any. */
#pragma once
#include "catalog/catalog.h"

enum { KEY_HASH = 32 };

struct lookup;

struct lookup *lookup_new(void);
void lookup_free(struct lookup *t);
void lookup_add_workspace(struct lookup *t, const struct workspace *w);
void lookup_add_key(struct lookup *t, const unsigned char hash[KEY_HASH], const struct identity *who);
void lookup_add_key_name(struct lookup *t, const struct key_name *name); /* by growing id; of revoked keys too */
void lookup_finish(struct lookup *t); /* after the last addition, before the first question */

bool lookup_key(const struct lookup *t, const unsigned char hash[KEY_HASH], struct identity *out);
bool lookup_key_by_id(const struct lookup *t, int64_t key_id, struct identity *out);
bool lookup_key_name(const struct lookup *t, int64_t key_id, struct key_name *out);
bool lookup_workspace(const struct lookup *t, struct str slug, struct workspace *out);
struct workspace *lookup_workspaces(const struct lookup *t, struct arena *a, size_t *count);
