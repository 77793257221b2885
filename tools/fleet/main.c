/* A simulated fleet: inference containers with their cameras, that report to one server on this machine as stock
 * containers do. docs/fleet-simulator.md tells what happens in it and how its data is known from real data.
 *
 * Prints one line of JSON; exit status 0 only when everything was acknowledged, and with --verify found. */
#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "markers.h"
#include "verify.h"

static void print_result(const struct settings *s, const struct truth *t, const struct sent *x, bool ok) {
    struct buf b = {0};
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"events", t->all.inferences},      {"requests", x->requests},    {"sent", x->inferences},
        {"acknowledged", x->acknowledged},  {"refused", x->refused},      {"sent_again", x->resent},
        {"came_again_after_503", x->again}, {"metadata_sent", x->writes}, {"metadata_acknowledged", x->attached},
        {"failures", x->failures},
    };
    put_object(&b);
    put_key(&b, "work"), put_strz(&b, "fleet");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        put_key(&b, counts[i].name), put_int(&b, (int64_t)counts[i].value);
    put_key(&b, "seconds"), put_double(&b, (double)(int64_t)(x->seconds * 1000) / 1000);
    put_key(&b, "events_s"), put_int(&b, x->seconds > 0 ? (int64_t)((double)x->acknowledged / x->seconds) : 0);
    put_key(&b, "verified"), put_bool(&b, ok && s->verify);
    put_key(&b, "ok"), put_bool(&b, ok);
    put_object_end(&b);
    printf("%.*s\n", (int)b.n, b.p);
    buf_free(&b);
}

static bool check_sent(const struct truth *t, const struct sent *x, struct err *e) {
    if (x->refused)
        return err_set(e, ERR_INVALID, "%" PRIu64 " requests were refused, the first: %s", x->refused,
                       x->first_refusal);
    if (x->acknowledged != t->all.inferences)
        return err_set(e, ERR_INVALID, "%" PRIu64 " of %" PRIu64 " inferences were acknowledged", x->acknowledged,
                       t->all.inferences);
    return true;
}

int main(int argc, char **argv) {
    struct settings s;
    struct world w = {0};
    struct truth t = {0};
    struct sent sent = {0};
    struct err e = {0};
    char workspace[WORKSPACE_MOST];
    bool ok = settings_read(&s, argc, argv, &e);
    if (ok && s.url) ok = verify_workspace(workspace, &s, &e);
    if (ok) ok = world_make(&w, &s, &e) && truth_make(&t, &w, &e);
    if (ok) {
        const struct wire wire = {&w, s.key, workspace};
        if (s.markers) ok = markers_set(&wire, &e);
        if (ok && s.url) ok = send_all(&sent, &wire, &e) && check_sent(&t, &sent, &e);
        if (ok && s.verify) ok = verify(&t, &wire, &e);
        print_result(&s, &t, &sent, ok);
    }
    if (!ok) fprintf(stderr, "fleet: %s\n", e.msg);
    truth_free(&t);
    world_free(&w);
    return ok ? 0 : 1;
}
