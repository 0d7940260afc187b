/* quota.c - quotas as text; see quota.h */

#include <stdio.h>
#include <string.h>

#include "quota.h"

/* The number at the start of s[0..len) and how long it is; 0 when there is none, or a larger one.
 */
static size_t read_number(char const *s, size_t len, uint64_t *n)
{
  size_t i = 0;
  for (*n = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
    uint64_t digit = (uint64_t)(s[i] - '0');
    if (*n > (QUOTA_NUMBER_MAX - digit) / 10) return 0;
    *n = *n * 10 + digit;
  }
  return i;
}

/* One of the limits, without its comma. */
static int read_limit(struct quota *q, char const *s, size_t len)
{
  uint64_t n;
  size_t digits = read_number(s, len, &n);
  if (!digits || len - digits > 1) return 0;
  char kind = len > digits ? s[digits] : 'S';
  if (kind == 'S')
    q->size = n;
  else if (kind == 'C')
    q->count = n;
  else
    return 0;
  return 1;
}

int quota_read(struct quota *q, char const *s, size_t len)
{
  struct quota new = {.given = 1};
  for (;;) {
    char const *comma = memchr(s, ',', len);
    size_t n = comma ? (size_t)(comma - s) : len;
    if (!read_limit(&new, s, n)) return 0;
    if (!comma) break;
    s += n + 1;
    len -= n + 1;
  }
  *q = new;
  return 1;
}

size_t quota_write(struct quota const *q, char out[QUOTA_FMT])
{
  int n = 0;
  if (q->size || !q->count) n = snprintf(out, QUOTA_FMT, "%lluS", (unsigned long long)q->size);
  if (q->count)
    n += snprintf(out + n, QUOTA_FMT - (size_t)n, "%s%lluC", n ? "," : "",
                  (unsigned long long)q->count);
  return (size_t)n;
}

int quota_exceeded(struct quota const *q, uint64_t size, uint64_t count)
{
  return (q->size && size > q->size) || (q->count && count > q->count);
}
