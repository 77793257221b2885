#include "catalog/activity.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "catalog/internal.h"

enum { SLOTS = 1024, NOTES_MOST = 1024, MOST_DEFAULT = 20000 };
#define MINUTE INT64_C(60000000)

/* summed: noted and added up, minute says when; n counts the rows of a workspace and kind. */
const char activity_schema[] =
    "CREATE TABLE IF NOT EXISTS activity (id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL,"
    " summed INTEGER NOT NULL, n INTEGER NOT NULL, time_us INTEGER NOT NULL, minute INTEGER NOT NULL,"
    " key INTEGER NOT NULL, action TEXT NOT NULL, reviewer TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,"
    " count INTEGER NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS activity_of ON activity (workspace);"
    "CREATE UNIQUE INDEX IF NOT EXISTS activity_place ON activity (workspace, summed, n);"
    "CREATE UNIQUE INDEX IF NOT EXISTS activity_sums ON activity (workspace, minute, key, action, reviewer, subject,"
    " detail) WHERE summed = 1;";

static const char insert[] =
    "INSERT INTO activity (workspace, summed, n, time_us, minute, key, action, reviewer, subject, detail, count)"
    " VALUES (?1, ?2, (SELECT coalesce(max(n), 0) + 1 FROM activity WHERE workspace = ?1 AND summed = ?2),"
    " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    " ON CONFLICT (workspace, minute, key, action, reviewer, subject, detail) WHERE summed = 1"
    " DO UPDATE SET count = count + excluded.count";
static const char drop[] = "DELETE FROM activity WHERE workspace = ?1 AND summed = ?2 AND n <="
                           " (SELECT max(n) FROM activity WHERE workspace = ?1 AND summed = ?2) - ?3";

static const char *const names[] = {
#define X(name, text) [ACTIVITY_##name] = text,
    ACTIVITY_MAP(X)
#undef X
};
const char *activity_name(enum activity_action action) { return names[action]; }

/* At most n bytes, cut between characters. */
static struct str cut(struct str s, size_t n) {
    if (s.n <= n) return s;
    while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80) n--;
    return (struct str){s.p, n};
}

/* ---- writing ---- */

static bool write_one(sqlite3 *db, uint32_t workspace, bool summed, const struct activity *a, unsigned most,
                      struct err *e) {
    sqlite3_stmt *s = db_prepare(db, insert);
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int(s, 2, summed);
    sqlite3_bind_int64(s, 3, a->time_us);
    sqlite3_bind_int64(s, 4, a->time_us / MINUTE);
    sqlite3_bind_int64(s, 5, a->key_id);
    db_bind_text(s, 6, str_of(names[a->action]));
    db_bind_text(s, 7, cut(a->reviewer, ACTIVITY_SUBJECT));
    db_bind_text(s, 8, cut(a->subject, ACTIVITY_SUBJECT));
    db_bind_text(s, 9, cut(a->detail, ACTIVITY_DETAIL));
    sqlite3_bind_int64(s, 10, (int64_t)a->count);
    if (!db_step_and_finish(db, s, e)) return false;
    s = db_prepare(db, drop);
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int(s, 2, summed);
    sqlite3_bind_int64(s, 3, most);
    return db_step_and_finish(db, s, e);
}

bool activity_insert(struct catalog *c, sqlite3 *db, uint32_t workspace, const struct activity *a, struct err *e) {
    struct activity now = *a;
    now.time_us = clock_now_us();
    if (!now.count) now.count = 1;
    return write_one(db, workspace, false, &now, catalog_notes(c)->most, e);
}

bool activity_add(struct catalog *c, uint32_t workspace, const struct activity *a, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, activity_insert(c, db, workspace, a, e), e);
    catalog_unlock(c);
    return ok;
}

/* ---- what was noted and is not written yet ---- */

struct note {
    struct note *next; /* in its slot */
    uint32_t workspace;
    uint64_t hash;
    struct activity a;
    char text[]; /* reviewer, subject, detail */
};

struct notes_shard {
    pthread_mutex_t lock; /* for one look */
    struct note **slots;  /* SLOTS; NULL: nothing was noted */
    size_t count;
    uint64_t lost;
};

void notes_init(struct notes *q) {
    q->most = MOST_DEFAULT;
    q->shards = mem_zero(NOTES_SHARDS, sizeof *q->shards);
    for (size_t i = 0; i < NOTES_SHARDS; i++) pthread_mutex_init(&q->shards[i].lock, NULL);
}

void notes_free(struct notes *q) {
    for (size_t i = 0; i < NOTES_SHARDS; i++) pthread_mutex_destroy(&q->shards[i].lock);
    free(q->shards);
}

void activity_keep(struct catalog *c, unsigned most) { catalog_notes(c)->most = most; }

/* Each thread has a place of its own, as long as there are no more than places. */
static struct notes_shard *own_shard(struct notes *q) {
    static atomic_uint threads;
    static _Thread_local unsigned mine;
    if (!mine) mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % NOTES_SHARDS;
    return &q->shards[mine - 1];
}

static bool same(const struct note *n, uint32_t workspace, uint64_t hash, const struct activity *a) {
    return n->hash == hash && n->workspace == workspace && n->a.key_id == a->key_id && n->a.action == a->action &&
           n->a.time_us / MINUTE == a->time_us / MINUTE && str_eq(n->a.subject, a->subject) &&
           str_eq(n->a.reviewer, a->reviewer) && str_eq(n->a.detail, a->detail);
}

static struct str put_text(char **to, struct str s) {
    struct str out = {*to, s.n};
    if (s.n) memcpy(*to, s.p, s.n);
    *to += s.n;
    return out;
}

static struct note *note_new(uint32_t workspace, uint64_t hash, const struct activity *a) {
    struct note *n = mem_alloc(sizeof *n + a->reviewer.n + a->subject.n + a->detail.n);
    char *at = n->text;
    *n = (struct note){.workspace = workspace, .hash = hash, .a = *a};
    n->a.reviewer = put_text(&at, a->reviewer);
    n->a.subject = put_text(&at, a->subject);
    n->a.detail = put_text(&at, a->detail);
    return n;
}

/* False: there is none like it, and the shard has `most` already. */
static bool add_up(struct notes_shard *x, uint32_t workspace, const struct activity *a, size_t most) {
    uint64_t hash = hash_str(a->subject) ^ workspace;
    if (!x->slots) x->slots = mem_zero(SLOTS, sizeof *x->slots);
    struct note **slot = &x->slots[hash % SLOTS];
    for (struct note *n = *slot; n; n = n->next)
        if (same(n, workspace, hash, a)) return n->a.count += a->count, true;
    if (x->count >= most) return false;
    struct note *n = note_new(workspace, hash, a);
    n->next = *slot;
    *slot = n;
    x->count++;
    return true;
}

void activity_note(struct catalog *c, uint32_t workspace, const struct activity *a) {
    struct notes_shard *x = own_shard(catalog_notes(c));
    struct activity full = *a;
    full.time_us = clock_now_us();
    full.reviewer = cut(a->reviewer, ACTIVITY_SUBJECT);
    full.subject = cut(a->subject, ACTIVITY_SUBJECT);
    full.detail = cut(a->detail, ACTIVITY_DETAIL);
    struct activity bare = {.time_us = full.time_us, .key_id = a->key_id, .action = a->action, .count = a->count};
    pthread_mutex_lock(&x->lock);
    if (!add_up(x, workspace, &full, NOTES_MOST) && !add_up(x, workspace, &bare, NOTES_MOST * 2)) x->lost++;
    pthread_mutex_unlock(&x->lock);
}

static void write_notes(struct notes *q, sqlite3 *db, struct note **slots) {
    struct err e = {0};
    char why[LOG_QUOTE];
    bool ok = db_run(db, "BEGIN IMMEDIATE", &e);
    for (size_t i = 0; i < SLOTS; i++)
        for (struct note *n = slots[i], *next; n; n = next) {
            next = n->next;
            ok = ok && write_one(db, n->workspace, true, &n->a, q->most, &e);
            free(n);
        }
    ok = db_end(db, ok, &e);
    free(slots);
    if (!ok) log_event(LOG_ERROR, "activity_not_kept", "why=%s", log_quote(why, str_of(e.msg)));
}

/* Sums need no sync of their own: it would stand in the way of the journal's every two seconds. The next change of the
 * catalog that is synced has them with it. */
void notes_write(struct notes *q, sqlite3 *db) {
    for (size_t i = 0; i < NOTES_SHARDS; i++) {
        struct notes_shard *x = &q->shards[i];
        pthread_mutex_lock(&x->lock);
        struct note **slots = x->slots;
        uint64_t lost = x->lost;
        x->slots = NULL;
        x->count = x->lost = 0;
        pthread_mutex_unlock(&x->lock);
        if (lost)
            log_event(LOG_WARN, "activity_not_kept", "why=\"too many different ones at once\" notes=%llu",
                      (unsigned long long)lost);
        if (!slots) continue;
        sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
        write_notes(q, db, slots);
        sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    }
}

/* ---- reading ---- */

static enum activity_action action_of(struct str text) {
    int action = 0;
    while (action < ACTIVITY_ACTIONS - 1 && !str_is(text, names[action])) action++;
    return (enum activity_action)action;
}

bool activity_read(struct catalog *c, uint32_t workspace, int64_t before, unsigned limit, struct arena *a,
                   struct activity_list *out, struct err *e) {
    *out = (struct activity_list){.items = arena_alloc(a, (limit ? limit : 1) * sizeof *out->items)};
    sqlite3 *db = catalog_lock(c);
    notes_write(catalog_notes(c), db);
    sqlite3_stmt *s = db_prepare(db, "SELECT id, time_us, key, action, reviewer, subject, detail, count FROM activity"
                                     " WHERE workspace = ? AND id < ? ORDER BY id DESC LIMIT ?");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, before ? before : INT64_MAX);
    sqlite3_bind_int64(s, 3, limit);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW)
        out->items[out->count++] = (struct activity){
            .id = sqlite3_column_int64(s, 0),
            .time_us = sqlite3_column_int64(s, 1),
            .key_id = sqlite3_column_int64(s, 2),
            .action = action_of(db_column(s, 3, a)),
            .reviewer = db_column(s, 4, a),
            .subject = db_column(s, 5, a),
            .detail = db_column(s, 6, a),
            .count = (uint64_t)sqlite3_column_int64(s, 7),
        };
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}
