/* Files that no manifest names any more, and folders of deleted workspaces: to be removed when nothing can bring back
 * the manifest that named them. Threads: the keeper. */
#pragma once
#include "store/manifest.h"

struct leftover {
    enum { LEFT_LOG, LEFT_SEGMENT, LEFT_FOLDER } what; /* the folder of a whole workspace */
    uint32_t workspace;
    uint64_t number;
    uint32_t version; /* of a segment */
};

struct leftovers {
    struct leftover *list;
    size_t count;
};

void leftovers_add(struct leftovers *l, struct leftover one);
void leftovers_take(struct leftovers *l, struct leftovers *from); /* all of them */
void leftovers_free(struct leftovers *l);

/* Removes them; of folders a bounded number of files each time, so that nothing has to wait for a large one. What could
 * not be removed, and what is left of folders, stays in the list. */
void leftovers_unlink(const char *dir, struct leftovers *l);

/* Removes what lies in DIR/workspaces and is not in the manifest, by the names that logs, segments and temporary files
 * have; each is logged. Folders of deleted workspaces go to the list. False, and the last error, when something could
 * not be read or removed. */
bool leftovers_sweep(const char *dir, const struct manifest *m, struct leftovers *l, struct err *e);
