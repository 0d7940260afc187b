/* tls.c - TLS with a server; see tls.h */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "job.h"
#include "limits.h"
#include "session.h"
#include "tls.h"
#include "tlsclient.h"

#define NAMES_ROOM (TLSPOLICY_MATCH_MAX + DNS_NAME_MAX)

static int may(struct tls_need const *n)
{
  return n->policy->level == TLSPOLICY_MAY;
}

/* For the log: in clear, and why. */
static void note_clear(struct conn *c, char const *why)
{
  snprintf(c->tls, sizeof c->tls, "no - - %.150s", why);
}

static void note(struct conn *c, struct tlsclient_facts const *f)
{
  snprintf(c->tls, sizeof c->tls, "%s %s %.16s %.120s", f->protocol, f->cipher, f->third,
           f->fourth);
}

static enum tls_result fail(struct conn *c, struct outcome *o)
{
  conn_close(c);
  o->trouble = JOB_HOST;
  return TLS_FAILED;
}

/* --- the request --- */

static void name_server(struct conn const *c, char out[DNS_NAME_MAX + 2])
{
  if (*c->host) snprintf(out, DNS_NAME_MAX + 2, "%s", c->host);
  else snprintf(out, DNS_NAME_MAX + 2, "[%.64s]", c->name);
}

/* The names that the certificate has to have one of; without any the server's own, for the log.
 * 1, or 0: they have no room. */
static int put_names(struct conn const *c, struct tlspolicy const *p, char out[NAMES_ROOM])
{
  char server[DNS_NAME_MAX + 2];
  char const *list = *p->match ? p->match : "mx";
  size_t used = 0;
  name_server(c, server);
  for (char const *s = list; *s;) {
    size_t len = strcspn(s, ",");
    char const *name = s;
    s += len + (s[len] == ',');
    if (len == 2 && !memcmp(name, "mx", 2)) name = server, len = strlen(server);
    if (used + len + 2 > NAMES_ROOM) return 0;
    if (used) out[used++] = ',';
    memcpy(out + used, name, len);
    used += len;
  }
  out[used] = 0;
  return 1;
}

static char level_of(struct tlspolicy const *p)
{
  return p->level == TLSPOLICY_VERIFY    ? TLSWIRE_VERIFY
         : p->level == TLSPOLICY_ENCRYPT ? TLSWIRE_ENCRYPT
                                         : TLSWIRE_MAY;
}

/* For the handshake, which may not outlast the connection's limit. */
static uint32_t limit_ms(struct conn const *c, struct settings const *s)
{
  uint32_t most = 1000u * settings_stage(s, STAGE_TLS);
  tain left;
  if (!tain_future(&c->limit)) return 0;
  tain_sub(&left, &c->limit, &STAMP);
  int ms = tain_to_millisecs(&left);
  return ms >= 0 && (uint32_t)ms < most ? (uint32_t)ms : most;
}

static enum tlsclient_result ask(struct tlsclient *t, struct conn const *c,
                                 struct settings const *s, struct tlspolicy const *p)
{
  char peer[CONN_NAME_MAX + 16], names[NAMES_ROOM], packet[TLSWIRE_MAX];
  struct tlswire_request q = { .role = TLSWIRE_CLIENT, .level = level_of(p), .limit_ms = limit_ms(c, s) };
  *t = (struct tlsclient)TLSCLIENT_NONE;
  snprintf(peer, sizeof peer, "[%s]:%u", c->name, c->port);
  if (!put_names(c, p, names)) {
    snprintf(t->why, sizeof t->why, "the names of match= are too long");
    return TLSCLIENT_LOST;
  }
  int n = snprintf(packet, sizeof packet - sizeof q, "%s%c%s%c%s%c%s%c%s", peer, 0, c->host, 0, names,
                   0, p->prints, 0, p->ca);
  if (n < 0 || (size_t)n >= sizeof packet - sizeof q) {
    snprintf(t->why, sizeof t->why, "the policy is too long");
    return TLSCLIENT_LOST;
  }
  return tlsclient_ask(t, TLSWIRE_CLIENT_SOCKET, c->fd, &q, packet, (size_t)n + 1);
}

/* TLS cannot be had here, which is not the server's fault. */
static enum tls_result unavailable(struct conn *c, char const *why, struct outcome *o)
{
  outcome_message(o, 'Z', "TLS is required for %s, but is not available here: %s. (#4.3.0)\n",
                  c->name, why);
  session_end(c);
  return TLS_FAILED;
}

int tls_can_be_had(struct tls_need const *n, struct outcome *o)
{
  if (n->policy->level < TLSPOLICY_ENCRYPT || tlsclient_is_there(TLSWIRE_CLIENT_SOCKET)) return 1;
  outcome_message(o, 'Z',
                  "TLS is required, but is not available here: " TLSWIRE_CLIENT_SOCKET ": %s. (#4.3.0)\n",
                  strerror(errno));
  return 0;
}

/* --- the handshake --- */

/* It has failed, and that was the server. */
static enum tls_result peer_failed(struct conn *c, struct tls_need const *n, char const *why,
                                   struct outcome *o)
{
  conn_close(c);
  if (may(n)) {
    note_clear(c, why);
    return TLS_AGAIN;
  }
  char const *hint = n->policy->wrapper && strstr(why, "wrong version number")
                         ? " (no TLS at once there: leave out wrapper?)"
                         : "";
  outcome_message(o, 'Z', "Connected to %s but TLS, which is required, failed: %s%s. (#4.7.5)\n",
                  c->name, why, hint);
  return fail(c, o);
}

/* pipit-tlsd has failed after all, and the connection is lost. Another one may do better. */
static enum tls_result tlsd_failed(struct conn *c, char const *why, struct outcome *o)
{
  outcome_message(o, 'Z', "Connected to %s but TLS was interrupted: %s. (#4.4.2)\n", c->name, why);
  conn_close(c);
  return TLS_FAILED;
}

static enum tls_result shake_hands(struct conn *c, struct settings const *s,
                                   struct tls_need const *n, struct tlsclient *t,
                                   struct outcome *o)
{
  struct tlsclient_facts f;
  enum tlsclient_result r =
      tlsclient_begin(t, &f, clock_ms() + limit_ms(c, s) + TLSCLIENT_STEP_MS, 0);
  tain_now_g();
  if (r == TLSCLIENT_PEER) return peer_failed(c, n, t->why, o);
  if (r != TLSCLIENT_OK) return tlsd_failed(c, t->why, o);
  if (!conn_secure(c, t->plain)) return tlsd_failed(c, strerror(errno), o);
  close(t->plain);
  t->plain = -1;
  note(c, &f);
  return TLS_ON;
}

enum tls_result tls_wrap(struct conn *c, struct settings const *s, struct tls_need *n,
                         struct outcome *o)
{
  struct tlsclient *t = &n->session;
  enum tls_result r = TLS_FAILED;
  if (ask(t, c, s, n->policy) == TLSCLIENT_OK) {
    r = shake_hands(c, s, n, t, o);
  } else {
    outcome_message(o, 'Z', "TLS is required for %s, but is not available here: %s. (#4.3.0)\n",
                    c->name, t->why);
    conn_close(c);
  }
  tlsclient_end(t);
  return r;
}

/* --- STARTTLS --- */

static int take_any(void *arg, size_t i, struct smtpreply const *reply)
{
  (void)arg, (void)i, (void)reply;
  return 1;
}

/* A server is silent between its 220 and our hello: whatever else came is not its doing. */
static int has_typed_ahead(struct conn const *c)
{
  char byte;
  return c->inpos < c->inlen || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static enum tls_result injected(struct conn *c, struct outcome *o)
{
  outcome_message(o, 'Z',
                  "Connected to %s but text in clear stands behind its answer to STARTTLS: somebody "
                  "in between may have put it there. (#4.7.5)\n",
                  c->name);
  return fail(c, o);
}

/* Whoever refuses may mean it for now: that is the affair of the next connection. */
static enum tls_result refused(struct conn *c, struct tls_need const *n, struct tlsclient *t,
                               struct outcome *o)
{
  if (may(n)) {
    tlsclient_refused(t);
    session_end(c);
    note_clear(c, "STARTTLS was refused");
    return TLS_AGAIN;
  }
  outcome_message_said(o, 'Z', &c->reply,
                       "Connected to %s but STARTTLS, which is required, was refused. (#4.7.4)\n", c->name);
  session_end(c);
  return fail(c, o);
}

static enum tls_result say_starttls(struct conn *c, struct settings const *s,
                                    struct tls_need const *n, struct tlsclient *t,
                                    struct outcome *o)
{
  enum conn_status status =
      conn_exchange(c, "STARTTLS\r\n", 10, 1, settings_stage(s, STAGE_ENVELOPE), take_any, 0);
  if (status != CONN_OK && may(n) && status != CONN_MALFORMED) {
    tlsclient_refused(t);
    conn_close(c);
    note_clear(c, "no answer to STARTTLS");
    return TLS_AGAIN;
  }
  if (status != CONN_OK) {
    session_broke(c, status, 0, o);
    return fail(c, o);
  }
  if (has_typed_ahead(c)) return injected(c, o);
  return c->reply.code == 220 ? shake_hands(c, s, n, t, o) : refused(c, n, t, o);
}

static enum tls_result not_offered(struct conn *c, struct tls_need const *n, struct outcome *o)
{
  if (may(n)) {
    note_clear(c, "");
    return TLS_CLEAR;
  }
  outcome_message(o, 'Z', "Connected to %s but it does not offer TLS, which is required. (#4.7.4)\n",
                  c->name);
  session_end(c);
  return fail(c, o);
}

/* No need to say STARTTLS: what is in the way is here. */
static enum tls_result without(struct conn *c, struct tls_need const *n,
                               struct tlsclient const *t, enum tlsclient_result r,
                               struct outcome *o)
{
  if (!may(n)) return unavailable(c, t->why, o);
  if (r == TLSCLIENT_PLAIN) {
    note_clear(c, t->why);
  } else {
    char why[TLSCLIENT_WHY_MAX + 32];
    snprintf(why, sizeof why, "not available here: %s", t->why);
    note_clear(c, why);
  }
  return TLS_CLEAR;
}

enum tls_result tls_start(struct conn *c, struct settings const *s, struct tls_need *n,
                          struct outcome *o)
{
  struct tlsclient *t = &n->session;
  if (n->policy->level == TLSPOLICY_NONE || n->clear) return TLS_CLEAR;
  if (!c->starttls) return not_offered(c, n, o);
  enum tlsclient_result asked = ask(t, c, s, n->policy);
  enum tls_result r =
      asked == TLSCLIENT_OK ? say_starttls(c, s, n, t, o) : without(c, n, t, asked, o);
  if (r != TLS_ON) tlsclient_end(t);
  return r;
}

/* pipit-tlsd knows whether it was the server, and tells once the plain text is closed. */
enum tls_result tls_settle(struct conn *c, struct tls_need *n, enum conn_status status)
{
  struct tlsclient *t = &n->session;
  int failed = 0;
  if (may(n) && status == CONN_DIED) {
    conn_close(c);
    failed = tlsclient_blames_peer(t, clock_ms() + TLSCLIENT_ANSWER_MS);
    tain_now_g();
    if (failed) note_clear(c, t->why);
  }
  tlsclient_end(t);
  return failed ? TLS_AGAIN : TLS_ON;
}
