/* base64.c - base64 with padding; see base64.h */

#include <stdint.h>
#include <string.h>

#include "base64.h"

static char const letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *out, char const *s, size_t len)
{
  char *o = out;
  for (size_t i = 0; i < len; i += 3) {
    size_t n = len - i < 3 ? len - i : 3;
    uint32_t x = 0;
    for (size_t k = 0; k < 3; k++) x = x << 8 | (k < n ? (unsigned char)s[i + k] : 0);
    for (size_t k = 0; k < 4; k++) *o++ = k <= n ? letters[x >> (18 - 6 * k) & 63] : '=';
  }
  return (size_t)(o - out);
}

/* 0 to 63; -1: none of them. */
static int value_of(char c)
{
  char const *p = c ? strchr(letters, c) : 0;
  return p ? (int)(p - letters) : -1;
}

/* The <digits> first of four characters, as their bytes. 1, or 0. */
static int decode_group(char out[3], char const *s, size_t digits)
{
  uint32_t x = 0;
  for (size_t k = 0; k < 4; k++) {
    int v = k < digits ? value_of(s[k]) : s[k] == '=' ? 0 : -1;
    if (v == -1) return 0;
    x = x << 6 | (uint32_t)v;
  }
  for (size_t k = 0; k < 3; k++) out[k] = (char)(x >> (16 - 8 * k));
  return digits == 4 || !(x & (digits == 3 ? 0xff : 0xffff));
}

int base64_decode(char *out, size_t size, char const *s, size_t len, size_t *n)
{
  size_t done = 0;
  if (len % 4) return 0;
  for (size_t i = 0; i < len; i += 4) {
    char group[3];
    size_t digits = 4;
    if (i + 4 == len && s[i + 3] == '=') digits = s[i + 2] == '=' ? 2 : 3;
    size_t bytes = digits - 1;
    if (bytes > size - done || !decode_group(group, s + i, digits)) return 0;
    memcpy(out + done, group, bytes);
    done += bytes;
  }
  *n = done;
  return 1;
}
