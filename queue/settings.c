/* settings.c - the control files of queued; see queued.h */

#include <errno.h>
#include <string.h>

#include <skalibs/uint64.h>

#include "control.h"
#include "queued.h"

#define CHILDREN_MAX 10000
#define NUMBER_MAX   ((uint64_t)1 << 60)

/* Read one or two numbers, the second being optional. 1, or 0 with errno. */
static int two_numbers(char const *name, uint64_t *first, uint64_t *second)
{
  stralloc sa = STRALLOC_ZERO;
  uint64_t a = *first, b = *second;
  int r = control_line(name, &sa);
  if (r == 1) {
    size_t n = uint64_scan(sa.s, &a);
    size_t at = n + strspn(sa.s + n, " \t");
    size_t m = uint64_scan(sa.s + at, &b);
    if (!n || at + m < sa.len || (at < sa.len && at == n) || a > NUMBER_MAX || b > NUMBER_MAX)
      r = control_bad(name, "not one or two whole numbers");
  }
  stralloc_free(&sa);
  if (r == 1) {
    *first = a;
    *second = b;
  }
  return r != -1;
}

static int one_number(char const *name, uint64_t *value, unsigned long max)
{
  unsigned long n = *value;
  if (control_number(name, &n, max) == -1) return 0;
  *value = n;
  return 1;
}

int settings_read(struct settings *s)
{
  struct settings new = { .me = STRALLOC_ZERO, .children = 500, .peruser = 50,
                          .reserve_bytes = 33554432, .reserve_inodes = 1000,
                          .pool_files = 1000, .pool_bytes = 67108864 };
  if (control_line_or_me("me", &new.me) == -1 ||
      !one_number("concurrencyqueue", &new.children, CHILDREN_MAX) ||
      !one_number("concurrencyqueueuser", &new.peruser, CHILDREN_MAX) ||
      !two_numbers("queuereserve", &new.reserve_bytes, &new.reserve_inodes) ||
      !two_numbers("queuepool", &new.pool_files, &new.pool_bytes)) {
    int e = errno;
    stralloc_free(&new.me);
    errno = e;
    return 0;
  }
  stralloc_free(&s->me);
  *s = new;
  return 1;
}
