#include "api/auth.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json_pull.h"

#define COOKIE "sightglass_session"

/* What the cookie holds, byte for byte. */
struct token {
    int64_t key_id, expires_us;
    unsigned char mac[MAC_SIZE]; /* over the two above */
};
enum {
    SIGNED = 16,
    TOKEN_TEXT = sodium_base64_ENCODED_LEN(sizeof(struct token), sodium_base64_VARIANT_URLSAFE_NO_PADDING)
};
_Static_assert(sizeof(struct token) == SIGNED + MAC_SIZE, "no holes");

static struct str key_or_none(struct str s) { return s.n == 0 || str_is(s, "None") ? (struct str){0} : s; }

static struct str bearer(const struct request *r) {
    struct str value = request_header(r, "Authorization"), scheme, rest;
    str_cut(value, ' ', &scheme, &rest);
    return str_eq_nocase(scheme, STR("Bearer")) ? str_trim(rest) : (struct str){0};
}

static struct str given_key(const struct request *r) {
    struct str key = key_or_none(request_query(r, "api_key"));
    if (key.n == 0) key = key_or_none(bearer(r));
    return key.n ? key : key_or_none(request_header(r, "X-API-Key")); /* what writes events has only this */
}

bool auth_given(const struct request *r, struct identity *out) {
    struct str key = given_key(r);
    return key.n && catalog_key(app_of(r)->catalog, key, out);
}

bool auth_has_key(const struct request *r) { return given_key(r).n > 0; }

/* The Origin header names this host; the scheme may differ, for a proxy in front may speak TLS. */
static bool same_origin(const struct request *r) {
    struct str origin = request_header(r, "Origin"), host = request_header(r, "Host");
    size_t scheme = str_starts(origin, STR("http://")) ? 7 : str_starts(origin, STR("https://")) ? 8 : 0;
    return scheme && host.n && str_eq_nocase(str_from(origin, scheme), host);
}

static bool read_only(const struct request *r) { return str_is(r->method, "GET") || str_is(r->method, "HEAD"); }

static bool from_cookie(struct request *r, struct identity *out, struct err *e) {
    struct str text = request_cookie(r, COOKIE);
    struct token t;
    size_t n = 0;
    unsigned char mac[MAC_SIZE];
    if (text.n == 0 || r->route->cors != CORS_NONE) return false;
    if (sodium_base642bin((unsigned char *)&t, sizeof t, text.p, text.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n != sizeof t)
        return false;
    catalog_sign(app_of(r)->catalog, &t, SIGNED, mac);
    if (sodium_memcmp(mac, t.mac, sizeof mac) != 0 || t.expires_us < clock_now_us()) return false;
    if (!read_only(r) && !same_origin(r))
        return err_set(e, ERR_UNAUTHORIZED,
                       "a change needs a key, or the sign-in cookie with an Origin header of this host");
    return catalog_key_by_id(app_of(r)->catalog, t.key_id, out);
}

bool authenticate(struct request *r, struct str body_key, struct identity *out, struct err *e) {
    struct str key = given_key(r);
    if (key.n == 0) key = key_or_none(body_key);
    if (key.n)
        return catalog_key(app_of(r)->catalog, key, out) ||
               err_set(e, ERR_UNAUTHORIZED, AUTH_UNKNOWN_KEY);
    err_set(e, ERR_UNAUTHORIZED,
            "an api_key is needed: in the query, as Authorization: Bearer KEY, or in the JSON body");
    return from_cookie(r, out, e);
}

bool authorize_workspace(struct request *r, struct str slug, struct str body_key, struct identity *out, struct err *e) {
    if (!authenticate(r, body_key, out, e)) return false;
    return str_is(slug, out->slug) ||
           err_set(e, ERR_UNAUTHORIZED, AUTH_OTHER_WORKSPACE, out->slug);
}

bool authenticate_inference(struct request *r, struct str body_key, struct identity *out, struct err *e) {
    const struct app *app = app_of(r);
    struct workspace w;
    struct str open = str_of(app->conf->open_inference);
    if (auth_has_key(r) || key_or_none(body_key).n || open.n == 0 || !catalog_workspace(app->catalog, open, &w))
        return authenticate(r, body_key, out, e);
    *out = (struct identity){.workspace_id = w.id};
    memcpy(out->slug, w.slug, sizeof out->slug);
    return true;
}

bool body_text(struct request *r, const char *name, struct str *out, struct err *e) {
    struct json_pull j;
    *out = (struct str){0};
    json_pull_init(&j, r->body, &r->arena);
    bool object = json_next(&j) == PULL_OBJECT, fits = true;
    while (object && json_next(&j) == PULL_KEY) {
        bool wanted = str_is(j.text, name);
        enum json_token kind = json_next(&j);
        if (wanted) *out = kind == PULL_STRING ? j.text : (struct str){0};
        if (wanted) fits = kind == PULL_STRING || kind == PULL_NULL;
        json_skip(&j, NULL);
    }
    if (j.token == PULL_ERROR || (object && json_next(&j) != PULL_END))
        return err_set(e, ERR_INVALID, "the body is not JSON: %s at byte %zu", j.error, j.at);
    return (object && fits) || err_set(e, ERR_INVALID, "the body must be a JSON object, its \"%s\" a string", name);
}

static void set_cookie(struct request *r, const char *value, long long max_age_s) {
    respond_header(
        r, "Set-Cookie",
        arena_printf(&r->arena, COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld", value, max_age_s));
}

void session_set(struct request *r, const struct identity *who) {
    int64_t lasts_s = (int64_t)app_of(r)->conf->session_days * 86400;
    struct token t = {.key_id = who->key_id, .expires_us = clock_now_us() + lasts_s * 1000000};
    char text[TOKEN_TEXT];
    catalog_sign(app_of(r)->catalog, &t, SIGNED, t.mac);
    sodium_bin2base64(text, sizeof text, (unsigned char *)&t, sizeof t, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    set_cookie(r, text, lasts_s);
}

void session_clear(struct request *r) { set_cookie(r, "", 0); }
