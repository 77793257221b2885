#include "store/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"
#include "record/record.h"
#include "store/backup.h"
#include "store/describe.h"
#include "store/salvage.h"
#include "store/segment.h"

enum { PATH = 4096, LINE = 1024 };

static void tell(const struct check *c, const char *fmt, va_list ap) {
    char line[LINE];
    vsnprintf(line, sizeof line, fmt, ap);
    c->report(c->ctx, line);
}

void check_problem(struct check *c, const char *fmt, ...) {
    va_list ap;
    c->problems++;
    va_start(ap, fmt);
    tell(c, fmt, ap);
    va_end(ap);
}

void check_note(const struct check *c, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tell(c, fmt, ap);
    va_end(ap);
}

static void add_damage(struct damage *d, struct damaged_file f) {
    if ((d->count & (d->count - 1)) == 0)
        d->files = mem_resize(d->files, (d->count ? 2 * d->count : 1) * sizeof *d->files);
    d->files[d->count++] = f;
}

/* ---- records ---- */

struct reading {
    struct check *c;
    const char *path;
    uint64_t problems;
};

static bool look_at_record(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct reading *r = ctx;
    struct arena arena = {0};
    struct inference inf;
    struct attach a;
    (void)e;
    bool ok = (h->type == RECORD_INFERENCE && inference_decode(payload, &arena, &inf)) ||
              (h->type == RECORD_ATTACH && attach_decode(payload, &arena, &a));
    arena_free(&arena);
    r->c->records++;
    if (ok) return true;
    r->problems++;
    check_problem(r->c, "%s: record %" PRIu64 " is no inference and no metadata", r->path, h->seq);
    return true;
}

static void gap(void *ctx, const char *path, uint64_t at, uint64_t first, uint64_t last) {
    struct reading *r = ctx;
    r->problems++;
    if (last == UINT64_MAX)
        check_problem(r->c, "%s is damaged at offset %" PRIu64 ": what follows record %" PRIu64 " cannot be read", path,
                      at, first - 1);
    else if (first > last)
        check_problem(r->c, "%s: its head is damaged; all records can be read", path);
    else
        check_problem(r->c,
                      "%s is damaged at offset %" PRIu64 ": of the records %" PRIu64 " to %" PRIu64
                      " those that stood here are lost",
                      path, at, first, last);
}

static void know_of(struct check *c, uint64_t seq) {
    if (seq > c->highest) c->highest = seq;
}

static bool check_logs(struct check *c, const struct manifest_workspace *w, struct damage *d, struct err *e) {
    char name[64], path[PATH];
    uint64_t seq = 0;
    struct reading r = {.c = c, .path = path};
    struct salvage to = {look_at_record, gap, &r};
    bool ok = true;
    for (size_t i = 0; ok && i < w->log_count; i++) {
        manifest_log_name(w->logs[i].number, name);
        manifest_path(c->dir, w->number, name, path);
        struct wlog l = {
            .path = path, .workspace = w->number, .number = w->logs[i].number, .length = w->logs[i].length};
        memcpy(l.store_id, c->store_id, 16);
        r.problems = 0;
        ok = salvage_log(&l, &seq, &to, e);
        if (r.problems) add_damage(d, (struct damaged_file){w->number, true, false, l.number, 0});
        c->logs++;
    }
    know_of(c, seq);
    know_of(c, w->sealed_through);
    return ok;
}

static bool check_journal(struct check *c, const struct manifest *m, struct damage *d, struct err *e) {
    char dir[PATH];
    uint64_t seq;
    struct reading r = {.c = c, .path = dir};
    struct salvage to = {look_at_record, gap, &r};
    snprintf(dir, sizeof dir, "%s/journal", c->dir);
    bool ok = salvage_journal(dir, c->store_id, m->seq, &seq, &to, e);
    if (ok && seq < c->highest) {
        r.problems++;
        check_problem(c,
                      "%s ends with record %" PRIu64 ", though records up to %" PRIu64 " were acknowledged: its newest "
                      "files are missing or damaged",
                      dir, seq, c->highest);
    }
    d->journal = r.problems > 0;
    return ok;
}

/* ---- segments ---- */

static const char *wrong_with(const struct segment *s, const struct manifest_workspace *w,
                              const struct manifest_segment *m) {
    if (s->number != m->number || s->version != m->version) return "says that it is another segment";
    if (s->rows == 0) return "has no rows";
    if (s->max_seq > w->sealed_through) return "has rows that the manifest says are in no segment";
    if (m->rows && (s->rows != m->rows || s->min_time_us != m->min_time_us || s->max_time_us != m->max_time_us))
        return "has other rows than the manifest says";
    return NULL;
}

static void check_segments(struct check *c, const struct manifest_workspace *w, struct damage *d) {
    struct segment **open = mem_zero(w->segment_count + 1, sizeof *open);
    char name[64], below[80], path[PATH];
    for (size_t i = 0; i < w->segment_count; i++) {
        struct err e = {0};
        manifest_segment_name(w->segments[i].number, w->segments[i].version, name);
        snprintf(below, sizeof below, "segments/%s", name);
        manifest_path(c->dir, w->number, below, path);
        open[i] = segment_open(path, c->store_id, w->number, &e);
        const char *what = open[i] ? wrong_with(open[i], w, &w->segments[i]) : NULL;
        struct manifest_segment now;
        bool ok = open[i] && !what && segment_verify(open[i], &e) && segment_describe(open[i], &now, &e);
        if (ok && w->segments[i].rows && now.max_received_us != w->segments[i].max_received_us)
            what = "was received at another time than the manifest says", ok = false;
        c->segments++;
        if (open[i]) know_of(c, open[i]->applied_through);
        if (ok) c->rows += open[i]->rows;
        bool is_summary = ok && !segment_verify_summary(open[i], &e);
        if (ok && !is_summary) continue;
        check_problem(c, "%s%s%s", strstr(e.msg, name) ? "" : path, strstr(e.msg, name) ? "" : ": ",
                      what ? what : e.msg);
        add_damage(d,
                   (struct damaged_file){w->number, false, is_summary, w->segments[i].number, w->segments[i].version});
        if (is_summary) continue;
        if (open[i]) segment_close(open[i]);
        open[i] = NULL;
    }
    check_rows(c, w->number, open, w->segment_count);
    for (size_t i = 0; i < w->segment_count; i++)
        if (open[i]) segment_close(open[i]);
    free(open);
}

/* ---- all of it ---- */

static void backup_differs(void *ctx, const char *path, const char *what) { check_problem(ctx, "%s %s", path, what); }

static void note_any(void *ctx, const char *name) {
    (void)name;
    *(bool *)ctx = true;
}

/* A store without a manifest is a new one; one with workspaces, or a journal that begins later, has lost it. */
static bool manifest_is_lost(const struct check *c) {
    char path[PATH];
    struct stat st;
    bool any = false;
    snprintf(path, sizeof path, "%s/MANIFEST", c->dir);
    if (stat(path, &st) == 0) return false;
    snprintf(path, sizeof path, "%s/workspaces", c->dir);
    (void)io_list(path, note_any, &any);
    return any;
}

static bool look_through(struct check *c, struct damage *d, bool *no_manifest, struct err *e) {
    struct manifest m;
    struct err why = {0};
    c->problems = c->workspaces = c->logs = c->segments = c->records = c->rows = 0;
    *no_manifest = !manifest_read(c->dir, c->store_id, &m, &why);
    if (*no_manifest) check_problem(c, "%s", why.msg);
    if (!*no_manifest && manifest_is_lost(c)) {
        *no_manifest = true;
        check_problem(c, "%s/MANIFEST is missing, and there are workspaces", c->dir);
    }
    if (*no_manifest) {
        manifest_free(&m);
        return true;
    }
    bool ok = backup_verify(c->dir, backup_differs, c, e);
    for (size_t i = 0; ok && i < m.count; i++) {
        if (m.workspaces[i].deleted) continue;
        c->workspaces++;
        ok = check_logs(c, &m.workspaces[i], d, e);
        if (ok) check_segments(c, &m.workspaces[i], d);
    }
    ok = ok && check_journal(c, &m, d, e);
    manifest_free(&m);
    return ok;
}

bool check_store(struct check *c, struct err *e) {
    enum { ROUNDS = 3 }; /* a new manifest, then what it names, then nothing more */
    bool ok = true, again = true;
    for (int round = 0; ok && again && round < ROUNDS; round++) {
        struct damage d = {0};
        bool no_manifest;
        ok = look_through(c, &d, &no_manifest, e);
        again = ok && c->repair && (no_manifest || d.count || d.journal);
        if (again) ok = no_manifest ? repair_manifest(c, e) : repair_store(c, &d, e);
        if (ok && again) check_note(c, "repaired; looking through all of it again");
        free(d.files);
    }
    return ok;
}
