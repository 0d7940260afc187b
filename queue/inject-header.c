/* inject-header.c - sort the fields, collect recipients, add what is missing; see inject.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrlist.h"
#include "date.h"
#include "inject.h"
#include "newfield.h"
#include "program.h"

static void cats(stralloc *sa, char const *s)
{
  if (!stralloc_cats(sa, s)) inject_nomem();
}

static void catb(stralloc *sa, char const *s, size_t len)
{
  if (len && !stralloc_catb(sa, s, len)) inject_nomem();
}

/* A domain of the command line is what RFC 5321 calls a domain or a literal,
 * without the characters that only a display name or a list could have. */
static int plausible(char const *s, size_t len)
{
  size_t at = address_at(s, len);
  char const *bad = at + 1 < len && s[at + 1] == '[' ? " <>()\",;\\" : " <>()\",;:\\"; /* [IPv6:...] */
  for (size_t i = at; i < len; i++)
    if (strchr(bad, s[i])) return 0;
  return at > 0;
}

/* Complete the raw address <arg> into <addr>; <what> names it when it is wrong. */
static void complete(struct inject *j, stralloc *addr, char const *arg, size_t len,
                     char const *what)
{
  if (!address_is_clean(arg, len)) strerr_dief(EXIT_PERMANENT, "control character in ", what);
  addr->len = 0;
  catb(addr, arg, len);
  if (!len) return;
  if (!plausible(arg, len)) strerr_dief(EXIT_PERMANENT, "unable to parse address: ", arg);
  inject_complete(&j->set, addr);
}

void inject_argument(struct inject *j, char const *arg)
{
  stralloc addr = STRALLOC_ZERO;
  if (!*arg) strerr_dief(EXIT_PERMANENT, "empty address among the arguments");
  if (++j->addresses > INJECT_ADDRESSES_MAX)
    strerr_dief(EXIT_PERMANENT, "more than 100000 addresses");
  complete(j, &addr, arg, strlen(arg), "a recipient's address");
  catb(&j->args.list, addr.s, addr.len);
  catb(&j->args.list, "", 1);
  stralloc_free(&addr);
}

void inject_sender(struct inject *j, char const *arg)
{
  size_t len = strlen(arg);
  int angle = len >= 2 && arg[0] == '<' && arg[len - 1] == '>';
  complete(j, &j->sender, arg + angle, len - 2 * (size_t)angle, "the sender's address");
  j->sender_known = 1;
}

/* Return-Path: its first address becomes the sender. */
static void return_path(struct inject *j, struct header_field const *f)
{
  struct rcpts to = { .list = STRALLOC_ZERO };
  if (j->sender_known || j->set.delete_sender) return;
  if (!rewrite_field(j, f, &to, 0))
    strerr_dief(EXIT_PERMANENT, "unable to parse the field Return-Path");
  j->sender.len = 0;
  if (to.list.len) {
    cats(&j->sender, to.list.s);
    if (j->set.verp_rcpt) cats(&j->sender, "-@[]");
  }
  j->sender_known = 1;
  stralloc_free(&to.list);
}

/* What is done with a field of a name. */
static struct {
  char addresses; /* it holds an address list */
  char rcpts;     /* of recipients: 1 ordinary, 2 of a resent message */
  char drop;      /* it is not passed on */
} const rules[HEADER_NAMES] = {
  [HEADER_SENDER] = { 1, 0, 0 },
  [HEADER_FROM] = { 1, 0, 0 },
  [HEADER_REPLY_TO] = { 1, 0, 0 },
  [HEADER_MAIL_REPLY_TO] = { 1, 0, 0 },
  [HEADER_MAIL_FOLLOWUP_TO] = { 1, 0, 0 },
  [HEADER_NOTICE_REQUESTED] = { 1, 0, 0 },
  [HEADER_TO] = { 1, 1, 0 },
  [HEADER_CC] = { 1, 1, 0 },
  [HEADER_BCC] = { 1, 1, 1 },
  [HEADER_APPARENTLY_TO] = { 1, 1, 0 },
  [HEADER_RETURN_PATH] = { 0, 0, 1 },
  [HEADER_RETURN_RECEIPT_TO] = { 1, 0, 0 },
  [HEADER_ERRORS_TO] = { 1, 0, 0 },
  [HEADER_CONTENT_LENGTH] = { 0, 0, 1 },
  [HEADER_RESENT_SENDER] = { 1, 0, 0 },
  [HEADER_RESENT_FROM] = { 1, 0, 0 },
  [HEADER_RESENT_REPLY_TO] = { 1, 0, 0 },
  [HEADER_RESENT_TO] = { 1, 2, 0 },
  [HEADER_RESENT_CC] = { 1, 2, 0 },
  [HEADER_RESENT_BCC] = { 1, 2, 1 },
};

static void take_field(struct inject *j, struct header_field const *f)
{
  int save = !rules[f->name].drop;
  struct rcpts *to = 0;
  if (f->name == HEADER_FROM && j->set.delete_from) return;
  if (f->name == HEADER_MESSAGE_ID && j->set.delete_id) return;
  if (f->name == HEADER_RETURN_PATH) return_path(j, f);
  j->seen[f->name] = 1;
  if (rules[f->name].rcpts) to = rules[f->name].rcpts == 1 ? &j->header : &j->resent;
  if (rules[f->name].addresses) {
    if (!rewrite_field(j, f, to, save) && to && !*to->bad)
      snprintf(to->bad, sizeof to->bad, "%.*s", (int)f->namelen, f->s);
  } else if (save) {
    if (f->name == HEADER_MBOX) cats(&j->saved, "MBOX-Line: ");
    catb(&j->saved, f->s, f->len);
  }
  if (j->saved.len > INJECT_HEADER_MAX) strerr_dief(EXIT_PERMANENT, "header longer than 2 MiB");
}

/* user@host; without a host, what an address without one gets. */
static void add_address(struct settings const *set, stralloc *addr, char const *user,
                        char const *host)
{
  stralloc made = STRALLOC_ZERO;
  if (!complete_host(&set->hosts, &made, host ? host : "", host ? strlen(host) : 0)) inject_nomem();
  cats(addr, user);
  if (made.len) cats(addr, "@");
  catb(addr, made.s, made.len);
  stralloc_free(&made);
}

static void add_from(struct inject *j, char const *field)
{
  struct settings const *set = &j->set;
  stralloc addr = STRALLOC_ZERO;
  char const *name = set->name ? set->name : "";
  add_address(set, &addr, set->user, set->host);
  if (!newfield_mailbox(&j->added, field, name, strlen(name), set->name_comment, addr.s, addr.len))
    inject_nomem();
  stralloc_free(&addr);
}

static void add_date(struct inject *j)
{
  char date[DATE_MAX];
  date_rfc5322(date, j->set.now.tv_sec);
  cats(&j->added, "Date: ");
  cats(&j->added, date);
  cats(&j->added, "\n");
}

/* The sender when nobody named one. */
static void default_sender(struct inject *j)
{
  struct settings const *set = &j->set;
  char mark[64];
  cats(&j->sender, set->suser);
  if (set->verp_message) {
    snprintf(mark, sizeof mark, "-%lld.%ld", (long long)set->now.tv_sec, (long)getpid());
    cats(&j->sender, mark);
  }
  if (set->verp_rcpt) cats(&j->sender, "-");
  add_address(set, &j->sender, "", set->shost);
  if (set->verp_rcpt) cats(&j->sender, "-@[]");
}

static int was_before(stralloc const *list, size_t upto)
{
  char const *s = list->s + upto;
  for (size_t i = 0; i < upto; i += strlen(list->s + i) + 1)
    if (!strcasecmp(list->s + i, s)) return 1;
  return 0;
}

/* Answers to a mailing list go to whoever reads this, and not to the sender, who reads the list. */
static void add_followup(struct inject *j)
{
  char const *before = "Mail-Followup-To: ";
  size_t len, n = 0;
  for (size_t i = 0; i < j->readers.len && n < INJECT_FOLLOWUPS_MAX; i += len + 1) {
    len = strlen(j->readers.s + i);
    if (was_before(&j->readers, i)) continue;
    cats(&j->added, before);
    if (!addrlist_quote(&j->added, j->readers.s + i, len)) inject_nomem();
    before = ",\n ";
    n++;
  }
  cats(&j->added, "\n");
}

static int any_resent(struct inject const *j)
{
  for (int i = HEADER_RESENT_SENDER; i < HEADER_NAMES; i++)
    if (j->seen[i]) return 1;
  return 0;
}

static void add_missing(struct inject *j, int resent)
{
  char const *prefix = resent ? "Resent-" : "";
  if (!j->seen[resent ? HEADER_RESENT_DATE : HEADER_DATE]) {
    cats(&j->added, prefix);
    add_date(j);
  }
  if (!j->seen[resent ? HEADER_RESENT_MESSAGE_ID : HEADER_MESSAGE_ID]) {
    if (!newfield_id(&j->added, prefix, &j->set.now, &j->set.idhost)) inject_nomem();
  }
  if (!j->seen[resent ? HEADER_RESENT_FROM : HEADER_FROM]) {
    add_from(j, resent ? "Resent-From" : "From");
  }
  if (!j->seen[resent ? HEADER_RESENT_TO : HEADER_TO] &&
      !j->seen[resent ? HEADER_RESENT_CC : HEADER_CC]) {
    cats(&j->added, prefix);
    cats(&j->added, NEWFIELD_NOBODY);
  }
  if (j->to_list && !resent && !j->seen[HEADER_MAIL_FOLLOWUP_TO]) add_followup(j);
}

int inject_header(struct inject *j, char const *s, size_t len)
{
  struct header_field f;
  for (size_t pos = 0; header_next(s, len, &pos, &f);) take_field(j, &f);
  if (!j->sender_known) default_sender(j);
  int resent = any_resent(j);
  add_missing(j, resent);
  return resent;
}
