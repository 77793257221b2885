#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"
#include "base/mem.h"
#include "cmd/datadir.h"
#include "store_dump.h"

struct store_options script_options(const char *dir) {
    return (struct store_options){
        .dir = dir,
        .id = "power loss test",
        .journal_file_size = JOURNAL_FILE,
        .journal_max = 4 * JOURNAL_FILE,
        .checkpoint_interval_s = 3600,
        .open_max = 4096,
        .max_fields = 16,
        .max_pending = 1000,
    };
}

bool script_open(struct script *s, struct err *e) {
    char path[4096];
    struct store_options o = script_options(s->dir);
    snprintf(path, sizeof path, "%s/workspaces", s->dir);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "%s", path);
    s->blobs = blobs_new(path);
    s->store = store_open(&o, e);
    if (s->store) return true;
    blobs_free(s->blobs);
    return false;
}

void script_close(struct script *s) {
    store_close(s->store);
    blobs_free(s->blobs);
}

/* ---- one group of requests, as if from as many callers ---- */

struct flight {
    struct script *s;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned first, in_air;
    bool gate_open; /* the writer may go on from the first to the others: they are one group then */
    struct err err;
    struct store_write writes[16];
};

static void done(struct store_write *w) {
    struct flight *f = w->ctx;
    struct progress *p = f->s->progress;
    pthread_mutex_lock(&f->lock);
    while (!f->gate_open) pthread_cond_wait(&f->changed, &f->lock);
    if (w->err.code == ERR_NONE) {
        p->received_us[f->first + (unsigned)(w - f->writes)] = w->received_us;
        atomic_fetch_add(&p->acked, 1);
    } else {
        atomic_fetch_add(&p->failed, 1);
        f->err = w->err;
    }
    f->in_air--;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static bool put_pictures(struct script *s, const struct request *r, unsigned number, struct err *e) {
    char bytes[SCRIPT_PICTURE];
    uint8_t hash[BLOB_HASH];
    for (unsigned i = 0; i < r->count; i++) {
        if (!r->items[i].inf.picture) continue;
        struct str picture = script_picture(number / 10 * 10, bytes);
        if (!blob_put(s->blobs, r->workspace, picture, STR("thumbnail"), hash, e)) return false;
        CHECK(memcmp(hash, r->items[i].inf.picture, BLOB_HASH) == 0);
    }
    return true;
}

static bool launch(struct flight *f, struct store_write *w, unsigned number) {
    struct request r = {0};
    script_build(number, &r);
    write_begin(w, r.workspace);
    w->done = done;
    w->ctx = f;
    bool ok = put_pictures(f->s, &r, number, &f->err);
    for (unsigned i = 0; ok && i < r.count; i++) {
        if (r.items[i].is_attach)
            write_attach(w, &r.items[i].attach);
        else
            ok = write_inference(w, &r.items[i].inf, &f->err);
    }
    if (ok) {
        atomic_fetch_add(&f->s->progress->submitted, 1);
        pthread_mutex_lock(&f->lock);
        f->in_air++;
        pthread_mutex_unlock(&f->lock);
        ok = store_submit(f->s->store, w, &f->err);
        CHECK(ok); /* the script never fills the queue */
    }
    arena_free(&r.arena);
    return ok;
}

static bool fly(struct script *s, unsigned first, unsigned count, struct err *e) {
    struct flight f = {.s = s, .first = first, .gate_open = count == 1};
    CHECK(count <= 16);
    pthread_mutex_init(&f.lock, NULL);
    pthread_cond_init(&f.changed, NULL);
    for (unsigned i = 0; i < count; i++)
        if (!launch(&f, &f.writes[i], first + i)) break;
    pthread_mutex_lock(&f.lock);
    f.gate_open = true;
    pthread_cond_broadcast(&f.changed);
    while (f.in_air) pthread_cond_wait(&f.changed, &f.lock);
    pthread_mutex_unlock(&f.lock);
    for (unsigned i = 0; i < count; i++) write_free(&f.writes[i]);
    *e = f.err;
    if (s->settle) s->settle(s->settle_ctx);
    return e->code == ERR_NONE;
}

bool script_request(struct script *s, unsigned number, struct err *e) { return fly(s, number, 1, e); }

/* ---- the stages ---- */

bool script_first(struct script *s, struct err *e) {
    if (!script_open(s, e) || !datadir_write_first_key(s->dir, "demo", "sg_0123456789abcdef0123456789abcdef", e))
        return false;
    atomic_store(&s->progress->key_acked, true);
    for (unsigned n = 0; n < SCRIPT_REQUESTS;) {
        unsigned together = n == 14 ? 5 : n == 27 ? 3 : 1;
        if (!fly(s, n, together, e)) return false;
        n += together;
        if ((n == 23 || n == 36) && !store_checkpoint(s->store, e)) return false;
        if (n != 20 && n != 33) continue;
        script_close(s);
        if (!script_open(s, e)) return false;
    }
    script_close(s);
    return true;
}

bool script_second(struct script *s, struct err *e) {
    for (unsigned n = SCRIPT_EXTRA; n < SCRIPT_ALL; n++) {
        if (!script_request(s, n, e)) return false;
        if (n == SCRIPT_EXTRA + 1 && !store_checkpoint(s->store, e)) return false;
    }
    script_close(s);
    return true;
}

/* ---- looking ---- */

void script_show(struct store *store, struct buf *out) {
    store_dump(store, SCRIPT_WORKSPACE_A, false, out);
    store_dump(store, SCRIPT_WORKSPACE_B, false, out);
}

struct receipts {
    const struct progress *progress;
    struct {
        uint64_t seq;
        int64_t time_us;
    } all[8192];
    unsigned count;
    const struct chunk *c;
    struct blobs *blobs;
    uint32_t workspace;
    struct err *e;
    bool ok;
};

/* `number` is the request that a write says it comes from; `index` its place in this run's order. */
static void receipt(struct receipts *r, unsigned number, uint64_t seq, int64_t time_us) {
    const struct progress *p = r->progress;
    CHECK(r->count < 8192);
    r->all[r->count].seq = seq;
    r->all[r->count++].time_us = time_us;
    if (number >= SCRIPT_ALL || p->received_us[number] == 0 || p->received_us[number] == time_us) return;
    r->ok = err_set(r->e, ERR_DAMAGED, "request %u was received at %" PRId64 ", now it says %" PRId64, number,
                    p->received_us[number], time_us);
}

static void check_picture(struct receipts *r, const struct inference *inf, unsigned number) {
    char want[SCRIPT_PICTURE], got[SCRIPT_PICTURE + 1];
    size_t size;
    if (!inf->picture) return;
    int fd = blob_open(r->blobs, r->workspace, inf->picture, BLOB_PICTURE, &size, r->e);
    if (fd < 0) {
        r->ok = err_wrap(r->e, "the picture of request %u", number);
        return;
    }
    if (pread(fd, got, sizeof got, 0) != SCRIPT_PICTURE ||
        memcmp(script_picture(number, want).p, got, SCRIPT_PICTURE) != 0)
        r->ok = err_set(r->e, ERR_DAMAGED, "the picture of request %u is not what was put", number);
    close(fd);
    fd = blob_open(r->blobs, r->workspace, inf->picture, BLOB_THUMBNAIL, &size, r->e);
    if (fd < 0 || pread(fd, got, sizeof got, 0) != 9 || memcmp(got, "thumbnail", 9) != 0)
        r->ok = err_set(r->e, ERR_DAMAGED, "the thumbnail of request %u is not what was put", number);
    if (fd >= 0) close(fd);
}

static void check_id(void *ctx, const struct ident *i) {
    struct receipts *r = ctx;
    struct arena arena = {0};
    uint32_t row = 0;
    bool started = false;
    while (row_next(r->c, i, &row, &started)) {
        const struct block *b = chunk_block(r->c, row);
        struct inference inf;
        CHECK(inference_decode(b->payload[row % BLOCK_ROWS], &arena, &inf));
        unsigned number =
            (unsigned)strtoul(arena_printf(&arena, STR_FMT, STR_ARG(str_from(inf.source_info, 1))), NULL, 10);
        receipt(r, number, b->seq[row % BLOCK_ROWS], b->received_us[row % BLOCK_ROWS]);
        check_picture(r, &inf, number);
    }
    for (const struct id_field *f = i->fields; f; f = f->next)
        for (const struct history *h = f->newest; h; h = h->older) receipt(r, h->key_id - 1, h->seq, h->time_us);
    arena_free(&arena);
}

static int by_seq(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool check_key(const struct script *s, struct err *e) {
    char path[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/first-key", s->dir);
    char *text = io_read_file(path, 4096, &n);
    if (!text && errno == ENOENT && !atomic_load(&s->progress->key_acked)) return true;
    bool ok = text && str_is((struct str){text, n}, SCRIPT_KEY);
    free(text);
    return ok || err_set(e, ERR_DAMAGED, "the first key is not what was written");
}

bool script_check(const struct script *s, struct err *e) {
    static const uint32_t workspaces[] = {SCRIPT_WORKSPACE_A, SCRIPT_WORKSPACE_B};
    struct receipts *r = mem_zero(1, sizeof *r);
    *r = (struct receipts){.progress = s->progress, .blobs = s->blobs, .e = e, .ok = true};
    for (unsigned i = 0; i < 2; i++) {
        struct view *v = store_view(s->store, workspaces[i]);
        if (!v) continue;
        r->c = v->open;
        r->workspace = workspaces[i];
        chunk_each_id(v->open, check_id, r);
        view_release(v);
    }
    qsort(r->all, r->count, sizeof r->all[0], by_seq);
    for (unsigned i = 1; i < r->count; i++)
        if (r->all[i].time_us < r->all[i - 1].time_us)
            r->ok = err_set(e, ERR_DAMAGED, "record %" PRIu64 " was received before the one before it", r->all[i].seq);
    bool ok = r->ok;
    free(r);
    return ok && check_key(s, e);
}
