/* The model checker: long random sequences of everything a workspace can go through, against the store and against a
 * naive model of it (model.h), the answers compared by content.
 *
 *   model [--sequences N] [--steps N] [--first SEED]   sequences of the seeds FIRST, FIRST + 1, ..., one of a random
 * seed, and the scripted one; what was met is printed, and what was not makes it fail model --seed SEED [--steps N]
 * [--only STEPS]       one sequence, or only these of its steps: 3,7,40 model --quick stops at the first failure, says
 * nothing of what was met
 *
 * A failure names seed and step, and a shorter sequence that still fails, if one is found at once. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "run.h"

enum { WORKERS = 2, LIMIT_S = 120, SHRINK_RUNS = 150, STEPS_MOST = 100000 };

static struct {
    unsigned sequences, steps;
    uint64_t first, seed;
    bool one, quick;
    bool *left_out;
} options = {.sequences = 60, .steps = 400, .first = 1};

static struct board *board;

static void *shared(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* ---- a sequence in a process of its own ---- */

#define SCRIPTED UINT64_MAX

struct job {
    pid_t pid;
    uint64_t seed;
    struct trail *trail;
};

static void start(struct job *job, uint64_t seed, const bool *left_out, bool quiet) {
    static struct board *unseen;
    if (!unseen) unseen = shared(sizeof *unseen);
    fflush(stdout);
    job->seed = seed;
    memset(job->trail, 0, sizeof *job->trail);
    job->pid = fork();
    CHECK(job->pid >= 0);
    if (job->pid) return;
    if (quiet) CHECK(freopen("/dev/null", "w", stderr));
    alarm(LIMIT_S);
    if (seed == SCRIPTED)
        run_limits(board, job->trail);
    else
        run_sequence(seed, options.steps, left_out, quiet ? unseen : board, job->trail);
    _exit(0);
}

static int wait_for(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

/* ---- failures ---- */

static bool fails(uint64_t seed, const bool *left_out, struct trail *trail) {
    struct job job = {.trail = trail};
    start(&job, seed, left_out, true);
    return wait_for(job.pid) != 0;
}

/* Leaves out runs of steps, shorter and shorter ones, as long as it still fails. */
static void shrink(uint64_t seed, unsigned last, bool *left_out) {
    struct trail *trail = shared(sizeof *trail);
    unsigned runs = 0;
    bool *tried = mem_zero(options.steps + 1, sizeof *tried);
    for (unsigned i = last + 1; i <= options.steps; i++) left_out[i] = true;
    for (unsigned size = (last + 1) / 2; size > 0 && runs < SHRINK_RUNS; size /= 2)
        for (unsigned from = 1; from <= last && runs < SHRINK_RUNS; from += size) {
            unsigned dropped = 0;
            memcpy(tried, left_out, (options.steps + 1) * sizeof *tried);
            for (unsigned i = from; i < from + size && i <= last; i++) {
                dropped += !tried[i];
                tried[i] = true;
            }
            if (dropped == 0) continue;
            runs++;
            if (fails(seed, tried, trail)) memcpy(left_out, tried, (options.steps + 1) * sizeof *tried);
        }
    free(tried);
}

static void print_trail(const struct trail *t, int status) {
    if (WIFSIGNALED(status))
        printf("  the process ended with signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (t->why[0]) printf("  %s\n", t->why);
    printf("  the last steps:\n");
    for (unsigned i = t->line > LINES ? t->line - LINES : 0; i < t->line; i++) printf("    %s\n", t->lines[i % LINES]);
}

static void tell(const struct job *job, int status) {
    if (job->seed == SCRIPTED) {
        printf("FAILED: the scripted sequence\n");
        print_trail(job->trail, status);
        return;
    }
    printf("FAILED: seed %" PRIu64 ", step %u\n", job->seed, job->trail->step);
    print_trail(job->trail, status);
    printf("  again: --seed %" PRIu64 " --steps %u\n", job->seed, options.steps);
    if (options.quick || options.left_out) return;
    bool *left_out = mem_zero(options.steps + 1, sizeof *left_out);
    unsigned left = 0;
    shrink(job->seed, job->trail->step, left_out);
    for (unsigned i = 1; i <= options.steps; i++) left += !left_out[i];
    printf("  shorter, %u steps: --seed %" PRIu64 " --steps %u --only ", left, job->seed, options.steps);
    for (unsigned i = 1, n = 0; i <= options.steps; i++)
        if (!left_out[i]) printf("%s%u", n++ ? "," : "", i);
    printf("\n");
    free(left_out);
}

/* ---- what was met ---- */

static const char *const cover_texts[COVERS] = {
#define X(name, text) text,
    COVER_MAP(X)
#undef X
};
static const char *const operation_texts[OPERATIONS] = {
#define X(name, text) text,
    OPERATION_MAP(X)
#undef X
};

static unsigned print_covers(void) {
    unsigned missed = 0;
    printf("%-12s %10s %10s %10s %10s\n", "", "done", "kill", "power loss", "fault");
    for (unsigned i = 0; i < OPERATIONS; i++) {
        bool idle = i == OP_FREEZE || i == OP_EXPIRE; /* they do nothing to files */
        printf("%-12s %10" PRIu64, operation_texts[i], board->operations[i]);
        missed += board->operations[i] == 0;
        for (unsigned a = ACCIDENT_KILL; a < ACCIDENTS; a++) {
            printf(" %10" PRIu64, board->accidents[i][a]);
            missed += !idle && board->accidents[i][a] == 0;
        }
        printf("\n");
    }
    for (unsigned i = 0; i < COVERS; i++) {
        printf("%10" PRIu64 "  %s%s\n", board->covers[i], cover_texts[i], board->covers[i] ? "" : "  NEVER MET");
        missed += board->covers[i] == 0;
    }
    printf("%" PRIu64 " steps, %" PRIu64 " rows, %" PRIu64 " queries\n", board->steps, board->rows, board->queries);
    return missed;
}

/* ---- all of it ---- */

/* The scripted one, then the fixed seeds, last the random one. */
static uint64_t seed_at(unsigned n) {
    if (n == 0) return SCRIPTED;
    return n <= options.sequences ? options.first + n - 1 : options.seed;
}

static unsigned run_all(void) {
    struct job jobs[WORKERS] = {0};
    unsigned begun = 0, count = options.sequences + 2, failed = 0, running = 0;
    for (unsigned i = 0; i < WORKERS; i++) jobs[i].trail = shared(sizeof(struct trail));
    while (begun < count || running) {
        for (unsigned i = 0; i < WORKERS && begun < count && !(options.quick && failed); i++) {
            if (jobs[i].pid) continue;
            start(&jobs[i], seed_at(begun++), NULL, false);
            running++;
        }
        if (!running) break;
        int status;
        pid_t pid = wait(&status);
        CHECK(pid > 0);
        for (unsigned i = 0; i < WORKERS; i++) {
            if (jobs[i].pid != pid) continue;
            jobs[i].pid = 0;
            running--;
            if (status == 0) continue;
            failed++;
            tell(&jobs[i], status);
        }
    }
    return failed;
}

static bool read_only(const char *list) {
    options.left_out = mem_alloc((STEPS_MOST + 1) * sizeof *options.left_out);
    memset(options.left_out, true, STEPS_MOST + 1);
    for (char *end; *list; list = *end ? end + 1 : end) {
        unsigned long n = strtoul(list, &end, 10);
        if (end == list || n > STEPS_MOST) return false;
        options.left_out[n] = false;
    }
    return true;
}

static bool read_options(int argc, char **argv) {
    bool ok = true;
    for (int i = 1; i < argc && ok; i++) {
        const char *more = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
            continue;
        }
        if (!more) return false;
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0)
            options.seed = strtoull(more, NULL, 10), options.one = true;
        else if (strcmp(argv[i - 1], "--steps") == 0)
            options.steps = (unsigned)strtoul(more, NULL, 10);
        else if (strcmp(argv[i - 1], "--sequences") == 0)
            options.sequences = (unsigned)strtoul(more, NULL, 10);
        else if (strcmp(argv[i - 1], "--first") == 0)
            options.first = strtoull(more, NULL, 10);
        else if (strcmp(argv[i - 1], "--only") == 0)
            ok = read_only(more);
        else
            ok = false;
    }
    return ok && options.steps <= STEPS_MOST;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_options(argc, argv)) {
        fprintf(stderr, "model: the top of tests/model/main.c says what may be given\n");
        return 2;
    }
    board = shared(sizeof *board);
    if (options.one) {
        struct job job = {.trail = shared(sizeof(struct trail))};
        start(&job, options.seed, options.left_out, false);
        int status = wait_for(job.pid);
        if (status)
            tell(&job, status);
        else
            printf("passed: seed %" PRIu64 "\n", options.seed);
        return status != 0;
    }
    CHECK(getrandom(&options.seed, 4, 0) == 4);
    printf("model: seeds %" PRIu64 " to %" PRIu64 " and %" PRIu64 ", %u steps each\n", options.first,
           options.first + options.sequences - 1, options.seed, options.steps);
    unsigned failed = run_all(), missed = options.quick ? 0 : print_covers();
    printf("%u passed, %u failed", options.sequences + 2 - failed, failed);
    if (missed) printf(", %u things never met", missed);
    printf("\n");
    return failed || missed;
}
