/* HTTP/1.1 over 127.0.0.1, as much as the load generator needs: one connection kept alive, one request in flight.
 * client_parse also serves the generator's own event loop. One thread a client. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Only http://127.0.0.1:PORT, or localhost, which is taken for the same and not looked up: what makes load is not for
 * other people's servers. */
bool client_address(const char *url, struct sockaddr_in *out, struct err *e);
int client_connect(const struct sockaddr_in *to, struct err *e); /* -1: failed */

enum client_parsed { CLIENT_MORE, CLIENT_DONE, CLIENT_BROKEN };
struct answer {
    int status;
    struct str body; /* in the bytes that were parsed */
    size_t size;     /* of head and body */
};
/* Answers must carry Content-Length; one without, or chunked, is broken. */
enum client_parsed client_parse(struct str bytes, struct answer *out);

struct client {
    int fd;
    const char *key;
    struct buf in;
};
bool client_open(struct client *c, const char *url, const char *key, struct err *e);
void client_close(struct client *c);
/* body {NULL, 0}: none. The answer's body lives until the next call. */
bool client_call(struct client *c, const char *method, const char *path, struct str body, struct answer *out,
                 struct err *e);
