/* date.c - dates as mail writes them; see date.h. Not strftime: its day and
 * month names follow the locale. */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "date.h"
#include "word.h"

static char const days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static char const months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

static size_t put(char out[DATE_MAX], struct tm const *tm, char const *zone)
{
  int n = snprintf(out, DATE_MAX, "%s, %d %s %d %02d:%02d:%02d %s", days[tm->tm_wday], tm->tm_mday,
                   months[tm->tm_mon], tm->tm_year + 1900, tm->tm_hour, tm->tm_min, tm->tm_sec, zone);
  return n < 0 || n >= DATE_MAX ? 0 : (size_t)n;
}

static struct tm const epoch = { .tm_year = 70, .tm_mday = 1, .tm_wday = 4 };

size_t date_rfc5322(char out[DATE_MAX], time_t when)
{
  struct tm tm;
  char zone[16];
  if (!localtime_r(&when, &tm) && !gmtime_r(&when, &tm)) tm = epoch;
  long off = tm.tm_gmtoff / 60;
  char sign = off < 0 ? '-' : '+';
  if (off < 0) off = -off;
  snprintf(zone, sizeof zone, "%c%02ld%02ld", sign, off / 60 % 100, off % 60);
  return put(out, &tm, zone);
}

size_t date_utc(char out[DATE_MAX], time_t when)
{
  struct tm tm;
  if (!gmtime_r(&when, &tm)) tm = epoch;
  return put(out, &tm, "-0000");
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

/* --- dates as people write them --- */

#define TEXT_MAX 256 /* bytes of a date that are read */

struct reading {
  char const *s;
  size_t len, pos;
  struct tm tm;
  char zone[8];
  int has_day, has_month, has_year, has_time, has_zone, has_weekday;
};

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
  return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static char peek(struct reading const *r)
{
  return r->pos < r->len ? r->s[r->pos] : 0;
}

/* At most 4 digits; how many, 0 when there is none or one too many. */
static size_t number(struct reading *r, int *n)
{
  size_t from = r->pos;
  for (*n = 0; is_digit(peek(r)); r->pos++) {
    if (r->pos - from == 4) return 0;
    *n = *n * 10 + peek(r) - '0';
  }
  return r->pos - from;
}

/* Which of the names does the word s[0..len) begin, or is the beginning of? -1: none. */
static int name(char const *s, size_t len, char const *const *full, int count)
{
  for (int i = 0; i < count; i++)
    if (len >= 3 && len <= strlen(full[i]) && !strncasecmp(s, full[i], len)) return i;
  return -1;
}

static int set_zone(struct reading *r, char const *zone)
{
  if (r->has_zone) return 0;
  snprintf(r->zone, sizeof r->zone, "%s", zone);
  return r->has_zone = 1;
}

/* Names of zones (RFC 5322, 4.3); of any other one nothing is known but that it is there. */
static int zone_name(struct reading *r, char const *s, size_t len)
{
  static struct {
    char const *name, *zone;
  } const zones[] = {
    { "UT", "+0000" },  { "GMT", "+0000" }, { "UTC", "+0000" }, { "Z", "+0000" },
    { "EST", "-0500" }, { "EDT", "-0400" }, { "CST", "-0600" }, { "CDT", "-0500" },
    { "MST", "-0700" }, { "MDT", "-0600" }, { "PST", "-0800" }, { "PDT", "-0700" },
  };
  if (!r->has_time || len > 5) return 0;
  /* GMT+0200: what follows is the zone. */
  if ((peek(r) == '+' || peek(r) == '-') && r->pos + 1 < r->len && is_digit(r->s[r->pos + 1]))
    return 1;
  for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
    if (word_is(s, len, zones[i].name)) return set_zone(r, zones[i].zone);
  return set_zone(r, "-0000");
}

static int half_of_day(struct reading *r, int afternoon)
{
  if (!r->has_time || r->tm.tm_hour < 1 || r->tm.tm_hour > 12) return 0;
  r->tm.tm_hour = r->tm.tm_hour % 12 + 12 * afternoon;
  return 1;
}

static int take_word(struct reading *r)
{
  static char const *const week[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday" };
  static char const *const year[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };
  char const *s = r->s + r->pos;
  size_t from = r->pos;
  while (is_letter(peek(r))) r->pos++;
  size_t len = r->pos - from;
  if (peek(r) == '.') r->pos++;
  int n = name(s, len, year, 12);
  if (n != -1 && !r->has_month) {
    r->tm.tm_mon = n;
    return r->has_month = 1;
  }
  if (name(s, len, week, 7) != -1 && !r->has_weekday) return r->has_weekday = 1;
  if (word_is(s, len, "am") || word_is(s, len, "pm")) return half_of_day(r, (*s | 32) == 'p');
  if (word_is(s, len, "t") && is_digit(peek(r)) && r->has_day && !r->has_time) return 1;
  return zone_name(r, s, len);
}

/* What follows the hour, with parts of a second left out. */
static int take_time(struct reading *r, int hour)
{
  if (r->has_time) return 0;
  r->tm.tm_hour = hour;
  r->pos++;
  if (number(r, &r->tm.tm_min) != 2) return 0;
  if (peek(r) == ':') {
    r->pos++;
    if (number(r, &r->tm.tm_sec) != 2) return 0;
    if (peek(r) == '.' || peek(r) == ',')
      for (r->pos++; is_digit(peek(r));) r->pos++;
  }
  return r->has_time = r->tm.tm_hour < 24 && r->tm.tm_min < 60 && r->tm.tm_sec <= 60;
}

static int take_year(struct reading *r, int year, size_t digits)
{
  if (r->has_year || digits < 2) return 0;
  if (digits == 2 && year < 50) year += 100;
  r->tm.tm_year = digits == 4 ? year - 1900 : year;
  return r->has_year = r->tm.tm_year >= 0;
}

/* 2026-11-21, after its year. */
static int take_iso(struct reading *r, int year)
{
  int month;
  r->pos++;
  if (r->has_month || r->has_day || number(r, &month) != 2 || !month || month > 12 ||
      peek(r) != '-')
    return 0;
  r->pos++;
  r->tm.tm_mon = month - 1;
  return r->has_month = r->has_day = number(r, &r->tm.tm_mday) == 2 && take_year(r, year, 4);
}

static int take_number(struct reading *r)
{
  int n;
  size_t digits = number(r, &n);
  if (!digits) return 0;
  if (peek(r) == ':' && digits <= 2) return take_time(r, n);
  if (peek(r) == '-' && digits == 4 && r->pos + 1 < r->len && is_digit(r->s[r->pos + 1]))
    return take_iso(r, n);
  if (r->has_day || digits > 2) return take_year(r, n, digits);
  r->tm.tm_mday = n;
  return r->has_day = 1;
}

/* +0100, +01:00, +1, +100 */
static int take_offset(struct reading *r)
{
  char text[32], sign = peek(r);
  int hours, minutes = 0;
  r->pos++;
  size_t digits = number(r, &hours);
  if (digits > 2) {
    minutes = hours % 100;
    hours /= 100;
  } else if (digits && peek(r) == ':') {
    r->pos++;
    if (number(r, &minutes) != 2) return 0;
  }
  snprintf(text, sizeof text, "%c%02d%02d", sign, hours, minutes);
  return digits && minutes < 60 && set_zone(r, text);
}

/* Copy the text with one blank for many and without comments; its length, 0 when it has too much. */
static size_t clean(char out[TEXT_MAX], char const *s, size_t len)
{
  size_t n = 0, depth = 0;
  for (size_t i = 0; i < len; i++) {
    int blank = s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r';
    if (s[i] == '(') depth++;
    if (s[i] == ')' && !depth--) return 0;
    if (depth && s[i] == '\\') i++;
    if (depth || s[i] == ')' || blank) {
      if (n && out[n - 1] != ' ') out[n++] = ' ';
    } else {
      out[n++] = s[i];
    }
    if (n == TEXT_MAX) return 0;
  }
  while (n && out[n - 1] == ' ') n--;
  return depth ? 0 : n;
}

static int read_all(struct reading *r)
{
  while (r->pos < r->len) {
    char c = peek(r);
    int ok = 1;
    if (is_letter(c)) ok = take_word(r);
    else if (is_digit(c)) ok = take_number(r);
    else if ((c == '+' || c == '-') && r->has_time) ok = take_offset(r);
    else if (c == ' ' || c == ',' || c == '-') r->pos++;
    else return 0;
    if (!ok) return 0;
  }
  return r->has_day && r->has_month && r->has_year && r->has_time;
}

static int set_weekday(struct tm *tm)
{
  struct tm copy = *tm;
  copy.tm_isdst = 0;
  copy.tm_sec = 0; /* a second 60 would go into the next minute */
  time_t when = timegm(&copy);
  tm->tm_wday = copy.tm_wday;
  return when != (time_t)-1 && copy.tm_mday == tm->tm_mday && copy.tm_mon == tm->tm_mon &&
         tm->tm_mday > 0;
}

/* Is the text the date <tm> as the grammar of 3.3 has it? The name of the day, seconds and a zero
 * before the day are left to whoever writes it. */
static int is_standard(char const *s, size_t len, struct tm const *tm, char const *zone)
{
  char text[2 * DATE_MAX];
  for (int form = 0; form < 8; form++) {
    char wday[8] = "", day[16], sec[16] = "";
    if (form & 1) snprintf(wday, sizeof wday, "%s, ", days[tm->tm_wday]);
    snprintf(day, sizeof day, form & 2 ? "%02d" : "%d", tm->tm_mday);
    if (form & 4) snprintf(sec, sizeof sec, ":%02d", tm->tm_sec);
    snprintf(text, sizeof text, "%s%s %s %d %02d:%02d%s %s", wday, day, months[tm->tm_mon],
             tm->tm_year + 1900, tm->tm_hour, tm->tm_min, sec, zone);
    if (word_is(s, len, text)) return 1;
  }
  return 0;
}

int date_mend(char out[DATE_MAX], char const *s, size_t len)
{
  char text[TEXT_MAX];
  struct reading r = { .s = text, .len = clean(text, s, len) };
  if (!r.len || !read_all(&r) || !set_weekday(&r.tm)) return 0;
  if (!r.has_zone) set_zone(&r, "-0000");
  if (is_standard(text, r.len, &r.tm, r.zone)) return 1;
  return put(out, &r.tm, r.zone) ? 2 : 0;
}
