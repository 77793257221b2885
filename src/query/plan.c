#include "query/plan.h"

#include <inttypes.h>

/* "1-TIME-SEQ-ASOF" in hexadecimal; the first number is the form's version. */
enum { CURSOR_VERSION = 1 };

void cursor_write(struct buf *to, const struct cursor *c) {
    buf_printf(to, "%d-%" PRIx64 "-%" PRIx64 "-%" PRIx64, CURSOR_VERSION, (uint64_t)c->time_us, c->seq, c->as_of);
}

static bool hex(struct str s, uint64_t *out) {
    *out = 0;
    if (s.n == 0 || s.n > 16) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) return false;
        *out = *out << 4 | digit;
    }
    return true;
}

bool cursor_read(struct str text, struct cursor *out) {
    uint64_t parts[4];
    for (int i = 0; i < 4; i++) {
        struct str part;
        if (str_cut(text, '-', &part, &text) != (i < 3) || !hex(part, &parts[i])) return false;
    }
    *out = (struct cursor){true, (int64_t)parts[1], parts[2], parts[3]};
    return parts[0] == CURSOR_VERSION;
}
