/* What the fleet is told: options, environment, and what follows from them. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { KEY_MOST = 128, WORKSPACE_MOST = 128 };

struct settings {
    const char *url, *workspace, *key_file, *truth;
    uint64_t seed, events;
    int64_t now_us;
    unsigned days, containers, cameras, interval_s, metadata_percent, connections, seconds, truth_events;
    bool realtime, verify, markers, hostile;
    char key[KEY_MOST];
};

bool settings_read(struct settings *s, int argc, char **argv, struct err *e);
