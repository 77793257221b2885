/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as in iSCSI (RFC 3720, B.4). Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* The checksum of n bytes after a run whose checksum is `seed` (0 to begin): crc32c(crc32c(0, a), b) is that of ab. */
uint32_t crc32c(uint32_t seed, const void *p, size_t n);
