#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/log.h"
#include "catalog/upkeep.h"
#include "cmd/check_images.h"
#include "cmd/cmd.h"
#include "cmd/datadir.h"
#include "store/backup.h"
#include "store/check.h"

static int usage(FILE *to) {
    fprintf(
        to,
        "sightglass check --data DIR [--pictures] [--repair]\n\n"
        "Reads everything in a data folder that no server uses: catalog, manifest, logs, journal, segments; every\n"
        "checksum, and whether they agree with each other. With --pictures, also every kept picture: whether each\n"
        "that an inference names is there and holds what its name says. Prints a line for each thing that is wrong,\n"
        "with file and offset. With --repair, what is damaged is set aside in DIR/set-aside, what can still be read\n"
        "of it is kept, and what is lost is named. DIR can also come from SIGHTGLASS_DATA. Exit code 0: all is well,\n"
        "or well again.\n");
    return to == stdout ? 0 : 2;
}

static void print_line(void *ctx, const char *line) {
    (void)ctx;
    printf("%s\n", line);
}

static void catalog_wrong(void *ctx, const char *what) {
    ++*(uint64_t *)ctx;
    printf("catalog.db: %s\n", what);
}

static bool read_order(int count, char **args, const char **data, bool *repair, bool *pictures, bool *help) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"repair", no_argument, NULL, 'r'},
                                            {"pictures", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    *data = getenv("SIGHTGLASS_DATA");
    optind = 0;
    for (int c; (c = getopt_long(count, args, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': *data = optarg; break;
        case 'r': *repair = true; break;
        case 'p': *pictures = true; break;
        case 'h': *help = true; return true;
        default: return false;
        }
    }
    return optind == count && *data;
}

/* An unfinished backup is told as such; a finished one stays one. */
static bool check_all(const char *data, struct check *c, struct image_check *images, uint64_t *catalog_problems,
                      struct err *e) {
    char uuid[UUID_TEXT];
    if (!datadir_is(data, e)) return false;
    int lock = datadir_lock(data, e);
    if (lock < 0) return false;
    bool ok = backup_finished(data, e) && catalog_verify(data, uuid, catalog_wrong, catalog_problems, e);
    if (ok) datadir_store_id(uuid, c->store_id);
    ok = ok && check_store(c, e) && (!images || check_images(c, images, e));
    close(lock);
    return ok;
}

int cmd_check(int count, char **args) {
    struct check c = {.report = print_line};
    struct err e = {0};
    uint64_t catalog_problems = 0;
    struct image_check images;
    bool pictures = false, help = false;
    if (!read_order(count + 1, args - 1, &c.dir, &c.repair, &pictures, &help)) return usage(stderr);
    if (help) return usage(stdout);
    guard_init();
    log_set_level(LOG_WARN);
    if (!check_all(c.dir, &c, pictures ? &images : NULL, &catalog_problems, &e)) {
        fprintf(stderr, "sightglass check: %s\n", e.msg);
        return 1;
    }
    uint64_t problems = c.problems + catalog_problems;
    printf("%s: %" PRIu64 " problem%s in %" PRIu64 " workspaces, %" PRIu64 " logs, %" PRIu64 " segments, %" PRIu64
           " records, %" PRIu64 " sealed inferences\n",
           c.dir, problems, problems == 1 ? "" : "s", c.workspaces, c.logs, c.segments, c.records, c.rows);
    if (pictures)
        printf("%" PRIu64 " pictures: %" PRIu64 " missing, %" PRIu64 " damaged\n", images.named, images.missing,
               images.damaged);
    return problems != 0;
}
