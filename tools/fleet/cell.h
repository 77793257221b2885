/* What one container did in one window: its inferences, and what is attached to them when. Follows from the world
 * alone. A struct cell has one owner and is used again and again. */
#pragma once
#include "data.h"
#include "world.h"

enum { DETECTIONS_MOST = 4 };

struct detection {
    uint8_t code;
    uint16_t confidence;          /* in 1/10000 */
    uint16_t x, y, width, height; /* of the full form; centres and a half */
};

struct event {
    uint64_t number; /* of its id */
    int64_t time_us; /* as the container's clock has it */
    uint8_t camera, model, version, product, shift, staff, expected, count;
    bool tells_latency; /* the thin form has none of an inference that found nothing */
    bool with_metadata;
    uint16_t latency; /* in 1/10000 s */
    struct detection d[DETECTIONS_MOST];
};

struct cell {
    unsigned window;
    const struct container *c;
    bool alive;
    size_t count, room;
    struct event *events;
};

void cell_make(struct cell *cell, const struct world *w, unsigned window, unsigned container);
void cell_free(struct cell *cell);
void cell_id(const struct world *w, uint64_t number, char out[DATA_ID]);
const char *cell_class(const struct event *e, unsigned detection);
/* How many of the previous window's last inferences are reported once more with this one's. */
size_t cell_resent(const struct world *w, const struct cell *cell);

/* ---- metadata ---- */

enum step {
    STEP_EARLY,     /* metadata before the report */
    STEP_AGGREGATE, /* the aggregator's best predictions */
    STEP_REPORT,
    STEP_AFTER, /* metadata soon after it, that of ids which never come among it */
    STEP_USAGE, /* failures */
    STEP_LATE,  /* of the cell LATE_WINDOWS before: its metadata, if that is late, and what reviewers say */
    STEPS,
};

enum field {
    FIELD_SERIAL,
    FIELD_EXPECTED,
    FIELD_RESULT,
    FIELD_PLANT,
    FIELD_LINE,
    FIELD_SHIFT,
    FIELD_OPERATOR,
    FIELD_CAMERA,
    FIELD_PRODUCT,
    FIELD_LOCATION,
    FIELD_REVIEW,
    FIELDS,
};

struct write {
    uint64_t number; /* of the id */
    uint8_t field;
    const char *name; /* the field's */
    bool waits;       /* the id is not known yet */
    bool never;       /* nor will it be */
    char value[NAME];
};

struct writes {
    struct write *list;
    size_t count, room;
};
/* What is attached in that step, which has metadata; the same field and value stand together. cell: for STEP_LATE the
 * earlier one. Takes the place of what was there. */
void cell_writes(struct writes *out, const struct world *w, const struct cell *cell, enum step step);
void writes_free(struct writes *out);

/* ---- what is beside the reports ---- */

struct best {
    uint64_t number;
    unsigned model, version, code;
    uint16_t confidence;
    bool stays; /* no report ever brings that inference: it is from a pipeline that has no server */
};
enum { BEST_MOST = MODELS * VERSIONS * CLASSES + 1 };
size_t cell_best(struct best out[BEST_MOST], const struct world *w, const struct cell *cell);

struct failure {
    int64_t time_us;
    const char *type, *text;
    unsigned status, count, model, version;
    bool again; /* the same list is sent a second time */
};
bool cell_failure(struct failure *out, const struct world *w, const struct cell *cell);
