#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "base/clock.h"
#include "base/str.h"
#include "world.h"

enum { KEY_LINE = 512 };

/* name, kind, where, least, most, help */
#define AT(member) offsetof(struct settings, member)
static const struct arg table[] = {
    {"url", ARG_TEXT, AT(url), 0, 0, "server, http://127.0.0.1:PORT; without it nothing is sent"},
    {"workspace", ARG_TEXT, AT(workspace), 0, 0, "workspace (that of the key)"},
    {"key-file", ARG_TEXT, AT(key_file), 0, 0, "file with lines \"WORKSPACE KEY\", as first-key ($SIGHTGLASS_API_KEY)"},
    {"events", ARG_COUNT64, AT(events), 1, 100000000,
     "inferences of the days before now; live ones come on top, at the same rate (10000)"},
    {"days", ARG_COUNT, AT(days), 1, 3650, "days before now (7)"},
    {"now", ARG_WHEN, AT(now_us), 0, 0, "where they end, 2026-11-21T20:00:00Z (this minute)"},
    {"containers", ARG_COUNT, AT(containers), 1, MOST_CONTAINERS, "inference containers, one device each (12)"},
    {"cameras", ARG_COUNT, AT(cameras), 1, MOST_CAMERAS, "cameras on each (2)"},
    {"seed", ARG_COUNT64, AT(seed), 0, UINT64_MAX, "of everything (1)"},
    {"metadata", ARG_COUNT, AT(metadata_percent), 0, 100, "percent of the inferences that get metadata (100)"},
    {"interval", ARG_COUNT, AT(interval_s), 1, 3600, "seconds between a container's live reports (60)"},
    {"connections", ARG_COUNT, AT(connections), 1, 256, "connections, one request in flight on each (8)"},
    {"realtime", ARG_FLAG, AT(realtime), 0, 0, "goes on after now, as time passes, for --seconds"},
    {"seconds", ARG_COUNT, AT(seconds), 1, 30 * 86400, "how long that is (3600)"},
    {"truth", ARG_TEXT, AT(truth), 0, 0, "folder for what was sent and what must come of it"},
    {"truth-events", ARG_COUNT, AT(truth_events), 0, 1, "0: only its summary.json, no line an inference (1)"},
    {"verify", ARG_FLAG, AT(verify), 0, 0, "reads back from the server; wants a workspace with nothing else in it"},
    {"markers", ARG_FLAG, AT(markers), 0, 0, "sets changeovers of a line and the lens as markers, as a person would"},
    {"hostile", ARG_FLAG, AT(hostile), 0, 0, "names and values of one container are HTML that a page must not run"},
};

/* The file's lines are "WORKSPACE KEY", or a key: the first, or that of the workspace. */
static bool read_key_file(struct settings *s, char line[KEY_LINE], const char **key, struct err *e) {
    FILE *f = fopen(s->key_file, "r");
    if (!f) return err_errno(e, "--key-file %s: cannot be read", s->key_file);
    while (!*key && fgets(line, KEY_LINE, f)) {
        line[strcspn(line, "\r\n")] = '\0';
        char *space = strrchr(line, ' ');
        if (space) *space = '\0';
        if (!space || !s->workspace || !strcmp(line, s->workspace)) *key = space ? space + 1 : line;
    }
    fclose(f);
    return *key || err_set(e, ERR_INVALID, "--key-file %s: no key of %s in it", s->key_file,
                           s->workspace ? s->workspace : "any workspace");
}

static bool read_key(struct settings *s, struct err *e) {
    const char *from = s->key_file ? NULL : getenv("SIGHTGLASS_API_KEY");
    char line[KEY_LINE] = "";
    if (s->key_file && !read_key_file(s, line, &from, e)) return false;
    if (!from || !*from) return err_set(e, ERR_INVALID, "no API key: want --key-file FILE or SIGHTGLASS_API_KEY");
    size_t n = strlen(from);
    for (size_t i = 0; i < n; i++)
        if (!memchr("-._", from[i], 3) && !(from[i] >= '0' && from[i] <= '9') &&
            !((from[i] | 32) >= 'a' && (from[i] | 32) <= 'z'))
            return err_set(e, ERR_INVALID, "the API key has a character that no key has");
    if (n >= sizeof s->key) return err_set(e, ERR_INVALID, "the API key is too long");
    memcpy(s->key, from, n + 1);
    return true;
}

bool settings_read(struct settings *s, int argc, char **argv, struct err *e) {
    *s = (struct settings){.seed = 1,
                           .events = 10000,
                           .days = 7,
                           .containers = 12,
                           .cameras = 2,
                           .metadata_percent = 100,
                           .interval_s = 60,
                           .connections = 8,
                           .seconds = 3600,
                           .truth_events = 1};
    if (!args_read(table, sizeof table / sizeof *table, s, argc, argv, 1, argv[0], e)) return false;
    if (!s->url && !s->truth) return err_set(e, ERR_INVALID, "want --url http://127.0.0.1:PORT, --truth DIR, or both");
    if (!s->url && (s->verify || s->realtime || s->markers))
        return err_set(e, ERR_INVALID, "--%s needs a server: want --url http://127.0.0.1:PORT",
                       s->verify     ? "verify"
                       : s->realtime ? "realtime"
                                     : "markers");
    if (!s->now_us) s->now_us = clock_now_us() / MINUTE * MINUTE;
    if (s->now_us < (s->days + 2) * DAY) return err_set(e, ERR_INVALID, "--now is too long ago for so many days");
    if (s->connections > s->containers) s->connections = s->containers;
    return !s->url || read_key(s, e);
}
