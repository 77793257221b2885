#include "image/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#define THUMB ".thumb"
#define TEMP ".tmp"
enum { PATH_ROOM = BLOB_PATH, HEX = 2 * BLOB_HASH, NAME = HEX - 2 };

/* The folders that this run has made and synced: one bit for each first byte of a hash. */
struct known {
    struct known *next;
    uint32_t workspace;
    uint8_t made[32];
};

struct blobs {
    char *dir;
    /* Held over "is it there? then it is young again" in a put and "is it old? then away with it" in a sweep, so that a
     * sweep cannot take a file that a put has just relied on. */
    pthread_mutex_t lock;
    struct known *known;
};

struct blobs *blobs_new(const char *dir) {
    struct blobs *b = mem_zero(1, sizeof *b);
    size_t n = strlen(dir) + 1;
    CHECK(n < PATH_ROOM - 256); /* the setting `data` is shorter */
    b->dir = memcpy(mem_alloc(n), dir, n);
    CHECK(pthread_mutex_init(&b->lock, NULL) == 0);
    return b;
}

void blobs_free(struct blobs *b) {
    if (!b) return;
    for (struct known *k = b->known, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    pthread_mutex_destroy(&b->lock);
    free(b->dir);
    free(b);
}

static void folder_path(const struct blobs *b, uint32_t workspace, const char *shard, char out[PATH_ROOM]) {
    snprintf(out, PATH_ROOM, "%s/%" PRIu32 "/images%s%s", b->dir, workspace, *shard ? "/" : "", shard);
}

static void blob_path(const struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], const char *suffix,
                      char out[PATH_ROOM]) {
    char hex[HEX + 1];
    sodium_bin2hex(hex, sizeof hex, hash, BLOB_HASH);
    snprintf(out, PATH_ROOM, "%s/%" PRIu32 "/images/%.2s/%s%s", b->dir, workspace, hex, hex + 2, suffix);
}

/* Whether this run has made the folder for hashes that begin with `first`; remembers that it has when `now_made`. */
static bool folder_made(struct blobs *b, uint32_t workspace, uint8_t first, bool now_made) {
    pthread_mutex_lock(&b->lock);
    struct known *k = b->known;
    while (k && k->workspace != workspace) k = k->next;
    if (!k && now_made) {
        k = mem_zero(1, sizeof *k);
        k->workspace = workspace;
        k->next = b->known;
        b->known = k;
    }
    uint8_t bit = (uint8_t)(1u << (first % 8));
    if (now_made) k->made[first / 8] |= bit;
    bool made = k && (k->made[first / 8] & bit);
    pthread_mutex_unlock(&b->lock);
    return made;
}

/* Makes the folder and those above it; their names are on disk when this returns. */
static bool make_folder(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], struct err *e) {
    char shard[3], path[PATH_ROOM], above[PATH_ROOM];
    if (folder_made(b, workspace, hash[0], false)) return true;
    sodium_bin2hex(shard, sizeof shard, hash, 1);
    snprintf(above, sizeof above, "%s/%" PRIu32, b->dir, workspace);
    if (io_mkdir(above, 0700) != 0) return err_errno(e, "cannot make the folder %s", above);
    if (io_sync_dir(b->dir, "blobs.folder") != 0) return err_errno(e, "cannot sync the folder %s", b->dir);
    folder_path(b, workspace, "", path);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "cannot make the folder %s", path);
    if (io_sync_dir(above, "blobs.folder") != 0) return err_errno(e, "cannot sync the folder %s", above);
    folder_path(b, workspace, "", above);
    folder_path(b, workspace, shard, path);
    if (io_mkdir(path, 0700) != 0) return err_errno(e, "cannot make the folder %s", path);
    if (io_sync_dir(above, "blobs.folder") != 0) return err_errno(e, "cannot sync the folder %s", above);
    return folder_made(b, workspace, hash[0], true);
}

/* Makes a file that is there as young as one just written. */
static bool touch(const char *path) {
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return false;
    bool ok = futimens(fd, NULL) == 0;
    io_close(fd);
    return ok;
}

static bool write_temp(const char *path, struct str bytes, char temp[PATH_ROOM], struct err *e) {
    uint64_t random;
    randombytes_buf(&random, sizeof random);
    if (snprintf(temp, PATH_ROOM, "%s.%016" PRIx64 TEMP, path, random) >= PATH_ROOM) {
        errno = ENAMETOOLONG;
        return err_errno(e, "cannot write %s", path);
    }
    int fd = io_open(temp, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) return err_errno(e, "cannot write %s", temp);
    bool ok = io_write_all(fd, bytes.p, bytes.n, 0) == 0 && io_sync(fd, "blobs.file") == 0;
    if (!ok) err_errno(e, "cannot write %s", temp);
    io_close(fd);
    if (!ok) io_unlink(temp);
    return ok;
}

bool blob_put(struct blobs *b, uint32_t workspace, struct str picture, struct str thumbnail,
              uint8_t hash[BLOB_HASH], struct err *e) {
    char path[PATH_ROOM], thumb[PATH_ROOM], path_temp[PATH_ROOM], thumb_temp[PATH_ROOM], shard[3], folder[PATH_ROOM];
    bool document = thumbnail.n == 0;
    CHECK(picture.n && (!document || picture.p[0] == '{'));
    crypto_generichash(hash, BLOB_HASH, (const unsigned char *)picture.p, picture.n, NULL, 0);
    if (!make_folder(b, workspace, hash, e)) return false;
    blob_path(b, workspace, hash, "", path);
    blob_path(b, workspace, hash, THUMB, thumb);

    pthread_mutex_lock(&b->lock);
    bool there = (document || touch(thumb)) && touch(path);
    pthread_mutex_unlock(&b->lock);
    if (!there) {
        if (!document && !write_temp(thumb, thumbnail, thumb_temp, e)) return false;
        if (!write_temp(path, picture, path_temp, e)) {
            if (!document) io_unlink(thumb_temp);
            return false;
        }
        pthread_mutex_lock(&b->lock);
        bool renamed = (document || io_rename(thumb_temp, thumb) == 0) && io_rename(path_temp, path) == 0;
        if (!renamed) err_errno(e, "cannot rename %s", path_temp);
        pthread_mutex_unlock(&b->lock);
        if (!renamed) {
            if (!document) io_unlink(thumb_temp);
            io_unlink(path_temp);
            return false;
        }
    }
    /* Also when it was there: another thread, or a run that was killed, may not have come to this line. */
    sodium_bin2hex(shard, sizeof shard, hash, 1);
    folder_path(b, workspace, shard, folder);
    return io_sync_dir(folder, "blobs.name") == 0 || err_errno(e, "cannot sync the folder %s", folder);
}

int blob_open(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], enum blob_kind kind, size_t *size,
              struct err *e) {
    char path[PATH_ROOM];
    struct stat st;
    blob_path(b, workspace, hash, kind == BLOB_THUMBNAIL ? THUMB : "", path);
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT) {
        err_set(e, ERR_NOT_FOUND, "the picture is no longer kept");
        return -1;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(e, "cannot open %s", path);
        if (fd >= 0) io_close(fd);
        return -1;
    }
    *size = (size_t)st.st_size;
    return fd;
}

void blob_file(const struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], enum blob_kind kind,
               char path[BLOB_PATH]) {
    blob_path(b, workspace, hash, kind == BLOB_THUMBNAIL ? THUMB : "", path);
}

static bool hash_file(int fd, uint8_t hash[BLOB_HASH], bool *document) {
    crypto_generichash_state state;
    char bytes[64 << 10];
    ssize_t n;
    crypto_generichash_init(&state, NULL, 0, BLOB_HASH);
    for (off_t at = 0; (n = io_pread(fd, bytes, sizeof bytes, at)) > 0; at += n) {
        if (at == 0) *document = bytes[0] == '{';
        crypto_generichash_update(&state, (const unsigned char *)bytes, (unsigned long long)n);
    }
    crypto_generichash_final(&state, hash, BLOB_HASH);
    return n == 0;
}

bool blob_verify(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], struct err *e) {
    char path[PATH_ROOM];
    uint8_t is[BLOB_HASH];
    bool document = false;
    blob_file(b, workspace, hash, BLOB_PICTURE, path);
    int fd = io_open(path, O_RDONLY, 0);
    if (fd < 0) return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "%s is missing", path) : err_errno(e, "%s", path);
    bool ok = hash_file(fd, is, &document) || err_errno(e, "reading %s", path);
    io_close(fd);
    if (ok && memcmp(is, hash, BLOB_HASH) != 0)
        ok = err_set(e, ERR_DAMAGED, "%s is damaged: it is not the picture that its name says", path);
    blob_file(b, workspace, hash, BLOB_THUMBNAIL, path);
    return ok && (document || access(path, F_OK) == 0 || err_set(e, ERR_NOT_FOUND, "%s is missing", path));
}

bool blob_remove(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], struct err *e) {
    char path[PATH_ROOM], thumb[PATH_ROOM];
    blob_path(b, workspace, hash, "", path);
    blob_path(b, workspace, hash, THUMB, thumb);
    /* The picture first: a thumbnail without one is found and removed by the sweep. */
    if (io_unlink(path) != 0 && errno != ENOENT) return err_errno(e, "cannot remove %s", path);
    if (io_unlink(thumb) != 0 && errno != ENOENT) return err_errno(e, "cannot remove %s", thumb);
    return true;
}

/* ---- sweep ---- */

struct sweep {
    struct blobs *b;
    uint32_t workspace;
    int64_t before_us; /* files changed since are left alone */
    blob_referenced *referenced;
    void *ctx;
    size_t *removed;
};

static bool is_old(const struct sweep *s, const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 <= s->before_us;
}

static bool ends_with(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && memcmp(name + n - m, suffix, m) == 0;
}

static bool sweep_blob(const struct sweep *s, const uint8_t hash[BLOB_HASH], struct err *e) {
    char path[PATH_ROOM];
    blob_path(s->b, s->workspace, hash, "", path);
    if (!is_old(s, path) || s->referenced(s->ctx, hash)) return true;
    pthread_mutex_lock(&s->b->lock);
    bool old = is_old(s, path), ok = !old || blob_remove(s->b, s->workspace, hash, e);
    pthread_mutex_unlock(&s->b->lock);
    *s->removed += old && ok;
    return ok;
}

/* Half-written files, and thumbnails whose picture is gone. */
static bool sweep_rest(const struct sweep *s, const char *path, bool temp, struct err *e) {
    char picture[PATH_ROOM];
    snprintf(picture, sizeof picture, "%.*s", (int)(strlen(path) - strlen(THUMB)), path);
    pthread_mutex_lock(&s->b->lock);
    bool away = is_old(s, path) && (temp || access(picture, F_OK) != 0);
    bool ok = !away || io_unlink(path) == 0 || errno == ENOENT || err_errno(e, "cannot remove %s", path);
    pthread_mutex_unlock(&s->b->lock);
    return ok;
}

static bool sweep_folder(const struct sweep *s, const char *shard, struct err *e) {
    char folder[PATH_ROOM], path[PATH_ROOM + 256], hex[HEX + 1];
    uint8_t hash[BLOB_HASH];
    size_t length;
    folder_path(s->b, s->workspace, shard, folder);
    DIR *d = opendir(folder);
    if (!d) return errno == ENOENT || err_errno(e, "cannot read the folder %s", folder);
    bool ok = true;
    for (struct dirent *f; ok && (f = readdir(d));) {
        bool temp = ends_with(f->d_name, TEMP);
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        snprintf(hex, sizeof hex, "%.2s%.*s", shard, NAME, f->d_name);
        if (temp || ends_with(f->d_name, THUMB))
            ok = sweep_rest(s, path, temp, e);
        else if (strlen(f->d_name) == NAME && sodium_hex2bin(hash, sizeof hash, hex, HEX, NULL, &length, NULL) == 0 &&
                 length == BLOB_HASH)
            ok = sweep_blob(s, hash, e);
    }
    closedir(d);
    return ok;
}

bool blob_sweep(struct blobs *b, uint32_t workspace, unsigned min_age_s, blob_referenced *referenced, void *ctx,
                size_t *removed, struct err *e) {
    struct sweep s = {.b = b, .workspace = workspace, .before_us = clock_now_us() - (int64_t)min_age_s * 1000000,
                      .referenced = referenced, .ctx = ctx, .removed = removed};
    *removed = 0;
    for (unsigned i = 0; i < 256; i++) {
        char shard[3];
        snprintf(shard, sizeof shard, "%02x", i);
        if (!sweep_folder(&s, shard, e)) return false;
    }
    return true;
}
