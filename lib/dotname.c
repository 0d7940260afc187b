/* dotname.c - the names of the dot-qmail files that an extension may have; see dotname.h */

#include <errno.h>
#include <string.h>

#include "dotname.h"

/* ext[0..len) as file names have it. */
static int add_safe(stralloc *sa, char const *ext, size_t len)
{
  if (!stralloc_readyplus(sa, len)) return 0;
  for (size_t i = 0; i < len; i++) {
    char c = ext[i];
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
    sa->s[sa->len++] = c == '.' ? ':' : c;
  }
  return 1;
}

int dotname_make(stralloc *name, char const *dash, char const *ext, size_t len, char const *suffix)
{
  return stralloc_copyb(name, ".qmail", 6) && stralloc_catb(name, dash, strlen(dash)) &&
         add_safe(name, ext, len) && stralloc_catb(name, suffix, strlen(suffix) + 1);
}

int dotname_shorter(char const *ext, size_t *len)
{
  for (size_t i = *len; i--;) {
    if (i && ext[i - 1] != '-') continue;
    *len = i;
    return 1;
  }
  return 0;
}

int dotname_is_absent(int e)
{
  return e == ENOENT || e == ENOTDIR || e == ENAMETOOLONG;
}
