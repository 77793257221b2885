/* What the parts of the PostgreSQL peer share. */
#pragma once
#include <libpq-fe.h>

#include "data.h"
#include "options.h"

PGconn *pg_open(const struct options *o, struct err *e);
/* Takes the result; false with the server's text unless it has that status. */
bool pg_result_is(PGconn *c, PGresult *r, ExecStatusType want, struct err *e);
bool pg_run(PGconn *c, const char *sql, struct err *e);
/* COPY: begins, takes rows as text, and ends; one transaction when none is open. */
bool pg_copy_begin(PGconn *c, const char *sql, struct err *e);
bool pg_copy_rows(PGconn *c, struct buf *rows, struct err *e); /* empties the buffer */
bool pg_copy_end(PGconn *c, struct err *e);

/* A row of `ev` for COPY. */
void pg_event_row(struct buf *to, const struct data *d, const struct data_event *event);

enum { PG_FIELD_REVIEW = DATA_FIELDS, PG_FIELD_WORK };

bool pg_load(const struct options *o, struct err *e);
bool pg_review(const struct options *o, struct err *e);
