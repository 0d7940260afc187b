/* loop.c - look for our own Delivered-To line in a header; see loop.h */

#include <ctype.h>
#include <string.h>

#include "address.h"
#include "loop.h"

/* At the start of a line, with the field so far in hand; after a CR there; in the blanks of a
 * folded line; in a line; behind the header. */
enum { START, CR, FOLD, FIELD, BODY };

void loop_init(struct loop *l, char const *address, size_t len)
{
  l->address = address;
  l->addresslen = len;
  l->state = START;
  l->found = 0;
  l->hops = 0;
  l->toolong = 0;
  l->len = 0;
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* Whatever the case. */
static int same(char const *a, char const *b, size_t len)
{
  while (len && tolower((unsigned char)*a) == tolower((unsigned char)*b)) a++, b++, len--;
  return !len;
}

/* Where the value of the field begins if this is its name, or else 0. */
static size_t value_of(struct loop const *l, char const *name, size_t len)
{
  if (l->len < len || !same(l->line, name, len)) return 0;
  while (len < l->len && is_blank(l->line[len])) len++;
  return len < l->len && l->line[len] == ':' ? len + 1 : 0;
}

static int is_ours(struct loop const *l)
{
  static char const name[] = "Delivered-To";
  size_t at = address_at(l->address, l->addresslen);
  size_t start = l->toolong ? 0 : value_of(l, name, sizeof name - 1);
  if (!start) return 0;
  char const *s = l->line + start;
  size_t len = l->len - start;
  while (len && is_blank(*s)) s++, len--;
  while (len && is_blank(s[len - 1])) len--;
  return len == l->addresslen && !memcmp(s, l->address, at) &&
         same(s + at, l->address + at, len - at);
}

/* The field in hand is complete. */
static void end_field(struct loop *l)
{
  static char const received[] = "Received";
  if (is_ours(l)) l->found = 1;
  if (value_of(l, received, sizeof received - 1) && ++l->hops == LOOP_HOPS) l->found = 1;
  l->len = 0;
  l->toolong = 0;
}

static void put(struct loop *l, char const *s, size_t n)
{
  size_t room = sizeof l->line - l->len;
  if (n > room) {
    n = room;
    l->toolong = 1;
  }
  memcpy(l->line + l->len, s, n);
  l->len += n;
}

/* Look at the first byte of a line, after a CR where there was one, or of what follows the blanks
 * of a folded one: 1 when that was all about it, 0 when it stands in the line. */
static int begin_line(struct loop *l, char c)
{
  int folds = l->state == FOLD || (l->state == START && l->len);
  if (folds && is_blank(c) && (c != '\r' || l->state == FOLD)) return (l->state = FOLD, 1);
  if (c == '\n' && l->state == FOLD) return (l->state = START, 1);
  if (c == '\r' && l->state == START) return (l->state = CR, 1);
  if (l->state != FOLD) end_field(l);
  if (l->state == CR && c != '\n') put(l, "\r", 1);
  l->state = c == '\n' ? BODY : FIELD;
  return c == '\n';
}

/* The bytes of a line: how many of s[0..len) are done. Blanks at its end go, as those do at the
 * start of the next one if it is folded. */
static size_t in_line(struct loop *l, char const *s, size_t len)
{
  char const *newline = memchr(s, '\n', len);
  put(l, s, newline ? (size_t)(newline - s) : len);
  if (!newline) return len;
  while (l->len > 1 && is_blank(l->line[l->len - 1])) l->len--;
  l->state = START;
  return (size_t)(newline - s) + 1;
}

int loop_look(struct loop *l, char const *s, size_t len)
{
  while (len && l->state != BODY && !l->found) {
    size_t n = l->state == FIELD ? in_line(l, s, len) : (size_t)begin_line(l, *s);
    s += n;
    len -= n;
  }
  return !l->found;
}

int loop_end(struct loop *l)
{
  if (l->state != BODY) end_field(l);
  return !l->found;
}
