/* peerlimits.c - read a server's limits; see peerlimits.h */

#include <string.h>
#include <strings.h>

#include "peerlimits.h"

#define DIGITS_MAX 6

/* A whole number, s[0..len). 0: it is none. */
static unsigned int scan(char const *s, size_t len)
{
  unsigned int n = 0;
  if (len > DIGITS_MAX) return 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') return 0;
    n = n * 10 + (unsigned int)(s[i] - '0');
  }
  return n;
}

static void take(struct peerlimits *l, char const *s, size_t len)
{
  struct {
    char const *name;
    unsigned int *value;
  } const known[] = { { "MAILMAX=", &l->mailmax },
                      { "RCPTMAX=", &l->rcptmax },
                      { "RCPTDOMAINMAX=", &l->rcptdomainmax } };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    size_t n = strlen(known[i].name);
    if (len <= n || strncasecmp(s, known[i].name, n)) continue;
    unsigned int value = scan(s + n, len - n);
    if (value) *known[i].value = value;
  }
}

void peerlimits_read(struct peerlimits *l, char const *s, size_t len)
{
  while (len) {
    char const *space = memchr(s, ' ', len);
    size_t n = space ? (size_t)(space - s) : len;
    take(l, s, n);
    if (space) n++;
    s += n;
    len -= n;
  }
}
