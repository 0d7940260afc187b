/* address.c - take envelope addresses apart; see address.h */

#include "address.h"

size_t address_at(char const *s, size_t len)
{
  for (size_t i = len; i; i--)
    if (s[i - 1] == '@') return i - 1;
  return len;
}
