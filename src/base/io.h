/* Every file operation that durability rests on. The program uses the operating system; the power-loss tests put
 * their own table in its place (io_use), which remembers what has been synced and what has not.
 *
 * Each sync names its site ("journal.group"), so that a test can take exactly that one away and see the suite go red.
 * All return 0 (or a count, or a descriptor) and -1 with errno, like the calls they stand for; none is retried here but
 * for EINTR and short writes. Looking at a file that is open (fstat) needs no table. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io_ops {
    int (*open)(const char *path, int flags, unsigned mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
    ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
    int (*sync)(int fd, const char *site);              /* fdatasync: the bytes, and the length they need */
    int (*sync_dir)(const char *path, const char *site); /* fsync of a folder: the names in it */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, unsigned mode);
    void (*forget)(int fd, off_t at, off_t n);           /* drops clean pages: the next read asks the disk */
    void *(*map)(int fd, size_t n);                      /* NULL: it failed */
    int (*unmap)(const void *p, size_t n);
    int (*truncate)(int fd, off_t n);
    int (*link)(const char *from, const char *to);
    int (*rmdir)(const char *path);
    int (*list)(const char *path, void (*call)(void *ctx, const char *name), void *ctx);
};

/* Tests only. What the table leaves out is the operating system's; NULL is all of it. */
void io_use(const struct io_ops *ops);

int io_open(const char *path, int flags, unsigned mode);
int io_close(int fd);
ssize_t io_pread(int fd, void *p, size_t n, off_t at);       /* reads until n or end of file */
int io_write_all(int fd, const void *p, size_t n, off_t at);
int io_sync(int fd, const char *site);
int io_sync_dir(const char *path, const char *site);
int io_rename(const char *from, const char *to);
int io_unlink(const char *path);
int io_mkdir(const char *path, unsigned mode);               /* 0 when it is there already */

int io_truncate(int fd, off_t n);                            /* cut to n bytes, or zeros up to there */
int io_link(const char *from, const char *to);               /* a second name for a file */
int io_rmdir(const char *path);

/* Calls back with each name in a folder but "." and "..", in no order. */
int io_list(const char *path, void (*call)(void *ctx, const char *name), void *ctx);

/* The first n bytes of an open file, n > 0, read-only and shared; the descriptor may be closed after. What it holds is
 * to be read under a guard (base/guard.h), which knows every mapping made here. NULL with errno. */
const void *io_map(int fd, size_t n);
int io_unmap(const void *p, size_t n);
void io_ahead(const void *p, size_t n); /* these mapped bytes are wanted soon */

/* After a failed sync the system may go on showing what never reached the disk, and call the next sync a success. What
 * is synced, then forgotten, then read, is what the disk holds. n 0: to the end of the file. */
void io_forget(int fd, off_t at, off_t n);

/* A whole file into memory, the caller frees; NULL with errno, EFBIG over `most`. */
char *io_read_file(const char *path, size_t most, size_t *n);

/* Writes path by way of path + ".new": write, sync, rename, sync of the folder. What a reader finds under `path` is
 * the old or the new content, whole. 0; -1: the old one is still there; 1: the new one is there, but the sync of the
 * folder failed, so that it may be the old one again after a power loss. */
int io_replace_file(const char *dir, const char *name, const void *p, size_t n, unsigned mode, const char *site,
                    const char *dir_site);
