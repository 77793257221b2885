#include "cmd/check_images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/blobs.h"

struct named {
    uint32_t workspace;
    uint8_t hash[BLOB_HASH];
    bool may_be_gone;
};

struct list {
    struct named *all;
    size_t count, room;
};

static void note(void *ctx, uint32_t workspace, const uint8_t hash[32], bool may_be_gone) {
    struct list *l = ctx;
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 1024;
        l->all = mem_resize(l->all, l->room * sizeof *l->all);
    }
    struct named *n = &l->all[l->count++];
    n->workspace = workspace;
    memcpy(n->hash, hash, BLOB_HASH);
    n->may_be_gone = may_be_gone;
}

static int by_name(const void *x, const void *y) {
    const struct named *a = x, *b = y;
    if (a->workspace != b->workspace) return a->workspace < b->workspace ? -1 : 1;
    return memcmp(a->hash, b->hash, BLOB_HASH);
}

static int by_name_and_use(const void *x, const void *y) {
    int order = by_name(x, y);
    return order ? order : ((const struct named *)x)->may_be_gone - ((const struct named *)y)->may_be_gone;
}

static bool set_aside(const struct check *c, struct blobs *b, const struct named *n, char folder[CHECK_PATH],
                      struct err *e) {
    char path[BLOB_PATH];
    if (!*folder && !check_make_aside(c->dir, folder, e)) return false;
    blob_file(b, n->workspace, n->hash, BLOB_PICTURE, path);
    return check_put_aside(c, folder, path, e) && check_sync_aside(folder, e) &&
           blob_remove(b, n->workspace, n->hash, e);
}

static bool look_at(struct check *c, struct blobs *b, const struct named *n, struct image_check *out,
                    char folder[CHECK_PATH], struct err *e) {
    struct err why;
    bool whole = blob_verify(b, n->workspace, n->hash, &why);
    if (!whole && why.code == ERR_NOT_FOUND && n->may_be_gone) return true;
    out->named++;
    if (whole) return true;
    check_problem(c, "%s", why.msg);
    if (why.code == ERR_NOT_FOUND) out->missing++;
    else out->damaged++;
    return why.code != ERR_DAMAGED || !c->repair || set_aside(c, b, n, folder, e);
}

bool check_images(struct check *c, struct image_check *out, struct err *e) {
    struct list l = {0};
    char dir[CHECK_PATH], folder[CHECK_PATH] = "";
    *out = (struct image_check){0};
    bool ok = check_each_picture(c, note, &l, e);
    if (l.count) qsort(l.all, l.count, sizeof *l.all, by_name_and_use);
    snprintf(dir, sizeof dir, "%s/workspaces", c->dir);
    struct blobs *b = blobs_new(dir);
    for (size_t i = 0; ok && i < l.count; i++)
        if (i == 0 || by_name(&l.all[i - 1], &l.all[i]) != 0) ok = look_at(c, b, &l.all[i], out, folder, e);
    blobs_free(b);
    free(l.all);
    return ok;
}
