#include "store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/io.h"
#include "base/mem.h"
#include "store/leftover.h"
#include "store/wlog.h"

enum {
    LOG_FULL = 64 << 20, /* bytes from which on a workspace's log is left and another one begun */
    WAIT_MOST = 16 << 20 /* bytes of all workspaces together that wait to be written */
};

/* What a step does to one workspace: records for the end of its newest log, which is the last one in the draft. */
struct tail {
    uint32_t workspace;
    bool open;       /* there are, or have been, records for that log; else the next record says which it is */
    bool fresh;      /* its file is still to be made */
    bool names;      /* the folder has new names, to be synced before the manifest rests on them */
    uint64_t at;     /* where in the file `more` goes */
    struct buf more; /* to be written */
    size_t last;     /* where the last record in it begins, its crc still to come */
    bool has_last;
};

struct step {
    struct manifest draft;
    struct journal_position from; /* up to here the journal has been copied */
    struct tail *tails;           /* by workspace */
    size_t count, waiting;        /* tails; bytes in all of them */
    struct leftovers made;        /* log files, to be removed should the step fail */
    struct leftovers dropped;     /* files that the draft no longer names */
    bool changed, failed;
};

struct checkpoint {
    char *dir;
    struct manifest m;
    struct journal_position from;
    bool name_unsynced; /* the folder's sync failed when the manifest was last renamed */
    bool hold;
    struct leftovers left; /* files to be unlinked, folders to be removed */
    struct step *step;     /* under way */
};

struct checkpoint *checkpoint_from(const char *dir, const struct manifest *m) {
    struct checkpoint *c = mem_zero(1, sizeof *c);
    c->dir = memcpy(mem_alloc(strlen(dir) + 1), dir, strlen(dir) + 1);
    manifest_copy(&c->m, m);
    c->from.seq = m->seq;
    c->name_unsynced = true;
    return c;
}

struct checkpoint *checkpoint_open(const char *dir, const uint8_t store_id[16], struct err *e) {
    struct manifest m;
    bool ok = manifest_read(dir, store_id, &m, e);
    struct checkpoint *c = ok ? checkpoint_from(dir, &m) : NULL;
    if (ok) c->name_unsynced = false;
    manifest_free(&m);
    return c;
}

void checkpoint_close(struct checkpoint *c) {
    if (c->step) checkpoint_abort(c);
    leftovers_free(&c->left);
    manifest_free(&c->m);
    free(c->dir);
    free(c);
}

const struct manifest *checkpoint_manifest(const struct checkpoint *c) { return &c->m; }

void checkpoint_hold(struct checkpoint *c, bool hold) { c->hold = hold; }

bool checkpoint_sweep(struct checkpoint *c, struct err *e) {
    CHECK(!c->step);
    if (c->m.seq == 0 && c->m.count == 0) return true; /* should the manifest be missing, it can still be put back */
    return leftovers_sweep(c->dir, &c->m, &c->left, e);
}

static void log_path(const struct checkpoint *c, uint32_t workspace, uint64_t number, char path[4096]) {
    char name[64];
    manifest_log_name(number, name);
    manifest_path(c->dir, workspace, name, path);
}

/* ---- reading ---- */

/* The records of these logs, which follow each other. */
static bool read_logs(const struct checkpoint *c, uint32_t workspace, const struct manifest_log *logs, size_t count,
                      journal_visit *visit, void *ctx, struct err *e) {
    char path[4096];
    uint64_t seq = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct wlog l = {.path = path, .workspace = workspace, .number = logs[i].number, .length = logs[i].length};
        memcpy(l.store_id, c->m.store_id, 16);
        log_path(c, workspace, logs[i].number, path);
        ok = wlog_read(&l, &seq, visit, ctx, e);
    }
    return ok;
}

bool checkpoint_replay(const struct checkpoint *c, journal_visit *visit, void *ctx, struct err *e) {
    bool ok = true;
    for (size_t i = 0; ok && i < c->m.count; i++) {
        const struct manifest_workspace *w = &c->m.workspaces[i];
        ok = read_logs(c, w->number, w->logs, w->log_count, visit, ctx, e);
    }
    return ok;
}

/* ---- a step: tails ---- */

static struct tail *tail_of(struct step *s, uint32_t workspace) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->tails[mid].workspace < workspace)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < s->count && s->tails[low].workspace == workspace) return &s->tails[low];
    s->tails = mem_resize(s->tails, (s->count + 1) * sizeof *s->tails);
    memmove(&s->tails[low + 1], &s->tails[low], (s->count - low) * sizeof *s->tails);
    s->tails[low] = (struct tail){.workspace = workspace};
    s->count++;
    return &s->tails[low];
}

/* Forgets what waits. */
static void tail_drop(struct step *s, struct tail *t) {
    s->waiting -= t->more.n;
    buf_free(&t->more);
    t->open = t->has_last = false;
}

/* Goes on in the workspace's newest log, or begins another one. */
static void tail_open(struct step *s, struct tail *t) {
    struct manifest_workspace *w = manifest_make(&s->draft, t->workspace);
    struct manifest_log *newest = w->log_count ? &w->logs[w->log_count - 1] : NULL;
    t->open = true;
    t->fresh = !newest || newest->length >= LOG_FULL;
    t->at = t->fresh ? 0 : newest->length;
    if (!t->fresh) return;
    w->logs = mem_resize(w->logs, (w->log_count + 1) * sizeof *w->logs);
    w->logs[w->log_count++] = (struct manifest_log){.number = w->next_log};
    struct wlog l = {.workspace = t->workspace, .number = w->next_log++};
    memcpy(l.store_id, s->draft.store_id, 16);
    buf_reserve(&t->more, WLOG_HEAD);
    wlog_head(&l, t->more.p);
    t->more.n = WLOG_HEAD;
    s->waiting += WLOG_HEAD;
}

/* The last record gets its flags and checksum. */
static void seal_last(struct tail *t, uint8_t flags) {
    if (!t->has_last) return;
    struct record_header h;
    memcpy(&h, t->more.p + t->last, sizeof h);
    h.flags |= flags;
    h.crc = record_crc(&h, t->more.p + t->last + sizeof h, t->workspace);
    memcpy(t->more.p + t->last, &h, sizeof h);
    t->has_last = false;
}

static int open_log(struct checkpoint *c, struct tail *t, uint64_t number, const char *path, struct err *e) {
    char folder[4096];
    manifest_path(c->dir, t->workspace, "", folder);
    if (t->fresh && io_mkdir(folder, 0700) != 0) {
        err_errno(e, "%s", folder);
        return -1;
    }
    int fd = io_open(path, t->fresh ? O_WRONLY | O_CREAT | O_TRUNC : O_WRONLY, 0600);
    if (fd < 0) err_errno(e, "%s", path);
    if (fd < 0 || !t->fresh) return fd;
    t->names = true;
    t->fresh = false;
    leftovers_add(&c->step->made, (struct leftover){LEFT_LOG, t->workspace, .number = number});
    return fd;
}

/* Writes what waits, as a group of its own. */
static bool tail_flush(struct checkpoint *c, struct tail *t, struct err *e) {
    static const char zeros[JOURNAL_SECTOR];
    char path[4096];
    if (t->more.n == 0) return true;
    struct manifest_workspace *w = manifest_find(&c->step->draft, t->workspace);
    struct manifest_log *newest = &w->logs[w->log_count - 1];
    c->step->waiting -= t->more.n;
    seal_last(t, RECORD_GROUP_END);
    buf_add(&t->more, zeros, -(t->at + t->more.n) % JOURNAL_SECTOR);
    log_path(c, t->workspace, newest->number, path);
    int fd = open_log(c, t, newest->number, path, e);
    if (fd < 0) return false;
    bool ok = io_write_all(fd, t->more.p, t->more.n, (off_t)t->at) == 0 || err_errno(e, "%s: writing", path);
    ok = ok && (io_sync(fd, "checkpoint.log") == 0 || err_errno(e, "%s: sync", path));
    if (io_close(fd) != 0 && ok) ok = err_errno(e, "%s: closing", path);
    t->at += t->more.n;
    buf_free(&t->more);
    if (ok) newest->length = t->at;
    return ok;
}

/* Too much waits: what is large goes to its file. */
static bool flush_large(struct checkpoint *c, struct err *e) {
    struct step *s = c->step;
    size_t average = s->waiting / s->count;
    bool ok = true;
    for (size_t i = 0; ok && i < s->count; i++)
        if (s->tails[i].more.n >= average) ok = tail_flush(c, &s->tails[i], e);
    return ok;
}

static bool append(struct checkpoint *c, const struct record_header *h, struct str payload, struct err *e) {
    struct step *s = c->step;
    struct record_header copy = *h;
    if (s->waiting >= WAIT_MOST && !flush_large(c, e)) return false;
    struct tail *t = tail_of(s, h->workspace);
    if (t->open && t->at + t->more.n >= LOG_FULL) {
        if (!tail_flush(c, t, e)) return false;
        t->open = false;
    }
    if (!t->open) tail_open(s, t);
    copy.flags &= (uint8_t) ~(RECORD_GROUP_BEGIN | RECORD_GROUP_END);
    copy.length = (uint32_t)payload.n;
    seal_last(t, 0);
    t->last = t->more.n;
    t->has_last = true;
    buf_add(&t->more, &copy, sizeof copy);
    buf_add_str(&t->more, payload);
    s->waiting += sizeof copy + payload.n;
    return true;
}

/* ---- a step: its parts ---- */

void checkpoint_begin(struct checkpoint *c) {
    CHECK(!c->step);
    c->step = mem_zero(1, sizeof *c->step);
    c->step->from = c->from;
    manifest_copy(&c->step->draft, &c->m);
}

static void step_free(struct step *s) {
    for (size_t i = 0; i < s->count; i++) buf_free(&s->tails[i].more);
    free(s->tails);
    leftovers_free(&s->made);
    leftovers_free(&s->dropped);
    manifest_free(&s->draft);
    free(s);
}

void checkpoint_abort(struct checkpoint *c) {
    leftovers_unlink(c->dir, &c->step->made);
    step_free(c->step);
    c->step = NULL;
}

struct copying {
    struct checkpoint *c;
    checkpoint_keep *keep;
    void *ctx;
    struct buf less;
};

static bool copy_record(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct copying *k = ctx;
    enum keep keep = KEEP_ALL;
    k->less.n = 0;
    if (k->keep) keep = k->keep(k->ctx, h, payload, &k->less);
    if (keep == KEEP_NONE) return true;
    return append(k->c, h, keep == KEEP_LESS ? buf_str(&k->less) : payload, e);
}

static bool copy_journalled(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct manifest *draft = &((struct copying *)ctx)->c->step->draft;
    const struct manifest_workspace *w = manifest_find(draft, h->workspace);
    if (h->time_us > draft->received_us) draft->received_us = h->time_us;
    return (w && w->deleted) || copy_record(ctx, h, payload, e);
}

bool checkpoint_copy(struct checkpoint *c, struct journal *j, checkpoint_keep *keep, void *ctx, struct err *e) {
    struct step *s = c->step;
    struct journal_position to = journal_durable(j);
    struct copying k = {.c = c, .keep = keep, .ctx = ctx};
    CHECK(s && !s->failed);
    if (to.seq <= s->from.seq) return true;
    bool ok = journal_read(j, &s->from, to, copy_journalled, &k, e);
    buf_free(&k.less);
    s->draft.seq = to.seq;
    s->changed = true;
    s->failed = !ok;
    return ok || err_wrap(e, "checkpoint");
}

static void drop_logs(struct step *s, struct manifest_workspace *w) {
    for (size_t i = 0; i < w->log_count; i++)
        leftovers_add(&s->dropped, (struct leftover){LEFT_LOG, w->number, .number = w->logs[i].number});
    free(w->logs);
    w->logs = NULL;
    w->log_count = 0;
}

bool checkpoint_compact(struct checkpoint *c, uint32_t workspace, checkpoint_keep *keep, void *ctx, struct err *e) {
    struct step *s = c->step;
    struct copying k = {.c = c, .keep = keep, .ctx = ctx};
    CHECK(s && !s->failed);
    struct manifest_workspace *w = manifest_find(&s->draft, workspace);
    if (!w || w->log_count == 0) return true;
    struct tail *t = tail_of(s, workspace);
    bool ok = tail_flush(c, t, e);
    t->open = false;
    size_t count = w->log_count;
    struct manifest_log *logs = mem_alloc(count * sizeof *logs);
    memcpy(logs, w->logs, count * sizeof *logs);
    drop_logs(s, w);
    ok = ok && read_logs(c, workspace, logs, count, copy_record, &k, e);
    free(logs);
    buf_free(&k.less);
    s->changed = true;
    s->failed = !ok;
    return ok || err_wrap(e, "compacting the logs of workspace %u", workspace);
}

bool checkpoint_segment_folder(const struct checkpoint *c, uint32_t workspace, char path[4096], struct err *e) {
    manifest_path(c->dir, workspace, "", path);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "%s", path);
    manifest_path(c->dir, workspace, "segments", path);
    return io_mkdir(path, 0700) == 0 || err_errno(e, "%s", path);
}

static size_t place_of_segment(const struct manifest_workspace *w, uint64_t number) {
    size_t at = 0;
    while (at < w->segment_count && w->segments[at].number < number) at++;
    return at;
}

void checkpoint_segments(struct checkpoint *c, uint32_t workspace, const struct manifest_segment *removed,
                         size_t removed_count, const struct manifest_segment *added, size_t added_count,
                         uint64_t sealed_through) {
    struct step *s = c->step;
    CHECK(s && !s->failed);
    struct manifest_workspace *w = manifest_make(&s->draft, workspace);
    CHECK(!w->deleted && sealed_through >= w->sealed_through);
    for (size_t i = 0; i < removed_count; i++) {
        size_t at = place_of_segment(w, removed[i].number);
        CHECK(at < w->segment_count && w->segments[at].number == removed[i].number &&
              w->segments[at].version == removed[i].version);
        leftovers_add(&s->dropped, (struct leftover){LEFT_SEGMENT, workspace, .number = removed[i].number,
                                                     .version = removed[i].version});
        memmove(&w->segments[at], &w->segments[at + 1], (--w->segment_count - at) * sizeof *w->segments);
    }
    w->segments = mem_resize(w->segments, (w->segment_count + added_count) * sizeof *w->segments);
    for (size_t i = 0; i < added_count; i++) {
        size_t at = place_of_segment(w, added[i].number);
        CHECK(at == w->segment_count || w->segments[at].number != added[i].number);
        memmove(&w->segments[at + 1], &w->segments[at], (w->segment_count++ - at) * sizeof *w->segments);
        w->segments[at] = added[i];
        if (added[i].number >= w->next_segment) w->next_segment = added[i].number + 1;
    }
    w->sealed_through = sealed_through;
    if (added_count) tail_of(s, workspace)->names = true;
    s->changed = true;
}

void checkpoint_delete(struct checkpoint *c, uint32_t workspace) {
    struct step *s = c->step;
    CHECK(s && !s->failed);
    struct manifest_workspace *w = manifest_make(&s->draft, workspace);
    struct tail *t = tail_of(s, workspace);
    tail_drop(s, t);
    t->names = false;
    free(w->logs);
    free(w->segments);
    *w = (struct manifest_workspace){.number = workspace, .deleted = true};
    leftovers_add(&s->dropped, (struct leftover){LEFT_FOLDER, workspace, 0, 0});
    s->changed = true;
}

void checkpoint_drop_logs(struct checkpoint *c, uint32_t workspace) {
    struct step *s = c->step;
    CHECK(s && !s->failed);
    struct manifest_workspace *w = manifest_find(&s->draft, workspace);
    if (!w) return;
    tail_drop(s, tail_of(s, workspace));
    drop_logs(s, w);
    s->changed = true;
}

bool checkpoint_add(struct checkpoint *c, const struct record_header *h, struct str payload, struct err *e) {
    CHECK(c->step && !c->step->failed);
    c->step->changed = true;
    c->step->failed = !append(c, h, payload, e);
    return !c->step->failed;
}

void checkpoint_reach(struct checkpoint *c, uint64_t seq, int64_t received_us) {
    struct manifest *draft = &c->step->draft;
    CHECK(seq >= draft->seq);
    draft->seq = seq;
    if (received_us > draft->received_us) draft->received_us = received_us;
    c->step->changed = true;
}

uint64_t checkpoint_log_bytes(const struct checkpoint *c, uint32_t workspace) {
    const struct manifest_workspace *w = manifest_find(c->step ? &c->step->draft : &c->m, workspace);
    uint64_t bytes = 0;
    for (size_t i = 0; w && i < w->log_count; i++) bytes += w->logs[i].length;
    for (size_t i = 0; c->step && i < c->step->count; i++)
        if (c->step->tails[i].workspace == workspace) bytes += c->step->tails[i].more.n;
    return bytes;
}

/* ---- the end of a step ---- */

/* Everything that the new manifest will rest on is on disk, names included. */
static bool settle_files(struct checkpoint *c, struct err *e) {
    struct step *s = c->step;
    char path[4096];
    bool ok = true, fresh_folder = false;
    for (size_t i = 0; ok && i < s->count; i++) {
        struct tail *t = &s->tails[i];
        ok = tail_flush(c, t, e);
        if (!ok || !t->names) continue;
        fresh_folder |= !manifest_find(&c->m, t->workspace);
        manifest_path(c->dir, t->workspace, "", path);
        ok = io_sync_dir(path, "checkpoint.folder") == 0 || err_errno(e, "%s: sync", path);
    }
    snprintf(path, sizeof path, "%s/workspaces", c->dir);
    return ok && (!fresh_folder || io_sync_dir(path, "checkpoint.workspaces") == 0 || err_errno(e, "%s: sync", path));
}

enum committed checkpoint_commit(struct checkpoint *c, struct journal *j, struct err *e) {
    struct step *s = c->step;
    CHECK(s && !s->failed);
    bool ok = settle_files(c, e);
    if (ok && (s->changed || c->name_unsynced)) {
        int outcome = manifest_write(c->dir, &s->draft, e);
        ok = outcome >= 0;
        if (ok) c->name_unsynced = outcome > 0;
    }
    if (!ok) {
        checkpoint_abort(c);
        err_wrap(e, "checkpoint");
        return COMMIT_FAILED;
    }
    struct manifest before = c->m;
    c->m = s->draft;
    s->draft = before;
    c->from = s->from;
    leftovers_take(&c->left, &s->dropped);
    step_free(s);
    c->step = NULL;
    if (c->name_unsynced) {
        err_wrap(e, "checkpoint");
        return COMMIT_COUNTS;
    }
    if (c->hold) return COMMIT_DONE;
    if (j) journal_recycle(j, c->m.seq);
    leftovers_unlink(c->dir, &c->left);
    return COMMIT_DONE;
}
