#include "journal/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

enum { GROUP_KEEP = 8 << 20, ZERO_STEP = 1 << 20, MOST_FILES = 4096, PIECE = 4 << 20 };

struct file {
    char name[32];
    int fd;                                     /* -1: removed, the entry stands for nothing */
    uint64_t size, number, first_seq, last_seq; /* last_seq: not of the current one */
    bool free, after_recovery;
};

struct journal {
    struct journal_options o;
    char *dir;

    /* the writer's */
    struct buf group; /* what the next commit writes at `at` */
    size_t last;      /* where the last record in it begins, its crc still to come */
    bool has_last;
    uint64_t at; /* offset in the current file */
    uint64_t next_seq;
    uint64_t records, bytes; /* in the group */
    bool after_recovery;     /* the next file begun is the first since opening */

    pthread_mutex_t lock; /* below: the list of files, and what is durable */
    struct file *files;
    unsigned count;
    struct file *current;
    uint64_t newest; /* highest number given */
    unsigned wanted; /* files that a waiting chain needs, 0: none waits */
    bool no_space;   /* the last attempt to make a file failed for want of space */
    struct journal_position durable;
    struct journal_stats stats;
};

/* ---- reading ---- */

/* Puts chains together and gives on the whole ones. */
struct chains {
    struct buf records;   /* of the unfinished chain */
    uint64_t after, stop; /* numbers to leave out: up to `after`, from `stop` on */
    journal_visit *visit;
    void *ctx;
    struct err *e;
    bool failed;
};

static bool chains_record(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    (void)at;
    struct chains *c = ctx;
    if (h->seq >= c->stop) return false;
    buf_add(&c->records, h, sizeof *h);
    buf_add_str(&c->records, payload);
    if (!(h->flags & RECORD_CHAIN_END)) return true;
    for (size_t pos = 0; pos < c->records.n && !c->failed;) {
        struct record_header each;
        memcpy(&each, c->records.p + pos, sizeof each);
        struct str bytes = {c->records.p + pos + sizeof each, each.length};
        if (each.seq > c->after && !c->visit(c->ctx, &each, bytes, c->e)) c->failed = true;
        pos += sizeof each + each.length;
    }
    c->records.n = 0;
    return !c->failed;
}

/* Bytes [0, size) of a file; only from `at` on are read, the rest is left undefined. */
static char *file_bytes(const struct file *f, uint64_t at, uint64_t size, struct err *e) {
    char *bytes = mem_alloc(size);
    uint64_t more = size > at ? size - at : 0;
    if (more == 0 || io_pread(f->fd, bytes + at, more, (off_t)at) == (ssize_t)more) return bytes;
    err_errno(e, "journal file %s: reading %llu bytes at %llu", f->name, (unsigned long long)more,
              (unsigned long long)at);
    free(bytes);
    return NULL;
}

/* Where the record at `at` ends, if there is one, as far as its header tells. */
static uint64_t record_end(const char *bytes, uint64_t at) {
    struct record_header h;
    memcpy(&h, bytes + at, sizeof h);
    return at + sizeof h + h.length;
}

/* A file's records from *at (number *seq) on into c, up to the first that is not the next one or does not end before
 * `size`. The file is read in pieces, so that a keeper's checkpoint does not take a file's size of memory. */
static bool replay_pieces(const struct file *f, uint64_t *at, uint64_t *seq, uint64_t size, struct chains *c) {
    for (uint64_t needed = 0; *at < size && !c->failed;) {
        uint64_t began = *at, end = *at + PIECE > needed ? *at + PIECE : needed;
        end = (end + JOURNAL_SECTOR - 1) & ~(uint64_t)(JOURNAL_SECTOR - 1);
        if (end > size) end = size;
        char *bytes = file_bytes(f, began, end, c->e);
        if (!bytes) return false;
        journal_scan_from((struct str){bytes, end}, f->number, at, seq, chains_record, c);
        needed = *at == began && end - began >= sizeof(struct record_header) ? record_end(bytes, began) : 0;
        free(bytes);
        if (end == size || (*at == began && (needed <= end || needed > size))) break;
    }
    return !c->failed;
}

/* The same; `last`: where the records end is for this file to say, and nobody else. */
static bool replay_file(const struct file *f, uint64_t *at, uint64_t *seq, uint64_t size, bool last, struct chains *c) {
    uint64_t later;
    if (f->after_recovery && *at == JOURNAL_DATA) c->records.n = 0;
    if (!replay_pieces(f, at, seq, size, c)) return false;
    if (!last) return true;
    char *bytes = file_bytes(f, *at, size, c->e);
    if (!bytes) return false;
    if (journal_goes_on((struct str){bytes, size}, f->number, *at, *seq, &later))
        c->failed = !err_set(c->e, ERR_DAMAGED,
                             "journal file %s is damaged at offset %llu: record %llu is not there, and record %llu, "
                             "which was written after that was acknowledged, is; see `sightglass check`",
                             f->name, (unsigned long long)*at, (unsigned long long)*seq, (unsigned long long)later);
    free(bytes);
    return !c->failed;
}

static bool damaged(struct err *e, const struct file *f, uint64_t at, uint64_t seq) {
    return err_set(e, ERR_DAMAGED, "journal file %s is damaged at offset %llu: record %llu is not there", f->name,
                   (unsigned long long)at, (unsigned long long)seq);
}

/* ---- opening ---- */

static int by_number(const void *a, const void *b) {
    const struct file *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* One file of the folder. What a killed run had written is made durable first, and then read from the disk. */
static bool adopt_file(struct journal *j, const char *name, struct err *e) {
    struct file f = {.free = true};
    snprintf(f.name, sizeof f.name, "%s", name);
    char path[4096], head[JOURNAL_DATA] = {0};
    snprintf(path, sizeof path, "%s/%s", j->dir, name);
    struct stat st;
    if ((f.fd = io_open(path, O_RDWR, 0)) < 0 || fstat(f.fd, &st) != 0) return err_errno(e, "journal file %s", path);
    if (io_sync(f.fd, "journal.recovery") != 0) return err_errno(e, "journal file %s: sync before recovery", path);
    io_forget(f.fd, 0, JOURNAL_DATA);
    f.size = (uint64_t)st.st_size;
    struct journal_file_header h;
    if (io_pread(f.fd, head, sizeof head, 0) < 0) return err_errno(e, "journal file %s: reading its header", path);
    j->files[j->count++] = f;
    if (!journal_file_header((struct str){head, sizeof head}, &h)) return true;
    if (memcmp(h.store_id, j->o.store_id, 16) != 0)
        return err_set(e, ERR_DAMAGED, "journal file %s belongs to another store", path);
    j->files[j->count - 1].number = h.number;
    j->files[j->count - 1].first_seq = h.first_seq;
    j->files[j->count - 1].after_recovery = h.after_recovery;
    return true;
}

static bool adopt_files(struct journal *j, struct err *e) {
    DIR *d = opendir(j->dir);
    if (!d) return err_errno(e, "journal folder %s", j->dir);
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(d));) {
        unsigned slot;
        int n = 0;
        if (sscanf(entry->d_name, "slot-%4u.journal%n", &slot, &n) != 1 || n == 0 || entry->d_name[n] != '\0') continue;
        if (j->count == MOST_FILES)
            ok = err_set(e, ERR_DAMAGED, "journal folder %s holds more than %d files", j->dir, MOST_FILES);
        else
            ok = adopt_file(j, entry->d_name, e);
    }
    closedir(d);
    qsort(j->files, j->count, sizeof *j->files, by_number);
    return ok;
}

static bool nothing(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    (void)ctx, (void)h, (void)payload, (void)at;
    return true;
}

/* A file of another size is one that was being made when the power went, or from before the setting was changed: it
 * goes once nothing in it is needed. A failing unlink is tried again at the next start. */
static void remove_odd(struct journal *j) {
    char path[4096];
    for (unsigned i = 0; i < j->count; i++) {
        struct file *f = &j->files[i];
        if (f->fd < 0 || !f->free || f->size == j->o.file_size) continue;
        snprintf(path, sizeof path, "%s/%s", j->dir, f->name);
        io_close(f->fd);
        io_unlink(path);
        *f = (struct file){.fd = -1};
    }
}

/* A header that cannot be read over records that would have been next is damage, not a file that was never begun. */
static bool check_headerless(const struct journal *j, struct err *e) {
    for (unsigned i = 0; i < j->count && j->files[i].number == 0; i++) {
        const struct file *f = &j->files[i];
        char *bytes = file_bytes(f, 0, f->size, e);
        if (!bytes) return false;
        uint64_t at = JOURNAL_DATA, seq = j->next_seq;
        journal_scan_from((struct str){bytes, f->size}, j->newest + 1, &at, &seq, nothing, NULL);
        free(bytes);
        if (seq != j->next_seq)
            return err_set(e, ERR_DAMAGED, "journal file %s: its header is damaged, over records from number %llu on",
                           f->name, (unsigned long long)j->next_seq);
    }
    return true;
}

static bool replay_all(struct journal *j, uint64_t after, journal_visit *visit, void *ctx, struct err *e) {
    struct chains c = {.after = after, .stop = UINT64_MAX, .visit = visit, .ctx = ctx, .e = e};
    j->next_seq = after + 1;
    unsigned first = j->count;
    while (first > 0 && j->files[first - 1].number != 0 &&
           (first == j->count || j->files[first].first_seq > after + 1)) {
        first--;
        if (first + 1 < j->count && j->files[first + 1].number != j->files[first].number + 1)
            return err_set(e, ERR_DAMAGED, "journal file number %llu is missing",
                           (unsigned long long)j->files[first + 1].number - 1);
    }
    if (first < j->count && j->files[first].first_seq > after + 1)
        return err_set(e, ERR_DAMAGED, "journal file number %llu is missing",
                       (unsigned long long)j->files[first].number - 1);

    bool ok = true;
    for (unsigned i = first; ok && i < j->count; i++) {
        struct file *f = &j->files[i];
        uint64_t at = JOURNAL_DATA, seq = f->first_seq, end = i + 1 < j->count ? j->files[i + 1].first_seq : UINT64_MAX;
        c.stop = end;
        if (i + 1 == j->count) io_forget(f->fd, 0, 0);
        ok = replay_file(f, &at, &seq, f->size, i + 1 == j->count, &c);
        if (ok && end != UINT64_MAX && seq != end) ok = damaged(e, f, at, seq);
        f->free = false;
        f->last_seq = seq - 1;
        j->newest = f->number;
        if (seq > j->next_seq) j->next_seq = seq;
        j->durable = (struct journal_position){f->number, at, seq - 1};
    }
    buf_free(&c.records);
    if (!ok || !check_headerless(j, e)) return false;
    remove_odd(j);
    return true;
}

struct journal *journal_open(const struct journal_options *o, uint64_t after, journal_visit *visit, void *ctx,
                             struct err *e) {
    CHECK(o->file_size >= 4 * JOURNAL_DATA && o->max_files >= 2 && o->max_files <= 100);
    struct journal *j = mem_zero(1, sizeof *j);
    j->o = *o;
    j->dir = mem_alloc(strlen(o->dir) + 1);
    memcpy(j->dir, o->dir, strlen(o->dir) + 1);
    j->files = mem_zero(MOST_FILES + o->max_files, sizeof *j->files);
    j->after_recovery = true;
    pthread_mutex_init(&j->lock, NULL);
    if (io_mkdir(j->dir, 0700) != 0)
        err_errno(e, "journal folder %s", j->dir);
    else if (io_sync_dir(j->dir, "journal.names") != 0)
        err_errno(e, "journal folder %s: sync", j->dir);
    else if (adopt_files(j, e) && replay_all(j, after, visit, ctx, e))
        return j;
    journal_close(j);
    return NULL;
}

void journal_close(struct journal *j) {
    for (unsigned i = 0; i < j->count; i++)
        if (j->files[i].fd >= 0) io_close(j->files[i].fd);
    pthread_mutex_destroy(&j->lock);
    buf_free(&j->group);
    free(j->files);
    free(j->dir);
    free(j);
}

/* ---- the writer ---- */

uint64_t journal_next_seq(const struct journal *j) { return j->next_seq; }

bool journal_fits(const struct journal *j, struct str chain, struct err *e) {
    const uint64_t whole = j->o.file_size - JOURNAL_DATA;
    uint64_t room = j->current ? j->current->size - j->at - j->group.n : 0;
    unsigned needed = 0, ready = 0;
    for (size_t pos = 0; pos < chain.n;) {
        struct record_header h;
        memcpy(&h, chain.p + pos, sizeof h);
        uint64_t size = sizeof h + h.length;
        if (size > whole)
            return err_set(e, ERR_TOO_LARGE, "a record of %llu bytes is more than a journal file holds (%llu)",
                           (unsigned long long)size, (unsigned long long)whole);
        if (size > room) needed++, room = whole;
        room -= size;
        pos += size;
    }
    if (needed == 0) return true;
    struct journal *locked = (struct journal *)j;
    pthread_mutex_lock(&locked->lock);
    for (unsigned i = 0; i < j->count; i++) ready += j->files[i].free;
    bool no_space = j->no_space, too_large = needed + (j->current != NULL) > j->o.max_files;
    locked->wanted = needed <= ready || too_large ? 0 : needed;
    pthread_mutex_unlock(&locked->lock);
    if (needed <= ready) return true;
    if (too_large)
        return err_set(e, ERR_TOO_LARGE, "the request needs %u further journal files, journal_max allows %u in all",
                       needed, j->o.max_files);
    return no_space
               ? err_set(e, ERR_NO_SPACE, "the disk is full: no journal file can be made; nothing was stored")
               : err_set(e, ERR_BUSY, "the journal is full and waits for a checkpoint; nothing was stored, send again");
}

/* The last record in the group gets its flags and checksum. */
static void seal_last(struct journal *j, uint8_t flags) {
    if (!j->has_last) return;
    struct record_header h;
    memcpy(&h, j->group.p + j->last, sizeof h);
    h.flags |= flags;
    h.crc = record_crc(&h, j->group.p + j->last + sizeof h, j->current->number);
    memcpy(j->group.p + j->last, &h, sizeof h);
    j->has_last = false;
}

/* Writes the group and syncs it. */
static bool flush(struct journal *j, struct err *e) {
    if (j->group.n == 0) return true;
    if (io_write_all(j->current->fd, j->group.p, j->group.n, (off_t)j->at) != 0)
        return err_errno(e, "journal file %s: writing %zu bytes at %llu", j->current->name, j->group.n,
                         (unsigned long long)j->at);
    if (io_sync(j->current->fd, "journal.group") != 0) return err_errno(e, "journal file %s: sync", j->current->name);
    j->at += j->group.n;
    j->group.n = 0;
    if (j->group.cap > GROUP_KEEP) buf_free(&j->group);
    return true;
}

/* Goes on in a free file. Its new header is durable before any record is written behind it. */
static bool next_file(struct journal *j, struct err *e) {
    seal_last(j, 0);
    if (!flush(j, e)) return false;
    pthread_mutex_lock(&j->lock);
    struct file *f = NULL;
    for (unsigned i = 0; i < j->count && !f; i++)
        if (j->files[i].free) f = &j->files[i];
    CHECK(f); /* journal_fits said so */
    if (j->current) j->current->last_seq = j->next_seq - 1;
    f->free = false;
    f->number = ++j->newest;
    f->first_seq = j->next_seq;
    f->last_seq = UINT64_MAX;
    f->after_recovery = j->after_recovery;
    j->current = f;
    pthread_mutex_unlock(&j->lock);

    char head[JOURNAL_SECTOR] = {0};
    uint32_t after = f->after_recovery;
    memcpy(head, JOURNAL_MAGIC, 8);
    memcpy(head + 8, j->o.store_id, 16);
    memcpy(head + 24, &f->number, 8);
    memcpy(head + 32, &f->first_seq, 8);
    memcpy(head + 40, &after, 4);
    uint32_t crc = crc32c(0, head, 44);
    memcpy(head + 44, &crc, 4);
    if (io_write_all(f->fd, head, sizeof head, 0) != 0 || io_sync(f->fd, "journal.header") != 0)
        return err_errno(e, "journal file %s: writing its header", f->name);
    j->at = JOURNAL_DATA;
    j->after_recovery = false;
    return true;
}

bool journal_turn(struct journal *j, struct err *e) {
    bool ready = false;
    CHECK(j->group.n == 0);
    if (!j->current || j->at == JOURNAL_DATA) return true;
    pthread_mutex_lock(&j->lock);
    for (unsigned i = 0; i < j->count; i++) ready |= j->files[i].free;
    pthread_mutex_unlock(&j->lock);
    return !ready || next_file(j, e);
}

bool journal_append(struct journal *j, struct buf *chain, int64_t time_us, struct err *e) {
    for (size_t pos = 0; pos < chain->n;) {
        struct record_header h;
        memcpy(&h, chain->p + pos, sizeof h);
        size_t size = sizeof h + h.length;
        if (!j->current || size > j->current->size - j->at - j->group.n)
            if (!next_file(j, e)) return false;
        seal_last(j, 0);
        h.seq = j->next_seq++;
        h.time_us = time_us;
        h.zero = 0;
        h.flags = (pos + size == chain->n ? RECORD_CHAIN_END : 0) | (j->group.n == 0 ? RECORD_GROUP_BEGIN : 0);
        memcpy(chain->p + pos, &h, sizeof h);
        j->last = j->group.n;
        j->has_last = true;
        buf_add(&j->group, chain->p + pos, size);
        j->records++;
        j->bytes += size;
        pos += size;
    }
    return true;
}

bool journal_commit(struct journal *j, struct err *e) {
    static const char zeros[JOURNAL_SECTOR];
    if (j->group.n == 0) return true;
    seal_last(j, RECORD_GROUP_END);
    size_t past = (j->at + j->group.n) % JOURNAL_SECTOR;
    if (past) {
        size_t room = j->current->size - j->at - j->group.n, pad = JOURNAL_SECTOR - past;
        buf_add(&j->group, zeros, pad < room ? pad : room);
    }
    if (!flush(j, e)) return false;
    pthread_mutex_lock(&j->lock);
    j->durable = (struct journal_position){j->current->number, j->at, j->next_seq - 1};
    j->stats.groups++;
    j->stats.records += j->records;
    j->stats.bytes += j->bytes;
    pthread_mutex_unlock(&j->lock);
    j->records = j->bytes = 0;
    return true;
}

/* ---- the keeper ---- */

/* A new zero-filled file. Its zeros are synced here so that the writer's first sync is as quick as its others; only
 * the folder's sync is what durability rests on. */
static bool make_file(struct journal *j, struct file *f, struct err *e) {
    char path[4096];
    struct stat st;
    for (unsigned n = 0;; n++) {
        snprintf(f->name, sizeof f->name, "slot-%02u.journal", n);
        snprintf(path, sizeof path, "%s/%s", j->dir, f->name);
        if (stat(path, &st) != 0) break;
    }
    f->fd = io_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (f->fd < 0) return err_errno(e, "making the journal file %s", path);
    char *zeros = mem_zero(1, ZERO_STEP);
    bool ok = true;
    for (uint64_t at = 0; ok && at < f->size; at += ZERO_STEP) {
        uint64_t step = f->size - at < ZERO_STEP ? f->size - at : ZERO_STEP;
        ok = io_write_all(f->fd, zeros, step, (off_t)at) == 0;
    }
    ok = ok && io_sync(f->fd, "journal.make") == 0 && io_sync_dir(j->dir, "journal.make.dir") == 0;
    free(zeros);
    if (ok) return true;
    err_errno(e, "making the journal file %s (%llu bytes)", path, (unsigned long long)f->size);
    io_close(f->fd);
    io_unlink(path);
    return false;
}

/* Under the lock. One that stands for nothing is used again. */
static struct file *new_entry(struct journal *j) {
    for (unsigned i = 0; i < j->count; i++)
        if (j->files[i].fd < 0) return &j->files[i];
    return &j->files[j->count++];
}

bool journal_prepare(struct journal *j, struct err *e) {
    for (bool ok = true; ok;) {
        unsigned ready = 0, count = 0;
        pthread_mutex_lock(&j->lock);
        for (unsigned i = 0; i < j->count; i++) ready += j->files[i].free, count += j->files[i].fd >= 0;
        unsigned wanted = j->wanted ? j->wanted : 1;
        pthread_mutex_unlock(&j->lock);
        if (ready >= wanted) return true;
        if (count >= j->o.max_files)
            return err_set(e, ERR_BUSY, "all %u journal files are in use until the next checkpoint", count);
        struct file f = {.free = true, .size = j->o.file_size};
        ok = make_file(j, &f, e);
        pthread_mutex_lock(&j->lock);
        j->no_space = !ok && e->code == ERR_NO_SPACE;
        if (ok) *new_entry(j) = f;
        pthread_mutex_unlock(&j->lock);
    }
    return false;
}

struct journal_position journal_durable(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    struct journal_position p = j->durable;
    pthread_mutex_unlock(&j->lock);
    return p;
}

bool journal_read(struct journal *j, struct journal_position *from, struct journal_position to, journal_visit *visit,
                  void *ctx, struct err *e) {
    pthread_mutex_lock(&j->lock);
    struct file *live = mem_alloc(j->count * sizeof *live);
    unsigned n = 0;
    for (unsigned i = 0; i < j->count; i++)
        if (j->files[i].fd >= 0 && !j->files[i].free && j->files[i].number >= from->file &&
            j->files[i].number <= to.file)
            live[n++] = j->files[i];
    pthread_mutex_unlock(&j->lock);
    qsort(live, n, sizeof *live, by_number);

    struct chains c = {.after = from->seq, .stop = to.seq + 1, .visit = visit, .ctx = ctx, .e = e};
    bool ok = true;
    for (unsigned i = 0; ok && i < n; i++) {
        bool inside = live[i].number == from->file && from->at > JOURNAL_DATA;
        uint64_t at = inside ? from->at : JOURNAL_DATA, seq = inside ? from->seq + 1 : live[i].first_seq;
        c.stop = i + 1 < n ? live[i + 1].first_seq : to.seq + 1;
        ok = replay_file(&live[i], &at, &seq, i + 1 < n ? live[i].size : to.at, false, &c);
        if (ok && seq != c.stop) ok = damaged(e, &live[i], at, seq);
    }
    buf_free(&c.records);
    free(live);
    if (ok) *from = to;
    return ok;
}

void journal_recycle(struct journal *j, uint64_t upto) {
    pthread_mutex_lock(&j->lock);
    for (unsigned i = 0; i < j->count; i++) {
        struct file *f = &j->files[i];
        if (f->fd >= 0 && f != j->current && f->last_seq <= upto) f->free = true;
    }
    remove_odd(j);
    pthread_mutex_unlock(&j->lock);
}

/* Under the lock: one that goes, out of the list; false: there is none. */
static bool take_old(struct journal *j, uint64_t before, struct file *out, bool *left) {
    bool found = false;
    *left = false;
    for (unsigned i = 0; i < j->count; i++) {
        struct file *f = &j->files[i];
        bool old = f->fd >= 0 && f->number && f->number < before;
        if (!found && old && f->free) {
            *out = *f;
            *f = (struct file){.fd = -1};
            found = true;
        } else {
            *left |= old;
        }
    }
    return found;
}

bool journal_discard(struct journal *j, uint64_t before) {
    char path[4096];
    struct file f;
    bool ok = true, left, more;
    do {
        pthread_mutex_lock(&j->lock);
        more = take_old(j, before, &f, &left);
        pthread_mutex_unlock(&j->lock);
        if (!more) continue;
        snprintf(path, sizeof path, "%s/%s", j->dir, f.name);
        io_close(f.fd);
        if (io_unlink(path) != 0) ok = false;
    } while (more);
    return ok && !left;
}

struct journal_stats journal_stats(struct journal *j) {
    pthread_mutex_lock(&j->lock);
    struct journal_stats s = j->stats;
    for (unsigned i = 0; i < j->count; i++) s.files += j->files[i].fd >= 0, s.free_files += j->files[i].free;
    pthread_mutex_unlock(&j->lock);
    return s;
}
