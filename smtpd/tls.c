/* tls.c - ask pipit-tlsd, or the server that has started us, for TLS; see tls.h */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/types.h>

#include "clock.h"
#include "stream.h"
#include "tls.h"
#include "tlsclient.h"

static char const *const ucspi_variables[] = { "SSLCTLFD", "SSLREADFD", "SSLWRITEFD" };

static int fail(struct tls_offer *o, char const *what)
{
  snprintf(o->why, sizeof o->why, "%s", what);
  return 0;
}

/* --- UCSPI-TLS --- */

/* 1 when all three name a descriptor that is open. */
static int ucspi_find(unsigned int fd[3])
{
  for (int i = 0; i < 3; i++) {
    char const *s = getenv(ucspi_variables[i]);
    if (!s || !uint0_scan(s, &fd[i]) || fd[i] > 65535 || fcntl((int)fd[i], F_GETFD) == -1) return 0;
  }
  return 1;
}

void tls_forget_ucspi(void)
{
  for (int i = 0; i < 3; i++) unsetenv(ucspi_variables[i]);
}

static void ucspi_fact(struct tls *t, char const *s)
{
  struct { char const *name; char *to; size_t size; char const *unwanted; } const facts[] = {
    { "SSL_PROTOCOL=", t->protocol, sizeof t->protocol, TLSCLIENT_WORD },
    { "SSL_CIPHER=", t->cipher, sizeof t->cipher, TLSCLIENT_WORD },
    { "SSL_TLS_SNI_SERVERNAME=", t->name, sizeof t->name, TLSCLIENT_WORD }, /* s6-networking */
    { "SSL_TLS_SNI=", t->name, sizeof t->name, TLSCLIENT_WORD },
    { "SSL_CLIENT_S_DN=", t->subject, sizeof t->subject, TLSCLIENT_TEXT },
  };
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    size_t len = strlen(facts[i].name);
    if (!strncmp(s, facts[i].name, len))
      tlsclient_keep(facts[i].to, facts[i].size, s + len, facts[i].unwanted);
  }
}

/* Read VAR=value strings, each with a NUL behind it, up to an empty one. */
static int ucspi_facts(struct tls_offer *o, struct tls *t, uint64_t end,
                       volatile sig_atomic_t const *stop)
{
  char var[512], block[1024];
  size_t len = 0;
  while (tlsclient_await(o->control, end, stop, o->why)) {
    ssize_t n = read(o->control, block, sizeof block);
    if (n <= 0) return fail(o, "the server did not do it");
    for (ssize_t i = 0; i < n; i++) {
      if (len < sizeof var) var[len++] = block[i]; /* of a long value the beginning */
      if (block[i]) continue;
      if (len == 1) return 1;
      var[len - 1] = 0;
      ucspi_fact(t, var);
      len = 0;
    }
  }
  return 0;
}

/* --- pipit-tlsd --- */

/* Its process for the last session, and whom that has served: nobody else's text is ever to be where
 * a stranger may have broken in, and for long not even his. */
static struct {
  int on;
  int control; /* 0: none */
  uint64_t since;
  char ip[INET6_ADDRSTRLEN];
} last;

static void let_go(void)
{
  if (last.control) close(last.control);
  last.control = 0;
}

void tls_again(char const *ip)
{
  last.on = ip != 0;
  if (ip && !strcmp(ip, last.ip)) return;
  let_go();
  if (ip) snprintf(last.ip, sizeof last.ip, "%s", ip);
}

/* What <t> knows is the offer's. */
static int take(struct tls_offer *o, struct tlsclient const *t, int ok)
{
  o->control = t->control;
  o->in = o->out = t->plain;
  if (!ok) fail(o, t->why);
  return ok;
}

static int ask(struct tls_offer *o, int in, uint32_t limit_ms)
{
  struct tlswire_request q = { .role = TLSWIRE_SERVER, .limit_ms = limit_ms };
  uint64_t now = clock_ms();
  if (!last.on || now - last.since >= TLSWIRE_AGAIN_MS) let_go();
  struct tlsclient t = { .control = last.control, .plain = -1 };
  last.control = 0;
  if (t.control && tlsclient_ask_again(&t, in, &q)) return take(o, &t, 1);
  last.since = now;
  return take(o, &t, tlsclient_ask(&t, TLSWIRE_SOCKET, in, &q, 0, 0) == TLSCLIENT_OK);
}

static int facts(struct tls_offer *o, struct tls *t, uint64_t end,
                 volatile sig_atomic_t const *stop)
{
  struct tlsclient c = { .control = o->control, .plain = o->in };
  struct tlsclient_facts f;
  int ok = tlsclient_begin(&c, &f, end, stop) == TLSCLIENT_OK;
  memcpy(t->protocol, f.protocol, sizeof t->protocol);
  memcpy(t->cipher, f.cipher, sizeof t->cipher);
  memcpy(t->name, f.third, sizeof t->name);
  memcpy(t->subject, f.fourth, sizeof t->subject);
  return take(o, &c, ok);
}

/* --- both --- */

int tls_is_there(int in, int out)
{
  static uint64_t asked;
  static int there;
  unsigned int fd[3];
  uint64_t now = clock_ms();
  if (ucspi_find(fd)) return 1;
  if (!stream_is_one_socket(in, out)) return 0;
  if (asked && now - asked < TLS_CHECK_MS) return there;
  asked = now;
  return there = tlsclient_is_there(TLSWIRE_SOCKET);
}

int tls_prepare(struct tls_offer *o, int in, int out, uint32_t limit_ms)
{
  unsigned int fd[3];
  *o = (struct tls_offer)TLS_OFFER_NONE;
  if (ucspi_find(fd)) {
    o->ucspi = 1;
    o->control = (int)fd[0];
    o->in = (int)fd[1];
    o->out = (int)fd[2];
    return 1;
  }
  if (stream_is_one_socket(in, out) ? ask(o, in, limit_ms)
                                    : fail(o, "the client is not on one socket"))
    return 1;
  tls_cancel(o);
  return 0;
}

/* A program that the session runs is not to inherit what was not to be inherited before. */
static int replace(int from, int to)
{
  int flags = fcntl(to, F_GETFD);
  return from == to || (flags != -1 && dup3(from, to, flags & FD_CLOEXEC ? O_CLOEXEC : 0) != -1);
}

int tls_handshake(struct tls_offer *o, struct tls *t, int in, int out, uint32_t limit_ms,
                  volatile sig_atomic_t const *stop)
{
  uint64_t end = clock_ms() + limit_ms + TLSCLIENT_STEP_MS; /* pipit-tlsd knows better what went wrong */
  int ok = 0;
  if (!o->ucspi) ok = facts(o, t, end, stop);
  else if (write(o->control, "Y", 1) == 1) ok = ucspi_facts(o, t, end, stop);
  else fail(o, strerror(errno));
  if (ok && (!replace(o->in, in) || !replace(o->out, out))) ok = fail(o, strerror(errno));
  if (!o->ucspi && (last.on || !ok)) {
    last.control = o->control;
    o->control = -1;
  }
  tls_cancel(o);
  t->on = ok;
  return ok;
}

void tls_await_end(int in, int on)
{
  struct pollfd x = { .fd = last.control, .events = POLLIN };
  if (!last.control) return;
  if (on) shutdown(in, SHUT_RDWR);
  poll(&x, 1, TLS_END_MS);
}

void tls_cancel(struct tls_offer *o)
{
  if (o->ucspi) tls_forget_ucspi();
  if (o->out != -1 && o->out != o->in) close(o->out);
  if (o->in != -1) close(o->in);
  if (o->control != -1) close(o->control);
  o->control = o->in = o->out = -1;
}
