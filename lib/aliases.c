/* aliases.c - what a forwarding database says of an address; see aliases.h */

#include <errno.h>
#include <string.h>

#include <skalibs/bytestr.h>

#include "address.h"
#include "aliases.h"

static int find(struct cdbmap *db, enum aliases_kind kind, char const *target, size_t len,
                stralloc *value)
{
  stralloc key = STRALLOC_ZERO;
  char first = (char)kind;
  int r = -1;
  if (stralloc_catb(&key, &first, 1) && stralloc_catb(&key, target, len)) {
    case_lowerb(key.s, key.len);
    r = cdbmap_get(db, key.s, key.len, value);
  }
  stralloc_free(&key);
  return r;
}

int aliases_find(struct cdbmap *db, enum aliases_kind kind, char const *addr, size_t len, int wild,
                 stralloc *value)
{
  size_t at = address_at(addr, len);
  int r = find(db, kind, addr, len, value);
  if (r || !wild || at == len) return r;
  r = find(db, kind, addr + at, len - at, value);
  return r ? r : find(db, kind, addr, at + 1, value);
}

int aliases_exists(struct cdbmap *db, char const *addr, size_t len)
{
  stralloc value = STRALLOC_ZERO;
  int r = aliases_find(db, ALIASES_INSTRUCTIONS, addr, len, 1, &value);
  stralloc_free(&value);
  return r;
}

int aliases_next(char const *s, size_t len, size_t *pos, char const **instruction)
{
  if (*pos == len) return 0;
  char const *end = memchr(s + *pos, 0, len - *pos);
  if (!end || !s[*pos] || !strchr("&|!./", s[*pos])) return (errno = EPROTO, -1);
  *instruction = s + *pos;
  *pos = (size_t)(end - s) + 1;
  return 1;
}
