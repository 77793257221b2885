/* Reading mapped files. When the disk fails under a mapping, or somebody has cut the file, the system sends SIGBUS; and
 * when a checksum turns out wrong there is nobody in the middle of a scan to tell. Both end up here. A guard is a place
 * to return to, of one thread:
 *
 *     struct guard g;
 *     if (guard_enter(&g)) {  // returns twice, like setjmp
 *         ... read mapped memory ...
 *         guard_leave(&g);
 *     } else {
 *         // g.what is what guard_blame last named (a segment), g.e says why; the guard has been left
 *     }
 *
 * The function that enters must be the one that leaves, and must not return in between. Between the two nothing may be
 * held that only the code after it would give back: no lock, no memory but in an arena of the caller's. Locals changed
 * in between must be volatile to be read after a failure. Guards nest. A system call that is given mapped memory fails
 * with EFAULT instead.
 *
 * A SIGBUS that came from no mapping of io_map's, or to a thread without a guard, ends the process as ever. */
#pragma once
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct guard {
    sigjmp_buf back;
    struct guard *outer;
    const void *what, *outer_what;
    size_t offset; /* the handler's: at which byte of a mapping it failed; SIZE_MAX: thrown */
    struct err e;  /* ERR_DAMAGED */
};

/* Installs the handler: once, before the first thread. */
void guard_init(void);

#define guard_enter(g) (guard_push(g), sigsetjmp((g)->back, 0) == 0 || guard_caught(g))
void guard_leave(struct guard *g);

/* Says which object what follows reads, so that a failure can be blamed on it: one store. Entering and leaving a guard
 * put back what was named before. */
extern _Thread_local const void *volatile guard_blamed;
static inline void guard_blame(const void *what) { guard_blamed = what; }

/* Gives up, to the innermost guard, which there must be. `what` is blamed. */
_Noreturn void guard_throw(const void *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For guard_enter. */
void guard_push(struct guard *g);
bool guard_caught(struct guard *g); /* false */

/* For base/io. */
void guard_mapped(const void *p, size_t n);
void guard_unmapped(const void *p);
