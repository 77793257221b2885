#include "work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const work_fields[10] = {"check_0", "check_1", "check_2", "check_3", "check_4",
                                     "check_5", "check_6", "check_7", "check_8", "check_9"};

uint64_t work_text_hash(const char *p, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, n - i < 8 ? n - i : 8);
        h = data_mix(h ^ word);
    }
    return h;
}

uint64_t work_hash(uint64_t id_hash, uint64_t value_hash) { return data_mix(id_hash ^ (value_hash << 1)); }

void work_value(uint8_t value, char out[WORK_VALUE]) {
    memcpy(out, "site-", 5);
    out[5] = (char)('0' + value / 10);
    out[6] = (char)('0' + value % 10);
}

uint64_t work_unknown(const struct work *w, uint64_t place) {
    return DATA_UNKNOWN + ((uint64_t)w->o->cell << 32) + place - w->data.events;
}

void work_id(const struct work *w, uint64_t place, char out[DATA_ID]) {
    data_id(w->data.seed, place < w->data.events ? place : work_unknown(w, place), out);
}

/* What a connection picks from: the newest inferences, the older ones, the unknown ids. */
enum pool { OPEN, SEALED, UNKNOWN, POOLS };
struct range {
    uint64_t first, count;
};
static struct range pool_range(const struct work *w, enum pool p) {
    uint64_t older = w->data.events - w->o->recent;
    if (p == OPEN) return (struct range){older, w->o->recent};
    return p == SEALED ? (struct range){0, older} : (struct range){w->data.events, w->o->unknown};
}

bool work_init(struct work *w, const struct options *o, struct err *e) {
    *w = (struct work){.o = o, .data = {o->seed, o->events, o->end_us}, .ids = o->events + o->unknown};
    const unsigned percent[POOLS] = {o->open_percent, o->sealed_percent, o->unknown_percent};
    /* A request names no id twice: what a connection owns must outlast the look back of a repeated item. */
    for (enum pool p = 0; p < POOLS; p++)
        if (percent[p] && pool_range(w, p).count / o->connections < 4 * o->items)
            return err_set(e, ERR_INVALID, "%" PRIu64 " ids are too few for %u connections with %u items a request",
                           pool_range(w, p).count, o->connections, o->items);
    w->last = mem_zero(w->ids, sizeof *w->last);
    w->changes = mem_zero(w->ids, sizeof *w->changes);
    for (unsigned v = 0; v < WORK_VALUES; v++) {
        char text[WORK_VALUE];
        work_value((uint8_t)v, text);
        w->value_hash[v] = work_text_hash(text, WORK_VALUE);
    }
    return true;
}

void work_free(struct work *w) {
    free(w->last);
    free(w->changes);
    *w = (struct work){0};
}

/* The n-th id that a connection takes from a pool: strides by a prime through those it owns, so that all are met before
 * any comes again. */
static uint64_t pool_place(const struct work *w, enum pool p, unsigned connection, uint64_t n) {
    struct range r = pool_range(w, p);
    uint64_t owned = r.count / w->o->connections, start = data_mix(w->o->seed + connection) % owned;
    return r.first + ((start + n) % owned * 2654435761u % owned) * w->o->connections + connection;
}

void work_next(const struct work *w, struct work_cursor *c, struct work_item *items) {
    const struct options *o = w->o;
    struct work_item *two_before = c->before[c->requests % 2];
    for (unsigned i = 0; i < o->items; i++, c->at++) {
        unsigned dice = (unsigned)(data_mix(o->seed ^ data_mix((uint64_t)c->connection << 40 ^ c->at)) % 100);
        uint64_t place;
        if (dice < o->repeat_percent && c->requests >= 2) {
            place = two_before[i].place;
        } else {
            dice = dice * 7 % (100 - o->repeat_percent);
            enum pool p = dice < o->open_percent ? OPEN : dice < o->open_percent + o->sealed_percent ? SEALED : UNKNOWN;
            place = pool_place(w, p, c->connection, c->taken[p]++);
        }
        uint8_t next = (uint8_t)((o->one_entry ? c->requests : w->last[place]) % WORK_VALUES);
        items[i] = (struct work_item){place, next};
    }
    memcpy(two_before, items, o->items * sizeof *items);
    c->requests++;
}

void work_acknowledged(struct work *w, const struct work_item *items, struct tally *t, int64_t latency_us) {
    for (unsigned i = 0; i < w->o->items; i++) {
        uint64_t at = items[i].place;
        char id[DATA_ID];
        bool changed = w->last[at] != items[i].value + 1;
        work_id(w, at, id);
        t->sum += work_hash(work_text_hash(id, DATA_ID), w->value_hash[items[i].value]);
        t->unchanged += !changed;
        w->changes[at] += changed;
        w->last[at] = (uint8_t)(items[i].value + 1);
    }
    t->requests++;
    t->items += w->o->items;
    tally_latency(t, latency_us);
}

void work_unanswered(struct work *w, const struct work_item *items) {
    for (unsigned i = 0; i < w->o->items; i++) w->last[items[i].place] = WORK_UNSURE;
}

void work_written(const struct work *w, uint64_t *known, uint64_t *unknown, uint64_t *sum) {
    *known = *unknown = *sum = 0;
    for (uint64_t i = 0; i < w->ids; i++) {
        if (!w->last[i] || w->last[i] == WORK_UNSURE) continue;
        char id[DATA_ID];
        *(i < w->data.events ? known : unknown) += 1;
        work_id(w, i, id);
        *sum += work_hash(work_text_hash(id, DATA_ID), w->value_hash[w->last[i] - 1]);
    }
}

/* ---- marks ---- */

struct head {
    uint64_t seed, events, unknown;
};

bool work_save(const struct work *w, struct err *e) {
    struct head h = {w->o->seed, w->o->events, w->o->unknown};
    FILE *f = fopen(w->o->state, "wb");
    if (!f) return err_errno(e, "%s: cannot be written", w->o->state);
    bool ok = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(w->last, sizeof *w->last, w->ids, f) == w->ids &&
              fwrite(w->changes, sizeof *w->changes, w->ids, f) == w->ids;
    ok = fclose(f) == 0 && ok;
    return ok || err_errno(e, "%s: cannot be written", w->o->state);
}

bool work_load(struct work *w, struct err *e) {
    struct head h = {0};
    FILE *f = w->o->state ? fopen(w->o->state, "rb") : NULL;
    if (!f) return err_errno(e, "%s: cannot be read", w->o->state ? w->o->state : "--state");
    bool ok = fread(&h, sizeof h, 1, f) == 1 && h.seed == w->o->seed && h.events == w->o->events &&
              h.unknown == w->o->unknown && fread(w->last, sizeof *w->last, w->ids, f) == w->ids &&
              fread(w->changes, sizeof *w->changes, w->ids, f) == w->ids;
    fclose(f);
    return ok || err_set(e, ERR_INVALID, "%s: not of a run with this seed and these sizes", w->o->state);
}
