#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/routes.h"
#include "base/clock.h"
#include "catalog/catalog.h"
#include "cmd/cmd.h"

struct order {
    const char *data, *workspace, *name;
    bool from_stdin;
    struct str which; /* to revoke */
};

static int usage(FILE *to) {
    fprintf(
        to,
        "sightglass keys add    --data DIR --workspace SLUG [--name NAME] [--stdin]\n"
        "sightglass keys list   --data DIR --workspace SLUG\n"
        "sightglass keys revoke --data DIR --workspace SLUG ID|PREFIX\n\n"
        "add makes a new key and prints it, or with --stdin takes over a key that a fleet already uses. It makes the\n"
        "workspace when it is not there. Works while the server runs and takes effect within a second. DIR and SLUG\n"
        "can also come from SIGHTGLASS_DATA and SIGHTGLASS_WORKSPACE.\n");
    return to == stdout ? 0 : 2;
}

static int failed(const struct err *e) {
    fprintf(stderr, "sightglass keys: %s\n", e->msg);
    return 1;
}

static bool read_key(char out[KEY_MAX + 1], struct err *e) {
    char line[KEY_MAX + 3];
    if (!fgets(line, sizeof line, stdin)) return err_set(e, ERR_INVALID, "--stdin: no key came on standard input");
    struct str key = str_trim(str_of(line));
    if (key.n > KEY_MAX) return err_set(e, ERR_INVALID, "--stdin: a key has at most %d characters", KEY_MAX);
    memcpy(out, key.p, key.n);
    out[key.n] = '\0';
    return true;
}

static int add(struct catalog *c, const struct order *o) {
    struct workspace w;
    struct err e;
    char key[KEY_MAX + 1];
    if (!o->from_stdin) catalog_key_make(key);
    if ((o->from_stdin && !read_key(key, &e)) || !catalog_workspace_add(c, str_of(o->workspace), &w, &e) ||
        !catalog_key_add(c, w.id, str_of(key), str_of(o->name), 0, &e))
        return failed(&e);
    if (o->from_stdin)
        fprintf(stderr, "the key now opens the workspace %s\n", w.slug);
    else
        printf("%s\n", key);
    return 0;
}

static int list(struct catalog *c, const struct workspace *w) {
    struct arena a = {0};
    struct err e;
    struct key_info *keys;
    size_t count;
    if (!catalog_keys(c, w->id, &a, &keys, &count, &e)) return failed(&e);
    printf("%6s  %-8s  %-27s  %-27s  %s\n", "id", "prefix", "made", "revoked", "name");
    for (size_t i = 0; i < count; i++) {
        char made[CLOCK_TEXT], revoked[CLOCK_TEXT] = "-";
        if (keys[i].revoked_us) clock_format(keys[i].revoked_us, revoked);
        printf("%6lld  %-8s  %-27s  %-27s  %s\n", (long long)keys[i].id, keys[i].prefix,
               clock_format(keys[i].created_us, made), revoked, keys[i].name);
    }
    arena_free(&a);
    return 0;
}

static int revoke_key(struct catalog *c, const struct workspace *w, const struct order *o) {
    struct err e;
    if (!catalog_key_revoke(c, w->id, o->which, &e)) return failed(&e);
    fprintf(stderr, "revoked; it opens nothing within a second\n");
    return 0;
}

static bool read_order(int count, char **args, struct order *o, bool *help) {
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'}, {"workspace", required_argument, NULL, 'w'},
        {"name", required_argument, NULL, 'n'}, {"stdin", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    *o = (struct order){.data = getenv("SIGHTGLASS_DATA"), .workspace = getenv("SIGHTGLASS_WORKSPACE"), .name = ""};
    optind = 1;
    for (int c; (c = getopt_long(count, args, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': o->data = optarg; break;
        case 'w': o->workspace = optarg; break;
        case 'n': o->name = optarg; break;
        case 's': o->from_stdin = true; break;
        case 'h': *help = true; return true;
        default: return false;
        }
    }
    if (optind < count) o->which = str_of(args[optind++]);
    return optind == count && o->data && o->workspace && *o->workspace;
}

int cmd_keys(int count, char **args) {
    struct order o;
    struct err e;
    struct workspace w;
    bool help = false;
    struct str what = count ? str_of(args[0]) : STR("");
    if (str_is(what, "--help")) return usage(stdout);
    if (count == 0 || !read_order(count, args, &o, &help)) return usage(stderr);
    if (help) return usage(stdout);
    bool adding = str_is(what, "add"), listing = str_is(what, "list"), revoking = str_is(what, "revoke");
    if (!(adding || listing || revoking) || revoking != (o.which.n > 0)) return usage(stderr);

    char path[4200];
    snprintf(path, sizeof path, "%s/catalog.db", o.data);
    if (access(path, F_OK) != 0) {
        err_set(&e, ERR_NOT_FOUND, "%s is no data folder of sightglass; `sightglass serve --data DIR` makes one",
                o.data);
        return failed(&e);
    }
    struct catalog *c = catalog_open(o.data, routes_reserved, &e);
    if (!c) return failed(&e);
    int code;
    if (adding) {
        code = add(c, &o);
    } else if (!catalog_workspace(c, str_of(o.workspace), &w)) {
        err_set(&e, ERR_NOT_FOUND, "there is no workspace '%s'", o.workspace);
        code = failed(&e);
    } else {
        code = listing ? list(c, &w) : revoke_key(c, &w, &o);
    }
    catalog_close(c);
    return code;
}
