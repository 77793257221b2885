/* MANIFEST: which files make up the store, and how far each counts. One for all workspaces, replaced as a whole, so
 * that whatever a step of the keeper changes is there together or not at all. A file that it does not name is none of
 * the store's.
 *
 *     sightglass-manifest 3
 *     store 0f3c...                  store id, 32 hex digits
 *     seq 123456 1763769600000000    the journal's records up to this one are in the logs below, or not needed any
 *                                    more; the latest time of receipt among them, microseconds since 1970
 *     workspace 1 100000 3 9         number; inferences up to this seq are in segments; next segment; next log
 *     log 8 9034752                  workspaces/1/log-8: so many bytes of it count
 *     segment 1 4 65536 1763769500000000 1763769590000000 1763769591000000
 *                                    workspaces/1/segments/1.4.arrow: number, version; rows; their earliest and latest
 *                                    time, and their latest receipt, microseconds since 1970
 *     segment 2 1                    of version 2 of this format, which knew no more
 *     workspace 2 deleted            its number is never used again
 *     crc 89abcdef                   crc32c of all lines before
 *
 * Workspaces, logs of a workspace and segments of a workspace each stand in order of their number, which grows and is
 * never used twice. Lengths are multiples of 512. Anything that would not be written like this is refused. Version 2,
 * which has the short segment lines only, is read and not written.
 *
 * Owner: the caller. One thread at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct manifest_log {
    uint64_t number, length;
};

/* What is in a segment, so that it can be told when its file cannot be read. */
struct manifest_segment {
    uint64_t number;
    uint32_t version;
    uint32_t rows; /* 0: this and all that follows is not known */
    int64_t min_time_us, max_time_us, max_received_us;
};

struct manifest_workspace {
    uint32_t number;
    bool deleted;                    /* all else is 0 then */
    uint64_t sealed_through;         /* inferences up to it are in segments, or gone with them; may be over `seq` */
    uint64_t next_segment, next_log; /* over every number used so far, from 1 */
    struct manifest_log *logs;       /* a log holds lower seqs than the next one */
    size_t log_count;
    struct manifest_segment *segments;
    size_t segment_count;
};

struct manifest {
    uint8_t store_id[16];
    uint64_t seq;
    int64_t received_us; /* never goes back, whatever was removed since */
    struct manifest_workspace *workspaces;
    size_t count;
};

void manifest_copy(struct manifest *to, const struct manifest *from); /* `to` holds nothing before */
void manifest_free(struct manifest *m);                               /* leaves an empty one */

/* NULL: not in it. */
struct manifest_workspace *manifest_find(const struct manifest *m, uint32_t workspace);
/* Adds it if it is not there. What find and make gave before is no longer valid. */
struct manifest_workspace *manifest_make(struct manifest *m, uint32_t workspace);

void manifest_print(const struct manifest *m, struct buf *text);
/* e: which line. On failure *m is empty. */
bool manifest_parse(struct str text, struct manifest *m, struct err *e);

/* DIR/MANIFEST; a missing one is an empty store's. ERR_DAMAGED names the file: damaged, of another store, or made by
 * another version of the program. */
bool manifest_read(const char *dir, const uint8_t store_id[16], struct manifest *m, struct err *e);
/* 0, -1 or 1, as io_replace_file; e unless 0. */
int manifest_write(const char *dir, const struct manifest *m, struct err *e);

/* Where the files are: DIR/workspaces/N[/NAME]. */
void manifest_path(const char *dir, uint32_t workspace, const char *name, char path[4096]);
void manifest_log_name(uint64_t number, char name[64]);                       /* log-8 */
void manifest_segment_name(uint64_t number, uint32_t version, char name[64]); /* 1.4.arrow, in the folder `segments` */
