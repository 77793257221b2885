/* What an inference server or the platform does and this program doesn't: answered so that the caller shows its user
 * what is missing, and never with a code that is sent again (429, 503, 504). unserved.h counts it. */
#include "api/handlers.h"

void not_served(struct request *r) { respond_fail(r, ERR_NOT_IMPLEMENTED, "%s", r->route->summary); }

/* As inference servers answer it themselves (protocol 2.6). */
void post_gaze(struct request *r) {
    put_object(&r->out);
    put_key(&r->out, "message"), put_strz(&r->out, r->route->summary);
    put_key(&r->out, "error_type"), put_strz(&r->out, "FeatureDeprecatedError");
    put_object_end(&r->out);
    respond_json(r, 410);
}

void get_clear_cache(struct request *r) { respond_static(r, 200, "application/json", "\"Cache Cleared\"", 15); }

/* The two that a server without Docker's socket and without a log in memory answers so (protocol 2.1). */
void get_device_stats(struct request *r) {
    static const char text[] = "{\"error\":\"there is no Docker here to ask\","
                               "\"hint\":\"GET /api/v1/WORKSPACE/devices tells of the devices that report here\"}";
    respond_static(r, 404, "application/json", text, sizeof text - 1);
}

void get_logs(struct request *r) {
    static const char text[] = "{\"detail\":\"Logs endpoint not available\"}";
    respond_static(r, 404, "application/json", text, sizeof text - 1);
}
