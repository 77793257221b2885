/* Removes kept pictures that no inference names: what a crash between picture and record leaves behind. A thread of its
 * own, once at the start and then every hour; it reads views and holds up nobody. Owner: serve. */
#pragma once
#include "api/app.h"

struct sweep;
struct sweep *sweep_start(const struct app *app);
void sweep_stop(struct sweep *s);
/* From when this returns no picture is removed, until the same thread ends the hold; before sweep_stop it must. */
void sweep_hold(struct sweep *s, bool hold);
