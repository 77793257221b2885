/* Sends requests over many connections to 127.0.0.1, one in flight on each: as fast as answers come, or at a fixed
 * rate. With a rate a request is due at its time whether earlier ones were answered or not, and its latency counts from
 * then, so that a server that stalls can't slow the clock it is measured by.
 *
 * A run stops sending at its limit and then waits for the answers still owed, so that what was acknowledged is known
 * exactly. A 503 means "come again": the same request is sent once more after 20 ms, its latency counts from the first
 * time, and the tally says how often it happened. Any thread may run it; its threads call the functions given, those of
 * one connection never at the same time. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "client.h"
#include "options.h"
#include "tally.h"

struct drive_connection {
    unsigned number; /* 0..connections-1 */
    struct buf out;  /* build fills it anew */
    struct buf body; /* for build's use */
    void *own;       /* what the kind of run keeps of a connection; from malloc, drive.c frees it */

    /* drive.c's */
    int fd;
    bool waiting, writable_wanted, gone;
    struct buf in;
    size_t sent;
    int64_t sent_us, again_us;
};

struct drive_kind {
    bool (*build)(void *arg, struct drive_connection *c); /* false: nothing more on this connection */
    bool (*accept)(void *arg, struct drive_connection *c, const struct answer *a, int64_t latency_us, struct tally *t);
    void (*unanswered)(void *arg, struct drive_connection *c); /* NULL: of no interest */
    unsigned items;                                            /* a request, for the rate */
    bool endless;                                              /* o.seconds does not end it */
};

/* tally: what all threads counted; started_us: when the first request was sent. On failure what was counted until then
 * is there too. */
bool drive(const struct options *o, const struct drive_kind *kind, void *arg, struct tally *tally, int64_t *started_us,
           struct err *e);

/* A request's head for a body of this size. */
void drive_head(struct buf *to, const char *method, const char *path, const char *key, size_t body);
