/* session.c - begin and end an SMTP or LMTP session; see session.h */

#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <skalibs/types.h>
#include <skalibs/uint64.h>

#include "auth.h"
#include "job.h"
#include "limits.h"
#include "session.h"

void session_broke(struct conn const *c, enum conn_status s, int after_end, struct outcome *o)
{
  char const *duplicate = after_end ? "Possible duplicate! " : "";
  o->trouble = s == CONN_EARLY ? 0 : JOB_HOST;
  switch (s) {
  case CONN_421:
    outcome_message_said(o, 'Z', &c->reply, "%s closed the connection. %s(#4.4.2)\n", c->name,
                         duplicate);
    break;
  case CONN_EARLY:
    outcome_message_said(o, c->reply.code >= 500 ? 'D' : 'Z', &c->reply,
                         "%s failed while I sent the message.\n", c->name);
    break;
  case CONN_MALFORMED:
    outcome_message(o, 'Z', "Connected to %s but it did not speak %s. %s(#4.5.0)\n", c->name,
                    conn_protocol(c), duplicate);
    break;
  default:
    outcome_message(o, 'Z', "Connected to %s but connection died. %s(#4.4.2)\n", c->name,
                    duplicate);
  }
}

static int accept_any(void *arg, size_t i, struct smtpreply const *reply)
{
  (void)arg, (void)i, (void)reply;
  return 1;
}

static int is_keyword(char const *s, size_t len, char const *keyword)
{
  size_t n = strlen(keyword);
  return len >= n && !strncasecmp(s, keyword, n) && (len == n || s[n] == ' ');
}

/* One line of the answer to EHLO or LHLO, without its code. */
static void take_offer(struct conn *c, char const *s, size_t len)
{
  char number[UINT64_FMT];
  if (is_keyword(s, len, "PIPELINING")) c->pipelining = 1;
  else if (is_keyword(s, len, "8BITMIME")) c->eightbitmime = 1;
  else if (is_keyword(s, len, "LIMITS")) peerlimits_read(&c->limits, s + 6, len - 6);
  else if (is_keyword(s, len, "DSN")) c->dsn = 1;
  else if (is_keyword(s, len, "STARTTLS")) c->starttls = 1;
  else if (is_keyword(s, len, "AUTH")) c->login = 1, c->auth |= auth_mechanisms(s + 4, len - 4);
  else if (is_keyword(s, len, "SIZE")) {
    c->size = 1;
    if (len < 6 || len - 5 >= sizeof number) return;
    memcpy(number, s + 5, len - 5);
    number[len - 5] = 0;
    uint64_t limit;
    if (uint640_scan(number, &limit)) c->sizelimit = limit;
  }
}

/* The lines after the first: "250-KEYWORD args\n". */
static void take_offers(struct conn *c)
{
  char const *s = memchr(c->reply.text, '\n', c->reply.textlen);
  char const *end = c->reply.text + c->reply.textlen;
  while (s && ++s < end) {
    char const *next = memchr(s, '\n', (size_t)(end - s));
    if (!next) return;
    if (next - s > 4) take_offer(c, s + 4, (size_t)(next - s) - 4);
    s = next;
  }
}

static enum conn_status say_hello(struct conn *c, struct settings const *s, char const *verb)
{
  stralloc line = STRALLOC_ZERO;
  enum conn_status status = CONN_DIED;
  if (stralloc_cats(&line, verb) && stralloc_catb(&line, s->helo.s, s->helo.len) &&
      stralloc_catb(&line, "\r\n", 2))
    status = conn_exchange(c, line.s, line.len, 1, settings_stage(s, STAGE_HELO), accept_any, 0);
  stralloc_free(&line);
  return status;
}

static int give_up(struct conn *c)
{
  session_end(c);
  return 0;
}

static int broke(struct conn *c, enum conn_status status, struct outcome *o)
{
  session_broke(c, status, 0, o);
  conn_close(c);
  return 0;
}

/* A dislike of HELO is one of this host. An LMTP server was named by the administrator: one that
 * does not know LHLO is his slip, and no reason to bounce mail. */
static int reject(struct conn *c, struct outcome *o)
{
  outcome_message_said(o, c->reply.code >= 500 && !c->lmtp ? 'D' : 'Z', &c->reply,
                       "Connected to %s but my name was rejected.\n", c->name);
  if (c->lmtp) o->trouble = JOB_HOST;
  return give_up(c);
}

#define PORT_OF_TLS 465 /* from connecting on: RFC 8314 */

static int no_greeting(struct conn *c, enum conn_status status, struct outcome *o)
{
  int hint = c->port == PORT_OF_TLS && !conn_is_secure(c);
  broke(c, status, o);
  if (hint && (status == CONN_DIED || status == CONN_TIMEOUT))
    outcome_message(o, 'Z', "Connected to %s but connection died (port 465 wants wrapper). (#4.4.2)\n",
                    c->name);
  return 0;
}

static int await_greeting(struct conn *c, struct settings const *s, struct outcome *o)
{
  enum conn_status status =
      conn_exchange(c, 0, 0, 1, settings_stage(s, STAGE_GREETING), accept_any, 0);
  if (status != CONN_OK) return no_greeting(c, status, o);
  if (c->reply.code == 220) return 1;
  outcome_message_said(o, 'Z', &c->reply, "Connected to %s but greeting failed.\n", c->name);
  o->trouble = JOB_HOST;
  return give_up(c);
}

/* What became of a hello. */
static int judge_hello(struct conn *c, enum conn_status status, struct outcome *o)
{
  if (status != CONN_OK) return broke(c, status, o);
  return c->reply.code / 100 == 2 ? 1 : reject(c, o);
}

/* EHLO, LHLO, or HELO. The status of the last one. */
static enum conn_status introduce(struct conn *c, struct settings const *s)
{
  enum conn_status status = say_hello(c, s, c->lmtp ? "LHLO " : "EHLO ");
  if (status == CONN_OK && c->reply.code / 100 == 2) take_offers(c);
  else if (status == CONN_OK && c->reply.code >= 500 && !c->lmtp) status = say_hello(c, s, "HELO ");
  return status;
}

enum session_result session_begin(struct conn *c, struct settings const *s,
                                  struct tls_need *n, struct outcome *o)
{
  int wrapper = n->policy->wrapper;
  if (wrapper && tls_wrap(c, s, n, o) != TLS_ON) return SESSION_FAILED;
  if (!await_greeting(c, s, o) || !judge_hello(c, introduce(c, s), o)) return SESSION_FAILED;
  if (wrapper) return SESSION_READY;
  switch (tls_start(c, s, n, o)) {
  case TLS_CLEAR: return SESSION_READY;
  case TLS_AGAIN: return SESSION_AGAIN;
  case TLS_FAILED: return SESSION_FAILED;
  case TLS_ON: break;
  }
  enum conn_status status = introduce(c, s);
  if (tls_settle(c, n, status) == TLS_AGAIN) return SESSION_AGAIN;
  return judge_hello(c, status, o) ? SESSION_READY : SESSION_FAILED;
}

void session_end(struct conn *c)
{
  if (c->fd == -1) return;
  /* A leftover byte makes this fail at once: then there is nothing to wait for. */
  conn_exchange(c, "QUIT\r\n", 6, 1, STAGE_QUIT, accept_any, 0);
  conn_close(c);
}
