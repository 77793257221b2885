#include "options.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "data.h"

enum kind { TEXT, COUNT64, COUNT32, COUNT, TIME, DECIMAL, FLAG, SHAPE };

/* name, kind, where, least, most, help */
#define AT(member) offsetof(struct options, member)
static const struct {
    const char *name;
    enum kind kind;
    size_t at;
    uint64_t least, most;
    const char *help;
} table[] = {
    {"url", TEXT, AT(url), 0, 0, "server, http://127.0.0.1:PORT"},
    {"workspace", TEXT, AT(workspace), 0, 0, "workspace (bench)"},
    {"key", TEXT, AT(key), 0, 0, "its API key"},
    {"conninfo", TEXT, AT(conninfo), 0, 0, "PostgreSQL connection string"},
    {"state", TEXT, AT(state), 0, 0, "file of what was acknowledged: written by attach, read by check"},
    {"file", TEXT, AT(file), 0, 0, "what to ask, a line a question"},
    {"out", TEXT, AT(out), 0, 0, "file for the answers or the rows"},
    {"seed", COUNT64, AT(seed), 0, UINT64_MAX, "of everything (1)"},
    {"events", COUNT64, AT(events), 1, 1000000000, "inferences of the data (200000)"},
    {"end", TIME, AT(end_us), 0, INT64_MAX, "where their 90 days end, in microseconds since 1970"},
    {"first", COUNT64, AT(first), 0, 1000000000000, "number of the first fresh inference (0)"},
    {"extra", COUNT64, AT(extra), 0, UINT64_MAX, "inferences there beside the data: check (0)"},
    {"pending", COUNT64, AT(pending), 0, UINT64_MAX, "ids that wait already: check (0)"},
    {"cell", COUNT, AT(cell), 0, 9, "a field and unknown ids of its own for each attach run on the same store (0)"},
    {"unknown-ids", COUNT32, AT(unknown), 1, 50000000, "ids never ingested (100000)"},
    {"recent", COUNT32, AT(recent), 1, 100000000, "the newest inferences, those in the open chunk (30000)"},
    {"open", COUNT, AT(open_percent), 0, 100, "percent of the items go to one of these (30)"},
    {"sealed", COUNT, AT(sealed_percent), 0, 100, "percent go to an older one (60)"},
    {"unknown", COUNT, AT(unknown_percent), 0, 100, "percent go to an id never ingested (5); the rest is repeated"},
    {"items", COUNT, AT(items), 1, MOST_ITEMS, "items a request (1)"},
    {"shape", SHAPE, AT(one_entry), 0, 0, "entries: an entry an item; ids: one entry of all ids (entries)"},
    {"connections", COUNT, AT(connections), 1, MOST_CONNECTIONS, "connections, one request in flight on each (32)"},
    {"threads", COUNT, AT(threads), 1, 64, "threads of the generator (1)"},
    {"workspaces", COUNT, AT(workspaces), 1, 1000, "workspaces of `small` (200)"},
    {"seconds", DECIMAL, AT(seconds), 0, 0, "length of the run (4)"},
    {"requests", COUNT64, AT(requests), 0, UINT64_MAX, "at most so many requests, 0: no limit (0)"},
    {"rate", DECIMAL, AT(rate), 0, 0, "items a second, sent when they are due; 0: as fast as answers come (0)"},
    {"sample", COUNT, AT(sample), 0, 10000000, "ids looked up one by one by check (2000)"},
    {"rounds", COUNT, AT(rounds), 0, 1000000, "how often all questions are asked; 0: for --seconds (1)"},
    {"until-closed", FLAG, AT(until_closed), 0, 0, "the server's end is the end of the run, not a failure"},
};
enum { OPTIONS = sizeof table / sizeof *table };

static void print_help(const char *program) {
    printf("usage: %s WHAT [--option value]...\n", program);
    for (size_t i = 0; i < OPTIONS; i++) printf("  --%-14s %s\n", table[i].name, table[i].help);
}

static bool read_value(void *to, size_t i, const char *v, struct err *e) {
    unsigned long long n = 0;
    double decimal = 0;
    bool ok = true;
    switch (table[i].kind) {
    case TEXT: *(const char **)to = v; return true;
    case FLAG: *(bool *)to = true; return true;
    case SHAPE: ok = !strcmp(v, "entries") || !strcmp(v, "ids"), *(bool *)to = v[0] == 'i'; break;
    case DECIMAL: ok = str_to_double(str_of(v), &decimal) && decimal >= 0, *(double *)to = decimal; break;
    default: ok = str_to_u64(str_of(v), &n) && n >= table[i].least && n <= table[i].most;
    }
    if (!ok && table[i].most)
        return err_set(e, ERR_INVALID, "--%s %s: want a number from %" PRIu64 " to %" PRIu64, table[i].name, v,
                       table[i].least, table[i].most);
    if (!ok) return err_set(e, ERR_INVALID, "--%s %s: %s", table[i].name, v, table[i].help);
    if (table[i].kind == COUNT64) *(uint64_t *)to = n;
    if (table[i].kind == COUNT32) *(uint32_t *)to = (uint32_t)n;
    if (table[i].kind == COUNT) *(unsigned *)to = (unsigned)n;
    if (table[i].kind == TIME) *(int64_t *)to = (int64_t)n;
    return true;
}

bool options_read(struct options *o, int argc, char **argv, struct err *e) {
    *o = (struct options){.workspace = "bench",
                          .key = "",
                          .seed = 1,
                          .events = 200000,
                          .unknown = 100000,
                          .recent = 30000,
                          .open_percent = 30,
                          .sealed_percent = 60,
                          .unknown_percent = 5,
                          .items = 1,
                          .connections = 32,
                          .threads = 1,
                          .workspaces = 200,
                          .seconds = 4,
                          .sample = 2000,
                          .rounds = 1};
    for (int i = 2; i < argc; i++) {
        size_t at = 0;
        while (at < OPTIONS && (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, table[at].name))) at++;
        if (!strcmp(argv[i], "--help")) print_help(argv[0]), exit(0);
        if (at == OPTIONS) return err_set(e, ERR_INVALID, "%s: no such option, see --help", argv[i]);
        bool flag = table[at].kind == FLAG;
        if (!flag && i + 1 == argc) return err_set(e, ERR_INVALID, "%s: its value is missing", argv[i]);
        if (!read_value((char *)o + table[at].at, at, flag ? "" : argv[++i], e)) return false;
    }
    if (o->recent > o->events) o->recent = (uint32_t)o->events;
    o->repeat_percent = 100 - o->open_percent - o->sealed_percent - o->unknown_percent;
    if (o->open_percent + o->sealed_percent + o->unknown_percent > 100)
        return err_set(e, ERR_INVALID, "--open, --sealed and --unknown are more than 100 together");
    return true;
}
