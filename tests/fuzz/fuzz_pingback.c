/* One item of POST /inference-stats, as pingback_item.c reads it from text that is JSON: it ends in a fault with a text,
 * or in inferences that the store can take. And what is shown of it is JSON with no key in it. */
#include "../../src/api/pingback_item.c"

#include <stdlib.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct str text, bool keys) {
    struct arena arena = {0};
    struct json_pull j;
    json_pull_init(&j, text, &arena);
    while (json_next(&j) != PULL_END && j.token != PULL_ERROR) {
        if (keys || j.token != PULL_KEY || !str_is(j.text, "api_key")) continue;
        json_next(&j);
        CHECK(j.token == PULL_NULL || (j.token == PULL_STRING && str_is(j.text, "(removed)")));
    }
    arena_free(&arena);
    return j.token == PULL_END;
}

static void check_inference(const struct inference *inf, size_t index) {
    struct arena arena = {0};
    struct buf bytes = {0};
    struct inference again;
    struct err e;
    CHECK(check_id(inf->id, &e) && inf->model_id.n && check_text(inf->model_id, "model_id", &e) && inf->index == index);
    CHECK((!inf->source.n || check_text(inf->source, "", &e)) && !inf->partial);
    CHECK(isnan(inf->latency_s) || inf->latency_s >= 0);
    for (size_t i = 0; i < inf->detection_count; i++) {
        const struct detection *d = &inf->detections[i];
        CHECK(d->class_name.n && (isnan(d->confidence) || (d->confidence >= 0 && d->confidence <= 1)));
        CHECK(d->other.n == 0 || is_json(d->other, true));
    }
    inference_encode(&bytes, inf);
    CHECK(inference_decode(buf_str(&bytes), &arena, &again) && again.detection_count == inf->detection_count);
    buf_free(&bytes);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str raw = {(const char *)data, size};
    struct arena arena = {0};
    struct buf room = {0};
    struct pingback_item item;
    struct err e = {0};
    struct inference like = {.time_us = TIME_UNKNOWN, .latency_s = NAN, .device_id = STR("edge-7")};
    if (!is_json(raw, true)) return -1;
    if (pingback_item_read(raw, &like, &arena, &room, &item, &e)) {
        CHECK(item.count >= 1);
        for (size_t i = 0; i < item.count; i++) check_inference(&item.inferences[i], i);
    } else {
        CHECK(e.code == ERR_INVALID && e.msg[0]);
    }
    CHECK(is_json(pingback_item_without_keys(raw, &arena, &room), false));
    buf_free(&room);
    arena_free(&arena);
    return 0;
}
