/* The same attaches on PostgreSQL: one prepared upsert a request, each its own durable transaction, over libpq with a
 * thread a connection. A row of `meta` is what an attach leaves: the value under (id, name), with the event's time for
 * the index by (name, value, time); an id without an event gets none, as a pending one. It keeps no history.
 *
 *   pg load --conninfo TEXT --ids N   makes the tables anew and loads the events
 *   pg w2 --conninfo TEXT ...         empties meta, runs, and compares every row of meta with what was acknowledged
 *
 * Prints one JSON line. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "work.h"

static const char schema[] =
    "DROP TABLE IF EXISTS ev, meta;"
    "CREATE TABLE ev(id uuid PRIMARY KEY, ts bigint NOT NULL, model text NOT NULL, device text NOT NULL,"
    " latency_s real);"
    "CREATE INDEX ON ev(ts);"
    "CREATE TABLE meta(id uuid NOT NULL, name text NOT NULL, value text NOT NULL, ts bigint, PRIMARY KEY (id, name));"
    "CREATE INDEX ON meta(name, value, ts)";

static const char on_conflict[] = " ON CONFLICT (id, name) DO UPDATE SET value = excluded.value, ts = excluded.ts";
static const char upsert_one[] = "INSERT INTO meta SELECT $1::uuid, $2, $3, (SELECT ts FROM ev WHERE id = $1::uuid)";
static const char upsert_entries[] =
    "INSERT INTO meta SELECT u.id, $2, u.value, ev.ts FROM unnest($1::uuid[], $3::text[]) u(id, value)"
    " LEFT JOIN ev USING (id)";
static const char upsert_ids[] =
    "INSERT INTO meta SELECT u.id, $2, $3::text, ev.ts FROM unnest($1::uuid[]) u(id) LEFT JOIN ev USING (id)";

struct worker {
    struct work *work;
    pthread_t thread;
    PGconn *connection;
    struct work_cursor cursor;
    struct work_tally tally;
    uint64_t requests; /* at most */
    int64_t stop_us;
    struct err error;
};

/* Takes the result; false with the server's text unless it has that status. */
static bool result_is(PGconn *c, PGresult *r, ExecStatusType want, struct err *e) {
    bool ok = PQresultStatus(r) == want;
    if (!ok) err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    PQclear(r);
    return ok;
}

static bool run_sql(PGconn *c, const char *sql, struct err *e) {
    return result_is(c, PQexec(c, sql), PGRES_COMMAND_OK, e);
}

static PGconn *pg_open(const struct work_options *o, struct err *e) {
    PGconn *c = PQconnectdb(o->conninfo ? o->conninfo : "");
    if (PQstatus(c) == CONNECTION_OK) return c;
    err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    PQfinish(c);
    return NULL;
}

static bool load(const struct work *w, struct err *e) {
    PGconn *c = pg_open(&w->o, e);
    if (!c) return false;
    struct buf rows = {0};
    int64_t now = clock_now_us();
    for (uint32_t i = 0; i < w->o.known; i++)
        buf_printf(&rows, "%.*s\t%lld\tline-%u\tedge-%02u\t0.%03u\n", WORK_ID, w->ids[i], (long long)now + i * 1000LL,
                   i % 4, i % 40, i % 200 + 5);
    bool ok = rows.n < INT32_MAX || err_set(e, ERR_INVALID, "--ids %u: too many to load at once", w->o.known);
    ok = ok && run_sql(c, schema, e) && result_is(c, PQexec(c, "COPY ev FROM STDIN"), PGRES_COPY_IN, e);
    if (ok && (PQputCopyData(c, rows.p, (int)rows.n) != 1 || PQputCopyEnd(c, NULL) != 1))
        ok = err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    for (PGresult *r; ok && (r = PQgetResult(c));) ok = result_is(c, r, PGRES_COMMAND_OK, e);
    ok = ok && run_sql(c, "VACUUM ANALYZE ev", e);
    buf_free(&rows);
    PQfinish(c);
    return ok;
}

static bool prepare(struct worker *w) {
    const struct work_options *o = &w->work->o;
    struct buf sql = {0};
    w->connection = pg_open(o, &w->error);
    if (!w->connection) return false;
    buf_printf(&sql, "%s%s", o->items == 1 ? upsert_one : o->one_entry ? upsert_ids : upsert_entries, on_conflict);
    buf_addc(&sql, '\0');
    bool ok = result_is(w->connection, PQprepare(w->connection, "attach", sql.p, 3, NULL), PGRES_COMMAND_OK, &w->error);
    buf_free(&sql);
    return ok;
}

static void parameters(const struct work *w, const struct work_item *items, struct buf *ids, struct buf *values) {
    bool list = w->o.items > 1, value_list = list && !w->o.one_entry;
    char value[WORK_VALUE];
    ids->n = values->n = 0;
    for (unsigned i = 0; i < w->o.items; i++) {
        if (list) buf_addc(ids, i ? ',' : '{');
        buf_add(ids, w->ids[items[i].number], WORK_ID);
        if (i && !value_list) continue;
        if (value_list) buf_addc(values, i ? ',' : '{');
        work_value(items[i].value, value);
        buf_add(values, value, sizeof value);
    }
    if (list) buf_addc(ids, '}');
    if (value_list) buf_addc(values, '}');
    buf_addc(ids, '\0');
    buf_addc(values, '\0');
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct work_item *items = mem_zero(WORK_MAX_ITEMS, sizeof *items);
    struct buf ids = {0}, values = {0};
    for (uint64_t i = 0; i < w->requests && clock_mono_us() < w->stop_us; i++) {
        work_next(w->work, &w->cursor, items);
        parameters(w->work, items, &ids, &values);
        const char *arguments[] = {ids.p, WORK_FIELD, values.p};
        int64_t sent = clock_mono_us();
        PGresult *r = PQexecPrepared(w->connection, "attach", 3, arguments, NULL, NULL, 0);
        unsigned long long rows = 0;
        str_to_u64(str_of(PQcmdTuples(r)), &rows);
        if (!result_is(w->connection, r, PGRES_COMMAND_OK, &w->error)) break;
        if (rows != w->work->o.items) {
            err_set(&w->error, ERR_IO, "PostgreSQL: %llu rows written of %u", rows, w->work->o.items);
            break;
        }
        w->tally.ended_us = clock_mono_us();
        work_acknowledged(w->work, items, &w->tally, w->tally.ended_us - sent);
    }
    buf_free(&ids);
    buf_free(&values);
    free(items);
    return NULL;
}

/* Every row must hold the last acknowledged value, and every id acknowledged must have its row. */
static bool count_back(const struct work *w, struct err *e) {
    PGconn *c = pg_open(&w->o, e);
    if (!c) return false;
    uint64_t written = 0, wrong = 0, sum = 0, want = 0;
    for (uint32_t i = 0; i < w->o.known + w->o.unknown; i++)
        if (w->last[i]) {
            written++;
            want += work_hash(w->id_hash[i], w->value_hash[w->last[i] - 1]);
        }
    PGresult *r = PQexec(c, "SELECT id, value FROM meta WHERE name = '" WORK_FIELD "'");
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    int rows = ok ? PQntuples(r) : 0;
    for (int i = 0; i < rows; i++)
        sum += work_hash(work_text_hash(PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0)),
                         work_text_hash(PQgetvalue(r, i, 1), (size_t)PQgetlength(r, i, 1)));
    wrong = (uint64_t)rows != written || sum != want;
    if (!ok) err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    else if (wrong)
        ok = err_set(e, ERR_INVALID, "PostgreSQL: %d rows, %llu ids acknowledged, sum %s", rows,
                     (unsigned long long)written, sum == want ? "equal" : "different");
    PQclear(r);
    PQfinish(c);
    return ok;
}

static bool w2(struct work *work, struct err *e) {
    unsigned count = work->o.connections;
    PGconn *c = pg_open(&work->o, e);
    if (!c) return false;
    bool ok = run_sql(c, "TRUNCATE meta", e) && run_sql(c, "CHECKPOINT", e);
    PQfinish(c);
    struct worker *workers = mem_zero(count, sizeof *workers);
    struct work_tally all;
    work_tally_init(&all);
    for (unsigned i = 0; ok && i < count; i++) {
        workers[i] = (struct worker){.work = work, .cursor.connection = i};
        workers[i].requests = work->o.requests ? work->o.requests / count + (i < work->o.requests % count) : UINT64_MAX;
        work_tally_init(&workers[i].tally);
        if (!prepare(&workers[i])) ok = false, *e = workers[i].error;
    }
    int64_t started = clock_mono_us();
    if (ok) {
        for (unsigned i = 0; i < count; i++) {
            workers[i].stop_us = started + (int64_t)(work->o.seconds * 1e6);
            CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
        }
        for (unsigned i = 0; i < count; i++) {
            CHECK(pthread_join(workers[i].thread, NULL) == 0);
            work_tally_add(&all, &workers[i].tally);
            if (ok && workers[i].error.code) ok = false, *e = workers[i].error;
        }
        ok = ok && count_back(work, e);
        work_report(work, "w2", &all, started, !ok);
    }
    for (unsigned i = 0; i < count; i++) {
        if (workers[i].connection) PQfinish(workers[i].connection);
        work_tally_free(&workers[i].tally);
    }
    free(workers);
    work_tally_free(&all);
    return ok;
}

int main(int argc, char **argv) {
    struct work_options o;
    struct work w = {0};
    struct err e = {0};
    const char *what = argc > 1 ? argv[1] : "";
    bool ok = work_options_read(&o, argc, argv, &e) && work_init(&w, &o, &e);
    if (ok && !strcmp(what, "load")) ok = load(&w, &e);
    else if (ok && !strcmp(what, "w2")) ok = w2(&w, &e);
    else if (ok) ok = err_set(&e, ERR_INVALID, "want load or w2; --help lists the options");
    if (!ok) fprintf(stderr, "pg: %s\n", e.msg);
    work_free(&w);
    return ok ? 0 : 1;
}
