/* bounce_text.c - the text of a bounce; see bounce.h */

#include <string.h>

#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "address.h"
#include "bounce.h"
#include "date.h"

#define FIELD_MAX 800 /* bytes of a field for machines */

static char const single_words[] =
    "I'm afraid I wasn't able to deliver your message to the following addresses.\n"
    "This is a permanent error; I've given up. Sorry it didn't work out.\n";
static char const double_words[] =
    "I tried to deliver a bounce message to this address, but the bounce bounced!\n";

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

/* Append text to a field: printable ASCII, at most FIELD_MAX bytes. */
static int put_field(stralloc *out, char const *s, size_t len)
{
  while (len && s[len - 1] == '\n') len--;
  if (len > FIELD_MAX) len = FIELD_MAX;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '\n' || c == '\t') c = ' ';
    if (!stralloc_append(out, c < 32 || c > 126 ? '?' : (char)c)) return 0;
  }
  return 1;
}

static int needs_quotes(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
          (s[i] >= '0' && s[i] <= '9') || (s[i] && strchr("!#$%&'*+-/=?^_`{|}~.", s[i]))))
      return 1;
  return !len;
}

/* Append an address as a header or a person wants it: the local part quoted when it must be. */
static int put_address(stralloc *out, char const *addr)
{
  size_t len = strlen(addr);
  size_t at = address_at(addr, len);
  size_t start = out->len;
  if (!len || !needs_quotes(addr, at)) return put_field(out, addr, len);
  if (!stralloc_append(out, '"')) return 0;
  for (size_t i = 0; i < at; i++) {
    if ((addr[i] == '"' || addr[i] == '\\') && !stralloc_append(out, '\\')) return 0;
    if (!put_field(out, addr[i] == '\n' ? "?" : addr + i, 1)) return 0;
  }
  if (!stralloc_append(out, '"') || !put_field(out, addr + at, len - at)) return 0;
  if (out->len - start > FIELD_MAX) out->len = start + FIELD_MAX;
  return 1;
}

static int put_date(stralloc *out, int64_t when)
{
  char date[DATE_MAX];
  return stralloc_catb(out, date, date_rfc5322(date, (time_t)when)) && stralloc_append(out, '\n');
}

static int put_text(struct bounce const *b, stralloc *out, enum bounce_kind kind)
{
  if (!stralloc_cats(out, "Hi. This is the pipit-send program at ") ||
      !put_field(out, b->host.s, strlen(b->host.s)) || !stralloc_cats(out, ".\n") ||
      !stralloc_cats(out, kind == BOUNCE_SINGLE ? single_words : double_words))
    return 0;
  for (size_t i = 0; i < b->count; i++) {
    struct bounce_failure const *f = b->failures + i;
    if (!stralloc_cats(out, "\n<") || !put_address(out, b->bytes.s + f->addr) ||
        !stralloc_cats(out, ">:\n") || !put_report(out, b->bytes.s + f->text, f->textlen))
      return 0;
  }
  return 1;
}

static int put_status(stralloc *out, char const *text, size_t len)
{
  size_t const tail = sizeof BOUNCE_TOO_LONG - 1;
  size_t at;
  if (len >= tail && !memcmp(text + len - tail, BOUNCE_TOO_LONG, tail))
    return stralloc_cats(out, "4.4.7\n");
  size_t n = bounce_status(text, len, &at);
  if (!n || text[at] != '5') return stralloc_cats(out, "5.0.0\n");
  return stralloc_catb(out, text + at, n) && stralloc_append(out, '\n');
}

/* The fields for one recipient (RFC 3464, 2.3). */
static int put_recipient(stralloc *out, char const *addr, char const *text, size_t len)
{
  size_t at;
  if (!stralloc_cats(out, "\nFinal-Recipient: rfc822; ") || !put_address(out, addr) ||
      !stralloc_cats(out, "\nAction: failed\nStatus: ") || !put_status(out, text, len))
    return 0;
  size_t n = bounce_remote(text, len, &at);
  if (n && (!stralloc_cats(out, "Remote-MTA: dns; [") || !put_field(out, text + at, n) ||
            !stralloc_cats(out, "]\n")))
    return 0;
  n = bounce_said(text, len, &at);
  if (!stralloc_cats(out, n ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-pipit; ")) return 0;
  return put_field(out, n ? text + at : text, n ? n : len) && stralloc_append(out, '\n');
}

static int put_delivery_status(struct bounce const *b, stralloc *out)
{
  if (!stralloc_cats(out, "Reporting-MTA: dns; ") ||
      !put_field(out, b->host.s, strlen(b->host.s)) || !stralloc_cats(out, "\nArrival-Date: ") ||
      !put_date(out, b->arrival))
    return 0;
  for (size_t i = 0; i < b->count; i++) {
    struct bounce_failure const *f = b->failures + i;
    if (!put_recipient(out, b->bytes.s + f->addr, b->bytes.s + f->text, f->textlen)) return 0;
  }
  return 1;
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

static int put_header(struct bounce const *b, stralloc *out, char const *boundary, uint64_t id,
                      int64_t now)
{
  char fmt[UINT64_FMT];
  return stralloc_cats(out, "Date: ") && put_date(out, now) && stralloc_cats(out, "From: ") &&
         put_address(out, b->from.s) && stralloc_append(out, '@') &&
         put_field(out, b->host.s, strlen(b->host.s)) && stralloc_cats(out, "\nTo: ") &&
         put_address(out, b->to.s) &&
         stralloc_cats(out, "\nSubject: failure notice\nMessage-ID: <") &&
         stralloc_catb(out, fmt, uint64_fmt(fmt, id)) && stralloc_append(out, '.') &&
         stralloc_cats(out, boundary) && stralloc_append(out, '@') &&
         put_field(out, b->host.s, strlen(b->host.s)) &&
         stralloc_cats(out, ">\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
                            "Content-Type: multipart/report; report-type=delivery-status;\n"
                            "  boundary=\"") &&
         stralloc_cats(out, boundary) && stralloc_cats(out, "\"\n");
}

static int put_original(struct bounce const *b, stralloc *part)
{
  return stralloc_cats(part, "Return-Path: <") && put_address(part, b->sender.s) &&
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
  ok = ok && put_delivery_status(b, &part) &&
       put_part(out, boundary, "message/delivery-status", &part);
  part.len = 0;
  ok = ok && put_original(b, &part) &&
       put_part(out, boundary, b->header_only ? "text/rfc822-headers" : "message/rfc822", &part) &&
       stralloc_cats(out, "\n--") && stralloc_cats(out, boundary) && stralloc_cats(out, "--\n");
  stralloc_free(&part);
  return ok;
}
