/* auth.c - log in at a relay; see auth.h
 *
 * No password is here, nor what one could be guessed from: pipit-authc makes the lines that go out,
 * and reads what the server says to them.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "authcwire.h"
#include "clock.h"
#include "localsocket.h"
#include "job.h"
#include "limits.h"
#include "logline.h"
#include "session.h"
#include "word.h"

#define ASK_MS     60000 /* for an answer of pipit-authc */
#define ROUNDS_MAX 5     /* challenges */
#define WHY_ROOM   256

static char const *const names[AUTHCWIRE_COUNT] = AUTHCWIRE_NAMES;

struct login {
  struct conn *c;
  struct route const *r;
  struct settings const *s;
  struct outcome *o;
  int sock; /* to pipit-authc, -1: none */
  char line[AUTHCWIRE_MAX + 3]; /* its answer, and CR LF */
  size_t len;
};

int auth_mechanisms(char const *s, size_t len)
{
  int found = 0;
  for (char const *end = s + len; s < end; s++) {
    char const *blank = memchr(s, ' ', (size_t)(end - s));
    size_t n = (size_t)((blank ? blank : end) - s);
    for (int i = 0; i < AUTHCWIRE_COUNT; i++)
      if (word_is(s, n, names[i])) found |= 1 << i;
    s += n;
  }
  return found;
}

/* --- what goes wrong --- */

/* The mail waits for the administrator. */
static enum auth_result alert(struct login *l, struct smtpreply const *said, char const *why,
                              char const *mend)
{
  struct logline line = LOGLINE_ZERO;
  char where[2 * WHY_ROOM];
  logline_text(&line, "alert: unable to log in at a relay");
  logline_key(&line, "host", *l->c->host ? l->c->host : l->c->name);
  logline_key(&line, "ip", l->c->name);
  logline_key(&line, *l->r->secret ? "user" : "credentials", l->r->auth);
  if (said) logline_keyb(&line, "reply", said->text, said->textlen);
  else logline_key(&line, "reason", why);
  logline_key(&line, "mend", mend);
  logline_write(&line);
  snprintf(where, sizeof where, "Unable to log in at %s: %.200s. (#4.7.0)\n", l->c->name, why);
  if (said) outcome_message_said(l->o, 'Z', said, "%s", where);
  else outcome_message(l->o, 'Z', "%s", where);
  l->o->trouble = JOB_LOGIN;
  session_end(l->c);
  return AUTH_STOP;
}

static char const *route_file(struct login const *l)
{
  static char name[64];
  snprintf(name, sizeof name, "control/%.50s", l->r->file ? l->r->file : "smtproutes");
  return name;
}

#define LIST_ROOM sizeof(" LOGIN PLAIN CRAM-MD5 SCRAM-SHA-256")

/* Each of <mechanisms> with a blank before it. */
static char const *list(char out[LIST_ROOM], int mechanisms)
{
  size_t n = 0;
  *out = 0;
  for (int i = 0; i < AUTHCWIRE_COUNT && n < LIST_ROOM; i++)
    if (mechanisms & 1 << i) n += (size_t)snprintf(out + n, LIST_ROOM - n, " %s", names[i]);
  return out;
}

static enum auth_result no_mechanism(struct login *l)
{
  char text[WHY_ROOM], asked[LIST_ROOM], offered[LIST_ROOM];
  char const *why = text;
  if (!l->c->login) why = "the server offers no AUTH (is that the submission port?)";
  else if (!l->c->auth) why = "the server offers no mechanism that this host may use (PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-256)";
  else
    snprintf(text, sizeof text, "the route asks for%s, but the server offers%s",
             list(asked, l->r->mechanisms), list(offered, l->c->auth));
  return alert(l, 0, why, route_file(l));
}

/* Where the password is. */
static char const *secret_file(struct login const *l)
{
  return *l->r->secret ? route_file(l) : "control/" AUTHCWIRE_FILE;
}

static enum auth_result broke(struct login *l, enum conn_status status)
{
  session_broke(l->c, status, 0, l->o);
  conn_close(l->c);
  return AUTH_NEXT;
}

/* pipit-authc says no: in a login that has begun, "*" ends it (RFC 4954, 4). */
static enum auth_result refused_here(struct login *l)
{
  char why[WHY_ROOM];
  snprintf(why, sizeof why, "%.*s", (int)l->len, l->line);
  return alert(l, 0, why, secret_file(l));
}

/* The server says no. 4yz is its own trouble, but for a login that has to be another one (432). */
static enum auth_result refused(struct login *l)
{
  struct smtpreply const *reply = &l->c->reply;
  if (reply->code >= 500 || reply->code == 432)
    return alert(l, reply, "the server refuses the login", secret_file(l));
  if (reply->code / 100 == 4) {
    outcome_message_said(l->o, 'Z', reply, "Unable to log in at %s for now.\n", l->c->name);
    l->o->trouble = JOB_HOST;
    session_end(l->c);
    return AUTH_NEXT;
  }
  return broke(l, CONN_MALFORMED);
}

/* --- pipit-authc --- */

static int reach(struct login *l)
{
  l->sock = localsocket_reach(AUTHCWIRE_SOCKET);
  return l->sock != -1;
}

/* Ask, and wait for the answer. Its kind; 0: there is none, with errno. */
static int ask(struct login *l, struct iovec *v, size_t n)
{
  struct msghdr m = { .msg_iov = v, .msg_iovlen = n };
  struct pollfd x = { .fd = l->sock, .events = POLLIN };
  char buf[AUTHCWIRE_MAX];
  if (sendmsg(l->sock, &m, MSG_NOSIGNAL) == -1) return 0;
  int r = poll(&x, 1, ASK_MS);
  if (r != 1) return (errno = r ? errno : ETIMEDOUT, 0);
  ssize_t got = recv(l->sock, buf, sizeof buf, MSG_DONTWAIT);
  if (got < 1) return (errno = got ? errno : EPIPE, 0);
  l->len = (size_t)got - 1;
  memcpy(l->line, buf + 1, l->len);
  l->line[l->len] = 0;
  return *buf;
}

static int ask_begin(struct login *l)
{
  char head[2] = { *l->r->secret ? 'U' : 'N', (char)l->c->auth };
  size_t userlen = strlen(l->r->auth) + (*l->r->secret != 0); /* with its NUL */
  struct iovec v[3] = { { head, 2 }, { (char *)l->r->auth, userlen },
                        { (char *)l->r->secret, strlen(l->r->secret) } };
  return reach(l) ? ask(l, v, 3) : 0;
}

/* What stands behind the code; only of a reply of one line. */
static int ask_challenge(struct login *l)
{
  struct smtpreply const *reply = &l->c->reply;
  char kind = 'C';
  char const *text = reply->text + 4;
  size_t len = reply->textlen > 5 ? reply->textlen - 5 : 0;
  struct iovec v[2] = { { &kind, 1 }, { (char *)text, len } };
  if (memchr(text, '\n', len)) return (errno = EPROTO, 0);
  return ask(l, v, 2);
}

static int ask_end(struct login *l)
{
  char kind = 'D';
  struct iovec v = { &kind, 1 };
  return ask(l, &v, 1);
}

static enum auth_result no_answer(struct login *l)
{
  char why[WHY_ROOM];
  int e = errno;
  snprintf(why, sizeof why, "pipit-authc does not answer on " AUTHCWIRE_SOCKET ": %s", strerror(e));
  return alert(l, 0, why, "service/authc");
}

/* --- the dialogue --- */

static int accept_any(void *arg, size_t i, struct smtpreply const *reply)
{
  (void)arg, (void)i, (void)reply;
  return 1;
}

static enum conn_status say(struct login *l)
{
  memcpy(l->line + l->len, "\r\n", 2);
  enum conn_status status = conn_exchange(l->c, l->line, l->len + 2, 1,
                                          settings_stage(l->s, STAGE_ENVELOPE), accept_any, 0);
  explicit_bzero(l->line, l->len);
  return status;
}

static enum auth_result cancel(struct login *l)
{
  static char const star[] = "*\r\n";
  conn_exchange(l->c, star, sizeof star - 1, 1, STAGE_QUIT, accept_any, 0);
  return refused_here(l);
}

static enum auth_result converse(struct login *l)
{
  int kind = ask_begin(l);
  for (int i = 0; kind == 'S' || kind == 'R'; i++) {
    enum conn_status status = say(l);
    if (status != CONN_OK) return broke(l, status);
    int code = l->c->reply.code;
    if (code == 235) {
      kind = ask_end(l);
      if (kind == 'K') return AUTH_OK;
      break;
    }
    if (code != 334) return refused(l);
    if (i == ROUNDS_MAX) return broke(l, CONN_MALFORMED);
    kind = ask_challenge(l);
    if (kind == 'E') return cancel(l);
  }
  return kind == 'E' ? refused_here(l) : no_answer(l);
}

enum auth_result auth_login(struct conn *c, struct route const *r, struct settings const *s,
                            struct outcome *o)
{
  static struct login l;
  if (!*r->auth) return AUTH_OK;
  l = (struct login){ .c = c, .r = r, .s = s, .o = o, .sock = -1 };
  if (!r->clear && !conn_is_secure(c))
    return alert(&l, 0, "the server has no TLS, and the route does not say auth=NAME,clear", route_file(&l));
  int fitting = r->mechanisms ? c->auth & r->mechanisms : c->auth;
  if (!fitting) return no_mechanism(&l);
  c->auth = fitting;
  enum auth_result result = converse(&l);
  if (l.sock != -1) close(l.sock);
  explicit_bzero(l.line, sizeof l.line);
  return result;
}
