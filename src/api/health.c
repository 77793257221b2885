#include "api/app.h"
#include "api/auth.h"
#include "api/handlers.h"

/* The SDK wants name, version and uuid (get_server_info). */
void get_info(struct request *r) {
    json_object(&r->out);
    json_key(&r->out, "name"), json_strz(&r->out, "Sightglass");
    json_key(&r->out, "version"), json_strz(&r->out, SIGHTGLASS_VERSION);
    json_key(&r->out, "uuid"), json_strz(&r->out, catalog_store_id(app_of(r)->catalog));
    json_object_end(&r->out);
    respond_json(r, 200);
}

void get_healthz(struct request *r) {
    buf_addz(&r->out, "{\"status\":\"healthy\"}");
    respond_json(r, 200);
}

void get_readiness(struct request *r) {
    buf_addz(&r->out, "{\"status\":\"ready\"}");
    respond_json(r, 200);
}

void get_server(struct request *r) {
    const struct app *app = app_of(r);
    struct identity who;
    struct err e;
    if (!authenticate(r, (struct str){0}, &who, &e)) {
        respond_error(r, &e);
        return;
    }
    json_object(&r->out);
    json_key(&r->out, "name"), json_strz(&r->out, "Sightglass");
    json_key(&r->out, "version"), json_strz(&r->out, SIGHTGLASS_VERSION);
    json_key(&r->out, "listen"), json_strz(&r->out, app->listen);
    json_key(&r->out, "loopback"), json_bool(&r->out, app->loopback);
    json_key(&r->out, "tls"), json_bool(&r->out, false);
    json_object_end(&r->out);
    respond_json(r, 200);
}
