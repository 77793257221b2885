#include "base/guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- the mappings ---- */

/* In blocks that are never moved or freed, so that the handler can go through them at any time. */
enum { BLOCK_RANGES = 512 };

struct range {
    _Atomic uintptr_t from; /* 0: free */
    _Atomic size_t size;
};

struct ranges {
    struct ranges *_Atomic next;
    struct range list[BLOCK_RANGES];
};

static struct ranges first_ranges;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The range that begins there; 0: a free one; NULL: none. */
static struct range *range_at(uintptr_t from) {
    for (struct ranges *b = &first_ranges; b; b = atomic_load(&b->next))
        for (unsigned i = 0; i < BLOCK_RANGES; i++)
            if (atomic_load(&b->list[i].from) == from) return &b->list[i];
    return NULL;
}

void guard_mapped(const void *p, size_t n) {
    pthread_mutex_lock(&lock);
    struct range *r = range_at(0);
    if (!r) {
        struct ranges *b = mem_zero(1, sizeof *b), *last = &first_ranges;
        while (atomic_load(&last->next)) last = atomic_load(&last->next);
        atomic_store(&last->next, b);
        r = &b->list[0];
    }
    atomic_store(&r->size, n);
    atomic_store(&r->from, (uintptr_t)p);
    pthread_mutex_unlock(&lock);
}

void guard_unmapped(const void *p) {
    pthread_mutex_lock(&lock);
    struct range *r = range_at((uintptr_t)p);
    CHECK(r);
    atomic_store(&r->from, 0);
    pthread_mutex_unlock(&lock);
}

/* How far into a mapping an address is; SIZE_MAX: it is in none. */
static size_t mapped_offset(uintptr_t address) {
    for (struct ranges *b = &first_ranges; b; b = atomic_load(&b->next))
        for (unsigned i = 0; i < BLOCK_RANGES; i++) {
            uintptr_t from = atomic_load(&b->list[i].from);
            if (from && address >= from && address - from < atomic_load(&b->list[i].size)) return address - from;
        }
    return SIZE_MAX;
}

/* ---- the guards ---- */

_Thread_local const void *volatile guard_blamed;
static _Thread_local struct guard *volatile innermost;

void guard_push(struct guard *g) {
    g->outer = innermost;
    g->outer_what = guard_blamed;
    g->offset = SIZE_MAX;
    atomic_signal_fence(memory_order_seq_cst);
    innermost = g;
}

void guard_leave(struct guard *g) {
    CHECK(innermost == g);
    innermost = g->outer;
    guard_blamed = g->outer_what;
}

bool guard_caught(struct guard *g) {
    g->what = guard_blamed;
    guard_leave(g);
    if (g->offset != SIZE_MAX)
        err_set(&g->e, ERR_DAMAGED, "reading at byte %zu failed: the disk has failed there, or the file was cut",
                g->offset);
    return false;
}

void guard_throw(const void *what, const char *fmt, ...) {
    struct guard *g = innermost;
    va_list ap;
    CHECK(g);
    guard_blamed = what;
    g->e.code = ERR_DAMAGED;
    va_start(ap, fmt);
    vsnprintf(g->e.msg, sizeof g->e.msg, fmt, ap);
    va_end(ap);
    siglongjmp(g->back, 1);
}

/* ---- the handler ---- */

/* It touches nothing but this thread's guard and the ranges, and leaves all text to guard_caught. A fault that is not
 * ours goes back to the instruction that failed, which fails again, now with the default action. */
static void on_sigbus(int number, siginfo_t *info, void *context) {
    const ucontext_t *interrupted = context;
    struct guard *g = innermost;
    if (g && info->si_code > 0 && (g->offset = mapped_offset((uintptr_t)info->si_addr)) != SIZE_MAX) {
        /* As the jump is not a return, the mask of the handler would stay. */
        pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
        siglongjmp(g->back, 1);
    }
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number); /* sent by somebody: nothing would fail again */
}

void guard_init(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    action.sa_sigaction = on_sigbus;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}
