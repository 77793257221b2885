#include "options.h"

#include <stddef.h>

#include "args.h"

/* name, kind, where, least, most, help */
#define AT(member) offsetof(struct options, member)
static const struct arg table[] = {
    {"url", ARG_TEXT, AT(url), 0, 0, "server, http://127.0.0.1:PORT"},
    {"workspace", ARG_TEXT, AT(workspace), 0, 0, "workspace (bench)"},
    {"key", ARG_TEXT, AT(key), 0, 0, "its API key"},
    {"conninfo", ARG_TEXT, AT(conninfo), 0, 0, "PostgreSQL connection string"},
    {"state", ARG_TEXT, AT(state), 0, 0, "file of what was acknowledged: written by attach, read by check"},
    {"file", ARG_TEXT, AT(file), 0, 0, "what to ask, a line a question"},
    {"out", ARG_TEXT, AT(out), 0, 0, "file for the answers or the rows"},
    {"seed", ARG_COUNT64, AT(seed), 0, UINT64_MAX, "of everything (1)"},
    {"events", ARG_COUNT64, AT(events), 1, 1000000000, "inferences of the data (200000)"},
    {"end", ARG_TIME, AT(end_us), 0, INT64_MAX, "where their 90 days end, in microseconds since 1970"},
    {"first", ARG_COUNT64, AT(first), 0, 1000000000000, "number of the first fresh inference (0)"},
    {"extra", ARG_COUNT64, AT(extra), 0, UINT64_MAX, "inferences there beside the data: check (0)"},
    {"pending", ARG_COUNT64, AT(pending), 0, UINT64_MAX, "ids that wait already: check (0)"},
    {"cell", ARG_COUNT, AT(cell), 0, 9, "a field and unknown ids of its own for each attach run on the same store (0)"},
    {"unknown-ids", ARG_COUNT32, AT(unknown), 1, 50000000, "ids never ingested (100000)"},
    {"recent", ARG_COUNT32, AT(recent), 1, 100000000, "the newest inferences, those in the open chunk (30000)"},
    {"open", ARG_COUNT, AT(open_percent), 0, 100, "percent of the items go to one of these (30)"},
    {"sealed", ARG_COUNT, AT(sealed_percent), 0, 100, "percent go to an older one (60)"},
    {"unknown", ARG_COUNT, AT(unknown_percent), 0, 100, "percent go to an id never ingested (5); the rest is repeated"},
    {"items", ARG_COUNT, AT(items), 1, MOST_ITEMS, "items a request (1)"},
    {"shape", ARG_SHAPE, AT(one_entry), 0, 0, "entries: an entry an item; ids: one entry of all ids (entries)"},
    {"connections", ARG_COUNT, AT(connections), 1, MOST_CONNECTIONS, "connections, one request in flight on each (32)"},
    {"threads", ARG_COUNT, AT(threads), 1, 64, "threads of the generator (1)"},
    {"workspaces", ARG_COUNT, AT(workspaces), 1, 1000, "workspaces of `small` (200)"},
    {"seconds", ARG_DECIMAL, AT(seconds), 0, 0, "length of the run (4)"},
    {"requests", ARG_COUNT64, AT(requests), 0, UINT64_MAX, "at most so many requests, 0: no limit (0)"},
    {"rate", ARG_DECIMAL, AT(rate), 0, 0, "items a second, sent when they are due; 0: as fast as answers come (0)"},
    {"sample", ARG_COUNT, AT(sample), 0, 10000000, "ids looked up one by one by check (2000)"},
    {"rounds", ARG_COUNT, AT(rounds), 0, 1000000, "how often all questions are asked; 0: for --seconds (1)"},
    {"until-closed", ARG_FLAG, AT(until_closed), 0, 0, "the server's end is the end of the run, not a failure"},
};

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
    if (!args_read(table, sizeof table / sizeof *table, o, argc, argv, 2, "loadgen|pg WHAT", e)) return false;
    if (o->recent > o->events) o->recent = (uint32_t)o->events;
    o->repeat_percent = 100 - o->open_percent - o->sealed_percent - o->unknown_percent;
    if (o->open_percent + o->sealed_percent + o->unknown_percent > 100)
        return err_set(e, ERR_INVALID, "--open, --sealed and --unknown are more than 100 together");
    return true;
}
