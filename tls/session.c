/* session.c - one handshake, then bytes; see session.h */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "clock.h"
#include "fdpass.h"
#include "sandbox.h"
#include "session.h"
#include "shovel.h"
#include "tlswire.h"

#define BEGIN_MS 30000 /* for a server to say 220 */

/* Where this process has its descriptors; 2 is the log. There is no number for one more. */
enum { NET = 0, PLAIN = 1, CONTROL = 3, DESCRIPTORS = 4 };

static void answer(int control, char kind, char const *s, size_t len, int fd)
{
  struct iovec v[2] = { { &kind, 1 }, { (char *)s, len } };
  fdpass_send(control, v, 2, &fd, 1);
}

void session_refuse(int control, char const *why)
{
  answer(control, TLSWIRE_FAILED, why, strlen(why), -1);
}

/* --- before the first byte of the client --- */

static int move(int from, int to)
{
  if (from == to) return 1;
  if (dup2(from, to) == -1) return 0;
  close(from);
  return 1;
}

static int set_limit(int which, rlim_t n)
{
  struct rlimit const r = { n, n };
  return setrlimit((__rlimit_resource_t)which, &r) == 0;
}

static int confine(void)
{
  static char const *const nothing[] = { 0 };
  return sandbox_no_exec() != -1 && sandbox_read_only(nothing) != -1 &&
         set_limit(RLIMIT_NPROC, 0) && set_limit(RLIMIT_CORE, 0);
}

static int without_waiting(int fd)
{
  int flags = fcntl(fd, F_GETFL);
  return flags != -1 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Take the request, and give the other end of PLAIN for it. 1, or 0 after an answer. */
static int take(int control, struct tlswire_request *q)
{
  int fd[1], ends[2];
  char const *why = 0;
  ssize_t n = fdpass_recv(control, (char *)q, sizeof *q, MSG_DONTWAIT, fd, 1);
  if (n != sizeof *q || fd[0] == -1 || q->role != TLSWIRE_SERVER) why = "malformed request";
  else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) why = strerror(errno);
  else if (!confine()) why = "unable to confine myself";
  else if (!move(fd[0], NET) || !move(ends[1], PLAIN)) why = strerror(errno);
  if (why) {
    session_refuse(control, why);
    return 0;
  }
  answer(control, TLSWIRE_GO, "", 0, ends[0]);
  close(ends[0]);
  if (!move(control, CONTROL)) return 0;
  closefrom(DESCRIPTORS);
  return set_limit(RLIMIT_NOFILE, DESCRIPTORS);
}

static int may_begin(void)
{
  struct pollfd x = { .fd = CONTROL, .events = POLLIN };
  char c;
  return poll(&x, 1, BEGIN_MS) == 1 && recv(CONTROL, &c, 1, MSG_DONTWAIT) == 1 &&
         c == TLSWIRE_BEGIN && without_waiting(NET);
}

/* --- the handshake --- */

static char const *reason(int ssl_error)
{
  unsigned long e = ERR_peek_error();
  char const *s = e ? ERR_reason_error_string(e) : 0;
  if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
      (ssl_error == SSL_ERROR_SYSCALL && !errno))
    return "closed by client";
  if (s) return s;
  return ssl_error == SSL_ERROR_SYSCALL ? strerror(errno) : "no reason is known";
}

/* 1, or 0 and <*why>; "" when nobody waits for it any more. */
static int handshake(SSL *ssl, uint32_t limit_ms, char const **why)
{
  uint64_t end = clock_ms() + limit_ms;
  for (;;) {
    struct pollfd x[2] = { { .fd = NET }, { .fd = CONTROL, .events = POLLIN } };
    ERR_clear_error();
    errno = 0;
    int r = SSL_accept(ssl);
    if (r == 1) return 1;
    int e = SSL_get_error(ssl, r);
    if (e == SSL_ERROR_WANT_READ) x[0].events = POLLIN;
    else if (e == SSL_ERROR_WANT_WRITE) x[0].events = POLLOUT;
    else return (*why = reason(e), 0);
    uint64_t now = clock_ms();
    *why = "timeout";
    if (now >= end) return 0;
    r = poll(x, 2, (int)(end - now));
    if (!r) return 0;
    if (x[1].revents) return (*why = "", 0);
  }
}

static void report(SSL *ssl)
{
  char text[TLSWIRE_MAX - 1], subject[256] = "";
  char const *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  X509 *client = SSL_get0_peer_certificate(ssl);
  if (client && SSL_get_verify_result(ssl) == X509_V_OK)
    X509_NAME_oneline(X509_get_subject_name(client), subject, sizeof subject);
  int n = snprintf(text, sizeof text, "%s%c%s%c%.255s%c%s", SSL_get_version(ssl), 0,
                   SSL_get_cipher_name(ssl), 0, name ? name : "", 0, subject);
  answer(CONTROL, TLSWIRE_OK, text, (size_t)n + 1, -1);
}

void session_run(int control, SSL_CTX *ctx)
{
  struct tlswire_request q;
  char const *why = "out of memory";
  if (!take(control, &q) || !may_begin()) _exit(0);
  SSL *ssl = SSL_new(ctx);
  if (!ssl || SSL_set_fd(ssl, NET) != 1 || !handshake(ssl, q.limit_ms, &why)) {
    session_refuse(CONTROL, why);
    if (*why) shovel_linger(NET);
    _exit(0);
  }
  report(ssl);
  shovel(ssl, NET, PLAIN);
  _exit(0);
}
