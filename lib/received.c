/* received.c - the Received line of queued; see received.h */

#include <stdio.h>
#include <string.h>

#include "date.h"
#include "received.h"

static int is_blank(char c)
{
  return c == ' ' || c == '\t';
}

int received_trace_ok(char const *s, size_t len)
{
  int visible = 0; /* in this line */
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '\n') {
      if (!visible || i + 1 == len || !is_blank(s[i + 1])) return 0;
      visible = 0;
    } else if (!is_blank(s[i])) {
      if ((unsigned char)s[i] < 32 || s[i] == 127) return 0;
      visible = 1;
    }
  }
  return visible;
}

/* Append "; <date>\n" and the like behind what is there. */
static size_t finish(char out[RECEIVED_MAX], size_t n, uint64_t id, time_t when, size_t *idat)
{
  char date[DATE_MAX];
  size_t datelen = date_rfc5322(date, when);
  memcpy(out + n, " id ", 4);
  *idat = n + 4;
  n += 4;
  n += (size_t)snprintf(out + n, RECEIVED_MAX - n, "%llu; %.*s\n", (unsigned long long)id,
                        (int)datelen, date);
  return n;
}

size_t received_trace(char out[RECEIVED_MAX], char const *trace, size_t len, uint64_t id,
                      time_t when, size_t *idat)
{
  size_t n = sizeof "Received: " - 1;
  memcpy(out, "Received: ", n);
  memcpy(out + n, trace, len);
  return finish(out, n + len, id, when, idat);
}

size_t received_uid(char out[RECEIVED_MAX], char const *me, uint32_t uid, uint64_t id, time_t when,
                    size_t *idat)
{
  int n = snprintf(out, RECEIVED_MAX, "Received: by %.*s (pipit, from uid %u)", RECEIVED_ME_MAX, me,
                   uid);
  return finish(out, (size_t)n, id, when, idat);
}
