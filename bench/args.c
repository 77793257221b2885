#include "args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static void print_help(const struct arg *table, size_t count, const char *usage) {
    printf("usage: %s [--option value]...\n", usage);
    for (size_t i = 0; i < count; i++) printf("  --%-14s %s\n", table[i].name, table[i].help);
}

static bool read_value(void *to, const struct arg *a, const char *v, struct err *e) {
    unsigned long long n = 0;
    double decimal = 0;
    bool ok = true;
    switch (a->kind) {
    case ARG_TEXT: *(const char **)to = v; return true;
    case ARG_FLAG: *(bool *)to = true; return true;
    case ARG_SHAPE: ok = !strcmp(v, "entries") || !strcmp(v, "ids"), *(bool *)to = v[0] == 'i'; break;
    case ARG_DECIMAL: ok = str_to_double(str_of(v), &decimal) && decimal >= 0, *(double *)to = decimal; break;
    case ARG_WHEN: ok = clock_parse(str_of(v), to); break;
    default: ok = str_to_u64(str_of(v), &n) && n >= a->least && n <= a->most;
    }
    if (!ok && a->most)
        return err_set(e, ERR_INVALID, "--%s %s: want a number from %" PRIu64 " to %" PRIu64, a->name, v, a->least,
                       a->most);
    if (!ok) return err_set(e, ERR_INVALID, "--%s %s: %s", a->name, v, a->help);
    if (a->kind == ARG_COUNT64) *(uint64_t *)to = n;
    if (a->kind == ARG_COUNT32) *(uint32_t *)to = (uint32_t)n;
    if (a->kind == ARG_COUNT) *(unsigned *)to = (unsigned)n;
    if (a->kind == ARG_TIME) *(int64_t *)to = (int64_t)n;
    return true;
}

bool args_read(const struct arg *table, size_t count, void *to, int argc, char **argv, int first, const char *usage,
               struct err *e) {
    for (int i = first; i < argc; i++) {
        size_t at = 0;
        while (at < count && (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, table[at].name))) at++;
        if (!strcmp(argv[i], "--help")) print_help(table, count, usage), exit(0);
        if (at == count) return err_set(e, ERR_INVALID, "%s: no such option, see --help", argv[i]);
        bool flag = table[at].kind == ARG_FLAG;
        if (!flag && i + 1 == argc) return err_set(e, ERR_INVALID, "%s: its value is missing", argv[i]);
        if (!read_value((char *)to + table[at].at, &table[at], flag ? "" : argv[++i], e)) return false;
    }
    return true;
}
