/* The durable log. Everything that changes a workspace is written here and synced before it is acknowledged.
 *
 * A journal is a folder of files of one size, `slot-00.journal` and up, zero-filled when made and used again and again:
 * overwriting a written file syncs about three times faster than growing one.
 *
 * File, integers little-endian:
 *      0  8  "SGJRNL1\n"
 *      8 16  store id
 *     24  8  file number: grows, never used twice
 *     32  8  sequence number of the file's first record
 *     40  4  1: an unfinished chain before this file is void (the writer started anew after a recovery); else 0
 *     44  4  crc32c of bytes 0..43
 *   4096     records
 *
 * Record (struct record_header, 32 bytes, then the payload):
 *      0  4  length of the payload
 *      4  1  type (record.h)
 *      5  1  flags: 1 last of its chain, 2 last of its group, 4 first of what one sync covered
 *      6  2  0
 *      8  4  workspace
 *     12  4  crc32c of bytes 0..11, 16..31 and the payload, seeded with the file number
 *     16  8  sequence number: one more than the record before, through all files
 *     24  8  time of receipt, microseconds since 1970
 *
 * A chain is the records of one request; replay gives whole chains or nothing. A chain may go on in the next file;
 * chains never interleave. A group is what one sync covered; after its last record the next begins on a 512-byte
 * boundary, so that no sector holds both what is acknowledged and what is not yet.
 *
 * Where a file ends: at the record before the next file's first sequence number. In the newest file, at the first
 * record that is not exactly the next one, if no record with flag 4 and a higher number follows it: such a one was
 * written when the sync of all before it had returned. A record missing anywhere else is damage. So a write that was cut
 * off, of which any sectors may be there, is told from damage to what was acknowledged; only damage to the very last
 * group, behind which nothing was written, looks like a write that was cut off.
 *
 * Threads: append and commit belong to the writer; prepare, position and recycle to the keeper; a mutex guards the
 * list of files, taken by the writer once a file and once a commit. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { RECORD_CHAIN_END = 1, RECORD_GROUP_END = 2, RECORD_GROUP_BEGIN = 4 };

struct record_header {
    uint32_t length;
    uint8_t type, flags;
    uint16_t zero;
    uint32_t workspace;
    uint32_t crc;
    uint64_t seq;
    int64_t time_us;
};
_Static_assert(sizeof(struct record_header) == 32, "the header is written as it stands");

#define JOURNAL_MAGIC "SGJRNL1\n"
enum { JOURNAL_DATA = 4096, JOURNAL_SECTOR = 512 };

uint32_t record_crc(const struct record_header *h, const char *payload, uint64_t seed);

struct journal_options {
    const char *dir;
    uint8_t store_id[16];
    uint64_t file_size;
    unsigned max_files;
};

/* A record given back. The payload is valid during the call. */
typedef bool journal_visit(void *ctx, const struct record_header *h, struct str payload, struct err *e);

/* Opens the folder, made if missing, and gives every record of every whole chain after sequence number `after`, in
 * order. Damage is an error naming file and offset. Everything is synced before it is read: a record that was given back
 * is durable. A file of another size than file_size is read, and removed once it is done with. */
struct journal *journal_open(const struct journal_options *o, uint64_t after, journal_visit *visit, void *ctx, struct err *e);
void journal_close(struct journal *j);

/* ---- the writer ---- */

uint64_t journal_next_seq(const struct journal *j);

/* Whether a chain of these bytes (records as in memory: header, payload, header, ...) can be appended now.
 * ERR_NO_SPACE: no file to go on in, and none can be made; ERR_BUSY: none yet, wait for a checkpoint;
 * ERR_TOO_LARGE: a record is larger than a file. */
bool journal_fits(const struct journal *j, struct str chain, struct err *e);

/* Takes a chain that fits: numbers, times and flags are filled in here, in place, so `chain` then is what was written. */
bool journal_append(struct journal *j, struct buf *chain, int64_t time_us, struct err *e);

/* Writes and syncs what was appended. After a failure of append or commit nothing may be acknowledged any more: the
 * state of the file is not known. */
bool journal_commit(struct journal *j, struct err *e);

/* Between two groups: goes on in another file, if one is ready and there is anything in this one. False: as of
 * journal_commit. */
bool journal_turn(struct journal *j, struct err *e);

/* ---- the keeper ---- */

/* Makes sure that a file stands ready for when the current one is full, or as many as a waiting chain needs. */
bool journal_prepare(struct journal *j, struct err *e);

/* How far is durable; and everything between two positions. A position belongs to the journal that gave it. */
struct journal_position {
    uint64_t file, at; /* file number, byte offset */
    uint64_t seq;      /* of the last record before it */
};
struct journal_position journal_durable(struct journal *j);
bool journal_read(struct journal *j, struct journal_position *from, struct journal_position to, journal_visit *visit, void *ctx,
                  struct err *e);

/* Files whose records are all numbered `upto` or less may be written again. */
void journal_recycle(struct journal *j, uint64_t upto);

/* Removes files numbered below `before` that may be written again, so that nothing can be read in them any more. True:
 * there is no file with such a number left. */
bool journal_discard(struct journal *j, uint64_t before);

/* Files now; groups committed since the start, their records and bytes. Any thread. */
struct journal_stats {
    uint64_t files, free_files, groups, records, bytes;
};
struct journal_stats journal_stats(struct journal *j);

/* ---- files as such, for replay, the dump tool and the fuzzer ---- */

/* One file's bytes: header, then records until the first that is not the next one. Calls back for each record, chains
 * whole or not; *end is the offset behind the last good one, *next the number that would have come. journal_goes_on:
 * whether that is no end, since a later group begins behind it, and the number of its first record. */
struct journal_file_header {
    uint8_t store_id[16];
    uint64_t number, first_seq;
    bool after_recovery;
};
bool journal_file_header(struct str bytes, struct journal_file_header *h);
typedef bool journal_scanned(void *ctx, const struct record_header *h, struct str payload, uint64_t at);
void journal_scan(struct str bytes, const struct journal_file_header *h, journal_scanned *record, void *ctx,
                  uint64_t *end, uint64_t *next);
/* The same from *at on, where number *seq is due, while each record is exactly the next. */
void journal_scan_from(struct str bytes, uint64_t number, uint64_t *at, uint64_t *seq, journal_scanned *record,
                       void *ctx);
bool journal_goes_on(struct str bytes, uint64_t number, uint64_t end, uint64_t next, uint64_t *later);
