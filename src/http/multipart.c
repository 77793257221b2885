#include "http/internal.h"

/* The next parameter of a header value such as `form-data; name="a"; filename="b.jpg"`, moving *rest behind it. A
 * quoted value keeps its bytes but for backslashes before quotes and backslashes. */
static bool next_parameter(struct request *r, struct str *rest, struct str *name, struct str *value) {
    struct str s = *rest;
    while (s.n && (s.p[0] == ';' || s.p[0] == ' ' || s.p[0] == '\t')) s = str_from(s, 1);
    size_t at = 0;
    while (at < s.n && s.p[at] != '=' && s.p[at] != ';') at++;
    if (at == s.n || s.p[at] == ';') return false;
    *name = str_trim((struct str){s.p, at});
    s = str_from(s, at + 1);
    if (s.n == 0 || s.p[0] != '"') {
        str_cut(s, ';', value, rest);
        *value = str_trim(*value);
        return true;
    }
    char *to = arena_alloc(&r->arena, s.n);
    size_t n = 0;
    for (at = 1; at < s.n && s.p[at] != '"'; at++) {
        if (s.p[at] == '\\' && at + 1 < s.n && (s.p[at + 1] == '"' || s.p[at + 1] == '\\')) at++;
        to[n++] = s.p[at];
    }
    if (at == s.n) return false;
    *value = (struct str){to, n};
    *rest = str_from(s, at + 1);
    return true;
}

static bool read_disposition(struct request *r, struct str value, struct part *part) {
    struct str kind, rest, name, text;
    str_cut(value, ';', &kind, &rest);
    if (!str_eq_nocase(str_trim(kind), STR("form-data"))) return false;
    bool named = false;
    while (next_parameter(r, &rest, &name, &text)) {
        if (str_eq_nocase(name, STR("name"))) {
            part->name = text;
            named = true;
        } else if (str_eq_nocase(name, STR("filename"))) {
            part->filename = text;
            part->has_filename = true;
        }
    }
    return named;
}

/* The header lines of a part up to the empty line, which *s is moved behind. */
static bool read_headers(struct request *r, struct str *s, struct part *part) {
    bool disposed = false;
    while (true) {
        const char *end = s->n ? memmem(s->p, s->n, "\r\n", 2) : NULL;
        if (!end) return false;
        struct str line = {s->p, (size_t)(end - s->p)}, name, value;
        *s = str_from(*s, line.n + 2);
        if (line.n == 0) return disposed;
        if (!str_cut(line, ':', &name, &value)) return false;
        if (str_eq_nocase(name, STR("content-disposition")))
            disposed = read_disposition(r, str_trim(value), part);
        else if (str_eq_nocase(name, STR("content-type")))
            part->content_type = str_trim(value);
    }
}

static bool find_boundary(struct request *r, struct str *delimiter) {
    struct str type = request_header(r, "Content-Type"), kind, rest, name, value;
    str_cut(type, ';', &kind, &rest);
    if (!str_eq_nocase(str_trim(kind), STR("multipart/form-data"))) return false;
    while (next_parameter(r, &rest, &name, &value)) {
        if (!str_eq_nocase(name, STR("boundary")) || value.n == 0 || value.n > 200) continue;
        delimiter->p = arena_printf(&r->arena, "\r\n--" STR_FMT, STR_ARG(value));
        delimiter->n = value.n + 4;
        return true;
    }
    return false;
}

/* After a delimiter: "--" ends the form, a line end (blanks may come before it) begins a part. */
static bool part_follows(struct str *s, bool *last) {
    *last = str_starts(*s, STR("--"));
    if (*last) return true;
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t')) *s = str_from(*s, 1);
    if (!str_starts(*s, STR("\r\n"))) return false;
    *s = str_from(*s, 2);
    return true;
}

bool request_multipart(struct request *r, struct part **parts, size_t *count, struct err *e) {
    struct str delimiter, s = r->body;
    *count = 0;
    if (!find_boundary(r, &delimiter))
        return err_set(e, ERR_INVALID, "Content-Type must be multipart/form-data with a boundary");
    /* The first delimiter may stand at the very start, without the line end before it. */
    struct str first = str_from(delimiter, 2);
    const char *at = str_starts(s, first) ? s.p : s.n ? memmem(s.p, s.n, delimiter.p, delimiter.n) : NULL;
    if (!at) return err_set(e, ERR_INVALID, "the multipart body does not hold its boundary");
    s = str_from(s, (size_t)(at - s.p) + (str_starts(s, first) ? first.n : delimiter.n));
    struct part *all = arena_alloc(&r->arena, HTTP_MAX_PARTS * sizeof *all);
    while (true) {
        bool last;
        if (!part_follows(&s, &last))
            return err_set(e, ERR_INVALID, "multipart: no line end after boundary %zu", *count + 1);
        if (last) break;
        if (*count == HTTP_MAX_PARTS) return err_set(e, ERR_INVALID, "multipart: more than %d parts", HTTP_MAX_PARTS);
        struct part *part = &all[*count];
        if (!read_headers(r, &s, part))
            return err_set(e, ERR_INVALID, "multipart: part %zu has no Content-Disposition: form-data with a name",
                           *count + 1);
        /* An empty part: its delimiter's line end is the one that ended the headers. */
        const char *end = str_starts(s, first) ? s.p : s.n ? memmem(s.p, s.n, delimiter.p, delimiter.n) : NULL;
        if (!end) return err_set(e, ERR_INVALID, "multipart: part %zu does not end with the boundary", *count + 1);
        part->bytes = (struct str){s.p, (size_t)(end - s.p)};
        s = str_from(s, part->bytes.n + (str_starts(s, first) ? first.n : delimiter.n));
        ++*count;
    }
    *parts = all;
    return true;
}
