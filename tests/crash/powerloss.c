/* Power loss at every operation of a fixed script (script.h) on a simulated disk (io_sim.h).
 *
 * A child runs the script. Before each operation that changes something it stops, and several photos are made of what
 * could be on the platter then; a fresh process opens the store on each and compares it with what was acknowledged:
 * everything acknowledged is there, each further event that was under way is there whole or not at all, in order,
 * nothing else is. Second stage: at an operation a copy of the child begins as after kill -9 (what was written is
 * there, synced or not), opens the store, goes on, and is photographed in the same way.
 *
 *   powerloss [--seed S] [--photos K] [--kill-every N]     a kill at every N-th operation and at the first of each
 * kind; after a kill, photos before every fifth operation powerloss --long                kills and photos at every
 * operation powerloss --prove SITE...       each site's sync is taken away in turn: every one must be missed powerloss
 * --without SITE        the same for one, to look at what goes wrong powerloss --at N [--killed M] [--photo SEED] one
 * moment alone: operation N, after a kill at operation M */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
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
#include "base/log.h"
#include "base/mem.h"
#include "io_sim.h"
#include "script.h"

enum { WORKERS = 2, MOST_PHOTOS = 64 };

static struct {
    uint64_t seed, at, killed, photo;
    unsigned photos, kill_every, look_every; /* look_every: after a kill */
    bool one_photo, quiet, stop_at_first;
    const char *without;
} options = {.seed = 1, .photos = 4, .kill_every = 61, .look_every = 5};

/* Between the processes of one worker. */
struct board {
    struct progress progress[2];
    unsigned stage;          /* 0, or 1 after a kill */
    bool opened;             /* stage 1: the store was opened after the kill, with `base` requests in it */
    unsigned base;           /* events of the first stage */
    uint64_t number, killed; /* the operation photographed; that of the kill */
    char what[128];
    uint64_t seeds[MOST_PHOTOS];
    unsigned photos;
    char broken[600]; /* what the child itself found wrong */
    atomic_uint taken, failed;
    char first_failure[200];
};

static char home[4096];              /* of this run, in memory if there is /dev/shm */
static unsigned worker, sharing = 1; /* how many share the operations of one run */
static struct board *board;
static int to_judge[2], to_child[2];

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static const char *folder(char path[4096], const char *name, unsigned number) {
    snprintf(path, 4096, "%.3000s/%u-%s-%u", home, worker, name, number);
    return path;
}

static const char *empty_folder(char path[4096], const char *name, unsigned number) {
    remove_tree(folder(path, name, number));
    CHECK(mkdir(path, 0700) == 0);
    return path;
}

/* ---- the child ---- */

static uint64_t mix(uint64_t a, uint64_t b) { return (a ^ b << 20 ^ b >> 44) * 0x9e3779b97f4a7c15u ^ a >> 29; }

static void tell_judge(char what) {
    char answer;
    if (write(to_judge[1], &what, 1) != 1 || read(to_child[0], &answer, 1) != 1)
        _exit(0); /* the judge has seen enough */
}

static void photograph(uint64_t number, const char *what) {
    char path[4096];
    board->number = number;
    snprintf(board->what, sizeof board->what, "%s", what);
    board->photos = options.one_photo ? 1 : options.photos;
    for (unsigned i = 0; i < board->photos; i++) {
        uint64_t random = SIM_RANDOM + (mix(mix(options.seed, number), mix(board->killed, i)) >> 1);
        board->seeds[i] = options.one_photo            ? options.photo
                          : i < 2 && board->stage == 0 ? i
                          : i == 0                     ? SIM_DROP_ALL
                                                       : random;
        io_sim_photo(empty_folder(path, "photo", i), board->seeds[i]);
    }
    tell_judge('p');
}

static bool mine(uint64_t number) { return options.at ? options.at == number : number % sharing == worker % sharing; }

static void second_life(uint64_t number);

/* What an operation is, whatever the number of the file or the length of the write. */
static void kind_of(const struct io_sim_event *event, char kind[100]) {
    const char *what = event->op == SIM_WRITE || event->op == SIM_TRUNCATE ? event->path : event->what;
    const char *name = strrchr(what, '/') ? strrchr(what, '/') + 1 : what;
    size_t n = (size_t)snprintf(kind, 100, "%s ", io_sim_op_names[event->op]);
    for (; *name && n < 99; name++)
        if (!strchr("0123456789abcdef", *name)) kind[n++] = *name; /* pictures are called after their hash */
    kind[n] = '\0';
}

/* The first and the second of each kind. Two, since the first may be when the store is made. */
static bool is_new_kind(const struct io_sim_event *event) {
    static char seen[200][100];
    static unsigned times[200], count;
    char kind[100];
    unsigned i = 0;
    kind_of(event, kind);
    while (i < count && strcmp(seen[i], kind) != 0) i++;
    if (i == count) {
        CHECK(count < 200);
        memcpy(seen[count++], kind, sizeof kind);
    }
    return times[i]++ < 2 && (i + times[i]) % sharing == worker % sharing;
}

static bool kills_here(const struct io_sim_event *event) {
    if (options.killed) return options.killed == event->number;
    if (options.at || !options.kill_every) return false;
    bool due = mine(event->number / options.kill_every) &&
               event->number % options.kill_every == options.seed % options.kill_every;
    return is_new_kind(event) || due;
}

/* After a kill. */
static bool looks_here(uint64_t number) {
    return options.at ? options.at == number : (number + board->killed + options.seed) % options.look_every == 0;
}

static int before_operation(void *ctx, struct io_sim_event *event) {
    (void)ctx;
    char what[100];
    if (event->op >= SIM_OPEN) return 0;
    snprintf(what, sizeof what, "%s %.80s", io_sim_op_names[event->op], event->what);
    if (board->stage == 1) {
        if (looks_here(event->number - board->killed)) photograph(event->number - board->killed, what);
        return 0;
    }
    if (!options.killed && mine(event->number)) photograph(event->number, what);
    if (!kills_here(event)) return 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) second_life(event->number);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    board->stage = 0;
    board->killed = 0;
    if (status != 0) {
        snprintf(board->broken, sizeof board->broken,
                 "the program that was started after a kill at operation %" PRIu64 " ended with status %d",
                 event->number, status);
        tell_judge('b');
    }
    return 0;
}

static _Noreturn void broken(const char *doing, const struct err *e) {
    snprintf(board->broken, sizeof board->broken, "%s: %s", doing, e->msg);
    tell_judge('b');
    _exit(0);
}

static unsigned expected_events(unsigned *events, unsigned stage, unsigned base, unsigned count) {
    unsigned n = 0;
    for (; n < (stage ? base : count); n++) events[n] = script_event(n);
    for (unsigned i = 0; stage && i < count; i++) events[n++] = script_extra_event(i);
    return n;
}

/* How many of the first stage's events a store shows; -1: no such number. */
static int events_shown(struct store *store, unsigned least, unsigned most) {
    unsigned events[SCRIPT_ALL];
    struct buf shown = {0}, want = {0};
    int found = -1;
    script_show(store, &shown);
    for (unsigned n = least; n <= most && found < 0; n++) {
        want.n = 0;
        script_expect(events, expected_events(events, 0, 0, n), &want);
        if (str_eq(buf_str(&shown), buf_str(&want))) found = (int)n;
    }
    buf_free(&shown);
    buf_free(&want);
    return found;
}

/* In a copy of the child, on the thread that was about to do the operation: everything but what was written is gone. */
static _Noreturn void second_life(uint64_t number) {
    char path[4096];
    struct err e = {0};
    struct progress *before = &board->progress[0], *p = &board->progress[1];
    memcpy(p, before, sizeof *p);
    board->stage = 1;
    board->opened = false;
    board->killed = number;
    io_sim_move(empty_folder(path, "second", 0));
    struct script s = {.dir = path, .progress = p};
    if (!script_open(&s, &e)) broken("opening after a kill", &e);
    int base = events_shown(s.store, atomic_load(&p->acked), atomic_load(&p->submitted));
    if (base < 0 || !script_check(&s, &e)) {
        if (base < 0) err_set(&e, ERR_DAMAGED, "what is there is not what was acknowledged");
        broken("after a kill", &e);
    }
    board->base = (unsigned)base;
    atomic_store(&p->acked, 0);
    atomic_store(&p->submitted, 0);
    board->opened = true;
    if (!script_second(&s, &e)) broken("going on after a kill", &e);
    _exit(0);
}

static _Noreturn void run_child(void) {
    char path[4096];
    struct err e = {0};
    io_sim_begin(empty_folder(path, "data", 0), before_operation, NULL);
    io_sim_ignore(options.without);
    struct script s = {.dir = path, .progress = &board->progress[0]};
    if (!script_first(&s, &e)) broken("the script", &e);
    if (!options.at && !options.killed && worker % sharing == 0) photograph(0, "the end");
    _exit(0);
}

/* ---- the judge ---- */

/* What is expected after `count` events, kept since many photos ask for the same. */
static struct str expected(unsigned stage, unsigned base, unsigned count) {
    static struct buf cache[2][SCRIPT_ALL + 1][SCRIPT_ALL + 1];
    unsigned events[SCRIPT_ALL];
    struct buf *b = &cache[stage][stage ? base : 0][count];
    if (b->n == 0) script_expect(events, expected_events(events, stage, base, count), b);
    return buf_str(b);
}

static void show_difference(struct str got, struct str want) {
    size_t at = 0, line = 0;
    while (at < got.n && at < want.n && got.p[at] == want.p[at]) at++;
    for (line = at; line > 0 && got.p[line - 1] != '\n';) line--;
    fprintf(stderr, "    there:    %.*s\n    expected: %.*s\n", (int)strcspn(got.p + line, "\n"), got.p + line,
            (int)(want.n > line ? strcspn(want.p + line, "\n") : 0), want.n > line ? want.p + line : "");
}

/* One more request, every step of the keeper, a clean end, another start: all as it was, and the request with it. */
static bool lives_on(struct script *s, struct err *e) {
    struct buf before = {0}, after = {0};
    static const enum store_step steps[] = {STEP_FREEZE, STEP_SEAL, STEP_FOLD, STEP_MERGE, STEP_COMPACT};
    bool ok = script_request(s, SCRIPT_EXTRA + 2, e) && store_checkpoint(s->store, e);
    for (unsigned i = 0; ok && i < 2 * sizeof steps / sizeof *steps; i++)
        ok = store_step(s->store, i % 2 ? SCRIPT_WORKSPACE_B : SCRIPT_WORKSPACE_A, steps[i / 2], 0, e);
    if (ok) script_show(s->store, &before);
    script_close(s);
    if (!ok || !script_open(s, e)) {
        buf_free(&before);
        return err_wrap(e, "going on");
    }
    script_show(s->store, &after);
    ok = str_eq(buf_str(&before), buf_str(&after)) || err_set(e, ERR_DAMAGED, "a later start shows something else");
    buf_free(&before);
    buf_free(&after);
    script_close(s);
    return ok;
}

static bool judge_photo(const char *path, unsigned least, unsigned most, bool go_on, struct err *e) {
    struct progress *p = &board->progress[board->stage], mine_only;
    struct script s = {.dir = path, .progress = p};
    unsigned stage = board->stage && board->opened, base = board->base;
    if (!script_open(&s, e)) return err_wrap(e, "opening");
    struct buf shown = {0};
    script_show(s.store, &shown);
    bool ok = false;
    for (unsigned n = least; n <= most && !ok; n++) ok = str_eq(buf_str(&shown), expected(stage, base, n));
    if (!ok) {
        err_set(e, ERR_DAMAGED, "what is there is not what was acknowledged (%u to %u events%s)", least, most,
                stage ? " after a kill" : "");
        buf_addc(&shown, '\0');
        show_difference((struct str){shown.p, shown.n - 1}, expected(stage, base, least));
    }
    buf_free(&shown);
    ok = ok && script_check(&s, e) && (store_checkpoint(s.store, e) || err_wrap(e, "checkpoint")) &&
         script_check_files(&s, e);
    if (!ok || !go_on) {
        script_close(&s);
        return ok;
    }
    memcpy(&mine_only, p, sizeof mine_only);
    s.progress = &mine_only;
    return lives_on(&s, e);
}

static _Noreturn void judge_all(unsigned least, unsigned most) {
    char path[4096];
    unsigned bad = 0;
    for (unsigned i = 0; i < board->photos; i++) {
        struct err e = {0};
        if (judge_photo(folder(path, "photo", i), least, most, i + 1 == board->photos, &e)) continue;
        bad++;
        fprintf(stderr, "FAILED --at %" PRIu64, board->number);
        if (board->killed) fprintf(stderr, " --killed %" PRIu64, board->killed);
        fprintf(stderr, " --photo %" PRIu64 " (before: %s): %s\n", board->seeds[i], board->what, e.msg);
    }
    _exit((int)bad);
}

static void judge(char message) {
    if (message == 'b') {
        atomic_fetch_add(&board->failed, 1);
        if (!options.quiet) fprintf(stderr, "FAILED (killed at %" PRIu64 "): %s\n", board->killed, board->broken);
        snprintf(board->first_failure, sizeof board->first_failure, "killed at %" PRIu64 ": %.150s", board->killed,
                 board->broken);
        return;
    }
    struct progress *p = &board->progress[board->stage];
    unsigned stage = board->stage && board->opened, least = atomic_load(&p->acked), most = atomic_load(&p->submitted);
    for (unsigned n = least; n <= most; n++) expected(stage, board->base, n);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (options.quiet) CHECK(freopen("/dev/null", "w", stderr));
        judge_all(least, most);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    unsigned bad = WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : board->photos;
    if (!WIFEXITED(status) && !options.quiet)
        fprintf(stderr, "FAILED --at %" PRIu64 ": the program broke, signal %d\n", board->number, WTERMSIG(status));
    atomic_fetch_add(&board->taken, board->photos);
    atomic_fetch_add(&board->failed, bad);
    if (bad && !board->first_failure[0])
        snprintf(board->first_failure, sizeof board->first_failure, "before operation %" PRIu64 " (%.100s)%s",
                 board->number, board->what, board->killed ? " after a kill" : "");
}

/* One run of the script: photographed and judged. */
static void run(void) {
    memset(board, 0, sizeof *board);
    CHECK(pipe(to_judge) == 0 && pipe(to_child) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(to_judge[0]), close(to_child[1]);
        run_child();
    }
    close(to_judge[1]), close(to_child[0]);
    char message;
    bool stopped = false;
    while (read(to_judge[0], &message, 1) == 1) {
        judge(message);
        stopped = options.stop_at_first && atomic_load(&board->failed);
        if (stopped) break;
        CHECK(write(to_child[1], "g", 1) == 1);
    }
    if (stopped) kill(child, SIGKILL);
    close(to_judge[0]), close(to_child[1]); /* whoever still asks is told by SIGPIPE */
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (stopped || status == 0) return;
    atomic_fetch_add(&board->failed, 1);
    fprintf(stderr, "FAILED: the child ended with status %d\n", status);
}

/* ---- the runs ---- */

static struct board *new_board(void) {
    struct board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(b != MAP_FAILED);
    return b;
}

static int everything(void) {
    struct board *boards[WORKERS];
    unsigned taken = 0, failed = 0;
    pid_t pids[WORKERS];
    sharing = WORKERS;
    for (worker = 0; worker < WORKERS; worker++) {
        boards[worker] = board = new_board();
        pids[worker] = fork();
        CHECK(pids[worker] >= 0);
        if (pids[worker]) continue;
        run();
        _exit(0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        taken += atomic_load(&boards[i]->taken);
        failed += atomic_load(&boards[i]->failed) + (status != 0);
    }
    printf("powerloss: seed %" PRIu64 ", %u photos%s%s\n", options.seed, taken,
           options.without ? " without the sync " : "", options.without ? options.without : "");
    printf("%u passed, %u failed\n", taken - (failed < taken ? failed : taken), failed);
    return failed != 0 || taken == 0;
}

/* Syncs whose lack cannot be missed here: one that nothing rests on, and those of what the script does not do. */
static const char *exempt(const char *site) {
    static const char *const list[][2] = {
        {"journal.make", "is there for speed alone: the writer's first sync finds the zeros on disk"},
        {"datadir.name", "is of a folder above what the photos show; its proof is tests/unit/test_datadir.c"},
        {"backup.", "is proved in tests/unit/test_backup.c, all_is_on_disk_before_it_is_whole"},
        {"repair.", "is proved in tests/unit/test_check.c, what_is_set_aside_is_on_disk"},
    };
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        size_t n = strlen(list[i][0]);
        bool family = list[i][0][n - 1] == '.';
        if (family ? strncmp(site, list[i][0], n) == 0 : strcmp(site, list[i][0]) == 0) return list[i][1];
    }
    return NULL;
}

/* Every sync of the script, to know what it does not come to. */
static struct sites {
    char names[64][64];
    unsigned count;
} * reached; /* in shared memory */

static void find_sites(void) {
    reached = mmap(NULL, sizeof *reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(reached != MAP_FAILED);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char path[4096];
        const char *sites[64];
        struct err e = {0};
        struct progress progress = {0};
        struct script s = {.dir = path, .progress = &progress};
        io_sim_begin(empty_folder(path, "data", 0), NULL, NULL);
        CHECK(script_first(&s, &e));
        reached->count = io_sim_sites(sites, 64);
        for (unsigned i = 0; i < reached->count; i++)
            snprintf(reached->names[i], sizeof reached->names[i], "%s", sites[i]);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static bool is_reached(const char *site) {
    for (unsigned i = 0; i < reached->count; i++)
        if (strcmp(reached->names[i], site) == 0) return true;
    return false;
}

static bool prove(const char *site, char verdict[400]) {
    const char *why = exempt(site);
    if (why) return snprintf(verdict, 400, "exempt: it %s", why), true;
    if (!is_reached(site)) return snprintf(verdict, 400, "NOT MISSED: the script does not sync there"), false;
    options.without = site;
    options.look_every = 2; /* it ends with the first that is missed */
    run();
    if (atomic_load(&board->failed))
        return snprintf(verdict, 400, "missed in photo %u, %s", atomic_load(&board->taken), board->first_failure), true;
    snprintf(verdict, 400, "NOT MISSED in %u photos: nothing proves that this sync is needed",
             atomic_load(&board->taken));
    return false;
}

static int prove_all(char **sites, unsigned count) {
    unsigned failed = 0;
    pid_t pids[64];
    options.quiet = options.stop_at_first = true;
    CHECK(count <= 64);
    find_sites();
    for (unsigned done = 0, begun = 0; done < count; done++) {
        for (; begun < count && begun < done + WORKERS; begun++) {
            fflush(stdout);
            pids[begun] = fork();
            CHECK(pids[begun] >= 0);
            if (pids[begun]) continue;
            char verdict[400];
            worker = begun;
            board = new_board();
            bool ok = prove(sites[begun], verdict);
            printf("%s %-24s %s\n", ok ? "ok    " : "FAILED", sites[begun], verdict);
            fflush(stdout);
            _exit(!ok);
        }
        int status;
        CHECK(waitpid(pids[done], &status, 0) == pids[done]);
        failed += status != 0;
    }
    printf("%u passed, %u failed\n", count - failed, failed);
    return failed != 0;
}

static void make_home(void) {
    const char *above = getenv("TMPDIR");
    if (!above) above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(home, sizeof home, "%.3000s/powerloss-XXXXXX", above);
    CHECK(mkdtemp(home));
}

int main(int argc, char **argv) {
    int first_site = 0;
    for (int i = 1; i < argc && !first_site; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--prove") == 0)
            first_site = i + 1;
        else if (strcmp(argv[i], "--long") == 0)
            options.photos = 6, options.kill_every = options.look_every = 1;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            options.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--photos") == 0 && more)
            options.photos = (unsigned)atol(argv[++i]);
        else if (strcmp(argv[i], "--kill-every") == 0 && more)
            options.kill_every = (unsigned)atol(argv[++i]);
        else if (strcmp(argv[i], "--without") == 0 && more)
            options.without = argv[++i];
        else if (strcmp(argv[i], "--at") == 0 && more)
            options.at = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--killed") == 0 && more)
            options.killed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--photo") == 0 && more)
            options.photo = strtoull(argv[++i], NULL, 10), options.one_photo = true;
        else {
            fprintf(stderr, "powerloss: what is %s? The top of tests/crash/powerloss.c says what there is\n", argv[i]);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_DFL);
    log_set_level(LOG_ERROR);
    hash_init();
    guard_init();
    make_home();
    int failed = first_site ? prove_all(argv + first_site, (unsigned)(argc - first_site)) : everything();
    remove_tree(home);
    return failed;
}
