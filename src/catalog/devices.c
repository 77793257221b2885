#include "catalog/devices.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "catalog/internal.h"

enum { WAITING_MOST = 1024, SERVERS_MOST = 32 /* of a device */, ROWS_MOST = 50000 /* of a workspace */ };

const char devices_schema[] =
    "CREATE TABLE IF NOT EXISTS servers (workspace INTEGER NOT NULL, device TEXT NOT NULL, server TEXT NOT NULL,"
    " version TEXT NOT NULL, hostname TEXT NOT NULL, ip TEXT NOT NULL, platform TEXT NOT NULL,"
    " release TEXT NOT NULL, architecture TEXT NOT NULL, tags TEXT NOT NULL, started_us INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, interval_us INTEGER NOT NULL, reports INTEGER NOT NULL,"
    " inferences INTEGER NOT NULL, set_aside INTEGER NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (workspace, device, server)) STRICT,"
    " WITHOUT ROWID;";

/* The gap between two reports of one process is its interval. What is nearer than 0.2 s comes from two processes that
 * call themselves the same; what is farther than three intervals was a silence. */
static const char upsert[] =
    "INSERT INTO servers (workspace, device, server, version, hostname, ip, platform, release, architecture, tags,"
    " started_us, first_us, last_us, interval_us, reports, inferences, set_aside, peer)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, 0, 1, ?13, ?14, ?15)"
    " ON CONFLICT (workspace, device, server) DO UPDATE SET version = ?4, hostname = ?5, ip = ?6, platform = ?7,"
    " release = ?8, architecture = ?9, tags = iif(?10 = '', tags, ?10), started_us = ?11,"
    " interval_us = CASE WHEN started_us <> ?11 THEN 0 WHEN ?12 - last_us < 200000 THEN interval_us"
    " WHEN interval_us = 0 OR ?12 - last_us < 3 * interval_us THEN ?12 - last_us ELSE interval_us END,"
    " last_us = max(last_us, ?12), reports = reports + 1, inferences = inferences + ?13, set_aside = set_aside + ?14, peer = ?15";

/* ---- what waits to be written ---- */

struct waiting {
    struct waiting *next;
    struct sighting s;
    struct arena arena;
};

static struct str copied(struct arena *a, struct str s) { return (struct str){arena_copy(a, s.p, s.n), s.n}; }

static struct waiting *copy_of(const struct sighting *s) {
    struct waiting *w = mem_zero(1, sizeof *w);
    struct arena *a = &w->arena;
    w->s = *s;
    struct str *const texts[] = {&w->s.device_id, &w->s.server_id, &w->s.version,          &w->s.hostname,    &w->s.ip_address,
                                 &w->s.platform,  &w->s.tags,      &w->s.platform_release, &w->s.architecture, &w->s.peer};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = copied(a, *texts[i]);
    return w;
}

void sightings_init(struct sightings *q) {
    pthread_mutex_init(&q->lock, NULL);
    q->end = &q->first;
}

void sightings_free(struct sightings *q) { pthread_mutex_destroy(&q->lock); }

void devices_seen(struct catalog *c, const struct sighting *s) {
    struct sightings *q = catalog_sightings(c);
    struct waiting *w = copy_of(s);
    pthread_mutex_lock(&q->lock);
    *q->end = w;
    q->end = &w->next;
    bool many = ++q->count > WAITING_MOST;
    pthread_mutex_unlock(&q->lock);
    if (!many) return;
    sqlite3 *db = catalog_lock(c);
    sightings_write(q, db);
    catalog_unlock(c);
}

/* ---- writing ---- */

static bool write_one(sqlite3 *db, sqlite3_stmt *s, const struct sighting *x, struct err *e) {
    sqlite3_bind_int64(s, 1, x->workspace);
    const struct str texts[] = {x->device_id, x->server_id,        x->version,      x->hostname, x->ip_address,
                                x->platform,  x->platform_release, x->architecture, x->tags};
    for (int i = 0; i < 9; i++) db_bind_text(s, 2 + i, texts[i]);
    sqlite3_bind_int64(s, 11, x->started_us);
    sqlite3_bind_int64(s, 12, x->time_us);
    sqlite3_bind_int64(s, 13, (int64_t)x->inferences);
    sqlite3_bind_int64(s, 14, (int64_t)x->set_aside);
    db_bind_text(s, 15, x->peer);
    return db_step_and_reset(db, s, e);
}

static bool drop_oldest(sqlite3 *db, const struct sighting *x, struct err *e) {
    sqlite3_stmt *s = db_prepare(db, "DELETE FROM servers WHERE workspace = ?1 AND device = ?2 AND last_us < (SELECT"
                                     " last_us FROM servers WHERE workspace = ?1 AND device = ?2 ORDER BY last_us DESC"
                                     " LIMIT 1 OFFSET ?3 - 1)");
    sqlite3_bind_int64(s, 1, x->workspace);
    db_bind_text(s, 2, x->device_id);
    sqlite3_bind_int64(s, 3, SERVERS_MOST);
    return db_step_and_finish(db, s, e);
}

void sightings_write(struct sightings *q, sqlite3 *db) {
    pthread_mutex_lock(&q->lock);
    struct waiting *all = q->first;
    q->first = NULL;
    q->end = &q->first;
    q->count = 0;
    pthread_mutex_unlock(&q->lock);
    if (!all) return;
    struct err e = {0};
    bool ok = db_run(db, "BEGIN IMMEDIATE", &e);
    if (ok) {
        sqlite3_stmt *s = db_prepare(db, upsert);
        for (struct waiting *w = all; w && ok; w = w->next) ok = write_one(db, s, &w->s, &e);
        sqlite3_finalize(s);
        for (struct waiting *w = all; w && ok; w = w->next) ok = drop_oldest(db, &w->s, &e);
        ok = db_end(db, ok, &e);
    }
    char why[LOG_QUOTE];
    if (!ok) log_event(LOG_ERROR, "devices_not_kept", "why=%s", log_quote(why, str_of(e.msg)));
    for (struct waiting *next; all; all = next) {
        next = all->next;
        arena_free(&all->arena);
        free(all);
    }
}

/* ---- reading ---- */

bool devices_read(struct catalog *c, uint32_t workspace, struct arena *a, struct server_seen **list, size_t *count,
                  struct err *e) {
    sqlite3 *db = catalog_lock(c);
    sightings_write(catalog_sightings(c), db);
    *count = 0;
    *list = NULL;
    sqlite3_stmt *s = db_prepare(
        db, "SELECT device, server, version, hostname, ip, platform, release, architecture, tags, started_us, first_us,"
            " last_us, interval_us, reports, inferences, set_aside, count(*) OVER (), peer FROM servers WHERE workspace = ?"
            " ORDER BY device, last_us DESC LIMIT ?");
    sqlite3_bind_int64(s, 1, workspace);
    sqlite3_bind_int64(s, 2, ROWS_MOST);
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        if (!*list) *list = arena_alloc(a, (size_t)sqlite3_column_int64(s, 16) * sizeof **list);
        struct server_seen *x = &(*list)[(*count)++];
        struct str *const texts[] = {&x->last.device_id,    &x->last.server_id,  &x->last.version,
                                     &x->last.hostname,     &x->last.ip_address, &x->last.platform,
                                     &x->last.platform_release, &x->last.architecture, &x->last.tags};
        for (int i = 0; i < 9; i++) *texts[i] = db_column(s, i, a);
        x->last.workspace = workspace;
        x->last.started_us = sqlite3_column_int64(s, 9);
        x->first_us = sqlite3_column_int64(s, 10);
        x->last.time_us = sqlite3_column_int64(s, 11);
        x->interval_us = sqlite3_column_int64(s, 12);
        x->reports = (uint64_t)sqlite3_column_int64(s, 13);
        x->last.inferences = (uint64_t)sqlite3_column_int64(s, 14);
        x->last.set_aside = (uint64_t)sqlite3_column_int64(s, 15);
        x->last.peer = db_column(s, 17, a);
    }
    bool ok = step == SQLITE_DONE || db_error(db, e, "reading");
    sqlite3_finalize(s);
    catalog_unlock(c);
    return ok;
}
