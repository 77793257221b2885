#include <zlib.h>

#include "base/check.h"
#include "http/internal.h"

enum { PIECE = 16384 };

/* The next piece of what is packed, when the one before is used up. False: it can't be read. */
static bool feed(z_stream *z, const struct body *packed, size_t *at, unsigned char piece[PIECE], struct err *e) {
    size_t n = PIECE;
    if (z->avail_in) return true;
    if (!body_read(packed, *at, piece, &n, e)) return false;
    *at += n;
    z->next_in = piece;
    z->avail_in = (uInt)n;
    return true;
}

static bool unpack(z_stream *z, const struct body *packed, size_t most, struct body *to, struct err *e) {
    unsigned char in[PIECE], out[PIECE];
    size_t at = 0;
    while (true) {
        if (!feed(z, packed, &at, in, e)) return false;
        z->next_out = out;
        z->avail_out = PIECE;
        int result = inflate(z, Z_NO_FLUSH);
        if (!body_add(to, out, PIECE - z->avail_out, e)) return false;
        if (to->n > most)
            return err_set(e, ERR_TOO_LARGE, "the body has more than %zu bytes once unpacked, the most for this path: send it in parts", most);
        if (result == Z_STREAM_END && z->avail_in == 0 && at == packed->n) return true;
        if (result == Z_STREAM_END) result = inflateReset(z); /* members may follow one another (RFC 1952 2.2) */
        if (result != Z_OK)
            return err_set(e, ERR_INVALID, "the body is not the gzip data that Content-Encoding says");
    }
}

bool gzip_unpack(const struct body *packed, size_t most, struct body *to, struct err *e) {
    z_stream z = {0};
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK); /* 16: a gzip wrapper and no other */
    bool ok = unpack(&z, packed, most, to, e);
    inflateEnd(&z);
    return ok;
}
