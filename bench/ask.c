#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client.h"
#include "lines.h"
#include "tally.h"

static bool ask_one(struct client *c, struct str line, FILE *out, struct tally *t, struct err *e) {
    char method[8], path[4096];
    struct str part, rest = line, body = {0}, want;
    struct answer a;
    str_cut(rest, '\t', &part, &rest);
    snprintf(method, sizeof method, STR_FMT, STR_ARG(part));
    str_cut(rest, '\t', &part, &rest);
    snprintf(path, sizeof path, STR_FMT, STR_ARG(part));
    str_cut(rest, '\t', &part, &want);
    if (part.n) body = part;
    int64_t started = clock_mono_us();
    if (!client_call(c, method, path, body, &a, e)) return false;
    t->ended_us = clock_mono_us();
    tally_latency(t, t->ended_us - started);
    t->requests++;
    if (a.status != 200 || (want.n && !memmem(a.body.p, a.body.n, want.p, want.n)))
        return err_set(e, ERR_INVALID, "%s %s: status %d, " STR_FMT " expected in it: %.*s", method, path, a.status,
                       STR_ARG(want), (int)(a.body.n < 200 ? a.body.n : 200), a.body.p);
    if (out) fwrite(a.body.p, 1, a.body.n, out), fputc('\n', out);
    return true;
}

bool ask(const struct options *o, struct err *e) {
    struct lines lines;
    struct client c;
    struct tally t;
    if (!lines_read(&lines, o->file, e)) return false;
    if (!client_open(&c, o->url, o->key, e)) return lines_free(&lines), false;
    FILE *out = o->out ? fopen(o->out, "w") : NULL;
    bool ok = !o->out || out || err_errno(e, "%s: cannot be written", o->out);
    tally_init(&t);
    int64_t started = clock_mono_us(), until = started + (int64_t)(o->seconds * 1e6);
    for (unsigned round = 0; ok && (o->rounds ? round < o->rounds : clock_mono_us() < until); round++)
        for (size_t i = 0; ok && i < lines.count; i++) ok = ask_one(&c, lines.line[i], round ? NULL : out, &t, e);
    struct buf b = {0};
    tally_put(&b, &t, started);
    if (ok) printf("{\"work\":\"ask\",%.*s}\n", (int)b.n, b.p);
    buf_free(&b);
    if (out && fclose(out) != 0 && ok) ok = err_errno(e, "%s: cannot be written", o->out);
    client_close(&c);
    tally_free(&t);
    lines_free(&lines);
    return ok;
}
