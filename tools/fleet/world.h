/* The simulated fleet: which containers, cameras and models there are, what happens to them when, and how much each
 * does in each window of time. Everything follows from the settings; nothing here changes once it is made, any thread
 * may read it.
 *
 * Time is cut into windows: those before now are as long as a report covers, then one of no length, in which every
 * container begins anew and says that it is alive, then live ones. What a container does in a window is a cell.
 *
 * Containers by number c, as far as there are so many:
 *   odd        stay on version 1 of their models, the even ones change over to version 2
 *   c % 3 = 2  report in full (TINY_CACHE=False), the others in the thin form
 *   c % 4 = 1  their workflows attach metadata before the report that brings the inference; others' come after it
 *   c % 5      2: the clock is 3 minutes fast, 4: 2 min 10 s slow
 *   c % 6 = 5  have an aggregator block, whose best predictions come apart from the reports
 *   1          the lens of its first camera gets dirty over days
 *   2, 3       tell the same field as my_location and My_location
 *   last       has been silent since the evening before now
 *   last but 1 its clock is a day ahead
 * Each is out of order for some hours now and then, and rests as its plant's shifts do. */
#pragma once
#include "settings.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum {
    MOST_CONTAINERS = 1000,
    MOST_CAMERAS = 16,
    MODELS = 4,
    CLASSES = 5,
    VERSIONS = 2,
    PLANTS = 3,
    LINES = 3, /* of a plant */
    PRODUCTS = 4,
    OPERATORS = 12,
    SHIFTS = 3,
    LATE_WINDOWS = 5, /* metadata that is late, and what reviewers say, comes so many windows later */
    NAME = 96,
};

struct model {
    const char *name;
    bool classifies;
    unsigned classes, first_defect; /* classes from first_defect on are defects */
    const char *class_names[CLASSES];
    unsigned latency_ms10; /* tenths of milliseconds */
};
extern const struct model world_models[MODELS];
extern const char *const world_products[PRODUCTS], *const world_shifts[SHIFTS], *const world_plants[PLANTS];
extern const char world_hostile[]; /* what a page must show as text */

struct container {
    unsigned number, plant, line;
    char device_id[NAME], server_id[NAME], host[NAME], host_hash[6];
    const char *version;
    bool full, early, aggregates, hostile;
    int64_t skew_us, silent_from_us; /* INT64_MAX: never silent */
};

enum marker_kind { MARKER_MODEL, MARKER_CHANGEOVER, MARKER_LENS, MARKER_SILENT };
struct marker {
    enum marker_kind kind;
    int64_t time_us;
    char text[160], model_id[NAME], device_id[NAME]; /* empty: none */
};

struct world {
    const struct settings *s;
    int64_t begin_us, lens_us, rollout_us[MODELS];
    unsigned history, windows; /* windows before now; of all */
    int64_t window_us, live_us;
    struct container *containers;
    uint64_t *events_before; /* of each cell, in the order of windows, then containers; one more at the end */
    struct marker *markers;
    size_t marker_count;
};

bool world_make(struct world *w, const struct settings *s, struct err *e);
void world_free(struct world *w);

int64_t world_start(const struct world *w, unsigned window);
int64_t world_length(const struct world *w, unsigned window);
/* Whether the container runs at the beginning of that window: if not, nothing is sent. */
bool world_alive(const struct world *w, const struct container *c, unsigned window);
/* What runs at a moment of the true clock. */
unsigned world_model(const struct container *c, unsigned camera);
unsigned world_version(const struct world *w, const struct container *c, unsigned model, int64_t us); /* 0: the first */
unsigned world_product(const struct world *w, const struct container *c, int64_t us);
unsigned world_shift(int64_t us);
unsigned world_operator(const struct world *w, const struct container *c, int64_t us);
unsigned world_dirt(const struct world *w, const struct container *c, unsigned camera, int64_t us); /* 0..1000 */
/* An independent draw for a number. */
uint64_t world_draw(const struct world *w, unsigned what, uint64_t number);
void world_model_id(unsigned model, unsigned version, char out[NAME]);
/* "line-2/cam-1" */
void world_camera(const struct container *c, unsigned camera, char out[NAME]);
