#include "store/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"

enum { FILES_MOST = 4096, FILE_MOST = 1 << 30, PATH = 4096 };

/* ---- runs of records ---- */

/* What a record at some place must be to be taken. */
struct run {
    struct str bytes;
    uint64_t seed;
    const uint32_t *workspace; /* NULL: any */
    uint64_t least, most;      /* its sequence number */
    size_t step;               /* where records are looked for behind damage: at multiples of this */
};

static bool record_at(const struct run *r, uint64_t at, struct record_header *h) {
    if (at >= r->bytes.n || r->bytes.n - at < sizeof *h) return false;
    memcpy(h, r->bytes.p + at, sizeof *h);
    return h->seq >= r->least && h->seq <= r->most && (!r->workspace || h->workspace == *r->workspace) &&
           h->length <= r->bytes.n - at - sizeof *h && h->crc == record_crc(h, r->bytes.p + at + sizeof *h, r->seed);
}

static uint64_t behind(const struct record_header *h, uint64_t at) {
    at += sizeof *h + h->length;
    return h->flags & RECORD_GROUP_END ? at + -at % JOURNAL_SECTOR : at;
}

/* The next record after damage at `at`: behind the damaged one, if its length can be believed; else wherever one is.
 * In a journal only where a group may begin: bytes that somebody sent must not be taken for a record of somebody else.
 */
static bool find_next(const struct run *r, uint64_t *at, struct record_header *h) {
    if (r->bytes.n - *at >= sizeof *h) {
        memcpy(h, r->bytes.p + *at, sizeof *h);
        uint64_t next = h->length <= r->bytes.n - *at - sizeof *h ? *at + sizeof *h + h->length : 0;
        uint64_t group = next + -next % JOURNAL_SECTOR;
        if (next && record_at(r, next, h)) return *at = next, true;
        if (next && record_at(r, group, h)) return *at = group, true;
    }
    for (uint64_t from = *at + r->step - *at % r->step; from < r->bytes.n; from += r->step)
        if (record_at(r, from, h)) return *at = from, true;
    return false;
}

/* ---- logs ---- */

bool salvage_log(const struct wlog *l, uint64_t *seq, const struct salvage *to, struct err *e) {
    size_t n = 0;
    char *bytes = io_read_file(l->path, FILE_MOST, &n), head[WLOG_HEAD];
    wlog_head(l, head);
    struct run r = {.bytes = {bytes, n < l->length ? n : l->length},
                    .seed = l->workspace,
                    .workspace = &l->workspace,
                    .most = UINT64_MAX - 1,
                    .step = 1};
    bool ok = true;
    uint64_t at = WLOG_HEAD;
    struct record_header h;
    if (!bytes || r.bytes.n < WLOG_HEAD) { /* nothing to begin with */
        to->gap(to->ctx, l->path, 0, *seq + 1, UINT64_MAX);
        free(bytes);
        return true;
    }
    if (memcmp(head, bytes, WLOG_HEAD) != 0) to->gap(to->ctx, l->path, 0, *seq + 1, *seq);
    while (ok && at < l->length) {
        r.least = *seq + 1;
        uint64_t damaged = at;
        if (!record_at(&r, at, &h)) {
            bool more = at < r.bytes.n && find_next(&r, &at, &h);
            to->gap(to->ctx, l->path, damaged, *seq + 1, more ? h.seq - 1 : UINT64_MAX);
            if (!more) break;
        }
        ok = to->record(to->ctx, &h, (struct str){bytes + at + sizeof h, h.length}, e);
        *seq = h.seq;
        at = behind(&h, at);
    }
    free(bytes);
    return ok;
}

/* ---- the journal ---- */

struct file {
    char path[PATH];
    struct journal_file_header h; /* number 0: none */
    bool headless;
};

struct files {
    const char *dir;
    const uint8_t *store_id;
    struct file *list;
    size_t count;
};

static int by_number(const void *a, const void *b) {
    const struct file *x = a, *y = b;
    return (x->h.number > y->h.number) - (x->h.number < y->h.number);
}

static void look_at(void *ctx, const char *name) {
    struct files *f = ctx;
    struct file file = {0};
    char head[JOURNAL_DATA];
    size_t n = strlen(name);
    if (n < 8 || strcmp(name + n - 8, ".journal") != 0 || f->count == FILES_MOST) return;
    snprintf(file.path, sizeof file.path, "%s/%s", f->dir, name);
    int fd = io_open(file.path, O_RDONLY, 0);
    if (fd < 0) return;
    bool whole = io_pread(fd, head, sizeof head, 0) == sizeof head;
    io_close(fd);
    if (!journal_file_header((struct str){head, whole ? sizeof head : 0}, &file.h))
        file.h.number = 0;
    else if (memcmp(file.h.store_id, f->store_id, 16) != 0)
        return;
    if ((f->count & (f->count - 1)) == 0)
        f->list = mem_resize(f->list, (f->count ? 2 * f->count : 1) * sizeof *f->list);
    f->list[f->count++] = file;
}

/* A file whose header is damaged gives itself away by its first record, which is good under the number that is missing
 * and under no other. */
static bool find_headless(struct files *f, uint64_t number) {
    for (size_t i = 0; i < f->count && f->list[i].h.number == 0; i++) {
        size_t n = 0;
        char *bytes = io_read_file(f->list[i].path, FILE_MOST, &n);
        struct run r = {.bytes = {bytes, bytes ? n : 0}, .seed = number, .least = 1, .most = UINT64_MAX - 1};
        struct record_header h;
        bool found = record_at(&r, JOURNAL_DATA, &h);
        free(bytes);
        if (!found) continue;
        f->list[i].h = (struct journal_file_header){.number = number, .first_seq = h.seq};
        f->list[i].headless = true;
        return true;
    }
    return false;
}

/* Sorts the files, those that were never begun first, and finds those that are missing and have lost their header. */
static void put_in_order(struct files *f) {
    bool found = f->count > 0;
    while (found) {
        found = false;
        qsort(f->list, f->count, sizeof *f->list, by_number);
        for (size_t i = f->count; i-- > 0 && f->list[i].h.number && !found;) {
            bool follows = i + 1 < f->count && f->list[i + 1].h.number == f->list[i].h.number + 1;
            found = !follows && find_headless(f, f->list[i].h.number + 1);
        }
    }
}

struct chain {
    const struct salvage *to;
    struct buf records; /* not yet known to be whole */
    uint64_t after, *seq;
};

static bool give_chain(struct chain *c, struct err *e) {
    bool ok = true;
    for (size_t pos = 0; ok && pos < c->records.n;) {
        struct record_header h;
        memcpy(&h, c->records.p + pos, sizeof h);
        ok = h.seq <= c->after ||
             c->to->record(c->to->ctx, &h, (struct str){c->records.p + pos + sizeof h, h.length}, e);
        if (h.seq > *c->seq) *c->seq = h.seq;
        pos += sizeof h + h.length;
    }
    c->records.n = 0;
    return ok;
}

/* One file's records, up to number `end`; in the newest file (end 0) as far as they go, which is as far as a start would
 * go, or beyond the damage that keeps a start from going on. */
static bool read_file(const struct file *f, uint64_t end, struct chain *c, struct err *e) {
    size_t n = 0;
    char *bytes = io_read_file(f->path, FILE_MOST, &n);
    struct run r = {
        .bytes = {bytes, bytes ? n : 0}, .seed = f->h.number, .least = f->h.first_seq, .step = JOURNAL_SECTOR};
    uint64_t at = JOURNAL_DATA, next = f->h.first_seq, last = end ? end - 1 : UINT64_MAX;
    struct record_header h;
    bool ok = true;
    while (ok && next <= last) {
        uint64_t damaged = at;
        r.least = r.most = next;
        if (!record_at(&r, at, &h)) {
            r.most = last;
            uint64_t later = 0;
            if (!end && !journal_goes_on(r.bytes, r.seed, at, next, &later)) break;
            if (!end) r.most = later;
            bool more = at < r.bytes.n && find_next(&r, &at, &h);
            if (last > c->after)
                c->to->gap(c->to->ctx, f->path, damaged, next > c->after ? next : c->after + 1,
                           more ? h.seq - 1 : last);
            ok = give_chain(c, e);
            if (!more) break;
        }
        buf_add(&c->records, &h, sizeof h);
        buf_add(&c->records, bytes + at + sizeof h, h.length);
        if (ok && h.flags & RECORD_CHAIN_END) ok = give_chain(c, e);
        next = h.seq + 1;
        at = behind(&h, at);
    }
    free(bytes);
    return ok;
}

bool salvage_journal(const char *dir, const uint8_t store_id[16], uint64_t after, uint64_t *seq,
                     const struct salvage *to, struct err *e) {
    struct files f = {.dir = dir, .store_id = store_id};
    struct chain c = {.to = to, .after = after, .seq = seq};
    *seq = after;
    if (io_list(dir, look_at, &f) != 0) return errno == ENOENT || err_errno(e, "reading the folder %s", dir);
    put_in_order(&f);
    size_t first = f.count;
    while (first > 0 && f.list[first - 1].h.number && (first == f.count || f.list[first].h.first_seq > after + 1))
        first--;
    bool ok = true;
    uint64_t next = after + 1;
    for (size_t i = first; ok && i < f.count; i++) {
        const struct file *here = &f.list[i];
        uint64_t begins = here->h.first_seq, end = i + 1 < f.count ? f.list[i + 1].h.first_seq : 0;
        bool follows = i == first || here->h.number == here[-1].h.number + 1;
        if (begins > next && (i == first || !follows)) to->gap(to->ctx, here->path, 0, next, begins - 1);
        if (here->headless) to->gap(to->ctx, here->path, 0, begins, begins - 1);
        if (here->h.after_recovery) c.records.n = 0;
        /* Where a file is missing, this one ends before it, and nobody knows with which number. */
        if (end && here[1].h.number != here->h.number + 1) end = 0;
        ok = read_file(here, end, &c, e);
        next = *seq + 1 > begins ? *seq + 1 : begins;
        if (end > next) next = end;
    }
    buf_free(&c.records);
    free(f.list);
    return ok;
}
