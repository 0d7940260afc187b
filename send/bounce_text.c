/* bounce_text.c - the text of a report; see bounce.h. Its part for machines is made in
 * bounce_status.c. */

#include <string.h>

#include <skalibs/uint64.h>

#include "bounce.h"
#include "state.h"

static char const single_words[] =
    "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
    "This is a permanent error; I've given up. Sorry it didn't work out.\n";
static char const double_words[] =
    "I tried to deliver a bounce message to this address, but the bounce bounced!\n";
static char const arrived_words[] =
    "You asked to be told when your message arrives. This is what became of it.\n";
static char const late_words[] =
    "This is only a warning: I haven't been able to deliver your message to the following\n"
    "addresses yet. I'll keep trying, and tell you if I have to give up. You need not send it\n"
    "again.\n";

/* The length of the UTF-8 character at s[0..len) that is not ASCII, or 0. */
static size_t utf8_length(char const *s, size_t len)
{
  static unsigned char const firsts[] = { 0xc2, 0xe0, 0xf0, 0xf5 };
  unsigned char c = (unsigned char)s[0];
  size_t n = c < firsts[0] ? 0 : c < firsts[1] ? 2 : c < firsts[2] ? 3 : c < firsts[3] ? 4 : 0;
  if (!n || n > len) return 0;
  for (size_t i = 1; i < n; i++)
    if (((unsigned char)s[i] & 0xc0) != 0x80) return 0;
  unsigned char d = (unsigned char)s[1];
  if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) ||
      (c == 0xf4 && d > 0x8f))
    return 0;
  return n;
}

/* Append a report: clean, in short lines, without empty ones, with a last newline. */
static int put_report(stralloc *out, char const *s, size_t len)
{
  size_t column = 0;
  for (size_t i = 0; i < len;) {
    size_t n = utf8_length(s + i, len - i);
    char c = s[i];
    if (c == '\n' || column >= BOUNCE_LINE_MAX) {
      if (column && !stralloc_append(out, '\n')) return 0;
      column = 0;
      i += c == '\n';
      continue;
    }
    if (c == '\t') c = ' ';
    if ((unsigned char)c < 32 || (unsigned char)c > 126) c = '?';
    if (!(n ? stralloc_catb(out, s + i, n) : stralloc_append(out, c))) return 0;
    column += n ? n : 1;
    i += n ? n : 1;
  }
  return !column || stralloc_append(out, '\n');
}

/* The list of what failed, in qmail's form, which programs know: a paragraph for each that begins
 * with its address in angle brackets. */
static int put_failures(struct bounce const *b, stralloc *out)
{
  for (size_t i = 0; i < b->count; i++) {
    struct bounce_rcpt const *r = b->rcpts + i;
    if (r->action != STATE_ACT_FAILED) continue;
    if (!stralloc_cats(out, "\n<") || !bounce_put_address(out, b->bytes.s + r->addr) ||
        !stralloc_cats(out, ">:\n") || !put_report(out, b->bytes.s + r->text, r->textlen))
      return 0;
  }
  return 1;
}

static char const *words_for(char action)
{
  switch (action) {
  case STATE_ACT_RELAYED: return ": relayed; you won't be told of the delivery itself\n";
  case STATE_ACT_EXPANDED: return ": passed on to several other addresses\n";
  case STATE_ACT_DELAYED: return ":\n";
  }
  return ": delivered\n";
}

/* The list of what arrived, or is late: nothing in it looks like a failure to those programs. */
static int put_others(struct bounce const *b, stralloc *out)
{
  for (size_t i = 0; i < b->count; i++) {
    struct bounce_rcpt const *r = b->rcpts + i;
    if (r->action == STATE_ACT_FAILED) continue;
    if (!stralloc_cats(out, "\n  ") || !bounce_put_address(out, b->bytes.s + r->addr) ||
        !stralloc_cats(out, words_for(r->action)))
      return 0;
    if (r->action == STATE_ACT_DELAYED && !put_report(out, b->bytes.s + r->text, r->textlen))
      return 0;
  }
  return 1;
}

static int put_greeting(struct bounce const *b, stralloc *out)
{
  return stralloc_cats(out, b->failed ? "Hi. This is" : "Hello, this is") &&
         stralloc_cats(out, " the pipit-send program at ") &&
         bounce_put(out, b->host.s, strlen(b->host.s)) && stralloc_cats(out, ".\n");
}

static int put_text(struct bounce const *b, stralloc *out, enum bounce_kind kind)
{
  if (!put_greeting(b, out)) return 0;
  if (b->failed && (!stralloc_cats(out, kind == BOUNCE_SINGLE ? single_words : double_words) ||
                    !put_failures(b, out)))
    return 0;
  if (b->failed == b->count) return 1;
  if (b->failed && !stralloc_append(out, '\n')) return 0;
  return stralloc_cats(out, b->time == BOUNCE_LATE ? late_words : arrived_words) &&
         put_others(b, out);
}

/* Append a part of the multipart, with the encoding that its bytes need. */
static int put_part(stralloc *out, char const *boundary, char const *type, stralloc const *body)
{
  int eight = 0;
  for (size_t i = 0; i < body->len && !eight; i++) eight = (body->s[i] & 0x80) != 0;
  return stralloc_cats(out, "\n--") && stralloc_cats(out, boundary) &&
         stralloc_cats(out, "\nContent-Type: ") && stralloc_cats(out, type) &&
         stralloc_cats(out, eight ? "\nContent-Transfer-Encoding: 8bit\n\n" : "\n\n") &&
         stralloc_catb(out, body->s, body->len);
}

static char const *subject(struct bounce const *b)
{
  if (b->failed) return "failure";
  return b->time == BOUNCE_LATE ? "delay" : "success";
}

static int put_header(struct bounce const *b, stralloc *out, char const *boundary, uint64_t id,
                      int64_t now)
{
  char fmt[UINT64_FMT];
  return stralloc_cats(out, "Date: ") && bounce_put_date(out, now) && stralloc_cats(out, "From: ") &&
         bounce_put_address(out, b->from.s) && stralloc_append(out, '@') &&
         bounce_put(out, b->host.s, strlen(b->host.s)) && stralloc_cats(out, "\nTo: ") &&
         bounce_put_address(out, b->to.s) &&
         stralloc_cats(out, "\nSubject: ") && stralloc_cats(out, subject(b)) &&
         stralloc_cats(out, " notice\nMessage-ID: <") &&
         stralloc_catb(out, fmt, uint64_fmt(fmt, id)) && stralloc_append(out, '.') &&
         stralloc_cats(out, boundary) && stralloc_append(out, '@') &&
         bounce_put(out, b->host.s, strlen(b->host.s)) &&
         stralloc_cats(out, ">\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
                            "Content-Type: multipart/report; report-type=delivery-status;\n"
                            "  boundary=\"") &&
         stralloc_cats(out, boundary) && stralloc_cats(out, "\"\n");
}

static int put_original(struct bounce const *b, stralloc *part)
{
  return stralloc_cats(part, "Return-Path: <") && bounce_put_address(part, b->sender.s) &&
         stralloc_cats(part, ">\n") && stralloc_catb(part, b->copy.s, b->copy.len);
}

int bounce_write(struct bounce const *b, stralloc *out, char const *boundary, uint64_t id,
                 int64_t now)
{
  enum bounce_kind kind = bounce_kind(b->sender.s, b->sender.len);
  stralloc part = STRALLOC_ZERO;
  int ok = put_header(b, out, boundary, id, now) && put_text(b, &part, kind) &&
           put_part(out, boundary, "text/plain; charset=utf-8", &part);
  part.len = 0;
  ok = ok && bounce_write_status(b, &part) &&
       put_part(out, boundary, "message/delivery-status", &part);
  part.len = 0;
  ok = ok && put_original(b, &part) &&
       put_part(out, boundary, b->header_only ? "text/rfc822-headers" : "message/rfc822", &part) &&
       stralloc_cats(out, "\n--") && stralloc_cats(out, boundary) && stralloc_cats(out, "--\n");
  stralloc_free(&part);
  return ok;
}
