/* A folder of a test's own, and the files in it. It lies in memory where there is /dev/shm (else in $TMPDIR), and the
 * io table of scratch_make leaves syncs out: what is tested with it is what the bytes mean, not when they are durable
 * (tests/crash does that). */
#pragma once
#include "base/buf.h"
#include "base/io.h"

enum { SCRATCH_PATH = 200 };

struct scratch {
    char dir[SCRATCH_PATH];
};

/* Also puts the table without syncs in place; scratch_remove takes it away again. */
void scratch_make(struct scratch *s);
void scratch_remove(struct scratch *s);

/* The table that scratch_make puts in place, to begin one from that fails somewhere. */
extern const struct io_ops scratch_ops;

/* Paths below are relative to the folder; the path that is returned is good until the next 8 calls. */
const char *scratch_path(const struct scratch *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

struct buf scratch_read(const char *path);             /* the whole file; the caller frees it */
void scratch_write(const char *path, struct str bytes); /* the file then holds these bytes and no others */
void scratch_copy_tree(const char *from, const char *to); /* at one moment between two operations of the table */
void scratch_remove_tree(const char *path);
