/* The body of POST /:workspace/inference-stats/metadata, as metadata.c reads it: whatever the bytes are, it ends in a
 * fault with a text or in entries that keep to the law; what is no JSON is never taken, and what is taken can be written
 * and read back. */
#include "../../src/api/metadata.c"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct attach *a) {
    struct err e;
    struct buf payload = {0};
    struct arena arena = {0};
    struct attach_encoder encoder;
    struct attach read;
    CHECK(check_field(a->field, &e) && check_value(&a->value, &e) && a->value.type == VALUE_STRING && a->id_count > 0);
    attach_encode_begin(&encoder, &payload, 7, a->field, &a->value);
    for (size_t i = 0; i < a->id_count; i++) {
        CHECK(check_id(a->ids[i], &e));
        attach_encode_id(&encoder, a->ids[i]);
    }
    attach_encode_end(&encoder);
    CHECK(attach_decode(buf_str(&payload), &arena, &read));
    CHECK(read.id_count == a->id_count && str_eq(read.field, a->field) && value_eq(&read.value, &a->value));
    for (size_t i = 0; i < a->id_count; i++) CHECK(str_eq(read.ids[i], a->ids[i]));
    buf_free(&payload);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request r = {.body = {(const char *)data, size}};
    struct body b = {0};
    struct json_pull j;
    uint64_t ids = 0;
    read_body(&r, &b);
    json_pull_init(&j, r.body, &r.arena);
    json_next(&j);
    bool is_json = json_skip(&j, NULL) && json_next(&j) == PULL_END;
    CHECK(b.not_json == !is_json);
    CHECK((b.fault.code == ERR_NONE || b.fault.code == ERR_INVALID) && (b.fault.code == ERR_NONE) == (b.fault.msg[0] == '\0'));
    CHECK(!b.not_json || b.fault.code != ERR_NONE);
    for (size_t i = 0; i < b.entries.count; i++) {
        check_entry(&b.entries.list[i]);
        ids += b.entries.list[i].id_count;
    }
    CHECK(ids == b.entries.ids);
    arena_free(&r.arena);
    return 0;
}
