/* Load, and the truth about it, for a server on 127.0.0.1 that already runs.
 *
 *   loadgen data      ingests the data of bench/data.h with its metadata
 *   loadgen review    attaches one more field to a fifth of it
 *   loadgen ingest    W1: fresh inferences, --items a request
 *   loadgen attach    W2: metadata by id, as bench/work.h tells
 *   loadgen check     looks through the server's API for what the attach run that wrote --state was promised
 *   loadgen small     an inference a minute in each of many workspaces
 *   loadgen ask       times the questions of --file, one after the other
 *   loadgen truth     what the data must answer; needs no server
 *   loadgen rows      the data as CSV; needs no server
 *
 * An answer counts when it is a 200 with what the route promises. Anything else ends the run as failed. Prints one JSON
 * line; exit status 0 only when nothing failed. */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "check.h"
#include "load.h"
#include "truth.h"

static const struct {
    const char *name;
    bool (*run)(const struct options *, struct err *);
} commands[] = {
    {"data", load_data},
    {"review", load_review},
    {"ingest", load_ingest},
    {"attach", load_attach},
    {"check", check_server},
    {"small", load_small},
    {"ask", ask},
    {"truth", truth_print},
    {"rows", truth_rows},
};

int main(int argc, char **argv) {
    struct options o;
    struct err e = {0};
    bool (*run)(const struct options *, struct err *) = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(argv[1], commands[i].name)) run = commands[i].run;
    bool ok = options_read(&o, argc, argv, &e);
    if (ok && !run)
        ok = err_set(&e, ERR_INVALID, "want data, review, ingest, attach, check, small, ask, truth or rows");
    if (ok) ok = run(&o, &e);
    if (!ok) fprintf(stderr, "loadgen: %s\n", e.msg);
    return ok ? 0 : 1;
}
