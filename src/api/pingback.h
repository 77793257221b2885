/* What a pingback says of its sender, beside its items. Strings are "" when they were not said. */
#pragma once
#include <stdint.h>

#include "base/str.h"

struct pingback_sender {
    struct str device_id, server_id, server_version;
    struct str hostname, ip_address, platform, platform_release, architecture;
    struct str tags;    /* a JSON list of strings */
    int64_t started_us; /* when its process began; 0: not said */
};
