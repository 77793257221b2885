/* /proxy?url=URL, the way a stock server with SECURE_GATEWAY makes each of its calls (protocol 3.1): the whole URL of
 * the platform, percent-encoded. The request becomes one for that URL's path and query, with its method, headers and
 * body, and is routed like any other, so that limits, keys and error shapes are those of the route. The URL's host is
 * not looked at and nothing is fetched from it: what is not ours goes to the upstream (upstream.h), or nowhere.
 * Parameters that stand beside `url` are appended to the inner query. */
#pragma once
#include "http/http.h"

/* For http_config.rewrite. */
bool gateway_unwrap(struct request *r, struct str *to, struct err *e);
