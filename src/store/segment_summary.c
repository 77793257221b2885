#include "base/guard.h"
#include "base/log.h"
#include "store/segment_parts.h"

static struct str bytes_of(const struct segment *s) {
    const struct arrow_buffer *b = &s->parts->table.summary;
    return (struct str){b->p, b->n};
}

static uint32_t texts_of(const struct segment *s, int column) { return s->parts->dicts[column].count; }

static bool sound(const struct segment *s) {
    const struct arrow_buffer *b = &s->parts->table.summary;
    const struct summary_limits limits = {.rows = s->rows,
                                          .models = texts_of(s, SEG_MODEL),
                                          .names = texts_of(s, SEG_MODEL_NAME),
                                          .devices = texts_of(s, SEG_DEVICE),
                                          .classes = texts_of(s, SEG_D_CLASS)};
    struct summary x;
    return arrow_buffer_sum(b) == b->sum && summary_read(bytes_of(s), &x) && summary_fits(&x, &limits);
}

/* Under a guard of its own: what can't be read here may be readable there. */
static int look_at(const struct segment *s) {
    struct guard g;
    volatile bool is = false, known = true;
    if (guard_enter(&g)) {
        known = summary_known(bytes_of(s));
        is = known && sound(s);
        guard_leave(&g);
    }
    if (!is && known)
        log_event(LOG_WARN, "summary_damaged", "segment=%llu.%u", (unsigned long long)s->number, s->version);
    return is ? SUMMARY_SOUND : SUMMARY_UNSOUND;
}

bool segment_summary(const struct segment *s, struct summary *out) {
    struct segment_parts *p = s->parts;
    if (p->table.summary.n == 0) return false;
    int state = atomic_load_explicit(&p->summary, memory_order_acquire);
    if (state == SUMMARY_UNREAD) {
        state = look_at(s);
        atomic_store_explicit(&p->summary, state, memory_order_release);
    }
    guard_blame(s);
    return state == SUMMARY_SOUND && summary_read(bytes_of(s), out);
}

struct summary_rows segment_summary_rows(const struct segment *s) {
    return (struct summary_rows){.rows = s->rows,
                                 .time_us = SEG(s, TIME),
                                 .seq = SEG(s, SEQ),
                                 .flags = SEG(s, FLAGS),
                                 .latency = SEG(s, LATENCY),
                                 .confidence = SEG(s, CONFIDENCE),
                                 .latency_bin = SEG(s, LATENCY_BIN),
                                 .confidence_bin = SEG(s, CONFIDENCE_BIN),
                                 .model = SEG(s, MODEL),
                                 .name = SEG(s, MODEL_NAME),
                                 .device = SEG(s, DEVICE),
                                 .first = SEG(s, DETECTIONS),
                                 .classes = SEG(s, D_CLASS),
                                 .confidences = SEG(s, D_CONFIDENCE)};
}

static bool verify(const struct segment *s, struct arena *a) {
    struct summary_rows rows = segment_summary_rows(s);
    struct str is = bytes_of(s), should_be = summary_make(&rows, a);
    if (arrow_buffer_sum(&s->parts->table.summary) != s->parts->table.summary.sum) return false;
    return !summary_known(is) || str_eq(is, should_be);
}

bool segment_verify_summary(const struct segment *s, struct err *e) {
    struct guard g;
    struct arena a = {0};
    volatile bool right = s->parts->table.summary.n == 0;
    if (!right && guard_enter(&g)) {
        guard_blame(s);
        right = verify(s, &a);
        guard_leave(&g);
    }
    arena_free(&a);
    return right || err_set(e, ERR_DAMAGED, "segment %llu.%u: its summary is not that of its rows",
                            (unsigned long long)s->number, s->version);
}
