#include "api/near.h"

#include <glib.h>
#include <stdlib.h>

/* A name as it is compared: in one form of Unicode (an umlaut may be one character or two), without case and
 * separators. */
struct folded {
    struct str text, name;
    size_t at; /* which of the names it is */
};

static struct str fold(struct arena *a, struct str name) {
    char *composed = g_utf8_normalize(name.p, (gssize)name.n, G_NORMALIZE_DEFAULT_COMPOSE);
    if (!composed) return name; /* not UTF-8: near to nothing but itself */
    char *lower = g_utf8_casefold(composed, -1);
    struct str out = {arena_copy(a, lower, strlen(lower)), 0};
    for (const char *p = lower; *p; p++)
        if (!strchr(" _-.", *p)) ((char *)out.p)[out.n++] = *p;
    g_free(lower);
    g_free(composed);
    return out;
}

static int by_text(const void *x, const void *y) {
    const struct folded *a = x, *b = y;
    int order = str_cmp(a->text, b->text);
    return order ? order : str_cmp(a->name, b->name);
}

struct near *near_names(struct arena *a, const struct str *names, size_t count) {
    struct near *out = arena_alloc(a, (count + 1) * sizeof *out);
    struct folded *all = arena_alloc(a, (count + 1) * sizeof *all);
    for (size_t i = 0; i < count; i++) all[i] = (struct folded){fold(a, names[i]), names[i], i};
    qsort(all, count, sizeof *all, by_text);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && str_eq(all[to].text, all[from].text);) to++;
        for (size_t i = from; i < to; i++) {
            struct near *n = &out[all[i].at];
            for (size_t k = from; k < to && n->count < NEAR_MOST; k++)
                if (k != i) n->names[n->count++] = all[k].name;
        }
    }
    return out;
}
