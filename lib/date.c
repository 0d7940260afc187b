/* date.c - dates as mail writes them; see date.h. Not strftime: its day and
 * month names follow the locale. */

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "date.h"

size_t date_rfc5322(char out[DATE_MAX], time_t when)
{
  static char const days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
  static char const months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
  static struct tm const epoch = { .tm_year = 70, .tm_mday = 1, .tm_wday = 4 };
  struct tm tm;
  if (!localtime_r(&when, &tm) && !gmtime_r(&when, &tm)) tm = epoch;
  long off = tm.tm_gmtoff / 60;
  char sign = off < 0 ? '-' : '+';
  if (off < 0) off = -off;
  int n = snprintf(out, DATE_MAX, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec, sign, off / 60 % 100, off % 60);
  return n < 0 || n >= DATE_MAX ? 0 : (size_t)n;
}

size_t date_id(char out[DATE_ID_MAX], struct timespec const *now)
{
  struct tm tm = { 0 };
  gmtime_r(&now->tv_sec, &tm);
  int n = snprintf(out, DATE_ID_MAX, "%d%02d%02d%02d%02d%02d.%ld.%06ld.pipit", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid(),
                   now->tv_nsec / 1000);
  return n < 0 || n >= DATE_ID_MAX ? 0 : (size_t)n;
}
