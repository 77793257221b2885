/* Files that say something else than what was written: cut at every 64 bytes, and with one bit flipped in every 64
 * bytes, one file at a time, under a store left by a kill in the middle of the script (script.h).
 *
 * What is checked: damage is named and never served. A manifest or a log refuses the start and is named in the error; a
 * segment is set aside, and the rest is served; a torn journal loses nothing but its end. When the file is as it was
 * before, everything is there again, and what was written to the damaged segment's ids meanwhile with it.
 *
 *   damage [--seed S] [--long]          some places in each file; --long: all of them
 *   damage --only FILE cut|flip AT      one alone; FILE as it is printed, AT in bytes */
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "scratch.h"
#include "script.h"
#include "store/manifest.h"

enum { ACTIONS = 65, BLOCK = 64, SOME = 24, WORKERS = 2, PATH = 4096, MOST_FILES = 200 };
enum kind { MANIFEST, WORKSPACE_LOG, SEGMENT, JOURNAL, NONE };

static struct {
    char path[PATH]; /* under the store's folder */
    enum kind kind;
    size_t size;
} files[MOST_FILES];
static unsigned file_count;
static char home[PATH], base[PATH]; /* base: the store as the kill left it */
static struct progress progress;
static unsigned events[SCRIPT_ALL], event_count;
static uint64_t seed = 1;

/* ---- the store that is damaged ---- */

static enum kind kind_of(const char *path) {
    if (strcmp(path, "MANIFEST") == 0) return MANIFEST;
    if (strstr(path, "/log-")) return WORKSPACE_LOG;
    if (strstr(path, ".arrow")) return SEGMENT;
    return strstr(path, ".journal") ? JOURNAL : NONE;
}

static int note_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)ftw;
    const char *below = path + strlen(base) + 1;
    if (type != FTW_F || kind_of(below) == NONE) return 0;
    CHECK(file_count < MOST_FILES);
    files[file_count].kind = kind_of(below);
    files[file_count].size = (size_t)st->st_size;
    snprintf(files[file_count++].path, PATH, "%s", below);
    return 0;
}

static void make_base(void) {
    char dir[PATH];
    struct err e = {0};
    struct script s = {.dir = dir, .progress = &progress};
    snprintf(dir, PATH, "%.3000s/run", home);
    snprintf(base, PATH, "%.3000s/base", home);
    CHECK(mkdir(dir, 0700) == 0 && script_open(&s, &e));
    for (unsigned i = 0; i < ACTIONS; i++)
        if (!script_act(&s, &script_actions[i], &e)) {
            fprintf(stderr, "damage: action %u: %s\n", i, e.msg);
            exit(1);
        }
    event_count = atomic_load(&progress.acked);
    for (unsigned n = 0; n < event_count; n++) events[n] = script_event(n);
    events[event_count] = SCRIPT_EXTRA + 1;
    scratch_copy_tree(dir, base);
    script_close(&s);
    nftw(base, note_file, 16, FTW_PHYS);
}

/* ---- one place in one file ---- */

struct spot {
    unsigned file;
    bool cut;
    size_t at;
};

static _Noreturn void wrong(const struct spot *p, const char *what, const char *more) {
    fprintf(stderr, "FAILED --only %s %s %zu: %s%s%s\n", files[p->file].path, p->cut ? "cut" : "flip", p->at, what,
            *more ? ": " : "", more);
    _exit(1);
}

static void do_damage(const struct spot *p, const char *path) {
    struct buf bytes = scratch_read(path);
    if (p->cut) {
        bytes.n = p->at;
    } else {
        size_t length = bytes.n - p->at < BLOCK ? bytes.n - p->at : BLOCK, dice = p->at * 2654435761u + seed * 40503u;
        bytes.p[p->at + dice / 8 % length] ^= (char)(1 << dice % 8);
    }
    scratch_write(path, buf_str(&bytes));
    buf_free(&bytes);
}

static bool shows(struct store *store, unsigned count) {
    struct buf shown = {0}, want = {0};
    script_show(store, &shown);
    script_expect(events, count, &want);
    bool same = str_eq(buf_str(&shown), buf_str(&want));
    buf_free(&shown);
    buf_free(&want);
    return same;
}

/* All that a reader can ask a segment for, in its order. Under a guard. */
static void read_segment(const struct segment *g) {
    struct arena a = {0};
    struct inference inf;
    struct change *history;
    for (uint32_t row = 0; row < g->rows; row++) {
        segment_inference(g, row, &a, &inf);
        segment_history(g, row, &a, &history);
        for (uint32_t f = 0; f < g->field_count; f++) segment_value(segment_field(g, f), row);
    }
    for (unsigned c = 0; c < SEG_COLUMNS; c++) segment_column(g, c);
    arena_free(&a);
}

/* Reads all segments. The path of one that is set aside, or now is, goes to `named`; of two: wrong. */
static void read_segments(const struct spot *p, struct store *store, char named[PATH]) {
    static const uint32_t workspaces[] = {SCRIPT_WORKSPACE_A, SCRIPT_WORKSPACE_B};
    char name[64];
    named[0] = '\0';
    for (volatile unsigned i = 0; i < 2; i++) {
        struct view *volatile v = store_view(store, workspaces[i]);
        for (volatile size_t n = 0; v && n < v->sealed_count; n++) {
            struct sealed *volatile x = v->sealed[n];
            struct guard g;
            if (!x->set_aside && guard_enter(&g)) {
                guard_blame(x->segment);
                read_segment(x->segment);
                guard_leave(&g);
            } else if (!x->set_aside) {
                if (g.what != x->segment) wrong(p, "a guard blamed another segment", g.e.msg);
                view_set_aside(v, g.what, &g.e);
            }
            if (!x->set_aside) continue;
            if (named[0]) wrong(p, "two segments are set aside", "");
            manifest_segment_name(x->segment->number, x->segment->version, name);
            snprintf(named, PATH, "workspaces/%" PRIu32 "/segments/%s", workspaces[i], name);
        }
        view_release(v);
    }
}

/* The store must show what it did before, and what came since. */
static void check_mended(const struct spot *p, struct script *s, unsigned count) {
    struct err e = {0};
    if (!script_open(s, &e)) wrong(p, "the file is as it was, but the store does not open", e.msg);
    if (script_aside(s->store)) wrong(p, "the file is as it was, but still set aside", "");
    if (!shows(s->store, count)) wrong(p, "the file is as it was, but what is shown is not", "");
    if (!script_check(s, &e)) wrong(p, "the file is as it was, but", e.msg);
    script_close(s);
}

/* After a damaged journal: some first part of what was there. */
static void check_first_part(const struct spot *p, struct store *store) {
    for (unsigned n = event_count + 1; n-- > 0;)
        if (shows(store, n)) return;
    wrong(p, "what is shown was never there", "");
}

static _Noreturn void one_spot(const struct spot *p, const char *dir) {
    char path[PATH], named[PATH];
    struct err e = {0};
    struct script s = {.dir = dir, .progress = &progress};
    unsigned count = event_count;
    enum kind kind = files[p->file].kind;
    scratch_remove_tree(dir);
    scratch_copy_tree(base, dir);
    snprintf(path, PATH, "%.1500s/%.1500s", dir, files[p->file].path);
    struct buf whole = scratch_read(path);
    do_damage(p, path);
    if (!script_open(&s, &e)) {
        if (kind == SEGMENT) wrong(p, "a damaged segment keeps the store from starting", e.msg);
        const char *file = kind == JOURNAL ? strrchr(path, '/') + 1 : files[p->file].path;
        bool short_of_it = kind == JOURNAL && strstr(e.msg, "/journal: the journal ends with");
        if (e.code != ERR_DAMAGED || !(strstr(e.msg, file) || short_of_it)) wrong(p, "the file is not named", e.msg);
        if (kind == JOURNAL) _exit(0);
    } else {
        read_segments(p, s.store, named);
        if (kind == JOURNAL) {
            check_first_part(p, s.store);
            _exit(0);
        }
        if (kind != SEGMENT && named[0]) wrong(p, "a segment is set aside that is not damaged", named);
        if (!named[0] && !shows(s.store, count)) wrong(p, "damage is served", "");
        if (named[0] && strcmp(named, files[p->file].path) != 0) wrong(p, "another segment is set aside", named);
        if (kind == SEGMENT && !script_request(&s, events[count++], &e)) wrong(p, "a write beside it", e.msg);
        script_close(&s);
    }
    /* A log that was read had its damage where nothing stands, and goes on being written. */
    if (kind != WORKSPACE_LOG || e.code != ERR_NONE) scratch_write(path, buf_str(&whole));
    check_mended(p, &s, count);
    _exit(0);
}

/* ---- all of them ---- */

/* The n-th place; false: there are not so many. */
static bool spot_of(size_t n, struct spot *out) {
    for (unsigned f = 0; f < file_count; f++) {
        size_t blocks = (files[f].size + BLOCK - 1) / BLOCK;
        if (n < 2 * blocks) {
            *out = (struct spot){f, n % 2, n / 2 * BLOCK};
            return true;
        }
        n -= 2 * blocks;
    }
    return false;
}

static void work(unsigned worker, size_t step) {
    char dir[PATH], log[PATH];
    unsigned failed = 0, done = 0;
    struct spot p;
    snprintf(dir, PATH, "%.3000s/%u", home, worker);
    snprintf(log, PATH, "%.3000s/%u.log", home, worker);
    for (size_t n = seed % step; spot_of(n, &p); n += step) {
        if (++done % WORKERS != worker) continue;
        if (files[p.file].kind == JOURNAL && p.at / BLOCK % 8) continue; /* tests/unit has more of these */
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(60);
            CHECK(freopen(log, "w", stderr)); /* what went well should not be told */
            setvbuf(stderr, NULL, _IOLBF, 0);
            one_spot(&p, dir);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status == 0) continue;
        failed++;
        struct buf text = scratch_read(log);
        if (WIFSIGNALED(status))
            fprintf(stderr, "FAILED --only %s %s %zu: signal %d\n", files[p.file].path, p.cut ? "cut" : "flip", p.at,
                    WTERMSIG(status));
        fwrite(text.p, 1, text.n, stderr);
        buf_free(&text);
    }
    _exit(failed > 255 ? 255 : (int)failed);
}

static int only(const char *path, const char *kind, const char *at) {
    char dir[PATH];
    struct spot p = {.cut = strcmp(kind, "cut") == 0, .at = strtoull(at, NULL, 10)};
    while (p.file < file_count && strcmp(files[p.file].path, path) != 0) p.file++;
    if (p.file == file_count) {
        fprintf(stderr, "damage: there is no file %s\n", path);
        return 2;
    }
    snprintf(dir, PATH, "%.3000s/0", home);
    pid_t pid = fork();
    if (pid == 0) one_spot(&p, dir);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

static int everything(size_t step) {
    unsigned failed = 0;
    size_t spots = 0;
    pid_t pids[WORKERS];
    struct spot p;
    for (size_t n = seed % step; spot_of(n, &p); n += step) spots++;
    for (unsigned w = 0; w < WORKERS; w++) {
        pids[w] = fork();
        CHECK(pids[w] >= 0);
        if (pids[w] == 0) work(w, step);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        int status;
        CHECK(waitpid(pids[w], &status, 0) == pids[w]);
        failed += WIFEXITED(status) ? (unsigned)WEXITSTATUS(status) : 1;
    }
    printf("damage: seed %" PRIu64 ", %u files\n%zu passed, %u failed\n", seed, file_count, spots - failed, failed);
    return failed != 0;
}

int main(int argc, char **argv) {
    size_t step = SOME + 1; /* odd, so that cuts and flips take turns */
    const char *above = getenv("TMPDIR");
    if (!above) above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(home, sizeof home, "%.3000s/damage-XXXXXX", above);
    CHECK(mkdtemp(home));
    hash_init();
    guard_init();
    log_set_level(LOG_ERROR);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0) step = 1;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
    }
    io_use(&scratch_ops);
    make_base();
    int failed = argc == 5 && strcmp(argv[1], "--only") == 0 ? only(argv[2], argv[3], argv[4]) : everything(step);
    scratch_remove_tree(home);
    return failed;
}
