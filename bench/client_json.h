/* A question to the server, and its answer as JSON. */
#pragma once
#include <jansson.h>

#include "client.h"

/* NULL unless the answer is a 2xx with JSON; the caller releases it. */
json_t *client_json(struct client *c, const char *method, const char *path, struct str body, struct err *e);
