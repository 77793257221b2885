/* A disk that can lose power. Its table (io_sim_ops) does every operation on real files, and remembers beside them what
 * would survive: for each file the bytes at its last sync and which 512-byte sectors were written since, for each
 * folder the names at its last sync and the creates, renames and removals since. A name leads to an object, as to an
 * inode: a synced file under a name that was not synced is gone.
 *
 * io_sim_photo() builds, in an empty folder, what could be on the platter at this moment: of each unsynced sector the
 * new bytes, the old ones, or garbage; an unsynced length or the old one; unsynced names kept or undone, each by
 * itself.
 *
 * Before every operation the hook is called, with no other operation under way; it may take photos, fork, or fail the
 * operation by returning an errno. Only opening without making (SIM_OPEN), SIM_READ, SIM_MAP and SIM_LIST change
 * nothing. A mapping shows what a program sees, as it does with a real file. Paths are those under the root given to
 * io_sim_begin. Any thread but begin, move, end: those need the only one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/io.h"

enum io_sim_op {
    SIM_CREATE, SIM_WRITE, SIM_TRUNCATE, SIM_SYNC, SIM_SYNC_DIR, SIM_RENAME, SIM_LINK, SIM_UNLINK, SIM_MKDIR, SIM_RMDIR,
    SIM_OPEN, SIM_READ, SIM_MAP, SIM_LIST, /* from here on nothing changes */
    SIM_OPS
};
extern const char *const io_sim_op_names[SIM_OPS];

struct io_sim_event {
    enum io_sim_op op;
    const char *what; /* path, or site of a sync */
    const char *path; /* of the file, where it is known */
    size_t n;         /* of a write: its length; the hook may shorten it */
    size_t grows;     /* of a write: by how much the file gets longer */
    uint64_t number;  /* from 1; what changes nothing has none: 0 */
};

/* 0, or the errno the operation fails with. A failing sync loses what was not yet on disk but goes on showing it, and a
 * later sync does not bring it back: what Linux does. */
typedef int io_sim_hook(void *ctx, struct io_sim_event *event);

/* Takes a folder, and puts the table in place. What is in the folder counts as synced. */
void io_sim_begin(const char *root, io_sim_hook *hook, void *ctx);
void io_sim_end(void); /* puts the operating system back and forgets everything */

/* The hook for what follows; NULL: none. */
void io_sim_set_hook(io_sim_hook *hook, void *ctx);

/* Syncs at this site do nothing and say they went well; NULL: none. */
void io_sim_ignore(const char *site);

/* After a fork: goes on in another, empty folder, with the same files as a program that starts anew finds them: all
 * that was written is there, no file is open, and what is durable is as it was. */
void io_sim_move(const char *root);

enum { SIM_DROP_ALL = 0, SIM_KEEP_ALL = 1, SIM_RANDOM = 2 }; /* seeds from SIM_RANDOM on are random */
void io_sim_photo(const char *to, uint64_t seed);

/* Each site that was synced at, once. */
unsigned io_sim_sites(const char **sites, unsigned room);
