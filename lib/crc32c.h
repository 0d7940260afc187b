/* crc32c.h - the CRC-32C checksum (Castagnoli; RFC 3720, B.4) */
#ifndef PIPIT_CRC32C_H
#define PIPIT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The sum of what <sum> covers followed by s[0..len); the sum of nothing is 0. A parent that forks
 * has its children spared some microseconds by crc32c(0, 0, 0). */
extern uint32_t crc32c(uint32_t sum, void const *s, size_t len);

/* The same, as it is done where the processor has no instruction for it. */
extern uint32_t crc32c_by_table(uint32_t sum, void const *s, size_t len);

#endif
