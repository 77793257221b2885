/* The settings of `serve`: one table, from which come the struct, the flags (--max-body-ingest), the environment
 * (SIGHTGLASS_MAX_BODY_INGEST), the keys of the settings file (max_body_ingest = 32M), --help and
 * docs/configuration.md. A flag beats the environment, which beats the file, which beats the default.
 *
 * A struct conf is filled once, by the main thread before any other starts, and only read after that. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

/* Types: TEXT (char *, never NULL; min and max are its bytes), NUMBER (unsigned), SIZE (uint64_t bytes, or a plain
 * count; K, M and G may follow, times 1024), LEVEL (enum log_level).
 *
 * name, type, default, least, most, manual text */
#define CONF_TABLE(X)                                                                                                  \
    X(data, TEXT, "data", 1, 4000, "folder of everything that is kept; made when it is not there")                     \
    X(listen, TEXT, "127.0.0.1:9001", 3, 300,                                                                          \
      "HOST:PORT to serve on, [HOST]:PORT for IPv6; port 0 takes any free one")                                        \
    X(workspace, TEXT, "", 0, 64, "workspace that is made at start when it is not there; together with api_key")       \
    X(api_key, TEXT, "", 0, 512,                                                                                       \
      "key of that workspace; give it in the environment, for flags show in the process list")                         \
    X(models, TEXT, "", 0, 4000, "folder of the models; empty: models/ beside the program")                            \
    X(keep_images, TEXT, "none", 1, 4000,                                                                              \
      "which pictures of inferences are kept: none, all, sample:P (a share from 0 to 1) or below:C (those whose best " \
      "confidence is under C, or that show nothing); for single workspaces after it: "                                 \
      "none,line-1=all,line-2=sample:0.1")                                                                             \
    X(open_inference, TEXT, "", 0, 64,                                                                                 \
      "workspace that results go to when an inference comes without a key; empty: inference needs a key")              \
    X(http_workers, NUMBER, "2", 1, 64, "threads that read requests and write answers")                                \
    X(inference_threads, NUMBER, "2", 1, 64, "threads that run models")                                                \
    X(inference_queue, NUMBER, "64", 1, 10000, "inferences that may wait for a thread; past it the answer is 503")     \
    X(image_url_hosts, TEXT, "", 0, 4000,                                                                              \
      "hosts that pictures may be fetched from over https when a request names a URL: names with commas between, "    \
      "*.example.com for all below it, :PORT when it is not 443; empty: none")                                         \
    X(image_url_timeout_s, NUMBER, "10", 1, 300, "seconds after which such a picture is given up")                     \
    X(image_url_ca, TEXT, "", 0, 4000, "PEM file of the authorities that those hosts' certificates come from; empty: " \
      "the machine's")                                                                                                 \
    X(image_url_private, NUMBER, "0", 0, 1,                                                                            \
      "1: those hosts may have addresses that are not public; for tests, and for a plant's own network")               \
    X(upstream, TEXT, "", 0, 300,                                                                                      \
      "https://HOST of the platform, to which requests for model weights, workflow specifications and apiproxy are "   \
      "passed on with the key that they carry; empty: they are answered 404")                                          \
    X(upstream_ca, TEXT, "", 0, 4000, "PEM file of the authorities that its certificate comes from; empty: the "       \
      "machine's")                                                                                                     \
    X(upstream_timeout_s, NUMBER, "100", 1, 3600, "seconds after which such a request is given up")                    \
    X(upstream_threads, NUMBER, "8", 1, 64, "such requests under way at the same time")                                \
    X(upstream_max_bytes, SIZE, "16M", 1024, 1 << 30, "largest answer of the upstream")                                \
    X(ingest_threads, NUMBER, "2", 1, 64, "threads that read what inference servers report")                           \
    X(event_queue, NUMBER, "64", 1, 10000, "events that may wait to be stored; past it the answer is 529")             \
    X(query_threads, NUMBER, "2", 1, 64, "threads that answer questions to the store")                                 \
    X(query_timeout_s, NUMBER, "30", 1, 3600, "seconds after which a question to the store is given up")               \
    X(slow_query_ms, NUMBER, "1000", 0, 3600000, "a question that takes so many milliseconds is logged with its plan") \
    X(query_memory, SIZE, "256M", 1 << 20, 1LL << 40,                                                                  \
      "bytes that one question to the store may take for its groups and lists; past it the answer is 422")            \
    X(summaries, NUMBER, "1", 0, 1,                                                                                    \
      "1: questions without a filter are answered from what segments say of themselves, where that suffices; 0: rows " \
      "are counted for every question")                                                                                \
    X(max_connections, NUMBER, "1000", 4, 60000, "connections open at the same time")                                  \
    X(max_body_metadata, SIZE, "20M", 1024, 1 << 30, "largest body of a metadata request, packed and unpacked")        \
    X(max_body_inference, SIZE, "32M", 1024, 1 << 30, "largest body of an inference request")                          \
    X(max_body_ingest, SIZE, "32M", 1024, 1 << 30, "largest body of inferences sent in")                               \
    X(max_body_pingback, SIZE, "64M", 1024, 1 << 30,                                                                   \
      "largest body that an inference server reports in; it is kept in a file while it is read")                       \
    X(max_body_upload, SIZE, "32M", 1024, 1 << 30, "largest body of a picture, or its annotation, that is uploaded")      \
    X(max_image_pixels, SIZE, "100000000", 1, 1000000000,                                                              \
      "most pixels of a picture (width x height), seen before decoding")                                               \
    X(max_ids_per_request, SIZE, "1000000", 1, 10000000, "most inference ids in one metadata request")                 \
    X(journal_file_size, SIZE, "64M", 1 << 20, 1 << 30, "bytes of one journal file")                                   \
    X(journal_max, SIZE, "512M", 4 << 20, 1LL << 40, "bytes of the whole journal; near it a checkpoint is forced")     \
    X(checkpoint_interval_s, NUMBER, "60", 1, 86400, "seconds between checkpoints, when there are changes")            \
    X(max_fields, NUMBER, "1024", 1, 65535, "metadata fields of one workspace")                                        \
    X(max_pending, SIZE, "1000000", 1, 100000000, "ids of one workspace with metadata but no inference yet")           \
    X(pending_ttl_days, NUMBER, "90", 0, 36500,                                                                        \
      "days after its last change that metadata waits for its inference; 0: for ever")                                 \
    X(set_aside_most, NUMBER, "1000", 1, 1000000,                                                                      \
      "reported items of a workspace that could not be stored and are kept with the reason, the newest ones")          \
    X(activity_most, NUMBER, "20000", 1, 10000000,                                                                     \
      "entries of a workspace's activity list that are kept, the newest ones; those of attaches and reviews apart from " \
      "those of changes")                                                                                              \
    X(device_silent_s, NUMBER, "0", 0, 31536000,                                                                       \
      "seconds without a report after which a device counts as silent; 0: three times its own interval")               \
    X(failures_most, NUMBER, "100000", 1, 100000000,                                                                   \
      "counts of failed inferences of a workspace that servers reported and that are kept, the newest ones")           \
    X(max_per_id, NUMBER, "1024", 1, 4000, "inferences under one id: images of a batch, models")                       \
    X(segment_rows, NUMBER, "65536", 16, 65536, "inferences of a full segment; fewer make more, smaller files")        \
    X(seal_idle_s, NUMBER, "3600", 1, 1000000000,                                                                      \
      "seconds without an inference after which a workspace's open ones become a segment")                             \
    X(fold_share, NUMBER, "25", 1, 10000,                                                                              \
      "metadata written to a segment's inferences, in percent of their number, before it is written anew with it")     \
    X(retention_days, NUMBER, "0", 0, 36500,                                                                           \
      "days after which inferences are dropped, by segments, from their time or receipt, whichever is later; 0: never") \
    X(idle_timeout_s, NUMBER, "30", 1, 3600,                                                                           \
      "seconds after which a connection that sends and takes nothing is closed")                                       \
    X(log_level, LEVEL, "info", 0, 0, "least level that is logged: debug, info, warn or error")                        \
    X(session_days, NUMBER, "30", 1, 3650, "days that a sign-in to the dashboard lasts")

#define CONF_CTYPE_TEXT char *
#define CONF_CTYPE_NUMBER unsigned
#define CONF_CTYPE_SIZE uint64_t
#define CONF_CTYPE_LEVEL enum log_level

struct conf {
#define X(name, type, def, least, most, text) CONF_CTYPE_##type name;
    CONF_TABLE(X)
#undef X
};

/* args: what follows `serve` on the command line. --config FILE (or SIGHTGLASS_CONFIG) names the settings file: a line
 * is `name = value`, empty, or begins with '#'. On failure *c is empty again and e names option, value and limits. */
bool conf_load(struct conf *c, int count, char **args, struct err *e);
void conf_free(struct conf *c);

/* The listen setting in its two parts. host has 300 bytes. */
enum { CONF_HOST = 300 };
bool conf_listen(const struct conf *c, char host[CONF_HOST], uint16_t *port, struct err *e);

/* The table for people. */
void conf_print_help(FILE *to);
void conf_print_markdown(FILE *to);
