/* What every handler can reach, as r->app (app_of). Made by serve before the server listens, the same until it has
 * stopped: any thread may read it. serve owns what it points to. */
#pragma once
#include <stdbool.h>

#include "base/conf.h"
#include "catalog/catalog.h"
#include "http/http.h"

struct store;
struct infer;
struct blobs;
struct keep;
struct pool;
struct crew;
struct unserved;
struct upstream;

struct app {
    const struct conf *conf;
    struct catalog *catalog;
    struct store *store;
    struct infer *infer;
    struct blobs *blobs;  /* the pictures that are kept */
    struct keep *keep;    /* which pictures are kept */
    struct pool *queries; /* threads for what reads the store and may take long */
    struct crew *crew;    /* threads that help those along */
    struct pool *ingest;  /* threads that read long bodies, and wait for what they store */
    struct pool *events;  /* the thread that keeps events and their pictures */
    struct unserved *unserved; /* what was asked for that is not served */
    int64_t started_us;   /* when it began to serve */
    struct upstream *upstream; /* where requests that are not for us go; NULL: nowhere */
    char device_id[256];  /* of this machine, for the inferences computed here */
    char listen[320];     /* HOST:PORT as served, the port the real one */
    bool loopback;        /* only this machine can reach it */
};

static inline struct app *app_of(const struct request *r) { return r->app; }
