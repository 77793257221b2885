#include "client_json.h"

json_t *client_json(struct client *c, const char *method, const char *path, struct str body, struct err *e) {
    struct answer a;
    json_error_t at;
    if (!client_call(c, method, path, body, &a, e)) return NULL;
    json_t *json = a.status / 100 == 2 ? json_loadb(a.body.p, a.body.n, 0, &at) : NULL;
    if (!json)
        err_set(e, ERR_INVALID, "%s %s: status %d, %.*s", method, path, a.status,
                (int)(a.body.n < 200 ? a.body.n : 200), a.body.p);
    return json;
}
