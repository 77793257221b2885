#include "catalog/views.h"

#include <sodium.h>

#include "base/clock.h"
#include "catalog/activity.h"
#include "catalog/internal.h"

const char views_schema[] =
    "CREATE TABLE IF NOT EXISTS views (workspace INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,"
    " page TEXT NOT NULL, query TEXT NOT NULL, key INTEGER NOT NULL, changed_us INTEGER NOT NULL,"
    " PRIMARY KEY (workspace, id)) STRICT, WITHOUT ROWID;";

#define COLUMNS "id, name, page, query, key, changed_us"

static struct saved_view row(sqlite3_stmt *s, struct arena *a) {
    return (struct saved_view){.id = db_column(s, 0, a),
                               .name = db_column(s, 1, a),
                               .page = db_column(s, 2, a),
                               .query = db_column(s, 3, a),
                               .key_id = sqlite3_column_int64(s, 4),
                               .changed_us = sqlite3_column_int64(s, 5)};
}

bool saved_views_read(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view **list, size_t *count,
                struct err *e) {
    *list = arena_alloc(a, VIEWS_MOST * sizeof **list);
    *count = 0;
    sqlite3 *db = catalog_lock(c);
    sqlite3_stmt *s = db_prepare(db, "SELECT " COLUMNS " FROM views WHERE workspace = ? ORDER BY name, id LIMIT ?");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, VIEWS_MOST);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) (*list)[(*count)++] = row(s, a);
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}

/* ---- changes; each is one transaction, begun and ended by its caller ---- */

static bool find(sqlite3 *db, uint32_t workspace, struct str id, struct arena *a, struct saved_view *out,
                 struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "SELECT " COLUMNS " FROM views WHERE workspace = ? AND id = ?");
    sqlite3_bind_int64(s, 1, workspace);
    db_bind_text(s, 2, id);
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW) *out = row(s, a);
    bool ok = step == SQLITE_ROW || (step == SQLITE_DONE ? err_set(e, ERR_NOT_FOUND, "there is no view with this id")
                                                         : db_error(db, e, "reading"));
    sqlite3_finalize(s);
    return ok;
}

static bool put(sqlite3 *db, uint32_t workspace, struct saved_view *v, struct err *e) {
    v->changed_us = clock_now_us();
    sqlite3_stmt *s = db_prepare(db, "INSERT INTO views (workspace, " COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                                     " ON CONFLICT (workspace, id) DO UPDATE SET name = ?3, page = ?4, query = ?5,"
                                     " key = ?6, changed_us = ?7");
    sqlite3_bind_int64(s, 1, workspace);
    db_bind_text(s, 2, v->id);
    db_bind_text(s, 3, v->name);
    db_bind_text(s, 4, v->page);
    db_bind_text(s, 5, v->query);
    sqlite3_bind_int64(s, 6, v->key_id);
    sqlite3_bind_int64(s, 7, v->changed_us);
    return db_step_and_finish(db, s, e);
}

static bool note(struct catalog *c, sqlite3 *db, uint32_t workspace, int64_t key_id, struct str name, struct str what,
                 struct err *e) {
    const struct activity x = {.key_id = key_id, .action = ACTIVITY_VIEW, .subject = name, .detail = what};
    return activity_insert(c, db, workspace, &x, e);
}

/* One that no view of the workspace has. */
static bool new_id(sqlite3 *db, uint32_t workspace, struct arena *a, struct str *out, struct err *e) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    struct saved_view there;
    struct err none = {0};
    char *id = arena_alloc(a, VIEW_ID);
    *out = (struct str){id, VIEW_ID};
    do {
        for (size_t i = 0; i < VIEW_ID; i++) id[i] = letters[randombytes_uniform(sizeof letters - 1)];
    } while (find(db, workspace, *out, a, &there, &none));
    if (none.code != ERR_NOT_FOUND) *e = none;
    return none.code == ERR_NOT_FOUND;
}

static bool room(sqlite3 *db, uint32_t workspace, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "SELECT count(*) FROM views WHERE workspace = ?");
    sqlite3_bind_int64(s, 1, workspace);
    return db_number(s) < VIEWS_MOST ||
           err_set(e, ERR_NO_SPACE, "this workspace has %d views, the most there may be; remove one", VIEWS_MOST);
}

bool saved_view_add(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view *v, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) &&
              db_end(db,
                     room(db, workspace, e) && new_id(db, workspace, a, &v->id, e) && put(db, workspace, v, e) &&
                         note(c, db, workspace, v->key_id, v->name, STR("added"), e),
                     e);
    catalog_unlock(c);
    return ok;
}

static bool change(struct catalog *c, sqlite3 *db, uint32_t workspace, struct arena *a, struct saved_view *v,
                   struct err *e) {
    struct saved_view was;
    if (!find(db, workspace, v->id, a, &was, e)) return false;
    if (!v->name.p) v->name = was.name;
    if (!v->page.p) v->page = was.page;
    if (!v->query.p) v->query = was.query;
    return put(db, workspace, v, e) && note(c, db, workspace, v->key_id, v->name, STR("changed"), e);
}

bool saved_view_change(struct catalog *c, uint32_t workspace, struct arena *a, struct saved_view *v, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, change(c, db, workspace, a, v, e), e);
    catalog_unlock(c);
    return ok;
}

static bool drop(struct catalog *c, sqlite3 *db, uint32_t workspace, struct str id, int64_t key_id, struct err *e) {
    struct arena a = {0};
    struct saved_view was;
    bool ok = find(db, workspace, id, &a, &was, e);
    if (ok) {
        sqlite3_stmt *s = db_prepare(db, "DELETE FROM views WHERE workspace = ? AND id = ?");
        sqlite3_bind_int64(s, 1, workspace);
        db_bind_text(s, 2, id);
        ok = db_step_and_finish(db, s, e) && note(c, db, workspace, key_id, was.name, STR("removed"), e);
    }
    arena_free(&a);
    return ok;
}

bool saved_view_remove(struct catalog *c, uint32_t workspace, struct str id, int64_t key_id, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) && db_end(db, drop(c, db, workspace, id, key_id, e), e);
    catalog_unlock(c);
    return ok;
}
