#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/auth.h"
#include "api/handlers.h"
#include "base/io.h"
#include "base/log.h"

static const char *first_key_path(struct request *r) {
    return arena_printf(&r->arena, "%s/first-key", app_of(r)->conf->data);
}

/* DATA/first-key, lines `slug key`, holds a key of this workspace. The answer is never the key itself. */
static bool first_key_there(struct request *r, const struct identity *who) {
    size_t n;
    char *text = io_read_file(first_key_path(r), 65536, &n);
    bool found = false;
    for (struct str rest = {text, text ? n : 0}, line; rest.n;) {
        struct str slug, key;
        str_cut(rest, '\n', &line, &rest);
        if (str_cut(line, ' ', &slug, &key) && str_is(slug, who->slug)) found = true;
    }
    free(text);
    return found;
}

static void answer_session(struct request *r, const struct identity *who) {
    put_object(&r->out);
    put_key(&r->out, "workspace"), put_strz(&r->out, who->slug);
    put_key(&r->out, "key"), put_object(&r->out);
    put_key(&r->out, "id"), put_int(&r->out, who->key_id);
    put_key(&r->out, "name"), put_strz(&r->out, who->key_name);
    put_key(&r->out, "prefix"), put_strz(&r->out, who->key_prefix);
    put_object_end(&r->out);
    put_key(&r->out, "first_key"), put_bool(&r->out, first_key_there(r, who));
    put_object_end(&r->out);
    respond_json(r, 200);
}

void get_session(struct request *r) {
    struct identity who;
    struct err e;
    if (authenticate(r, (struct str){0}, &who, &e))
        answer_session(r, &who);
    else
        respond_error(r, &e);
}

void post_session(struct request *r) {
    struct identity who;
    struct str key;
    struct err e;
    if (!body_text(r, "key", &key, &e)) {
        respond_error(r, &e);
    } else if (!catalog_key(app_of(r)->catalog, key, &who)) {
        respond_fail(r, ERR_UNAUTHORIZED, AUTH_UNKNOWN_KEY);
    } else {
        session_set(r, &who);
        answer_session(r, &who);
    }
}

void delete_session(struct request *r) {
    session_clear(r);
    respond_empty(r, 204);
}

void delete_first_key(struct request *r) {
    struct identity who;
    struct err e;
    if (!authenticate(r, (struct str){0}, &who, &e)) {
        respond_error(r, &e);
    } else if (!first_key_there(r, &who)) {
        respond_fail(r, ERR_NOT_FOUND, "there is no file first-key with a key of this workspace");
    } else if (io_unlink(first_key_path(r)) != 0 && errno != ENOENT) {
        err_errno(&e, "removing %s", first_key_path(r));
        respond_error(r, &e);
    } else {
        log_event(LOG_INFO, "first_key_removed", "workspace=%s key=%lld", who.slug, (long long)who.key_id);
        respond_empty(r, 204);
    }
}
