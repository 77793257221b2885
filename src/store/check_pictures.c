#include <stdio.h>

#include "base/guard.h"
#include "store/check.h"
#include "store/describe.h"
#include "store/salvage.h"

struct naming {
    const struct check *c;
    const struct manifest *m;
    uint32_t workspace; /* of the segment that is read */
    check_picture_call *call;
    void *ctx;
};

/* What a record names that may have ended since: the attach stays in the logs for a while after what waited is too old
 * or its inference is gone, and the picture went with them. */
struct mention {
    const struct naming *n;
    uint32_t workspace;
};

static void mentioned(void *ctx, const uint8_t hash[32]) {
    const struct mention *m = ctx;
    m->n->call(m->n->ctx, m->workspace, hash, true);
}

static void named_by_attach(const struct naming *n, const struct record_header *h, struct str payload) {
    struct mention m = {n, h->workspace};
    struct arena arena = {0};
    struct attach a;
    if (attach_decode(payload, &arena, &a) && str_eq(a.field, FIELD_UPLOADS))
        uploads_each_picture(&a.value, mentioned, &m);
    arena_free(&arena);
}

/* An inference that a segment has, or that went with one, is not looked for here. */
static bool named_by_record(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    const struct naming *n = ctx;
    const struct manifest_workspace *w = manifest_find(n->m, h->workspace);
    struct arena arena = {0};
    struct inference inf;
    (void)e;
    if (w && w->deleted) return true;
    if (h->type == RECORD_ATTACH) named_by_attach(n, h, payload);
    if (h->type != RECORD_INFERENCE || (w && h->seq <= w->sealed_through)) return true;
    if (inference_decode(payload, &arena, &inf) && inf.picture) n->call(n->ctx, h->workspace, inf.picture, false);
    arena_free(&arena);
    return true;
}

static void named_by_row(void *ctx, const uint8_t hash[32]) {
    const struct naming *n = ctx;
    n->call(n->ctx, n->workspace, hash, false);
}

static void no_gap(void *ctx, const char *path, uint64_t at, uint64_t first, uint64_t last) {
    (void)ctx, (void)path, (void)at, (void)first, (void)last; /* the check has told of it */
}

/* One that cannot be read has been told of. */
static void in_segment(struct naming *n, const struct manifest_segment *m) {
    char name[64], below[80], path[CHECK_PATH];
    struct err e;
    struct guard g;
    manifest_segment_name(m->number, m->version, name);
    snprintf(below, sizeof below, "segments/%s", name);
    manifest_path(n->c->dir, n->workspace, below, path);
    struct segment *s = segment_open(path, n->c->store_id, n->workspace, &e);
    if (!s) return;
    if (guard_enter(&g)) {
        segment_each_picture(s, named_by_row, n);
        guard_leave(&g);
    }
    segment_close(s);
}

static bool in_workspace(struct naming *n, const struct manifest_workspace *w, struct err *e) {
    char name[64], path[CHECK_PATH];
    uint64_t seq = 0;
    struct salvage to = {named_by_record, no_gap, n};
    n->workspace = w->number;
    for (size_t i = 0; i < w->segment_count; i++) in_segment(n, &w->segments[i]);
    for (size_t i = 0; i < w->log_count; i++) {
        manifest_log_name(w->logs[i].number, name);
        manifest_path(n->c->dir, w->number, name, path);
        struct wlog l = {
            .path = path, .workspace = w->number, .number = w->logs[i].number, .length = w->logs[i].length};
        memcpy(l.store_id, n->c->store_id, 16);
        if (!salvage_log(&l, &seq, &to, e)) return false;
    }
    return true;
}

bool check_each_picture(const struct check *c, check_picture_call *call, void *ctx, struct err *e) {
    struct manifest m;
    char dir[CHECK_PATH];
    uint64_t seq;
    if (!manifest_read(c->dir, c->store_id, &m, e)) return false;
    struct naming n = {.c = c, .m = &m, .call = call, .ctx = ctx};
    struct salvage to = {named_by_record, no_gap, &n};
    bool ok = true;
    for (size_t i = 0; ok && i < m.count; i++)
        if (!m.workspaces[i].deleted) ok = in_workspace(&n, &m.workspaces[i], e);
    snprintf(dir, sizeof dir, "%s/journal", c->dir);
    ok = ok && salvage_journal(dir, c->store_id, m.seq, &seq, &to, e);
    manifest_free(&m);
    return ok;
}
