#include "store/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/mem.h"

enum { LOG_HEAD = 32, WINDOW = 8 << 20, FLUSH = 4 << 20, MANIFEST_MOST = 64 << 20 };
static const char log_magic[8] = "SGWLOG1\n";

struct log {
    uint32_t workspace;
    uint64_t length; /* that counts */
    struct buf more; /* to be written behind it */
    size_t last;     /* where the last record in it begins, its crc still to come */
    bool has_last;
    uint64_t written; /* of this checkpoint, already in the file but not in the manifest */
    int fd;           /* open while a checkpoint runs, else -1 */
    bool made;        /* its folder and file are new and not yet synced */
};

struct checkpoint {
    char *dir;
    uint8_t store_id[16];
    uint64_t seq;
    struct journal_position from;
    bool name_unsynced; /* the folder's sync failed when the manifest was last renamed */
    struct log *logs;   /* by workspace number */
    size_t count;
};

uint64_t checkpoint_seq(const struct checkpoint *c) { return c->seq; }

static void log_path(const struct checkpoint *c, uint32_t workspace, const char *file, char path[4096]) {
    snprintf(path, 4096, "%s/workspaces/%" PRIu32 "%s", c->dir, workspace, file);
}

static struct log *log_of(struct checkpoint *c, uint32_t workspace) {
    size_t at = 0;
    while (at < c->count && c->logs[at].workspace < workspace) at++;
    if (at < c->count && c->logs[at].workspace == workspace) return &c->logs[at];
    c->logs = mem_resize(c->logs, (c->count + 1) * sizeof *c->logs);
    memmove(&c->logs[at + 1], &c->logs[at], (c->count - at) * sizeof *c->logs);
    c->logs[at] = (struct log){.workspace = workspace, .fd = -1};
    c->count++;
    return &c->logs[at];
}

/* ---- the manifest ---- */

static void manifest_text(const struct checkpoint *c, uint64_t seq, struct buf *text) {
    buf_addz(text, "sightglass-manifest 1\nstore ");
    for (int i = 0; i < 16; i++) buf_printf(text, "%02x", c->store_id[i]);
    buf_printf(text, "\nseq %" PRIu64 "\n", seq);
    for (size_t i = 0; i < c->count; i++)
        buf_printf(text, "workspace %" PRIu32 " %" PRIu64 "\n", c->logs[i].workspace,
                   c->logs[i].length + c->logs[i].written);
    buf_printf(text, "crc %08" PRIx32 "\n", crc32c(0, text->p, text->n));
}

/* The next line, and what follows its first word when that is `word`. */
static bool line_of(struct str *text, const char *word, struct str *rest) {
    struct str line, first;
    if (!str_cut(*text, '\n', &line, text)) return false;
    return str_cut(line, ' ', &first, rest) && str_is(first, word);
}

static bool manifest_parse(struct checkpoint *c, struct str text) {
    enum { CRC_LINE = sizeof "crc 00000000\n" - 1 };
    char want[CRC_LINE + 1], store[33];
    struct str rest, number;
    unsigned long long v, w;
    if (text.n < CRC_LINE) return false;
    snprintf(want, sizeof want, "crc %08" PRIx32 "\n", crc32c(0, text.p, text.n - CRC_LINE));
    if (!str_eq(str_from(text, text.n - CRC_LINE), str_of(want))) return false;
    text.n -= CRC_LINE;
    for (int i = 0; i < 16; i++) snprintf(store + 2 * i, 3, "%02x", c->store_id[i]);
    if (!line_of(&text, "sightglass-manifest", &rest) || !str_is(rest, "1")) return false;
    if (!line_of(&text, "store", &rest) || !str_is(rest, store)) return false;
    if (!line_of(&text, "seq", &rest) || !str_to_u64(rest, &v)) return false;
    c->seq = v;
    while (text.n) {
        if (!line_of(&text, "workspace", &rest) || !str_cut(rest, ' ', &number, &rest)) return false;
        if (!str_to_u64(number, &v) || v > UINT32_MAX || !str_to_u64(rest, &w)) return false;
        log_of(c, (uint32_t)v)->length = w;
    }
    return true;
}

static bool manifest_read(struct checkpoint *c, struct err *e) {
    char path[4096];
    snprintf(path, sizeof path, "%s/MANIFEST", c->dir);
    size_t n;
    char *text = io_read_file(path, MANIFEST_MOST, &n);
    if (!text) return errno == ENOENT || err_errno(e, "%s", path);
    bool ok = manifest_parse(c, (struct str){text, n});
    free(text);
    return ok || err_set(e, ERR_DAMAGED, "%s is damaged, or of another store or version", path);
}

/* ---- logs ---- */

static void log_head(const struct checkpoint *c, uint32_t workspace, char head[LOG_HEAD]) {
    memcpy(head, log_magic, 8);
    memcpy(head + 8, c->store_id, 16);
    memcpy(head + 24, &workspace, 4);
    uint32_t crc = crc32c(0, head, 28);
    memcpy(head + 28, &crc, 4);
}

static bool log_damaged(struct err *e, const char *path, uint64_t at) {
    return err_set(e, ERR_DAMAGED, "%s is damaged at offset %" PRIu64, path, at);
}

/* Gives the records of one log, through a window that grows to hold the largest. */
static bool log_replay(const struct checkpoint *c, const struct log *l, journal_visit *visit, void *ctx,
                       struct err *e) {
    char path[4096], head[LOG_HEAD], found[LOG_HEAD];
    log_path(c, l->workspace, "/log", path);
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return err_errno(e, "%s", path);
    log_head(c, l->workspace, head);
    bool ok = io_pread(fd, found, LOG_HEAD, 0) == LOG_HEAD && memcmp(head, found, LOG_HEAD) == 0;
    if (!ok) log_damaged(e, path, 0);
    size_t size = WINDOW;
    char *window = mem_alloc(size);
    for (uint64_t at = LOG_HEAD; ok && at < l->length;) {
        size_t want = l->length - at < size ? l->length - at : size, used = 0;
        if (io_pread(fd, window, want, (off_t)at) != (ssize_t)want) {
            ok = log_damaged(e, path, at);
            break;
        }
        struct record_header h;
        while (ok && used < want && want - used >= sizeof h) {
            memcpy(&h, window + used, sizeof h);
            if (h.length > want - used - sizeof h) break;
            const char *payload = window + used + sizeof h;
            if (h.workspace != l->workspace || h.crc != record_crc(&h, payload, l->workspace))
                ok = log_damaged(e, path, at + used);
            else
                ok = visit(ctx, &h, (struct str){payload, h.length}, e);
            used += sizeof h + h.length;
            if (h.flags & RECORD_GROUP_END) used += -(at + used) % JOURNAL_SECTOR;
        }
        if (ok && used == 0) { /* a record larger than the window, or a length that lies */
            if (want == l->length - at) ok = log_damaged(e, path, at);
            size *= 2;
            window = mem_resize(window, size);
        }
        at += used;
    }
    free(window);
    io_close(fd);
    return ok;
}

struct checkpoint *checkpoint_open(const char *dir, const uint8_t store_id[16], journal_visit *visit, void *ctx,
                                   struct err *e) {
    struct checkpoint *c = mem_zero(1, sizeof *c);
    c->dir = mem_alloc(strlen(dir) + 1);
    memcpy(c->dir, dir, strlen(dir) + 1);
    memcpy(c->store_id, store_id, 16);
    bool ok = manifest_read(c, e);
    for (size_t i = 0; ok && i < c->count; i++) ok = log_replay(c, &c->logs[i], visit, ctx, e);
    c->from.seq = c->seq;
    if (ok) return c;
    checkpoint_close(c);
    return NULL;
}

void checkpoint_close(struct checkpoint *c) {
    for (size_t i = 0; i < c->count; i++) buf_free(&c->logs[i].more);
    free(c->logs);
    free(c->dir);
    free(c);
}

/* ---- writing ---- */

/* Opens a workspace's log for this checkpoint, making folder and file for a new one. */
static bool log_begin(struct checkpoint *c, struct log *l, struct err *e) {
    if (l->fd >= 0) return true;
    char path[4096], folder[4096];
    log_path(c, l->workspace, "/log", path);
    log_path(c, l->workspace, "", folder);
    if (l->length == 0 && io_mkdir(folder, 0700) != 0) return err_errno(e, "%s", folder);
    l->fd = io_open(path, l->length ? O_WRONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (l->fd < 0) return err_errno(e, "%s", path);
    if (l->length) return true;
    l->made = true;
    buf_reserve(&l->more, LOG_HEAD);
    log_head(c, l->workspace, l->more.p);
    l->more.n = LOG_HEAD;
    return true;
}

static bool log_flush(struct checkpoint *c, struct log *l, struct err *e) {
    if (io_write_all(l->fd, l->more.p, l->more.n, (off_t)(l->length + l->written)) == 0) {
        l->written += l->more.n;
        l->more.n = 0;
        return true;
    }
    char path[4096];
    log_path(c, l->workspace, "/log", path);
    return err_errno(e, "%s: writing", path);
}

/* The last record gets its flags and checksum. */
static void seal_last(struct log *l, uint8_t flags) {
    if (!l->has_last) return;
    struct record_header h;
    memcpy(&h, l->more.p + l->last, sizeof h);
    h.flags |= flags;
    h.crc = record_crc(&h, l->more.p + l->last + sizeof h, l->workspace);
    memcpy(l->more.p + l->last, &h, sizeof h);
    l->has_last = false;
}

static bool copy_record(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct checkpoint *c = ctx;
    struct log *l = log_of(c, h->workspace);
    struct record_header copy = *h;
    copy.flags &= (uint8_t)~RECORD_GROUP_END;
    if (!log_begin(c, l, e)) return false;
    seal_last(l, 0);
    if (l->more.n >= FLUSH && !log_flush(c, l, e)) return false;
    l->last = l->more.n;
    l->has_last = true;
    buf_add(&l->more, &copy, sizeof copy);
    buf_add_str(&l->more, payload);
    return true;
}

static bool log_sync(struct checkpoint *c, struct log *l, struct err *e) {
    static const char zeros[JOURNAL_SECTOR];
    char folder[4096], all[4096];
    log_path(c, l->workspace, "", folder);
    snprintf(all, sizeof all, "%s/workspaces", c->dir);
    seal_last(l, RECORD_GROUP_END);
    buf_add(&l->more, zeros, -(l->length + l->written + l->more.n) % JOURNAL_SECTOR);
    if (!log_flush(c, l, e)) return false;
    if (io_sync(l->fd, "checkpoint.log") != 0) return err_errno(e, "%s/log: sync", folder);
    if (l->made && (io_sync_dir(folder, "checkpoint.folder") != 0 || io_sync_dir(all, "checkpoint.workspaces") != 0))
        return err_errno(e, "%s: sync", folder);
    return true;
}

bool checkpoint_run(struct checkpoint *c, struct journal *j, struct err *e) {
    struct journal_position to = journal_durable(j), from = c->from;
    if (to.seq <= c->seq && !c->name_unsynced) return true;
    bool ok = journal_read(j, &from, to, copy_record, c, e);
    for (size_t i = 0; i < c->count; i++)
        if (ok && c->logs[i].fd >= 0) ok = log_sync(c, &c->logs[i], e);
    struct buf text = {0};
    if (ok) {
        manifest_text(c, to.seq, &text);
        int replaced =
            io_replace_file(c->dir, "MANIFEST", text.p, text.n, 0600, "checkpoint.manifest", "checkpoint.manifest.dir");
        if (replaced != 0) err_errno(e, "%s/MANIFEST", c->dir);
        ok = replaced >= 0; /* the new one counts, but nothing may rest on it before a folder sync went well */
        if (ok) c->name_unsynced = replaced > 0;
    }
    buf_free(&text);
    for (size_t i = 0; i < c->count; i++) {
        struct log *l = &c->logs[i];
        if (l->fd >= 0) io_close(l->fd);
        l->fd = -1;
        if (ok) l->length += l->written, l->made = false;
        l->written = 0;
        l->has_last = false;
        buf_free(&l->more);
    }
    if (!ok) return err_wrap(e, "checkpoint");
    c->seq = to.seq;
    c->from = to;
    if (c->name_unsynced) return err_wrap(e, "checkpoint");
    journal_recycle(j, to.seq);
    return true;
}
