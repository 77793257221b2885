/* A workspace's log as a file: a head, then records as in the journal, their checksum seeded with the workspace.
 *
 *      0  8  "SGWLOG2\n"
 *      8 16  store id
 *     24  8  number of the log
 *     32  4  workspace
 *     36  4  crc32c of bytes 0..35
 *     40     records
 *
 * What one sync covered is a group: its last record has the flag RECORD_GROUP_END, and the next one begins on a
 * 512-byte boundary. How much of a log counts, the manifest says (manifest.h); checkpoint.h writes logs. Any thread. */
#pragma once
#include "journal/journal.h"

enum { WLOG_HEAD = 40 };

struct wlog {
    const char *path;
    uint8_t store_id[16];
    uint32_t workspace;
    uint64_t number, length; /* length: that counts */
};

void wlog_head(const struct wlog *l, char head[WLOG_HEAD]);

/* Gives the records. *seq is that of the last record before, and then of the last one given; they must grow. Damage is
 * an error that names file and offset; what was given before it was good. */
bool wlog_read(const struct wlog *l, uint64_t *seq, journal_visit *visit, void *ctx, struct err *e);
