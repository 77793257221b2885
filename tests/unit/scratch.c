#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

static int ops_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }
static int ops_sync(int fd, const char *site) { return (void)fd, (void)site, 0; }
static int ops_sync_dir(const char *path, const char *site) { return (void)path, (void)site, 0; }
static int ops_mkdir(const char *path, unsigned mode) { return mkdir(path, mode); }
static void ops_forget(int fd, off_t at, off_t n) { (void)fd, (void)at, (void)n; }

const struct io_ops scratch_ops = {
    .open = ops_open, .close = close, .pread = pread, .pwrite = pwrite, .sync = ops_sync, .sync_dir = ops_sync_dir,
    .rename = rename, .unlink = unlink, .mkdir = ops_mkdir, .forget = ops_forget,
};

void scratch_make(struct scratch *s) {
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(s->dir, sizeof s->dir, "%s/sightglass-XXXXXX", above ? above : P_tmpdir);
    CHECK(mkdtemp(s->dir));
    io_use(&scratch_ops);
}

void scratch_remove(struct scratch *s) {
    io_use(NULL);
    scratch_remove_tree(s->dir);
}

const char *scratch_path(const struct scratch *s, const char *fmt, ...) {
    static char paths[8][2 * SCRATCH_PATH];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    va_list ap;
    int n = snprintf(path, SCRATCH_PATH + 1, "%s/", s->dir);
    va_start(ap, fmt);
    vsnprintf(path + n, SCRATCH_PATH, fmt, ap);
    va_end(ap);
    return path;
}

struct buf scratch_read(const char *path) {
    size_t n;
    char *bytes = io_read_file(path, 64 << 20, &n);
    CHECK(bytes);
    return (struct buf){bytes, n, n};
}

void scratch_write(const char *path, struct str bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
    close(fd);
}

void scratch_copy_tree(const char *from, const char *to) {
    DIR *d = opendir(from);
    CHECK(d && mkdir(to, 0700) == 0);
    for (struct dirent *entry; (entry = readdir(d));) {
        char source[1024], target[1024];
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        CHECK(snprintf(source, sizeof source, "%s/%s", from, entry->d_name) < (int)sizeof source);
        CHECK(snprintf(target, sizeof target, "%s/%s", to, entry->d_name) < (int)sizeof target);
        CHECK(stat(source, &st) == 0);
        if (S_ISDIR(st.st_mode)) {
            scratch_copy_tree(source, target);
            continue;
        }
        struct buf bytes = scratch_read(source);
        scratch_write(target, buf_str(&bytes));
        buf_free(&bytes);
    }
    closedir(d);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void scratch_remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
