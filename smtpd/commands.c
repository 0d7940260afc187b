/* commands.c - the SMTP verbs as a table of handlers (RFC 5321) */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../ofmipd/submission.h"
#include "auth.h"
#include "mode.h"
#include "recipient.h"
#include "session.h"

typedef void handler(struct session *s, char const *arg, size_t len);

static void keep_helo(struct session *s, char const *arg, size_t len)
{
  if (len > CLIENT_HELO_MAX) len = CLIENT_HELO_MAX;
  memcpy(s->helo, arg, len);
  s->helo[len] = 0;
  session_reset(s);
}

static void do_helo(struct session *s, char const *arg, size_t len)
{
  keep_helo(s, arg, len);
  s->esmtp = 0;
  session_reply(s, 250, "", s->settings->greeting.s);
}

static void do_ehlo(struct session *s, char const *arg, size_t len)
{
  char text[900], auth[AUTH_EHLO_MAX];
  keep_helo(s, arg, len);
  s->esmtp = 1;
  auth_ehlo(s, auth);
  int n = snprintf(text, sizeof text,
                   "250-%.500s\r\n250-PIPELINING\r\n250-SIZE %lu\r\n250-8BITMIME\r\n%s%s%s"
                   "250 ENHANCEDSTATUSCODES\r\n",
                   s->settings->greeting.s, s->databytes, params_has_dsn() ? "250-DSN\r\n" : "",
                   !s->tls.on && tls_is_there(s->io.in, s->io.out) ? "250-STARTTLS\r\n" : "", auth);
  stream_put(&s->io, text, (size_t)n);
}

/* Refuse a MAIL (<rcpt> NULL) or RCPT, and write it down. */
static void refuse(struct session *s, struct smtppath const *rcpt, unsigned int code,
                   char const *status, char const *text)
{
  char reply[RECIPIENT_TEXT_MAX + 32];
  snprintf(reply, sizeof reply, "%s%s%s", status, *status ? " " : "", text);
  session_reply(s, code, status, text);
  log_refused(s, rcpt ? rcpt->s : 0, rcpt ? rcpt->len : 0, code, reply);
}

/* Parse a path and resolve our own addresses in it. 1, or 0 after a reply with
 * <status>, which is 5.1.7 for senders and 5.1.3 for recipients. */
static int read_path(struct session *s, struct smtppath *p, char const *keyword, char const *arg,
                     size_t len, char const *status)
{
  switch (smtppath_parse(p, keyword, arg, len)) {
    case SMTPPATH_OK: break;
    case SMTPPATH_LONG: session_reply(s, 555, status, "address too long"); return 0;
    case SMTPPATH_UNSAFE: session_reply(s, 501, status, "control character in address"); return 0;
    default: session_reply(s, 501, status, "syntax error in address"); return 0;
  }
  int r = rules_localip(s, p);
  if (r == -1) session_reply(s, 451, "4.3.0", "unable to read my own addresses");
  if (r == 0) session_reply(s, 555, status, "address too long");
  return r == 1;
}

static void do_mail(struct session *s, char const *arg, size_t len)
{
  struct smtppath p;
  if (s->has_sender) {
    session_reply(s, 503, "5.5.1", "one MAIL at a time");
    return;
  }
  if (!read_path(s, &p, "FROM:", arg, len, "5.1.7")) return;
  if (mode.submission && !submission_complete(s, &p)) return;
  if (!params_mail(s, arg, len, p.used) || !auth_may_mail(s, &p)) return;
  memcpy(s->sender, p.s, p.len);
  s->senderlen = p.len;
  if (mode.submission && !submission_sender(s)) return;
  if (s->databytes && s->size > s->databytes) {
    refuse(s, 0, 552, "5.3.4", "sorry, that message size exceeds my databytes limit");
    session_reset(s);
    return;
  }
  s->has_sender = 1;
  s->bad_sender = rules_sender_is_bad(s, &p);
  session_reply(s, 250, "2.1.0", "ok");
}

/* Too many recipients: the client is to send again for the rest. One log line is enough. */
static void refuse_more(struct session *s, struct smtppath const *p, char const *text)
{
  if (s->too_many_logged) {
    session_reply(s, 452, "4.5.3", text);
    return;
  }
  refuse(s, p, 452, "4.5.3", text);
  s->too_many_logged = 1;
}

/* May this recipient be taken? 1, or 0 after a reply. */
static int may_take(struct session *s, struct smtppath const *p)
{
  if (s->bad_sender) {
    refuse(s, p, 553, "5.7.1", "sorry, your envelope sender is in my badmailfrom list");
    return 0;
  }
  switch (rules_rcpt(s, p)) {
    case RULE_YES: break;
    case RULE_TROUBLE:
      refuse(s, p, 451, "4.3.0", "unable to read control/morercpthosts.cdb");
      return 0;
    default:
      if (auth_address_may_relay(s)) break;
      refuse(s, p, 553, "5.7.1", "sorry, that domain isn't in my list of allowed rcpthosts");
      return 0;
  }
  if (s->nrcpts >= s->settings->maxrcpt) {
    refuse_more(s, p, "too many recipients, send the rest in another transaction");
    return 0;
  }
  if (s->nrcpts && !s->senderlen) {
    refuse_more(s, p, "one recipient at a time for the null sender");
    return 0;
  }
  return 1;
}

/* Append a record of the envelope: its letter and name, a value, a NUL. 1, or 0 with ENOMEM. */
static int add_record(stralloc *rcpts, char const *start, char const *value, size_t len)
{
  return stralloc_cats(rcpts, start) && stralloc_catb(rcpts, value, len) && stralloc_0(rcpts);
}

static int add_params(stralloc *rcpts, struct rcpt_params const *p)
{
  char notify[DSN_NOTIFY_MAX];
  dsn_notify_put(notify, p->notify);
  return (!p->notify || add_record(rcpts, "XNOTIFY=", notify, strlen(notify))) &&
         (!p->orcpt || add_record(rcpts, "XORCPT=", p->orcpt, p->orcptlen));
}

/* Append to the address what RELAYCLIENT says; its length. 0 after a reply. */
static size_t complete(struct session *s, struct smtppath const *p, char out[RECIPIENT_MAX])
{
  char const *suffix = s->client.relay ? s->client.relay : "";
  size_t len = strlen(suffix);
  if (len > RECIPIENT_MAX - ADDRESS_MAX) {
    refuse(s, p, 451, "4.3.5", "RELAYCLIENT is too long");
    return 0;
  }
  memcpy(out, p->s, p->len);
  memcpy(out + p->len, suffix, len);
  return p->len + len;
}

/* Is there such a recipient? 1, or 0 after a reply. */
static int is_there(struct session *s, struct smtppath const *p, char const *addr, size_t len)
{
  struct recipient_answer a;
  if (recipient_check(s, addr, len, &a)) return 1;
  refuse(s, p, a.code, a.status, a.text);
  s->unknown += a.unknown;
  if (a.code == 421) {
    s->end = "RCPTCHECK";
    s->linger = 1;
  }
  return 0;
}

/* 1, or 0 after a reply. */
static int keep_rcpt(struct session *s, struct smtppath const *p, char const *addr, size_t len,
                     struct rcpt_params const *params)
{
  size_t before = s->rcpts.len;
  if (stralloc_ready_tuned(&s->rcpts, SESSION_RCPTS_ROOM, 0, 0, 1) &&
      add_params(&s->rcpts, params) && stralloc_append(&s->rcpts, 'T') &&
      stralloc_catb(&s->rcpts, addr, len) && stralloc_0(&s->rcpts)) {
    s->nrcpts++;
    return 1;
  }
  s->rcpts.len = before;
  refuse(s, p, 452, "4.3.0", "out of memory");
  return 0;
}

static void do_rcpt(struct session *s, char const *arg, size_t len)
{
  struct smtppath p;
  struct rcpt_params params;
  char addr[RECIPIENT_MAX];
  if (!s->has_sender) {
    session_reply(s, 503, "5.5.1", "MAIL first");
    return;
  }
  if (!read_path(s, &p, "TO:", arg, len, "5.1.3")) return;
  if (!p.len) {
    session_reply(s, 501, "5.1.3", "empty recipient");
    return;
  }
  if (mode.submission && !submission_complete(s, &p)) return;
  if (!params_rcpt(s, &params, arg, len, p.used)) return;
  if (!may_take(s, &p)) return;
  size_t addrlen = complete(s, &p, addr);
  if (!addrlen || !is_there(s, &p, addr, addrlen) || !keep_rcpt(s, &p, addr, addrlen, &params)) return;
  receive_open(s);
  session_reply(s, 250, "2.1.5", "ok");
}

static void do_data(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  if (!len && s->nrcpts) {
    if (auth_may_send_now(s)) receive_data(s);
    else if (stream_is_pending(&s->io)) session_no_text(s);
    else session_reset(s);
    return;
  }
  int ahead = stream_is_pending(&s->io);
  if (len) session_reply(s, 501, "5.5.4", "DATA takes no argument");
  else session_reply(s, 503, "5.5.1", s->has_sender ? "RCPT first" : "MAIL first");
  if (ahead) session_no_text(s);
}

static void do_rset(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_reset(s);
  session_reply(s, 250, "2.0.0", "flushed");
}

static void do_noop(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_reply(s, 250, "2.0.0", "ok");
}

static void do_starttls(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  if (len) session_reply(s, 501, "5.5.4", "STARTTLS takes no argument");
  else starttls_command(s);
}

static void do_auth(struct session *s, char const *arg, size_t len)
{
  auth_command(s, arg, len);
}

static void do_vrfy(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_reply(s, 252, "2.5.0", "send some mail, i'll try my best");
}

static void do_help(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_reply(s, 214, "2.0.0", "HELO EHLO MAIL RCPT DATA RSET NOOP STARTTLS AUTH VRFY HELP QUIT");
}

static void do_quit(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_reply(s, 221, "2.0.0", s->settings->greeting.s);
  s->end = "quit";
  s->orderly = 1;
}

/* A browser, or a page that makes one send mail for it (ALPACA and its kin). */
static void do_http(struct session *s, char const *arg, size_t len)
{
  (void)arg;
  (void)len;
  session_close(s, 554, "5.5.1", "this is a mail server", "HTTP request");
}

static struct {
  char const *verb;
  handler *handle;
} const table[] = {
  { "EHLO", do_ehlo }, { "HELO", do_helo }, { "MAIL", do_mail }, { "RCPT", do_rcpt },
  { "DATA", do_data }, { "RSET", do_rset }, { "NOOP", do_noop }, { "VRFY", do_vrfy },
  { "HELP", do_help }, { "QUIT", do_quit }, { "STARTTLS", do_starttls }, { "AUTH", do_auth },
  { "GET", do_http },  { "POST", do_http },
  { "PUT", do_http },  { "HEAD", do_http }, { "CONNECT", do_http }, { "OPTIONS", do_http },
  { "DELETE", do_http }, { "PATCH", do_http }, { "TRACE", do_http }, { "PRI", do_http },
};

void command(struct session *s, char const *line, size_t len)
{
  char const *space = memchr(line, ' ', len);
  size_t verb = space ? (size_t)(space - line) : len;
  size_t arg = verb;
  while (arg < len && line[arg] == ' ') arg++;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (strlen(table[i].verb) != verb || strncasecmp(table[i].verb, line, verb)) continue;
    table[i].handle(s, line + arg, len - arg);
    return;
  }
  session_reply(s, 502, "5.5.1", "unimplemented");
}
