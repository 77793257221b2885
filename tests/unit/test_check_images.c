/* Kept pictures against the inferences that name them, wherever these stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/check_images.h"
#include "image/blobs.h"
#include "store_kit.h"

enum { SEALED, LOGGED, JOURNALLED, PICTURES };

struct world {
    struct store_kit *kit;
    struct blobs *blobs;
    uint8_t hashes[PICTURES][BLOB_HASH];
};

static struct buf said;
static void note(void *ctx, const char *line) { (void)ctx, buf_printf(&said, "%s\n", line); }

static struct image_check look(struct world *p, bool repair, uint64_t problems) {
    struct check c = {.dir = p->kit->scratch.dir, .repair = repair, .report = note};
    struct image_check out = {0};
    memcpy(c.store_id, p->kit->o.id, 16);
    said.n = 0;
    if (!check_store(&c, &p->kit->e) || !check_images(&c, &out, &p->kit->e)) fail_msg("%s", p->kit->e.msg);
    buf_addc(&said, '\0');
    if (c.problems != problems) fail_msg("%s", said.p);
    return out;
}

static void add(struct world *p, unsigned n, const char *id) {
    char bytes[32];
    struct inference inf = plain(id, "m/1", 0);
    snprintf(bytes, sizeof bytes, "picture %u", n);
    assert_true(blob_put(p->blobs, STORE_KIT_WORKSPACE, str_of(bytes), STR("thumbnail"), p->hashes[n], &p->kit->e));
    inf.picture = p->hashes[n];
    assert_true(add_inference(p->kit, &inf));
}

static void step(struct store_kit *k, enum store_step s) {
    if (!store_step(k->s, STORE_KIT_WORKSPACE, s, 0, &k->e)) fail_msg("%s", k->e.msg);
}

/* One in a segment, one in a log, one in the journal, two of them twice. */
static void make(struct world *p, struct store_kit *k) {
    char dir[SCRATCH_PATH + 20];
    snprintf(dir, sizeof dir, "%s/workspaces", k->scratch.dir);
    *p = (struct world){.kit = k, .blobs = blobs_new(dir)};
    add(p, SEALED, "a");
    add(p, SEALED, "b");
    step(k, STEP_FREEZE);
    step(k, STEP_SEAL);
    add(p, LOGGED, "c");
    step(k, STEP_CHECKPOINT);
    add(p, JOURNALLED, "d");
    add(p, LOGGED, "e");
    store_kit_kill(k);
}

static void path_of(struct world *p, unsigned n, enum blob_kind kind, char path[BLOB_PATH]) {
    blob_file(p->blobs, STORE_KIT_WORKSPACE, p->hashes[n], kind, path);
}

static void damage(struct world *p, unsigned n) {
    char path[BLOB_PATH];
    path_of(p, n, BLOB_PICTURE, path);
    struct buf bytes = scratch_read(path);
    bytes.p[0] ^= 1;
    scratch_write(path, buf_str(&bytes));
    buf_free(&bytes);
}

static void what_is_missing_or_damaged_is_named(void **state) {
    struct world p;
    char path[BLOB_PATH];
    make(&p, *state);
    for (unsigned n = 0; n < PICTURES; n++) {
        struct image_check got = look(&p, false, 0);
        assert_true(got.named == PICTURES && got.missing == 0 && got.damaged == 0);
        damage(&p, n);
        got = look(&p, false, 1);
        assert_true(got.named == PICTURES && got.missing == 0 && got.damaged == 1);
        path_of(&p, n, BLOB_PICTURE, path);
        assert_non_null(strstr(said.p, path));
        damage(&p, n); /* as it was */
    }
    unlink(path);
    path_of(&p, LOGGED, BLOB_THUMBNAIL, path);
    unlink(path);
    struct image_check got = look(&p, false, 2);
    assert_true(got.missing == 2 && got.damaged == 0);
    assert_non_null(strstr(said.p, path));
    blobs_free(p.blobs);
}

static void what_is_damaged_is_set_aside(void **state) {
    struct world p;
    struct store_kit *k = *state;
    char path[BLOB_PATH], name[BLOB_PATH], aside[2 * BLOB_PATH];
    make(&p, k);
    damage(&p, SEALED);
    path_of(&p, SEALED, BLOB_PICTURE, path);
    assert_int_equal(look(&p, true, 1).damaged, 1);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(name, sizeof name, "%s", path + strlen(k->scratch.dir) + 1);
    for (char *c = name; (c = strchr(c, '/'));) *c = '_';
    snprintf(aside, sizeof aside, "%s/set-aside/1/%s", k->scratch.dir, name);
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_equal(look(&p, true, 1).missing, 1); /* nothing brings it back, and nothing else is set aside for it */
    snprintf(aside, sizeof aside, "%s/set-aside/2", k->scratch.dir);
    assert_int_equal(access(aside, F_OK), -1);
    assert_true(store_kit_open(k));
    blobs_free(p.blobs);
}

/* A segment that is lost leaves its records in the journal for a while, but no rows. */
static void what_is_lost_names_nothing(void **state) {
    struct world p;
    struct store_kit *k = *state;
    char path[SCRATCH_PATH + 64], picture[BLOB_PATH];
    snprintf(path, sizeof path, "%s/workspaces", k->scratch.dir);
    p = (struct world){.kit = k, .blobs = blobs_new(path)};
    add(&p, SEALED, "a");
    step(k, STEP_FREEZE);
    step(k, STEP_SEAL);
    store_kit_kill(k);
    path_of(&p, SEALED, BLOB_PICTURE, picture);
    unlink(picture);
    assert_int_equal(look(&p, false, 1).named, 1);
    snprintf(path, sizeof path, "%s/workspaces/%d/segments/1.1.arrow", k->scratch.dir, STORE_KIT_WORKSPACE);
    unlink(path);
    assert_int_equal(look(&p, true, 0).named, 0);
    blobs_free(p.blobs);
}

/* What went with retention, or with its workspace, is nobody's, though journal and logs may still have its record. */
static void what_nobody_names_is_not_asked_for(void **state) {
    struct world p;
    struct store_kit *k = *state;
    make(&p, k);
    for (unsigned n = 0; n < PICTURES; n++) {
        char path[BLOB_PATH];
        path_of(&p, n, BLOB_PICTURE, path);
        unlink(path);
    }
    assert_int_equal(look(&p, false, 3).missing, 3);
    assert_true(store_kit_open(k));
    if (!store_step(k->s, STORE_KIT_WORKSPACE, STEP_RETAIN, INT64_MAX, &k->e)) fail_msg("%s", k->e.msg);
    store_kit_kill(k);
    assert_int_equal(look(&p, false, 2).missing, 2);
    assert_true(store_kit_open(k));
    struct inference more = plain("more", "m/1", 0);
    more.picture = p.hashes[JOURNALLED];
    assert_true(add_inference(k, &more));
    assert_true(store_delete(k->s, STORE_KIT_WORKSPACE, &k->e));
    store_kit_kill(k);
    assert_int_equal(look(&p, false, 0).named, 0);
    blobs_free(p.blobs);
}

/* A picture that was uploaded is looked at in segment and log; one that is not there is told only where a row names
 * it: what waited may have waited too long. */
static void what_was_uploaded_is_looked_at(void **state) {
    struct world p;
    struct store_kit *k = *state;
    char path[BLOB_PATH], hex[2 * BLOB_HASH + 1];
    static const char *const ids[] = {[SEALED] = "a", [LOGGED] = "waits", [JOURNALLED] = "waits too"};
    make(&p, k);
    assert_true(store_kit_open(k));
    for (unsigned n = 0; n < PICTURES; n++) {
        snprintf(path, sizeof path, "upload %u", n);
        assert_true(blob_put(p.blobs, STORE_KIT_WORKSPACE, str_of(path), STR("thumbnail"), p.hashes[n], &k->e));
        sodium_bin2hex(hex, sizeof hex, p.hashes[n], BLOB_HASH);
        assert_true(add_value(k, ids[n], "\x01pictures", TEXT_VALUE(hex)));
        if (n == SEALED) step(k, STEP_FOLD), step(k, STEP_COMPACT);
        if (n == LOGGED) step(k, STEP_CHECKPOINT);
    }
    store_kit_kill(k);
    assert_int_equal(look(&p, false, 0).named, 2 * PICTURES);
    for (unsigned n = 0; n < PICTURES; n++) {
        damage(&p, n);
        assert_int_equal(look(&p, false, n == SEALED ? 1 : 2).damaged, 1);
        path_of(&p, n, BLOB_PICTURE, path);
        unlink(path);
        assert_int_equal(look(&p, false, 1).missing, 1); /* that of the segment */
    }
    blobs_free(p.blobs);
}

int main(void) {
    if (sodium_init() < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_missing_or_damaged_is_named, store_kit_setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_set_aside, store_kit_setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_lost_names_nothing, store_kit_setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_was_uploaded_is_looked_at, store_kit_setup, store_kit_teardown),
        cmocka_unit_test_setup_teardown(what_nobody_names_is_not_asked_for, store_kit_setup, store_kit_teardown),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&said);
    return failed;
}
