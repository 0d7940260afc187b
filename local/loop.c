/* loop.c - look for our own Delivered-To line in a header; see loop.h */

#include <string.h>
#include <strings.h>

#include "address.h"
#include "loop.h"

enum { HEADER, LONGLINE, BODY };

void loop_init(struct loop *l, char const *address, size_t len)
{
  l->address = address;
  l->addresslen = len;
  l->state = HEADER;
  l->found = 0;
  l->hops = 0;
  l->len = 0;
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static int is_ours(struct loop const *l)
{
  static char const name[] = "Delivered-To:";
  size_t at = address_at(l->address, l->addresslen);
  char const *s = l->line;
  size_t len = l->len;
  if (len < sizeof name - 1 || strncasecmp(s, name, sizeof name - 1)) return 0;
  s += sizeof name - 1;
  len -= sizeof name - 1;
  while (len && is_blank(*s)) s++, len--;
  while (len && is_blank(s[len - 1])) len--;
  return len == l->addresslen && !memcmp(s, l->address, at) &&
         !strncasecmp(s + at, l->address + at, len - at);
}

static int is_hop(struct loop const *l)
{
  static char const name[] = "Received:";
  return l->len >= sizeof name - 1 && !strncasecmp(l->line, name, sizeof name - 1);
}

/* A line has ended, or the message in one. */
static void end_line(struct loop *l)
{
  if (l->state == HEADER) {
    if (!l->len || (l->len == 1 && l->line[0] == '\r'))
      l->state = BODY;
    else if (is_ours(l) || (is_hop(l) && ++l->hops == LOOP_HOPS))
      l->found = 1;
  } else if (l->state == LONGLINE) {
    l->state = HEADER;
  }
  l->len = 0;
}

int loop_look(struct loop *l, char const *s, size_t len)
{
  while (len && l->state != BODY && !l->found) {
    char const *newline = memchr(s, '\n', len);
    size_t n = newline ? (size_t)(newline - s) : len;
    if (n > sizeof l->line - l->len) l->state = LONGLINE;
    if (l->state == HEADER) {
      memcpy(l->line + l->len, s, n);
      l->len += n;
    }
    if (newline) {
      end_line(l);
      n++;
    }
    s += n;
    len -= n;
  }
  return !l->found;
}

int loop_end(struct loop *l)
{
  if (l->state == HEADER && l->len && is_ours(l)) l->found = 1;
  return !l->found;
}
