/* The writer: takes all requests that wait, refuses what would pass a limit or does not fit the journal, writes the rest
 * with one sync, applies it, answers. Between two groups it does the keeper's jobs, which swap views. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"

/* ---- limits: what is journalled is applied, so it is refused here or not at all ---- */

static int by_bytes(const void *a, const void *b) { return str_cmp(*(const struct str *)a, *(const struct str *)b); }

static bool stands_in(const struct view *v, const struct id_state *id, struct str text) {
    for (size_t c = 0; v && c < v->chunk_count; c++)
        if (chunk_find(v->chunks[c], id->hash, text)) return true;
    return false;
}

static bool waits_or_stands(const struct workspace *ws, const struct view *seen, const struct id_state *id,
                            struct str text) {
    if (id->target_count || stands_in(ws->view, id, text) || stands_in(seen, id, text)) return true;
    return pending_find(ws->pending, id->hash, text) != NULL;
}

/* What this request would add to the workspace: new fields and ids to wait for, each counted once. An id whose inference
 * comes in the same request is not waited for. */
static struct additions count_new(struct store_write *w, const struct workspace *ws) {
    struct additions add = {.inferences = w->most.inferences};
    struct arena arena = {0};
    struct str *ids = arena_alloc(&arena, w->most.ids * sizeof *ids);
    struct str *fields = arena_alloc(&arena, w->records * sizeof *fields),
               *here = arena_alloc(&arena, w->records * sizeof *here);
    size_t id_count = 0, field_count = 0, here_count = 0;
    for (size_t n = 0; n < w->records; n++) {
        const struct resolved *r = &w->resolved[n];
        if (r->type == RECORD_INFERENCE) {
            here[here_count++] = r->inf.id;
            continue;
        }
        if (r->attach.value.type == VALUE_NONE) continue;
        if (!field_is_own(r->attach.field) && (!ws || fields_find(ws->fields, r->attach.field) < 0))
            fields[field_count++] = r->attach.field;
        for (size_t i = 0; i < r->attach.id_count; i++)
            if (!ws || !waits_or_stands(ws, w->view, &r->ids[i], r->attach.ids[i])) ids[id_count++] = r->attach.ids[i];
    }
    qsort(here, here_count, sizeof *here, by_bytes);
    qsort(ids, id_count, sizeof *ids, by_bytes);
    qsort(fields, field_count, sizeof *fields, by_bytes);
    for (size_t i = 0; i < id_count; i++)
        add.ids +=
            (i == 0 || !str_eq(ids[i], ids[i - 1])) && !bsearch(&ids[i], here, here_count, sizeof *here, by_bytes);
    for (size_t i = 0; i < field_count; i++) add.fields += i == 0 || !str_eq(fields[i], fields[i - 1]);
    arena_free(&arena);
    return add;
}

/* What adds nothing passes no limit, even where a lowered setting is passed already. */
static bool too_many(uint64_t there, uint64_t more, uint64_t limit) { return more > 0 && there + more > limit; }

/* Whether this request fits beside what the group already adds. Far from every limit the bounds that were counted
 * while it was built will do; near one it is counted exactly. *add is what it adds, at the most. */
static bool within_limits(struct store *s, struct store_write *w, struct additions *add, struct err *e) {
    const struct workspace *ws = workspace_of(s, w->workspace, false);
    const struct additions *group = &s->group_adds;
    uint64_t fields = ws ? fields_named(ws->fields) : 0, waiting = ws ? pending_count(ws->pending) : 0;
    if (ws && ws->deleted) return err_set(e, ERR_NOT_FOUND, "the workspace was deleted; nothing was stored");
    *add = w->most;
    for (int exact = 0; exact < 2; exact++) {
        if (exact) *add = count_new(w, ws);
        if (!too_many(fields + group->fields, add->fields, s->o.max_fields) &&
            !too_many(waiting + group->ids, add->ids, s->o.max_pending))
            return true;
    }
    if (too_many(fields, add->fields, s->o.max_fields))
        return err_set(e, ERR_INVALID,
                       "the workspace has %" PRIu64 " metadata fields, %" PRIu64
                       " more would pass the limit of %" PRIu32 " (max_fields); nothing was stored",
                       fields, add->fields, s->o.max_fields);
    return err_set(e, ERR_NO_SPACE,
                   "metadata already waits for %" PRIu64 " inferences, %" PRIu64 " more would pass the limit of %" PRIu32
                   " (max_pending); nothing was stored",
                   waiting, add->ids, s->o.max_pending);
}

/* Rows that chunks can take until a segment is made of one. */
static uint64_t row_room(const struct store *s, const struct workspace *ws) {
    uint64_t capacity = s->o.chunk_rows ? s->o.chunk_rows : SEGMENT_ROWS;
    if (!ws || ws->deleted) return capacity * (1 + FROZEN_MOST);
    uint64_t more = ws->view->chunk_count <= FROZEN_MOST ? 1 + FROZEN_MOST - ws->view->chunk_count : 0;
    return capacity - chunk_rows(ws->view->chunks[0]) + capacity * more;
}

/* ---- groups ---- */

/* Sticky until restart: after a failed write or sync nobody knows what the file holds. */
static void fail(struct store *s, const struct err *why) {
    char quoted[LOG_QUOTE];
    log_event(LOG_ERROR, "journal_failed", "error=%s", log_quote(quoted, str_of(why->msg)));
    pthread_mutex_lock(&s->lock);
    s->failed = true;
    s->failure = *why;
    pthread_mutex_unlock(&s->lock);
}

void writer_turn(struct store *s) {
    struct err e = {0};
    if (!s->failed && !journal_turn(s->journal, &e)) fail(s, &e);
}

static void finish(struct store_write *w) {
    view_release(w->view);
    w->view = NULL;
    w->resolved = NULL;
    arena_free(&w->arena);
    w->done(w);
}

static void apply_write(struct store *s, struct store_write *w) {
    struct workspace *ws = workspace_of(s, w->workspace, true);
    struct record_header h;
    size_t pos = 0;
    for (size_t i = 0; i < w->records; i++, pos += sizeof h + h.length) {
        memcpy(&h, w->chain.p + pos, sizeof h);
        struct str payload = {w->chain.p + pos + sizeof h, h.length};
        apply_record(s, ws, w->view, &h, payload, &w->resolved[i], &w->results[i]);
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
        finish(w);
    }
    s->group = NULL;
    s->group_end = &s->group;
    s->group_bytes = 0;
    s->group_adds = (struct additions){0};
    uint64_t file = journal_durable(s->journal).file;
    if (file != s->file && !s->o.manual) poke_keeper(s);
    s->file = file;
}

/* Waits a while for the keeper to free a journal file. One that waited in vain has waited for all behind it: those are
 * refused at once, until one fits again. */
static bool wait_for_journal(struct store *s, const struct store_write *w, struct err *e) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ROOM_WAIT_MS / 1000;
    for (bool over = false; !journal_fits(s->journal, buf_str(&w->chain), e);) {
        if (e->code != ERR_BUSY && e->code != ERR_NO_SPACE) return false;
        pthread_mutex_lock(&s->lock);
        s->keeper_due = true;
        pthread_cond_signal(&s->keep);
        bool give_up = over || s->journal_full;
        if (give_up && s->trouble.code == ERR_NO_SPACE)
            err_set(e, ERR_NO_SPACE, "the disk is full (%s); nothing was stored", s->trouble.msg);
        /* The keeper may be waiting for a job of its own: it comes back here without one. */
        if (!give_up && !s->jobs)
            over = pthread_cond_timedwait(&s->room, &s->lock, &until) != 0 || e->code == ERR_NO_SPACE;
        struct writer_job *jobs = s->jobs;
        pthread_mutex_unlock(&s->lock);
        if (!give_up && jobs) writer_jobs(s);
        if (!give_up) continue;
        s->journal_full = true;
        return false;
    }
    return true;
}

enum admitted { ADMIT_NO, ADMIT_YES, ADMIT_PARK };

static bool roomy(const struct store *s, const struct store_write *w, uint64_t beside) {
    size_t memory = s->o.chunk_memory ? s->o.chunk_memory : 5 * CHUNK_BYTES;
    return w->most.inferences == 0 ||
           (s->chunk_bytes < memory &&
            w->most.inferences + beside <= row_room(s, workspace_of((struct store *)s, w->workspace, false)));
}

static enum admitted admit(struct store *s, struct store_write *w, struct additions *add) {
    if (w->err.code != ERR_NONE) return ADMIT_NO; /* the resolver's word */
    if (!s->failed && !roomy(s, w, 0)) return ADMIT_PARK;
    bool fits = !s->failed && roomy(s, w, s->group_adds.inferences) && within_limits(s, w, add, &w->err) &&
                journal_fits(s->journal, buf_str(&w->chain), &w->err);
    if (!fits && !s->failed) commit_group(s); /* the group it would not fit beside; this may fail */
    if (s->failed) {
        err_set(&w->err, ERR_BUSY, "storing has stopped since the disk failed (%s); mend it and restart the server",
                s->failure.msg);
        return ADMIT_NO;
    }
    if (!fits && !(within_limits(s, w, add, &w->err) && wait_for_journal(s, w, &w->err))) return ADMIT_NO;
    s->journal_full = false;
    w->err.code = ERR_NONE;
    return roomy(s, w, s->group_adds.inferences) ? ADMIT_YES : ADMIT_PARK; /* jobs may have been done meanwhile */
}

/* A request with inferences that finds all chunks full waits for a segment to be made, and lets others pass. */
static void park(struct store *s, struct store_write *w) {
    uint64_t most = (uint64_t)(s->o.chunk_rows ? s->o.chunk_rows : SEGMENT_ROWS) * (1 + FROZEN_MOST);
    int64_t now = clock_mono_us();
    if (w->parked_us == 0) w->parked_us = now;
    bool never = w->most.inferences > most, late = s->o.manual || now - w->parked_us >= ROOM_WAIT_MS * 1000LL;
    if (!never && !late) {
        *s->parked_end = w;
        s->parked_end = &w->next;
        return;
    }
    const struct workspace *ws = workspace_of(s, w->workspace, false);
    if (ws && ws->seal_trouble == ERR_NO_SPACE)
        err_set(&w->err, ERR_NO_SPACE, "the disk is full: no segment can be made of what came before; nothing was stored");
    else if (never)
        err_set(&w->err, ERR_TOO_LARGE, "one request may bring %" PRIu64 " inferences; nothing was stored", most);
    else
        err_set(&w->err, ERR_BUSY,
                "inferences come faster than they can be put into segments; nothing was stored, send again");
    finish(w);
}

/* What was resolved so long ago that a chunk was opened and sealed since is resolved again. True: it is on its way. */
static bool stale(struct store *s, struct store_write *w) {
    const struct workspace *ws = workspace_of(s, w->workspace, false);
    if (!ws || ws->deleted || (w->view ? w->view->generation : 0) >= ws->blind_before) return false;
    view_release(w->view);
    w->err = (struct err){0};
    arena_free(&w->arena);
    pthread_mutex_lock(&s->lock);
    bool here = s->resolver_over;
    if (!here) {
        if (!s->submitted) pthread_cond_signal(&s->resolve);
        *s->submitted_end = w;
        s->submitted_end = &w->next;
        s->queued += w->chain.n;
    }
    pthread_mutex_unlock(&s->lock);
    if (here) resolve_write(s, w);
    return !here;
}

static void take(struct store *s, struct store_write *w) {
    struct additions add;
    w->next = NULL;
    if (stale(s, w)) return;
    enum admitted admitted = admit(s, w, &add);
    if (admitted == ADMIT_NO) finish(w);
    if (admitted == ADMIT_PARK) park(s, w);
    if (admitted != ADMIT_YES || stale(s, w)) return; /* while it waited for the journal, jobs were done */
    int64_t now = store_now(s);
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

static void take_all(struct store *s, struct store_write *w) {
    for (struct store_write *next; w; w = next) {
        next = w->next;
        take(s, w);
    }
    commit_group(s);
}

/* ---- jobs ---- */

void writer_jobs(struct store *s) {
    pthread_mutex_lock(&s->lock);
    struct writer_job *job = s->jobs;
    s->jobs = NULL;
    s->jobs_end = &s->jobs;
    pthread_mutex_unlock(&s->lock);
    for (struct writer_job *next; job; job = next) {
        next = job->next;
        job->run(job->ctx);
        pthread_mutex_lock(&s->lock);
        job->over = true;
        pthread_cond_broadcast(&s->job);
        pthread_mutex_unlock(&s->lock);
    }
}

void on_writer(struct store *s, void (*run)(void *ctx), void *ctx) {
    struct writer_job job = {.run = run, .ctx = ctx};
    pthread_mutex_lock(&s->lock);
    bool queued = s->writer_runs;
    if (queued) {
        *s->jobs_end = &job;
        s->jobs_end = &job.next;
        pthread_cond_signal(&s->work);
        pthread_cond_signal(&s->room); /* it may be waiting for us */
    }
    while (queued && !job.over) pthread_cond_wait(&s->job, &s->lock);
    pthread_mutex_unlock(&s->lock);
    if (!queued) run(ctx);
}

/* ---- the loop ---- */

/* Under the lock: until there is something to do. Parked requests are looked at now and then. */
static void wait_for_work(struct store *s) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 50 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (!s->queue && !s->jobs && !(s->resolver_over && !s->parked))
        if (!s->parked)
            pthread_cond_wait(&s->work, &s->lock);
        else if (pthread_cond_timedwait(&s->work, &s->lock, &until) == ETIMEDOUT)
            return;
}

void *write_loop(void *ctx) {
    struct store *s = ctx;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        wait_for_work(s);
        struct store_write *w = s->queue;
        s->queue = NULL;
        s->queue_end = &s->queue;
        for (const struct store_write *taken = w; taken; taken = taken->next) s->queued -= taken->chain.n;
        if (!w && !s->jobs && !s->parked && s->resolver_over) {
            s->writer_runs = false;
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        pthread_mutex_unlock(&s->lock);
        writer_jobs(s);
        struct store_write *parked = s->parked;
        s->parked = NULL;
        s->parked_end = &s->parked;
        take_all(s, parked);
        take_all(s, w);
    }
}
