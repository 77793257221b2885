#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "api/app.h"
#include "api/retention.h"
#include "catalog/settings.h"
#include "store_kit.h"
#include "view_kit.h"

#define DAY INT64_C(86400000000)
enum { START = 1000 };

static int64_t clock_us;
static int64_t the_clock(void) { return clock_us; }
static struct conf conf;
static struct app app = {.conf = &conf};

static void open_both(struct store_kit *k) {
    store_kit_close(k);
    app.catalog = catalog_open(k->scratch.dir, NULL, &k->e);
    assert_non_null(app.catalog);
    k->o.now_us = the_clock;
    k->o.retention_of = retention_of;
    k->o.retention_ctx = &app;
    if (!store_kit_open(k)) fail_msg("%s", k->e.msg);
}

/* Dropped at the sweep on this day. */
static bool gone(struct store_kit *k, int64_t days) {
    clock_us = START + days * DAY + 1;
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_SWEEP, 0, &k->e));
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    size_t count = v ? v->sealed_count : 0;
    view_release(v);
    return count == 0;
}

static void add(struct store_kit *k, const char *id) {
    struct inference inf = plain(id, "m/1", 0);
    clock_us = inf.time_us = START;
    assert_true(add_inference(k, &inf));
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_FREEZE, 0, &k->e));
    assert_true(store_step(k->s, STORE_KIT_WORKSPACE, STEP_SEAL, 0, &k->e));
}

static void set(struct store_kit *k, uint32_t workspace, const char *days) {
    const struct activity by = {.subject = STR("retention")};
    assert_true(setting_write(app.catalog, workspace, "retention_days", str_of(days), &by, &k->e));
}

static void test_a_workspace_has_its_own_or_the_servers(void **state) {
    struct store_kit *k = *state;
    open_both(k);
    conf.retention_days = 5;
    set(k, STORE_KIT_WORKSPACE + 1, "1"); /* another's */
    add(k, "a");
    assert_false(gone(k, 4));
    assert_true(gone(k, 5));
    add(k, "b");
    set(k, STORE_KIT_WORKSPACE, "10");
    assert_false(gone(k, 9));
    set(k, STORE_KIT_WORKSPACE, "0"); /* for ever */
    assert_false(gone(k, 1000));
    catalog_close(app.catalog);
    open_both(k);
    assert_false(gone(k, 1000)); /* also after a restart, at the first sweep */
    set(k, STORE_KIT_WORKSPACE, "1001");
    assert_false(gone(k, 1000));
    assert_true(gone(k, 1001));
    add(k, "c");
    set(k, STORE_KIT_WORKSPACE, NULL); /* the server's again */
    assert_false(gone(k, 4));
    conf.retention_days = 0;
    assert_false(gone(k, 1000));
    catalog_close(app.catalog);
}

static int teardown(void **state) {
    static const char *const names[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
    const struct store_kit *k = *state;
    for (size_t i = 0; i < 3; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", k->scratch.dir, names[i]);
        unlink(path);
    }
    return store_kit_teardown(state);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_workspace_has_its_own_or_the_servers, store_kit_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
