#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "store/checkpoint.h"

enum {
    PAGE = 1024,            /* workspaces a page of the table */
    GROUP_MOST = 4 << 20,   /* bytes after which a group is written, more waiting or not */
    QUEUE_MOST = 256 << 20, /* bytes that may wait */
    RESERVE = 1 << 20,      /* bytes set aside for when the disk is full */
    JOURNAL_WAIT_MS = 2000, /* how long a write waits for a checkpoint to free a journal file */
};

struct workspace {
    struct view view;
    struct chunk *open;
};

struct store {
    struct store_options o;
    char *dir;
    struct journal *journal;
    struct checkpoint *checkpoint;
    struct workspace *_Atomic *_Atomic pages[PAGE];

    /* the writer's */
    int64_t received_us;
    struct arena arena;
    struct store_write *group, **group_end; /* appended, not yet committed */
    uint64_t group_bytes;
    struct additions group_adds; /* what it can add to any chunk, at the most */
    uint64_t file;               /* the journal file that was current at the last commit */
    bool journal_full;           /* the last one that needed a further file did not get it */

    pthread_mutex_t lock; /* below */
    pthread_cond_t work;  /* for the writer: something waits, or stop */
    pthread_cond_t keep;  /* for the keeper: a file was begun, the journal is full, or stop */
    pthread_cond_t room;  /* for the writer: the keeper has been round */
    struct store_write *queue, **queue_end;
    uint64_t queued;
    bool stopping, keeper_stop, keeper_due, failed;
    struct err failure;
    struct err trouble; /* of the keeper's last round */

    pthread_mutex_t keeping; /* one checkpoint at a time; never taken by the writer */
    bool reserve_there;
    pthread_t writer, keeper;
};

/* ---- workspaces ---- */

static struct workspace *workspace_of(struct store *s, uint32_t number, bool make) {
    if (number / PAGE >= PAGE) return NULL;
    struct workspace *_Atomic *page = atomic_load_explicit(&s->pages[number / PAGE], memory_order_acquire);
    struct workspace *w = page ? atomic_load_explicit(&page[number % PAGE], memory_order_acquire) : NULL;
    if (w || !make) return w;
    if (!page) {
        page = mem_zero(PAGE, sizeof *page);
        atomic_store_explicit(&s->pages[number / PAGE], page, memory_order_release);
    }
    w = mem_zero(1, sizeof *w);
    w->view.open = w->open = chunk_new(s->o.open_max, s->o.max_fields);
    atomic_store_explicit(&page[number % PAGE], w, memory_order_release);
    return w;
}

struct view *store_view(struct store *s, uint32_t workspace) {
    struct workspace *w = workspace_of(s, workspace, false);
    if (!w) return NULL;
    atomic_fetch_add_explicit(&w->view.readers, 1, memory_order_relaxed);
    return &w->view;
}

void view_release(struct view *v) {
    if (v) atomic_fetch_sub_explicit(&v->readers, 1, memory_order_release);
}

void view_each_picture(const struct view *v, void (*call)(void *ctx, const uint8_t hash[32]), void *ctx) {
    const struct chunk *c = v->open;
    struct arena arena = {0};
    struct inference inf;
    for (uint32_t row = 0, rows = chunk_rows(c); row < rows; row++) {
        const struct block *b = chunk_block(c, row);
        if (!(row_flags(b, row % BLOCK_ROWS) & ROW_PICTURE)) continue;
        CHECK(inference_decode(b->payload[row % BLOCK_ROWS], &arena, &inf));
        call(ctx, inf.picture);
        arena_free(&arena);
    }
}

/* ---- applying: the writer, and replay before it starts ---- */

static bool apply_inference(struct store *s, struct workspace *w, const struct record_header *h, struct str payload,
                            struct write_result *result, struct err *e) {
    struct inference inf;
    if (!inference_decode(payload, &s->arena, &inf))
        return err_set(e, ERR_DAMAGED, "record %" PRIu64 " is no inference", h->seq);
    if (chunk_rows(w->open) >= w->open->capacity && !chunk_holds(w->open, &inf))
        return err_set(e, ERR_NO_SPACE, "workspace %" PRIu32 " holds more inferences than open_max (%" PRIu32 ")",
                       h->workspace, s->o.open_max);
    result->outcome = chunk_add(w->open, h->seq, h->time_us, payload, &inf, &result->index);
    return true;
}

static bool apply_attach(struct store *s, struct workspace *w, const struct record_header *h, struct str payload,
                         struct write_result *result, struct err *e) {
    struct attach a;
    if (!attach_decode(payload, &s->arena, &a))
        return err_set(e, ERR_DAMAGED, "record %" PRIu64 " is no attach", h->seq);
    if (a.value.type != VALUE_NONE && chunk_field_count(w->open) >= s->o.max_fields &&
        chunk_field_index(w->open, a.field) < 0)
        return err_set(e, ERR_NO_SPACE,
                       "workspace %" PRIu32 " holds more metadata fields than max_fields (%" PRIu32 ")", h->workspace,
                       s->o.max_fields);
    chunk_attach(w->open, h->seq, h->time_us, &a, &result->attach);
    return true;
}

static bool apply(struct store *s, const struct record_header *h, struct str payload, struct write_result *result,
                  struct err *e) {
    struct workspace *w = workspace_of(s, h->workspace, true);
    bool ok = w || err_set(e, ERR_DAMAGED, "record %" PRIu64 " names workspace %" PRIu32, h->seq, h->workspace);
    if (ok && h->type == RECORD_INFERENCE)
        ok = apply_inference(s, w, h, payload, result, e);
    else if (ok && h->type == RECORD_ATTACH)
        ok = apply_attach(s, w, h, payload, result, e);
    else if (ok)
        ok = err_set(e, ERR_DAMAGED, "record %" PRIu64 " is of the unknown type %u", h->seq, h->type);
    arena_free(&s->arena);
    return ok;
}

static bool replayed(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct store *s = ctx;
    struct write_result ignored = {0};
    if (h->time_us > s->received_us) s->received_us = h->time_us;
    return apply(s, h, payload, &ignored, e);
}

/* ---- limits: what is journalled is applied, so it is refused here or not at all ---- */

static int by_bytes(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

/* What this request would add to the chunk: inferences that are not there yet; new fields and ids to wait for, each
 * counted once. An id whose inference comes in the same request is not waited for. */
static struct additions count_new(struct store *s, const struct store_write *w, const struct chunk *c) {
    struct additions add = {0};
    struct str *ids = arena_alloc(&s->arena, w->most.ids * sizeof *ids);
    struct str *fields = arena_alloc(&s->arena, w->records * sizeof *fields),
               *here = arena_alloc(&s->arena, w->records * sizeof *here);
    size_t id_count = 0, field_count = 0, here_count = 0;
    struct record_header h;
    for (size_t pos = 0; pos < w->chain.n; pos += sizeof h + h.length) {
        memcpy(&h, w->chain.p + pos, sizeof h);
        struct str payload = {w->chain.p + pos + sizeof h, h.length};
        struct attach a;
        struct inference inf;
        if (h.type == RECORD_INFERENCE) {
            CHECK(inference_decode(payload, &s->arena, &inf));
            here[here_count++] = inf.id;
            add.inferences += !c || !chunk_holds(c, &inf);
            continue;
        }
        CHECK(attach_decode(payload, &s->arena, &a));
        if (a.value.type == VALUE_NONE) continue;
        if (!c || chunk_field_index(c, a.field) < 0) fields[field_count++] = a.field;
        for (size_t i = 0; i < a.id_count; i++)
            if (!c || !chunk_find(c, a.ids[i])) ids[id_count++] = a.ids[i];
    }
    qsort(here, here_count, sizeof *here, by_bytes);
    qsort(ids, id_count, sizeof *ids, by_bytes);
    qsort(fields, field_count, sizeof *fields, by_bytes);
    for (size_t i = 0; i < id_count; i++)
        add.ids +=
            (i == 0 || !str_eq(ids[i], ids[i - 1])) && !bsearch(&ids[i], here, here_count, sizeof *here, by_bytes);
    for (size_t i = 0; i < field_count; i++) add.fields += i == 0 || !str_eq(fields[i], fields[i - 1]);
    arena_free(&s->arena);
    return add;
}

/* What adds nothing passes no limit, even where a lowered setting is passed already. */
static bool too_many(uint64_t there, uint64_t more, uint64_t limit) { return more > 0 && there + more > limit; }

/* Whether this request fits beside what the group already adds. Far from every limit the bounds that were counted
 * while it was built will do; near one it is counted exactly. *add is what it adds, at the most. */
static bool within_limits(struct store *s, const struct store_write *w, struct additions *add, struct err *e) {
    struct workspace *ws = workspace_of(s, w->workspace, false);
    const struct chunk *c = ws ? ws->open : NULL;
    const struct additions *group = &s->group_adds;
    uint64_t rows = c ? chunk_rows(c) : 0, fields = c ? chunk_field_count(c) : 0, waiting = c ? c->pending_count : 0;
    *add = w->most;
    for (int exact = 0; exact < 2; exact++) {
        if (exact) *add = count_new(s, w, c);
        if (!too_many(rows + group->inferences, add->inferences, s->o.open_max) &&
            !too_many(fields + group->fields, add->fields, s->o.max_fields) &&
            !too_many(waiting + group->ids, add->ids, s->o.max_pending))
            return true;
    }
    if (too_many(fields, add->fields, s->o.max_fields))
        return err_set(e, ERR_INVALID,
                       "the workspace has %" PRIu64 " metadata fields, %" PRIu64
                       " more would pass the limit of %" PRIu32 " (max_fields); nothing was stored",
                       fields, add->fields, s->o.max_fields);
    if (too_many(waiting, add->ids, s->o.max_pending))
        return err_set(e, ERR_NO_SPACE,
                       "metadata already waits for %" PRIu64 " inferences, %" PRIu64
                       " more would pass the limit of %" PRIu32 " (max_pending); nothing was stored",
                       waiting, add->ids, s->o.max_pending);
    return err_set(e, ERR_NO_SPACE,
                   "the workspace holds %" PRIu64 " inferences, %" PRIu64 " more would pass the limit of %" PRIu32
                   " (open_max); nothing was stored",
                   rows, add->inferences, s->o.open_max);
}

/* ---- the writer ---- */

static void poke_keeper(struct store *s) {
    pthread_mutex_lock(&s->lock);
    s->keeper_due = true;
    pthread_cond_signal(&s->keep);
    pthread_mutex_unlock(&s->lock);
}

/* Sticky until restart: after a failed write or sync nobody knows what the file holds. */
static void fail(struct store *s, const struct err *why) {
    char quoted[LOG_QUOTE];
    log_event(LOG_ERROR, "journal_failed", "error=%s", log_quote(quoted, str_of(why->msg)));
    pthread_mutex_lock(&s->lock);
    s->failed = true;
    s->failure = *why;
    pthread_mutex_unlock(&s->lock);
}

static void apply_write(struct store *s, struct store_write *w) {
    struct record_header h;
    size_t pos = 0;
    for (size_t i = 0; i < w->records; i++, pos += sizeof h + h.length) {
        memcpy(&h, w->chain.p + pos, sizeof h);
        struct str payload = {w->chain.p + pos + sizeof h, h.length};
        CHECK(apply(s, &h, payload, &w->results[i], &w->err)); /* within_limits let it through */
    }
}

static void commit_group(struct store *s) {
    struct err e = {0};
    struct store_write *w = s->group, *next;
    if (!w) return;
    bool ok = !s->failed && journal_commit(s->journal, &e);
    if (!ok && !s->failed) fail(s, &e);
    for (; w; w = next) {
        next = w->next;
        if (ok)
            apply_write(s, w);
        else
            err_set(&w->err, ERR_UNKNOWN_OUTCOME,
                    "the disk failed while this was being stored; the outcome is unknown, send it again "
                    "after the server has been restarted");
        w->done(w);
    }
    s->group = NULL;
    s->group_end = &s->group;
    s->group_bytes = 0;
    s->group_adds = (struct additions){0};
    uint64_t file = journal_durable(s->journal).file;
    if (file != s->file) poke_keeper(s);
    s->file = file;
}

/* Waits a while for the keeper to free a journal file. One that waited in vain has waited for all behind it: those are
 * refused at once, until one fits again. */
static bool wait_for_room(struct store *s, const struct store_write *w, struct err *e) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += JOURNAL_WAIT_MS / 1000;
    for (bool over = false; !journal_fits(s->journal, buf_str(&w->chain), e);) {
        if (e->code != ERR_BUSY && e->code != ERR_NO_SPACE) return false;
        pthread_mutex_lock(&s->lock);
        s->keeper_due = true;
        pthread_cond_signal(&s->keep);
        bool give_up = over || s->journal_full;
        if (give_up && s->trouble.code == ERR_NO_SPACE)
            err_set(e, ERR_NO_SPACE, "the disk is full (%s); nothing was stored", s->trouble.msg);
        if (!give_up) over = pthread_cond_timedwait(&s->room, &s->lock, &until) != 0 || e->code == ERR_NO_SPACE;
        pthread_mutex_unlock(&s->lock);
        if (!give_up) continue;
        s->journal_full = true;
        return false;
    }
    return true;
}

static bool admit(struct store *s, struct store_write *w, struct additions *add) {
    bool fits =
        !s->failed && within_limits(s, w, add, &w->err) && journal_fits(s->journal, buf_str(&w->chain), &w->err);
    if (!fits && !s->failed) commit_group(s); /* the group it would not fit beside; this may fail */
    if (s->failed)
        return err_set(&w->err, ERR_BUSY,
                       "storing has stopped since the disk failed (%s); mend it and restart the server",
                       s->failure.msg);
    if (!fits && !(within_limits(s, w, add, &w->err) && wait_for_room(s, w, &w->err))) return false;
    s->journal_full = false;
    w->err.code = ERR_NONE;
    return true;
}

static void take(struct store *s, struct store_write *w) {
    struct additions add;
    w->next = NULL;
    if (!admit(s, w, &add)) {
        w->done(w);
        return;
    }
    int64_t now = clock_now_us();
    if (now > s->received_us) s->received_us = now;
    w->received_us = s->received_us;
    *s->group_end = w;
    s->group_end = &w->next;
    s->group_bytes += w->chain.n;
    s->group_adds.inferences += add.inferences;
    s->group_adds.fields += add.fields;
    s->group_adds.ids += add.ids;
    struct err e = {0};
    if (!journal_append(s->journal, &w->chain, w->received_us, &e)) fail(s, &e);
    if (s->failed || s->group_bytes > GROUP_MOST) commit_group(s);
}

static void *write_loop(void *ctx) {
    struct store *s = ctx;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->queue && !s->stopping) pthread_cond_wait(&s->work, &s->lock);
        struct store_write *w = s->queue, *next;
        s->queue = NULL;
        s->queue_end = &s->queue;
        s->queued = 0;
        pthread_mutex_unlock(&s->lock);
        if (!w) return NULL;
        for (; w; w = next) {
            next = w->next;
            take(s, w);
        }
        commit_group(s);
    }
}

bool store_submit(struct store *s, struct store_write *w, struct err *e) {
    CHECK(w->records > 0 && w->done);
    if (w->workspace / PAGE >= PAGE)
        return err_set(e, ERR_INVALID, "workspace number %" PRIu32 " is over %d", w->workspace, PAGE * PAGE);
    free(w->results); /* of a submission before that was refused */
    w->results = mem_zero(w->records, sizeof *w->results);
    w->next = NULL;
    pthread_mutex_lock(&s->lock);
    bool full = s->queued > 0 && s->queued + w->chain.n > QUEUE_MOST, stopping = s->stopping;
    if (!full && !stopping) {
        if (!s->queue) pthread_cond_signal(&s->work);
        *s->queue_end = w;
        s->queue_end = &w->next;
        s->queued += w->chain.n;
    }
    pthread_mutex_unlock(&s->lock);
    if (stopping) return err_set(e, ERR_BUSY, "the server is stopping; nothing was stored, send again");
    return !full || err_set(e, ERR_BUSY, "too much is waiting to be stored; nothing was stored, send again");
}

struct now {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;
};

static void now_done(struct store_write *w) {
    struct now *n = w->ctx;
    pthread_mutex_lock(&n->lock);
    n->over = true;
    pthread_cond_signal(&n->done);
    pthread_mutex_unlock(&n->lock);
}

bool store_write_now(struct store *s, struct store_write *w, struct err *e) {
    struct now n = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    w->done = now_done;
    w->ctx = &n;
    if (!store_submit(s, w, e)) return false;
    pthread_mutex_lock(&n.lock);
    while (!n.over) pthread_cond_wait(&n.done, &n.lock);
    pthread_mutex_unlock(&n.lock);
    if (w->err.code == ERR_NONE) return true;
    *e = w->err;
    return false;
}

bool store_writable(struct store *s, struct err *e) {
    pthread_mutex_lock(&s->lock);
    bool failed = s->failed, stopping = s->stopping;
    struct err why = s->failure;
    pthread_mutex_unlock(&s->lock);
    if (failed) {
        *e = why;
        return err_wrap(e, "storing has stopped");
    }
    return !stopping || err_set(e, ERR_BUSY, "the server is stopping");
}

/* ---- the keeper ---- */

/* A megabyte that is given back when the disk is full, so that a manifest can still be written. */
static void keep_reserve(struct store *s, bool full) {
    char path[4096];
    snprintf(path, sizeof path, "%s/reserve", s->dir);
    if (full && s->reserve_there) io_unlink(path), s->reserve_there = false;
    if (full || s->reserve_there) return;
    int fd = io_open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) return;
    char *zeros = mem_zero(1, RESERVE);
    s->reserve_there = io_write_all(fd, zeros, RESERVE, 0) == 0;
    free(zeros);
    io_close(fd);
}

bool store_checkpoint(struct store *s, struct err *e) {
    pthread_mutex_lock(&s->keeping);
    bool ok = checkpoint_run(s->checkpoint, s->journal, e);
    pthread_mutex_unlock(&s->keeping);
    return ok;
}

/* One round: a checkpoint if one is due, and a journal file in hand. True when all went well. */
static bool keep(struct store *s, bool checkpoint_due) {
    struct err e = {0};
    char quoted[LOG_QUOTE];
    bool ready = journal_prepare(s->journal, &e), copied = true;
    if (checkpoint_due || !ready) {
        copied = store_checkpoint(s, &e);
        if (!ready && copied) ready = journal_prepare(s->journal, &e);
    }
    if (!copied)
        log_event(LOG_ERROR, "checkpoint_failed", "error=%s", log_quote(quoted, str_of(e.msg)));
    else if (!ready)
        log_event(LOG_WARN, "journal_file_missing", "error=%s", log_quote(quoted, str_of(e.msg)));
    bool well = copied && ready;
    if (well || e.code == ERR_NO_SPACE) keep_reserve(s, !well);
    pthread_mutex_lock(&s->lock);
    s->trouble = well ? (struct err){0} : e;
    pthread_mutex_unlock(&s->lock);
    return well;
}

static void *keep_loop(void *ctx) {
    struct store *s = ctx;
    int64_t last = clock_mono_us(), interval = (int64_t)s->o.checkpoint_interval_s * 1000000;
    bool well = true;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_mutex_lock(&s->lock);
        /* After a round that failed the next is a second later, however many ask: it will hardly do better at once. */
        while (!s->keeper_stop && !(s->keeper_due && well) && pthread_cond_timedwait(&s->keep, &s->lock, &until) == 0)
            continue;
        bool due = s->keeper_due, stop = s->keeper_stop;
        s->keeper_due = false;
        pthread_mutex_unlock(&s->lock);
        if (stop) return NULL;
        bool by_time = clock_mono_us() - last >= interval;
        if (due || by_time || !well) {
            well = keep(s, due || by_time);
            if (by_time || due) last = clock_mono_us();
        }
        pthread_mutex_lock(&s->lock);
        pthread_cond_signal(&s->room);
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- opening and closing ---- */

static bool load(struct store *s, struct err *e) {
    char path[4096];
    int64_t begun = clock_mono_us();
    snprintf(path, sizeof path, "%s/workspaces", s->dir);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "%s", path);
    s->checkpoint = checkpoint_open(s->dir, s->o.id, replayed, s, e);
    if (!s->checkpoint) return false;
    snprintf(path, sizeof path, "%s/journal", s->dir);
    unsigned most = (unsigned)(s->o.journal_max / s->o.journal_file_size);
    struct journal_options jo = {.dir = path,
                                 .file_size = s->o.journal_file_size,
                                 .max_files = most < 2     ? 2
                                              : most > 100 ? 100
                                                           : most};
    memcpy(jo.store_id, s->o.id, 16);
    s->journal = journal_open(&jo, checkpoint_seq(s->checkpoint), replayed, s, e);
    if (!s->journal) return false;
    /* The names of both folders, and of a manifest that a killed run had just put in place. */
    if (io_sync_dir(s->dir, "store.folder") != 0) return err_errno(e, "%s", s->dir);
    s->file = journal_durable(s->journal).file;
    log_event(LOG_INFO, "store_open", "checkpoint_seq=%" PRIu64 " seq=%" PRIu64 " ms=%" PRId64,
              checkpoint_seq(s->checkpoint), journal_next_seq(s->journal) - 1, (clock_mono_us() - begun) / 1000);
    return true;
}

static void store_free(struct store *s) {
    if (s->journal) journal_close(s->journal);
    if (s->checkpoint) checkpoint_close(s->checkpoint);
    for (uint32_t p = 0; p < PAGE; p++) {
        for (uint32_t i = 0; s->pages[p] && i < PAGE; i++) {
            struct workspace *w = s->pages[p][i];
            if (!w) continue;
            CHECK(w->view.readers == 0);
            chunk_free(w->open);
            free(w);
        }
        free(s->pages[p]);
    }
    arena_free(&s->arena);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->keeping);
    free(s->dir);
    free(s);
}

struct store *store_open(const struct store_options *o, struct err *e) {
    struct store *s = mem_zero(1, sizeof *s);
    s->o = *o;
    s->dir = mem_alloc(strlen(o->dir) + 1);
    memcpy(s->dir, o->dir, strlen(o->dir) + 1);
    s->group_end = &s->group;
    s->queue_end = &s->queue;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->keeping, NULL);
    pthread_cond_init(&s->work, &mono);
    pthread_cond_init(&s->keep, &mono);
    pthread_cond_init(&s->room, &mono);
    pthread_condattr_destroy(&mono);
    if (!load(s, e)) {
        store_free(s);
        return NULL;
    }
    keep(s, false); /* a full disk is told to each write; reads go on */
    CHECK(pthread_create(&s->writer, NULL, write_loop, s) == 0);
    CHECK(pthread_create(&s->keeper, NULL, keep_loop, s) == 0);
    return s;
}

void store_close(struct store *s) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
    pthread_mutex_lock(&s->lock);
    s->keeper_stop = true;
    pthread_cond_signal(&s->keep);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->keeper, NULL);
    struct err e = {0};
    char quoted[LOG_QUOTE];
    if (!s->failed && !store_checkpoint(s, &e))
        log_event(LOG_ERROR, "checkpoint_failed", "error=%s", log_quote(quoted, str_of(e.msg)));
    store_free(s);
}
