/* Looks through all files of a store that nobody uses: manifest, logs, journal, segments, and what they say of each
 * other. With `repair` what is damaged is set aside, in DIR/set-aside/NUMBER, and what can still be read of it is put
 * in its place. One thread, under guard_init; the data folder is locked by the caller. */
#pragma once
#include "base/err.h"
#include "store/manifest.h"

struct check {
    const char *dir;
    uint8_t store_id[16];
    bool repair;
    void (*report)(void *ctx, const char *line); /* a problem, or what a repair did about one */
    void *ctx;

    /* what was looked through, and what is wrong: after a repair, what still is */
    uint64_t problems, workspaces, logs, segments, records, rows;
    uint64_t highest; /* the last sequence number that a log or segment knows of */
};

/* False, and e: it could not be looked through to its end, or not be repaired. */
bool check_store(struct check *c, struct err *e);

/* Every picture that an inference names or that was uploaded for one, as often as that is said: in the segments that
 * can be read, and in what logs and journal have of those that are in none. may_be_gone: only a record names it, whose
 * inference may have ended. After check_store. */
typedef void check_picture_call(void *ctx, uint32_t workspace, const uint8_t hash[32], bool may_be_gone);
bool check_each_picture(const struct check *c, check_picture_call *call, void *ctx, struct err *e);

/* ---- its parts (check_rows.c, repair.c) ---- */

void check_problem(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_note(const struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What a repair has to put right. */
struct damage {
    struct damaged_file {
        uint32_t workspace;
        bool is_log, is_summary; /* neither: a segment; is_summary: the segment's rows are whole */
        uint64_t number;
        uint32_t version;
    } *files;
    size_t count;
    bool journal;
};

/* No two rows of these segments are of the same id, model, index and kind. NULL: one that could not be opened. */
struct segment;
void check_rows(struct check *c, uint32_t workspace, struct segment *const *segments, size_t count);

/* DIR/set-aside/NUMBER, a new one; a second name in it, the path's slashes made underlines (what is not there any more
 * needs none); and that both are on disk. */
enum { CHECK_PATH = 4096 };
bool check_make_aside(const char *dir, char folder[CHECK_PATH], struct err *e);
bool check_put_aside(const struct check *c, const char *folder, const char *path, struct err *e);
bool check_sync_aside(const char *folder, struct err *e);

bool repair_store(struct check *c, const struct damage *d, struct err *e);
/* A manifest made from the files that are there, in place of one that is damaged or missing. */
bool repair_manifest(struct check *c, struct err *e);
