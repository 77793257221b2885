/* Members of a small JSON body. Absent and null are the same. An error names the member, and the limit. Any thread. */
#pragma once
#include "base/err.h"
#include "base/json_text.h"
#include "base/mem.h"

enum { NAME_MOST = 256 };

/* Text of `least` to `most` bytes without control characters, copied into the arena; {NULL, 0} when absent. `where`
 * stands before the name: "shifts[2].". */
bool member_text(struct arena *a, const json_t *o, const char *where, const char *name, size_t least, size_t most,
                 struct str *out, struct err *e);
/* The same of one that must be there, and not empty. */
bool member_needed(struct arena *a, const json_t *o, const char *where, const char *name, size_t most, struct str *out,
                   struct err *e);
/* RFC 3339; what it was when absent. */
bool member_time(const json_t *o, const char *name, int64_t *us, struct err *e);
