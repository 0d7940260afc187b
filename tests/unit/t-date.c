/* t-date.c - dates in mail */

#include <stdio.h>
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

/* What is made of a date; "" when it is not understood, "=" when it stays. */
static struct {
  char const *text, *expected;
} const mended[] = {
  { "Sat, 21 Nov 2026 23:17:06 +0000", "=" },
  { " Sat, 21 Nov 2026\n 23:17:06 -0330 (NST)\n", "=" },
  { "1 Nov 2026 23:17 +0100", "=" },
  { "sat, 01 AUG 2026 03:17:06 -0000", "=" },
  { "Sat, 31 Dec 2016 23:59:60 +0000", "=" },
  { "Sat, 21 Nov 26 23:17:06 GMT", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "21 Nov 96 23:17:06 est", "Thu, 21 Nov 1996 23:17:06 -0500" },
  { "21 Nov 126 23:17:06 Z", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "Fri, 21 Nov 2026 23:17:06 +0000", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "Sat 21 Nov 2026 23:17:06 +0000", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "Sat Nov 21 23:17:06 2026", "Sat, 21 Nov 2026 23:17:06 -0000" },
  { "Sat Nov 21 23:17:06 UTC 2026", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "Saturday, November 21, 2026 11:17:06 PM", "Sat, 21 Nov 2026 23:17:06 -0000" },
  { "Saturday, 21-Nov-26 12:17:06 am CEST", "Sat, 21 Nov 2026 00:17:06 -0000" },
  { "21-Nov-2026 9:17 +2", "Sat, 21 Nov 2026 09:17:00 +0200" },
  { "2026-11-21T23:17:06Z", "Sat, 21 Nov 2026 23:17:06 +0000" },
  { "2026-11-21 23:17:06.123456+01:00", "Sat, 21 Nov 2026 23:17:06 +0100" },
  { "Sat, 21 Nov 2026 23:17:06 GMT+0200", "Sat, 21 Nov 2026 23:17:06 +0200" },
  { "Sat, 21 Nov 2026 23:17:06 +0200 (CEST)", "=" },
  { "Sat, 21 Nov 2026 23:17:06", "Sat, 21 Nov 2026 23:17:06 -0000" },
  { "Thurs, 29 Feb 2024 1:02:03 +0000", "Thu, 29 Feb 2024 01:02:03 +0000" },
  { "", "" }, { "(x", "" }, { ")", "" }, { "yesterday", "" }, { "now (today)", "" },
  { "11/21/2026 23:17:06", "" }, { "21 Nov 2026", "" }, { "23:17:06", "" },
  { "29 Feb 2026 23:17:06 +0000", "" }, { "0 Nov 2026 23:17:06 +0000", "" },
  { "21 Nov 2026 24:17:06 +0000", "" }, { "21 Nov 2026 23:60:06 +0000", "" },
  { "21 Nov 2026 23:17:06 +0060", "" }, { "21 Nov 2026 23:17:06 +0000 +0100", "" },
  { "21 Nov 2026 23:17:06 13 am", "" }, { "21 21 Nov 2026 23:17:06 +0000", "" },
  { "21 Nov 20260 23:17:06 +0000", "" }, { "21 Nov 2026 23:17:06 \001", "" },
};

static void mending(void)
{
  for (size_t i = 0; i < sizeof mended / sizeof *mended; i++) {
    char out[DATE_MAX] = "", again[DATE_MAX];
    char const *text = mended[i].text;
    int r = date_mend(out, text, strlen(text));
    int ok = r == 2 ? !strcmp(out, mended[i].expected) && date_mend(again, out, strlen(out)) == 1
                    : !strcmp(r ? "=" : "", mended[i].expected);
    check(ok, *text ? text : "an empty date");
    if (!ok) printf("  got %d %s\n", r, out);
  }
}

int main(void)
{
  mending();
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
