#include "api/upstream.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/transfer.h"

enum { WAITING_MOST = 256, CONNECT_MS = 10000, NAME = 40 };

struct upstream {
    struct arena arena;
    const char *origin, *ca_file;
    CURLU *url;
    char via[NAME]; /* this program's name in Via headers, another one with each start */
    unsigned timeout_s;
    size_t max_bytes;
    atomic_bool stopping;
    struct pool *pool;
};

/* ---- the setting ---- */

static char *part_of(CURLU *url, CURLUPart part, unsigned flags) {
    char *text = NULL;
    return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool on_this_machine(const char *host) {
    struct in_addr address;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/* The setting without a slash at its end, in the arena. NULL: it is none. */
static char *origin_of(const char *setting, struct arena *a, struct err *e) {
    CURLU *url = curl_url();
    char *origin = NULL;
    bool ok = url && curl_url_set(url, CURLUPART_URL, setting, 0) == CURLUE_OK;
    char *scheme = part_of(url, CURLUPART_SCHEME, 0), *host = part_of(url, CURLUPART_HOST, 0);
    char *port = part_of(url, CURLUPART_PORT, 0), *path = part_of(url, CURLUPART_PATH, 0);
    char *user = part_of(url, CURLUPART_USER, 0), *query = part_of(url, CURLUPART_QUERY, 0);
    char *fragment = part_of(url, CURLUPART_FRAGMENT, 0);
    bool https = scheme && strcmp(scheme, "https") == 0, http = scheme && strcmp(scheme, "http") == 0;
    if (!ok || !host || !*host || user || query || fragment || !path || strcmp(path, "/") != 0 || (!https && !http))
        err_set(e, ERR_INVALID, "upstream: \"%.100s\" must be https://HOST or https://HOST:PORT and nothing more",
                setting);
    else if (http && !on_this_machine(host))
        err_set(e, ERR_INVALID,
                "upstream: \"%.100s\" would send keys in the clear; use https (http only on this machine)", setting);
    else
        origin = arena_printf(a, "%s://%s%s%s", scheme, host, port ? ":" : "", port ? port : "");
    curl_free(scheme), curl_free(host), curl_free(port), curl_free(path);
    curl_free(user), curl_free(query), curl_free(fragment);
    curl_url_cleanup(url);
    return origin;
}

bool upstream_new(const struct conf *c, struct upstream **out, struct err *e) {
    *out = NULL;
    if (!*c->upstream) return true;
    struct upstream *u = mem_zero(1, sizeof *u);
    uint64_t name;
    randombytes_buf(&name, sizeof name);
    snprintf(u->via, sizeof u->via, "sightglass-%016llx", (unsigned long long)name);
    u->timeout_s = c->upstream_timeout_s;
    u->max_bytes = c->upstream_max_bytes;
    u->ca_file = arena_printf(&u->arena, "%s", c->upstream_ca);
    bool ok = (u->origin = origin_of(c->upstream, &u->arena, e));
    if (ok && *u->ca_file && access(u->ca_file, R_OK) != 0)
        ok = err_errno(e, "upstream_ca: %s cannot be read", u->ca_file);
    bool started = ok && transfer_start(e);
    ok = started && (u->url = curl_url()) && curl_url_set(u->url, CURLUPART_URL, u->origin, 0) == CURLUE_OK &&
         (u->pool = pool_new("upstream", c->upstream_threads, WAITING_MOST, e));
    if (ok) return *out = u, true;
    if (started) transfer_end();
    curl_url_cleanup(u->url);
    arena_free(&u->arena);
    free(u);
    return false;
}

void upstream_stop(struct upstream *u) {
    if (u) atomic_store(&u->stopping, true);
}

void upstream_free(struct upstream *u) {
    if (!u) return;
    upstream_stop(u);
    pool_free(u->pool);
    curl_url_cleanup(u->url);
    transfer_end();
    arena_free(&u->arena);
    free(u);
}

/* ---- a request ---- */

struct passing {
    struct upstream *u;
    struct request *r;
    struct transfer t;
    CURLU *url;
    struct curl_slist *headers;
    bool ok, full;
};

static bool is_token(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.n > 0;
}

static bool is_value(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f) return false;
    return true;
}

/* What may stand on a request line; a '#' would end the path there for some readers and not for others. */
static bool is_target(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '#' || s.p[i] == '\\')
            return false;
    return true;
}

static bool among(struct str name, const char *const *list) {
    for (size_t i = 0; list[i]; i++)
        if (str_eq_nocase(name, str_of(list[i]))) return true;
    return false;
}

/* Whether a Connection header names it. */
static bool of_connection(struct str name, const struct pair *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!str_eq_nocase(all[i].name, STR("Connection"))) continue;
        for (struct str rest = all[i].value, one; rest.n;) {
            str_cut(rest, ',', &one, &rest);
            if (str_eq_nocase(str_trim(one), name)) return true;
        }
    }
    return false;
}

static bool add_header(struct passing *p, struct str name, struct str value) {
    const char *line = value.n ? arena_printf(&p->r->arena, STR_FMT ": " STR_FMT, STR_ARG(name), STR_ARG(value))
                               : arena_printf(&p->r->arena, STR_FMT ";", STR_ARG(name)); /* libcurl: present, empty */
    struct curl_slist *longer = curl_slist_append(p->headers, line);
    if (longer) p->headers = longer;
    return longer;
}

/* libcurl adds these by itself unless told not to; a request has those that it came with. */
static bool add_absent(struct passing *p, const char *name) {
    if (request_header(p->r, name).p) return true;
    struct curl_slist *longer = curl_slist_append(p->headers, arena_printf(&p->r->arena, "%s:", name));
    if (longer) p->headers = longer;
    return longer;
}

static bool take_headers(struct passing *p, struct err *e) {
    static const char *const ours[] = {"Connection", "Keep-Alive",        "Proxy-Connection", "Proxy-Authorization",
                                       "TE",         "Trailer",           "Transfer-Encoding", "Upgrade",
                                       "Host",       "Content-Length",    "Expect",            "Cookie",
                                       NULL};
    size_t count;
    struct pair *all = request_headers(p->r, &count);
    for (size_t i = 0; i < count; i++) {
        if (!is_token(all[i].name) || !is_value(all[i].value))
            return err_set(e, ERR_INVALID, "header %zu has a name or a value that no header can have", i + 1);
        if (str_eq_nocase(all[i].name, STR("Via")) &&
            memmem(all[i].value.p, all[i].value.n, p->u->via, strlen(p->u->via)))
            return err_set(e, ERR_LOOP,
                           "the setting upstream (%s) leads back to this server; name the platform's own address",
                           p->u->origin);
        if (among(all[i].name, ours) || of_connection(all[i].name, all, count)) continue;
        if (!add_header(p, all[i].name, all[i].value)) return err_set(e, ERR_INTERNAL, "out of memory");
    }
    struct str via = str_of(arena_printf(&p->r->arena, "1.1 %s", p->u->via));
    return (add_header(p, STR("Via"), via) && add_absent(p, "Accept") && add_absent(p, "Content-Type") &&
            curl_slist_append(p->headers, "Expect:")) ||
           err_set(e, ERR_INTERNAL, "out of memory");
}

static bool give_up(void *ctx) {
    const struct passing *p = ctx;
    return atomic_load(&p->u->stopping) || request_gone(p->r);
}

static void run(void *arg) {
    struct passing *p = arg;
    p->ok = transfer_run(&p->t);
    request_wake(p->r);
}

static void drop(struct request *r) {
    struct passing *p = r->data;
    transfer_free(&p->t);
    curl_slist_free_all(p->headers);
    curl_url_cleanup(p->url);
}

bool relayed(const struct request *r) { return r->cleanup == drop && ((const struct passing *)r->data)->ok; }

/* ---- the answer ---- */

static bool wrong_certificate(CURLcode code) {
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;
}

static void answer_failure(struct passing *p) {
    struct request *r = p->r;
    const struct upstream *u = p->u;
    const struct transfer *t = &p->t;
    r->out.n = 0;
    if (p->full)
        respond_fail(r, ERR_BUSY, "%d requests wait for the upstream already; send it again soon", WAITING_MOST);
    else if (t->gave_up)
        respond_fail(r, ERR_BUSY, "the server is stopping; send it again soon");
    else if (t->too_large)
        respond_fail(r, ERR_UPSTREAM, "the upstream %s answered with more than %zu bytes (upstream_max_bytes)",
                     u->origin, u->max_bytes);
    else if (t->code == CURLE_OPERATION_TIMEDOUT)
        respond_fail(r, ERR_UPSTREAM_LATE, "the upstream %s gave no whole answer within %u s (upstream_timeout_s)",
                     u->origin, u->timeout_s);
    else if (wrong_certificate(t->code))
        respond_fail(r, ERR_UPSTREAM,
                     "the certificate of the upstream %s is not accepted: %.120s; if it has an authority of its own, "
                     "name that in upstream_ca",
                     u->origin, t->detail);
    else
        respond_fail(r, ERR_UPSTREAM,
                     "the upstream %s gave no answer: %.120s; is it up, and can this machine reach it?", u->origin,
                     t->detail);
}

/* What is said about the body and how to take it, and what has no effect on the browser's idea of this server. */
static bool is_passed_back(struct str name) {
    static const char *const list[] = {"Accept-Ranges",    "Allow",         "Cache-Control",  "Content-Disposition",
                                       "Content-Encoding", "Content-Language", "Content-MD5", "Content-Range",
                                       "Digest",           "ETag",          "Expires",        "Last-Modified",
                                       "Location",         "Retry-After",   "Vary",           "WWW-Authenticate",
                                       NULL};
    /* Ours, and what a proxy in front would take for an order to send a file of its own. */
    static const char *const kept[] = {"X-Request-ID",        "X-Accel-Redirect", "X-Sendfile",
                                       "X-LIGHTTPD-send-file", "X-Reproxy-URL",    NULL};
    return among(name, list) ||
           (name.n > 2 && str_eq_nocase((struct str){name.p, 2}, STR("X-")) && !among(name, kept));
}

static void answer(struct request *r) {
    struct passing *p = r->data;
    const char *type = NULL;
    uint64_t length = HTTP_UNKNOWN_LENGTH;
    int status = (int)p->t.status;
    if (!p->ok || status < 200 || status > 599) {
        p->ok = false;
        answer_failure(p);
        return;
    }
    for (struct transfer_header *h = p->t.answer; h; h = h->next) {
        unsigned long long n;
        if (!is_token(h->name) || !is_value(h->value)) continue;
        const char *value = arena_printf(&r->arena, STR_FMT, STR_ARG(h->value));
        if (str_eq_nocase(h->name, STR("Content-Type")))
            type = value;
        else if (str_eq_nocase(h->name, STR("Content-Length")) && str_to_u64(h->value, &n))
            length = n;
        else if (is_passed_back(h->name))
            respond_header(r, arena_printf(&r->arena, STR_FMT, STR_ARG(h->name)), value);
    }
    /* Should a browser be led here, nothing of another host's runs as a page of ours. */
    respond_header(r, "Content-Security-Policy", "sandbox");
    respond_header(r, "X-Content-Type-Options", "nosniff");
    if (str_is(r->method, "HEAD"))
        respond_head(r, status, type, length);
    else
        respond(r, status, type);
}

/* ---- the way there ---- */

bool relay_allowed(struct request *r) {
    struct identity who;
    struct str key = {0};
    struct err e;
    if (auth_given(r, &who)) return true;
    if (!auth_has_key(r) && r->body.n && body_text(r, "api_key", &key, &e) && key.n &&
        catalog_key(app_of(r)->catalog, key, &who))
        return true;
    respond_fail(r, ERR_UNAUTHORIZED, "an api_key is needed that opens a workspace here: in the query, as "
                                      "Authorization: Bearer KEY, or in the JSON body");
    return false;
}

void relay(struct request *r) {
    struct upstream *u = app_of(r)->upstream;
    struct err e;
    if (!relay_allowed(r)) return;
    if (!u) {
        respond_fail(r, ERR_NOT_FOUND,
                     "this is the platform's, and no upstream is set to pass it on to; start the server with "
                     "--upstream https://api.roboflow.com");
        return;
    }
    if (!is_target(r->path) || !is_target(r->query_text)) {
        respond_fail(r, ERR_INVALID, "path and query must be percent-encoded");
        return;
    }
    struct passing *p = arena_alloc(&r->arena, sizeof *p);
    *p = (struct passing){.u = u, .r = r, .url = curl_url_dup(u->url)};
    r->data = p;
    r->cleanup = drop;
    if (!p->url || !take_headers(p, &e)) {
        if (!p->url) err_set(&e, ERR_INTERNAL, "out of memory");
        respond_error(r, &e);
        return;
    }
    p->t = (struct transfer){.url = p->url,
                             .protocols = str_starts(str_of(u->origin), STR("https")) ? "https" : "http",
                             .ca_file = u->ca_file,
                             .timeout_ms = (int64_t)u->timeout_s * 1000,
                             .connect_ms = CONNECT_MS,
                             .max_bytes = u->max_bytes,
                             .out = &r->out,
                             .give_up = give_up,
                             .ctx = p,
                             .target = arena_printf(&r->arena, STR_FMT "%s" STR_FMT, STR_ARG(r->path),
                                                    r->query_text.n ? "?" : "", STR_ARG(r->query_text)),
                             .method = r->method,
                             .body = r->body,
                             .headers = p->headers,
                             .arena = &r->arena};
    request_watch(r);
    request_wait(r, answer);
    if (pool_submit(u->pool, run, p)) return;
    p->full = true;
    request_wake(r);
}

/* The platform's paths that begin with a name, where it is not a word of ours. */
void relay_of_owner(struct request *r) {
    if (routes_reserved(request_param(r, "owner")))
        respond_fail(r, ERR_NOT_FOUND, HTTP_NO_PATH);
    else
        relay(r);
}
