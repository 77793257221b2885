/* Plans and filters as JSON: any bytes end in a plan within the limits or in an error that names a place; a plan is
 * written as JSON that reads back as the same. A filter given as text in it is the tree that its JSON says. */
#include <jansson.h>
#include <stdint.h>

#include "base/check.h"
#include "query/plan_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_plan(struct arena *a, struct str text, struct plan *p, struct json_fault *fault, struct err *e) {
    json_t *json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    bool ok = json && plan_from_json(a, json, p, fault, e);
    CHECK(ok || !json || (e->code == ERR_INVALID && fault->expected[0]));
    json_decref(json);
    return ok;
}

static size_t depth_of(const struct filter *f, size_t *matches) {
    size_t deepest = 0;
    if (f->kind == FILTER_TEST) *matches += f->test.match_count;
    CHECK(f->kind == FILTER_TEST ? f->test.match_count > 0 : f->first != NULL);
    for (const struct filter *child = f->first; child; child = child->next) {
        size_t depth = depth_of(child, matches);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

static void check_limits(const struct plan *p) {
    size_t matches = 0;
    if (p->filter) CHECK(depth_of(p->filter, &matches) <= FILTER_MAX_TREE && matches <= FILTER_MAX_MATCHES);
    CHECK(p->from_us <= p->to_us && p->grouping_count <= PLAN_GROUPINGS);
    for (size_t i = 0; i < p->grouping_count; i++) {
        const struct grouping *g = &p->groupings[i];
        CHECK(g->key_count <= PLAN_KEYS && g->measure_count > 0 && g->measure_count <= PLAN_MEASURES);
        for (size_t k = 0; k < g->order_count; k++) CHECK(g->orders[k].column < g->key_count + g->measure_count);
        for (size_t k = 0; k < g->key_count; k++) {
            const struct key *key = &g->keys[k];
            CHECK(of_uses(key->subject.of) & USE_KEY);
            if (key->subject.of == OF_TIME) CHECK(key->width_us > 0);
            if (key->subject.of == OF_CONFIDENCE) CHECK(key_bin(key, 0.5) < key_bins(key));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    struct plan p, again;
    struct json_fault fault;
    struct err e = {0};
    if (read_plan(&arena, (struct str){(const char *)data, size}, &p, &fault, &e)) {
        struct buf first = {0}, second = {0};
        check_limits(&p);
        plan_to_json(&first, &p);
        CHECK(read_plan(&arena, buf_str(&first), &again, &fault, &e));
        plan_to_json(&second, &again);
        CHECK(str_eq(buf_str(&first), buf_str(&second)));
        buf_free(&first);
        buf_free(&second);
    }
    arena_free(&arena);
    return 0;
}
