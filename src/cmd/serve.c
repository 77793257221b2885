#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/app.h"
#include "api/gateway.h"
#include "api/retention.h"
#include "api/routes.h"
#include "api/unserved.h"
#include "api/upstream.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pool.h"
#include "catalog/activity.h"
#include "cmd/cmd.h"
#include "cmd/control.h"
#include "cmd/datadir.h"
#include "cmd/sweep.h"
#include "image/blobs.h"
#include "image/image.h"
#include "image/keep.h"
#include "infer/infer.h"
#include "query/crew.h"
#include "store/backup.h"
#include "store/store.h"

enum { GRACE_MS = 3500, QUERY_QUEUE = 256, INGEST_QUEUE = 1024 };

struct server {
    struct conf conf;
    struct app app;
    struct route routes[ROUTES_MOST];
    struct http *http;
    struct sweep *sweep;
    struct control *control;
    bool images; /* libvips is up */
    int lock_fd;
};

/* On the very first start somebody must get in: workspace `default` and a key, told in DIR/first-key. The file comes
 * before the catalog's entries, so that a start which breaks off between them is simply done again. */
static bool first_start(struct server *s, struct err *e) {
    struct arena a = {0};
    struct workspace w;
    char key[KEY_TEXT_SIZE];
    size_t count;
    catalog_workspaces(s->app.catalog, &a, &count);
    arena_free(&a);
    if (count) return true;
    catalog_key_make(key);
    return datadir_write_first_key(s->conf.data, "default", key, e) &&
           catalog_workspace_add(s->app.catalog, STR("default"), &w, e) &&
           catalog_key_add(s->app.catalog, w.id, str_of(key), STR("first"), 0, e);
}

static bool make_workspace(struct server *s, struct err *e) {
    struct workspace w;
    if (!*s->conf.workspace) return first_start(s, e);
    return catalog_workspace_add(s->app.catalog, str_of(s->conf.workspace), &w, e) &&
           catalog_key_add(s->app.catalog, w.id, str_of(s->conf.api_key), STR("api_key setting"), 0, e);
}

static bool listen_here(struct server *s, struct err *e) {
    char host[CONF_HOST];
    uint16_t port;
    if (!conf_listen(&s->conf, host, &port, e)) return false;
    struct http_config c = {
        .host = host,
        .port = port,
        .workers = s->conf.http_workers,
        .idle_timeout_s = s->conf.idle_timeout_s,
        .max_connections = s->conf.max_connections,
        .routes = s->routes,
        .route_count = routes_make(s->routes, &s->conf),
        .spool = s->conf.data,
        .app = &s->app,
        .rewrite = gateway_unwrap,
        .answered = unserved_note,
    };
    bool ipv6 = strchr(host, ':') != NULL;
    s->app.loopback = strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0;
    s->http = http_listen(&c, e);
    if (!s->http) return false;
    snprintf(s->app.listen, sizeof s->app.listen, "%s%s%s:%u", ipv6 ? "[" : "", host, ipv6 ? "]" : "",
             http_port(s->http));
    return http_serve(s->http, e);
}

#define DAY_US (86400 * 1000000LL)

static bool open_store(struct server *s, struct err *e) {
    const struct conf *c = &s->conf;
    struct store_options o = {
        .dir = c->data,
        .journal_file_size = c->journal_file_size,
        .journal_max = c->journal_max,
        .checkpoint_interval_s = c->checkpoint_interval_s,
        .max_fields = c->max_fields,
        .max_pending = (uint32_t)c->max_pending,
        .max_per_id = c->max_per_id,
        .pending_ttl_us = c->pending_ttl_days * DAY_US,
        .retention_of = retention_of,
        .retention_ctx = &s->app,
        .seal_idle_us = c->seal_idle_s * 1000000LL,
        .fold_share = c->fold_share,
        .chunk_rows = c->segment_rows,
    };
    datadir_store_id(catalog_store_id(s->app.catalog), o.id);
    s->app.store = store_open(&o, e);
    if (!s->app.store) return err_wrap(e, "opening the store in %s", c->data);
    char workspaces[4096];
    snprintf(workspaces, sizeof workspaces, "%s/workspaces", c->data);
    s->app.blobs = blobs_new(workspaces); /* store_open has made the folder */
    return true;
}

/* models/ beside the program, wherever it was started from. */
static void models_beside_program(char path[4096]) {
    ssize_t n = readlink("/proc/self/exe", path, 4000);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, 96, "models");
}

static bool start_inference(struct server *s, struct err *e) {
    const struct conf *c = &s->conf;
    char beside[4096];
    models_beside_program(beside);
    struct infer_config ic = {
        .models_dir = *c->models ? c->models : beside,
        .threads = c->inference_threads,
        .queue = c->inference_queue,
        .runtime_threads = 1,
        .limits = {.max_bytes = c->max_body_inference, .max_pixels = c->max_image_pixels},
        .fetch = {.hosts = c->image_url_hosts,
                  .ca_file = c->image_url_ca,
                  .private_addresses = c->image_url_private,
                  .timeout_s = c->image_url_timeout_s},
    };
    s->images = image_start(e);
    return s->images && (s->app.infer = infer_new(&ic, e)) && (s->app.keep = keep_parse(str_of(c->keep_images), e));
}

/* A query has a thread of its own, and the other processors' if they are idle. */
static unsigned helpers(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 1 ? (unsigned)(cores < 32 ? cores - 1 : 31) : 0;
}

static bool start(struct server *s, struct err *e) {
    gethostname(s->app.device_id, sizeof s->app.device_id - 1);
    s->app.conf = &s->conf;
    s->app.started_us = clock_now_us();
    s->app.unserved = unserved_new();
    s->lock_fd = datadir_lock(s->conf.data, e);
    if (s->lock_fd < 0 || !backup_take(s->conf.data, e)) return false;
    s->app.catalog = catalog_open(s->conf.data, routes_reserved, e);
    if (!s->app.catalog) return false;
    activity_keep(s->app.catalog, s->conf.activity_most);
    return make_workspace(s, e) && open_store(s, e) && start_inference(s, e) &&
           (s->app.crew = crew_new(helpers(), e)) &&
           (s->app.queries = pool_new("query", s->conf.query_threads, QUERY_QUEUE, e)) &&
           (s->app.ingest = pool_new("ingest", s->conf.ingest_threads, INGEST_QUEUE, e)) &&
           (s->app.events = pool_new("event", 1, s->conf.event_queue, e)) &&
           upstream_new(&s->conf, &s->app.upstream, e) &&
           (s->sweep = sweep_start(&s->app)) && (s->control = control_start(&s->app, s->sweep, e)) && listen_here(s, e);
}

static void stop(struct server *s) {
    http_stop(s->http, GRACE_MS);
    if (s->control) control_stop(s->control);
    if (s->sweep) sweep_stop(s->sweep);
    upstream_free(s->app.upstream);
    if (s->app.ingest) pool_free(s->app.ingest);
    if (s->app.events) pool_free(s->app.events);
    if (s->app.queries) pool_free(s->app.queries);
    if (s->app.crew) crew_free(s->app.crew);
    if (s->app.infer) infer_stop(s->app.infer), infer_free(s->app.infer);
    if (s->app.store) store_close(s->app.store);
    if (s->app.keep) keep_free(s->app.keep);
    if (s->app.blobs) blobs_free(s->app.blobs);
    if (s->images) image_stop();
    catalog_close(s->app.catalog);
    unserved_free(s->app.unserved);
    if (s->lock_fd >= 0) close(s->lock_fd);
    conf_free(&s->conf);
}

/* Blocked before the first thread starts, so that only sigwait takes them. */
static void block_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool print_help(int count, char **args) {
    for (int i = 0; i < count; i++) {
        if (strcmp(args[i], "--help-markdown") == 0) return conf_print_markdown(stdout), true;
        if (strcmp(args[i], "--routes-markdown") == 0) return routes_print_markdown(stdout), true;
        if (strcmp(args[i], "--help") != 0) continue;
        printf("sightglass serve [--OPTION VALUE]...\n\nEvery option is also a setting of the environment and of the "
               "settings "
               "file.\n\n");
        conf_print_help(stdout);
        return true;
    }
    return false;
}

int cmd_serve(int count, char **args) {
    struct server s = {.lock_fd = -1};
    struct err e;
    sigset_t signals;
    int got;
    if (print_help(count, args)) return 0;
    if (!conf_load(&s.conf, count, args, &e)) {
        fprintf(stderr, "sightglass: %s\n", e.msg);
        return 2;
    }
    log_set_level(s.conf.log_level);
    block_signals(&signals);
    hash_init();
    guard_init();
    bool ok = start(&s, &e);
    if (ok) {
        printf("listening on http://%s\n", s.app.listen);
        fflush(stdout);
        log_event(LOG_INFO, "listening", "address=%s data=%s version=%s", s.app.listen, s.conf.data,
                  SIGHTGLASS_VERSION);
        sigwait(&signals, &got);
        log_event(LOG_INFO, "stopping", "signal=%d", got);
    } else {
        fprintf(stderr, "sightglass: %s\n", e.msg);
    }
    stop(&s);
    if (ok) log_event(LOG_INFO, "stopped", "signal=%d", got);
    return ok ? 0 : 1;
}
