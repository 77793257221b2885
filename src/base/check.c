#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *what, const char *file, int line) {
    fprintf(stderr, "level=fatal event=check_failed file=%s line=%d what=\"%s\"\n", file, line, what);
    abort();
}
