/* One HTTP exchange as a client, with libcurl: what fetch.c and upstream.c have in common.
 *
 * What holds for each: only the scheme and host that the caller's URL names are asked, a redirect is an answer like any
 * other, no proxy of the environment is used, certificates are checked, the answer's size and the time have limits.
 *
 * Blocks: never on an HTTP worker. Any thread; a struct transfer belongs to one. transfer_start before the first. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

struct transfer_header {
    struct transfer_header *next;
    struct str name, value;
};

struct transfer {
    /* the caller's */
    CURLU *url;             /* parsed, so that no two readers of it can differ */
    const char *protocols;  /* "https", "http,https" */
    const char *ca_file;    /* PEM; empty: the machine's authorities */
    int64_t timeout_ms;     /* of the whole; a connection has `connect_ms` of it */
    int64_t connect_ms;     /* 0: all of it */
    size_t max_bytes;       /* of the answer's body */
    struct buf *out;        /* the body is appended */
    bool (*may_connect)(const struct sockaddr *address, void *ctx); /* NULL: anywhere the URL leads */
    bool (*give_up)(void *ctx); /* asked about once a second and whenever something comes */
    void *ctx;

    /* the caller's, for what is more than a GET; all may be NULL */
    const char *target;     /* sent on the request line as it stands, in place of what the URL says */
    struct str method, body;
    struct curl_slist *headers; /* and none but these and Host, Content-Length */
    struct arena *arena;        /* the answer's headers go here */

    /* the answer */
    long status;
    struct transfer_header *answer; /* in the order they came */
    char *location;                 /* where a redirect leads, absolute; transfer_free frees it */

    /* why there is none */
    bool too_large, refused_address, gave_up;
    CURLcode code;
    char detail[CURL_ERROR_SIZE]; /* curl's words for it */

    /* its own */
    size_t begin, header_bytes;
    struct transfer_header **last;
};

bool transfer_start(struct err *e);
void transfer_end(void);

bool transfer_run(struct transfer *t); /* false: see above; any status is an answer */
void transfer_free(struct transfer *t);
