#include "api/auth.h"
#include "api/handlers.h"

static void answer_workspace(struct request *r, struct str body_key) {
    struct identity who;
    struct err e;
    if (!authenticate(r, body_key, &who, &e)) {
        respond_error(r, &e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "workspace"), put_strz(&r->out, who.slug);
    put_object_end(&r->out);
    respond_json(r, 200);
}

/* One path, two answers: the inference server's page (the SDK's health look wants 200) and the platform's key lookup.
 */
void get_root(struct request *r) {
    static const char page[] =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sightglass</title></head>\n"
        "<body><h1>Sightglass</h1><p>Monitoring for computer vision. <a href=\"/ui/\">Open the "
        "dashboard</a></p></body></html>\n";
    if (request_query(r, "api_key").p)
        answer_workspace(r, (struct str){0});
    else
        respond_static(r, 200, "text/html; charset=utf-8", page, sizeof page - 1);
}

void post_root(struct request *r) {
    struct str key;
    struct err e;
    if (r->body.n == 0 || !body_text(r, "api_key", &key, &e)) key = (struct str){0};
    answer_workspace(r, key);
}
