#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/check_input.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "image/image.h"
#include "infer/describe.h"
#include "infer/infer.h"

enum { NETWORK_MOST = 1 << 30, CLASSES_FILE_MOST = 1 << 24, SIZE_MOST = 8192 };

struct order {
    const char *models, *id, *name, *classes, *file;
    int size;
    bool help;
};

static int usage(FILE *to) {
    fprintf(
        to,
        "sightglass models add FILE.onnx --models DIR [--id PROJECT/VERSION] [--name NAME] [--classes FILE] [--size N]\n\n"
        "Makes a model folder in DIR of the network: reads from the file what it can, writes model.json, says what it\n"
        "could not know and assumed, and tries the network once. FILE of --classes has a class name a line. --size is\n"
        "that of an input whose size is open. Without --id the model answers to FILE/1. DIR can also come from\n"
        "SIGHTGLASS_MODELS. A running server sees the model after its next start.\n");
    return to == stdout ? 0 : 2;
}

static int failed(const struct err *e) {
    fprintf(stderr, "sightglass models: %s\n", e->msg);
    return 1;
}

/* The file's name without folder and ending, with what a path or an id might stumble over replaced. */
static char *base_name(struct arena *a, const char *file) {
    const char *slash = strrchr(file, '/');
    struct str name = str_of(slash ? slash + 1 : file), ending = STR(".onnx");
    if (name.n > ending.n && str_eq_nocase(str_from(name, name.n - ending.n), ending)) name.n -= ending.n;
    char *out = arena_printf(a, STR_FMT, STR_ARG(name));
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *c)) *c = '-';
    if (*out == '.') *out = '-';
    return out;
}

static bool read_classes(const char *path, struct arena *a, struct describe_options *o, struct err *e) {
    size_t n, count = 0;
    char *text = io_read_file(path, CLASSES_FILE_MOST, &n);
    if (!text) return err_errno(e, "--classes: %s cannot be read", path);
    struct str rest = {arena_copy(a, text, n), n}, line;
    free(text);
    for (size_t i = 0; i < n; i++) count += rest.p[i] == '\n';
    struct str *names = arena_alloc(a, (count + 1) * sizeof *names);
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        line = str_trim(line);
        if (line.n) names[o->class_count++] = line;
    }
    o->classes = names;
    return o->class_count || err_set(e, ERR_INVALID, "--classes: %s has no name in it", path);
}

static bool write_file(const char *path, const void *p, size_t n, struct err *e) {
    FILE *f = fopen(path, "wbx");
    bool ok = f && fwrite(p, 1, n, f) == n && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (!ok) err_errno(e, "%s cannot be written", path);
    if (f && fclose(f) != 0 && ok) ok = err_errno(e, "%s cannot be written", path);
    return ok;
}

/* A folder beside the others whose name no server looks at, tried, and only then given its name. */
static bool make_folder(struct arena *a, const char *models, const char *folder, struct str network, const char *json,
                        struct err *e) {
    char *path = arena_printf(a, "%s/%s", models, folder), *making = arena_printf(a, "%s/.adding-%d", models, (int)getpid());
    char *onnx = arena_printf(a, "%s/model.onnx", making), *description = arena_printf(a, "%s/model.json", making);
    if (access(path, F_OK) == 0)
        return err_set(e, ERR_CONFLICT, "%s is there already; remove it, or give the file another name", path);
    if ((mkdir(models, 0755) != 0 && errno != EEXIST) || mkdir(making, 0755) != 0)
        return err_errno(e, "no folder can be made in %s", models);
    bool ok = write_file(onnx, network.p, network.n, e) && write_file(description, json, strlen(json), e) &&
              infer_try(making, e);
    if (ok && rename(making, path) != 0) ok = err_errno(e, "%s cannot be made", path);
    if (!ok) unlink(onnx), unlink(description), rmdir(making);
    return ok;
}

static int tell(const json_t *root, const char *path, struct str id, const struct buf *notes) {
    const json_t *input = json_object_get(root, "input");
    printf("%s: " STR_FMT ", %s, %zu classes, input %lld x %lld\n", path, STR_ARG(id),
           json_string_value(json_object_get(root, "task")), json_array_size(json_object_get(root, "classes")),
           (long long)json_integer_value(json_object_get(input, "width")),
           (long long)json_integer_value(json_object_get(input, "height")));
    if (notes->n) printf("What the file does not tell, and model.json may have to be corrected for:\n");
    struct str rest = buf_str(notes), line;
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        if (line.n) printf("  - " STR_FMT "\n", STR_ARG(line));
    }
    return 0;
}

static int add(const struct order *o) {
    struct arena a = {0};
    struct buf notes = {0};
    struct err e = {0};
    struct onnx_file file;
    json_t *root = NULL;
    char *json = NULL;
    size_t n;
    int code = 1;
    const char *folder = base_name(&a, o->file);
    const char *id = o->id ? o->id : arena_printf(&a, "%s/1", folder);
    struct describe_options d = {.name = str_of(o->name ? o->name : folder), .id = str_of(id), .size = o->size};
    char *network = io_read_file(o->file, NETWORK_MOST, &n);
    if (!network) {
        err_errno(&e, "%s cannot be read", o->file);
    } else if (check_text(d.id, "--id", &e) && check_text(d.name, "--name", &e) &&
               (!o->classes || read_classes(o->classes, &a, &d, &e)) &&
               onnx_read((struct str){network, n}, &a, &file, &e) && (root = describe(&file, &d, &notes, &e)) &&
               (json = json_dumps(root, JSON_INDENT(2))) &&
               make_folder(&a, o->models, folder, (struct str){network, n}, json, &e)) {
        code = tell(root, arena_printf(&a, "%s/%s", o->models, folder), d.id, &notes);
    }
    if (code) failed(&e);
    free(json), free(network);
    json_decref(root);
    buf_free(&notes);
    arena_free(&a);
    return code;
}

static bool read_order(int count, char **args, struct order *o) {
    static const struct option options[] = {
        {"models", required_argument, NULL, 'm'},  {"id", required_argument, NULL, 'i'},
        {"name", required_argument, NULL, 'n'},    {"classes", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},    {"help", no_argument, NULL, 'h'},
        {0},
    };
    unsigned long long size = 0;
    *o = (struct order){.models = getenv("SIGHTGLASS_MODELS")};
    optind = 1;
    for (int c; (c = getopt_long(count, args, "", options, NULL)) != -1;) {
        switch (c) {
        case 'm': o->models = optarg; break;
        case 'i': o->id = optarg; break;
        case 'n': o->name = optarg; break;
        case 'c': o->classes = optarg; break;
        case 's':
            if (!str_to_u64(str_of(optarg), &size) || size < 1 || size > SIZE_MOST) return false;
            o->size = (int)size;
            break;
        case 'h': o->help = true; return true;
        default: return false;
        }
    }
    if (optind < count) o->file = args[optind++];
    return optind == count && o->file && *o->file && o->models && *o->models;
}

int cmd_models(int count, char **args) {
    struct order o;
    struct err e;
    struct str what = count ? str_of(args[0]) : STR("");
    if (str_is(what, "--help")) return usage(stdout);
    if (!str_is(what, "add") || !read_order(count, args, &o)) return usage(stderr);
    if (o.help) return usage(stdout);
    log_set_level(LOG_WARN);
    if (!image_start(&e)) return failed(&e);
    int code = add(&o);
    image_stop();
    return code;
}
