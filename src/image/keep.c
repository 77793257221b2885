#include "image/keep.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum keep_kind { KEEP_NONE, KEEP_ALL, KEEP_SAMPLE, KEEP_BELOW };

struct policy {
    struct str workspace; /* empty: the default */
    enum keep_kind kind;
    double value;
};

struct keep {
    struct policy *policies; /* the default is the first */
    size_t count;
    struct arena arena;
};

static bool parse_value(struct str text, const char *kind, const char *means, double *value, struct err *e) {
    if (str_to_double(text, value) && *value >= 0 && *value <= 1) return true;
    return err_set(e, ERR_INVALID, "keep_images: \"%s:" STR_FMT "\": %s is a number from 0 to 1", kind, STR_ARG(text),
                   means);
}

static bool parse_policy(struct str text, struct policy *p, struct err *e) {
    struct str kind, value;
    bool has_value = str_cut(text, ':', &kind, &value);
    if (!has_value && (str_is(kind, "none") || str_is(kind, "all"))) {
        p->kind = str_is(kind, "all") ? KEEP_ALL : KEEP_NONE;
        return true;
    }
    if (has_value && str_is(kind, "sample")) {
        p->kind = KEEP_SAMPLE;
        return parse_value(value, "sample", "the share of pictures to keep", &p->value, e);
    }
    if (has_value && str_is(kind, "below")) {
        p->kind = KEEP_BELOW;
        return parse_value(value, "below", "the confidence under which a picture is kept", &p->value, e);
    }
    return err_set(e, ERR_INVALID, "keep_images: \"" STR_FMT "\" is no policy; write none, all, sample:P or below:C",
                   STR_ARG(text));
}

static bool parse_entry(struct keep *k, struct str entry, struct err *e) {
    struct str slug, rest;
    struct policy *p = &k->policies[k->count];
    struct str text = entry;
    if (str_cut(entry, '=', &slug, &rest)) {
        slug = str_trim(slug);
        text = str_trim(rest);
        if (slug.n == 0)
            return err_set(e, ERR_INVALID, "keep_images: \"" STR_FMT "\" names no workspace before \"=\"",
                           STR_ARG(entry));
        p->workspace = (struct str){arena_copy(&k->arena, slug.p, slug.n), slug.n};
    }
    for (size_t i = 0; i < k->count; i++)
        if (str_eq(k->policies[i].workspace, p->workspace))
            return err_set(e, ERR_INVALID, "keep_images: \"" STR_FMT "\" is a second policy for the same workspace%s",
                           STR_ARG(entry), p->workspace.n ? "" : " (the default)");
    if ((k->count == 0) != (p->workspace.n == 0))
        return err_set(e, ERR_INVALID, "keep_images: \"" STR_FMT "\": the default comes first, then WORKSPACE=POLICY",
                       STR_ARG(entry));
    k->count++;
    return parse_policy(text, p, e);
}

struct keep *keep_parse(struct str text, struct err *e) {
    size_t most = 1;
    for (size_t i = 0; i < text.n; i++) most += text.p[i] == ',';
    struct keep *k = mem_zero(1, sizeof *k);
    k->policies = arena_alloc(&k->arena, most * sizeof *k->policies);
    struct str entry, rest = text;
    bool more;
    do {
        more = str_cut(rest, ',', &entry, &rest);
        if (!parse_entry(k, str_trim(entry), e)) {
            keep_free(k);
            return NULL;
        }
    } while (more);
    return k;
}

void keep_free(struct keep *k) {
    if (!k) return;
    arena_free(&k->arena);
    free(k);
}

/* A number in [0, 1) that depends on the id alone, so it is the same after a restart and for a resent request. */
static double share_of(struct str id) {
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "keep_images";
    unsigned char hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, (const unsigned char *)id.p, id.n, key);
    uint64_t h;
    memcpy(&h, hash, sizeof h);
    return (double)(h >> 11) * 0x1p-53;
}

bool keep_decide(const struct keep *k, struct str workspace, struct str inference_id, double top_confidence) {
    const struct policy *p = &k->policies[0];
    for (size_t i = 1; i < k->count; i++)
        if (str_eq(k->policies[i].workspace, workspace)) p = &k->policies[i];
    switch (p->kind) {
    case KEEP_NONE: return false;
    case KEEP_ALL: return true;
    case KEEP_SAMPLE: return share_of(inference_id) < p->value;
    case KEEP_BELOW: return top_confidence < p->value;
    }
    return false;
}
