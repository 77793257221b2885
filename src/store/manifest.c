#include "store/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/io.h"
#include "base/mem.h"

enum { MANIFEST_MOST = 256 << 20, LENGTH_STEP = 512, VERSION = 3, SHORT_SEGMENTS = 2 /* the version with them */ };

/* ---- in memory ---- */

static void *copy_of(const void *p, size_t count, size_t size) {
    return count ? memcpy(mem_alloc(count * size), p, count * size) : NULL;
}

void manifest_copy(struct manifest *to, const struct manifest *from) {
    *to = *from;
    to->workspaces = copy_of(from->workspaces, from->count, sizeof *from->workspaces);
    for (size_t i = 0; i < to->count; i++) {
        struct manifest_workspace *w = &to->workspaces[i];
        w->logs = copy_of(w->logs, w->log_count, sizeof *w->logs);
        w->segments = copy_of(w->segments, w->segment_count, sizeof *w->segments);
    }
}

void manifest_free(struct manifest *m) {
    for (size_t i = 0; i < m->count; i++) {
        free(m->workspaces[i].logs);
        free(m->workspaces[i].segments);
    }
    free(m->workspaces);
    *m = (struct manifest){0};
}

/* The place of a workspace: where it is, or would be. */
static size_t place_of(const struct manifest *m, uint32_t workspace) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->workspaces[mid].number < workspace)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct manifest_workspace *manifest_find(const struct manifest *m, uint32_t workspace) {
    size_t at = place_of(m, workspace);
    return at < m->count && m->workspaces[at].number == workspace ? &m->workspaces[at] : NULL;
}

struct manifest_workspace *manifest_make(struct manifest *m, uint32_t workspace) {
    size_t at = place_of(m, workspace);
    if (at < m->count && m->workspaces[at].number == workspace) return &m->workspaces[at];
    m->workspaces = mem_resize(m->workspaces, (m->count + 1) * sizeof *m->workspaces);
    memmove(&m->workspaces[at + 1], &m->workspaces[at], (m->count - at) * sizeof *m->workspaces);
    m->workspaces[at] = (struct manifest_workspace){.number = workspace, .next_segment = 1, .next_log = 1};
    m->count++;
    return &m->workspaces[at];
}

/* ---- as text ---- */

static void print_workspace(const struct manifest_workspace *w, struct buf *text) {
    if (w->deleted) {
        buf_printf(text, "workspace %" PRIu32 " deleted\n", w->number);
        return;
    }
    buf_printf(text, "workspace %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", w->number, w->sealed_through,
               w->next_segment, w->next_log);
    for (size_t i = 0; i < w->log_count; i++)
        buf_printf(text, "log %" PRIu64 " %" PRIu64 "\n", w->logs[i].number, w->logs[i].length);
    for (size_t i = 0; i < w->segment_count; i++) {
        const struct manifest_segment *s = &w->segments[i];
        buf_printf(text, "segment %" PRIu64 " %" PRIu32, s->number, s->version);
        if (s->rows)
            buf_printf(text, " %" PRIu32 " %" PRId64 " %" PRId64 " %" PRId64, s->rows, s->min_time_us, s->max_time_us,
                       s->max_received_us);
        buf_addc(text, '\n');
    }
}

static void print(const struct manifest *m, uint64_t version, struct buf *text) {
    size_t begin = text->n;
    buf_printf(text, "sightglass-manifest %" PRIu64 "\nstore ", version);
    for (int i = 0; i < 16; i++) buf_printf(text, "%02x", m->store_id[i]);
    buf_printf(text, "\nseq %" PRIu64 " %" PRId64 "\n", m->seq, m->received_us);
    for (size_t i = 0; i < m->count; i++) print_workspace(&m->workspaces[i], text);
    buf_printf(text, "crc %08" PRIx32 "\n", crc32c(0, text->p + begin, text->n - begin));
}

void manifest_print(const struct manifest *m, struct buf *text) { print(m, VERSION, text); }

struct reader {
    struct str text; /* what is still to be read */
    struct str rest; /* of the line that was read last */
    unsigned lines;  /* read so far */
    unsigned line;   /* that was looked at last, from 1 */
    uint64_t version;
};

/* Reads the next line when its first word is this one. */
static bool line(struct reader *r, const char *word) {
    struct str all, first, rest, more;
    r->line = r->lines + 1;
    if (!str_cut(r->text, '\n', &all, &more) || !str_cut(all, ' ', &first, &rest) || !str_is(first, word)) return false;
    r->text = more;
    r->rest = rest;
    r->lines++;
    return true;
}

/* The next number of the line, which `last` says is its last one. */
static bool number(struct reader *r, bool last, uint64_t least, uint64_t most, uint64_t *out) {
    struct str text, rest = {0};
    unsigned long long v;
    if (str_cut(r->rest, ' ', &text, &rest) == last || !str_to_u64(text, &v) || v < least || v > most) return false;
    r->rest = rest;
    *out = v;
    return true;
}

/* The same of a time, which may be before 1970. */
static bool time_of(struct reader *r, bool last, int64_t *out) {
    uint64_t v = 0;
    bool minus = r->rest.n && r->rest.p[0] == '-';
    if (minus) r->rest = str_from(r->rest, 1);
    if (!number(r, last, 0, (uint64_t)INT64_MAX + minus, &v)) return false;
    *out = minus ? (int64_t)-v : (int64_t)v;
    return true;
}

static bool store_id(struct reader *r, uint8_t id[16]) {
    if (!line(r, "store") || r->rest.n != 32) return false;
    for (size_t i = 0; i < 32; i++) {
        const char *digits = "0123456789abcdef", *d = memchr(digits, r->rest.p[i], 16);
        if (!d) return false;
        id[i / 2] = (uint8_t)(i % 2 ? id[i / 2] | (d - digits) : (d - digits) << 4);
    }
    return true;
}

/* Room for one more at the end of a growing list: doubled whenever the count is a power of two. */
static void *one_more(void *list, size_t count, size_t size) {
    return (count & (count - 1)) ? list : mem_resize(list, (count ? 2 * count : 1) * size);
}

/* The lines of version 2 end with the segment's version. */
static bool parse_segment(struct reader *r, struct manifest_segment *s) {
    uint64_t v, rows = 0;
    bool brief = !memchr(r->rest.p, ' ', r->rest.n);
    if (!number(r, brief, 0, UINT32_MAX, &v)) return false;
    s->version = (uint32_t)v;
    if (brief) return true;
    bool ok = r->version > SHORT_SEGMENTS && number(r, false, 1, UINT32_MAX, &rows) &&
              time_of(r, false, &s->min_time_us) && time_of(r, false, &s->max_time_us) &&
              time_of(r, true, &s->max_received_us);
    s->rows = (uint32_t)rows;
    return ok && s->min_time_us <= s->max_time_us;
}

static bool parse_files(struct reader *r, struct manifest_workspace *w) {
    uint64_t n, v, least = 1;
    while (line(r, "log")) {
        if (!number(r, false, least, w->next_log - 1, &n) || !number(r, true, LENGTH_STEP, INT64_MAX, &v) ||
            v % LENGTH_STEP)
            return false;
        w->logs = one_more(w->logs, w->log_count, sizeof *w->logs);
        w->logs[w->log_count++] = (struct manifest_log){n, v};
        least = n + 1;
    }
    least = 1;
    while (line(r, "segment")) {
        struct manifest_segment s = {0};
        if (!number(r, false, least, w->next_segment - 1, &s.number) || !parse_segment(r, &s)) return false;
        w->segments = one_more(w->segments, w->segment_count, sizeof *w->segments);
        w->segments[w->segment_count++] = s;
        least = s.number + 1;
    }
    return true;
}

static bool parse_workspaces(struct reader *r, struct manifest *m) {
    uint64_t n, least = 0;
    while (line(r, "workspace")) {
        if (!number(r, false, least, UINT32_MAX, &n)) return false;
        m->workspaces = one_more(m->workspaces, m->count, sizeof *m->workspaces);
        struct manifest_workspace *w = &m->workspaces[m->count++];
        *w = (struct manifest_workspace){.number = (uint32_t)n, .deleted = str_is(r->rest, "deleted")};
        least = n + 1;
        if (w->deleted) continue;
        if (!number(r, false, 0, UINT64_MAX, &w->sealed_through) ||
            !number(r, false, 1, UINT64_MAX, &w->next_segment) || !number(r, true, 1, UINT64_MAX, &w->next_log) ||
            !parse_files(r, w))
            return false;
    }
    return true;
}

/* What was understood must be, written again, the very bytes that were read: so every number has its one form, and the
 * checksum is right. */
static bool same_again(struct reader *r, const struct manifest *m, struct str whole) {
    struct buf again = {0};
    print(m, r->version, &again);
    bool same = str_eq(buf_str(&again), whole);
    if (!same) r->line = 1;
    for (size_t at = 0; !same && at < again.n && at < whole.n && again.p[at] == whole.p[at]; at++)
        r->line += whole.p[at] == '\n';
    buf_free(&again);
    return same;
}

bool manifest_parse(struct str text, struct manifest *m, struct err *e) {
    struct reader r = {.text = text};
    uint64_t received;
    *m = (struct manifest){0};
    bool head = line(&r, "sightglass-manifest") && number(&r, true, 0, UINT64_MAX, &r.version);
    if (head && r.version == 1)
        return err_set(e, ERR_DAMAGED,
                       "made by an earlier version of sightglass, whose data folders this one does not read: use that "
                       "version, or begin with an empty folder");
    if (head && r.version != VERSION && r.version != SHORT_SEGMENTS)
        return err_set(e, ERR_DAMAGED, "has version %" PRIu64 ", this program knows %d and %d: use the newer program",
                       r.version, SHORT_SEGMENTS, VERSION);
    bool seq = head && store_id(&r, m->store_id) && line(&r, "seq") && number(&r, false, 0, UINT64_MAX, &m->seq) &&
               number(&r, true, 0, INT64_MAX, &received);
    m->received_us = seq ? (int64_t)received : 0;
    if (seq && parse_workspaces(&r, m) && same_again(&r, m, text)) return true;
    manifest_free(m);
    return err_set(e, ERR_DAMAGED, "line %u is damaged", r.line);
}

/* ---- as a file ---- */

bool manifest_read(const char *dir, const uint8_t id[16], struct manifest *m, struct err *e) {
    char path[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/MANIFEST", dir);
    *m = (struct manifest){0};
    char *text = io_read_file(path, MANIFEST_MOST, &n);
    bool missing = !text && errno == ENOENT;
    if (!text && !missing) return err_errno(e, "%s", path);
    bool ok = missing;
    if (text && !manifest_parse((struct str){text, n}, m, e))
        err_wrap(e, "%s", path);
    else if (text && memcmp(m->store_id, id, 16) != 0)
        err_set(e, ERR_DAMAGED, "%s belongs to another store", path);
    else
        ok = true;
    free(text);
    if (!ok) manifest_free(m);
    memcpy(m->store_id, id, 16);
    return ok;
}

int manifest_write(const char *dir, const struct manifest *m, struct err *e) {
    struct buf text = {0};
    manifest_print(m, &text);
    int outcome =
        io_replace_file(dir, "MANIFEST", text.p, text.n, 0600, "checkpoint.manifest", "checkpoint.manifest.dir");
    if (outcome != 0) err_errno(e, "%s/MANIFEST", dir);
    buf_free(&text);
    return outcome;
}

/* ---- names ---- */

void manifest_path(const char *dir, uint32_t workspace, const char *name, char path[4096]) {
    int n = snprintf(path, 4096, "%s/workspaces/%" PRIu32 "%s%s", dir, workspace, *name ? "/" : "", name);
    CHECK(n < 4096); /* the setting `data` is shorter */
}

void manifest_log_name(uint64_t number, char name[64]) { snprintf(name, 64, "log-%" PRIu64, number); }

void manifest_segment_name(uint64_t number, uint32_t version, char name[64]) {
    snprintf(name, 64, "%" PRIu64 ".%" PRIu32 ".arrow", number, version);
}
