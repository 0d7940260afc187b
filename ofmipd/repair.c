/* repair.c - mend a message's header; see repair.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "address.h"
#include "addrfield.h"
#include "addrlist.h"
#include "date.h"
#include "newfield.h"
#include "repair.h"

struct work {
  struct repair *r;
  struct addrfield rewrite;
  stralloc added; /* the fields that were missing */
  int seen[HEADER_NAMES];
  size_t mailboxes; /* in the field at hand */
  size_t authors;   /* in From */
};

static int refuse(struct repair *r, unsigned int code, char const *status, char const *text)
{
  r->code = code;
  r->status = status;
  snprintf(r->text, sizeof r->text, "%s", text);
  return 0;
}

static int no_memory(struct repair *r)
{
  return refuse(r, 451, "4.3.0", "out of memory");
}

static int too_long(struct repair *r)
{
  return refuse(r, 552, "5.3.4", "the header is too long");
}

static int keep(struct work *w, char const *s, size_t len)
{
  if (w->r->out.len > REPAIR_OUT_MAX) return too_long(w->r);
  return stralloc_catb(&w->r->out, s, len) || no_memory(w->r);
}

/* What is done with a field of a name. */
enum { LIST = 1, IDENTITY = 2, DROP = 4, ONCE = 8 };
static unsigned char const rules[HEADER_NAMES] = {
  [HEADER_SENDER] = LIST | IDENTITY,
  [HEADER_FROM] = LIST | IDENTITY,
  [HEADER_REPLY_TO] = LIST,
  [HEADER_MAIL_REPLY_TO] = LIST,
  [HEADER_MAIL_FOLLOWUP_TO] = LIST,
  [HEADER_NOTICE_REQUESTED] = LIST,
  [HEADER_TO] = LIST,
  [HEADER_CC] = LIST,
  [HEADER_BCC] = DROP,
  [HEADER_APPARENTLY_TO] = DROP,
  [HEADER_DATE] = ONCE,
  [HEADER_MESSAGE_ID] = ONCE,
  [HEADER_RETURN_PATH] = DROP,
  [HEADER_RETURN_RECEIPT_TO] = LIST,
  [HEADER_ERRORS_TO] = LIST,
  [HEADER_CONTENT_LENGTH] = DROP,
  [HEADER_RESENT_SENDER] = LIST | IDENTITY,
  [HEADER_RESENT_FROM] = LIST | IDENTITY,
  [HEADER_RESENT_REPLY_TO] = LIST,
  [HEADER_RESENT_TO] = LIST,
  [HEADER_RESENT_CC] = LIST,
  [HEADER_RESENT_BCC] = DROP,
};

/* Only blanks and line ends? */
static int is_empty(struct header_field const *f)
{
  for (size_t i = f->value; i < f->len; i++)
    if (!strchr(" \t\r\n", f->s[i]) || !f->s[i]) return 0;
  return 1;
}

/* An address of a field that says whose the message is. */
static int on_identity(void *data, char const *s, size_t len)
{
  struct work *w = data;
  struct repair *r = w->r;
  w->mailboxes++;
  if (!address_is_clean(s, len)) {
    refuse(r, 554, "5.6.0", "control character in an address of the sender in the header");
    return (errno = EPERM, 0);
  }
  if (!r->may_write_as) return 1;
  switch (r->may_write_as(r->data, s, len)) {
  case REPAIR_MAY: return 1;
  case REPAIR_MAY_NOT: {
    char text[REPAIR_TEXT_MAX];
    snprintf(text, sizeof text, "the header names <%.*s> as sender, which is not yours",
             (int)(len < 150 ? len : 150), s);
    for (char *c = text; *c; c++)
      if ((unsigned char)*c > 126) *c = '?'; /* replies are ASCII (RFC 5321, 4.2) */
    refuse(r, 550, "5.7.1", text);
    break;
  }
  default: r->code = 451; r->status = "4.3.0";
  }
  return (errno = EPERM, 0);
}

static int failed(struct repair *r)
{
  switch (errno) {
  case EPERM: return 0; /* the answer is there */
  case E2BIG: return refuse(r, 552, "5.3.4", "too many addresses in the header");
  case EMSGSIZE: return too_long(r);
  default: return no_memory(r);
  }
}

static int cannot_be_read(struct repair *r, struct header_field const *f)
{
  char text[REPAIR_TEXT_MAX];
  snprintf(text, sizeof text,
           "the field %.*s cannot be understood; write %.*s: Name <user@example.org>",
           (int)f->namelen, f->s, (int)f->namelen, f->s);
  return refuse(r, 554, "5.6.0", text);
}

static int on_any(void *data, struct addrlist_addr const *a)
{
  (void)data, (void)a;
  return 0;
}

/* Does a field without mailboxes, which could be understood, hold a group? Else it holds "<>", or
 * nothing but comments, commas and semicolons. */
static int has_group(struct header_field const *f)
{
  char const *s = f->s + f->value;
  size_t len = f->len - f->value, depth = 0;
  if (addrlist_parse(s, len, on_any, 0) != 1) return 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] == '(') depth++;
    else if (s[i] == ')') depth--;
    else if (depth) i += s[i] == '\\';
    else if (!strchr(" \t\r\n,;", s[i]) || !s[i]) return 1;
  }
  return 0;
}

/* From and its like. Without an address they are as good as missing, unless a group says that
 * there is nobody (RFC 6854, 2). */
static int take_identity(struct work *w, struct header_field const *f)
{
  size_t before = w->r->out.len;
  int sender = f->name == HEADER_FROM || f->name == HEADER_SENDER;
  w->mailboxes = 0;
  w->rewrite.address = on_identity;
  w->rewrite.quote_names = 1; /* no reader is to take a name for the address of a sender */
  if (sender && w->seen[f->name])
    return refuse(w->r, 554, "5.6.0",
                  f->name == HEADER_FROM ? "more than one field From" : "more than one field Sender");
  int result = addrfield_rewrite(&w->rewrite, f, &w->r->out);
  if (result == -1) return failed(w->r);
  if (!result) return cannot_be_read(w->r, f);
  if (!w->mailboxes && !has_group(f)) {
    w->r->out.len = before;
    return 1;
  }
  if (f->name == HEADER_FROM) w->authors = w->mailboxes;
  w->seen[f->name] = 1;
  return 1;
}

static int take_list(struct work *w, struct header_field const *f)
{
  w->seen[f->name] = 1;
  w->rewrite.address = 0;
  w->rewrite.quote_names = 0;
  switch (addrfield_rewrite(&w->rewrite, f, &w->r->out)) {
  case -1: return failed(w->r);
  case 0: return keep(w, f->s, f->len);
  default: return 1;
  }
}

/* Date or Message-ID. */
static int take_once(struct work *w, struct header_field const *f)
{
  char date[DATE_MAX];
  if (w->seen[f->name] || is_empty(f)) return 1;
  w->seen[f->name] = 1;
  if (f->name != HEADER_DATE || date_mend(date, f->s + f->value, f->len - f->value) != 2)
    return keep(w, f->s, f->len);
  return keep(w, f->s, f->value) && keep(w, " ", 1) && keep(w, date, strlen(date)) &&
         keep(w, "\n", 1);
}

static int take_field(struct work *w, struct header_field const *f)
{
  unsigned int rule = rules[f->name];
  if (rule & DROP) return w->seen[f->name] = 1;
  if (f->name == HEADER_FROM && w->r->name) return 1;
  if (rule & IDENTITY) return take_identity(w, f);
  if (rule & LIST) return take_list(w, f);
  if (rule & ONCE) return take_once(w, f);
  w->seen[f->name] = 1;
  return (f->name != HEADER_MBOX || keep(w, "MBOX-Line: ", 11)) && keep(w, f->s, f->len);
}

static int is_resent(struct work const *w)
{
  for (int i = HEADER_RESENT_SENDER; i < HEADER_NAMES; i++)
    if (w->seen[i]) return 1;
  return 0;
}

/* A list is to say just this address, which is emptied then. */
static int on_same(void *data, struct addrlist_addr const *a)
{
  stralloc *addr = data;
  if (a->len != addr->len || memcmp(a->s, addr->s, a->len)) return 0;
  addr->len = 0; /* only once */
  return 1;
}

/* Whose the message is, for a field that does not say it: the sender of the envelope, or who
 * has logged in; a notice, which has no sender, comes from the mail system. */
static int add_mailbox(struct work *w, char const *field)
{
  struct repair *r = w->r;
  stralloc addr = STRALLOC_ZERO;
  char const *who = r->login ? r->login : "MAILER-DAEMON";
  int ok = r->senderlen ? stralloc_copyb(&addr, r->sender, r->senderlen)
                        : stralloc_copys(&addr, who) && complete_address(r->hosts, &addr);
  size_t start = w->added.len + strlen(field) + 1;
  ok = ok && newfield_mailbox(&w->added, field, r->name ? r->name : "", r->name ? r->namelen : 0, 0,
                              addr.s, addr.len);
  /* MAIL takes domains that a header does not. */
  if (ok && (addrlist_parse(w->added.s + start, w->added.len - start, on_same, &addr) != 1 || addr.len))
    ok = refuse(r, 554, "5.1.7", "the address of the sender cannot stand in a header");
  stralloc_free(&addr);
  return ok;
}

static int add_date(struct work *w, char const *prefix)
{
  char date[DATE_MAX];
  date_utc(date, w->r->now.tv_sec);
  return stralloc_cats(&w->added, prefix) && stralloc_cats(&w->added, "Date: ") &&
         stralloc_cats(&w->added, date) && stralloc_cats(&w->added, "\n");
}

static int add_missing(struct work *w)
{
  int const *seen = w->seen;
  int resent = is_resent(w);
  char const *prefix = resent ? "Resent-" : "";
  int ok = 1;
  if (!seen[resent ? HEADER_RESENT_DATE : HEADER_DATE]) ok = add_date(w, prefix);
  if (ok && !seen[resent ? HEADER_RESENT_MESSAGE_ID : HEADER_MESSAGE_ID])
    ok = newfield_id(&w->added, prefix, &w->r->now, w->r->idhost);
  if (ok && !seen[resent ? HEADER_RESENT_FROM : HEADER_FROM])
    ok = add_mailbox(w, resent ? "Resent-From" : "From");
  if (ok && w->authors > 1 && !seen[HEADER_SENDER]) ok = add_mailbox(w, "Sender");
  if (ok && !resent && !seen[HEADER_TO] && !seen[HEADER_CC])
    ok = stralloc_cats(&w->added, NEWFIELD_NOBODY);
  return ok;
}

static int mend(struct work *w, char const *s, size_t len)
{
  struct header_field f;
  for (size_t pos = 0; header_next(s, len, &pos, &f);)
    if (!take_field(w, &f)) return 0;
  int ok = add_missing(w);
  if (!ok && w->r->code) return 0;
  if (!ok || !stralloc_insertb(&w->r->out, 0, w->added.s ? w->added.s : "", w->added.len))
    return no_memory(w->r);
  return w->r->out.len <= REPAIR_OUT_MAX || too_long(w->r);
}

int repair_header(struct repair *r, char const *s, size_t len)
{
  struct work w = { .r = r, .added = STRALLOC_ZERO,
                    .rewrite = { .hosts = r->hosts, .left = REPAIR_ADDRESSES_MAX, .max = REPAIR_OUT_MAX } };
  w.rewrite.data = &w;
  r->out.len = 0;
  r->code = 0;
  int ok = mend(&w, s, len);
  stralloc_free(&w.added);
  return ok;
}
