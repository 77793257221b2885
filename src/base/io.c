#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const struct io_ops os_ops = {
    .open = os_open, .close = close, .pread = pread, .pwrite = pwrite, .sync = os_sync, .sync_dir = os_sync_dir,
    .rename = rename, .unlink = unlink, .mkdir = os_mkdir, .forget = os_forget,
};
static const struct io_ops *ops = &os_ops;

void io_use(const struct io_ops *other) { ops = other ? other : &os_ops; }

int io_open(const char *path, int flags, unsigned mode) { return ops->open(path, flags, mode); }
int io_close(int fd) { return ops->close(fd); }
int io_sync(int fd, const char *site) { return ops->sync(fd, site); }
int io_sync_dir(const char *path, const char *site) { return ops->sync_dir(path, site); }
int io_rename(const char *from, const char *to) { return ops->rename(from, to); }
int io_unlink(const char *path) { return ops->unlink(path); }
int io_mkdir(const char *path, unsigned mode) { return ops->mkdir(path, mode) && errno != EEXIST ? -1 : 0; }
void io_forget(int fd, off_t at, off_t n) { ops->forget(fd, at, n); }

ssize_t io_pread(int fd, void *p, size_t n, off_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t got = ops->pread(fd, (char *)p + done, n - done, at + (off_t)done);
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
        ssize_t put = ops->pwrite(fd, (const char *)p + done, n - done, at + (off_t)done);
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
