#include "base/transfer.h"

#include <stdlib.h>

enum { HEADERS_MOST = 65536 };

bool transfer_start(struct err *e) {
    return curl_global_init(CURL_GLOBAL_DEFAULT) == 0 || err_set(e, ERR_INTERNAL, "libcurl did not start");
}

void transfer_end(void) { curl_global_cleanup(); }

static size_t take_body(char *p, size_t one, size_t n, void *ctx) {
    struct transfer *t = ctx;
    if (t->out->n - t->begin + one * n > t->max_bytes) {
        t->too_large = true;
        return 0; /* fewer than came: curl ends the transfer */
    }
    buf_add(t->out, p, one * n);
    return one * n;
}

/* A line at a time. A status line begins anew: what came before belonged to a 100 Continue. */
static size_t take_header(char *p, size_t one, size_t n, void *ctx) {
    struct transfer *t = ctx;
    struct str line = str_trim((struct str){p, one * n}), name, value;
    if (str_starts(line, STR("HTTP/"))) {
        t->answer = NULL;
        t->last = &t->answer;
    }
    if ((t->header_bytes += line.n) > HEADERS_MOST) {
        t->too_large = true;
        return 0;
    }
    if (!str_cut(line, ':', &name, &value) || !t->arena) return one * n;
    struct transfer_header *h = arena_alloc(t->arena, sizeof *h);
    value = str_trim(value);
    h->name = (struct str){arena_copy(t->arena, name.p, name.n), name.n};
    h->value = (struct str){arena_copy(t->arena, value.p, value.n), value.n};
    *t->last = h;
    t->last = &h->next;
    return one * n;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    struct transfer *t = ctx;
    (void)purpose;
    if (t->may_connect && !t->may_connect(&address->addr, t->ctx)) {
        t->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int going_on(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    struct transfer *t = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return t->gave_up = t->give_up && t->give_up(t->ctx);
}

static void set_up(CURL *curl, struct transfer *t) {
    curl_easy_setopt(curl, CURLOPT_CURLU, t->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, t->protocols);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* of the environment neither: the proxy would choose the address */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
    if (t->connect_ms) curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_ms);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, going_on);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->detail);
    if (*t->ca_file) curl_easy_setopt(curl, CURLOPT_CAINFO, t->ca_file);
}

static void set_request(CURL *curl, const struct transfer *t) {
    if (t->headers)
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
    else
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "sightglass/" SIGHTGLASS_VERSION);
    if (t->target) curl_easy_setopt(curl, CURLOPT_REQUEST_TARGET, t->target);
    if (str_is(t->method, "HEAD")) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (!str_is(t->method, "POST")) return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.n);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, t->body.n ? t->body.p : "");
}

bool transfer_run(struct transfer *t) {
    CURL *curl = curl_easy_init();
    char *location = NULL;
    t->begin = t->out->n;
    t->last = &t->answer;
    if (!curl) return t->code = CURLE_FAILED_INIT, false;
    set_up(curl, t);
    set_request(curl, t);
    t->code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &t->status);
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    if (location) t->location = memcpy(mem_alloc(strlen(location) + 1), location, strlen(location) + 1);
    if (t->code == CURLE_FILESIZE_EXCEEDED) t->too_large = true;
    if (!*t->detail) {
        const char *words = curl_easy_strerror(t->code);
        size_t n = strnlen(words, sizeof t->detail - 1);
        memcpy(t->detail, words, n);
    }
    curl_easy_cleanup(curl);
    return t->code == CURLE_OK;
}

void transfer_free(struct transfer *t) { free(t->location); }
