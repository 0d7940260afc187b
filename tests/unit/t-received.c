/* t-received.c - the Received line of queued */

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "received.h"

static void test_traces(void)
{
  static struct {
    char const *why;
    char const *s;
    size_t len;
    int ok;
  } const traces[] = {
#define TRACE(why, s, ok) { why, s, sizeof(s) - 1, ok }
    TRACE("one line", "from a (b [192.0.2.1]) by c with ESMTP", 1),
    TRACE("two lines", "from a (b)\n  by c with ESMTP", 1),
    TRACE("a tab", "from a\n\tby\tc", 1),
    TRACE("bytes over 127", "from b\303\274cher", 1),
    TRACE("nothing", "", 0),
    TRACE("a line end that nothing follows", "from a\n", 0),
    TRACE("a new header field", "from a\nX-Evil: 1", 0),
    TRACE("an empty line", "from a\n\nbody", 0),
    TRACE("a line of blanks", "from a\n \n b", 0),
    TRACE("blanks at the end", "from a\n  ", 0),
    TRACE("a NUL", "from a\0b", 0),
    TRACE("a CR", "from a\r\n b", 0),
    TRACE("ESC", "from \033[1m", 0),
    TRACE("DEL", "from \177", 0),
  };
  for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
    check(received_trace_ok(traces[i].s, traces[i].len) == traces[i].ok, traces[i].why);
}

static int is(char const *out, size_t len, char const *expected)
{
  return len == strlen(expected) && !memcmp(out, expected, len);
}

static void test_lines(void)
{
  char out[RECEIVED_MAX], text[QUEUEWIRE_TRACE_MAX], me[1000];
  size_t at;
  setenv("TZ", "UTC", 1);
  size_t n = received_trace(out, "from a\n  by b", 13, 1795300000000001, 1795300000, &at);
  check(is(out, n, "Received: from a\n  by b id 1795300000000001; "
                   "Sat, 21 Nov 2026 22:26:40 +0000\n"),
        "a trace that is believed");
  check(!memcmp(out + at, "1795300000000001;", 17), "the place of the id");
  n = received_uid(out, "mx.example", 1000, 7, 1795300000, &at);
  check(is(out, n, "Received: by mx.example (pipit, from uid 1000) id 7; "
                   "Sat, 21 Nov 2026 22:26:40 +0000\n"),
        "a message from a user");
  memset(text, 'x', sizeof text);
  n = received_trace(out, text, sizeof text, UINT64_MAX, 1795300000, &at);
  check(n < sizeof out && out[n - 1] == '\n', "the longest trace fits, whole");
  memset(me, 'x', sizeof me - 1);
  me[sizeof me - 1] = 0;
  n = received_uid(out, me, UINT32_MAX, UINT64_MAX, 1795300000, &at);
  check(n < 400 && out[n - 1] == '\n', "a host name that is too long is cut");
}

int main(void)
{
  test_traces();
  test_lines();
  return check_done();
}
