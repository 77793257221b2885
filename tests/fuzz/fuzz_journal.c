/* A journal folder made of the input: what is opened gives whole chains in order or is refused as damaged; what it gave
 * is there again at the next start, with what was written in between behind it. Checksums and sequence numbers are put
 * right, or hardly any input would get past the first record.
 *
 * The input is a row of files: number (1 byte), first sequence number (1), how (1: bit 0 the header is left wrong,
 * 1 after recovery, 2 another store, 3 a shorter file), length (2), and so many bytes of records. In each record's
 * header the two bytes that are always 0 say what is left as it is: bit 0 the sequence number, 1 the checksum, 2 the
 * length, 3 the type. A last byte: which record number the replay begins after. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "journal/journal.h"
#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { FILE_SIZE = 16 << 10, FILES_MOST = 6 };
static const char store_id[17] = "the store's own.";
static char dir[200];

static void empty(void) {
    char path[500];
    DIR *d = opendir(dir);
    CHECK(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        snprintf(path, sizeof path, "%s/%.200s", dir, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    closedir(d);
}

static void remove_folder(void) {
    empty();
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/fuzz-journal-XXXXXX", above ? above : P_tmpdir);
    CHECK(mkdtemp(dir));
    return atexit(remove_folder);
}

/* Makes records of the bytes behind the header. */
static void mend(char *file, size_t size, uint64_t number, uint64_t seq) {
    for (size_t at = JOURNAL_DATA; size - at >= sizeof(struct record_header);) {
        struct record_header h;
        memcpy(&h, file + at, sizeof h);
        size_t room = size - at - sizeof h;
        unsigned leave = h.zero;
        if (h.length > room && leave & 4) return;
        if (h.length > room) h.length %= (uint32_t)room + 1;
        if (!(leave & 1)) h.seq = seq;
        if (!(leave & 8)) h.type = 1 + h.type % 2;
        if (!(leave & 2)) h.crc = record_crc(&h, file + at + sizeof h, number);
        memcpy(file + at, &h, sizeof h);
        seq = h.seq + 1;
        at += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) at = (at + JOURNAL_SECTOR - 1) / JOURNAL_SECTOR * JOURNAL_SECTOR;
        if (at > size) return;
    }
}

static void make_file(unsigned slot, const uint8_t *how, struct str records) {
    static char file[FILE_SIZE];
    char path[300];
    uint64_t number = how[0], first_seq = how[1];
    uint32_t after = how[2] >> 1 & 1;
    memset(file, 0, sizeof file);
    memcpy(file, "SGJRNL1\n", 8);
    memcpy(file + 8, store_id, 16);
    if (how[2] & 4) file[8] ^= 1;
    memcpy(file + 24, &number, 8);
    memcpy(file + 32, &first_seq, 8);
    memcpy(file + 40, &after, 4);
    uint32_t crc = crc32c(how[2] & 1, file, 44);
    memcpy(file + 44, &crc, 4);
    size_t size = how[2] & 8 ? JOURNAL_DATA + records.n : sizeof file;
    memcpy(file + JOURNAL_DATA, records.p, records.n);
    mend(file, size, number, first_seq);
    snprintf(path, sizeof path, "%s/slot-%02u.journal", dir, slot);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, file, size) == (ssize_t)size);
    close(fd);
}

struct seen {
    struct buf records; /* as given */
    uint64_t after, last;
    bool in_chain;
};

static bool see(void *ctx, const struct record_header *h, struct str payload, struct err *e) {
    struct seen *s = ctx;
    struct arena arena = {0};
    struct inference inf;
    struct attach a;
    (void)e;
    CHECK(payload.n == h->length && h->seq > s->after && h->seq > s->last);
    CHECK(!s->in_chain || h->seq == s->last + 1);
    s->last = h->seq;
    s->in_chain = !(h->flags & RECORD_CHAIN_END);
    if (h->type == RECORD_INFERENCE) (void)inference_decode(payload, &arena, &inf);
    if (h->type == RECORD_ATTACH) (void)attach_decode(payload, &arena, &a);
    arena_free(&arena);
    buf_add(&s->records, &h->seq, sizeof h->seq);
    buf_add_str(&s->records, payload);
    return true;
}

static struct journal *open_journal(uint64_t after, struct seen *s) {
    struct journal_options o = {.dir = dir, .file_size = FILE_SIZE, .max_files = 20};
    struct err e = {0};
    memcpy(o.store_id, store_id, 16);
    *s = (struct seen){.after = after};
    struct journal *j = journal_open(&o, after, see, s, &e);
    CHECK(j ? !s->in_chain : e.code == ERR_DAMAGED);
    return j;
}

/* A chain of two records, which may need a file of its own each. */
static void write_chain(struct journal *j, struct buf *payload) {
    struct buf chain = {0};
    struct err e = {0};
    for (unsigned i = 0; i < 2; i++) {
        struct record_header h = {.length = 7000, .type = 9};
        buf_add(&chain, &h, sizeof h);
        for (unsigned k = 0; k < h.length; k++) buf_addc(&chain, (char)('a' + i));
    }
    CHECK(journal_prepare(j, &e));
    if (!journal_fits(j, buf_str(&chain), &e)) CHECK(journal_prepare(j, &e) && journal_fits(j, buf_str(&chain), &e));
    CHECK(journal_append(j, &chain, 1, &e) && journal_commit(j, &e));
    for (size_t pos = 0; pos < chain.n;) {
        struct record_header h;
        memcpy(&h, chain.p + pos, sizeof h);
        buf_add(payload, &h.seq, sizeof h.seq);
        buf_add(payload, chain.p + pos + sizeof h, h.length);
        pos += sizeof h + h.length;
    }
    buf_free(&chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seen first, second;
    unsigned slot = 0;
    empty();
    for (; size >= 5 && slot < FILES_MOST; slot++) {
        size_t n = (size_t)(data[3] | data[4] << 8) % (FILE_SIZE - JOURNAL_DATA + 1);
        if (n > size - 5) n = size - 5;
        make_file(slot, data, (struct str){(const char *)data + 5, n});
        data += 5 + n;
        size -= 5 + n;
    }
    uint64_t after = size ? data[0] : 0;
    struct journal *j = open_journal(after, &first);
    if (j) {
        write_chain(j, &first.records);
        journal_close(j);
        j = open_journal(after, &second);
        CHECK(j && str_eq(buf_str(&first.records), buf_str(&second.records)));
        journal_close(j);
    }
    buf_free(&first.records);
    if (j) buf_free(&second.records);
    return 0;
}
