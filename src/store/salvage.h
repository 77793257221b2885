/* Reading what is damaged: every record that is still whole, and where others were. Nothing is changed. For check and
 * repair; one thread. */
#pragma once
#include "journal/journal.h"
#include "store/wlog.h"

/* What a reader is told. A gap: records numbered `first` to `last` are lost, as far as numbers can tell (in a log they
 * may have been fewer, or none; last UINT64_MAX: to its end); `path` and `at` are where they stood. */
struct salvage {
    journal_visit *record;
    void (*gap)(void *ctx, const char *path, uint64_t at, uint64_t first, uint64_t last);
    void *ctx;
};

/* The records of a log; *seq as in wlog_read. False, and e: the visitor failed. A log that cannot be read at all is a
 * gap from its beginning. */
bool salvage_log(const struct wlog *l, uint64_t *seq, const struct salvage *to, struct err *e);

/* Every record after sequence number `after` of a journal's folder. Chains are not held together where something is
 * missing; an unfinished one at the end is left out, as at a start. *seq: the last number that was given, or `after`.
 * False, and e: the visitor failed, or the folder can't be read. */
bool salvage_journal(const char *dir, const uint8_t store_id[16], uint64_t after, uint64_t *seq,
                     const struct salvage *to, struct err *e);
