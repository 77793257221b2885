#include "model.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { DAY_S = 86400 };
#define SECOND INT64_C(1000000)

void model_copy(struct model *to, const struct model *from) {
    *to = *from;
    to->rows = mem_alloc((from->row_count + 1) * sizeof *to->rows);
    to->writes = mem_alloc((from->write_count + 1) * sizeof *to->writes);
    to->fields = mem_alloc((from->field_count + 1) * sizeof *to->fields);
    if (from->row_count) memcpy(to->rows, from->rows, from->row_count * sizeof *to->rows);
    if (from->write_count) memcpy(to->writes, from->writes, from->write_count * sizeof *to->writes);
    if (from->field_count) memcpy(to->fields, from->fields, from->field_count * sizeof *to->fields);
}

void model_free(struct model *m) {
    free(m->rows);
    free(m->writes);
    free(m->fields);
    m->rows = NULL;
    m->writes = NULL;
    m->fields = NULL;
    m->row_count = m->write_count = m->field_count = 0;
}

/* ---- ids ---- */

bool model_has_rows(const struct model *m, struct str id) {
    for (size_t i = 0; i < m->row_count; i++)
        if (!m->rows[i].gone && str_eq(m->rows[i].inf.id, id)) return true;
    return false;
}

static const struct model_write *newest_of_id(const struct model *m, struct str id) {
    for (size_t i = m->write_count; i-- > 0;)
        if (!m->writes[i].gone && str_eq(m->writes[i].id, id)) return &m->writes[i];
    return NULL;
}

const struct model_write *model_newest(const struct model *m, struct str id, struct str field) {
    for (size_t i = m->write_count; i-- > 0;)
        if (!m->writes[i].gone && str_eq(m->writes[i].id, id) && str_eq(m->writes[i].field, field))
            return &m->writes[i];
    return NULL;
}

struct value model_value(const struct model *m, struct str id, struct str field) {
    const struct model_write *w = model_newest(m, id, field);
    return w ? w->value : (struct value){.type = VALUE_NONE};
}

static bool expired(const struct model *m, struct str id, int64_t now_us) {
    const struct model_write *w = newest_of_id(m, id);
    return m->ttl_us && w && !model_has_rows(m, id) && now_us > w->time_us + m->ttl_us;
}

bool model_waits(const struct model *m, struct str id, int64_t now_us) {
    return newest_of_id(m, id) && !model_has_rows(m, id) && !expired(m, id, now_us);
}

static void forget(struct model *m, struct str id, bool has_expired) {
    for (size_t i = 0; i < m->write_count; i++) {
        struct model_write *w = &m->writes[i];
        if (!str_eq(w->id, id) || w->gone) continue;
        w->gone = true;
        w->expired = has_expired;
    }
}

void model_expire(struct model *m, int64_t now_us) {
    for (size_t i = 0; i < m->write_count; i++)
        if (!m->writes[i].gone && expired(m, m->writes[i].id, now_us)) forget(m, m->writes[i].id, true);
}

void model_retained(struct model *m) {
    for (size_t i = 0; i < m->row_count; i++)
        if (m->rows[i].gone && !model_has_rows(m, m->rows[i].inf.id)) forget(m, m->rows[i].inf.id, false);
    /* A row that is gone must not take along what waits for its id from now on. */
    size_t kept = 0;
    for (size_t i = 0; i < m->row_count; i++)
        if (!m->rows[i].gone) m->rows[kept++] = m->rows[i];
    m->row_count = kept;
}

/* ---- erasing ---- */

static void erase_one(struct model *m, struct str id, int64_t now_us, struct erased *out) {
    size_t kept = 0;
    bool there = model_has_rows(m, id) || model_waits(m, id, now_us);
    ++*(there ? &out->ids : &out->unknown);
    for (size_t i = 0; i < m->row_count; i++) {
        if (str_eq(m->rows[i].inf.id, id))
            out->inferences += !m->rows[i].inf.partial;
        else
            m->rows[kept++] = m->rows[i];
    }
    m->row_count = kept;
    forget(m, id, false);
}

void model_erase(struct model *m, const struct str *ids, size_t count, int64_t now_us, struct erased *out) {
    *out = (struct erased){0};
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;
        while (before < i && !str_eq(ids[before], ids[i])) before++;
        if (before == i) erase_one(m, ids[i], now_us, out);
    }
}

void model_erase_waiting(struct model *m, const struct str *ids, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!model_has_rows(m, ids[i])) forget(m, ids[i], false);
}

/* ---- requests ---- */

static struct str keep(struct model *m, struct str s) { return (struct str){arena_copy(m->arena, s.p, s.n), s.n}; }

static bool same_place(const struct model_row *r, const struct inference *inf, uint32_t index) {
    return !r->gone && str_eq(r->inf.id, inf->id) && str_eq(r->inf.model_id, inf->model_id) && r->index == index;
}

static struct model_row *find_row(struct model *m, const struct inference *inf, uint32_t index) {
    for (size_t i = 0; i < m->row_count; i++)
        if (same_place(&m->rows[i], inf, index) && m->rows[i].inf.partial == inf->partial) return &m->rows[i];
    return NULL;
}

static void apply_inference(struct model *m, const struct inference *inf, int64_t received_us, struct result *result) {
    struct buf content = {0};
    inference_encode(&content, inf);
    struct model_row row = {.inf = *inf, .index = inf->index, .received_us = received_us};
    row.content = keep(m, buf_str(&content));
    buf_free(&content);
    if (expired(m, inf->id, received_us)) forget(m, inf->id, true);
    while (inf->assign_index && find_row(m, inf, row.index)) row.index++;
    const struct model_row *there = find_row(m, inf, row.index);
    result->index = row.index;
    result->outcome = !there                                ? OUTCOME_CREATED
                      : str_eq(there->content, row.content) ? OUTCOME_UNCHANGED
                                                            : OUTCOME_CONFLICT;
    if (there) return;
    row.time_us = inf->time_us == TIME_UNKNOWN ? received_us : inf->time_us;
    bool suspect = row.time_us > received_us + DAY_S * SECOND || row.time_us < received_us - 365 * DAY_S * SECOND;
    row.flags =
        (uint8_t)((inf->error.n ? ROW_ERROR : 0) | (inf->partial ? ROW_PARTIAL : 0) | (inf->picture ? ROW_PICTURE : 0) |
                  (suspect ? ROW_CLOCK_SUSPECT : 0) | (inf->assign_index ? ROW_INDEX_ASSIGNED : 0));
    for (size_t i = 0; i < m->row_count; i++) {
        struct model_row *other = &m->rows[i];
        if (!same_place(other, inf, row.index)) continue;
        *(inf->partial ? &row.flags : &other->flags) |= ROW_HIDDEN; /* the other one is complete, or this one is */
    }
    m->rows = mem_resize(m->rows, (m->row_count + 1) * sizeof *m->rows);
    row.order = ++m->orders;
    m->rows[m->row_count++] = row;
}

static bool known_field(const struct model *m, struct str name) {
    for (size_t i = 0; i < m->field_count; i++)
        if (str_eq(m->fields[i], name)) return true;
    return false;
}

static void apply_attach(struct model *m, const struct attach *a, int64_t received_us, struct attach_counts *counts) {
    for (size_t i = 0; i < a->id_count; i++) {
        struct str id = a->ids[i];
        if (expired(m, id, received_us)) forget(m, id, true);
        struct value previous = model_value(m, id, a->field);
        if (value_eq(&previous, &a->value)) {
            counts->unchanged++;
            continue;
        }
        m->writes = mem_resize(m->writes, (m->write_count + 1) * sizeof *m->writes);
        m->writes[m->write_count++] = (struct model_write){.id = id,
                                                           .field = a->field,
                                                           .value = a->value,
                                                           .previous = previous,
                                                           .time_us = received_us,
                                                           .key_id = a->key_id};
        ++*(model_has_rows(m, id) ? &counts->applied : &counts->pending);
    }
    if (a->value.type == VALUE_NONE || known_field(m, a->field)) return;
    m->fields = mem_resize(m->fields, (m->field_count + 1) * sizeof *m->fields);
    m->fields[m->field_count++] = a->field;
}

void model_apply(struct model *m, const struct request *r, int64_t received_us, struct result *results) {
    memset(results, 0, r->count * sizeof *results);
    for (unsigned i = 0; i < r->count; i++) {
        if (r->items[i].is_attach)
            apply_attach(m, &r->items[i].attach, received_us, &results[i].attach);
        else
            apply_inference(m, &r->items[i].inf, received_us, &results[i]);
    }
}

/* ---- limits ---- */

/* Whether anything still there was ever written under this name. */
static bool field_needed(const struct model *m, struct str name, int64_t now_us) {
    for (size_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        if (!w->gone && str_eq(w->field, name) && !expired(m, w->id, now_us)) return true;
    }
    return false;
}

/* With only what is needed, and with all that may still stand there. */
struct tally {
    size_t certain, possible;
};

/* Names that the request brings are counted in `more` where they are not certainly there. */
static void count_fields(const struct model *m, const struct request *r, int64_t now_us, struct tally *there,
                         struct tally *more) {
    there->possible = m->field_count;
    for (size_t i = 0; i < m->field_count; i++) there->certain += field_needed(m, m->fields[i], now_us);
    for (unsigned i = 0; i < r->count; i++) {
        const struct attach *a = &r->items[i].attach;
        bool counted = !r->items[i].is_attach || a->value.type == VALUE_NONE || field_needed(m, a->field, now_us);
        for (unsigned k = 0; k < i; k++)
            counted |= r->items[k].is_attach && r->items[k].attach.value.type != VALUE_NONE &&
                       str_eq(r->items[k].attach.field, a->field);
        more->certain += !counted;
        there->possible += !counted && !known_field(m, a->field);
    }
    more->possible = 0;
    if (more->certain && there->possible > m->max_fields) more->possible = there->possible; /* it depends */
}

static bool request_has_row(const struct request *r, struct str id) {
    for (unsigned i = 0; i < r->count; i++)
        if (!r->items[i].is_attach && str_eq(r->items[i].inf.id, id)) return true;
    return false;
}

static void count_pending(const struct model *m, const struct request *r, int64_t now_us, struct tally *there,
                          struct tally *more) {
    for (size_t i = 0; i < m->write_count; i++) {
        struct str id = m->writes[i].id;
        bool last = !model_has_rows(m, id) && (!m->writes[i].gone || m->writes[i].expired);
        for (size_t k = i + 1; last && k < m->write_count; k++) last = !str_eq(m->writes[k].id, id);
        there->possible += last;
        there->certain += last && model_waits(m, id, now_us);
    }
    struct str seen[REQUEST_MOST * REQUEST_MOST];
    size_t seen_count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const struct attach *a = &r->items[i].attach;
        for (size_t k = 0; r->items[i].is_attach && a->value.type != VALUE_NONE && k < a->id_count; k++) {
            struct str id = a->ids[k];
            bool counted = model_has_rows(m, id) || request_has_row(r, id);
            for (size_t s = 0; s < seen_count; s++) counted |= str_eq(seen[s], id);
            if (counted) continue;
            CHECK(seen_count < REQUEST_MOST * REQUEST_MOST);
            seen[seen_count++] = id;
            more->certain += !model_waits(m, id, now_us);
            more->possible += !newest_of_id(m, id);
        }
    }
}

static bool over(size_t there, size_t more, uint32_t limit) { return more > 0 && there + more > limit; }

static bool stands(const struct model *m, const struct inference *inf) {
    for (size_t i = 0; !inf->assign_index && i < m->row_count; i++)
        if (same_place(&m->rows[i], inf, inf->index) && m->rows[i].inf.partial == inf->partial) return true;
    return false;
}

/* Rows that would be one too many for their id; the same twice in one request counts twice. */
static bool over_per_id(const struct model *m, const struct request *r) {
    for (unsigned i = 0; i < r->count; i++) {
        const struct inference *inf = &r->items[i].inf;
        size_t there = 0, more = 0;
        if (r->items[i].is_attach) continue;
        for (unsigned k = 0; k < r->count; k++)
            more += !r->items[k].is_attach && str_eq(r->items[k].inf.id, inf->id) && !stands(m, &r->items[k].inf);
        for (size_t k = 0; k < m->row_count; k++) there += !m->rows[k].gone && str_eq(m->rows[k].inf.id, inf->id);
        if (more > 0 && there + more > m->max_per_id) return true;
    }
    return false;
}

enum verdict model_verdict(const struct model *m, const struct request *r, int64_t received_us) {
    struct tally fields = {0}, more_fields = {0}, ids = {0}, more_ids = {0};
    if (over_per_id(m, r)) return VERDICT_PER_ID;
    count_fields(m, r, received_us, &fields, &more_fields);
    count_pending(m, r, received_us, &ids, &more_ids);
    if (over(fields.certain, more_fields.certain, m->max_fields)) return VERDICT_FIELDS;
    if (over(ids.certain, more_ids.certain, m->max_pending))
        return more_fields.possible ? VERDICT_REFUSED : VERDICT_PENDING;
    /* An id that has expired may have been taken out, or not: it is there, or one more. */
    return over(fields.possible, more_fields.possible, m->max_fields) ||
                   (more_ids.certain && ids.possible + more_ids.possible > m->max_pending)
               ? VERDICT_EITHER
               : VERDICT_TAKEN;
}
