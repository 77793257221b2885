#include "base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/io.h"
#include "base/mem.h"

enum type { TEXT, NUMBER, SIZE, LEVEL };
enum { NAME_SIZE = 64, FILE_MOST = 1 << 20, HELP_WIDTH = 100 };

struct setting {
    const char *name, *def, *text;
    enum type type;
    size_t at; /* in struct conf */
    int64_t least, most;
};

static const struct setting table[] = {
#define X(n, t, d, lo, hi, help) {#n, d, help, t, offsetof(struct conf, n), lo, hi},
    CONF_TABLE(X)
#undef X
};
enum { COUNT = sizeof table / sizeof *table };

static const char *const levels[] = {"debug", "info", "warn", "error"};

static void *field(struct conf *c, const struct setting *s) { return (char *)c + s->at; }

static void flag_name(const struct setting *s, char out[NAME_SIZE]) {
    size_t n = (size_t)snprintf(out, NAME_SIZE, "--%s", s->name);
    for (size_t i = 0; i < n; i++)
        if (out[i] == '_') out[i] = '-';
}

static void env_name(const struct setting *s, char out[NAME_SIZE]) {
    size_t n = (size_t)snprintf(out, NAME_SIZE, "SIGHTGLASS_%s", s->name);
    for (size_t i = 0; i < n; i++) out[i] = (char)toupper((unsigned char)out[i]);
}

/* --- values --- */

static bool read_number(struct str v, bool suffix, uint64_t *out) {
    unsigned long long n, times = 1;
    if (suffix && v.n > 1) {
        char last = (char)toupper((unsigned char)v.p[v.n - 1]);
        unsigned shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
        if (shift) v.n--;
        times <<= shift;
    }
    if (!str_to_u64(v, &n) || __builtin_mul_overflow(n, times, &n)) return false;
    *out = n;
    return true;
}

static bool parse_listen(const char *text, char host[CONF_HOST], uint16_t *port) {
    struct str s = str_of(text);
    const char *colon = memrchr(s.p, ':', s.n);
    unsigned long long n;
    if (!colon) return false;
    struct str name = {s.p, (size_t)(colon - s.p)};
    if (!str_to_u64(str_from(s, name.n + 1), &n) || n > UINT16_MAX) return false;
    if (name.n && name.p[0] == '[') {
        if (name.n < 3 || name.p[name.n - 1] != ']') return false;
        name = (struct str){name.p + 1, name.n - 2};
    } else if (name.n && memchr(name.p, ':', name.n)) {
        return false;
    }
    if (name.n == 0 || name.n >= CONF_HOST) return false;
    snprintf(host, CONF_HOST, STR_FMT, STR_ARG(name));
    *port = (uint16_t)n;
    return true;
}

bool conf_listen(const struct conf *c, char host[CONF_HOST], uint16_t *port, struct err *e) {
    return parse_listen(c->listen, host, port) || err_set(e, ERR_INVALID, "listen: '%s' must be HOST:PORT", c->listen);
}

static bool set_text(struct conf *c, const struct setting *s, const char *origin, const char *value, struct err *e) {
    size_t n = strlen(value);
    if ((int64_t)n < s->least || (int64_t)n > s->most)
        return err_set(e, ERR_INVALID, "%s: must have %" PRId64 " to %" PRId64 " bytes, has %zu", origin, s->least,
                       s->most, n);
    char host[CONF_HOST];
    uint16_t port;
    if (strcmp(s->name, "listen") == 0 && !parse_listen(value, host, &port))
        return err_set(e, ERR_INVALID, "%s: '%s' must be HOST:PORT, the port from 0 to 65535", origin, value);
    char **to = field(c, s);
    free(*to);
    *to = memcpy(mem_alloc(n + 1), value, n + 1);
    return true;
}

static bool set_level(struct conf *c, const struct setting *s, const char *origin, const char *value, struct err *e) {
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, levels[i]) != 0) continue;
        *(enum log_level *)field(c, s) = (enum log_level)i;
        return true;
    }
    return err_set(e, ERR_INVALID, "%s: '%s' must be debug, info, warn or error", origin, value);
}

/* origin: how the user named it, for the error text. */
static bool set(struct conf *c, const struct setting *s, const char *origin, const char *value, struct err *e) {
    if (s->type == TEXT) return set_text(c, s, origin, value, e);
    if (s->type == LEVEL) return set_level(c, s, origin, value, e);
    uint64_t n;
    if (!read_number(str_of(value), s->type == SIZE, &n) || n < (uint64_t)s->least || n > (uint64_t)s->most)
        return err_set(e, ERR_INVALID, "%s: '%s' must be a number from %" PRId64 " to %" PRId64 "%s", origin, value,
                       s->least, s->most, s->type == SIZE ? " (K, M or G may follow)" : "");
    if (s->type == NUMBER)
        *(unsigned *)field(c, s) = (unsigned)n;
    else
        *(uint64_t *)field(c, s) = n;
    return true;
}

/* --- sources --- */

static bool load_line(struct conf *c, const char *path, int line, struct str text, struct err *e) {
    struct str name, value;
    char origin[400], copy[4096];
    text = str_trim(text);
    if (text.n == 0 || text.p[0] == '#') return true;
    snprintf(origin, sizeof origin, "%.300s:%d", path, line);
    if (!str_cut(text, '=', &name, &value)) return err_set(e, ERR_INVALID, "%s: a line must be `name = value`", origin);
    name = str_trim(name);
    value = str_trim(value);
    if (value.n >= sizeof copy || memchr(value.p, '\0', value.n))
        return err_set(e, ERR_INVALID, "%s: the value is too long, or holds a NUL", origin);
    snprintf(copy, sizeof copy, STR_FMT, STR_ARG(value));
    for (int i = 0; i < COUNT; i++) {
        if (!str_is(name, table[i].name)) continue;
        snprintf(origin, sizeof origin, "%.300s:%d: %s", path, line, table[i].name);
        return set(c, &table[i], origin, copy, e);
    }
    return err_set(e, ERR_INVALID, "%s: there is no setting '" STR_FMT "' (see sightglass serve --help)", origin,
                   (int)(name.n < 60 ? name.n : 60), name.p);
}

static bool load_file(struct conf *c, const char *path, struct err *e) {
    size_t n;
    char *text = io_read_file(path, FILE_MOST, &n);
    if (!text) return err_errno(e, "reading the settings file %s", path);
    bool ok = true;
    int line = 0;
    for (struct str rest = {text, n}, one; ok && rest.n;) {
        str_cut(rest, '\n', &one, &rest);
        ok = load_line(c, path, ++line, one, e);
    }
    free(text);
    return ok;
}

static bool load_environment(struct conf *c, struct err *e) {
    for (int i = 0; i < COUNT; i++) {
        char name[NAME_SIZE];
        env_name(&table[i], name);
        const char *value = getenv(name);
        if (value && !set(c, &table[i], name, value, e)) return false;
    }
    return true;
}

/* Splits "--name=value" or "--name value"; moves *i behind what it took. */
static bool next_flag(int count, char **args, int *i, struct str *name, const char **value, struct err *e) {
    struct str arg = str_of(args[*i]), after;
    if (!str_starts(arg, STR("--")) || arg.n == 2)
        return err_set(e, ERR_INVALID, "'%.100s' is not an option (see sightglass serve --help)", args[*i]);
    if (str_cut(arg, '=', name, &after)) {
        *value = after.p;
    } else if (*i + 1 < count) {
        *value = args[++*i];
    } else {
        return err_set(e, ERR_INVALID, "%.100s needs a value", args[*i]);
    }
    ++*i;
    return true;
}

static bool load_flags(struct conf *c, int count, char **args, struct err *e) {
    for (int i = 0; i < count;) {
        struct str name;
        const char *value;
        if (!next_flag(count, args, &i, &name, &value, e)) return false;
        if (str_is(name, "--config")) continue;
        bool known = false;
        for (int k = 0; k < COUNT && !known; k++) {
            char flag[NAME_SIZE];
            flag_name(&table[k], flag);
            known = str_is(name, flag);
            if (known && !set(c, &table[k], flag, value, e)) return false;
        }
        if (!known)
            return err_set(e, ERR_INVALID, "there is no option " STR_FMT " (see sightglass serve --help)",
                           (int)(name.n < 60 ? name.n : 60), name.p);
    }
    return true;
}

static bool find_file(int count, char **args, const char **path, struct err *e) {
    *path = getenv("SIGHTGLASS_CONFIG");
    for (int i = 0; i < count;) {
        struct str name;
        const char *value;
        if (!next_flag(count, args, &i, &name, &value, e)) return false;
        if (str_is(name, "--config")) *path = value;
    }
    return true;
}

bool conf_load(struct conf *c, int count, char **args, struct err *e) {
    const char *path;
    *c = (struct conf){0};
    for (int i = 0; i < COUNT; i++) CHECK(set(c, &table[i], table[i].name, table[i].def, e));
    if (find_file(count, args, &path, e) && (!path || !*path || load_file(c, path, e)) && load_environment(c, e) &&
        load_flags(c, count, args, e)) {
        if (!*c->workspace == !*c->api_key) return true;
        err_set(e, ERR_INVALID, "workspace and api_key go together: give both or neither");
    }
    conf_free(c);
    return false;
}

void conf_free(struct conf *c) {
    for (int i = 0; i < COUNT; i++)
        if (table[i].type == TEXT) free(*(char **)field(c, &table[i]));
    *c = (struct conf){0};
}

/* --- for people --- */

static void print_wrapped(FILE *to, const char *text) {
    int column = 0;
    for (struct str rest = str_of(text), word; rest.n;) {
        str_cut(rest, ' ', &word, &rest);
        if (column && column + (int)word.n > HELP_WIDTH - 10) column = 0, fputc('\n', to);
        column += fprintf(to, "%s" STR_FMT, column ? " " : "        ", STR_ARG(word));
    }
    fputc('\n', to);
}

void conf_print_help(FILE *to) {
    for (int i = 0; i < COUNT; i++) {
        char flag[NAME_SIZE], env[NAME_SIZE];
        flag_name(&table[i], flag);
        env_name(&table[i], env);
        fprintf(to, "  %s %s   (%s%s%s)\n", flag,
                table[i].type == TEXT    ? "TEXT"
                : table[i].type == LEVEL ? "LEVEL"
                                         : "N",
                env, *table[i].def ? ", default " : "", table[i].def);
        print_wrapped(to, table[i].text);
    }
    fprintf(to, "  --config FILE   (SIGHTGLASS_CONFIG)\n");
    print_wrapped(to, "settings file: lines `name = value`, the names as above with _ for -; # begins a comment");
}

void conf_print_markdown(FILE *to) {
    fprintf(to,
            "# Configuration\n\n"
            "Generated from the table in `src/base/conf.h` by `make docs`; do not edit.\n\n"
            "Each setting can be given as a flag of `sightglass serve`, in the environment, or in a settings file\n"
            "(`--config FILE` or `SIGHTGLASS_CONFIG`; lines `name = value`, `#` begins a comment). A flag beats the\n"
            "environment, which beats the file, which beats the default. Sizes take K, M and G (times 1024).\n\n"
            "| setting | flag | environment | default | limits | what it does |\n"
            "| --- | --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < COUNT; i++) {
        const struct setting *s = &table[i];
        char flag[NAME_SIZE], env[NAME_SIZE], limits[64] = "";
        flag_name(s, flag);
        env_name(s, env);
        if (s->type == NUMBER || s->type == SIZE)
            snprintf(limits, sizeof limits, "%" PRId64 " to %" PRId64, s->least, s->most);
        fprintf(to, "| `%s` | `%s` | `%s` | %s%s%s | %s | %s |\n", s->name, flag, env, *s->def ? "`" : "", s->def,
                *s->def ? "`" : "", limits, s->text);
    }
}
