#include "script.h"

#include <sodium.h>

#include "base/check.h"

/* ---- the requests ---- */

static unsigned kind_of(unsigned n) {
    static const unsigned extra[] = {0, 10, 11};
    return n < SCRIPT_REQUESTS ? n % SCRIPT_KINDS : extra[n - SCRIPT_EXTRA];
}

/* Requests come in rounds, each with ids of its own; the first number of a round stands for it. */
static unsigned round_of(unsigned n) { return n / SCRIPT_KINDS * SCRIPT_KINDS; }

static struct str text_of(struct request *r, const char *fmt, unsigned n) {
    char *text = arena_printf(&r->arena, fmt, n);
    return str_of(text);
}

struct str script_picture(unsigned number, char bytes[SCRIPT_PICTURE]) {
    for (size_t i = 0; i < SCRIPT_PICTURE; i++) bytes[i] = (char)(number + i * i);
    return (struct str){bytes, SCRIPT_PICTURE};
}

static void with_picture(struct request *r, struct inference *inf, unsigned number) {
    char bytes[SCRIPT_PICTURE];
    struct str picture = script_picture(number, bytes);
    uint8_t *hash = arena_alloc(&r->arena, BLOB_HASH);
    crypto_generichash(hash, BLOB_HASH, (const unsigned char *)picture.p, picture.n, NULL, 0);
    inf->picture = hash;
}

static int64_t time_of(unsigned number) { return SCRIPT_NOW_US - 4 * HOUR_US + number * 60000000LL; }

/* What an inference says follows from the number alone: the same number again is the same again. */
static struct inference *add_inference(struct request *r, unsigned number, struct str id, size_t padding) {
    struct item *item = &r->items[r->count++];
    struct detection *d = arena_alloc(&r->arena, 2 * sizeof *d);
    char *pad = arena_alloc(&r->arena, padding + 1);
    for (size_t i = 0; i < padding; i++) pad[i] = (char)('a' + (i * 7 + number) % 26);
    d[0] = (struct detection){
        .class_name = STR("dog"), .class_id = 1, .confidence = 0.5 + number / 1000.0, .has_box = true, .x = 1, .y = 2};
    d[1] = (struct detection){.class_name = STR("cat"), .class_id = -1, .confidence = 0.25};
    item->inf = (struct inference){.id = id,
                                   .model_id = STR("coco/24"),
                                   .time_us = time_of(number),
                                   .latency_s = 0.01,
                                   .device_id = STR("cam"),
                                   .source_info = text_of(r, "r%u", number),
                                   .server_version = {pad, padding},
                                   .detections = d,
                                   .detection_count = number % 3};
    return &item->inf;
}

static void add_attach(struct request *r, unsigned number, const char *field, struct value v, const struct str *ids,
                       size_t count) {
    struct item *item = &r->items[r->count++];
    *item = (struct item){.is_attach = true};
    item->attach = (struct attach){.key_id = number + 1,
                                   .field = str_of(field),
                                   .value = v,
                                   .id_count = count,
                                   .ids = arena_copy(&r->arena, ids, count * sizeof *ids)};
}

static struct value text_value(struct str text) { return (struct value){.type = VALUE_STRING, .text = text}; }
static struct value number_value(unsigned n) { return (struct value){.type = VALUE_NUMBER, .number = n}; }

/* A chain that does not fit into what is left of a journal file, most of the time. */
static void long_chain(struct request *r, unsigned n) {
    struct str ids[16];
    for (unsigned i = 0; i < 16; i++) {
        ids[i] = text_of(r, "many%u", n * 100 + i);
        add_inference(r, n, ids[i], 2900);
    }
    add_attach(r, n, "line", text_value(text_of(r, "L%u", n)), ids, 16);
}

static void repeated(struct request *r, unsigned n) {
    unsigned round = round_of(n);
    struct str id = text_of(r, "i%u", round);
    with_picture(r, add_inference(r, round, id, 1200), round); /* the same again */
    add_inference(r, n, id, 10);                               /* a conflict */
    add_inference(r, n, id, 30)->assign_index = true;
    struct inference *partial = add_inference(r, n, id, 20);
    partial->partial = true;
    partial->index = 5;
    add_inference(r, n, id, 40)->index = 5;
    add_inference(r, n, text_of(r, "p%u", round), 20)->partial = true; /* the complete one comes a round later */
}

/* Many ids in one record: known in this workspace or in no way, in chunks and in segments. And rows, one of them of
 * long ago, which goes to a segment of its own. */
static void many_ids(struct request *r, unsigned n) {
    struct str some[30];
    for (unsigned i = 0; i < 30; i++) some[i] = text_of(r, i % 2 ? "more%u" : "unseen%u", i * 10);
    some[0] = text_of(r, "i%u", round_of(n));
    some[1] = text_of(r, "more%u", (n < SCRIPT_KINDS ? n : n - SCRIPT_KINDS) * 10);
    add_attach(r, n, "shift", text_value(text_of(r, "S%u", n % 4)), some, 30);
    for (unsigned i = 0; i < 9; i++) {
        struct inference *inf = add_inference(r, n, text_of(r, "more%u", n * 10 + i), 2400);
        if (i == 4) inf->time_us -= 10 * 24 * HOUR_US;
    }
}

/* Metadata for ids of all rounds, and a second model for one whose first is in a segment. */
static void later_metadata(struct request *r, unsigned n) {
    unsigned round = round_of(n), before = round < SCRIPT_KINDS ? 0 : round - SCRIPT_KINDS;
    struct str ids[6];
    size_t count = 0;
    for (unsigned k = 0; k <= round && k < 2 * SCRIPT_KINDS; k += SCRIPT_KINDS) {
        ids[count++] = text_of(r, "i%u", k);
        ids[count++] = text_of(r, "late%u", k);
    }
    add_attach(r, n, "grade", number_value(n), ids, count);
    add_attach(r, n, "line", (struct value){.type = VALUE_NONE}, ids, 1);
    struct str id = text_of(r, "i%u", before);
    add_inference(r, n, id, 50)->model_id = STR("second/1");
    add_attach(r, n, "second", text_value(STR("yes")), &id, 1);
}

/* What came a round ago comes again: the same, another under its name, and the complete one to a partial one. */
static void resent(struct request *r, unsigned n) {
    unsigned round = round_of(n), before = round < SCRIPT_KINDS ? 0 : round - SCRIPT_KINDS;
    with_picture(r, add_inference(r, before, text_of(r, "i%u", before), 1200), before);
    add_inference(r, n, text_of(r, "i%u", before), 11);
    add_inference(r, n, text_of(r, "late%u", before), 12)->assign_index = true;
    add_inference(r, n, text_of(r, "p%u", before), 30);
    with_picture(r, add_inference(r, 0, text_of(r, "i%u", 0), 1200), 0); /* may have been dropped since */
}

void script_build(unsigned n, struct request *r) {
    unsigned round = round_of(n);
    struct str first = text_of(r, "i%u", round), late = text_of(r, "late%u", round), id;
    *r = (struct request){.workspace = SCRIPT_WORKSPACE_A, .arena = r->arena};
    switch (kind_of(n)) {
    case 0: with_picture(r, add_inference(r, n, first, 1200), n); return;
    case 1: add_attach(r, n, "line", text_value(text_of(r, "L%u", n)), &first, 1); return;
    case 2:
        r->workspace = SCRIPT_WORKSPACE_B;
        add_inference(r, n, text_of(r, "b%u", round), 300)->error = STR("no picture");
        return;
    case 3: add_attach(r, n, "verdict", (struct value){.type = VALUE_BOOL, .truth = true}, &late, 1); return;
    case 4:
        add_inference(r, n, late, 900);
        add_attach(r, n, "shift", number_value(n), &late, 1);
        return;
    case 5: add_attach(r, n, "line", number_value(round), &first, 1); return;
    case 6:
        r->workspace = SCRIPT_WORKSPACE_B;
        long_chain(r, n);
        return;
    case 7:
        add_attach(r, n, "line", number_value(round), &first, 1); /* unchanged */
        add_attach(r, n, "verdict", (struct value){.type = VALUE_NONE}, &late, 1);
        return;
    case 8: repeated(r, n); return;
    case 9: many_ids(r, n); return;
    case 10: later_metadata(r, n); return;
    case 11: resent(r, n); return;
    case 12: /* for one that comes in the next round, and one that came in the last */
        r->workspace = SCRIPT_WORKSPACE_B;
        id = text_of(r, "b%u", round + SCRIPT_KINDS);
        add_attach(r, n, "batch", text_value(text_of(r, "B%u", n)), &id, 1);
        id = text_of(r, "b%u", 0);
        add_attach(r, n, "batch", number_value(n), &id, 1);
        add_inference(r, n, text_of(r, "ahead%u", n), 20)->time_us += 3 * 24 * HOUR_US;
        return;
    default:
        r->workspace = n < 2 * SCRIPT_KINDS ? SCRIPT_WORKSPACE_C : SCRIPT_WORKSPACE_B;
        for (unsigned i = 0; i < 3; i++) add_inference(r, n, text_of(r, "c%u", n * 10 + i), 100);
        id = text_of(r, "c%u", 130);
        add_attach(r, n, "line", text_value(text_of(r, "L%u", n)), &id, 1);
    }
}

/* ---- the actions ---- */

#define REQUESTS(n, together) {.what = ACT_REQUESTS, .first = (n), .count = (together)}
#define STEP(which, of) {.what = ACT_STEP, .step = STEP_##which, .workspace = SCRIPT_WORKSPACE_##of}
#define ONE(n) REQUESTS(n, 1)
#define ERASE(which) {.what = ACT_ERASE, .first = (which), .workspace = SCRIPT_WORKSPACE_A}

const struct action script_actions[] = {
    /* The first round: nothing but chunks, then segments of all workspaces. */
    ONE(0), ONE(1), ONE(2), ONE(3), ONE(4), ONE(5), ONE(6), STEP(CHECKPOINT, A), ONE(7), ONE(8), REQUESTS(9, 3),
    ONE(12), {.what = ACT_RESTART}, ONE(13), STEP(FREEZE, A), STEP(SEAL, A), STEP(FREEZE, B), STEP(SEAL, B),
    STEP(FREEZE, C), STEP(SEAL, C),
    /* The second: metadata for segments, folds; rows under known ids. */
    ONE(14), ONE(15), REQUESTS(16, 5), ONE(21), ONE(22), STEP(FREEZE, A), ONE(23), ONE(24), STEP(FOLD, A), ONE(25),
    STEP(CHECKPOINT, A), STEP(COMPACT, A), STEP(SEAL, A), ONE(26), ONE(27), {.what = ACT_RESTART}, STEP(FREEZE, A),
    STEP(SEAL, A), STEP(FOLD, A),
    /* The first round goes. */
    {.what = ACT_RETAIN, .workspace = SCRIPT_WORKSPACE_A}, STEP(COMPACT, A), ONE(28), ONE(29), ONE(30), REQUESTS(31, 3),
    ERASE(0), {.what = ACT_RESTART}, ONE(34), STEP(FREEZE, A), STEP(SEAL, A), ONE(35), STEP(MERGE, A), ONE(36), ONE(37),
    STEP(CHECKPOINT, A), STEP(FREEZE, B), STEP(SEAL, B), STEP(FOLD, B), STEP(MERGE, B), STEP(COMPACT, B),
    {.what = ACT_DELETE, .workspace = SCRIPT_WORKSPACE_C}, ONE(38), ONE(39), STEP(FREEZE, A), ONE(40), ERASE(1),
    STEP(FOLD, A), STEP(MERGE, A), STEP(COMPACT, A), ONE(41), STEP(EXPIRE, B), {.what = ACT_RESTART},
};
const unsigned script_action_count = sizeof script_actions / sizeof *script_actions;

static const struct action extra_actions[] = {
    ONE(SCRIPT_EXTRA), ONE(SCRIPT_EXTRA + 1), STEP(CHECKPOINT, A), STEP(FREEZE, A), STEP(SEAL, A),
    ONE(SCRIPT_EXTRA + 2), STEP(FOLD, A),
};

unsigned script_erased(unsigned which, struct str ids[SCRIPT_ERASED_MOST]) {
    static const char *const erased[2][SCRIPT_ERASED_MOST + 1] = {
        {"late14", "late28", "more231", "more232", "unseen20", "nobody"}, /* in segments, in a chunk, waiting */
        {"i14", "more370", "more374", "more378", "unseen20"}}; /* and in a frozen chunk, in parts of both kinds */
    unsigned count = 0;
    for (; erased[which][count]; count++) ids[count] = str_of(erased[which][count]);
    return count;
}

bool script_action_event(const struct action *a, unsigned *event) {
    switch (a->what) {
    case ACT_REQUESTS: return *event = a->first, true;
    case ACT_RETAIN: return *event = SCRIPT_RETAIN, true;
    case ACT_ERASE: return *event = SCRIPT_ERASE + a->first, true;
    case ACT_DELETE: return *event = SCRIPT_DELETE, true;
    case ACT_STEP:
    case ACT_RESTART: break;
    }
    return false;
}

static unsigned nth_event(const struct action *list, unsigned count, unsigned n) {
    for (unsigned i = 0, at = 0; i < count; i++) {
        const struct action *a = &list[i];
        unsigned first, events = a->what == ACT_REQUESTS ? a->count : 1;
        if (!script_action_event(a, &first)) continue;
        if (n < at + events) return first + n - at;
        at += events;
    }
    WRONG("there is no such event");
}

unsigned script_event(unsigned n) { return nth_event(script_actions, script_action_count, n); }
unsigned script_extra_event(unsigned n) {
    return nth_event(extra_actions, sizeof extra_actions / sizeof *extra_actions, n);
}

bool script_second(struct script *s, struct err *e) {
    for (unsigned i = 0; i < sizeof extra_actions / sizeof *extra_actions; i++)
        if (!script_act(s, &extra_actions[i], e)) return false;
    script_close(s);
    return true;
}

