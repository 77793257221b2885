/* image: every kind of picture becomes the same upright RGB, bad ones are refused before they cost anything; base64;
 * thumbnails; the policies of keep_images; the files of kept pictures. Pictures: tests/data/images/make.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "image/blobs.h"
#include "image/image.h"
#include "image/keep.h"

static const struct image_limits limits = {.max_bytes = 1 << 20, .max_pixels = 100 * 1000 * 1000};
#define CANNOT "Could not load input image. Cause: "

static struct str picture(const char *name) {
    char path[200];
    size_t n;
    snprintf(path, sizeof path, "tests/data/images/%s", name);
    char *p = io_read_file(path, 1 << 20, &n);
    if (!p) fail_msg("%s: %s (run the tests from the top folder)", path, strerror(errno));
    return (struct str){p, n};
}

static void drop(struct str s) { free((void *)(uintptr_t)s.p); }

/* ---- decoding ---- */

static const uint8_t *pixel(const struct image *im, int x, int y) { return im->rgb + (y * im->width + x) * 3; }

static void near(const char *name, const uint8_t *p, int r, int g, int b, int most) {
    if (abs(p[0] - r) > most || abs(p[1] - g) > most || abs(p[2] - b) > most)
        fail_msg("%s: %d,%d,%d is not %d,%d,%d within %d", name, p[0], p[1], p[2], r, g, b, most);
}

/* The four quarters of make.py. */
static void upright_quarters(const char *name, int most) {
    struct err e;
    struct image im;
    struct str s = picture(name);
    if (!image_decode(s, &limits, true, &im, &e)) fail_msg("%s: %s", name, e.msg);
    assert_int_equal(im.width, 32);
    assert_int_equal(im.height, 24);
    near(name, pixel(&im, 5, 5), 200, 30, 20, most);
    near(name, pixel(&im, 26, 5), 20, 180, 40, most);
    near(name, pixel(&im, 5, 18), 30, 40, 210, most);
    near(name, pixel(&im, 26, 18), 255, 255, 255, most);
    image_free(&im);
    drop(s);
}

static void every_kind_of_picture(void **state) {
    (void)state;
    static const char *const exact[] = {"rgb.png",  "palette.png", "alpha.png",   "rgb16.png",
                                        "rgb.webp", "rgb.tif",     "animated.gif"};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) upright_quarters(exact[i], 2);
    upright_quarters("turned.jpg", 8);
    upright_quarters("cmyk.jpg", 110); /* by way of a printer's colours: only the hue is kept */
}

static void grey_pictures(void **state) {
    (void)state;
    static const char *const names[] = {"grey.png", "grey16.png", "grey-alpha.png", "grey.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct err e;
        struct image im;
        struct str s = picture(names[i]);
        if (!image_decode(s, &limits, true, &im, &e)) fail_msg("%s: %s", names[i], e.msg);
        near(names[i], pixel(&im, 5, 5), 80, 80, 80, 3); /* 0.299 * 200 + 0.587 * 30 + 0.114 * 20 */
        near(names[i], pixel(&im, 26, 18), 255, 255, 255, 2);
        image_free(&im);
        drop(s);
    }
}

static void orientation_can_be_left_alone(void **state) {
    (void)state;
    struct err e;
    struct image im;
    struct str s = picture("turned.jpg");
    assert_true(image_decode(s, &limits, true, &im, &e));
    assert_int_equal(im.stored_width, 24);
    assert_int_equal(im.stored_height, 32);
    image_free(&im);
    assert_true(image_decode(s, &limits, false, &im, &e));
    assert_int_equal(im.width, 24);
    assert_int_equal(im.height, 32);
    near("as stored", pixel(&im, 5, 5), 20, 180, 40, 8); /* the upper right quarter, turned to the left */
    image_free(&im);
    drop(s);
}

static void refused(const char *name, const struct image_limits *l, enum err_code code, const char *text) {
    struct err e;
    struct image im;
    struct str s = picture(name);
    assert_false(image_decode(s, l, true, &im, &e));
    assert_null(im.rgb);
    assert_int_equal(e.code, code);
    assert_string_equal(e.msg, text);
    drop(s);
}

static void bad_pictures(void **state) {
    (void)state;
    static const char unknown[] = CANNOT "The bytes are not a JPEG, PNG, GIF, WebP, TIFF, HEIF or AVIF picture.";
    refused("text.jpg", &limits, ERR_INVALID, unknown);
    refused("page.svg", &limits, ERR_INVALID, unknown);
    refused("empty.png", &limits, ERR_INVALID, CANNOT "Empty image payload.");
    refused("truncated.jpg", &limits, ERR_INVALID, CANNOT "The JPEG picture is damaged or ends early.");
    refused("truncated.png", &limits, ERR_INVALID, CANNOT "The PNG picture is damaged or ends early.");
    refused("header-only.jpg", &limits, ERR_INVALID, CANNOT "The JPEG picture's header is damaged.");
}

static void a_bomb_costs_nothing(void **state) {
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    refused("bomb.png", &limits, ERR_INVALID,
            CANNOT "The picture has 20000 x 20000 pixels, the limit is 100000000 (max_image_pixels).");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024); /* KiB; unpacked it would be 400 MB */
}

static void limits_hold_to_the_pixel_and_byte(void **state) {
    (void)state;
    struct err e;
    struct image im;
    struct str s = picture("rgb.png");
    struct image_limits at = {.max_bytes = s.n, .max_pixels = 32 * 24}, pixels = at, bytes = at;
    assert_true(image_decode(s, &at, true, &im, &e));
    image_free(&im);
    pixels.max_pixels--;
    assert_false(image_decode(s, &pixels, true, &im, &e));
    assert_int_equal(e.code, ERR_INVALID);
    bytes.max_bytes--;
    assert_false(image_decode(s, &bytes, true, &im, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    drop(s);
}

/* Cut or changed at any byte: an answer or an error, under the sanitizers no complaint. */
static void damage_anywhere(void **state) {
    (void)state;
    static const char *const names[] = {"rgb.png", "turned.jpg", "animated.gif", "rgb.webp", "rgb.tif"};
    const struct image_limits small = {.max_bytes = 1 << 20, .max_pixels = 100 * 100}; /* so that it takes no time */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct str s = picture(names[i]);
        for (size_t at = 0; at < s.n; at += s.n > 600 ? 7 : 1) {
            struct err e;
            struct image im;
            char *exact = malloc(s.n);
            memcpy(exact, s.p, s.n);
            if (image_decode((struct str){exact, at}, &small, true, &im, &e)) image_free(&im);
            exact[at] = (char)(exact[at] ^ 0x5a);
            if (image_decode((struct str){exact, s.n}, &small, true, &im, &e)) image_free(&im);
            free(exact);
        }
        drop(s);
    }
}

static void media_types(void **state) {
    (void)state;
    static const char *const table[][2] = {
        {"rgb.png", "image/png"}, {"cmyk.jpg", "image/jpeg"}, {"animated.gif", "image/gif"}, {"rgb.webp", "image/webp"},
        {"rgb.tif", "image/tiff"}, {"text.jpg", "application/octet-stream"}, {"page.svg", "application/octet-stream"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct str s = picture(table[i][0]);
        assert_string_equal(image_media_type(s), table[i][1]);
        drop(s);
    }
}

static void thumbnails(void **state) {
    (void)state;
    static const int sizes[][4] = {{1000, 500, 320, 160}, {500, 1000, 160, 320}, {30, 20, 30, 20}, {4000, 1, 320, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct err e;
        struct image im = {.width = sizes[i][0], .height = sizes[i][1]}, thumb;
        struct buf jpeg = {0};
        im.rgb = calloc(1, (size_t)im.width * (size_t)im.height * 3);
        assert_true(image_thumbnail(&im, &jpeg, &e));
        assert_true(image_decode(buf_str(&jpeg), &limits, true, &thumb, &e));
        assert_int_equal(thumb.width, sizes[i][2]);
        assert_int_equal(thumb.height, sizes[i][3]);
        image_free(&thumb);
        free(im.rgb);
        buf_free(&jpeg);
    }
}

/* ---- base64 ---- */

static void base64_is(const char *text, const char *bytes) {
    struct err e;
    struct buf out = {0};
    if (!image_decode_base64(str_of(text), 100, &out, &e)) fail_msg("%s: %s", text, e.msg);
    if (!str_is(buf_str(&out), bytes)) fail_msg("%s gave " STR_FMT, text, STR_ARG(buf_str(&out)));
    buf_free(&out);
}

static void base64_fails(struct str text, size_t max_bytes, enum err_code code, const char *message) {
    struct err e;
    struct buf out = {0};
    assert_false(image_decode_base64(text, max_bytes, &out, &e));
    assert_int_equal(e.code, code);
    assert_memory_equal(e.msg, message, strlen(message));
    buf_free(&out);
}

static void base64_that_is_read(void **state) {
    (void)state;
    base64_is("aGVsbG8=", "hello");
    base64_is("aGVs\nbG8=\r\n", "hello");
    base64_is("  aGVs bG8= ", "hello");
    base64_is("data:image/jpeg;base64,aGVsbG8=", "hello");
    base64_is("Pz8/Pj4+", "?\?\?>>>");
}

static void base64_that_is_not(void **state) {
    (void)state;
    static const char malformed[] = CANNOT "Malformed base64 input image.";
    base64_fails(STR("aGVsbG8"), 100, ERR_INVALID, malformed);
    base64_fails(STR("aGVs*G8="), 100, ERR_INVALID, malformed);
    base64_fails(STR("Pz8_Pj4-"), 100, ERR_INVALID, malformed);
    base64_fails(STR("aGVs\0bG8="), 100, ERR_INVALID, malformed);
    base64_fails(STR("{\"image\": 1}"), 100, ERR_INVALID, malformed);
    base64_fails(STR(""), 100, ERR_INVALID, CANNOT "Empty image payload.");
    base64_fails(STR(" \n"), 100, ERR_INVALID, CANNOT "Empty image payload.");
    base64_fails(STR("data:image/png;base64,"), 100, ERR_INVALID, CANNOT "Empty image payload.");
    base64_fails(STR("\xff\xd8\xff\xe0\0\x10JFIF"), 100, ERR_INVALID, CANNOT "Invalid base64 input: ");
    base64_fails(STR("aGVsbG8gaGVsbG8gaGVsbG8="), 3, ERR_TOO_LARGE, CANNOT "The picture has over 3 bytes");
}

/* ---- keep_images ---- */

static bool kept(const char *setting, const char *workspace, const char *id, double top) {
    struct err e;
    struct keep *k = keep_parse(str_of(setting), &e);
    if (!k) fail_msg("%s: %s", setting, e.msg);
    bool yes = keep_decide(k, str_of(workspace), str_of(id), top);
    keep_free(k);
    return yes;
}

static void policies(void **state) {
    (void)state;
    assert_false(kept("none", "w", "id", 0.9));
    assert_true(kept("all", "w", "id", 0.9));
    assert_false(kept("all,w=none", "w", "id", 0.9));
    assert_true(kept("none, w = all", "w", "id", 0.9));
    assert_false(kept("none,w=all", "ww", "id", 0.9));
    assert_true(kept("below:0.5", "w", "id", 0.49));
    assert_false(kept("below:0.5", "w", "id", 0.5));
    assert_true(kept("below:0.5", "w", "id", 0));
    assert_true(kept("sample:1", "w", "id", 0));
    assert_false(kept("sample:0", "w", "id", 0));
}

static void a_sample_is_fair_and_repeatable(void **state) {
    (void)state;
    struct err e;
    struct keep *k = keep_parse(STR("sample:0.25"), &e);
    assert_non_null(k);
    unsigned count = 0;
    for (int i = 0; i < 10000; i++) {
        char id[32];
        int n = snprintf(id, sizeof id, "inference-%d", i);
        bool yes = keep_decide(k, STR("w"), (struct str){id, (size_t)n}, 0);
        assert_int_equal(yes, keep_decide(k, STR("other"), (struct str){id, (size_t)n}, 1));
        count += yes;
    }
    assert_in_range(count, 2300, 2700); /* 5 standard deviations */
    keep_free(k);
}

static void bad_policies(void **state) {
    (void)state;
    static const char *const bad[] = {"", "some", "all:1", "sample", "sample:", "sample:2", "sample:-0.1", "sample:nan",
                                      "below:x", "w=all", "all,none", "all,w=all,w=none", "all,", "all,=none"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct keep *k = keep_parse(str_of(bad[i]), &e);
        if (k) fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_memory_equal(e.msg, "keep_images: ", 13);
    }
}

/* ---- blobs ---- */

struct place {
    char dir[64];
    struct blobs *blobs;
};

static int open_place(void **state) {
    struct place *p = calloc(1, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/sightglass-blobs-XXXXXX");
    if (!mkdtemp(p->dir)) return -1;
    p->blobs = blobs_new(p->dir);
    *state = p;
    return 0;
}

static void remove_tree(const char *path) {
    DIR *d = opendir(path);
    if (!d) {
        unlink(path);
        return;
    }
    for (struct dirent *f; (f = readdir(d));) {
        char below[600];
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0) continue;
        snprintf(below, sizeof below, "%s/%s", path, f->d_name);
        remove_tree(below);
    }
    closedir(d);
    rmdir(path);
}

static int close_place(void **state) {
    struct place *p = *state;
    io_use(NULL);
    blobs_free(p->blobs);
    remove_tree(p->dir);
    free(p);
    return 0;
}

static void blob_is(struct place *p, const uint8_t hash[BLOB_HASH], enum blob_kind kind, const char *bytes) {
    struct err e;
    char got[64];
    size_t size;
    int fd = blob_open(p->blobs, 7, hash, kind, &size, &e);
    if (fd < 0) fail_msg("%s", e.msg);
    assert_int_equal(size, strlen(bytes));
    assert_int_equal(read(fd, got, sizeof got), size);
    assert_memory_equal(got, bytes, size);
    close(fd);
}

static void a_picture_is_kept_once(void **state) {
    struct place *p = *state;
    struct err e;
    uint8_t hash[BLOB_HASH], again[BLOB_HASH];
    size_t size;
    assert_true(blob_put(p->blobs, 7, STR("picture"), STR("thumb"), hash, &e));
    assert_true(blob_put(p->blobs, 7, STR("picture"), STR("other thumb"), again, &e));
    assert_memory_equal(hash, again, BLOB_HASH);
    blob_is(p, hash, BLOB_PICTURE, "picture");
    blob_is(p, hash, BLOB_THUMBNAIL, "thumb");
    assert_int_equal(blob_open(p->blobs, 8, hash, BLOB_PICTURE, &size, &e), -1); /* another workspace's */
    assert_int_equal(e.code, ERR_NOT_FOUND);

    char hex[2 * BLOB_HASH + 1], path[300];
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(path, sizeof path, "%s/7/images/%.2s/%s", p->dir, hex, hex + 2);
    assert_int_equal(access(path, R_OK), 0);

    assert_true(blob_remove(p->blobs, 7, hash, &e));
    assert_true(blob_remove(p->blobs, 7, hash, &e));
    assert_int_equal(blob_open(p->blobs, 7, hash, BLOB_PICTURE, &size, &e), -1);
    assert_int_equal(blob_open(p->blobs, 7, hash, BLOB_THUMBNAIL, &size, &e), -1);
}

static bool is_the_one(void *ctx, const uint8_t hash[BLOB_HASH]) { return memcmp(ctx, hash, BLOB_HASH) == 0; }

static void a_document_has_no_thumbnail(void **state) {
    struct place *p = *state;
    struct err e;
    uint8_t hash[BLOB_HASH];
    size_t size, removed;
    for (int i = 0; i < 2; i++) assert_true(blob_put(p->blobs, 7, STR("{\"top\":\"a\"}"), (struct str){0}, hash, &e));
    blob_is(p, hash, BLOB_PICTURE, "{\"top\":\"a\"}");
    assert_int_equal(blob_open(p->blobs, 7, hash, BLOB_THUMBNAIL, &size, &e), -1);
    assert_true(blob_verify(p->blobs, 7, hash, &e));
    assert_true(blob_sweep(p->blobs, 7, 0, is_the_one, hash, &removed, &e));
    assert_true(blob_verify(p->blobs, 7, hash, &e));
    assert_true(blob_remove(p->blobs, 7, hash, &e));
    assert_false(blob_verify(p->blobs, 7, hash, &e));
}


static void a_sweep_takes_old_orphans(void **state) {
    struct place *p = *state;
    struct err e;
    uint8_t wanted[BLOB_HASH], orphan[BLOB_HASH];
    size_t removed, size;
    assert_true(blob_put(p->blobs, 7, STR("wanted"), STR("t"), wanted, &e));
    assert_true(blob_put(p->blobs, 7, STR("orphan"), STR("t"), orphan, &e));

    char hex[2 * BLOB_HASH + 1], half[400], alone[400];
    sodium_bin2hex(hex, sizeof hex, wanted, sizeof wanted);
    snprintf(half, sizeof half, "%s/7/images/%.2s/%s.0123.tmp", p->dir, hex, hex + 2);
    snprintf(alone, sizeof alone, "%s/7/images/%.2s/%s.thumb", p->dir, hex, "00");
    close(open(half, O_CREAT | O_WRONLY, 0600));
    close(open(alone, O_CREAT | O_WRONLY, 0600));

    assert_true(blob_sweep(p->blobs, 7, 3600, is_the_one, wanted, &removed, &e));
    assert_int_equal(removed, 0); /* all too young */
    assert_int_equal(access(half, F_OK), 0);
    assert_true(blob_sweep(p->blobs, 7, 0, is_the_one, wanted, &removed, &e));
    assert_int_equal(removed, 1);
    assert_int_not_equal(access(half, F_OK), 0);
    assert_int_not_equal(access(alone, F_OK), 0);
    blob_is(p, wanted, BLOB_PICTURE, "wanted");
    blob_is(p, wanted, BLOB_THUMBNAIL, "t");
    assert_int_equal(blob_open(p->blobs, 7, orphan, BLOB_PICTURE, &size, &e), -1);
    assert_true(blob_sweep(p->blobs, 99, 0, is_the_one, wanted, &removed, &e)); /* never had a picture */
}

/* An old picture that is put again is young again: its record is still on the way. */
static void put_again_is_young_again(void **state) {
    struct place *p = *state;
    struct err e;
    uint8_t hash[BLOB_HASH], none[BLOB_HASH] = {0};
    size_t removed;
    char hex[2 * BLOB_HASH + 1], path[300];
    assert_true(blob_put(p->blobs, 7, STR("old"), STR("t"), hash, &e));
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(path, sizeof path, "%s/7/images/%.2s/%s", p->dir, hex, hex + 2);
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    assert_true(blob_put(p->blobs, 7, STR("old"), STR("t"), hash, &e));
    assert_true(blob_sweep(p->blobs, 7, 3600, is_the_one, none, &removed, &e));
    assert_int_equal(removed, 0);
    blob_is(p, hash, BLOB_PICTURE, "old");
}

/* What happens to files, in order, and failures on demand. */
static char calls[4096];
static int fail_at; /* the n-th call fails; 0: none */

static int note(const char *what, const char *where) {
    static int count;
    if (*calls == '\0') count = 0;
    size_t n = strlen(calls);
    snprintf(calls + n, sizeof calls - n, "%s %s; ", what, where);
    if (++count != fail_at) return 0;
    errno = EIO;
    return -1;
}
static int noting_open(const char *path, int flags, unsigned mode) {
    return flags & O_CREAT && note("create", "file") ? -1 : open(path, flags, mode);
}
static ssize_t noting_pwrite(int fd, const void *p, size_t n, off_t at) {
    return note("write", "file") ? -1 : pwrite(fd, p, n, at);
}
static int noting_sync(int fd, const char *site) { return (void)fd, note("sync", site); }
static int noting_sync_dir(const char *path, const char *site) { return (void)path, note("sync_dir", site); }
static int noting_rename(const char *a, const char *b) {
    return note("rename", strstr(b, ".thumb") ? "thumb" : "picture") ? -1 : rename(a, b);
}
static int noting_mkdir(const char *path, unsigned mode) { return note("mkdir", "folder") ? -1 : mkdir(path, mode); }
static const struct io_ops noting = {
    .open = noting_open, .close = close, .pread = pread, .pwrite = noting_pwrite, .sync = noting_sync,
    .sync_dir = noting_sync_dir, .rename = noting_rename, .unlink = unlink, .mkdir = noting_mkdir,
};

static void everything_is_synced_in_order(void **state) {
    struct place *p = *state;
    struct err e;
    uint8_t hash[BLOB_HASH];
    io_use(&noting);
    calls[0] = '\0';
    fail_at = 0;
    assert_true(blob_put(p->blobs, 7, STR("picture"), STR("thumb"), hash, &e));
    assert_string_equal(calls,
                        "mkdir folder; sync_dir blobs.folder; mkdir folder; sync_dir blobs.folder; "
                        "mkdir folder; sync_dir blobs.folder; "
                        "create file; write file; sync blobs.file; create file; write file; sync blobs.file; "
                        "rename thumb; rename picture; sync_dir blobs.name; ");
    calls[0] = '\0';
    assert_true(blob_put(p->blobs, 7, STR("picture"), STR("thumb"), hash, &e));
    assert_string_equal(calls, "sync_dir blobs.name; ");
}

static void any_failure_is_told_and_leaves_no_half(void **state) {
    struct place *p = *state;
    io_use(&noting);
    for (int n = 1; n <= 15; n++) {
        struct err e = {0};
        uint8_t hash[BLOB_HASH];
        char bytes[16];
        int length = snprintf(bytes, sizeof bytes, "picture %d", n);
        struct str s = {bytes, (size_t)length};
        struct blobs *fresh = blobs_new(p->dir); /* that knows no folder yet */
        calls[0] = '\0';
        fail_at = n;
        assert_false(blob_put(fresh, 7, s, STR("thumb"), hash, &e));
        assert_int_equal(e.code, ERR_IO);
        fail_at = 0;
        assert_true(blob_put(fresh, 7, s, STR("thumb"), hash, &e));
        blob_is(p, hash, BLOB_PICTURE, bytes);
        blob_is(p, hash, BLOB_THUMBNAIL, "thumb");
        blobs_free(fresh);
    }
}

int main(void) {
    struct err e;
    if (!image_start(&e)) return fprintf(stderr, "%s\n", e.msg), 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bomb_costs_nothing), /* first: it looks at the most memory that was ever used */
        cmocka_unit_test(every_kind_of_picture),
        cmocka_unit_test(grey_pictures),
        cmocka_unit_test(orientation_can_be_left_alone),
        cmocka_unit_test(bad_pictures),
        cmocka_unit_test(limits_hold_to_the_pixel_and_byte),
        cmocka_unit_test(damage_anywhere),
        cmocka_unit_test(media_types),
        cmocka_unit_test(thumbnails),
        cmocka_unit_test(base64_that_is_read),
        cmocka_unit_test(base64_that_is_not),
        cmocka_unit_test(policies),
        cmocka_unit_test(a_sample_is_fair_and_repeatable),
        cmocka_unit_test(bad_policies),
        cmocka_unit_test_setup_teardown(a_picture_is_kept_once, open_place, close_place),
        cmocka_unit_test_setup_teardown(a_document_has_no_thumbnail, open_place, close_place),
        cmocka_unit_test_setup_teardown(a_sweep_takes_old_orphans, open_place, close_place),
        cmocka_unit_test_setup_teardown(put_again_is_young_again, open_place, close_place),
        cmocka_unit_test_setup_teardown(everything_is_synced_in_order, open_place, close_place),
        cmocka_unit_test_setup_teardown(any_failure_is_told_and_leaves_no_half, open_place, close_place),
    };
    int failed = cmocka_run_group_tests_name("image", tests, NULL, NULL);
    image_stop();
    return failed;
}
