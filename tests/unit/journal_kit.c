#include "journal_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/mem.h"

int kit_setup(void **state) {
    struct kit *k = mem_zero(1, sizeof *k);
    scratch_make(&k->scratch);
    k->o = (struct journal_options){.dir = k->scratch.dir, .store_id = "the store's own", .file_size = KIT_FILE};
    k->o.max_files = 8;
    k->time_us = 1000000;
    *state = k;
    return 0;
}

int kit_teardown(void **state) {
    struct kit *k = *state;
    kit_close(k);
    scratch_remove(&k->scratch);
    buf_free(&k->seen);
    free(k);
    return 0;
}

static char letter(const char *name, unsigned n) {
    return (char)('a' + ((unsigned char)name[0] + (unsigned char)name[1] * 7 + n) % 26);
}

bool kit_visit(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct kit *k = ctx;
    struct str head, fill, name = {0}, time;
    unsigned long long us;
    if (++k->count == k->refuse) return err_set(e, ERR_INVALID, "refused by the visitor");
    bool right = str_cut(payload, '|', &head, &fill) && str_cut(head, '@', &name, &time) && str_to_u64(time, &us) &&
                 h->time_us == (int64_t)us && h->workspace == 7 && h->length == payload.n && h->seq >= k->next_seq;
    for (size_t i = 1; right && i < fill.n; i++) right = fill.p[i] == fill.p[0];
    k->next_seq = h->seq + 1;
    buf_printf(&k->seen, STR_FMT "%s ", STR_ARG(name), right ? "" : " WRONG");
    return true;
}

bool kit_open(struct kit *k, uint64_t after) {
    k->seen.n = 0;
    k->next_seq = 0;
    k->count = 0;
    k->e = (struct err){0};
    k->j = journal_open(&k->o, after, kit_visit, k, &k->e);
    return k->j;
}

void kit_close(struct kit *k) {
    if (k->j) journal_close(k->j);
    k->j = NULL;
}

const char *kit_seen(struct kit *k) {
    buf_addc(&k->seen, '\0');
    k->seen.n = 0;
    k->next_seq = 0;
    return k->seen.p;
}

const char *kit_reopen(struct kit *k, uint64_t after) {
    kit_close(k);
    return kit_open(k, after) ? kit_seen(k) : k->e.msg;
}

bool kit_append(struct kit *k, const char *name, unsigned count, size_t size) {
    struct buf chain = {0};
    struct err ignored;
    k->time_us += 1000;
    for (unsigned i = 0; i < count; i++) {
        struct record_header h = {.length = (uint32_t)size, .type = 1, .workspace = 7};
        char head[100];
        size_t n = (size_t)snprintf(head, sizeof head, "%s.%u@%lld|", name, i, (long long)k->time_us);
        CHECK(n <= size);
        buf_add(&chain, &h, sizeof h);
        buf_add(&chain, head, n);
        while (n++ < size) buf_addc(&chain, letter(name, i));
    }
    journal_prepare(k->j, &ignored);
    bool ok = journal_fits(k->j, buf_str(&chain), &k->e);
    if (!ok && k->e.code == ERR_BUSY && journal_prepare(k->j, &ignored))
        ok = journal_fits(k->j, buf_str(&chain), &k->e);
    uint64_t seq = journal_next_seq(k->j);
    ok = ok && journal_append(k->j, &chain, k->time_us, &k->e);
    CHECK(journal_next_seq(k->j) == (ok ? seq + count : seq));
    buf_free(&chain);
    return ok;
}

void kit_commit(struct kit *k) {
    CHECK(journal_commit(k->j, &k->e));
}

void kit_put(struct kit *k, const char *name, unsigned count, size_t size) {
    CHECK(kit_append(k, name, count, size));
    kit_commit(k);
}

const char *kit_slot(const struct kit *k, unsigned n) {
    static char paths[100][SCRATCH_PATH + 32];
    snprintf(paths[n], sizeof paths[n], "%s/slot-%02u.journal", k->scratch.dir, n);
    return paths[n];
}

unsigned kit_files(const struct kit *k) {
    struct stat st;
    unsigned count = 0;
    for (unsigned n = 0; n < 100; n++) count += stat(kit_slot(k, n), &st) == 0;
    return count;
}

const char *kit_file(const struct kit *k, uint64_t number) {
    struct stat st;
    for (unsigned n = 0; n < 100; n++) {
        const char *path = kit_slot(k, n);
        if (stat(path, &st) != 0) continue;
        struct journal_file_header h = {0};
        struct buf bytes = scratch_read(path);
        bool found = journal_file_header(buf_str(&bytes), &h) && h.number == number;
        buf_free(&bytes);
        if (found) return path;
    }
    return NULL;
}

struct offsets {
    uint64_t *at;
    unsigned most, count;
};

static bool note_offset(void *ctx, const struct record_header *h, struct str payload, uint64_t at) {
    (void)h, (void)payload;
    struct offsets *o = ctx;
    if (o->count < o->most) o->at[o->count] = at;
    o->count++;
    return true;
}

unsigned kit_offsets(struct str bytes, uint64_t *offsets, unsigned most, uint64_t *end) {
    struct offsets o = {.at = offsets, .most = most};
    struct journal_file_header h;
    uint64_t next;
    CHECK(journal_file_header(bytes, &h));
    journal_scan(bytes, &h, note_offset, &o, end, &next);
    CHECK(next == h.first_seq + o.count);
    return o.count;
}
