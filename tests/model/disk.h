/* The disk that the store under test writes to (tests/crash/io_sim.h), and what can happen to it in the middle of a
 * step: the process is killed, the power goes, one operation fails. Counted from the call of disk_arm, so that the same
 * run meets the same accident at the same operation.
 *
 * One thread, but for the store's own, which call through base/io. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum accident {
    ACCIDENT_NONE,
    ACCIDENT_KILL,  /* what was written is there, nothing after it; a write may have got half way */
    ACCIDENT_POWER, /* what was synced is there, of the rest anything */
    ACCIDENT_FAULT, /* this one operation fails, EIO or ENOSPC; the process goes on */
    ACCIDENTS
};
extern const char *const accident_names[ACCIDENTS];

void disk_begin(void); /* an empty one */
void disk_end(void);
const char *disk_folder(void); /* it changes with disk_recover */

/* From now on operations are counted; the n-th, from 1, is the accident. */
void disk_arm(enum accident accident, uint64_t n, uint64_t seed);
uint64_t disk_operations(void);  /* since disk_arm */
const char *disk_struck(void);   /* at which operation the accident came; NULL: it did not */
bool disk_armed(void);
bool disk_dead(void);            /* it was a kill or a power loss: nothing reaches the disk any more */

void disk_die(enum accident accident, uint64_t seed); /* a kill or a power loss, now */

/* The store has been closed: what the accident left is what the next one finds. */
void disk_recover(void);

/* Calls once, at the n-th sync from now, from 1, that is none of the journal's and on the caller's thread: in the
 * middle of the keeper's work. Off with NULL. Returns how many such syncs there were since the last call. */
unsigned disk_interrupt(unsigned n, void (*call)(void *ctx), void *ctx);
