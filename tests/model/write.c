/* Requests: sent to the store and applied to the model, and what they met on the way. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "run.h"

/* ---- for the trail ---- */

static void print_request(struct buf *b, const struct request *q) {
    for (unsigned i = 0; i < q->count; i++) {
        const struct item *item = &q->items[i];
        if (i) buf_addz(b, "; ");
        if (!item->is_attach) {
            buf_printf(b, "%s%.20s %.*s %" PRIu32 "%s", item->inf.partial ? "partial " : "", item->inf.id.p,
                       STR_ARG(item->inf.model_id), item->inf.index, item->inf.assign_index ? "+" : "");
            continue;
        }
        buf_printf(b, "%.*s=", STR_ARG(item->attach.field));
        print_value(b, &item->attach.value);
        for (size_t k = 0; k < item->attach.id_count; k++) buf_printf(b, " %.20s", item->attach.ids[k].p);
    }
}

static void note_request(struct run *r, const struct space *s, const struct request *q, const char *end) {
    struct buf b = {0};
    print_request(&b, q);
    buf_addc(&b, '\0');
    note(r, "%sws %" PRIu32 " write %s: %s", r->nested ? "  meanwhile " : "", s->number, b.p, end);
    buf_free(&b);
}

/* ---- what a request meets ---- */

/* Of an item, before it is applied. */
struct met {
    struct whereabouts where[REQUEST_MOST]; /* of each id */
    bool had_rows[REQUEST_MOST], waited[REQUEST_MOST], expired[REQUEST_MOST];
};

bool among(struct str id, const struct str *list, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (str_eq(list[i], id)) return true;
    return false;
}

void remember(struct str **list, unsigned *count, struct str id) {
    if (among(id, *list, *count)) return;
    *list = mem_resize(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] = id;
}

static void meet(const struct view *v, const struct model *m, const struct item *item, int64_t received_us,
                 struct met *out) {
    size_t ids = item->is_attach ? item->attach.id_count : 1;
    for (size_t i = 0; i < ids; i++) {
        struct str id = item->is_attach ? item->attach.ids[i] : item->inf.id;
        out->where[i] = tested_find(v, id);
        out->had_rows[i] = model_has_rows(m, id);
        out->waited[i] = model_waits(m, id, received_us);
        out->expired[i] = !out->had_rows[i] && !out->waited[i];
        for (size_t k = 0; out->expired[i]; k++)
            if (k == m->write_count || (!m->writes[k].gone && str_eq(m->writes[k].id, id))) {
                out->expired[i] = k < m->write_count;
                break;
            }
    }
}

/* A value is there as a number and as the text that reads like it, in one field. */
static bool two_types(const struct model *m, const struct attach *a) {
    double number;
    if (a->value.type != VALUE_STRING || !filter_number(a->value.text, &number)) return false;
    for (size_t i = 0; i < m->row_count; i++) {
        struct value v = model_value(m, m->rows[i].inf.id, a->field);
        if (v.type == VALUE_NUMBER && v.number == number) return true;
    }
    return false;
}

static void cover_attach(struct run *r, struct space *s, const struct item *item, const struct met *met,
                         const struct attach_counts *counts) {
    const struct attach *a = &item->attach;
    bool removal = a->value.type == VALUE_NONE, changed = counts->applied || counts->pending;
    for (size_t i = 0; i < a->id_count; i++) {
        const struct whereabouts *w = &met->where[i];
        if (!changed && w->sealed && !removal) cover(r, COVER_ATTACH_EQUAL_SEALED);
        if (!changed) continue;
        if (w->open) cover(r, removal ? COVER_REMOVE_OPEN : COVER_ATTACH_OPEN);
        if (w->frozen) cover(r, removal ? COVER_REMOVE_FROZEN : COVER_ATTACH_FROZEN);
        if (w->sealed) cover(r, removal ? COVER_REMOVE_SEALED : COVER_ATTACH_SEALED);
        if (w->folded) cover(r, COVER_ATTACH_FOLDED);
        if (w->sealed > 1) cover(r, COVER_ATTACH_TWO_SEGMENTS);
        if (w->sealed && w->parts > w->sealed) cover(r, COVER_ATTACH_BOTH);
        if (met->waited[i]) cover(r, removal ? COVER_REMOVE_WAITING : COVER_ATTACH_WAITING);
        if (!met->waited[i] && !met->had_rows[i]) cover(r, COVER_ATTACH_UNKNOWN);
        if (met->expired[i]) cover(r, COVER_EXPIRED_ATTACH);
        if (!met->had_rows[i] && among(a->ids[i], s->dropped, s->dropped_count)) cover(r, COVER_RETAINED_LATE);
        if (!met->had_rows[i] && among(a->ids[i], s->erased, s->erased_count)) cover(r, COVER_ERASED_LATE);
        for (size_t k = 0; removal && k < s->model.row_count; k++)
            if (str_eq(s->model.rows[k].inf.id, a->ids[i]) && s->model.rows[k].order < s->life_count)
                s->lives[s->model.rows[k].order].removed = true;
    }
    if (two_types(&s->model, a)) cover(r, COVER_TYPES_TWO);
}

static void cover_created(struct run *r, struct space *s, const struct inference *inf, const struct met *met) {
    const struct whereabouts *w = &met->where[0];
    const struct model *m = &s->model;
    const struct model_row *row = &m->rows[m->row_count - 1];
    bool valued = false;
    for (size_t i = 0; i < m->field_count && !valued; i++)
        valued = model_value(m, inf->id, m->fields[i]).type != VALUE_NONE;
    if (valued && w->frozen && !w->open) cover(r, COVER_INHERIT_FROZEN);
    if (valued && w->sealed && !w->open) cover(r, COVER_INHERIT_SEALED);
    if (valued && w->overlaid && !w->open) cover(r, COVER_INHERIT_OVERLAY);
    if (met->waited[0]) cover(r, COVER_JOINED);
    if (met->had_rows[0] && among(inf->id, s->joined, s->joined_count)) cover(r, COVER_JOINED_AGAIN);
    if (met->waited[0]) remember(&s->joined, &s->joined_count, inf->id);
    if (met->expired[0]) cover(r, COVER_EXPIRED_JOIN);
    if (inf->assign_index && row->index && w->sealed) cover(r, COVER_ASSIGNED_SEALED);
    if (among(inf->id, s->dropped, s->dropped_count)) cover(r, COVER_RETAINED_AGAIN);
    if (among(inf->id, s->erased, s->erased_count)) cover(r, COVER_ERASED_AGAIN);
    if (row->flags & ROW_CLOCK_SUSPECT) cover(r, COVER_SUSPECT);
    if (row->time_us < row->received_us - 6 * 3600 * INT64_C(1000000)) cover(r, COVER_LATE);
    if (inf->partial && row->flags & ROW_HIDDEN && w->sealed) cover(r, COVER_HIDDEN_BORN);
    for (size_t i = 0; !inf->partial && i + 1 < m->row_count; i++) {
        const struct model_row *other = &m->rows[i];
        if (!other->inf.partial || other->index != row->index || !str_eq(other->inf.id, inf->id) ||
            !str_eq(other->inf.model_id, inf->model_id))
            continue;
        cover(r, w->open ? COVER_HIDDEN_OPEN : w->sealed ? COVER_HIDDEN_SEALED : COVER_HIDDEN_FROZEN);
    }
    size_t rows = 0;
    for (size_t i = 0; i < m->row_count; i++) rows += str_eq(m->rows[i].inf.id, inf->id);
    if (rows == m->max_per_id) cover(r, COVER_PER_ID_FULL);
    atomic_fetch_add(&r->board->rows, 1);
}

static void cover_there(struct run *r, const struct whereabouts *w, bool conflict) {
    if (w->open) cover(r, conflict ? COVER_CONFLICT_OPEN : COVER_SENT_AGAIN_OPEN);
    if (w->frozen) cover(r, conflict ? COVER_CONFLICT_FROZEN : COVER_SENT_AGAIN_FROZEN);
    if (w->sealed) cover(r, conflict ? COVER_CONFLICT_SEALED : COVER_SENT_AGAIN_SEALED);
    if (w->sealed > 1) cover(r, conflict ? COVER_CONFLICT_SECOND : COVER_SENT_AGAIN_SECOND);
}

/* ---- sending ---- */

struct sending {
    struct store_write write;
    size_t first[REQUEST_MOST + 1]; /* record of each item */
};

static void begin_write(struct run *r, const struct space *s, const struct request *q, struct sending *w) {
    struct err e = {0};
    write_begin(&w->write, s->number);
    for (unsigned i = 0; i < q->count; i++) {
        w->first[i] = w->write.records;
        if (q->items[i].is_attach)
            write_attach(&w->write, &q->items[i].attach);
        else if (!write_inference(&w->write, &q->items[i].inf, &e))
            wrong(r, "write_inference: %s", e.msg);
    }
    w->first[q->count] = w->write.records;
}

/* The store's results of an item beside the model's. */
static void compare_result(struct run *r, const struct item *item, const struct sending *w, unsigned i,
                           const struct result *want) {
    const struct write_result *got = &w->write.results[w->first[i]];
    if (!item->is_attach) {
        if (got->outcome != want->outcome || got->index != want->index)
            wrong(r, "%.*s: expected outcome %d at index %" PRIu32 ", got %d at %" PRIu32, STR_ARG(item->inf.id),
                  want->outcome, want->index, got->outcome, got->index);
        return;
    }
    struct attach_counts sum = {0};
    for (size_t n = w->first[i]; n < w->first[i + 1]; n++) {
        sum.applied += w->write.results[n].attach.applied;
        sum.pending += w->write.results[n].attach.pending;
        sum.unchanged += w->write.results[n].attach.unchanged;
    }
    if (sum.applied != want->attach.applied || sum.pending != want->attach.pending ||
        sum.unchanged != want->attach.unchanged)
        wrong(r, "attach of %.*s: expected applied, pending, unchanged %u %u %u, got %u %u %u",
              STR_ARG(item->attach.field), want->attach.applied, want->attach.pending, want->attach.unchanged,
              sum.applied, sum.pending, sum.unchanged);
}

/* It was taken: the model takes it an item at a time, so that each meets what the ones before left. */
static void adopt(struct run *r, struct space *s, const struct request *q, const struct sending *w,
                  const struct met *met, enum verdict verdict) {
    int64_t received_us = r->clock_us > r->received_us ? r->clock_us : r->received_us;
    size_t waiting = 0, fields = s->model.field_count;
    if (verdict != VERDICT_TAKEN && verdict != VERDICT_EITHER) wrong(r, "taken, though over a limit (%d)", verdict);
    if (w->write.received_us > received_us && w->write.received_us <= r->doubt_received_us)
        received_us = w->write.received_us;
    r->doubt_received_us = 0;
    if (w->write.received_us != received_us)
        wrong(r, "received: expected %" PRId64 ", got %" PRId64, received_us, w->write.received_us);
    r->received_us = received_us;
    if (r->clock_us < received_us) cover(r, COVER_CLOCK_BACK);
    for (unsigned i = 0; i < q->count; i++) {
        struct request one = {1, {q->items[i]}};
        struct result result;
        model_apply(&s->model, &one, received_us, &result);
        compare_result(r, &q->items[i], w, i, &result);
        if (q->items[i].is_attach)
            cover_attach(r, s, &q->items[i], &met[i], &result.attach);
        else if (result.outcome == OUTCOME_CREATED)
            cover_created(r, s, &q->items[i].inf, &met[i]);
        else
            cover_there(r, &met[i].where[0], result.outcome == OUTCOME_CONFLICT);
        waiting += result.attach.pending;
        for (unsigned k = 0; k < i; k++)
            if (!q->items[k].is_attach && !q->items[i].is_attach && str_eq(q->items[k].inf.id, q->items[i].inf.id))
                cover(r, COVER_BATCH);
    }
    if (s->model.field_count > fields && s->model.field_count == s->model.max_fields) cover(r, COVER_FIELDS_FULL);
    if (waiting == 0) return;
    waiting = 0;
    for (size_t i = 0; i < s->model.write_count; i++) {
        bool first = model_waits(&s->model, s->model.writes[i].id, received_us);
        for (size_t k = 0; first && k < i; k++) first = !str_eq(s->model.writes[k].id, s->model.writes[i].id);
        waiting += first;
    }
    if (waiting == s->model.max_pending) cover(r, COVER_WAITING_FULL);
}

/* It was not taken: rightly? */
static void refused(struct run *r, const struct space *s, const struct err *e, enum verdict verdict, bool no_room,
                    bool struck) {
    if (no_room && (e->code == ERR_BUSY || e->code == ERR_NO_SPACE)) {
        cover(r, COVER_FROZEN_FULL);
    } else if (e->code == ERR_INVALID && (verdict == VERDICT_FIELDS || verdict == VERDICT_PER_ID)) {
        cover(r, verdict == VERDICT_FIELDS ? COVER_FIELDS_OVER : COVER_PER_ID_OVER);
    } else if (e->code == ERR_NO_SPACE && verdict == VERDICT_PENDING) {
        cover(r, COVER_WAITING_OVER);
    } else if (!struck && !(verdict >= VERDICT_REFUSED && (e->code == ERR_INVALID || e->code == ERR_NO_SPACE))) {
        struct buf names = {0};
        struct view *v = store_view(r->tested.store, s->number);
        for (size_t i = 0; i < s->model.field_count; i++) buf_printf(&names, " %.*s", STR_ARG(s->model.fields[i]));
        buf_addz(&names, "; the store's:");
        for (uint32_t i = 0; v && i < fields_count(v->fields); i++)
            buf_printf(&names, " %.*s", STR_ARG(v->fields->names[i]));
        wrong(r, "refused: %s (fields of the model:%.*s)", e->msg, (int)names.n, names.p);
    }
}

/* Rows that fit until a chunk is sealed. */
static uint32_t row_room(struct run *r, const struct view *v) {
    uint32_t capacity = r->tested.o.chunk_rows, frozen = tested_frozen(v);
    uint32_t open = v ? chunk_rows(v->chunks[0]) : 0;
    return capacity - open + capacity * (FROZEN_MOST - frozen);
}

void send(struct run *r, struct space *s, const struct request *q, enum accident accident) {
    struct sending w = {0};
    struct met *met = arena_alloc(&r->arena, q->count * sizeof *met);
    struct err e = {0};
    int64_t received_us = r->clock_us > r->received_us ? r->clock_us : r->received_us;
    enum operation op = OP_ATTACH;
    uint32_t inferences = 0;
    struct view *v = store_view(r->tested.store, s->number);
    unsigned frozen = tested_frozen(v);
    for (unsigned i = 0; i < q->count; i++) {
        meet(v, &s->model, &q->items[i], received_us, &met[i]);
        inferences += !q->items[i].is_attach;
    }
    bool no_room = inferences > row_room(r, v);
    enum verdict verdict = model_verdict(&s->model, q, received_us);
    view_release(v);
    if (inferences) op = OP_INGEST;
    begin_write(r, s, q, &w);
    if (!r->nested) begin_accident(r, op, accident);
    note_request(r, s, q, "sent");
    arm_resolver(r, s);
    bool ok = store_write_now(r->tested.store, &w.write, &e);
    bool resolved = disarm_resolver(r);
    if (resolved && verdict != model_verdict(&s->model, q, received_us)) verdict = VERDICT_EITHER;
    if (resolved && verdict == VERDICT_PENDING) verdict = VERDICT_EITHER; /* rows that were dropped since still count */
    bool unknown = !ok && e.code == ERR_UNKNOWN_OUTCOME, struck = disk_struck() != NULL;
    atomic_fetch_add(&r->board->operations[op], ok);
    if (ok) {
        adopt(r, s, q, &w, met, verdict);
        v = store_view(r->tested.store, s->number);
        if (inferences > 1 && tested_frozen(v) > frozen && chunk_rows(v->chunks[0])) cover(r, COVER_BATCH_SPLIT);
        view_release(v);
    } else if (unknown && struck) {
        struct result results[REQUEST_MOST];
        model_copy(&s->other, &s->model);
        model_apply(&s->other, q, received_us, results);
        s->in_doubt = true;
        r->other_received_us = received_us;
    } else {
        refused(r, s, &e, verdict, no_room, struck);
    }
    note(r, "    %s", ok ? "taken" : e.msg);
    write_free(&w.write);
    if (!r->nested) end_accident(r, op, accident, unknown);
}

/* ---- requests at random ---- */

static struct inference *more_inference(struct request *q, struct inference inf) {
    CHECK(q->count < REQUEST_MOST);
    struct item *item = &q->items[q->count++];
    *item = (struct item){.inf = inf};
    return &item->inf;
}

static void more_attach(struct run *r, struct space *s, struct request *q, struct value v, struct str field,
                        unsigned count) {
    CHECK(q->count < REQUEST_MOST && count <= REQUEST_MOST);
    struct str *ids = arena_alloc(&r->arena, count * sizeof *ids);
    for (unsigned i = 0; i < count; i++) ids[i] = some_id(r, s);
    q->items[q->count++] = (struct item){
        .is_attach = true,
        .attach = {.key_id = 1 + roll(&r->dice, 5), .field = field, .value = v, .ids = ids, .id_count = count}};
}

void step_ingest(struct run *r, struct space *s) {
    struct request q = {0};
    struct dice *d = &r->dice;
    unsigned count = chance(d, 75) ? 1 : 1 + roll(d, 7);
    uint32_t fresh = r->twins ? 15 : 75, special = r->twins ? 40 : 8;
    bool batch = chance(d, 40);
    struct str id = chance(d, fresh) ? new_id(r, s) : some_id(r, s);
    for (unsigned i = 0; i < count; i++) {
        struct inference *inf = more_inference(&q, random_inference(r, s, id));
        if (batch)
            inf->index = i;
        else
            id = chance(d, fresh) ? new_id(r, s) : some_id(r, s);
        if (r->twins && chance(d, 75)) inf->model_id = STR("plain");
        if (chance(d, special))
            inf->partial = true;
        else if (chance(d, special))
            inf->assign_index = true;
    }
    send(r, s, &q, random_accident(r));
}

void step_attach(struct run *r, struct space *s) {
    struct request q = {0};
    struct dice *d = &r->dice;
    struct value v = chance(d, 20) ? (struct value){.type = VALUE_NONE} : random_value(r);
    unsigned count = chance(d, 70) ? 1 : 1 + roll(d, 8);
    more_attach(r, s, &q, v, random_field(r, s), count);
    if (s->model.write_count && chance(d, 15)) { /* what is there already */
        const struct model_write *w = &s->model.writes[roll(d, (uint32_t)s->model.write_count)];
        struct str *ids = arena_alloc(&r->arena, sizeof *ids);
        ids[0] = w->id;
        q.items[0].attach.field = w->field;
        q.items[0].attach.value =
            chance(d, 30) ? (struct value){.type = VALUE_NONE} : model_value(&s->model, w->id, w->field);
        q.items[0].attach.ids = ids;
        q.items[0].attach.id_count = 1;
    }
    send(r, s, &q, random_accident(r));
}

void step_attach_known(struct run *r, struct space *s) {
    struct request q = {0};
    struct dice *d = &r->dice;
    if (s->model.row_count == 0) return;
    more_attach(r, s, &q, chance(d, 25) ? (struct value){.type = VALUE_NONE} : random_value(r), random_field(r, s), 1);
    struct str *id = arena_alloc(&r->arena, sizeof *id);
    *id = s->model.rows[roll(d, (uint32_t)s->model.row_count)].inf.id;
    q.items[0].attach.ids = id;
    send(r, s, &q, random_accident(r));
}

/* Inferences and metadata in one request, in any order. */
void step_mixed(struct run *r, struct space *s) {
    struct request q = {0};
    struct dice *d = &r->dice;
    unsigned count = 2 + roll(d, 5);
    for (unsigned i = 0; i < count; i++) {
        if (chance(d, 50))
            more_inference(&q, random_inference(r, s, chance(d, 50) ? new_id(r, s) : some_id(r, s)));
        else
            more_attach(r, s, &q, chance(d, 10) ? (struct value){.type = VALUE_NONE} : random_value(r),
                        random_field(r, s), 1 + roll(d, 3));
    }
    send(r, s, &q, random_accident(r));
}

/* A row that is there: the same again, other content, complete where it was partial, another model or index; and one
 * that retention has dropped. */
void step_again(struct run *r, struct space *s) {
    struct request q = {0};
    struct dice *d = &r->dice;
    if (s->model.row_count == 0) return;
    const struct model_row *row = &s->model.rows[roll(d, (uint32_t)s->model.row_count)];
    struct inference *inf = more_inference(&q, row->inf);
    switch (roll(d, 7)) {
    case 0:
    case 1: break;
    case 2: inf->source_info = STR("changed"); break;
    case 3:
        inf->partial = !inf->partial;
        inf->index = row->index;
        inf->assign_index = false;
        break;
    case 4: inf->model_id = chance(d, 50) ? STR("coco/25") : STR("dogs/1"); break;
    case 5: inf->index = roll(d, 5); break;
    case 6:
        inf->assign_index = !inf->partial;
        inf->index = 0;
        break;
    }
    if (chance(d, 20)) more_inference(&q, *inf); /* and again in the same request */
    send(r, s, &q, random_accident(r));
}
