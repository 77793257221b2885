/* Building a request's records, before it is submitted: the write_* of store.h. */
#include <stdlib.h>

#include "journal/journal.h"
#include "record/uploads.h"
#include "store/store.h"

enum {
    RECORD_MOST = 8 << 20,   /* bytes of one inference */
    ATTACH_SPLIT = 64 << 10, /* bytes after which an attach goes on in a further record */
};

void write_begin(struct store_write *w, uint32_t workspace) { *w = (struct store_write){.workspace = workspace}; }

static size_t record_begin(struct store_write *w, enum record_type type) {
    struct record_header h = {.type = (uint8_t)type, .workspace = w->workspace};
    size_t at = w->chain.n;
    buf_add(&w->chain, &h, sizeof h);
    w->records++;
    return at;
}

static void record_end(struct store_write *w, size_t at) {
    uint32_t length = (uint32_t)(w->chain.n - at - sizeof(struct record_header));
    memcpy(w->chain.p + at, &length, sizeof length);
}

bool write_inference(struct store_write *w, const struct inference *inf, struct err *e) {
    size_t at = record_begin(w, RECORD_INFERENCE);
    inference_encode(&w->chain, inf);
    if (w->chain.n - at > RECORD_MOST) {
        w->chain.n = at;
        w->records--;
        return err_set(e, ERR_TOO_LARGE, "one inference may take %d bytes", RECORD_MOST);
    }
    record_end(w, at);
    w->most.inferences++;
    return true;
}

void write_attach(struct store_write *w, const struct attach *a) {
    if (!field_is_own(a->field) && (w->most.ids == 0 || !str_eq(w->field, a->field))) w->most.fields++;
    w->most.ids += a->id_count;
    w->field = a->field;
    for (size_t i = 0; i < a->id_count;) {
        struct attach_encoder enc;
        size_t at = record_begin(w, RECORD_ATTACH);
        attach_encode_begin(&enc, &w->chain, a->key_id, a->field, &a->value);
        while (i < a->id_count && w->chain.n - at < ATTACH_SPLIT) attach_encode_id(&enc, a->ids[i++]);
        attach_encode_end(&enc);
        record_end(w, at);
    }
}

void write_free(struct store_write *w) {
    buf_free(&w->chain);
    free(w->results);
    w->results = NULL;
}
