#include "store/wlog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/io.h"
#include "base/mem.h"

static const char magic[8] = "SGWLOG2\n";
enum { WINDOW = 1 << 20 };

void wlog_head(const struct wlog *l, char head[WLOG_HEAD]) {
    memcpy(head, magic, 8);
    memcpy(head + 8, l->store_id, 16);
    memcpy(head + 24, &l->number, 8);
    memcpy(head + 32, &l->workspace, 4);
    uint32_t crc = crc32c(0, head, 36);
    memcpy(head + 36, &crc, 4);
}

static bool damaged(const struct wlog *l, uint64_t at, struct err *e) {
    return err_set(e, ERR_DAMAGED, "%s is damaged at offset %" PRIu64, l->path, at);
}

struct window {
    char *p;
    size_t n, size;
};

/* The whole records in the window, which stands at offset `at`. *used is where the first one begins that is not. */
static bool read_window(const struct wlog *l, const struct window *w, uint64_t at, size_t *used, uint64_t *seq,
                        journal_visit *visit, void *ctx, struct err *e) {
    struct record_header h;
    while (*used < w->n && w->n - *used >= sizeof h) {
        memcpy(&h, w->p + *used, sizeof h);
        if (h.length > w->n - *used - sizeof h) return true;
        const char *payload = w->p + *used + sizeof h;
        if (h.workspace != l->workspace || h.seq <= *seq || h.crc != record_crc(&h, payload, l->workspace))
            return damaged(l, at + *used, e);
        *seq = h.seq;
        if (!visit(ctx, &h, (struct str){payload, h.length}, e)) return false;
        *used += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) *used += -(at + *used) % JOURNAL_SECTOR;
    }
    return true;
}

static bool read_records(const struct wlog *l, int fd, struct window *w, uint64_t *seq, journal_visit *visit, void *ctx,
                         struct err *e) {
    char head[WLOG_HEAD], found[WLOG_HEAD];
    wlog_head(l, head);
    ssize_t got = io_pread(fd, found, WLOG_HEAD, 0);
    if (got < 0) return err_errno(e, "%s: reading its head", l->path);
    if (l->length < WLOG_HEAD || got != WLOG_HEAD || memcmp(head, found, WLOG_HEAD) != 0) return damaged(l, 0, e);
    for (uint64_t at = WLOG_HEAD; at < l->length;) {
        size_t used = 0;
        w->n = l->length - at < w->size ? (size_t)(l->length - at) : w->size;
        got = io_pread(fd, w->p, w->n, (off_t)at);
        if (got < 0) return err_errno(e, "%s: reading at %" PRIu64, l->path, at);
        bool cut = (size_t)got < w->n;
        w->n = (size_t)got;
        if (!read_window(l, w, at, &used, seq, visit, ctx, e)) return false;
        if (cut || (used == 0 && w->n == l->length - at)) return damaged(l, at + used, e);
        if (used == 0) { /* a record larger than the window, or a length that lies */
            w->size *= 2;
            w->p = mem_resize(w->p, w->size);
        }
        at += used;
    }
    return true;
}

bool wlog_read(const struct wlog *l, uint64_t *seq, journal_visit *visit, void *ctx, struct err *e) {
    int fd = io_open(l->path, O_RDONLY, 0);
    if (fd < 0) return err_errno(e, "%s", l->path);
    struct window w = {.size = WINDOW};
    w.p = mem_alloc(w.size);
    bool ok = read_records(l, fd, &w, seq, visit, ctx, e);
    free(w.p);
    io_close(fd);
    return ok;
}
