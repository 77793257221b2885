/* The catalog as a file: copied while it is in use, and looked through. Any thread, any process. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/uuid.h"

/* DIR/catalog.db as it is at one moment, changes under way left out, to the file `to`, which is not there yet. Not
 * synced. */
bool catalog_copy(const char *dir, const char *to, struct err *e);

/* What SQLite finds wrong with DIR/catalog.db, a call each; and the store's id. False, and e, when it is none of ours
 * or can't be read at all. */
bool catalog_verify(const char *dir, char store_id[UUID_TEXT], void (*wrong)(void *ctx, const char *what), void *ctx,
                    struct err *e);
