/* Members of a small JSON body. Absent and null are the same. An error names the member, and the limit. Any thread. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum { NAME_MOST = 256 };

/* Text of `least` to `most` bytes without control characters, copied into the arena. Absent: {NULL, 0}, and an error
 * when `least` is not 0. `where` stands before the name: "shifts[2].". */
bool member_text(struct arena *a, const json_t *o, const char *where, const char *name, size_t least, size_t most,
                 struct str *out, struct err *e);
