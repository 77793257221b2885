#include "tally.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"

void tally_init(struct tally *t) { *t = (struct tally){.latency = mem_zero(TALLY_LATENCY, sizeof *t->latency)}; }

void tally_free(struct tally *t) {
    free(t->latency);
    *t = (struct tally){0};
}

void tally_latency(struct tally *t, int64_t us) {
    uint32_t v = us < 0 ? 0 : us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    t->latency[v < TALLY_LATENCY ? v : TALLY_LATENCY - 1]++;
    if (v > t->slowest_us) t->slowest_us = v;
}

void tally_add(struct tally *to, const struct tally *from) {
    to->requests += from->requests;
    to->items += from->items;
    to->created += from->created;
    to->unchanged += from->unchanged;
    to->sum += from->sum;
    to->bytes += from->bytes;
    to->refused += from->refused;
    if (from->ended_us > to->ended_us) to->ended_us = from->ended_us;
    if (from->slowest_us > to->slowest_us) to->slowest_us = from->slowest_us;
    for (size_t i = 0; i < TALLY_LATENCY; i++) to->latency[i] += from->latency[i];
}

double tally_ms(const struct tally *t, double share) {
    uint64_t want = (uint64_t)((double)t->requests * share), seen = 0;
    for (uint32_t us = 0; us < TALLY_LATENCY - 1; us++)
        if ((seen += t->latency[us]) > want) return us / 1000.0;
    return t->slowest_us / 1000.0;
}

void tally_put(struct buf *to, const struct tally *t, int64_t started_us) {
    double seconds = t->ended_us > started_us ? (double)(t->ended_us - started_us) / 1e6 : 0;
    buf_printf(to, "\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"items\":%" PRIu64 ",\"created\":%" PRIu64 ",", seconds,
               t->requests, t->items, t->created);
    buf_printf(to,
               "\"unchanged\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\",\"bytes\":%" PRIu64 ",\"refused\":%" PRIu64 ",",
               t->unchanged, t->sum, t->bytes, t->refused);
    buf_printf(to, "\"requests_s\":%.0f,\"items_s\":%.0f,", seconds > 0 ? (double)t->requests / seconds : 0.0,
               seconds > 0 ? (double)t->items / seconds : 0.0);
    buf_printf(to, "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f", tally_ms(t, 0.5),
               tally_ms(t, 0.99), tally_ms(t, 0.999), t->slowest_us / 1000.0);
}
