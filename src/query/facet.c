#include "query/facet.h"

#include <stdlib.h>

#include "query/coded.h"
#include "query/values.h"

/* ---- how many different values: HyperLogLog, with the estimator of Ertl, "New cardinality estimation algorithms for
 * HyperLogLog sketches" (2017), which needs no corrections; standard error 1.04 / sqrt(REGISTERS) = 0.6 % ---- */

enum { REGISTER_BITS = 15, REGISTERS = 1 << REGISTER_BITS, RANKS = 64 - REGISTER_BITS };

static void sketch_add(uint8_t *registers, uint64_t hash) {
    uint64_t rest = hash << REGISTER_BITS;
    uint8_t rank = rest ? (uint8_t)(__builtin_clzll(rest) + 1) : RANKS + 1;
    uint8_t *at = &registers[hash >> RANKS];
    if (*at < rank) *at = rank;
}

static double sigma(double x) {
    double y = 1, z = x, before;
    if (x >= 1) return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z > before);
    return z;
}

static double tau(double x) {
    double y = 1, z = 1 - x, before;
    if (x <= 0 || x >= 1) return 0;
    do {
        x = sqrt(x);
        before = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z < before);
    return z / 3;
}

static double sketch_count(const uint8_t *registers) {
    double counts[RANKS + 2] = {0}, z;
    for (int i = 0; i < REGISTERS; i++) counts[registers[i]]++;
    z = REGISTERS * tau(1 - counts[RANKS + 1] / REGISTERS);
    for (int k = RANKS; k > 0; k--) z = (z + counts[k]) / 2;
    z += REGISTERS * sigma(counts[0] / REGISTERS);
    return (double)REGISTERS * REGISTERS / (2 * M_LN2 * z);
}

/* ---- values with their counts ---- */

/* What one thread has found of one subject. */
struct tally {
    struct facet found; /* but for values and top */
    struct numbering values;
    uint64_t *counts; /* by number */
    uint32_t count_room;
    uint8_t *registers; /* NULL: all values are there */
    uint64_t least;     /* with registers: what came less often in a part is passed over */

    /* Of the part at hand. */
    struct coded coded;
    uint32_t *codes, *stamps; /* by code: how often; the inference that was counted last, for classes */
    uint32_t code_count, code_room;
    struct numbering numbers; /* those that have no code */
    uint64_t *number_counts;
    uint32_t number_room;
};

static void tally_free(struct tally *t) {
    numbering_free(&t->values);
    numbering_free(&t->numbers);
    free(t->counts);
    free(t->registers);
    free(t->codes);
    free(t->stamps);
    free(t->number_counts);
}

static size_t tally_bytes(const struct tally *t) {
    return t->values.bytes + t->numbers.bytes + t->code_room * 2 * sizeof *t->codes +
           ((size_t)t->count_room + t->number_room) * sizeof *t->counts + (t->registers ? REGISTERS : 0);
}

static uint64_t *counter(struct numbering *n, const struct value *v, uint64_t **counts, uint32_t *room) {
    uint32_t at = numbering_of(n, &(struct key_value){.kind = KEY_VALUE, .value = *v});
    if (n->room > *room) {
        *counts = mem_resize(*counts, n->room * sizeof **counts);
        memset(*counts + *room, 0, (n->room - *room) * sizeof **counts);
        *room = n->room;
    }
    return &(*counts)[at];
}

static int most_first(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a < b) - (a > b);
}

static void start_sketch(struct tally *t) {
    t->registers = mem_zero(1, REGISTERS);
    for (uint32_t i = 0; i < t->values.count; i++) sketch_add(t->registers, value_hash64(&t->values.values[i].value));
}

/* Keeps the more frequent ones. What comes later as seldom as those that went is passed over from now on, so that many
 * rare values cost nothing and frequent ones lose little. */
static void prune(struct tally *t) {
    struct numbering all = t->values;
    uint64_t *counts = t->counts, *sorted = mem_alloc(all.count * sizeof *sorted);
    if (!t->registers) start_sketch(t);
    memcpy(sorted, counts, all.count * sizeof *sorted);
    qsort(sorted, all.count, sizeof *sorted, most_first);
    uint64_t least = sorted[FACET_VALUES] + 1;
    free(sorted);
    t->values = (struct numbering){.count = 0};
    t->counts = NULL;
    t->count_room = 0;
    for (uint32_t i = 0; i < all.count; i++)
        if (counts[i] >= least) *counter(&t->values, &all.values[i].value, &t->counts, &t->count_room) = counts[i];
    if (least > t->least) t->least = least;
    numbering_free(&all);
    free(counts);
}

static void add_value(struct tally *t, const struct value *v, uint64_t n) {
    struct facet *f = &t->found;
    if (f->of.of != OF_CLASS) f->inferences += n; /* it may be in several classes: add_classes */
    if (f->of.of == OF_METADATA)
        *(v->type == VALUE_STRING ? &f->strings : v->type == VALUE_NUMBER ? &f->numbers : &f->booleans) += n;
    if (t->registers) sketch_add(t->registers, value_hash64(v));
    if (t->registers && n < t->least) return;
    *counter(&t->values, v, &t->counts, &t->count_room) += n;
    if (t->values.count > 2 * FACET_VALUES) prune(t);
}

/* ---- a part ---- */

static void codes_for(struct tally *t, uint32_t count) {
    if (count > t->code_room) {
        t->code_room = count + count / 2;
        t->codes = mem_resize(t->codes, t->code_room * sizeof *t->codes);
        t->stamps = mem_resize(t->stamps, t->code_room * sizeof *t->stamps);
    }
    if (count > t->code_count) {
        memset(t->codes + t->code_count, 0, (count - t->code_count) * sizeof *t->codes);
        memset(t->stamps + t->code_count, 0, (count - t->code_count) * sizeof *t->stamps);
    }
    t->code_count = count;
}

static void tally_begin(struct tally *t, const struct part *p) {
    coded_begin(&t->coded, &t->found.of, p);
    t->code_count = 0;
    if (!t->coded.nothing) codes_for(t, coded_count(&t->coded));
    numbering_free(&t->numbers);
    if (t->number_room) memset(t->number_counts, 0, t->number_room * sizeof *t->number_counts);
}

static void tally_end(struct tally *t) {
    for (uint32_t code = 1; code < t->code_count; code++) {
        if (t->codes[code] == 0) continue;
        struct value v = coded_value(&t->coded, code);
        if (v.type != VALUE_NONE) add_value(t, &v, t->codes[code]);
    }
    for (uint32_t i = 0; i < t->numbers.count; i++) add_value(t, &t->numbers.values[i].value, t->number_counts[i]);
}

/* An inference counts once a class; a failed one too, as the filter finds it. */
static void add_classes(struct tally *t, struct batch *b) {
    const struct detections *d = batch_detections(b);
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t at = b->at[i], stamp = b->slice->first + at + 1;
        bool any = false;
        for (uint32_t k = d->first[at]; k < d->first[at + 1]; k++) {
            uint32_t code = d->classes[k];
            if (code >= t->code_count) codes_for(t, code + 1);
            if (t->stamps[code] != stamp) t->codes[code]++;
            t->stamps[code] = stamp;
            any |= code != 0;
        }
        t->found.inferences += any;
    }
}

static void add_time(struct facet *f, int64_t time_us) {
    if (time_us < f->first_us) f->first_us = time_us;
    if (time_us > f->last_us) f->last_us = time_us;
}

/* There is a code that is not 0. Rows of a segment stand in the order of time. */
static void add_times(struct facet *f, struct batch *b, const uint32_t *codes) {
    const int64_t *time = batch_time(b);
    uint32_t from = 0, end = b->count;
    while (codes[from] == 0) from++;
    while (codes[end - 1] == 0) end--;
    add_time(f, time[from]);
    add_time(f, time[end - 1]);
    for (uint32_t i = from; b->slice->block && i < end; i++)
        if (codes[i]) add_time(f, time[i]);
}

/* Few rows have a value of most fields, and neighbours have the same one: eight without any are passed over, and those
 * with few values to choose from are counted apart, so that no count waits for the one before. */
enum { STEP = 8, WAYS = 4, FEW = 64 };

static bool none_of_step(const uint32_t *codes) {
    uint32_t any = 0;
    for (int k = 0; k < STEP; k++) any |= codes[k];
    return any == 0;
}

static void count_few(uint32_t *counts, uint32_t count, const uint32_t *codes, uint32_t n) {
    uint32_t apart[WAYS][FEW] = {0}, i = 0;
    for (; i + STEP <= n; i += STEP) {
        if (none_of_step(codes + i)) continue;
        for (int k = 0; k < STEP; k++) apart[k % WAYS][codes[i + k]]++;
    }
    for (; i < n; i++) counts[codes[i]]++;
    for (uint32_t code = 0; code < count; code++)
        for (int way = 0; way < WAYS; way++) counts[code] += apart[way][code];
}

static void count_many(uint32_t *counts, const uint32_t *codes, uint32_t n) {
    uint32_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        if (none_of_step(codes + i)) continue;
        for (int k = 0; k < STEP; k++) counts[codes[i + k]]++;
    }
    for (; i < n; i++) counts[codes[i]]++;
}

/* With codes that came meanwhile, or numbers. */
static void count_any(struct tally *t, struct batch *b, const uint32_t *codes) {
    for (uint32_t i = 0; i < b->count; i++) {
        if (codes[i] == CODED_NUMBER) {
            struct value v = {.type = VALUE_NUMBER, .number = coded_number(&t->coded, b, i)};
            ++*counter(&t->numbers, &v, &t->number_counts, &t->number_room);
            continue;
        }
        if (codes[i] >= t->code_count) codes_for(t, codes[i] + 1);
        t->codes[codes[i]]++;
    }
}

static void tally_add(struct tally *t, struct batch *b) {
    uint32_t room[BATCH_ROWS];
    if (t->coded.nothing) return;
    if (t->found.of.of == OF_CLASS) {
        add_classes(t, b);
        return;
    }
    const uint32_t *codes = coded_read(&t->coded, b, room);
    uint32_t most = 0;
    for (uint32_t i = 0; i < b->count; i++) most = codes[i] > most ? codes[i] : most;
    if (most == 0) return;
    if (t->found.of.of == OF_METADATA) add_times(&t->found, b, codes);
    if (most >= t->code_count)
        count_any(t, b, codes);
    else if (most < FEW)
        count_few(t->codes, most + 1, codes, b->count);
    else
        count_many(t->codes, codes, b->count);
}

/* ---- all parts ---- */

struct worker {
    struct tally *tallies;
    struct batch batch;
    size_t held;
};

struct facets_of {
    struct scan *scan;
    size_t count;
    struct worker *workers;
};

static bool hold(const struct facets_of *f, struct worker *w) {
    size_t bytes = 0;
    for (size_t i = 0; i < f->count; i++) bytes += tally_bytes(&w->tallies[i]);
    if (bytes <= w->held) return true;
    size_t more = bytes - w->held;
    w->held = bytes;
    return scan_hold(f->scan, more);
}

static bool add_part(void *ctx, struct reader *r) {
    struct facets_of *f = ctx;
    struct worker *w = &f->workers[r->thread];
    bool begun = false;
    uint32_t list[BLOCK_ROWS];
    while (reader_step(r)) {
        uint32_t count = bitmap_list(&r->rows, list);
        if (count == 0) continue;
        for (size_t i = 0; i < f->count && !begun; i++) tally_begin(&w->tallies[i], r->part);
        begun = true;
        for (uint32_t from = 0; from < count; from += BATCH_ROWS) {
            batch_begin(&w->batch, &r->slice, &r->rows, r->room, list + from,
                        count - from < BATCH_ROWS ? count - from : BATCH_ROWS);
            for (size_t i = 0; i < f->count; i++) tally_add(&w->tallies[i], &w->batch);
        }
    }
    for (size_t i = 0; i < f->count && begun; i++) tally_end(&w->tallies[i]);
    return hold(f, w);
}

/* Adds what another thread has found. */
static void merge(struct tally *t, struct tally *other) {
    if (other->registers && !t->registers) start_sketch(t);
    if (t->registers && !other->registers) start_sketch(other);
    for (int i = 0; t->registers && i < REGISTERS; i++)
        if (other->registers[i] > t->registers[i]) t->registers[i] = other->registers[i];
    struct facet sum = t->found;
    t->least = 0;
    for (uint32_t i = 0; i < other->values.count; i++) add_value(t, &other->values.values[i].value, other->counts[i]);
    sum.inferences += other->found.inferences;
    sum.strings += other->found.strings;
    sum.numbers += other->found.numbers;
    sum.booleans += other->found.booleans;
    if (other->found.first_us < sum.first_us) sum.first_us = other->found.first_us;
    if (other->found.last_us > sum.last_us) sum.last_us = other->found.last_us;
    t->found = sum;
}

/* ---- the answer ---- */

static bool before(const struct facet_value *x, const struct facet_value *y) {
    return x->count != y->count ? x->count > y->count : value_order(&x->value, &y->value) < 0;
}

static void finish(struct tally *t, uint32_t limit, struct arena *a, struct facet *out) {
    *out = t->found;
    out->of.field = (struct str){arena_copy(a, t->found.of.field.p, t->found.of.field.n), t->found.of.field.n};
    out->estimated = t->registers;
    out->values = t->registers ? (uint64_t)(sketch_count(t->registers) + 0.5) : t->values.count;
    if (limit > t->values.count) limit = t->values.count;
    out->top = arena_alloc(a, ((size_t)limit + 1) * sizeof *out->top);
    for (uint32_t i = 0; i < t->values.count; i++) {
        struct facet_value x = {t->values.values[i].value, t->counts[i]};
        if (limit == 0 || (out->top_count == limit && !before(&x, &out->top[limit - 1]))) continue;
        size_t low = 0, high = out->top_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (before(&out->top[middle], &x))
                low = middle + 1;
            else
                high = middle;
        }
        memmove(out->top + low + 1, out->top + low, (out->top_count - low) * sizeof *out->top);
        out->top[low] = x;
        if (out->top_count < limit) out->top_count++;
    }
    for (size_t i = 0; i < out->top_count; i++) {
        struct value *v = &out->top[i].value;
        if (v->type == VALUE_STRING) v->text.p = arena_copy(a, v->text.p, v->text.n);
    }
}

static void ask_for(struct subject *subjects, size_t *count, struct subject s) {
    for (size_t i = 0; i < *count; i++)
        if (subject_eq(&subjects[i], &s)) return;
    subjects[(*count)++] = s;
}

/* Those asked for by name, columns, fields. */
static struct subject *subjects_of(const struct scan *s, size_t *count) {
    const struct facets *f = &s->plan->facets;
    const struct fields *fields = s->view ? s->view->fields : NULL;
    uint32_t field_count = fields && f->fields ? fields_count(fields) : 0;
    struct subject *subjects = arena_alloc(s->arena, (f->count + OF_COUNT + field_count) * sizeof *subjects);
    *count = 0;
    for (size_t i = 0; i < f->count; i++) subjects[(*count)++] = f->of[i];
    for (int of = 0; of < OF_METADATA && f->columns; of++)
        if (of_uses((enum of)of) & USE_FACET) ask_for(subjects, count, (struct subject){.of = (enum of)of});
    for (uint32_t i = 0; i < field_count; i++)
        if (!field_is_own(fields->names[i])) ask_for(subjects, count, (struct subject){OF_METADATA, fields->names[i]});
    return subjects;
}

static int by_use(const void *x, const void *y) {
    const struct facet *a = x, *b = y;
    if (a->inferences != b->inferences) return a->inferences > b->inferences ? -1 : 1;
    return str_cmp(a->of.field, b->of.field);
}

bool facets_run(struct scan *s, struct answer *out) {
    const struct facets *asked = &s->plan->facets;
    struct facets_of f = {.scan = s};
    unsigned threads = scan_threads(s);
    struct subject *subjects = subjects_of(s, &f.count);
    f.workers = mem_zero(threads, sizeof *f.workers);
    for (unsigned n = 0; n < threads; n++) {
        f.workers[n].tallies = arena_alloc(s->arena, f.count * sizeof *f.workers[n].tallies);
        for (size_t i = 0; i < f.count; i++)
            f.workers[n].tallies[i].found =
                (struct facet){.of = subjects[i], .first_us = INT64_MAX, .last_us = INT64_MIN};
    }
    bool done = scan_run(s, add_part, &f);
    size_t named = f.count; /* facets before those of the fields that nobody named */
    if (done) out->facets = arena_alloc(s->arena, f.count * sizeof *out->facets);
    for (size_t i = 0; i < f.count && done; i++) {
        struct tally *t = &f.workers[0].tallies[i];
        for (unsigned n = 1; n < threads; n++) merge(t, &f.workers[n].tallies[i]);
        bool wanted = i < asked->count || subjects[i].of != OF_METADATA || t->found.inferences;
        if (i >= asked->count && subjects[i].of == OF_METADATA && named == f.count) named = out->facet_count;
        if (wanted) finish(t, asked->limit, s->arena, &out->facets[out->facet_count++]);
    }
    if (named < out->facet_count) qsort(out->facets + named, out->facet_count - named, sizeof *out->facets, by_use);
    for (unsigned n = 0; n < threads; n++) {
        batch_free(&f.workers[n].batch);
        for (size_t i = 0; i < f.count; i++) tally_free(&f.workers[n].tallies[i]);
    }
    free(f.workers);
    return done;
}
