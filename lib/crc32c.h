/* crc32c.h - the CRC-32C checksum (Castagnoli; RFC 3720, B.4) */
#ifndef PIPIT_CRC32C_H
#define PIPIT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The sum of what <sum> covers followed by s[0..len); the sum of nothing is 0.
 * The first call makes the tables (some microseconds): a parent that forks
 * does it once for all its children with crc32c(0, 0, 0). */
extern uint32_t crc32c(uint32_t sum, void const *s, size_t len);

#endif
