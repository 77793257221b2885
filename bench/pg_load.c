#include "pg.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

/* Tuned for what is asked: names of models, devices, classes and fields as numbers, detections as arrays in the row of
 * their inference, metadata with the inference's time so that the newest with a value are found by an index, which also
 * holds the id, so that it alone answers which inferences have a value. */
static const char schema[] =
    "DROP TABLE IF EXISTS ev, meta, model, class;"
    "CREATE TABLE model(code smallint PRIMARY KEY, name text NOT NULL);"
    "CREATE TABLE class(code smallint PRIMARY KEY, name text NOT NULL);"
    "CREATE TABLE ev(id uuid NOT NULL, ts bigint NOT NULL, latency float8, model smallint NOT NULL,"
    " device smallint NOT NULL, classes smallint[] NOT NULL, confidences float8[] NOT NULL, boxes float4[] NOT NULL);"
    "CREATE TABLE meta(id uuid NOT NULL, ts bigint, field smallint NOT NULL, value text NOT NULL)";
static const char *const indexes[] = {
    "ALTER TABLE ev ADD PRIMARY KEY (id)",
    "CREATE INDEX ev_ts ON ev(ts)",
    "ALTER TABLE meta ADD PRIMARY KEY (id, field)",
    "CREATE INDEX meta_value ON meta(field, value, ts) INCLUDE (id)",
    "VACUUM (ANALYZE) ev",
    "VACUUM (ANALYZE) meta",
    "CHECKPOINT",
};

void pg_event_row(struct buf *to, const struct data *d, const struct data_event *event) {
    buf_reserve(to, DATA_ID);
    data_id(d->seed, event->number, to->p + to->n), to->n += DATA_ID;
    buf_printf(to, "\t%" PRId64 "\t0.%03u\t%u\t%u\t{", event->time_us, event->latency_ms, event->model, event->device);
    for (unsigned k = 0; k < event->count; k++) buf_printf(to, k ? ",%u" : "%u", event->d[k].class_code);
    buf_addz(to, "}\t{");
    for (unsigned k = 0; k < event->count; k++) buf_printf(to, k ? ",0.%04u" : "0.%04u", event->d[k].confidence);
    buf_addz(to, "}\t{");
    for (unsigned k = 0; k < event->count; k++) {
        const struct data_detection *d2 = &event->d[k];
        buf_printf(to, "%s%u.5,%u.5,%u,%u", k ? "," : "", d2->x, d2->y, d2->width, d2->height);
    }
    buf_addz(to, "}\n");
}

static void meta_row(struct buf *to, const char id[DATA_ID], const struct data_event *event, unsigned field,
                     const char *value, size_t size) {
    if (!size) return;
    buf_add(to, id, DATA_ID);
    if (event)
        buf_printf(to, "\t%" PRId64, event->time_us);
    else
        buf_addz(to, "\t\\N");
    buf_printf(to, "\t%u\t", field);
    buf_add(to, value, size);
    buf_addc(to, '\n');
}

static void meta_rows(struct buf *to, const struct data *d, uint64_t number) {
    struct data_event event;
    char id[DATA_ID], value[DATA_VALUE];
    uint64_t pending;
    data_event(d, number, &event);
    data_id(d->seed, number, id);
    for (unsigned f = 0; f < DATA_FIELDS; f++) meta_row(to, id, &event, f, value, data_value(d, number, f, value));
    if (!data_pending(d, number, &pending)) return;
    data_id(d->seed, pending, id);
    for (unsigned f = 0; f < 2; f++) meta_row(to, id, NULL, f, value, data_value(d, pending, f, value));
}

static void event_rows(struct buf *to, const struct data *d, uint64_t number) {
    struct data_event event;
    data_event(d, number, &event);
    pg_event_row(to, d, &event);
}

static bool copy_all(PGconn *c, const char *sql, const struct data *d,
                     void (*rows_of)(struct buf *, const struct data *, uint64_t), struct err *e) {
    struct buf rows = {0};
    bool ok = pg_copy_begin(c, sql, e);
    for (uint64_t i = 0; ok && i < d->events; i++) {
        rows_of(&rows, d, i);
        if (rows.n >= (1 << 20) || i + 1 == d->events) ok = pg_copy_rows(c, &rows, e);
    }
    buf_free(&rows);
    return ok && pg_copy_end(c, e);
}

static bool name_rows(PGconn *c, struct err *e) {
    struct buf sql = {0};
    char name[DATA_NAME];
    for (unsigned i = 0; i < DATA_MODELS; i++)
        buf_printf(&sql, "INSERT INTO model VALUES (%u, '%s');", i, data_model(i, name));
    for (unsigned i = 0; i < DATA_CLASSES; i++)
        buf_printf(&sql, "INSERT INTO class VALUES (%u, '%s');", i, data_classes[i]);
    buf_addc(&sql, '\0');
    bool ok = pg_run(c, sql.p, e);
    buf_free(&sql);
    return ok;
}

bool pg_load(const struct options *o, struct err *e) {
    struct data d = {o->seed, o->events, o->end_us};
    if (!o->end_us) return err_set(e, ERR_INVALID, "--end is missing");
    PGconn *c = pg_open(o, e);
    if (!c) return false;
    int64_t started = clock_mono_us();
    /* Tables made in the transaction that fills them need no log. */
    bool ok = pg_run(c, "BEGIN", e) && pg_run(c, schema, e) && name_rows(c, e) &&
              copy_all(c, "COPY ev FROM STDIN", &d, event_rows, e) &&
              copy_all(c, "COPY meta FROM STDIN", &d, meta_rows, e) && pg_run(c, "COMMIT", e);
    for (size_t i = 0; ok && i < sizeof indexes / sizeof *indexes; i++) ok = pg_run(c, indexes[i], e);
    if (ok) printf("{\"work\":\"load\",\"seconds\":%.3f}\n", (double)(clock_mono_us() - started) / 1e6);
    PQfinish(c);
    return ok;
}

static void review_rows(struct buf *to, const struct data *d, uint64_t number) {
    struct data_event event;
    char id[DATA_ID], value[DATA_VALUE];
    size_t n = data_review(d, number, value);
    if (!n) return;
    data_event(d, number, &event);
    data_id(d->seed, number, id);
    meta_row(to, id, &event, PG_FIELD_REVIEW, value, n);
}

bool pg_review(const struct options *o, struct err *e) {
    struct data d = {o->seed, o->events, o->end_us};
    PGconn *c = pg_open(o, e);
    if (!c) return false;
    int64_t started = clock_mono_us();
    bool ok = copy_all(c, "COPY meta FROM STDIN", &d, review_rows, e) && pg_run(c, "VACUUM (ANALYZE) meta", e);
    if (ok) printf("{\"work\":\"review\",\"seconds\":%.3f}\n", (double)(clock_mono_us() - started) / 1e6);
    PQfinish(c);
    return ok;
}
