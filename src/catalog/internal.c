#include "catalog/internal.h"

#include "base/check.h"

bool db_error(sqlite3 *db, struct err *e, const char *what) {
    return err_set(e, sqlite3_errcode(db) == SQLITE_FULL ? ERR_NO_SPACE : ERR_IO, "catalog: %s: %s", what,
                   sqlite3_errmsg(db));
}

bool db_run(sqlite3 *db, const char *sql, struct err *e) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || db_error(db, e, "writing");
}

sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s = NULL;
    CHECK(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && "our SQL, on our schema");
    return s;
}

void db_bind_text(sqlite3_stmt *s, int at, struct str v) {
    sqlite3_bind_text(s, at, v.p ? v.p : "", (int)v.n, SQLITE_TRANSIENT);
}

bool db_step_and_finish(sqlite3 *db, sqlite3_stmt *s, struct err *e) {
    bool ok = db_step_and_reset(db, s, e);
    sqlite3_finalize(s);
    return ok;
}

bool db_step_and_reset(sqlite3 *db, sqlite3_stmt *s, struct err *e) {
    bool ok = sqlite3_step(s) == SQLITE_DONE || db_error(db, e, "writing");
    sqlite3_reset(s);
    return ok;
}

int64_t db_number(sqlite3_stmt *s) {
    int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return n;
}

struct str db_column(sqlite3_stmt *s, int at, struct arena *a) {
    const unsigned char *text = sqlite3_column_text(s, at);
    size_t n = (size_t)sqlite3_column_bytes(s, at);
    return (struct str){text && n ? arena_copy(a, text, n) : "", text ? n : 0};
}

bool db_end(sqlite3 *db, bool ok, struct err *e) {
    if (ok && db_run(db, "COMMIT", e)) return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}
