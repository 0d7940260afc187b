/* header.c - collect a header and walk its fields; see header.h */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <skalibs/stralloc.h>

#include "header.h"

/* Where in a line the next byte stands. */
enum { START, NAME, BLANKS, VALUE };

static struct {
  char const *s;
  size_t len;
} const names[HEADER_NAMES] = {
#define N(which, text) [which] = { text, sizeof text - 1 }
  N(HEADER_SENDER, "Sender"),
  N(HEADER_FROM, "From"),
  N(HEADER_REPLY_TO, "Reply-To"),
  N(HEADER_MAIL_REPLY_TO, "Mail-Reply-To"),
  N(HEADER_MAIL_FOLLOWUP_TO, "Mail-Followup-To"),
  N(HEADER_NOTICE_REQUESTED, "Notice-Requested-Upon-Delivery-To"),
  N(HEADER_TO, "To"),
  N(HEADER_CC, "Cc"),
  N(HEADER_BCC, "Bcc"),
  N(HEADER_APPARENTLY_TO, "Apparently-To"),
  N(HEADER_DATE, "Date"),
  N(HEADER_MESSAGE_ID, "Message-ID"),
  N(HEADER_RETURN_PATH, "Return-Path"),
  N(HEADER_RETURN_RECEIPT_TO, "Return-Receipt-To"),
  N(HEADER_ERRORS_TO, "Errors-To"),
  N(HEADER_CONTENT_LENGTH, "Content-Length"),
  N(HEADER_RESENT_SENDER, "Resent-Sender"),
  N(HEADER_RESENT_FROM, "Resent-From"),
  N(HEADER_RESENT_REPLY_TO, "Resent-Reply-To"),
  N(HEADER_RESENT_TO, "Resent-To"),
  N(HEADER_RESENT_CC, "Resent-Cc"),
  N(HEADER_RESENT_BCC, "Resent-Bcc"),
  N(HEADER_RESENT_DATE, "Resent-Date"),
  N(HEADER_RESENT_MESSAGE_ID, "Resent-Message-ID"),
#undef N
};

enum header_name header_classify(char const *name, size_t len)
{
  for (int i = 0; i < HEADER_NAMES; i++)
    if (names[i].len && names[i].len == len && !strncasecmp(names[i].s, name, len))
      return (enum header_name)i;
  return HEADER_OTHER;
}

static int blank(char c)
{
  return c == ' ' || c == '\t';
}

/* Is text[len..] the beginning of an mbox file's separator? */
static int from_line(struct header const *h)
{
  return !h->len && h->text.len >= 5 && !memcmp(h->text.s, "From ", 5);
}

/* The state after <c>, which is not in a value; -1: the line is no field. */
static int step(struct header const *h, char c)
{
  switch (h->state) {
  case START:
    if (blank(c)) return h->len ? VALUE : -1;
    return c > ' ' && c != 127 && c != ':' ? NAME : -1;
  case NAME:
    if (c == ':') return VALUE;
    if (blank(c)) return BLANKS;
    return c > ' ' && c != 127 ? NAME : -1;
  default:
    if (c == ':') return VALUE;
    if (blank(c)) return BLANKS;
    return from_line(h) && c != '\n' ? VALUE : -1;
  }
}

static int add(struct header *h, char const *s, size_t len)
{
  if (len > h->max || h->text.len > h->max - len) return (errno = EMSGSIZE, 0);
  return stralloc_catb(&h->text, s, len);
}

/* Take the rest of a value's line, or as much as there is. Returns the number
 * of bytes; 0 on error. */
static size_t feed_value(struct header *h, char const *s, size_t len)
{
  char const *nl = memchr(s, '\n', len);
  size_t n = nl ? (size_t)(nl - s) + 1 : len;
  if (!add(h, s, n)) return 0;
  if (nl) {
    h->len = h->text.len;
    h->state = START;
  }
  return n;
}

ssize_t header_feed(struct header *h, char const *s, size_t len)
{
  size_t used = 0;
  while (used < len && !h->ended) {
    if (h->state == VALUE) {
      size_t n = feed_value(h, s + used, len - used);
      if (!n) return -1;
      used += n;
      continue;
    }
    char c = s[used];
    int next = h->text.len - h->len < HEADER_NAME_MAX ? step(h, c) : -1;
    if (next == -1) {
      h->ended = 1;
      h->empty = h->state == START && c == '\n';
      return (ssize_t)(used + (size_t)h->empty);
    }
    if (!add(h, &c, 1)) return -1;
    h->state = next;
    used++;
  }
  return (ssize_t)used;
}

int header_finish(struct header *h)
{
  if (h->ended) return 1;
  if ((h->state == VALUE || from_line(h)) && h->text.len > h->len) {
    if (!stralloc_append(&h->text, '\n')) return 0;
    h->len = h->text.len;
  }
  h->ended = 1;
  return 1;
}

static size_t line_end(char const *s, size_t len, size_t pos)
{
  char const *nl = memchr(s + pos, '\n', len - pos);
  return nl ? (size_t)(nl - s) + 1 : len;
}

int header_next(char const *s, size_t len, size_t *pos, struct header_field *f)
{
  if (*pos >= len) return 0;
  size_t end = line_end(s, len, *pos);
  size_t firstline = end - *pos;
  while (end < len && blank(s[end])) end = line_end(s, len, end);
  f->s = s + *pos;
  f->len = end - *pos;
  f->namelen = 0;
  f->value = 0;
  f->name = HEADER_MBOX;
  *pos = end;
  char const *colon = memchr(f->s, ':', firstline);
  size_t n = colon ? (size_t)(colon - f->s) : 0;
  size_t value = n + 1;
  while (n && blank(f->s[n - 1])) n--;
  if (!n || memchr(f->s, ' ', n)) return 1;
  f->namelen = n;
  f->value = value;
  f->name = header_classify(f->s, n);
  return 1;
}
