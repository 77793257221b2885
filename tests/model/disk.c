#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"
#include "io_sim.h"
#include "scratch.h"

const char *const accident_names[ACCIDENTS] = {"none", "kill", "power loss", "fault"};

static struct {
    char home[SCRATCH_PATH], root[SCRATCH_PATH + 20], photo[SCRATCH_PATH + 20];
    unsigned roots;
    enum accident accident;
    uint64_t strike_at, operations, seed;
    bool dead, lost_power;
    char struck[160];

    unsigned interrupt_at, syncs;
    void (*interrupt)(void *ctx);
    void *interrupt_ctx;
    pthread_t thread; /* whose syncs count: no other may wait for the writer */
} disk;

/* ---- accidents ---- */

void disk_die(enum accident accident, uint64_t seed) {
    disk.dead = true;
    disk.lost_power = accident == ACCIDENT_POWER;
    if (!disk.lost_power) return;
    CHECK(mkdir(disk.photo, 0700) == 0);
    io_sim_photo(disk.photo, SIM_RANDOM + seed / 2);
}

static void strike(struct io_sim_event *event) {
    snprintf(disk.struck, sizeof disk.struck, "%s %.120s", io_sim_op_names[event->op], event->what);
    if (disk.accident != ACCIDENT_FAULT) disk_die(disk.accident, disk.seed);
}

static int before_operation(void *ctx, struct io_sim_event *event) {
    (void)ctx;
    if (disk.dead) return EIO;
    if (event->op >= SIM_OPEN) return 0;
    disk.operations++;
    if (disk.accident == ACCIDENT_NONE || disk.operations != disk.strike_at) return 0;
    strike(event);
    if (disk.accident == ACCIDENT_FAULT) return disk.seed % 2 ? EIO : ENOSPC;
    if (disk.accident == ACCIDENT_POWER || event->op != SIM_WRITE || disk.seed % 2) return EIO;
    event->n = disk.seed / 2 % (event->n + 1);
    return event->n ? 0 : EIO;
}

void disk_arm(enum accident accident, uint64_t n, uint64_t seed) {
    disk.accident = accident;
    disk.strike_at = n;
    disk.operations = 0;
    disk.seed = seed;
    disk.struck[0] = '\0';
}

uint64_t disk_operations(void) { return disk.operations; }
const char *disk_struck(void) { return disk.struck[0] ? disk.struck : NULL; }
bool disk_armed(void) { return disk.accident != ACCIDENT_NONE; }
bool disk_dead(void) { return disk.dead; }

/* ---- folders ---- */

/* Copies a folder onto the simulated disk, and syncs it all. */
static void copy_in(const char *from, const char *to) {
    DIR *d = opendir(from);
    CHECK(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        char source[1024], target[1024];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(source, sizeof source, "%.500s/%.500s", from, entry->d_name);
        snprintf(target, sizeof target, "%.500s/%.500s", to, entry->d_name);
        CHECK(stat(source, &st) == 0);
        if (S_ISDIR(st.st_mode)) {
            CHECK(io_mkdir(target, 0700) == 0);
            copy_in(source, target);
            continue;
        }
        struct buf bytes = scratch_read(source);
        int fd = io_open(target, O_WRONLY | O_CREAT, 0600);
        CHECK(fd >= 0 && io_write_all(fd, bytes.p, bytes.n, 0) == 0 && io_sync(fd, "copy") == 0 && io_close(fd) == 0);
        buf_free(&bytes);
    }
    closedir(d);
    CHECK(io_sync_dir(to, "copy") == 0);
}

static void next_root(void) {
    snprintf(disk.root, sizeof disk.root, "%s/%u", disk.home, ++disk.roots);
    snprintf(disk.photo, sizeof disk.photo, "%s/%u-photo", disk.home, disk.roots);
    CHECK(mkdir(disk.root, 0700) == 0);
    io_sim_begin(disk.root, NULL, NULL);
}

void disk_begin(void) {
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(disk.home, sizeof disk.home, "%s/sightglass-model-XXXXXX", above ? above : P_tmpdir);
    CHECK(mkdtemp(disk.home));
    next_root();
    io_sim_set_hook(before_operation, NULL);
    disk_arm(ACCIDENT_NONE, 0, 0);
}

void disk_end(void) {
    io_sim_end();
    scratch_remove_tree(disk.home);
    disk.dead = disk.lost_power = false;
}

const char *disk_folder(void) { return disk.root; }

void disk_recover(void) {
    if (disk.lost_power) {
        char old[sizeof disk.root], photo[sizeof disk.photo];
        memcpy(old, disk.root, sizeof old);
        memcpy(photo, disk.photo, sizeof photo);
        io_sim_end();
        next_root();
        copy_in(photo, disk.root);
        scratch_remove_tree(old);
        scratch_remove_tree(photo);
        io_sim_set_hook(before_operation, NULL);
    }
    disk.dead = disk.lost_power = false;
    disk_arm(ACCIDENT_NONE, 0, 0);
}

/* ---- interruptions ---- */

/* The linker puts these in the place of base/io's (-Wl,--wrap): the simulated disk calls its hook with a lock held that
 * the writer needs. */
int __real_io_sync(int fd, const char *site);
int __wrap_io_sync(int fd, const char *site);
int __real_io_sync_dir(const char *path, const char *site);
int __wrap_io_sync_dir(const char *path, const char *site);

static void before_sync(const char *site) {
    if (strncmp(site, "journal.", 8) == 0 || !pthread_equal(disk.thread, pthread_self())) return;
    disk.syncs++;
    if (!disk.interrupt || disk.syncs != disk.interrupt_at || disk.dead) return;
    void (*call)(void *ctx) = disk.interrupt;
    disk.interrupt = NULL;
    call(disk.interrupt_ctx);
}

int __wrap_io_sync(int fd, const char *site) {
    before_sync(site);
    return __real_io_sync(fd, site);
}

int __wrap_io_sync_dir(const char *path, const char *site) {
    before_sync(site);
    return __real_io_sync_dir(path, site);
}

unsigned disk_interrupt(unsigned n, void (*call)(void *ctx), void *ctx) {
    unsigned syncs = disk.syncs;
    disk.syncs = 0;
    disk.interrupt_at = n;
    disk.interrupt = call;
    disk.interrupt_ctx = ctx;
    disk.thread = pthread_self();
    return syncs;
}
