/* The kinds of requests that the load generator sends; each prints one JSON line about its run. */
#pragma once
#include "base/err.h"
#include "options.h"

/* The whole data: inferences 100 a request and those sent again, and their metadata in a request of its own: behind its
 * inferences (85 %), a thousand requests later, when they are no longer in the open chunk (10 %), or before (5 %). */
bool load_data(const struct options *o, struct err *e);
/* A share of the rows is given one more field. */
bool load_review(const struct options *o, struct err *e);
/* W1: fresh inferences of now, o.items a request, for o.seconds. */
bool load_ingest(const struct options *o, struct err *e);
/* W2, as work.h tells; writes o.state when there is one. */
bool load_attach(const struct options *o, struct err *e);
/* o.workspaces of them, named small-000 on with keys small-key-000 on: an inference a minute in each over 30 days, an
 * hour a request, all workspaces in turn. */
bool load_small(const struct options *o, struct err *e);
