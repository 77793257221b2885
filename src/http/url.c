#include "http/internal.h"

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Decodes %XX (and '+' when asked to) into `to`, which has s.n bytes. A percent sign that begins no escape stays as it
 * is, as every query parser does it; *stray tells. */
static struct str decode(struct str s, char *to, bool plus_is_space, bool *stray) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
            if (high >= 0 && low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            } else {
                *stray = true;
            }
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[n++] = c;
    }
    return (struct str){to, n};
}

static bool has_nul(struct str s) { return s.n && memchr(s.p, '\0', s.n); }

static bool parse_path(struct request *r, struct str path, struct err *e) {
    struct str segments[HTTP_MAX_SEGMENTS];
    size_t count = 0;
    char *clean = arena_alloc(&r->arena, path.n + 1), *decoded = arena_alloc(&r->arena, path.n + 1);
    size_t at = 0;
    for (struct str rest = path; rest.n;) {
        struct str segment;
        str_cut(rest, '/', &segment, &rest);
        if (segment.n == 0) continue;
        if (count == HTTP_MAX_SEGMENTS)
            return err_set(e, ERR_INVALID, "the path has more than %d segments", HTTP_MAX_SEGMENTS);
        bool stray = false;
        struct str plain = decode(segment, decoded, false, &stray);
        if (stray || has_nul(plain) || !str_is_utf8(plain))
            return err_set(e, ERR_INVALID, "path segment %zu must be percent-encoded UTF-8 without NUL", count + 1);
        if (str_is(plain, ".") || str_is(plain, ".."))
            return err_set(e, ERR_INVALID, "path segment %zu must not be '.' or '..'", count + 1);
        decoded += plain.n;
        segments[count++] = plain;
        clean[at++] = '/';
        memcpy(clean + at, segment.p, segment.n);
        at += segment.n;
    }
    if (at == 0 || path.p[path.n - 1] == '/') clean[at++] = '/';
    r->path = (struct str){clean, at};
    r->segments = arena_copy(&r->arena, segments, count * sizeof *segments);
    r->segment_count = count;
    return true;
}

static bool parse_query(struct request *r, struct str query, struct err *e) {
    size_t most = 1;
    for (size_t i = 0; i < query.n; i++) most += query.p[i] == '&';
    if (most > HTTP_MAX_QUERY) return err_set(e, ERR_INVALID, "the query has more than %d parameters", HTTP_MAX_QUERY);
    r->query = arena_alloc(&r->arena, most * sizeof *r->query);
    char *decoded = arena_alloc(&r->arena, query.n + 1);
    r->query_count = 0;
    for (struct str rest = query; rest.n;) {
        struct str item, name, value;
        bool stray = false;
        str_cut(rest, '&', &item, &rest);
        if (item.n == 0) continue;
        str_cut(item, '=', &name, &value);
        name = decode(name, decoded, true, &stray);
        decoded += name.n;
        value = decode(value, decoded, true, &stray);
        decoded += value.n;
        if (has_nul(name) || has_nul(value) || !str_is_utf8(name) || !str_is_utf8(value))
            return err_set(e, ERR_INVALID, "query parameter %zu must be UTF-8 without NUL", r->query_count + 1);
        r->query[r->query_count++] = (struct pair){name, value};
    }
    return true;
}

/* "http://host/path", the form that proxies get, means its path. */
static struct str without_origin(struct str target) {
    size_t scheme = str_starts(target, STR("http://")) ? 7 : str_starts(target, STR("https://")) ? 8 : 0;
    if (!scheme) return target;
    size_t at = scheme;
    while (at < target.n && target.p[at] != '/' && target.p[at] != '?') at++;
    return at < target.n ? str_from(target, at) : STR("/");
}

bool url_parse(struct request *r, struct str target, struct err *e) {
    target = without_origin(target);
    str_cut(target, '?', &r->path, &(struct str){0}); /* for the log, should it be refused */
    if (target.n == 0 || (target.p[0] != '/' && target.p[0] != '?'))
        return err_set(e, ERR_INVALID, "the request target must begin with '/'");
    struct str path, query;
    str_cut(target, '?', &path, &query);
    r->query_text = query;
    return parse_path(r, path.n ? path : STR("/"), e) && parse_query(r, query, e);
}

static struct str find(const struct pair *pairs, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (str_is(pairs[i].name, name)) return pairs[i].value;
    return (struct str){0};
}

struct str request_param(const struct request *r, const char *name) {
    return find(r->params, r->param_count, name);
}
struct str request_query(const struct request *r, const char *name) {
    return find(r->query, r->query_count, name);
}
