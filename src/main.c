#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

static const struct {
    const char *name;
    int (*run)(int count, char **args);
    const char *text;
} commands[] = {
    {"serve", cmd_serve, "run the server"},
    {"keys", cmd_keys, "add, list and revoke the keys of a workspace"},
    {"models", cmd_models, "make a model folder of an ONNX file"},
    {"backup", cmd_backup, "copy a data folder, also while the server runs"},
    {"check", cmd_check, "look through a data folder, and repair it"},
};

static int usage(FILE *to) {
    fprintf(to, "sightglass COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].text);
    fprintf(to, "\nsightglass COMMAND --help tells more; sightglass --version prints the version.\n");
    return to == stdout ? 0 : 2;
}

int main(int count, char **args) {
    if (count < 2) return usage(stderr);
    if (strcmp(args[1], "--help") == 0) return usage(stdout);
    if (strcmp(args[1], "--version") == 0) return printf("sightglass %s\n", SIGHTGLASS_VERSION), 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(args[1], commands[i].name) == 0) return commands[i].run(count - 2, args + 2);
    fprintf(stderr, "sightglass: there is no command '%s'\n\n", args[1]);
    return usage(stderr);
}
