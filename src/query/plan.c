#include "query/plan.h"

#include <inttypes.h>

static const struct {
    const char *name;
    unsigned uses;
} columns[] = {
#define X(name, text, uses) [OF_##name] = {text, uses},
    PLAN_OF_MAP(X)
#undef X
};

const char *of_name(enum of of) { return columns[of].name; }
unsigned of_uses(enum of of) { return columns[of].uses; }

const struct measure plan_stats[STATS_ALL] = {
#define X(name, kind, of, at) {kind, {of, {NULL, 0}}, at},
    PLAN_STATS_MAP(X)
#undef X
};

/* ---- keys ---- */

bool grouping_by(const struct grouping *g, enum of of) {
    for (size_t i = 0; i < g->key_count; i++)
        if (g->keys[i].subject.of == of) return true;
    return false;
}

int64_t key_bucket(const struct key *k, int64_t time_us) {
    int64_t rest = (time_us + k->offset_us) % k->width_us;
    return time_us - (rest < 0 ? rest + k->width_us : rest);
}

uint32_t key_bins(const struct key *k) { return (1000 + k->width_thousandths - 1) / k->width_thousandths; }

double key_bin_value(const struct key *k, uint32_t bin) { return (double)(bin * k->width_thousandths) / 1000; }

uint32_t key_bin(const struct key *k, double confidence) {
    uint32_t last = key_bins(k) - 1;
    if (!(confidence > 0)) return 0;
    if (confidence >= key_bin_value(k, last)) return last;
    /* Right below where two bins meet the quotient may round up; the test looks at every edge. */
    uint32_t bin = (uint32_t)(confidence * 1000 / k->width_thousandths);
    return confidence < key_bin_value(k, bin) ? bin - 1 : bin;
}

struct str model_base(struct str model) {
    const char *slash = model.n ? memrchr(model.p, '/', model.n) : NULL;
    return slash ? (struct str){model.p, (size_t)(slash - model.p)} : model;
}

struct str model_version(struct str model) {
    const char *slash = model.n ? memrchr(model.p, '/', model.n) : NULL;
    return slash ? str_from(model, (size_t)(slash - model.p) + 1) : (struct str){0};
}

/* ---- as text ---- */

void subject_write(struct buf *to, const struct subject *s) {
    buf_addz(to, columns[s->of].name);
    if (s->of == OF_METADATA) buf_add_str(to, s->field);
}

void measure_write(struct buf *to, const struct measure *m) {
    static const char *const names[] = {
        [MEASURE_INFERENCES] = "inferences",
        [MEASURE_ERRORS] = "errors",
        [MEASURE_EMPTY] = "empty",
        [MEASURE_DETECTIONS] = "detections",
        [MEASURE_DISTINCT] = "distinct",
        [MEASURE_SUM] = "sum",
        [MEASURE_AVG] = "avg",
        [MEASURE_MIN] = "min",
        [MEASURE_MAX] = "max",
        [MEASURE_QUANTILE] = "quantile",
        [MEASURE_HISTOGRAM] = "histogram",
        [MEASURE_NEWEST] = "newest",
    };
    buf_addz(to, names[m->kind]);
    if (m->kind < MEASURE_DISTINCT) return;
    buf_addc(to, '(');
    subject_write(to, &m->of);
    if (m->kind == MEASURE_QUANTILE) buf_addc(to, ','), put_double(to, m->at);
    buf_addc(to, ')');
}

/* ---- cursors: numbers in hexadecimal; the first is the form's version ---- */

enum { LIST_CURSOR = 1, GROUP_CURSOR = 2 };

static bool hex(struct str s, uint64_t *out) {
    *out = 0;
    if (s.n == 0 || s.n > 16) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) return false;
        *out = *out << 4 | digit;
    }
    return true;
}

/* The numbers of a cursor of this version, exactly as many as are wanted. */
static bool read_parts(struct str text, uint64_t version, uint64_t *parts, int count) {
    for (int i = 0; i < count; i++) {
        struct str part;
        if (str_cut(text, '-', &part, &text) != (i + 1 < count) || !hex(part, &parts[i])) return false;
    }
    return parts[0] == version;
}

void cursor_write(struct buf *to, const struct cursor *c) {
    buf_printf(to, "%d-%" PRIx64 "-%" PRIx64 "-%" PRIx64, LIST_CURSOR, (uint64_t)c->time_us, c->seq, c->as_of);
}

bool cursor_read(struct str text, struct cursor *out) {
    uint64_t parts[4];
    if (!read_parts(text, LIST_CURSOR, parts, 4)) return false;
    *out = (struct cursor){true, (int64_t)parts[1], parts[2], parts[3]};
    return true;
}

void group_cursor_write(struct buf *to, uint32_t skip, uint64_t as_of) {
    buf_printf(to, "%d-%" PRIx32 "-%" PRIx64, GROUP_CURSOR, skip, as_of);
}

bool group_cursor_read(struct str text, uint32_t *skip, uint64_t *as_of) {
    uint64_t parts[3];
    if (!read_parts(text, GROUP_CURSOR, parts, 3) || parts[1] > UINT32_MAX) return false;
    *skip = (uint32_t)parts[1];
    *as_of = parts[2];
    return true;
}
