/* Pictures that a request names by URL: fetched from the hosts that the operator allows, and from no others.
 *
 * https only; the server's certificate is checked; no user name in the URL; no proxy. Each address is looked at when the
 * connection to it is made, after the name was resolved: one that is not public (this machine, the plant's network, a
 * cloud's metadata service) is refused unless private addresses are allowed. A redirect is followed at most
 * FETCH_REDIRECTS times, and held to the same. Size and time have limits, redirects included.
 *
 * The list: host names with commas between them, each with ":port" when it is not 443; "*.example.com" stands for all
 * names below example.com. An address instead of a name has to be in the list as it stands.
 *
 * Owner: whoever made it, until nobody fetches any more. Any thread; fetch_get blocks. The errors are ERR_INVALID, with
 * the text that the inference routes answer (protocol 2.6). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct fetch;

struct fetch_config {
    const char *hosts;      /* empty: none, every URL is refused */
    const char *ca_file;    /* PEM; empty: the machine's authorities */
    bool private_addresses; /* allowed hosts may have them */
    unsigned timeout_s;
    size_t max_bytes;
};
enum { FETCH_REDIRECTS = 3 };

struct fetch *fetch_new(const struct fetch_config *config, struct err *e);
void fetch_stop(struct fetch *f); /* what is under way fails soon */
void fetch_free(struct fetch *f);

/* Whether the URL may be fetched as far as can be told from it alone. */
bool fetch_allowed(const struct fetch *f, struct str url, struct err *e);

/* Appends what is there. */
bool fetch_get(struct fetch *f, struct str url, struct buf *out, struct err *e);

/* Of the registries of special-purpose addresses (RFC 6890 and after) everything counts as not public. */
bool fetch_is_public(const struct sockaddr *address);
