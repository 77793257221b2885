#include "cmd/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/io.h"

static bool take(int fd, const char *dir, struct err *e) {
    char text[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return err_errno(e, "locking %s/lock", dir);
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        struct str pid = str_trim((struct str){text, n > 0 ? (size_t)n : 0});
        return err_set(e, ERR_CONFLICT,
                       "the data folder %s is in use by the sightglass with pid " STR_FMT
                       "; stop that one, or choose another folder with --data",
                       dir, STR_ARG(pid));
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) return err_errno(e, "writing %s/lock", dir);
    return true;
}

/* The folder's own name is durable before anything in it is. A parent that may not be read was not made by us. */
static bool make_dir(const char *dir, struct err *e) {
    char parent[4200];
    if (io_mkdir(dir, 0700) != 0) return err_errno(e, "making the data folder %s", dir);
    snprintf(parent, sizeof parent, "%s/..", dir);
    return io_sync_dir(parent, "datadir.name") == 0 || errno == EACCES ||
           err_errno(e, "syncing the folder above %s", dir);
}

bool datadir_is(const char *dir, struct err *e) {
    char path[4200];
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    return access(path, F_OK) == 0 ||
           err_set(e, ERR_NOT_FOUND, "%s is no data folder of sightglass: there is no catalog.db in it", dir);
}

int datadir_lock(const char *dir, struct err *e) {
    char path[4200];
    if (!make_dir(dir, e)) return -1;
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(e, "opening %s", path);
        return -1;
    }
    if (take(fd, dir, e)) return fd;
    close(fd);
    return -1;
}

bool datadir_write_first_key(const char *dir, const char *slug, const char *key, struct err *e) {
    struct buf line = {0};
    buf_printf(&line, "%s %s\n", slug, key);
    bool ok = io_replace_file(dir, "first-key", line.p, line.n, 0600, "first_key.file", "first_key.dir") == 0 ||
              err_errno(e, "writing %s/first-key", dir);
    buf_free(&line);
    return ok;
}

void datadir_store_id(const char *uuid, uint8_t id[16]) {
    unsigned nibbles = 0;
    for (; *uuid; uuid++) {
        if (*uuid == '-') continue;
        uint8_t digit = (uint8_t)(*uuid <= '9' ? *uuid - '0' : (*uuid | 32) - 'a' + 10);
        id[nibbles / 2] = (uint8_t)(nibbles % 2 ? id[nibbles / 2] | digit : digit << 4);
        nibbles++;
    }
    CHECK(nibbles == 32);
}
