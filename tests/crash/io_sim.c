#include "io_sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum { SECTOR = 512, MOST_FDS = 1024, PATH = 4096, MOST_SITES = 64 };

const char *const io_sim_op_names[SIM_OPS] = {"create", "write", "truncate", "sync", "sync folder", "rename", "link",
                                              "unlink", "mkdir", "rmdir",    "open", "read",        "map",    "list"};

enum sector_state { CLEAN, DIRTY, LOST }; /* lost: a sync of it failed */

struct bytes {
    char *p;
    size_t n, room;
};

struct name {
    char text[256];
    struct object *object;
};

struct names {
    struct name *list;
    unsigned count;
};

/* What happened to a folder since its last sync. */
struct change {
    enum { ADD, REMOVE, MOVE } kind;
    char from[256], to[256]; /* add, remove: to */
    struct object *object;
};

struct object {
    struct object *next; /* all of them */
    bool folder;
    char name[256]; /* it was made under */
    /* a file */
    struct bytes now, disk;
    unsigned char *sectors; /* enum sector_state each */
    size_t sector_count;
    bool length_unsynced;
    /* a folder */
    struct names names, synced;
    struct change *changes;
    unsigned change_count;
};

static struct {
    char root[PATH];
    pthread_mutex_t lock;
    struct object *objects, *top, *fds[MOST_FDS];
    io_sim_hook *hook;
    void *ctx;
    const char *ignored;
    uint64_t number;
    char sites[MOST_SITES][64];
    unsigned site_count;
} sim = {.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP}; /* recursive: the hook takes photos */

/* ---- objects ---- */

static struct object *object_new(bool folder, const char *name) {
    struct object *o = mem_zero(1, sizeof *o);
    o->folder = folder;
    snprintf(o->name, sizeof o->name, "%s", name);
    o->next = sim.objects;
    sim.objects = o;
    return o;
}

static void bytes_resize(struct bytes *b, size_t n) {
    if (n > b->room) {
        b->room = n > 2 * b->room ? n : 2 * b->room;
        b->p = mem_resize(b->p, b->room);
    }
    if (n > b->n) memset(b->p + b->n, 0, n - b->n);
    b->n = n;
}

static struct object *names_get(const struct names *n, const char *text) {
    for (unsigned i = 0; i < n->count; i++)
        if (strcmp(n->list[i].text, text) == 0) return n->list[i].object;
    return NULL;
}

static void names_put(struct names *n, const char *text, struct object *o) {
    for (unsigned i = 0; i < n->count; i++) {
        if (strcmp(n->list[i].text, text) != 0) continue;
        n->list[i].object = o;
        return;
    }
    n->list = mem_resize(n->list, (n->count + 1) * sizeof *n->list);
    n->list[n->count] = (struct name){.object = o};
    snprintf(n->list[n->count++].text, sizeof n->list->text, "%s", text);
}

static void names_remove(struct names *n, const char *text) {
    for (unsigned i = 0; i < n->count; i++) {
        if (strcmp(n->list[i].text, text) != 0) continue;
        n->list[i] = n->list[--n->count];
        return;
    }
}

static void names_copy(struct names *to, const struct names *from) {
    to->list = mem_resize(to->list, from->count * sizeof *to->list);
    if (from->count) memcpy(to->list, from->list, from->count * sizeof *to->list);
    to->count = from->count;
}

/* The folder a path is in, and its last part; the root itself for the root. */
static struct object *folder_of(const char *path, char last[256]) {
    size_t n = strlen(sim.root);
    CHECK(strncmp(path, sim.root, n) == 0 && (path[n] == '/' || path[n] == '\0'));
    struct object *folder = sim.top;
    last[0] = '\0';
    for (const char *p = path + n; *p;) {
        p += strspn(p, "/");
        size_t part = strcspn(p, "/");
        if (part == 0) break;
        CHECK(part < 256);
        if (last[0]) folder = folder ? names_get(&folder->names, last) : NULL;
        memcpy(last, p, part);
        last[part] = '\0';
        p += part;
    }
    return folder;
}

static struct object *object_at(const char *path) {
    char last[256];
    struct object *folder = folder_of(path, last);
    return !last[0] || !folder ? folder : names_get(&folder->names, last);
}

static void changed(struct object *folder, int kind, const char *from, const char *to, struct object *o) {
    folder->changes = mem_resize(folder->changes, (folder->change_count + 1) * sizeof *folder->changes);
    struct change *c = &folder->changes[folder->change_count++];
    *c = (struct change){.kind = kind, .object = o};
    snprintf(c->from, sizeof c->from, "%s", from);
    snprintf(c->to, sizeof c->to, "%s", to);
}

static void change_apply(struct names *n, const struct change *c) {
    if (c->kind != ADD) names_remove(n, c->kind == MOVE ? c->from : c->to);
    if (c->kind != REMOVE) names_put(n, c->to, c->object);
}

static void touch_sectors(struct object *o, size_t at, size_t n) {
    size_t end = (at + n + SECTOR - 1) / SECTOR;
    if (end > o->sector_count) {
        o->sectors = mem_resize(o->sectors, end);
        memset(o->sectors + o->sector_count, CLEAN, end - o->sector_count);
        o->sector_count = end;
    }
    for (size_t s = at / SECTOR; s < end; s++) o->sectors[s] = DIRTY;
}

/* ---- the table ---- */

/* Called with the lock held. True: the operation fails, errno is set. */
static bool fails_event(struct io_sim_event *event) {
    if (event->op < SIM_OPEN) event->number = ++sim.number;
    int failed = sim.hook ? sim.hook(sim.ctx, event) : 0;
    if (failed) errno = failed;
    return failed != 0;
}

static bool fails(enum io_sim_op op, const char *what) {
    return fails_event(&(struct io_sim_event){.op = op, .what = what, .path = what});
}

static int sim_open(const char *path, int flags, unsigned mode) {
    pthread_mutex_lock(&sim.lock);
    int fd = -1;
    char last[256];
    struct object *folder = folder_of(path, last), *o = folder ? names_get(&folder->names, last) : NULL;
    bool changes = (flags & O_CREAT && !o) || (flags & O_TRUNC && o && o->now.n);
    if (fails(changes ? SIM_CREATE : SIM_OPEN, path)) goto out;
    fd = open(path, flags | O_CLOEXEC, mode);
    if (fd < 0) goto out;
    CHECK(fd < MOST_FDS && folder);
    if (!o) {
        o = object_new(false, last);
        names_put(&folder->names, last, o);
        changed(folder, ADD, "", last, o);
    }
    if (flags & O_TRUNC && o->now.n) {
        o->now.n = o->sector_count = 0;
        o->length_unsynced = true;
    }
    sim.fds[fd] = o;
out:
    pthread_mutex_unlock(&sim.lock);
    return fd;
}

static int sim_close(int fd) {
    pthread_mutex_lock(&sim.lock);
    sim.fds[fd] = NULL;
    int failed = close(fd);
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static ssize_t sim_pread(int fd, void *p, size_t n, off_t at) {
    pthread_mutex_lock(&sim.lock);
    ssize_t got = fails(SIM_READ, sim.fds[fd]->name) ? -1 : pread(fd, p, n, at);
    pthread_mutex_unlock(&sim.lock);
    return got;
}

static ssize_t sim_pwrite(int fd, const void *p, size_t n, off_t at) {
    pthread_mutex_lock(&sim.lock);
    char what[64];
    ssize_t put = -1;
    struct object *o = sim.fds[fd];
    snprintf(what, sizeof what, "%zu bytes at %lld", n, (long long)at);
    struct io_sim_event event = {.op = SIM_WRITE, .what = what, .path = o->name, .n = n};
    event.grows = (size_t)at + n > o->now.n ? (size_t)at + n - o->now.n : 0;
    if (fails_event(&event)) goto out;
    n = event.n;
    size_t from = (size_t)at < o->now.n ? (size_t)at : o->now.n; /* a gap is zeros, whatever the disk has there */
    put = pwrite(fd, p, n, at);
    CHECK(put == (ssize_t)n);
    if ((size_t)at + n > o->now.n) {
        bytes_resize(&o->now, (size_t)at + n);
        o->length_unsynced = true;
    }
    memcpy(o->now.p + at, p, n);
    touch_sectors(o, from, (size_t)at + n - from);
out:
    pthread_mutex_unlock(&sim.lock);
    return put;
}

static int sim_truncate(int fd, off_t n) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    struct object *o = sim.fds[fd];
    size_t was = o->now.n, is = (size_t)n;
    char what[64];
    snprintf(what, sizeof what, "%zu to %zu bytes", was, is);
    struct io_sim_event event = {.op = SIM_TRUNCATE, .what = what, .path = o->name, .grows = is > was ? is - was : 0};
    if (fails_event(&event)) goto out;
    failed = ftruncate(fd, n);
    if (failed || was == is) goto out;
    bytes_resize(&o->now, is);
    o->length_unsynced = true;
    if (is > was)
        touch_sectors(o, was, is - was);
    else if (o->sector_count > (is + SECTOR - 1) / SECTOR)
        o->sector_count = (is + SECTOR - 1) / SECTOR;
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static void note_site(const char *site) {
    for (unsigned i = 0; i < sim.site_count; i++)
        if (strcmp(sim.sites[i], site) == 0) return;
    CHECK(sim.site_count < MOST_SITES);
    snprintf(sim.sites[sim.site_count++], sizeof sim.sites[0], "%s", site);
}

/* A sector that was lost stays lost; the others reach the disk. */
static void sync_file(struct object *o) {
    if (o->length_unsynced) bytes_resize(&o->disk, o->now.n);
    o->length_unsynced = false;
    for (size_t s = 0; s < o->sector_count; s++) {
        size_t at = s * SECTOR, n = o->now.n - at < SECTOR ? o->now.n - at : SECTOR;
        if (o->sectors[s] != DIRTY) continue;
        if (at + n > o->disk.n) bytes_resize(&o->disk, at + n);
        memcpy(o->disk.p + at, o->now.p + at, n);
        o->sectors[s] = CLEAN;
    }
}

static int sim_sync(int fd, const char *site) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    struct object *o = sim.fds[fd];
    note_site(site);
    if (fails(SIM_SYNC, site)) {
        for (size_t s = 0; s < o->sector_count; s++)
            if (o->sectors[s] == DIRTY) o->sectors[s] = LOST;
        goto out;
    }
    failed = 0;
    if (!sim.ignored || strcmp(sim.ignored, site) != 0) sync_file(o);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_sync_dir(const char *path, const char *site) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    struct object *o = object_at(path);
    note_site(site);
    if (fails(SIM_SYNC_DIR, site)) goto out;
    failed = 0;
    if (!o || !o->folder) {
        errno = ENOENT;
        failed = -1;
    } else if (!sim.ignored || strcmp(sim.ignored, site) != 0) {
        names_copy(&o->synced, &o->names);
        o->change_count = 0;
    }
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_rename(const char *from, const char *to) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    char was[256], is[256];
    struct object *folder = folder_of(from, was), *o = names_get(&folder->names, was);
    CHECK(folder_of(to, is) == folder); /* ours never leave their folder */
    if (fails(SIM_RENAME, to)) goto out;
    failed = rename(from, to);
    if (failed) goto out;
    changed(folder, MOVE, was, is, o);
    change_apply(&folder->names, &folder->changes[folder->change_count - 1]);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_unlink(const char *path) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    char last[256];
    struct object *folder = folder_of(path, last);
    if (!folder || !names_get(&folder->names, last)) {
        errno = ENOENT;
        goto out;
    }
    if (fails(SIM_UNLINK, path)) goto out;
    failed = unlink(path);
    if (failed) goto out;
    changed(folder, REMOVE, "", last, NULL);
    names_remove(&folder->names, last);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_mkdir(const char *path, unsigned mode) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    char last[256];
    struct object *folder = folder_of(path, last);
    if (!last[0] || (folder && names_get(&folder->names, last))) {
        errno = EEXIST;
        goto out;
    }
    if (fails(SIM_MKDIR, path)) goto out;
    failed = mkdir(path, mode);
    if (failed) goto out;
    struct object *o = object_new(true, last);
    names_put(&folder->names, last, o);
    changed(folder, ADD, "", last, o);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_link(const char *from, const char *to) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    char last[256];
    struct object *o = object_at(from), *folder = folder_of(to, last);
    if (fails(SIM_LINK, to)) goto out;
    failed = link(from, to);
    if (failed) goto out;
    CHECK(o && folder);
    changed(folder, ADD, "", last, o);
    names_put(&folder->names, last, o);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_rmdir(const char *path) {
    pthread_mutex_lock(&sim.lock);
    int failed = -1;
    char last[256];
    struct object *folder = folder_of(path, last);
    if (fails(SIM_RMDIR, path)) goto out;
    failed = rmdir(path);
    if (failed) goto out;
    changed(folder, REMOVE, "", last, NULL);
    names_remove(&folder->names, last);
out:
    pthread_mutex_unlock(&sim.lock);
    return failed;
}

static int sim_list(const char *path, void (*call)(void *ctx, const char *name), void *ctx) {
    struct names names = {0};
    pthread_mutex_lock(&sim.lock);
    struct object *folder = object_at(path);
    bool failed = fails(SIM_LIST, path);
    if (!failed && (!folder || !folder->folder)) {
        errno = folder ? ENOTDIR : ENOENT;
        failed = true;
    }
    if (!failed) names_copy(&names, &folder->names);
    pthread_mutex_unlock(&sim.lock);
    for (unsigned i = 0; i < names.count; i++) call(ctx, names.list[i].text);
    free(names.list);
    return failed ? -1 : 0;
}

static void *sim_map(int fd, size_t n) {
    pthread_mutex_lock(&sim.lock);
    void *p = fails(SIM_MAP, sim.fds[fd]->name) ? NULL : mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    pthread_mutex_unlock(&sim.lock);
    return p == MAP_FAILED ? NULL : p;
}

/* What was lost shows as it is on disk. */
static void sim_forget(int fd, off_t from, off_t length) {
    pthread_mutex_lock(&sim.lock);
    struct object *o = sim.fds[fd];
    for (size_t s = (size_t)from / SECTOR; s < o->sector_count && (length == 0 || s * SECTOR < (size_t)(from + length));
         s++) {
        size_t at = s * SECTOR, n = o->now.n - at < SECTOR ? o->now.n - at : SECTOR;
        if (o->sectors[s] != LOST) continue;
        memset(o->now.p + at, 0, n);
        if (at < o->disk.n) memcpy(o->now.p + at, o->disk.p + at, o->disk.n - at < n ? o->disk.n - at : n);
        CHECK(pwrite(fd, o->now.p + at, n, (off_t)at) == (ssize_t)n);
        o->sectors[s] = CLEAN;
    }
    pthread_mutex_unlock(&sim.lock);
}

static const struct io_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .sync_dir = sim_sync_dir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .map = sim_map,
    .truncate = sim_truncate,
    .link = sim_link,
    .rmdir = sim_rmdir,
    .list = sim_list,
    .forget = sim_forget,
};

/* ---- photos ---- */

struct dice {
    uint64_t state, seed;
    unsigned keep, drop; /* of 8 throws; the rest is garbage */
};

static uint64_t throw_dice(struct dice *d) { /* splitmix64 */
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static bool keeps(struct dice *d) {
    if (d->seed < SIM_RANDOM) return d->seed == SIM_KEEP_ALL;
    return throw_dice(d) % 8 < d->keep;
}

/* Leaves out pages of zeros: most of a journal file is, and a photo costs what it has to write. */
static void write_file(const char *path, const char *p, size_t n) {
    static const char zeros[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)n) == 0);
    for (size_t at = 0, end; at < n; at = end) {
        end = at + sizeof zeros < n ? at + sizeof zeros : n;
        if (memcmp(p + at, zeros, end - at) == 0) continue;
        while (end < n && n - end >= sizeof zeros && memcmp(p + end, zeros, sizeof zeros) != 0) end += sizeof zeros;
        CHECK(pwrite(fd, p + at, end - at, (off_t)at) == (ssize_t)(end - at));
    }
    CHECK(close(fd) == 0);
}

static void photo_file(const struct object *o, const char *path, struct dice *d) {
    struct bytes out = {0};
    bytes_resize(&out, o->disk.n);
    if (o->disk.n) memcpy(out.p, o->disk.p, o->disk.n);
    if (o->length_unsynced && keeps(d)) bytes_resize(&out, o->now.n);
    for (size_t s = 0; s < o->sector_count; s++) {
        size_t at = s * SECTOR, n = o->now.n - at < SECTOR ? o->now.n - at : SECTOR;
        if (o->sectors[s] != DIRTY || at >= out.n) continue;
        if (n > out.n - at) n = out.n - at;
        if (keeps(d)) {
            memcpy(out.p + at, o->now.p + at, n);
        } else if (d->seed >= SIM_RANDOM && throw_dice(d) % 8 >= d->drop) {
            for (size_t i = 0; i < n; i++) out.p[at + i] = (char)throw_dice(d);
        }
    }
    write_file(path, out.p, out.n);
    free(out.p);
}

static void photo_folder(const struct object *o, const char *path, struct dice *d) {
    struct names names = {0};
    char below[PATH];
    names_copy(&names, &o->synced);
    for (unsigned i = 0; i < o->change_count; i++)
        if (keeps(d)) change_apply(&names, &o->changes[i]);
    for (unsigned i = 0; i < names.count; i++) {
        snprintf(below, sizeof below, "%s/%s", path, names.list[i].text);
        if (names.list[i].object->folder) {
            CHECK(mkdir(below, 0700) == 0);
            photo_folder(names.list[i].object, below, d);
        } else {
            photo_file(names.list[i].object, below, d);
        }
    }
    free(names.list);
}

void io_sim_photo(const char *to, uint64_t seed) {
    pthread_mutex_lock(&sim.lock);
    struct dice d = {.state = seed, .seed = seed};
    d.keep = (unsigned)(throw_dice(&d) % 9);
    d.drop = (unsigned)(throw_dice(&d) % 9);
    photo_folder(sim.top, to, &d);
    pthread_mutex_unlock(&sim.lock);
}

/* ---- beginning and end ---- */

static void take_file(struct object *o, const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    bytes_resize(&o->now, (size_t)st.st_size);
    CHECK(pread(fd, o->now.p, o->now.n, 0) == st.st_size && close(fd) == 0);
    bytes_resize(&o->disk, o->now.n);
    if (o->now.n) memcpy(o->disk.p, o->now.p, o->now.n);
}

static void take_folder(struct object *o, const char *path) {
    char below[PATH];
    DIR *d = opendir(path);
    CHECK(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        CHECK(snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < PATH);
        struct object *child = object_new(entry->d_type == DT_DIR, entry->d_name);
        names_put(&o->names, entry->d_name, child);
        if (child->folder)
            take_folder(child, below);
        else
            take_file(child, below);
    }
    closedir(d);
    names_copy(&o->synced, &o->names);
}

void io_sim_begin(const char *root, io_sim_hook *hook, void *ctx) {
    snprintf(sim.root, sizeof sim.root, "%s", root);
    sim.top = object_new(true, "");
    take_folder(sim.top, root);
    io_sim_set_hook(hook, ctx);
    io_use(&sim_ops);
}

void io_sim_set_hook(io_sim_hook *hook, void *ctx) {
    sim.hook = hook;
    sim.ctx = ctx;
}

void io_sim_ignore(const char *site) { sim.ignored = site; }

static void write_now(const struct object *o, const char *path) {
    char below[PATH];
    for (unsigned i = 0; i < o->names.count; i++) {
        const struct object *child = o->names.list[i].object;
        snprintf(below, sizeof below, "%s/%s", path, o->names.list[i].text);
        if (!child->folder) {
            write_file(below, child->now.p, child->now.n);
            continue;
        }
        CHECK(mkdir(below, 0700) == 0);
        write_now(child, below);
    }
}

void io_sim_move(const char *root) {
    sim.lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; /* whoever held it is gone */
    for (int fd = 0; fd < MOST_FDS; fd++) {
        if (sim.fds[fd]) close(fd);
        sim.fds[fd] = NULL;
    }
    snprintf(sim.root, sizeof sim.root, "%s", root);
    write_now(sim.top, root);
}

void io_sim_end(void) {
    io_use(NULL);
    for (struct object *o = sim.objects, *next; o; o = next) {
        next = o->next;
        free(o->now.p), free(o->disk.p), free(o->sectors);
        free(o->names.list), free(o->synced.list), free(o->changes);
        free(o);
    }
    sim.objects = sim.top = NULL;
    memset(sim.fds, 0, sizeof sim.fds);
    sim.number = 0;
    sim.ignored = NULL;
}

unsigned io_sim_sites(const char **sites, unsigned room) {
    unsigned n = 0;
    while (n < sim.site_count && n < room) sites[n] = sim.sites[n], n++;
    return n;
}
