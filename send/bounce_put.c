/* bounce_put.c - what a report's fields are written with; see bounce.h */

#include <string.h>

#include "address.h"
#include "bounce.h"
#include "date.h"

int bounce_put(stralloc *out, char const *s, size_t len)
{
  while (len && s[len - 1] == '\n') len--;
  if (len > BOUNCE_FIELD_MAX) len = BOUNCE_FIELD_MAX;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '\n' || c == '\t') c = ' ';
    if (!stralloc_append(out, c < 32 || c > 126 ? '?' : (char)c)) return 0;
  }
  return 1;
}

static int needs_quotes(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
          (s[i] >= '0' && s[i] <= '9') || (s[i] && strchr("!#$%&'*+-/=?^_`{|}~.", s[i]))))
      return 1;
  return !len;
}

int bounce_put_address(stralloc *out, char const *addr)
{
  size_t len = strlen(addr);
  size_t at = address_at(addr, len);
  size_t start = out->len;
  if (!len || !needs_quotes(addr, at)) return bounce_put(out, addr, len);
  if (!stralloc_append(out, '"')) return 0;
  for (size_t i = 0; i < at; i++) {
    if ((addr[i] == '"' || addr[i] == '\\') && !stralloc_append(out, '\\')) return 0;
    if (!bounce_put(out, addr[i] == '\n' ? "?" : addr + i, 1)) return 0;
  }
  if (!stralloc_append(out, '"') || !bounce_put(out, addr + at, len - at)) return 0;
  if (out->len - start > BOUNCE_FIELD_MAX) out->len = start + BOUNCE_FIELD_MAX;
  return 1;
}

int bounce_put_date(stralloc *out, int64_t when)
{
  char date[DATE_MAX];
  return stralloc_catb(out, date, date_rfc5322(date, (time_t)when)) && stralloc_append(out, '\n');
}
