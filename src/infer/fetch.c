#include "infer/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/transfer.h"

#define CANNOT "Could not load input image. Cause: "
enum { URL_MOST = 8192 };

struct fetch {
    struct arena arena;
    struct str *hosts; /* without port, lower case or not */
    unsigned *ports;
    size_t host_count;
    struct fetch_config config; /* its texts in the arena */
    atomic_bool stopping;
};

/* ---- the list ---- */

static bool add_host(struct fetch *f, struct str entry, struct err *e) {
    unsigned long long port = 443;
    struct str host = entry, name = entry, number;
    /* The last colon, unless it is inside an IPv6 address's brackets. */
    const char *colon = memrchr(entry.p, ':', entry.n), *bracket = memrchr(entry.p, ']', entry.n);
    if (colon && (!bracket || colon > bracket)) {
        name = (struct str){entry.p, (size_t)(colon - entry.p)};
        number = str_from(entry, name.n + 1);
        if (!str_to_u64(number, &port) || port < 1 || port > 65535)
            return err_set(e, ERR_INVALID, "image_url_hosts: \"" STR_FMT "\": what stands behind the colon is no port",
                           STR_ARG(host));
    }
    if (str_starts(name, STR("*."))) name = str_from(name, 1);
    if (name.n < 2 || memchr(name.p, '*', name.n) || memchr(name.p, '/', name.n) || memchr(name.p, ' ', name.n))
        return err_set(e, ERR_INVALID,
                       "image_url_hosts: \"" STR_FMT "\" is no host; write images.example.com or *.example.com, with "
                       "commas between",
                       STR_ARG(host));
    f->hosts[f->host_count] = (struct str){arena_copy(&f->arena, name.p, name.n), name.n};
    f->ports[f->host_count++] = (unsigned)port;
    return true;
}

struct fetch *fetch_new(const struct fetch_config *config, struct err *e) {
    struct fetch *f = mem_zero(1, sizeof *f);
    struct str rest = str_trim(str_of(config->hosts)), entry;
    size_t most = 1;
    f->config = *config;
    f->config.hosts = NULL;
    f->config.ca_file = arena_printf(&f->arena, "%s", config->ca_file);
    for (size_t i = 0; i < rest.n; i++) most += rest.p[i] == ',';
    f->hosts = arena_alloc(&f->arena, most * sizeof *f->hosts);
    f->ports = arena_alloc(&f->arena, most * sizeof *f->ports);
    bool ok = true, more = rest.n > 0;
    while (more && ok) {
        more = str_cut(rest, ',', &entry, &rest);
        ok = add_host(f, str_trim(entry), e);
    }
    if (ok && *f->config.ca_file && access(f->config.ca_file, R_OK) != 0)
        ok = err_errno(e, "image_url_ca: %s cannot be read", f->config.ca_file);
    if (ok && transfer_start(e)) return f;
    arena_free(&f->arena);
    free(f);
    return NULL;
}

void fetch_stop(struct fetch *f) { atomic_store(&f->stopping, true); }

void fetch_free(struct fetch *f) {
    if (!f) return;
    transfer_end();
    arena_free(&f->arena);
    free(f);
}

/* ---- addresses ---- */

struct range {
    uint32_t from;
    int bits;
};

static bool is_public_4(uint32_t address) {
    static const struct range not_public[] = {
        {0x00000000, 8},  /* this network */
        {0x0a000000, 8},  /* private */
        {0x64400000, 10}, /* shared with a provider */
        {0x7f000000, 8},  /* this machine */
        {0xa9fe0000, 16}, /* link-local; metadata services */
        {0xac100000, 12}, /* private */
        {0xc0000000, 24}, /* protocol assignments */
        {0xc0000200, 24}, /* documentation */
        {0xc0586300, 24}, /* 6to4 relays */
        {0xc0a80000, 16}, /* private */
        {0xc6120000, 15}, /* benchmarks */
        {0xc6336400, 24}, /* documentation */
        {0xcb007100, 24}, /* documentation */
        {0xe0000000, 3},  /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof not_public / sizeof *not_public; i++)
        if ((address ^ not_public[i].from) >> (32 - not_public[i].bits) == 0) return false;
    return true;
}

/* Global unicast is 2000::/3; what is carved out of it leads elsewhere or nowhere. */
static bool is_public_6(const uint8_t a[16]) {
    uint32_t first = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
    return first >> 29 == 1            /* 2000::/3 */
           && first >> 9 != 0x20010000 >> 9 /* 2001::/23, protocol assignments, Teredo */
           && first != 0x20010db8      /* documentation */
           && first >> 16 != 0x2002    /* 6to4: holds an IPv4 address */
           && first >> 12 != 0x3fff0000 >> 12; /* documentation */
}

bool fetch_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return is_public_4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return is_public_6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return false;
}

/* ---- one URL ---- */

/* A part of it, which the caller frees with curl_free; NULL when there is none. */
static char *part_of(CURLU *url, CURLUPart part, unsigned flags) {
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool is_address(const char *host) {
    unsigned char to[16];
    return *host == '[' || inet_pton(AF_INET, host, to) == 1;
}

static bool listed(const struct fetch *f, struct str host, unsigned port) {
    for (size_t i = 0; i < f->host_count; i++) {
        struct str h = f->hosts[i];
        if (f->ports[i] != port) continue;
        if (str_eq_nocase(host, h)) return true;
        if (h.p[0] == '.' && host.n > h.n && str_eq_nocase(str_from(host, host.n - h.n), h)) return true;
    }
    return false;
}

static bool check(const struct fetch *f, CURLU *url, struct err *e) {
    char *scheme = part_of(url, CURLUPART_SCHEME, 0), *host = part_of(url, CURLUPART_HOST, 0);
    char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT), *user = part_of(url, CURLUPART_USER, 0);
    unsigned long long number = 0;
    bool ok = false;
    if (!scheme || strcmp(scheme, "https") != 0) {
        err_set(e, ERR_INVALID,
                CANNOT "Providing images via non https:// URL is not supported in this configuration of `inference`.");
    } else if (user) {
        err_set(e, ERR_INVALID, CANNOT "The URL has a user name in it, which is not taken.");
    } else if (host && port && str_to_u64(str_of(port), &number) && listed(f, str_of(host), (unsigned)number)) {
        ok = true;
    } else if (host && is_address(host)) {
        err_set(e, ERR_INVALID,
                CANNOT "Providing images via URL without FQDN is not supported in this configuration of `inference`.");
    } else {
        err_set(e, ERR_INVALID, CANNOT "%.100s:%.8s is not among the hosts that pictures may come from (image_url_hosts).",
                host ? host : "the host", port ? port : "");
    }
    curl_free(scheme), curl_free(host), curl_free(port), curl_free(user);
    return ok;
}

/* The URL taken apart, which curl is then given as it is, so that no two readers of it can differ. NULL: see e. */
static CURLU *parse(const struct fetch *f, struct str text, struct err *e) {
    struct arena a = {0};
    CURLU *url = curl_url();
    char *z = arena_alloc(&a, text.n + 1);
    memcpy(z, text.p, text.n);
    bool ok = false;
    if (f->host_count == 0)
        err_set(e, ERR_INVALID, CANNOT "Providing images via URL is not enabled on this server (image_url_hosts).");
    else if (text.n > URL_MOST || memchr(text.p, 0, text.n) || !url || curl_url_set(url, CURLUPART_URL, z, 0) != CURLUE_OK)
        err_set(e, ERR_INVALID, CANNOT "The URL is none.");
    else
        ok = check(f, url, e);
    arena_free(&a);
    if (ok) return url;
    curl_url_cleanup(url);
    return NULL;
}

bool fetch_allowed(const struct fetch *f, struct str url, struct err *e) {
    CURLU *parsed = parse(f, url, e);
    curl_url_cleanup(parsed);
    return parsed != NULL;
}

/* ---- fetching ---- */

static bool may_connect(const struct sockaddr *address, void *ctx) {
    const struct fetch *f = ctx;
    return f->config.private_addresses || fetch_is_public(address);
}

static bool stopping(void *ctx) {
    const struct fetch *f = ctx;
    return atomic_load(&f->stopping);
}

static bool failed(const struct fetch *f, const struct transfer *t, struct err *e) {
    if (t->too_large)
        return err_set(e, ERR_INVALID, CANNOT "The picture at the URL has over %zu bytes, the limit.",
                       f->config.max_bytes);
    if (t->refused_address)
        return err_set(e, ERR_INVALID, CANNOT "The URL's host has an address that is not public (image_url_private).");
    if (t->code == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_INVALID, CANNOT "The URL gave no whole answer within %u s (image_url_timeout_s).",
                       f->config.timeout_s);
    if (t->gave_up) return err_set(e, ERR_BUSY, "The server is stopping. Send it again soon.");
    return err_set(e, ERR_INVALID, CANNOT "The URL could not be fetched: %s.", curl_easy_strerror(t->code));
}

/* One request. *next is where it leads to, for the caller to free, or NULL when the picture is in `out`. */
static bool get_once(struct fetch *f, CURLU *url, int64_t left_ms, struct buf *out, char **next, struct err *e) {
    struct transfer t = {.url = url,
                         .protocols = "https",
                         .ca_file = f->config.ca_file,
                         .timeout_ms = left_ms,
                         .max_bytes = f->config.max_bytes,
                         .out = out,
                         .may_connect = may_connect,
                         .give_up = stopping,
                         .ctx = f};
    size_t begin = out->n;
    bool ok = transfer_run(&t) || failed(f, &t, e);
    *next = NULL;
    if (ok && t.location) {
        *next = t.location;
        t.location = NULL;
        out->n = begin; /* what stood in the redirect's body */
    } else if (ok && t.status != 200) {
        ok = err_set(e, ERR_INVALID, CANNOT "The URL answered with status %ld.", t.status);
    }
    transfer_free(&t);
    return ok;
}

bool fetch_get(struct fetch *f, struct str text, struct buf *out, struct err *e) {
    int64_t end_us = clock_mono_us() + (int64_t)f->config.timeout_s * 1000000;
    char *at = NULL;
    bool ok = true, done = false;
    for (int i = 0; ok && !done; i++) {
        char *next = NULL;
        int64_t left_ms = (end_us - clock_mono_us()) / 1000;
        CURLU *url = parse(f, at ? str_of(at) : text, e);
        if (i > FETCH_REDIRECTS)
            ok = err_set(e, ERR_INVALID, CANNOT "The URL was redirected over %d times.", FETCH_REDIRECTS);
        else
            ok = url && get_once(f, url, left_ms > 1 ? left_ms : 1, out, &next, e);
        curl_url_cleanup(url);
        free(at);
        at = next;
        done = !at;
    }
    free(at);
    return ok;
}
