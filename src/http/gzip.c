#include <zlib.h>

#include "base/check.h"
#include "http/internal.h"

bool gzip_unpack(struct str packed, size_t most, struct buf *to, struct err *e) {
    CHECK(packed.n <= UINT32_MAX);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK); /* 16: a gzip wrapper and no other */
    int result = Z_OK;
    while (true) {
        buf_reserve(to, 16384);
        z.next_out = (Bytef *)(to->p + to->n);
        z.avail_out = 16384;
        result = inflate(&z, Z_NO_FLUSH);
        to->n += 16384 - z.avail_out;
        if (to->n > most) break;
        if (result == Z_STREAM_END && z.avail_in) {
            result = inflateReset(&z); /* members may follow one another (RFC 1952 2.2) */
            continue;
        }
        if (result != Z_OK) break;
    }
    inflateEnd(&z);
    if (to->n > most) return err_set(e, ERR_TOO_LARGE, "the body has more than %zu bytes once unpacked", most);
    if (result != Z_STREAM_END)
        return err_set(e, ERR_INVALID, "the body is not the gzip data that Content-Encoding says");
    return true;
}
