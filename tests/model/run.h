/* One sequence of random steps against the store and the model. All of it follows from the seed and the numbers of the
 * steps: what a step does depends on its own number and on what is there, so that steps can be left out. */
#pragma once
#include "compare.h"
#include "cover.h"
#include "tested.h"

struct dice {
    uint64_t state;
};
uint64_t dice_next(struct dice *d);
uint32_t roll(struct dice *d, uint32_t below);
bool chance(struct dice *d, uint32_t percent);

enum { SPACES = 2, PAGERS = 2, IDS_MOST = 4096 };

/* What the checker remembers of a row, by its order of arrival: where it stood when last looked for. */
struct life {
    bool seen, removed, removed_sealed;
    enum place_kind kind;
    uint64_t number;
    uint32_t version;
};

/* A workspace. */
struct space {
    uint32_t number;
    struct model model;
    struct model other; /* in doubt: what may be there instead */
    bool in_doubt, doubt_deleted, doubt_erased;
    int64_t doubt_retained_us; /* 0: no retention is in doubt */
    struct pager {
        bool open;
        struct question question;
        unsigned met; /* bits of enum step since its last page; and 1 << STEPS for a restart, the next for an erasing */
    } pagers[PAGERS];
    struct str ids[IDS_MOST]; /* every one that was ever used */
    unsigned id_count;
    struct str *dropped; /* ids that retention took the last row of */
    unsigned dropped_count;
    struct str *erased;
    unsigned erased_count;
    struct str *joined; /* ids whose waiting metadata was joined by an inference */
    unsigned joined_count;
    struct life *lives;
    uint64_t life_count;
};

struct run {
    uint64_t seed;
    unsigned number; /* of the step */
    struct dice dice; /* the step's */
    struct board *board;
    struct trail *trail;
    struct tested tested;
    struct arena arena; /* what requests and the model are made of */
    struct space spaces[SPACES];
    uint32_t next_space, next_id;
    int64_t clock_us, floor_us; /* floor: the clock is not set back behind what has expired by it */
    int64_t received_us, other_received_us, doubt_received_us;
    uint32_t accidents, interruptions; /* percent of the steps */
    bool twins; /* few ids, many rows of each, of one model: partial ones, assigned indexes */
    uint64_t operations[OPERATIONS]; /* of the disk: what each took last */
    unsigned syncs[STEPS];
    bool erases; /* ids are, now and then */
    bool nested; /* a write in the middle of a step */
    bool rows_only; /* summaries are off */
    unsigned weights[16];
};

/* Ends the process: the sequence has shown a mistake. */
_Noreturn void wrong(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* one line of the trail */
/* Now, as queries see it: not before what was received. */
static inline int64_t now_of(const struct run *r) {
    return r->clock_us > r->received_us ? r->clock_us : r->received_us;
}
static inline void cover(struct run *r, enum cover c) { atomic_fetch_add(&r->board->covers[c], 1); }

/* A sequence: steps 1..count but those left out, then a last look at everything. */
void run_sequence(uint64_t seed, unsigned count, const bool *left_out, struct board *board, struct trail *trail);
/* As many fields as a workspace may have, and one more. */
void run_limits(struct board *board, struct trail *trail);

/* ---- generate.c: what is sent and asked ---- */

struct str new_id(struct run *r, struct space *s);
struct str some_id(struct run *r, struct space *s); /* used before, most of the time */
struct inference random_inference(struct run *r, struct space *s, struct str id);
struct value random_value(struct run *r);
struct str random_field(struct run *r, struct space *s);
void random_question(struct run *r, struct space *s, struct question *q);
void plain_question(struct run *r, struct space *s, struct question *q); /* without a filter; ends are often whole hours */

/* ---- write.c: requests, and what becomes of them ---- */

/* Sends it, with an accident perhaps, and holds the results against the model's. */
void send(struct run *r, struct space *s, const struct request *q, enum accident accident);
void step_ingest(struct run *r, struct space *s);
void step_attach(struct run *r, struct space *s);
void step_attach_known(struct run *r, struct space *s); /* to an id that has rows */
void step_mixed(struct run *r, struct space *s);
void step_again(struct run *r, struct space *s); /* duplicates, conflicts, partial twins, further indexes */

/* ---- keep.c: the keeper's steps ---- */

void step_keep(struct run *r, struct space *s);
void step_delete(struct run *r, struct space *s);
void begin_space(struct run *r, struct space *s);
void deleted(struct run *r, struct space *s); /* it is; the next one takes its place */
/* After anything that moves rows: where they are now, and how they came there. */
void looked(struct run *r, struct space *s);
/* Rows of the model that the store has no more go, if retention up to this time may have taken them. */
void take_retention(struct run *r, struct space *s, int64_t before_us);

/* What comes in the middle of a step. */
void write_some(struct run *r, struct space *s);
/* In the order of the lists: what is in one, and adds to it what is not. */
bool among(struct str id, const struct str *list, unsigned count);
void remember(struct str **list, unsigned *count, struct str id);

/* ---- erase.c ---- */

void step_erase(struct run *r, struct space *s);
void erase_now(struct run *r, struct space *s); /* no accident, nothing in between */

/* ---- keep.c again ---- */

/* A step of the keeper between resolving a request and writing it, now and then. */
void arm_resolver(struct run *r, struct space *s);
bool disarm_resolver(struct run *r); /* whether it came to it */

/* ---- accident.c: accidents, restarts ---- */

enum accident random_accident(struct run *r);
void begin_accident(struct run *r, enum operation op, enum accident accident);
/* Whether it came. `failed`: nobody knows what the files hold. Then, and when the disk is dead, the store is opened
 * anew, and what is in doubt is settled. */
bool end_accident(struct run *r, enum operation op, enum accident accident, bool failed);
void step_restart(struct run *r);
void step_kill(struct run *r);
void open_store(struct run *r, bool accidents);
void look_at_everything(struct run *r);
void look_at_space(struct run *r, struct space *s);
void look_at(struct run *r, struct space *s, const struct view *v);

/* ---- ask.c: queries ---- */

void step_page(struct run *r, struct space *s); /* begins a list, or goes on with one */
void step_ask(struct run *r, struct space *s);  /* anything else */
void ask_plain(struct run *r, struct space *s, const struct view *v); /* without a filter, as dashboards do */
