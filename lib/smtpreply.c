/* smtpreply.c - parse the replies of an SMTP server; see smtpreply.h */

#include <string.h>

#include "smtpreply.h"

void smtpreply_start(struct smtpreply *r)
{
  r->code = 0;
  r->lines = r->linelen = r->textlen = 0;
}

static int digit(char c, char max)
{
  return c >= '0' && c <= max;
}

/* The code at the start of a line, or 0 when there is none. */
static int scan_code(char const *s, size_t len)
{
  if (len < 3 || s[0] < '2' || s[0] > '5' || !digit(s[1], '5') || !digit(s[2], '9')) return 0;
  if (len > 3 && s[3] != ' ' && s[3] != '-') return 0;
  return (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
}

/* Keep a line for reports, with nothing in it that could harm a log or a mail. */
static void keep(struct smtpreply *r, char const *s, size_t len)
{
  size_t room = SMTPREPLY_TEXT_MAX - r->textlen;
  if (!room) return;
  if (len >= room) len = room - 1;
  for (size_t i = 0; i < len; i++) {
    char c = s[i] == '\t' ? ' ' : s[i];
    r->text[r->textlen++] = c < 32 || c > 126 ? '?' : c;
  }
  r->text[r->textlen++] = '\n';
}

/* Take the line in r->line, without its LF. */
static enum smtpreply_state take_line(struct smtpreply *r)
{
  size_t len = r->linelen;
  r->linelen = 0;
  if (len && r->line[len - 1] == '\r') len--;
  int code = scan_code(r->line, len);
  if (!code || (r->lines && code != r->code)) return SMTPREPLY_MALFORMED;
  r->code = code;
  if (++r->lines > SMTPREPLY_LINES_MAX) return SMTPREPLY_MALFORMED;
  keep(r, r->line, len);
  return len > 3 && r->line[3] == '-' ? SMTPREPLY_MORE : SMTPREPLY_COMPLETE;
}

enum smtpreply_state smtpreply_feed(struct smtpreply *r, char const *s, size_t len, size_t *used)
{
  enum smtpreply_state state = SMTPREPLY_MORE;
  *used = 0;
  while (state == SMTPREPLY_MORE && *used < len) {
    char const *start = s + *used;
    char const *lf = memchr(start, '\n', len - *used);
    size_t n = lf ? (size_t)(lf - start) : len - *used;
    /* The line's end needs room too: SMTPREPLY_LINE_MAX counts it. */
    if (n >= SMTPREPLY_LINE_MAX - r->linelen) return SMTPREPLY_MALFORMED;
    memcpy(r->line + r->linelen, start, n);
    r->linelen += n;
    *used += n + (lf != 0);
    if (lf) state = take_line(r);
  }
  return state;
}
