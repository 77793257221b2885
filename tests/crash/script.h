/* The fixed script that the power-loss and the fault tests run against the store, and a naive model of what must come
 * of it: every request is a function of its number, and the model is arrays searched from one end to the other.
 *
 * A script leaves nothing out: three workspaces, single records and chains over several journal files, metadata before
 * and after its inference, values replaced, repeated and removed, duplicates, conflicts, assigned indexes, partial
 * records, pictures, groups of several requests, clean restarts; chunks of a dozen rows, so that all of this happens to
 * ids in open and frozen chunks, in segments, folded and merged ones and several at once; checkpoints, compaction of
 * logs, retention, ids that are erased, and a workspace that is deleted.
 *
 * What callers can tell apart is counted in events: a request, a retention, an erasing, a deletion. All else (sealing,
 * ...) must not show. The store does nothing by itself here (`manual`), so that operations come in the same order each time. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "image/blobs.h"
#include "store/store.h"

enum {
    SCRIPT_KINDS = 14,
    SCRIPT_REQUESTS = 3 * SCRIPT_KINDS, /* of the first stage, numbers from 0 */
    SCRIPT_EXTRA = SCRIPT_REQUESTS,     /* of the second stage, after a kill: three more */
    SCRIPT_RETAIN = SCRIPT_EXTRA + 3,   /* events that are no requests */
    SCRIPT_ERASE, /* there are two */
    SCRIPT_DELETE = SCRIPT_ERASE + 2,
    SCRIPT_ALL,
    SCRIPT_EVENTS = SCRIPT_REQUESTS + 4, /* of the first stage */
    SCRIPT_WORKSPACE_A = 1,
    SCRIPT_WORKSPACE_B = 7,
    SCRIPT_WORKSPACE_C = 9, /* the one that is deleted */
    JOURNAL_FILE = 64 << 10,
};

#define HOUR_US (3600 * 1000000LL)
#define SCRIPT_NOW_US 1767225600000000LL /* about when requests are received: 2026-01-01 */
/* The retention drops what is older: the first round of requests, and a few later rows of long ago. */
#define SCRIPT_CUT_US (SCRIPT_NOW_US - 4 * HOUR_US + SCRIPT_KINDS * 60000000LL)

/* The event that comes n-th in the first stage, and in the second. */
unsigned script_event(unsigned n);
unsigned script_extra_event(unsigned n);

/* One request: what it is made of, and what it is made in. */
struct request {
    uint32_t workspace;
    unsigned count;
    struct item {
        bool is_attach;
        struct inference inf;
        struct attach attach;
    } items[64];
    struct arena arena; /* the caller frees it */
};
void script_build(unsigned number, struct request *r);

/* The ids that are erased in workspace A, first or second; how many. */
enum { SCRIPT_ERASED_MOST = 8 };
unsigned script_erased(unsigned which, struct str ids[SCRIPT_ERASED_MOST]);

/* The picture that a request comes with: its number, many times over. */
enum { SCRIPT_PICTURE = 700 };
struct str script_picture(unsigned number, char bytes[SCRIPT_PICTURE]);

/* What has been told to the callers. In memory shared by the processes of a test. */
struct progress {
    atomic_uint submitted, acked;    /* events of this stage */
    atomic_int failed;               /* requests that came back with an error */
    int64_t received_us[SCRIPT_ALL]; /* of the acknowledged requests */
    atomic_bool key_acked;           /* the first-key file was written */
};

struct script {
    struct store *store;
    struct blobs *blobs;
    const char *dir;
    struct progress *progress;
};

struct store_options script_options(const char *dir);
bool script_open(struct script *s, struct err *e);
void script_close(struct script *s);

/* The first stage: from an empty folder to the end. The second: goes on with what is there, and adds the extra events.
 * */
bool script_first(struct script *s, struct err *e);
bool script_second(struct script *s, struct err *e);

/* The actions of the first stage one by one, for who wants to look at what becomes of each. */
struct action {
    enum { ACT_REQUESTS, ACT_STEP, ACT_RETAIN, ACT_ERASE, ACT_DELETE, ACT_RESTART } what;
    unsigned first, count; /* of requests, as one group if there are several; first: of erasings too */
    enum store_step step;
    uint32_t workspace;
};
extern const struct action script_actions[];
extern const unsigned script_action_count;
/* The first event of an action; false: it is none that callers can tell. */
bool script_action_event(const struct action *a, unsigned *event);
bool script_act(struct script *s, const struct action *a, struct err *e);

/* One request by number; false when it was refused or failed. */
bool script_request(struct script *s, unsigned number, struct err *e);

/* What a store must show (store_dump without receipts) after these events, in this order. */
void script_expect(const unsigned *events, unsigned count, struct buf *out);

/* What a store shows, all workspaces. */
void script_show(struct store *store, struct buf *out);

/* Whether times of receipt are those acknowledged and never decrease, pictures are there byte for byte, segments pass
 * their verifier, and the first key is whole. */
bool script_check(const struct script *s, struct err *e);

/* Whether a segment is set aside in any workspace. */
bool script_aside(struct store *store);

/* Whether the files of the workspaces are those of the manifest, no more and no less: true after a start and a
 * checkpoint, when nothing fails. And how many files there are. */
bool script_check_files(const struct script *s, struct err *e);
unsigned script_files(const struct script *s);

#define SCRIPT_KEY "demo sg_0123456789abcdef0123456789abcdef\n"
