#include "api/ui.h"

#include "api/handlers.h"

static const struct ui_asset *find(struct str path) {
    for (size_t i = 0; i < ui_asset_count; i++)
        if (str_is(path, ui_assets[i].path)) return &ui_assets[i];
    return NULL;
}

/* Whether a comma list holds the word, alone or with parameters. */
static bool lists(struct str list, struct str word) {
    while (list.n) {
        struct str item, name, parameters;
        str_cut(list, ',', &item, &list);
        str_cut(item, ';', &name, &parameters);
        if (str_eq_nocase(str_trim(name), word)) return true;
    }
    return false;
}

static void send_asset(struct request *r, const struct ui_asset *a, const char *caching) {
    respond_header(r, "ETag", a->etag);
    respond_header(r, "Vary", "Accept-Encoding");
    respond_header(r, "Cache-Control", caching);
    respond_header(r, "X-Content-Type-Options", "nosniff");
    if (lists(request_header(r, "If-None-Match"), str_of(a->etag))) {
        respond_empty(r, 304);
    } else if (lists(request_header(r, "Accept-Encoding"), STR("gzip"))) {
        respond_header(r, "Content-Encoding", "gzip");
        respond_static(r, 200, a->type, a->packed, a->packed_size);
    } else {
        respond_static(r, 200, a->type, a->bytes, a->size);
    }
}

/* The dashboard's pages are addresses below /ui/ that its script reads, so what is no file is index.html; but not below
 * assets/, where each name has its content's hash in it. */
void get_ui(struct request *r) {
    struct str path = request_param(r, "*");
    bool hashed = str_starts(path, STR("assets/"));
    const struct ui_asset *a = find(path);
    if (!a && !hashed) a = find(STR("index.html"));
    if (!a) {
        respond_fail(r, ERR_NOT_FOUND, "the dashboard has no such file");
        return;
    }
    respond_header(r, "Referrer-Policy", "no-referrer");
    respond_header(
        r, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'");
    send_asset(r, a, hashed ? "public, max-age=31536000, immutable" : "no-cache");
}

/* docs/openapi.json, as this program was built with it. */
void get_openapi(struct request *r) { send_asset(r, find(STR("openapi.json")), "no-cache"); }
