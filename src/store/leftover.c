#include "store/leftover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

enum { FOLDER_STEP = 1000, DEPTH_MOST = 8, PATH = 4096 };

void leftovers_add(struct leftovers *l, struct leftover one) {
    if ((l->count & (l->count - 1)) == 0)
        l->list = mem_resize(l->list, (l->count ? 2 * l->count : 1) * sizeof *l->list);
    l->list[l->count++] = one;
}

void leftovers_take(struct leftovers *l, struct leftovers *from) {
    for (size_t i = 0; i < from->count; i++) leftovers_add(l, from->list[i]);
    leftovers_free(from);
}

void leftovers_free(struct leftovers *l) {
    free(l->list);
    *l = (struct leftovers){0};
}

/* The names in a folder, as they were at one time. */
struct names {
    struct buf text; /* each ends with a NUL */
    size_t at;
};

static void note_name(void *ctx, const char *name) { buf_add(ctx, name, strlen(name) + 1); }

static bool names_read(struct names *n, const char *folder) {
    *n = (struct names){0};
    return io_list(folder, note_name, &n->text) == 0;
}

/* The next one and its path; false at the end. A path too long to be ours is left out. */
static bool names_next(struct names *n, const char *folder, char path[PATH], const char **name) {
    while (n->at < n->text.n) {
        *name = n->text.p + n->at;
        n->at += strlen(*name) + 1;
        if (snprintf(path, PATH, "%s/%s", folder, *name) < PATH) return true;
    }
    return false;
}

/* Removes up to *most files, from the bottom; true when the folder is gone. */
static bool remove_folder(const char *folder, unsigned *most, unsigned depth) {
    char path[PATH];
    const char *name;
    struct names names;
    if (!names_read(&names, folder)) return errno == ENOENT;
    bool gone = true;
    while (gone && names_next(&names, folder, path, &name)) {
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            gone = depth > 0 && remove_folder(path, most, depth - 1);
            continue;
        }
        gone = *most > 0 && (io_unlink(path) == 0 || errno == ENOENT);
        *most -= *most > 0;
    }
    buf_free(&names.text);
    return gone && (io_rmdir(folder) == 0 || errno == ENOENT);
}

static void path_of(const char *dir, const struct leftover *one, char path[PATH]) {
    char name[64], below[80];
    if (one->what == LEFT_FOLDER) {
        manifest_path(dir, one->workspace, "", path);
    } else if (one->what == LEFT_LOG) {
        manifest_log_name(one->number, name);
        manifest_path(dir, one->workspace, name, path);
    } else {
        manifest_segment_name(one->number, one->version, name);
        snprintf(below, sizeof below, "segments/%s", name);
        manifest_path(dir, one->workspace, below, path);
    }
}

void leftovers_unlink(const char *dir, struct leftovers *l) {
    char path[PATH], quoted[LOG_QUOTE];
    unsigned most = FOLDER_STEP;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        path_of(dir, &l->list[i], path);
        bool folder = l->list[i].what == LEFT_FOLDER;
        bool gone = folder ? remove_folder(path, &most, DEPTH_MOST) : io_unlink(path) == 0 || errno == ENOENT;
        if (gone && folder) log_event(LOG_INFO, "workspace_removed", "workspace=%" PRIu32, l->list[i].workspace);
        if (gone) continue;
        if (!folder || most > 0)
            log_event(LOG_WARN, "not_removed", "path=%s error=%s", path, log_quote(quoted, str_of(strerror(errno))));
        l->list[kept++] = l->list[i];
    }
    l->count = kept;
    if (kept == 0) leftovers_free(l);
}

/* ---- the sweep ---- */

struct sweep {
    const struct manifest_workspace *w; /* of the folder being swept; NULL: not in the manifest */
    struct err *e;
    bool ok;
};

/* A number at the beginning of *name, in its one form. */
static bool take_number(const char **name, uint64_t most, uint64_t *out) {
    size_t n = strspn(*name, "0123456789");
    unsigned long long v;
    if ((n > 1 && **name == '0') || !str_to_u64((struct str){*name, n}, &v) || v > most) return false;
    *name += n;
    *out = v;
    return true;
}

/* How a file is called before it is whole. */
static bool is_temporary(const char *rest) { return strcmp(rest, ".new") == 0 || strcmp(rest, ".tmp") == 0; }

static bool stray_log(const struct sweep *s, const char *name) {
    uint64_t number;
    if (strncmp(name, "log-", 4) != 0 || (name += 4, !take_number(&name, UINT64_MAX, &number)) || *name) return false;
    for (size_t i = 0; s->w && i < s->w->log_count; i++)
        if (s->w->logs[i].number == number) return false;
    return true;
}

static bool stray_segment(const struct sweep *s, const char *name) {
    uint64_t number, version;
    if (!take_number(&name, UINT64_MAX, &number) || *name++ != '.' || !take_number(&name, UINT32_MAX, &version) ||
        strncmp(name, ".arrow", 6) != 0)
        return false;
    if (name[6]) return is_temporary(name + 6);
    for (size_t i = 0; s->w && i < s->w->segment_count; i++)
        if (s->w->segments[i].number == number && s->w->segments[i].version == version) return false;
    return true;
}

static void sweep_file(struct sweep *s, const char *path) {
    char quoted[LOG_QUOTE];
    if (io_unlink(path) == 0)
        log_event(LOG_INFO, "file_swept", "path=%s", log_quote(quoted, str_of(path)));
    else
        s->ok = err_errno(s->e, "removing %s", path);
}

/* False: nothing there, or it could not be read. */
static bool sweep_names(struct sweep *s, const char *folder, struct names *names) {
    if (names_read(names, folder)) return true;
    if (errno != ENOENT && errno != ENOTDIR) s->ok = err_errno(s->e, "reading the folder %s", folder);
    buf_free(&names->text);
    return false;
}

static void sweep_folder(struct sweep *s, const char *folder, bool (*is_stray)(const struct sweep *, const char *)) {
    char path[PATH];
    const char *name;
    struct names names;
    if (!sweep_names(s, folder, &names)) return;
    while (names_next(&names, folder, path, &name))
        if (is_stray(s, name)) sweep_file(s, path);
    buf_free(&names.text);
}

bool leftovers_sweep(const char *dir, const struct manifest *m, struct leftovers *l, struct err *e) {
    char all[PATH], path[PATH], segments[PATH];
    const char *name;
    struct names names;
    struct sweep s = {.e = e, .ok = true};
    snprintf(path, sizeof path, "%s/MANIFEST.new", dir);
    if (access(path, F_OK) == 0) sweep_file(&s, path);
    snprintf(all, sizeof all, "%s/workspaces", dir);
    if (!sweep_names(&s, all, &names)) return s.ok;
    while (names_next(&names, all, path, &name)) {
        uint64_t number;
        const char *rest = name;
        if (!take_number(&rest, UINT32_MAX, &number) || *rest) continue;
        s.w = manifest_find(m, (uint32_t)number);
        if (s.w && s.w->deleted) {
            leftovers_add(l, (struct leftover){LEFT_FOLDER, (uint32_t)number, 0, 0});
            continue;
        }
        sweep_folder(&s, path, stray_log);
        manifest_path(dir, (uint32_t)number, "segments", segments);
        sweep_folder(&s, segments, stray_segment);
    }
    buf_free(&names.text);
    return s.ok;
}
