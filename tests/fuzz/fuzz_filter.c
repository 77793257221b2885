/* The filter parser: any bytes end in a tree within the limits or in an error that lies within the text; a tree finds
 * the same rows in a chunk and in a segment, and its opposite the others; a value taken from the same bytes never
 * breaks a match. */
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "query/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 3 };
static struct view view;
static struct part parts[2]; /* the same rows in a chunk and in a segment */

static const struct detection detections[] = {{.class_name = STR("bottle"), .class_id = 1, .confidence = 0.75},
                                              {.class_name = STR("cap"), .class_id = 2, .confidence = NAN}};
static const struct inference rows[ROWS] = {{.id = STR("id-1"),
                                             .model_id = STR("coco/24"),
                                             .device_id = STR("cam"),
                                             .error = STR("broken"),
                                             .time_us = 1,
                                             .latency_s = 0.1,
                                             .detections = detections,
                                             .detection_count = 2},
                                            {.id = STR("id-2"), .time_us = 2, .latency_s = NAN, .index = 7},
                                            {.id = STR("id-3"),
                                             .model_id = STR("a/b"),
                                             .source = STR("line"),
                                             .time_us = 3,
                                             .latency_s = 2,
                                             .detections = detections,
                                             .detection_count = 1}};
static const struct entry metadata[ROWS] = {{STR("shift"), {.type = VALUE_STRING, .text = STR("5")}},
                                            {STR("shift"), {.type = VALUE_NUMBER, .number = 5}},
                                            {STR("shift"), {.type = VALUE_BOOL, .truth = true}}};

static struct chunk *make_chunk(void) {
    struct chunk *c = chunk_new(ROWS, 4);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct ident *ident = chunk_ident(c, id_hash(view.store_id, rows[i].id), rows[i].id);
        struct buf payload = {0};
        inference_encode(&payload, &rows[i]);
        chunk_write(c, ident, fields_of(view.fields, metadata[i].name), &metadata[i].value, 1, 1, 1);
        chunk_add(c, ident, i + 1, 1, buf_str(&payload), &rows[i], rows[i].index, false);
        buf_free(&payload);
    }
    return c;
}

static struct segment *make_segment(void) {
    struct segment_identity id = {.workspace = 1, .number = 1, .version = 1};
    struct segment_builder *b = segment_builder_new(&id, view.fields->names, fields_count(view.fields));
    const char *tmp = getenv("TMPDIR");
    char dir[200], path[220];
    struct err e;
    for (uint32_t i = 0; i < ROWS; i++) {
        struct segment_row row = {.inf = rows[i],
                                  .seq = i + 1,
                                  .flags = rows[i].error.n ? ROW_ERROR : 0,
                                  .metadata = &metadata[i],
                                  .metadata_count = 1};
        segment_builder_add(b, &row);
    }
    snprintf(dir, sizeof dir, "%s/fuzz-filter-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir) && segment_builder_write(b, dir, "1.arrow", &e));
    snprintf(path, sizeof path, "%s/1.arrow", dir);
    struct segment *s = segment_open(path, view.store_id, 1, &e);
    CHECK(s && unlink(path) == 0 && rmdir(dir) == 0);
    return s;
}

static void make_parts(void) {
    static struct sealed sealed;
    static _Atomic uint64_t seq = ROWS;
    CHECK(sodium_init() >= 0);
    hash_init();
    guard_init();
    view = (struct view){.fields = fields_new(4), .directory = directory_new(), .pending = pending_new(0), .seq = &seq};
    fields_of(view.fields, STR("shift"));
    struct chunk *c = make_chunk();
    sealed = (struct sealed){.segment = make_segment(), .overlay = overlay_new(4)};
    for (uint32_t i = 0; i < ROWS; i++) {
        uint64_t hash = id_hash(view.store_id, rows[i].id);
        directory_add(view.directory, 0, &hash, &i, 1);
    }
    parts[0] = (struct part){.view = &view, .chunk = c, .rows = ROWS};
    parts[1] = (struct part){
        .view = &view, .sealed = &sealed, .segment = sealed.segment, .overlay = sealed.overlay, .rows = ROWS};
}

static void check_tree(const struct filter *f, unsigned *tests, unsigned depth) {
    CHECK(depth <= FILTER_MAX_TREE);
    if (f->kind == FILTER_TEST) {
        CHECK(f->test.match_count > 0);
        *tests += 1;
        return;
    }
    CHECK(f->first);
    CHECK(f->kind != FILTER_NOT || !f->first->next);
    for (const struct filter *child = f->first; child; child = child->next) check_tree(child, tests, depth + 1);
}

static uint64_t matching(const struct filter *f, const struct part *p, struct arena *a) {
    static struct detection_room room;
    struct bitmap found = {{(1 << ROWS) - 1}};
    struct slice s = part_slice(p, 0);
    const struct matcher *m = matcher_new(a, f, p);
    matcher_run(m, &s, &room, &found);
    if (matcher_never(m)) CHECK(found.words[0] == 0);
    if (matcher_always(m)) CHECK(found.words[0] == (1 << ROWS) - 1);
    return found.words[0];
}

static void run(const struct filter *f, struct arena *a) {
    struct filter none = {.kind = FILTER_NOT, .first = (struct filter *)(uintptr_t)f};
    struct guard g;
    CHECK(guard_enter(&g));
    uint64_t in_chunk = matching(f, &parts[0], a);
    CHECK(matching(f, &parts[1], a) == in_chunk);
    CHECK((matching(&none, &parts[0], a) ^ in_chunk) == (1 << ROWS) - 1);
    CHECK((matching(&none, &parts[1], a) ^ in_chunk) == (1 << ROWS) - 1);
    guard_leave(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct str text = {(const char *)data, size};
    const struct filter *f;
    struct filter_error where;
    struct err e = {0};
    if (!parts[0].rows) make_parts();
    if (!filter_parse(&arena, text, &f, &where, &e)) {
        CHECK(where.position <= size && where.expected[0] && e.code == ERR_INVALID);
    } else if (f) {
        unsigned tests = 0;
        check_tree(f, &tests, 0);
        CHECK(tests <= FILTER_MAX_MATCHES);
        run(f, &arena);
    }
    double number;
    filter_number(text, &number);
    arena_free(&arena);
    return 0;
}
