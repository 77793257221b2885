/* How long questions to a workspace full of segments take: rows over 90 days in time order but for a minute's shuffle
 * and 5 % that came hours late, 0 to 4 detections each, a serial number of its own on each, a place with 100 values on
 * 60 %, a shift on half of them, a verdict on a fifth that only the overlays have, the last rows in the open chunk.
 * Medians; what is found is counted back.
 *
 *   query_bench --dir DIR [--rows 10000000] [--rounds 5] [--threads 2] [--only TEXT]
 *
 * The segments are left in DIR and used again by the next run with as many rows. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/hash.h"
#include "query/crew.h"
#include "query/lookup.h"
#include "query/run.h"
#include "store/view.h"

#define HOUR INT64_C(3600000000)
#define DAY (24 * HOUR)
#define START INT64_C(1795000000000000)
enum { DAYS = 90, CLASSES = 20, MODELS = 12, DEVICES = 40, MOST_DETECTIONS = 5, ROUNDS_MOST = 99, FIELDS = 4 };
enum { SERIAL, PLACE, SHIFT, VERDICT };

static const uint8_t store_id[16] = "query bench";
static const struct str field_names[FIELDS] = {
    {"serial_number", 13}, {"camera_location", 15}, {"shift", 5}, {"verdict", 7}};

static struct {
    const char *dir, *only;
    uint64_t rows;
    unsigned rounds, threads;
} options = {.rows = 10000000, .rounds = 5, .threads = 2};

/* ---- rows: everything follows from the number of a row ---- */

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct row {
    char id[40], model[16], device[16], serial[24], place[16], classes[MOST_DETECTIONS][16];
    struct detection detections[MOST_DETECTIONS];
    struct inference inf;
    struct entry metadata[FIELDS];
    size_t metadata_count;
    uint64_t seq;
};

static bool in_canada(uint64_t n) { return mix(n ^ 0xca) % 10 < 6 && mix(n ^ 0xcb) % 60 == 0; }

static void give(struct row *r, int field, struct str text) {
    r->metadata[r->metadata_count++] = (struct entry){field_names[field], {.type = VALUE_STRING, .text = text}};
}

static struct str text(char *to, size_t size, const char *fmt, uint64_t n) {
    return (struct str){to, (size_t)snprintf(to, size, fmt, (unsigned)n)};
}

static void make_row(struct row *r, uint64_t n) {
    uint64_t x = mix(n * 7 + 3), y = mix(x);
    int64_t time = START + (int64_t)((double)n / (double)options.rows * DAYS * (double)DAY) + (int64_t)(y % 60000000);
    if (y % 20 == 0) time -= (int64_t)(y >> 20) % (5 * HOUR);
    r->seq = n + 1;
    r->metadata_count = 0;
    snprintf(r->id, sizeof r->id, "%08x-52a4-4c1f-8a7d-%012" PRIx64, (unsigned)y, n);
    r->inf = (struct inference){.id = str_of(r->id),
                                .model_id = text(r->model, sizeof r->model, "line-%u/1", x % MODELS),
                                .device_id = text(r->device, sizeof r->device, "cam-%u", (x >> 8) % DEVICES),
                                .width = 640,
                                .height = 480,
                                .time_us = time,
                                .latency_s = 0.005 + (double)((x >> 16) & 0x3ff) / 10000,
                                .error = (x >> 40) % 100 == 0 ? STR("timeout") : STR(""),
                                .detections = r->detections};
    r->inf.detection_count = r->inf.error.n ? 0 : (x >> 32) % MOST_DETECTIONS;
    for (size_t k = 0; k < r->inf.detection_count; k++) {
        uint64_t q = mix(x + k);
        r->detections[k] = (struct detection){.class_name = text(r->classes[k], 16, "class-%u", q % CLASSES),
                                              .class_id = (int64_t)(q % CLASSES),
                                              .confidence = 0.3 + (double)((q >> 20) & 0xffff) / 65536 * 0.7,
                                              .has_box = true,
                                              .x = 320,
                                              .y = 240,
                                              .width = 64,
                                              .height = 48};
    }
    give(r, SERIAL, text(r->serial, sizeof r->serial, "SN%012u", n));
    if (in_canada(n))
        give(r, PLACE, STR("canada"));
    else if (mix(n ^ 0xca) % 10 < 6)
        give(r, PLACE, text(r->place, sizeof r->place, "place-%u", mix(n ^ 0xcb) % 99));
    if (mix(n ^ 0x5f) % 2) give(r, SHIFT, mix(n ^ 0x60) % 2 ? STR("night") : STR("day"));
}

/* ---- segments ---- */

static uint32_t segment_rows(uint64_t number) {
    uint64_t first = number * SEGMENT_ROWS;
    return (uint32_t)(options.rows - first < SEGMENT_ROWS ? options.rows - first : SEGMENT_ROWS);
}

static int by_time(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : (a[1] > b[1]) - (a[1] < b[1]);
}

static void path_of(char path[256], uint64_t number, bool whole) {
    snprintf(path, 256, "%s%s%" PRIu64 "-%" PRIu64 ".arrow", whole ? options.dir : "", whole ? "/" : "", options.rows,
             number);
}

static void write_segment(uint64_t number) {
    struct segment_identity id = {.workspace = 1, .number = number + 1, .version = 1, .applied_through = options.rows};
    struct err e;
    char name[256];
    memcpy(id.store_id, store_id, sizeof id.store_id);
    uint32_t count = segment_rows(number);
    int64_t(*order)[2] = mem_alloc(count * sizeof *order);
    struct row *r = mem_alloc(sizeof *r);
    for (uint32_t i = 0; i < count; i++) {
        make_row(r, number * SEGMENT_ROWS + i);
        order[i][0] = r->inf.time_us;
        order[i][1] = (int64_t)r->seq;
    }
    qsort(order, count, sizeof *order, by_time);
    struct segment_builder *b = segment_builder_new(&id, field_names, FIELDS);
    for (uint32_t i = 0; i < count; i++) {
        make_row(r, (uint64_t)order[i][1] - 1);
        struct segment_row row = {.inf = r->inf,
                                  .received_us = r->inf.time_us,
                                  .seq = r->seq,
                                  .content = r->seq,
                                  .flags = r->inf.error.n ? ROW_ERROR : 0,
                                  .metadata = r->metadata,
                                  .metadata_count = r->metadata_count};
        segment_builder_add(b, &row);
    }
    path_of(name, number, false);
    if (!segment_builder_write(b, options.dir, name, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(1);
    }
    free(order);
    free(r);
}

static _Atomic uint64_t next_segment;

static void *write_segments(void *arg) {
    uint64_t count = *(uint64_t *)arg, n;
    char path[256];
    struct stat st;
    while ((n = atomic_fetch_add(&next_segment, 1)) < count) {
        path_of(path, n, true);
        if (stat(path, &st) != 0) write_segment(n);
    }
    return NULL;
}

/* ---- the view ---- */

static struct view view;
static _Atomic uint64_t view_seq;
static uint64_t rows_there;

static struct chunk *open_chunk(uint64_t first, uint64_t count) {
    struct chunk *c = chunk_new(SEGMENT_ROWS, FIELDS);
    struct buf payload = {0};
    struct row *r = mem_alloc(sizeof *r);
    for (uint64_t n = first; n < first + count; n++) {
        make_row(r, n);
        struct ident *i = chunk_ident(c, id_hash(store_id, r->inf.id), r->inf.id);
        for (size_t k = 0; k < r->metadata_count; k++)
            chunk_write(c, i, fields_of(view.fields, r->metadata[k].name), &r->metadata[k].value, r->seq,
                        r->inf.time_us, 1);
        payload.n = 0;
        inference_encode(&payload, &r->inf);
        chunk_add(c, i, r->seq, r->inf.time_us, buf_str(&payload), &r->inf, 0, false);
    }
    free(r);
    buf_free(&payload);
    return c;
}

/* A fifth of the rows, in the overlay alone. */
static void write_over(struct sealed *s) {
    for (uint32_t row = 0; row < s->segment->rows; row++)
        if (mix(SEG(s->segment, SEQ)[row] ^ 0x0e) % 5 == 0) {
            struct value v = {.type = VALUE_STRING, .text = mix(row) % 2 ? STR("good") : STR("bad")};
            overlay_set(s->overlay, view_seq, START, 1, row, VERDICT, &v);
        }
}

static void add_ids(uint32_t slot, const struct segment *g) {
    uint32_t *rows = mem_alloc(g->rows * sizeof *rows);
    for (uint32_t i = 0; i < g->rows; i++) rows[i] = i;
    directory_add(view.directory, slot, SEG(g, ID_HASH), rows, g->rows);
    free(rows);
}

static void open_view(uint64_t count) {
    struct err e;
    struct guard g;
    view = (struct view){
        .fields = fields_new(FIELDS), .pending = pending_new(0), .directory = directory_new(), .seq = &view_seq};
    view_seq = options.rows;
    memcpy(view.store_id, store_id, sizeof view.store_id);
    for (int i = 0; i < FIELDS; i++) fields_of(view.fields, field_names[i]);
    view.sealed = mem_zero(count, sizeof *view.sealed);
    view.slots = mem_zero(count, sizeof *view.slots);
    view.slot_count = count;
    CHECK(guard_enter(&g));
    for (uint64_t n = 0; n < count; n++) {
        char path[256];
        struct sealed *s = mem_zero(1, sizeof *s);
        path_of(path, n, true);
        s->segment = segment_open(path, store_id, 1, &e);
        if (!s->segment) {
            fprintf(stderr, "%s\n", e.msg);
            exit(1);
        }
        s->slot = (uint32_t)n;
        s->overlay = overlay_new(FIELDS);
        write_over(s);
        add_ids(s->slot, s->segment);
        view.slots[n] = s;
        size_t at = view.sealed_count++;
        for (; at > 0 && view.sealed[at - 1]->segment->max_time_us < s->segment->max_time_us; at--)
            view.sealed[at] = view.sealed[at - 1];
        view.sealed[at] = s;
    }
    guard_leave(&g);
    uint64_t first = count * SEGMENT_ROWS;
    view.chunks[view.chunk_count++] = open_chunk(first, options.rows - first);
    rows_there = options.rows;
}

/* ---- questions ---- */

static const struct measure means[] = {{.kind = MEASURE_INFERENCES},
                                       {.kind = MEASURE_DETECTIONS},
                                       {.kind = MEASURE_AVG, .of = {.of = OF_CONFIDENCE}},
                                       {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}}};
static const struct measure quantiles[] = {{.kind = MEASURE_INFERENCES},
                                           {.kind = MEASURE_DETECTIONS},
                                           {.kind = MEASURE_AVG, .of = {.of = OF_CONFIDENCE}},
                                           {.kind = MEASURE_AVG, .of = {.of = OF_LATENCY}},
                                           {.kind = MEASURE_QUANTILE, .of = {.of = OF_CONFIDENCE}, .at = 0.5},
                                           {.kind = MEASURE_QUANTILE, .of = {.of = OF_LATENCY}, .at = 0.95}};
#define BY_MODEL .keys = {{.subject = {.of = OF_MODEL}}}, .key_count = 1
#define BY_MODEL_AND_CLASS .keys = {{.subject = {.of = OF_MODEL}}, {.subject = {.of = OF_CLASS}}}, .key_count = 2
#define BY_TIME .keys = {{.subject = {.of = OF_TIME}, .width_us = 12 * HOUR}}, .key_count = 1

/* Counts and means per model and class; the same with median and 95th percentile; what GET /stats asks for. */
static const struct grouping w3_means[] = {{BY_MODEL_AND_CLASS, .measures = means, .measure_count = 4}};
static const struct grouping w3_quantiles[] = {{BY_MODEL_AND_CLASS, .measures = quantiles, .measure_count = 6}};
static const struct grouping stats[] = {{.measures = plan_stats, .measure_count = STATS_ALL},
                                        {BY_MODEL, .measures = plan_stats, .measure_count = STATS_ALL},
                                        {BY_TIME, .measures = plan_stats, .measure_count = STATS_MEANS},
                                        {BY_MODEL_AND_CLASS, .measures = means + 1, .measure_count = 1}};
static const struct grouping by_place[] = {{.keys = {{.subject = {OF_METADATA, {"camera_location", 15}}}},
                                            .key_count = 1,
                                            .measures = means,
                                            .measure_count = 4}};
static const struct grouping by_serial[] = {{.keys = {{.subject = {OF_METADATA, {"serial_number", 13}}}},
                                             .key_count = 1,
                                             .measures = means,
                                             .measure_count = 1,
                                             .limit = 10}};

struct question {
    const char *title, *filter;
    enum plan_kind kind;
    const struct grouping *groupings;
    size_t count, count_before; /* groupings; of the period before */
    struct facets facets;
};

static const struct question questions[] = {
    {"latest 50", "", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, 0.8 %", "camera_location:canada", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, unique value", "serial_number:SN000003333333", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, value that nobody has", "camera_location:nowhere", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, bare word", "SN000003333333", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, id", "id:nobody", PLAN_LIST, NULL, 0, 0, {0}},
    {"latest 50, confidence<0.3001", "confidence<0.3001", PLAN_LIST, NULL, 0, 0, {0}},
    {"count, all", "", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, 0.8 %", "camera_location:canada", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, unique value", "serial_number:SN000003333333", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, text beginning", "serial_number:SN0000033*", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, text ending", "serial_number:*33", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, class and confidence", "class:class-3[confidence>0.5]", PLAN_COUNT, NULL, 0, 0, {0}},
    {"count, 20 % by overlay", "has:verdict", PLAN_COUNT, NULL, 0, 0, {0}},
    {"W3 means, all", "", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 means, 0.8 %", "camera_location:canada", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 means, 50 %", "has:shift", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 means, 99 %", "-camera_location:canada", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 means, 20 % by overlay", "has:verdict", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 means, 90 % with overlay", "-verdict:bad", PLAN_GROUPS, w3_means, 1, 1, {0}},
    {"W3 quantiles, all", "", PLAN_GROUPS, w3_quantiles, 1, 1, {0}},
    {"W3 quantiles, 50 %", "has:shift", PLAN_GROUPS, w3_quantiles, 1, 1, {0}},
    {"W3 quantiles, 99 %", "-camera_location:canada", PLAN_GROUPS, w3_quantiles, 1, 1, {0}},
    {"GET /stats, all", "", PLAN_GROUPS, stats, 4, 2, {0}},
    {"GET /stats, 0.8 %", "camera_location:canada", PLAN_GROUPS, stats, 4, 2, {0}},
    {"GET /stats, 50 %", "has:shift", PLAN_GROUPS, stats, 4, 2, {0}},
    {"GET /stats, 99 %", "-camera_location:canada", PLAN_GROUPS, stats, 4, 2, {0}},
    {"GET /stats, 20 % by overlay", "has:verdict", PLAN_GROUPS, stats, 4, 2, {0}},
    {"means by place", "", PLAN_GROUPS, by_place, 1, 1, {0}},
    {"top 10 of all serial numbers", "", PLAN_GROUPS, by_serial, 1, 0, {0}},
    {"facets of columns", "", PLAN_FACETS, NULL, 0, 0, {.columns = true, .limit = 10}},
    {"facets of fields", "", PLAN_FACETS, NULL, 0, 0, {.fields = true, .limit = 10}},
};

static struct crew *crew;

/* What was found: rows, or inferences over all groups. */
static uint64_t found(const struct plan *p, const struct answer *a) {
    uint64_t n = 0;
    switch (p->kind) {
    case PLAN_LIST: return a->hit_count;
    case PLAN_COUNT: return a->count;
    case PLAN_FACETS:
        for (size_t i = 0; i < a->facet_count; i++) n += a->facets[i].inferences;
        return n;
    case PLAN_GROUPS:
        for (size_t i = 0; i < a->lists[0].count; i++) n += a->lists[0].groups[i].cells[0].count;
        return n;
    }
    return 0;
}

/* Groups: of the second half of the time, and of the first as the period before. */
static uint64_t ask(const struct question *q, const struct filter *filter) {
    int64_t from = START - DAY, middle = START + DAYS / 2 * DAY, to = START + (DAYS + 1) * DAY;
    struct query_control control = {.crew = crew};
    uint64_t n = 0;
    for (int period = 0; period < (q->kind == PLAN_GROUPS && q->count_before ? 2 : 1); period++) {
        struct arena a = {0};
        struct answer answer;
        struct err e;
        struct plan p = {.from_us = from,
                         .to_us = to,
                         .filter = filter,
                         .kind = q->kind,
                         .limit = 50,
                         .groupings = q->groupings,
                         .grouping_count = period ? q->count_before : q->count,
                         .facets = q->facets};
        if (q->count_before) *(period ? &p.to_us : &p.from_us) = middle;
        if (!query_run(&view, &p, &control, &a, &answer, &e)) {
            fprintf(stderr, "%s: %s\n", q->title, e.msg);
            exit(1);
        }
        CHECK(answer.gap_count == 0);
        n += found(&p, &answer);
        arena_free(&a);
    }
    return n;
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Of all threads: what is left of a measurement when the machine has other things to do. */
static double cpu_ms(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static void show(const char *title, double *ms, double cpu, uint64_t n) {
    qsort(ms, options.rounds, sizeof *ms, ascending);
    printf("%-36s %9.2f ms  (%.2f - %.2f)  %9.2f  %" PRIu64 "\n", title, ms[options.rounds / 2], ms[0],
           ms[options.rounds - 1], cpu / options.rounds, n);
    fflush(stdout);
}

static void measure(const struct question *q) {
    struct arena a = {0};
    struct filter_error where;
    struct err e;
    const struct filter *filter;
    double ms[ROUNDS_MOST];
    uint64_t n = 0;
    CHECK(filter_parse(&a, str_of(q->filter), &filter, &where, &e));
    double cpu = cpu_ms();
    for (unsigned i = 0; i < options.rounds; i++) {
        int64_t started = clock_mono_us();
        n = ask(q, filter);
        ms[i] = (double)(clock_mono_us() - started) / 1000;
    }
    show(q->title, ms, cpu_ms() - cpu, n);
    arena_free(&a);
}

static void measure_ids(void) {
    enum { EACH = 1000 };
    double ms[ROUNDS_MOST];
    uint64_t n = 0;
    struct row *r = mem_alloc(sizeof *r);
    double cpu = cpu_ms();
    for (unsigned i = 0; i < options.rounds; i++) {
        ms[i] = 0;
        for (uint64_t k = 0; k < EACH; k++) {
            struct arena a = {0};
            struct one one;
            struct err e;
            make_row(r, mix(k * options.rounds + i) % options.rows);
            int64_t started = clock_mono_us();
            CHECK(query_one(&view, r->inf.id, &(struct which){0}, START, &a, &one, &e));
            ms[i] += (double)(clock_mono_us() - started) / 1000 / EACH;
            n += one.found && str_eq(one.hit.inf.id, r->inf.id);
            arena_free(&a);
        }
    }
    free(r);
    show("one by id", ms, (cpu_ms() - cpu) / EACH, n);
}

static bool read_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long long v = 0;
        bool number = str_to_u64(str_of(argv[i + 1]), &v);
        struct str name = str_of(argv[i]);
        if (str_is(name, "--dir"))
            options.dir = argv[i + 1];
        else if (str_is(name, "--only"))
            options.only = argv[i + 1];
        else if (str_is(name, "--rows") && number)
            options.rows = v;
        else if (str_is(name, "--rounds") && number)
            options.rounds = (unsigned)v;
        else if (str_is(name, "--threads") && number)
            options.threads = (unsigned)v;
        else
            return false;
    }
    return argc % 2 == 1 && options.dir && options.rows > 0 && options.rounds > 0 && options.rounds <= ROUNDS_MOST &&
           options.threads > 0;
}

int main(int argc, char **argv) {
    if (!read_options(argc, argv) || sodium_init() < 0) {
        fprintf(stderr, "usage: query_bench --dir DIR [--rows N] [--rounds N] [--threads N] [--only TEXT]\n");
        return 2;
    }
    hash_init();
    guard_init();
    uint64_t count = options.rows / SEGMENT_ROWS;
    struct err e;
    pthread_t writers[2];
    int64_t started = clock_mono_us();
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&writers[i], NULL, write_segments, &count) == 0);
    for (int i = 0; i < 2; i++) pthread_join(writers[i], NULL);
    open_view(count);
    crew = crew_new(options.threads - 1, &e);
    printf("%" PRIu64 " rows in %" PRIu64 " segments and a chunk, ready after %.1f s; %u threads\n", options.rows,
           count, (double)(clock_mono_us() - started) / 1e6, options.threads);
    printf("%-36s %9s     (%s)  %s  %s\n", "question", "median", "least - most", "cpu, ms", "found");
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++)
        if (!options.only || strstr(questions[i].title, options.only)) measure(&questions[i]);
    if (!options.only || strstr("one by id", options.only)) measure_ids();
    crew_free(crew);
    return 0;
}
