/* lax.c - lax receivers; see lax.h */

#include <string.h>

#include "lax.h"

#define ROOM 200000
#define END  '\1' /* a line end, while lines are looked for */

static size_t drop(char *s, size_t len, char c)
{
  size_t n = 0;
  for (size_t i = 0; i < len; i++)
    if (s[i] != c) s[n++] = s[i];
  return n;
}

static size_t mark_pairs(char *s, size_t len)
{
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    int pair = s[i] == '\r' && i + 1 < len && s[i + 1] == '\n';
    s[n++] = pair ? END : s[i];
    i += (size_t)pair;
  }
  return n;
}

static void mark(char *s, size_t len, char c)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] == c) s[i] = END;
}

static size_t cut_at_nul(char *s, size_t len)
{
  size_t n = 0;
  int hidden = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == END) hidden = 0;
    else if (!s[i]) hidden = 1;
    if (!hidden) s[n++] = s[i];
  }
  return n;
}

/* Where the first line of one dot ends, or 0. */
static size_t first_end(char const *s, size_t len)
{
  for (size_t i = 0; i + 1 < len; i++)
    if (s[i] == '.' && s[i + 1] == END && (!i || s[i - 1] == END)) return i + 2;
  return 0;
}

int lax_ends_at_end(char const *s, size_t len, unsigned int flags)
{
  static char seen[ROOM];
  if (len > ROOM) return 0;
  memcpy(seen, s, len);
  if (flags & LAX_NUL_GONE) len = drop(seen, len, '\0');
  if (flags & LAX_CR_GONE) len = drop(seen, len, '\r');
  if (flags & LAX_LF_GONE) len = drop(seen, len, '\n');
  len = mark_pairs(seen, len);
  if (flags & (LAX_LF_ENDS | LAX_CR_GONE)) mark(seen, len, '\n');
  if (flags & (LAX_CR_ENDS | LAX_LF_GONE)) mark(seen, len, '\r');
  if (flags & LAX_NUL_CUTS) len = cut_at_nul(seen, len);
  return first_end(seen, len) == len;
}

int lax_deceived(char const *s, size_t len)
{
  for (unsigned int flags = 0; flags < LAX_ALL; flags++) {
    /* Nothing would be left to end a line with. */
    if (flags & LAX_CR_GONE && flags & LAX_LF_GONE) continue;
    if (!lax_ends_at_end(s, len, flags)) return (int)flags;
  }
  return -1;
}
