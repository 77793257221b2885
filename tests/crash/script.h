/* The fixed script that the power-loss and the fault tests run against the store, and a naive model of what must come
 * of it: every request is a function of its number, and the model is arrays searched from one end to the other.
 *
 * A script leaves nothing out: two workspaces, single records and chains over several journal files, metadata before
 * and after its inference, values replaced, repeated and removed, duplicates, conflicts, assigned indexes, partial
 * records, pictures, groups of several requests, checkpoints, a clean restart. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "image/blobs.h"
#include "store/store.h"

enum {
    SCRIPT_REQUESTS = 40,      /* of the first stage, numbers 0 .. 39 */
    SCRIPT_EXTRA = 40,         /* of the second stage, after a kill: 40, 41, 42 */
    SCRIPT_ALL = 43,
    SCRIPT_WORKSPACE_A = 1,
    SCRIPT_WORKSPACE_B = 7,
    JOURNAL_FILE = 64 << 10,
};

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

/* The picture that a request comes with: its number, many times over. */
enum { SCRIPT_PICTURE = 700 };
struct str script_picture(unsigned number, char bytes[SCRIPT_PICTURE]);

/* What has been told to the callers. In memory shared by the processes of a test. */
struct progress {
    atomic_uint submitted, acked; /* requests of this stage */
    atomic_int failed;            /* requests that came back with an error */
    int64_t received_us[SCRIPT_ALL]; /* of the acknowledged ones */
    atomic_bool key_acked;        /* the first-key file was written */
};

struct script {
    struct store *store;
    struct blobs *blobs;
    const char *dir;
    struct progress *progress;
    void (*settle)(void *ctx); /* called when nothing is in flight: waits for the keeper */
    void *settle_ctx;
};

struct store_options script_options(const char *dir);
bool script_open(struct script *s, struct err *e);
void script_close(struct script *s);

/* The first stage: from an empty folder to the end. The second: opens what is there and adds the extra requests. */
bool script_first(struct script *s, struct err *e);
bool script_second(struct script *s, struct err *e);

/* One request by number; false when it was refused or failed. */
bool script_request(struct script *s, unsigned number, struct err *e);

/* What a store must show (store_dump without receipts) after these requests, in this order. */
void script_expect(const unsigned *numbers, unsigned count, struct buf *out);

/* What a store shows, both workspaces. */
void script_show(struct store *store, struct buf *out);

/* Whether times of receipt are those acknowledged and never decrease, pictures are there byte for byte, and the first
 * key is whole. */
bool script_check(const struct script *s, struct err *e);

#define SCRIPT_KEY "demo sg_0123456789abcdef0123456789abcdef\n"
