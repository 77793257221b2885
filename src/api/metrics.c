/* GET /metrics (protocol 2.1): an inference server's gauges, of the key's workspace, and what whoever runs this one
 * wants to watch. Nothing here waits or looks through what is stored. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/app.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "base/pool.h"
#include "infer/infer.h"
#include "store/store.h"

static void family(struct buf *to, const char *name, const char *type, const char *help) {
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *to, const char *name, const char *help, double value) {
    family(to, name, "gauge", help);
    buf_printf(to, "%s %.15g\n", name, value);
}

static void counter(struct buf *to, const char *name, const char *help, double value) {
    family(to, name, "counter", help);
    buf_printf(to, "%s %.15g\n", name, value);
}

/* ---- of the key's workspace ---- */

static void write_workspace(struct store *s, uint32_t workspace, struct buf *to) {
    struct view *v = store_view(s, workspace);
    struct store_counts counts = store_counts(s, workspace);
    uint64_t rows = 0;
    for (size_t i = 0; v && i < v->chunk_count; i++) rows += chunk_rows(v->chunks[i]);
    for (size_t i = 0; v && i < v->sealed_count; i++) rows += v->sealed[i]->segment->rows;
    gauge(to, "sightglass_records", "Records of the workspace, those of partial sources included", (double)rows);
    gauge(to, "sightglass_segments", "Segments of the workspace", v ? (double)v->sealed_count : 0);
    gauge(to, "sightglass_pending_ids", "Ids of the workspace with metadata and no inference yet",
          v ? pending_count(v->pending) : 0);
    counter(to, "sightglass_records_unchanged_total", "Records that came again, the same", (double)counts.unchanged);
    counter(to, "sightglass_records_conflicting_total", "Records that came again, with other content",
            (double)counts.conflicts);
    view_release(v);
}

/* ---- of the program ---- */

static void write_store(struct store *s, struct buf *to) {
    struct store_load load = store_load(s);
    struct err e;
    gauge(to, "sightglass_writable", "1: writes are taken", store_writable(s, &e));
    gauge(to, "sightglass_write_queue_bytes", "Bytes of writes that wait for the writer", (double)load.queued_bytes);
    gauge(to, "sightglass_journal_files", "Files of the journal", (double)load.journal.files);
    gauge(to, "sightglass_journal_free_files", "Those in which nothing stands any more",
          (double)load.journal.free_files);
    counter(to, "sightglass_journal_syncs_total", "Groups of writes that were made durable, a sync each",
            (double)load.journal.groups);
    counter(to, "sightglass_journal_records_total", "Records in them", (double)load.journal.records);
    counter(to, "sightglass_journal_bytes_total", "Bytes in them", (double)load.journal.bytes);
}

static void write_queues(const struct app *app, struct buf *to) {
    const struct {
        const char *name;
        size_t waiting;
    } queues[] = {{"event", pool_waiting(app->events)},
                  {"inference", infer_waiting(app->infer)},
                  {"ingest", pool_waiting(app->ingest)},
                  {"query", pool_waiting(app->queries)}};
    family(to, "sightglass_queue_waiting", "gauge", "Requests that wait for a thread");
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        buf_printf(to, "sightglass_queue_waiting{queue=\"%s\"} %zu\n", queues[i].name, queues[i].waiting);
}

static size_t open_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the folder itself */
}

static uint64_t resident_bytes(void) {
    uint64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %" SCNu64, &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static void write_process(const struct app *app, struct buf *to) {
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    counter(to, "process_cpu_seconds_total", "User and system time", seconds(used.ru_utime) + seconds(used.ru_stime));
    gauge(to, "process_resident_memory_bytes", "Memory in use", (double)resident_bytes());
    gauge(to, "process_open_fds", "Open files and connections", (double)open_files());
    gauge(to, "process_start_time_seconds", "When the program began to serve, since 1970",
          (double)app->started_us / 1e6);
    family(to, "sightglass_build_info", "gauge", "1; the version is the label");
    buf_addz(to, "sightglass_build_info{version=\"" SIGHTGLASS_VERSION "\"} 1\n");
}

void get_metrics(struct request *r) {
    const struct app *app = app_of(r);
    struct identity who;
    struct err e = {0};
    if (!authenticate_inference(r, (struct str){0}, &who, &e)) {
        respond_error(r, &e);
        return;
    }
    infer_meter(app->infer, (uint64_t)who.workspace_id, &r->out);
    gauge(&r->out, "inference_pipeline_active_streams", "Inference pipelines; this server runs none", 0);
    write_workspace(app->store, who.workspace_id, &r->out);
    write_store(app->store, &r->out);
    write_queues(app, &r->out);
    write_process(app, &r->out);
    http_metrics(r, &r->out);
    respond(r, 200, "text/plain; version=0.0.4; charset=utf-8");
}
