#include "query/codes.h"

/* ---- values ---- */

/* `*` stands for any bytes. Each star's text is looked for at its first place behind the one before: where that fails,
 * no later place would have done. */
static bool glob(struct str pattern, struct str s) {
    struct str piece, rest;
    bool star = str_cut(pattern, '*', &piece, &rest);
    if (!star) return str_eq(pattern, s);
    if (!str_starts(s, piece)) return false;
    s = str_from(s, piece.n);
    while (str_cut(rest, '*', &piece, &rest)) {
        if (piece.n == 0) continue;
        const char *at = s.n ? memmem(s.p, s.n, piece.p, piece.n) : NULL;
        if (!at) return false;
        s = str_from(s, (size_t)(at - s.p) + piece.n);
    }
    return s.n >= piece.n && str_eq(str_from(s, s.n - piece.n), piece);
}

bool match_value(const struct match *m, const struct value *v) {
    double number;
    switch (m->kind) {
    case MATCH_PRESENT: return v->type != VALUE_NONE;
    case MATCH_TEXT:
        if (v->type == VALUE_STRING) return str_eq(v->text, m->text);
        if (v->type == VALUE_NUMBER) return range_holds(m->range, v->number);
        return v->type == VALUE_BOOL && str_is(m->text, v->truth ? "true" : "false");
    case MATCH_GLOB: return v->type == VALUE_STRING && glob(m->text, v->text);
    case MATCH_RANGE:
        if (v->type == VALUE_STRING) return filter_number(v->text, &number) && range_holds(m->range, number);
        return v->type == VALUE_NUMBER && range_holds(m->range, v->number);
    case MATCH_VALUE: return value_eq(&m->value, v);
    }
    return false;
}

static struct str without_version(struct str model) {
    const char *slash = model.n ? memrchr(model.p, '/', model.n) : NULL;
    return slash ? (struct str){model.p, (size_t)(slash - model.p)} : model;
}

static bool match_test(const struct filter_test *t, const struct match *m, const struct value *v) {
    return match_value(m, v) ||
           (t->field == FIELD_MODEL && m->kind == MATCH_TEXT && str_eq(without_version(v->text), m->text));
}

bool test_holds_text(const struct filter_test *t, struct str text) {
    struct value v = {.type = VALUE_STRING, .text = text};
    for (size_t i = 0; i < t->match_count; i++)
        if (match_test(t, &t->matches[i], &v)) return true;
    return false;
}

struct range match_numbers(const struct match *m) {
    static const struct range none = {INFINITY, -INFINITY}, all = {-INFINITY, INFINITY};
    switch (m->kind) {
    case MATCH_PRESENT: return all;
    case MATCH_TEXT: return isnan(m->range.low) ? none : m->range;
    case MATCH_RANGE: return m->range;
    case MATCH_VALUE: return m->value.type == VALUE_NUMBER ? (struct range){m->value.number, m->value.number} : none;
    case MATCH_GLOB: break;
    }
    return none;
}

/* ---- sets of codes ---- */

static struct codes codes_all(void) { return (struct codes){UINT32_MAX - 1, 1, UINT32_MAX - 1, NULL}; }

/* A set being made: bits from code 0. */
struct collection {
    uint64_t *bits;
    uint32_t count, first, last;
};

static void collect(struct collection *c, uint32_t code) {
    uint64_t bit = 1ULL << (code % 64);
    if (c->bits[code / 64] & bit) return;
    c->bits[code / 64] |= bit;
    if (c->count++ == 0) c->first = c->last = code;
    if (code < c->first) c->first = code;
    if (code > c->last) c->last = code;
}

static struct codes collected(struct collection *c) {
    struct codes set = {c->count, c->first, c->last, NULL};
    if (c->count == 0 || c->last - c->first == c->count - 1) return set;
    set.first &= ~(uint32_t)63;
    set.bits = c->bits + set.first / 64;
    return set;
}

bool test_is_of_presence(const struct filter_test *t) {
    for (size_t i = 0; i < t->match_count; i++)
        if (t->matches[i].kind == MATCH_PRESENT) return true;
    return false;
}

/* Of a dictionary that grows: what is asked for by its whole value is found by hash, else all values are looked at. */
struct codes codes_in_dict(struct arena *a, const struct filter_test *t, const struct dict *d) {
    if (test_is_of_presence(t)) return codes_all();
    uint32_t limit = dict_count(d);
    if (limit == 0) return (struct codes){0};
    struct collection c = {.bits = arena_alloc(a, (limit / 64 + 1) * sizeof *c.bits)};
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        bool whole = m->kind == MATCH_VALUE || (m->kind == MATCH_TEXT && t->field != FIELD_MODEL);
        for (uint32_t code = 1; !whole && code <= limit; code++)
            if (match_test(t, m, dict_value(d, code))) collect(&c, code);
        if (!whole) continue;
        struct value forms[] = {
            m->kind == MATCH_VALUE ? m->value : (struct value){.type = VALUE_STRING, .text = m->text},
            {.type = VALUE_NUMBER, .number = m->range.low},
            {.type = VALUE_BOOL, .truth = str_is(m->text, "true")},
        };
        bool has[] = {true, m->kind == MATCH_TEXT && !isnan(m->range.low),
                      m->kind == MATCH_TEXT && (forms[2].truth || str_is(m->text, "false"))};
        for (int k = 0; k < 3; k++) {
            uint32_t code = has[k] ? dict_find(d, &forms[k]) : 0;
            if (code && code <= limit) collect(&c, code);
        }
    }
    return collected(&c);
}

/* The first code in a sorted dictionary whose text is not before `text`; with `behind`, not before anything that begins
 * with it either. */
static uint32_t lower_bound(const struct segment_dict *d, struct str text, bool behind) {
    uint32_t low = 1, high = d->count + 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct str at = segment_dict_text(d, middle);
        if (str_cmp(at, text) < 0 || (behind && str_starts(at, text)))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where in a sorted dictionary the texts lie that a match could hold for. */
static void candidates(const struct segment_dict *d, const struct match *m, uint32_t *from, uint32_t *to) {
    struct str prefix = m->kind == MATCH_VALUE ? m->value.text : m->text, rest;
    *from = *to = 0;
    switch (m->kind) {
    case MATCH_RANGE: /* numbers begin with a sign or a digit */
        *from = lower_bound(d, STR("-"), false);
        *to = lower_bound(d, STR("9"), true);
        return;
    case MATCH_GLOB: str_cut(m->text, '*', &prefix, &rest); break;
    case MATCH_VALUE:
        if (m->value.type != VALUE_STRING) return;
        break;
    default: break;
    }
    *from = lower_bound(d, prefix, false);
    *to = lower_bound(d, prefix, true);
}

struct codes codes_in_sorted(struct arena *a, const struct filter_test *t, const struct segment_dict *d) {
    if (d->count == 0) return (struct codes){0};
    if (test_is_of_presence(t)) return codes_all();
    struct collection c = {0};
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        uint32_t from, to;
        candidates(d, m, &from, &to);
        if (from == to) continue;
        if (!c.bits) c.bits = arena_alloc(a, (d->count / 64 + 1) * sizeof *c.bits);
        bool exact = t->field != FIELD_MODEL && (m->kind == MATCH_TEXT || m->kind == MATCH_VALUE);
        if (exact) { /* it stands before all that it begins */
            if (segment_dict_text(d, from).n == (m->kind == MATCH_TEXT ? m->text.n : m->value.text.n))
                collect(&c, from);
            continue;
        }
        for (uint32_t code = from; code < to; code++) {
            struct value v = {.type = VALUE_STRING, .text = segment_dict_text(d, code)};
            if (match_test(t, m, &v)) collect(&c, code);
        }
    }
    return collected(&c);
}

struct codes codes_in_texts(struct arena *a, const struct filter_test *t, struct texts texts) {
    if (texts.dict) return codes_in_dict(a, t, texts.dict);
    return texts.sorted ? codes_in_sorted(a, t, texts.sorted) : (struct codes){0};
}
