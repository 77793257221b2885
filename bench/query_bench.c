/* How long questions to a full open chunk take: rows over 14 days, 0 to 4 detections each, one metadata field with 100
 * values on 60 % of them, one with a value of its own on each. Medians; what is found is counted back.
 *
 *   query_bench [ROWS [ROUNDS]] */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "query/aggregate.h"
#include "query/lookup.h"

#define DAY INT64_C(86400000000)
#define START INT64_C(1795000000000000)
enum { VALUES = 100, CLASSES = 20, MODELS = 5, DEVICES = 40, MOST_DETECTIONS = 5, ROUNDS_MOST = 99 };

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * n >> 32);
}

static void attach(struct chunk *c, uint64_t seq, struct str id, const char *field, const char *value) {
    struct attach_counts counts;
    struct attach a = {.key_id = 1,
                       .field = str_of(field),
                       .value = {.type = VALUE_STRING, .text = str_of(value)},
                       .ids = &id,
                       .id_count = 1};
    chunk_attach(c, seq, START, &a, &counts);
}

static struct chunk *fill(uint32_t rows, uint64_t *canada) {
    struct chunk *c = chunk_new(rows, 16);
    struct buf payload = {0};
    uint64_t seq = 0;
    *canada = 0;
    for (uint32_t i = 0; i < rows; i++) {
        char id[40], model[16], device[16], classes[MOST_DETECTIONS][16], value[24];
        struct detection d[MOST_DETECTIONS];
        uint32_t count = random_below(MOST_DETECTIONS), index;
        for (uint32_t k = 0; k < count; k++) {
            snprintf(classes[k], sizeof classes[k], "class-%u", random_below(CLASSES));
            d[k] = (struct detection){.class_name = str_of(classes[k]),
                                      .class_id = 1,
                                      .confidence = random_below(10000) / 1e4,
                                      .has_box = true,
                                      .x = 320,
                                      .y = 240,
                                      .width = 64,
                                      .height = 48};
        }
        snprintf(id, sizeof id, "%08x-52a4-4c1f-8a7d-%012x", random_below(UINT32_MAX), i);
        snprintf(model, sizeof model, "line-%u/1", random_below(MODELS));
        snprintf(device, sizeof device, "cam-%u", random_below(DEVICES));
        struct inference inf = {.id = str_of(id),
                                .model_id = str_of(model),
                                .device_id = str_of(device),
                                .width = 640,
                                .height = 480,
                                .time_us = START + 14 * DAY / rows * i + random_below(60000000),
                                .latency_s = 0.01 + random_below(1000) / 1e4,
                                .detections = d,
                                .detection_count = count};
        payload.n = 0;
        inference_encode(&payload, &inf);
        CHECK(chunk_add(c, ++seq, inf.time_us, buf_str(&payload), &inf, &index) == OUTCOME_CREATED);
        snprintf(value, sizeof value, "SN%012u", i);
        attach(c, ++seq, inf.id, "serial_number", value);
        if (random_below(10) >= 6) continue;
        uint32_t place = random_below(VALUES);
        snprintf(value, sizeof value, place ? "place-%u" : "canada", place);
        *canada += place == 0;
        attach(c, ++seq, inf.id, "camera_location", value);
    }
    buf_free(&payload);
    return c;
}

/* ---- questions ---- */

static const struct grouping groupings[] = {
    {{KEY_NONE, KEY_NONE}, true, 1},
    {{KEY_MODEL, KEY_NONE}, true, 4096},
    {{KEY_TIME, KEY_NONE}, false, 2001},
    {{KEY_MODEL, KEY_CLASS}, false, 65536},
};

enum what { LIST, COUNT, STATS, FIELDS };

static uint64_t ask(const struct view *v, enum what what, struct plan *p) {
    struct arena a = {0};
    struct err e = {0};
    struct hit_list found;
    struct group_list lists[4];
    struct field_stats *fields;
    size_t field_count;
    uint64_t n = 0;
    bool ok = false;
    switch (what) {
    case LIST: ok = query_list(v, p, NULL, &a, &found, &e), n = found.count; break;
    case COUNT: ok = query_count(v, p, NULL, &a, &n, &e); break;
    case STATS:
        ok = query_aggregate(v, p, NULL, &a, lists, &e);
        n = lists[0].count ? lists[0].groups[0]->m.inferences : 0;
        break;
    case FIELDS: ok = query_fields(v, p, NULL, &a, &fields, &field_count, &e), n = field_count; break;
    }
    CHECK(ok);
    arena_free(&a);
    return n;
}

static int ascending(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void measure(const struct view *v, const char *title, enum what what, const char *text, int64_t from,
                    int rounds) {
    struct arena a = {0};
    struct filter_error where;
    struct err e;
    struct plan p = {.from_us = from, .to_us = PLAN_LAST_US, .limit = 100, .groupings = groupings, .grouping_count = 4,
                     .bucket_us = what == STATS ? DAY / 24 : 0};
    CHECK(filter_parse(&a, str_of(text), &p.filter, &where, &e));
    double ms[ROUNDS_MOST];
    uint64_t n = 0;
    for (int i = 0; i < rounds; i++) {
        int64_t started = clock_mono_us();
        n = ask(v, what, &p);
        ms[i] = (double)(clock_mono_us() - started) / 1000;
    }
    qsort(ms, (size_t)rounds, sizeof *ms, ascending);
    printf("%-46s %9.2f ms  (%.2f - %.2f)  %" PRIu64 "\n", title, ms[rounds / 2], ms[0], ms[rounds - 1], n);
    arena_free(&a);
}

int main(int argc, char **argv) {
    unsigned long long rows = 2000000, rounds = 7;
    if ((argc > 1 && !str_to_u64(str_of(argv[1]), &rows)) || (argc > 2 && !str_to_u64(str_of(argv[2]), &rounds)) ||
        rows == 0 || rows > 100000000 || rounds == 0 || rounds > ROUNDS_MOST || sodium_init() < 0) {
        fprintf(stderr, "usage: query_bench [ROWS [ROUNDS]]; at most %d rounds\n", ROUNDS_MOST);
        return 2;
    }
    hash_init();
    uint64_t canada;
    int64_t started = clock_mono_us(), week = START + 7 * DAY;
    struct chunk *c = fill((uint32_t)rows, &canada);
    struct view v = {.open = c};
    int r = (int)rounds;
    printf("%llu rows filled in %.1f s; camera_location:canada on %" PRIu64 "\n", rows,
           (double)(clock_mono_us() - started) / 1e6, canada);
    printf("%-46s %9s     (%s)  %s\n", "question", "median", "least - most", "found");
    measure(&v, "newest 100", LIST, "", PLAN_FIRST_US, r);
    measure(&v, "newest 100, camera_location:canada (0.6 %)", LIST, "camera_location:canada", PLAN_FIRST_US, r);
    measure(&v, "newest 100, serial_number:SN000000000007", LIST, "serial_number:SN000000000007", PLAN_FIRST_US, r);
    measure(&v, "newest 100, bare word", LIST, "SN000000000007", PLAN_FIRST_US, r);
    measure(&v, "count, all", COUNT, "", PLAN_FIRST_US, r);
    measure(&v, "count, camera_location:canada", COUNT, "camera_location:canada", PLAN_FIRST_US, r);
    measure(&v, "count, class:class-3[confidence>0.5]", COUNT, "class:class-3[confidence>0.5]", PLAN_FIRST_US, r);
    measure(&v, "stats, 7 days", STATS, "", week, r);
    measure(&v, "stats, 14 days", STATS, "", START, r);
    measure(&v, "stats, 7 days, camera_location:canada", STATS, "camera_location:canada", week, r);
    measure(&v, "stats, 7 days, has:camera_location (60 %)", STATS, "has:camera_location", week, r);
    measure(&v, "fields", FIELDS, "", PLAN_FIRST_US, r);
    chunk_free(c);
    return 0;
}
