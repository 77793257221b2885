#include "query/plan_json.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000)
enum { WIDTH_MOST_S = 366 * 86400, OFFSET_MOST_S = 7 * 86400, TIMEOUT_MOST_S = 3600 };

struct reader {
    struct arena *arena;
    struct json_fault *fault;
    struct err *e;
};

#define WRONG(r, at, ...) json_wrong(at, (r)->fault, (r)->e, __VA_ARGS__)

/* ---- members ---- */

/* True when the object has no member but these; `names` ends with NULL. */
static bool only(struct reader *r, const json_t *object, const struct json_at *at, const char *const *names) {
    const char *name;
    json_t *member;
    if (!json_is_object(object)) return WRONG(r, at, "an object");
    json_object_foreach((json_t *)(uintptr_t)object, name, member) {
        const char *const *known = names;
        while (*known && strcmp(*known, name) != 0) known++;
        if (*known) continue;
        struct json_at here = {at, name, 0};
        char list[120] = "";
        size_t n = 0;
        for (known = names; *known && n < sizeof list; known++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"", known == names ? "" : ", ", *known);
        return WRONG(r, &here, "%s%s", !names[0] ? "nothing" : names[1] ? "one of " : "only ", list);
    }
    return true;
}

/* Members that aren't there leave *out as it is. */
static bool read_whole(struct reader *r, const json_t *object, const struct json_at *at, const char *name,
                       int64_t least, int64_t most, int64_t *out) {
    const json_t *v = json_object_get(object, name);
    struct json_at here = {at, name, 0};
    if (!v) return true;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return WRONG(r, &here, "a whole number from %lld to %lld", (long long)least, (long long)most);
    *out = json_integer_value(v);
    return true;
}

static bool read_bool(struct reader *r, const json_t *object, const struct json_at *at, const char *name, bool *out) {
    const json_t *v = json_object_get(object, name);
    struct json_at here = {at, name, 0};
    if (v && !json_is_boolean(v)) return WRONG(r, &here, "true or false");
    if (v) *out = json_is_true(v);
    return true;
}

static bool read_time(struct reader *r, const json_t *object, const struct json_at *at, const char *name,
                      int64_t *out) {
    const json_t *v = json_object_get(object, name);
    struct json_at here = {at, name, 0};
    if (!v || json_is_null(v) || (json_is_string(v) && clock_parse(json_text(v), out))) return true;
    return WRONG(r, &here, "a time such as \"2026-11-21T06:00:00Z\" (RFC 3339)");
}

/* ---- columns and measures ---- */

bool subject_read(struct arena *a, struct str name, unsigned uses, struct subject *out) {
    struct str prefix = str_of(of_name(OF_METADATA));
    if (str_starts(name, prefix)) {
        struct str field = str_from(name, prefix.n);
        *out = (struct subject){OF_METADATA, {arena_copy(a, field.p, field.n), field.n}};
        return field.n > 0 && of_uses(OF_METADATA) & uses;
    }
    for (enum of of = 0; of < OF_METADATA; of++)
        if (str_is(name, of_name(of))) {
            *out = (struct subject){.of = of};
            return of_uses(of) & uses;
        }
    return false;
}

/* The names of the columns that may be used so, for an error. */
static bool wrong_column(struct reader *r, const struct json_at *at, const char *what, unsigned uses) {
    char names[220];
    size_t n = 0;
    names[0] = '\0';
    for (enum of of = 0; of < OF_METADATA && n < sizeof names; of++)
        if (of_uses(of) & uses) n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", of_name(of));
    if (of_uses(OF_METADATA) & uses && n < sizeof names) snprintf(names + n, sizeof names - n, ", metadata.NAME");
    return WRONG(r, at, "%s%s", what, names);
}

static const struct function {
    const char *name;
    enum measure_kind kind;
    unsigned uses;
} functions[] = {
    {"distinct", MEASURE_DISTINCT, USE_DISTINCT}, {"sum", MEASURE_SUM, USE_NUMBER},
    {"avg", MEASURE_AVG, USE_NUMBER | USE_AVG},   {"min", MEASURE_MIN, USE_NUMBER | USE_RANGE},
    {"max", MEASURE_MAX, USE_NUMBER | USE_RANGE}, {"quantile", MEASURE_QUANTILE, USE_BINS},
    {"histogram", MEASURE_HISTOGRAM, USE_BINS},   {"newest", MEASURE_NEWEST, USE_NEWEST},
};
static const char *const counts[] = {
    [MEASURE_INFERENCES] = "inferences",
    [MEASURE_ERRORS] = "errors",
    [MEASURE_EMPTY] = "empty",
    [MEASURE_DETECTIONS] = "detections",
};
static const char measure_expected[] =
    "a count (inferences, errors, empty, detections), stats, or distinct, sum, avg, min, "
    "max, quantile, histogram or newest of a (column)";

/* What stands in the parentheses: "column", or of a quantile "column,0.95". */
static bool read_argument(struct reader *r, struct str inside, const struct json_at *at, const struct function *f,
                          struct measure *m) {
    m->kind = f->kind;
    if (f->kind == MEASURE_QUANTILE) {
        const char *comma = inside.n ? memrchr(inside.p, ',', inside.n) : NULL;
        size_t n = comma ? (size_t)(comma - inside.p) : 0;
        if (!comma || !filter_number(str_trim(str_from(inside, n + 1)), &m->at) || m->at < 0 || m->at > 1)
            return WRONG(r, at, "quantile(column,q) with q from 0 to 1");
        inside = str_trim((struct str){inside.p, n});
    }
    if (subject_read(r->arena, inside, f->uses, &m->of)) return true;
    char what[40];
    snprintf(what, sizeof what, "in %s one of ", f->name);
    return wrong_column(r, at, what, f->uses);
}

static bool read_measure(struct reader *r, const json_t *json, const struct json_at *at, struct measure *m) {
    struct str text = json_text(json), name, rest;
    *m = (struct measure){0};
    for (enum measure_kind k = MEASURE_INFERENCES; k <= MEASURE_DETECTIONS; k++)
        if (str_is(text, counts[k])) {
            m->kind = k;
            return true;
        }
    if (str_cut(text, '(', &name, &rest) && rest.n && rest.p[rest.n - 1] == ')')
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
            if (str_is(name, functions[i].name))
                return read_argument(r, (struct str){rest.p, rest.n - 1}, at, &functions[i], m);
    return WRONG(r, at, measure_expected);
}

/* What would speak of all of an inference's detections, where those of one class are meant. */
static bool fits_classes(const struct measure *m) {
    bool of_detections = m->kind >= MEASURE_SUM && m->of.of == OF_DETECTIONS;
    return !of_detections && (m->kind != MEASURE_DISTINCT || m->of.of != OF_CLASS);
}

static bool read_measures(struct reader *r, const json_t *json, const struct json_at *at, struct grouping *g) {
    size_t count = json_array_size(json), room = PLAN_MEASURES;
    struct measure *list = arena_alloc(r->arena, room * sizeof *list);
    g->measures = list;
    if (count == 0) return WRONG(r, at, "a list of at least one measure");
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(json, i);
        struct json_at here = {at, NULL, i};
        bool stats = str_is(json_text(one), "stats");
        size_t more = stats ? STATS_ALL : 1;
        if (g->measure_count + more > room) return WRONG(r, &here, "at most %zu measures", room);
        if (stats)
            memcpy(list + g->measure_count, plan_stats, sizeof plan_stats);
        else if (!read_measure(r, one, &here, &list[g->measure_count]))
            return false;
        g->measure_count += more;
        if (grouping_by(g, OF_CLASS) && !fits_classes(&list[g->measure_count - 1]))
            return WRONG(r, &here,
                         "another measure: beside the key class there is one class, and its detections count");
    }
    return true;
}

/* ---- keys ---- */

static bool read_top(struct reader *r, const json_t *json, const struct json_at *at, struct key *k) {
    struct json_at by_at = {at, "top_by", 0}, other_at = {at, "other", 0};
    const json_t *by = json_object_get(json, "top_by");
    int64_t top = 0;
    bool other = true;
    if (!read_whole(r, json, at, "top", 1, PLAN_GROUP_LIMIT_MOST, &top) || !read_bool(r, json, at, "other", &other))
        return false;
    if (!top && by) return WRONG(r, &by_at, "\"top\" beside it");
    if (!top && json_object_get(json, "other")) return WRONG(r, &other_at, "\"top\" beside it");
    k->top = (uint32_t)top;
    k->drop = !other;
    if (!by) return true;
    struct measure *m = arena_alloc(r->arena, sizeof *m);
    if (!read_measure(r, by, &by_at, m)) return false;
    if (m->kind == MEASURE_HISTOGRAM || m->kind == MEASURE_NEWEST)
        return WRONG(r, &by_at, "a measure that is a number");
    k->by = m;
    return true;
}

static bool read_key(struct reader *r, const json_t *json, const struct json_at *at, struct key *k) {
    static const char *const time_names[] = {"key", "width_s", "offset_s", NULL};
    static const char *const bin_names[] = {"key", "width", NULL};
    static const char *const names[] = {"key", "top", "top_by", "other", NULL};
    struct json_at name_at = {at, "key", 0}, width_at = {at, "width", 0};
    bool plain = json_is_string(json);
    struct str name = json_text(plain ? json : json_object_get(json, "key"));
    int64_t width_s = 3600, offset_s = 0;
    *k = (struct key){0};
    if (!plain && !json_is_object(json)) return WRONG(r, at, "the name of a column, or an object with \"key\"");
    if (!subject_read(r->arena, name, USE_KEY, &k->subject))
        return wrong_column(r, plain ? at : &name_at, "one of ", USE_KEY);
    enum of of = k->subject.of;
    if (!plain && !only(r, json, at, of == OF_TIME ? time_names : of == OF_CONFIDENCE ? bin_names : names))
        return false;
    if (of == OF_TIME) {
        if (!read_whole(r, json, at, "width_s", 1, INT64_C(100) * WIDTH_MOST_S, &width_s) ||
            !read_whole(r, json, at, "offset_s", -OFFSET_MOST_S, OFFSET_MOST_S, &offset_s))
            return false;
        k->width_us = width_s * SECOND;
        k->offset_us = offset_s * SECOND;
    } else if (of == OF_CONFIDENCE) {
        const json_t *width = json_object_get(json, "width");
        double thousandths = width ? json_number_value(width) * 1000 : 50;
        k->width_thousandths = thousandths >= 1 && thousandths <= 1000 ? (uint32_t)lrint(thousandths) : 0;
        if (k->width_thousandths == 0 || fabs(thousandths - k->width_thousandths) > 1e-9)
            return WRONG(r, &width_at, "a width from 0.001 to 1, in whole thousandths");
    } else if (!plain) {
        return read_top(r, json, at, k);
    }
    return true;
}

static bool read_keys(struct reader *r, const json_t *json, const struct json_at *at, struct grouping *g) {
    if (!json) return true;
    if (!json_is_array(json) || json_array_size(json) > PLAN_KEYS)
        return WRONG(r, at, "a list of at most %d keys", PLAN_KEYS);
    for (; g->key_count < json_array_size(json); g->key_count++) {
        struct json_at here = {at, NULL, g->key_count};
        if (!read_key(r, json_array_get(json, g->key_count), &here, &g->keys[g->key_count])) return false;
    }
    if (g->key_count == 2 && subject_eq(&g->keys[0].subject, &g->keys[1].subject)) {
        struct json_at here = {at, NULL, 1};
        return WRONG(r, &here, "another column than the first key's");
    }
    return true;
}

/* ---- groupings ---- */

static struct str column_name(struct buf *to, const struct grouping *g, size_t column) {
    to->n = 0;
    if (column < g->key_count)
        subject_write(to, &g->keys[column].subject);
    else
        measure_write(to, &g->measures[column - g->key_count]);
    return buf_str(to);
}

/* "name", or "-name" for the greatest first: a column of the answer. */
static bool read_orders(struct reader *r, const json_t *json, const struct json_at *at, struct grouping *g) {
    struct buf name = {0};
    bool ok = true;
    if (json && (!json_is_array(json) || json_array_size(json) > PLAN_ORDERS))
        return WRONG(r, at, "a list of at most %d columns of the answer", PLAN_ORDERS);
    for (size_t i = 0; i < json_array_size(json) && ok; i++) {
        struct json_at here = {at, NULL, i};
        struct str text = json_text(json_array_get(json, i));
        struct order *o = &g->orders[g->order_count++];
        o->descending = text.n && text.p[0] == '-';
        if (o->descending) text = str_from(text, 1);
        size_t column = 0, columns = g->key_count + g->measure_count;
        while (column < columns && !str_eq(column_name(&name, g, column), text)) column++;
        o->column = (uint32_t)column;
        ok =
            column < columns && (column < g->key_count || g->measures[column - g->key_count].kind != MEASURE_HISTOGRAM);
        if (!ok)
            WRONG(r, &here,
                  "a key or measure of this grouping as it is written there, with \"-\" before it for the greatest "
                  "first");
    }
    buf_free(&name);
    return ok;
}

static bool read_grouping(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p,
                          struct grouping *g) {
    static const char *const names[] = {"by", "measures", "order", "limit", "cursor", "totals", NULL};
    struct json_at by_at = {at, "by", 0}, measures_at = {at, "measures", 0}, order_at = {at, "order", 0},
                   cursor_at = {at, "cursor", 0};
    const json_t *cursor = json_object_get(json, "cursor");
    int64_t limit = PLAN_GROUP_LIMIT_DEFAULT;
    g->max_groups = PLAN_MAX_GROUPS;
    if (!only(r, json, at, names) || !read_keys(r, json_object_get(json, "by"), &by_at, g) ||
        !read_measures(r, json_object_get(json, "measures"), &measures_at, g) ||
        !read_orders(r, json_object_get(json, "order"), &order_at, g) ||
        !read_whole(r, json, at, "limit", 1, PLAN_GROUP_LIMIT_MOST, &limit) ||
        !read_bool(r, json, at, "totals", &g->totals))
        return false;
    g->limit = (uint32_t)limit;
    if (!cursor || json_is_null(cursor)) return true;
    if (p->grouping_count > 1) return WRONG(r, &cursor_at, "no cursor where there are several groupings");
    return group_cursor_read(json_text(cursor), &g->skip, &p->as_of) ||
           WRONG(r, &cursor_at, "one that an earlier answer gave as next_cursor");
}

/* ---- what is asked ---- */

static bool read_list(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p) {
    static const char *const names[] = {"limit", "cursor", NULL};
    struct json_at cursor_at = {at, "cursor", 0};
    const json_t *cursor = json_object_get(json, "cursor");
    int64_t limit = PLAN_LIST_DEFAULT;
    p->kind = PLAN_LIST;
    if (!only(r, json, at, names) || !read_whole(r, json, at, "limit", 1, PLAN_LIST_MOST, &limit)) return false;
    p->limit = (uint32_t)limit;
    if (!cursor || json_is_null(cursor)) return true;
    if (!cursor_read(json_text(cursor), &p->after))
        return WRONG(r, &cursor_at, "one that an earlier answer gave as next_cursor");
    p->as_of = p->after.as_of;
    return true;
}

static bool read_count(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p) {
    static const char *const names[] = {NULL};
    p->kind = PLAN_COUNT;
    return only(r, json, at, names);
}

static bool read_groups(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p) {
    size_t count = json_array_size(json);
    p->kind = PLAN_GROUPS;
    if (count == 0 || count > PLAN_GROUPINGS) return WRONG(r, at, "a list of 1 to %d groupings", PLAN_GROUPINGS);
    struct grouping *list = arena_alloc(r->arena, count * sizeof *list);
    p->groupings = list;
    p->grouping_count = count;
    for (size_t i = 0; i < count; i++) {
        struct json_at here = {at, NULL, i};
        if (!read_grouping(r, json_array_get(json, i), &here, p, &list[i])) return false;
    }
    return true;
}

static bool read_facets(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p) {
    static const char *const names[] = {"of", "columns", "fields", "limit", NULL};
    struct json_at of_at = {at, "of", 0};
    const json_t *of = json_object_get(json, "of");
    int64_t limit = PLAN_FACET_DEFAULT;
    struct facets *f = &p->facets;
    p->kind = PLAN_FACETS;
    f->columns = f->fields = !of;
    if (!only(r, json, at, names) || !read_whole(r, json, at, "limit", 1, PLAN_FACET_MOST, &limit) ||
        !read_bool(r, json, at, "columns", &f->columns) || !read_bool(r, json, at, "fields", &f->fields))
        return false;
    f->limit = (uint32_t)limit;
    if (of && (!json_is_array(of) || json_array_size(of) > PLAN_MEASURES))
        return WRONG(r, &of_at, "a list of at most %d columns", PLAN_MEASURES);
    struct subject *list = arena_alloc(r->arena, json_array_size(of) * sizeof *list);
    f->of = list;
    for (; f->count < json_array_size(of); f->count++) {
        struct json_at here = {&of_at, NULL, f->count};
        if (!subject_read(r->arena, json_text(json_array_get(of, f->count)), USE_FACET, &list[f->count]))
            return wrong_column(r, &here, "one of ", USE_FACET);
    }
    return true;
}

/* ---- the plan ---- */

static const struct {
    const char *name;
    bool (*read)(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p);
} kinds[] = {
    [PLAN_LIST] = {"list", read_list},
    [PLAN_COUNT] = {"count", read_count},
    [PLAN_GROUPS] = {"groups", read_groups},
    [PLAN_FACETS] = {"facets", read_facets},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

bool plan_speaks_of_partial(const struct plan *p) {
    if (filter_mentions(p->filter, FIELD_PARTIAL)) return true;
    for (size_t i = 0; p->kind == PLAN_GROUPS && i < p->grouping_count; i++)
        if (grouping_by(&p->groupings[i], OF_PARTIAL)) return true;
    for (size_t i = 0; p->kind == PLAN_FACETS && i < p->facets.count; i++)
        if (p->facets.of[i].of == OF_PARTIAL) return true;
    return false;
}

static bool read_kind(struct reader *r, const json_t *json, const struct json_at *at, struct plan *p) {
    int found = -1;
    for (int i = 0; i < KINDS; i++)
        if (json_object_get(json, kinds[i].name)) {
            if (found >= 0) return WRONG(r, at, "only one of \"list\", \"count\", \"groups\" and \"facets\"");
            found = i;
        }
    if (found < 0) return WRONG(r, at, "one of \"list\", \"count\", \"groups\" and \"facets\"");
    struct json_at here = {at, kinds[found].name, 0};
    return kinds[found].read(r, json_object_get(json, kinds[found].name), &here, p);
}

bool plan_from_json(struct arena *a, const json_t *json, struct plan *out, struct json_fault *fault, struct err *e) {
    static const char *const names[] = {"from", "to",    "filter", "partial", "timeout_s",
                                        "list", "count", "groups", "facets",  NULL};
    struct reader reader = {a, fault, e}, *r = &reader;
    struct json_at at = {0}, filter_at = {&at, "filter", 0}, from_at = {&at, "from", 0},
                   timeout_at = {&at, "timeout_s", 0};
    const json_t *timeout = json_object_get(json, "timeout_s");
    *out = (struct plan){.from_us = PLAN_FIRST_US, .to_us = PLAN_LAST_US};
    if (!only(r, json, &at, names) || !read_time(r, json, &at, "from", &out->from_us) ||
        !read_time(r, json, &at, "to", &out->to_us) || !read_kind(r, json, &at, out) ||
        !filter_from_json(a, json_object_get(json, "filter"), &filter_at, &out->filter, fault, e))
        return false;
    if (out->from_us > out->to_us) return WRONG(r, &from_at, "a time that is not after \"to\"");
    out->partial = plan_speaks_of_partial(out);
    if (!read_bool(r, json, &at, "partial", &out->partial)) return false;
    if (!timeout) return true;
    double seconds = json_number_value(timeout);
    if (!(seconds >= 0.001 && seconds <= TIMEOUT_MOST_S))
        return WRONG(r, &timeout_at, "seconds from 0.001 to %d", TIMEOUT_MOST_S);
    out->timeout_ms = (uint32_t)(seconds * 1000 + 0.5);
    return true;
}

/* ---- writing ---- */

static void add_subject(struct buf *to, const struct subject *s) {
    struct buf name = {0};
    subject_write(&name, s);
    put_str(to, buf_str(&name));
    buf_free(&name);
}

static void add_measure(struct buf *to, const struct measure *m) {
    struct buf name = {0};
    measure_write(&name, m);
    put_str(to, buf_str(&name));
    buf_free(&name);
}

static void add_time(struct buf *to, const char *name, int64_t us) {
    char text[CLOCK_TEXT];
    put_key(to, name), put_strz(to, clock_format(us, text));
}

static void add_key(struct buf *to, const struct key *k) {
    enum of of = k->subject.of;
    if (of != OF_TIME && of != OF_CONFIDENCE && !k->top) {
        add_subject(to, &k->subject);
        return;
    }
    put_object(to);
    put_key(to, "key"), add_subject(to, &k->subject);
    if (of == OF_TIME) {
        put_key(to, "width_s"), put_int(to, k->width_us / SECOND);
        put_key(to, "offset_s"), put_int(to, k->offset_us / SECOND);
    } else if (of == OF_CONFIDENCE) {
        put_key(to, "width"), put_double(to, (double)k->width_thousandths / 1000);
    } else {
        put_key(to, "top"), put_int(to, k->top);
        if (k->by) put_key(to, "top_by"), add_measure(to, k->by);
        if (k->drop) put_key(to, "other"), put_bool(to, false);
    }
    put_object_end(to);
}

static void add_order(struct buf *to, const struct grouping *g, const struct order *o) {
    struct buf name = {0}, text = {0};
    if (o->descending) buf_addc(&text, '-');
    buf_add_str(&text, column_name(&name, g, o->column));
    put_str(to, buf_str(&text));
    buf_free(&name);
    buf_free(&text);
}

static void add_cursor(struct buf *to, const struct buf *cursor) {
    put_key(to, "cursor"), put_str(to, buf_str(cursor));
}

static void add_grouping(struct buf *to, const struct plan *p, const struct grouping *g) {
    struct buf cursor = {0};
    put_object(to);
    put_key(to, "by"), put_array(to);
    for (size_t i = 0; i < g->key_count; i++) add_key(to, &g->keys[i]);
    put_array_end(to);
    put_key(to, "measures"), put_array(to);
    for (size_t i = 0; i < g->measure_count; i++) add_measure(to, &g->measures[i]);
    put_array_end(to);
    if (g->order_count) {
        put_key(to, "order"), put_array(to);
        for (size_t i = 0; i < g->order_count; i++) add_order(to, g, &g->orders[i]);
        put_array_end(to);
    }
    if (g->limit) put_key(to, "limit"), put_int(to, g->limit);
    if (g->skip || p->as_of) group_cursor_write(&cursor, g->skip, p->as_of), add_cursor(to, &cursor);
    if (g->totals) put_key(to, "totals"), put_bool(to, true);
    put_object_end(to);
    buf_free(&cursor);
}

static void add_kind(struct buf *to, const struct plan *p) {
    struct buf cursor = {0};
    put_key(to, kinds[p->kind].name);
    if (p->kind == PLAN_GROUPS) {
        put_array(to);
        for (size_t i = 0; i < p->grouping_count; i++) add_grouping(to, p, &p->groupings[i]);
        put_array_end(to);
        return;
    }
    put_object(to);
    if (p->kind == PLAN_LIST) {
        put_key(to, "limit"), put_int(to, p->limit);
        if (p->after.set) cursor_write(&cursor, &p->after), add_cursor(to, &cursor);
    } else if (p->kind == PLAN_FACETS) {
        put_key(to, "of"), put_array(to);
        for (size_t i = 0; i < p->facets.count; i++) add_subject(to, &p->facets.of[i]);
        put_array_end(to);
        put_key(to, "columns"), put_bool(to, p->facets.columns);
        put_key(to, "fields"), put_bool(to, p->facets.fields);
        put_key(to, "limit"), put_int(to, p->facets.limit);
    }
    put_object_end(to);
    buf_free(&cursor);
}

void plan_to_json(struct buf *to, const struct plan *p) {
    put_object(to);
    if (p->from_us != PLAN_FIRST_US) add_time(to, "from", p->from_us);
    if (p->to_us != PLAN_LAST_US) add_time(to, "to", p->to_us);
    if (p->filter) put_key(to, "filter"), filter_to_json(to, p->filter);
    put_key(to, "partial"), put_bool(to, p->partial);
    if (p->timeout_ms) put_key(to, "timeout_s"), put_double(to, (double)p->timeout_ms / 1000);
    add_kind(to, p);
    put_object_end(to);
}
