#include "catalog/markers.h"

#include "catalog/activity.h"
#include "catalog/internal.h"

const char markers_schema[] =
    "CREATE TABLE IF NOT EXISTS markers (id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL,"
    " time_us INTEGER NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL, device TEXT NOT NULL,"
    " key INTEGER NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS markers_at ON markers (workspace, time_us);"
    "CREATE TABLE IF NOT EXISTS models_seen (workspace INTEGER NOT NULL, model TEXT NOT NULL,"
    " first_us INTEGER NOT NULL, PRIMARY KEY (workspace, model)) STRICT, WITHOUT ROWID;";

#define COLUMNS "id, time_us, text, kind, model, device, key"

static struct marker row(sqlite3_stmt *s, struct arena *a) {
    return (struct marker){.id = sqlite3_column_int64(s, 0),
                           .time_us = sqlite3_column_int64(s, 1),
                           .text = db_column(s, 2, a),
                           .kind = db_column(s, 3, a),
                           .model_id = db_column(s, 4, a),
                           .device_id = db_column(s, 5, a),
                           .key_id = sqlite3_column_int64(s, 6)};
}

bool markers_read(struct catalog *c, uint32_t workspace, int64_t from_us, int64_t to_us, struct arena *a,
                  struct marker **list, size_t *count, struct err *e) {
    *list = NULL;
    *count = 0;
    sqlite3 *db = catalog_lock(c);
    sqlite3_stmt *s = db_prepare(db, "SELECT " COLUMNS ", count(*) OVER () FROM markers WHERE workspace = ?"
                                     " AND time_us >= ? AND time_us < ? ORDER BY time_us, id");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, from_us);
    sqlite3_bind_int64(s, 3, to_us);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        if (!*list) *list = arena_alloc(a, (size_t)sqlite3_column_int64(s, 7) * sizeof **list);
        (*list)[(*count)++] = row(s, a);
    }
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}

/* ---- changes; each is one transaction, begun and ended by its caller ---- */

static bool find(sqlite3 *db, uint32_t workspace, int64_t id, struct arena *a, struct marker *out, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "SELECT " COLUMNS " FROM markers WHERE workspace = ? AND id = ?");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, id);
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW) *out = row(s, a);
    bool ok = step == SQLITE_ROW || (step == SQLITE_DONE ? err_set(e, ERR_NOT_FOUND, "there is no marker with this id")
                                                         : db_error(db, e, "reading"));
    sqlite3_finalize(s);
    return ok;
}

bool marker_read(struct catalog *c, uint32_t workspace, int64_t id, struct arena *a, struct marker *out,
                 struct err *e) {
    bool ok = find(catalog_lock(c), workspace, id, a, out, e);
    catalog_unlock(c);
    return ok;
}

/* m->id 0: a new one. */
static bool put(sqlite3 *db, uint32_t workspace, const struct marker *m, struct err *e) {
    sqlite3_stmt *s =
        db_prepare(db, m->id ? "UPDATE markers SET time_us = ?3, text = ?4, kind = ?5, model = ?6, device = ?7,"
                               " key = ?8 WHERE workspace = ?1 AND id = ?2"
                             : "INSERT INTO markers (workspace, id, time_us, text, kind, model, device, key)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    sqlite3_bind_int64(s, 1, workspace);
    if (m->id) sqlite3_bind_int64(s, 2, m->id);
    sqlite3_bind_int64(s, 3, m->time_us);
    db_bind_text(s, 4, m->text);
    db_bind_text(s, 5, m->kind);
    db_bind_text(s, 6, m->model_id);
    db_bind_text(s, 7, m->device_id);
    sqlite3_bind_int64(s, 8, m->key_id);
    return db_step_and_finish(db, s, e);
}

static bool note(struct catalog *c, sqlite3 *db, uint32_t workspace, const struct marker *m, struct str what,
                 struct err *e) {
    const struct activity x = {.key_id = m->key_id, .action = ACTIVITY_MARKER, .subject = m->text, .detail = what};
    return activity_insert(c, db, workspace, &x, e);
}

static bool room(sqlite3 *db, uint32_t workspace, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "SELECT count(*) FROM markers WHERE workspace = ?");
    sqlite3_bind_int64(s, 1, workspace);
    return db_number(s) < MARKERS_MOST ||
           err_set(e, ERR_NO_SPACE, "this workspace has %d markers, the most there may be; remove one", MARKERS_MOST);
}

static bool add(struct catalog *c, sqlite3 *db, uint32_t workspace, struct marker *m, struct err *e) {
    m->id = 0;
    if (!room(db, workspace, e) || !put(db, workspace, m, e)) return false;
    m->id = sqlite3_last_insert_rowid(db);
    return note(c, db, workspace, m, STR("added"), e);
}

bool marker_add(struct catalog *c, uint32_t workspace, struct marker *m, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, add(c, db, workspace, m, e), e);
    catalog_unlock(c);
    return ok;
}

/* What was removed meanwhile is told of as not found, too. */
static bool changed(sqlite3 *db, struct err *e) {
    return sqlite3_changes(db) == 1 || err_set(e, ERR_NOT_FOUND, "there is no marker with this id");
}

bool marker_change(struct catalog *c, uint32_t workspace, const struct marker *m, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) &&
              db_end(db,
                     put(db, workspace, m, e) && changed(db, e) && note(c, db, workspace, m, STR("changed"), e), e);
    catalog_unlock(c);
    return ok;
}

static bool drop(struct catalog *c, sqlite3 *db, uint32_t workspace, int64_t id, int64_t key_id, struct err *e) {
    struct arena a = {0};
    struct marker was;
    bool ok = find(db, workspace, id, &a, &was, e);
    if (ok) {
        sqlite3_stmt *s = db_prepare(db, "DELETE FROM markers WHERE workspace = ? AND id = ?");
        sqlite3_bind_int64(s, 1, workspace);
        sqlite3_bind_int64(s, 2, id);
        was.key_id = key_id;
        ok = db_step_and_finish(db, s, e) && note(c, db, workspace, &was, STR("removed"), e);
    }
    arena_free(&a);
    return ok;
}

bool marker_remove(struct catalog *c, uint32_t workspace, int64_t id, int64_t key_id, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, drop(c, db, workspace, id, key_id, e), e);
    catalog_unlock(c);
    return ok;
}

/* ---- models ---- */

static bool read_seen(sqlite3 *db, uint32_t workspace, struct arena *a, struct model_seen **all, size_t *count,
                      struct err *e) {
    *all = NULL;
    *count = 0;
    sqlite3_stmt *s = db_prepare(db, "SELECT model, first_us, count(*) OVER () FROM models_seen WHERE workspace = ?"
                                     " ORDER BY model");
    sqlite3_bind_int64(s, 1, workspace);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        if (!*all) *all = arena_alloc(a, (size_t)sqlite3_column_int64(s, 2) * sizeof **all);
        (*all)[(*count)++] = (struct model_seen){db_column(s, 0, a), sqlite3_column_int64(s, 1)};
    }
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    return ok;
}

/* Both in order of the model id. */
static bool news(const struct model_seen *now, size_t count, const struct model_seen *all, size_t all_count) {
    for (size_t i = 0, k = 0; i < count; i++) {
        while (k < all_count && str_cmp(all[k].model_id, now[i].model_id) < 0) k++;
        bool known = k < all_count && str_eq(all[k].model_id, now[i].model_id);
        if (!known || now[i].first_us < all[k].first_us) return true;
    }
    return false;
}

static bool keep(sqlite3 *db, uint32_t workspace, const struct model_seen *now, size_t count, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "INSERT INTO models_seen (workspace, model, first_us) VALUES (?1, ?2, ?3)"
                                     " ON CONFLICT (workspace, model) DO UPDATE SET first_us = min(first_us, ?3)");
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        sqlite3_bind_int64(s, 1, workspace);
        db_bind_text(s, 2, now[i].model_id);
        sqlite3_bind_int64(s, 3, now[i].first_us);
        ok = db_step_and_reset(db, s, e);
    }
    sqlite3_finalize(s);
    if (!ok) return false;
    s = db_prepare(db, "DELETE FROM models_seen WHERE workspace = ?1 AND first_us < (SELECT first_us FROM models_seen"
                       " WHERE workspace = ?1 ORDER BY first_us DESC LIMIT 1 OFFSET ?2)");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, MODELS_SEEN_MOST - 1);
    return db_step_and_finish(db, s, e);
}

bool models_seen(struct catalog *c, uint32_t workspace, const struct model_seen *now, size_t count, struct arena *a,
                 struct model_seen **all, size_t *all_count, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = read_seen(db, workspace, a, all, all_count, e);
    if (ok && news(now, count, *all, *all_count))
        ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, keep(db, workspace, now, count, e), e) &&
             read_seen(db, workspace, a, all, all_count, e);
    catalog_unlock(c);
    return ok;
}
