/* What the files of catalog/ share, and nobody else sees: the database, one user at a time, and the little that makes
 * SQLite short to use. */
#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "catalog/catalog.h"

/* Between the two the caller has the database to itself. */
sqlite3 *catalog_lock(struct catalog *c);
void catalog_unlock(struct catalog *c);

/* Of each file that has tables of its own; catalog_open runs them. */
extern const char aside_schema[], failures_schema[], devices_schema[], activity_schema[], settings_schema[],
    views_schema[], markers_schema[];

bool db_error(sqlite3 *db, struct err *e, const char *what); /* false */
bool db_run(sqlite3 *db, const char *sql, struct err *e);
sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql); /* our SQL on our schema: it cannot fail */
void db_bind_text(sqlite3_stmt *s, int at, struct str v);
bool db_step_and_finish(sqlite3 *db, sqlite3_stmt *s, struct err *e);
bool db_step_and_reset(sqlite3 *db, sqlite3_stmt *s, struct err *e);
int64_t db_number(sqlite3_stmt *s); /* of the one row of a question for a number, 0 without a row; finishes it */
/* A text column, copied. */
struct str db_column(sqlite3_stmt *s, int at, struct arena *a);
/* Ends a transaction that `BEGIN` has begun: with COMMIT when all went well, else with ROLLBACK. Gives `ok` back. */
bool db_end(sqlite3 *db, bool ok, struct err *e);

/* devices.c: what was seen and is not written yet. */
struct waiting;
struct sightings {
    pthread_mutex_t lock; /* innermost; held for a few instructions */
    struct waiting *first, **end;
    size_t count;
};
void sightings_init(struct sightings *q);
void sightings_free(struct sightings *q);
void sightings_write(struct sightings *q, sqlite3 *db); /* between catalog_lock and catalog_unlock */
struct sightings *catalog_sightings(struct catalog *c);

/* activity.c: what was noted and is not written yet, in as many places as threads note at once. */
struct activity;
struct notes_shard;
enum { NOTES_SHARDS = 8 };
struct notes {
    struct notes_shard *shards;
    unsigned most; /* of each kind and workspace; set before there are threads */
};
void notes_init(struct notes *q);
void notes_free(struct notes *q);
void notes_write(struct notes *q, sqlite3 *db); /* between catalog_lock and catalog_unlock, in no transaction */
struct notes *catalog_notes(struct catalog *c);
/* One entry, now, as part of the caller's transaction. */
bool activity_insert(struct catalog *c, sqlite3 *db, uint32_t workspace, const struct activity *a, struct err *e);
