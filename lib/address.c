/* address.c - take envelope addresses apart; see address.h */

#include <string.h>

#include "address.h"

size_t address_at(char const *s, size_t len)
{
  for (size_t i = len; i; i--)
    if (s[i - 1] == '@') return i - 1;
  return len;
}

int verp_is(char const *sender, size_t len)
{
  return len > VERP_LEN && !memcmp(sender + len - VERP_LEN, VERP_MARK, VERP_LEN) &&
         address_at(sender, len - VERP_LEN) < len - VERP_LEN;
}

int address_is_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] < ' ' || s[i] == 127) return 0;
  return 1;
}
