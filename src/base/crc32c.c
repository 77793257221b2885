#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[256];

static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
}

static uint32_t by_table(uint32_t c, const unsigned char *p, size_t n) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_table);
    while (n--) c = table[(c ^ *p++) & 0xff] ^ c >> 8;
    return c;
}

#if defined(__x86_64__)
#define INSTRUCTION __attribute__((target("sse4.2")))
#define EIGHT(c, word) __builtin_ia32_crc32di(c, word)
#define ONE(c, byte) __builtin_ia32_crc32qi(c, byte)
static int has_instruction(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define INSTRUCTION __attribute__((target("+crc")))
#define EIGHT(c, word) __crc32cd((uint32_t)(c), word)
#define ONE(c, byte) __crc32cb(c, byte)
static int has_instruction(void) { return (getauxval(AT_HWCAP) & (1 << 7 /* HWCAP_CRC32 */)) != 0; }
#endif

#if defined(INSTRUCTION)
/* The instruction can begin each cycle but takes three: so three parts of a run go side by side. What the first comes
 * to is then carried past the second's bytes, as if they were zeros, and so on: the checksum is linear, so that
 * carrying is a look-up for each byte of it. */
enum { PART = 2048 };
static uint32_t past_part[4][256];

INSTRUCTION static void make_past_part(void) {
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t bit = 1; bit < 256; bit *= 2) {
            uint64_t c = (uint64_t)bit << 8 * byte;
            for (int i = 0; i < PART; i += 8) c = EIGHT(c, 0);
            for (uint32_t i = 0; i < bit; i++) past_part[byte][bit + i] = past_part[byte][i] ^ (uint32_t)c;
        }
}

static uint32_t carry(uint64_t c) {
    return past_part[0][c & 255] ^ past_part[1][c >> 8 & 255] ^ past_part[2][c >> 16 & 255] ^
           past_part[3][c >> 24 & 255];
}

static inline uint64_t word_at(const unsigned char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

INSTRUCTION static uint32_t by_instruction(uint32_t c, const unsigned char *p, size_t n) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t wide = c;
    if (n >= 3 * PART) pthread_once(&once, make_past_part);
    for (; n >= 3 * PART; p += 3 * PART, n -= 3 * PART) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < PART; i += 8) {
            wide = EIGHT(wide, word_at(p + i));
            second = EIGHT(second, word_at(p + PART + i));
            third = EIGHT(third, word_at(p + 2 * PART + i));
        }
        wide = carry(carry(wide) ^ second) ^ third;
    }
    for (; n >= 8; p += 8, n -= 8) wide = EIGHT(wide, word_at(p));
    c = (uint32_t)wide;
    while (n--) c = ONE(c, *p++);
    return c;
}
#else
static uint32_t by_instruction(uint32_t c, const unsigned char *p, size_t n) { return by_table(c, p, n); }
static int has_instruction(void) { return 0; }
#endif

uint32_t crc32c(uint32_t seed, const void *p, size_t n) {
    return ~(has_instruction() ? by_instruction(~seed, p, n) : by_table(~seed, p, n));
}
