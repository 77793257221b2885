/* The lines of a file, without their ends; empty ones are left out. The caller frees them. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct lines {
    char *text;
    struct str *line;
    size_t count;
};

bool lines_read(struct lines *l, const char *path, struct err *e);
void lines_free(struct lines *l);
