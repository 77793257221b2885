/* A journal in a scratch folder, whose records say what they are: the payload of record 2 of the chain "a" begins with
 * "a.2@TIME|" and is filled up with a letter. What a replay gives is checked against that and noted as "a.0 a.1 a.2 ",
 * or as WRONG. */
#pragma once
#include "journal/journal.h"
#include "scratch.h"

/* The smallest file; the largest payload in it. */
enum { KIT_FILE = 16 << 10, KIT_WHOLE = KIT_FILE - JOURNAL_DATA - 32 };

struct kit {
    struct scratch scratch;
    struct journal_options o; /* 16 KiB files, 8 of them, unless a test says otherwise before opening */
    struct journal *j;
    struct err e;
    int64_t time_us; /* of the last chain */
    struct buf seen; /* what the last open or read gave */
    uint64_t next_seq; /* one more than that of the last record given, 0: none was */
    unsigned refuse;   /* at this record (from 1) the visit fails; 0: none */
    unsigned count;
};

int kit_setup(void **state); /* *state is a struct kit; its journal is not yet open */
int kit_teardown(void **state);

bool kit_open(struct kit *k, uint64_t after);
void kit_close(struct kit *k);
const char *kit_reopen(struct kit *k, uint64_t after); /* what it gave, or the error's text */

/* A chain of `count` records with payloads of `size` bytes, not committed. False when the journal does not take it. */
bool kit_append(struct kit *k, const char *name, unsigned count, size_t size);
void kit_put(struct kit *k, const char *name, unsigned count, size_t size); /* append and commit, which must go well */
void kit_commit(struct kit *k);

const char *kit_seen(struct kit *k); /* the note; the next begins a new one */
journal_visit kit_visit;

const char *kit_slot(const struct kit *k, unsigned n);  /* path of slot-NN.journal */
const char *kit_file(const struct kit *k, uint64_t number); /* path of the file with this number in its header; NULL */
unsigned kit_files(const struct kit *k);

/* Where the records of a file stand: offsets of the first `most`, how many there are in all, and where they end. */
unsigned kit_offsets(struct str bytes, uint64_t *offsets, unsigned most, uint64_t *end);
