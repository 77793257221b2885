/* What a workspace must hold after the requests it took: plain arrays, searched from one end to the other, so that it
 * is right by looking at it. It knows nothing of chunks, segments or files. Retention is told which rows go.
 *
 * Owner: the checker, one thread. Strings live in the arena given and outlive every copy of the model. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "record/record.h"
#include "store/store.h"

/* ---- what is asked of the store ---- */

enum { REQUEST_MOST = 24 };

struct request {
    unsigned count;
    struct item {
        bool is_attach;
        struct inference inf;
        struct attach attach;
    } items[REQUEST_MOST];
};

/* What comes of an item. */
struct result {
    enum outcome outcome; /* of an inference */
    uint32_t index;
    struct attach_counts attach;
};

/* ---- what is there ---- */

struct model_row {
    struct inference inf; /* as it was sent */
    struct str content;   /* encoded */
    int64_t time_us, received_us;
    uint32_t index; /* as it was given */
    uint64_t order; /* of arrival */
    uint8_t flags;  /* ROW_* */
    bool gone;      /* dropped by retention */
};

/* One write that changed something. */
struct model_write {
    struct str id, field;
    struct value value, previous;
    int64_t time_us;
    uint32_t key_id;
    bool gone;    /* with the last row of its id, or expired: */
    bool expired; /* a restart may bring it back, though it waits no more */
};

struct model {
    struct arena *arena;
    uint32_t max_fields, max_pending, max_per_id;
    int64_t ttl_us;
    struct model_row *rows; /* in order of arrival, as are the writes */
    size_t row_count;
    uint64_t orders; /* given so far */
    struct model_write *writes;
    size_t write_count;
    struct str *fields; /* every name that was ever written */
    size_t field_count;
};

void model_copy(struct model *to, const struct model *from);
void model_free(struct model *m);

/* Whether a request fits within the limits. EITHER: it depends on whether what nobody needs any more, a field without a
 * value or an expired id, has been given back already. REFUSED: it does not fit, and which limit is named depends. */
enum verdict { VERDICT_TAKEN, VERDICT_PER_ID, VERDICT_FIELDS, VERDICT_PENDING, VERDICT_REFUSED, VERDICT_EITHER };
enum verdict model_verdict(const struct model *m, const struct request *r, int64_t received_us);

void model_apply(struct model *m, const struct request *r, int64_t received_us, struct result *results);

/* The rows that are marked `gone` have been dropped: so has what was known of ids that have no other. */
void model_retained(struct model *m);
void model_expire(struct model *m, int64_t now_us);

/* Everything of these ids goes. `out`: what was there, as of now_us. */
void model_erase(struct model *m, const struct str *ids, size_t count, int64_t now_us, struct erased *out);
/* The same for those that have no row. */
void model_erase_waiting(struct model *m, const struct str *ids, size_t count);

/* Of an id, at some moment. */
bool model_has_rows(const struct model *m, struct str id);
bool model_waits(const struct model *m, struct str id, int64_t now_us); /* metadata and no row, not yet expired */
const struct model_write *model_newest(const struct model *m, struct str id, struct str field); /* NULL */
struct value model_value(const struct model *m, struct str id, struct str field);               /* VALUE_NONE: none */
