/* Any bytes as a segment: segment_open refuses them, or everything that can be read of them is read, checked and folded
 * without a step outside of the file. The first byte says whether the checksums are put right before, for hardly any
 * change would get past them; what cannot be sealed any more is tried as it is.
 *
 * The mapping is memory of exactly the file's size, so that ASan sees a step behind its end. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/segment_reseal.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static int memory = -1; /* the file that segments are opened from */

static int open_memory(const char *path, int flags, unsigned mode) {
    (void)mode;
    (void)path;
    return flags & O_CREAT ? open("/dev/null", O_WRONLY) : dup(memory);
}

static void *map_exactly(int fd, size_t n) {
    void *p = NULL;
    if (posix_memalign(&p, 4096, n) != 0) return NULL;
    CHECK(pread(fd, p, n, 0) == (ssize_t)n);
    return p;
}

static int unmap(const void *p, size_t n) {
    (void)n;
    free((void *)(uintptr_t)p);
    return 0;
}

static ssize_t write_nothing(int fd, const void *p, size_t n, off_t at) {
    (void)fd, (void)p, (void)at;
    return (ssize_t)n;
}
static int sync_nothing(int fd, const char *site) { return (void)fd, (void)site, 0; }
static int sync_no_dir(const char *path, const char *site) { return (void)path, (void)site, 0; }
static int rename_nothing(const char *from, const char *to) { return (void)from, (void)to, 0; }

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const struct io_ops ops = {.open = open_memory,
                                      .map = map_exactly,
                                      .unmap = unmap,
                                      .pwrite = write_nothing,
                                      .sync = sync_nothing,
                                      .sync_dir = sync_no_dir,
                                      .rename = rename_nothing};
    (void)argc, (void)argv;
    hash_init();
    guard_init();
    io_use(&ops);
    memory = memfd_create("segment", MFD_CLOEXEC);
    CHECK(memory >= 0);
    return 0;
}

/* All of its fields keep their names; the first row and the last get a value in the first field, and one in a new one.
 */
static void fold(const struct segment *s) {
    struct arena a = {0};
    struct err e;
    size_t count = s->field_count + (size_t)1;
    struct str *fields = arena_alloc(&a, count * sizeof *fields);
    bool twice = false;
    fields[0] = STR("new field");
    for (uint32_t i = 0; i < s->field_count; i++) fields[i + 1] = segment_field_name(s, i);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++) twice |= str_eq(fields[i], fields[k]);
    struct change text = {
        .field = fields[count - 1], .value = {.type = VALUE_STRING, .text = STR("a value")}, .seq = 1};
    struct change number = {.field = fields[0], .value = {.type = VALUE_NUMBER, .number = 1}, .seq = 2};
    struct segment_change changes[] = {{0, text}, {0, number}, {s->rows - 1, text}, {s->rows - 1, number}};
    struct segment_fold f = {.fields = fields, .field_count = count, .changes = changes, .change_count = 4};
    if (!twice) (void)segment_fold_write(s, &f, "folder", "name", &e);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t store_id[16] = "0123456789abcde";
    struct err e;
    if (size < 2 || size > 1 << 20) return 0;
    struct buf file = {0};
    buf_add(&file, data + 1, size - 1);
    if (data[0] & 1) (void)segment_reseal(file.p, file.n);
    CHECK(ftruncate(memory, 0) == 0 && pwrite(memory, file.p, file.n, 0) == (ssize_t)file.n);
    buf_free(&file);
    struct segment *s = segment_open("segment", store_id, 7, &e);
    if (!s) {
        CHECK(e.code == ERR_DAMAGED);
        return 0;
    }
    struct arena a = {0};
    struct buf all = {0};
    (void)segment_readable(s, &a, &all);
    bool sound = segment_verify(s, &e);
    (void)segment_verify_summary(s, &e);
    fold(s);
    /* What is found sound can be read to its end. */
    CHECK(!sound || segment_readable(s, &a, &all));
    buf_free(&all);
    arena_free(&a);
    segment_close(s);
    return 0;
}
