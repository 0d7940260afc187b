/* tls.c - ask pipit-tlsd, or the server that has started us, for TLS; see tls.h */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/types.h>

#include "clock.h"
#include "fdpass.h"
#include "home.h"
#include "stream.h"
#include "tls.h"
#include "tlswire.h"

#define STEP_MS 1000 /* how late a request to stop may be noticed */

static char const *const ucspi_variables[] = { "SSLCTLFD", "SSLREADFD", "SSLWRITEFD" };

static int fail(struct tls_offer *o, char const *what)
{
  snprintf(o->why, sizeof o->why, "%s", what);
  return 0;
}

/* Copy a value that strangers may have a part in. */
static void keep(char *to, size_t size, char const *from)
{
  size_t i = 0;
  for (; from[i] && i < size - 1; i++) {
    unsigned char c = (unsigned char)from[i];
    to[i] = c <= 32 || c > 126 || c == '(' || c == ')' || c == '\\' ? '?' : from[i];
  }
  to[i] = 0;
}

/* Wait until there is something to read, or an end. 1; 0 and why. */
static int await(struct tls_offer *o, uint64_t end, volatile sig_atomic_t const *stop)
{
  for (;;) {
    struct pollfd x = { .fd = o->control, .events = POLLIN };
    uint64_t now = clock_ms();
    if (stop && *stop) return fail(o, "shutdown");
    if (now >= end) return fail(o, "timeout");
    int r = poll(&x, 1, end - now < STEP_MS ? (int)(end - now) : STEP_MS);
    if (r > 0) return 1;
    if (r == -1 && errno != EINTR) return fail(o, strerror(errno));
  }
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
  struct { char const *name; char *to; size_t size; } const facts[] = {
    { "SSL_PROTOCOL=", t->protocol, sizeof t->protocol },
    { "SSL_CIPHER=", t->cipher, sizeof t->cipher },
    { "SSL_TLS_SNI_SERVERNAME=", t->name, sizeof t->name }, /* s6-networking */
    { "SSL_TLS_SNI=", t->name, sizeof t->name },
    { "SSL_CLIENT_S_DN=", t->subject, sizeof t->subject },
  };
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    size_t len = strlen(facts[i].name);
    if (!strncmp(s, facts[i].name, len)) keep(facts[i].to, facts[i].size, s + len);
  }
}

/* Read VAR=value strings, each with a NUL behind it, up to an empty one. */
static int ucspi_facts(struct tls_offer *o, struct tls *t, uint64_t end,
                       volatile sig_atomic_t const *stop)
{
  char var[512], block[1024];
  size_t len = 0;
  while (await(o, end, stop)) {
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

/* A connection to it, or -1 with errno. */
static int reach(void)
{
  struct sockaddr_un sa;
  if (!home_socket(&sa, TLSWIRE_SOCKET)) return -1;
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1 || connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0) return fd;
  int e = errno;
  close(fd);
  errno = e;
  return -1;
}

/* A packet of kind <good>, as a string, with up to one descriptor. Its length; 0 and why. */
static size_t hear(struct tls_offer *o, char packet[TLSWIRE_MAX], char good, uint64_t end,
                   volatile sig_atomic_t const *stop, int *fd)
{
  if (!await(o, end, stop)) return 0;
  ssize_t n = fdpass_recv(o->control, packet, TLSWIRE_MAX - 1, 0, fd, 1);
  if (n > 0) {
    packet[n] = 0;
    if (packet[0] == good) return (size_t)n;
    if (*fd != -1) close(*fd);
  }
  fail(o, n > 0 && packet[0] == TLSWIRE_FAILED ? packet + 1 : "pipit-tlsd went away");
  return 0;
}

static int ask(struct tls_offer *o, int in, uint32_t limit_ms)
{
  char packet[TLSWIRE_MAX];
  struct tlswire_request q = { .role = TLSWIRE_SERVER, .limit_ms = limit_ms };
  struct iovec v = { &q, sizeof q };
  o->control = reach();
  if (o->control == -1) return fail(o, strerror(errno));
  if (fdpass_send(o->control, &v, 1, &in, 1) != 1) return fail(o, strerror(errno));
  if (!hear(o, packet, TLSWIRE_GO, clock_ms() + TLS_ANSWER_MS, 0, &o->in)) return 0;
  if (o->in == -1) return fail(o, "pipit-tlsd sent no socket");
  o->out = o->in;
  return 1;
}

static int facts(struct tls_offer *o, struct tls *t, uint64_t end,
                 volatile sig_atomic_t const *stop)
{
  char packet[TLSWIRE_MAX];
  struct { char *to; size_t size; } const to[TLSWIRE_FACTS] = {
    { t->protocol, sizeof t->protocol }, { t->cipher, sizeof t->cipher },
    { t->name, sizeof t->name }, { t->subject, sizeof t->subject }
  };
  int fd;
  if (send(o->control, &(char){ TLSWIRE_BEGIN }, 1, MSG_NOSIGNAL) != 1)
    return fail(o, "pipit-tlsd went away");
  size_t n = hear(o, packet, TLSWIRE_OK, end, stop, &fd);
  if (!n) return 0;
  if (fd != -1) close(fd);
  char const *s = packet + 1;
  for (size_t i = 0; i < TLSWIRE_FACTS && s < packet + n; i++, s += strlen(s) + 1)
    keep(to[i].to, to[i].size, s);
  return 1;
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
  int sock = reach();
  if (sock != -1) close(sock);
  asked = now;
  return there = sock != -1;
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

int tls_handshake(struct tls_offer *o, struct tls *t, int in, int out, uint32_t limit_ms,
                  volatile sig_atomic_t const *stop)
{
  uint64_t end = clock_ms() + limit_ms + STEP_MS; /* pipit-tlsd knows better what went wrong */
  int ok = 0;
  if (!o->ucspi) ok = facts(o, t, end, stop);
  else if (write(o->control, "Y", 1) == 1) ok = ucspi_facts(o, t, end, stop);
  else fail(o, strerror(errno));
  if (ok && (dup2(o->in, in) == -1 || dup2(o->out, out) == -1)) ok = fail(o, strerror(errno));
  tls_cancel(o);
  t->on = ok;
  return ok;
}

void tls_cancel(struct tls_offer *o)
{
  if (o->ucspi) tls_forget_ucspi();
  if (o->out != -1 && o->out != o->in) close(o->out);
  if (o->in != -1) close(o->in);
  if (o->control != -1) close(o->control);
  o->control = o->in = o->out = -1;
}
