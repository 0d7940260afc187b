/* auth.c - AUTH of SMTP; see auth.h */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth.h"
#include "clock.h"
#include "control.h"
#include "sasl.h"
#include "senders.h"
#include "session.h"

#define LIMIT_TEXT 80

static struct auth const *offered;
static enum authwire_service service;
static int required;

void auth_offer(struct auth const *a, enum authwire_service kind, int is_required)
{
  offered = a;
  service = kind;
  required = is_required;
}

int auth_is_offered(void)
{
  return offered != 0;
}

int auth_runs_program(void)
{
  return offered && offered->checker;
}

/* A password in clear is everybody's who can listen. */
static int may_use(struct session const *s)
{
  return s->tls.on || netlist_has(&s->settings->authinclear, s->client.ip);
}

void auth_ehlo(struct session *s, char out[AUTH_EHLO_MAX])
{
  char names[SASL_NAMES_MAX];
  *out = 0;
  if (!offered || s->login[0] || !may_use(s)) return;
  unsigned int set = auth_mechanisms(offered);
  /* Where it is required, and nothing can be checked, a client shall try, and hear 454. */
  if (!set && required) set = AUTHWIRE_HAS_PLAIN;
  if (sasl_names(names, set)) snprintf(out, AUTH_EHLO_MAX, "250-AUTH%s\r\n", names);
}

void auth_forget(struct session *s)
{
  if (!s->login[0]) return;
  s->login[0] = 0;
  s->client.relay = s->before_login.relay;
  s->client.info = s->before_login.info;
}

static void is_in(struct session *s, char const *login)
{
  snprintf(s->login, sizeof s->login, "%s", login);
  s->before_login.relay = s->client.relay;
  s->before_login.info = s->client.info;
  s->client.info = s->login;
  if (!s->client.relay) s->client.relay = "";
  s->in_a_row = 0;
  session_reply(s, 235, "2.7.0", "go ahead");
}

/* A program's failures cost time here; pipit-authd sees to its own. */
static void has_failed(struct session *s)
{
  s->auth_failures++;
  uint64_t end = clock_ms() + s->auth_failures * s->settings->authdelay * 1000;
  stream_flush(&s->io);
  while (offered->checker && clock_ms() < end && !(s->io.stop && *s->io.stop)) clock_nap(100);
  session_reply(s, 535, "5.7.8", "login or password wrong");
  if (s->auth_failures >= AUTH_FAILURES)
    session_close(s, 421, "4.7.0", "too many failed logins", "too many failed logins");
}

static void tell_trouble(struct session *s, char const *text)
{
  session_reply(s, 454, "4.7.0", text);
}

static void answer(struct session *s, struct sasl *c, enum sasl_result r)
{
  char text[AUTH_WHY_MAX + 64];
  switch (r) {
    case SASL_OK: is_in(s, c->answer.login); break;
    case SASL_REFUSED: has_failed(s); break;
    case SASL_CANCELLED: session_reply(s, 501, "5.7.0", "cancelled"); break;
    case SASL_MALFORMED: session_reply(s, 501, "5.5.2", "not what this mechanism wants"); break;
    case SASL_UNKNOWN: session_reply(s, 504, "5.5.4", "no such mechanism here"); break;
    case SASL_LATER:
      snprintf(text, sizeof text, "too many failed logins, try again in %u seconds", c->answer.seconds);
      tell_trouble(s, text);
      break;
    default: tell_trouble(s, "logins cannot be checked now, try again later"); break;
  }
}

/* Send challenges and take answers until it is decided. */
static void converse(struct session *s, struct sasl *c, enum sasl_result r)
{
  char reply[sizeof c->challenge + 8];
  char *line;
  size_t len;
  while (r == SASL_CONTINUE) {
    int n = snprintf(reply, sizeof reply, "334 %.*s\r\n", (int)c->challengelen, c->challenge);
    stream_put(&s->io, reply, (size_t)n);
    switch (session_read_line(s, SASL_LINE_MAX, &line, &len)) {
      case SESSION_LINE:
        r = sasl_continue(c, line, len);
        explicit_bzero(line, len);
        break;
      case SESSION_LINE_LONG:
        sasl_cancel(c);
        session_reply(s, 500, "5.5.6", "line too long");
        return;
      default: sasl_cancel(c); return;
    }
  }
  answer(s, c, r);
}

static void begin(struct session *s, char const *arg, size_t len)
{
  struct sasl c;
  struct auth_who const who = { .ip = s->client.ip, .localip = s->client.localip, .service = service,
                                .tls = s->tls.on, .client = -1, .stop = s->io.stop };
  char const *space = memchr(arg, ' ', len);
  size_t name = space ? (size_t)(space - arg) : len;
  char const *initial = space ? space + 1 : 0;
  size_t left = space ? len - name - 1 : 0;
  if (initial && memchr(initial, ' ', left)) {
    session_reply(s, 501, "5.5.4", "AUTH takes a mechanism and one response");
    return;
  }
  converse(s, &c, sasl_begin(&c, offered, &who, s->settings->me.s, arg, name, initial, left));
  explicit_bzero(&c, sizeof c);
}

void auth_command(struct session *s, char const *arg, size_t len)
{
  if (!offered) session_reply(s, 502, "5.5.1", "unimplemented");
  else if (s->login[0]) session_reply(s, 503, "5.5.1", "you have logged in already");
  else if (s->has_sender) session_reply(s, 503, "5.5.1", "not within a transaction");
  else if (!s->esmtp) session_reply(s, 503, "5.5.1", "EHLO first");
  else if (!may_use(s)) session_reply(s, 538, "5.7.11", "encryption is required: STARTTLS first");
  else if (!len) session_reply(s, 501, "5.5.4", "AUTH takes a mechanism");
  else begin(s, arg, len);
}

static int refuse(struct session *s, unsigned int code, char const *status, char const *text)
{
  char reply[160];
  snprintf(reply, sizeof reply, "%s %s", status, text);
  session_reply(s, code, status, text);
  log_refused(s, 0, 0, code, reply);
  return 0;
}

/* The file is read for each message: it may change, and few sessions have many. */
static int is_own(struct session *s, struct smtppath const *p)
{
  struct senders senders = SENDERS_ZERO;
  int r = senders_load(&senders) ? senders_may(&senders, s->login, p->s, p->len) : -1;
  senders_free(&senders);
  if (r == 1) return 1;
  if (r == -1) {
    log_trouble(control_why());
    return refuse(s, 451, "4.3.5", "unable to read control/senders");
  }
  return refuse(s, 553, "5.7.1", "your login may not send as that address");
}

int auth_may_mail(struct session *s, struct smtppath const *p)
{
  if (s->login[0]) return is_own(s, p);
  if (!required || s->client.relay || auth_address_may_relay(s)) return 1;
  if (may_use(s) && !auth_mechanisms(offered))
    return refuse(s, 451, "4.3.0", "logins cannot be checked now, try again later");
  return refuse(s, 530, "5.7.0", may_use(s) ? "log in first" : "STARTTLS first, then log in");
}

int auth_may_send_now(struct session *s)
{
  struct auth_answer a;
  char text[LIMIT_TEXT];
  if (!s->login[0]) return 1;
  switch (auth_may_send(s->login, (unsigned int)s->nrcpts, &a)) {
    case AUTH_OK: return 1;
    case AUTH_LATER:
      snprintf(text, sizeof text, "you have sent too much within an hour, try again in %u seconds", a.seconds);
      return refuse(s, 450, "4.7.1", text);
    case AUTH_NO: return refuse(s, 550, "5.7.1", "this is more than you may send within an hour");
    default: return refuse(s, 451, "4.3.0", "unable to tell how much you have sent, try again later");
  }
}

int auth_address_may_relay(struct session *s)
{
  struct auth_answer a;
  if (s->client.relay) return 1;
  if (!s->settings->relayopen || s->asked_open) return 0;
  s->asked_open = 1;
  if (auth_is_open(s->client.ip, &a) != AUTH_OK) return 0;
  s->client.relay = "";
  return 1;
}
