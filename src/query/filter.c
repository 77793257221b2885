#include "query/filter.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "query/filter_fields.h"

const struct filter_builtin filter_builtins[FIELD_METADATA] = {
#define X(name, text, kind) [FIELD_##name] = {text, KIND_##kind},
    FILTER_FIELD_MAP(X)
#undef X
};

static const char number_expected[] = "a number";
static const char time_expected[] = "a time such as 2026-11-21 or \"2026-11-21T06:00:00Z\"";

struct parser {
    struct arena *arena;
    struct str text;
    size_t at;
    char *room; /* for what stands in quotes: as long as the text, and filled once over all of them */
    unsigned depth;
    size_t matches;
    struct filter_error *where;
    struct err *e;
};

__attribute__((format(printf, 3, 4))) static bool fail(struct parser *p, size_t at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->where->expected, sizeof p->where->expected, fmt, ap);
    va_end(ap);
    p->where->position = at;
    return err_set(p->e, ERR_INVALID, "filter: expected %s at byte %zu", p->where->expected, at);
}

/* ---- words ---- */

static char peek(const struct parser *p) { return p->at < p->text.n ? p->text.p[p->at] : '\0'; }
static bool ended(const struct parser *p) { return p->at >= p->text.n; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(struct parser *p) {
    while (is_blank(peek(p))) p->at++;
}

static bool take(struct parser *p, char c) {
    if (ended(p) || peek(p) != c) return false;
    p->at++;
    return true;
}

/* A piece of the text that stands for itself: a name, a value, a bare word. */
struct word {
    struct str text;
    size_t at;
    bool quoted;
    bool metadata; /* a name that was written metadata.NAME */
};

static bool quoted(struct parser *p, struct word *w) {
    size_t open = p->at++;
    w->text = (struct str){p->room, 0};
    w->quoted = true;
    while (!ended(p)) {
        char c = p->text.p[p->at++];
        if (c == '"') return true;
        if (c == '\\' && (peek(p) == '"' || peek(p) == '\\')) c = p->text.p[p->at++];
        *p->room++ = c;
        w->text.n++;
    }
    return fail(p, p->text.n, "'\"' to close the quote that opens at byte %zu", open);
}

static struct str run(struct parser *p, const char *stop) {
    size_t from = p->at;
    while (!ended(p) && !is_blank(peek(p)) && !(peek(p) && strchr(stop, peek(p)))) p->at++;
    return (struct str){p->text.p + from, p->at - from};
}

#define NAME_STOP ":<>()[]\""
#define VALUE_STOP "<>()[]\""

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static bool read_word(struct parser *p, const char *stop, const char *expected, struct word *w) {
    *w = (struct word){.at = p->at};
    if (peek(p) == '"') return quoted(p, w);
    w->text = copy(p->arena, run(p, stop));
    return w->text.n || fail(p, p->at, "%s", expected);
}

static bool read_name(struct parser *p, const char *expected, struct word *w) {
    if (!read_word(p, NAME_STOP, expected, w)) return false;
    if (w->quoted || !str_starts(w->text, STR("metadata."))) return true;
    size_t at = w->at;
    w->text = str_from(w->text, strlen("metadata."));
    if (w->text.n == 0 && !read_word(p, NAME_STOP, "the name of a metadata field", w)) return false;
    w->at = at;
    w->metadata = true;
    return true;
}

/* The unquoted word `z` with nothing after it that would make it a name. */
static bool take_keyword(struct parser *p, const char *z) {
    size_t from = p->at;
    struct str w = run(p, NAME_STOP);
    if (str_is(w, z) && (ended(p) || is_blank(peek(p)) || strchr("()", peek(p)))) return true;
    p->at = from;
    return false;
}

/* ---- values ---- */

bool filter_number(struct str s, double *out) {
    size_t i = 0;
    if (i < s.n && s.p[i] == '-') i++;
    size_t digits = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') i++;
    if (i == digits || (s.p[digits] == '0' && i > digits + 1)) return false;
    if (i < s.n && s.p[i] == '.') {
        size_t point = ++i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') i++;
        if (i == point) return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) i++;
        size_t power = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') i++;
        if (i == power) return false;
    }
    char text[4097];
    if (i != s.n || s.n >= sizeof text) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *out = strtod(text, NULL) + 0.0; /* -0 is 0 */
    return isfinite(*out);
}

static bool scalar(enum kind kind, struct str s, double *out) {
    int64_t us;
    switch (kind) {
    case KIND_TIME:
        if (!clock_parse(s, &us)) return false;
        *out = (double)us;
        return true;
    case KIND_BOOL:
        *out = str_is(s, "true");
        return *out > 0 || str_is(s, "false");
    default: return filter_number(s, out);
    }
}

static const char *scalar_expected(enum kind kind) {
    return kind == KIND_TIME ? time_expected : kind == KIND_BOOL ? "true or false" : number_expected;
}

struct match filter_text(struct str text) {
    struct match m = {.kind = MATCH_TEXT, .text = text, .range = {NAN, NAN}};
    double number;
    if (filter_number(text, &number)) m.range = (struct range){number, number};
    return m;
}

/* "80..120": false when it isn't one. */
static bool split_range(enum kind kind, struct str s, struct range *r) {
    for (size_t i = 1; i + 2 < s.n; i++)
        if (s.p[i] == '.' && s.p[i + 1] == '.')
            return scalar(kind, (struct str){s.p, i}, &r->low) && scalar(kind, str_from(s, i + 2), &r->high);
    return false;
}

static bool value_match(struct parser *p, enum kind kind, const struct word *w, struct match *m) {
    bool ordered = kind == KIND_NUMBER || kind == KIND_TIME || kind == KIND_METADATA;
    struct range r;
    if (ordered && !w->quoted && split_range(kind, w->text, &r)) {
        if (r.low > r.high) return fail(p, w->at, "the smaller end of the range first");
        *m = (struct match){.kind = MATCH_RANGE, .range = r};
    } else if (kind == KIND_NUMBER || kind == KIND_TIME || kind == KIND_BOOL) {
        if (!scalar(kind, w->text, &r.low)) return fail(p, w->at, "%s", scalar_expected(kind));
        *m = (struct match){.kind = MATCH_RANGE, .range = {r.low, r.low}};
    } else {
        bool glob = !w->quoted && w->text.n && memchr(w->text.p, '*', w->text.n);
        *m = glob ? (struct match){.kind = MATCH_GLOB, .text = w->text} : filter_text(w->text);
    }
    return true;
}

static bool add_match(struct parser *p, struct filter_test *t, struct match m, size_t at) {
    if (++p->matches > FILTER_MAX_MATCHES) return fail(p, at, "at most %d values in one filter", FILTER_MAX_MATCHES);
    /* Grown by doubling, so that a long list of values costs no more than twice its size. */
    if ((t->match_count & (t->match_count - 1)) == 0) {
        struct match *more = arena_alloc(p->arena, (t->match_count ? t->match_count * 2 : 1) * sizeof *more);
        if (t->match_count) memcpy(more, t->matches, t->match_count * sizeof *more);
        t->matches = more;
    }
    t->matches[t->match_count++] = m;
    return true;
}

static bool one_value(struct parser *p, enum kind kind, struct filter_test *t) {
    struct word w;
    struct match m;
    return read_word(p, VALUE_STOP, "a value", &w) && value_match(p, kind, &w, &m) && add_match(p, t, m, w.at);
}

static bool values(struct parser *p, enum kind kind, struct filter_test *t) {
    if (!take(p, '(')) return one_value(p, kind, t);
    do {
        skip_blanks(p);
        if (!one_value(p, kind, t)) return false;
        skip_blanks(p);
    } while (take_keyword(p, "or"));
    return take(p, ')') || fail(p, p->at, "\"or\" or ')'");
}

/* ---- comparisons ---- */

static bool at_compare(const struct parser *p) { return peek(p) == '<' || peek(p) == '>'; }

/* Narrows the range by what stands here: an operator and a number. */
static bool compare(struct parser *p, enum kind kind, struct range *r) {
    bool less = peek(p) == '<';
    p->at++;
    bool equal = take(p, '=');
    skip_blanks(p);
    struct word w;
    double v;
    if (!read_word(p, VALUE_STOP, scalar_expected(kind), &w)) return false;
    if (!scalar(kind, w.text, &v)) return fail(p, w.at, "%s", scalar_expected(kind));
    if (less)
        r->high = fmin(r->high, equal ? v : nextafter(v, -INFINITY));
    else
        r->low = fmax(r->low, equal ? v : nextafter(v, INFINITY));
    return true;
}

/* The conditions on one detection, between brackets; p stands behind the opening one. */
static bool conditions(struct parser *p, struct filter_test *t) {
    t->by_confidence = true;
    t->confidence = (struct range){-INFINITY, INFINITY};
    do {
        skip_blanks(p);
        size_t at = p->at;
        if (!str_is(run(p, NAME_STOP), "confidence")) return fail(p, at, "confidence and a comparison");
        skip_blanks(p);
        if (!at_compare(p)) return fail(p, p->at, "'<', '<=', '>' or '>='");
        if (!compare(p, KIND_NUMBER, &t->confidence)) return false;
        skip_blanks(p);
        if (ended(p)) return fail(p, p->at, "']'");
    } while (!take(p, ']'));
    return true;
}

/* What may follow class:values. */
static bool class_rest(struct parser *p, struct filter_test *t) {
    t->count = (struct range){1, INFINITY};
    if (take(p, '[') && !conditions(p, t)) return false;
    if (!at_compare(p)) return true;
    t->count = (struct range){-INFINITY, INFINITY};
    t->joins = false;
    return compare(p, KIND_NUMBER, &t->count);
}

/* ---- tests ---- */

static void resolve(const struct word *name, struct filter_test *t, enum kind *kind) {
    for (size_t i = 0; i < FIELD_METADATA && !name->metadata; i++)
        if (str_is(name->text, filter_builtins[i].name)) {
            t->field = (enum filter_field)i;
            *kind = filter_builtins[i].kind;
            return;
        }
    t->field = FIELD_METADATA;
    t->name = name->text;
    *kind = KIND_METADATA;
}

static bool has_test(struct parser *p, struct filter_test *t) {
    struct word name;
    enum kind kind;
    if (!read_name(p, "a field name", &name)) return false;
    resolve(&name, t, &kind);
    t->count = (struct range){1, INFINITY};
    struct match m = {.kind = MATCH_PRESENT};
    if (kind == KIND_BOOL || t->field == FIELD_DETECTIONS)
        m = (struct match){.kind = MATCH_RANGE, .range = {1, kind == KIND_BOOL ? 1 : INFINITY}};
    return add_match(p, t, m, name.at);
}

static bool named_test(struct parser *p, const struct word *name, struct filter_test *t) {
    enum kind kind;
    resolve(name, t, &kind);
    if (take(p, ':')) {
        t->joins = true;
        return values(p, kind, t) && (kind != KIND_CLASS || class_rest(p, t));
    }
    if (kind == KIND_TEXT || kind == KIND_BOOL || kind == KIND_CLASS)
        return fail(p, p->at, "':' (%s has no order)", filter_builtins[t->field].name);
    struct match m = {.kind = MATCH_RANGE, .range = {-INFINITY, INFINITY}};
    return compare(p, kind, &m.range) && add_match(p, t, m, name->at);
}

static bool read_test(struct parser *p, struct filter_test *t) {
    struct word name;
    if (!read_name(p, "a field name or a value", &name)) return false;
    if (peek(p) == ':' && !name.quoted && !name.metadata && str_is(name.text, "has")) {
        p->at++;
        return has_test(p, t);
    }
    size_t behind = p->at;
    if (peek(p) != ':') skip_blanks(p);
    if (peek(p) == ':' && p->at > behind) p->at = behind;
    if (peek(p) == ':' || at_compare(p)) return named_test(p, &name, t);
    p->at = behind;
    if (name.metadata) return fail(p, p->at, "':' or a comparison");
    t->field = FIELD_ANY;
    return add_match(p, t, filter_text(name.text), name.at);
}

/* ---- clauses ---- */

static struct filter *node(struct arena *a, enum filter_kind kind, struct filter *first) {
    struct filter *f = arena_alloc(a, sizeof *f);
    f->kind = kind;
    f->first = first;
    return f;
}

static struct filter *read_any(struct parser *p);

static struct filter *read_group(struct parser *p) {
    if (++p->depth > FILTER_MAX_DEPTH)
        return fail(p, p->at, "at most %d levels of parentheses", FILTER_MAX_DEPTH), NULL;
    p->at++;
    struct filter *f = read_any(p);
    if (!f) return NULL;
    if (!take(p, ')')) return fail(p, p->at, "')'"), NULL;
    p->depth--;
    f->test.joins = false; /* (class:a) (class:b) asks for both */
    return f;
}

static struct filter *read_clause(struct parser *p) {
    bool negated = take(p, '-');
    struct filter *f;
    if (peek(p) == '(') {
        f = read_group(p);
        if (!f) return NULL;
    } else {
        f = node(p->arena, FILTER_TEST, NULL);
        if (!read_test(p, &f->test)) return NULL;
    }
    if (!ended(p) && !is_blank(peek(p)) && peek(p) != ')')
        return fail(p, p->at, "a blank, or quotes around the value"), NULL;
    return negated ? node(p->arena, FILTER_NOT, f) : f;
}

static bool joins(const struct filter *x, const struct filter *y) {
    return x->kind == FILTER_TEST && y->kind == FILTER_TEST && x->test.joins && y->test.joins &&
           x->test.field == y->test.field && str_eq(x->test.name, y->test.name);
}

struct filter *filter_join(struct arena *a, struct filter *clauses) {
    struct filter *joined = NULL, **end = &joined;
    while (clauses) {
        struct filter *f = clauses, **rest = &clauses, *last = f;
        clauses = f->next;
        f->next = NULL;
        while (*rest) {
            struct filter *other = *rest;
            if (!joins(f, other)) {
                rest = &other->next;
                continue;
            }
            *rest = other->next;
            other->next = NULL;
            last = last->next = other;
        }
        if (f->next) f = node(a, FILTER_OR, f);
        *end = f;
        end = &f->next;
    }
    return joined && joined->next ? node(a, FILTER_AND, joined) : joined;
}

/* Clauses up to "or", ')' or the end; at least one. */
static struct filter *read_all(struct parser *p) {
    struct filter *first = NULL, **end = &first;
    for (;;) {
        skip_blanks(p);
        size_t from = p->at;
        if (first && (ended(p) || peek(p) == ')')) break;
        if (first && take_keyword(p, "and"))
            skip_blanks(p);
        else if (first && take_keyword(p, "or")) {
            p->at = from;
            break;
        }
        struct filter *f = read_clause(p);
        if (!f) return NULL;
        *end = f;
        end = &f->next;
    }
    return filter_join(p->arena, first);
}

static struct filter *read_any(struct parser *p) {
    struct filter *first = NULL, **end = &first;
    do {
        struct filter *f = read_all(p);
        if (!f) return NULL;
        *end = f;
        end = &f->next;
    } while (take_keyword(p, "or"));
    return first->next ? node(p->arena, FILTER_OR, first) : first;
}

static size_t utf8_until(struct str s) {
    size_t at = 0;
    while (at < s.n) {
        size_t n = 1;
        while (n <= 4 && at + n <= s.n && !str_is_utf8((struct str){s.p + at, n})) n++;
        if (n > 4 || at + n > s.n) break;
        at += n;
    }
    return at;
}

bool filter_parse(struct arena *a, struct str text, const struct filter **out, struct filter_error *where,
                  struct err *e) {
    struct parser p = {.arena = a, .text = text, .where = where, .e = e};
    *out = NULL;
    if (text.n > FILTER_MAX_BYTES) return fail(&p, FILTER_MAX_BYTES, "at most %d bytes", FILTER_MAX_BYTES);
    if (!str_is_utf8(text)) return fail(&p, utf8_until(text), "UTF-8");
    skip_blanks(&p);
    if (ended(&p)) return true;
    p.room = arena_alloc(a, text.n);
    *out = read_any(&p);
    if (!*out) return false;
    return ended(&p) || fail(&p, p.at, "nothing behind the last clause, or '(' before it");
}

/* ---- spellings ---- */

bool filter_is_name(struct str name) {
    if (str_starts(name, STR("metadata."))) return name.n > strlen("metadata.");
    for (size_t i = 0; i < FIELD_METADATA; i++)
        if (str_is(name, filter_builtins[i].name)) return true;
    return false;
}

bool filter_equals(struct arena *a, struct str name, struct str value, struct filter **out, struct err *e) {
    struct filter_error where;
    struct parser p = {.arena = a, .where = &where, .e = e};
    struct word as_name = {.text = name}, as_value = {.text = copy(a, value), .quoted = true};
    if ((as_name.metadata = str_starts(name, STR("metadata."))))
        as_name.text = copy(a, str_from(name, strlen("metadata.")));
    struct filter *f = node(a, FILTER_TEST, NULL);
    enum kind kind;
    struct match m;
    resolve(&as_name, &f->test, &kind);
    f->test.joins = true;
    f->test.count = (struct range){1, INFINITY};
    if (!str_is_utf8(value)) return err_set(e, ERR_INVALID, STR_FMT ": expected UTF-8", STR_ARG(name));
    if (!value_match(&p, kind, &as_value, &m))
        return err_set(e, ERR_INVALID, STR_FMT ": expected %s", STR_ARG(name), where.expected);
    add_match(&p, &f->test, m, 0);
    *out = f;
    return true;
}

const struct filter *filter_and(struct arena *a, const struct filter *x, const struct filter *y) {
    if (!x || !y) return x ? x : y;
    struct filter *first = arena_copy(a, x, sizeof *x), *second = arena_copy(a, y, sizeof *y);
    first->next = second;
    second->next = NULL;
    return node(a, FILTER_AND, first);
}

bool filter_mentions(const struct filter *f, enum filter_field field) {
    if (!f) return false;
    if (f->kind == FILTER_TEST) return f->test.field == field;
    for (const struct filter *child = f->first; child; child = child->next)
        if (filter_mentions(child, field)) return true;
    return false;
}
