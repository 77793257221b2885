#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/mem.h"

static int os_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }
static int os_sync(int fd, const char *site) { return (void)site, fdatasync(fd); }
static int os_mkdir(const char *path, unsigned mode) { return mkdir(path, mode); }

static int os_sync_dir(const char *path, const char *site) {
    (void)site;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int failed = fsync(fd), saved = errno;
    close(fd);
    errno = saved;
    return failed;
}

static void os_forget(int fd, off_t at, off_t n) { (void)posix_fadvise(fd, at, n, POSIX_FADV_DONTNEED); }

static void *os_map(int fd, size_t n) {
    void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int os_unmap(const void *p, size_t n) { return munmap((void *)(uintptr_t)p, n); }

static int os_list(const char *path, void (*call)(void *ctx, const char *name), void *ctx) {
    DIR *d = opendir(path);
    if (!d) return -1;
    struct dirent *entry;
    for (errno = 0; (entry = readdir(d)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) call(ctx, entry->d_name);
    int saved = errno;
    closedir(d);
    errno = saved;
    return saved ? -1 : 0;
}

#define OS_OPS(X)                                                                                                      \
    X(open, os_open) X(close, close) X(pread, pread) X(pwrite, pwrite) X(sync, os_sync) X(sync_dir, os_sync_dir)       \
    X(rename, rename) X(unlink, unlink) X(mkdir, os_mkdir) X(forget, os_forget) X(map, os_map) X(unmap, os_unmap)      \
    X(truncate, ftruncate) X(link, link) X(rmdir, rmdir) X(list, os_list)

#define X(op, call) .op = call,
static struct io_ops ops = {OS_OPS(X)};
#undef X

void io_use(const struct io_ops *other) {
    ops = other ? *other : (struct io_ops){0};
#define X(op, call) \
    if (!ops.op) ops.op = call;
    OS_OPS(X)
#undef X
}

int io_open(const char *path, int flags, unsigned mode) { return ops.open(path, flags, mode); }
int io_close(int fd) { return ops.close(fd); }
int io_sync(int fd, const char *site) { return ops.sync(fd, site); }
int io_sync_dir(const char *path, const char *site) { return ops.sync_dir(path, site); }
int io_rename(const char *from, const char *to) { return ops.rename(from, to); }
int io_unlink(const char *path) { return ops.unlink(path); }
int io_mkdir(const char *path, unsigned mode) { return ops.mkdir(path, mode) && errno != EEXIST ? -1 : 0; }
void io_forget(int fd, off_t at, off_t n) { ops.forget(fd, at, n); }
int io_truncate(int fd, off_t n) { return ops.truncate(fd, n); }
int io_link(const char *from, const char *to) { return ops.link(from, to); }
int io_rmdir(const char *path) { return ops.rmdir(path); }
int io_list(const char *path, void (*call)(void *ctx, const char *name), void *ctx) {
    return ops.list(path, call, ctx);
}

void io_ahead(const void *p, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p & ~(page - 1);
    madvise((void *)from, (uintptr_t)p + n - from, MADV_WILLNEED);
}

const void *io_map(int fd, size_t n) {
    const void *p = ops.map(fd, n);
    if (p) guard_mapped(p, n);
    return p;
}

int io_unmap(const void *p, size_t n) {
    guard_unmapped(p);
    return ops.unmap(p, n);
}

ssize_t io_pread(int fd, void *p, size_t n, off_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t got = ops.pread(fd, (char *)p + done, n - done, at + (off_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int io_write_all(int fd, const void *p, size_t n, off_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t put = ops.pwrite(fd, (const char *)p + done, n - done, at + (off_t)done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        if (put == 0) {
            errno = EIO;
            return -1;
        }
        done += (size_t)put;
    }
    return 0;
}

char *io_read_file(const char *path, size_t most, size_t *n) {
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return NULL;
    struct stat st;
    char *bytes = NULL;
    if (fstat(fd, &st) != 0) goto out;
    if (st.st_size < 0 || (size_t)st.st_size > most) {
        errno = EFBIG;
        goto out;
    }
    bytes = mem_alloc((size_t)st.st_size);
    ssize_t got = io_pread(fd, bytes, (size_t)st.st_size, 0);
    if (got < 0) {
        free(bytes);
        bytes = NULL;
    }
    *n = got < 0 ? 0 : (size_t)got;
out:;
    int saved = errno;
    io_close(fd);
    errno = saved;
    return bytes;
}

int io_replace_file(const char *dir, const char *name, const void *p, size_t n, unsigned mode, const char *site,
                    const char *dir_site) {
    char path[4096], temp[4096];
    int a = snprintf(path, sizeof path, "%s/%s", dir, name), b = snprintf(temp, sizeof temp, "%s/%s.new", dir, name);
    if (a >= (int)sizeof path || b >= (int)sizeof temp) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = io_open(temp, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0) return -1;
    int failed = io_write_all(fd, p, n, 0) || io_sync(fd, site);
    if (io_close(fd) != 0) failed = -1;
    if (failed || io_rename(temp, path) != 0) {
        int saved = errno;
        io_unlink(temp);
        errno = saved;
        return -1;
    }
    return io_sync_dir(dir, dir_site) == 0 ? 0 : 1;
}
