/* bounce_status.c - the part of a report that machines read (RFC 3464); see bounce.h */

#include <string.h>

#include "bounce.h"
#include "state.h"

static int put_line(stralloc *out, char const *name, char const *s, size_t len)
{
  return stralloc_cats(out, name) && bounce_put(out, s, len) && stralloc_append(out, '\n');
}

static char const *name_of(char action)
{
  switch (action) {
  case STATE_ACT_DELIVERED: return "delivered";
  case STATE_ACT_RELAYED: return "relayed";
  case STATE_ACT_EXPANDED: return "expanded";
  case STATE_ACT_DELAYED: return "delayed";
  }
  return "failed";
}

/* Original-Recipient, from ORCPT's value. */
static int put_orcpt(stralloc *out, char const *orcpt)
{
  stralloc addr = STRALLOC_ZERO;
  size_t len = strlen(orcpt);
  size_t type = dsn_orcpt_type(orcpt, len);
  if (!type) return 1;
  int ok = dsn_xtext_decode(&addr, orcpt + type + 1, len - type - 1) == 1 &&
           stralloc_cats(out, "Original-Recipient: ") && stralloc_catb(out, orcpt, type) &&
           put_line(out, "; ", addr.s, addr.len);
  stralloc_free(&addr);
  return ok;
}

static int put_remote(stralloc *out, char const *text, size_t len)
{
  size_t at;
  size_t n = bounce_host(text, len, &at);
  if (n) return put_line(out, "Remote-MTA: dns; ", text + at, n);
  n = bounce_remote(text, len, &at);
  return !n || (stralloc_cats(out, "Remote-MTA: dns; [") && bounce_put(out, text + at, n) &&
                stralloc_cats(out, "]\n"));
}

/* The text without the line that was put behind it here. */
static size_t without_tail(char const *text, size_t len)
{
  size_t const tail = sizeof BOUNCE_TOO_LONG - 1;
  size_t at;
  if (len >= tail && !memcmp(text + len - tail, BOUNCE_TOO_LONG, tail)) return len - tail;
  return bounce_until(text, len, &at) ? at - (sizeof BOUNCE_UNTIL - 1) : len;
}

/* Remote-MTA and Diagnostic-Code: of a success only what a server said of it. */
static int put_diagnostic(stralloc *out, char action, char const *text, size_t len)
{
  size_t at;
  len = without_tail(text, len);
  size_t said = bounce_said(text, len, &at);
  int good = action != STATE_ACT_FAILED && action != STATE_ACT_DELAYED;
  if (good && !said) return 1;
  if (!put_remote(out, text, len)) return 0;
  if (said) return put_line(out, "Diagnostic-Code: smtp; ", text + at, said);
  return put_line(out, "Diagnostic-Code: x-pipit; ", text, len);
}

static int put_until(stralloc *out, char action, char const *text, size_t len)
{
  size_t at;
  size_t n = action == STATE_ACT_DELAYED ? bounce_until(text, len, &at) : 0;
  return !n || put_line(out, "Will-Retry-Until: ", text + at, n);
}

/* The fields for one recipient (2.3). */
static int put_recipient(struct bounce const *b, stralloc *out, struct bounce_rcpt const *r)
{
  char status[BOUNCE_STATUS_MAX];
  char const *text = b->bytes.s + r->text;
  bounce_judge(status, r->action, text, r->textlen);
  return stralloc_append(out, '\n') && (!r->orcpt || put_orcpt(out, b->bytes.s + r->orcpt)) &&
         stralloc_cats(out, "Final-Recipient: rfc822; ") &&
         bounce_put_address(out, b->bytes.s + r->addr) && stralloc_cats(out, "\nAction: ") &&
         stralloc_cats(out, name_of(r->action)) && stralloc_cats(out, "\nStatus: ") &&
         stralloc_cats(out, status) && stralloc_append(out, '\n') &&
         put_diagnostic(out, r->action, text, r->textlen) &&
         (!r->when || (stralloc_cats(out, "Last-Attempt-Date: ") && bounce_put_date(out, r->when))) &&
         put_until(out, r->action, text, r->textlen);
}

static int put_envid(struct bounce const *b, stralloc *out)
{
  stralloc envid = STRALLOC_ZERO;
  int r = b->envid.len ? dsn_xtext_decode(&envid, b->envid.s, b->envid.len) : 0;
  int ok = r == 0 || (r == 1 && put_line(out, "Original-Envelope-Id: ", envid.s, envid.len));
  stralloc_free(&envid);
  return ok;
}

int bounce_write_status(struct bounce const *b, stralloc *out)
{
  if (!put_envid(b, out) || !put_line(out, "Reporting-MTA: dns; ", b->host.s, strlen(b->host.s)) ||
      !stralloc_cats(out, "Arrival-Date: ") || !bounce_put_date(out, b->arrival))
    return 0;
  for (size_t i = 0; i < b->count; i++)
    if (!put_recipient(b, out, b->rcpts + i)) return 0;
  return 1;
}
