/* What the bytes of one journal file say. */
#include "journal/journal.h"

#include <string.h>

#include "base/crc32c.h"

uint32_t record_crc(const struct record_header *h, const char *payload, uint64_t seed) {
    uint32_t c = crc32c((uint32_t)seed, h, 12);
    c = crc32c(c, &h->seq, 16);
    return crc32c(c, payload, h->length);
}

bool journal_file_header(struct str bytes, struct journal_file_header *h) {
    uint32_t crc, after;
    if (bytes.n < JOURNAL_DATA || memcmp(bytes.p, JOURNAL_MAGIC, 8) != 0) return false;
    memcpy(&crc, bytes.p + 44, 4);
    if (crc != crc32c(0, bytes.p, 44)) return false;
    memcpy(h->store_id, bytes.p + 8, 16);
    memcpy(&h->number, bytes.p + 24, 8);
    memcpy(&h->first_seq, bytes.p + 32, 8);
    memcpy(&after, bytes.p + 40, 4);
    h->after_recovery = after != 0;
    return true;
}

void journal_scan_from(struct str bytes, uint64_t number, uint64_t *at, uint64_t *seq, journal_scanned *visit,
                       void *ctx) {
    struct record_header h;
    while (*at < bytes.n && bytes.n - *at >= sizeof h) {
        memcpy(&h, bytes.p + *at, sizeof h);
        const char *payload = bytes.p + *at + sizeof h;
        if (h.seq != *seq || h.length > bytes.n - *at - sizeof h || h.crc != record_crc(&h, payload, number)) return;
        if (!visit(ctx, &h, (struct str){payload, h.length}, *at)) return;
        *at += sizeof h + h.length;
        if (h.flags & RECORD_GROUP_END) *at = (*at + JOURNAL_SECTOR - 1) & ~(uint64_t)(JOURNAL_SECTOR - 1);
        (*seq)++;
        if (*at > bytes.n) *at = bytes.n;
    }
}

void journal_scan(struct str bytes, const struct journal_file_header *h, journal_scanned *visit, void *ctx, uint64_t *end,
                  uint64_t *next) {
    *end = JOURNAL_DATA;
    *next = h->first_seq;
    journal_scan_from(bytes, h->number, end, next, visit, ctx);
}

/* Of a group that was cut off any sector may be there, but not its first record, or it would have been taken; and the
 * next group is not begun before it is synced. What stood between has its room. */
bool journal_goes_on(struct str bytes, uint64_t number, uint64_t end, uint64_t next, uint64_t *later) {
    struct record_header h;
    uint64_t from = end + JOURNAL_SECTOR - end % JOURNAL_SECTOR;
    for (; from < bytes.n && bytes.n - from >= sizeof h; from += JOURNAL_SECTOR) {
        memcpy(&h, bytes.p + from, sizeof h);
        if (!(h.flags & RECORD_GROUP_BEGIN) || h.seq <= next || h.seq - next > (from - end) / sizeof h ||
            h.length > bytes.n - from - sizeof h || h.crc != record_crc(&h, bytes.p + from + sizeof h, number))
            continue;
        *later = h.seq;
        return true;
    }
    return false;
}
