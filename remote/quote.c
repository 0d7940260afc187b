/* quote.c - write addresses; see quote.h */

#include <string.h>

#include "address.h"
#include "quote.h"

static int is_control(char c)
{
  return (unsigned char)c < 32 || c == 127;
}

static int domain_is_safe(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] == ' ' || memchr("<>\"\\,;()", s[i], 8)) return 0;
  return 1;
}

/* RFC 5321's atext, or a dot. */
static int is_plain(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static int needs_quotes(char const *s, size_t len)
{
  if (s[0] == '.' || s[len - 1] == '.') return 1;
  for (size_t i = 0; i < len; i++)
    if (!is_plain(s[i]) || (s[i] == '.' && s[i - 1] == '.')) return 1;
  return 0;
}

static int put_quoted(stralloc *out, char const *s, size_t len)
{
  if (!stralloc_append(out, '"')) return 0;
  for (size_t i = 0; i < len; i++) {
    if ((s[i] == '"' || s[i] == '\\') && !stralloc_append(out, '\\')) return 0;
    if (!stralloc_append(out, s[i])) return 0;
  }
  return stralloc_append(out, '"');
}

int quote_address(stralloc *out, char const *s, size_t len)
{
  size_t at = address_at(s, len);
  if (!len) return 1;
  if (!at || at + 1 == len) return 0;
  for (size_t i = 0; i < len; i++)
    if (is_control(s[i])) return 0;
  if (!domain_is_safe(s + at, len - at)) return 0;
  int ok = needs_quotes(s, at) ? put_quoted(out, s, at) : stralloc_catb(out, s, at);
  return ok && stralloc_catb(out, s + at, len - at) ? 1 : -1;
}
