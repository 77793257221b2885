/* A 64-bit hash of bytes for tables in memory: SipHash-2-4 (libsodium) under a key drawn at start, so that whoever
 * chooses the ids cannot choose the collisions. Never written to disk. hash_init before the first thread; then any. */
#pragma once
#include <stdint.h>

#include "base/str.h"

void hash_init(void);
uint64_t hash_str(struct str s);
