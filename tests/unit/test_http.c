/* The server with a route table of its own: requests over sockets, waiting and waking, stopping in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/pool.h"
#include "http/http.h"

/* --- handlers --- */

static void echo(struct request *r) {
    for (size_t i = 0; i < r->segment_count; i++) buf_printf(&r->out, "[" STR_FMT "]", STR_ARG(r->segments[i]));
    for (size_t i = 0; i < r->param_count; i++)
        buf_printf(&r->out, " " STR_FMT "=" STR_FMT, STR_ARG(r->params[i].name), STR_ARG(r->params[i].value));
    for (size_t i = 0; i < r->query_count; i++)
        buf_printf(&r->out, " ?" STR_FMT "=" STR_FMT, STR_ARG(r->query[i].name), STR_ARG(r->query[i].value));
    buf_printf(&r->out, " body=%zu:" STR_FMT, r->body.n, (int)(r->body.n < 100 ? r->body.n : 100),
               r->body.n ? r->body.p : "");
    respond(r, 200, "text/plain");
}

static void parts(struct request *r) {
    struct part *all;
    size_t count;
    struct err e;
    if (!request_multipart(r, &all, &count, &e)) {
        respond_error(r, &e);
        return;
    }
    for (size_t i = 0; i < count; i++)
        buf_printf(&r->out, STR_FMT "|%s" STR_FMT "|" STR_FMT "|" STR_FMT "\n", STR_ARG(all[i].name),
                   all[i].has_filename ? "file:" : "", STR_ARG(all[i].filename), STR_ARG(all[i].content_type),
                   STR_ARG(all[i].bytes));
    respond(r, 200, "text/plain");
}

/* What the waiting handlers need: a pool that wakes, and a slot for one that is woken by hand. */
struct world {
    struct pool *pool;
    _Atomic(struct request *) held;
    atomic_int finished, cleaned, turns;
};

static void count_cleanup(struct request *r) { atomic_fetch_add(&((struct world *)r->app)->cleaned, 1); }

static void finish(struct request *r) {
    struct world *w = r->app;
    atomic_fetch_add(&w->finished, 1);
    buf_addz(&r->out, "woken");
    respond(r, 200, "text/plain");
}

static void wake(void *r) { request_wake(r); }

static void again(struct request *r) {
    struct world *w = r->app;
    atomic_fetch_add(&w->turns, 1);
    request_wait(r, finish);
    if (!pool_submit(w->pool, wake, r)) request_wake(r);
}

/* Waits twice, the pool wakes. */
static void pooled(struct request *r) {
    struct world *w = r->app;
    r->cleanup = count_cleanup;
    request_wait(r, again);
    if (!pool_submit(w->pool, wake, r)) request_wake(r);
}

/* Waits until the test wakes it. */
static void held(struct request *r) {
    struct world *w = r->app;
    r->cleanup = count_cleanup;
    request_watch(r);
    request_wait(r, finish);
    atomic_store(&w->held, r);
}

static const struct route routes[] = {
    {"GET", "/echo/*", echo, 0, SHAPE_ERROR, CORS_NONE, "", false, false},
    {"POST", "/post/:name", echo, 1000, SHAPE_MESSAGE, CORS_ANY, "", false, false},
    {"POST", "/parts", parts, 10000, SHAPE_ERROR, CORS_NONE, "", false, false},
    {"POST", "/pooled", pooled, 1000, SHAPE_ERROR, CORS_NONE, "", false, false},
    {"GET", "/held", held, 0, SHAPE_ERROR, CORS_NONE, "", false, false},
};

/* --- server and client --- */

static struct http *serve(struct world *w, unsigned workers) {
    struct err e;
    struct http_config c = {.host = "127.0.0.1",
                            .workers = workers,
                            .idle_timeout_s = 30,
                            .max_connections = 100,
                            .routes = routes,
                            .route_count = sizeof routes / sizeof *routes,
                            .app = w};
    struct http *h = http_listen(&c, &e);
    if (!h || !http_serve(h, &e)) fail_msg("%s", e.msg);
    return h;
}

static int dial(const struct http *h) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_port(h)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, struct str s) {
    while (s.n) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n <= 0) return;
        s = str_from(s, (size_t)n);
    }
}

static char *hear(int fd) {
    struct buf b = {0};
    char piece[4096];
    for (ssize_t n; (n = recv(fd, piece, sizeof piece, 0)) > 0;) buf_add(&b, piece, (size_t)n);
    buf_addc(&b, '\0');
    return buf_take(&b, NULL);
}

/* One request on a connection of its own; the caller frees the answer. */
static char *ask(const struct http *h, struct str request) {
    int fd = dial(h);
    say(fd, request);
    char *answer = hear(fd);
    close(fd);
    return answer;
}

static char *ask_text(const struct http *h, const char *method, const char *target, const char *headers,
                      struct str body) {
    struct buf b = {0};
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", method, target, headers);
    if (body.p) buf_printf(&b, "Content-Length: %zu\r\n", body.n);
    buf_addz(&b, "\r\n");
    buf_add_str(&b, body);
    char *answer = ask(h, buf_str(&b));
    buf_free(&b);
    return answer;
}

#define NO_BODY ((struct str){0})

static void assert_answer(char *answer, const char *start, const char *holds) {
    if (strncmp(answer, start, strlen(start)) != 0 || !strstr(answer, holds))
        fail_msg("wanted '%s' and '%s' in:\n%s", start, holds, answer);
    free(answer);
}

/* --- tests --- */

static void test_path_and_query_are_decoded_once(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    static const struct {
        const char *target, *start, *holds;
    } cases[] = {
        {"/echo/a", "HTTP/1.1 200", "[echo][a] *=a body"},
        {"//echo///a//b/", "HTTP/1.1 200", "[echo][a][b] *=a/b body"},
        {"/echo", "HTTP/1.1 200", "[echo] *= body"},
        {"/echo/a%2Fb%20c", "HTTP/1.1 200", "[echo][a/b c] *=a/b c"},
        {"/echo/%2e%2e", "HTTP/1.1 400", "must not be '.' or '..'"},
        {"/echo/../x", "HTTP/1.1 400", "path segment 2"},
        {"/./echo", "HTTP/1.1 400", "path segment 1"},
        {"/echo/%00", "HTTP/1.1 400", "without NUL"},
        {"/echo/%ff", "HTTP/1.1 400", "UTF-8"},
        {"/echo/%c3%a9", "HTTP/1.1 200", "[\xc3\xa9]"},
        {"/echo/%zz", "HTTP/1.1 400", "percent-encoded"},
        {"/echo/%2", "HTTP/1.1 400", "percent-encoded"},
        {"/echo/a?b=c+d&e=%26%3d&f&=g&&h=1=2", "HTTP/1.1 200", " ?b=c d ?e=&= ?f= ?=g ?h=1=2 "},
        {"/echo/a?b=100%", "HTTP/1.1 200", " ?b=100% "},
        {"/echo/a?b=%ff", "HTTP/1.1 400", "query parameter 1"},
        {"/echo/a?x=1&b=%00", "HTTP/1.1 400", "query parameter 2"},
        {"http://host/echo/a?b=c", "HTTP/1.1 200", "[echo][a] *=a ?b=c "},
        {"/echo/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15", "HTTP/1.1 200", "[15]"},
        {"/echo/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "HTTP/1.1 400", "16 segments"},
        {"/nothing", "HTTP/1.1 404", "{\"error\":"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(ask_text(h, "GET", cases[i].target, "", NO_BODY), cases[i].start, cases[i].holds);
    http_stop(h, 1000);
}

static void test_target_headers_and_query_have_limits(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    char *text = mem_alloc(HTTP_MAX_HEADERS + 100);
    for (int past = 0; past <= 1; past++) {
        size_t n = (size_t)snprintf(text, 20, "/echo/a?b=");
        memset(text + n, 'x', HTTP_MAX_TARGET);
        text[HTTP_MAX_TARGET + past] = '\0';
        assert_answer(ask_text(h, "GET", text, "", NO_BODY), past ? "HTTP/1.1 414" : "HTTP/1.1 200",
                      past ? "8192" : "?b=xxx");

        n = (size_t)snprintf(text, 20, "/echo/a?b");
        for (int i = 1; i < HTTP_MAX_QUERY + past; i++) n += (size_t)snprintf(text + n, 10, "&b");
        assert_answer(ask_text(h, "GET", text, "", NO_BODY), past ? "HTTP/1.1 400" : "HTTP/1.1 200",
                      past ? "128 parameters" : "?b=");

        n = (size_t)snprintf(text, 20, "X-Long: ");
        size_t headers = (size_t)HTTP_MAX_HEADERS - (past ? 0 : 200);
        memset(text + n, 'x', headers);
        snprintf(text + headers, 10, "\r\n");
        assert_answer(ask_text(h, "GET", "/echo/a", text, NO_BODY), past ? "HTTP/1.1 431" : "HTTP/1.1 200",
                      past ? "16384" : "[echo]");
    }
    free(text);
    http_stop(h, 1000);
}

static void test_errors_have_the_shape_of_the_route_and_cors(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    char big[1001];
    memset(big, 'x', sizeof big);
    assert_answer(ask_text(h, "POST", "/post/a", "", (struct str){big, 1000}), "HTTP/1.1 200", "body=1000:");
    assert_answer(ask_text(h, "POST", "/post/a", "", (struct str){big, 1001}), "HTTP/1.1 413",
                  "{\"message\":\"the body has more than 1000 bytes, the most for this path: send it in parts\"}");
    assert_answer(ask_text(h, "POST", "/post/a", "", (struct str){big, 1001}), "HTTP/1.1 413",
                  "Access-Control-Allow-Origin: *");
    assert_answer(ask_text(h, "POST", "/post/a", "Content-Encoding: br\r\n", STR("x")), "HTTP/1.1 415", "gzip");
    assert_answer(ask_text(h, "DELETE", "/post/a", "", NO_BODY), "HTTP/1.1 405", "Allow: POST, OPTIONS\r\n");
    assert_answer(ask_text(h, "OPTIONS", "/post/a", "Access-Control-Request-Method: POST\r\n", NO_BODY), "HTTP/1.1 204",
                  "Access-Control-Allow-Methods: POST, OPTIONS");
    char *head = ask_text(h, "HEAD", "/echo/a/b", "", NO_BODY);
    assert_non_null(strstr(head, "Content-Length: 26\r\n"));
    assert_true(strlen(head) > 4 && strcmp(head + strlen(head) - 4, "\r\n\r\n") == 0);
    free(head);
    http_stop(h, 1000);
}

static void test_chunked_bodies_up_to_the_limit_and_past_it(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    for (int past = 0; past <= 1; past++) {
        struct buf b = {0};
        buf_addz(&b, "POST /post/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 100 + past * 10000; i++) buf_addz(&b, "a\r\n0123456789\r\n");
        buf_addz(&b, "0\r\n\r\n");
        /* Past the limit the answer comes though the client has sent far more than is read. */
        assert_answer(ask(h, buf_str(&b)), past ? "HTTP/1.1 413" : "HTTP/1.1 200",
                      past ? "1000 bytes" : "body=1000:0123");
        buf_free(&b);
    }
    http_stop(h, 1000);
}

static void pack(struct str s, struct buf *to) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)s.p, .avail_in = (uInt)s.n};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    buf_reserve(to, s.n + 1000);
    z.next_out = (Bytef *)to->p;
    z.avail_out = (uInt)to->cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->n = to->cap - z.avail_out;
    deflateEnd(&z);
}

static void test_gzip_is_unpacked_under_the_limit(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    struct buf packed = {0};
    char big[1001];
    memset(big, 'x', sizeof big);
    const char *header = "Content-Encoding: gzip\r\n";
    pack((struct str){big, 1000}, &packed);
    assert_answer(ask_text(h, "POST", "/post/a", header, buf_str(&packed)), "HTTP/1.1 200", "body=1000:xxx");
    for (size_t cut = 1; cut < packed.n; cut += 3) /* no part of it will do */
        assert_answer(ask_text(h, "POST", "/post/a", header, (struct str){packed.p, cut}), "HTTP/1.1 400", "gzip");
    buf_addc(&packed, 'x');
    assert_answer(ask_text(h, "POST", "/post/a", header, buf_str(&packed)), "HTTP/1.1 400", "gzip");
    packed.n = 0;
    pack((struct str){big, 1001}, &packed);
    assert_answer(ask_text(h, "POST", "/post/a", header, buf_str(&packed)), "HTTP/1.1 413", "once unpacked");
    buf_free(&packed);
    http_stop(h, 1000);
}

static void test_multipart(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    const char *type = "Content-Type: multipart/form-data; boundary=\"B-1\"\r\n";
#define PART(headers, body) "--B-1\r\nContent-Disposition: form-data; " headers "\r\n\r\n" body "\r\n"
    static const struct {
        struct str body;
        const char *start, *holds;
    } cases[] = {
        {STR(PART("name=\"a\"", "1") "--B-1--\r\n"), "HTTP/1.1 200", "\r\na|||1\n"},
        {STR("preamble\r\n" PART("name=a; filename=\"x;y\\\".jpg\"\r\nContent-Type: image/jpeg",
                                 "\xff\r\n--B") "--B-1--"),
         "HTTP/1.1 200", "a|file:x;y\".jpg|image/jpeg|\xff\r\n--B\n"},
        {STR(PART("name=\"a\"", "") PART("name=\"b\"; filename=\"\"", "2") "--B-1--"), "HTTP/1.1 200",
         "a|||\nb|file:||2\n"},
        {STR("--B-1--"), "HTTP/1.1 200", "\r\n\r\n"},
        {STR(""), "HTTP/1.1 400", "boundary"},
        {STR("no boundary"), "HTTP/1.1 400", "boundary"},
        {STR(PART("name=\"a\"", "1")), "HTTP/1.1 400", "boundary"},
        {STR("--B-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nnever ends"), "HTTP/1.1 400",
         "part 1 does not end"},
        {STR("--B-1\r\nContent-Type: x\r\n\r\n1\r\n--B-1--"), "HTTP/1.1 400", "part 1 has no Content-Disposition"},
        {STR("--B-1\r\nContent-Disposition: form-data; name=\"a"), "HTTP/1.1 400", "part 1"},
        {STR("--B-1 \t\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--B-1--"), "HTTP/1.1 400", "part 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_answer(ask_text(h, "POST", "/parts", type, cases[i].body), cases[i].start, cases[i].holds);
    assert_answer(ask_text(h, "POST", "/parts", "Content-Type: multipart/form-data\r\n", STR("x")), "HTTP/1.1 400",
                  "boundary");
    assert_answer(ask_text(h, "POST", "/parts", "", STR("x")), "HTTP/1.1 400", "multipart/form-data");
    struct buf many = {0};
    for (int i = 0; i < HTTP_MAX_PARTS; i++) buf_addz(&many, PART("name=\"a\"", "1"));
    size_t most = many.n;
    buf_addz(&many, "--B-1--");
    assert_answer(ask_text(h, "POST", "/parts", type, buf_str(&many)), "HTTP/1.1 200", "a|||1\n");
    many.n = most;
    buf_addz(&many, PART("name=\"a\"", "1") "--B-1--");
    assert_answer(ask_text(h, "POST", "/parts", type, buf_str(&many)), "HTTP/1.1 400", "more than 64 parts");
    buf_free(&many);
    http_stop(h, 1000);
}

struct crowd {
    struct http *h;
    int requests;
    atomic_int answered;
};

static void *visitor(void *arg) {
    struct crowd *c = arg;
    int fd = dial(c->h);
    const struct str request = STR("POST /pooled HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    char answer[4096];
    for (int i = 0; i < c->requests; i++) {
        say(fd, request);
        size_t n = 0;
        while (n < 5 || memcmp(answer + n - 5, "woken", 5) != 0) {
            ssize_t got = recv(fd, answer + n, sizeof answer - n, 0);
            if (got <= 0) break;
            n += (size_t)got;
        }
        if (n) atomic_fetch_add(&c->answered, 1);
    }
    close(fd);
    return NULL;
}

static void test_many_connections_wait_and_are_woken_by_other_threads(void **state) {
    (void)state;
    enum { VISITORS = 8, EACH = 100 };
    struct err e;
    struct world w = {.pool =
                          pool_new("waker", 2, 4, &e)}; /* so short that some requests are woken by their own worker */
    struct http *h = serve(&w, 2);
    struct crowd c = {.h = h, .requests = EACH};
    pthread_t threads[VISITORS];
    for (int i = 0; i < VISITORS; i++) pthread_create(&threads[i], NULL, visitor, &c);
    for (int i = 0; i < VISITORS; i++) pthread_join(threads[i], NULL);
    http_stop(h, 1000);
    pool_free(w.pool);
    assert_int_equal(c.answered, VISITORS * EACH);
    assert_int_equal(w.finished, VISITORS * EACH);
    assert_int_equal(w.turns, VISITORS * EACH);
    assert_int_equal(w.cleaned, VISITORS * EACH);
}

static struct request *hold_one(struct world *w, const struct http *h, int *fd) {
    *fd = dial(h);
    say(*fd, STR("GET /held HTTP/1.1\r\nHost: x\r\n\r\n"));
    struct request *r;
    while (!(r = atomic_load(&w->held))) usleep(500);
    return r;
}

static void wait_until(atomic_int *count, int value) {
    for (int i = 0; i < 10000 && atomic_load(count) != value; i++) usleep(500);
    assert_int_equal(atomic_load(count), value);
}

static void test_a_client_gone_while_it_waits_harms_nobody(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    for (int reset = 0; reset <= 1; reset++) { /* closed well, and closed so that the server finds an error */
        struct linger at_once = {.l_onoff = reset, .l_linger = 0};
        int fd;
        struct request *r = hold_one(&w, h, &fd);
        atomic_store(&w.held, NULL);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        assert_false(request_gone(r));
        close(fd);
        for (int i = 0; i < 10000 && !request_gone(r); i++) usleep(500);
        assert_true(request_gone(r));
        request_wake(r);
        wait_until(&w.cleaned, reset + 1);
        assert_answer(ask_text(h, "GET", "/echo/a", "", NO_BODY), "HTTP/1.1 200", "[a]");
    }
    http_stop(h, 1000);
}

static void test_a_client_that_waits_is_not_gone(void **state) {
    (void)state;
    struct world w = {0};
    struct http *h = serve(&w, 1);
    int fd;
    struct request *r = hold_one(&w, h, &fd);
    say(fd, STR("GET /echo/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")); /* what it sends is no sign */
    assert_false(request_gone(r));
    request_wake(r);
    char *answer = hear(fd);
    assert_non_null(strstr(answer, "woken"));
    assert_non_null(strstr(answer, "[next]"));
    free(answer);
    close(fd);
    http_stop(h, 1000);
}

static void test_clients_that_leave_at_once(void **state) {
    (void)state;
    enum { VISITORS = 300 };
    struct err e;
    struct world w = {.pool = pool_new("waker", 1, 1000, &e)};
    struct http *h = serve(&w, 2);
    for (int i = 0; i < VISITORS; i++) {
        int fd = dial(h);
        say(fd, STR("POST /pooled HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"));
        close(fd);
    }
    wait_until(&w.cleaned, VISITORS);
    http_stop(h, 1000); /* hangs if it thinks that somebody waits yet */
    pool_free(w.pool);
}

static void test_stop_waits_for_what_is_in_flight(void **state) {
    (void)state;
    struct err e;
    struct world w = {.pool = pool_new("waker", 1, 4, &e)};
    struct http *h = serve(&w, 2);
    int fd;
    struct request *r = hold_one(&w, h, &fd);
    assert_true(pool_submit(w.pool, wake, r));
    http_stop(h, 20000);
    char *answer = hear(fd);
    assert_answer(answer, "HTTP/1.1 200", "woken");
    close(fd);
    assert_int_equal(w.cleaned, 1);
    pool_free(w.pool);
}

static void test_stop_leaves_a_request_that_nobody_wakes_to_its_holder(void **state) {
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct world w = {0};
        struct http *h = serve(&w, workers);
        int fd;
        struct request *r = hold_one(&w, h, &fd);
        http_stop(h, 10);
        assert_int_equal(w.cleaned, 0); /* still the holder's: its fields may be read */
        assert_true(request_gone(r));
        assert_true(str_is(r->path, "/held"));
        request_wake(r);
        assert_int_equal(w.cleaned, 1);
        assert_int_equal(w.finished, 0);
        char *answer = hear(fd);
        assert_string_equal(answer, "");
        free(answer);
        close(fd);
    }
}

static void test_a_taken_port_is_an_error_that_names_it(void **state) {
    (void)state;
    struct world w = {0};
    struct err e;
    struct http *h = serve(&w, 1);
    struct http_config c = {.host = "127.0.0.1",
                            .port = http_port(h),
                            .workers = 1,
                            .max_connections = 4,
                            .routes = routes,
                            .route_count = 1};
    char want[40];
    snprintf(want, sizeof want, "127.0.0.1:%u is taken", http_port(h));
    assert_null(http_listen(&c, &e));
    assert_non_null(strstr(e.msg, want));
    c.host = "no such host";
    assert_null(http_listen(&c, &e));
    assert_non_null(strstr(e.msg, "no such host"));
    http_stop(h, 1000);
}

static void test_the_closest_pattern_answers(void **state) {
    (void)state;
    static const struct route table[] = {
        {"GET", "/:a/:b", echo, 0, 0, 0, "", false, false},
        {"POST", "/:a/:b", echo, 0, 0, 0, "", false, false},
        {"POST", "/model/add", echo, 0, 0, 0, "", false, false},
        {"GET", "/:a/stats", echo, 0, 0, 0, "", false, false},
        {"GET", "/", echo, 0, 0, 0, "", false, false},
        {"GET", "/ui/*", echo, 0, 0, 0, "", false, false},
        {"GET", "/ui/known", echo, 0, 0, 0, "", false, false},
        {"GET", "/:a/stats/:c", echo, 0, 0, 0, "", false, false},
        {"DELETE", "/model/:x", echo, 0, 0, 0, "", false, false},
    };
    static const struct {
        const char *method, *path;
        int route, status; /* route: index into the table */
        const char *allow;
    } cases[] = {
        {"GET", "/x/y", 0, 200, "GET, HEAD, POST, OPTIONS"},
        {"HEAD", "/x/y", 0, 200, "GET, HEAD, POST, OPTIONS"},
        {"POST", "/x/y", 1, 200, "GET, HEAD, POST, OPTIONS"},
        {"PUT", "/x/y", -1, 405, "GET, HEAD, POST, OPTIONS"},
        {"POST", "/model/add", 2, 200, "POST, OPTIONS"},
        {"GET", "/model/add", -1, 405, "POST, OPTIONS"},
        {"GET", "/x/stats", 3, 200, "GET, HEAD, OPTIONS"},
        {"DELETE", "/model/stats", 8, 200, "DELETE, OPTIONS"}, /* from the left: model beats :a */
        {"GET", "/", 4, 200, "GET, HEAD, OPTIONS"},
        {"GET", "/ui", 5, 200, "GET, HEAD, OPTIONS"},
        {"GET", "/ui/a/b/c", 5, 200, "GET, HEAD, OPTIONS"},
        {"GET", "/ui/known", 6, 200, "GET, HEAD, OPTIONS"},
        {"GET", "/x", -1, 404, ""},
        {"GET", "/x/y/z", -1, 404, ""},
        {"GET", "/x/stats/z", 7, 200, "GET, HEAD, OPTIONS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str segments[HTTP_MAX_SEGMENTS], rest = str_of(cases[i].path);
        size_t count = 0;
        while (rest.n) {
            str_cut(rest, '/', &segments[count], &rest);
            if (segments[count].n) count++;
        }
        char allow[HTTP_ALLOW_SIZE];
        int status;
        const struct route *found = route_find(table, sizeof table / sizeof *table, str_of(cases[i].method), segments,
                                               count, &status, allow, sizeof allow);
        if (status != cases[i].status || found != (cases[i].route < 0 ? NULL : &table[cases[i].route]) ||
            strcmp(allow, cases[i].allow) != 0)
            fail_msg("%s %s: status %d, pattern %s, allow %s", cases[i].method, cases[i].path, status,
                     found ? found->pattern : "-", allow);
    }
}

int main(void) {
    alarm(120); /* a hang is a failure */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_closest_pattern_answers),
        cmocka_unit_test(test_path_and_query_are_decoded_once),
        cmocka_unit_test(test_target_headers_and_query_have_limits),
        cmocka_unit_test(test_errors_have_the_shape_of_the_route_and_cors),
        cmocka_unit_test(test_chunked_bodies_up_to_the_limit_and_past_it),
        cmocka_unit_test(test_gzip_is_unpacked_under_the_limit),
        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_many_connections_wait_and_are_woken_by_other_threads),
        cmocka_unit_test(test_a_client_gone_while_it_waits_harms_nobody),
        cmocka_unit_test(test_a_client_that_waits_is_not_gone),
        cmocka_unit_test(test_clients_that_leave_at_once),
        cmocka_unit_test(test_stop_waits_for_what_is_in_flight),
        cmocka_unit_test(test_stop_leaves_a_request_that_nobody_wakes_to_its_holder),
        cmocka_unit_test(test_a_taken_port_is_an_error_that_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
