/* What the files of http/ share, and nobody else sees.
 *
 * A request is made when its request line was read (http.c), lives on one HTTP worker, and is freed there when
 * libmicrohttpd says that it is over. Only between request_wait and request_wake may another thread hold it; `state`
 * and `refs` settle who frees it when the server stops in between. */
#pragma once
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "http/body.h"
#include "http/closer.h"
#include "http/http.h"
#include "http/tally.h"

enum wait_state { RUNNING, WAITING, WOKEN, ABANDONED };

/* Where a request stands on its way through request_step(). */
enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_HANDLER, STAGE_ANSWERED };

struct header {
    struct header *next;
    const char *name, *value;
};

/* Wakes a worker from another thread, for libmicrohttpd wakes only threads of its own. Whoever wakes a request may come
 * to ring it when the server is gone already: each exchange holds a reference. */
struct bell {
    atomic_int refs;
    atomic_bool rung; /* fd was written to since the worker last looked */
    int fd;
};

/* A connection on its way from the acceptor to its worker. */
struct arrival {
    int fd;
    struct sockaddr_storage address;
    socklen_t size;
};
enum { INBOX = 16 };

/* One a worker thread, with a daemon of its own, so that workers share nothing while they serve; http_stop looks into
 * all of them. */
struct worker {
    struct http *http;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool running;
    struct bell *bell;
    atomic_int open;      /* connections, those in the inbox included */
    pthread_mutex_t lock; /* guards what follows up to `live`; only the acceptor takes it too while the server runs */
    struct arrival inbox[INBOX];
    unsigned arrived;
    struct exchange *live;
    atomic_bool busy;     /* a handler runs */
    atomic_int suspended; /* connections of this worker that wait */
    uint64_t next_id;
    struct tally *tally; /* its answers */
};

/* A request and what the server needs to know of it. `r` comes first: a struct request * is a struct exchange *. */
struct exchange {
    struct request r;
    struct http *http;
    struct worker *worker;
    struct bell *bell;
    struct exchange *next, *prev;
    struct MHD_Connection *connection;
    enum stage stage;
    struct body body; /* as it came; after unpacking, r.body points into body or into unpacked */
    struct body unpacked;
    size_t dropped; /* body bytes read and thrown away */
    int refused;    /* a status: no handler will run, `refusal` is the answer once the body is out of the way */
    struct err refusal;
    char allow[HTTP_ALLOW_SIZE]; /* of the path, for 405 and OPTIONS */
    enum cors cors;
    bool chunked;
    struct header *headers; /* of the answer */
    int status;
    size_t sent;
    request_handler *then;
    bool suspended; /* from request_wait until its worker sees it again: the handler's turn, or its end */
    int watched;    /* a descriptor of its own for the connection, so that the number stays this one's; -1: none */
    _Atomic enum wait_state state;
    atomic_int refs; /* the server, and while it waits whoever holds it */
};

struct http {
    struct http_config config;
    int listen_fd;
    pthread_t acceptor;
    bool accepting;
    uint16_t port;
    struct closer *closer;
    struct worker *workers;
    uint64_t boot;            /* upper bits of the request ids */
    atomic_bool closing_soon; /* nothing is accepted any more, answers say Connection: close */
    atomic_bool closing;      /* no handler starts any more */
    atomic_bool ended;        /* the workers stop */
};

/* http.c */
void bell_ring(struct bell *b); /* any thread */
void bell_unref(struct bell *b);

/* request.c */
struct exchange *exchange_new(struct http *h, struct worker *w, struct MHD_Connection *c, const char *target);
void exchange_unref(struct exchange *x);
enum MHD_Result request_step(struct exchange *x, const char *method, const char *data, size_t *data_size);
void request_over(struct exchange *x);

void request_counted(struct exchange *x); /* its answer, once the status is known; on its worker */

/* url.c: fills path, segments, query; false with the refusal set. */
bool url_parse(struct request *r, struct str target, struct err *e);

/* router.c: the parameters of r->route's pattern. */
void route_params(struct request *r);

/* respond.c: x->refused and x->refusal as an answer; respond_raw makes the whole answer to a body that is not read to
 * its end, for a connection that libmicrohttpd will not answer on any more. */
void respond_refusal(struct exchange *x);
void respond_raw(struct exchange *x, struct buf *to);

/* gzip.c: ERR_TOO_LARGE over `most`, ERR_INVALID for what is no gzip. */
bool gzip_unpack(const struct body *packed, size_t most, struct body *to, struct err *e);
