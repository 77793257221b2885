#include "record/uploads.h"

#include <sodium.h>
#include <string.h>

enum { HEX = 2 * UPLOAD_HASH };

static bool read_hash(struct str *rest, uint8_t hash[UPLOAD_HASH]) {
    size_t length;
    if (rest->n < HEX || sodium_hex2bin(hash, UPLOAD_HASH, rest->p, HEX, NULL, &length, NULL) != 0 ||
        length != UPLOAD_HASH)
        return false;
    *rest = str_from(*rest, HEX);
    return true;
}

static bool read_one(struct str text, struct upload *u) {
    unsigned long long index;
    *u = (struct upload){0};
    if (!read_hash(&text, u->picture)) return false;
    if (text.n && text.p[0] == ':') {
        text = str_from(text, 1);
        u->annotated = true;
        if (!read_hash(&text, u->annotation)) return false;
    }
    if (text.n == 0) return true;
    if (text.p[0] != '@' || !str_to_u64(str_from(text, 1), &index) || index > UINT32_MAX) return false;
    u->placed = true;
    u->index = (uint32_t)index;
    return true;
}

size_t uploads_read(struct str text, struct upload out[UPLOADS_MOST]) {
    size_t count = 0;
    struct str one;
    for (bool more = text.n; more && count < UPLOADS_MOST; count++) {
        more = str_cut(text, ' ', &one, &text);
        if (!read_one(one, &out[count])) break;
    }
    return count;
}

static void write_hash(struct buf *to, const uint8_t hash[UPLOAD_HASH]) {
    char hex[HEX + 1];
    buf_addz(to, sodium_bin2hex(hex, sizeof hex, hash, UPLOAD_HASH));
}

void uploads_write(struct buf *to, const struct upload *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i) buf_addc(to, ' ');
        write_hash(to, all[i].picture);
        if (all[i].annotated) buf_addc(to, ':'), write_hash(to, all[i].annotation);
        if (all[i].placed) buf_printf(to, "@%u", all[i].index);
    }
}

void uploads_each_picture(const struct value *v, picture_call *call, void *ctx) {
    struct upload all[UPLOADS_MOST];
    size_t count = v->type == VALUE_STRING ? uploads_read(v->text, all) : 0;
    for (size_t i = 0; i < count; i++) {
        call(ctx, all[i].picture);
        if (all[i].annotated) call(ctx, all[i].annotation);
    }
}

const struct upload *uploads_of(const struct upload *all, size_t count, uint32_t index) {
    const struct upload *loose = NULL;
    size_t loose_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].placed && all[i].index == index) return &all[i];
        if (!all[i].placed && loose_count++ == 0) loose = &all[i];
    }
    return index == 0 && loose_count == 1 ? loose : NULL;
}
