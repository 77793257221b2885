#include "http/body.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

void body_expect(struct body *b, size_t n) {
    if (!b->spool || n <= BODY_IN_MEMORY) buf_reserve(&b->memory, n);
}

static bool open_file(struct body *b, struct err *e) {
    b->fd = io_open(b->spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->fd < 0) return err_errno(e, "a file for the body in %s", b->spool);
    b->in_file = true;
    return true;
}

static bool append(struct body *b, const void *p, size_t n, struct err *e) {
    if (n && io_write_all(b->fd, p, n, (off_t)b->n) < 0) return err_errno(e, "keeping the body in %s", b->spool);
    b->n += n;
    return true;
}

bool body_add(struct body *b, const void *p, size_t n, struct err *e) {
    if (!b->in_file && (!b->spool || b->n + n <= BODY_IN_MEMORY)) {
        buf_add(&b->memory, p, n);
        b->n += n;
        return true;
    }
    if (!b->in_file) {
        struct buf before = b->memory;
        b->memory = (struct buf){0};
        b->n = 0;
        bool ok = open_file(b, e) && append(b, before.p, before.n, e);
        buf_free(&before);
        if (!ok) return false;
    }
    return append(b, p, n, e);
}

bool body_read(const struct body *b, size_t at, void *to, size_t *n, struct err *e) {
    size_t left = at < b->n ? b->n - at : 0;
    if (*n > left) *n = left;
    if (*n == 0) return true;
    if (!b->in_file) return memcpy(to, b->memory.p + at, *n), true;
    return io_pread(b->fd, to, *n, (off_t)at) == (ssize_t)*n || err_errno(e, "reading the body in %s", b->spool);
}

bool body_whole(struct body *b, struct str *out, struct err *e) {
    *out = buf_str(&b->memory);
    if (!b->in_file) return true;
    if (!b->map && !(b->map = io_map(b->fd, b->n))) return err_errno(e, "mapping the body in %s", b->spool);
    *out = (struct str){b->map, b->n};
    return true;
}

void body_passed(const struct body *b, const char *to) {
    if (!b->map) return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (size_t)(to - (const char *)b->map) / page * page;
    if (n) madvise((void *)(uintptr_t)b->map, n, MADV_DONTNEED);
}

void body_free(struct body *b) {
    buf_free(&b->memory);
    if (b->map) io_unmap(b->map, b->n);
    if (b->in_file) io_close(b->fd);
    *b = (struct body){.spool = b->spool};
}
