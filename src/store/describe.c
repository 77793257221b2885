#include "store/describe.h"

#include "base/guard.h"

static void uploaded(const struct segment_field *f, picture_call *call, void *ctx) {
    for (uint32_t code = 1; f->codes && code <= f->dict.count; code++) {
        struct value v = {.type = VALUE_STRING, .text = segment_dict_text(&f->dict, code)};
        uploads_each_picture(&v, call, ctx);
    }
}

void segment_each_picture(const struct segment *s, picture_call *call, void *ctx) {
    const uint8_t *flags = SEG(s, FLAGS), *pictures = NULL;
    for (uint32_t row = 0; row < s->rows; row++) {
        if (!(flags[row] & ROW_PICTURE)) continue;
        if (!pictures) pictures = SEG(s, PICTURE);
        call(ctx, pictures + (size_t)row * 32);
    }
    for (uint32_t i = 0; i < s->field_count; i++)
        if (str_eq(segment_field_name(s, i), FIELD_UPLOADS)) uploaded(segment_field(s, i), call, ctx);
}

bool segment_describe(const struct segment *s, struct manifest_segment *out, struct err *e) {
    struct guard g;
    if (!guard_enter(&g)) {
        *e = g.e;
        return false;
    }
    const int64_t *received = SEG(s, RECEIVED);
    int64_t latest = received[0];
    for (uint32_t row = 1; row < s->rows; row++)
        if (received[row] > latest) latest = received[row];
    guard_leave(&g);
    *out = (struct manifest_segment){.number = s->number,
                                     .version = s->version,
                                     .rows = s->rows,
                                     .min_time_us = s->min_time_us,
                                     .max_time_us = s->max_time_us,
                                     .max_received_us = latest};
    return true;
}
