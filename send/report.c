/* report.c - find codes, servers and their words in the report of a delivery; see bounce.h */

#include <arpa/inet.h>
#include <string.h>

#include "bounce.h"
#include "state.h"

#define IS   "\nRemote host is "
#define SAID "Remote host said: "

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* The length of ".<1 to 3 digits>" at the start of s[0..len), or 0. */
static size_t dotted(char const *s, size_t len)
{
  size_t n = 1;
  if (len < 2 || s[0] != '.') return 0;
  while (n < len && n < 4 && is_digit(s[n])) n++;
  return n > 1 ? n : 0;
}

static size_t code_at(char const *s, size_t len)
{
  if (len < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5')) return 0;
  size_t a = dotted(s + 1, len - 1);
  size_t b = a ? dotted(s + 1 + a, len - 1 - a) : 0;
  size_t n = 1 + a + b;
  return b && (n == len || (s[n] != '.' && !is_digit(s[n]))) ? n : 0;
}

size_t bounce_status(char const *text, size_t len, size_t *at)
{
  for (size_t i = 0; i < len; i++) {
    if (i && text[i - 1] != ' ' && text[i - 1] != '#' && text[i - 1] != '-' && text[i - 1] != '\n')
      continue;
    size_t n = code_at(text + i, len - i);
    if (n) return (*at = i, n);
  }
  return 0;
}

static int is_address(char const *s, size_t len)
{
  char text[INET6_ADDRSTRLEN];
  char addr[sizeof(struct in6_addr)];
  if (!len || len >= sizeof text) return 0;
  memcpy(text, s, len);
  text[len] = 0;
  return inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1;
}

/* The first word of the first line that is an address, perhaps in brackets. */
size_t bounce_remote(char const *text, size_t len, size_t *at)
{
  char const *nl = len ? memchr(text, '\n', len) : 0;
  if (nl) len = (size_t)(nl - text);
  for (size_t i = 0; i < len;) {
    char const *space = memchr(text + i, ' ', len - i);
    size_t n = space ? (size_t)(space - text) - i : len - i;
    size_t skip = n && (text[i] == '[' || text[i] == '(');
    size_t end = n;
    while (end > skip && strchr("])}.,:;", text[i + end - 1])) end--;
    if (is_address(text + i + skip, end - skip)) return (*at = i + skip, end - skip);
    i += n + 1;
  }
  return 0;
}

size_t bounce_until(char const *text, size_t len, size_t *at)
{
  size_t const n = sizeof BOUNCE_UNTIL - 1;
  if (!len || text[len - 1] != '\n') return 0;
  char const *nl = memrchr(text, '\n', len - 1);
  size_t start = nl ? (size_t)(nl - text) + 1 : 0;
  if (len - 1 - start <= n || memcmp(text + start, BOUNCE_UNTIL, n)) return 0;
  *at = start + n;
  return len - 1 - *at;
}

size_t bounce_said(char const *text, size_t len, size_t *at)
{
  char const *p = len ? memmem(text, len, SAID, sizeof SAID - 1) : 0;
  if (!p) return 0;
  *at = (size_t)(p - text) + sizeof SAID - 1;
  return len - *at;
}

size_t bounce_host(char const *text, size_t len, size_t *at)
{
  size_t said;
  if (!bounce_said(text, len, &said)) return 0;
  len = said - (sizeof SAID - 1);
  char const *p = memmem(text, len, IS, sizeof IS - 1);
  if (!p || len < 2 || memcmp(text + len - 2, ".\n", 2)) return 0;
  *at = (size_t)(p - text) + sizeof IS - 1;
  return len - 2 > *at ? len - 2 - *at : 0;
}

static void set_status(char out[BOUNCE_STATUS_MAX], char const *s, size_t len)
{
  if (len > BOUNCE_STATUS_MAX - 1) len = BOUNCE_STATUS_MAX - 1;
  memcpy(out, s, len);
  out[len] = 0;
}

void bounce_judge(char out[BOUNCE_STATUS_MAX], char action, char const *text, size_t len)
{
  size_t const tail = sizeof BOUNCE_TOO_LONG - 1;
  char code[] = "2.0.0";
  size_t at;
  if (action == STATE_ACT_FAILED) code[0] = '5';
  if (action == STATE_ACT_DELAYED) code[0] = '4';
  if (len >= tail && !memcmp(text + len - tail, BOUNCE_TOO_LONG, tail)) {
    set_status(out, "4.4.7", 5);
    return;
  }
  size_t n = bounce_said(text, len, &at);
  if (n) { /* the server's class, whatever code follows */
    text += at;
    len = n;
    if (*text == '2' || *text == '4' || *text == '5') code[0] = *text;
  } else if (code[0] == '2') {
    len = 0; /* a program may have said anything */
  }
  n = bounce_status(text, len, &at);
  if (n && text[at] == code[0]) set_status(out, text + at, n);
  else set_status(out, code, sizeof code - 1);
}

/* Read the number at s[*pos..len), and step over <end> behind it. 1 when it is over <least>. */
static int is_over(char const *s, size_t len, size_t *pos, unsigned int least, char end)
{
  unsigned int n = 0;
  for (; *pos < len && is_digit(s[*pos]); ++*pos)
    if (n <= least) n = n * 10 + (unsigned int)(s[*pos] - '0');
  if (*pos < len && s[*pos] == end) ++*pos;
  return n > least;
}

/* pipit-local says "did <files>+<forwards>+<programs>" first. */
char bounce_local_action(char const *text, size_t len)
{
  static char const did[] = "did ";
  size_t pos = sizeof did - 1;
  if (len < pos || memcmp(text, did, pos)) return STATE_ACT_DELIVERED;
  int files = is_over(text, len, &pos, 0, '+');
  size_t at = pos;
  int several = is_over(text, len, &pos, 1, '+');
  int forwards = is_over(text, len, &at, 0, '+');
  int programs = is_over(text, len, &pos, 0, '\n');
  if (files || programs || !forwards) return STATE_ACT_DELIVERED;
  return several ? STATE_ACT_EXPANDED : STATE_ACT_RELAYED;
}
