/* The data folder: made, locked by one server at a time, and the file first-key in it. Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Whether a server ever ran on it. e: that none did. */
bool datadir_is(const char *dir, struct err *e);

/* Makes the folder if need be and locks DIR/lock, in which the holder's pid stands. Returns the descriptor that holds
 * the lock until it is closed, or -1. */
int datadir_lock(const char *dir, struct err *e);

/* Writes DIR/first-key, readable by its owner only: one line, `slug key`. */
bool datadir_write_first_key(const char *dir, const char *slug, const char *key, struct err *e);

/* The 16 bytes of the catalog's UUID, which every file of the store carries. */
void datadir_store_id(const char *uuid, uint8_t id[16]);
