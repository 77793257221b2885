#include <stdio.h>

#include "base/check.h"
#include "http/internal.h"

/* The next segment of a pattern; an empty one at its end. */
static struct str next_segment(const char **pattern) {
    const char *p = *pattern;
    while (*p == '/') p++;
    const char *end = p;
    while (*end && *end != '/') end++;
    *pattern = end;
    return (struct str){p, (size_t)(end - p)};
}

/* How closely a pattern fits: two bits a segment from the left (literal 3, parameter 2, rest 1), so that the greater
 * number is the closer fit. 0: it doesn't fit. */
static uint64_t fit(const char *pattern, const struct str *segments, size_t count) {
    uint64_t how = 0;
    for (size_t i = 0;; i++) {
        struct str want = next_segment(&pattern);
        unsigned shift = 62 - 2 * (unsigned)i;
        if (want.n == 0) return i == count ? how | 1 : 0;
        if (str_is(want, "*")) return how | 1ULL << shift | 1;
        if (i == count) return 0;
        if (want.p[0] == ':')
            how |= 2ULL << shift;
        else if (str_eq(want, segments[i]))
            how |= 3ULL << shift;
        else
            return 0;
    }
}

static bool serves(const struct route *route, struct str method) {
    return str_is(method, route->method) || (str_is(method, "HEAD") && strcmp(route->method, "GET") == 0);
}

const struct route *route_find(const struct route *routes, size_t count, struct str method, const struct str *segments,
                               size_t segment_count, int *status, char *allow, size_t allow_size) {
    CHECK(segment_count <= HTTP_MAX_SEGMENTS && allow_size >= HTTP_ALLOW_SIZE);
    uint64_t best = 0;
    const struct route *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t how = fit(routes[i].pattern, segments, segment_count);
        if (how == 0 || how < best) continue;
        if (how > best) {
            best = how;
            found = NULL;
            n = 0;
        }
        if (serves(&routes[i], method)) found = &routes[i];
        n += (size_t)snprintf(allow + n, allow_size - n, "%s%s, ", routes[i].method,
                              strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
        CHECK(n < allow_size);
    }
    *status = found ? 200 : best ? 405 : 404;
    snprintf(allow + n, allow_size - n, "%s", best ? "OPTIONS" : "");
    return found;
}

void route_params(struct request *r) {
    const char *pattern = r->route->pattern;
    r->params = arena_alloc(&r->arena, (r->segment_count + 1) * sizeof *r->params);
    for (size_t i = 0;; i++) {
        struct str want = next_segment(&pattern);
        if (want.n == 0) return;
        if (want.p[0] == ':') r->params[r->param_count++] = (struct pair){str_from(want, 1), r->segments[i]};
        if (!str_is(want, "*")) continue;
        struct buf rest = {0};
        for (size_t k = i; k < r->segment_count; k++) {
            if (k > i) buf_addc(&rest, '/');
            buf_add_str(&rest, r->segments[k]);
        }
        r->params[r->param_count++] = (struct pair){want, {arena_copy(&r->arena, rest.p, rest.n), rest.n}};
        buf_free(&rest);
        return;
    }
}
