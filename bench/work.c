#include "work.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

/* The finaliser of splitmix64: every input bit reaches every output bit. */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* name, what it takes, help */
static const struct {
    const char *name, *takes, *help;
} option_table[] = {
    {"url", "URL", "server, http://127.0.0.1:PORT"},
    {"workspace", "SLUG", "workspace (bench)"},
    {"key", "KEY", "its API key"},
    {"auth", "WHERE", "bearer or body: where the key travels (bearer)"},
    {"conninfo", "TEXT", "PostgreSQL connection string"},
    {"state", "FILE", "what was acknowledged: written by w2, read by check"},
    {"seed", "N", "of ids and order (1)"},
    {"ids", "N", "ids ingested before (200000)"},
    {"unknown-ids", "N", "ids never ingested (100000)"},
    {"unknown", "PERCENT", "of the items go to an id never ingested (5)"},
    {"repeat", "PERCENT", "of the items go to an id written two requests before (5)"},
    {"items", "N", "items a request (1)"},
    {"shape", "SHAPE", "entries: an entry an item; ids: one entry of all ids (entries)"},
    {"connections", "N", "connections, one request in flight on each (32)"},
    {"threads", "N", "threads of the generator (1)"},
    {"seconds", "S", "length of the run (4)"},
    {"requests", "N", "at most so many requests, 0: no limit (0)"},
    {"sample", "N", "ids looked up one by one by check (2000)"},
    {"help", NULL, "this table"},
};
enum { OPTION_COUNT = sizeof option_table / sizeof option_table[0] };

static void print_help(const char *program) {
    printf("usage: %s WHAT [--option value]...\n", program);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        printf("  --%-12s %-8s %s\n", option_table[i].name, option_table[i].takes ? option_table[i].takes : "",
               option_table[i].help);
}

static bool to_count(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *out, struct err *e) {
    unsigned long long v;
    if (!str_to_u64(str_of(text), &v) || v < least || v > most)
        return err_set(e, ERR_INVALID, "--%s %s: want a number from %" PRIu64 " to %" PRIu64, name, text, least, most);
    *out = v;
    return true;
}

static bool set_text(struct work_options *o, const char *name, const char *v, bool *known, struct err *e) {
    *known = true;
    if (!strcmp(name, "url")) o->url = v;
    else if (!strcmp(name, "workspace")) o->workspace = v;
    else if (!strcmp(name, "key")) o->key = v;
    else if (!strcmp(name, "conninfo")) o->conninfo = v;
    else if (!strcmp(name, "state")) o->state = v;
    else if (!strcmp(name, "auth") && (!strcmp(v, "bearer") || !strcmp(v, "body"))) o->body_key = v[1] == 'o';
    else if (!strcmp(name, "shape") && (!strcmp(v, "entries") || !strcmp(v, "ids"))) o->one_entry = v[0] == 'i';
    else if (!strcmp(name, "auth") || !strcmp(name, "shape"))
        return err_set(e, ERR_INVALID, "--%s %s: see --help", name, v);
    else *known = false;
    return true;
}

static bool set_number(struct work_options *o, const char *name, const char *v, struct err *e) {
    uint64_t n = 0;
    if (!strcmp(name, "seconds")) {
        if (!str_to_double(str_of(v), &o->seconds) || o->seconds <= 0 || o->seconds > 3600)
            return err_set(e, ERR_INVALID, "--seconds %s: want a number above 0, at most 3600", v);
        return true;
    }
    static const struct {
        const char *name;
        uint64_t least, most;
    } range[] = {{"seed", 0, UINT64_MAX},   {"ids", 1, 50000000},        {"unknown-ids", 1, 50000000},
                 {"unknown", 0, 100},       {"repeat", 0, 100},          {"items", 1, WORK_MAX_ITEMS},
                 {"threads", 1, 64},        {"requests", 0, UINT64_MAX}, {"connections", 1, WORK_MAX_CONNECTIONS},
                 {"sample", 0, 10000000}};
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++)
        if (!strcmp(name, range[i].name) && !to_count(name, v, range[i].least, range[i].most, &n, e)) return false;
    if (!strcmp(name, "seed")) o->seed = n;
    if (!strcmp(name, "ids")) o->known = (uint32_t)n;
    if (!strcmp(name, "unknown-ids")) o->unknown = (uint32_t)n;
    if (!strcmp(name, "unknown")) o->unknown_percent = (unsigned)n;
    if (!strcmp(name, "repeat")) o->repeat_percent = (unsigned)n;
    if (!strcmp(name, "items")) o->items = (unsigned)n;
    if (!strcmp(name, "threads")) o->threads = (unsigned)n;
    if (!strcmp(name, "requests")) o->requests = n;
    if (!strcmp(name, "connections")) o->connections = (unsigned)n;
    if (!strcmp(name, "sample")) o->sample = (unsigned)n;
    return true;
}

bool work_options_read(struct work_options *o, int argc, char **argv, struct err *e) {
    *o = (struct work_options){.workspace = "bench", .key = "", .seed = 1, .known = 200000, .unknown = 100000,
                               .unknown_percent = 5, .repeat_percent = 5, .items = 1, .connections = 32, .threads = 1,
                               .seconds = 4, .sample = 2000};
    struct option list[OPTION_COUNT + 1] = {0};
    for (size_t i = 0; i < OPTION_COUNT; i++)
        list[i] =
            (struct option){option_table[i].name, option_table[i].takes ? required_argument : no_argument, NULL, 0};
    int at, result;
    opterr = 0;
    while ((result = getopt_long(argc, argv, "", list, &at)) != -1) {
        if (result == '?')
            return err_set(e, ERR_INVALID, "%s: unknown or without its value; --help lists all", argv[optind - 1]);
        const char *name = option_table[at].name;
        bool done;
        if (!strcmp(name, "help")) print_help(argv[0]), exit(0);
        if (!set_text(o, name, optarg, &done, e)) return false;
        if (!done && !set_number(o, name, optarg, e)) return false;
    }
    if (o->unknown_percent + o->repeat_percent > 100)
        return err_set(e, ERR_INVALID, "--unknown and --repeat together are over 100 %%");
    return true;
}

static void write_id(uint64_t seed, uint32_t number, char out[WORK_ID]) {
    static const char digits[] = "0123456789abcdef";
    uint64_t half[2] = {mix(mix(seed) ^ number), mix(mix(~seed) ^ number)};
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
    half[1] = (half[1] & (UINT64_MAX >> 2)) | (UINT64_C(1) << 63);
    size_t at = 0;
    for (unsigned nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) out[at++] = '-';
        out[at++] = digits[half[nibble / 16] >> (60 - 4 * (nibble % 16)) & 15];
    }
}

uint64_t work_text_hash(const char *p, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, n - i < 8 ? n - i : 8);
        h = mix(h ^ word);
    }
    return h;
}

uint64_t work_hash(uint64_t id_hash, uint64_t value_hash) { return mix(id_hash ^ (value_hash << 1)); }

bool work_init(struct work *w, const struct work_options *o, struct err *e) {
    *w = (struct work){.o = *o};
    /* A request names no id twice: what a connection owns must outlast the look back of a repeated item. */
    if (o->known / o->connections < 3 * o->items || o->unknown / o->connections < o->items)
        return err_set(e, ERR_INVALID, "%u + %u ids are too few for %u connections with %u items a request", o->known,
                       o->unknown, o->connections, o->items);
    size_t all = (size_t)o->known + o->unknown;
    w->ids = mem_zero(all, sizeof *w->ids);
    w->id_hash = mem_zero(all, sizeof *w->id_hash);
    w->last = mem_zero(all, sizeof *w->last);
    w->changes = mem_zero(all, sizeof *w->changes);
    for (uint32_t i = 0; i < all; i++) {
        write_id(o->seed, i, w->ids[i]);
        w->id_hash[i] = work_text_hash(w->ids[i], WORK_ID);
    }
    for (unsigned v = 0; v < WORK_VALUES; v++) {
        char text[WORK_VALUE];
        work_value((uint8_t)v, text);
        w->value_hash[v] = work_text_hash(text, WORK_VALUE);
    }
    return true;
}

void work_free(struct work *w) {
    free(w->ids);
    free(w->id_hash);
    free(w->last);
    free(w->changes);
    *w = (struct work){0};
}

/* Strides through the ids that a connection owns; a prime, so that all are met before any comes again. */
static uint32_t known_at(const struct work *w, const struct work_cursor *c, uint64_t at) {
    uint64_t owned = w->o.known / w->o.connections, start = mix(w->o.seed + c->connection) % owned;
    return (uint32_t)((start + at) % owned * 2654435761u % owned * w->o.connections + c->connection);
}

void work_next(const struct work *w, struct work_cursor *c, struct work_item *items) {
    const struct work_options *o = &w->o;
    for (unsigned i = 0; i < o->items; i++, c->at++) {
        uint64_t dice = mix(o->seed ^ mix((uint64_t)c->connection << 40 ^ c->at)) % 100;
        uint32_t number;
        if (dice < o->unknown_percent)
            number =
                (uint32_t)(o->known + c->unknown_at++ % (o->unknown / o->connections) * o->connections + c->connection);
        else if (dice < o->unknown_percent + o->repeat_percent && c->at >= 2 * o->items)
            number = known_at(w, c, c->at - 2 * o->items);
        else
            number = known_at(w, c, c->at);
        items[i] = (struct work_item){number, (uint8_t)((o->one_entry ? c->requests : w->last[number]) % WORK_VALUES)};
    }
    c->requests++;
}

void work_value(uint8_t value, char out[WORK_VALUE]) {
    memcpy(out, "site-", 5);
    out[5] = (char)('0' + value / 10);
    out[6] = (char)('0' + value % 10);
}

void work_acknowledged(struct work *w, const struct work_item *items, struct work_tally *t, int64_t latency_us) {
    for (unsigned i = 0; i < w->o.items; i++) {
        uint32_t n = items[i].number;
        bool changed = w->last[n] != items[i].value + 1;
        t->sum += work_hash(w->id_hash[n], w->value_hash[items[i].value]);
        t->unchanged += !changed;
        w->changes[n] += changed;
        w->last[n] = (uint8_t)(items[i].value + 1);
    }
    t->requests++;
    t->items += w->o.items;
    uint32_t us = latency_us < UINT32_MAX ? (uint32_t)latency_us : UINT32_MAX;
    t->latency[us < WORK_LATENCY ? us : WORK_LATENCY - 1]++;
    if (us > t->slowest_us) t->slowest_us = us;
}

void work_event(struct buf *out, const struct work *w, uint32_t number, int64_t time_us) {
    static const char *const classes[] = {"person", "bicycle", "car", "dog", "truck", "bottle", "chair", "bird"};
    uint64_t r = mix(w->o.seed * 31 + number);
    char when[CLOCK_TEXT];
    buf_printf(out,
               "%s{\"inference_id\":\"%.*s\",\"model_id\":\"line-%u/%u\",\"time\":\"%s\",\"latency_s\":0.%03u,"
               "\"device_id\":\"edge-%02u\",\"image\":{\"width\":1280,\"height\":720},\"predictions\":[",
               out->n && out->p[out->n - 1] == '}' ? "," : "", WORK_ID, w->ids[number], (unsigned)(r % 4),
               (unsigned)(r >> 4) % 3 + 1, clock_format(time_us, when), (unsigned)(r >> 8) % 200 + 5,
               (unsigned)(r >> 16) % 40);
    unsigned count = (unsigned)(r >> 24) % 5;
    for (unsigned k = 0; k < count; k++) {
        uint64_t q = mix(r + k);
        buf_printf(out, "%s{\"class\":\"%s\",\"confidence\":0.%04u,\"x\":%u.5,\"y\":%u.5,\"width\":%u,\"height\":%u}",
                   k ? "," : "", classes[q % 8], (unsigned)(q >> 8) % 7000 + 3000, (unsigned)(q >> 20) % 1280,
                   (unsigned)(q >> 30) % 720, (unsigned)(q >> 40) % 300 + 10, (unsigned)(q >> 50) % 300 + 10);
    }
    buf_addz(out, "]}");
}

void work_tally_init(struct work_tally *t) {
    *t = (struct work_tally){.latency = mem_zero(WORK_LATENCY, sizeof *t->latency)};
}

void work_tally_add(struct work_tally *to, const struct work_tally *from) {
    to->requests += from->requests;
    to->items += from->items;
    to->unchanged += from->unchanged;
    to->sum += from->sum;
    if (from->ended_us > to->ended_us) to->ended_us = from->ended_us;
    if (from->slowest_us > to->slowest_us) to->slowest_us = from->slowest_us;
    for (size_t i = 0; i < WORK_LATENCY; i++) to->latency[i] += from->latency[i];
}

void work_tally_free(struct work_tally *t) {
    free(t->latency);
    *t = (struct work_tally){0};
}

/* The latency that `share` of the requests did not exceed, in milliseconds. */
static double quantile_ms(const struct work_tally *t, double share) {
    uint64_t want = (uint64_t)((double)t->requests * share), seen = 0;
    for (uint32_t us = 0; us < WORK_LATENCY - 1; us++)
        if ((seen += t->latency[us]) > want) return us / 1000.0;
    return t->slowest_us / 1000.0;
}

void work_report(const struct work *w, const char *what, const struct work_tally *t, int64_t started_us,
                 bool failed) {
    double seconds = t->ended_us > started_us ? (double)(t->ended_us - started_us) / 1e6 : 0;
    printf("{\"work\":\"%s\",\"items_a_request\":%u,\"shape\":\"%s\",\"connections\":%u,\"seconds\":%.3f,", what,
           w->o.items, w->o.one_entry ? "ids" : "entries", w->o.connections, seconds);
    printf("\"requests\":%" PRIu64 ",\"items\":%" PRIu64 ",\"unchanged\":%" PRIu64 ",\"sum\":\"%016" PRIx64 "\",",
           t->requests, t->items, t->unchanged, t->sum);
    printf("\"requests_s\":%.0f,\"items_s\":%.0f,", seconds > 0 ? (double)t->requests / seconds : 0.0,
           seconds > 0 ? (double)t->items / seconds : 0.0);
    printf("\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,\"failed\":%s}\n", quantile_ms(t, 0.5),
           quantile_ms(t, 0.99), quantile_ms(t, 0.999), t->slowest_us / 1000.0, failed ? "true" : "false");
}

bool work_save(const struct work *w, const struct work_tally *t, struct err *e) {
    FILE *f = fopen(w->o.state, "w");
    if (!f) return err_errno(e, "%s: cannot be written", w->o.state);
    fprintf(f, "%" PRIu64 " %u %u %" PRIu64 " %" PRIu64 "\n", w->o.seed, w->o.known, w->o.unknown, t->requests,
            t->items);
    for (uint32_t i = 0; i < w->o.known + w->o.unknown; i++)
        if (w->last[i]) fprintf(f, "%u %u %u\n", i, w->last[i], w->changes[i]);
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) return err_errno(e, "%s: cannot be written", w->o.state);
    return true;
}

bool work_load(struct work *w, struct err *e) {
    FILE *f = fopen(w->o.state, "r");
    if (!f) return err_errno(e, "%s: cannot be read", w->o.state);
    uint64_t seed, requests, items;
    uint32_t known, unknown, number, last, changes;
    bool ok = fscanf(f, "%" SCNu64 " %u %u %" SCNu64 " %" SCNu64, &seed, &known, &unknown, &requests, &items) == 5 &&
              seed == w->o.seed && known == w->o.known && unknown == w->o.unknown;
    while (ok && fscanf(f, "%u %u %u", &number, &last, &changes) == 3) {
        ok = number < known + unknown && last >= 1 && last <= WORK_VALUES;
        if (!ok) break;
        w->last[number] = (uint8_t)last;
        w->changes[number] = changes;
    }
    ok = ok && feof(f);
    fclose(f);
    return ok ? true : err_set(e, ERR_INVALID, "%s: not of a run with --seed %" PRIu64 " --ids %u --unknown-ids %u",
                               w->o.state, w->o.seed, w->o.known, w->o.unknown);
}
