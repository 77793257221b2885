#include "api/app.h"
#include "api/auth.h"
#include "api/handlers.h"
#include "store/store.h"

/* The SDK wants name, version and uuid (get_server_info). */
void get_info(struct request *r) {
    put_object(&r->out);
    put_key(&r->out, "name"), put_strz(&r->out, "Sightglass");
    put_key(&r->out, "version"), put_strz(&r->out, SIGHTGLASS_VERSION);
    put_key(&r->out, "uuid"), put_strz(&r->out, catalog_store_id(app_of(r)->catalog));
    put_object_end(&r->out);
    respond_json(r, 200);
}

void get_healthz(struct request *r) {
    buf_addz(&r->out, "{\"status\":\"healthy\"}");
    respond_json(r, 200);
}

void get_readiness(struct request *r) {
    struct err e;
    bool ready = store_writable(app_of(r)->store, &e);
    put_object(&r->out);
    put_key(&r->out, "status"), put_strz(&r->out, ready ? "ready" : "not ready");
    if (!ready) put_key(&r->out, "reason"), put_strz(&r->out, e.msg);
    put_object_end(&r->out);
    respond_json(r, ready ? 200 : 503);
}

void get_server(struct request *r) {
    const struct app *app = app_of(r);
    struct identity who;
    struct err e;
    if (!authenticate(r, (struct str){0}, &who, &e)) {
        respond_error(r, &e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "name"), put_strz(&r->out, "Sightglass");
    put_key(&r->out, "version"), put_strz(&r->out, SIGHTGLASS_VERSION);
    put_key(&r->out, "listen"), put_strz(&r->out, app->listen);
    put_key(&r->out, "loopback"), put_bool(&r->out, app->loopback);
    put_key(&r->out, "tls"), put_bool(&r->out, false);
    put_object_end(&r->out);
    respond_json(r, 200);
}
