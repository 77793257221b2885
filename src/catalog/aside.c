#include "catalog/aside.h"

#include "catalog/internal.h"

const char aside_schema[] =
    "CREATE TABLE IF NOT EXISTS set_aside (id INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL,"
    " time_us INTEGER NOT NULL, source TEXT NOT NULL, device TEXT NOT NULL, server TEXT NOT NULL,"
    " reason TEXT NOT NULL, item TEXT NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS set_aside_of ON set_aside (workspace, id);"
    "CREATE TABLE IF NOT EXISTS set_aside_counts (workspace INTEGER PRIMARY KEY, total INTEGER NOT NULL) STRICT;";

static bool insert(sqlite3 *db, uint32_t workspace, const struct aside *list, size_t count, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "INSERT INTO set_aside (workspace, time_us, source, device, server, reason, item)"
                                     " VALUES (?, ?, ?, ?, ?, ?, ?)");
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        const struct aside *a = &list[i];
        sqlite3_bind_int64(s, 1, workspace);
        sqlite3_bind_int64(s, 2, a->time_us);
        db_bind_text(s, 3, a->source);
        db_bind_text(s, 4, a->device_id);
        db_bind_text(s, 5, a->server_id);
        db_bind_text(s, 6, a->reason);
        db_bind_text(s, 7, a->item.n <= ASIDE_ITEM_MOST ? a->item : STR(""));
        ok = db_step_and_reset(db, s, e);
    }
    sqlite3_finalize(s);
    return ok;
}

static bool count_up(sqlite3 *db, uint32_t workspace, uint64_t more, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "INSERT INTO set_aside_counts (workspace, total) VALUES (?1, ?2)"
                                     " ON CONFLICT (workspace) DO UPDATE SET total = total + ?2");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, (int64_t)more);
    return db_step_and_finish(db, s, e);
}

static bool drop_oldest(sqlite3 *db, uint32_t workspace, unsigned most, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "DELETE FROM set_aside WHERE workspace = ?1 AND id <= (SELECT id FROM set_aside"
                                     " WHERE workspace = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, most);
    return db_step_and_finish(db, s, e);
}

bool aside_add(struct catalog *c, uint32_t workspace, const struct aside *list, size_t count, uint64_t counted,
               unsigned most, struct err *e) {
    sqlite3 *db = catalog_lock(c);
    bool ok = db_run(db, "BEGIN IMMEDIATE", e);
    if (ok)
        ok = db_end(db,
                    insert(db, workspace, list, count, e) && count_up(db, workspace, counted, e) &&
                        drop_oldest(db, workspace, most, e),
                    e);
    catalog_unlock(c);
    return ok;
}

static uint64_t number_of(sqlite3 *db, const char *sql, uint32_t workspace) {
    sqlite3_stmt *s = db_prepare(db, sql);
    sqlite3_bind_int64(s, 1, workspace);
    return (uint64_t)db_number(s);
}

bool aside_read(struct catalog *c, uint32_t workspace, int64_t before, unsigned limit, struct arena *a,
                struct aside_list *out, struct err *e) {
    *out = (struct aside_list){.items = arena_alloc(a, (limit ? limit : 1) * sizeof *out->items)};
    sqlite3 *db = catalog_lock(c);
    out->total = number_of(db, "SELECT total FROM set_aside_counts WHERE workspace = ?", workspace);
    out->kept = number_of(db, "SELECT count(*) FROM set_aside WHERE workspace = ?", workspace);
    sqlite3_stmt *s = db_prepare(db, "SELECT id, time_us, source, device, server, reason, item FROM set_aside"
                                     " WHERE workspace = ? AND id < ? ORDER BY id DESC LIMIT ?");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, before ? before : INT64_MAX);
    sqlite3_bind_int64(s, 3, limit);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW)
        out->items[out->count++] = (struct aside){
            .id = sqlite3_column_int64(s, 0),
            .time_us = sqlite3_column_int64(s, 1),
            .source = db_column(s, 2, a),
            .device_id = db_column(s, 3, a),
            .server_id = db_column(s, 4, a),
            .reason = db_column(s, 5, a),
            .item = db_column(s, 6, a),
        };
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}
