/* Settings of a workspace that its keys may change: a name, and a text that the one who reads it understands. On disk
 * when setting_write returns, with the entry of who did it. Calls wait for the disk, so not on HTTP workers. */
#pragma once
#include "catalog/activity.h"

/* {NULL, 0} when it was never set. */
bool setting_read(struct catalog *c, uint32_t workspace, const char *name, struct arena *a, struct str *value,
                  struct err *e);
/* value {NULL, 0}: as if it was never set. note: its subject is the setting's name when it has none. */
bool setting_write(struct catalog *c, uint32_t workspace, const char *name, struct str value,
                   const struct activity *note, struct err *e);
