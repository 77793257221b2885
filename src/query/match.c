#include "query/match.h"

#include "query/codes.h"
#include "query/words.h"

/* ---- the tree, ready for a part ---- */

/* A test on a metadata field. */
struct metadata_test {
    struct metadata where;
    struct codes codes; /* of the chunk's cells, or of the segment's text */
    struct codes over;  /* of the overlay's cells */
    bool numbers;       /* the segment has numbers here, and the test may hold for one */
    bool truths[2];     /* whether it holds for false, and for true */
};

struct matcher {
    enum { NEVER, ALWAYS, EVERY, SOME, NOT, TEST } kind;
    struct matcher *first, *next;
    const struct filter_test *test;
    struct codes codes; /* text columns, classes */
    uint32_t *ids;      /* FIELD_ID and FIELD_ANY: rows of those asked for by their whole text */
    size_t id_count;
    bool ids_by_text;             /* FIELD_ID: some are not */
    struct metadata_test *fields; /* FIELD_METADATA: one or none; FIELD_ANY: those that may have such a value */
    size_t field_count;
    struct metadata uploads; /* FIELD_PICTURE */
};

bool matcher_never(const struct matcher *m) { return m->kind == NEVER; }
bool matcher_always(const struct matcher *m) { return m->kind == ALWAYS; }

static void add_field(struct matcher *m, struct arena *a, const struct metadata *where) {
    const struct filter_test *t = m->test;
    struct metadata_test x = {.where = *where};
    if (where->field) x.codes = codes_in_dict(a, t, &where->field->dict);
    if (where->over) x.over = codes_in_dict(a, t, &where->over->dict);
    if (where->column && where->column->codes) x.codes = codes_in_sorted(a, t, &where->column->dict);
    if (where->column) {
        struct value truth = {.type = VALUE_BOOL};
        for (size_t i = 0; i < t->match_count; i++) {
            struct range r = match_numbers(&t->matches[i]);
            x.numbers |= where->column->numbers && r.low <= r.high;
            for (int k = 0; where->column->truths && k < 2; k++) {
                truth.truth = k;
                x.truths[k] |= match_value(&t->matches[i], &truth);
            }
        }
    }
    if (x.codes.count || x.over.count || x.numbers || x.truths[0] || x.truths[1]) m->fields[m->field_count++] = x;
}

static void find_fields(struct matcher *m, struct arena *a, const struct part *p) {
    struct metadata where;
    if (m->test->field == FIELD_METADATA) {
        m->fields = arena_alloc(a, sizeof *m->fields);
        if (part_metadata(p, m->test->name, &where)) add_field(m, a, &where);
        return;
    }
    uint32_t count = fields_count(p->view->fields);
    m->fields = arena_alloc(a, count * sizeof *m->fields);
    for (uint32_t i = 0; i < count; i++)
        if (!field_is_own(p->view->fields->names[i]) && part_metadata_at(p, i, &where)) add_field(m, a, &where);
}

static void find_ids(struct matcher *m, struct arena *a, const struct part *p) {
    const struct filter_test *t = m->test;
    size_t room = 0;
    for (size_t i = 0; i < t->match_count; i++) {
        const struct match *x = &t->matches[i];
        struct str id = x->kind == MATCH_VALUE ? x->value.text : x->text;
        if (x->kind == MATCH_VALUE && x->value.type != VALUE_STRING) continue;
        if (x->kind != MATCH_TEXT && x->kind != MATCH_VALUE) {
            m->ids_by_text = true;
            continue;
        }
        for (uint32_t row = part_find(p, id_hash(p->view->store_id, id), id, a); row && row <= p->rows;
             row = part_next_same_id(p, row - 1)) {
            if (m->id_count == room) {
                uint32_t *more = arena_alloc(a, (room ? room * 2 : 4) * sizeof *more);
                if (room) memcpy(more, m->ids, room * sizeof *more);
                m->ids = more;
                room = room ? room * 2 : 4;
            }
            m->ids[m->id_count++] = row - 1;
        }
    }
}

static const enum column text_columns[] = {
    [FIELD_MODEL] = COLUMN_MODEL,   [FIELD_DEVICE] = COLUMN_DEVICE,
    [FIELD_SOURCE] = COLUMN_SOURCE, [FIELD_SOURCE_INFO] = COLUMN_SOURCE_INFO,
    [FIELD_SERVER] = COLUMN_SERVER, [FIELD_CLASS] = COLUMN_CLASS,
};

static void prepare_test(struct matcher *m, struct arena *a, const struct part *p) {
    m->kind = TEST;
    bool possible = true;
    switch (m->test->field) {
    case FIELD_MODEL:
    case FIELD_DEVICE:
    case FIELD_SOURCE:
    case FIELD_SOURCE_INFO:
    case FIELD_SERVER:
        m->codes = codes_in_texts(a, m->test, part_texts(p, text_columns[m->test->field]));
        possible = m->codes.count;
        break;
    case FIELD_CLASS:
        m->codes = codes_in_texts(a, m->test, part_texts(p, COLUMN_CLASS));
        if (m->codes.count == 0) m->kind = range_holds(m->test->count, 0) ? ALWAYS : NEVER;
        return;
    case FIELD_ID:
        find_ids(m, a, p);
        possible = m->id_count || m->ids_by_text;
        break;
    case FIELD_METADATA:
        find_fields(m, a, p);
        possible = m->field_count;
        break;
    case FIELD_PICTURE: part_uploads(p, &m->uploads); break;
    case FIELD_ANY:
        find_ids(m, a, p);
        find_fields(m, a, p);
        possible = m->id_count || m->field_count;
        break;
    default: break;
    }
    if (!possible) m->kind = NEVER;
}

/* Of EVERY and SOME: what is known beforehand of a child is known of the whole, or the child needs no look. */
static void prepare_children(struct matcher *m, struct arena *a, const struct filter *f, const struct part *p) {
    bool every = m->kind == EVERY;
    struct matcher **end = &m->first;
    for (const struct filter *child = f->first; child; child = child->next) {
        struct matcher *c = matcher_new(a, child, p);
        if (c->kind == (every ? NEVER : ALWAYS)) {
            m->kind = c->kind;
            return;
        }
        if (c->kind == (every ? ALWAYS : NEVER)) continue;
        *end = c;
        end = &c->next;
    }
    if (!m->first) m->kind = every ? ALWAYS : NEVER;
}

struct matcher *matcher_new(struct arena *a, const struct filter *f, const struct part *p) {
    struct matcher *m = arena_alloc(a, sizeof *m);
    m->test = &f->test;
    switch (f->kind) {
    case FILTER_AND:
        m->kind = EVERY;
        prepare_children(m, a, f, p);
        break;
    case FILTER_OR:
        m->kind = SOME;
        prepare_children(m, a, f, p);
        break;
    case FILTER_NOT:
        m->first = matcher_new(a, f->first, p);
        m->kind = m->first->kind == NEVER ? ALWAYS : m->first->kind == ALWAYS ? NEVER : NOT;
        break;
    case FILTER_TEST: prepare_test(m, a, p); break;
    }
    return m;
}

/* ---- tests on a slice ---- */

/* Adds to `sum` what is in x, and takes it out of `left`. */
static void move_rows(const struct bitmap *x, struct bitmap *sum, struct bitmap *left) {
    for (int w = 0; w < BLOCK_WORDS; w++) {
        sum->words[w] |= x->words[w];
        left->words[w] &= ~x->words[w];
    }
}

/* Keeps the rows whose number, an expression over `at`, one of the test's matches holds for. */
#define KEEP_NUMBERS(test, rows, count, expression)                                          \
    do {                                                                                     \
        struct bitmap sum_ = {0}, found_rows_;                                               \
        for (size_t m_ = 0; m_ < (test)->match_count; m_++) {                                \
            struct range r_ = match_numbers(&(test)->matches[m_]);                           \
            found_rows_ = *(rows);                                                           \
            KEEP(&found_rows_, count, ((expression) >= r_.low) & ((expression) <= r_.high)); \
            move_rows(&found_rows_, &sum_, rows);                                            \
        }                                                                                    \
        *(rows) = sum_;                                                                      \
    } while (0)

static void keep_codes(const struct codes *c, const uint32_t *column, uint32_t count, struct bitmap *rows) {
    uint32_t first = c->first, span = c->last - c->first;
    if (c->count == 0) {
        *rows = (struct bitmap){0};
    } else if (!c->bits) {
        KEEP(rows, count, column[at] - first <= span);
    } else {
        KEEP(rows, count, codes_has(c, column[at]));
    }
}

/* Sixty-four cells, which may be written meanwhile. */
static void load_cells(const _Atomic uint32_t *cells, uint32_t to[64]) {
    for (int i = 0; i < 64; i++) to[i] = atomic_load_explicit(&cells[i], memory_order_relaxed);
}

static uint64_t cells_word(const struct codes *c, const uint32_t cells[64]) {
    uint64_t word;
    uint32_t span = c->last - c->first;
    if (c->count == 0) return 0;
    if (!c->bits)
        WORD(word, 0, 64, cells[at] - c->first <= span);
    else
        WORD(word, 0, 64, codes_has(c, cells[at]));
    return word;
}

static void keep_cells(const struct metadata_test *x, const struct slice *s, struct bitmap *rows) {
    const struct cells *cells = field_cells(x->where.field, s->number);
    uint32_t copy[64];
    for (uint32_t w = 0; w < BLOCK_WORDS; w++) {
        if (!rows->words[w]) continue;
        if (cells) load_cells(&cells->code[w * 64], copy);
        rows->words[w] &= cells ? cells_word(&x->codes, copy) : 0;
    }
}

/* Sixty-four bits of a bitmap, from a row that is a multiple of 64. */
static uint64_t bits_at(const uint8_t *bits, uint32_t row, uint32_t rows) {
    uint64_t word = 0;
    uint32_t bytes = (rows - row + 7) / 8;
    memcpy(&word, bits + row / 8, bytes < 8 ? bytes : 8);
    return word;
}

static void keep_truths(const struct metadata_test *x, const struct slice *s, struct bitmap *rows) {
    const struct segment_field *f = x->where.column;
    for (uint32_t w = 0; w * 64 < s->count; w++) {
        uint32_t row = s->first + w * 64;
        uint64_t known = bits_at(f->truths_known, row, s->part->rows), truths = bits_at(f->truths, row, s->part->rows);
        rows->words[w] &= known & ((x->truths[1] ? truths : 0) | (x->truths[0] ? ~truths : 0));
    }
}

/* What was attached since stands for what the columns say. */
static void lay_over(const struct metadata_test *x, const struct overlay_cells *cells, const struct bitmap *asked,
                     struct bitmap *rows) {
    uint32_t copy[64];
    for (uint32_t w = 0; w < BLOCK_WORDS; w++) {
        uint64_t written;
        if (!asked->words[w]) continue;
        load_cells(&cells->code[w * 64], copy);
        WORD(written, 0, 64, copy[at] != OVERLAY_NONE);
        if (!written) continue;
        rows->words[w] = (rows->words[w] & ~written) | (asked->words[w] & written & cells_word(&x->over, copy));
    }
}

static void keep_metadata(const struct metadata_test *x, const struct filter_test *t, const struct slice *s,
                          struct bitmap *rows) {
    if (x->where.field) {
        keep_cells(x, s, rows);
        return;
    }
    struct bitmap asked = *rows, left = *rows, sum = {0}, found;
    const struct segment_field *column = x->where.column;
    if (x->codes.count) {
        found = left;
        keep_codes(&x->codes, column->codes + s->first, s->count, &found);
        move_rows(&found, &sum, &left);
    }
    if (x->numbers) {
        const double *numbers = column->numbers + s->first;
        found = left;
        KEEP_NUMBERS(t, &found, s->count, numbers[at]);
        move_rows(&found, &sum, &left);
    }
    if (x->truths[0] || x->truths[1]) {
        found = left;
        keep_truths(x, s, &found);
        move_rows(&found, &sum, &left);
    }
    const struct overlay_cells *cells = overlay_cells(x->where.over, s->number);
    if (cells) lay_over(x, cells, &asked, &sum);
    *rows = sum;
}

static void keep_classes(const struct matcher *m, const struct slice *s, struct detection_room *room,
                         struct bitmap *rows) {
    const struct filter_test *t = m->test;
    struct detections d = slice_detections(s, rows, room);
    for (uint32_t w = 0; w < BLOCK_WORDS; w++)
        for (uint64_t left = rows->words[w]; left; left &= left - 1) {
            uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(left), n = 0;
            for (uint32_t i = d.first[at]; i < d.first[at + 1]; i++)
                n += codes_has(&m->codes, d.classes[i]) &&
                     (!t->by_confidence || range_holds(t->confidence, d.confidences[i]));
            if (!range_holds(t->count, n)) rows->words[w] &= ~(left & -left);
        }
}

static void keep_ids(const struct matcher *m, const struct slice *s, struct bitmap *rows) {
    struct bitmap found = {0};
    for (size_t i = 0; i < m->id_count; i++) {
        uint32_t at = m->ids[i] - s->first;
        if (at < s->count) found.words[at / 64] |= 1ULL << (at % 64) & rows->words[at / 64];
    }
    if (!m->ids_by_text) {
        *rows = found;
        return;
    }
    KEEP_SPARSE(rows, test_holds_text(m->test, slice_id(s, at)));
}

static bool error_holds(const struct filter_test *t, const struct slice *s, uint32_t at) {
    struct arena scratch = {0}; /* used only where nothing is mapped, so that nothing is lost when a guard takes over */
    bool holds = test_holds_text(t, slice_error(s, at, &scratch));
    arena_free(&scratch);
    return holds;
}

static void keep_errors(const struct filter_test *t, const struct slice *s, struct bitmap *rows) {
    uint8_t room[BLOCK_ROWS];
    const uint8_t *flags = slice_flags(s, room);
    KEEP(rows, s->count, (flags[at] & ROW_ERROR) != 0);
    if (!test_is_of_presence(t)) KEEP_SPARSE(rows, error_holds(t, s, at));
}

static void keep_any(const struct matcher *m, const struct slice *s, struct bitmap *rows) {
    struct bitmap sum = {0}, found = *rows;
    keep_ids(m, s, &found);
    move_rows(&found, &sum, rows);
    for (size_t i = 0; i < m->field_count && bitmap_any(rows); i++) {
        found = *rows;
        keep_metadata(&m->fields[i], m->test, s, &found);
        move_rows(&found, &sum, rows);
    }
    *rows = sum;
}

/* A picture of the record's own, or one that was uploaded for it. */
static void find_pictures(const struct metadata *uploads, const struct slice *s, const uint8_t *flags, uint8_t *out) {
    for (uint32_t at = 0; at < s->count; at++) out[at] = (flags[at] & ROW_PICTURE) != 0;
    if (!uploads->field && !uploads->column && !uploads->over) return;
    for (uint32_t at = 0; at < s->count; at++)
        out[at] |= metadata_value(uploads, s->first + at).type != VALUE_NONE;
}

static void keep_numbers(const struct matcher *m, const struct slice *s, struct bitmap *rows) {
    const struct filter_test *t = m->test;
    uint8_t flags_room[BLOCK_ROWS];
    uint32_t count_room[BLOCK_ROWS];
    switch (t->field) {
    case FIELD_CONFIDENCE: {
        const double *v = slice_confidence(s);
        KEEP_NUMBERS(t, rows, s->count, v[at]);
        break;
    }
    case FIELD_LATENCY: {
        const double *v = slice_latency(s);
        KEEP_NUMBERS(t, rows, s->count, v[at]);
        break;
    }
    case FIELD_DETECTIONS: {
        const uint32_t *v = slice_detection_counts(s, count_room);
        KEEP_NUMBERS(t, rows, s->count, (double)v[at]);
        break;
    }
    case FIELD_INDEX: {
        const uint32_t *v = slice_index(s);
        KEEP_NUMBERS(t, rows, s->count, (double)v[at]);
        break;
    }
    case FIELD_TIME: {
        const int64_t *v = slice_time(s);
        KEEP_NUMBERS(t, rows, s->count, (double)v[at]);
        break;
    }
    case FIELD_PICTURE: {
        uint8_t has[BLOCK_ROWS];
        find_pictures(&m->uploads, s, slice_flags(s, flags_room), has);
        KEEP_NUMBERS(t, rows, s->count, has[at]);
        break;
    }
    default: {
        const uint8_t *v = slice_flags(s, flags_room);
        KEEP_NUMBERS(t, rows, s->count, (v[at] & ROW_PARTIAL) != 0);
    }
    }
}

static void run_test(const struct matcher *m, const struct slice *s, struct detection_room *room, struct bitmap *rows) {
    switch (m->test->field) {
    case FIELD_MODEL:
    case FIELD_DEVICE:
    case FIELD_SOURCE:
    case FIELD_SOURCE_INFO:
    case FIELD_SERVER: keep_codes(&m->codes, slice_codes(s, text_columns[m->test->field]), s->count, rows); break;
    case FIELD_ID: keep_ids(m, s, rows); break;
    case FIELD_ERROR: keep_errors(m->test, s, rows); break;
    case FIELD_CLASS: keep_classes(m, s, room, rows); break;
    case FIELD_METADATA: keep_metadata(&m->fields[0], m->test, s, rows); break;
    case FIELD_ANY: keep_any(m, s, rows); break;
    default: keep_numbers(m, s, rows);
    }
}

void matcher_run(const struct matcher *m, const struct slice *s, struct detection_room *room, struct bitmap *rows) {
    struct bitmap sum = {0}, found;
    switch (m->kind) {
    case NEVER: *rows = sum; break;
    case ALWAYS: break;
    case TEST: run_test(m, s, room, rows); break;
    case EVERY:
        for (const struct matcher *child = m->first; child && bitmap_any(rows); child = child->next)
            matcher_run(child, s, room, rows);
        break;
    case SOME:
        for (const struct matcher *child = m->first; child && bitmap_any(rows); child = child->next) {
            found = *rows;
            matcher_run(child, s, room, &found);
            move_rows(&found, &sum, rows);
        }
        *rows = sum;
        break;
    case NOT:
        found = *rows;
        matcher_run(m->first, s, room, &found);
        move_rows(&found, &sum, rows);
        break;
    }
}
