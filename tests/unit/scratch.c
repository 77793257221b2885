#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* One operation at a time, and none while a tree is copied: a copy is what a kill between two operations leaves. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define ALONE(type, call)               \
    do {                                \
        pthread_mutex_lock(&lock);      \
        type result = call;             \
        int saved = errno;              \
        pthread_mutex_unlock(&lock);    \
        errno = saved;                  \
        return result;                  \
    } while (0)

static int ops_open(const char *path, int flags, unsigned mode) { ALONE(int, open(path, flags | O_CLOEXEC, mode)); }
static ssize_t ops_pwrite(int fd, const void *p, size_t n, off_t at) { ALONE(ssize_t, pwrite(fd, p, n, at)); }
static int ops_rename(const char *from, const char *to) { ALONE(int, rename(from, to)); }
static int ops_unlink(const char *path) { ALONE(int, unlink(path)); }
static int ops_mkdir(const char *path, unsigned mode) { ALONE(int, mkdir(path, mode)); }
static int ops_truncate(int fd, off_t n) { ALONE(int, ftruncate(fd, n)); }
static int ops_link(const char *from, const char *to) { ALONE(int, link(from, to)); }
static int ops_rmdir(const char *path) { ALONE(int, rmdir(path)); }
static int ops_sync(int fd, const char *site) { return (void)fd, (void)site, 0; }
static int ops_sync_dir(const char *path, const char *site) { return (void)path, (void)site, 0; }
static void ops_forget(int fd, off_t at, off_t n) { (void)fd, (void)at, (void)n; }

const struct io_ops scratch_ops = {
    .open = ops_open, .close = close, .pread = pread, .pwrite = ops_pwrite, .sync = ops_sync, .sync_dir = ops_sync_dir,
    .rename = ops_rename, .unlink = ops_unlink, .mkdir = ops_mkdir, .forget = ops_forget,
    .truncate = ops_truncate, .link = ops_link, .rmdir = ops_rmdir,
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
    struct stat st;
    struct buf bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    buf_reserve(&bytes, (size_t)st.st_size + 1);
    ssize_t n = read(fd, bytes.p, (size_t)st.st_size);
    CHECK(n == st.st_size);
    bytes.n = (size_t)n;
    close(fd);
    return bytes;
}

void scratch_write(const char *path, struct str bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
    close(fd);
}

static void copy_tree(const char *from, const char *to) {
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
            copy_tree(source, target);
            continue;
        }
        struct buf bytes = scratch_read(source);
        scratch_write(target, buf_str(&bytes));
        buf_free(&bytes);
    }
    closedir(d);
}

void scratch_copy_tree(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    copy_tree(from, to);
    pthread_mutex_unlock(&lock);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void scratch_remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
