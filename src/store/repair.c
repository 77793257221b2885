#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/check.h"
#include "store/checkpoint.h"
#include "store/describe.h"
#include "store/salvage.h"
#include "store/segment.h"

enum { PATH = CHECK_PATH, ASIDE_MOST = 10000, LOG_MOST = 1 << 30 };

/* ---- DIR/set-aside/NUMBER ---- */

bool check_make_aside(const char *dir, char folder[PATH], struct err *e) {
    char all[PATH];
    struct stat st;
    if (snprintf(all, PATH, "%s/set-aside", dir) >= PATH - 16) return err_set(e, ERR_INVALID, "%s: too long", dir);
    if (io_mkdir(all, 0700) != 0) return err_errno(e, "%s", all);
    unsigned n = 1;
    do {
        snprintf(folder, PATH, "%.4000s/%u", all, n);
    } while (stat(folder, &st) == 0 && ++n < ASIDE_MOST);
    if (io_mkdir(folder, 0700) != 0) return err_errno(e, "%s", folder);
    return (io_sync_dir(all, "repair.folder") == 0 && io_sync_dir(dir, "repair.folder") == 0) ||
           err_errno(e, "%s: sync", all);
}

bool check_put_aside(const struct check *c, const char *folder, const char *path, struct err *e) {
    char name[256], to[PATH + 300];
    snprintf(name, sizeof name, "%s", path + strlen(c->dir) + 1);
    for (char *p = name; (p = strchr(p, '/'));) *p = '_';
    snprintf(to, sizeof to, "%s/%s", folder, name);
    if (io_link(path, to) != 0) return errno == ENOENT || err_errno(e, "setting aside %s", path);
    check_note(c, "%s is kept as %s", path, to);
    return true;
}

bool check_sync_aside(const char *folder, struct err *e) {
    return io_sync_dir(folder, "repair.aside") == 0 || err_errno(e, "%s: sync", folder);
}

/* ---- what can still be read ---- */

struct moving {
    struct check *c;
    struct checkpoint *to;
    uint64_t below; /* of a log: only records numbered below this */
    uint64_t moved;
    int64_t received_us;
};

static bool move_record(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct moving *m = ctx;
    const struct manifest_workspace *w = manifest_find(checkpoint_manifest(m->to), h->workspace);
    if (h->time_us > m->received_us) m->received_us = h->time_us;
    if ((w && w->deleted) || h->seq >= m->below) return true;
    m->moved++;
    return checkpoint_add(m->to, h, payload, e);
}

static void no_gap(void *ctx, const char *path, uint64_t at, uint64_t first, uint64_t last) {
    (void)ctx, (void)path, (void)at, (void)first, (void)last; /* the check has told of it */
}

/* All logs of a workspace anew, from what is whole in them. */
static bool rewrite_logs(struct moving *m, const struct manifest_workspace *w, struct err *e) {
    char name[64], path[PATH];
    uint64_t seq = 0;
    bool ok = true;
    struct salvage to = {move_record, no_gap, m};
    checkpoint_drop_logs(m->to, w->number);
    m->moved = 0;
    for (size_t i = 0; ok && i < w->log_count; i++) {
        manifest_log_name(w->logs[i].number, name);
        manifest_path(m->c->dir, w->number, name, path);
        struct wlog l = {
            .path = path, .workspace = w->number, .number = w->logs[i].number, .length = w->logs[i].length};
        memcpy(l.store_id, m->c->store_id, 16);
        ok = salvage_log(&l, &seq, &to, e);
    }
    if (ok)
        check_note(m->c, "workspace %" PRIu32 ": its logs are written anew, with %" PRIu64 " records", w->number,
                   m->moved);
    return ok;
}

static bool has_damaged_log(const struct damage *d, uint32_t workspace) {
    for (size_t i = 0; i < d->count; i++)
        if (d->files[i].is_log && d->files[i].workspace == workspace) return true;
    return false;
}

static bool move_journal(struct moving *m, struct err *e) {
    char dir[PATH];
    uint64_t seq;
    struct salvage to = {move_record, no_gap, m};
    m->moved = 0;
    snprintf(dir, PATH, "%s/journal", m->c->dir);
    if (!salvage_journal(dir, m->c->store_id, checkpoint_manifest(m->to)->seq, &seq, &to, e)) return false;
    if (seq < m->c->highest) seq = m->c->highest; /* numbers that segments know of must not be given again */
    checkpoint_reach(m->to, seq, m->received_us);
    check_note(m->c, "journal: %" PRIu64 " records, up to number %" PRIu64 ", are in the logs now", m->moved, seq);
    return true;
}

/* ---- files that go ---- */

static void path_of(const struct check *c, const struct damaged_file *f, char path[PATH]) {
    char name[64], below[80];
    if (f->is_log) {
        manifest_log_name(f->number, name);
        manifest_path(c->dir, f->workspace, name, path);
        return;
    }
    manifest_segment_name(f->number, f->version, name);
    snprintf(below, sizeof below, "segments/%s", name);
    manifest_path(c->dir, f->workspace, below, path);
}

/* What is known of a segment that goes. Its footer may still be whole; else the manifest may know. */
static void tell_of_segment(const struct check *c, const struct damaged_file *f, const struct manifest_segment *known,
                            const char *path) {
    struct err e;
    char from[CLOCK_TEXT], to[CLOCK_TEXT];
    struct segment *s = segment_open(path, c->store_id, f->workspace, &e);
    if (!s && known->rows) {
        check_note(c, "workspace %" PRIu32 ": segment %" PRIu64 " is lost: %" PRIu32 " inferences, from %s to %s",
                   f->workspace, f->number, known->rows, clock_format(known->min_time_us, from),
                   clock_format(known->max_time_us, to));
        return;
    }
    if (!s) {
        check_note(c,
                   "workspace %" PRIu32 ": segment %" PRIu64
                   " is lost; which inferences were in it cannot be read any more",
                   f->workspace, f->number);
        return;
    }
    check_note(c,
               "workspace %" PRIu32 ": segment %" PRIu64 " is lost: %" PRIu32
               " inferences, from %s to %s, numbered %" PRIu64 " to %" PRIu64,
               f->workspace, f->number, s->rows, clock_format(s->min_time_us, from), clock_format(s->max_time_us, to),
               s->min_seq, s->max_seq);
    segment_close(s);
}

/* Only its summary is damaged: a new version of it has one that is made of the rows. */
static bool write_anew(const struct check *c, const struct damaged_file *f, const char *path, struct checkpoint *p,
                       struct manifest_segment *anew, struct err *e) {
    char folder[PATH], name[64];
    struct segment *s = segment_open(path, c->store_id, f->workspace, e);
    if (!s) return false;
    struct str *fields = mem_alloc((s->field_count + (size_t)1) * sizeof *fields);
    for (uint32_t i = 0; i < s->field_count; i++) fields[i] = segment_field_name(s, i);
    struct segment_fold fold = {.fields = fields, .field_count = s->field_count};
    fold.id = (struct segment_identity){.workspace = f->workspace,
                                        .number = f->number,
                                        .version = f->version + 1,
                                        .applied_through = s->applied_through,
                                        .apart = s->apart};
    memcpy(fold.id.store_id, c->store_id, sizeof fold.id.store_id);
    manifest_segment_name(fold.id.number, fold.id.version, name);
    bool ok = segment_describe(s, anew, e) && checkpoint_segment_folder(p, f->workspace, folder, e) &&
              segment_fold_write(s, &fold, folder, name, e);
    anew->version = fold.id.version;
    segment_close(s);
    free(fields);
    if (ok)
        check_note(c, "workspace %" PRIu32 ": segment %" PRIu64 " is written anew, with a summary of its rows",
                   f->workspace, f->number);
    return ok;
}

static bool set_files_aside(const struct check *c, const struct damage *d, struct checkpoint *p, const char *folder,
                            struct err *e) {
    char path[PATH];
    bool ok = true;
    for (size_t i = 0; ok && i < d->count; i++) {
        const struct damaged_file *f = &d->files[i];
        path_of(c, f, path);
        ok = check_put_aside(c, folder, path, e);
        if (!ok || f->is_log) continue;
        const struct manifest_workspace *w = manifest_find(checkpoint_manifest(p), f->workspace);
        const struct manifest_segment *known = w->segments;
        struct manifest_segment anew = {0};
        while (known->number != f->number) known++; /* the damage was found by these lines */
        if (f->is_summary)
            ok = write_anew(c, f, path, p, &anew, e);
        else
            tell_of_segment(c, f, known, path);
        if (ok) checkpoint_segments(p, f->workspace, known, 1, &anew, f->is_summary, w->sealed_through);
    }
    return ok;
}

struct journal_files {
    const struct check *c;
    const char *aside;
    bool unlink, ok;
    struct err *e;
};

static void journal_file(void *ctx, const char *name) {
    struct journal_files *f = ctx;
    char path[PATH];
    size_t n = strlen(name);
    if (!f->ok || n < 8 || strcmp(name + n - 8, ".journal") != 0) return;
    snprintf(path, PATH, "%s/journal/%s", f->c->dir, name);
    f->ok = f->unlink ? io_unlink(path) == 0 || err_errno(f->e, "removing %s", path)
                      : check_put_aside(f->c, f->aside, path, f->e);
}

/* The journal's files go: first under another name, and when the logs hold what was in them, from here. */
static bool set_journal_aside(const struct check *c, const char *folder, bool unlink, struct err *e) {
    char dir[PATH];
    struct journal_files f = {c, folder, unlink, true, e};
    snprintf(dir, PATH, "%s/journal", c->dir);
    if (io_list(dir, journal_file, &f) != 0) return errno == ENOENT || err_errno(e, "reading the folder %s", dir);
    return f.ok;
}

bool repair_store(struct check *c, const struct damage *d, struct err *e) {
    char aside[PATH];
    if (!check_make_aside(c->dir, aside, e)) return false;
    struct checkpoint *p = checkpoint_open(c->dir, c->store_id, e);
    if (!p) return false;
    struct moving m = {.c = c, .to = p, .below = UINT64_MAX};
    checkpoint_begin(p);
    bool ok = set_files_aside(c, d, p, aside, e);
    for (size_t i = 0; ok && i < checkpoint_manifest(p)->count; i++)
        if (has_damaged_log(d, checkpoint_manifest(p)->workspaces[i].number))
            ok = rewrite_logs(&m, &checkpoint_manifest(p)->workspaces[i], e);
    if (ok && d->journal) ok = set_journal_aside(c, aside, false, e) && move_journal(&m, e);
    ok = ok && check_sync_aside(aside, e);
    if (!ok)
        checkpoint_abort(p);
    else
        ok = checkpoint_commit(p, NULL, e) == COMMIT_DONE;
    checkpoint_close(p);
    return ok && (!d->journal || set_journal_aside(c, aside, true, e));
}

/* ---- a manifest from what is there ---- */

struct finding {
    struct check *c;
    struct manifest *m;
    struct manifest_workspace *w;
    struct err *e;
};

static bool number_of(const char **name, uint64_t most, uint64_t *out) {
    size_t n = strspn(*name, "0123456789");
    unsigned long long v;
    if (!str_to_u64((struct str){*name, n}, &v) || v > most) return false;
    *name += n;
    *out = v;
    return true;
}

static int by_log(const void *a, const void *b) {
    const struct manifest_log *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* Its whole length: what is behind the end that counted is seen to be none, or is still in the journal. */
static void find_log(void *ctx, const char *name) {
    struct finding *f = ctx;
    uint64_t number;
    char path[PATH];
    struct stat st;
    manifest_path(f->c->dir, f->w->number, name, path);
    if (strncmp(name, "log-", 4) != 0 || (name += 4, !number_of(&name, UINT64_MAX - 1, &number)) || *name) return;
    if (number == 0 || stat(path, &st) != 0 || st.st_size < JOURNAL_SECTOR) return;
    f->w->logs = mem_resize(f->w->logs, (f->w->log_count + 1) * sizeof *f->w->logs);
    f->w->logs[f->w->log_count++] =
        (struct manifest_log){number, (uint64_t)st.st_size / JOURNAL_SECTOR * JOURNAL_SECTOR};
    if (number >= f->w->next_log) f->w->next_log = number + 1;
}

/* Of each number the highest version that holds together. */
static void find_segment(void *ctx, const char *name) {
    struct finding *f = ctx;
    uint64_t number, version;
    char path[PATH], below[300];
    struct err why;
    snprintf(below, sizeof below, "segments/%s", name);
    manifest_path(f->c->dir, f->w->number, below, path);
    if (!number_of(&name, UINT64_MAX - 1, &number) || number == 0 || *name++ != '.' ||
        !number_of(&name, UINT32_MAX, &version) || strcmp(name, ".arrow") != 0)
        return;
    if (number >= f->w->next_segment) f->w->next_segment = number + 1;
    struct segment *s = segment_open(path, f->c->store_id, f->w->number, &why);
    struct manifest_segment found;
    bool good = s && s->number == number && s->version == version && segment_verify(s, &why) &&
                segment_describe(s, &found, &why);
    if (good && s->max_seq > f->w->sealed_through) f->w->sealed_through = s->max_seq;
    if (good && s->applied_through > f->c->highest) f->c->highest = s->applied_through;
    if (s) segment_close(s);
    if (!good) {
        check_problem(f->c, "%s cannot be read", path);
        return;
    }
    size_t at = 0;
    while (at < f->w->segment_count && f->w->segments[at].number < number) at++;
    if (at < f->w->segment_count && f->w->segments[at].number == number) {
        if (version > f->w->segments[at].version) f->w->segments[at] = found;
        return;
    }
    f->w->segments = mem_resize(f->w->segments, (f->w->segment_count + 1) * sizeof *f->w->segments);
    memmove(&f->w->segments[at + 1], &f->w->segments[at], (f->w->segment_count++ - at) * sizeof *f->w->segments);
    f->w->segments[at] = found;
}

static void find_workspace(void *ctx, const char *name) {
    struct finding *f = ctx;
    uint64_t number;
    char path[PATH];
    if (!number_of(&name, UINT32_MAX, &number) || *name) return;
    f->w = manifest_make(f->m, (uint32_t)number);
    manifest_path(f->c->dir, (uint32_t)number, "", path);
    (void)io_list(path, find_log, f);
    if (f->w->log_count) qsort(f->w->logs, f->w->log_count, sizeof *f->w->logs, by_log);
    manifest_path(f->c->dir, (uint32_t)number, "segments", path);
    (void)io_list(path, find_segment, f);
}

/* What the newest files of the journal, without a gap, begin with: everything before it was in the logs when those
 * files were taken into use, and everything from it on is here. 0: there is no journal. */
struct oldest {
    const char *dir;
    const uint8_t *store_id;
    struct journal_file_header list[256];
    size_t count;
};

static void find_header(void *ctx, const char *name) {
    struct oldest *o = ctx;
    char path[PATH], head[JOURNAL_DATA];
    struct journal_file_header h;
    snprintf(path, PATH, "%s/%s", o->dir, name);
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return;
    bool whole = io_pread(fd, head, sizeof head, 0) == sizeof head;
    io_close(fd);
    if (whole && journal_file_header((struct str){head, sizeof head}, &h) && memcmp(h.store_id, o->store_id, 16) == 0 &&
        o->count < sizeof o->list / sizeof *o->list)
        o->list[o->count++] = h;
}

static uint64_t journal_begins(const struct check *c) {
    char dir[PATH];
    struct oldest o = {.dir = dir, .store_id = c->store_id};
    uint64_t number = 0, first = 0;
    snprintf(dir, PATH, "%s/journal", c->dir);
    (void)io_list(dir, find_header, &o);
    for (size_t i = 0; i < o.count; i++)
        if (o.list[i].number > number) number = o.list[i].number, first = o.list[i].first_seq;
    for (size_t i = 0; i < o.count; i++) /* again from the start for each file that goes before */
        if (o.list[i].number + 1 == number) number--, first = o.list[i].first_seq, i = (size_t)-1;
    return first;
}

static bool note_last(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct moving *m = ctx;
    (void)payload, (void)e;
    if (h->seq > m->moved) m->moved = h->seq;
    if (h->time_us > m->received_us) m->received_us = h->time_us;
    return true;
}

/* The highest number in the logs, where no journal says more. */
static bool last_in_logs(struct check *c, struct manifest *m, struct err *e) {
    struct moving last = {.c = c};
    struct salvage to = {note_last, no_gap, &last};
    char name[64], path[PATH];
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_workspace *w = &m->workspaces[i];
        uint64_t seq = 0;
        for (size_t k = 0; k < w->log_count; k++) {
            manifest_log_name(w->logs[k].number, name);
            manifest_path(c->dir, w->number, name, path);
            struct wlog l = {
                .path = path, .workspace = w->number, .number = w->logs[k].number, .length = w->logs[k].length};
            memcpy(l.store_id, c->store_id, 16);
            if (!salvage_log(&l, &seq, &to, e)) return false;
        }
        if (w->sealed_through > last.moved) last.moved = w->sealed_through;
    }
    m->seq = last.moved > c->highest ? last.moved : c->highest;
    m->received_us = last.received_us > 0 ? last.received_us : 0;
    return true;
}

bool repair_manifest(struct check *c, struct err *e) {
    char path[PATH], aside[PATH];
    struct manifest m = {0};
    struct finding f = {.c = c, .m = &m, .e = e};
    memcpy(m.store_id, c->store_id, 16);
    snprintf(path, PATH, "%s/workspaces", c->dir);
    if (io_list(path, find_workspace, &f) != 0) return err_errno(e, "reading the folder %s", path);
    uint64_t begins = journal_begins(c);
    bool ok = check_make_aside(c->dir, aside, e) && last_in_logs(c, &m, e);
    if (begins) m.seq = begins - 1;
    snprintf(path, PATH, "%s/MANIFEST", c->dir);
    ok = ok && check_put_aside(c, aside, path, e) && check_sync_aside(aside, e);

    /* The logs keep what the journal does not hold. */
    struct checkpoint *p = checkpoint_from(c->dir, &m);
    struct moving move = {.c = c, .to = p, .below = begins ? begins : UINT64_MAX};
    checkpoint_begin(p);
    for (size_t i = 0; ok && i < m.count; i++) ok = rewrite_logs(&move, &m.workspaces[i], e);
    if (!ok)
        checkpoint_abort(p);
    else
        ok = checkpoint_commit(p, NULL, e) == COMMIT_DONE;
    checkpoint_close(p);
    if (ok) check_note(c, "%s is made anew, for %zu workspaces; those that were deleted may be back", path, m.count);
    manifest_free(&m);
    return ok;
}
