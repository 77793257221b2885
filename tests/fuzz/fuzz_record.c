/* Payloads of journal records: whatever the bytes are, decoding reads none behind them, takes no more memory than they
 * can account for, and what it takes can be written and read back as the same. The first byte picks the type. */
#include <stdlib.h>

#include "base/check.h"
#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_attach(struct buf *to, const struct attach *a) {
    struct attach_encoder enc;
    attach_encode_begin(&enc, to, a->key_id, a->field, &a->value);
    for (size_t i = 0; i < a->id_count; i++) attach_encode_id(&enc, a->ids[i]);
    attach_encode_end(&enc);
}

/* Decodes and encodes; false when it is refused. */
static bool go_round(bool attach, struct str payload, struct buf *out) {
    struct arena arena = {0};
    struct inference inf;
    struct attach a;
    bool ok = attach ? attach_decode(payload, &arena, &a) : inference_decode(payload, &arena, &inf);
    CHECK(arena.total <= payload.n * sizeof(struct detection));
    if (ok && attach) encode_attach(out, &a);
    if (ok && !attach) inference_encode(out, &inf);
    if (ok && attach) CHECK(isnan(a.value.number) || value_eq(&a.value, &a.value));
    arena_free(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf once = {0}, twice = {0};
    if (size == 0) return 0;
    bool attach = data[0] & 1;
    /* What has two forms (a flag over an unknown value, a long varint) is written in one: the second round changes
     * nothing any more. */
    if (go_round(attach, (struct str){(const char *)data + 1, size - 1}, &once)) {
        CHECK(once.n <= size - 1);
        CHECK(go_round(attach, buf_str(&once), &twice));
        CHECK(str_eq(buf_str(&once), buf_str(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
