/* t-crc32c.c - the vectors of RFC 3720, B.4, and the two ways against each other */

#include <string.h>

#include "check.h"
#include "crc32c.h"

#define LENGTHS 67 /* more than eight words of eight bytes */

static void vectors(uint32_t (*sum)(uint32_t, void const *, size_t), char const *way)
{
  unsigned char s[32];
  memset(s, 0, sizeof s);
  check(sum(0, s, sizeof s) == 0x8a9136aau, way);
  memset(s, 0xff, sizeof s);
  check(sum(0, s, sizeof s) == 0x62a8ab43u, way);
  for (unsigned int i = 0; i < sizeof s; i++) s[i] = (unsigned char)i;
  check(sum(0, s, sizeof s) == 0x46dd794eu, way);
  check(sum(sum(0, s, 5), s + 5, sizeof s - 5) == 0x46dd794eu, way);
  check(sum(0, s, 0) == 0, way);
  check(sum(0, "123456789", 9) == 0xe3069283u, way);
}

int main(void)
{
  unsigned char s[LENGTHS + 8];
  int same = 1;
  vectors(crc32c, "crc32c");
  vectors(crc32c_by_table, "by table");
  for (unsigned int i = 0; i < sizeof s; i++) s[i] = (unsigned char)(i * i * 37 + 11);
  for (size_t at = 0; at < 8; at++)
    for (size_t len = 0; len < LENGTHS; len++) same &= crc32c(7, s + at, len) == crc32c_by_table(7, s + at, len);
  check(same, "both ways give the same of any length, wherever it begins");
  return check_done();
}
