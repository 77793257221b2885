/* The bytes of a request's body, as they come and after unpacking: in memory, or, on a route that says so, what is
 * longer than BODY_IN_MEMORY in a file without a name that is mapped once it is whole. So a body of any length costs
 * next to no memory while it comes and while it waits. The file is written to the page cache and never synced: no
 * worker waits for a disk, and nothing of it is there after a crash.
 *
 * One thread at a time. What is mapped is to be read under a guard (base/guard.h). */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { BODY_IN_MEMORY = 256 << 10 };

struct body {
    const char *spool; /* the folder of the file; NULL: always in memory */
    struct buf memory;
    bool in_file;
    int fd;
    size_t n;
    const void *map;
};

void body_expect(struct body *b, size_t n); /* so many are to come, if the client is to be believed */
bool body_add(struct body *b, const void *p, size_t n, struct err *e);
/* Up to n bytes from `at` on; 0 at the end. */
bool body_read(const struct body *b, size_t at, void *to, size_t *n, struct err *e);
/* All of it in one piece; lives as long as the body. */
bool body_whole(struct body *b, struct str *out, struct err *e);
/* What stands before `to` in that piece is not looked at again soon. */
void body_passed(const struct body *b, const char *to);
void body_free(struct body *b);
