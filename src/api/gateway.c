#include "api/gateway.h"

#include "api/handlers.h"

/* `text` behind the scheme and the host; an empty one when it is no URL that a server would be asked by. */
static struct str path_of(struct str text) {
    struct str scheme, rest;
    str_cut(text, ':', &scheme, &rest);
    if (!str_starts(rest, STR("//")) || (!str_eq_nocase(scheme, STR("https")) && !str_eq_nocase(scheme, STR("http"))))
        return (struct str){0};
    rest = str_from(rest, 2);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
        if (rest.p[n] == '@' || rest.p[n] == '\\') return (struct str){0};
        n++;
    }
    if (n == 0) return (struct str){0};
    return n == rest.n ? STR("/") : str_from(rest, n);
}

static bool is_plain(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || s.p[i] == '#') return false;
    return true;
}

/* The outer query as sent, without its first `url`. */
static struct str others(struct request *r) {
    struct str rest = r->query_text;
    char *text = arena_alloc(&r->arena, rest.n + 1);
    size_t n = 0;
    bool taken = false;
    while (rest.n) {
        struct str item, name;
        str_cut(rest, '&', &item, &rest);
        str_cut(item, '=', &name, &(struct str){0});
        if (!taken && str_is(name, "url")) {
            taken = true;
            continue;
        }
        if (item.n == 0) continue;
        if (n) text[n++] = '&';
        memcpy(text + n, item.p, item.n);
        n += item.n;
    }
    return (struct str){text, n};
}

static bool is_gateway(const struct request *r) { return r->segment_count == 1 && str_is(r->segments[0], "proxy"); }

bool gateway_unwrap(struct request *r, struct str *to, struct err *e) {
    struct str url = request_query(r, "url");
    if (!is_gateway(r) || !url.p) return false;
    if (!is_plain(url)) return err_set(e, ERR_INVALID, "url: must be a percent-encoded URL, percent-encoded once more");
    struct str path = path_of(url), more = others(r);
    if (path.n == 0)
        return err_set(e, ERR_INVALID, "url: must be https://HOST/PATH or http://HOST/PATH, without a user name");
    bool asks = memchr(path.p, '?', path.n);
    *to = str_of(arena_printf(&r->arena, STR_FMT "%s" STR_FMT, STR_ARG(path), more.n == 0 ? "" : asks ? "&" : "?",
                              STR_ARG(more)));
    return true;
}

/* What was unwrapped is not unwrapped again. */
void any_proxy(struct request *r) {
    if (request_query(r, "url").p)
        respond_fail(r, ERR_INVALID, "url: /proxy does not lead to /proxy");
    else
        respond_fail(r, ERR_INVALID, "/proxy needs ?url= and the percent-encoded URL that the request is for");
}
