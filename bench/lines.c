#include "lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

bool lines_read(struct lines *l, const char *path, struct err *e) {
    struct buf b = {0};
    size_t n;
    *l = (struct lines){0};
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f) return err_errno(e, "%s: cannot be read", path ? path : "--file");
    do {
        buf_reserve(&b, 65536);
        n = fread(b.p + b.n, 1, 65536, f);
        b.n += n;
    } while (n);
    bool ok = !ferror(f);
    fclose(f);
    size_t size, room = 0;
    l->text = buf_take(&b, &size);
    for (struct str rest = {l->text, size}, line; rest.n;) {
        str_cut(rest, '\n', &line, &rest);
        if (!line.n) continue;
        if (l->count == room) l->line = mem_resize(l->line, (room = room ? room * 2 : 64) * sizeof *l->line);
        l->line[l->count++] = line;
    }
    if (ok) return true;
    lines_free(l);
    return err_errno(e, "%s: cannot be read", path);
}

void lines_free(struct lines *l) {
    free(l->text);
    free(l->line);
    *l = (struct lines){0};
}
