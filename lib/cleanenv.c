/* cleanenv.c - what strangers have written, made harmless; see cleanenv.h */

#include <stdlib.h>
#include <string.h>

#include "cleanenv.h"

int cleanenv_add(stralloc *sa, char const *s, size_t len)
{
  if (!stralloc_readyplus(sa, len)) return 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    sa->s[sa->len++] = c < 32 || c == 127 ? '_' : s[i];
  }
  return 1;
}

int cleanenv_setb(char const *name, char const *s, size_t len, int line)
{
  stralloc sa = STRALLOC_ZERO;
  size_t body = line && len && s[len - 1] == '\n' ? len - 1 : len;
  int ok = cleanenv_add(&sa, s, body) && stralloc_catb(&sa, s + body, len - body) &&
           stralloc_append(&sa, 0);
  if (ok && !strncmp(sa.s, "()", 2)) sa.s[0] = '_';
  ok = ok && setenv(name, sa.s, 1) == 0;
  stralloc_free(&sa);
  return ok;
}

int cleanenv_set(char const *name, char const *value)
{
  return cleanenv_setb(name, value, strlen(value), 0);
}
