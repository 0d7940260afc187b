/* crc32c.c - CRC-32C by tables, eight bytes at a time; see crc32c.h */

#include <endian.h>
#include <string.h>

#include "crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli's, reflected */
#define SLICES     8

/* table[k][b]: what byte b contributes when k more bytes follow it. */
static uint32_t table[SLICES][256];

static void make_tables(void)
{
  for (unsigned int b = 0; b < 256; b++) {
    uint32_t c = b;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
    table[0][b] = c;
  }
  for (unsigned int b = 0; b < 256; b++)
    for (int k = 1; k < SLICES; k++)
      table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
}

static uint32_t add_eight(uint32_t c, unsigned char const *s)
{
  uint64_t word;
  memcpy(&word, s, sizeof word);
  word = le64toh(word) ^ c;
  c = 0;
  for (int k = 0; k < SLICES; k++) c ^= table[SLICES - 1 - k][word >> 8 * k & 255];
  return c;
}

uint32_t crc32c(uint32_t sum, void const *bytes, size_t len)
{
  unsigned char const *s = bytes;
  uint32_t c = ~sum;
  if (!table[0][1]) make_tables();
  for (; len >= SLICES; s += SLICES, len -= SLICES) c = add_eight(c, s);
  for (; len; s++, len--) c = c >> 8 ^ table[0][(c ^ *s) & 255];
  return ~c;
}
