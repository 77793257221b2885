/* The filter parser: any bytes end in a tree within the limits or in an error that lies within the text; a tree runs on
 * a chunk; a value taken from the same bytes never breaks a match. */
#include <stdint.h>
#include <stdlib.h>
#include <sodium.h>

#include "base/check.h"
#include "base/hash.h"
#include "query/match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct chunk *chunk;

static void make_chunk(void) {
    static const struct detection detections[] = {{.class_name = STR("bottle"), .class_id = 1, .confidence = 0.75},
                                                  {.class_name = STR("cap"), .class_id = 2, .confidence = NAN}};
    struct inference inf = {.id = STR("id-1"),
                            .model_id = STR("coco/24"),
                            .device_id = STR("cam"),
                            .error = STR("broken"),
                            .latency_s = 0.1,
                            .detections = detections,
                            .detection_count = 2};
    struct buf payload = {0};
    struct attach_counts counts;
    uint32_t index;
    CHECK(sodium_init() >= 0);
    hash_init();
    chunk = chunk_new(BLOCK_ROWS, 4);
    inference_encode(&payload, &inf);
    chunk_add(chunk, 1, 1, buf_str(&payload), &inf, &index);
    buf_free(&payload);
    struct attach a = {
        .field = STR("shift"), .value = {.type = VALUE_STRING, .text = STR("5")}, .ids = &inf.id, .id_count = 1};
    chunk_attach(chunk, 2, 1, &a, &counts);
}

static void check_tree(const struct filter *f, unsigned *tests, unsigned depth) {
    CHECK(depth <= 4 * FILTER_MAX_DEPTH + 4);
    if (f->kind == FILTER_TEST) {
        CHECK(f->test.match_count > 0);
        *tests += 1;
        return;
    }
    CHECK(f->first);
    CHECK(f->kind != FILTER_NOT || !f->first->next);
    for (const struct filter *child = f->first; child; child = child->next) check_tree(child, tests, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct str text = {(const char *)data, size};
    const struct filter *f;
    struct filter_error where;
    struct err e = {0};
    if (!chunk) make_chunk();
    if (!filter_parse(&arena, text, &f, &where, &e)) {
        CHECK(where.position <= size && where.expected[0] && e.code == ERR_INVALID);
    } else if (f) {
        unsigned tests = 0;
        check_tree(f, &tests, 0);
        CHECK(tests <= FILTER_MAX_MATCHES);
        /* A filter and its opposite share the one row between them. */
        struct filter none = {.kind = FILTER_NOT, .first = (struct filter *)(uintptr_t)f};
        struct bitmap rows = {{1}}, others = {{1}};
        matcher_run(matcher_new(&arena, f, chunk), 0, &rows);
        matcher_run(matcher_new(&arena, &none, chunk), 0, &others);
        CHECK((rows.words[0] ^ others.words[0]) == 1);
    }
    double number;
    filter_number(text, &number);
    arena_free(&arena);
    return 0;
}
