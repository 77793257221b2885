#include "catalog/failures.h"

#include <stdio.h>

#include "catalog/internal.h"

const char failures_schema[] =
    "CREATE TABLE IF NOT EXISTS failures (id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL,"
    " session TEXT NOT NULL, start_ns INTEGER NOT NULL, resource TEXT NOT NULL, category TEXT NOT NULL,"
    " time_us INTEGER NOT NULL, host TEXT NOT NULL, type TEXT NOT NULL, status INTEGER NOT NULL, message TEXT NOT NULL,"
    " count INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX IF NOT EXISTS failures_once ON failures (workspace, session, start_ns, resource);"
    "CREATE INDEX IF NOT EXISTS failures_at ON failures (workspace, time_us);";

static bool insert(sqlite3 *db, uint32_t workspace, const struct failure *list, size_t count, size_t *added,
                   struct err *e) {
    sqlite3_stmt *s =
        db_prepare(db, "INSERT OR IGNORE INTO failures (workspace, session, start_ns, resource, category,"
                       " time_us, host, type, status, message, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        const struct failure *f = &list[i];
        sqlite3_bind_int64(s, 1, workspace);
        db_bind_text(s, 2, f->session);
        sqlite3_bind_int64(s, 3, f->start_ns);
        db_bind_text(s, 4, f->resource);
        db_bind_text(s, 5, f->category);
        sqlite3_bind_int64(s, 6, f->time_us);
        db_bind_text(s, 7, f->host);
        db_bind_text(s, 8, f->type);
        sqlite3_bind_int64(s, 9, f->status);
        db_bind_text(s, 10, f->message);
        sqlite3_bind_int64(s, 11, (int64_t)f->count);
        ok = db_step_and_reset(db, s, e);
        *added += ok ? (size_t)sqlite3_changes(db) : 0;
    }
    sqlite3_finalize(s);
    return ok;
}

static bool drop_oldest(sqlite3 *db, uint32_t workspace, unsigned most, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "DELETE FROM failures WHERE workspace = ?1 AND time_us < (SELECT time_us"
                                     " FROM failures WHERE workspace = ?1 ORDER BY time_us DESC LIMIT 1 OFFSET ?2 - 1)");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, most);
    return db_step_and_finish(db, s, e);
}

bool failures_add(struct catalog *c, uint32_t workspace, const struct failure *list, size_t count, unsigned most,
                  size_t *added, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    *added = 0;
    bool ok = db_run(db, "BEGIN IMMEDIATE", e) &&
              db_end(db, insert(db, workspace, list, count, added, e) && drop_oldest(db, workspace, most, e), e);
    catalog_unlock(c);
    return ok;
}

bool failures_sum(struct catalog *c, const struct failure_range *r, enum failure_key by, int64_t width_us,
                  struct arena *a, struct failure_sum **sums, size_t *count, struct err *e) {
    static const char *const keys[] = {
        [FAILURE_ALL] = "0",       [FAILURE_MODEL] = "resource",    [FAILURE_HOST] = "host",
        [FAILURE_TYPE] = "type",   [FAILURE_CATEGORY] = "category", [FAILURE_TIME] = "time_us / ?5",
    };
    char sql[600];
    size_t room = 0;
    *count = 0;
    *sums = NULL;
    /* The message beside max(time_us) is that of the newest row: SQLite takes bare columns from there. A time before
     * 1970 is refused on its way in, so that the division rounds down. */
    snprintf(sql, sizeof sql,
             "SELECT %s, sum(count), max(time_us), message, count(*) OVER () FROM failures WHERE workspace = ?1 AND"
             " time_us >= ?2 AND time_us < ?3 AND (NOT ?4 OR category = 'model')%s%s ORDER BY 1",
             keys[by], by == FAILURE_ALL ? "" : " GROUP BY ", by == FAILURE_ALL ? "" : "1");
    sqlite3 *db = catalog_lock(c);
    sqlite3_stmt *s = db_prepare(db, sql);
    sqlite3_bind_int64(s, 1, r->workspace);
    sqlite3_bind_int64(s, 2, r->from_us);
    sqlite3_bind_int64(s, 3, r->to_us);
    sqlite3_bind_int(s, 4, r->models);
    if (by == FAILURE_TIME) sqlite3_bind_int64(s, 5, width_us);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        if (!*sums) *sums = arena_alloc(a, (room = (size_t)sqlite3_column_int64(s, 4)) * sizeof **sums);
        if (*count == room) break;
        (*sums)[(*count)++] = (struct failure_sum){
            .text = by == FAILURE_TIME ? (struct str){0} : db_column(s, 0, a),
            .bucket = sqlite3_column_int64(s, 0),
            .count = (uint64_t)sqlite3_column_int64(s, 1),
            .last_us = sqlite3_column_int64(s, 2),
            .message = db_column(s, 3, a),
        };
    }
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}
