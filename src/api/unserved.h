/* What clients asked for that is not served here: requests that were answered 404, 405, 410 or 501, by workspace (that
 * of the key in query, header or JSON body; without a key that of the setting open_inference; others are not counted),
 * address, path and user agent. In memory, since the start, and bounded. Owner: serve. Any thread; no call
 * waits. */
#pragma once
#include "http/http.h"

struct unserved;
struct unserved *unserved_new(void);
void unserved_free(struct unserved *u);

/* For http_config.answered. */
void unserved_note(struct request *r, int status);

struct unserved_count {
    struct str method, path, user_agent;
    int status;
    uint64_t count;
    int64_t last_us;
};
/* Those that came to a workspace from an address; copies in the arena. */
struct unserved_count *unserved_from(struct unserved *u, uint32_t workspace, struct str peer, struct arena *a,
                                     size_t *count);
