#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"
#include "base/mem.h"
#include "cmd/datadir.h"
#include "store/manifest.h"
#include "store_dump.h"

/* A clock of its own, so that times don't differ from run to run. */
static int64_t now_us(void) {
    static _Atomic int64_t seconds;
    return SCRIPT_NOW_US + 1000000 * atomic_fetch_add(&seconds, 1);
}

struct store_options script_options(const char *dir) {
    return (struct store_options){
        .dir = dir,
        .id = "power loss test",
        .journal_file_size = JOURNAL_FILE,
        .journal_max = 4 * JOURNAL_FILE,
        .checkpoint_interval_s = 3600,
        .max_fields = 16,
        .max_pending = 1000,
        .max_per_id = 100,
        .chunk_rows = 12,
        .manual = true,
        .now_us = now_us,
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

/* The number of the picture that an inference comes with is its own, which its source info has. */
static unsigned picture_of(struct str source_info) {
    unsigned long long n;
    CHECK(str_to_u64(str_from(source_info, 1), &n));
    return (unsigned)n;
}

static bool put_pictures(struct script *s, const struct request *r, struct err *e) {
    char bytes[SCRIPT_PICTURE];
    uint8_t hash[BLOB_HASH];
    for (unsigned i = 0; i < r->count; i++) {
        if (!r->items[i].inf.picture) continue;
        struct str picture = script_picture(picture_of(r->items[i].inf.source_info), bytes);
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
    bool ok = put_pictures(f->s, &r, &f->err);
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
    return e->code == ERR_NONE;
}

bool script_request(struct script *s, unsigned number, struct err *e) { return fly(s, number, 1, e); }

/* ---- the stages ---- */

/* A retention, an erasing or a deletion, which the callers can tell. */
static bool visible(struct script *s, bool ok) {
    atomic_fetch_add(ok ? &s->progress->acked : (atomic_uint *)&s->progress->failed, 1);
    return ok;
}

static bool erase(struct script *s, const struct action *a, struct err *e) {
    struct str ids[SCRIPT_ERASED_MOST];
    struct erased out;
    return store_erase(s->store, a->workspace, ids, script_erased(a->first, ids), &out, e);
}

bool script_act(struct script *s, const struct action *a, struct err *e) {
    switch (a->what) {
    case ACT_REQUESTS: return fly(s, a->first, a->count, e);
    case ACT_STEP: return store_step(s->store, a->workspace, a->step, 0, e);
    case ACT_RETAIN:
        atomic_fetch_add(&s->progress->submitted, 1);
        return visible(s, store_step(s->store, a->workspace, STEP_RETAIN, SCRIPT_CUT_US, e));
    case ACT_ERASE:
        atomic_fetch_add(&s->progress->submitted, 1);
        return visible(s, erase(s, a, e));
    case ACT_DELETE:
        atomic_fetch_add(&s->progress->submitted, 1);
        return visible(s, store_delete(s->store, a->workspace, e));
    case ACT_RESTART: break;
    }
    script_close(s);
    return script_open(s, e);
}

bool script_first(struct script *s, struct err *e) {
    if (!script_open(s, e) || !datadir_write_first_key(s->dir, "demo", "sg_0123456789abcdef0123456789abcdef", e))
        return false;
    atomic_store(&s->progress->key_acked, true);
    for (unsigned i = 0; i < script_action_count; i++)
        if (!script_act(s, &script_actions[i], e)) return err_wrap(e, "action %u", i);
    script_close(s);
    return true;
}

/* ---- looking ---- */

static const uint32_t workspaces[] = {SCRIPT_WORKSPACE_A, SCRIPT_WORKSPACE_B, SCRIPT_WORKSPACE_C};
enum { WORKSPACES = sizeof workspaces / sizeof *workspaces };

void script_show(struct store *store, struct buf *out) {
    for (unsigned i = 0; i < WORKSPACES; i++) {
        size_t before = out->n;
        store_dump(store, workspaces[i], false, out);
        /* One that holds nothing, and one that was never heard of: nobody can tell them apart. */
        if (str_is(str_from(buf_str(out), before), "rows 0 ids 0 pending 0\n")) out->n = before;
    }
}

/* What a record says of its receipt: in the dump, ` seq=S received=T` after ` info=rNUMBER`, ` by KEY seq=S time=T`. */
struct receipt {
    uint64_t seq;
    int64_t time_us;
};

static uint64_t number_after(const char *p, const char *word) {
    const char *at = strstr(p, word);
    CHECK(at);
    return strtoull(at + strlen(word), NULL, 10);
}

/* The inference of request 0 is sent again after it was dropped, and then received anew. */
static bool check_receipt(const struct progress *p, uint64_t number, int64_t time_us, struct err *e) {
    if (number == 0 || number >= SCRIPT_ALL || p->received_us[number] == 0 || p->received_us[number] == time_us)
        return true;
    return err_set(e, ERR_DAMAGED, "request %" PRIu64 " was received at %" PRId64 ", now it says %" PRId64, number,
                   p->received_us[number], time_us);
}

static int by_seq(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool check_receipts(const struct script *s, uint32_t workspace, struct err *e) {
    static struct receipt all[8192];
    unsigned count = 0;
    bool ok = true;
    struct buf dump = {0};
    store_dump(s->store, workspace, true, &dump);
    buf_addc(&dump, '\0');
    for (const char *p = dump.p, *seq; (seq = strstr(p, " seq=")); p = seq + 5) {
        const char *line = seq, *by = seq;
        while (line > dump.p && line[-1] != '\n') line--;
        while (by > line && strncmp(by, " by ", 4) != 0) by--;
        bool row = strncmp(line, "  row", 5) == 0;
        CHECK(count < 8192);
        all[count] =
            (struct receipt){number_after(seq, " seq="), (int64_t)number_after(seq, row ? " received=" : " time=")};
        ok &= check_receipt(s->progress, row ? number_after(line, " info=r") : number_after(by, " by ") - 1,
                            all[count++].time_us, e);
    }
    buf_free(&dump);
    if (count) qsort(all, count, sizeof all[0], by_seq);
    for (unsigned i = 1; i < count; i++)
        if (all[i].time_us < all[i - 1].time_us)
            ok = err_set(e, ERR_DAMAGED, "record %" PRIu64 " was received before the one before it", all[i].seq);
    return ok;
}

struct pictures {
    struct blobs *blobs;
    uint32_t workspace;
    struct err *e;
    bool ok;
};

static void check_picture(void *ctx, const uint8_t hash[32]) {
    struct pictures *p = ctx;
    char want[SCRIPT_PICTURE], got[SCRIPT_PICTURE + 1];
    uint8_t is[BLOB_HASH];
    unsigned n = 0;
    size_t size;
    do {
        struct str picture = script_picture(n, want);
        crypto_generichash(is, BLOB_HASH, (const unsigned char *)picture.p, picture.n, NULL, 0);
    } while (memcmp(is, hash, BLOB_HASH) != 0 && ++n < SCRIPT_ALL);
    int fd = blob_open(p->blobs, p->workspace, hash, BLOB_PICTURE, &size, p->e);
    if (fd < 0) {
        p->ok = err_wrap(p->e, "the picture of request %u", n);
        return;
    }
    if (pread(fd, got, sizeof got, 0) != SCRIPT_PICTURE || memcmp(want, got, SCRIPT_PICTURE) != 0)
        p->ok = err_set(p->e, ERR_DAMAGED, "the picture of request %u is not what was put", n);
    close(fd);
    fd = blob_open(p->blobs, p->workspace, hash, BLOB_THUMBNAIL, &size, p->e);
    if (fd < 0 || pread(fd, got, sizeof got, 0) != 9 || memcmp(got, "thumbnail", 9) != 0)
        p->ok = err_set(p->e, ERR_DAMAGED, "the thumbnail of request %u is not what was put", n);
    if (fd >= 0) close(fd);
}

static bool check_view(const struct script *s, uint32_t workspace, struct err *e) {
    struct view *v = store_view(s->store, workspace);
    struct pictures p = {.blobs = s->blobs, .workspace = workspace, .e = e, .ok = true};
    if (!v) return true;
    if (!store_each_picture(s->store, workspace, check_picture, &p)) p.ok = err_set(e, ERR_DAMAGED, "a segment was set aside");
    for (size_t i = 0; i < v->sealed_count && p.ok; i++)
        p.ok = segment_verify(v->sealed[i]->segment, e) && segment_verify_summary(v->sealed[i]->segment, e);
    view_release(v);
    return p.ok;
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
    for (unsigned i = 0; i < WORKSPACES; i++)
        if (!check_receipts(s, workspaces[i], e) || !check_view(s, workspaces[i], e))
            return err_wrap(e, "workspace %" PRIu32, workspaces[i]);
    return check_key(s, e);
}

bool script_aside(struct store *store) {
    bool aside = false;
    for (unsigned i = 0; i < WORKSPACES; i++) {
        struct view *v = store_view(store, workspaces[i]);
        for (size_t n = 0; v && n < v->sealed_count; n++) aside |= v->sealed[n]->set_aside;
        view_release(v);
    }
    return aside;
}

/* ---- files ---- */

/* Paths of logs and segments. */
struct files {
    char *list[1000];
    unsigned count;
    const char *folder;
};

static void add_file(struct files *f, const char *folder, const char *name) {
    char path[4096];
    CHECK(f->count < 1000 && snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    f->list[f->count++] = strdup(path);
}

static void add_name(void *ctx, const char *name) {
    struct files *f = ctx;
    if (strncmp(name, "log", 3) == 0 || strstr(name, ".arrow")) add_file(f, f->folder, name);
}

static void files_there(const struct script *s, struct files *f) {
    char folder[4096];
    f->count = 0;
    for (unsigned i = 0; i < WORKSPACES; i++) {
        f->folder = folder;
        manifest_path(s->dir, workspaces[i], "", folder);
        if (io_list(folder, add_name, f) != 0) CHECK(errno == ENOENT);
        manifest_path(s->dir, workspaces[i], "segments", folder);
        if (io_list(folder, add_name, f) != 0) CHECK(errno == ENOENT);
    }
}

static void files_named(const struct script *s, const struct manifest *m, struct files *f) {
    char folder[4096], name[64];
    f->count = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct manifest_workspace *w = &m->workspaces[i];
        manifest_path(s->dir, w->number, "", folder);
        for (size_t k = 0; k < w->log_count; k++) manifest_log_name(w->logs[k].number, name), add_file(f, folder, name);
        manifest_path(s->dir, w->number, "segments", folder);
        for (size_t k = 0; k < w->segment_count; k++)
            manifest_segment_name(w->segments[k].number, w->segments[k].version, name), add_file(f, folder, name);
    }
}

static void files_free(struct files *f) {
    while (f->count) free(f->list[--f->count]);
}

static bool is_among(const struct files *f, const char *path) {
    for (unsigned i = 0; i < f->count; i++)
        if (strcmp(f->list[i], path) == 0) return true;
    return false;
}

bool script_check_files(const struct script *s, struct err *e) {
    static struct files there, named;
    struct manifest m;
    struct store_options o = script_options(s->dir);
    bool ok = true;
    if (!manifest_read(s->dir, o.id, &m, e)) return false;
    files_there(s, &there);
    files_named(s, &m, &named);
    for (unsigned i = 0; i < there.count; i++)
        if (!is_among(&named, there.list[i])) ok = err_set(e, ERR_DAMAGED, "%s is left over", there.list[i]);
    for (unsigned i = 0; i < named.count; i++)
        if (!is_among(&there, named.list[i])) ok = err_set(e, ERR_DAMAGED, "%s is missing", named.list[i]);
    files_free(&there);
    files_free(&named);
    manifest_free(&m);
    return ok;
}

unsigned script_files(const struct script *s) {
    static struct files there;
    files_there(s, &there);
    unsigned count = there.count;
    files_free(&there);
    return count;
}
