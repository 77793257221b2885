/* The store under test, and its clock: what the checker asks of it beside queries. Steps run on the caller's thread,
 * nothing is done by itself, so that the same calls meet the same files. One thread. */
#pragma once
#include "store/store.h"

enum { STEPS = STEP_EXPIRE + 1 };
extern const char *const step_names[STEPS];

struct tested {
    struct store *store;
    struct store_options o; /* all but dir, manual and now_us are the caller's */
};

void tested_clock(int64_t now_us); /* what the store reads as the time, from now on */

bool tested_open(struct tested *s, const char *dir, struct err *e);
void tested_close(struct tested *s);

/* ---- looking into a view; NULL holds nothing ---- */

enum place_kind { PLACE_OPEN, PLACE_FROZEN, PLACE_SEALED };
struct location {
    enum place_kind kind;
    uint64_t number; /* of a segment; of a chunk: its first sequence number */
    uint32_t version;
    bool apart;
    int64_t max_time_us; /* of a segment */
    uint32_t overlay;    /* of a segment: writes that wait to be folded in */
};

/* A row as it stands in a part; `inf` has the index it was given. */
struct placed_row {
    struct inference inf;
    uint64_t seq;
    uint8_t flags;
};
void tested_rows(const struct view *v, void (*call)(void *ctx, const struct location *p, const struct placed_row *r),
                 void *ctx);

/* Whether the segments are what they should be. */
bool tested_verify(const struct view *v, struct err *e);

/* The parts that an id has rows in. */
struct whereabouts {
    unsigned parts, open, frozen, sealed;
    bool folded, overlaid; /* one of them is a segment that was folded, or that has something to fold in */
};
struct whereabouts tested_find(const struct view *v, struct str id);

bool tested_hidden(const struct view *v);       /* a row of a segment was hidden since it was written */
unsigned tested_frozen(const struct view *v); /* chunks that wait to be sealed */
