/* Checkpoints: the journal's records, copied into one growing log a workspace, so that journal files can be used again.
 *
 * DIR/MANIFEST, replaced as a whole by rename, is text:
 *     sightglass-manifest 1
 *     store 0f3c...                       (32 hex digits)
 *     seq 123456                          every record up to this number is in the logs below
 *     workspace 1 9034752                 number, and how many bytes of its log count
 *     crc 89abcdef                        crc32c of all lines before
 *
 * DIR/workspaces/N/log is a 32-byte head ("SGWLOG1\n", store id, workspace, crc32c of the 28 bytes before) and then
 * records as in the journal, their crc seeded with the workspace's number. The last record of each checkpoint has the
 * flag RECORD_GROUP_END, and the next begins on a 512-byte boundary: no sector that the manifest counts is written to
 * again. Bytes behind the length in the manifest are left from a checkpoint that did not finish; the next one writes
 * over them.
 *
 * It copies what the journal holds, not what memory holds: nothing it does can meet the writer.
 * DIR/workspaces is the caller's to make, and its name to sync. Threads: one at a time (the keeper). */
#pragma once
#include <stdint.h>

#include "journal/journal.h"

struct checkpoint;

/* Reads the manifest and gives every record of every log, workspace by workspace, each in order. */
struct checkpoint *checkpoint_open(const char *dir, const uint8_t store_id[16], journal_visit *visit, void *ctx, struct err *e);
void checkpoint_close(struct checkpoint *c);

uint64_t checkpoint_seq(const struct checkpoint *c);

/* Copies what became durable since the last one, and says so in the manifest. False: nothing has changed, try again. */
bool checkpoint_run(struct checkpoint *c, struct journal *j, struct err *e);
