/* inject-header.c - sort the fields, collect recipients, add what is missing; see inject.h */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrlist.h"
#include "date.h"
#include "inject.h"
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
  for (size_t i = at; i < len; i++)
    if (strchr(" <>()\",;:\\", s[i])) return 0;
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

/* Append a personal name with <escape> before the characters that need it;
 * a control character (a line end would begin another field) becomes a space. */
static void add_name(stralloc *sa, char const *name, char const *escape)
{
  for (; *name; name++) {
    char c = *name;
    if (strchr(escape, c)) catb(sa, "\\", 1);
    if (!address_is_clean(&c, 1)) c = ' ';
    catb(sa, &c, 1);
  }
}

static void add_from(struct inject *j)
{
  struct settings const *set = &j->set;
  stralloc addr = STRALLOC_ZERO;
  stralloc *out = &j->added;
  int named = set->name && *set->name;
  cats(&addr, set->user);
  cats(&addr, "@");
  if (set->host) cats(&addr, set->host);
  else catb(&addr, set->hosts.defaulthost.s, set->hosts.defaulthost.len);
  inject_complete(set, &addr);
  cats(out, "From: ");
  if (named && !set->name_comment) {
    cats(out, "\"");
    add_name(out, set->name, "\"\\");
    cats(out, "\" <");
  }
  if (!addrlist_quote(out, addr.s, addr.len)) inject_nomem();
  if (named && set->name_comment) {
    cats(out, " (");
    add_name(out, set->name, "()\\");
  }
  cats(out, named ? set->name_comment ? ")\n" : ">\n" : "\n");
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

static void add_id(struct inject *j)
{
  char id[DATE_ID_MAX];
  date_id(id, &j->set.now);
  cats(&j->added, "Message-ID: <");
  cats(&j->added, id);
  cats(&j->added, "@");
  catb(&j->added, j->set.idhost.s, j->set.idhost.len);
  cats(&j->added, ">\n");
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
  cats(&j->sender, "@");
  if (set->shost) cats(&j->sender, set->shost);
  else catb(&j->sender, set->hosts.defaulthost.s, set->hosts.defaulthost.len);
  inject_complete(set, &j->sender);
  if (set->verp_rcpt) cats(&j->sender, "-@[]");
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
    cats(&j->added, prefix);
    add_id(j);
  }
  if (!j->seen[resent ? HEADER_RESENT_FROM : HEADER_FROM]) {
    cats(&j->added, prefix);
    add_from(j);
  }
  if (!j->seen[resent ? HEADER_RESENT_TO : HEADER_TO] &&
      !j->seen[resent ? HEADER_RESENT_CC : HEADER_CC]) {
    cats(&j->added, prefix);
    cats(&j->added, "Cc: recipient list not shown: ;\n");
  }
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
