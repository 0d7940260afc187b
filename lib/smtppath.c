/* smtppath.c - parse MAIL and RCPT arguments; see smtppath.h */

#include <string.h>
#include <strings.h>

#include "smtppath.h"
#include "word.h"

struct cursor { /* what is left to read */
  char const *s;
  size_t len;
  size_t pos;
};

static int is_control(char c)
{
  return (unsigned char)c < 32 || c == 127;
}

static void skip_spaces(struct cursor *c)
{
  while (c->pos < c->len && c->s[c->pos] == ' ') c->pos++;
}

/* "@one,@two:" before the address means nothing any more (RFC 5321, 4.1.1.3). */
static int skip_route(struct cursor *c)
{
  if (c->pos == c->len || c->s[c->pos] != '@') return 1;
  char const *end = memchr(c->s + c->pos, '>', c->len - c->pos);
  size_t n = end ? (size_t)(end - (c->s + c->pos)) : c->len - c->pos;
  char const *colon = memchr(c->s + c->pos, ':', n);
  if (!colon) return 0;
  c->pos = (size_t)(colon - c->s) + 1;
  return 1;
}

static enum smtppath_result append(struct smtppath *p, char ch)
{
  if (is_control(ch)) return SMTPPATH_UNSAFE;
  if (p->len == sizeof p->s) return SMTPPATH_LONG;
  p->s[p->len++] = ch;
  return SMTPPATH_OK;
}

/* Copy up to <end>, undoing quotes; the cursor stops at <end> or at the end of the text. */
static enum smtppath_result copy(struct smtppath *p, struct cursor *c, char end)
{
  int quoted = 0;
  for (; c->pos < c->len; c->pos++) {
    char ch = c->s[c->pos];
    if (!quoted && ch == end) return SMTPPATH_OK;
    if (ch == '"') {
      quoted = !quoted;
      continue;
    }
    if (ch == '\\') {
      if (++c->pos == c->len) return SMTPPATH_SYNTAX;
      ch = c->s[c->pos];
    } else if (!quoted && (ch == ' ' || ch == '<' || ch == '>')) {
      return SMTPPATH_SYNTAX;
    }
    enum smtppath_result r = append(p, ch);
    if (r != SMTPPATH_OK) return r;
  }
  return quoted ? SMTPPATH_SYNTAX : SMTPPATH_OK;
}

/* Neither part may be empty; a domain has no spaces and no quoting left in it. */
static int parts_hold(struct smtppath const *p)
{
  size_t at = address_at(p->s, p->len);
  if (at == p->len) return 1;
  if (!at || at + 1 == p->len) return 0;
  for (size_t i = at + 1; i < p->len; i++)
    if (strchr(" <>()\",;\\", p->s[i])) return 0;
  return 1;
}

enum smtppath_result smtppath_parse(struct smtppath *p, char const *keyword, char const *s,
                                    size_t len)
{
  struct cursor c = { .s = s, .len = len, .pos = strlen(keyword) };
  p->len = p->used = 0;
  if (len < c.pos || strncasecmp(s, keyword, c.pos)) return SMTPPATH_SYNTAX;
  skip_spaces(&c);
  if (c.pos == len) return SMTPPATH_SYNTAX;
  char end = s[c.pos] == '<' ? '>' : ' ';
  if (end == '>') c.pos++;
  if (!skip_route(&c)) return SMTPPATH_SYNTAX;
  enum smtppath_result r = copy(p, &c, end);
  if (r != SMTPPATH_OK) return r;
  if (end == '>' && c.pos++ == len) return SMTPPATH_SYNTAX;
  if (!parts_hold(p)) return SMTPPATH_SYNTAX;
  p->used = c.pos;
  return SMTPPATH_OK;
}

static int is_keyword_char(char c, int first)
{
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return 1;
  return c == '-' && !first;
}

int smtpparam_next(struct smtpparam *p, char const *s, size_t len, size_t *pos)
{
  size_t i = *pos;
  if (i < len && s[i] != ' ') return -1;
  while (i < len && s[i] == ' ') i++;
  if (i == len) return 0;
  size_t name = i;
  while (i < len && is_keyword_char(s[i], i == name)) i++;
  p->name = s + name;
  p->namelen = i - name;
  p->value = s + i;
  p->valuelen = 0;
  if (!p->namelen) return -1;
  if (i < len && s[i] == '=') {
    p->value = s + ++i;
    while (i < len && s[i] > 32 && s[i] < 127) i++;
    p->valuelen = (size_t)(s + i - p->value);
    if (!p->valuelen) return -1;
  }
  if (i < len && s[i] != ' ') return -1;
  *pos = i;
  return 1;
}

int smtpparam_is(struct smtpparam const *p, char const *name)
{
  return word_is(p->name, p->namelen, name);
}

int smtpparam_value_is(struct smtpparam const *p, char const *value)
{
  return word_is(p->value, p->valuelen, value);
}
