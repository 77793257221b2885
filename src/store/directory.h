/* The id directory of a workspace: under which segments an id may stand. In memory, derived from the segments' ID_HASH
 * columns. An id that no segment holds costs about one cache miss, however many segments there are.
 *
 * An entry is 64 bits: 33 of the id's hash, 14 for the segment's slot, 16 for the id's first row in it, and one that
 * says of its cache line whether a search must go on in the next. The 6 bits of the hash above those 33 say in which of
 * 64 tables it is. A table is open addressing by cache lines: an entry stands in the line that its 33 bits say, or,
 * when that is full, in the next that is not. At most 3/4 of a table is full (10.7 to 13.3 bytes an id). The line grows
 * with the 33 bits, so a larger table is filled from a smaller one in order, from entries alone.
 *
 * With 10 M ids a lookup names a row of another id once in 50,000 times, and with an older view than the directory it
 * may name a slot that the view does not hold, or a row that its segment does not have: the caller compares.
 *
 * Slots are given to segments by the store; a segment that is replaced by a fold keeps slot and rows. Entries of a slot
 * stay until directory_forget, and only after that, and with no reader left whose view holds its old segment, is it
 * used again.
 *
 * Threads: one changes it (the keeper); any number look things up at the same time, without a lock. A table that grows
 * is replaced; the old one is freed by directory_reap. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct directory;

enum { DIRECTORY_SLOTS = (1 << 14) - 1 };

struct directory *directory_new(void);
void directory_free(struct directory *d);

/* Adds a segment's ids: of each the hash, and the first of its rows. No (id, slot) twice. */
void directory_add(struct directory *d, uint32_t slot, const uint64_t *hashes, const uint32_t *first_rows,
                   size_t count);

/* Building at start: makes room for so many ids in all; and adds only those of the part-th of `parts` shares of all
 * hashes (1, 2, 4 .. 64 parts), so that a thread a part may go through all segments at the same time. */
void directory_reserve(struct directory *d, size_t ids);
void directory_add_part(struct directory *d, uint32_t slot, const uint64_t *hashes, const uint32_t *first_rows,
                        size_t count, unsigned part, unsigned parts);

/* Takes out what stands under these slots, in one pass. */
void directory_forget(struct directory *d, const uint32_t *slots, size_t count);

/* Frees tables that were replaced while views older than `oldest` were the newest; those replaced since the last call
 * count as replaced under `current`. Generations are those of struct view: `current` is the newest one published,
 * looked up after those changes were made; `oldest` the oldest that a reader may hold. */
void directory_reap(struct directory *d, uint64_t current, uint64_t oldest);

size_t directory_bytes(const struct directory *d); /* replaced tables included */
size_t directory_count(const struct directory *d);

/* Where an id may stand. */
struct place {
    uint32_t slot, row;
};
/* Asks for the memory of a hash ahead of time. */
void directory_prefetch(const struct directory *d, uint64_t hash);
/* At most `most` places are written; returns how many there are. */
size_t directory_find(const struct directory *d, uint64_t hash, struct place *places, size_t most);
