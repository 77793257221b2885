/* The HTTP server: libmicrohttpd behind a route table. It knows requests, limits and answers, and no domain.
 *
 * Life of a request (request.c tells it in order): headers -> route -> body limit -> body read (chunked or not, gzip
 * unpacked under its own limit) -> handler -> answer. The handler runs on an HTTP worker and must not wait: one that
 * has to (a disk, a scan, a model) calls request_wait(), hands the request to another thread and returns; that thread
 * calls request_wake(), and `then` runs on an HTTP worker and answers.
 *
 * Owner: a struct request belongs to the server and lives until its answer is sent or its client is gone while nobody
 * waits; everything allocated from its arena goes with it. Between request_wait and request_wake it belongs to whoever
 * holds it, and is not freed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* What is said of a path that no route has. */
#define HTTP_NO_PATH "there is nothing at this path; GET /openapi.json lists what there is"

/* Limits that no setting moves. Past the first two the answer is 414 and 431, past the others 400. */
enum {
    HTTP_MAX_TARGET = 8192,   /* bytes of path and query as sent */
    HTTP_MAX_HEADERS = 16384, /* bytes of request line and headers */
    HTTP_MAX_SEGMENTS = 16,
    HTTP_MAX_QUERY = 128, /* parameters */
    HTTP_MAX_PARTS = 64,  /* of a multipart body */
    HTTP_DRAIN = 65536,   /* body bytes read and dropped where no body is wanted */
    HTTP_ALLOW_SIZE = 64,
};

struct http;
struct request;
typedef void request_handler(struct request *r);

/* The shape that a route's callers read errors in (protocol 2.6, 5). */
enum error_shape {
    SHAPE_ERROR,   /* {"error": "..."}   platform routes and our own */
    SHAPE_MESSAGE, /* {"message": "..."} inference routes */
    SHAPE_DETAIL,  /* {"detail": "..."}  the local event store's */
};

enum cors { CORS_NONE, CORS_ANY /* Access-Control-Allow-Origin: *, never with credentials */ };

struct route {
    const char *method;  /* "GET" (serves HEAD too), "POST", "PUT", "PATCH", "DELETE" */
    const char *pattern; /* "/api/v1/:workspace/inferences/:id"; a last segment "*" takes the rest of the path */
    request_handler *run;
    size_t max_body; /* bytes, packed and unpacked alike; 0: the route takes no body (one that comes is read and dropped
                        up to 64 KiB) */
    enum error_shape shape;
    enum cors cors;
    const char *summary; /* one line; `sightglass` prints the table, docs/api.md lists it */
    bool spool; /* a long body is kept in a file and mapped (body.h): the handler reads it under a guard, off the worker */
    bool packed; /* the handler gets the body as it came, whatever its Content-Encoding */
};

struct pair {
    struct str name, value;
};

struct request {
    struct arena arena;
    uint64_t id;          /* in every log line and in the answer's X-Request-ID */
    struct str method;    /* as sent; a HEAD stays "HEAD" */
    struct str path;      /* as sent, without query, doubled slashes made one */
    struct str query_text; /* as sent, without the question mark */
    struct str *segments; /* percent-decoded */
    size_t segment_count;
    const struct route *route;
    struct pair *params; /* of the pattern, percent-decoded */
    size_t param_count;
    struct pair *query; /* percent-decoded, in the order sent */
    size_t query_count;
    struct str body;    /* unpacked */
    struct str peer;    /* address text */
    int64_t started_us; /* monotonic */
    void *app;          /* of the http_config */
    void *data;         /* the handler's own */
    request_handler
        *cleanup;   /* frees what `data` holds beyond the arena, when the request goes; `then` may never run */
    struct buf out; /* the answer's body is built here */
};

struct str request_param(const struct request *r, const char *name);
/* The first with that name; {NULL, 0} when it is not there (p is never NULL when it is, even if empty). */
struct str request_query(const struct request *r, const char *name);
struct str request_header(const struct request *r, const char *name);
struct str request_cookie(const struct request *r, const char *name);
/* All headers as sent, in the arena. */
struct pair *request_headers(struct request *r, size_t *count);
/* Of a body that is mapped: what stands before `to` is not looked at again soon, and gives its memory back. */
void request_body_passed(const struct request *r, const char *to);

/* Multipart form data (RFC 7578): the part with that name; only parts that carry a filename count as files. */
struct part {
    struct str name, filename, content_type, bytes;
    bool has_filename;
};
bool request_multipart(struct request *r, struct part **parts, size_t *count, struct err *e);

/* See the head of this file. request_wait is called on the HTTP worker before the request is handed over. */
void request_wait(struct request *r, request_handler *then);
void request_wake(struct request *r); /* any thread, once a wait */

/* For what may take long: request_watch on the HTTP worker before request_wait, and from then until request_wake
 * whoever holds the request may ask, on any thread, whether the client has gone. One that closed only its sending side
 * counts as gone: the two look the same until something is sent. Always false when there was nothing to watch with. */
void request_watch(struct request *r);
bool request_gone(const struct request *r);

/* Answers. Exactly one a request. respond() sends r->out. Headers first. */
void respond_header(struct request *r, const char *name, const char *value);
void respond(struct request *r, int status, const char *content_type);
void respond_json(struct request *r, int status); /* r->out as application/json */
void respond_error(struct request *r,
                   const struct err *e); /* in the route's shape, status of the code; Retry-After: 1 with 503 */
void respond_fail(struct request *r, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void respond_empty(struct request *r, int status); /* 204 and the like */
void respond_static(struct request *r, int status, const char *content_type, const void *p,
                    size_t n);                                                    /* bytes that outlive the server */
bool respond_file(struct request *r, int fd, size_t n, const char *content_type); /* takes fd */
/* To a HEAD: a body of that length would follow; HTTP_UNKNOWN_LENGTH when nobody knows. */
#define HTTP_UNKNOWN_LENGTH UINT64_MAX
void respond_head(struct request *r, int status, const char *content_type, uint64_t n);

struct http_config {
    const char *host; /* name or address; IPv6 without brackets */
    uint16_t port;    /* 0: any free one */
    unsigned workers;
    unsigned idle_timeout_s; /* a connection that sends or takes nothing for so long is closed */
    unsigned max_connections;
    const struct route *routes;
    size_t route_count;
    const char *spool; /* folder for bodies of routes that spool; NULL: they are held in memory */
    void *app;
    /* Called before a request is routed, with path and query read; NULL: none. True with a target in *to: the request
     * is one for that target, with its method, headers and body, and is routed by it; it is not asked again. False
     * with e->code ERR_NONE: it stays as it is; with another: it is refused. */
    bool (*rewrite)(struct request *r, struct str *to, struct err *e);
    /* Called for each answer, on its HTTP worker, before it goes out; NULL: nobody listens. Must not wait. */
    void (*answered)(struct request *r, int status);
};

/* Appends what was answered since the start, for Prometheus (tally.h). */
void http_metrics(struct request *r, struct buf *to);

/* In two steps, so that the port can be told to those who serve before the first of them runs: http_listen takes the
 * address, http_serve starts the workers. http_stop may follow either. */
struct http *http_listen(const struct http_config *c, struct err *e);
uint16_t http_port(const struct http *h);
bool http_serve(struct http *h, struct err *e);
/* Stops accepting, lets what is in flight finish for at most grace_ms, then closes and frees everything. */
void http_stop(struct http *h, unsigned grace_ms);

/* Routing alone, for tests and the collision table: the route that answers, or NULL with the status (404 or 405) and
 * the methods that would do ("GET, HEAD, POST") in allow. A literal segment beats a parameter, from the left. */
const struct route *route_find(const struct route *routes, size_t count, struct str method, const struct str *segments,
                               size_t segment_count, int *status, char *allow, size_t allow_size);
