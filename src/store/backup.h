/* A backup: a folder that a server can be started on as it is, with everything up to one sequence number.
 *
 * Files that never change (segments, pictures) are linked where both folders are in one file system, else copied like
 * the others. BACKUP is written last, when everything is on disk, names included; until then the folder is marked by
 * BACKUP.unfinished, and a server refuses it. BACKUP is text:
 *
 *     sightglass-backup 1
 *     store 0f3c...                    store id, 32 hex digits
 *     seq 123456                       everything up to this sequence number is in it, and nothing later
 *     time 2026-11-21T19:39:09.108638Z
 *     file 89abcdef 1024 MANIFEST      crc32c, size, path; one line a file
 *     pictures 1200 3400000            files and bytes: their names are their checksums (image/blobs.h)
 *     crc 89abcdef                     crc32c of all lines before
 *
 * Owner: whoever began it; one thread. The manifest's files must stay as they are meanwhile (store_hold). */
#pragma once
#include <stdatomic.h>

#include "store/manifest.h"

struct backup;

/* Makes the folder `to`, which may be there if it is empty. `stop`, if not NULL, is looked at now and then: set, all of
 * these fail with ERR_BUSY. */
struct backup *backup_begin(const char *from, const char *to, const atomic_bool *stop, struct err *e);

/* MANIFEST, and the logs and segments that it names. */
bool backup_store(struct backup *b, const struct manifest *m, struct err *e);
/* The pictures of its workspaces. */
bool backup_pictures(struct backup *b, const struct manifest *m, struct err *e);
/* A file by its name in both folders; not there is no error. */
bool backup_file(struct backup *b, const char *name, struct err *e);
/* A file that somebody else has put into the new folder, under this name. */
bool backup_adopt(struct backup *b, const char *name, struct err *e);
bool backup_text(struct backup *b, const char *name, struct str text, struct err *e);

struct backup_totals {
    uint64_t seq, files, bytes, linked; /* files: pictures too; linked: of them, not copied */
};

/* Syncs, and writes BACKUP. */
bool backup_finish(struct backup *b, struct backup_totals *totals, struct err *e);
/* Before backup_finish went well: what is there stays marked as unfinished. */
void backup_free(struct backup *b);

/* False, and e, for a backup that was not finished. */
bool backup_finished(const char *dir, struct err *e);

/* Before a server uses a folder. Refuses an unfinished backup; a finished one it turns into a data folder: BACKUP
 * becomes RESTORED, since what it says will not be true for long. */
bool backup_take(const char *dir, struct err *e);

/* Compares a folder with its BACKUP, if there is one, and calls back for each file that is not as it was. False, and e,
 * when BACKUP itself can't be read. */
bool backup_verify(const char *dir, void (*wrong)(void *ctx, const char *path, const char *what), void *ctx,
                   struct err *e);
