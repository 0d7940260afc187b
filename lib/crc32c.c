/* crc32c.c - CRC-32C, by the processor's instruction where it has one; see crc32c.h */

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <string.h>

#include "crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli's, reflected */

static uint32_t table[256]; /* what each byte contributes */

static void make_table(void)
{
  for (unsigned int b = 0; b < 256; b++) {
    uint32_t c = b;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
    table[b] = c;
  }
}

uint32_t crc32c_by_table(uint32_t sum, void const *bytes, size_t len)
{
  unsigned char const *s = bytes;
  uint32_t c = ~sum;
  if (!table[1]) make_table();
  for (; len; s++, len--) c = c >> 8 ^ table[(c ^ *s) & 255];
  return ~c;
}

#ifdef __x86_64__
static int has_instruction(void)
{
  unsigned int a, b, c, d;
  __cpuid(1, a, b, c, d);
  return (c & bit_SSE4_2) != 0;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t sum, void const *bytes, size_t len)
{
  unsigned char const *s = bytes;
  uint64_t c = (uint32_t)~sum, word;
  for (; len >= sizeof word; s += sizeof word, len -= sizeof word) {
    memcpy(&word, s, sizeof word);
    c = __builtin_ia32_crc32di(c, word);
  }
  for (; len; s++, len--) c = __builtin_ia32_crc32qi((uint32_t)c, *s);
  return ~(uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t sum, void const *s, size_t len)
{
#ifdef __x86_64__
  static enum { UNKNOWN, NO, YES } here; /* to ask takes long in a virtual machine */
  if (!here) here = has_instruction() ? YES : NO;
  if (here == YES) return by_instruction(sum, s, len);
#endif
  return crc32c_by_table(sum, s, len);
}
