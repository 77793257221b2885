/* The one host that requests are passed on to when they are not for us: model weights, workflow specifications,
 * `apiproxy` (the setting `upstream`; empty: none).
 *
 * Where a request goes is settled when the program starts: the connection is made to the setting's scheme, host and
 * port, whatever the request says; of the request come method, path, query, headers and body, byte for byte. Left out
 * are headers of the connection (RFC 9110, 7.6.1), cookies, and what this program must say itself. A redirect is handed
 * back, not followed. A key must open a workspace here, and travels on as it came, for it is the platform's key.
 *
 * Via tells a request that has been here before; it is answered 508.
 *
 * Owner: serve. Threads: its own pool; relay() runs on an HTTP worker and does not wait. */
#pragma once
#include "api/app.h"

struct upstream;

/* *out NULL when the setting is empty. */
bool upstream_new(const struct conf *c, struct upstream **out, struct err *e);
void upstream_stop(struct upstream *u); /* what is under way fails soon */
void upstream_free(struct upstream *u);

/* relay() in handlers.h answers the request with what the upstream says to it, or with why not. */
/* Whether an answer is the upstream's word, not ours. */
bool relayed(const struct request *r);

/* The key in query, header or JSON body opens a workspace here; the cookie does not count. False: answered 401. */
bool relay_allowed(struct request *r);
