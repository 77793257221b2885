#include "cmd/backup.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/upkeep.h"
#include "cmd/cmd.h"
#include "cmd/control.h"
#include "cmd/datadir.h"
#include "journal/journal.h"
#include "store/checkpoint.h"

/* ---- all of it ---- */

/* Every setting but those that are of one machine, or secret. */
static void print_settings(const struct conf *c, struct buf *text) {
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    buf_addz(text, "# The settings of the server when the backup was made: serve --config FILE\n");
#define TEXT(name) \
    if (*c->name) buf_printf(text, #name " = %s\n", c->name)
#define NUMBER(name) buf_printf(text, #name " = %u\n", c->name)
#define SIZE(name) buf_printf(text, #name " = %" PRIu64 "\n", c->name)
#define LEVEL(name) buf_printf(text, #name " = %s\n", levels[c->name])
#define X(name, type, def, least, most, help)                                                                        \
    if (strcmp(#name, "data") && strcmp(#name, "listen") && strcmp(#name, "models") && strcmp(#name, "workspace") && \
        strcmp(#name, "api_key"))                                                                                    \
        type(name);
    CONF_TABLE(X)
#undef X
#undef TEXT
#undef NUMBER
#undef SIZE
#undef LEVEL
}

bool backup_all(struct backup *b, const char *data, const char *to, const struct manifest *m, const struct conf *conf,
                struct backup_totals *totals, struct err *e) {
    char path[4200];
    struct buf settings = {0};
    snprintf(path, sizeof path, "%s/catalog.db", to);
    if (conf) print_settings(conf, &settings);
    bool ok = catalog_copy(data, path, e) && backup_adopt(b, "catalog.db", e) && backup_store(b, m, e) &&
              backup_pictures(b, m, e) && backup_file(b, "first-key", e) &&
              (!conf || backup_text(b, "settings", buf_str(&settings), e)) && backup_finish(b, totals, e);
    buf_free(&settings);
    return ok;
}

/* ---- without a server ---- */

static bool ignore(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    (void)ctx, (void)h, (void)payload, (void)e;
    return true;
}

/* Everything in the journal goes to the logs, as the keeper does it; then the files lie still, since the folder is
 * locked. */
static bool checkpoint_all(const char *data, struct checkpoint *c, struct err *e) {
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/journal/slot-00.journal", data);
    uint64_t size = stat(path, &st) == 0 && st.st_size >= 1 << 16 ? (uint64_t)st.st_size : 64 << 20;
    snprintf(path, sizeof path, "%s/journal", data);
    struct journal_options o = {.dir = path, .file_size = size, .max_files = 100};
    memcpy(o.store_id, checkpoint_manifest(c)->store_id, 16);
    struct journal *j = journal_open(&o, checkpoint_manifest(c)->seq, ignore, NULL, e);
    if (!j) return false;
    checkpoint_begin(c);
    bool ok = checkpoint_copy(c, j, NULL, NULL, e);
    if (!ok) checkpoint_abort(c);
    ok = ok && checkpoint_commit(c, j, e) == COMMIT_DONE;
    journal_close(j);
    return ok;
}

static void ignore_fault(void *ctx, const char *what) { (void)ctx, (void)what; }

static bool backup_locked(const char *data, const char *to, struct backup_totals *totals, struct err *e) {
    char uuid[UUID_TEXT];
    uint8_t id[16];
    if (!catalog_verify(data, uuid, ignore_fault, NULL, e)) return false;
    datadir_store_id(uuid, id);
    struct backup *b = backup_begin(data, to, NULL, e);
    if (!b) return false;
    struct checkpoint *c = checkpoint_open(data, id, e);
    bool ok = c && checkpoint_all(data, c, e) && backup_all(b, data, to, checkpoint_manifest(c), NULL, totals, e);
    if (c) checkpoint_close(c);
    backup_free(b);
    return ok;
}

static bool backup_here(const char *data, const char *to, struct backup_totals *totals, struct err *e) {
    int lock = datadir_lock(data, e);
    if (lock < 0) return false;
    bool ok = backup_take(data, e) && backup_locked(data, to, totals, e);
    close(lock);
    return ok;
}

/* ---- the command ---- */

static int usage(FILE *to) {
    fprintf(
        to,
        "sightglass backup --data DIR --to DIR2\n\n"
        "Makes DIR2, which must not be there or be empty, a data folder with everything that was acknowledged when\n"
        "the command began: `sightglass serve --data DIR2` is the restore. Works while the server runs (it does the\n"
        "work, and must be able to write to DIR2) and while none runs. What never changes is linked where both\n"
        "folders are in one file system: that takes no space, and does not outlive the disk. DIR can also come from\n"
        "SIGHTGLASS_DATA.\n");
    return to == stdout ? 0 : 2;
}

/* The server has a working folder of its own, so it is told the whole path. */
static bool whole_path(const char *to, char out[PATH_MAX], struct err *e) {
    char copy[PATH_MAX], above[PATH_MAX];
    if (strlen(to) >= sizeof copy || strchr(to, '\n')) return err_set(e, ERR_INVALID, "--to: not a path to use");
    snprintf(copy, sizeof copy, "%s", to);
    if (!realpath(dirname(copy), above)) return err_errno(e, "--to %s: the folder above it", to);
    snprintf(copy, sizeof copy, "%s", to);
    return snprintf(out, PATH_MAX, "%s/%s", strcmp(above, "/") == 0 ? "" : above, basename(copy)) < PATH_MAX ||
           err_set(e, ERR_INVALID, "--to: the path is too long");
}

static bool ask_server(const char *data, const char *to, struct backup_totals *t, struct err *e) {
    char request[PATH_MAX + 16], answer[CONTROL_ANSWER];
    snprintf(request, sizeof request, "backup %s", to);
    if (!control_ask(data, request, answer, e)) return false;
    if (sscanf(answer, "done %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &t->seq, &t->files, &t->bytes,
               &t->linked) == 4)
        return true;
    struct str text = str_of(answer);
    return err_set(e, ERR_IO, "%s",
                   str_starts(text, STR("failed ")) ? answer + 7 : "the server ended before it was done");
}

static bool read_order(int count, char **args, const char **data, const char **to, bool *help) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"to", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    *data = getenv("SIGHTGLASS_DATA");
    optind = 0;
    for (int c; (c = getopt_long(count, args, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': *data = optarg; break;
        case 't': *to = optarg; break;
        case 'h': *help = true; return true;
        default: return false;
        }
    }
    return optind == count && *data && *to;
}

int cmd_backup(int count, char **args) {
    const char *data, *to = NULL;
    char path[PATH_MAX];
    struct backup_totals t = {0};
    struct err e = {0};
    bool help = false;
    if (!read_order(count + 1, args - 1, &data, &to, &help)) return usage(stderr);
    if (help) return usage(stdout);
    bool ok = datadir_is(data, &e) && whole_path(to, path, &e);
    if (ok && !ask_server(data, path, &t, &e)) ok = e.code == ERR_NOT_FOUND && backup_here(data, path, &t, &e);
    if (!ok) {
        fprintf(stderr, "sightglass backup: %s\n", e.msg);
        return 1;
    }
    printf("%s: everything up to number %" PRIu64 ", %" PRIu64 " files, %" PRIu64 " bytes; %" PRIu64
           " files are linked\n",
           path, t.seq, t.files, t.bytes, t.linked);
    return 0;
}
