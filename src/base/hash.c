#include "base/hash.h"

#include <sodium.h>

#include "base/check.h"

static unsigned char key[crypto_shorthash_KEYBYTES];

void hash_init(void) {
    CHECK(sodium_init() >= 0);
    crypto_shorthash_keygen(key);
}

uint64_t hash_str(struct str s) {
    uint64_t h;
    unsigned char out[crypto_shorthash_BYTES];
    crypto_shorthash(out, (const unsigned char *)s.p, s.n, key);
    memcpy(&h, out, sizeof h);
    return h;
}
