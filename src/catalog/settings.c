#include "catalog/settings.h"

#include "base/clock.h"
#include "catalog/internal.h"

const char settings_schema[] =
    "CREATE TABLE IF NOT EXISTS settings (workspace INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " changed_us INTEGER NOT NULL, PRIMARY KEY (workspace, name)) STRICT, WITHOUT ROWID;";

bool setting_read(struct catalog *c, uint32_t workspace, const char *name, struct arena *a, struct str *value,
                  struct err *e) {
    *value = (struct str){0};
    sqlite3 *db = catalog_lock(c);
    sqlite3_stmt *s = db_prepare(db, "SELECT value FROM settings WHERE workspace = ? AND name = ?");
    sqlite3_bind_int64(s, 1, workspace);
    db_bind_text(s, 2, str_of(name));
    int step = sqlite3_step(s);
    if (step == SQLITE_ROW) *value = db_column(s, 0, a);
    bool ok = step == SQLITE_ROW || step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}

static bool write_value(sqlite3 *db, uint32_t workspace, const char *name, struct str value, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, value.p ? "INSERT INTO settings (workspace, name, value, changed_us)"
                                               " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (workspace, name)"
                                               " DO UPDATE SET value = ?3, changed_us = ?4"
                                             : "DELETE FROM settings WHERE workspace = ?1 AND name = ?2");
    sqlite3_bind_int64(s, 1, workspace);
    db_bind_text(s, 2, str_of(name));
    if (value.p) db_bind_text(s, 3, value);
    if (value.p) sqlite3_bind_int64(s, 4, clock_now_us());
    return db_step_and_finish(db, s, e);
}

bool setting_write(struct catalog *c, uint32_t workspace, const char *name, struct str value,
                   const struct activity *note, struct err *e) {
    struct activity noted = *note;
    noted.action = ACTIVITY_SETTING;
    if (noted.subject.n == 0) noted.subject = str_of(name);
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) &&
              db_end(db, write_value(db, workspace, name, value, e) && activity_insert(c, db, workspace, &noted, e), e);
    catalog_unlock(c);
    return ok;
}
