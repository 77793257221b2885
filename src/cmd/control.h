/* What other processes may ask of a running server, over the socket DIR/control.sock, which only its owner can open:
 * one line in, one line out, one at a time, on a thread of its own. Today that is a backup:
 *
 *     backup PATH\n              an absolute path
 *     done SEQ FILES BYTES LINKED\n    or    failed TEXT\n
 *
 * Owner: serve. control_ask is for the other side. */
#pragma once
#include "base/err.h"

struct app;
struct sweep;
struct control;
struct control *control_start(const struct app *app, struct sweep *sweep, struct err *e);
void control_stop(struct control *c); /* a backup under way is given up; it stays marked as unfinished */

enum { CONTROL_ANSWER = 1024 };
/* ERR_NOT_FOUND: no server listens there. Waits as long as it takes. */
bool control_ask(const char *dir, const char *request, char answer[CONTROL_ANSWER], struct err *e);
