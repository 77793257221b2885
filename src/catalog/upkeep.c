#include "catalog/upkeep.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH = 4200, BUSY_MS = 5000, PAGES = 256 };

static sqlite3 *open_read(const char *dir, struct err *e) {
    char path[PATH];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_busy_timeout(db, BUSY_MS);
        return db;
    }
    err_set(e, ERR_IO, "%s: %s", path, db ? sqlite3_errmsg(db) : "no memory");
    sqlite3_close(db);
    return NULL;
}

static bool copy_pages(sqlite3 *from, sqlite3 *to, struct err *e) {
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int step = SQLITE_OK;
    while (b && (step == SQLITE_OK || step == SQLITE_BUSY || step == SQLITE_LOCKED)) {
        step = sqlite3_backup_step(b, PAGES);
        if (step == SQLITE_BUSY || step == SQLITE_LOCKED) sqlite3_sleep(10);
    }
    if (b) sqlite3_backup_finish(b);
    return step == SQLITE_DONE || err_set(e, sqlite3_errcode(to) == SQLITE_FULL ? ERR_NO_SPACE : ERR_IO,
                                          "copying the catalog: %s", sqlite3_errmsg(to));
}

bool catalog_copy(const char *dir, const char *to, struct err *e) {
    sqlite3 *from = open_read(dir, e), *copy = NULL;
    if (!from) return false;
    mode_t mask = umask(077);
    bool ok = sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK ||
              err_set(e, ERR_IO, "%s: %s", to, copy ? sqlite3_errmsg(copy) : "no memory");
    umask(mask);
    ok = ok && copy_pages(from, copy, e);
    sqlite3_close(copy);
    sqlite3_close(from);
    return ok;
}

/* Calls back for each row but "ok". */
static bool integrity(sqlite3 *db, void (*wrong)(void *ctx, const char *what), void *ctx, struct err *e) {
    sqlite3_stmt *s = NULL;
    int step = sqlite3_prepare_v2(db, "PRAGMA integrity_check(100)", -1, &s, NULL);
    while (step == SQLITE_OK || step == SQLITE_ROW) {
        step = sqlite3_step(s);
        const char *what = step == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
        if (what && strcmp(what, "ok") != 0) wrong(ctx, what);
    }
    sqlite3_finalize(s);
    return step == SQLITE_DONE || err_set(e, ERR_DAMAGED, "catalog.db: %s", sqlite3_errmsg(db));
}

static bool read_store_id(sqlite3 *db, char store_id[UUID_TEXT], struct err *e) {
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, "SELECT id FROM store", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW && sqlite3_column_bytes(s, 0) == UUID_TEXT - 1;
    if (ok) memcpy(store_id, sqlite3_column_text(s, 0), UUID_TEXT);
    sqlite3_finalize(s);
    return ok || err_set(e, ERR_DAMAGED, "catalog.db is damaged, or none of sightglass: %s", sqlite3_errmsg(db));
}

bool catalog_verify(const char *dir, char store_id[UUID_TEXT], void (*wrong)(void *ctx, const char *what), void *ctx,
                    struct err *e) {
    sqlite3 *db = open_read(dir, e);
    if (!db) return false;
    bool ok = read_store_id(db, store_id, e) && integrity(db, wrong, ctx, e);
    sqlite3_close(db);
    return ok;
}
