/* Checkpoints: MANIFEST, the workspaces' logs, and the steps that change them.
 *
 * A log, DIR/workspaces/N/log-K, holds copies of the journal's records of workspace N, so that journal files can be
 * used again; docs/journal.md has it byte by byte. It grows at its end, always from a 512-byte boundary on: no sector
 * that the manifest counts is written to again. What stands behind the length in the manifest is left from a step that
 * did not finish. What is in a log is what the journal held, never what memory holds: nothing here can meet the writer.
 *
 * A step takes the files from one manifest to the next:
 *
 *     checkpoint_begin
 *         checkpoint_copy       what became durable goes to the logs           )
 *         checkpoint_compact    a workspace's logs anew, without what is       ) any of these,
 *                               no longer needed                               ) in any order,
 *         checkpoint_segments   segments come and go                           ) any number of times
 *         checkpoint_delete     a workspace goes                               )
 *     checkpoint_commit         or checkpoint_abort, which is due after any of them failed
 *
 * DIR/workspaces is the caller's to make, and its name to sync. Threads: one at a time (the keeper). Between steps a
 * few dozen bytes a workspace; files are open only while they are read or written. */
#pragma once
#include "journal/journal.h"
#include "store/manifest.h"

struct checkpoint;

/* Reads the manifest, nothing else. */
struct checkpoint *checkpoint_open(const char *dir, const uint8_t store_id[16], struct err *e);
/* For repairs: goes on from a manifest that is not written yet. The next commit writes one in any case. */
struct checkpoint *checkpoint_from(const char *dir, const struct manifest *m);
void checkpoint_close(struct checkpoint *c);

/* The one that counts: of the last commit, not of the step under way. Valid until the next commit. */
const struct manifest *checkpoint_manifest(const struct checkpoint *c);

/* Gives every record of every log: workspace by workspace, in each in order of seq. What is no longer needed may come
 * too; RECORD_CHAIN_END means nothing here. Damage is an error naming file and offset. */
bool checkpoint_replay(const struct checkpoint *c, journal_visit *visit, void *ctx, struct err *e);

/* Removes what steps that did not finish left behind: temporary files, logs and segments that the manifest does not
 * name, folders of deleted workspaces. Knows them by their names and leaves everything else alone. Not before DIR has
 * been synced (the manifest that was read may be one whose name is not durable yet), and not beside a step. False, and
 * the last error: something could not be removed, and no harm done. */
bool checkpoint_sweep(struct checkpoint *c, struct err *e);

/* Bytes of the workspace's logs, in the step under way if there is one. */
uint64_t checkpoint_log_bytes(const struct checkpoint *c, uint32_t workspace);

/* ---- a step ---- */

void checkpoint_begin(struct checkpoint *c);

/* Whether a record is still needed: KEEP_LESS takes the payload put into `less` (empty when called) in place of it;
 * type, seq and time stay. */
enum keep { KEEP_NONE, KEEP_ALL, KEEP_LESS };
typedef enum keep checkpoint_keep(void *ctx, const struct record_header *h, struct str payload, struct buf *less);

/* Copies what became durable since the last copy; records of deleted workspaces are left out. keep NULL: all. */
bool checkpoint_copy(struct checkpoint *c, struct journal *j, checkpoint_keep *keep, void *ctx, struct err *e);

/* Writes the workspace's logs anew, under the next numbers; what this step has copied before included. */
bool checkpoint_compact(struct checkpoint *c, uint32_t workspace, checkpoint_keep *keep, void *ctx, struct err *e);

/* The folder for the workspace's segments, made if missing. Its name is durable with the commit that names the first
 * segment in it. Outside a step too. */
bool checkpoint_segment_folder(const struct checkpoint *c, uint32_t workspace, char path[4096], struct err *e);

/* The files of `added` are written and synced. A fold removes 7.1 and adds 7.2; a new number is next_segment of the
 * manifest, or over it. sealed_through never goes back. */
void checkpoint_segments(struct checkpoint *c, uint32_t workspace, const struct manifest_segment *removed,
                         size_t removed_count, const struct manifest_segment *added, size_t added_count,
                         uint64_t sealed_through);

/* Its logs and segments go with it; the workspace need not be in the manifest. Further records of it are left out. */
void checkpoint_delete(struct checkpoint *c, uint32_t workspace);

/* For repairs: the workspace's logs go, and records from elsewhere, each newer than the last, take their place; the
 * journal need not hold what is up to `seq`. */
void checkpoint_drop_logs(struct checkpoint *c, uint32_t workspace);
bool checkpoint_add(struct checkpoint *c, const struct record_header *h, struct str payload, struct err *e);
void checkpoint_reach(struct checkpoint *c, uint64_t seq, int64_t received_us);

/* Syncs what was written and replaces the manifest. The step is over, whatever comes of it.
 *   COMMIT_FAILED    all is as before the step
 *   COMMIT_COUNTS    the new manifest counts and the next step goes on from it, but a power loss may bring back the one
 *                    before: what only that one needs stays where it is. The next commit makes good for it
 *   COMMIT_DONE      the new manifest is on disk. Journal files up to its seq are given back, logs and segments that it
 *                    no longer names are unlinked (a mapping of one stays good), folders of deleted workspaces too
 * A commit that has nothing new to say writes no manifest, but does what an earlier one or a hold left to do. e but
 * for COMMIT_DONE. Without a journal (NULL) none is given anything back. */
enum committed { COMMIT_FAILED, COMMIT_COUNTS, COMMIT_DONE };
enum committed checkpoint_commit(struct checkpoint *c, struct journal *j, struct err *e);

/* Drops the draft. What was written is removed, or overwritten by a later step. */
void checkpoint_abort(struct checkpoint *c);

/* While a backup is made: nothing is given back and nothing unlinked, however many steps. The first commit after the
 * hold does it. */
void checkpoint_hold(struct checkpoint *c, bool hold);
