/* t-date.c - dates in mail */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "date.h"

static int is(time_t when, char const *expected)
{
  char out[DATE_MAX];
  size_t n = date_rfc5322(out, when);
  return n == strlen(expected) && !strcmp(out, expected);
}

static void zone(char const *tz)
{
  setenv("TZ", tz, 1);
  tzset();
}

int main(void)
{
  zone("UTC0");
  check(is(0, "Thu, 1 Jan 1970 00:00:00 +0000"), "the epoch");
  check(is(1795303026, "Sat, 21 Nov 2026 23:17:06 +0000"), "a date of today");
  check(is(4102444800, "Fri, 1 Jan 2100 00:00:00 +0000"), "beyond 2038");
  zone("XXX-5:30");
  check(is(0, "Thu, 1 Jan 1970 05:30:00 +0530"), "a zone east of Greenwich, with minutes");
  zone("XXX8");
  check(is(0, "Wed, 31 Dec 1969 16:00:00 -0800"), "a zone west of Greenwich");
  zone("UTC0");
  char out[DATE_MAX];
  check(date_rfc5322(out, (time_t)1 << 62) > 0, "a senseless time still gives a date");
  return check_done();
}
