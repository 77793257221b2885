/* Who asks. A key comes in the query (api_key), as Authorization: Bearer, as X-API-Key, in a JSON body (api_key; the
 * handler hands it over), or as the session cookie that a key was exchanged for; the first that is present decides.
 * "None", "" and null are no key (the SDK sends them when it has none).
 *
 * The cookie counts only on routes that no other origin may call, and for a change (anything but GET and HEAD) only
 * with an Origin header that names this host. It is `id.expiry.mac` in base64url, signed by the catalog: nothing is
 * kept for it, and it ends with its key. HTTP workers; no call waits. */
#pragma once
#include "api/app.h"

/* What is said of a key that opens nothing, and of one that opens another workspace than the path's (its slug). */
#define AUTH_UNKNOWN_KEY "this api_key is not known here, or was revoked; `sightglass keys add` makes a new one"
#define AUTH_OTHER_WORKSPACE \
    "this key opens the workspace '%s', not the one in the path: put that name there, or use another key"

/* body_key: {NULL, 0} when the body has none. False: e is ERR_UNAUTHORIZED with a text for the caller. */
bool authenticate(struct request *r, struct str body_key, struct identity *out, struct err *e);

/* The same, and the key must open the workspace `slug`. The text names the workspace that the key does open and is the
 * same whether `slug` exists. */
bool authorize_workspace(struct request *r, struct str slug, struct str body_key, struct identity *out, struct err *e);

/* The same as authenticate, but without a key the workspace of the setting open_inference, if any (key_id is 0). */
bool authenticate_inference(struct request *r, struct str body_key, struct identity *out, struct err *e);

/* Whom the key in query or headers lets in, if there is one and it is known. */
bool auth_given(const struct request *r, struct identity *out);

/* A key is somewhere in query or headers, so that the body need not be looked at for one. */
bool auth_has_key(const struct request *r);

/* The string member `name` of a body that is a JSON object; {NULL, 0} when it is not there, or null. False with
 * ERR_INVALID, position included, when the body is no JSON object or the member is something else. */
bool body_text(struct request *r, const char *name, struct str *out, struct err *e);

/* The session cookie, as Set-Cookie values. */
void session_set(struct request *r, const struct identity *who);
void session_clear(struct request *r);
