#include "catalog/lookup.h"

#include <stdlib.h>

struct entry {
    unsigned char hash[KEY_HASH];
    struct identity who;
};

/* Both arrays are sorted, by hash and by slug, and searched by halves. */
struct lookup {
    struct entry *keys;
    size_t key_count, key_room;
    struct key_name *names; /* sorted by id */
    size_t name_count, name_room;
    struct workspace *workspaces;
    size_t workspace_count, workspace_room;
};

struct lookup *lookup_new(void) {
    return mem_zero(1, sizeof(struct lookup));
}

void lookup_free(struct lookup *t) {
    if (!t) return;
    free(t->keys);
    free(t->names);
    free(t->workspaces);
    free(t);
}

static void *grow(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) return array;
    *room = *room ? *room * 2 : 16;
    return mem_resize(array, *room * size);
}

void lookup_add_workspace(struct lookup *t, const struct workspace *w) {
    t->workspaces = grow(t->workspaces, t->workspace_count, &t->workspace_room, sizeof *t->workspaces);
    t->workspaces[t->workspace_count++] = *w;
}

void lookup_add_key(struct lookup *t, const unsigned char hash[KEY_HASH], const struct identity *who) {
    t->keys = grow(t->keys, t->key_count, &t->key_room, sizeof *t->keys);
    struct entry *entry = &t->keys[t->key_count++];
    memcpy(entry->hash, hash, KEY_HASH);
    entry->who = *who;
}

void lookup_add_key_name(struct lookup *t, const struct key_name *name) {
    t->names = grow(t->names, t->name_count, &t->name_room, sizeof *t->names);
    t->names[t->name_count++] = *name;
}

static int by_hash(const void *a, const void *b) { return memcmp(a, b, KEY_HASH); }

static int by_slug(const void *a, const void *b) {
    return strcmp(((const struct workspace *)a)->slug, ((const struct workspace *)b)->slug);
}

void lookup_finish(struct lookup *t) {
    if (t->key_count) qsort(t->keys, t->key_count, sizeof *t->keys, by_hash);
    if (t->workspace_count) qsort(t->workspaces, t->workspace_count, sizeof *t->workspaces, by_slug);
}

bool lookup_key(const struct lookup *t, const unsigned char hash[KEY_HASH], struct identity *out) {
    const struct entry *found = t->key_count ? bsearch(hash, t->keys, t->key_count, sizeof *t->keys, by_hash) : NULL;
    if (found) *out = found->who;
    return found != NULL;
}

bool lookup_key_by_id(const struct lookup *t, int64_t key_id, struct identity *out) {
    for (size_t i = 0; i < t->key_count; i++) {
        if (t->keys[i].who.key_id != key_id) continue;
        *out = t->keys[i].who;
        return true;
    }
    return false;
}

static int by_key_id(const void *a, const void *b) {
    int64_t x = ((const struct key_name *)a)->key_id, y = ((const struct key_name *)b)->key_id;
    return (x > y) - (x < y);
}

bool lookup_key_name(const struct lookup *t, int64_t key_id, struct key_name *out) {
    const struct key_name wanted = {.key_id = key_id};
    const struct key_name *found =
        t->name_count ? bsearch(&wanted, t->names, t->name_count, sizeof wanted, by_key_id) : NULL;
    if (found) *out = *found;
    return found != NULL;
}

bool lookup_workspace(const struct lookup *t, struct str slug, struct workspace *out) {
    struct workspace wanted = {0};
    if (slug.n == 0 || slug.n >= SLUG_SIZE || memchr(slug.p, '\0', slug.n) || t->workspace_count == 0) return false;
    memcpy(wanted.slug, slug.p, slug.n);
    const struct workspace *found = bsearch(&wanted, t->workspaces, t->workspace_count, sizeof wanted, by_slug);
    if (found) *out = *found;
    return found != NULL;
}

struct workspace *lookup_workspaces(const struct lookup *t, struct arena *a, size_t *count) {
    *count = t->workspace_count;
    return arena_copy(a, t->workspaces, t->workspace_count * sizeof *t->workspaces);
}
