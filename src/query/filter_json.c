#include "query/filter_json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "query/filter_fields.h"

static enum kind kind_of(enum filter_field f) { return f < FIELD_METADATA ? filter_builtins[f].kind : KIND_METADATA; }

/* ---- where ---- */

static void add_pointer(struct buf *to, const struct json_at *at) {
    if (!at->up) return;
    add_pointer(to, at->up);
    buf_addc(to, '/');
    if (!at->member) buf_printf(to, "%zu", at->index);
    for (const char *c = at->member; c && *c; c++) {
        if (*c == '~' || *c == '/')
            buf_addz(to, *c == '~' ? "~0" : "~1");
        else
            buf_addc(to, *c);
    }
}

bool json_wrong(const struct json_at *at, struct json_fault *fault, struct err *e, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    *fault = (struct json_fault){0};
    vsnprintf(fault->expected, sizeof fault->expected, fmt, ap);
    va_end(ap);
    struct buf pointer = {0};
    add_pointer(&pointer, at);
    snprintf(fault->pointer, sizeof fault->pointer, STR_FMT, STR_ARG(buf_str(&pointer)));
    buf_free(&pointer);
    return err_set(e, ERR_INVALID, "%s: expected %s", fault->pointer[0] ? fault->pointer : "the plan", fault->expected);
}

/* ---- reading ---- */

struct reader {
    struct arena *arena;
    size_t matches, depth;
    struct json_fault *fault;
    struct err *e;
};

#define WRONG(r, at, ...) json_wrong(at, (r)->fault, (r)->e, __VA_ARGS__)

static bool fits(struct reader *r, size_t depth, const struct json_at *at) {
    if (r->depth + depth > FILTER_MAX_TREE) return WRONG(r, at, "at most %d filters in one another", FILTER_MAX_TREE);
    return r->matches <= FILTER_MAX_MATCHES || WRONG(r, at, "at most %d values in one filter", FILTER_MAX_MATCHES);
}

/* -0 becomes 0, to which it is equal. */
static double number_of(const json_t *json) { return json_number_value(json) + 0.0; }

static struct str copy(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static bool read_number(struct reader *r, enum kind kind, const json_t *json, const struct json_at *at, double *out) {
    int64_t us;
    if (kind == KIND_TIME) {
        if (!json_is_string(json) || !clock_parse(json_text(json), &us))
            return WRONG(r, at, "a time such as \"2026-11-21T06:00:00Z\"");
        *out = (double)us;
        return true;
    }
    if (!json_is_number(json)) return WRONG(r, at, "a number");
    *out = number_of(json);
    return true;
}

static bool read_range(struct reader *r, enum kind kind, const json_t *json, const struct json_at *at,
                       struct range *out) {
    const char *name;
    json_t *bound;
    *out = (struct range){-INFINITY, INFINITY};
    if (json_object_size(json) == 0) return WRONG(r, at, "an object with \">\", \">=\", \"<\" or \"<=\"");
    json_object_foreach((json_t *)(uintptr_t)json, name, bound) {
        struct json_at here = {at, name, 0};
        bool less = name[0] == '<', equal = name[0] && name[1] == '=';
        double v;
        if ((!less && name[0] != '>') || name[1 + equal]) return WRONG(r, &here, "\">\", \">=\", \"<\" or \"<=\"");
        if (!read_number(r, kind, bound, &here, &v)) return false;
        if (less)
            out->high = fmin(out->high, equal ? v : nextafter(v, -INFINITY));
        else
            out->low = fmax(out->low, equal ? v : nextafter(v, INFINITY));
    }
    return true;
}

/* A value of metadata, at its type. */
static bool read_value(struct reader *r, const json_t *json, const struct json_at *at, struct match *m) {
    m->kind = MATCH_VALUE;
    if (json_is_string(json))
        m->value = (struct value){.type = VALUE_STRING, .text = copy(r->arena, json_text(json))};
    else if (json_is_number(json))
        m->value = (struct value){.type = VALUE_NUMBER, .number = number_of(json)};
    else if (json_is_boolean(json))
        m->value = (struct value){.type = VALUE_BOOL, .truth = json_is_true(json)};
    else
        return WRONG(r, at, "a string, a number, a boolean or an object");
    return true;
}

static bool read_plain(struct reader *r, enum kind kind, const json_t *json, const struct json_at *at,
                       struct match *m) {
    if (kind == KIND_METADATA) return read_value(r, json, at, m);
    if (kind == KIND_TEXT || kind == KIND_CLASS) {
        if (!json_is_string(json)) return WRONG(r, at, "a string or an object");
        *m = filter_text(copy(r->arena, json_text(json)));
        return true;
    }
    m->kind = MATCH_RANGE;
    if (kind == KIND_BOOL) {
        if (!json_is_boolean(json)) return WRONG(r, at, "true or false");
        m->range.low = m->range.high = json_is_true(json);
        return true;
    }
    bool ok = read_number(r, kind, json, at, &m->range.low);
    m->range.high = m->range.low;
    return ok;
}

static bool read_match(struct reader *r, enum filter_field field, const json_t *json, const struct json_at *at,
                       struct match *m) {
    enum kind kind = kind_of(field);
    bool text = kind == KIND_TEXT || kind == KIND_CLASS || kind == KIND_METADATA;
    *m = (struct match){0};
    if (!json_is_object(json)) return read_plain(r, kind, json, at, m);
    const json_t *present = json_object_get(json, "present"), *written = json_object_get(json, "text"),
                 *glob = json_object_get(json, "glob");
    if (!present && !written && !glob) {
        if (text && kind != KIND_METADATA)
            return WRONG(r, at, "\"text\", \"glob\" or \"present\" (%s has no order)", filter_builtins[field].name);
        m->kind = MATCH_RANGE;
        if (kind == KIND_BOOL) return WRONG(r, at, "true or false");
        if (!read_range(r, kind, json, at, &m->range)) return false;
        return m->range.low <= m->range.high || WRONG(r, at, "a range that something can be in");
    }
    if (json_object_size(json) != 1) return WRONG(r, at, "one of \"text\", \"glob\" and \"present\", and nothing else");
    const char *name = present ? "present" : written ? "text" : "glob";
    struct json_at here = {at, name, 0};
    if (present) {
        if (!json_is_true(present)) return WRONG(r, &here, "true; {\"not\": ...} around it says the opposite");
        m->kind = MATCH_PRESENT;
        if (kind == KIND_BOOL || field == FIELD_DETECTIONS)
            *m = (struct match){.kind = MATCH_RANGE, .range = {1, kind == KIND_BOOL ? 1 : INFINITY}};
        return true;
    }
    if (!text) return WRONG(r, at, "%s", kind == KIND_BOOL ? "true or false" : "a value, a range or \"present\"");
    if (!json_is_string(written ? written : glob)) return WRONG(r, &here, "a string");
    struct str s = copy(r->arena, json_text(written ? written : glob));
    *m = written ? filter_text(s) : (struct match){.kind = MATCH_GLOB, .text = s};
    return true;
}

static bool read_matches(struct reader *r, const json_t *any, const struct json_at *at, struct filter_test *t) {
    size_t count = json_array_size(any);
    if (count == 0) return WRONG(r, at, "a list of at least one match");
    r->matches += count;
    if (!fits(r, 0, at)) return false;
    t->matches = arena_alloc(r->arena, count * sizeof *t->matches);
    for (; t->match_count < count; t->match_count++) {
        struct json_at here = {at, NULL, t->match_count};
        if (!read_match(r, t->field, json_array_get(any, t->match_count), &here, &t->matches[t->match_count]))
            return false;
    }
    return true;
}

static bool read_field(struct reader *r, const json_t *json, const struct json_at *at, struct filter_test *t) {
    struct str name = json_text(json);
    if (str_starts(name, STR("metadata.")) && name.n > strlen("metadata.")) {
        t->field = FIELD_METADATA;
        t->name = copy(r->arena, str_from(name, strlen("metadata.")));
        return true;
    }
    for (t->field = 0; t->field < FIELD_METADATA; t->field++)
        if (str_is(name, filter_builtins[t->field].name)) return true;
    return WRONG(r, at, "the name of a column, or metadata.NAME");
}

static bool read_test(struct reader *r, const json_t *json, const struct json_at *at, struct filter_test *t) {
    const char *name;
    json_t *member;
    struct json_at field_at = {at, "field", 0}, any_at = {at, "any", 0};
    if (!read_field(r, json_object_get(json, "field"), &field_at, t)) return false;
    t->count = (struct range){1, INFINITY};
    json_object_foreach((json_t *)(uintptr_t)json, name, member) {
        struct json_at here = {at, name, 0};
        bool confidence = strcmp(name, "confidence") == 0;
        if (strcmp(name, "field") == 0 || strcmp(name, "any") == 0) continue;
        if (t->field != FIELD_CLASS || (!confidence && strcmp(name, "count") != 0))
            return WRONG(r, &here, "only \"field\" and \"any\"; of a class also \"confidence\" and \"count\"");
        if (!read_range(r, KIND_NUMBER, member, &here, confidence ? &t->confidence : &t->count)) return false;
        t->by_confidence |= confidence;
    }
    return read_matches(r, json_object_get(json, "any"), &any_at, t);
}

/* {"word": text}: the id, or any metadata value. */
static bool read_word(struct reader *r, const json_t *word, const struct json_at *at, struct filter_test *t) {
    struct json_at here = {at, "word", 0};
    if (!json_is_string(word)) return WRONG(r, &here, "a string");
    r->matches++;
    if (!fits(r, 0, &here)) return false;
    t->field = FIELD_ANY;
    t->count = (struct range){1, INFINITY};
    t->matches = arena_alloc(r->arena, sizeof *t->matches);
    t->match_count = 1;
    *t->matches = filter_text(copy(r->arena, json_text(word)));
    return true;
}

static struct filter *read_node(struct reader *r, const json_t *json, const struct json_at *at);

static bool read_children(struct reader *r, const json_t *list, const struct json_at *at, struct filter *f) {
    struct filter **end = &f->first;
    if (json_array_size(list) == 0) return WRONG(r, at, "a list of at least one filter");
    for (size_t i = 0; i < json_array_size(list); i++, end = &(*end)->next) {
        struct json_at here = {at, NULL, i};
        *end = read_node(r, json_array_get(list, i), &here);
        if (!*end) return false;
    }
    return true;
}

/* How deep a tree is, and how many matches are in it. */
static size_t measure(const struct filter *f, size_t *matches) {
    size_t deepest = 0;
    if (f->kind == FILTER_TEST) *matches += f->test.match_count;
    for (const struct filter *child = f->first; child; child = child->next) {
        size_t depth = measure(child, matches);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

static bool read_text(struct reader *r, const json_t *json, const struct json_at *at, const struct filter **out) {
    struct filter_error where;
    struct err inner = {0};
    if (filter_parse(r->arena, copy(r->arena, json_text(json)), out, &where, &inner)) return true;
    json_wrong(at, r->fault, r->e, "%s at byte %zu of the text", where.expected, where.position);
    r->fault->in_text = true;
    r->fault->position = where.position;
    return false;
}

static struct filter *read_node(struct reader *r, const json_t *json, const struct json_at *at) {
    const struct filter *parsed;
    struct filter *f = arena_alloc(r->arena, sizeof *f);
    if (json_is_string(json)) {
        if (!read_text(r, json, at, &parsed)) return NULL;
        if (!parsed) return WRONG(r, at, "a filter that says something"), NULL;
        *f = *parsed;
        return fits(r, measure(f, &r->matches), at) ? f : NULL;
    }
    if (!fits(r, 1, at)) return NULL;
    r->depth++;
    const json_t *all = json_object_get(json, "and"), *any = json_object_get(json, "or"),
                 *none = json_object_get(json, "not"), *word = json_object_get(json, "word");
    bool ok;
    if (json_object_get(json, "field")) {
        f->kind = FILTER_TEST;
        ok = read_test(r, json, at, &f->test);
    } else if (json_object_size(json) != 1 || (!all && !any && !none && !word)) {
        ok = WRONG(r, at,
                   "text, or an object with \"field\" and \"any\", or with one of \"and\", \"or\", \"not\", \"word\"");
    } else if (word) {
        f->kind = FILTER_TEST;
        ok = read_word(r, word, at, &f->test);
    } else if (none) {
        struct json_at here = {at, "not", 0};
        f->kind = FILTER_NOT;
        ok = (f->first = read_node(r, none, &here));
    } else {
        struct json_at here = {at, all ? "and" : "or", 0};
        f->kind = all ? FILTER_AND : FILTER_OR;
        ok = read_children(r, all ? all : any, &here, f);
    }
    r->depth--;
    return ok ? f : NULL;
}

bool filter_from_json(struct arena *a, const json_t *json, const struct json_at *at, const struct filter **out,
                      struct json_fault *fault, struct err *e) {
    struct reader r = {.arena = a, .fault = fault, .e = e};
    *out = NULL;
    if (!json || json_is_null(json)) return true;
    if (json_is_string(json)) return read_text(&r, json, at, out);
    return (*out = read_node(&r, json, at));
}

/* ---- writing ---- */

static void add_number(struct buf *to, enum kind kind, double v) {
    char text[CLOCK_TEXT];
    if (kind == KIND_TIME)
        put_strz(to, clock_format((int64_t)v, text));
    else
        put_double(to, v);
}

static size_t digits(double v) {
    struct buf b = {0};
    put_double(&b, v);
    size_t n = b.n;
    buf_free(&b);
    return n;
}

/* One end. An open one is the double beside the number that was written, which is the shorter of the two. */
static void add_bound(struct buf *to, enum kind kind, const char *open, const char *closed, double v, double outside) {
    if (isinf(v)) return;
    double beside = nextafter(v, outside);
    bool is_open = kind == KIND_TIME ? v != rint(v) : digits(beside) < digits(v);
    put_key(to, is_open ? open : closed);
    add_number(to, kind, is_open ? (kind == KIND_TIME ? rint(beside) : beside) : v);
}

static void add_range(struct buf *to, enum kind kind, struct range r) {
    put_object(to);
    add_bound(to, kind, ">", ">=", r.low, -INFINITY);
    add_bound(to, kind, "<", "<=", r.high, INFINITY);
    put_object_end(to);
}

static void add_named(struct buf *to, const char *name, struct str text) {
    put_object(to), put_key(to, name), put_str(to, text), put_object_end(to);
}

static void add_match(struct buf *to, enum kind kind, const struct match *m) {
    switch (m->kind) {
    case MATCH_PRESENT: put_object(to), put_key(to, "present"), put_bool(to, true), put_object_end(to); break;
    case MATCH_GLOB: add_named(to, "glob", m->text); break;
    case MATCH_TEXT:
        if (kind == KIND_METADATA)
            add_named(to, "text", m->text);
        else
            put_str(to, m->text);
        break;
    case MATCH_RANGE:
        if (kind == KIND_BOOL)
            put_bool(to, range_holds(m->range, 1));
        else if (m->range.low == m->range.high && kind != KIND_METADATA)
            add_number(to, kind, m->range.low);
        else
            add_range(to, kind, m->range);
        break;
    case MATCH_VALUE: value_json(to, &m->value); break;
    }
}

static void add_test(struct buf *to, const struct filter_test *t) {
    put_object(to);
    if (t->field == FIELD_ANY) {
        put_key(to, "word"), put_str(to, t->matches[0].text);
        put_object_end(to);
        return;
    }
    put_key(to, "field");
    struct buf name = {0};
    buf_addz(&name, t->field == FIELD_METADATA ? "metadata." : filter_builtins[t->field].name);
    if (t->field == FIELD_METADATA) buf_add_str(&name, t->name);
    put_str(to, buf_str(&name));
    buf_free(&name);
    put_key(to, "any"), put_array(to);
    for (size_t i = 0; i < t->match_count; i++) add_match(to, kind_of(t->field), &t->matches[i]);
    put_array_end(to);
    if (t->field == FIELD_CLASS && t->by_confidence)
        put_key(to, "confidence"), add_range(to, KIND_NUMBER, t->confidence);
    if (t->field == FIELD_CLASS && (t->count.low != 1 || !isinf(t->count.high)))
        put_key(to, "count"), add_range(to, KIND_NUMBER, t->count);
    put_object_end(to);
}

void filter_to_json(struct buf *to, const struct filter *f) {
    if (!f) {
        put_null(to);
        return;
    }
    if (f->kind == FILTER_TEST) {
        add_test(to, &f->test);
        return;
    }
    put_object(to);
    put_key(to, f->kind == FILTER_AND ? "and" : f->kind == FILTER_OR ? "or" : "not");
    if (f->kind != FILTER_NOT) put_array(to);
    for (const struct filter *child = f->first; child; child = child->next) filter_to_json(to, child);
    if (f->kind != FILTER_NOT) put_array_end(to);
    put_object_end(to);
}
