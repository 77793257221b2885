#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "http/internal.h"

enum { REQUEST_ID_SIZE = 17 };

static void format_id(const struct exchange *x, char out[REQUEST_ID_SIZE]) {
    snprintf(out, REQUEST_ID_SIZE, "%016" PRIx64, x->r.id);
}

void respond_header(struct request *r, const char *name, const char *value) {
    struct exchange *x = (struct exchange *)r;
    struct header *h = arena_alloc(&r->arena, sizeof *h);
    h->name = arena_copy(&r->arena, name, strlen(name) + 1);
    h->value = arena_copy(&r->arena, value, strlen(value) + 1);
    h->next = x->headers;
    x->headers = h;
}

/* Takes the response. */
static void send_response(struct request *r, int status, const char *content_type, struct MHD_Response *response,
                          size_t size) {
    struct exchange *x = (struct exchange *)r;
    CHECK(response && x->stage != STAGE_ANSWERED);
    x->stage = STAGE_ANSWERED;
    x->status = status;
    x->sent = size;
    request_counted(x);
    if (x->http->config.answered) x->http->config.answered(r, status);
    char id[REQUEST_ID_SIZE];
    format_id(x, id);
    if (content_type) MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "X-Request-ID", id);
    if (x->cors == CORS_ANY) MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
    for (struct header *h = x->headers; h; h = h->next)
        if (MHD_add_response_header(response, h->name, h->value) != MHD_YES)
            log_event(LOG_ERROR, "bad_response_header", "request=%s name=%s", id, h->name);
    if (atomic_load_explicit(&x->http->closing_soon, memory_order_relaxed))
        MHD_add_response_header(response, "Connection", "close");
    if (MHD_queue_response(x->connection, (unsigned)status, response) != MHD_YES)
        log_event(LOG_ERROR, "answer_lost", "request=%s status=%d", id, status);
    MHD_destroy_response(response);
}

/* The bytes in r->out live until the request is over, which is after the answer was sent. */
void respond(struct request *r, int status, const char *content_type) {
    send_response(r, status, content_type, MHD_create_response_from_buffer(r->out.n, r->out.p, MHD_RESPMEM_PERSISTENT),
                  r->out.n);
}

void respond_json(struct request *r, int status) { respond(r, status, "application/json"); }

void respond_static(struct request *r, int status, const char *content_type, const void *p, size_t n) {
    send_response(r, status, content_type,
                  MHD_create_response_from_buffer(n, (void *)(uintptr_t)p, MHD_RESPMEM_PERSISTENT), n);
}

void respond_empty(struct request *r, int status) { respond_static(r, status, NULL, "", 0); }

static ssize_t no_bytes(void *arg, uint64_t at, char *to, size_t most) {
    (void)arg, (void)at, (void)to, (void)most;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

void respond_head(struct request *r, int status, const char *content_type, uint64_t n) {
    CHECK(str_is(r->method, "HEAD"));
    uint64_t size = n == HTTP_UNKNOWN_LENGTH ? MHD_SIZE_UNKNOWN : n;
    send_response(r, status, content_type, MHD_create_response_from_callback(size, 1, no_bytes, NULL, NULL), 0);
}

bool respond_file(struct request *r, int fd, size_t n, const char *content_type) {
    struct MHD_Response *response = MHD_create_response_from_fd(n, fd);
    if (!response) {
        close(fd);
        return false;
    }
    send_response(r, 200, content_type, response, n);
    return true;
}

static void error_body(struct buf *to, const struct route *route, const struct err *e) {
    static const char *const names[] = {
        [SHAPE_ERROR] = "error", [SHAPE_MESSAGE] = "message", [SHAPE_DETAIL] = "detail"};
    put_object(to);
    put_key(to, names[route ? route->shape : SHAPE_ERROR]);
    put_strz(to, e->msg);
    put_object_end(to);
}

static void answer_error(struct request *r, int status, const struct err *e) {
    r->out.n = 0;
    error_body(&r->out, r->route, e);
    respond_json(r, status);
}

void respond_error(struct request *r, const struct err *e) {
    int status = err_status(e->code);
    CHECK(status >= 400);
    if (status == 401) respond_header(r, "WWW-Authenticate", "Bearer");
    if (status == 503) respond_header(r, "Retry-After", "1");
    if (status >= 500) {
        char why[LOG_QUOTE];
        log_event(LOG_WARN, "request_failed", "request=%016" PRIx64 " code=%s why=%s", r->id, err_name(e->code),
                  log_quote(why, str_of(e->msg)));
    }
    answer_error(r, status, e);
}

void respond_refusal(struct exchange *x) { answer_error(&x->r, x->refused, &x->refusal); }

void respond_fail(struct request *r, enum err_code code, const char *fmt, ...) {
    struct err e = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.msg, sizeof e.msg, fmt, ap);
    va_end(ap);
    respond_error(r, &e);
}

void respond_raw(struct exchange *x, struct buf *to) {
    struct buf *json = &x->r.out;
    const char *reason = MHD_get_reason_phrase_for((unsigned)x->refused);
    char id[REQUEST_ID_SIZE];
    format_id(x, id);
    json->n = 0;
    if (x->refused != 204) error_body(json, x->r.route, &x->refusal);
    buf_printf(to, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n",
               x->refused, reason, json->n);
    buf_printf(to, "X-Request-ID: %s\r\n%s", id, x->cors == CORS_ANY ? "Access-Control-Allow-Origin: *\r\n" : "");
    if (x->refused == 405) buf_printf(to, "Allow: %s\r\n", x->allow);
    buf_addz(to, "\r\n");
    if (!str_is(x->r.method, "HEAD")) buf_add_str(to, buf_str(json));
    x->status = x->refused;
    x->sent = json->n;
}
