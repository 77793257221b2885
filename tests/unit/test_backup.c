/* Backups: what is in them, what is on disk before they call themselves whole, and what becomes of those that broke
 * off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "scratch.h"
#include "store/backup.h"

#define SEGMENT(n, v) {.number = (n), .version = (v)}
#define SEGMENTS(...) ((struct manifest_segment[]){__VA_ARGS__})

struct kit {
    struct scratch scratch;
    char from[SCRATCH_PATH + 10], to[SCRATCH_PATH + 10];
    struct manifest m;
    struct backup_totals totals;
    struct err e;
    struct buf wrong; /* what backup_verify found */
};

#define HASH "0123456789012345678901234567890123456789012345678901234567890"
static const char *const pictures[] = {"workspaces/1/images/ab/" HASH "0", "workspaces/1/images/ab/" HASH "0.thumb",
                                       "workspaces/1/images/ff/" HASH "1", "workspaces/9/images/00/" HASH "2"};
static const char *const others[] = {
    "workspaces/1/images/ab/" HASH "0.0123456789abcdef.tmp",
    "workspaces/1/images/ab/" HASH "0.thumb.0123.tmp",
    "workspaces/1/log-3",
    "workspaces/1/segments/1.1.arrow",
    "workspaces/1/segments/9.1.arrow",
    "workspaces/2/log-1",
    "journal/slot-00.journal",
    "lock",
    "reserve",
    "control.sock",
};

static void put(const struct kit *k, const char *name) {
    char path[1000], text[700], *slash;
    snprintf(path, sizeof path, "%s/%s", k->from, name);
    for (slash = path + strlen(k->from) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    for (size_t i = 0; i < sizeof text; i++) text[i] = name[i % (strlen(name) + 1)]; /* its own name, over and over */
    scratch_write(path, (struct str){text, sizeof text});
}

static int setup(void **state) {
    struct kit *k = mem_zero(1, sizeof *k);
    log_set_level(LOG_ERROR);
    scratch_make(&k->scratch);
    snprintf(k->from, sizeof k->from, "%s/from", k->scratch.dir);
    snprintf(k->to, sizeof k->to, "%s/to", k->scratch.dir);
    mkdir(k->from, 0700);
    memcpy(k->m.store_id, "the store's own", 16);
    k->m.seq = 77;
    struct manifest_workspace *w = manifest_make(&k->m, 1);
    w->next_log = 9;
    w->next_segment = 4;
    w->logs = memcpy(mem_alloc(sizeof(struct manifest_log[2])), (struct manifest_log[]){{1, 512}, {2, 512}},
                     sizeof(struct manifest_log[2]));
    w->log_count = 2;
    w->segments = memcpy(mem_alloc(sizeof(struct manifest_segment[2])), SEGMENTS(SEGMENT(1, 2), SEGMENT(3, 1)),
                         sizeof(struct manifest_segment[2]));
    w->segment_count = 2;
    manifest_make(&k->m, 2)->deleted = true;
    manifest_make(&k->m, 9);
    put(k, "workspaces/1/log-1");
    put(k, "workspaces/1/log-2");
    put(k, "workspaces/1/segments/1.2.arrow");
    put(k, "workspaces/1/segments/3.1.arrow");
    put(k, "first-key");
    for (unsigned i = 0; i < sizeof pictures / sizeof *pictures; i++) put(k, pictures[i]);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) put(k, others[i]);
    *state = k;
    return 0;
}

static int teardown(void **state) {
    struct kit *k = *state;
    scratch_remove(&k->scratch);
    manifest_free(&k->m);
    buf_free(&k->wrong);
    free(k);
    return 0;
}

static bool make(struct kit *k, const atomic_bool *stop) {
    char catalog[300];
    struct backup *b = backup_begin(k->from, k->to, stop, &k->e);
    if (!b) return false;
    snprintf(catalog, sizeof catalog, "%s/catalog.db", k->to);
    scratch_write(catalog, STR("tables"));
    bool ok = backup_adopt(b, "catalog.db", &k->e) && backup_store(b, &k->m, &k->e) &&
              backup_pictures(b, &k->m, &k->e) && backup_file(b, "first-key", &k->e) &&
              backup_file(b, "is-not-there", &k->e) && backup_text(b, "settings", STR("a = b\n"), &k->e) &&
              backup_finish(b, &k->totals, &k->e);
    backup_free(b);
    return ok;
}

static void note_wrong(void *ctx, const char *path, const char *what) {
    struct kit *k = ctx;
    buf_printf(&k->wrong, "%s %s\n", path + strlen(k->to) + 1, what);
}

static const char *verify(struct kit *k) {
    k->wrong.n = 0;
    k->e = (struct err){0};
    if (!backup_verify(k->to, note_wrong, k, &k->e)) buf_printf(&k->wrong, "! %s", k->e.msg);
    buf_addc(&k->wrong, '\0');
    return k->wrong.p;
}

static bool in(const char *dir, const char *name, struct stat *st) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, st) == 0;
}

static void is_whole(struct kit *k, bool linked) {
    struct stat st, source;
    struct manifest m;
    assert_string_equal(verify(k), "");
    assert_true(in(k->to, "BACKUP", &st) && !in(k->to, "BACKUP.unfinished", &st));
    assert_true(manifest_read(k->to, k->m.store_id, &m, &k->e));
    assert_int_equal(m.seq, 77);
    assert_int_equal(m.count, 3);
    manifest_free(&m);
    assert_true(in(k->to, "workspaces/1/log-2", &st) && st.st_size == 512); /* no more than counts */
    assert_true(in(k->from, "workspaces/1/log-2", &source) && source.st_ino != st.st_ino);
    assert_true(in(k->to, "workspaces/1/segments/1.2.arrow", &st) && st.st_size == 700);
    assert_true(in(k->from, "workspaces/1/segments/1.2.arrow", &source) && (source.st_ino == st.st_ino) == linked);
    assert_true(in(k->to, "first-key", &st) && in(k->to, "settings", &st) && in(k->to, "catalog.db", &st));
    for (unsigned i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        assert_true(in(k->to, pictures[i], &st) && in(k->from, pictures[i], &source));
        assert_true(st.st_size == 700 && (source.st_ino == st.st_ino) == linked);
    }
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) assert_false(in(k->to, others[i], &st));
    assert_int_equal(k->totals.files, 8 + 4);
    assert_int_equal(k->totals.linked, linked ? 2 + 4 : 0);
    assert_int_equal(k->totals.seq, 77);
}

static void holds_what_counts(void **state) {
    struct kit *k = *state;
    if (!make(k, NULL)) fail_msg("%s", k->e.msg);
    is_whole(k, true);
    scratch_remove_tree(k->from); /* the source goes on without it */
    assert_string_equal(verify(k), "");
    assert_true(backup_take(k->to, &k->e));
    struct stat st;
    assert_true(in(k->to, "RESTORED", &st) && !in(k->to, "BACKUP", &st));
    assert_string_equal(verify(k), ""); /* it is no backup any more */
    assert_true(backup_take(k->to, &k->e));
}

static int error_of_link;
static int no_link(const char *from, const char *to) { return (void)from, (void)to, errno = error_of_link, -1; }

static void copies_where_it_cannot_link(void **state) {
    struct kit *k = *state;
    struct io_ops ops = scratch_ops;
    ops.link = no_link;
    io_use(&ops);
    error_of_link = EXDEV;
    assert_true(make(k, NULL));
    is_whole(k, false);
    scratch_remove_tree(k->to);
    error_of_link = EIO;
    assert_false(make(k, NULL));
    assert_non_null(strstr(k->e.msg, "1.2.arrow: "));
}

static void needs_a_folder_of_its_own(void **state) {
    struct kit *k = *state;
    mkdir(k->to, 0700);
    assert_true(make(k, NULL)); /* empty */
    assert_false(make(k, NULL));
    assert_int_equal(k->e.code, ERR_CONFLICT);
    assert_non_null(strstr(k->e.msg, "is not empty"));
    assert_string_equal(verify(k), "");
}

static void a_file_is_missing_or_short(void **state) {
    struct kit *k = *state;
    char path[300];
    snprintf(path, sizeof path, "%s/workspaces/1/log-2", k->from);
    scratch_write(path, STR("short"));
    assert_false(make(k, NULL));
    assert_non_null(strstr(k->e.msg, "log-2 is shorter than it should be"));
    assert_false(backup_take(k->to, &k->e));
    assert_non_null(strstr(k->e.msg, "not finished"));
    scratch_remove_tree(k->to);
    unlink(path);
    assert_false(make(k, NULL));
    assert_non_null(strstr(k->e.msg, "log-2: No such file"));
}

static void stops_when_told(void **state) {
    struct kit *k = *state;
    atomic_bool stop = true;
    assert_false(make(k, &stop));
    assert_int_equal(k->e.code, ERR_BUSY);
    assert_false(backup_take(k->to, &k->e));
}

static void damage_is_named(void **state) {
    struct kit *k = *state;
    assert_true(make(k, NULL));
    static const char *const names[] = {"MANIFEST",  "workspaces/1/log-1", "workspaces/1/segments/3.1.arrow",
                                        "first-key", "settings",           "catalog.db"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char path[400], want[200];
        snprintf(path, sizeof path, "%s/%s", k->to, names[i]);
        struct buf bytes = scratch_read(path);
        bytes.p[bytes.n / 2] ^= 1;
        scratch_write(path, buf_str(&bytes));
        snprintf(want, sizeof want, "%s has other bytes than when the backup was made\n", names[i]);
        assert_string_equal(verify(k), want);
        bytes.p[bytes.n / 2] ^= 1;
        scratch_write(path, (struct str){bytes.p, bytes.n - 1});
        snprintf(want, sizeof want, "%s has another size than when the backup was made\n", names[i]);
        assert_string_equal(verify(k), want);
        unlink(path);
        snprintf(want, sizeof want, "%s is missing\n", names[i]);
        assert_string_equal(verify(k), want);
        scratch_write(path, buf_str(&bytes));
        assert_string_equal(verify(k), "");
        buf_free(&bytes);
    }
    char path[400];
    snprintf(path, sizeof path, "%s/BACKUP", k->to);
    struct buf bytes = scratch_read(path);
    for (size_t at = 0; at < bytes.n; at += 3) {
        bytes.p[at] ^= 1;
        scratch_write(path, buf_str(&bytes));
        bytes.p[at] ^= 1;
        assert_non_null(strstr(verify(k), "BACKUP is damaged"));
        scratch_write(path, (struct str){bytes.p, at});
        assert_non_null(strstr(verify(k), "BACKUP is damaged"));
    }
    buf_free(&bytes);
}

/* ---- a failing disk ---- */

static unsigned calls, fails_at;
static bool fails(void) {
    errno = EIO;
    return ++calls == fails_at;
}
static int f_open(const char *path, int flags, unsigned mode) {
    return fails() ? -1 : scratch_ops.open(path, flags, mode);
}
static ssize_t f_pread(int fd, void *p, size_t n, off_t at) { return fails() ? -1 : pread(fd, p, n, at); }
static ssize_t f_pwrite(int fd, const void *p, size_t n, off_t at) { return fails() ? -1 : pwrite(fd, p, n, at); }
static int f_sync(int fd, const char *site) { return (void)fd, (void)site, fails() ? -1 : 0; }
static int f_sync_dir(const char *path, const char *site) { return (void)path, (void)site, fails() ? -1 : 0; }
static int f_rename(const char *from, const char *to) { return fails() ? -1 : rename(from, to); }
static int f_mkdir(const char *path, unsigned mode) { return fails() ? -1 : mkdir(path, mode); }
static int f_link(const char *from, const char *to) { return fails() ? -1 : link(from, to); }
static int f_close(int fd) {
    bool failed = fails();
    close(fd);
    return failed ? -1 : 0;
}
static const struct io_ops faulty = {.open = f_open,
                                     .close = f_close,
                                     .pread = f_pread,
                                     .pwrite = f_pwrite,
                                     .sync = f_sync,
                                     .sync_dir = f_sync_dir,
                                     .rename = f_rename,
                                     .mkdir = f_mkdir,
                                     .link = f_link};

static void every_operation_fails(void **state) {
    struct kit *k = *state;
    struct stat st;
    unsigned whole = 0;
    for (fails_at = 1;; fails_at++) {
        scratch_remove_tree(k->to);
        calls = 0;
        io_use(&faulty);
        bool ok = make(k, NULL);
        bool over = calls < fails_at;
        io_use(&scratch_ops);
        if (ok) {
            is_whole(k, true);
            whole++;
        } else if (in(k->to, "BACKUP", &st)) { /* all but its name is on disk: whole or nothing after a power loss */
            if (!strstr(k->e.msg, "BACKUP")) fail_msg("%s", k->e.msg);
            assert_string_equal(verify(k), "");
        } else if (in(k->to, "MANIFEST", &st)) {
            assert_false(backup_take(k->to, &k->e));
        }
        if (over) break;
    }
    assert_true(fails_at > 60);
    assert_in_range(whole, 1, fails_at / 3); /* closing what was only read may fail */
}

/* ---- what is on disk when ---- */

enum { MOST = 200 };
static struct {
    const char *ignored;
    char dirty[MOST][600]; /* files with unsynced bytes, folders with unsynced names */
    unsigned count;
    int fds[1024]; /* index + 1 of what is open, in `paths` */
    char paths[MOST][600];
    unsigned path_count;
    char found[700]; /* what was not on disk when it had to be */
    bool marked;     /* BACKUP.unfinished is on disk */
} disk;

static unsigned dirty_index(const char *path) {
    unsigned i = 0;
    while (i < disk.count && strcmp(disk.dirty[i], path) != 0) i++;
    return i;
}
static void soil(const char *path) {
    unsigned i = dirty_index(path);
    CHECK(i < MOST);
    if (i == disk.count) snprintf(disk.dirty[disk.count++], 600, "%s", path);
}
static void clean(const char *path) {
    unsigned i = dirty_index(path);
    if (i == disk.count) return;
    disk.count--;
    if (i < disk.count) memmove(disk.dirty[i], disk.dirty[disk.count], 600);
}
static void soil_folder_of(const char *path) {
    char folder[600];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    soil(folder);
}
static void must_be_clean(const char *when, const char *but) {
    for (unsigned i = 0; i < disk.count; i++)
        if ((!but || strcmp(disk.dirty[i], but) != 0) && !disk.found[0])
            snprintf(disk.found, sizeof disk.found, "%s is not on disk %s", disk.dirty[i], when);
}
static int d_open(const char *path, int flags, unsigned mode) {
    struct stat st;
    bool is_new = (flags & O_CREAT) && stat(path, &st) != 0;
    int fd = open(path, flags | O_CLOEXEC, mode);
    CHECK(fd < 1024 && disk.path_count < MOST);
    if (fd < 0) return fd;
    if (is_new) {
        if (strstr(path, "/to/") && !strstr(path, "BACKUP")) {
            if (!disk.marked && !disk.found[0])
                snprintf(disk.found, sizeof disk.found, "%s is made before the mark is on disk", path);
        }
        soil_folder_of(path);
        if (!strstr(path, "BACKUP.unfinished")) soil(path); /* there is nothing in it */
    }
    snprintf(disk.paths[disk.path_count++], 600, "%s", path);
    disk.fds[fd] = (int)disk.path_count;
    return fd;
}
static ssize_t d_pwrite(int fd, const void *p, size_t n, off_t at) {
    soil(disk.paths[disk.fds[fd] - 1]);
    return pwrite(fd, p, n, at);
}
static int d_sync(int fd, const char *site) {
    if (!disk.ignored || strcmp(disk.ignored, site) != 0) clean(disk.paths[disk.fds[fd] - 1]);
    return 0;
}
static int d_sync_dir(const char *path, const char *site) {
    char real[600];
    struct stat st;
    size_t n = strlen(path);
    snprintf(real, sizeof real, "%s", path);
    if (n > 3 && strcmp(path + n - 3, "/..") == 0) { /* the folder above */
        real[n - 3] = '\0';
        *strrchr(real, '/') = '\0';
    }
    CHECK(stat(real, &st) == 0);
    if (disk.ignored && strcmp(disk.ignored, site) == 0) return 0;
    clean(real);
    disk.marked |= strcmp(site, "backup.mark") == 0;
    return 0;
}
static int d_rename(const char *from, const char *to) {
    size_t n = strlen(to);
    if (n > 7 && strcmp(to + n - 7, "/BACKUP") == 0) {
        char folder[600];
        snprintf(folder, sizeof folder, "%.*s", (int)(n - 7), to);
        must_be_clean("before BACKUP is there", folder);
    }
    clean(from);
    soil_folder_of(to);
    return rename(from, to);
}
static int d_mkdir(const char *path, unsigned mode) {
    int failed = mkdir(path, mode);
    if (failed == 0) soil_folder_of(path);
    return failed;
}
static int d_link(const char *from, const char *to) {
    soil_folder_of(to);
    return link(from, to);
}
static const struct io_ops watched = {.open = d_open,
                                      .pwrite = d_pwrite,
                                      .sync = d_sync,
                                      .sync_dir = d_sync_dir,
                                      .rename = d_rename,
                                      .mkdir = d_mkdir,
                                      .link = d_link};

/* What is missed, with the syncs of one site left out. */
static const char *missed_without(struct kit *k, const char *site) {
    scratch_remove_tree(k->to);
    memset(&disk, 0, sizeof disk);
    disk.ignored = site;
    mkdir(k->to, 0700);
    soil(k->scratch.dir);
    io_use(&watched);
    if (!make(k, NULL)) fail_msg("%s", k->e.msg);
    must_be_clean("when it is done", NULL);
    assert_true(backup_take(k->to, &k->e));
    must_be_clean("when a server begins", NULL);
    io_use(&scratch_ops);
    return disk.found;
}

static void all_is_on_disk_before_it_is_whole(void **state) {
    struct kit *k = *state;
    static const char *const sites[] = {"backup.file", "backup.folder",   "backup.mark", "backup.name",
                                        "backup.last", "backup.last.dir", "backup.taken"};
    const char *missed = missed_without(k, NULL);
    if (*missed) fail_msg("%s", missed);
    for (unsigned i = 0; i < sizeof sites / sizeof *sites; i++)
        if (!*missed_without(k, sites[i])) fail_msg("without %s nothing was missed", sites[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(holds_what_counts),         TEST(copies_where_it_cannot_link),
        TEST(needs_a_folder_of_its_own), TEST(a_file_is_missing_or_short),
        TEST(stops_when_told),           TEST(damage_is_named),
        TEST(every_operation_fails),     TEST(all_is_on_disk_before_it_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
