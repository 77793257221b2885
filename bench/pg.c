/* The same work on PostgreSQL, over libpq: a thread a connection, each request its own durable transaction.
 *
 *   pg load      makes the tables anew, loads the data and its metadata, indexes, analyses
 *   pg review    a row of one more field for a fifth of the inferences
 *   pg ingest    W1: COPY of --items rows a transaction
 *   pg attach    W2: one prepared upsert a request; then compares every row with what was acknowledged
 *   pg ask       times the SQL of --file, a statement a line; a line that begins with "!" is run once, untimed
 *
 * A row of `meta` is what an attach leaves: the value under (id, field), with the inference's time for the index; an id
 * without an inference gets none, as a pending one. It keeps no history. Prints one JSON line. */
#include "pg.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "lines.h"
#include "tally.h"
#include "work.h"

/* ---- libpq ---- */

bool pg_result_is(PGconn *c, PGresult *r, ExecStatusType want, struct err *e) {
    bool ok = PQresultStatus(r) == want;
    if (!ok) err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    PQclear(r);
    return ok;
}

bool pg_run(PGconn *c, const char *sql, struct err *e) { return pg_result_is(c, PQexec(c, sql), PGRES_COMMAND_OK, e); }

PGconn *pg_open(const struct options *o, struct err *e) {
    PGconn *c = PQconnectdb(o->conninfo ? o->conninfo : "");
    if (PQstatus(c) == CONNECTION_OK) return c;
    err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    PQfinish(c);
    return NULL;
}

bool pg_copy_begin(PGconn *c, const char *sql, struct err *e) {
    return pg_result_is(c, PQexec(c, sql), PGRES_COPY_IN, e);
}

bool pg_copy_rows(PGconn *c, struct buf *rows, struct err *e) {
    bool ok = PQputCopyData(c, rows->p, (int)rows->n) == 1;
    rows->n = 0;
    return ok || err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
}

bool pg_copy_end(PGconn *c, struct err *e) {
    bool ok = PQputCopyEnd(c, NULL) == 1 || err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
    for (PGresult *r; ok && (r = PQgetResult(c));) ok = pg_result_is(c, r, PGRES_COMMAND_OK, e);
    return ok;
}

/* ---- a thread a connection ---- */

struct worker {
    const struct options *o;
    struct work *work; /* attach */
    uint64_t *next;    /* ingest: the next number, taken atomically */
    pthread_t thread;
    unsigned number;
    PGconn *connection;
    struct tally tally;
    uint64_t requests; /* at most */
    int64_t stop_us;
    struct err error;
};

static bool run_workers(struct worker *workers, const struct options *o, void *(*body)(void *), struct tally *all,
                        int64_t *started, struct err *e) {
    bool ok = true;
    tally_init(all);
    *started = clock_mono_us();
    for (unsigned i = 0; i < o->connections; i++) {
        workers[i].stop_us = *started + (int64_t)(o->seconds * 1e6);
        CHECK(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < o->connections; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        tally_add(all, &workers[i].tally);
        if (ok && workers[i].error.code) ok = false, *e = workers[i].error;
    }
    return ok;
}

static bool open_workers(struct worker *workers, const struct options *o, const char *prepare, struct err *e) {
    for (unsigned i = 0; i < o->connections; i++) {
        struct worker *w = &workers[i];
        w->o = o;
        w->number = i;
        w->requests = o->requests ? o->requests / o->connections + (i < o->requests % o->connections) : UINT64_MAX;
        tally_init(&w->tally);
        if (!(w->connection = pg_open(o, e))) return false;
        if (!pg_run(w->connection, "SET enable_seqscan = off", e)) return false;
        if (prepare &&
            !pg_result_is(w->connection, PQprepare(w->connection, "attach", prepare, 3, NULL), PGRES_COMMAND_OK, e))
            return false;
    }
    return true;
}

static void close_workers(struct worker *workers, const struct options *o) {
    for (unsigned i = 0; i < o->connections; i++) {
        if (workers[i].connection) PQfinish(workers[i].connection);
        tally_free(&workers[i].tally);
    }
    free(workers);
}

static void report(const char *what, const struct options *o, const struct tally *t, int64_t started, bool ok) {
    struct buf b = {0};
    tally_put(&b, t, started);
    printf("{\"work\":\"%s\",\"items_a_request\":%u,\"connections\":%u,%.*s,\"ok\":%s}\n", what, o->items,
           o->connections, (int)b.n, b.p, ok ? "true" : "false");
    buf_free(&b);
}

/* One number from a query. */
static bool count_rows(const struct options *o, const char *sql, uint64_t *out, struct err *e) {
    unsigned long long n = 0;
    PGconn *c = pg_open(o, e);
    if (!c) return false;
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) str_to_u64(str_of(PQgetvalue(r, 0, 0)), &n);
    bool ok = pg_result_is(c, r, PGRES_TUPLES_OK, e);
    PQfinish(c);
    *out = n;
    return ok;
}

/* ---- W1 ---- */

static void *ingest_main(void *arg) {
    struct worker *w = arg;
    struct data d = {w->o->seed, w->o->events, w->o->end_us};
    struct data_event event;
    struct buf rows = {0};
    bool ok = true;
    for (uint64_t i = 0; ok && i < w->requests && clock_mono_us() < w->stop_us; i++) {
        uint64_t first = DATA_FRESH + w->o->first + __atomic_fetch_add(w->next, w->o->items, __ATOMIC_RELAXED);
        for (uint64_t n = first; n < first + w->o->items; n++) {
            data_event(&d, n, &event);
            event.time_us = clock_now_us();
            pg_event_row(&rows, &d, &event);
        }
        int64_t sent = clock_mono_us();
        ok = pg_copy_begin(w->connection, "COPY ev FROM STDIN", &w->error) &&
             pg_copy_rows(w->connection, &rows, &w->error) && pg_copy_end(w->connection, &w->error);
        if (!ok) break;
        w->tally.ended_us = clock_mono_us();
        tally_latency(&w->tally, w->tally.ended_us - sent);
        w->tally.requests++;
        w->tally.items += w->o->items;
    }
    buf_free(&rows);
    return NULL;
}

static bool ingest(const struct options *o, struct err *e) {
    struct worker *workers = mem_zero(o->connections, sizeof *workers);
    struct tally all = {0};
    uint64_t next = 0, before = 0, after = 0;
    int64_t started = 0;
    bool ok = open_workers(workers, o, NULL, e) && count_rows(o, "SELECT count(*) FROM ev", &before, e);
    if (ok) {
        for (unsigned i = 0; i < o->connections; i++) workers[i].next = &next;
        ok = run_workers(workers, o, ingest_main, &all, &started, e);
        ok = ok && count_rows(o, "SELECT count(*) FROM ev", &after, e);
        if (ok && after - before != all.items)
            ok = err_set(e, ERR_INVALID, "PostgreSQL: %" PRIu64 " rows more, %" PRIu64 " acknowledged", after - before,
                         all.items);
        report("ingest", o, &all, started, ok);
        tally_free(&all);
    }
    close_workers(workers, o);
    return ok;
}

/* ---- W2 ---- */

static const char upsert_one[] =
    "INSERT INTO meta SELECT $1::uuid, (SELECT ts FROM ev WHERE id = $1::uuid), $2::smallint, $3";
static const char upsert_entries[] =
    "INSERT INTO meta SELECT u.id, ev.ts, $2::smallint, u.value FROM unnest($1::uuid[], $3::text[]) u(id, value)"
    " LEFT JOIN ev USING (id)";
static const char upsert_ids[] =
    "INSERT INTO meta SELECT u.id, ev.ts, $2::smallint, $3::text FROM unnest($1::uuid[]) u(id) LEFT JOIN ev USING (id)";
static const char on_conflict[] = " ON CONFLICT (id, field) DO UPDATE SET value = excluded.value, ts = excluded.ts";

static void parameters(const struct work *w, const struct work_item *items, struct buf *ids, struct buf *values) {
    bool list = w->o->items > 1, value_list = list && !w->o->one_entry;
    char value[WORK_VALUE], id[DATA_ID];
    ids->n = values->n = 0;
    for (unsigned i = 0; i < w->o->items; i++) {
        if (list) buf_addc(ids, i ? ',' : '{');
        work_id(w, items[i].place, id);
        buf_add(ids, id, sizeof id);
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

static void *attach_main(void *arg) {
    struct worker *w = arg;
    struct work_item *items = mem_zero(MOST_ITEMS, sizeof *items);
    struct work_cursor *cursor = mem_zero(1, sizeof *cursor);
    struct buf ids = {0}, values = {0};
    char field[8];
    snprintf(field, sizeof field, "%u", PG_FIELD_WORK + w->o->cell);
    cursor->connection = w->number;
    for (uint64_t i = 0; i < w->requests && clock_mono_us() < w->stop_us; i++) {
        work_next(w->work, cursor, items);
        parameters(w->work, items, &ids, &values);
        const char *arguments[] = {ids.p, field, values.p};
        int64_t sent = clock_mono_us();
        PGresult *r = PQexecPrepared(w->connection, "attach", 3, arguments, NULL, NULL, 0);
        unsigned long long rows = 0;
        str_to_u64(str_of(PQcmdTuples(r)), &rows);
        if (!pg_result_is(w->connection, r, PGRES_COMMAND_OK, &w->error)) break;
        if (rows != w->o->items) {
            err_set(&w->error, ERR_IO, "PostgreSQL: %llu rows written of %u", rows, w->o->items);
            break;
        }
        w->tally.ended_us = clock_mono_us();
        work_acknowledged(w->work, items, &w->tally, w->tally.ended_us - sent);
    }
    buf_free(&ids);
    buf_free(&values);
    free(items);
    free(cursor);
    return NULL;
}

/* Every row must hold the last acknowledged value, and every id acknowledged must have its row. */
static bool count_back(const struct work *w, struct err *e) {
    PGconn *c = pg_open(w->o, e);
    char sql[128];
    if (!c) return false;
    uint64_t known, unknown, want, rows = 0, sum = 0;
    work_written(w, &known, &unknown, &want);
    snprintf(sql, sizeof sql, "SELECT id, value FROM meta WHERE field = %u", PG_FIELD_WORK + w->o->cell);
    PGresult *r = NULL;
    bool ok = (PQsendQuery(c, sql) == 1 && PQsetSingleRowMode(c) == 1) || err_set(e, ERR_IO, "%s", PQerrorMessage(c));
    for (; ok && (r = PQgetResult(c)); PQclear(r)) {
        ExecStatusType status = PQresultStatus(r);
        if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
            ok = err_set(e, ERR_IO, "PostgreSQL: %s", PQerrorMessage(c));
        if (status != PGRES_SINGLE_TUPLE) continue;
        rows++;
        sum += work_hash(work_text_hash(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0)),
                         work_text_hash(PQgetvalue(r, 0, 1), (size_t)PQgetlength(r, 0, 1)));
    }
    if (ok && (rows != known + unknown || sum != want))
        ok = err_set(e, ERR_INVALID, "PostgreSQL: %" PRIu64 " rows, %" PRIu64 " ids acknowledged, sum %s", rows,
                     known + unknown, sum == want ? "equal" : "different");
    PQfinish(c);
    return ok;
}

static bool attach(const struct options *o, struct err *e) {
    struct worker *workers = mem_zero(o->connections, sizeof *workers);
    struct work work = {0};
    struct tally all = {0};
    struct buf sql = {0};
    int64_t started = 0;
    buf_printf(&sql, "%s%s", o->items == 1 ? upsert_one : o->one_entry ? upsert_ids : upsert_entries, on_conflict);
    buf_addc(&sql, '\0');
    bool ok = work_init(&work, o, e) && open_workers(workers, o, sql.p, e);
    if (ok) {
        for (unsigned i = 0; i < o->connections; i++) workers[i].work = &work;
        ok = run_workers(workers, o, attach_main, &all, &started, e) && count_back(&work, e);
        report("attach", o, &all, started, ok);
        tally_free(&all);
    }
    close_workers(workers, o);
    work_free(&work);
    buf_free(&sql);
    return ok;
}

/* ---- questions ---- */

static void write_rows(FILE *out, const PGresult *r) {
    for (int i = 0; i < PQntuples(r); i++)
        for (int k = 0, n = PQnfields(r); k < n; k++)
            fprintf(out, "%s%c", PQgetvalue(r, i, k), k + 1 < n ? '\t' : '\n');
}

static bool ask_all(PGconn *c, const struct options *o, const struct lines *lines, FILE *out, struct err *e) {
    struct tally t;
    struct buf sql = {0};
    bool ok = true;
    tally_init(&t);
    int64_t first = clock_mono_us(), until = first + (int64_t)(o->seconds * 1e6);
    for (unsigned round = 0; ok && (o->rounds ? round < o->rounds : clock_mono_us() < until); round++)
        for (size_t i = 0; ok && i < lines->count; i++) {
            bool setup = lines->line[i].p[0] == '!';
            if (setup && round) continue;
            sql.n = 0;
            buf_add_str(&sql, str_from(lines->line[i], setup));
            buf_addc(&sql, '\0');
            int64_t started = clock_mono_us();
            PGresult *r = PQexec(c, sql.p);
            t.ended_us = clock_mono_us();
            if (!setup) tally_latency(&t, t.ended_us - started), t.requests++;
            if (!setup && !round && out) write_rows(out, r);
            ok = pg_result_is(c, r, setup ? PGRES_COMMAND_OK : PGRES_TUPLES_OK, e);
        }
    if (ok) report("ask", o, &t, first, ok);
    tally_free(&t);
    buf_free(&sql);
    return ok;
}

static bool ask(const struct options *o, struct err *e) {
    struct lines lines;
    if (!lines_read(&lines, o->file, e)) return false;
    PGconn *c = pg_open(o, e);
    FILE *out = o->out ? fopen(o->out, "w") : NULL;
    bool ok = c && (!o->out || out || err_errno(e, "%s: cannot be written", o->out)) && ask_all(c, o, &lines, out, e);
    if (out && fclose(out) != 0 && ok) ok = err_errno(e, "%s: cannot be written", o->out);
    if (c) PQfinish(c);
    lines_free(&lines);
    return ok;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        bool (*run)(const struct options *, struct err *);
    } commands[] = {{"load", pg_load}, {"review", pg_review}, {"ingest", ingest}, {"attach", attach}, {"ask", ask}};
    struct options o;
    struct err e = {0};
    bool (*run)(const struct options *, struct err *) = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[1], commands[i].name)) run = commands[i].run;
    bool ok = options_read(&o, argc, argv, &e);
    if (ok && !run) ok = err_set(&e, ERR_INVALID, "want load, review, ingest, attach or ask");
    if (ok) ok = run(&o, &e);
    if (!ok) fprintf(stderr, "pg: %s\n", e.msg);
    return ok ? 0 : 1;
}
