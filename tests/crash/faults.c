/* A failing disk: the n-th operation of the script (script.h) fails, for every n; and a full one.
 *
 * After a failure of one operation every request has one of three ends: acknowledged, refused, or of unknown outcome.
 * What is checked: as soon as one is of unknown outcome all later ones are refused; reads go on and show exactly what
 * was acknowledged; after a restart what was acknowledged is there, nothing that was refused is, and the group of
 * unknown outcome is there up to some request, each whole; what was seen after the restart survives a power loss.
 *
 * On a full disk: requests are refused with ERR_NO_SPACE and leave no trace, nothing fails for good, and when there is
 * space again it goes on by itself.
 *
 *   faults                     every third n for EIO, every few for the others
 *   faults --long              every n for all
 *   faults --only KIND N       one alone; KIND: eio, short, enospc, full */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/datadir.h"
#include "io_sim.h"
#include "script.h"

enum { AT_ONCE = 16, LIMIT_S = 60 };
enum kind { EIO_ONCE, SHORT_THEN_EIO, ENOSPC_ONCE, FULL, KINDS };
static const char *const kind_names[KINDS] = {"eio", "short", "enospc", "full"};

static struct {
    enum kind kind;
    uint64_t at, count; /* the event that fails; how many there have been, reads and opens included */
    bool failed, space_again, paused;
    char what[128];
} fault;

static char home[4096];
static unsigned test_number;

static _Noreturn void wrong(const char *what, const char *more) {
    fprintf(stderr, "FAILED --only %s %" PRIu64 " (%s): %s%s%s\n", kind_names[fault.kind], fault.at,
            fault.what[0] ? fault.what : "nothing failed", what, *more ? ": " : "", more);
    _exit(1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* ---- the fault ---- */

static bool ends_here(const struct io_sim_event *event) {
    if (++fault.count != fault.at) return false;
    snprintf(fault.what, sizeof fault.what, "%s %.90s", io_sim_op_names[event->op], event->what);
    return true;
}

/* From the n-th event on nothing can grow and no file can be made. What the reserve gives back is enough for manifests,
 * not for journal files. */
static int full_disk(struct io_sim_event *event) {
    static uint64_t left;
    fault.failed |= ends_here(event);
    if (!fault.failed || fault.space_again) return 0;
    if (event->op == SIM_UNLINK && strstr(event->what, "reserve")) left += 1 << 20;
    if (event->op == SIM_CREATE || event->op == SIM_MKDIR)
        return strstr(event->what, "/journal/") || left == 0 ? ENOSPC : 0;
    if (event->op != SIM_WRITE || event->grows == 0) return 0;
    if (event->grows > left || strstr(event->path, "slot-")) return ENOSPC;
    left -= event->grows;
    return 0;
}

static struct run *this_run;
static void lose_power(struct run *r, const char *when, uint64_t seed);

/* What the keeper does next may rest on what has failed: power losses in the middle of that. */
static void look_closely(const struct io_sim_event *event) {
    static unsigned looks;
    bool telling = event->op == SIM_RENAME || event->op == SIM_SYNC_DIR ||
                   (event->op == SIM_SYNC && strstr(event->what, "checkpoint"));
    if (!telling || looks == (strstr(fault.what, "manifest.dir") ? 30 : 5)) return;
    for (uint64_t seed = SIM_DROP_ALL; seed <= SIM_RANDOM; seed++)
        lose_power(this_run, "power loss within a checkpoint after a failure", seed);
    looks++;
}

static int hook(void *ctx, struct io_sim_event *event) {
    static bool shortened;
    (void)ctx;
    if (fault.paused) return 0;
    if (fault.failed && fault.kind == EIO_ONCE) look_closely(event);
    if (fault.kind == FULL) return full_disk(event);
    if (shortened && event->op == SIM_WRITE) { /* the rest of the write that came short */
        shortened = false;
        return EIO;
    }
    if (fault.failed || !ends_here(event)) return 0;
    fault.failed = true;
    if (fault.kind == SHORT_THEN_EIO) {
        if (event->op != SIM_WRITE) return 0;
        event->n = event->n / 2 + 1;
        shortened = event->n > 1;
        return 0;
    }
    return fault.kind == ENOSPC_ONCE ? ENOSPC : EIO;
}

/* ---- one run ---- */

struct run {
    struct script s;
    struct progress progress;
    unsigned numbers[SCRIPT_ALL], count; /* events: acknowledged */
    unsigned unknown[SCRIPT_ALL], unknown_count;
    unsigned under_way;     /* event + 1 */
    unsigned since_failure; /* requests */
    bool unsure;            /* the retention's manifest counts, and a power loss may bring back the one before */
    bool aside;             /* a segment is set aside: what is shown lacks its rows until the next start */
    struct err e;
};

static bool shows(struct store *store, const unsigned *numbers, unsigned count) {
    struct buf shown = {0}, want = {0};
    script_show(store, &shown);
    script_expect(numbers, count, &want);
    bool same = str_eq(buf_str(&shown), buf_str(&want));
    buf_free(&shown);
    buf_free(&want);
    return same;
}

static void open_again(struct run *r) {
    bool failed = fault.failed;
    if (!script_open(&r->s, &r->e)) {
        if (!fault.failed) wrong("the store did not open, with nothing failing", r->e.msg);
        failed = true;
        if (!script_open(&r->s, &r->e)) wrong("the store did not open after a failure that was over", r->e.msg);
    }
    r->aside = script_aside(r->s.store);
    if (r->aside && failed) wrong("a segment is set aside with nothing failing", "");
}

static void restart(struct run *r) {
    script_close(&r->s);
    open_again(r);
}

/* The judge: a process without threads, that starts a fresh one for each photo. A process with threads had better not
 * be copied: the copy may hold locks that nobody opens. */
static struct photo {
    pthread_mutex_t lock;
    char path[4096];
    unsigned numbers[SCRIPT_ALL], count, unknown[SCRIPT_ALL], unknown_count;
    bool unsure;
    struct progress progress;
    const char *when;
    char what[128]; /* failed */
} * photo;          /* in shared memory; the lock is for the run's threads */
static int to_judge[2], to_run[2];

static _Noreturn void look_at_photo(void) {
    struct script s = {.dir = photo->path, .progress = &photo->progress};
    struct err e;
    memcpy(fault.what, photo->what, sizeof fault.what);
    if (!script_open(&s, &e)) wrong(photo->when, e.msg);
    if (photo->unsure && !shows(s.store, photo->numbers, photo->count)) {
        unsigned n = 0;
        while (photo->numbers[n] != SCRIPT_RETAIN) n++;
        memmove(&photo->numbers[n], &photo->numbers[n + 1], (--photo->count - n) * sizeof photo->numbers[0]);
    }
    for (unsigned kept = 0; !shows(s.store, photo->numbers, photo->count);) {
        if (kept == photo->unknown_count) wrong(photo->when, "there is not what was acknowledged");
        photo->numbers[photo->count++] = photo->unknown[kept++];
    }
    _exit(0);
}

static _Noreturn void judge(void) {
    char message;
    close(to_judge[1]), close(to_run[0]);
    while (read(to_judge[0], &message, 1) == 1) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) look_at_photo();
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        message = status == 0 ? 'y' : 'n';
        CHECK(write(to_run[1], &message, 1) == 1);
    }
    _exit(0);
}

static void start_judge(void) {
    photo = mmap(NULL, sizeof *photo, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(photo != MAP_FAILED && pipe(to_judge) == 0 && pipe(to_run) == 0);
    pthread_mutex_init(&photo->lock, NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) judge();
    close(to_judge[0]), close(to_run[1]);
}

/* Power loss right now, and what a start finds then: the acknowledged, and of those under way or unknown some first
 * part. */
static void lose_power(struct run *r, const char *when, uint64_t seed) {
    static atomic_uint photos;
    char path[4096], answer;
    snprintf(path, sizeof path, "%.3000s/%u-photos/%u", home, test_number, atomic_fetch_add(&photos, 1));
    CHECK(mkdir(path, 0700) == 0);
    io_sim_photo(path, seed);
    pthread_mutex_lock(&photo->lock);
    memcpy(photo->path, path, sizeof path);
    memcpy(photo->numbers, r->numbers, sizeof r->numbers);
    memcpy(photo->unknown, r->unknown, sizeof r->unknown);
    photo->count = r->count;
    photo->unknown_count = r->unknown_count;
    photo->unsure = r->unsure;
    if (r->under_way && photo->unknown_count == 0) photo->unknown[photo->unknown_count++] = r->under_way - 1;
    photo->when = when;
    memcpy(photo->what, fault.what, sizeof fault.what);
    CHECK(write(to_judge[1], "p", 1) == 1 && read(to_run[0], &answer, 1) == 1);
    pthread_mutex_unlock(&photo->lock);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (answer != 'y') _exit(1);
}

/* After the restart: the acknowledged, and of the unknown some first part. Those count as acknowledged from now on. */
static void take_stock(struct run *r) {
    unsigned kept = 0;
    while (!shows(r->s.store, r->numbers, r->count)) {
        if (kept == r->unknown_count) wrong("after the restart there is not what was acknowledged", "");
        r->numbers[r->count++] = r->unknown[kept++];
    }
    r->unknown_count = 0;
    fault.paused = true; /* the look itself is not to fail */
    if (!script_check(&r->s, &r->e)) wrong("after the restart", r->e.msg);
    fault.paused = false;
}

static void request(struct run *r, unsigned number) {
    struct err e = {0};
    r->under_way = number + 1;
    script_request(&r->s, number, &e);
    r->under_way = 0;
    if (e.code == ERR_NONE) {
        if (r->unknown_count) wrong("a request was acknowledged after one of unknown outcome", "");
        r->numbers[r->count++] = number;
    } else if (e.code == ERR_UNKNOWN_OUTCOME) {
        r->unknown[r->unknown_count++] = number;
    } else if (!fault.failed) {
        wrong("a request was refused with nothing failing", e.msg);
    }
    if (fault.failed && r->since_failure++ < 2) lose_power(r, "power loss soon after a failure", SIM_DROP_ALL);
    if (!r->unknown_count) return;
    struct err why = {0};
    if (store_writable(r->s.store, &why)) wrong("the store says it is writable after a failure", "");
    if (!r->aside && !shows(r->s.store, r->numbers, r->count))
        wrong("after a failure reads show something else than what was acknowledged", "");
    script_request(&r->s, number + 1, &why);
    if (why.code != ERR_BUSY) wrong("a request after a failure was not refused", why.msg);
    restart(r);
    take_stock(r);
    lose_power(r, "power loss right after the restart", SIM_DROP_ALL);
    r->since_failure = 0;
}

/* Something the keeper does. It may fail once; what it was about to do then is still to be done, and can be. */
static void keeping(struct run *r, const struct action *a) {
    unsigned event;
    bool counts = script_action_event(a, &event), failed = fault.failed;
    r->under_way = counts ? event + 1 : 0;
    if (!script_act(&r->s, a, &r->e)) {
        if (!fault.failed) wrong("a step failed with nothing failing", r->e.msg);
        if (!counts && !shows(r->s.store, r->numbers, r->count)) wrong("a step that failed shows", r->e.msg);
        lose_power(r, "power loss after a step that failed", SIM_DROP_ALL);
        if (!script_act(&r->s, a, &r->e)) wrong("a step failed again", r->e.msg);
    }
    r->under_way = 0;
    r->unsure = a->what == ACT_RETAIN && fault.failed && !failed;
    if (counts) r->numbers[r->count++] = event;
    if (!shows(r->s.store, r->numbers, r->count)) wrong("what is shown after a step is not what was acknowledged", "");
}

static void script_with_fault(struct run *r) {
    open_again(r);
    if (!datadir_write_first_key(r->s.dir, "demo", "sg_0123456789abcdef0123456789abcdef", &r->e) &&
        !datadir_write_first_key(r->s.dir, "demo", "sg_0123456789abcdef0123456789abcdef", &r->e))
        wrong("the first key", r->e.msg);
    atomic_store(&r->progress.key_acked, true);
    for (unsigned i = 0; i < script_action_count; i++) {
        const struct action *a = &script_actions[i];
        if (a->what == ACT_REQUESTS) {
            for (unsigned n = 0; n < a->count; n++) request(r, a->first + n);
            continue;
        }
        /* What was written while a segment was set aside is there with it when it can be read again. */
        if (a->what == ACT_RESTART || r->aside) restart(r);
        if (!r->aside && !shows(r->s.store, r->numbers, r->count)) wrong("after a clean restart", "");
        if (a->what == ACT_RESTART) continue;
        if (r->aside) restart(r);
        keeping(r, a);
    }
}

/* After a start: nothing is left of what failed. */
static void check_files(struct run *r) {
    fault.paused = true;
    if (!store_checkpoint(r->s.store, &r->e) || !script_check_files(&r->s, &r->e)) wrong("at the end", r->e.msg);
    fault.paused = false;
}

static void one_failure(struct run *r) {
    script_with_fault(r);
    lose_power(r, "power loss at the end of the script", SIM_DROP_ALL);
    restart(r);
    if (r->aside) restart(r);
    take_stock(r);
    check_files(r);
    lose_power(r, "power loss after the last start", SIM_DROP_ALL);
}

/* There is space again: what could not be done is done, once the keeper has been round. Segments it makes only when it
 * is told, here. */
static void again(struct run *r, const struct action *a) {
    struct err e = {0}, ignored;
    for (unsigned tries = 0; !script_act(&r->s, a, &e); tries++) {
        if (e.code != ERR_NO_SPACE || tries == 100000) wrong("there is space again, but still", e.msg);
        store_step(r->s.store, SCRIPT_WORKSPACE_A, STEP_SEAL, 0, &ignored);
        store_step(r->s.store, SCRIPT_WORKSPACE_B, STEP_SEAL, 0, &ignored);
        usleep(1000);
    }
}

/* A step for which there is no space leaves nothing behind that takes space, however often it is tried. */
static bool try_step(struct run *r, const struct action *a) {
    struct err e = {0};
    if (script_act(&r->s, a, &e)) return true;
    if (!fault.failed || e.code != ERR_NO_SPACE) wrong("a step failed otherwise than for want of space", e.msg);
    if (!shows(r->s.store, r->numbers, r->count)) wrong("a step for which there was no space shows", "");
    fault.paused = true;
    unsigned left = script_files(&r->s);
    fault.paused = false;
    for (unsigned i = 0; i < 3; i++) script_act(&r->s, a, &e);
    fault.paused = true;
    if (script_files(&r->s) > left) wrong("a step for which there is no space leaves more files each time", e.msg);
    fault.paused = false;
    return false;
}

/* Goes on until three requests or steps were refused, then there is space, and all is as if nothing had been. */
static void full(struct run *r) {
    unsigned refused = 0;
    if (!script_open(&r->s, &r->e)) {
        if (r->e.code != ERR_NO_SPACE) wrong("a start on a full disk fails otherwise than for want of space", r->e.msg);
        fault.space_again = true;
        open_again(r);
    }
    for (unsigned i = 0; i < script_action_count; i++) {
        const struct action *a = &script_actions[i];
        struct action one = {.what = ACT_REQUESTS, .first = a->first, .count = 1};
        for (unsigned n = 0; a->what == ACT_REQUESTS && n < a->count; n++, one.first++) {
            struct err e = {0}, why = {0};
            if (!script_act(&r->s, &one, &e)) {
                if (!fault.failed || e.code != ERR_NO_SPACE)
                    wrong("a request was refused otherwise than for want of space", e.msg);
                if (!shows(r->s.store, r->numbers, r->count)) wrong("a refused request left a trace", "");
                if (!store_writable(r->s.store, &why)) wrong("a full disk has stopped the store for good", why.msg);
                if (++refused < 3) continue;
                fault.space_again = true;
                again(r, &one);
            }
            r->numbers[r->count++] = one.first;
        }
        if (a->what == ACT_REQUESTS || a->what == ACT_RESTART) continue;
        if (a->what != ACT_STEP || !try_step(r, a)) {
            fault.space_again |= a->what != ACT_STEP || ++refused >= 3; /* a retention half done shows */
            if (!fault.space_again) continue;
            again(r, a);
        }
        unsigned event;
        if (script_action_event(a, &event)) r->numbers[r->count++] = event;
    }
    fault.space_again = true;
    if (!shows(r->s.store, r->numbers, r->count)) wrong("at the end", "");
    lose_power(r, "power loss at the end of the script", SIM_DROP_ALL);
    script_close(&r->s);
    open_again(r);
    if (!shows(r->s.store, r->numbers, r->count)) wrong("after a restart", "");
    check_files(r);
}

/* ---- all runs ---- */

static _Noreturn void run_one(enum kind kind, uint64_t at, bool *reached) {
    char path[4096];
    alarm(LIMIT_S);
    fault.kind = kind;
    fault.at = at;
    snprintf(path, sizeof path, "%.3000s/%u-photos", home, test_number);
    CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof path, "%.3000s/%u", home, test_number);
    CHECK(mkdir(path, 0700) == 0);
    start_judge();
    io_sim_begin(path, hook, NULL);
    struct run *r = mem_zero(1, sizeof *r);
    r->s = (struct script){.dir = path, .progress = &r->progress};
    this_run = r;
    if (kind == FULL)
        full(r);
    else
        one_failure(r);
    *reached = fault.failed;
    _exit(0);
}

/* What a run says goes to a file of its own: of one that went well nobody wants to see the errors that were made. */
static const char *log_of(unsigned slot, char path[4096]) {
    snprintf(path, 4096, "%.3000s/%u.log", home, slot);
    return path;
}

static void show_failure(unsigned slot) {
    char path[4096], line[1000];
    FILE *log = fopen(log_of(slot, path), "r");
    while (log && fgets(line, sizeof line, log))
        if (strncmp(line, "FAILED", 6) == 0 || strstr(line, "check_failed")) fputs(line, stderr);
    if (log) fclose(log);
}

/* Runs for n = first, first + step, ... until one that the script never came to. */
static unsigned all_of(enum kind kind, uint64_t first, uint64_t step, unsigned *failed) {
    bool *reached = mmap(NULL, AT_ONCE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(reached != MAP_FAILED);
    pid_t pids[AT_ONCE] = {0};
    uint64_t numbers[AT_ONCE];
    unsigned runs = 0, running = 0;
    bool over = false;
    for (uint64_t n = first; !over || running; n += step) {
        unsigned slot = 0;
        char path[4096];
        while (slot < AT_ONCE && pids[slot]) slot++;
        if (!over && slot < AT_ONCE) {
            test_number = slot;
            reached[slot] = false;
            numbers[slot] = n;
            fflush(NULL);
            pids[slot] = fork();
            CHECK(pids[slot] >= 0);
            if (pids[slot] == 0) {
                CHECK(freopen(log_of(slot, path), "w", stderr));
                setvbuf(stderr, NULL, _IOLBF, 0);
                run_one(kind, n, &reached[slot]);
            }
            running++;
            if (running < AT_ONCE) continue;
        }
        int status;
        pid_t ended = wait(&status);
        for (slot = 0; pids[slot] != ended; slot++) CHECK(slot < AT_ONCE);
        if (WIFSIGNALED(status))
            fprintf(stderr, "FAILED --only %s %" PRIu64 ": ended by signal %d\n", kind_names[kind], numbers[slot],
                    WTERMSIG(status));
        if (status) (*failed)++;
        over |= status == 0 && !reached[slot];
        pids[slot] = 0;
        running--;
        runs++;
        snprintf(path, sizeof path, "%.3000s/%u", home, slot);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        snprintf(path, sizeof path, "%.3000s/%u-photos", home, slot);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (status) show_failure(slot);
    }
    munmap(reached, AT_ONCE);
    printf("faults: %-8s %u runs\n", kind_names[kind], runs);
    return runs;
}

int main(int argc, char **argv) {
    const char *above = getenv("TMPDIR");
    if (!above) above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(home, sizeof home, "%.3000s/faults-XXXXXX", above);
    CHECK(mkdtemp(home));
    hash_init();
    guard_init();
    log_set_level(LOG_ERROR);
    if (argc == 4 && strcmp(argv[1], "--only") == 0) {
        bool reached;
        for (enum kind k = 0; k < KINDS; k++)
            if (strcmp(argv[2], kind_names[k]) == 0) run_one(k, strtoull(argv[3], NULL, 10), &reached);
        return 2;
    }
    bool all = argc == 2 && strcmp(argv[1], "--long") == 0;
    unsigned failed = 0, runs = 0;
    runs += all_of(EIO_ONCE, 1, all ? 1 : 3, &failed);
    runs += all_of(SHORT_THEN_EIO, 2, all ? 1 : 11, &failed);
    runs += all_of(ENOSPC_ONCE, 3, all ? 1 : 11, &failed);
    runs += all_of(FULL, 4, all ? 1 : 17, &failed);
    nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    printf("%u passed, %u failed\n", runs - failed, failed);
    return failed != 0;
}
