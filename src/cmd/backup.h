/* A backup of a whole data folder: store, pictures, catalog, settings. Whoever calls has begun it and sees to it that
 * what the manifest names stays as it is meanwhile. */
#pragma once
#include "base/conf.h"
#include "store/backup.h"

/* conf NULL: no settings are kept. */
bool backup_all(struct backup *b, const char *data, const char *to, const struct manifest *m, const struct conf *conf,
                struct backup_totals *totals, struct err *e);
