/* Devices and the inference servers on them, as their reports tell: what they are, when they were last heard of, at what
 * pace. A sighting goes to memory and is written with others a little later; a crash loses the last seconds of them,
 * which the next report tells anew. Any thread but an HTTP worker. */
#pragma once
#include "catalog/catalog.h"

struct sighting {
    uint32_t workspace;
    int64_t time_us; /* when the report came */
    struct str device_id, server_id, version;
    struct str hostname, ip_address, platform, platform_release, architecture;
    struct str peer;    /* the address that the report came from */
    struct str tags;    /* a JSON list of strings; empty: not said, what was said before stays */
    int64_t started_us; /* when the server's process began; 0: not said */
    uint64_t inferences, set_aside;
};

/* Copies it. */
void devices_seen(struct catalog *c, const struct sighting *s);

/* One server on one device, all its reports together. */
struct server_seen {
    struct sighting last; /* inferences and set_aside: of all reports */
    int64_t first_us;
    int64_t interval_us; /* between its last two reports of one process; 0: there were no two */
    uint64_t reports;
};

/* By device, then the latest first. */
bool devices_read(struct catalog *c, uint32_t workspace, struct arena *a, struct server_seen **list, size_t *count,
                  struct err *e);
