/* GET and PUT /api/v1/:workspace/shifts: when shifts begin and end. It is kept and not computed with: which times "this
 * shift" is of, only the zone's own rules say, and the dashboard has those. */
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/members.h"
#include "api/read.h"
#include "catalog/settings.h"

#define SETTING "shifts"
enum { SHIFTS_MOST = 24, ZONE_MOST = 64, WEEK = 7 };

struct shift {
    struct str name, from, to;
    unsigned days; /* bit 1: Monday */
};

struct shifts {
    struct str zone; /* empty: the viewer's */
    struct shift list[SHIFTS_MOST];
    size_t count;
};

enum { EVERY_DAY = 0xfe };
static const struct shifts usual = {
    .zone = {"", 0},
    .list = {{{"early", 5}, {"06:00", 5}, {"14:00", 5}, EVERY_DAY},
             {{"late", 4}, {"14:00", 5}, {"22:00", 5}, EVERY_DAY},
             {{"night", 5}, {"22:00", 5}, {"06:00", 5}, EVERY_DAY}},
    .count = 3,
};

static void put_shifts_json(struct buf *to, const struct shifts *s) {
    put_object(to);
    put_key(to, "zone"), put_str(to, s->zone);
    put_key(to, "shifts"), put_array(to);
    for (size_t i = 0; i < s->count; i++) {
        const struct shift *x = &s->list[i];
        put_object(to);
        put_key(to, "name"), put_str(to, x->name);
        put_key(to, "from"), put_str(to, x->from);
        put_key(to, "to"), put_str(to, x->to);
        put_key(to, "days"), put_array(to);
        for (int day = 1; day <= WEEK; day++)
            if (x->days & 1u << day) put_int(to, day);
        put_array_end(to);
        put_object_end(to);
    }
    put_array_end(to);
    put_object_end(to);
}

/* ---- what is sent ---- */

static bool read_clock(struct str s, const char *where, const char *name, struct err *e) {
    bool ok = s.n == 5 && s.p[2] == ':';
    for (size_t i = 0; ok && i < 5; i++) ok = i == 2 || (s.p[i] >= '0' && s.p[i] <= '9');
    ok = ok && (s.p[0] - '0') * 10 + (s.p[1] - '0') < 24 && s.p[3] < '6';
    return ok || err_set(e, ERR_INVALID, "%s%s must be a time from 00:00 to 23:59", where, name);
}

static bool read_days(const json_t *days, const char *where, unsigned *out, struct err *e) {
    size_t i;
    json_t *v;
    *out = 0;
    json_array_foreach(days, i, v) {
        json_int_t day = json_integer_value(v);
        if (!json_is_integer(v) || day < 1 || day > WEEK || *out & 1u << day)
            return err_set(e, ERR_INVALID, "%sdays[%zu] must be a number from 1, Monday, to 7, Sunday, each once",
                           where, i);
        *out |= 1u << day;
    }
    return *out || err_set(e, ERR_INVALID, "%sdays must be a list of at least one day", where);
}

static bool read_shift(struct arena *a, const json_t *o, const char *where, struct shift *out, struct err *e) {
    static const char *const names[] = {"name", "from", "to", "days"};
    const char *name;
    json_t *v;
    if (!json_is_object(o)) return err_set(e, ERR_INVALID, "%.*s must be an object", (int)strlen(where) - 1, where);
    json_object_foreach((json_t *)o, name, v) {
        size_t i = 0;
        while (i < 4 && strcmp(name, names[i]) != 0) i++;
        if (i == 4) return err_set(e, ERR_INVALID, "%s%.100s: a shift has name, from, to and days", where, name);
    }
    return member_needed(a, o, where, "name", NAME_MOST, &out->name, e) &&
           member_needed(a, o, where, "from", NAME_MOST, &out->from, e) && read_clock(out->from, where, "from", e) &&
           member_needed(a, o, where, "to", NAME_MOST, &out->to, e) && read_clock(out->to, where, "to", e) &&
           read_days(json_object_get(o, "days"), where, &out->days, e);
}

/* An IANA name by its letters. Whether there is such a zone the browser says: its list may be newer than ours. */
static bool check_zone(struct str zone, struct err *e) {
    for (size_t i = 0; i < zone.n; i++) {
        char c = zone.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !(c >= '0' && c <= '9')) && (i == 0 || !strchr("/_+-", c)))
            return err_set(e, ERR_INVALID, "zone must be a name such as Europe/Berlin, or empty for the viewer's");
    }
    return true;
}

static bool read_shifts(struct arena *a, const json_t *body, struct shifts *out, struct err *e) {
    const json_t *list = json_object_get(body, "shifts");
    size_t i;
    json_t *v;
    if (!member_text(a, body, "", "zone", 0, ZONE_MOST, &out->zone, e) || !check_zone(out->zone, e)) return false;
    if (!json_is_array(list)) return err_set(e, ERR_INVALID, "shifts must be a list");
    if (json_array_size(list) > SHIFTS_MOST)
        return err_set(e, ERR_INVALID, "shifts has %zu shifts, the most is %d", json_array_size(list), SHIFTS_MOST);
    json_array_foreach(list, i, v) {
        struct shift *x = &out->list[i];
        if (!read_shift(a, v, arena_printf(a, "shifts[%zu].", i), x, e)) return false;
        for (size_t k = 0; k < i; k++)
            if (str_eq(out->list[k].name, x->name))
                return err_set(e, ERR_INVALID, "shifts[%zu].name is that of shifts[%zu] too", i, k);
    }
    out->count = json_array_size(list);
    return true;
}

/* ---- the routes ---- */

static bool show(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    struct str kept;
    if (!setting_read(app_of(r)->catalog, rd->who.workspace_id, SETTING, &r->arena, &kept, e)) return false;
    if (kept.p)
        buf_add_str(&r->out, kept);
    else
        put_shifts_json(&r->out, &usual);
    return true;
}

void get_shifts(struct request *r) { read_plain(r, show, NULL); }

/* For people: "early 06:00-14:00, late 14:00-22:00; Europe/Berlin". */
static struct str in_words(struct arena *a, const struct shifts *s) {
    struct buf b = {0};
    for (size_t i = 0; i < s->count; i++) {
        const struct shift *x = &s->list[i];
        buf_printf(&b, "%s" STR_FMT " " STR_FMT "-" STR_FMT, i ? ", " : "", STR_ARG(x->name), STR_ARG(x->from),
                   STR_ARG(x->to));
    }
    if (s->zone.n) buf_printf(&b, "; " STR_FMT, STR_ARG(s->zone));
    struct str out = {arena_copy(a, b.n ? b.p : "", b.n), b.n};
    buf_free(&b);
    return out;
}

static bool keep(struct read *rd, const struct view *v, struct err *e) {
    (void)v;
    struct request *r = rd->request;
    const struct shifts *s = rd->own;
    put_shifts_json(&r->out, s);
    struct activity by = {.key_id = rd->who.key_id, .detail = in_words(&r->arena, s)};
    return setting_write(app_of(r)->catalog, rd->who.workspace_id, SETTING, buf_str(&r->out), &by, e);
}

void put_shifts(struct request *r) {
    static const char *const members[] = {"zone", "shifts", NULL};
    struct read *rd = read_object(r, members);
    if (!rd) return;
    struct shifts *s = rd->own = arena_alloc(&r->arena, sizeof *s);
    read_run_if(rd, read_shifts(&r->arena, rd->body, s, &rd->e), keep);
}
