/* The body of POST /api/v1/:workspace/inferences, as ingest.c reads it: it ends in a fault with a text, or in a chain of
 * records that all read back, one inference for each item. */
#include "../../src/api/ingest.c"

#include <sodium.h>
#include <stdlib.h>

#include "base/check.h"
#include "journal/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inference(const struct inference *inf) {
    struct err e;
    struct buf again = {0};
    CHECK(check_id(inf->id, &e) && inf->model_id.n && check_text(inf->model_id, "model_id", &e));
    CHECK(isnan(inf->latency_s) || inf->latency_s >= 0);
    for (size_t i = 0; i < inf->detection_count; i++) {
        const struct detection *d = &inf->detections[i];
        CHECK(d->class_name.n && (isnan(d->confidence) || (d->confidence >= 0 && d->confidence <= 1)));
        struct json_pull j;
        struct arena arena = {0};
        json_pull_init(&j, d->other, &arena);
        CHECK(d->other.n == 0 || (json_next(&j) == PULL_OBJECT && json_skip(&j, NULL) && json_next(&j) == PULL_END));
        arena_free(&arena);
    }
    inference_encode(&again, inf);
    buf_free(&again);
}

static void check_chain(const struct ingest *g) {
    size_t inferences = 0, records = 0;
    struct record_header h;
    for (size_t at = 0; at < g->w->chain.n; at += sizeof h + h.length, records++) {
        struct arena arena = {0};
        struct inference inf;
        struct attach a;
        struct err e;
        CHECK(g->w->chain.n - at >= sizeof h);
        memcpy(&h, g->w->chain.p + at, sizeof h);
        CHECK(g->w->chain.n - at - sizeof h >= h.length);
        struct str payload = {g->w->chain.p + at + sizeof h, h.length};
        if (h.type == RECORD_INFERENCE) {
            CHECK(inference_decode(payload, &arena, &inf));
            check_inference(&inf);
            CHECK(g->record_of[inferences] == records && str_eq(g->ids[inferences], inf.id));
            inferences++;
        } else {
            CHECK(h.type == RECORD_ATTACH && attach_decode(payload, &arena, &a));
            CHECK(a.id_count == 1 && check_field(a.field, &e) && check_value(&a.value, &e) && a.value.type != VALUE_NONE);
        }
        arena_free(&arena);
    }
    CHECK(inferences == g->items && records == g->w->records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) CHECK(sodium_init() >= 0);
    started = true;
    struct request r = {.body = {(const char *)data, size}};
    struct ingest g = {.r = &r, .w = write_start(&r, 1)};
    if (read_items(&g))
        check_chain(&g);
    else
        CHECK((g.fault.code == ERR_INVALID && g.fault.msg[0]) || (g.fault.code == ERR_NONE && g.j.token == PULL_ERROR && g.j.error));
    r.cleanup(&r);
    arena_free(&r.arena);
    return 0;
}
