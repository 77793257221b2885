#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/mem.h"

enum { STEP = 1 << 20, PATH = 4096, NAME_MOST = 512, LIST_MOST = 256 << 20 };
static const char mark[] = "BACKUP.unfinished";

struct backup {
    char *from, *to;
    const atomic_bool *stop;
    uint8_t store_id[16];
    struct backup_totals totals;
    uint64_t pictures, picture_bytes;
    struct buf lines;   /* of BACKUP */
    struct buf folders; /* that were made, from the top: names that end with a NUL */
    char *step;         /* room for a piece of a file */
};

static bool path_in(const char *dir, const char *name, char path[PATH], struct err *e) {
    return snprintf(path, PATH, "%s/%s", dir, name) < PATH || err_set(e, ERR_INVALID, "%s/%s: too long", dir, name);
}

static bool stopped(const struct backup *b, struct err *e) {
    return b->stop && atomic_load(b->stop) && !err_set(e, ERR_BUSY, "the server is stopping; the backup is unfinished");
}

/* ---- single files ---- */

static bool make_folder(struct backup *b, const char *name, struct err *e) {
    char path[PATH];
    if (!path_in(b->to, name, path, e)) return false;
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "%s", path);
    buf_add(&b->folders, name, strlen(name) + 1);
    return true;
}

/* Reads `length` bytes of a file, from one to the other if there is another. */
static bool pass_bytes(struct backup *b, int in, int out, const char *path, uint64_t length, uint32_t *crc,
                       struct err *e) {
    for (uint64_t at = 0; at < length;) {
        size_t want = length - at < STEP ? (size_t)(length - at) : STEP;
        if (stopped(b, e)) return false;
        ssize_t n = io_pread(in, b->step, want, (off_t)at);
        if (n < 0) return err_errno(e, "%s: reading", path);
        if ((size_t)n < want) return err_set(e, ERR_DAMAGED, "%s is shorter than it should be", path);
        *crc = crc32c(*crc, b->step, want);
        if (out >= 0 && io_write_all(out, b->step, want, (off_t)at) != 0) return err_errno(e, "copying %s", path);
        at += want;
    }
    return true;
}

static bool copy_bytes(struct backup *b, int in, const char *from, const char *to, uint64_t length, uint32_t *crc,
                       struct err *e) {
    int out = io_open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (out < 0) return err_errno(e, "%s", to);
    bool ok = pass_bytes(b, in, out, from, length, crc, e) &&
              (io_sync(out, "backup.file") == 0 || err_errno(e, "%s: sync", to));
    return (io_close(out) == 0 || !ok || err_errno(e, "%s: closing", to)) && ok;
}

enum how { COPY, LINK, PICTURE };

/* The first `length` bytes of a file; UINT64_MAX: all. */
static bool take_file(struct backup *b, const char *name, uint64_t length, enum how how, struct err *e) {
    char from[PATH], to[PATH];
    struct stat st;
    uint32_t crc = 0;
    if (stopped(b, e) || !path_in(b->from, name, from, e) || !path_in(b->to, name, to, e)) return false;
    bool linked = how != COPY && io_link(from, to) == 0;
    if (!linked && how != COPY && errno != EXDEV && errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP)
        return err_errno(e, "%s", from);
    int in = io_open(from, O_RDONLY, 0);
    if (in < 0 || fstat(in, &st) != 0) {
        err_errno(e, "%s", from);
        if (in >= 0) io_close(in);
        return false;
    }
    if (length == UINT64_MAX) length = (uint64_t)st.st_size;
    bool ok = linked ? how == PICTURE || pass_bytes(b, in, -1, from, length, &crc, e)
                     : copy_bytes(b, in, from, to, length, &crc, e);
    io_close(in);
    if (how != PICTURE) buf_printf(&b->lines, "file %08" PRIx32 " %" PRIu64 " %s\n", crc, length, name);
    b->totals.files++;
    b->totals.bytes += length;
    b->totals.linked += linked;
    b->pictures += how == PICTURE;
    b->picture_bytes += how == PICTURE ? length : 0;
    return ok;
}

bool backup_file(struct backup *b, const char *name, struct err *e) {
    char path[PATH];
    struct stat st;
    if (!path_in(b->from, name, path, e)) return false;
    return (stat(path, &st) != 0 && errno == ENOENT) || take_file(b, name, UINT64_MAX, COPY, e);
}

/* Its checksum, once it is on disk. */
static bool note_file(struct backup *b, const char *name, struct err *e) {
    char path[PATH];
    struct stat st;
    uint32_t crc = 0;
    if (!path_in(b->to, name, path, e)) return false;
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return err_errno(e, "%s", path);
    bool ok = (io_sync(fd, "backup.file") == 0 && fstat(fd, &st) == 0) || err_errno(e, "%s: sync", path);
    ok = ok && pass_bytes(b, fd, -1, path, (uint64_t)st.st_size, &crc, e);
    io_close(fd);
    if (!ok) return false;
    buf_printf(&b->lines, "file %08" PRIx32 " %" PRIu64 " %s\n", crc, (uint64_t)st.st_size, name);
    b->totals.files++;
    b->totals.bytes += (uint64_t)st.st_size;
    return true;
}

bool backup_adopt(struct backup *b, const char *name, struct err *e) { return note_file(b, name, e); }

bool backup_text(struct backup *b, const char *name, struct str text, struct err *e) {
    char path[PATH];
    if (!path_in(b->to, name, path, e)) return false;
    int fd = io_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    bool ok = fd >= 0 && io_write_all(fd, text.p, text.n, 0) == 0;
    if (!ok) err_errno(e, "%s", path);
    if (fd >= 0) io_close(fd);
    return ok && note_file(b, name, e);
}

/* ---- beginning ---- */

static void find_any(void *ctx, const char *name) {
    (void)name;
    *(bool *)ctx = true;
}

static bool prepare(struct backup *b, struct err *e) {
    char above[PATH], path[PATH];
    bool any = false;
    if (io_mkdir(b->to, 0700) != 0) return err_errno(e, "making the folder %s", b->to);
    if (io_list(b->to, find_any, &any) != 0) return err_errno(e, "reading the folder %s", b->to);
    if (any)
        return err_set(e, ERR_CONFLICT, "the folder %s is not empty; a backup needs one of its own: choose another",
                       b->to);
    /* The mark is on disk before anything else, so that no half of a backup is ever taken for a whole one. */
    if (!path_in(b->to, mark, path, e) || !path_in(b->to, "..", above, e)) return false;
    int fd = io_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || io_close(fd) != 0) return err_errno(e, "%s", path);
    if (io_sync_dir(b->to, "backup.mark") != 0) return err_errno(e, "%s: sync", b->to);
    return io_sync_dir(above, "backup.name") == 0 || errno == EACCES || err_errno(e, "%s: sync", above);
}

static char *text_copy(const char *z) { return memcpy(mem_alloc(strlen(z) + 1), z, strlen(z) + 1); }

struct backup *backup_begin(const char *from, const char *to, const atomic_bool *stop, struct err *e) {
    struct backup *b = mem_zero(1, sizeof *b);
    b->from = text_copy(from);
    b->to = text_copy(to);
    b->stop = stop;
    b->step = mem_alloc(STEP);
    if (prepare(b, e)) return b;
    backup_free(b);
    return NULL;
}

void backup_free(struct backup *b) {
    buf_free(&b->lines);
    buf_free(&b->folders);
    free(b->step);
    free(b->from);
    free(b->to);
    free(b);
}

/* ---- the store ---- */

static bool take_workspace(struct backup *b, const struct manifest_workspace *w, struct err *e) {
    char folder[64], file[64], name[NAME_MOST];
    bool ok = true;
    if (w->log_count == 0 && w->segment_count == 0) return true;
    snprintf(folder, sizeof folder, "workspaces/%" PRIu32, w->number);
    ok = make_folder(b, folder, e);
    for (size_t i = 0; ok && i < w->log_count; i++) {
        manifest_log_name(w->logs[i].number, file);
        snprintf(name, sizeof name, "%s/%s", folder, file);
        ok = take_file(b, name, w->logs[i].length, COPY, e);
    }
    if (w->segment_count == 0) return ok;
    snprintf(name, sizeof name, "%s/segments", folder);
    ok = ok && make_folder(b, name, e);
    for (size_t i = 0; ok && i < w->segment_count; i++) {
        manifest_segment_name(w->segments[i].number, w->segments[i].version, file);
        snprintf(name, sizeof name, "%s/segments/%s", folder, file);
        ok = take_file(b, name, UINT64_MAX, LINK, e);
    }
    return ok;
}

bool backup_store(struct backup *b, const struct manifest *m, struct err *e) {
    struct buf text = {0};
    memcpy(b->store_id, m->store_id, 16);
    b->totals.seq = m->seq;
    manifest_print(m, &text);
    bool ok = backup_text(b, "MANIFEST", buf_str(&text), e) && make_folder(b, "workspaces", e);
    buf_free(&text);
    for (size_t i = 0; ok && i < m->count; i++) ok = take_workspace(b, &m->workspaces[i], e);
    return ok;
}

/* ---- pictures ---- */

static void note_name(void *ctx, const char *name) { buf_add(ctx, name, strlen(name) + 1); }

/* The names in a folder of the source, each ending with a NUL; none when it is not there. */
static bool list(const struct backup *b, const char *folder, struct buf *names, struct err *e) {
    char path[PATH];
    *names = (struct buf){0};
    return path_in(b->from, folder, path, e) &&
           (io_list(path, note_name, names) == 0 || errno == ENOENT || err_errno(e, "reading the folder %s", path));
}

#define EACH_NAME(names, name) \
    for (const char *name = (names).p; (size_t)(name - (names).p) < (names).n; name += strlen(name) + 1)

/* images/ab/: pictures and thumbnails. What is being written has another ending, and goes to no backup. */
static bool take_shard(struct backup *b, const char *folder, struct err *e) {
    struct buf names;
    char path[NAME_MOST];
    bool ok = list(b, folder, &names, e), made = false;
    EACH_NAME(names, name) {
        struct str text = str_of(name);
        if (!ok || (memchr(name, '.', text.n) && !(text.n > 6 && str_is(str_from(text, text.n - 6), ".thumb"))))
            continue;
        ok = (made || make_folder(b, folder, e)) &&
             ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path ||
              err_set(e, ERR_DAMAGED, "%s/%s is no picture", folder, name));
        made = true;
        ok = ok && take_file(b, path, UINT64_MAX, PICTURE, e);
    }
    buf_free(&names);
    return ok;
}

static bool take_images(struct backup *b, const char *workspace, struct err *e) {
    struct buf names;
    char folder[64], shard[NAME_MOST];
    snprintf(folder, sizeof folder, "%.40s/images", workspace);
    bool ok = list(b, folder, &names, e);
    if (ok && names.n) ok = make_folder(b, workspace, e) && make_folder(b, folder, e);
    EACH_NAME(names, name) {
        snprintf(shard, sizeof shard, "%s/%.250s", folder, name);
        if (strlen(name) == 2) ok = ok && take_shard(b, shard, e);
    }
    buf_free(&names);
    return ok;
}

bool backup_pictures(struct backup *b, const struct manifest *m, struct err *e) {
    char workspace[64];
    bool ok = true;
    for (size_t i = 0; ok && i < m->count; i++) {
        snprintf(workspace, sizeof workspace, "workspaces/%" PRIu32, m->workspaces[i].number);
        ok = m->workspaces[i].deleted || take_images(b, workspace, e);
    }
    return ok;
}

/* ---- the end ---- */

static bool sync_folders(struct backup *b, struct err *e) {
    char path[PATH];
    EACH_NAME(b->folders, name) {
        if (!path_in(b->to, name, path, e)) return false;
        if (io_sync_dir(path, "backup.folder") != 0) return err_errno(e, "%s: sync", path);
    }
    return io_sync_dir(b->to, "backup.folder") == 0 || err_errno(e, "%s: sync", b->to);
}

bool backup_finish(struct backup *b, struct backup_totals *totals, struct err *e) {
    struct buf text = {0};
    char time[CLOCK_TEXT], path[PATH];
    if (stopped(b, e) || !path_in(b->to, mark, path, e) || !sync_folders(b, e)) return false;
    buf_addz(&text, "sightglass-backup 1\nstore ");
    for (int i = 0; i < 16; i++) buf_printf(&text, "%02x", b->store_id[i]);
    buf_printf(&text, "\nseq %" PRIu64 "\ntime %s\n", b->totals.seq, clock_format(clock_now_us(), time));
    buf_add_str(&text, buf_str(&b->lines));
    buf_printf(&text, "pictures %" PRIu64 " %" PRIu64 "\n", b->pictures, b->picture_bytes);
    buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, text.p, text.n));
    bool ok = io_replace_file(b->to, "BACKUP", text.p, text.n, 0600, "backup.last", "backup.last.dir") == 0 ||
              err_errno(e, "%s/BACKUP", b->to);
    buf_free(&text);
    if (!ok) return false;
    io_unlink(path); /* beside BACKUP the mark means nothing */
    *totals = b->totals;
    return true;
}

static bool is_there(const char *dir, const char *name) {
    char path[PATH];
    struct err ignored;
    return path_in(dir, name, path, &ignored) && access(path, F_OK) == 0;
}

bool backup_finished(const char *dir, struct err *e) {
    return !is_there(dir, mark) || is_there(dir, "BACKUP") ||
           err_set(e, ERR_CONFLICT,
                   "%s is a backup that was not finished; it does not hold everything. Remove it and make another",
                   dir);
}

bool backup_take(const char *dir, struct err *e) {
    char path[PATH], unfinished[PATH], restored[PATH];
    if (!path_in(dir, "BACKUP", path, e) || !path_in(dir, mark, unfinished, e) ||
        !path_in(dir, "RESTORED", restored, e) || !backup_finished(dir, e))
        return false;
    if (is_there(dir, mark)) io_unlink(unfinished);
    if (!is_there(dir, "BACKUP")) return true;
    return (io_rename(path, restored) == 0 && io_sync_dir(dir, "backup.taken") == 0) ||
           err_errno(e, "renaming %s", path);
}

/* ---- verifying ---- */

static bool next_word(struct str *rest, struct str *word) {
    bool more = str_cut(*rest, ' ', word, rest);
    return more && word->n > 0;
}

static const char *compare(const char *path, struct str crc_text, uint64_t size) {
    struct stat st;
    char found[9];
    uint32_t crc = 0;
    char *step = mem_alloc(STEP);
    const char *what = NULL;
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0 || fstat(fd, &st) != 0) what = "is missing";
    if (!what && (uint64_t)st.st_size != size) what = "has another size than when the backup was made";
    for (uint64_t at = 0; !what && at < size;) {
        size_t want = size - at < STEP ? (size_t)(size - at) : STEP;
        if (io_pread(fd, step, want, (off_t)at) != (ssize_t)want) what = "cannot be read";
        crc = what ? 0 : crc32c(crc, step, want);
        at += want;
    }
    snprintf(found, sizeof found, "%08" PRIx32, crc);
    if (!what && !str_is(crc_text, found)) what = "has other bytes than when the backup was made";
    if (fd >= 0) io_close(fd);
    free(step);
    return what;
}

bool backup_verify(const char *dir, void (*wrong)(void *ctx, const char *path, const char *what), void *ctx,
                   struct err *e) {
    enum { CRC_LINE = sizeof "crc 00000000\n" - 1 };
    char path[PATH], file[PATH], want[CRC_LINE + 1];
    size_t n;
    if (!path_in(dir, "BACKUP", path, e)) return false;
    char *text = io_read_file(path, LIST_MOST, &n);
    if (!text) return errno == ENOENT || err_errno(e, "%s", path);
    struct str rest = {text, n}, line, word, crc, size_text;
    bool ok = n >= CRC_LINE && str_starts(rest, STR("sightglass-backup 1\n"));
    if (ok) snprintf(want, sizeof want, "crc %08" PRIx32 "\n", crc32c(0, text, n - CRC_LINE));
    ok = ok && str_is(str_from(rest, n - CRC_LINE), want);
    while (ok && rest.n) {
        unsigned long long size;
        str_cut(rest, '\n', &line, &rest);
        if (!str_starts(line, STR("file "))) continue;
        ok = next_word(&line, &word) && next_word(&line, &crc) && next_word(&line, &size_text) &&
             str_to_u64(size_text, &size) && (size_t)snprintf(file, PATH, "%s/" STR_FMT, dir, STR_ARG(line)) < PATH;
        const char *what = ok ? compare(file, crc, size) : NULL;
        if (what) wrong(ctx, file, what);
    }
    free(text);
    return ok || err_set(e, ERR_DAMAGED, "%s is damaged", path);
}
