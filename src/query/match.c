#include "query/match.h"

#include "base/check.h"

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
    }
    return false;
}

static bool test_text(const struct filter_test *t, struct str text) {
    struct value v = {.type = VALUE_STRING, .text = text};
    for (size_t i = 0; i < t->match_count; i++)
        if (match_value(&t->matches[i], &v)) return true;
    return false;
}

static bool test_number(const struct filter_test *t, double v) {
    for (size_t i = 0; i < t->match_count; i++)
        if (t->matches[i].kind == MATCH_PRESENT ? !isnan(v) : range_holds(t->matches[i].range, v)) return true;
    return false;
}

static struct str without_version(struct str model) {
    const char *slash = model.n ? memrchr(model.p, '/', model.n) : NULL;
    return slash ? (struct str){model.p, (size_t)(slash - model.p)} : model;
}

static bool test_value(const struct filter_test *t, const struct value *v) {
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *m = &t->matches[i];
        if (match_value(m, v)) return true;
        if (t->field == FIELD_MODEL && m->kind == MATCH_TEXT && str_eq(without_version(v->text), m->text)) return true;
    }
    return false;
}

/* ---- sets of codes ---- */

/* The codes of a dictionary whose values match. What the dictionary gained since is not looked up: a cell with such a
 * code was written while the query ran, and counts as unmatched. */
struct codes {
    bool any; /* every value matches */
    uint32_t limit, count, only; /* only: the one there is, if count is 1 */
    uint64_t *bits;
};

static bool codes_has(const struct codes *c, uint32_t code) {
    if (c->any) return code != 0;
    return code <= c->limit && (c->bits[code / 64] >> (code % 64) & 1);
}

static struct codes codes_of(struct arena *a, const struct filter_test *t, const struct dict *d) {
    struct codes c = {.limit = dict_count(d)};
    for (size_t i = 0; i < t->match_count; i++) c.any |= t->matches[i].kind == MATCH_PRESENT;
    if (c.any) return c;
    c.bits = arena_alloc(a, (c.limit / 64 + 1) * sizeof *c.bits);
    for (uint32_t code = 1; code <= c.limit; code++) {
        if (!test_value(t, dict_value(d, code))) continue;
        c.bits[code / 64] |= 1ULL << (code % 64);
        c.count++;
        c.only = code;
    }
    return c;
}

/* ---- the tree, ready for a chunk ---- */

struct field_codes {
    const struct field *field;
    struct codes codes;
};

struct matcher {
    enum filter_kind kind;
    struct matcher *first, *next;
    const struct filter_test *test;
    const struct chunk *chunk;
    struct codes codes;           /* text columns, classes */
    const struct ident **idents;  /* FIELD_ID and FIELD_ANY: those asked for by their whole text */
    size_t ident_count;
    struct field_codes *fields;   /* FIELD_METADATA: one or none; FIELD_ANY: those with such a value */
    size_t field_count;
};

static void add_field(struct matcher *m, struct arena *a, const struct field *f) {
    struct codes codes = codes_of(a, m->test, &f->dict);
    if (codes.any || codes.count) m->fields[m->field_count++] = (struct field_codes){f, codes};
}

static void find_fields(struct matcher *m, struct arena *a) {
    const struct chunk *c = m->chunk;
    if (m->test->field == FIELD_METADATA) {
        int at = chunk_field_index(c, m->test->name);
        m->fields = arena_alloc(a, sizeof *m->fields);
        if (at >= 0) add_field(m, a, c->fields[at]);
        return;
    }
    uint32_t count = chunk_field_count(c);
    m->fields = arena_alloc(a, count * sizeof *m->fields);
    for (uint32_t i = 0; i < count; i++) add_field(m, a, c->fields[i]);
}

static void find_idents(struct matcher *m, struct arena *a) {
    const struct filter_test *t = m->test;
    m->idents = arena_alloc(a, t->match_count * sizeof *m->idents);
    for (size_t i = 0; i < t->match_count; i++) {
        const struct ident *ident = t->matches[i].kind == MATCH_TEXT ? chunk_find(m->chunk, t->matches[i].text) : NULL;
        if (ident) m->idents[m->ident_count++] = ident;
    }
}

static const struct dict *dict_of(const struct chunk *c, enum filter_field field) {
    switch (field) {
    case FIELD_MODEL: return &c->columns[COLUMN_MODEL];
    case FIELD_DEVICE: return &c->columns[COLUMN_DEVICE];
    case FIELD_SOURCE: return &c->columns[COLUMN_SOURCE];
    case FIELD_SOURCE_INFO: return &c->columns[COLUMN_SOURCE_INFO];
    case FIELD_SERVER: return &c->columns[COLUMN_SERVER];
    case FIELD_CLASS: return &c->columns[COLUMN_CLASS];
    default: return NULL;
    }
}

struct matcher *matcher_new(struct arena *a, const struct filter *f, const struct chunk *c) {
    struct matcher *m = arena_alloc(a, sizeof *m);
    m->kind = f->kind;
    m->test = &f->test;
    m->chunk = c;
    struct matcher **end = &m->first;
    for (const struct filter *child = f->first; child; child = child->next, end = &(*end)->next)
        *end = matcher_new(a, child, c);
    if (f->kind != FILTER_TEST) return m;
    const struct dict *dict = dict_of(c, f->test.field);
    if (dict) m->codes = codes_of(a, m->test, dict);
    if (f->test.field == FIELD_ID || f->test.field == FIELD_ANY) find_idents(m, a);
    if (f->test.field == FIELD_METADATA || f->test.field == FIELD_ANY) find_fields(m, a);
    return m;
}

/* ---- tests on a block ---- */

/* Keeps the rows for which the expression, over `at`, holds. Words with no row left are passed over, so that columns
 * are never read beyond what is published. */
#define KEEP(rows, expression)                                                      \
    for (uint32_t word_ = 0; word_ < BLOCK_WORDS; word_++) {                        \
        uint64_t in_ = (rows)->words[word_], out_ = 0;                              \
        if (!in_) continue;                                                         \
        uint32_t last_ = 64 - (uint32_t)__builtin_clzll(in_);                       \
        for (uint32_t bit_ = (uint32_t)__builtin_ctzll(in_); bit_ < last_; bit_++) { \
            uint32_t at = word_ * 64 + bit_;                                        \
            out_ |= (uint64_t)(expression) << bit_;                                 \
        }                                                                           \
        (rows)->words[word_] = in_ & out_;                                          \
    }

/* As KEEP, for what is dear: only rows that are still there are looked at. */
#define KEEP_SPARSE(rows, expression)                                            \
    for (uint32_t word_ = 0; word_ < BLOCK_WORDS; word_++)                       \
        for (uint64_t left_ = (rows)->words[word_]; left_; left_ &= left_ - 1) { \
            uint32_t at = word_ * 64 + (uint32_t)__builtin_ctzll(left_);         \
            if (!(expression)) (rows)->words[word_] &= ~(left_ & -left_);        \
        }

static void keep_codes(const struct codes *c, const uint32_t *column, struct bitmap *rows) {
    if (c->any) {
        KEEP(rows, column[at] != 0);
    } else if (c->count == 0) {
        *rows = (struct bitmap){0};
    } else if (c->count == 1) {
        KEEP(rows, column[at] == c->only);
    } else {
        KEEP(rows, codes_has(c, column[at]));
    }
}

static void keep_cells(const struct field_codes *f, uint32_t block, struct bitmap *rows) {
    const struct cells *cells = atomic_load_explicit(&f->field->blocks[block], memory_order_acquire);
    if (!cells) {
        *rows = (struct bitmap){0};
        return;
    }
    const struct codes *c = &f->codes;
#define CELL atomic_load_explicit(&cells->code[at], memory_order_relaxed)
    if (c->count == 1) {
        KEEP(rows, CELL == c->only);
    } else {
        KEEP(rows, codes_has(c, CELL));
    }
#undef CELL
}

static bool detections_hold(const struct matcher *m, const struct block *b, uint32_t at) {
    const struct filter_test *t = m->test;
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->detection_count[at]; i++) {
        const struct row_detection *d = &b->detections[at][i];
        count +=
            codes_has(&m->codes, d->class_code) && (!t->by_confidence || range_holds(t->confidence, d->confidence));
    }
    return range_holds(t->count, count);
}

/* Detections lie all over the chunk's heap, so a word's are all asked for before the first is looked at. */
static void keep_classes(const struct matcher *m, const struct block *b, struct bitmap *rows) {
    for (uint32_t word = 0; word < BLOCK_WORDS; word++) {
        for (uint64_t left = rows->words[word]; left; left &= left - 1)
            __builtin_prefetch(b->detections[word * 64 + (uint32_t)__builtin_ctzll(left)]);
        for (uint64_t left = rows->words[word]; left; left &= left - 1)
            if (!detections_hold(m, b, word * 64 + (uint32_t)__builtin_ctzll(left)))
                rows->words[word] &= ~(left & -left);
    }
}

static bool is_ident(const struct matcher *m, const struct ident *ident) {
    for (size_t i = 0; i < m->ident_count; i++)
        if (m->idents[i] == ident) return true;
    return false;
}

static bool error_holds(const struct filter_test *t, const struct block *b, uint32_t at) {
    if (!(row_flags(b, at) & ROW_ERROR)) return false;
    struct arena scratch = {0};
    struct inference inf;
    bool holds = inference_decode(b->payload[at], &scratch, &inf) && test_text(t, inf.error);
    arena_free(&scratch);
    return holds;
}

static void keep_id(const struct matcher *m, const struct block *b, struct bitmap *rows) {
    bool whole = true;
    for (size_t i = 0; i < m->test->match_count; i++) whole &= m->test->matches[i].kind == MATCH_TEXT;
    if (whole && m->ident_count == 0)
        *rows = (struct bitmap){0};
    else if (whole) {
        KEEP(rows, is_ident(m, b->ident[at]));
    } else {
        KEEP_SPARSE(rows, test_text(m->test, ident_str(b->ident[at])));
    }
}

/* Adds to `sum` what is in x, and takes it out of `left`. */
static void move_rows(const struct bitmap *x, struct bitmap *sum, struct bitmap *left) {
    for (int w = 0; w < BLOCK_WORDS; w++) {
        sum->words[w] |= x->words[w];
        left->words[w] &= ~x->words[w];
    }
}

static void keep_any(const struct matcher *m, uint32_t block, struct bitmap *rows) {
    const struct block *b = m->chunk->blocks[block];
    struct bitmap sum = *rows;
    keep_id(m, b, &sum);
    for (size_t i = 0; i < m->field_count; i++) {
        struct bitmap found = *rows;
        keep_cells(&m->fields[i], block, &found);
        move_rows(&found, &sum, rows);
    }
    *rows = sum;
}

static void run_test(const struct matcher *m, uint32_t block, struct bitmap *rows) {
    const struct block *b = m->chunk->blocks[block];
    const struct filter_test *t = m->test;
    switch (t->field) {
    case FIELD_ID: keep_id(m, b, rows); break;
    case FIELD_MODEL: keep_codes(&m->codes, b->model, rows); break;
    case FIELD_DEVICE: keep_codes(&m->codes, b->device, rows); break;
    case FIELD_SOURCE: keep_codes(&m->codes, b->source, rows); break;
    case FIELD_SOURCE_INFO: keep_codes(&m->codes, b->source_info, rows); break;
    case FIELD_SERVER: keep_codes(&m->codes, b->server, rows); break;
    case FIELD_ERROR: KEEP_SPARSE(rows, error_holds(t, b, at)); break;
    case FIELD_CLASS: keep_classes(m, b, rows); break;
    case FIELD_CONFIDENCE: KEEP(rows, test_number(t, b->confidence[at])); break;
    case FIELD_LATENCY: KEEP(rows, test_number(t, b->latency_s[at])); break;
    case FIELD_DETECTIONS: KEEP(rows, test_number(t, b->detection_count[at])); break;
    case FIELD_INDEX: KEEP(rows, test_number(t, b->index[at])); break;
    case FIELD_TIME: KEEP(rows, test_number(t, (double)b->time_us[at])); break;
    case FIELD_PARTIAL: KEEP(rows, test_number(t, (row_flags(b, at) & ROW_PARTIAL) != 0)); break;
    case FIELD_PICTURE: KEEP(rows, test_number(t, (row_flags(b, at) & ROW_PICTURE) != 0)); break;
    case FIELD_METADATA:
        if (m->field_count)
            keep_cells(&m->fields[0], block, rows);
        else
            *rows = (struct bitmap){0};
        break;
    case FIELD_ANY: keep_any(m, block, rows); break;
    }
}

void matcher_run(const struct matcher *m, uint32_t block, struct bitmap *rows) {
    struct bitmap sum = {0}, found;
    switch (m->kind) {
    case FILTER_TEST: run_test(m, block, rows); break;
    case FILTER_AND:
        for (const struct matcher *child = m->first; child && bitmap_any(rows); child = child->next)
            matcher_run(child, block, rows);
        break;
    case FILTER_OR:
        for (const struct matcher *child = m->first; child && bitmap_any(rows); child = child->next) {
            found = *rows;
            matcher_run(child, block, &found);
            move_rows(&found, &sum, rows);
        }
        *rows = sum;
        break;
    case FILTER_NOT:
        found = *rows;
        matcher_run(m->first, block, &found);
        move_rows(&found, &sum, rows);
        break;
    }
}
