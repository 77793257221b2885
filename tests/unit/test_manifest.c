/* The manifest: what is written is read back, and nothing else is read at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "scratch.h"
#include "store/manifest.h"

#define HEAD "sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 123456 1763769600000000\n"
static const uint8_t store_id[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static const char whole[] = HEAD "workspace 0 0 1 1\n"
                                 "workspace 1 100000 4 9\nlog 7 512\nlog 8 9034752\nsegment 1 4 65536 -10 1763769590000000 "
                                 "1763769591000000\nsegment 2 0\n"
                                 "segment 3 1 4294967295 -9223372036854775808 9223372036854775807 -9223372036854775808\n"
                                 "workspace 2 deleted\n"
                                 "workspace 4294967295 18446744073709551615 18446744073709551615 18446744073709551615\n"
                                 "log 18446744073709551614 9223372036854775296\n"
                                 "segment 18446744073709551614 4294967295\n";

static struct buf with_crc(const char *lines) {
    struct buf b = {0};
    buf_addz(&b, lines);
    buf_printf(&b, "crc %08" PRIx32 "\n", crc32c(0, b.p, b.n));
    return b;
}

static void is_read_and_written_alike(void **state) {
    (void)state;
    struct buf text = with_crc(whole), again = {0};
    struct manifest m, copy;
    struct err e;
    assert_true(manifest_parse(buf_str(&text), &m, &e));
    assert_memory_equal(m.store_id, store_id, 16);
    assert_int_equal(m.seq, 123456);
    assert_int_equal(m.received_us, 1763769600000000);
    assert_int_equal(m.count, 4);
    const struct manifest_workspace *w = manifest_find(&m, 1);
    assert_int_equal(w->sealed_through, 100000);
    assert_int_equal(w->next_segment, 4);
    assert_int_equal(w->next_log, 9);
    assert_int_equal(w->log_count, 2);
    assert_int_equal(w->logs[1].number, 8);
    assert_int_equal(w->logs[1].length, 9034752);
    assert_int_equal(w->segment_count, 3);
    assert_int_equal(w->segments[0].version, 4);
    assert_int_equal(w->segments[0].rows, 65536);
    assert_int_equal(w->segments[0].min_time_us, -10);
    assert_int_equal(w->segments[0].max_time_us, 1763769590000000);
    assert_int_equal(w->segments[0].max_received_us, 1763769591000000);
    assert_int_equal(w->segments[1].rows, 0);
    assert_true(w->segments[2].min_time_us == INT64_MIN && w->segments[2].max_time_us == INT64_MAX);
    assert_true(manifest_find(&m, 2)->deleted);
    assert_int_equal(manifest_find(&m, UINT32_MAX)->logs[0].length, INT64_MAX / 512 * 512);
    assert_null(manifest_find(&m, 3));
    manifest_copy(&copy, &m);
    manifest_free(&m);
    manifest_print(&copy, &again);
    assert_true(str_eq(buf_str(&text), buf_str(&again)));
    manifest_free(&copy);
    assert_int_equal(copy.count, 0);
    buf_free(&text);
    buf_free(&again);
}

/* A store of the version before: it says less of its segments, and is written in the new form from the next time on. */
static void the_version_before_is_read(void **state) {
    (void)state;
    static const char lines[] = "store 000102030405060708090a0b0c0d0e0f\nseq 5 6\nworkspace 1 5 3 1\nsegment 1 4\n"
                                "segment 2 0\n";
    struct buf old = {0}, now = {0}, expected;
    struct manifest m;
    struct err e;
    buf_printf(&old, "sightglass-manifest 2\n%s", lines);
    buf_printf(&old, "crc %08" PRIx32 "\n", crc32c(0, old.p, old.n));
    assert_true(manifest_parse(buf_str(&old), &m, &e));
    assert_int_equal(m.workspaces[0].segments[0].version, 4);
    assert_int_equal(m.workspaces[0].segments[0].rows, 0);
    manifest_print(&m, &now);
    buf_free(&old);
    buf_printf(&old, "sightglass-manifest 3\n%s", lines);
    buf_addc(&old, '\0');
    expected = with_crc(old.p);
    assert_true(str_eq(buf_str(&now), buf_str(&expected)));
    manifest_free(&m);
    buf_free(&old);
    buf_free(&now);
    buf_free(&expected);
}

static void workspaces_stand_in_order(void **state) {
    (void)state;
    static const uint32_t numbers[] = {5, 0, UINT32_MAX, 7, 6, 5, 1, 0};
    struct manifest m = {0};
    for (unsigned i = 0; i < 8; i++) manifest_make(&m, numbers[i])->sealed_through = numbers[i] + 3;
    assert_int_equal(m.count, 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(m.workspaces[i].sealed_through, m.workspaces[i].number + 3);
        assert_int_equal(m.workspaces[i].next_log, 1);
        assert_int_equal(m.workspaces[i].next_segment, 1);
        if (i) assert_true(m.workspaces[i].number > m.workspaces[i - 1].number);
    }
    manifest_free(&m);
}

/* Each would be taken but for what it shows; the second member is the line that is named. */
static void anything_odd_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *lines;
        unsigned line;
    } cases[] = {
        {"", 1},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0\nseq 1 1\n", 2},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0F\nseq 1 1\n", 2},
        {"sightglass-manifest 3\nseq 1 1\n", 2},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\n", 3},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 1\n", 3},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 01 1\n", 3},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 1 -1\n", 3},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 1 9223372036854775808\n", 3},
        {"sightglass-manifest 3\nstore 000102030405060708090a0b0c0d0e0f\nseq 18446744073709551616 1\n", 3},
        {HEAD "workspace 1 0 1 1 \n", 4},
        {HEAD "workspace 1 0 1\n", 4},
        {HEAD "workspace 1\n", 4},
        {HEAD "workspace 1  0 1 1\n", 4},
        {HEAD "workspace 01 0 1 1\n", 4},
        {HEAD "workspace +1 0 1 1\n", 4},
        {HEAD "workspace 4294967296 0 1 1\n", 4},
        {HEAD "workspace 1 0 0 1\n", 4},
        {HEAD "workspace 1 0 1 0\n", 4},
        {HEAD "workspace 1 removed\n", 4},
        {HEAD "workspace 1 0 1 1\nworkspace 1 0 1 1\n", 5},
        {HEAD "workspace 2 0 1 1\nworkspace 1 0 1 1\n", 5},
        {HEAD "workspace 2 deleted\nworkspace 2 deleted\n", 5},
        {HEAD "workspace 2 deleted\nlog 1 512\n", 5},
        {HEAD "log 1 512\n", 4},
        {HEAD "workspace 1 0 1 2\nlog 0 512\n", 5},
        {HEAD "workspace 1 0 1 2\nlog 2 512\n", 5},
        {HEAD "workspace 1 0 1 9\nlog 2 512\nlog 2 512\n", 6},
        {HEAD "workspace 1 0 1 9\nlog 2 512\nlog 1 512\n", 6},
        {HEAD "workspace 1 0 1 9\nlog 2 0\n", 5},
        {HEAD "workspace 1 0 1 9\nlog 2 513\n", 5},
        {HEAD "workspace 1 0 1 9\nlog 2 9223372036854775808\n", 5},
        {HEAD "workspace 1 0 1 9\nlog 2\n", 5},
        {HEAD "workspace 1 0 1 9\nlog 2 512 1\n", 5},
        {HEAD "workspace 1 0 2 1\nsegment 2 1\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 0 1\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 4294967296\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1\nsegment 1 2\n", 6},
        {HEAD "workspace 1 0 9 1\nsegment 1\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 1 2\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 1 2 3 4\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 0 1 2 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 4294967296 1 2 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 2 1 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 -0 1 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 --1 1 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 -9223372036854775809 1 3\n", 5},
        {HEAD "workspace 1 0 9 1\nsegment 1 1 5 1 9223372036854775808 3\n", 5},
        {"sightglass-manifest 2\nstore 000102030405060708090a0b0c0d0e0f\nseq 1 1\n"
         "workspace 1 0 9 1\nsegment 1 1 5 1 2 3\n", 5},
        {HEAD "workspace 1 0 9 9\nsegment 1 1\nlog 2 512\n", 6},
        {HEAD "\n", 4},
        {HEAD "more 1\n", 4},
        {HEAD "workspace 1 0 1 1\n\n", 5},
    };
    struct manifest m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf text = with_crc(cases[i].lines);
        struct err e = {0};
        char want[60];
        snprintf(want, sizeof want, "line %u is damaged", cases[i].line);
        if (manifest_parse(buf_str(&text), &m, &e)) fail_msg("taken: %s", cases[i].lines);
        assert_int_equal(m.count, 0);
        assert_int_equal(e.code, ERR_DAMAGED);
        if (strcmp(e.msg, want) != 0) fail_msg("case %zu: %s, not %s", i, e.msg, want);
        buf_free(&text);
    }
}

static void every_byte_counts(void **state) {
    (void)state;
    struct buf text = with_crc(whole);
    struct manifest m;
    struct err e;
    for (size_t at = 0; at < text.n; at++) {
        if (manifest_parse((struct str){text.p, at}, &m, &e)) fail_msg("taken when cut at %zu", at);
        for (unsigned bit = 0; bit < 8; bit++) {
            text.p[at] ^= (char)(1 << bit);
            if (manifest_parse(buf_str(&text), &m, &e)) fail_msg("taken with bit %u of byte %zu wrong", bit, at);
            assert_int_equal(e.code, ERR_DAMAGED);
            text.p[at] ^= (char)(1 << bit);
        }
    }
    buf_addc(&text, '\n');
    assert_false(manifest_parse(buf_str(&text), &m, &e));
    buf_free(&text);
}

static void other_versions_are_named(void **state) {
    (void)state;
    struct scratch s;
    struct manifest m;
    struct err e;
    scratch_make(&s);
    assert_true(manifest_read(s.dir, store_id, &m, &e)); /* an empty store */
    assert_int_equal(m.count, 0);
    assert_memory_equal(m.store_id, store_id, 16);
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"sightglass-manifest 1\nstore 00\nseq 3\nworkspace 1 512\ncrc 4f892590\n",
         "MANIFEST: made by an earlier version"},
        {"sightglass-manifest 4\nanything\n", "MANIFEST: has version 4, this program knows 2 and 3: use the newer program"},
        {"x", "MANIFEST: line 1 is damaged"},
        {"", "MANIFEST: line 1 is damaged"},
    };
    for (unsigned i = 0; i < 4; i++) {
        scratch_write(scratch_path(&s, "MANIFEST"), str_of(cases[i].text));
        assert_false(manifest_read(s.dir, store_id, &m, &e));
        assert_int_equal(e.code, ERR_DAMAGED);
        if (!strstr(e.msg, cases[i].why)) fail_msg("%s", e.msg);
    }
    struct manifest one = {.store_id = {1}, .seq = 5};
    manifest_make(&one, 3)->next_log = 7;
    assert_int_equal(manifest_write(s.dir, &one, &e), 0);
    assert_false(manifest_read(s.dir, store_id, &m, &e));
    assert_non_null(strstr(e.msg, "/MANIFEST belongs to another store"));
    assert_true(manifest_read(s.dir, one.store_id, &m, &e));
    assert_int_equal(manifest_find(&m, 3)->next_log, 7);
    manifest_free(&m);
    manifest_free(&one);
    scratch_remove(&s);
}

static void names_of_files(void **state) {
    (void)state;
    char name[64], path[4096];
    manifest_log_name(UINT64_MAX, name);
    assert_string_equal(name, "log-18446744073709551615");
    manifest_segment_name(UINT64_MAX, UINT32_MAX, name);
    assert_string_equal(name, "18446744073709551615.4294967295.arrow");
    manifest_path("data", 7, "", path);
    assert_string_equal(path, "data/workspaces/7");
    manifest_path("data", 7, "log-1", path);
    assert_string_equal(path, "data/workspaces/7/log-1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_and_written_alike), cmocka_unit_test(the_version_before_is_read),
        cmocka_unit_test(workspaces_stand_in_order),
        cmocka_unit_test(anything_odd_is_refused),   cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(other_versions_are_named),  cmocka_unit_test(names_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
